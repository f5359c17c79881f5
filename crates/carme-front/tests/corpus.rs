//! Requests as bytes, and what becomes of them: the statuses, the connection, the log.

mod common;

use carme_front::Limits;
use common::Front;

/// What happens to the connection after the last response.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    Open,
    Closed,
}
use Fate::{Closed, Open};

struct Case {
    name: &'static str,
    bytes: Vec<u8>,
    /// One for each response.
    statuses: &'static [u16],
    fate: Fate,
    /// One for each response: `%>s %X "%r"`.
    lines: Vec<String>,
}

fn case(
    name: &'static str,
    bytes: impl AsRef<[u8]>,
    statuses: &'static [u16],
    fate: Fate,
    lines: &[&str],
) -> Case {
    let lines = lines.iter().map(|line| (*line).to_owned()).collect();
    Case {
        name,
        bytes: bytes.as_ref().to_vec(),
        statuses,
        fate,
        lines,
    }
}

/// A POST with these fields and what follows them, refused with 400.
fn bad_post(name: &'static str, fields: &str, rest: &str) -> Case {
    let bytes = format!("POST /echo HTTP/1.1\r\nHost: a\r\n{fields}\r\n{rest}");
    case(name, bytes, &[400], Closed, &[r#"400 - "POST /echo HTTP/1.1""#])
}

fn good() -> Vec<Case> {
    let ok = r#"200 + "GET / HTTP/1.1""#;
    let last = r#"200 - "GET / HTTP/1.1""#;
    vec![
        case("plain", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", &[200], Open, &[ok]),
        case(
            "close",
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
            &[200],
            Closed,
            &[last],
        ),
        case(
            "1.0",
            "GET / HTTP/1.0\r\n\r\n",
            &[200],
            Closed,
            &[r#"200 - "GET / HTTP/1.0""#],
        ),
        case(
            "1.0 keep-alive",
            "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
            &[200],
            Open,
            &[r#"200 + "GET / HTTP/1.0""#],
        ),
        case(
            "empty lines before",
            "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            &[200],
            Open,
            &[ok],
        ),
        case(
            "empty host",
            "GET / HTTP/1.1\r\nHost:\r\n\r\n",
            &[200],
            Open,
            &[ok],
        ),
        case(
            "three pipelined",
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(3),
            &[200, 200, 200],
            Open,
            &[ok, ok, ok],
        ),
        case(
            "pipelined behind a body",
            "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            &[200, 200],
            Open,
            &[r#"200 + "POST /echo HTTP/1.1""#, ok],
        ),
        case(
            "pipelined behind a chunked body with trailers",
            "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nX: y\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            &[200, 200],
            Open,
            &[r#"200 + "POST /echo HTTP/1.1""#, ok],
        ),
        case(
            "absolute",
            "GET http://b/x HTTP/1.1\r\nHost: a\r\n\r\n",
            &[200],
            Open,
            &[r#"200 + "GET http://b/x HTTP/1.1""#],
        ),
        case(
            "options *",
            "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
            &[200],
            Open,
            &[r#"200 + "OPTIONS * HTTP/1.1""#],
        ),
        case(
            "upgrade is not taken",
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
            &[200],
            Open,
            &[ok],
        ),
        case(
            "odd method",
            "BREW /pot HTTP/1.1\r\nHost: a\r\n\r\n",
            &[200],
            Open,
            &[r#"200 + "BREW /pot HTTP/1.1""#],
        ),
        case(
            "delete with body",
            "DELETE / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx",
            &[200],
            Open,
            &[r#"200 + "DELETE / HTTP/1.1""#],
        ),
        case(
            "escapes",
            "GET /a%2Fb%zz?%20 HTTP/1.1\r\nHost: a\r\n\r\n",
            &[200],
            Open,
            &[r#"200 + "GET /a%2Fb%zz?%20 HTTP/1.1""#],
        ),
    ]
}

fn bad() -> Vec<Case> {
    let refused = |name, bytes: &str, line| case(name, bytes, &[400], Closed, &[line]);
    let long = "a".repeat(9000);
    let many = "X: y\r\n".repeat(101);
    let large = format!("X: {}\r\n", "a".repeat(17 * 1024));
    vec![
        bad_post(
            "length and chunked",
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "0\r\n\r\n",
        ),
        bad_post(
            "chunked and length",
            "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
            "0\r\n\r\n",
        ),
        bad_post(
            "same length twice",
            "Content-Length: 5\r\nContent-Length: 5\r\n",
            "hello",
        ),
        bad_post(
            "two lengths",
            "Content-Length: 5\r\nContent-Length: 6\r\n",
            "hello",
        ),
        bad_post("listed length", "Content-Length: 5, 5\r\n", "hello"),
        bad_post("signed length", "Content-Length: +5\r\n", "hello"),
        bad_post("negative length", "Content-Length: -5\r\n", "hello"),
        bad_post("hexadecimal length", "Content-Length: 0x5\r\n", "hello"),
        bad_post("huge length", "Content-Length: 18446744073709551616\r\n", "hello"),
        bad_post(
            "chunked twice",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "0\r\n\r\n",
        ),
        bad_post(
            "chunked not last",
            "Transfer-Encoding: chunked, gzip\r\n",
            "0\r\n\r\n",
        ),
        bad_post("identity", "Transfer-Encoding: identity\r\n", ""),
        bad_post("space before colon", "Content-Length : 5\r\n", "hello"),
        bad_post("folded", "X: a\r\n b\r\n", ""),
        bad_post("bare LF", "X: a\nY: b\r\n", ""),
        bad_post("bare CR", "X: a\rY: b\r\n", ""),
        bad_post("NUL", "X: a\0b\r\n", ""),
        bad_post("no colon", "Content-Length\r\n", ""),
        bad_post("space before name", " X: a\r\n", ""),
        bad_post("two hosts", "Host: b\r\n", ""),
        bad_post(
            "bad chunk size",
            "Transfer-Encoding: chunked\r\n",
            "x\r\nhello\r\n0\r\n\r\n",
        ),
        bad_post(
            "signed chunk size",
            "Transfer-Encoding: chunked\r\n",
            "+5\r\nhello\r\n0\r\n\r\n",
        ),
        bad_post(
            "space in chunk size",
            "Transfer-Encoding: chunked\r\n",
            "5 \r\nhello\r\n0\r\n\r\n",
        ),
        bad_post(
            "overlong chunk size",
            "Transfer-Encoding: chunked\r\n",
            "00000000000000005\r\nhello\r\n0\r\n\r\n",
        ),
        bad_post(
            "chunk longer than its size",
            "Transfer-Encoding: chunked\r\n",
            "4\r\nhello\r\n0\r\n\r\n",
        ),
        bad_post(
            "bare LF in chunk framing",
            "Transfer-Encoding: chunked\r\n",
            "5\nhello\r\n0\r\n\r\n",
        ),
        bad_post(
            "bare LF in trailers",
            "Transfer-Encoding: chunked\r\n",
            "0\r\nX: y\n\r\n",
        ),
        refused("no host", "GET / HTTP/1.1\r\n\r\n", r#"400 - "GET / HTTP/1.1""#),
        refused(
            "bad host",
            "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
            r#"400 - "GET / HTTP/1.1""#,
        ),
        refused(
            "chunked in 1.0",
            "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
            r#"400 - "POST / HTTP/1.0""#,
        ),
        refused(
            "fragment",
            "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n",
            r#"400 - "GET /a#b HTTP/1.1""#,
        ),
        refused(
            "angle brackets",
            "GET /<a> HTTP/1.1\r\nHost: a\r\n\r\n",
            r#"400 - "GET /<a> HTTP/1.1""#,
        ),
        refused(
            "relative target",
            "GET a HTTP/1.1\r\nHost: a\r\n\r\n",
            r#"400 - "GET a HTTP/1.1""#,
        ),
        refused(
            "star without options",
            "GET * HTTP/1.1\r\nHost: a\r\n\r\n",
            r#"400 - "GET * HTTP/1.1""#,
        ),
        refused(
            "two spaces",
            "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
            r#"400 - "GET  / HTTP/1.1""#,
        ),
        refused("no version", "GET /\r\n\r\n", r#"400 - "GET /""#),
        refused(
            "not HTTP",
            "\u{16}\u{3}\u{1}\u{2}\r\n\r\n",
            r#"400 - "\x16\x03\x01\x02""#,
        ),
        case(
            "HTTP/2",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            &[505],
            Closed,
            &[r#"505 - "PRI * HTTP/2.0""#],
        ),
        case(
            "HTTP/3.1",
            "GET / HTTP/3.1\r\nHost: a\r\n\r\n",
            &[505],
            Closed,
            &[r#"505 - "GET / HTTP/3.1""#],
        ),
        case(
            "compressed request",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            &[501],
            Closed,
            &[r#"501 - "POST / HTTP/1.1""#],
        ),
        case(
            "connect",
            "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n",
            &[501],
            Closed,
            &[r#"501 - "CONNECT a:443 HTTP/1.1""#],
        ),
        case(
            "many fields",
            format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n"),
            &[431],
            Closed,
            &[r#"431 - "GET / HTTP/1.1""#],
        ),
        case(
            "large fields",
            format!("GET / HTTP/1.1\r\nHost: a\r\n{large}\r\n"),
            &[431],
            Closed,
            &[r#"431 - "GET / HTTP/1.1""#],
        ),
        Case {
            name: "long target",
            bytes: format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes(),
            statuses: &[414],
            fate: Closed,
            lines: vec![format!("414 - \"GET /{}\"", &long[..8190 + 64 - 5])],
        },
        case(
            "declared body too large",
            "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000001\r\n\r\n",
            &[413],
            Closed,
            &[r#"413 - "POST /echo HTTP/1.1""#],
        ),
        case(
            "a bad request behind a good one",
            "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\n\r\n",
            &[200, 400],
            Closed,
            &[r#"200 + "GET / HTTP/1.1""#, r#"400 - "GET / HTTP/1.1""#],
        ),
        case(
            "a bad request behind a body",
            "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx\x01\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            &[200, 400],
            Closed,
            &[r#"200 + "POST /echo HTTP/1.1""#, r#"400 - "\x01""#],
        ),
    ]
}

async fn check(front: &Front, case: &Case, sent_in_pieces: bool, lines_before: usize) {
    let mut client = front.connect().await;
    if sent_in_pieces {
        for byte in &case.bytes {
            client.send([*byte]).await;
            tokio::task::yield_now().await;
        }
    } else {
        client.send(&case.bytes).await;
    }
    for status in case.statuses {
        let response = client
            .response(if case.bytes.starts_with(b"HEAD") {
                "HEAD"
            } else {
                "GET"
            })
            .await;
        assert_eq!(response.status, *status, "{}", case.name);
        assert!(response.header("x-request-id").is_some(), "{}", case.name);
        assert!(response.header("date").is_some(), "{}", case.name);
    }
    let mut lines = case.lines.clone();
    match case.fate {
        Closed => client.expect_end(case.name).await,
        Open => {
            assert_eq!(client.get("/probe").await.status, 200, "{}", case.name);
            lines.push(r#"200 + "GET /probe HTTP/1.1""#.to_owned());
        }
    }
    let log = front.log(lines_before + lines.len()).await;
    let log = &log[lines_before..];
    if sent_in_pieces {
        // What can never become a request is refused before its line is complete.
        let so_far = |line: &String, whole: &String| whole.starts_with(line.trim_end_matches('"'));
        assert!(
            log.iter().zip(&lines).all(|(line, whole)| so_far(line, whole)),
            "{}: {log:?}",
            case.name
        );
        assert_eq!(log.len(), lines.len(), "{}", case.name);
    } else {
        assert_eq!(log, lines, "{}", case.name);
    }
}

fn front() -> Front {
    Front::with(
        Limits {
            body_bytes: 1_000_000,
            ..Limits::default()
        },
        common::LINE,
    )
}

#[tokio::test]
async fn good_requests_are_answered_and_logged() {
    let front = front();
    for case in good() {
        let lines = front.log(0).await.len();
        check(&front, &case, false, lines).await;
    }
}

#[tokio::test]
async fn bad_requests_are_refused_and_logged() {
    let front = front();
    for case in bad() {
        let lines = front.log(0).await.len();
        check(&front, &case, false, lines).await;
    }
    // Nothing of a bad request came to the application, except in one case its good forerunner and in one its body.
    assert_eq!(front.events.dispatched(), 2);
}

/// However the bytes are cut, the outcome is the same.
#[tokio::test]
async fn it_makes_no_difference_how_the_bytes_arrive() {
    let front = front();
    for case in good()
        .into_iter()
        .chain(bad())
        .filter(|case| case.bytes.len() < 1000)
    {
        let lines = front.log(0).await.len();
        check(&front, &case, true, lines).await;
    }
}
