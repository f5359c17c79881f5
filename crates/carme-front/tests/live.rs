//! Another site and other addresses while connections are there.

mod common;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use carme_front::{Fixed, Limits, Listener, Location, Server, Shutdown, Site, SiteOptions};
use common::app::{Events, Fake};
use common::client::Client;
use http::{HeaderValue, StatusCode};

/// What `/text` says, and how large bodies for the application may be.
fn site(text: &str, body_bytes: u64, events: &Arc<Events>) -> Arc<Site<Fake>> {
    let options = SiteOptions {
        limits: Limits {
            body_bytes,
            ..Limits::default()
        },
        ..SiteOptions::default()
    };
    serving(options, text, events)
}

fn serving(options: SiteOptions, text: &str, events: &Arc<Events>) -> Arc<Site<Fake>> {
    let fixed = Fixed {
        status: StatusCode::OK,
        content_type: HeaderValue::from_static("text/plain"),
        body: Bytes::copy_from_slice(text.as_bytes()),
    };
    Arc::new(Site::new(
        options,
        [
            Location::fixed("/text", fixed),
            Location::new("/", Fake::new(events)),
        ],
    ))
}

fn listen() -> Listener {
    Listener::tcp("127.0.0.1:0".parse().expect("an address"), 64).expect("a port")
}

async fn post(client: &mut Client, body: &str) -> u16 {
    let head = format!(
        "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    client.send(head + body).await;
    client.response("POST").await.status
}

#[tokio::test]
async fn a_kept_connection_sees_the_next_site_and_a_request_under_way_keeps_its_own() {
    let events = Arc::<Events>::default();
    let server = Server::new(site("first", 100, &events));
    let listener = listen();
    let address = listener.local_addr().expect("an address");
    server.open(listener);
    let mut kept = Client::connect(address).await;
    assert_eq!(kept.get("/text").await.text(), "first");
    let mut busy = Client::connect(address).await;
    busy.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 20\r\n\r\n0123456789")
        .await;
    // Until the server has its head.
    tokio::time::sleep(Duration::from_millis(50)).await;

    let retired = server.replace(site("second", 5, &events));
    assert_eq!(kept.get("/text").await.text(), "second");
    let over = tokio::time::timeout(Duration::from_millis(100), retired.over()).await;
    assert!(over.is_err(), "a request goes by it still");
    busy.send("0123456789").await;
    assert_eq!(
        busy.response("POST").await.status,
        200,
        "it began with the larger limit"
    );
    assert_eq!(post(&mut busy, "0123456789").await, 413, "the next one did not");
    // Kept connections do not hold what was.
    retired.over().await;
    assert_eq!(kept.get("/text").await.text(), "second");
}

#[tokio::test]
async fn limits_of_heads_and_of_connections_follow() {
    let events = Arc::<Events>::default();
    let server = Server::new(site("a", 100, &events));
    let listener = listen();
    let address = listener.local_addr().expect("an address");
    server.open(listener);
    let mut kept = Client::connect(address).await;
    let long = format!("/{}", "x".repeat(200));
    assert_eq!(kept.get(&long).await.status, 200);
    let options = |limits| SiteOptions {
        limits,
        ..SiteOptions::default()
    };
    let tight = Limits {
        target_bytes: 100,
        connections_per_address: std::num::NonZeroUsize::new(1),
        ..Limits::default()
    };
    server.replace(serving(options(tight), "a", &events));
    assert_eq!(kept.get(&long).await.status, 414);
    let mut first = Client::connect(address).await;
    assert_eq!(first.get("/text").await.status, 200);
    let mut second = Client::connect(address).await;
    assert_eq!(second.response("GET").await.status, 503);
    // More than hyper expects by default, on a connection that it has already.
    let wide = Limits {
        header_fields: 150,
        ..Limits::default()
    };
    server.replace(serving(options(wide), "a", &events));
    tokio::time::sleep(Duration::from_millis(600)).await;
    let fields: String = (0..120).map(|n| format!("X-{n}: 1\r\n")).collect();
    first
        .send(format!("GET /text HTTP/1.1\r\nHost: test\r\n{fields}\r\n"))
        .await;
    assert_eq!(first.response("GET").await.status, 200);
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_the_new_time() {
    let events = Arc::<Events>::default();
    let server = Server::new(site("a", 100, &events));
    let listener = listen();
    let address = listener.local_addr().expect("an address");
    server.open(listener);
    let mut kept = Client::connect(address).await;
    kept.get("/text").await;
    let options = SiteOptions {
        limits: Limits {
            keep_alive_timeout: Duration::from_millis(300),
            ..Limits::default()
        },
        ..SiteOptions::default()
    };
    server.replace(serving(options, "a", &events));
    kept.get("/text").await;
    let end = tokio::time::timeout(Duration::from_secs(10), kept.expect_end("idle")).await;
    assert!(end.is_ok(), "it would have been 75 seconds before");
}

#[tokio::test]
async fn addresses_come_and_go_and_connections_stay() {
    let events = Arc::<Events>::default();
    let server = Server::new(site("text", 100, &events));
    let (first, second) = (listen(), listen());
    let [old, new] = [&first, &second].map(|listener| listener.local_addr().expect("an address"));
    let door = server.open(first);
    let mut kept = Client::connect(old).await;
    assert_eq!(kept.get("/text").await.text(), "text");
    server.open(second);
    server.close(door).await;
    assert!(tokio::net::TcpStream::connect(old).await.is_err());
    assert_eq!(kept.get("/text").await.text(), "text");
    assert_eq!(Client::connect(new).await.get("/text").await.text(), "text");

    let shutdown = Shutdown::new(Duration::from_secs(5));
    shutdown.begin();
    assert_eq!(server.run(shutdown).await.aborted, 0);
    kept.expect_end("the server's end").await;
    assert!(tokio::net::TcpStream::connect(new).await.is_err());
}
