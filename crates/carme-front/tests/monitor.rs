//! What the front counts, and the pages that it answers whatever its applications do.

mod common;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use carme_front::{
    Insight, Limits, Listener, Location, Metrics, Monitor, Readiness, Shutdown, Site, SiteOptions, serve,
};
use carme_metrics::Exposition;
use common::app::{Events, Fake};
use common::client::Client;

/// A front with metrics and all pages, whose one app says that it is ready when it is told to.
struct Watched {
    address: std::net::SocketAddr,
    metrics: Arc<Metrics>,
    events: Arc<Events>,
    ready: Arc<Told>,
}

struct Told {
    ready: AtomicBool,
    shutdown: Shutdown,
}

struct Teller(Arc<Told>);

impl Insight for Teller {
    fn is_draining(&self) -> bool {
        self.0.shutdown.has_begun()
    }

    fn apps(&self) -> Vec<Readiness> {
        let ready = usize::from(self.0.ready.load(Ordering::Relaxed));
        vec![Readiness {
            app: "fake".to_owned(),
            workers: 1,
            ready,
            starting: 1 - ready,
            failed: 0,
        }]
    }

    fn metrics(&self) -> Pin<Box<dyn Future<Output = String> + Send>> {
        Box::pin(async { "told 1\n".to_owned() })
    }
}

impl Watched {
    fn start() -> Self {
        let metrics = Arc::new(Metrics::new([("fake", vec!["fake_1".into()])]));
        let events = Arc::<Events>::default();
        let shutdown = Shutdown::new(Duration::from_secs(5));
        let ready = Arc::new(Told {
            ready: AtomicBool::new(false),
            shutdown: shutdown.clone(),
        });
        let options = SiteOptions {
            limits: Limits::default(),
            metrics: Some(Arc::clone(&metrics)),
            monitor: Some(Monitor {
                alive: Some("/healthz".to_owned()),
                ready: Some("/readyz".to_owned()),
                metrics: Some("/metrics".to_owned()),
                insight: Arc::new(Teller(Arc::clone(&ready))),
            }),
            ..SiteOptions::default()
        };
        let site = Site::new(options, [Location::new("/", Fake::new(&events))]);
        let listener = Listener::tcp("127.0.0.1:0".parse().unwrap(), 1024).unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(vec![listener], Arc::new(site), shutdown));
        Watched {
            address,
            metrics,
            events,
            ready,
        }
    }

    async fn connect(&self) -> Client {
        Client::connect(self.address).await
    }

    fn value(&self, sample: &str) -> Option<f64> {
        let mut text = Exposition::default();
        self.metrics.write(&mut text);
        let text = text.into_text();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '))?;
        Some(line.parse().expect(line))
    }

    /// Waits until a sample has a value: a response may be read before the front has noticed that it is sent.
    async fn expect(&self, sample: &str, value: f64) {
        for _ in 0..500 {
            if self.value(sample) == Some(value) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{sample} is {:?}, not {value}", self.value(sample));
    }
}

const OK: &str = r#"{app="fake",route="fake_1",status="2xx"}"#;

