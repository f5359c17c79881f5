//! Spans gathered and sent: one task, one request at a time, one connection for each.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::Full;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};

use crate::context;
use crate::endpoint::Endpoint;
use crate::otlp::{self, Span};

/// How spans are sent.
#[derive(Clone, Debug)]
pub struct ExporterOptions {
    /// Where to.
    pub endpoint: Endpoint,
    /// `service.name`.
    pub service: String,
    /// The program's version.
    pub version: String,
    /// Spans that may wait; further ones are dropped.
    pub waiting: usize,
    /// Spans of one request.
    pub batch: usize,
    /// How long spans gather before they are sent.
    pub linger: Duration,
    /// How long a request may take.
    pub timeout: Duration,
    /// How often a batch is sent again if the collector cannot be reached or asks for it.
    pub retries: u32,
    /// How long it is waited before the first of these; twice as long before each further one.
    pub pause: Duration,
    /// The longest that it is waited, whatever the collector asks for.
    pub longest_pause: Duration,
}

impl ExporterOptions {
    /// The usual ones, which are those of OpenTelemetry's batch processor.
    pub fn new(endpoint: Endpoint, service: impl Into<String>, version: impl Into<String>) -> Self {
        ExporterOptions {
            endpoint,
            service: service.into(),
            version: version.into(),
            waiting: 2048,
            batch: 512,
            linger: Duration::from_secs(5),
            timeout: Duration::from_secs(10),
            retries: 4,
            pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(30),
        }
    }
}

/// What has become of the spans so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Taken by the collector.
    pub sent: u64,
    /// Dropped, because too many waited or the collector did not take them.
    pub dropped: u64,
}

#[derive(Debug, Default)]
struct Counts {
    sent: AtomicU64,
    dropped: AtomicU64,
}

/// Takes spans and sends them. Clones are one; when the last is dropped, what waits is still sent.
#[derive(Clone, Debug)]
pub struct Exporter {
    spans: mpsc::Sender<Span>,
    counts: Arc<Counts>,
    closing: Arc<Notify>,
    done: watch::Receiver<bool>,
}

impl Exporter {
    /// Starts the task that sends. Call it within the runtime.
    pub fn start(options: ExporterOptions) -> Self {
        let (spans, receiver) = mpsc::channel(options.waiting.max(1));
        let counts = Arc::<Counts>::default();
        let closing = Arc::<Notify>::default();
        let (finished, done) = watch::channel(false);
        let task = run(options, receiver, Arc::clone(&counts), Arc::clone(&closing));
        tokio::spawn(async move {
            task.await;
            finished.send_replace(true);
        });
        Exporter {
            spans,
            counts,
            closing,
            done,
        }
    }

    /// Hands a span over. Never waits: it is dropped if too many wait already.
    pub fn send(&self, span: Span) {
        if self.spans.try_send(span).is_err() {
            self.counts.dropped.fetch_add(1, Relaxed);
        }
    }

    /// Takes no more spans, and returns when those that wait are sent or dropped, or after this time.
    pub async fn finish(&self, patience: Duration) {
        self.closing.notify_one();
        let _ = timeout(patience, self.done.clone().wait_for(|done| *done)).await;
    }

    /// What has become of the spans so far.
    pub fn totals(&self) -> Totals {
        Totals {
            sent: self.counts.sent.load(Relaxed),
            dropped: self.counts.dropped.load(Relaxed),
        }
    }
}

async fn run(
    options: ExporterOptions,
    mut spans: mpsc::Receiver<Span>,
    counts: Arc<Counts>,
    closing: Arc<Notify>,
) {
    let mut batch = Vec::new();
    let mut troubled = false;
    while gather(&options, &mut spans, &closing, &mut batch).await {
        let body = Bytes::from(otlp::request(&options.service, &options.version, &batch));
        let number = batch.len() as u64;
        batch.clear();
        match deliver(&options, &mut spans, &closing, &body).await {
            Ok(()) => {
                counts.sent.fetch_add(number, Relaxed);
                if troubled {
                    tracing::warn!("{} takes spans again", options.endpoint);
                }
                troubled = false;
            }
            Err(error) => {
                counts.dropped.fetch_add(number, Relaxed);
                if !troubled {
                    tracing::warn!("{} takes no spans, they are dropped: {error}", options.endpoint);
                }
                troubled = true;
            }
        }
    }
}

