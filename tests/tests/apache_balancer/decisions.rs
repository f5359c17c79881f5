//! Who answers, case by case.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use carme_tests::server::repository;
use carme_tests::{Response, skip};
use serde_json::Value;

use crate::both::{Rows, for_each, is_other_status, play_with_both};
use crate::by_hand::Hand;
use crate::changes;
use crate::stage::{Asker, Stage};
use crate::standing::standing;
use crate::table::Table;

/// The recorded cases of which this holds.
fn cases(wanted: impl Fn(&Value) -> bool) -> Vec<Value> {
    let file = repository("crates/carme-balancer/tests/apache/recorded.json");
    let text = fs::read_to_string(file).expect("the recording is there");
    let recorded: Value = serde_json::from_str(&text).expect("it is JSON");
    let cases = recorded["cases"].as_array().expect("a list").iter();
    cases.filter(|case| wanted(case)).cloned().collect()
}

/// Whether time has to go by in it: pauses, health checks, timeouts.
fn takes_time(case: &Value) -> bool {
    steps(case).iter().any(|step| {
        let hangs = step["get"]["query"].get("hang").is_some();
        hangs || step.get("pause").is_some() || step.get("health").is_some()
    })
}

fn is_by_traffic(case: &Value) -> bool {
    let becomes = |step: &Value| step["change"]["parameters"]["b_lbm"] == "bytraffic";
    case["parameters"]["lbmethod"] == "bytraffic" || steps(case).iter().any(becomes)
}

