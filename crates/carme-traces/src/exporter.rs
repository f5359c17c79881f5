//! Spans gathered and sent: one task, one request at a time, one connection for each.

use std::fmt;
use std::future::pending;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Uri, header};
use http_body_util::Full;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};

use crate::otlp::{self, Span};

/// Where a collector listens if nothing else is said.
const PATH: &str = "/v1/traces";
/// The port of OTLP over HTTP.
const PORT: u16 = 4318;

/// Where spans are sent: `http://HOST:PORT`, with a path or `/v1/traces`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    host: String,
    port: u16,
    path: String,
}

/// Why a text is no [`Endpoint`]: the rest of a sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// It is no URL, or one with parts that make no sense here.
    #[error("must be an address such as \"http://127.0.0.1:4318\", found {0:?}")]
    Malformed(String),
    /// It wants encryption.
    #[error(
        "must begin with \"http://\": spans are sent without TLS, to a collector on this machine or network, found {0:?}"
    )]
    Tls(String),
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let malformed = || EndpointError::Malformed(text.to_owned());
        let uri: Uri = text.parse().map_err(|_| malformed())?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => return Err(EndpointError::Tls(text.to_owned())),
            _ => return Err(malformed()),
        }
        let authority = uri.authority().ok_or_else(malformed)?;
        if authority.as_str().contains('@') || authority.host().is_empty() || uri.query().is_some() {
            return Err(malformed());
        }
        let path = match uri.path() {
            "" | "/" => PATH,
            path => path,
        };
        Ok(Endpoint {
            host: authority.host().to_owned(),
            port: authority.port_u16().unwrap_or(PORT),
            path: path.to_owned(),
        })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}:{}{}", self.host, self.port, self.path)
    }
}

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
        let body = otlp::request(&options.service, &options.version, &batch);
        let outcome = timeout(options.timeout, post(&options.endpoint, body)).await;
        let number = batch.len() as u64;
        batch.clear();
        match outcome.unwrap_or(Err(PostError::TooSlow)) {
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
    Refused(http::StatusCode),
    #[error("it is too slow")]
    TooSlow,
}

async fn post(endpoint: &Endpoint, body: String) -> Result<(), PostError> {
    // Brackets are the URL's, not the address's.
    let host = endpoint.host.trim_start_matches('[').trim_end_matches(']');
    let stream = TcpStream::connect((host, endpoint.port)).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::post(&endpoint.path)
        .header(header::HOST, format!("{}:{}", endpoint.host, endpoint.port))
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::CONNECTION, "close")
        .body(Full::new(Bytes::from(body)))?;
    let driven = tokio::spawn(connection);
    let response = sender.send_request(request).await;
    driven.abort();
    match response?.status() {
        status if status.is_success() => Ok(()),
        status => Err(PostError::Refused(status)),
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
        // Refused, then too slow, then gone: dropped each time.
        exporter.send(span("h"));
        collect(&listener, "503 Busy").await;
        expect(&exporter, 5, 3).await;
        exporter.send(span("i"));
        expect(&exporter, 5, 4).await;
        drop(listener);
        exporter.send(span("j"));
        expect(&exporter, 5, 5).await;
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

    #[test]
    fn endpoints() {
        for (text, shown) in [
            ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
            ("http://collector", "http://collector:4318/v1/traces"),
            ("http://[::1]:1/", "http://[::1]:1/v1/traces"),
            ("http://a:2/x/y", "http://a:2/x/y"),
        ] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), shown);
        }
        for text in [
            "",
            "127.0.0.1:4318",
            "ftp://a",
            "http://",
            "http://u@a",
            "http://a/?x=1",
            "grpc://a:4317",
        ] {
            assert_eq!(
                text.parse::<Endpoint>(),
                Err(EndpointError::Malformed(text.to_owned()))
            );
        }
        assert!(matches!(
            "https://a".parse::<Endpoint>(),
            Err(EndpointError::Tls(_))
        ));
    }
}
