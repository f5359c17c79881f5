//! Variables of requests: who sets them, and what looks at them.

mod common;

use std::sync::Arc;

use bytes::Bytes;
use carme_front::{
    Fixed, ForwardedFields, HeaderChange, HeaderRule, HeaderText, Location, Piece, Policy, Proxies,
    SiteOptions, StickySession, Subject, Template, VariableRule, VariableTest,
};
use carme_log::{Condition, Variable};
use carme_ring::frame::Scheme;
use common::Front;
use common::app::Fake;
use http::{HeaderName, HeaderValue, StatusCode};
use regex::bytes::Regex;

fn header(name: &'static str) -> Subject {
    Subject::Header(HeaderName::from_static(name))
}

fn variable(name: &str) -> Subject {
    Subject::Variable(Variable::named(name))
}

/// Sets the variable to what the pattern's last group has found.
fn takes(name: &str, subject: Subject, pattern: &str) -> VariableRule {
    let pattern = Regex::new(pattern).expect("an expression");
    let group = Piece::Group(pattern.captures_len() - 1);
    VariableRule {
        name: Arc::from(name),
        value: Some(Template::Composed([group].into())),
        when: Some(VariableTest { subject, pattern }),
        below: None,
    }
}

fn sets(name: &str, value: &'static str) -> VariableRule {
    VariableRule {
        name: Arc::from(name),
        value: Some(Template::Fixed(Bytes::from(value))),
        when: None,
        below: None,
    }
}

fn removes(name: &str, subject: Subject, pattern: &str) -> VariableRule {
    VariableRule {
        value: None,
        ..takes(name, subject, pattern)
    }
}

fn variables(variables: Vec<VariableRule>) -> Policy {
    Policy {
        variables,
        ..Policy::default()
    }
}

/// `before` and the variable's value.
fn shows(name: &'static str, before: &'static str, variable: &str) -> HeaderRule {
    let pieces = [
        Piece::Text(before.into()),
        Piece::Variable(Variable::named(variable)),
    ];
    HeaderRule {
        change: HeaderChange::Set(HeaderName::from_static(name), Template::Composed(pieces.into())),
        statuses: Vec::new(),
        if_absent: false,
        when: None,
    }
}

fn ok() -> Fixed {
    Fixed {
        status: StatusCode::OK,
        content_type: HeaderValue::from_static("text/plain"),
        body: Bytes::from_static(b"ok"),
    }
}

/// A front whose requests have these variables, and one location with a policy.
fn front(format: &str, server: Policy, location: Policy) -> Front {
    let options = SiteOptions {
        policy: server,
        proxies: Proxies {
            networks: vec!["127.0.0.0/8".parse().expect("a network")],
            fields: ForwardedFields {
                proto: true,
                ..ForwardedFields::default()
            },
            ..Proxies::default()
        },
        ..SiteOptions::default()
    };
    Front::made_of(options, format, |events| {
        vec![
            Location::new("/app", Fake::new(events)).with_policy(location.clone()),
            Location::fixed("/ok", ok()).with_policy(location),
        ]
    })
}

#[tokio::test]
async fn what_a_test_can_look_at() {
    let format = "%{METHOD}e %{URI}e %{PROTOCOL}e %{CLIENT}e %{SERVER}e %{FIELD}e %{NONE}e %{HTTPS}e";
    let rules = vec![
        takes("METHOD", Subject::RequestMethod, "^..."),
        takes("URI", Subject::RequestUri, "^.*$"),
        takes("PROTOCOL", Subject::RequestProtocol, "1[.].$"),
        takes("CLIENT", Subject::RemoteAddr, "^(.*)[.]"),
        takes("SERVER", Subject::ServerAddr, ".*"),
        takes("FIELD", header("x-field"), "^a(.*)z$"),
        takes("NONE", header("x-none"), "^$"),
    ];
    let front = front(format, variables(rules), Policy::default());
    for (method, target, fields) in [
        ("GET", "/ok/%61?b=c", "X-Field: abz"),
        ("DELETE", "/ok/../none/./x", "X-Field: ab\nX-Field: cz\nX-None: 1"),
        (
            "POST",
            "/app",
            "X-Forwarded-For: 192.0.2.7\nX-Forwarded-Proto: https",
        ),
        ("OPTIONS", "*", "X-Field: z"),
    ] {
        front.ask(method, target, fields).await;
    }
    let mut client = front.connect().await;
    client.send("GET /ok HTTP/1.0\r\nHost: a\r\n\r\n").await;
    client.response("GET").await;
    assert_eq!(
        front.log(5).await,
        [
            "GET /ok/a 1.1 127.0.0 127.0.0.1 b  -",
            "DEL /none/x 1.1 127.0.0 127.0.0.1 b, c - -",
            "POS /app 1.1 192.0.2 127.0.0.1 -  on",
            "OPT * 1.1 127.0.0 127.0.0.1 -  -",
            "GET /ok 1.0 127.0.0 127.0.0.1 -  -",
        ]
    );
}

