//! Connections to a member: in advance, over a Unix socket, and whether it takes what is about to be sent.

mod common;

use std::time::Duration;

use bytes::Bytes;
use carme_balancer::{Member, State, Status};
use carme_proxy::{Endpoint, Failed, RequestBody};
use common::{Balanced, Clock, Listener, Peer, endpoint, node, until};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

fn balanced(endpoint: Endpoint) -> Balanced {
    Balanced::new(vec![node(Member::new("http://member"), endpoint)])
}

fn post(text: &'static str) -> Request<RequestBody> {
    let body = Full::new(Bytes::from_static(text.as_bytes())).map_err(|never| match never {});
    let request = Request::post("/").header("host", "www.test");
    request.body(RequestBody::new(body)).unwrap()
}

#[tokio::test]
async fn min_connections_are_opened_in_advance_and_kept() {
    let clock = Clock::hold();
    let member = Listener::new().await;
    let balanced = balanced(Endpoint {
        min: 2,
        ..endpoint(member.address())
    });
    tokio::task::yield_now().await;
    clock.pass(Duration::ZERO).await;
    let mut first = member.accept().await;
    let mut second = member.accept().await;
    until(|| balanced.idle() == 2).await;
    // A request takes one of them.
    let serve = async {
        tokio::select! {
            head = first.head() => { drop(head); first.write(OK).await }
            head = second.head() => { drop(head); second.write(OK).await }
        }
    };
    let ((), answer) = tokio::join!(serve, balanced.get());
    assert_eq!(answer.unwrap(), (StatusCode::OK, "hi".to_owned()));
    assert_eq!(balanced.idle(), 2);
    // One that its member closes is followed by another.
    drop(first);
    let pass = async {
        loop {
            clock.pass(Duration::from_secs(1)).await;
        }
    };
    let third = async {
        tokio::select! {
            third = member.accept() => third,
            () = pass => unreachable!(),
        }
    };
    let _third = third.await;
    until(|| balanced.idle() == 2).await;
    assert_eq!(balanced.state(), State::Ready);
}

#[cfg(unix)]
#[tokio::test]
async fn over_a_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.sock");
    let address = carme_proxy::Address::Unix {
        path: path.clone(),
        host: "localhost".to_owned(),
    };
    let balanced = balanced(Endpoint {
        address,
        ..endpoint("127.0.0.1:9".parse().unwrap())
    });
    let told = balanced.get().await.unwrap_err().to_string();
    assert!(
        told.starts_with("the member http://member cannot be reached: "),
        "{told}"
    );
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    balanced.cluster.with(|balancer, now| {
        let id = balancer.members().next().unwrap().0;
        balancer.change(id, carme_balancer::Change::Enable, now).unwrap();
    });
    let serve = async {
        let mut peer = Peer(listener.accept().await.unwrap().0);
        for _ in 0..2 {
            assert!(peer.head().await.starts_with("GET / HTTP/1.1\r\n"));
            peer.write(OK).await;
        }
    };
    let ask = async {
        for _ in 0..2 {
            assert_eq!(balanced.get().await.unwrap().1, "hi");
        }
    };
    tokio::join!(serve, ask);
}

const PING: Duration = Duration::from_secs(2);

fn pinged(member: &Listener) -> Endpoint {
    Endpoint {
        ping: Some(PING),
        ..endpoint(member.address())
    }
}

/// The head of a request that asks, and nothing behind it.
async fn asked(peer: &mut Peer<TcpStream>) {
    let head = peer.head().await;
    assert!(head.contains("expect: 100-continue\r\n"), "{head}");
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    let early = peer.0.try_read(&mut [0; 16]);
    assert!(early.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock));
}

#[tokio::test]
async fn a_body_follows_when_its_member_takes_it() {
    let clock = Clock::hold();
    let member = Listener::new().await;
    let balanced = balanced(pinged(&member));
    let serve = async {
        let mut peer = member.accept().await;
        asked(&mut peer).await;
        clock.pass(PING - Duration::from_secs(1)).await;
        // Another piece of news is no answer to it.
        peer.write("HTTP/1.1 103 Early Hints\r\n\r\n").await;
        asked_nothing(&mut peer).await;
        peer.write("HTTP/1.1 100 Continue\r\n\r\n").await;
        let mut body = [0; 4];
        peer.0.read_exact(&mut body).await.unwrap();
        assert_eq!(&body, b"body");
        // From now on it has all the time that members have.
        clock.pass(PING * 3).await;
        peer.write(OK).await;
        // What has no body does not ask.
        let head = peer.head().await;
        assert!(!head.contains("expect"), "{head}");
        peer.write(OK).await;
    };
    let ask = async {
        let answer = balanced.send(post("body")).await.unwrap();
        assert_eq!(common::text(answer).await, "hi");
        assert_eq!(balanced.get().await.unwrap().1, "hi");
    };
    tokio::join!(serve, ask);
}

