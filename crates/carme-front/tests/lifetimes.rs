//! Slow clients, clients that leave, and the end of the server. Where timers matter, time is paused.

mod common;

use std::time::Duration;

use carme_front::Limits;
use common::Front;
use common::reasons::Reasons;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

fn seconds(from: Instant) -> f64 {
    from.elapsed().as_secs_f64()
}

fn limits() -> Limits {
    Limits {
        header_timeout: Duration::from_secs(10),
        body_timeout: Duration::from_secs(20),
        body_rate: 0,
        keep_alive_timeout: Duration::from_secs(30),
        send_timeout: Duration::from_secs(40),
        send_rate: 0,
        ..Limits::default()
    }
}

#[tokio::test(start_paused = true)]
async fn slow_headers_get_408_however_steadily_they_trickle() {
    let front = Front::with(limits(), common::LINE);
    let mut client = front.connect().await;
    let begun = Instant::now();
    client.send("GET /slow HTTP/1.1\r\nHost: a\r\n").await;
    for _ in 0..9 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        client.send("X: y\r\n").await;
    }
    let response = client.response("GET").await;
    assert_eq!((response.status, response.closes()), (408, true));
    assert!((10.0..13.0).contains(&seconds(begun)), "{}", seconds(begun));
    client.expect_end("slow headers").await;
    assert_eq!(front.log(1).await, [r#"408 - "GET /slow HTTP/1.1""#]);
}

#[tokio::test(start_paused = true)]
async fn empty_lines_are_no_way_to_stay() {
    let front = Front::with(limits(), common::LINE);
    let mut client = front.connect().await;
    assert_eq!(client.get("/").await.status, 200);
    let begun = Instant::now();
    for _ in 0..9 {
        client.send("\r\n").await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(client.response("GET").await.status, 408);
    assert!((10.0..13.0).contains(&seconds(begun)), "{}", seconds(begun));
    client.expect_end("empty lines").await;
    assert_eq!(front.log(2).await[1], r#"408 - "-""#);
}

/// What is no part of the body's data does not count as progress.
#[tokio::test(start_paused = true)]
async fn framing_that_drips_is_silence() {
    for (first, drip) in [("5;", "a"), ("0\r\nX: ", "a"), ("0\r\n", "X: y\r\n")] {
        let front = Front::with(limits(), common::LINE);
        let mut client = front.connect().await;
        let begun = Instant::now();
        client
            .send(format!(
                "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{first}"
            ))
            .await;
        for _ in 0..19 {
            client.send(drip).await;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(client.response("POST").await.status, 408, "{first:?}");
        assert!((19.0..23.0).contains(&seconds(begun)), "{}", seconds(begun));
        client.expect_end(first).await;
        assert_eq!(front.log(1).await, [r#"408 - "POST /echo HTTP/1.1""#]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_body_gets_408_and_never_reaches_the_application() {
    let front = Front::with(limits(), common::LINE);
    let mut client = front.connect().await;
    client
        .send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello")
        .await;
    tokio::time::sleep(Duration::from_secs(15)).await;
    client.send("w").await;
    let begun = Instant::now();
    assert_eq!(client.response("POST").await.status, 408);
    assert!((19.0..22.0).contains(&seconds(begun)), "{}", seconds(begun));
    client.expect_end("slow body").await;
    assert_eq!(front.log(1).await, [r#"408 - "POST /echo HTTP/1.1""#]);
    assert_eq!(front.events.dispatched(), 0);
}

/// Enough to be never silent for long, and yet too little.
#[tokio::test(start_paused = true)]
async fn a_dripping_body_gets_408_once_it_is_too_slow_on_the_whole() {
    let limits = Limits {
        body_rate: 100,
        ..limits()
    };
    for framing in ["Content-Length: 100000", "Transfer-Encoding: chunked"] {
        let front = Front::with(limits.clone(), common::LINE);
        let mut client = front.connect().await;
        let begun = Instant::now();
        client
            .send(format!("POST /echo HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n"))
            .await;
        // 20 s, and half a second for each second's bytes, 51 with their framing or 45 without.
        for _ in 0..35 {
            client.send(format!("2d\r\n{}\r\n", "x".repeat(0x2d))).await;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(front.log(0).await.len(), 0, "{framing}: there is some patience");
        assert_eq!(client.response("POST").await.status, 408, "{framing}");
        assert!((35.0..43.0).contains(&seconds(begun)), "{}", seconds(begun));
        client.expect_end(framing).await;
        assert_eq!(front.log(1).await, [r#"408 - "POST /echo HTTP/1.1""#]);
        assert_eq!(front.events.dispatched(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_fast_enough_may_take_its_time() {
    let limits = Limits {
        body_rate: 100,
        ..limits()
    };
    let front = Front::with(limits, common::LINE);
    let mut client = front.connect().await;
    client
        .send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 120000\r\n\r\n")
        .await;
    for _ in 0..1000 {
        client.send([b'x'; 120]).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(client.response("POST").await.body.len(), 120_000);
}

#[tokio::test(start_paused = true)]
async fn idle_connections_are_closed_without_a_line() {
    let front = Front::with(limits(), common::LINE);
    let begun = Instant::now();
    let mut silent = front.connect().await;
    silent.expect_end("never said anything").await;
    assert!((10.0..13.0).contains(&seconds(begun)), "{}", seconds(begun));

    let mut client = front.connect().await;
    assert_eq!(client.get("/").await.status, 200);
    tokio::time::sleep(Duration::from_secs(25)).await;
    assert_eq!(client.get("/").await.status, 200, "kept alive");
    let begun = Instant::now();
    client.expect_end("idle").await;
    assert!((30.0..34.0).contains(&seconds(begun)), "{}", seconds(begun));
    let (_, lines) = front.stop().await;
    assert_eq!(lines, [r#"200 + "GET / HTTP/1.1""#; 2]);
}

/// A connection that is idle for longer than a moment gives its buffers back, and nobody notices.
#[tokio::test(start_paused = true)]
async fn a_parked_connection_goes_on_where_it_was() {
    let front = Front::with(limits(), common::LINE);
    let mut client = front.connect().await;
    let pause = || tokio::time::sleep(Duration::from_secs(9));
    pause().await;
    assert_eq!(client.get("/first").await.status, 200);
    pause().await;
    client.send("GET /in-").await;
    pause().await;
    client.send("pieces HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(client.response("GET").await.status, 200);
    pause().await;
    client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(client.response("POST").await.text(), "hello");
    assert_eq!(client.response("GET").await.status, 200);
    pause().await;
    let large = vec![b'x'; 100_000];
    client
        .send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n")
        .await;
    client.send(&large).await;
    assert_eq!(client.response("POST").await.body, large);
    pause().await;
    client.send("nonsense\r\n\r\n").await;
    assert_eq!(client.response("GET").await.status, 400);
    client.expect_end("nonsense").await;
    assert_eq!(front.log(6).await.len(), 6);

    let mut slow = front.connect().await;
    assert_eq!(slow.get("/").await.status, 200);
    pause().await;
    slow.send("GET /slow").await;
    assert_eq!(slow.response("GET").await.status, 408);

    let mut parked = front.connect().await;
    assert_eq!(parked.get("/").await.status, 200);
    pause().await;
    front.shutdown.begin();
    parked.expect_end("parked when the server stops").await;
    assert_eq!(front.stop().await.0.aborted, 0);
}

#[tokio::test(start_paused = true)]
async fn an_application_may_take_its_time() {
    let front = Front::with(limits(), common::LINE);
    let mut client = front.connect().await;
    client.send("GET /held HTTP/1.1\r\nHost: a\r\n\r\n").await;
    tokio::time::sleep(Duration::from_secs(1000)).await;
    front.events.release();
    assert_eq!(client.response("GET").await.text(), "released");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_nothing_is_cut_off() {
    let front = Front::with(limits(), "%>s %X");
    let mut client = front.connect().await;
    let begun = Instant::now();
    client.send("GET /endless HTTP/1.1\r\nHost: a\r\n\r\n").await;
    while front.events.withdrawn() == 0 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(seconds(begun) < 60.0, "still there");
    }
    assert!(seconds(begun) > 40.0, "{}", seconds(begun));
    assert_eq!(front.log(1).await, ["200 X"]);
}

/// Takes a megabyte every five seconds, and says how long it could; at most for 200 s.
async fn take_slowly(limits: Limits, target: &str) -> (f64, Vec<String>) {
    let front = Front::with(limits, "%>s %X");
    let mut client = front.connect().await;
    let begun = Instant::now();
    client
        .send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"))
        .await;
    let mut megabyte = vec![0; 1 << 20];
    while front.events.withdrawn() == 0 && seconds(begun) < 200.0 {
        tokio::time::sleep(Duration::from_secs(5)).await;
        let _ = client.stream.read_exact(&mut megabyte).await;
    }
    let time = seconds(begun);
    (time, front.log(if time < 200.0 { 1 } else { 0 }).await)
}

/// Never silent for long, and yet too slow. Buffers of the system take megabytes, so the rates are high.
#[tokio::test(start_paused = true)]
async fn a_client_that_takes_its_response_too_slowly_is_cut_off() {
    let reasons = Reasons::listen_to(tracing::Level::INFO);
    let limits = |send_rate| Limits {
        send_rate,
        ..limits()
    };
    let (time, lines) = take_slowly(limits(10 << 20), "/endless").await;
    assert!((40.0..80.0).contains(&time), "{time}");
    assert_eq!(lines, ["200 X"]);
    let told = reasons.take();
    assert!(
        told.iter()
            .any(|reason| reason.contains("the client takes its response too slowly")),
        "{told:?}"
    );
    for send_rate in [0, 100 << 10] {
        let (time, lines) = take_slowly(limits(send_rate), "/endless").await;
        assert!(time >= 200.0, "{send_rate}: {time}");
        assert_eq!(lines, [""; 0]);
    }
}

/// Only the time in which the client is waited for counts.
#[tokio::test(start_paused = true)]
async fn who_waits_for_the_application_is_not_slow() {
    let limits = Limits {
        send_rate: 10 << 20,
        ..limits()
    };
    let front = Front::with(limits, "%>s %X");
    let mut client = front.connect().await;
    client
        .send("GET /typed-held-stream/begun/done HTTP/1.1\r\nHost: a\r\n\r\n")
        .await;
    tokio::time::sleep(Duration::from_secs(1000)).await;
    front.events.release();
    assert_eq!(client.response("GET").await.text(), "begundone");
    assert_eq!(front.log(1).await, ["200 +"]);
}

#[tokio::test]
async fn a_client_that_leaves_withdraws_its_request() {
    let front = Front::with(Limits::default(), "%>s %X %{BALANCER_WORKER_ROUTE}e");
    let mut client = front.connect().await;
    client.send("GET /held HTTP/1.1\r\nHost: a\r\n\r\n").await;
    while front.events.dispatched() == 0 {
        tokio::task::yield_now().await;
    }
    drop(client);
    assert_eq!(front.log(1).await, ["499 X fake_1"]);
    assert_eq!(front.events.withdrawn(), 1);

    // In the middle of an answer the status stays.
    let mut client = front.connect().await;
    client.send("GET /endless HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(client.fill().await);
    drop(client);
    assert_eq!(front.log(2).await[1], "200 X fake_1");
    assert_eq!(front.events.withdrawn(), 2);
}

#[tokio::test]
async fn a_request_that_ends_early_gets_400() {
    let front = Front::start();
    for (bytes, line) in [
        ("GET /part HTTP/1.1\r\nHos", r#"400 - "GET /part HTTP/1.1""#),
        ("GET /pa", r#"400 - "GET /pa""#),
        (
            "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello",
            r#"400 - "POST /echo HTTP/1.1""#,
        ),
    ] {
        let lines = front.log(0).await.len();
        let mut client = front.connect().await;
        client.send(bytes).await;
        client.stream.shutdown().await.unwrap();
        assert_eq!(client.response("GET").await.status, 400, "{bytes:?}");
        client.expect_end(bytes).await;
        assert_eq!(front.log(lines + 1).await[lines..], [line]);
    }
}

#[tokio::test(start_paused = true)]
async fn stopping_closes_idle_connections_and_lets_the_others_finish() {
    let front = Front::with(Limits::default(), common::LINE);
    let mut idle = front.connect().await;
    assert_eq!(idle.get("/").await.status, 200);
    let mut fresh = front.connect().await;
    let mut busy = front.connect().await;
    busy.send("GET /held HTTP/1.1\r\nHost: a\r\n\r\n").await;
    while front.events.dispatched() < 2 {
        tokio::task::yield_now().await;
    }
    front.shutdown.begin();
    idle.expect_end("idle").await;
    fresh.expect_end("fresh").await;
    assert!(
        tokio::net::TcpStream::connect(front.address).await.is_err(),
        "nobody listens any more"
    );
    front.events.release();
    let response = busy.response("GET").await;
    assert_eq!((response.text().as_str(), response.closes()), ("released", true));
    busy.expect_end("busy").await;
    let (drained, lines) = front.stop().await;
    assert_eq!(drained.aborted, 0);
    assert_eq!(lines.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn stopping_does_not_wait_for_ever() {
    let front = Front::with(Limits::default(), "%>s %X");
    let mut client = front.connect().await;
    client.send("GET /held HTTP/1.1\r\nHost: a\r\n\r\n").await;
    while front.events.dispatched() == 0 {
        tokio::task::yield_now().await;
    }
    let begun = Instant::now();
    let events = std::sync::Arc::clone(&front.events);
    let (drained, lines) = front.stop().await;
    assert_eq!(drained.aborted, 1);
    assert!((5.0..6.0).contains(&seconds(begun)), "{}", seconds(begun));
    assert_eq!(lines, ["499 X"]);
    assert_eq!(events.withdrawn(), 1);
}

#[tokio::test]
async fn beyond_the_limit_connections_wait_in_the_backlog() {
    let front = Front::with(
        Limits {
            connections: 2,
            ..Limits::default()
        },
        common::LINE,
    );
    let mut first = front.connect().await;
    let mut second = front.connect().await;
    assert_eq!(first.get("/").await.status, 200);
    assert_eq!(second.get("/").await.status, 200);
    let mut third = front.connect().await;
    third.send("GET /third HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(first.get("/").await.status, 200);
    assert_eq!(front.events.dispatched(), 3, "the third is not served");
    drop(second);
    assert_eq!(third.response("GET").await.status, 200);
}

#[tokio::test]
async fn an_address_has_so_many_connections_and_no_more() {
    let limits = Limits {
        connections_per_address: std::num::NonZeroUsize::new(2),
        ..Limits::default()
    };
    let (front, reasons) = (Front::with(limits, common::LINE), Reasons::listen());
    let mut first = front.connect().await;
    let mut second = front.connect().await;
    assert_eq!(first.get("/").await.status, 200);
    assert_eq!(second.get("/").await.status, 200);

    let mut third = front.connect().await;
    third.send("GET /third HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let response = third.response("GET").await;
    assert_eq!((response.status, response.closes()), (503, true));
    assert!(response.header("retry-after").is_some());
    assert!(response.header("x-request-id").is_some());
    third.expect_end("one too many").await;
    // One that says nothing is told, too.
    let mut silent = front.connect().await;
    assert_eq!(silent.response("GET").await.status, 503);
    silent.expect_end("one too many, silent").await;
    let refused = r#"503 - "-""#;
    assert_eq!(front.log(4).await[2..], [refused, refused]);
    let reasons = reasons.take();
    assert_eq!(reasons.len(), 2, "{reasons:?}");
    assert!(
        reasons
            .iter()
            .all(|reason| reason.contains("max_connections_per_address"))
    );

    assert_eq!(first.get("/").await.status, 200, "the others are as they were");
    drop(second);
    loop {
        // It takes a moment until the front sees that the second is gone.
        let mut next = front.connect().await;
        next.send("GET /next HTTP/1.1\r\nHost: a\r\n\r\n").await;
        match next.response("GET").await.status {
            503 => tokio::task::yield_now().await,
            status => break assert_eq!(status, 200),
        }
    }
    assert_eq!(front.events.dispatched(), 4);
}

/// Whoever opens connections faster than their farewells end cannot fill the server with them.
#[tokio::test]
async fn those_who_are_turned_away_do_not_pile_up() {
    let limits = Limits {
        connections: 1 + 64 + 1,
        connections_per_address: std::num::NonZeroUsize::new(1),
        linger_timeout: Duration::from_secs(60),
        ..Limits::default()
    };
    let (front, reasons) = (Front::with(limits, common::LINE), Reasons::listen());
    let mut only = front.connect().await;
    assert_eq!(only.get("/").await.status, 200);
    let mut told = Vec::new();
    for _ in 0..64 {
        let mut client = front.connect().await;
        assert_eq!(client.response("GET").await.status, 503);
        // It neither leaves nor says anything.
        told.push(client);
    }
    for _ in 0..10 {
        front.connect().await.expect_end("closed at once").await;
    }
    let reasons = reasons.take();
    let unanswered = reasons
        .iter()
        .filter(|reason| reason.contains("closed unanswered"));
    assert_eq!((reasons.len(), unanswered.count()), (74, 10));
    assert_eq!(front.log(65).await.len(), 65);
    assert_eq!(only.get("/").await.status, 200);
}

/// Many clients at once, some of which leave at odd moments: each request has its one line.
#[tokio::test]
async fn no_line_is_lost_or_doubled() {
    let front = Front::with(Limits::default(), "%r");
    let mut clients = tokio::task::JoinSet::new();
    for number in 0..50 {
        let mut client = front.connect().await;
        clients.spawn(async move {
            for request in 0..20 {
                let target = ["/", "/stream/a/b", "/file/10/0/10", "/fails/full"][request % 4];
                client.get(&format!("{target}?{number}-{request}")).await;
            }
            client
                .send(format!("GET /held?{number}-20 HTTP/1.1\r\nHost: a\r\n\r\n"))
                .await;
        });
    }
    while clients.join_next().await.is_some() {}
    let mut lines = front.log(50 * 21).await;
    lines.sort();
    lines.dedup();
    assert_eq!(lines.len(), 50 * 21);
}
