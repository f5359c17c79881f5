//! What Apache 2.4 did, recorded by `apache/record.py`, and what this balancer does in the same cases: the same member for
//! every request, the same status, the same BALANCER_ variables, and in the end the same counters and flags of every
//! member.

mod common;

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::time::Duration;

use carme_balancer::{
    Balancer, Change, Check, CheckMethod, Ending, Exposure, Failure, Flag, Granted, HealthChange,
    HealthCheck, LbSet, LoadFactor, Member, MemberId, Method, Next, Outcome, Pick, Request, Settings, Status,
    StickySession, Token,
};
use serde_json::Value;

fn recorded() -> Vec<Value> {
    let recorded: Value = serde_json::from_str(include_str!("apache/recorded.json")).unwrap();
    recorded["cases"].as_array().unwrap().clone()
}

fn is_on(value: &Value) -> bool {
    value.as_str() == Some("On")
}

fn settings(parameters: &Value) -> Settings {
    let mut settings = Settings::apache("balancer://test");
    let mut sticky = None;
    for (key, value) in parameters.as_object().unwrap() {
        match key.as_str() {
            "lbmethod" => settings.method = Method::of_name(value.as_str().unwrap()).unwrap(),
            "stickysession" => sticky = Some(StickySession::new(value.as_str().unwrap())),
            "nofailover" => settings.nofailover = is_on(value),
            "forcerecovery" => settings.force_recovery = is_on(value),
            "failontimeout" => settings.fail_on_timeout = is_on(value),
            "maxattempts" => settings.max_attempts = Some(value.as_u64().unwrap() as u32),
            "failonstatus" => {
                settings.fail_on_status = value
                    .as_str()
                    .unwrap()
                    .split(',')
                    .map(|code| code.parse().unwrap())
                    .collect();
            }
            "scolonpathdelim" | "stickysessionsep" => {}
            other => panic!("{other}"),
        }
    }
    if let Some(sticky) = &mut sticky {
        sticky.semicolon_delimits = is_on(&parameters["scolonpathdelim"]);
        match parameters["stickysessionsep"].as_str() {
            None => {}
            Some("Off") => sticky.separator = None,
            Some(separator) => sticky.separator = separator.chars().next(),
        }
    }
    settings.sticky = sticky;
    settings
}

fn member(value: &Value) -> Member {
    let mut member = Member::new(value["name"].as_str().unwrap());
    let parameters = &value["parameters"];
    for (key, value) in parameters.as_object().unwrap() {
        match key.as_str() {
            "route" => member.route = Some(value.as_str().unwrap().to_owned()),
            "redirect" => member.redirect = Some(value.as_str().unwrap().to_owned()),
            "status" => member.status = Status::parse(value.as_str().unwrap()).unwrap(),
            "lbset" => member.lbset = LbSet::new(value.as_u64().unwrap() as u8).unwrap(),
            "loadfactor" => member.load_factor = LoadFactor::new(value.as_f64().unwrap()).unwrap(),
            "retry" => member.retry = Duration::from_secs(value.as_u64().unwrap()),
            "timeout" => {}
            "hcmethod" => member.health = Some(health(parameters)),
            "hcinterval" | "hcpasses" | "hcfails" | "hcuri" => {}
            other => panic!("{other}"),
        }
    }
    member
}

fn health(parameters: &Value) -> HealthCheck {
    let number = |name: &str| NonZeroU32::new(parameters[name].as_u64().unwrap() as u32).unwrap();
    HealthCheck {
        passes: number("hcpasses"),
        fails: number("hcfails"),
        ..HealthCheck::new(CheckMethod::of_name(parameters["hcmethod"].as_str().unwrap()).unwrap())
    }
}

fn changes(parameters: &Value) -> Vec<Change> {
    let parameters = parameters.as_object().unwrap();
    let one = |(key, value): (&String, &Value)| match key.as_str() {
        "w_lf" => Change::LoadFactor(LoadFactor::new(value.as_f64().unwrap()).unwrap()),
        "w_ls" => Change::LbSet(LbSet::new(value.as_u64().unwrap() as u8).unwrap()),
        "w_wr" => Change::Route(Some(value.as_str().unwrap().to_owned())),
        flag => {
            let flag = flag.strip_prefix("w_status_").unwrap();
            let flag = Flag::ALL
                .into_iter()
                .find(|known| known.letter().to_string() == flag)
                .unwrap();
            Change::Status(flag, value == 1)
        }
    };
    parameters.iter().map(one).collect()
}