async fn asked_nothing(peer: &mut Peer<TcpStream>) {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    let early = peer.0.try_read(&mut [0; 16]);
    assert!(early.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock));
}

/// One that does not want it says so with its answer; what is left of the request is not sent.
#[tokio::test]
async fn an_answer_instead() {
    let member = Listener::new().await;
    let balanced = balanced(pinged(&member));
    let serve = async {
        let mut peer = member.accept().await;
        asked(&mut peer).await;
        peer.write("HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n")
            .await;
        assert!(peer.is_closed().await);
    };
    let ask = async {
        let answer = balanced.send(post("body")).await.unwrap();
        assert_eq!(answer.head.status, StatusCode::PAYLOAD_TOO_LARGE);
    };
    tokio::join!(serve, ask);
    assert_eq!((balanced.state(), balanced.idle()), (State::Ready, 0));
}

/// It cannot be reached, and the request is another's.
#[tokio::test]
async fn a_member_that_does_not_say() {
    let clock = Clock::hold();
    let (silent, other) = (Listener::new().await, Listener::new().await);
    let standby = Member {
        status: Status::parse("H").unwrap(),
        ..Member::new("http://other")
    };
    let nodes = vec![
        node(Member::new("http://member"), pinged(&silent)),
        node(standby, endpoint(other.address())),
    ];
    let both = Balanced::new(nodes);
    let serve = async {
        let mut peer = silent.accept().await;
        asked(&mut peer).await;
        clock.pass(PING).await;
        let mut next = other.accept().await;
        let head = next.head().await;
        assert!(!head.contains("expect"), "{head}");
        let mut body = [0; 4];
        next.0.read_exact(&mut body).await.unwrap();
        assert_eq!(&body, b"body");
        next.write(OK).await;
        peer
    };
    let (_peer, answer) = tokio::join!(serve, both.send(post("body")));
    assert_eq!(common::text(answer.unwrap()).await, "hi");
    assert_eq!(both.state(), State::Error);

    let alone = balanced(pinged(&silent));
    let serve = async {
        let mut peer = silent.accept().await;
        asked(&mut peer).await;
        clock.pass(PING).await;
        peer
    };
    let (_peer, answer) = tokio::join!(serve, alone.send(post("body")));
    let failed: Failed = answer.err().unwrap();
    assert_eq!(
        (failed.status(), failed.to_string().as_str()),
        (
            StatusCode::BAD_GATEWAY,
            "the member http://member did not say within 2s that it takes the request (ping)"
        )
    );
}

/// What it is for: a connection that its member has just closed costs no request that may not be repeated.
#[tokio::test]
async fn a_connection_that_ends_before_its_member_takes_the_body() {
    let member = Listener::new().await;
    let balanced = balanced(pinged(&member));
    let serve = async {
        let mut peer = member.accept().await;
        peer.head().await;
        peer.write(OK).await;
        asked(&mut peer).await;
        drop(peer);
        let mut peer = member.accept().await;
        asked(&mut peer).await;
        peer.write("HTTP/1.1 100 Continue\r\n\r\n").await;
        let mut body = [0; 4];
        peer.0.read_exact(&mut body).await.unwrap();
        assert_eq!(&body, b"body");
        peer.write(OK).await;
    };
    let ask = async {
        balanced.get().await.unwrap();
        let answer = balanced.send(post("body")).await.unwrap();
        assert_eq!(common::text(answer).await, "hi");
    };
    tokio::join!(serve, ask);
}

/// As many fields as there may be, and one more.
#[tokio::test]
async fn a_head_with_too_many_fields() {
    for (fields, expected) in [
        (99, Ok((StatusCode::OK, "hi".to_owned()))),
        (
            100,
            Err(
                "the member http://member sent a response's head that is too long, or has more than 100 fields",
            ),
        ),
    ] {
        let member = Listener::new().await;
        let balanced = balanced(endpoint(member.address()));
        let serve = async {
            let mut peer = member.accept().await;
            peer.head().await;
            let lines: String = (0..fields).map(|number| format!("x-{number}: y\r\n")).collect();
            peer.write(&OK.replace("\r\n\r\n", &format!("\r\n{lines}\r\n")))
                .await;
            peer
        };
        let (_peer, answer) = tokio::join!(serve, balanced.get());
        assert_eq!(
            answer.map_err(|failed| failed.to_string()),
            expected.map_err(str::to_owned)
        );
    }
}