#[tokio::test]
async fn rules_are_followed_in_their_order_those_of_the_server_first() {
    let server = vec![
        sets("A", "server"),
        takes("B", header("x-b"), ".+"),
        takes("C", variable("b"), "^(.).*$"),
        removes("B", variable("C"), "^x$"),
        sets("D", "1"),
    ];
    let location = vec![
        takes("A", variable("A"), "^serv"),
        removes("D", Subject::RequestUri, "/late$"),
        removes("d", Subject::RequestMethod, "^PUT$"),
    ];
    let front = front("%{A}e %{B}e %{C}e %{D}e", variables(server), variables(location));
    for (method, target, fields) in [
        ("GET", "/ok", "X-B: yes"),
        ("GET", "/ok/late", "X-B: xes"),
        ("PUT", "/ok", ""),
        ("GET", "/none", "X-B: xes"),
    ] {
        front.ask(method, target, fields).await;
    }
    let mut client = front.connect().await;
    client
        .send("GET /ok HTTP/3.0\r\nHost: a\r\nX-B: yes\r\n\r\n")
        .await;
    client.response("GET").await;
    assert_eq!(
        front.log(5).await,
        [
            "serv yes y 1",
            "serv - x -",
            "serv - - -",
            "server - x 1",
            // It was never understood.
            "- - - -",
        ]
    );
}

#[tokio::test]
async fn a_rule_may_be_for_a_part_of_the_paths() {
    let below = |path: &str, rule| VariableRule {
        below: Some(path.into()),
        ..rule
    };
    let server = vec![
        below("/ok/a b", sets("A", "1")),
        below("/ok", takes("B", header("x-b"), ".+")),
        below("", sets("C", "1")),
    ];
    let front = front("%{A}e %{B}e %{C}e", variables(server), Policy::default());
    let cases = [
        ("/ok/a%20b", "1 b 1"),
        ("/ok//a%20b/", "1 b 1"),
        ("/x/../ok/./a%20b/x?y", "1 b 1"),
        ("/ok/a%20bc", "- b 1"),
        ("/ok", "- b 1"),
        ("/okay", "- - 1"),
        ("/", "- - 1"),
    ];
    for (target, _) in cases {
        front.ask("GET", target, "X-B: b").await;
    }
    assert_eq!(front.log(cases.len()).await, cases.map(|(_, line)| line));
}