/// What the members answer: Apache counts the status line, too.
const STATUS_LINES: [(u16, &str); 4] = [
    (200, "HTTP/1.0 200 OK"),
    (404, "HTTP/1.0 404 Not Found"),
    (500, "HTTP/1.0 500 Internal Server Error"),
    (503, "HTTP/1.0 503 Service Unavailable"),
];

/// A case on its way.
struct Replay {
    bench: common::Bench,
    /// Requests in flight.
    held: HashMap<u64, (Granted, Outcome)>,
    dead: Vec<String>,
    token: u64,
}

/// What is compared of an answer.
#[derive(Debug, PartialEq)]
struct Answer {
    status: u16,
    /// The member that answered; none if the balancer itself did.
    route: Option<String>,
    changed: bool,
    sticky: Option<String>,
    session: Option<String>,
}

impl Replay {
    fn new(case: &Value) -> Replay {
        let members = case["members"].as_array().unwrap();
        let balancer = Balancer::new(settings(&case["parameters"]), members.iter().map(member));
        let dead = members.iter().filter(|member| member["dead"] == true);
        let dead = dead
            .map(|member| member["name"].as_str().unwrap().to_owned())
            .collect();
        Replay {
            bench: common::Bench {
                balancer,
                now: std::time::Instant::now(),
                token: 0,
            },
            held: HashMap::new(),
            dead,
            token: 0,
        }
    }

    /// What becomes of one attempt: the outcome, and the status that goes to the client in Apache.
    fn attempt(&mut self, name: &str, query: &Value, sent_bytes: u64) -> (Outcome, u16) {
        let sent = Exposure::Sent { repeatable: false };
        if self.dead.iter().any(|dead| dead == name) {
            return (Outcome::failed(Failure::Connect, Exposure::NothingSent), 503);
        }
        if query.get("broke").is_some() {
            return (Outcome::failed(Failure::Broke, sent), 502);
        }
        if query.get("hang").is_some() {
            self.bench.pass(Duration::from_secs(1));
            return (Outcome::failed(Failure::Timeout, sent), 502);
        }
        let status = query
            .get("respond")
            .map_or(200, |status| status.as_u64().unwrap() as u16);
        let body = query.get("bytes").map_or(0, |bytes| bytes.as_u64().unwrap());
        let received = STATUS_LINES
            .iter()
            .find(|(known, _)| *known == status)
            .unwrap()
            .1
            .len() as u64
            + body;
        (Outcome::answered(status, sent_bytes, received), status)
    }

    fn ask(&mut self, ask: &Value, sent_bytes: u64) -> Answer {
        let query = ask["query"].as_object();
        let query: Vec<_> = query
            .into_iter()
            .flatten()
            .map(|(k, v)| format!("{k}={}", v.as_str().map_or(v.to_string(), encode)))
            .collect();
        let path = ask["path"].as_str().unwrap_or("/");
        let url = if query.is_empty() {
            path.to_owned()
        } else {
            format!("{path}?{}", query.join("&"))
        };
        let cookies = [ask["cookie"].as_str().unwrap_or_default().as_bytes()];
        let mut tried: Vec<MemberId> = Vec::new();
        let mut answer = Answer {
            status: 503,
            route: None,
            changed: false,
            sticky: None,
            session: None,
        };
        loop {
            self.token += 1;
            let request = Request {
                path_and_query: url.as_bytes(),
                cookies: &cookies,
                tried: &tried,
                ..Request::plain(Token(self.token), self.token)
            };
            let granted = match self.bench.balancer.pick(&request, self.bench.now) {
                Pick::Member(granted) => granted,
                Pick::None(_) => return answer,
                Pick::Wait { .. } => panic!("no request waits here"),
            };
            let member = self.bench.balancer.member(granted.member).unwrap().clone();
            let variables = common::variables(self.bench.balancer.settings(), &member, &granted.session);
            let variables: HashMap<_, _> = variables.into_iter().collect();
            let value = |name: &str| variables.get(name).cloned();
            let (outcome, status) = self.attempt(&member.name, &ask["query"], sent_bytes);
            answer = Answer {
                status,
                route: value("BALANCER_WORKER_ROUTE"),
                // Apache never takes a variable back that an attempt has set.
                changed: answer.changed || value("BALANCER_ROUTE_CHANGED").is_some(),
                sticky: value("BALANCER_SESSION_STICKY"),
                // Recorded from a header field, which has no spaces at its ends.
                session: value("BALANCER_SESSION_ROUTE")
                    .map(|route| route.trim().to_owned())
                    .filter(|route| !route.is_empty()),
            };
            tried.push(granted.member);
            if let (Some(hold), Ending::Answered { .. }) = (ask["query"]["hold"].as_u64(), outcome.ending) {
                // What is sent counts when it is sent.
                self.bench.balancer.count_bytes(&granted.lease, outcome.sent, 0);
                self.held.insert(hold, (granted, Outcome { sent: 0, ..outcome }));
                return answer;
            }
            if self.bench.balancer.done(granted.lease, outcome, self.bench.now) == Next::Finish {
                return answer;
            }
            // Time goes on, as in Apache: an error just made is older than now, which matters for `retry=0`.
            self.bench.pass(Duration::from_micros(100));
        }
    }
}

