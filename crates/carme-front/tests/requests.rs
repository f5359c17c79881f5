//! What the application sees of a request.

mod common;

use carme_front::Limits;
use common::Front;

fn digest(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |sum: u64, byte| {
        sum.wrapping_mul(31).wrapping_add(u64::from(*byte))
    })
}

#[tokio::test]
async fn the_head_is_taken_apart() {
    let front = Front::start();
    let mut client = front.connect().await;
    client
        .send(
            "GET /mount/dump/%41%2fb//c/../%zz?q=%20&r HTTP/1.1\r\nHost: name:81\r\nX-A: 1\r\nx-a: 2\r\nX_B: forged\r\n\
             Connection: keep-alive, x-a\r\nTE: trailers\r\nUpgrade: h2c\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\n\r\n",
        )
        .await;
    let text = client.response("GET").await.text();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines,
        [
            "method=GET",
            "target=/mount/dump/%41%2fb//c/../%zz?q=%20&r",
            "script=/mount",
            "path=/dump/A/b//c/../%zz",
            "query=q=%20&r",
            "server=name",
            "remote=127.0.0.1",
            "version=Http11",
            "body=",
            "host: name:81",
            "x-a: 1",
            "x-a: 2",
        ]
    );
}

#[tokio::test]
async fn an_absolute_target_brings_its_own_host() {
    let front = Front::start();
    let mut client = front.connect().await;
    client
        .send("GET http://other:82/dump?x HTTP/1.1\r\nHost: OTHER:82\r\n\r\n")
        .await;
    let text = client.response("GET").await.text();
    for line in [
        "target=http://other:82/dump?x",
        "path=/dump",
        "query=x",
        "server=other",
        "host: other:82",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    client.send("GET /dump HTTP/1.0\r\n\r\n").await;
    let text = client.response("GET").await.text();
    for line in ["server=127.0.0.1", "version=Http10"] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
}

#[tokio::test]
async fn bodies_of_every_size_and_framing_arrive_whole() {
    let limits = Limits {
        body_memory: 100_000,
        ..Limits::default()
    };
    let front = Front::with(limits, "%>s %I");
    let mut client = front.connect().await;
    for (size, kind) in [
        (0, "empty"),
        (1, "memory"),
        (5_000, "memory"),
        (60_000, "file"),
        (100_000, "file"),
        (100_001, "file"),
        (3_000_000, "file"),
    ] {
        let body: Vec<u8> = (0..size)
            .map(|at: u32| (at.wrapping_mul(2_654_435_761) >> 24) as u8)
            .collect();
        let expected = format!("{kind} {size} {}", digest(&body));

        client
            .send(format!(
                "POST /digest HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n"
            ))
            .await;
        client.send(&body).await;
        assert_eq!(client.response("POST").await.text(), expected, "declared");

        client
            .send("POST /digest HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
            .await;
        for chunk in body.chunks(7_777) {
            client.send(format!("{:x}\r\n", chunk.len())).await;
            client.send(chunk).await;
            client.send("\r\n").await;
        }
        client.send("0\r\nX-Trailer: ignored\r\n\r\n").await;
        assert_eq!(client.response("POST").await.text(), expected, "chunked");
    }
}

#[tokio::test]
async fn a_chunked_body_has_a_length_for_the_application() {
    let front = Front::start();
    let mut client = front.connect().await;
    client
        .send("POST /dump HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
        .await;
    let text = client.response("POST").await.text();
    assert!(
        text.contains("\nbody=abc\n") && text.contains("\ncontent-length: 3"),
        "{text}"
    );
    assert!(!text.contains("transfer-encoding"), "{text}");
}

#[tokio::test]
async fn a_body_beyond_the_limit_gets_413_however_it_is_framed() {
    let front = Front::with(
        Limits {
            body_bytes: 1000,
            ..Limits::default()
        },
        common::LINE,
    );
    let mut client = front.connect().await;
    client
        .send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\nExpect: 100-continue\r\n\r\n")
        .await;
    let response = client.response("POST").await;
    assert_eq!(
        (response.status, response.closes()),
        (413, true),
        "and no 100 before it"
    );
    client.expect_end("declared").await;

    let mut client = front.connect().await;
    client
        .send("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await;
    // Much more than is read; the answer must arrive nevertheless.
    for _ in 0..100 {
        client.send(format!("1000\r\n{}\r\n", "x".repeat(0x1000))).await;
    }
    assert_eq!(client.response("POST").await.status, 413);
    client.expect_end("counted").await;
    assert_eq!(front.log(2).await, [r#"413 - "POST /echo HTTP/1.1""#; 2]);
    assert_eq!(front.events.dispatched(), 0);
}

/// As large as the settings allow, where hyper's own limits would answer by themselves.
#[tokio::test]
async fn large_limits_are_the_guards_and_not_hypers() {
    let limits = Limits {
        header_bytes: 1 << 20,
        header_fields: 1000,
        target_bytes: 65_000,
        ..Limits::default()
    };
    let front = Front::with(limits, common::LINE);
    let get = |target: &str, fields: String| format!("GET {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    let field = |name: usize, value: usize| format!("{}: {}\r\n", "n".repeat(name), "v".repeat(value));
    for (status, bytes) in [
        (200, get("/", "x: y\r\n".repeat(999))),
        (431, get("/", "x: y\r\n".repeat(1000))),
        (200, get("/", field(30_000, 1))),
        (431, get("/", field(40_000, 1))),
        (431, get("/", field(70_000, 1))),
        (200, get("/", field(1, 900_000))),
        (431, get("/", field(1, 1 << 20))),
        (200, get(&format!("/{}", "a".repeat(64_999)), String::new())),
        (414, get(&format!("/{}", "a".repeat(65_000)), String::new())),
        (414, get(&format!("/{}", "a".repeat(70_000)), String::new())),
        (
            414,
            get(&format!("http://a/{}", "a".repeat(65_000)), String::new()),
        ),
    ] {
        let mut client = front.connect().await;
        client.send(&bytes).await;
        let response = client.response("GET").await;
        assert_eq!(response.status, status, "{}", bytes.len());
        assert!(response.header("x-request-id").is_some(), "{}", bytes.len());
    }
    assert_eq!(front.log(11).await.len(), 11);
}

#[tokio::test]
async fn expect_100_continue_is_answered_before_the_body_comes() {
    let front = Front::start();
    let mut client = front.connect().await;
    client
        .send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        .await;
    assert_eq!(client.response("POST").await.line, "HTTP/1.1 100 Continue");
    client.send("hello").await;
    assert_eq!(client.response("POST").await.text(), "hello");
    assert_eq!(client.get("/").await.status, 200);
}

#[tokio::test]
async fn a_path_without_location_gets_404() {
    // The fake site has a root; only what is no path at all has no location there.
    let front = Front::start_at(&["/only"]);
    let mut client = front.connect().await;
    for (target, status) in [
        ("/", 404),
        ("/onlyx", 404),
        ("/only", 200),
        ("/only/x", 200),
        ("//only", 404),
    ] {
        assert_eq!(client.get(target).await.status, status, "{target}");
    }
    client
        .send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
        .await;
    let response = client.response("POST").await;
    assert_eq!((response.status, response.closes()), (404, true));
    client.expect_end("a body that nobody reads").await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_unix_socket_serves_like_a_port() {
    use carme_front::{Listener, Location, Shutdown, Site, SiteOptions, serve};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("front.sock");
    // What a killed run has left is replaced.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let listener = Listener::unix(&path, 16).unwrap();
    assert!(Listener::unix(&path, 16).is_err(), "somebody listens there");
    let events = Default::default();
    let site = Site::new(
        SiteOptions::default(),
        [Location::new("/", common::app::Fake::new(&events))],
    );
    let shutdown = Shutdown::new(std::time::Duration::from_secs(5));
    let server = tokio::spawn(serve(vec![listener], std::sync::Arc::new(site), shutdown.clone()));
    let mut stream = tokio::net::UnixStream::connect(&path).await.unwrap();
    stream
        .write_all(b"GET /dump HTTP/1.1\r\nHost: a:83\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    assert!(
        text.contains("\nremote=\n") && text.contains("\nserver=a\n"),
        "{text}"
    );
    shutdown.begin();
    server.await.unwrap();
    assert!(!path.exists());
}