#[tokio::test]
async fn header_rules_have_variables_in_their_conditions_and_values() {
    let has = |name: &str| Some(Condition::variable(name));
    let server = variables(vec![
        takes("TENANT", header("host"), "^[^.]+"),
        takes("TAIL", Subject::RequestUri, "^/ok/(.*)$"),
    ]);
    let policy = Policy {
        request_headers: vec![
            shows("x-tenant", "t-", "tenant"),
            HeaderRule {
                when: has("TAIL").map(Condition::not),
                ..shows("x-tail", "", "TAIL")
            },
        ],
        response_headers: vec![
            HeaderRule {
                when: has("TAIL"),
                ..shows("x-tail", "tail=", "TAIL")
            },
            HeaderRule {
                change: HeaderChange::Add(
                    HeaderName::from_static("x-plain"),
                    HeaderText::Fixed(HeaderValue::from_static("yes")),
                ),
                when: has("TAIL").map(Condition::not),
                ..shows("x-plain", "", "")
            },
            shows("x-none", "", "NONE"),
            shows("x-id", "", "REQUEST_ID"),
            shows("x-time", "D=", "DURATION_US"),
        ],
        ..Policy::default()
    };
    let front = front("%>s", server, policy);
    let tail = front.ask("GET", "/ok/a%20b", "Host: shop.example").await;
    assert_eq!(tail.header("x-tail"), Some("tail=a b"));
    assert_eq!(
        (tail.header("x-plain"), tail.header("x-none")),
        (None, Some("(null)"))
    );
    assert_eq!(tail.header("x-id"), tail.header("x-request-id"));
    let time = tail.header("x-time").and_then(|time| time.strip_prefix("D="));
    assert!(
        time.and_then(|time| time.parse::<u64>().ok()).is_some(),
        "{time:?}"
    );
    let seen = front
        .ask("GET", "/app/dump", "Host: shop.example\nX-Tenant: forged")
        .await;
    let text = seen.text();
    assert!(
        text.contains("x-tenant: t-shop") && text.contains("x-tail: (null)"),
        "{text}"
    );
    assert!(!text.contains("forged"), "{text}");
    assert_eq!(
        (seen.header("x-tail"), seen.header("x-plain")),
        (None, Some("yes"))
    );
}

#[tokio::test]
async fn no_client_can_write_fields_through_a_variable() {
    let server = variables(vec![takes("TAIL", Subject::RequestUri, "(?s-u)^/[^/]+/(.*)$")]);
    let policy = Policy {
        request_headers: vec![shows("x-tail", "", "TAIL")],
        response_headers: vec![shows("x-tail", "", "TAIL")],
        ..Policy::default()
    };
    let front = front("%{TAIL}e", server, policy);
    let answered = front
        .ask("GET", "/ok/a%0d%0aX-Evil:%201%0d%0a%0d%0abody%00%7f%ff", "")
        .await;
    assert_eq!(answered.header("x-evil"), None);
    assert_eq!(answered.text(), "ok");
    let mut client = front.connect().await;
    client
        .send("GET /ok/%0d%0a%09x%0a HTTP/1.1\r\nHost: a\r\n\r\n")
        .await;
    assert_eq!(client.response("GET").await.header("x-tail"), Some("x"));
    let seen = front.ask("GET", "/app/dump%0aX-Evil:%201", "").await;
    assert_eq!(seen.header("x-tail"), Some("dump X-Evil: 1"));
    let lines = front.log(3).await;
    assert_eq!(lines[0], r"a\r\nX-Evil: 1\r\n\r\nbody\x00\x7f\xff");
}

#[tokio::test]
async fn what_a_rule_writes_stays_whatever_the_client_sends() {
    let policy = Policy {
        variables: vec![takes("UNDER", header("x_under"), "^.+$")],
        request_headers: vec![shows("x_rule", "", "UNDER")],
        ..Policy::default()
    };
    let front = front("%{UNDER}e %{X_Under}i %{X_Rule}i", Policy::default(), policy);
    for (fields, seen) in [
        ("X-A: 1", "x_rule: (null)"),
        ("X_Under: 1\nTE: x\nConnection: te", "x_rule: 1"),
    ] {
        let text = front.ask("GET", "/app/dump", fields).await.text();
        assert!(
            text.contains(seen) && !text.contains("under") && !text.contains("te: x"),
            "{text}"
        );
    }
    assert_eq!(front.log(2).await, ["- - (null)", "1 1 1"]);
}

#[tokio::test]
async fn who_answers_is_known_when_the_header_is_sent() {
    let policy = Policy {
        response_headers: vec![HeaderRule {
            change: HeaderChange::Add(
                HeaderName::from_static("set-cookie"),
                Template::Composed(
                    [
                        Piece::Text("ROUTEID=.".into()),
                        Piece::Variable(Variable::named("BALANCER_WORKER_ROUTE")),
                        Piece::Text("; path=/".into()),
                    ]
                    .into(),
                ),
            ),
            when: Some(Condition::variable("BALANCER_WORKER_ROUTE")),
            ..shows("set-cookie", "", "")
        }],
        ..Policy::default()
    };
    let front = front("%>s %{BALANCER_WORKER_ROUTE}e", Policy::default(), policy);
    for target in ["/app/status/200", "/app/stream/a/b", "/app/typed-stream/a"] {
        let answer = front.ask("GET", target, "").await;
        assert_eq!(
            answer.header("set-cookie"),
            Some("ROUTEID=.fake_1; path=/"),
            "{target}"
        );
    }
    // A file, and no worker.
    assert_eq!(front.ask("GET", "/ok", "").await.header("set-cookie"), None);
    assert_eq!(
        front.log(4).await,
        ["200 fake_1", "200 fake_1", "200 fake_1", "200 -"]
    );
}

