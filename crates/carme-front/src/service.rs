//! From a request to its response: the way every request goes, in the order of the steps.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use carme_farm::dispatch::{Answer, AnswerBody, Failure, RequestBody};
use carme_ring::frame::{RequestHead, Scheme, Version};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;

use crate::app::{Application, Exchange};
use crate::body::{self, BodyLimits};
use crate::fault::Fault;
use crate::files;
use crate::guard::{Framing, Refusal};
use crate::header_rules;
use crate::local::LocalAnswer;
use crate::location::{self, Answerer};
use crate::outgoing::{Outgoing, finish_unread};
use crate::record::{Record, split_port};
use crate::respond;
use crate::site::Site;
use crate::spool::Spool;
use crate::state::{ConnectionState, NextHead};

type Answered<A> = Response<Outgoing<<A as Application>::Exchange>>;

/// Answers the request that hyper has just parsed on this connection.
///
/// The record begins at once and not when the future is first polled: if the client has left by then, it never is.
pub(crate) fn serve<A: Application>(
    connection: Arc<ConnectionState>,
    site: Arc<Site<A>>,
    request: Request<Incoming>,
) -> impl Future<Output = Result<Answered<A>, Infallible>> + Send {
    let (head, keepalives) = connection.begin_exchange();
    let (parts, body) = request.into_parts();
    let (head, disagreement) = match head {
        Some(head) => (head, None),
        // Not reachable while hyper parses exactly what the guard lets through.
        None => (
            NextHead::unknown(),
            Some(Refusal::Malformed(
                "the front's two parsers disagree about this request",
            )),
        ),
    };
    let framing = head.framing;
    let refusal = head
        .refused
        .as_ref()
        .map(|refused| refused.refusal)
        .or(disagreement);
    let mut record = Record::begin(connection, head, keepalives, parts);
    async move {
        if let Some(refusal) = refusal {
            return Ok(respond::fault(record, &refusal.into()));
        }
        match exchange(&site, &mut record, framing, body).await {
            Ok(Outcome::Answered(exchange, answer)) => Ok(match respond::answer(record, exchange, answer) {
                Ok(response) => response,
                Err((record, fault)) => respond::fault(record, &fault),
            }),
            Ok(Outcome::Local(answer)) => Ok(respond::local(record, *answer)),
            Ok(Outcome::Options) => Ok(respond::server_options(record)),
            Err(fault) => Ok(respond::fault(record, &fault)),
        }
    }
}

enum Outcome<E> {
    Answered(E, Answer),
    /// By the front itself.
    Local(Box<LocalAnswer>),
    /// `OPTIONS *`
    Options,
}

async fn exchange<A: Application>(
    site: &Site<A>,
    record: &mut Record,
    framing: Framing,
    incoming: Incoming,
) -> Result<Outcome<A::Exchange>, Fault> {
    if record.raw_target.is_some() {
        if record.method == Method::CONNECT {
            // What follows may already be meant for the other end of the tunnel.
            return Err(Fault::closing(
                StatusCode::NOT_IMPLEMENTED,
                "CONNECT is not served",
            ));
        }
        if record.uri.path() == "*" {
            record.close |= framing != Framing::Empty;
            return Ok(Outcome::Options);
        }
        // RFC 9112 section 3.2.2: the authority of an absolute target replaces Host.
        if let Some(Ok(host)) = record
            .uri
            .authority()
            .map(|host| HeaderValue::from_str(host.as_str()))
        {
            record.headers.insert(header::HOST, host);
        }
    }
    let uri = record.uri.clone();
    let path = location::decode(uri.path().as_bytes());
    let Some(found) = site.locations.find(|| split_port(host(record)).0, &path) else {
        // The body stays unread; hyper closes the connection if there is more of it than it has at hand.
        return Err(Fault {
            close: framing != Framing::Empty,
            ..Fault::new(StatusCode::NOT_FOUND, "no location has this path")
        });
    };
    if let Some(policy) = &found.location.policy {
        header_rules::apply(&policy.request_headers, &mut record.headers, None);
        record.policy = Some(Arc::clone(policy));
    }
    let Answerer::App(app) = &found.location.answerer else {
        // As above, a body stays unread.
        record.close |= framing != Framing::Empty;
        // Boxed, so that requests to applications do not carry the room for it around.
        return Box::pin(local(record, &found, &uri)).await.map(Outcome::Local);
    };
    let body = match framing {
        Framing::Empty => RequestBody::Empty,
        _ => {
            let common = &site.common;
            let head = encoded_len(record);
            let limits = BodyLimits {
                bytes: common.limits.body_bytes,
                inline: app.max_inline_body(head),
                memory: common.limits.body_memory,
                timeout: common.limits.body_timeout,
            };
            let spool = Spool::new(common.spool_directory.as_deref());
            // Boxed, so that requests without a body do not carry the room for it around.
            let (body, len) = Box::pin(body::read(incoming, framing, limits, &spool)).await?;
            record.bytes_in += len;
            if framing == Framing::Chunked {
                // The application sees a body of known length.
                record
                    .headers
                    .insert(header::CONTENT_LENGTH, HeaderValue::from(len));
            }
            body
        }
    };
    if record.notes.hop_by_hop || record.notes.underscore {
        remove_unseen(&mut record.headers);
    }
    let exchange = app.dispatch(request_head(record, &found, &uri), &record.headers, body);
    if record.connection.common.access_logs.is_empty() && record.policy.is_none() {
        record.headers = HeaderMap::new();
    }
    match (Waiting {
        record: Some(record),
        exchange: Some(exchange),
    })
    .await
    {
        (record, exchange, Ok(answer)) => match &record.policy {
            Some(policy) if !policy.sendfile.is_empty() => {
                let policy = Arc::clone(policy);
                Box::pin(with_file(record, exchange, answer, &policy.sendfile)).await
            }
            _ => Ok(Outcome::Answered(exchange, answer)),
        },
        (record, exchange, Err(failure)) => {
            record.account = Some(exchange.account());
            Err(failure.into())
        }
    }
}

