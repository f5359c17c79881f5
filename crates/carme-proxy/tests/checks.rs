//! Health checks: what a member is asked, when, and what comes of its answers.

mod common;

use std::num::NonZeroU32;
use std::time::Duration;

use carme_balancer::{CheckMethod, Condition, Expect, HealthCheck, Member, State};
use carme_proxy::Endpoint;
use common::reasons::Reasons;
use common::{Balanced, Clock, Listener, endpoint, node, until};
use tracing::Level;

const INTERVAL: Duration = Duration::from_secs(5);

fn rule(method: CheckMethod) -> HealthCheck {
    HealthCheck {
        interval: INTERVAL,
        uri: "up?x=1".to_owned(),
        ..HealthCheck::new(method)
    }
}

fn checked(endpoint: Endpoint, rule: HealthCheck) -> Balanced {
    let member = Member {
        health: Some(rule),
        ..Member::new("http://member")
    };
    Balanced::new(vec![node(member, endpoint)])
}

const GET: CheckMethod = CheckMethod::Get { http11: true };

fn answer(status: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// How many checks have ended.
fn last_check(balanced: &Balanced) -> Option<Duration> {
    balanced.cluster.report().members[0].check_age
}

#[tokio::test]
async fn out_after_hcfails_and_back_after_hcpasses() {
    let clock = Clock::hold();
    let log = Reasons::of("carme_proxy", Level::INFO);
    let member = Listener::new().await;
    let two = NonZeroU32::new(2).unwrap();
    let balanced = checked(
        endpoint(member.address()),
        HealthCheck {
            fails: two,
            passes: two,
            ..rule(GET)
        },
    );
    let steps = [
        ("200 OK", State::Ready),
        ("500 Oops", State::Ready),
        ("302 Found", State::Ready),
        ("404 Not Found", State::Ready),
        ("503 Busy", State::Unhealthy),
        ("200 OK", State::Unhealthy),
        ("503 Busy", State::Unhealthy),
        ("200 OK", State::Unhealthy),
        ("200 OK", State::Ready),
    ];
    for (at, (status, state)) in steps.into_iter().enumerate() {
        // The first at once, and each of the others an interval after the end of the one before.
        if at > 0 {
            clock.pass(INTERVAL).await;
        }
        let mut peer = member.accept().await;
        peer.head().await;
        clock.pass(Duration::from_secs(1)).await;
        peer.write(&answer(status, "")).await;
        until(|| last_check(&balanced) == Some(Duration::ZERO)).await;
        assert_eq!(balanced.state(), state, "{at} {status}");
        // The check's connection was its own.
        assert!(peer.is_closed().await);
    }
    assert_eq!(
        log.take(),
        [
            "the member http://member of balancer://test has failed its health checks and gets no requests: it answered \
             503 Service Unavailable, and that or what came with it does not pass",
            "the member http://member of balancer://test has passed its health checks and gets requests again",
        ]
    );
}

#[tokio::test]
async fn what_a_member_is_asked() {
    let clock = Clock::hold();
    let member = Listener::new().await;
    let host = format!("Host: {}\r\n", member.address());
    let path = "/base/up?x=1";
    for (method, http11, line) in [
        (
            CheckMethod::Options { http11: false },
            false,
            "OPTIONS * HTTP/1.0".to_owned(),
        ),
        (
            CheckMethod::Options { http11: true },
            true,
            "OPTIONS * HTTP/1.1".to_owned(),
        ),
        (
            CheckMethod::Head { http11: false },
            false,
            format!("HEAD {path} HTTP/1.0"),
        ),
        (
            CheckMethod::Head { http11: true },
            true,
            format!("HEAD {path} HTTP/1.1"),
        ),
        (
            CheckMethod::Get { http11: false },
            false,
            format!("GET {path} HTTP/1.0"),
        ),
        (GET, true, format!("GET {path} HTTP/1.1")),
    ] {
        let endpoint = Endpoint {
            path: "/base".to_owned(),
            ..endpoint(member.address())
        };
        let balanced = checked(endpoint, rule(method));
        let mut peer = member.accept().await;
        let close = if http11 { "Connection: close\r\n" } else { "" };
        let agent = "User-Agent: Carme (health check)\r\n";
        let head = peer.head().await.to_lowercase();
        assert_eq!(head, format!("{line}\r\n{host}{agent}{close}\r\n").to_lowercase());
        // A body after HEAD is none; one without a length ends with the connection.
        peer.write("HTTP/1.0 204 No Content\r\n\r\n").await;
        drop(peer);
        until(|| last_check(&balanced).is_some()).await;
        assert_eq!(balanced.state(), State::Ready, "{line}");
        clock.pass(Duration::ZERO).await;
    }
}

#[tokio::test]
async fn a_connection_is_enough_and_none_is_too_little() {
    let clock = Clock::hold();
    let log = Reasons::of("carme_proxy", Level::INFO);
    let member = Listener::new().await;
    let balanced = checked(endpoint(member.address()), rule(CheckMethod::Tcp));
    let mut peer = member.accept().await;
    assert!(peer.is_closed().await);
    until(|| last_check(&balanced).is_some()).await;
    assert_eq!(balanced.state(), State::Ready);
    drop(member);
    clock.pass(INTERVAL).await;
    until(|| balanced.state() == State::Unhealthy).await;
    let told = log.take().concat();
    assert!(told.contains("it cannot be reached: "), "{told}");
}

#[tokio::test]
async fn who_is_too_slow_fails() {
    let clock = Clock::hold();
    let log = Reasons::of("carme_proxy", Level::INFO);
    let member = Listener::new().await;
    let endpoint = Endpoint {
        timeout: Duration::from_secs(3),
        ..endpoint(member.address())
    };
    let balanced = checked(endpoint, rule(GET));
    // A silent one, and one that does not come to an end.
    for begun in ["", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbegun"] {
        let mut peer = member.accept().await;
        peer.head().await;
        peer.write(begun).await;
        clock.pass(Duration::from_secs(2)).await;
        assert_ne!(last_check(&balanced), Some(Duration::ZERO));
        clock.pass(Duration::from_secs(1)).await;
        until(|| last_check(&balanced) == Some(Duration::ZERO)).await;
        assert_eq!(balanced.state(), State::Unhealthy);
        assert!(peer.is_closed().await);
        clock.pass(INTERVAL).await;
    }
    let told = log.take();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].ends_with(": it did not answer within 3s (timeout)"),
        "{told:?}"
    );
}