#[tokio::test]
async fn an_application_sees_what_the_configuration_gives() {
    let server = variables(vec![
        sets("A", "server"),
        takes("Field", header("x-field"), "^(.*)$"),
        takes("HTTP_X_FIELD", header("x-other"), ".+"),
        takes("CONTENT_TYPE", header("x-other"), ".+"),
        sets("EMPTY", ""),
    ]);
    let location = vec![
        sets("a", "location"),
        sets("REMOTE_USER", "ann"),
        removes("EMPTY", Subject::RequestMethod, "^PUT$"),
    ];
    let front = front("%{A}e", server, variables(location));
    let mut seen = Vec::new();
    for (method, target, fields) in [
        ("GET", "/app", "X-Field: a=\u{e9}\nX-Other: o"),
        ("PUT", "/app/x", "X-Other: o\nContent-Type: t\nContent-Length: 0"),
        // Not an application's.
        ("GET", "/ok", "X-Field: a"),
    ] {
        front.ask(method, target, fields).await;
        let requests = front.events.seen();
        seen.push(
            requests
                .into_iter()
                .map(|seen| seen.variables.join(" "))
                .collect::<Vec<_>>(),
        );
    }
    assert_eq!(
        seen,
        [
            vec![r"A=location Field=a=\xc3\xa9 CONTENT_TYPE=o EMPTY= REMOTE_USER=ann"],
            vec!["A=location Field= HTTP_X_FIELD=o REMOTE_USER=ann"],
            vec![],
        ]
    );
}

#[tokio::test]
async fn https_is_the_scheme_of_the_application() {
    for (value, scheme) in [
        ("on", Scheme::Https),
        ("ON", Scheme::Https),
        ("1", Scheme::Https),
        ("off", Scheme::Http),
        ("", Scheme::Http),
    ] {
        let front = front(
            "%{HTTPS}e",
            variables(vec![sets("https", value)]),
            Policy::default(),
        );
        front.ask("GET", "/app", "").await;
        let seen = front.events.seen();
        assert_eq!(seen.len(), 1);
        assert_eq!((seen[0].scheme, seen[0].variables.len()), (scheme, 0), "{value}");
    }
}

#[tokio::test]
async fn without_rules_an_application_has_no_variables() {
    let sticky = Policy {
        sticky: Some(StickySession::new("ROUTEID")),
        ..Policy::default()
    };
    let front = front("%{BALANCER_SESSION_ROUTE}e", Policy::default(), sticky);
    front.ask("GET", "/app", "Cookie: ROUTEID=.fake_1").await;
    assert_eq!(front.events.seen()[0].variables, [""; 0]);
    assert_eq!(front.log(1).await, ["fake_1"]);
}

/// What a request's body may take in memory is what its head leaves, with the variables of the request.
#[tokio::test]
async fn variables_count_as_a_part_of_the_head() {
    let rules = vec![takes("COPY", header("x-field"), "^(.*)$")];
    let front = front("%>s", Policy::default(), variables(rules));
    let field = "x".repeat(4000);
    for (len, kind) in [(7_000, "memory"), (8_000, "file")] {
        let fields = format!("X-Field: {field}\nContent-Length: {len}");
        let mut client = front.connect().await;
        let head = fields.replace('\n', "\r\n");
        let body = "y".repeat(len);
        client
            .send(format!(
                "POST /app/digest HTTP/1.1\r\nHost: a\r\n{head}\r\n\r\n{body}"
            ))
            .await;
        let answer = client.response("POST").await;
        assert!(answer.text().starts_with(kind), "{len}: {}", answer.text());
    }
}
