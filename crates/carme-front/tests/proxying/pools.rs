//! Connections: how many there are, and who waits for one.

use std::num::NonZeroU32;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use tokio::task::JoinSet;

use super::{Wanted, until};
use crate::member::Member;

#[tokio::test]
async fn max_is_exact_and_those_who_wait_come_in_their_order() {
    let member = Member::start("one").await;
    let wanted = Wanted {
        member: |member| member.max = NonZeroU32::new(2),
        ..Wanted::default()
    };
    let balanced = wanted.start(&[&member.url()]);
    let mut clients = Vec::new();
    for number in 0..6 {
        let mut client = balanced.front.connect().await;
        client
            .send(format!("GET /wait?{number} HTTP/1.1\r\nHost: test\r\n\r\n"))
            .await;
        clients.push(client);
        let expected = number + 1;
        until("it has come", || {
            let report = balanced.cluster.report();
            report.members[0].busy as usize + report.waiting == expected
        })
        .await;
    }
    assert_eq!(balanced.cluster.report().waiting, 4);
    // One at a time: two that have got their connections together may be noted in any order.
    for answered in 1..=6 {
        member.gate.add_permits(1);
        let expected = (2 + answered).min(6);
        until("the next is asked for", || member.asked().len() == expected).await;
    }
    for mut client in clients {
        assert_eq!(client.response("GET").await.status, 200);
    }
    let order: Vec<_> = member
        .asked()
        .iter()
        .map(|asked| asked.line().to_owned())
        .collect();
    let expected: Vec<_> = (0..6)
        .map(|number| format!("GET /wait?{number} HTTP/1.1"))
        .collect();
    assert_eq!(order, expected);
    assert_eq!(member.notes.busiest.load(SeqCst), 2);
    assert!(member.connections() <= 2);
}

#[tokio::test]
async fn who_waits_too_long_is_sent_away_and_who_leaves_is_forgotten() {
    let member = Member::start("one").await;
    let wanted = Wanted {
        member: |member| {
            member.max = NonZeroU32::new(1);
            member.acquire = Some(Duration::from_millis(200));
        },
        ..Wanted::default()
    };
    let balanced = wanted.start(&[&member.url()]);
    let mut first = balanced.front.connect().await;
    first.send("GET /wait HTTP/1.1\r\nHost: test\r\n\r\n").await;
    until("it is asked", || member.asked().len() == 1).await;
    let mut second = balanced.front.connect().await;
    second.send("GET /a HTTP/1.1\r\nHost: test\r\n\r\n").await;
    until("it waits", || balanced.cluster.report().waiting == 1).await;
    drop(second);
    until("it is forgotten", || balanced.cluster.report().waiting == 0).await;
    assert_eq!(balanced.front.ask("GET", "/b", "").await.status, 503);
    member.gate.add_permits(1);
    assert_eq!(first.response("GET").await.status, 200);
    assert_eq!(balanced.front.ask("GET", "/c", "").await.status, 200);
}

#[tokio::test]
async fn connections_are_shared_by_clients_and_closed_after_ttl() {
    let member = Member::start("one").await;
    let wanted = Wanted {
        endpoint: |endpoint| endpoint.ttl = Some(Duration::from_millis(300)),
        ..Wanted::default()
    };
    let balanced = wanted.start(&[&member.url()]);
    for _ in 0..5 {
        assert_eq!(balanced.front.ask("GET", "/", "").await.status, 200);
    }
    assert_eq!(member.connections(), 1);
    until("it is closed", || member.open() == 0).await;
    assert_eq!(balanced.front.ask("GET", "/", "").await.status, 200);
    assert_eq!(member.connections(), 2);
}

#[tokio::test]
async fn of_those_that_were_idle_for_ttl_smax_stay_and_none_is_used_again() {
    let member = Member::start("one").await;
    let wanted = Wanted {
        endpoint: |endpoint| {
            endpoint.ttl = Some(Duration::from_millis(300));
            endpoint.smax = Some(1);
        },
        ..Wanted::default()
    };
    let balanced = wanted.start(&[&member.url()]);
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = balanced.front.connect().await;
        client.send("GET /wait HTTP/1.1\r\nHost: test\r\n\r\n").await;
        clients.push(client);
    }
    until("all have come", || member.asked().len() == 3).await;
    member.gate.add_permits(3);
    for mut client in clients {
        assert_eq!(client.response("GET").await.status, 200);
    }
    until("the others are closed", || member.open() == 1).await;
    assert_eq!(balanced.front.ask("GET", "/", "").await.status, 200);
    assert_eq!(member.connections(), 4);
}

#[tokio::test]
async fn without_reuse_each_request_has_its_own() {
    let member = Member::start("one").await;
    let wanted = Wanted {
        endpoint: |endpoint| endpoint.reuse = false,
        ..Wanted::default()
    };
    let balanced = wanted.start(&[&member.url()]);
    let mut client = balanced.front.connect().await;
    for _ in 0..3 {
        assert_eq!(client.get("/").await.status, 200);
    }
    assert_eq!(member.connections(), 3);
    assert_eq!(member.asked()[0].field("connection"), Some("close"));
}

#[tokio::test]
async fn many_at_once_come_through_few_connections() {
    let (a, b) = (Member::start("a").await, Member::start("b").await);
    let wanted = Wanted {
        member: |member| member.max = NonZeroU32::new(3),
        ..Wanted::default()
    };
    let balanced = wanted.start(&[&a.url(), &b.url()]);
    let address = balanced.front.address;
    let mut clients = JoinSet::new();
    for _ in 0..40 {
        clients.spawn(async move {
            let mut client = crate::common::client::Client::connect(address).await;
            for _ in 0..25 {
                assert_eq!(client.get("/").await.status, 200);
            }
        });
    }
    clients.join_all().await;
    assert_eq!(a.asked().len() + b.asked().len(), 1000);
    for member in [&a, &b] {
        assert!(member.notes.busiest.load(SeqCst) <= 3);
        assert!(member.connections() <= 3, "{} connections", member.connections());
    }
    let report = balanced.cluster.report();
    assert!(report.members.iter().all(|member| member.busy == 0));
}