#[tokio::test]
async fn a_thousand_requests_are_a_thousand_in_every_figure() {
    let front = Watched::start();
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let mut client = front.connect().await;
        clients.spawn(async move {
            for request in 0..100 {
                let path = if request % 4 == 0 { "/status/404" } else { "/" };
                client.get(path).await;
            }
        });
    }
    clients.join_all().await;
    front
        .expect(&format!("carme_http_requests_total{OK}"), 750.0)
        .await;
    let bad = OK.replace("2xx", "4xx");
    front
        .expect(&format!("carme_http_requests_total{bad}"), 250.0)
        .await;
    for histogram in ["duration", "queue", "worker"] {
        let name = format!("carme_http_request_{histogram}_seconds");
        assert_eq!(front.value(&format!("{name}_count{OK}")), Some(750.0));
        let whole = format!("{name}_bucket{}", OK.replace('}', r#",le="+Inf"}"#));
        assert_eq!(front.value(&whole), Some(750.0));
    }
    // The fake application says 10 and 20 microseconds.
    let first = format!(
        "carme_http_request_worker_seconds_bucket{}",
        OK.replace('}', r#",le="0.0001"}"#)
    );
    assert_eq!(front.value(&first), Some(750.0));
    let sum = front.value(&format!("carme_http_request_worker_seconds_sum{OK}"));
    assert!((sum.unwrap() - 750.0 * 20e-6).abs() < 1e-9, "{sum:?}");
    let request = "GET / HTTP/1.1\r\nHost: test\r\n\r\n".len() * 750
        + "GET /status/404 HTTP/1.1\r\nHost: test\r\n\r\n".len() * 250;
    assert_eq!(
        front.value(r#"carme_http_request_bytes_total{app="fake"}"#),
        Some(request as f64)
    );
    assert!(front.value(r#"carme_http_response_bytes_total{app="fake"}"#) > Some(100_000.0));
    assert_eq!(front.value("carme_http_requests_in_progress"), Some(0.0));
    assert_eq!(front.value("carme_http_requests_aborted_total"), Some(0.0));
    assert_eq!(front.value("carme_connections_accepted_total"), Some(10.0));
    front.expect("carme_connections_open", 0.0).await;
}

#[tokio::test]
async fn pages_come_while_every_request_is_held() {
    let front = Watched::start();
    let mut held = Vec::new();
    for _ in 0..50 {
        let mut client = front.connect().await;
        client.send("GET /held HTTP/1.1\r\nHost: test\r\n\r\n").await;
        held.push(client);
    }
    front.expect("carme_http_requests_in_progress", 50.0).await;
    let mut client = front.connect().await;
    assert_eq!(client.get("/healthz").await.text(), "ok\n");
    let response = client.get("/readyz").await;
    assert_eq!(
        (response.status, response.text().as_str()),
        (503, "not ready\nfake: 0 of 1 workers ready, 1 starting\n")
    );
    front.ready.ready.store(true, Ordering::Relaxed);
    for path in ["/readyz", "/readyz/fake"] {
        let response = client.get(path).await;
        assert_eq!(
            (response.status, response.text().as_str()),
            (200, "ready\nfake: 1 of 1 workers ready\n")
        );
        assert_eq!(response.header("cache-control"), Some("no-store"));
    }
    assert_eq!(client.get("/readyz/other").await.status, 404);
    let response = client.get("/metrics").await;
    assert_eq!(
        (response.header("content-type"), response.text().as_str()),
        (Some("text/plain; version=0.0.4; charset=utf-8"), "told 1\n")
    );
    front.events.release();
    for mut client in held {
        assert_eq!(client.response("GET").await.text(), "released");
    }
    front
        .expect(&format!("carme_http_requests_total{OK}"), 50.0)
        .await;
    front
        .expect(r#"carme_http_requests_total{status="2xx"}"#, 4.0)
        .await;
    front
        .expect(r#"carme_http_requests_total{status="4xx"}"#, 1.0)
        .await;
    front
        .expect(r#"carme_http_requests_total{status="5xx"}"#, 1.0)
        .await;
}

#[tokio::test]
async fn pages_are_there_to_be_read() {
    let front = Watched::start();
    let mut client = front.connect().await;
    client.send("HEAD /healthz HTTP/1.1\r\nHost: test\r\n\r\n").await;
    let response = client.response("HEAD").await;
    assert_eq!(
        (response.status, response.header("content-length")),
        (200, Some("3"))
    );
    assert_eq!(client.get("/healthz?x=1").await.status, 200);
    assert_eq!(client.get("/%68ealthz").await.status, 200);
    client
        .send("GET /healthz HTTP/1.1\r\nHost: test\r\nAccept: application/json\r\n\r\n")
        .await;
    assert_eq!(client.response("GET").await.text(), "{\"status\":\"ok\"}\n");
    client
        .send("POST /healthz HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\n\r\nabc")
        .await;
    let response = client.response("POST").await;
    assert_eq!(
        (response.status, response.header("allow"), response.closes()),
        (405, Some("GET, HEAD"), true)
    );
    client.expect_end("a body that nobody reads").await;
    assert_eq!(front.events.dispatched(), 0);
}

#[tokio::test]
async fn what_goes_wrong_is_counted_by_its_cause() {
    let front = Watched::start();
    let mut client = front.connect().await;
    for (how, times) in [
        ("full", 3),
        ("late", 2),
        ("died", 1),
        ("hangs", 2),
        ("raised", 1),
        ("invalid", 1),
    ] {
        for _ in 0..times {
            client.get(&format!("/fails/{how}")).await;
        }
    }
    for (cause, count) in [
        ("queue_full", 3.0),
        ("queue_timeout", 2.0),
        ("worker_died", 1.0),
        ("request_timeout", 2.0),
        ("app_raised", 1.0),
        ("invalid_response", 1.0),
        ("stopping", 0.0),
    ] {
        let sample = format!("carme_app_failures_total{{app=\"fake\",cause=\"{cause}\"}}");
        assert_eq!(front.value(&sample), Some(count), "{cause}");
    }
    for (code, count) in [
        ("503", 5.0),
        ("502", 2.0),
        ("504", 2.0),
        ("500", 1.0),
        ("400", 0.0),
    ] {
        let sample = format!("carme_http_error_responses_total{{code=\"{code}\"}}");
        assert_eq!(front.value(&sample), Some(count), "{code}");
    }
    front
        .expect(
            r#"carme_http_requests_total{app="fake",route="fake_1",status="5xx"}"#,
            10.0,
        )
        .await;

    client.send("GET  / HTTP/1.1\r\n\r\n").await;
    assert_eq!(client.response("GET").await.status, 400);
    front
        .expect(r#"carme_http_error_responses_total{code="400"}"#, 1.0)
        .await;
    front
        .expect(r#"carme_http_requests_total{status="4xx"}"#, 1.0)
        .await;

    let mut leaves = front.connect().await;
    leaves.send("GET /held HTTP/1.1\r\nHost: test\r\n\r\n").await;
    front.expect("carme_http_requests_in_progress", 1.0).await;
    drop(leaves);
    front.expect("carme_http_requests_aborted_total", 1.0).await;
    front.expect("carme_http_requests_in_progress", 0.0).await;
    front
        .expect(
            r#"carme_http_requests_total{app="fake",route="fake_1",status="4xx"}"#,
            1.0,
        )
        .await;
}
