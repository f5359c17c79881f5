use http::HeaderName;
use proptest::prelude::*;

use super::*;
use crate::head::tests::{asked, endpoint, headers, lines, passing};
use crate::head::{Identity, Via, remove_named_fields};

/// A change to what is passed on, and how.
type Change = fn(&mut Passing, &mut Endpoint, &mut Asked<'_>);

fn target() -> PathAndQuery {
    PathAndQuery::from_static("/a")
}

/// The fields that a member gets, sorted.
fn passed(change: Change, client: &[&str]) -> Vec<String> {
    passed_as(&Method::GET, change, client).unwrap()
}

fn passed_as(method: &Method, change: Change, client: &[&str]) -> Result<Vec<String>, Refused> {
    let (mut passing, mut endpoint, target) = (passing(), endpoint(), target());
    let mut asked = asked(method, &target);
    change(&mut passing, &mut endpoint, &mut asked);
    let mut headers = headers(client);
    request(&passing, &endpoint, &asked, &mut headers)?;
    Ok(lines(&headers))
}

/// Only what concerns connections.
const BARE: Change = |passing, _, _| passing.forwarded_headers = false;

#[test]
fn nothing_of_the_clients_connection_passes() {
    let plain = ["host: app1.internal:9001", "x-a: 1"];
    for client in [
        &["Host: h", "X-A: 1"][..],
        &[
            "Host: h",
            "X-A: 1",
            "Connection: keep-alive",
            "Keep-Alive: timeout=5",
        ],
        &[
            "Host: h",
            "X-A: 1",
            "Connection: x-b, X-C ,,",
            "X-B: 1",
            "X-C: 2",
            "X-C: 3",
        ],
        &[
            "Host: h",
            "X-A: 1",
            "Connection: x-b",
            "Connection: x-c, close",
            "X-B: 1",
            "X-C: 2",
        ],
        &["Host: h", "X-A: 1", "Proxy-Connection: x-b", "X-B: 1"],
        &[
            "Host: h",
            "X-A: 1",
            "Connection: Upgrade, HTTP2-Settings",
            "Upgrade: h2c",
            "HTTP2-Settings: AAA",
        ],
        &[
            "Host: h",
            "X-A: 1",
            "TE: gzip",
            "Transfer-Encoding: chunked",
            "Connection: TE",
        ],
        &[
            "Host: h",
            "X-A: 1",
            "Expect: 100-continue",
            "Connection: =;bad token, \u{e9}",
        ],
    ] {
        assert_eq!(passed(BARE, client), plain, "{client:?}");
    }
}

#[test]
fn what_everybody_needs_cannot_be_taken_away() {
    assert_eq!(
        passed(
            BARE,
            &[
                "Host: h",
                "Connection: content-length, host, x-forwarded-for, x-request-id",
                "Content-Length: 3",
                "X-Request-Id: 1",
                "X-Forwarded-For: 192.0.2.1",
            ]
        ),
        [
            "content-length: 3",
            "host: app1.internal:9001",
            "x-forwarded-for: 192.0.2.1",
            "x-request-id: 1"
        ]
    );
}

#[test]
fn what_is_added_later_cannot_be_taken_away() {
    for (client, left) in [
        (
            &[
                "Connection: X-A, close, Upgrade",
                "Connection: x-b",
                "X-A: 1",
                "X-B: 2",
                "X-C: 3",
            ][..],
            &["connection: close, Upgrade", "x-c: 3"][..],
        ),
        (
            &["Connection: X-A", "Proxy-Connection: X-B", "X-A: 1", "X-B: 2"],
            &[],
        ),
        (
            &["Connection: keep-alive", "Connection: TE", "TE: trailers"],
            &["connection: TE", "connection: keep-alive", "te: trailers"],
        ),
        (
            &["Connection: \u{e9}, keep-alive, ;"],
            &["connection: keep-alive"],
        ),
    ] {
        let mut headers = headers(client);
        remove_named_fields(&mut headers);
        assert_eq!(lines(&headers), left, "{client:?}");
    }
}

#[test]
fn the_members_connection() {
    let websocket = ["Connection: keep-alive, Upgrade", "Upgrade: websocket"];
    let te = ["TE: gzip;q=0.5, Trailers;q=1"];
    let change: [(Change, &[&str], &[&str]); 8] = [
        (
            |p, _, a| (p.forwarded_headers, a.upgrades) = (false, true),
            &websocket,
            &["connection: Upgrade", "upgrade: websocket"],
        ),
        (
            |p, _, a| (p.forwarded_headers, a.upgrades) = (false, true),
            &[
                "Connection: Upgrade",
                "Upgrade: a",
                "Upgrade: b, c",
                "TE: trailers",
            ],
            &["connection: Upgrade, TE", "te: trailers", "upgrade: a, b, c"],
        ),
        // A flag without a field.
        (
            |p, _, a| (p.forwarded_headers, a.upgrades) = (false, true),
            &[],
            &[],
        ),
        (BARE, &websocket, &[]),
        (BARE, &te, &["connection: TE", "te: trailers"]),
        (
            |p, e, _| (p.forwarded_headers, e.protocol) = (false, Protocol::Http2),
            &te,
            &["te: trailers"],
        ),
        (
            |p, e, _| (p.forwarded_headers, e.reuse) = (false, false),
            &[],
            &["connection: close"],
        ),
        (
            |p, e, _| (p.forwarded_headers, e.reuse) = (false, false),
            &te,
            &["connection: close, TE", "te: trailers"],
        ),
    ];
    for (change, client, expected) in change {
        let mut got = passed(change, client);
        got.retain(|line| !line.starts_with("host"));
        assert_eq!(got, expected, "{client:?}");
    }
}

#[test]
fn whose_host() {
    let host = |change: Change, client: &[&str]| {
        let fields = passed(change, client);
        fields.into_iter().find(|line| line.starts_with("host"))
    };
    let keeping: Change = |passing, _, _| passing.preserve_host = true;
    assert_eq!(
        host(BARE, &["Host: a"]).as_deref(),
        Some("host: app1.internal:9001")
    );
    assert_eq!(host(keeping, &["Host: a:81"]).as_deref(), Some("host: a:81"));
    assert_eq!(host(keeping, &[]).as_deref(), Some("host: www.example.com"));
    let unnamed: Change = |passing, _, _| {
        passing.preserve_host = true;
        passing.identity = Identity::new("", None);
    };
    assert_eq!(host(unnamed, &[]).as_deref(), Some("host: app1.internal:9001"));
}

#[test]
fn the_client_is_told() {
    for (change, client, expected) in [
        (
            (|_, _, _| {}) as Change,
            &["Host: h:81"][..],
            &[
                "x-forwarded-for: 192.0.2.7",
                "x-forwarded-host: h:81",
                "x-forwarded-port: 80",
                "x-forwarded-proto: http",
                "x-forwarded-server: www.example.com",
            ][..],
        ),
        (
            // A trusted proxy at 10.0.0.1 had written this.
            |_, _, asked| (asked.peer, asked.is_secure, asked.port) = (Some("10.0.0.1"), true, 8443),
            &[
                "Host: h",
                "X-Forwarded-For: 192.0.2.7",
                "X-Forwarded-For: 10.0.0.9",
                "X-Forwarded-Host: h",
                "X-Forwarded-Proto: https",
                "X-Forwarded-Server: edge",
            ],
            &[
                "x-forwarded-for: 192.0.2.7, 10.0.0.9, 10.0.0.1",
                "x-forwarded-host: h",
                "x-forwarded-port: 8443",
                "x-forwarded-proto: https",
                "x-forwarded-server: edge, www.example.com",
            ],
        ),
        (
            // It named the client, but in no list.
            |_, _, asked| (asked.peer, asked.port) = (None, 443),
            &["Connection: X-Forwarded-For"],
            &[
                "x-forwarded-for: 192.0.2.7",
                "x-forwarded-port: 443",
                "x-forwarded-proto: http",
                "x-forwarded-server: www.example.com",
            ],
        ),
        (
            |passing, _, asked| {
                passing.identity = Identity::new("", None);
                (asked.client, asked.peer) = (None, None);
            },
            &[],
            &["x-forwarded-port: 80", "x-forwarded-proto: http"],
        ),
        (
            |_, _, asked| asked.peer = Some("2001:db8::1"),
            &[
                "Host: h:1",
                "Forwarded: for=192.0.2.7",
                "X-Forwarded-For: 192.0.2.7",
            ],
            &[
                "forwarded: for=192.0.2.7, for=\"[2001:db8::1]\";host=\"h:1\";proto=http",
                "x-forwarded-for: 192.0.2.7, 2001:db8::1",
                "x-forwarded-host: h:1",
                "x-forwarded-port: 80",
                "x-forwarded-proto: http",
                "x-forwarded-server: www.example.com",
            ],
        ),
        (
            BARE,
            &["X-Forwarded-For: 192.0.2.7"],
            &["x-forwarded-for: 192.0.2.7"],
        ),
    ] {
        let mut got = passed(change, client);
        got.retain(|line| line.starts_with("x-") || line.starts_with("forwarded"));
        assert_eq!(got, expected, "{client:?}");
    }
}

#[test]
fn members_alone_are_told_the_machines_name() {
    for (site, machine, server) in [
        ("", "box1", Some("box1")),
        ("www.example.com", "box1", Some("www.example.com")),
        ("", "box one", None),
    ] {
        let identity = Identity::new(site, None).on_machine(machine);
        assert_eq!(
            identity.server.as_ref().map(|name| name.to_str().unwrap()),
            server
        );
        let via = identity.via(Via::On, Version::HTTP_11).unwrap();
        let by = if site.is_empty() { "carme" } else { site };
        assert_eq!(via, format!("1.1 {by}"));
    }
}

#[test]
fn via() {
    let full = format!("via: 1.1 www.example.com (Carme/{})", env!("CARGO_PKG_VERSION"));
    for (change, client, expected) in [
        (
            (|p, _, _| p.via = Via::Off) as Change,
            &["Via: 1.0 a"][..],
            Some("via: 1.0 a"),
        ),
        (|p, _, _| p.via = Via::Block, &["Via: 1.0 a", "Via: 1.1 b"], None),
        (|p, _, _| p.via = Via::On, &[], Some("via: 1.1 www.example.com")),
        (
            |p, _, _| p.via = Via::On,
            &["Via: 1.0 a", "Via: 1.1 b"],
            Some("via: 1.0 a, 1.1 b, 1.1 www.example.com"),
        ),
        (|p, _, _| p.via = Via::Full, &[], Some(&full)),
        (
            |p, _, a| {
                (p.via, a.version) = (Via::On, Version::HTTP_10);
                p.identity = Identity::new("a b", Some(80));
            },
            &[],
            Some("via: 1.0 carme"),
        ),
        (
            |p, _, a| {
                (p.via, a.version) = (Via::On, Version::HTTP_2);
                p.identity = Identity::new("[::1]", Some(8080));
            },
            &[],
            Some("via: 2.0 [::1]:8080"),
        ),
    ] {
        let got = passed(change, client);
        let got = got.iter().find(|line| line.starts_with("via"));
        assert_eq!(got.map(String::as_str), expected, "{client:?}");
    }
}

#[test]
fn forwards_are_counted_where_they_count() {
    for method in [Method::OPTIONS, Method::TRACE] {
        for (given, left) in [
            ("10", Ok("9")),
            ("1", Ok("0")),
            ("99999999999999999999999", Ok("18446744073709551614")),
            ("0", Err(Refused::LastHop)),
            ("00", Err(Refused::LastHop)),
            ("-1", Err(Refused::MaxForwards)),
            ("+1", Err(Refused::MaxForwards)),
            ("", Err(Refused::MaxForwards)),
            ("1, 2", Err(Refused::MaxForwards)),
        ] {
            let line = format!("Max-Forwards: {given}");
            let got = passed_as(&method, BARE, &[&line]);
            let expected = left.map(|left| {
                vec![
                    "host: app1.internal:9001".to_owned(),
                    format!("max-forwards: {left}"),
                ]
            });
            assert_eq!(got, expected, "{method} {given}");
        }
    }
    assert_eq!(
        passed(BARE, &["Max-Forwards: 0"]),
        ["host: app1.internal:9001", "max-forwards: 0"]
    );
}

#[test]
fn where_a_request_is_refused() {
    for (refused, status) in [
        (Refused::Escape, 400),
        (Refused::Dots, 400),
        (Refused::MaxForwards, 400),
        (Refused::Elsewhere, 404),
        (Refused::TooLong, 414),
        (Refused::LastHop, 502),
        (Refused::Trace, 405),
        (Refused::TraceContent, 413),
    ] {
        assert_eq!(refused.status(), status);
    }
}

proptest! {
    #[test]
    fn no_field_of_a_connection_survives(
        connection in prop::collection::vec("(x-[ab]|close|keep-alive|[ ,;\"x-]{0,5}|cookie|upgrade|te)(, ?x-[cd])?", 0..4),
        fields in prop::collection::vec(("(x-[a-d]|te|trailer|upgrade|keep-alive|cookie|transfer-encoding|via|expect|forwarded|x-forwarded-for)", "[ -~]{0,12}"), 0..12),
        upgrades: bool,
        http2: bool,
    ) {
        let (mut passing, mut endpoint, target) = (passing(), endpoint(), target());
        passing.via = Via::On;
        endpoint.protocol = if http2 { Protocol::Http2 } else { Protocol::Http1 };
        let mut asked = asked(&Method::GET, &target);
        asked.upgrades = upgrades;
        let mut headers = HeaderMap::new();
        for (name, value) in &fields {
            headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        for line in &connection {
            headers.append(header::CONNECTION, line.parse().unwrap());
        }
        request(&passing, &endpoint, &asked, &mut headers).unwrap();
        for name in ["keep-alive", "transfer-encoding", "proxy-connection", "expect"] {
            prop_assert!(!headers.contains_key(name), "{}", name);
        }
        for option in connection.iter().flat_map(|line| line.split(',')).map(str::trim) {
            prop_assert!(!option.starts_with("x-") && option != "cookie" || !headers.contains_key(option), "{}", option);
        }
        prop_assert!(headers.get(header::TE).is_none_or(|te| te == "trailers"));
        prop_assert!(!headers.contains_key(header::UPGRADE) || upgrades && !http2);
        prop_assert!(!headers.contains_key(header::CONNECTION) || !http2);
    }
}
