//! What Apache 2.4 did to heads, recorded by `apache/record.py`, and what is done here to the same: the same request line,
//! fields and answers, but for what [`differs`] says.

use std::collections::BTreeMap;

use carme_proxy::Endpoint;
use carme_proxy::head::{
    Answered, Asked, ErrorOverride, Identity, Origin, Passing, Reverse, ReverseFrom, Via,
    keep_for_error_page, request, response,
};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header};
use serde_json::Value;

/// Where the same is not wanted: the site, the request's target or the answer's field, what Apache makes of it, and what
/// is made of it here.
fn differs(site: &str, what: &str, apache: &str) -> Option<&'static str> {
    Some(match (site, what, apache) {
        // An encoded slash is data; what a member would take for `..` is not passed on.
        ("root" | "raw", "/%2F", "404") => "/%2F",
        ("root", "/a%2fb", "404") => "/a%2Fb",
        ("raw", "/a%2fb", "404") => "/a%2fb",
        (_, "/..;/a", "/..;/a") => "400",
        // A path that cannot be is a mistake of the client.
        (_, "/%00" | "/a%00b", "404") => "400",
        // With nocanon it may not lead out of the location.
        (_, "/app/../app/x", "/up/../app/x") => "/up/x",
        // A request line is ASCII.
        (_, "/a?x=é", "/a?x=é") => "/a?x=%C3%A9",
        // It is answered here, by whoever called.
        (_, "OPTIONS / 0", "200") => "502",
        // A beginning ends where a name or a number does.
        (_, "http://127.0.0.1:90011/a", _) => "http://127.0.0.1:90011/a",
        (_, "http://bare.internal.example/b", _) => "http://bare.internal.example/b",
        (_, "http://bare.internal:81/b", _) => "http://bare.internal:81/b",
        // A slash at its end is not needed.
        ("reverse deep", "http://127.0.0.1:9001/up", _) => "http://www.example.com:8080/app",
        ("reverse base", "http://127.0.0.1:9001/Base/up", _) => "http://www.example.com:8080/app",
        ("reverse", "http://old.internal", _) => "http://www.example.com:8080/second",
        // A cookie may have any name; of two paths none is forgotten.
        (_, "path=/up/; HttpOnly", _) => "path=/up/; HttpOnly",
        (_, "a=b; Path=/up/; Path=/gone/", _) => "a=b; Path=/app/; Path=/",
        (_, "a=b; Path=/up/; Path=/x", _) => "a=b; Path=/app/; Path=/x",
        _ => return None,
    })
}

struct Case<'a> {
    site: &'a str,
    passing: Passing,
    location: &'a str,
    members: [Endpoint; 2],
    request: Vec<&'a str>,
    /// What the member got, if it was asked.
    member: Option<Vec<&'a str>>,
    answer: Vec<&'a str>,
    got: Vec<&'a str>,
}

fn cases(recorded: &Value) -> impl Iterator<Item = Case<'_>> {
    recorded["cases"].as_array().unwrap().iter().map(|case| {
        let site = &recorded["sites"][case["site"].as_str().unwrap()];
        let text = |key: &str| site[key].as_str().unwrap_or_default();
        Case {
            site: case["site"].as_str().unwrap(),
            passing: passing(site),
            location: text("location"),
            members: [9001, 9002].map(|port| endpoint(port, text("member"))),
            request: lines(&case["request"]).unwrap(),
            member: lines(&case["member"]),
            answer: lines(&case["answer"]).unwrap(),
            got: lines(&case["got"]).unwrap(),
        }
    })
}

fn lines(lines: &Value) -> Option<Vec<&str>> {
    Some(
        lines
            .as_array()?
            .iter()
            .map(|line| line.as_str().unwrap())
            .collect(),
    )
}

