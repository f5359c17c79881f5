//! Members that fail, and clients that do.

use std::time::Duration;

use carme_balancer::{Resend, Settings};
use carme_front::Limits;

use super::{Wanted, nobody, one_member, until};
use crate::member::Member;

fn settings(resend: Resend) -> Settings {
    Settings {
        resend,
        ..Wanted::default().settings
    }
}

#[tokio::test]
async fn one_that_is_not_there_costs_no_request() {
    let (nobody, member) = (nobody().await, Member::start("b").await);
    let balanced = Wanted::default().start(&[&nobody, &member.url()]);
    let mut client = balanced.front.connect().await;
    client
        .send("POST /a HTTP/1.1\r\nHost: test\r\nContent-Length: 2\r\n\r\nok")
        .await;
    assert_eq!(client.response("POST").await.text(), "b POST /a HTTP/1.1 ok");
    assert_eq!(client.get("/c").await.status, 200);
    assert_eq!(balanced.front.log(2).await, ["200 r2 2 + /a", "200 r2 1 + /c"]);
}

#[tokio::test]
async fn nobody_there_is_502_and_then_503_where_errors_are_kept() {
    let nobody = nobody().await;
    let mut wanted = Wanted::default();
    wanted.settings.force_recovery = false;
    let balanced = wanted.start(&[&nobody]);
    let refused = balanced.front.ask("GET", "/", "").await;
    assert_eq!(refused.status, 502);
    let unavailable = balanced.front.ask("GET", "/", "").await;
    assert_eq!(unavailable.status, 503);
    // `retry`
    assert_eq!(unavailable.header("retry-after"), Some("60"));
    assert_eq!(balanced.front.log(2).await, ["502 r1 1 + /", "503 - 0 + /"]);
}

#[tokio::test]
async fn what_a_member_has_received_goes_to_no_other_unless_it_may() {
    for (method, resend, attempts) in [
        ("GET", Resend::Idempotent, 2),
        ("DELETE", Resend::Idempotent, 2),
        ("GET", Resend::NothingSent, 1),
        ("POST", Resend::Idempotent, 1),
        ("PATCH", Resend::Idempotent, 1),
    ] {
        let (a, b) = (Member::start("a").await, Member::start("b").await);
        let wanted = Wanted {
            settings: settings(resend),
            ..Wanted::default()
        };
        let balanced = wanted.start(&[&a.url(), &b.url()]);
        let response = balanced.front.ask(method, "/drop", "").await;
        assert_eq!(response.status, 502, "{method}");
        let asked = a.asked().len() + b.asked().len();
        assert_eq!(asked, attempts, "{method} {resend:?}");
    }
}

#[tokio::test]
async fn a_body_of_which_some_was_sent_is_not_sent_again() {
    let (a, b) = (Member::start("a").await, Member::start("b").await);
    let wanted = Wanted {
        settings: settings(Resend::Idempotent),
        ..Wanted::default()
    };
    let balanced = wanted.start(&[&a.url(), &b.url()]);
    let response = balanced.front.ask("PUT", "/drop", "Content-Length: 0").await;
    assert_eq!(response.status, 502);
    assert_eq!(
        a.asked().len() + b.asked().len(),
        2,
        "an empty body can be sent again"
    );
    let mut client = balanced.front.connect().await;
    client
        .send("PUT /drop HTTP/1.1\r\nHost: test\r\nContent-Length: 2\r\n\r\nok")
        .await;
    assert_eq!(client.response("PUT").await.status, 502);
    assert_eq!(a.asked().len() + b.asked().len(), 3);
}

#[tokio::test]
async fn a_kept_connection_that_was_closed_is_replaced_without_a_word() {
    let (member, balanced) = one_member().await;
    let mut client = balanced.front.connect().await;
    assert_eq!(client.get("/last").await.text(), "bye");
    until("closed", || member.open() == 0).await;
    client
        .send("POST /a HTTP/1.1\r\nHost: test\r\nContent-Length: 2\r\n\r\nok")
        .await;
    assert_eq!(client.response("POST").await.status, 200);
    assert_eq!(member.connections(), 2);
    assert_eq!(balanced.front.log(2).await, ["200 r1 1 + /last", "200 r1 1 + /a"]);
}

#[tokio::test]
async fn a_member_that_is_silent_is_504_and_what_is_no_http_502() {
    let member = Member::start("one").await;
    let wanted = Wanted {
        endpoint: |endpoint| endpoint.timeout = Duration::from_millis(300),
        ..Wanted::default()
    };
    let balanced = wanted.start(&[&member.url()]);
    assert_eq!(balanced.front.ask("GET", "/wait", "").await.status, 504);
    assert_eq!(balanced.front.ask("GET", "/garbage", "").await.status, 502);
    assert_eq!(balanced.front.ask("GET", "/long-field", "").await.status, 502);
    let paused = balanced.front.ask("GET", "/stream", "").await;
    assert_eq!((paused.text().as_str(), paused.truncated), ("first", true));
    let log = balanced.front.log(4).await;
    assert_eq!(log[3], "200 r1 1 X /stream");
}

#[tokio::test]
async fn an_answer_that_is_short_looks_short() {
    let (_member, balanced) = one_member().await;
    let response = balanced.front.ask("GET", "/short", "").await;
    assert!(response.truncated);
    assert_eq!(response.text(), "abc");
    assert_eq!(balanced.front.log(1).await, ["200 r1 1 X /short"]);
}

#[tokio::test]
async fn the_clients_faults_are_not_the_members() {
    let member = Member::start("one").await;
    let wanted = Wanted {
        limits: Limits {
            body_bytes: 4,
            body_timeout: Duration::from_millis(300),
            ..Limits::default()
        },
        ..Wanted::default()
    };
    let balanced = wanted.start(&[&member.url()]);
    let declared = balanced.front.ask("POST", "/a", "Content-Length: 5").await;
    assert_eq!((declared.status, declared.closes()), (413, true));
    assert_eq!(member.asked().len(), 0, "nobody was asked");
    for (rest, status) in [("5\r\nabcde\r\n0\r\n\r\n", 413), ("3\r\nab", 408), ("x\r\n", 400)] {
        let mut client = balanced.front.connect().await;
        client
            .send(format!(
                "POST /a HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n{rest}"
            ))
            .await;
        assert_eq!(client.response("POST").await.status, status, "{rest:?}");
    }
    let report = balanced.cluster.report();
    assert_eq!((report.members[0].failures, report.members[0].busy), (0, 0));
}

#[tokio::test]
async fn an_answer_may_come_before_the_body_was_read() {
    let (member, balanced) = one_member().await;
    let mut client = balanced.front.connect().await;
    client
        .send("POST /early HTTP/1.1\r\nHost: test\r\nContent-Length: 1000000\r\n\r\nsome")
        .await;
    assert_eq!(client.response("POST").await.status, 403);
    until("its connection is closed", || member.open() == 0).await;
    until("nothing in flight", || {
        balanced.cluster.report().members[0].busy == 0
    })
    .await;
}

#[tokio::test]
async fn a_client_that_leaves_ends_its_request_at_the_member() {
    let (member, balanced) = one_member().await;
    let mut client = balanced.front.connect().await;
    client.send("GET /wait HTTP/1.1\r\nHost: test\r\n\r\n").await;
    until("it is asked", || member.asked().len() == 1).await;
    drop(client);
    until("nothing in flight", || {
        balanced.cluster.report().members[0].busy == 0
    })
    .await;
    assert_eq!(balanced.front.log(1).await, ["499 r1 1 X /wait"]);
    assert_eq!(balanced.cluster.report().members[0].failures, 0);
}
