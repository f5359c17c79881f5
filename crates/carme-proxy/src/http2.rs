//! Connections over which HTTP/2 is spoken to a member, many requests at a time.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, Uri, Version, header};
use http_body::{Body, Frame};
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::time::Instant;

use crate::body::RequestBody;
use crate::connect::ConnectError;
use crate::endpoint::Endpoint;
use crate::frames::{Course, Watched};
use crate::link::Unanswered;
use crate::outgoing::Outgoing;
use crate::stream::{Stream, Written};

/// Streams of a connection at the same time; fewer if its member says so.
const MOST_STREAMS: usize = 256;
/// Those that a new connection is given before its member has said anything: as many as RFC 9113 expects of it.
const UNTOLD_STREAMS: usize = 100;
/// What a member may send of one response before it is read.
const WINDOW: u32 = 256 * 1024;
/// The same for all of a connection: responses that nobody reads do not hold up the others.
const CONNECTION_WINDOW: u32 = WINDOW * MOST_STREAMS as u32;
/// What waits to be sent of one request.
const MOST_WAITING: usize = 256 * 1024;
/// A response's header section, and its trailers.
const MOST_FIELDS: u32 = 128 * 1024;
/// With `keepalive`: how long a connection may be silent before its member is asked whether it is there, and how long that
/// may think about it.
const PING: Duration = Duration::from_secs(30);
const PONG: Duration = Duration::from_secs(20);

/// One connection. It ends when nobody has it any more.
pub(crate) struct Session {
    sender: SendRequest<Outgoing>,
    scheme: &'static str,
    authority: String,
    course: Arc<Course>,
    limit: Arc<AtomicUsize>,
    streams: AtomicUsize,
    served: AtomicBool,
    /// The member has not said that it is there.
    is_given_up: AtomicBool,
    /// When its last stream ended.
    idle_since: Mutex<Instant>,
}

impl Session {
    pub(crate) async fn open(stream: Stream, endpoint: &Endpoint) -> Result<Self, hyper::Error> {
        let (stream, course) = Watched::new(stream, endpoint.ping.is_some());
        let (sender, connection) = Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            // The others wait until the member has said how many it takes: it would refuse those beyond.
            .initial_max_send_streams(1)
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buf_size(MOST_WAITING)
            .max_header_list_size(MOST_FIELDS)
            .keep_alive_interval(endpoint.keep_alive.then_some(PING))
            .keep_alive_timeout(PONG)
            .keep_alive_while_idle(true)
            .handshake(TokioIo::new(stream))
            .await?;
        let limit = Arc::new(AtomicUsize::new(UNTOLD_STREAMS));
        let (current, seen) = (Arc::clone(&limit), Arc::clone(&course));
        tokio::spawn(async move {
            let mut connection = pin!(connection);
            poll_fn(|cx| {
                let polled = connection.as_mut().poll(cx);
                if seen.is_settled() {
                    current.store(connection.current_max_send_streams(), Relaxed);
                }
                // Its requests know how it has ended.
                polled.map(drop)
            })
            .await;
        });
        Ok(Session {
            sender,
            scheme: if endpoint.is_secure { "https" } else { "http" },
            authority: endpoint.authority.clone(),
            course,
            limit,
            streams: AtomicUsize::new(0),
            served: AtomicBool::new(false),
            is_given_up: AtomicBool::new(false),
            idle_since: Mutex::new(Instant::now()),
        })
    }

    /// For one request only.
    pub(crate) fn alone(self) -> Link {
        self.streams.store(1, Relaxed);
        Link::new(Arc::new(self))
    }

    fn is_over(&self) -> bool {
        self.sender.is_closed() || self.course.is_ending() || self.is_given_up.load(Relaxed)
    }

    fn is_idle_for(&self, ttl: Option<Duration>) -> bool {
        self.streams.load(Relaxed) == 0 && ttl.is_some_and(|ttl| self.idle_since().elapsed() >= ttl)
    }

    fn idle_since(&self) -> MutexGuard<'_, Instant> {
        self.idle_since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_stream(self: &Arc<Self>) -> Option<Link> {
        let limit = self.limit.load(Relaxed).min(MOST_STREAMS);
        let room = |streams: usize| (streams < limit).then_some(streams + 1);
        self.streams.fetch_update(Relaxed, Relaxed, room).ok()?;
        Some(Link::new(Arc::clone(self)))
    }
}

/// The connections to one member that take requests.
#[derive(Default)]
pub(crate) struct Sessions {
    open: Mutex<Vec<Arc<Session>>>,
    /// Attempts to open one that have failed.
    failures: AtomicU64,
    /// One at a time; the last attempt's failure.
    opening: tokio::sync::Mutex<Option<Arc<ConnectError>>>,
}

impl Sessions {
    fn sessions(&self) -> MutexGuard<'_, Vec<Arc<Session>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A stream of a connection that is there, the oldest with room.
    pub(crate) fn join(&self, ttl: Option<Duration>) -> Option<Link> {
        let mut sessions = self.sessions();
        sessions.retain(|session| !session.is_over() && !session.is_idle_for(ttl));
        sessions.iter().find_map(Session::take_stream)
    }