/// Sends a batch, again if that may help. New spans wait meanwhile, as many as may. At the end there is one last attempt.
async fn deliver(
    options: &ExporterOptions,
    spans: &mut mpsc::Receiver<Span>,
    closing: &Notify,
    body: &Bytes,
) -> Result<(), PostError> {
    let mut retries = 0;
    loop {
        let outcome = timeout(options.timeout, post(&options.endpoint, body.clone())).await;
        let error = match outcome.unwrap_or(Err(PostError::TooSlow)) {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        if retries == options.retries || !error.is_temporary() {
            return Err(error);
        }
        tracing::debug!("{} does not take spans yet: {error}", options.endpoint);
        let pause = pause(options, retries, &error);
        tokio::select! {
            biased;
            () = closing.notified() => {
                spans.close();
                retries = options.retries;
            }
            () = tokio::time::sleep(pause) => retries += 1,
        }
    }
}

/// What the collector asks for, or else longer each time, and not the same for all servers that lost it together.
fn pause(options: &ExporterOptions, retries: u32, error: &PostError) -> Duration {
    let own = options.pause.saturating_mul(1 << retries.min(16));
    let own = own.mul_f64(0.75 + 0.5 * context::fraction());
    let asked = match error {
        PostError::Refused(_, asked) => *asked,
        _ => None,
    };
    asked.unwrap_or(own).min(options.longest_pause)
}

/// Waits for the first span and then for a moment, or until there are enough. `false` at the end.
async fn gather(
    options: &ExporterOptions,
    spans: &mut mpsc::Receiver<Span>,
    closing: &Notify,
    batch: &mut Vec<Span>,
) -> bool {
    let mut until = None;
    while batch.len() < options.batch {
        let patience = async {
            match until {
                Some(until) => sleep_until(until).await,
                None => pending().await,
            }
        };
        tokio::select! {
            biased;
            // What waits is still received, nothing new is.
            () = closing.notified() => spans.close(),
            span = spans.recv() => match span {
                Some(span) => batch.push(span),
                None => break,
            },
            () = patience => break,
        }
        until.get_or_insert_with(|| Instant::now() + options.linger);
    }
    !batch.is_empty()
}

#[derive(Debug, thiserror::Error)]
enum PostError {
    #[error("it cannot be reached: {0}")]
    Connect(#[from] std::io::Error),
    #[error("the connection broke: {0}")]
    Http(#[from] hyper::Error),
    #[error("its address makes no request: {0}")]
    Request(#[from] http::Error),
    #[error("it answers {0}")]
    Refused(StatusCode, Option<Duration>),
    #[error("it is too slow")]
    TooSlow,
}

impl PostError {
    /// Whether the same may be taken later (OTLP specification, "OTLP/HTTP Response").
    fn is_temporary(&self) -> bool {
        match self {
            PostError::Connect(_) | PostError::Http(_) | PostError::TooSlow => true,
            PostError::Request(_) => false,
            PostError::Refused(status, _) => matches!(status.as_u16(), 429 | 502 | 503 | 504),
        }
    }
}

/// `Retry-After` in seconds. A date is not read: clocks differ, and there is an own pause for it.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(header::RETRY_AFTER)?.to_str().ok()?;
    seconds.trim().parse().ok().map(Duration::from_secs)
}

async fn post(endpoint: &Endpoint, body: Bytes) -> Result<(), PostError> {
    // Brackets are the URL's, not the address's.
    let host = endpoint.host.trim_start_matches('[').trim_end_matches(']');
    let stream = TcpStream::connect((host, endpoint.port)).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::post(&endpoint.path)
        .header(header::HOST, format!("{}:{}", endpoint.host, endpoint.port))
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::CONNECTION, "close")
        .body(Full::new(body))?;
    let driven = tokio::spawn(connection);
    let response = sender.send_request(request).await;
    driven.abort();
    let response = response?;
    match response.status() {
        status if status.is_success() => Ok(()),
        status => Err(PostError::Refused(status, retry_after(response.headers()))),
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::Context;

    fn span(name: &str) -> Span {
        let context = Context::root(1.0);
        Span {
            trace: context.trace,
            id: context.span,
            parent: None,
            name: name.to_owned(),
            start: SystemTime::now(),
            end: SystemTime::now(),
            failed: false,
            attributes: Vec::new(),
        }
    }

    /// Answers one request with this status; its head and body.
    async fn collect(listener: &TcpListener, status: &str) -> (String, serde_json::Value) {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut bytes = Vec::new();
        loop {
            let mut piece = [0; 4096];
            let read = stream.read(&mut piece).await.unwrap();
            bytes.extend_from_slice(&piece[..read]);
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let Some((head, body)) = text.split_once("\r\n\r\n") else {
                continue;
            };
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            if body.len() < length.expect(head).parse().unwrap() {
                continue;
            }
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\n{{}}");
            stream.write_all(answer.as_bytes()).await.unwrap();
            return (head.to_owned(), serde_json::from_str(body).unwrap());
        }
    }

    fn names(request: &serde_json::Value) -> Vec<&str> {
        let spans = request["resourceSpans"][0]["scopeSpans"][0]["spans"]
            .as_array()
            .unwrap();
        spans.iter().map(|span| span["name"].as_str().unwrap()).collect()
    }

    async fn expect(exporter: &Exporter, sent: u64, dropped: u64) {
        for _ in 0..1000 {
            if exporter.totals() == (Totals { sent, dropped }) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("{:?}", exporter.totals());
    }

    #[tokio::test]
    async fn spans_come_in_batches_and_losses_are_counted() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let exporter = Exporter::start(ExporterOptions {
            waiting: 5,
            batch: 3,
            linger: Duration::from_millis(50),
            timeout: Duration::from_millis(300),
            retries: 1,
            pause: Duration::from_millis(1),
            ..ExporterOptions::new(endpoint.parse().unwrap(), "site", "1")
        });
        for name in ["a", "b", "c", "d", "e", "f", "g"] {
            exporter.send(span(name));
        }
        let (head, body) = collect(&listener, "200 OK").await;
        assert!(head.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{head}");
        assert!(head.contains("content-type: application/json"), "{head}");
        assert_eq!(names(&body), ["a", "b", "c"]);
        assert_eq!(names(&collect(&listener, "200 OK").await.1), ["d", "e"]);
        expect(&exporter, 5, 2).await;
        // What no other attempt would change.
        exporter.send(span("h"));
        collect(&listener, "400 Bad Request").await;
        expect(&exporter, 5, 3).await;
        // Too slow, then gone, each time as often as it is tried.
        exporter.send(span("i"));
        expect(&exporter, 5, 4).await;
        drop(listener);
        exporter.send(span("j"));
        expect(&exporter, 5, 5).await;
    }

    #[tokio::test]
    async fn what_the_collector_does_not_take_yet_is_sent_again() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let exporter = Exporter::start(ExporterOptions {
            batch: 1,
            pause: Duration::from_millis(1),
            ..ExporterOptions::new(endpoint.parse().unwrap(), "site", "1")
        });
        exporter.send(span("a"));
        for status in [
            "429 Too Many",
            "503 Busy\r\nRetry-After: 0",
            "502 Bad",
            "504 Late",
            "200 OK",
        ] {
            assert_eq!(names(&collect(&listener, status).await.1), ["a"], "{status}");
        }
        expect(&exporter, 1, 0).await;
        // Five attempts, and no more.
        exporter.send(span("b"));
        exporter.send(span("c"));
        for _ in 0..5 {
            assert_eq!(names(&collect(&listener, "503 Busy").await.1), ["b"]);
        }
        assert_eq!(names(&collect(&listener, "200 OK").await.1), ["c"]);
        expect(&exporter, 2, 1).await;
    }

    #[tokio::test]
    async fn an_end_shortens_the_pause_before_another_attempt_and_makes_it_the_last() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let exporter = Exporter::start(ExporterOptions {
            batch: 1,
            longest_pause: Duration::from_secs(3600),
            ..ExporterOptions::new(endpoint.parse().unwrap(), "site", "1")
        });
        exporter.send(span("a"));
        collect(&listener, "503 Busy\r\nRetry-After: 3600").await;
        let ((), _) = tokio::join!(
            exporter.finish(Duration::from_secs(60)),
            collect(&listener, "503 Busy\r\nRetry-After: 3600")
        );
        assert_eq!(exporter.totals(), Totals { sent: 0, dropped: 1 });
    }

    #[test]
    fn pauses_grow_up_to_a_bound_and_what_the_collector_asks_for_counts() {
        let options = ExporterOptions::new("http://a".parse().unwrap(), "site", "1");
        let at = |retries, error: &PostError| pause(&options, retries, error).as_secs_f64();
        for (retries, about) in [(0, 1.0), (1, 2.0), (2, 4.0), (3, 8.0)] {
            for _ in 0..100 {
                let pause = at(retries, &PostError::TooSlow);
                assert!((0.75 * about..=1.25 * about).contains(&pause), "{pause}");
            }
        }
        assert_eq!(at(40, &PostError::TooSlow), 30.0);
        let asked =
            |seconds| PostError::Refused(StatusCode::TOO_MANY_REQUESTS, Some(Duration::from_secs(seconds)));
        assert_eq!(at(3, &asked(2)), 2.0);
        assert_eq!(at(0, &asked(3600)), 30.0);
        let after = |text: &str| {
            let value = http::HeaderValue::from_str(text).unwrap();
            retry_after(&[(header::RETRY_AFTER, value)].into_iter().collect())
        };
        assert_eq!(after("7"), Some(Duration::from_secs(7)));
        assert_eq!(after("Fri, 27 Nov 2026 10:00:00 GMT"), None);
        assert_eq!(after("-1"), None);
    }

    #[tokio::test]
    async fn what_waits_at_the_end_is_sent() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}/custom", listener.local_addr().unwrap());
        let exporter = Exporter::start(ExporterOptions {
            linger: Duration::from_secs(3600),
            ..ExporterOptions::new(endpoint.parse().unwrap(), "site", "1")
        });
        exporter.send(span("last"));
        drop(exporter);
        let (head, body) = collect(&listener, "200 OK").await;
        assert!(head.starts_with("POST /custom "), "{head}");
        assert_eq!(names(&body), ["last"]);
    }

    #[tokio::test]
    async fn an_end_sends_what_waits_and_waits_no_longer_than_it_may() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint: Endpoint = format!("http://{}", listener.local_addr().unwrap())
            .parse()
            .unwrap();
        let lingering = || {
            let exporter = Exporter::start(ExporterOptions {
                linger: Duration::from_secs(3600),
                ..ExporterOptions::new(endpoint.clone(), "site", "1")
            });
            exporter.send(span("a"));
            exporter
        };
        let exporter = lingering();
        let (_, (_, body)) = tokio::join!(
            exporter.finish(Duration::from_secs(60)),
            collect(&listener, "200 OK")
        );
        assert_eq!(names(&body), ["a"]);
        assert_eq!(exporter.totals(), Totals { sent: 1, dropped: 0 });
        exporter.send(span("late"));
        assert_eq!(exporter.totals(), Totals { sent: 1, dropped: 1 });

        let begun = Instant::now();
        lingering().finish(Duration::from_millis(50)).await;
        assert!(begun.elapsed() < Duration::from_secs(5));
    }
}
