//! Interim responses of members (RFC 9110, 15.2): however many there are, the final one is the answer.

mod common;

use std::pin::pin;
use std::time::Duration;

use carme_balancer::{Member, State};
use carme_proxy::{Content, Endpoint, Failed, Protocol};
use common::frames::{HEADERS, Raw, frame};
use common::{Balanced, Clock, Listener, endpoint, get, node, text};
use http::StatusCode;
use tokio::io::AsyncWriteExt;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
const HINTS: &str = "HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n";
/// More than anybody has a use for.
const MANY: usize = 2000;
const TIMEOUT: Duration = Duration::from_secs(3);

fn balanced(protocol: Protocol, member: &Listener) -> Balanced {
    let endpoint = Endpoint {
        protocol,
        timeout: TIMEOUT,
        ..endpoint(member.address())
    };
    Balanced::new(vec![node(Member::new("http://member"), endpoint)])
}

/// Asks so many times, and gets the final answer with nothing of the others.
async fn answered(balanced: &Balanced, times: usize, body: &str) {
    for _ in 0..times {
        let answer = balanced.send(get()).await.unwrap();
        assert_eq!(answer.head.status, StatusCode::OK);
        let headers = &answer.head.headers;
        assert!(!headers.contains_key("link"), "{headers:?}");
        assert!(matches!(answer.content, Content::Body(_)));
        assert_eq!(text(answer).await, body);
    }
}

/// Asks while time goes on, and gets no answer.
async fn in_vain(balanced: &Balanced, clock: &Clock) -> Failed {
    let mut asked = pin!(balanced.get());
    let mut passed = Duration::ZERO;
    loop {
        tokio::select! {
            biased;
            outcome = &mut asked => {
                assert!(passed >= TIMEOUT, "{passed:?}");
                return outcome.unwrap_err();
            }
            () = clock.pass(Duration::from_secs(1)) => passed += Duration::from_secs(1),
        }
        assert!(passed <= 3 * TIMEOUT, "it waits for ever");
    }
}

#[tokio::test]
async fn over_http_1() {
    let _clock = Clock::hold();
    let member = Listener::new().await;
    let balanced = balanced(Protocol::Http1, &member);
    let serve = async {
        let mut peer = member.accept().await;
        for interim in [
            HINTS.to_owned(),
            "HTTP/1.1 102 Processing\r\n\r\n".to_owned(),
            "HTTP/1.1 100 Continue\r\n\r\n".to_owned(),
            // What nobody knows yet.
            "HTTP/1.1 199 Soon\r\n\r\n".to_owned(),
            format!("{HINTS}HTTP/1.1 102 Processing\r\n\r\n{HINTS}"),
            HINTS.repeat(MANY),
        ] {
            peer.head().await;
            peer.write(&interim).await;
            peer.write(OK).await;
        }
        peer
    };
    // All of it on one connection.
    let (_peer, ()) = tokio::join!(serve, answered(&balanced, 6, "hi"));
    assert_eq!((balanced.idle(), balanced.state()), (1, State::Ready));
}

#[tokio::test]
async fn over_http_1_without_an_end() {
    let clock = Clock::hold();
    let member = Listener::new().await;
    let balanced = balanced(Protocol::Http1, &member);
    let serve = async {
        let mut peer = member.accept().await;
        peer.head().await;
        let many = HINTS.repeat(100);
        while peer.0.write_all(many.as_bytes()).await.is_ok() {}
    };
    let (failed, ()) = tokio::join!(in_vain(&balanced, &clock), serve);
    assert_eq!(failed.status(), StatusCode::GATEWAY_TIMEOUT, "{failed}");
}

/// A section with this status and perhaps a field, not compressed.
fn interim(status: &str) -> Vec<u8> {
    let field = [&[0x00, 4][..], b"link", &[1], b"x"].concat();
    [&[0x08, 3], status.as_bytes(), &field].concat()
}

#[tokio::test]
async fn over_http_2() {
    let _clock = Clock::hold();
    let member = Listener::new().await;
    let balanced = balanced(Protocol::Http2, &member);
    let serve = async {
        let mut raw = Raw::accept(&member).await;
        for many in [1, 3, MANY] {
            let (stream, _) = raw.next(HEADERS).await;
            for status in ["103", "102", "100", "199"].iter().cycle().take(many) {
                raw.write(HEADERS, 4, stream, &interim(status)).await;
            }
            raw.answer(stream).await;
        }
        raw
    };
    let (_raw, ()) = tokio::join!(serve, answered(&balanced, 3, ""));
    assert_eq!((balanced.idle(), balanced.state()), (1, State::Ready));
}

#[tokio::test]
async fn over_http_2_without_an_end() {
    let clock = Clock::hold();
    let member = Listener::new().await;
    let balanced = balanced(Protocol::Http2, &member);
    let serve = async {
        let mut raw = Raw::accept(&member).await;
        let (stream, _) = raw.next(HEADERS).await;
        let hints = frame(HEADERS, 4, stream, &interim("103")).repeat(100);
        let (mut read, mut write) = raw.0.split();
        let flood = async { while write.write_all(&hints).await.is_ok() {} };
        // What comes is read, or it would never say that it is enough.
        let mut sink = tokio::io::sink();
        tokio::join!(flood, tokio::io::copy(&mut read, &mut sink)).1
    };
    let failed = tokio::select! {
        failed = in_vain(&balanced, &clock) => failed,
        ended = serve => panic!("{ended:?}"),
    };
    assert_eq!(failed.status(), StatusCode::GATEWAY_TIMEOUT, "{failed}");
}

/// It promises no more and is no answer (RFC 9113, 8.1).
#[tokio::test]
async fn over_http_2_with_the_end_of_the_stream() {
    let _clock = Clock::hold();
    let member = Listener::new().await;
    let balanced = balanced(Protocol::Http2, &member);
    let serve = async {
        let mut raw = Raw::accept(&member).await;
        let (stream, _) = raw.next(HEADERS).await;
        raw.write(HEADERS, 4 | 1, stream, &interim("103")).await;
        let (next, _) = raw.next(HEADERS).await;
        raw.answer(next).await;
        raw
    };
    let ask = async {
        let failed = balanced.get().await.unwrap_err();
        assert!(matches!(failed, Failed::Member { .. }), "{failed}");
        assert_eq!(failed.status(), StatusCode::BAD_GATEWAY);
        assert_eq!(balanced.get().await.unwrap().0, StatusCode::OK);
    };
    let (_raw, ()) = tokio::join!(serve, ask);
}