    /// A stream of a connection that is there by then, or of a new one. Those who wait for the same attempt share its
    /// failure.
    pub(crate) async fn open(
        &self,
        ttl: Option<Duration>,
        connect: impl Future<Output = Result<Session, ConnectError>>,
    ) -> Result<Link, ConnectError> {
        let before = self.failures.load(Relaxed);
        let mut last = self.opening.lock().await;
        if let Some(link) = self.join(ttl) {
            return Ok(link);
        }
        if self.failures.load(Relaxed) != before
            && let Some(error) = &*last
        {
            return Err(ConnectError::Shared(Arc::clone(error)));
        }
        match connect.await {
            Ok(session) => {
                let session = Arc::new(session);
                session.streams.store(1, Relaxed);
                self.sessions().push(Arc::clone(&session));
                Ok(Link::new(session))
            }
            Err(error) => {
                let error = Arc::new(error);
                *last = Some(Arc::clone(&error));
                self.failures.fetch_add(1, Relaxed);
                Err(ConnectError::Shared(error))
            }
        }
    }

    /// Lets go of those that take no more requests, and of those that have idled for `ttl`.
    pub(crate) fn sweep(&self, ttl: Option<Duration>) {
        let mut sessions = self.sessions();
        sessions.retain(|session| !session.is_over() && !session.is_idle_for(ttl));
    }

    /// Whether there is not one.
    pub(crate) fn are_none(&self) -> bool {
        self.sessions().is_empty()
    }

    /// How many serve no request now.
    pub(crate) fn idle(&self) -> usize {
        let sessions = self.sessions();
        let idle = sessions
            .iter()
            .filter(|session| session.streams.load(Relaxed) == 0);
        idle.count()
    }
}

/// One stream.
pub(crate) struct Link {
    session: Arc<Session>,
    has_served: bool,
    written: Written,
    /// The request's body on its way.
    sending: Option<crate::outgoing::Sending>,
}

impl Link {
    fn new(session: Arc<Session>) -> Self {
        Link {
            has_served: session.served.load(Relaxed),
            session,
            written: Written::default(),
            sending: None,
        }
    }

    pub(crate) fn has_served(&self) -> bool {
        self.has_served
    }

    pub(crate) fn counter(&self) -> Written {
        self.written.clone()
    }

    /// Whether the member says in time that it is there; else nobody uses the connection again.
    pub(crate) async fn is_alive(&self, patience: Duration) -> bool {
        let is_alive = self.session.course.is_alive(patience).await;
        if !is_alive {
            self.session.is_given_up.store(true, Relaxed);
        }
        is_alive
    }

    pub(crate) async fn send(
        &mut self,
        request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, Unanswered> {
        let (head, body) = self.adapt(request).into_parts();
        self.written.add(size(&head));
        let (body, sending) = Outgoing::new(body, self.written.clone());
        self.sending = Some(sending);
        let before = self.session.course.opened();
        let mut sender = self.session.sender.clone();
        let answered = sender.try_send_request(Request::from_parts(head, body)).await;
        match answered {
            Ok(response) => {
                self.session.served.store(true, Relaxed);
                Ok(response)
            }
            Err(mut failed) => {
                let is_returned = failed.take_message().is_some();
                let error = failed.into_error();
                Err(Unanswered {
                    is_unsent: is_returned || is_refused(&error) || self.session.course.is_unseen(before),
                    error,
                })
            }
        }
    }

    /// As HTTP/2 has it: what `Host` says is part of the target.
    fn adapt(&self, mut request: Request<RequestBody>) -> Request<RequestBody> {
        let host = request.headers_mut().remove(header::HOST);
        let target = request.uri().path_and_query().cloned();
        let uri = |authority: &[u8]| {
            let uri = Uri::builder().scheme(self.session.scheme).authority(authority);
            uri.path_and_query(target.clone()?).build().ok()
        };
        let named = host.and_then(|host| uri(host.as_bytes()));
        if let Some(uri) = named.or_else(|| uri(self.session.authority.as_bytes())) {
            *request.uri_mut() = uri;
        }
        *request.version_mut() = Version::HTTP_2;
        request
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // A body that nobody waits for is not sent to its end.
        drop(self.sending.take());
        *self.session.idle_since() = Instant::now();
        self.session.streams.fetch_sub(1, Relaxed);
    }
}

/// The member says that it has done nothing with it (RFC 9113, 8.7).
fn is_refused(error: &hyper::Error) -> bool {
    let source = std::error::Error::source(error);
    source
        .and_then(|source| source.downcast_ref::<h2::Error>())
        .is_some_and(|error| error.is_remote() && error.reason() == Some(h2::Reason::REFUSED_STREAM))
}

/// As HTTP/1.1 would write it.
fn size(head: &http::request::Parts) -> u64 {
    let target = head
        .uri
        .path_and_query()
        .map_or(1, |target| target.as_str().len());
    let authority = head.uri.authority().map_or(0, |host| host.as_str().len());
    let line = head.method.as_str().len() + target + " HTTP/1.1\r\n ".len();
    (line + "Host: \r\n\r\n".len() + authority + fields(&head.headers)) as u64
}

/// How long fields are, as HTTP/1.1 would write them.
pub(crate) fn fields(headers: &HeaderMap) -> usize {
    let fields = headers.iter();
    fields
        .map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len())
        .sum()
}

/// The next piece of a response's body.
pub(crate) fn poll_frame(
    incoming: &mut Incoming,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
    Pin::new(incoming).poll_frame(cx)
}
