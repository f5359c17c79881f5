//! `ping` over HTTP/2: a member that has been silent is asked whether it is there before it gets a request.

mod common;

use std::time::Duration;

use carme_balancer::{Member, Settings, State};
use carme_proxy::{Endpoint, Failed, Kept, Protocol, RequestBody};
use common::frames::{HEADERS, PING, Raw};
use common::{Balanced, Clock, Listener, Peer, endpoint, node, text};
use http::{Request, StatusCode};

const PATIENCE: Duration = Duration::from_millis(500);

fn pinged(member: &Listener) -> Endpoint {
    Endpoint {
        protocol: Protocol::Http2,
        ping: Some(PATIENCE),
        ..endpoint(member.address())
    }
}

fn balanced(endpoint: Endpoint) -> Balanced {
    Balanced::new(vec![node(Member::new("h2c://member"), endpoint)])
}

fn post() -> Request<RequestBody> {
    let request = Request::post("/").header("host", "www.test");
    request.body(RequestBody::empty()).unwrap()
}

/// Answers one request, which is not preceded by a question.
async fn serve(raw: &mut Raw) {
    loop {
        let (kind, stream, _) = raw.frame().await;
        assert_ne!(kind, PING, "it has just said something");
        if kind == HEADERS {
            return raw.answer(stream).await;
        }
    }
}

/// A connection on which one request was answered.
async fn used(balanced: &Balanced, member: &Listener) -> Raw {
    let serve = async {
        let mut raw = Raw::accept(member).await;
        // Asked or not: nobody knows what comes first, the question or `SETTINGS`.
        let (stream, _) = raw.next(HEADERS).await;
        raw.answer(stream).await;
        raw
    };
    let (raw, answer) = tokio::join!(serve, balanced.get());
    assert_eq!(answer.unwrap().0, StatusCode::OK);
    raw
}

#[tokio::test]
async fn a_member_that_was_silent_is_asked_and_gets_the_request_when_it_has_answered() {
    let clock = Clock::hold();
    let member = Listener::new().await;
    let balanced = balanced(pinged(&member));
    let mut raw = used(&balanced, &member).await;
    let ((), answer) = tokio::join!(serve(&mut raw), balanced.get());
    assert_eq!(answer.unwrap().0, StatusCode::OK);
    for _ in 0..2 {
        clock.pass(Duration::from_secs(1)).await;
        let serve = async {
            let (kind, stream, question) = raw.frame().await;
            assert_eq!(
                (kind, stream, question.len()),
                (PING, 0, 8),
                "before anything else"
            );
            // Not with the last word.
            clock.pass(PATIENCE - Duration::from_millis(10)).await;
            raw.write(PING, 1, 0, &question).await;
            serve(&mut raw).await;
        };
        let ((), answer) = tokio::join!(serve, balanced.get());
        assert_eq!(answer.unwrap().0, StatusCode::OK);
    }
    assert_eq!((balanced.idle(), balanced.state()), (1, State::Ready));
}

#[tokio::test]
async fn one_that_does_not_say_cannot_be_reached_and_another_gets_the_request() {
    let clock = Clock::hold();
    let (silent, other) = (Listener::new().await, Listener::new().await);
    let first = node(Member::new("h2c://silent"), pinged(&silent));
    let second = node(Member::new("http://other"), endpoint(other.address()));
    let cluster = Kept::start(Settings::apache("balancer://test"), vec![first, second], 1);
    let balanced = Balanced { cluster };
    let mut raw = used(&balanced, &silent).await;
    // The other one's turn.
    let turn = async {
        let mut peer: Peer = other.accept().await;
        peer.head().await;
        peer.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").await;
        peer
    };
    let (mut peer, _) = tokio::join!(turn, balanced.get());
    clock.pass(Duration::from_secs(1)).await;
    let serve = async {
        raw.next(PING).await;
        clock.pass(PATIENCE).await;
        // Nothing of it was sent: another may have it, whatever its method.
        assert!(peer.head().await.starts_with("POST "));
        peer.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nyo").await;
    };
    let ((), answer) = tokio::join!(serve, balanced.send(post()));
    assert_eq!(text(answer.unwrap()).await, "yo");
    let report = balanced.cluster.report();
    assert_eq!(
        (report.members[0].failures, report.members[0].state),
        (1, State::Error)
    );
}

#[tokio::test]
async fn a_connection_on_which_nobody_answers_is_not_used_again() {
    let clock = Clock::hold();
    let member = Listener::new().await;
    let balanced = balanced(pinged(&member));
    let mut raw = used(&balanced, &member).await;
    clock.pass(Duration::from_secs(1)).await;
    let serve = async {
        raw.next(PING).await;
        clock.pass(PATIENCE).await;
    };
    let ((), answer) = tokio::join!(serve, balanced.get());
    assert_eq!(answer.unwrap_err().status(), StatusCode::BAD_GATEWAY);
    // It is the only one, and so it is tried again at once.
    used(&balanced, &member).await;
}

#[tokio::test]
async fn a_new_connection_to_nobody_at_work() {
    let clock = Clock::hold();
    // The system takes connections, and nobody takes them from it.
    let member = Listener::new().await;
    let balanced = balanced(pinged(&member));
    let pass = async {
        let peer = member.accept().await;
        let mut raw = Raw(peer.0);
        let mut preface = [0; 24];
        tokio::io::AsyncReadExt::read_exact(&mut raw.0, &mut preface)
            .await
            .unwrap();
        raw.next(PING).await;
        clock.pass(PATIENCE).await;
        raw
    };
    let (_raw, failed) = tokio::join!(pass, balanced.get());
    let failed = failed.unwrap_err();
    assert!(matches!(failed, Failed::Member { .. }));
    assert_eq!(failed.status(), StatusCode::BAD_GATEWAY);
    let told = "did not say within 500ms that it is there (ping)";
    assert!(failed.to_string().ends_with(told), "{failed}");
    assert_eq!(balanced.state(), State::Error);
}

#[tokio::test]
async fn a_connection_that_ends_while_it_is_asked_is_followed_by_another() {
    let clock = Clock::hold();
    let member = Listener::new().await;
    let balanced = balanced(pinged(&member));
    let mut raw = used(&balanced, &member).await;
    clock.pass(Duration::from_secs(1)).await;
    let serve = async {
        raw.next(PING).await;
        drop(raw);
        let mut raw = Raw::accept(&member).await;
        let (stream, _) = raw.next(HEADERS).await;
        raw.answer(stream).await;
        raw
    };
    let (_raw, answer) = tokio::join!(serve, balanced.get());
    assert_eq!(answer.unwrap().0, StatusCode::OK);
}
