//! What the application answers, and what the client gets.

mod common;

use carme_front::Limits;
use common::Front;

const FORMAT: &str = "%>s %X %b %{BALANCER_WORKER_ROUTE}e %{WORKER_PID}e";

#[tokio::test]
async fn every_answer_has_date_server_length_and_an_id_of_its_own() {
    let front = Front::start();
    let mut client = front.connect().await;
    let first = client.get("/").await;
    let second = client.get("/").await;
    assert_eq!(first.line, "HTTP/1.1 200 OK");
    assert_eq!(first.header("server"), Some("Carme"));
    assert_eq!(first.header("content-length"), Some("5"));
    assert_eq!(first.header("content-type"), Some("text/plain"));
    assert!(first.header("date").is_some());
    assert_ne!(first.header("x-request-id"), second.header("x-request-id"));
    assert_eq!(client.get("/reason").await.line, "HTTP/1.1 200 Fine");
}

#[tokio::test]
async fn an_answer_keeps_its_own_server_and_id_but_no_hop_by_hop_field() {
    let front = Front::start();
    let mut client = front.connect().await;
    let response = client.get("/hop").await;
    assert_eq!(response.header("server"), Some("App"));
    assert_eq!(response.header("x-request-id"), Some("mine"));
    for name in ["connection", "transfer-encoding", "upgrade"] {
        assert_eq!(response.header(name), None, "{name}");
    }
    let cookies: Vec<_> = response
        .headers
        .iter()
        .filter(|(name, _)| name == "set-cookie")
        .map(|(_, value)| value.as_str())
        .collect();
    assert_eq!(cookies, ["a=1", "b=2"]);
    assert_eq!(client.get("/").await.status, 200, "the connection goes on");
}

#[tokio::test]
async fn head_204_and_304_have_no_body() {
    let front = Front::with(Limits::default(), FORMAT);
    let mut client = front.connect().await;
    client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let head = client.response("HEAD").await;
    assert_eq!((head.status, head.header("content-length")), (200, Some("5")));
    client.send("HEAD /stream/a/b HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(client.response("HEAD").await.header("content-length"), None);
    client.send("HEAD /fails/full HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(client.response("HEAD").await.status, 503);
    for status in [204, 304] {
        let response = client.get(&format!("/status/{status}")).await;
        assert_eq!(
            (response.status, response.header("content-length")),
            (status, None)
        );
    }
    assert_eq!(client.get("/").await.text(), "hello");
    let log = front.log(6).await;
    assert_eq!(log[0], "200 + - fake_1 4711");
    assert_eq!(log[3], "204 + - fake_1 4711");
    assert_eq!(log[5], "200 + 5 fake_1 4711");
}

#[tokio::test]
async fn streams_come_as_chunks_or_as_long_as_declared() {
    let front = Front::with(Limits::default(), FORMAT);
    let mut client = front.connect().await;
    let chunked = client.get("/stream/ab/cde/f").await;
    assert_eq!(
        (chunked.header("transfer-encoding"), chunked.text()),
        (Some("chunked"), "abcdef".into())
    );
    let declared = client.get("/stream-declared/6/ab/cde/f").await;
    assert_eq!(
        (declared.header("content-length"), declared.text()),
        (Some("6"), "abcdef".into())
    );
    assert!(!declared.truncated);
    // PEP 3333: what exceeds the declared length is not sent.
    assert_eq!(client.get("/stream-declared/3/ab/cde/f").await.text(), "abc");
    assert_eq!(client.get("/declares/3").await.text(), "123");
    assert_eq!(client.get("/stream").await.text(), "");
    client.send("GET /stream/ab/cd HTTP/1.0\r\n\r\n").await;
    let old = client.response("GET").await;
    assert_eq!(
        (old.header("transfer-encoding"), old.text()),
        (None, "abcd".into())
    );
    assert_eq!(
        front.events.withdrawn(),
        0,
        "no application was told that the client had left"
    );
    let log = front.log(6).await;
    assert_eq!(log[0], "200 + 6 fake_1 4711");
    assert_eq!(log[2], "200 + 3 fake_1 4711");
    assert_eq!(log[5], "200 - 4 fake_1 4711");
}

#[tokio::test]
async fn a_response_that_falls_short_is_cut_so_that_the_client_sees_it() {
    let front = Front::with(Limits::default(), FORMAT);
    for target in [
        "/declares/9",
        "/stream-declared/9/ab/cd",
        "/aborts",
        "/file/100/50/60",
    ] {
        let mut client = front.connect().await;
        let response = client.get(target).await;
        assert!(response.truncated, "{target}: {response:?}");
        client.expect_end(target).await;
    }
    assert!(front.log(4).await.iter().all(|line| line.starts_with("200 X ")));
}

#[tokio::test]
async fn files_are_sent_as_far_as_they_are_announced() {
    let front = Front::start();
    let mut client = front.connect().await;
    let small = client.get("/file/100/10/20").await;
    assert_eq!(small.body, (10..30).collect::<Vec<u8>>());
    let large = client.get("/file/1000000/0/1000000").await;
    assert_eq!(large.body.len(), 1_000_000);
    assert!(large.body.iter().enumerate().all(|(at, byte)| *byte == at as u8));
    client
        .send("HEAD /file/100/10/20 HTTP/1.1\r\nHost: a\r\n\r\n")
        .await;
    assert_eq!(client.response("HEAD").await.header("content-length"), Some("20"));
    assert_eq!(client.get("/").await.text(), "hello");
}

#[tokio::test]
async fn failures_have_their_statuses_and_pages() {
    let front = Front::start();
    let mut client = front.connect().await;
    for (how, status) in [
        ("full", 503),
        ("late", 503),
        ("stopping", 503),
        ("died", 502),
        ("hangs", 504),
        ("invalid", 502),
        ("raised", 500),
        ("large", 431),
    ] {
        let response = client.get(&format!("/fails/{how}")).await;
        assert_eq!(response.status, status, "{how}");
        assert_eq!(response.header("retry-after").is_some(), status == 503, "{how}");
        assert!(
            response
                .text()
                .contains(response.header("x-request-id").expect("an id")),
            "{how}"
        );
        assert!(!response.text().contains("secret"), "{how}");
    }
    for status in [100, 101, 199] {
        assert_eq!(client.get(&format!("/status/{status}")).await.status, 502);
    }
    assert_eq!(client.get("/declares/x").await.status, 502);
    assert_eq!(client.get("/declares/+5").await.status, 502);
    assert_eq!(
        client.get("/").await.text(),
        "hello",
        "the connection goes on after all of them"
    );
}

#[tokio::test]
async fn large_answers_arrive_whole() {
    let front = Front::with(Limits::default(), FORMAT);
    let mut client = front.connect().await;
    assert_eq!(client.get("/large/10000000").await.body.len(), 10_000_000);
    assert_eq!(front.log(1).await, ["200 + 10000000 fake_1 4711"]);
}