fn steps(case: &Value) -> &[Value] {
    case["steps"].as_array().expect("a list")
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// `bytraffic` counts what is sent, too, which is not the same from both: responses are large beside that.
fn bytes(case: &Value, value: &Value) -> u64 {
    match value.as_u64().unwrap_or_default() {
        bytes if bytes > 0 && is_by_traffic(case) => 200_000 + 100 * bytes,
        bytes => bytes,
    }
}

/// One balancer for each case, at `/NUMBER/`.
fn configuration(cases: &[Value], stage: &Stage) -> String {
    let mut conf =
        "Header add Set-Cookie \"R=.%{BALANCER_WORKER_ROUTE}e; path=/\" env=BALANCER_ROUTE_CHANGED\n"
            .to_owned();
    for (number, case) in cases.iter().enumerate() {
        let parameters = |of: &Value| {
            let pairs = of["parameters"].as_object().expect("parameters").iter();
            let pairs = pairs.map(|(key, value)| format!(" {key}={}", text(value)));
            pairs.collect::<String>().replace("hcuri=alive", "hcuri=/alive")
        };
        let _ = writeln!(conf, "<Proxy balancer://case{number}>");
        for member in case["members"].as_array().expect("a list") {
            let name = member["name"].as_str().expect("a name");
            let url = url(case, number, name, stage);
            let _ = writeln!(conf, "BalancerMember {url}{}", parameters(member));
        }
        let _ = writeln!(
            conf,
            "ProxySet nonce=case{number}{}\n</Proxy>\nProxyPass \"/{number}/\" \"balancer://case{number}/\"",
            parameters(case)
        );
    }
    conf
}

/// Where a member is; one of those that come later is alive.
fn url(case: &Value, number: usize, name: &str, stage: &Stage) -> String {
    let members = case["members"].as_array().expect("a list");
    let is_dead = members
        .iter()
        .any(|member| member["name"] == name && member["dead"] == true);
    let address = match is_dead {
        true => stage.nobody(),
        false => stage.address(name),
    };
    format!("http://{address}/{number}/{name}")
}

/// Changes what a step says.
fn change(case: &Value, number: usize, step: &Value, stage: &Stage, hand: &Hand<'_>) {
    let balancer = format!("case{number}");
    let url = |name: &Value| name.as_str().map(|name| url(case, number, name, stage));
    if let Some(member) = url(&step["add"]["member"]) {
        return hand.add(&balancer, &member);
    }
    let fields = step["change"]["parameters"].as_object().expect("fields").iter();
    let fields: Vec<_> = fields
        .map(|(field, value)| (field.clone(), text(value)))
        .collect();
    hand.change(&balancer, url(&step["change"]["member"]).as_deref(), &fields);
}

/// The bytes of a step's request.
fn request(case: &Value, number: usize, name: &str, step: &Value) -> String {
    let ask = &step["get"];
    let query = ask["query"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| {
            let value = match key.as_str() {
                "bytes" => bytes(case, value).to_string(),
                _ => text(value).replace('!', "%21"),
            };
            format!("{key}={value}")
        });
    let query = query.collect::<Vec<_>>().join("&");
    let path = ask["path"].as_str().unwrap_or("/");
    let mark = if query.is_empty() { "" } else { "?" };
    let cookie = ask["cookie"].as_str();
    let cookie = cookie.map_or_else(String::new, |cookie| format!("Cookie: {cookie}\r\n"));
    let mut head = format!(
        "GET /{number}{path}{mark}{query} HTTP/1.1\r\nHost: www.example.org\r\nX-Step: {name}\r\n{cookie}"
    );
    if is_by_traffic(case) {
        // All as long as each other: what both servers send differs by some fields, and `bytraffic` counts that, too.
        head += &format!("X-Pad: {}\r\n", "x".repeat(1000 - head.len()));
    }
    head + "\r\n"
}

/// Plays one case: what was answered, by step.
fn play_one(
    case: &Value,
    number: usize,
    stage: &Stage,
    address: SocketAddr,
    hand: &Hand<'_>,
) -> Vec<(String, Response)> {
    let (mut asker, script) = (Asker::new(address), &stage.script);
    let mut played = Vec::new();
    for (index, step) in steps(case).iter().enumerate() {
        let name = |index: u64| format!("{number}.{index}");
        let held = |key: &str| step[key].as_u64().map(name);
        let (name, answer) = if let Some(seconds) = step["pause"].as_f64() {
            std::thread::sleep(Duration::from_secs_f64(seconds));
            continue;
        } else if let Some(health) = step.get("health") {
            let member = health["member"].as_str().expect("a name");
            script.turn(&format!("/{number}/{member}"), health["well"] == true);
            continue;
        } else if step.get("change").is_some() || step.get("add").is_some() {
            // A line that Apache has yet to write would have the new route.
            asker.settle();
            change(case, number, step, stage, hand);
            continue;
        } else if let Some(held) = held("release") {
            let answer = asker.release(script, &held);
            (held, answer)
        } else if let Some(held) = held("hold") {
            let answer = asker.hold(script, &held, &request(case, number, &held, step));
            (held, answer)
        } else {
            if step["get"]["query"].get("broke").is_some() {
                // On a kept connection Apache would end it, for the client to try again.
                asker.leave();
            }
            let name = name(index as u64);
            let answer = asker.ask(&request(case, number, &name, step));
            (name, Some(answer))
        };
        played.extend(answer.map(|answer| (name, answer)));
    }
    played
}

/// Asks one server everything, so many cases at a time.
fn play(cases: &[Value], at_a_time: usize, stage: &Stage, address: SocketAddr, hand: &Hand<'_>) -> Rows {
    let one = |number: usize| play_one(&cases[number], number, stage, address, hand);
    let answers = for_each(cases.len(), at_a_time, one).into_iter();
    let rows = answers.map(|(name, response)| {
        let mut row = Table::default();
        let member = response.header("x-member");
        row.set("answer", response.status());
        row.set("from", member.unwrap_or("-"));
        if member.is_some() {
            row.set("bytes", response.body.len());
            row.set("cookie", response.header("set-cookie").unwrap_or("-"));
        }
        (name, row)
    });
    let mut rows: Rows = rows.collect();
    // Where checks go on it may be another one at every moment.
    let still = |number: &str| {
        number
            .parse()
            .is_ok_and(|number: usize| !takes_time(&cases[number]))
    };
    for (url, row) in standing(hand) {
        let mut segments = url.rsplit('/');
        if let (Some(member), Some(number)) =
            (segments.next(), segments.next().filter(|number| still(number)))
        {
            rows.insert(format!("{number}.end.{member}"), row);
        }
    }
    rows
}

/// What was recorded of a step, as far as the recording has it.
fn recorded(step: &Value) -> Table {
    let answer = &step["answer"];
    let mut row = Table::default();
    row.set("answer", text(&answer["status"]));
    let known = |name: &str| answer[name].as_str().unwrap_or("-").to_owned();
    row.set("route", known("route"));
    row.set("sticky", known("sticky"));
    row.set("changed", if answer["changed"] == true { "1" } else { "-" });
    row
}

/// Plays the cases with Apache and with Carme; fails if they are not alike.
fn compare(cases: &[Value], at_a_time: usize) {
    let stage = Stage::new(&["a", "b", "c", "d"]);
    let play = |address, hand: &Hand<'_>| play(cases, at_a_time, &stage, address, hand);
    let [theirs, ours] = match play_with_both(&configuration(cases, &stage), play) {
        Ok(both) => both,
        Err(reason) => return skip::missing(reason),
    };
    println!("{} cases, {} requests and members", cases.len(), theirs.len());
    let recorded = recording(cases);
    let otherwise = unlike(cases, &recorded, &theirs);
    // Apache's count of requests in flight is now and then behind.
    let is_behind = |number: &usize| cases[*number]["parameters"]["lbmethod"] == "bybusyness";
    assert!(
        otherwise.len() <= 3 && otherwise.keys().all(is_behind),
        "Apache does not do what was recorded of it: {otherwise:#?}"
    );
    let mut differ = unlike(cases, &theirs, &ours);
    differ.retain(|number, _| !otherwise.contains_key(number));
    differ.extend(unlike(cases, &recorded, &ours));
    assert!(differ.is_empty(), "{} cases differ: {differ:#?}", differ.len());
}

/// What was recorded, by case and step. With other bytes than were recorded `bytraffic` chooses others.
fn recording(cases: &[Value]) -> Rows {
    let mut rows = Rows::new();
    for (number, case) in cases.iter().enumerate().filter(|(_, case)| !is_by_traffic(case)) {
        for (index, step) in steps(case).iter().enumerate() {
            if step.get("answer").is_some() {
                rows.insert(format!("{number}.{index}"), recorded(step));
            }
        }
    }
    rows
}

/// What differs, by case.
fn unlike(cases: &[Value], expected: &Rows, found: &Rows) -> BTreeMap<usize, Vec<String>> {
    let mut unlike: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for (name, row) in expected {
        let number = name.split('.').next().and_then(|text| text.parse().ok());
        let number: usize = number.expect("a case's number");
        let found = &found[name];
        let differing = row.differing(found);
        for (field, was) in differing.filter(|(field, _)| !is_other_status(field, row, found)) {
            let what = format!("{} {name} {field}: {was}", cases[number]["name"]);
            unlike.entry(number).or_default().push(what);
        }
    }
    unlike
}

#[test]
fn the_same_members_answer() {
    compare(&cases(|case| !takes_time(case)), 2);
}

#[test]
fn the_same_members_answer_whatever_the_latency() {
    compare(&cases(takes_time), 8);
}

#[test]
fn the_same_members_answer_after_the_same_changes() {
    compare(&changes::cases(), 2);
}