#[tokio::test]
async fn a_body_is_looked_at_as_far_as_a_limit() {
    let clock = Clock::hold();
    let member = Listener::new().await;
    let expect = Expect {
        statuses: vec![(200, 299), (503, 503)],
        contains: Some("ready".to_owned()),
        lacks: Some("maintenance".to_owned()),
    };
    let balanced = checked(
        endpoint(member.address()),
        HealthCheck {
            condition: Condition::Expect(expect),
            ..rule(GET)
        },
    );
    let long = "-".repeat(1024 * 1024);
    for (status, body, state) in [
        ("200 OK", "all is ready".to_owned(), State::Ready),
        ("200 OK", "ready for maintenance".to_owned(), State::Unhealthy),
        ("503 Busy", "ready".to_owned(), State::Ready),
        ("200 OK", "readily".to_owned(), State::Unhealthy),
        ("200 OK", "ready".to_owned() + &long + "maintenance", State::Ready),
        ("302 Found", "ready".to_owned(), State::Unhealthy),
        ("200 OK", "ready".to_owned(), State::Ready),
        ("200 OK", long.clone() + "ready", State::Unhealthy),
    ] {
        let mut peer = member.accept().await;
        peer.head().await;
        // It may have heard enough before the end.
        let _ = tokio::io::AsyncWriteExt::write_all(&mut peer.0, answer(status, &body).as_bytes()).await;
        until(|| last_check(&balanced) == Some(Duration::ZERO)).await;
        assert_eq!(
            balanced.state(),
            state,
            "{status} {}",
            &body[..body.len().min(30)]
        );
        clock.pass(INTERVAL).await;
    }
}

/// Not more at once than Apache has threads for, and each gets its turn.
#[tokio::test]
async fn sixteen_at_once() {
    let _clock = Clock::hold();
    let member = Listener::new().await;
    let nodes = (0..20).map(|at| {
        let checked = Member {
            health: Some(rule(GET)),
            ..Member::new(format!("http://member{at}"))
        };
        node(checked, endpoint(member.address()))
    });
    let balanced = Balanced::new(nodes.collect());
    let mut peers = Vec::new();
    for _ in 0..16 {
        let mut peer = member.accept().await;
        peer.head().await;
        peers.push(peer);
    }
    let ended = || {
        let report = balanced.cluster.report();
        report
            .members
            .iter()
            .filter(|member| member.check_age.is_some())
            .count()
    };
    assert_eq!(ended(), 0);
    let mut number = 0;
    while let Some(mut peer) = peers.pop() {
        peer.write(&answer("200 OK", "")).await;
        number += 1;
        until(|| ended() == number).await;
        if number <= 4 {
            let mut next = member.accept().await;
            next.head().await;
            peers.push(next);
        }
    }
    assert_eq!(number, 20);
}

/// A new configuration counts at once.
#[tokio::test]
async fn checks_come_with_a_new_configuration() {
    let _clock = Clock::hold();
    let member = Listener::new().await;
    let balanced = Balanced::new(vec![node(
        Member::new("http://member"),
        endpoint(member.address()),
    )]);
    tokio::task::yield_now().await;
    let checked = Member {
        health: Some(rule(CheckMethod::Tcp)),
        ..Member::new("http://member")
    };
    let settings = balanced.cluster.report().settings;
    balanced
        .cluster
        .replace(settings, vec![node(checked, endpoint(member.address()))]);
    member.accept().await;
    until(|| last_check(&balanced).is_some()).await;
}
