use proptest::prelude::*;

use super::*;
use crate::head::tests::{endpoint, headers, lines, passing};
use crate::head::{Reverse, ReverseFrom, Via};

const ANSWERED: Answered<'_> = Answered {
    version: Version::HTTP_11,
    switches: false,
    origin: Origin {
        is_secure: false,
        authority: b"www.example.com",
    },
};

fn reversing() -> Passing {
    Passing {
        reverse: vec![Reverse {
            from: ReverseFrom::Members("/".to_owned()),
            to: "/".to_owned(),
        }],
        cookie_paths: vec![("/up/".to_owned(), "/".to_owned())],
        ..passing()
    }
}

fn passed(passing: &Passing, answered: &Answered<'_>, member: &[&str]) -> Vec<String> {
    let mut headers = headers(member);
    response(passing, answered, [&endpoint()].into_iter(), &mut headers);
    lines(&headers)
}

#[test]
fn nothing_of_the_members_connection_passes() {
    let member = [
        "Connection: close, X-B, Content-Length",
        "Keep-Alive: timeout=5",
        "Proxy-Authenticate: Basic",
        "Transfer-Encoding: chunked",
        "Upgrade: h2c",
        "Trailer: X-T",
        "Content-Length: 3",
        "X-A: 1",
        "X-B: 2",
    ];
    assert_eq!(
        passed(&passing(), &ANSWERED, &member),
        ["content-length: 3", "trailer: X-T", "x-a: 1"]
    );
}

#[test]
fn a_change_of_protocol_passes() {
    let answered = Answered {
        switches: true,
        ..ANSWERED
    };
    let member = [
        "Connection: upgrade, X-B",
        "Upgrade: websocket",
        "X-B: 1",
        "Sec-WebSocket-Accept: a=",
    ];
    assert_eq!(
        passed(&passing(), &answered, &member),
        [
            "connection: Upgrade",
            "sec-websocket-accept: a=",
            "upgrade: websocket"
        ]
    );
    assert_eq!(
        passed(&passing(), &ANSWERED, &member),
        ["sec-websocket-accept: a="]
    );
}

#[test]
fn via_names_the_members_version() {
    let mut passing = passing();
    for (via, version, expected) in [
        (
            Via::On,
            Version::HTTP_11,
            &["via: 1.0 a", "via: 1.1 www.example.com"][..],
        ),
        (
            Via::On,
            Version::HTTP_10,
            &["via: 1.0 a", "via: 1.0 www.example.com"],
        ),
        (
            Via::On,
            Version::HTTP_2,
            &["via: 1.0 a", "via: 2.0 www.example.com"],
        ),
        (Via::Off, Version::HTTP_11, &["via: 1.0 a"]),
        // As in Apache: it is what clients said of themselves that is blocked.
        (Via::Block, Version::HTTP_11, &["via: 1.0 a"]),
    ] {
        passing.via = via;
        assert_eq!(
            passed(&passing, &Answered { version, ..ANSWERED }, &["Via: 1.0 a"]),
            expected
        );
    }
}

#[test]
fn addresses_and_cookies_become_the_servers() {
    let member = [
        "Location: http://app1.internal:9001/a",
        "Content-Location: http://app1.internal:9001/b",
        "URI: http://app1.internal:9001/c",
        "Destination: http://app1.internal:9001/d",
        "Link: <http://app1.internal:9001/e>",
        "Set-Cookie: a=b; Path=/up/",
        "Set-Cookie: c=d",
        "Set-Cookie: e=f; Path=/up/",
    ];
    assert_eq!(
        passed(&reversing(), &ANSWERED, &member),
        [
            "content-location: http://www.example.com/b",
            "destination: http://www.example.com/d",
            "link: <http://app1.internal:9001/e>",
            "location: http://www.example.com/a",
            "set-cookie: a=b; Path=/",
            "set-cookie: c=d",
            "set-cookie: e=f; Path=/",
            "uri: http://www.example.com/c",
        ]
    );
}

#[test]
fn what_fits_nothing_is_the_same_text() {
    let mut headers = headers(&["Location: http://elsewhere/a", "Set-Cookie: a=b; Path=/"]);
    let texts =
        |headers: &HeaderMap| -> Vec<_> { headers.values().map(|value| value.as_bytes().as_ptr()).collect() };
    let before = texts(&headers);
    response(&reversing(), &ANSWERED, [&endpoint()].into_iter(), &mut headers);
    assert_eq!(before, texts(&headers));
}

#[test]
fn which_answers_are_replaced() {
    let some = ErrorOverride::Statuses(vec![404, 503]);
    for (status, all, listed) in [
        (200, false, false),
        (304, false, false),
        (399, false, false),
        (400, true, false),
        (404, true, true),
        (503, true, true),
        (599, true, false),
        (600, false, false),
    ] {
        let status = StatusCode::from_u16(status).unwrap();
        assert!(!ErrorOverride::Off.replaces(status));
        assert_eq!(ErrorOverride::All.replaces(status), all, "{status}");
        assert_eq!(some.replaces(status), listed, "{status}");
    }
}

#[test]
fn what_is_left_of_a_replaced_answer() {
    let member = [
        "WWW-Authenticate: Basic",
        "WWW-Authenticate: Digest",
        "Set-Cookie: a=b",
        "Content-Length: 3",
    ];
    let mut kept = headers(&member);
    keep_for_error_page(StatusCode::UNAUTHORIZED, &mut kept);
    assert_eq!(
        lines(&kept),
        ["www-authenticate: Basic", "www-authenticate: Digest"]
    );
    let mut kept = headers(&member);
    keep_for_error_page(StatusCode::FORBIDDEN, &mut kept);
    assert!(kept.is_empty());
}

proptest! {
    #[test]
    fn no_field_of_a_connection_survives(
        connection in prop::collection::vec("(x-[ab]|close|upgrade|[ ,;\"x-]{0,5}|set-cookie)(, ?x-[cd])?", 0..4),
        fields in prop::collection::vec(("(x-[a-d]|te|upgrade|keep-alive|transfer-encoding|via|proxy-authenticate|location|set-cookie)", "[ -~]{0,16}"), 0..12),
        switches: bool,
    ) {
        let mut headers = HeaderMap::new();
        for (name, value) in &fields {
            headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        for line in &connection {
            headers.append(header::CONNECTION, line.parse().unwrap());
        }
        response(&reversing(), &Answered { switches, ..ANSWERED }, [&endpoint()].into_iter(), &mut headers);
        for name in ["keep-alive", "te", "transfer-encoding", "proxy-connection", "proxy-authenticate"] {
            prop_assert!(!headers.contains_key(name), "{}", name);
        }
        for option in connection.iter().flat_map(|line| line.split(',')).map(str::trim) {
            prop_assert!(!option.starts_with("x-") || !headers.contains_key(option), "{}", option);
        }
        prop_assert_eq!(headers.contains_key(header::UPGRADE), headers.contains_key(header::CONNECTION));
        prop_assert!(!headers.contains_key(header::UPGRADE) || switches);
    }
}
