//! What members and clients see, parameter by parameter.

use std::net::SocketAddr;

use carme_tests::member::Request;
use carme_tests::{Response, skip};

use crate::both::{Rows, for_each, is_other_status, play_with_both};
use crate::differences::{DIFFERENCES, Difference};
use crate::sites::{SITES, Site, Step};
use crate::stage::{Asker, Stage};
use crate::table::Table;

/// Placeholders filled in.
fn fill(text: &str, stage: &Stage) -> String {
    let mut filled = text.replace("{a port}", &stage.address("a").port().to_string());
    for (name, address) in [
        ("{a}", stage.address("a")),
        ("{b}", stage.address("b")),
        ("{nobody}", stage.nobody()),
        ("{stuck}", stage.stuck()),
    ] {
        filled = filled.replace(name, &address.to_string());
    }
    filled
}

/// A virtual host for each site.
fn configuration(stage: &Stage) -> String {
    let mut conf = String::new();
    for (number, site) in SITES.iter().enumerate() {
        conf += &format!("<VirtualHost *:${{PORT}}>\nServerName s{number}.test\n");
        for line in fill(site.conf, stage).lines() {
            conf += &match line.strip_prefix("PASS ") {
                Some(member) => format!(
                    "<Proxy balancer://own{number}>\nBalancerMember {member}\n</Proxy>\nProxyPass / balancer://own{number}/\n"
                ),
                None => format!("{line}\n"),
            };
        }
        conf += "</VirtualHost>\n";
    }
    conf
}

/// Fields of a head that are compared: sorted, one for each of a list's members, and without those that depend on the
/// moment, or differ as documented.
fn fields<'h>(headers: impl Iterator<Item = (&'h str, &'h str)>, without: &[&str]) -> String {
    let mut fields: Vec<String> = headers
        .map(|(name, value)| (name.to_ascii_lowercase(), value))
        .filter(|(name, _)| !without.contains(&name.as_str()))
        .flat_map(|(name, value)| {
            let members = value.split(", ");
            members.map(move |member| format!("{name}: {member}"))
        })
        .collect();
    fields.sort();
    fields.join(", ")
}

/// What each hop says for itself, and the moment.
const OF_HOPS: &[&str] = &[
    "connection",
    "keep-alive",
    "transfer-encoding",
    "date",
    "server",
    "x-request-id",
];

/// What members are told by one of the two (docs/src/from-apache.md, "Where requests to members differ").
const OF_ONE: &[&str] = &[
    "x-forwarded-proto",
    "x-forwarded-port",
    "x-forwarded-server",
    "te",
];

/// What answers of the server itself have of their own.
const OF_PAGES: &[&str] = &["content-length", "content-type", "retry-after", "vary", "allow"];

fn see_response(row: &mut Table, response: &Response) {
    row.set("answer", response.status());
    let from_member = response.header("x-member").is_some();
    let headers = response
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    let without: &[&str] = match from_member {
        true => &[],
        false => OF_PAGES,
    };
    row.set("fields", fields(headers, &[OF_HOPS, without].concat()));
    if from_member {
        row.set("body", response.body.len());
    }
    if response.header("content-type") == Some("message/http") {
        row.set("reflected", message(&response.text()));
    }
}

/// A request that came back: its line and its fields, without those that Carme keeps to itself.
fn message(text: &str) -> String {
    let (line, rest) = text.split_once("\r\n").expect("a request line");
    assert!(rest.ends_with("\r\n\r\n"), "{text:?}");
    let pairs = rest.lines().filter_map(|line| line.split_once(": "));
    format!("{line}, {}", fields(pairs, &["cookie", "authorization"]))
}