fn encode(text: &str) -> String {
    text.replace('!', "%21")
}

fn recorded_answer(value: &Value) -> Answer {
    let text = |name: &str| value[name].as_str().map(str::to_owned);
    Answer {
        status: value["status"].as_u64().unwrap() as u16,
        route: text("route"),
        changed: value["changed"] == true,
        sticky: text("sticky"),
        session: text("session"),
    }
}

/// The first difference of a case.
fn difference(case: &Value) -> Option<String> {
    let mut replay = Replay::new(case);
    for (number, step) in case["steps"].as_array().unwrap().iter().enumerate() {
        replay.bench.pass(Duration::from_millis(2));
        if let Some(seconds) = step["pause"].as_f64() {
            replay.bench.pass(Duration::from_secs_f64(seconds));
        } else if let Some(health) = step.get("health") {
            let id = replay
                .bench
                .balancer
                .find(health["member"].as_str().unwrap())
                .unwrap();
            let result = if health["well"] == true {
                Check::Passed
            } else {
                Check::Failed
            };
            let mut changed = HealthChange::None;
            while changed == HealthChange::None {
                changed = replay.bench.balancer.checked(id, result, replay.bench.now);
            }
        } else if let Some(hold) = step["release"].as_u64() {
            if let Some((granted, outcome)) = replay.held.remove(&hold) {
                let next = replay
                    .bench
                    .balancer
                    .done(granted.lease, outcome, replay.bench.now);
                assert_eq!(next, Next::Finish);
            }
        } else if let Some(change) = step.get("change") {
            let id = replay
                .bench
                .balancer
                .find(change["member"].as_str().unwrap())
                .unwrap();
            for change in changes(&change["parameters"]) {
                replay
                    .bench
                    .balancer
                    .change(id, change, replay.bench.now)
                    .unwrap();
            }
        } else {
            let received = step["answer"]["received"].as_u64().unwrap_or_default();
            let (ours, apache) = (
                replay.ask(&step["get"], received),
                recorded_answer(&step["answer"]),
            );
            if ours != apache {
                return Some(format!(
                    "step {number} {}: Apache {apache:?}, here {ours:?}",
                    step["get"]
                ));
            }
        }
    }
    // A member that does not answer cannot say how many bytes it got.
    let name = case["name"].as_str().unwrap();
    let is_uncounted = name.starts_with("broke") || name.starts_with("failontimeout");
    let report = replay.bench.balancer.report(replay.bench.now);
    for (member, recorded) in report.members.iter().zip(case["members"].as_array().unwrap()) {
        let end = &recorded["end"];
        let number = |name: &str| end[name].as_u64().unwrap();
        let mut ours = (
            member.lbstatus,
            member.elected,
            member.status.to_string(),
            member.transferred,
            member.read,
        );
        let status = end["status"].as_str().unwrap().to_owned();
        let lbstatus = end["lbstatus"].as_i64().unwrap();
        let apache = (
            lbstatus,
            number("elected"),
            status,
            number("transferred"),
            number("read"),
        );
        if is_uncounted {
            (ours.3, ours.4) = (apache.3, apache.4);
        }
        if ours != apache {
            return Some(format!(
                "member {} in the end: Apache {apache:?}, here {ours:?}",
                recorded["name"]
            ));
        }
    }
    None
}

#[test]
fn decides_as_apache_did() {
    let cases = recorded();
    assert!(cases.len() > 500, "{}", cases.len());
    let mut wrong = Vec::new();
    for case in &cases {
        if let Some(difference) = difference(case) {
            wrong.push(format!("{}: {difference}", case["name"]));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {} cases differ:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
}