fn passing(site: &Value) -> Passing {
    let flag = |key: &str, default| site[key].as_bool().unwrap_or(default);
    let pairs = |key: &str| -> Vec<(String, String)> {
        serde_json::from_value(site[key].clone()).unwrap_or_default()
    };
    let reverse: Vec<[String; 3]> = serde_json::from_value(site["reverse"].clone()).unwrap_or_default();
    Passing {
        identity: Identity::new("www.example.com", Some(8080)),
        path: site["path"].as_str().unwrap_or_default().to_owned(),
        preserve_host: flag("preserve_host", false),
        forwarded_headers: flag("forwarded_headers", true),
        via: match site["via"].as_str() {
            None => Via::Off,
            Some("on") => Via::On,
            Some("block") => Via::Block,
            Some(other) => panic!("{other}"),
        },
        raw_path: flag("raw", false),
        trace: true,
        reverse: reverse
            .into_iter()
            .map(|[kind, from, to]| Reverse {
                from: match &*kind {
                    "members" => ReverseFrom::Members(from),
                    _ => ReverseFrom::Url(from),
                },
                to,
            })
            .collect(),
        cookie_domains: pairs("cookie_domains"),
        cookie_paths: pairs("cookie_paths"),
        override_errors: match &site["override"] {
            Value::Null => ErrorOverride::Off,
            Value::String(_) => ErrorOverride::All,
            list => ErrorOverride::Statuses(serde_json::from_value(list.clone()).unwrap()),
        },
    }
}

fn endpoint(port: u16, path: &str) -> Endpoint {
    Endpoint {
        path: path.to_owned(),
        // As in the recording.
        reuse: false,
        ..Endpoint::http("127.0.0.1", port)
    }
}

fn fields(lines: &[&str]) -> HeaderMap {
    let mut fields = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(':').unwrap();
        let name: HeaderName = name.parse().unwrap();
        fields.append(name, HeaderValue::from_bytes(value.trim().as_bytes()).unwrap());
    }
    fields
}

/// Fields by their names; several lines are one list.
fn listed(fields: &HeaderMap) -> BTreeMap<&str, String> {
    let values = |name: &HeaderName| {
        let lines = fields.get_all(name).iter();
        lines
            .map(|value| value.to_str().unwrap())
            .collect::<Vec<_>>()
            .join(", ")
    };
    fields.keys().map(|name| (name.as_str(), values(name))).collect()
}

fn version(line: &str) -> Version {
    match line.contains("HTTP/1.0") {
        true => Version::HTTP_10,
        false => Version::HTTP_11,
    }
}

/// The request as a member would get it, or the status.
fn ask(case: &Case<'_>, fields: &mut HeaderMap) -> Result<PathAndQuery, StatusCode> {
    let mut words = case.request[0].split(' ');
    let method: Method = words.next().unwrap().parse().unwrap();
    // Recorded as Latin-1, sent as UTF-8.
    let target: PathAndQuery = words.next().unwrap().parse().unwrap();
    let asked = Asked {
        method: &method,
        version: version(case.request[0]),
        target: &target,
        location: case.location,
        is_secure: false,
        client: Some("127.0.0.1"),
        peer: Some("127.0.0.1"),
        port: 8080,
        upgrades: false,
    };
    request(&case.passing, &case.members[0], &asked, fields).map_err(|refused| refused.status())
}

#[test]
fn requests_are_passed_on_as_by_apache() {
    let recorded: Value = serde_json::from_str(include_str!("apache/recorded.json")).unwrap();
    let mut compared = 0;
    for case in cases(&recorded) {
        let target = case.request[0].split(' ').nth(1).unwrap();
        let mut passed = fields(&case.request[1..]);
        let hops = passed
            .get(header::MAX_FORWARDS)
            .map(|hops| hops.to_str().unwrap().to_owned());
        let what = match &hops {
            Some(hops) => format!("OPTIONS {target} {hops}"),
            None => target.to_owned(),
        };
        let apache = match &case.member {
            Some(member) => latin(member[0].split(' ').nth(1).unwrap()),
            None => case.got[0].split(' ').nth(1).unwrap().to_owned(),
        };
        let ours = match ask(&case, &mut passed) {
            Ok(target) => target.to_string(),
            Err(status) => status.as_str().to_owned(),
        };
        assert_eq!(
            ours,
            differs(case.site, &what, &apache).unwrap_or(&apache),
            "{:?}",
            case.request
        );
        compared += 1;
        let Some(member) = &case.member else { continue };
        if !ours.starts_with('/') {
            continue;
        }
        let mut expected = fields(&member[1..]);
        // Bodies are waited for here; trailers are passed on; members are told how the client came.
        expected.remove(header::EXPECT);
        let sent = fields(&case.request[1..]);
        if let Some(trailer) = sent.get(header::TRAILER) {
            expected.insert(header::TRAILER, trailer.clone());
        }
        if sent.get(header::TE).is_some_and(|te| te == "trailers") {
            expected.insert(header::TE, HeaderValue::from_static("trailers"));
            expected.insert(header::CONNECTION, HeaderValue::from_static("close, TE"));
        }
        if case.passing.forwarded_headers {
            expected.insert("x-forwarded-proto", HeaderValue::from_static("http"));
            expected.insert("x-forwarded-port", HeaderValue::from_static("8080"));
        }
        // Apache's `Via` has the port that this client asked for.
        if !sent.contains_key(header::HOST) && case.passing.via == Via::On {
            expected.insert(header::VIA, HeaderValue::from_static("1.0 www.example.com:8080"));
        }
        assert_eq!(listed(&passed), listed(&expected), "{:?}", case.request);
    }
    assert!(compared > 500, "{compared}");
}