/// What the front answers without an application.
async fn local<A>(
    record: &Record,
    found: &location::Found<'_, A>,
    uri: &http::Uri,
) -> Result<Box<LocalAnswer>, Fault> {
    let answer = match &found.location.answerer {
        Answerer::Files(files) => {
            let asked = (&record.method, &record.headers, uri);
            files.answer(asked, found.script_name, found.path_info).await?
        }
        Answerer::Redirect(redirect) => redirect.answer(host(record), uri, found.path_info)?,
        Answerer::Fixed(fixed) => fixed.answer(),
        Answerer::App(_) => return Err(Fault::new(StatusCode::NOT_FOUND, "an application answers here")),
    };
    Ok(Box::new(answer))
}

/// The application's answer, or the file that it names in its place.
async fn with_file<E: Exchange>(
    record: &mut Record,
    exchange: E,
    mut answer: Answer,
    folders: &[std::path::PathBuf],
) -> Result<Outcome<E>, Fault> {
    // What is no final answer is none with a file either.
    if answer.status.is_informational() {
        return Ok(Outcome::Answered(exchange, answer));
    }
    // The client may leave while the file is looked for.
    record.account = Some(exchange.account());
    let asked = (&record.method, &record.headers);
    respond::remove_hop_by_hop(&mut answer.headers);
    let Some(outcome) = files::send(folders, asked, &mut answer).await else {
        return Ok(Outcome::Answered(exchange, answer));
    };
    if matches!(answer.body, AnswerBody::Stream) {
        finish_unread(exchange);
    }
    outcome.map(|answer| Outcome::Local(Box::new(answer)))
}

/// The host that was asked for, with its port if it has one.
fn host(record: &Record) -> &[u8] {
    record
        .headers
        .get(header::HOST)
        .map(HeaderValue::as_bytes)
        .unwrap_or_default()
}

/// Waits for the answer. If the client leaves meanwhile, notes who had the request, for the log line.
struct Waiting<'a, E: Exchange> {
    record: Option<&'a mut Record>,
    exchange: Option<E>,
}

impl<'a, E: Exchange> Future for Waiting<'a, E> {
    type Output = (&'a mut Record, E, Result<Answer, Failure>);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(exchange) = &mut self.exchange else {
            return Poll::Pending;
        };
        let answer = ready!(exchange.poll_response(cx));
        match (self.record.take(), self.exchange.take()) {
            (Some(record), Some(exchange)) => Poll::Ready((record, exchange, answer)),
            _ => Poll::Pending,
        }
    }
}

impl<E: Exchange> Drop for Waiting<'_, E> {
    fn drop(&mut self) {
        if let (Some(record), Some(exchange)) = (&mut self.record, &self.exchange) {
            record.account = Some(exchange.account());
        }
    }
}

/// The request as the application shall see it, besides its header fields.
fn request_head<'a, A>(
    record: &'a Record,
    found: &location::Found<'a, A>,
    uri: &'a http::Uri,
) -> RequestHead<'a> {
    let connection = &record.connection;
    let ends = &connection.ends;
    let version = if record.version == http::Version::HTTP_10 {
        Version::Http10
    } else {
        Version::Http11
    };
    let (host, host_port) = split_port(host(record));
    let mut head = RequestHead::new(version, Scheme::Http);
    head.method = record.method.as_str().as_bytes();
    head.target = record.target();
    head.script_name = found.script_name;
    head.path = found.path_info;
    head.query = uri.query().unwrap_or_default().as_bytes();
    head.server_name = match &connection.common.server_name {
        Some(name) => name.as_bytes(),
        None if host.is_empty() => ends.local_text.as_bytes(),
        None => host,
    };
    // A Unix socket has no port: what the client's client asked for, or that of plain HTTP.
    head.server_port = match ends.local {
        Some(local) => local.port(),
        None => host_port
            .and_then(|port| str::from_utf8(port).ok()?.parse().ok())
            .unwrap_or(80),
    };
    head.remote_addr = ends.peer_text.as_bytes();
    head.remote_port = ends.peer.map_or(0, |peer| peer.port());
    head.request_id = record.id.as_str().as_bytes();
    head
}

/// At least what the head takes in the ring: parts of the target count twice, and each field has two lengths.
fn encoded_len(record: &Record) -> usize {
    let fixed = 256 + record.connection.ends.local_text.len() + record.connection.ends.peer_text.len();
    fixed + record.bytes_in as usize + 3 * record.target().len() + 12 * record.headers.len()
}

/// Removes what concerns only this connection, and names with `_`: in `environ` they would look like those with `-`,
/// which is how a client would forge what a proxy sets.
#[cold]
fn remove_unseen(headers: &mut HeaderMap) {
    let is_unseen = |name: &HeaderName| {
        matches!(
            name.as_str(),
            "connection"
                | "keep-alive"
                | "proxy-connection"
                | "te"
                | "trailer"
                | "transfer-encoding"
                | "upgrade"
        ) || name.as_str().contains('_')
    };
    let names: Vec<HeaderName> = headers.keys().filter(|name| is_unseen(name)).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}