fn see_requests(row: &mut Table, seen: &[(&'static str, Request)], connection: &mut Option<usize>) {
    let list = |each: &dyn Fn(&Request) -> String| {
        let all = seen
            .iter()
            .map(|(name, request)| format!("{name} {}", each(request)));
        all.collect::<Vec<_>>().join(" | ")
    };
    row.set("sent", list(&|request| request.line.clone()));
    row.set(
        "sent fields",
        list(&|request| {
            let headers = request.headers.iter();
            let headers = headers.map(|(name, value)| (name.as_str(), value.as_str()));
            fields(headers, &[OF_HOPS, OF_ONE].concat())
        }),
    );
    row.set(
        "sent body",
        list(&|request| String::from_utf8_lossy(&request.body).into_owned()),
    );
    if let Some((_, request)) = seen.last() {
        let before = connection.replace(request.connection);
        row.set("same connection", before == Some(request.connection));
    }
}

fn is_documented(field: &str, apache: &Table, carme: &Table, site: &Site) -> bool {
    match field {
        // A plain address is a balancer with one member, which all that name it share. A request that waited in vain for
        // one had none, where Apache had chosen one.
        "balancer" | "worker" | "route" => [apache, carme].iter().any(|row| row.get("balancer") == "-"),
        "same connection" => !site.conf.contains("PASS"),
        _ => is_other_status(field, apache, carme),
    }
}

fn request(number: usize, step: &str, line: &str, fields: &str, body: &str) -> String {
    let length = match body.len() {
        0 => String::new(),
        length => format!("Content-Length: {length}\r\n"),
    };
    format!("{line} HTTP/1.1\r\nHost: s{number}.test\r\nX-Step: {step}\r\n{fields}{length}\r\n{body}")
}

fn play_one(site: &Site, number: usize, stage: &Stage, address: SocketAddr) -> Vec<(String, Table)> {
    let (mut asker, script) = (Asker::new(address), &stage.script);
    let (mut rows, mut connection, mut held) = (Vec::new(), None, String::new());
    for (index, step) in site.steps.iter().enumerate() {
        let mut name = format!("{number}.{index}");
        let mut row = Table::default();
        let response = match *step {
            Step::Pause(milliseconds) => {
                std::thread::sleep(std::time::Duration::from_millis(milliseconds));
                continue;
            }
            Step::Turn(path, well) => {
                script.turn(path, well);
                continue;
            }
            Step::Get(target) => {
                let line = format!("GET {}", fill(target, stage));
                asker.ask(&request(number, &name, &line, "", ""))
            }
            Step::Send(line, fields, body) => asker.ask(&request(number, &name, line, fields, body)),
            Step::Hold(target) => {
                let line = format!("GET {target}");
                held.clone_from(&name);
                match asker.hold(script, &name, &request(number, &name, &line, "", "")) {
                    Some(response) => response,
                    None => continue,
                }
            }
            Step::Release => {
                name.clone_from(&held);
                asker.release(script, &name).expect("it is held")
            }
            Step::Upgrade(sent) => {
                let fields = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
                let (head, echo) = asker.upgrade(&request(number, &name, "GET /", fields, ""), sent);
                row.set("echo", echo);
                head
            }
        };
        see_response(&mut row, &response);
        see_requests(&mut row, &script.seen(&name), &mut connection);
        rows.push((name, row));
    }
    rows
}

fn play(stage: &Stage, address: SocketAddr) -> Rows {
    let one = |number: usize| play_one(&SITES[number], number, stage, address);
    for_each(SITES.len(), 8, one).into_iter().collect()
}

#[test]
fn members_and_clients_see_the_same_whatever_the_latency() {
    let stage = Stage::new(&["a", "b"]);
    let [theirs, ours] = match play_with_both(&configuration(&stage), |address, _| play(&stage, address)) {
        Ok(both) => both,
        Err(reason) => return skip::missing(reason),
    };
    let (mut differ, mut met) = (Vec::new(), 0);
    for (name, row) in &theirs {
        let (number, index) = name.split_once('.').expect("a site and a step");
        let site = &SITES[number.parse::<usize>().expect("a number")];
        let index: usize = index.parse().expect("a number");
        let step = &site.steps[index];
        for (field, was) in row.differing(&ours[name]) {
            let is_listed =
                |listed: &&Difference| (listed.site, listed.step, listed.field) == (site.name, index, field);
            if let Some(listed) = DIFFERENCES.iter().find(is_listed) {
                met += usize::from(listed.is_so(row, &ours[name]));
            } else if !is_documented(field, row, &ours[name], site) {
                differ.push(format!("{}, {step:?}, {field}: {was}", site.name));
            }
        }
    }
    assert!(
        differ.is_empty(),
        "{} differences\n{}",
        differ.len(),
        differ.join("\n")
    );
    assert_eq!(
        met,
        DIFFERENCES.len(),
        "what is documented does not differ, or otherwise"
    );
}