/// Text that was read as Latin-1 and is UTF-8.
fn latin(text: &str) -> String {
    let bytes: Vec<u8> = text.chars().map(|char| char as u8).collect();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn answers_are_passed_back_as_by_apache() {
    let recorded: Value = serde_json::from_str(include_str!("apache/recorded.json")).unwrap();
    let mut compared = 0;
    for case in cases(&recorded) {
        if case.member.is_none() {
            continue;
        }
        let host = case.request[1..]
            .iter()
            .find_map(|line| line.strip_prefix("Host: "));
        let answered = Answered {
            version: version(case.answer[0]),
            switches: false,
            origin: Origin {
                is_secure: false,
                authority: host.unwrap_or_default().as_bytes(),
            },
        };
        let status: StatusCode = case.answer[0].split(' ').nth(1).unwrap().parse().unwrap();
        let mut passed = fields(&case.answer[1..]);
        response(&case.passing, &answered, case.members.iter(), &mut passed);
        let mut expected = fields(&case.got[1..]);
        if case.passing.override_errors.replaces(status) {
            keep_for_error_page(status, &mut passed);
            // The page's own.
            expected.remove(header::CONTENT_TYPE);
        }
        // What concerns the client's connection and the body is somebody else's.
        for name in [
            "connection",
            "date",
            "server",
            "content-length",
            "transfer-encoding",
            "keep-alive",
        ] {
            passed.remove(name);
            expected.remove(name);
        }
        if let Some(trailer) = fields(&case.answer[1..]).get(header::TRAILER) {
            expected.insert(header::TRAILER, trailer.clone());
        }
        // The version in `Via` is the received message's (RFC 9110, 7.6.3); Apache has the client's.
        if case.passing.via == Via::On {
            let theirs = expected.get_all(header::VIA).iter().next_back().unwrap();
            let ours = passed.get_all(header::VIA).iter().next_back().unwrap();
            let by = |via: &HeaderValue| {
                via.to_str()
                    .unwrap()
                    .split_once(' ')
                    .unwrap()
                    .1
                    .replace(":8080", "")
            };
            assert_eq!(by(ours), by(theirs));
            assert_eq!(
                ours.to_str().unwrap().starts_with("1.0"),
                case.answer[0].starts_with("HTTP/1.0")
            );
            passed.remove(header::VIA);
            expected.remove(header::VIA);
        }
        for name in [header::LOCATION, header::SET_COOKIE] {
            if let (Some(said), Some(apache)) =
                (fields(&case.answer[1..]).get(&name), expected.get_mut(&name))
            {
                let wanted = wanted(case.site, said.to_str().unwrap(), apache.to_str().unwrap());
                *apache = wanted.parse().unwrap();
            }
        }
        assert_eq!(listed(&passed), listed(&expected), "{:?}", case.answer);
        compared += 1;
    }
    assert!(compared > 500, "{compared}");
}

fn wanted(site: &str, said: &str, apache: &str) -> String {
    match differs(site, said, apache) {
        Some(wanted) => wanted.to_owned(),
        // One slash is enough where the location's path and the member's meet.
        None => apache.replacen("/app//", "/app/", 1),
    }
}
