//! From a request to its response: the way every request goes, in the order of the steps.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use carme_farm::dispatch::{Answer, AnswerBody, Failure, RequestBody};
use carme_ring::frame::{RequestHead, Scheme, Version};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;

use crate::app::{Application, Exchange};
use crate::app_variables;
use crate::body::{self, BodyLimits};
use crate::fault::Fault;
use crate::files;
use crate::guard::{Framing, Refusal};
use crate::header_rules;
use crate::local::LocalAnswer;
use crate::location::{self, Answerer};
use crate::monitor::{self, Page};
use crate::outgoing::{Outgoing, finish_unread};
use crate::policy::Policy;
use crate::proxying::{self, Proxied};
use crate::record::{Record, split_port};
use crate::respond;
use crate::site::Site;
use crate::spool::Spool;
use crate::state::{ConnectionState, NextHead};
use crate::sticky;
use crate::tls::Security;
use crate::variable_rules;

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
    let mut record = Record::begin(connection, Arc::clone(&site.common), head, keepalives, parts);
    // Boxed, since hyper keeps the room for it with every connection that is not parked.
    Box::pin(async move {
        if let Some(refusal) = refusal {
            return Ok(respond::fault(record, &refusal.into()));
        }
        match exchange(&site, &mut record, framing, body).await {
            Ok(Outcome::Answered(exchange, answer)) => Ok(match respond::answer(record, exchange, answer) {
                Ok(response) => response,
                Err((record, fault)) => respond::fault(record, &fault),
            }),
            Ok(Outcome::Elsewhere(location)) => Ok(respond::redirect(record, location)),
            Ok(Outcome::Local(answer)) => Ok(respond::local(record, *answer)),
            Ok(Outcome::Passed(answer, proxied)) => Ok(proxying::respond(record, *answer, &proxied)),
            Ok(Outcome::Options) => Ok(respond::server_options(record)),
            // Boxed: it is rare, and every exchange's future would have the room for it.
            Ok(Outcome::Monitor(page)) => match &site.monitor {
                Some(monitor) => Ok(Box::pin(monitor::answer(monitor, page, record)).await),
                None => Ok(respond::fault(record, &no_location(framing))),
            },
            Err(fault) => Ok(respond::fault(record, &fault)),
        }
    })
}

enum Outcome<E> {
    Answered(E, Answer),
    /// The same over TLS.
    Elsewhere(HeaderValue),
    /// By the front itself.
    Local(Box<LocalAnswer>),
    /// By a member of a balancer.
    Passed(Box<carme_proxy::Answer>, Arc<Proxied>),
    /// `OPTIONS *`
    Options,
    /// A page of the front itself.
    Monitor(Page),
}

async fn exchange<A: Application>(
    site: &Site<A>,
    record: &mut Record,
    framing: Framing,
    incoming: Incoming,
) -> Result<Outcome<A::Exchange>, Fault> {
    settle_host(record);
    if let Some(policy) = site.common.policy.as_ref() {
        variable_rules::apply(&policy.variables, record);
    }
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
    }
    if let Some(Security::MissingTls) = record.connection.security() {
        return Err(Fault::closing(
            StatusCode::BAD_REQUEST,
            "plain HTTP was sent to an address that speaks TLS",
        ));
    }
    if let Some(port) = site.common.redirect_to_https
        && let Some(location) = over_tls(record, port)
    {
        record.close |= framing != Framing::Empty;
        return Ok(Outcome::Elsewhere(location));
    }
    let uri = record.uri.clone();
    let path = location::decode(uri.path().as_bytes());
    if let Some(page) = site.monitor.as_ref().and_then(|monitor| monitor.find(&path)) {
        record.close |= framing != Framing::Empty;
        return Ok(Outcome::Monitor(page));
    }
    if let Some(traces) = &site.common.traces {
        record.trace = Some(traces.begin(&mut record.headers));
    }
    let Some(mut found) = site.locations.find(|| split_port(host(record)).0, &path) else {
        return Err(no_location(framing));
    };
    let normal;
    if let Answerer::Balancer(_) = &found.location.answerer {
        if record.notes.hop_by_hop {
            carme_proxy::head::remove_named_fields(&mut record.headers);
        }
        // Members see the path in its normal form: it is the one that has to have its location here.
        if let Some(form) = proxying::other_form(&uri, framing)? {
            normal = form;
            let renewed = site.locations.find(|| split_port(host(record)).0, &normal);
            found = renewed.ok_or_else(|| no_location(framing))?;
        }
    }
    if let Some(policy) = &found.location.policy {
        prepare(record, policy, &found.location.answerer);
    }
    if let Answerer::Balancer(proxied) = &found.location.answerer {
        if let Some(answer) = proxying::own_answer(proxied, record, framing)? {
            return Ok(Outcome::Local(Box::new(answer)));
        }
        let passed = proxying::pass(proxied, found.script_name, record, framing, incoming);
        let answer = Box::pin(passed).await?;
        return Ok(Outcome::Passed(Box::new(answer), Arc::clone(proxied)));
    }
    let Answerer::App(app) = &found.location.answerer else {
        // As above, a body stays unread.
        record.close |= framing != Framing::Empty;
        // Boxed, so that requests to applications do not carry the room for it around.
        return Box::pin(local(record, &found, &uri)).await.map(Outcome::Local);
    };
    record.app = app.number();
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
                rate: common.limits.body_rate,
            };
            let spool = Spool::new(common.spool_directory.as_deref());
            // Boxed, so that requests without a body do not carry the room for it around.
            let (body, len) = Box::pin(body::read(
                incoming,
                framing,
                limits,
                &spool,
                record.request_trailers.as_deref_mut(),
            ))
            .await?;
            if framing != Framing::Chunked {
                record.bytes_in += len;
            } else {
                // The application sees a body of known length.
                record.length_is_ours = true;
                record
                    .headers
                    .insert(header::CONTENT_LENGTH, HeaderValue::from(len));
            }
            body
        }
    };
    remove_unseen(record);
    let route = sticky::route(record);
    let exchange = {
        let variables = app_variables::of(record);
        let head = request_head(record, &found, &uri, variables.as_bytes());
        app.dispatch(head, &record.headers, body, route.as_deref())
    };
    if record.common.access_logs.is_empty() && record.policy.is_none() {
        record.forget_headers();
    }
    match (Waiting {
        record: Some(record),
        exchange: Some(exchange),
    })
    .await
    {
        (record, exchange, Ok(answer)) => {
            sticky::settle(record, &exchange, true);
            match &record.policy {
                Some(policy) if !policy.sendfile.is_empty() => {
                    let policy = Arc::clone(policy);
                    Box::pin(with_file(record, exchange, answer, &policy.sendfile)).await
                }
                _ => Ok(Outcome::Answered(exchange, answer)),
            }
        }
        (record, exchange, Err(failure)) => {
            sticky::settle(record, &exchange, false);
            if let Some(metrics) = &site.common.metrics {
                metrics.failed(record.app, &failure);
            }
            let account = record.account.insert(exchange.account());
            let is_late = matches!(failure, Failure::TimedOut(_));
            let mut fault = Fault::in_farm(failure, account);
            if is_late {
                // The worker's stacks, which follow in the error log, name it like this.
                fault.reason += &format!(": \"{} {}\"", record.method, record.uri);
            }
            Err(fault)
        }
    }
}

/// Makes `Host` name what the client wants.
fn settle_host(record: &mut Record) {
    // RFC 9112 section 3.2.2: the authority of an absolute target replaces Host.
    if record.raw_target.is_some()
        && let Some(host) = record.uri.authority()
        && let Ok(host) = HeaderValue::from_str(host.as_str())
    {
        record.headers.insert(header::HOST, host);
    }
    if let Some(host) = record.claims.as_mut().and_then(|claims| claims.host.take()) {
        record.headers.insert(header::HOST, host);
    }
}

/// What the location does to the request before it is answered.
fn prepare<A>(record: &mut Record, policy: &Arc<Policy>, answerer: &Answerer<A>) {
    variable_rules::apply(&policy.variables, record);
    if !policy.request_headers.is_empty() {
        // What the rules write is meant, whatever its name, and whatever else the client sends.
        if matches!(answerer, Answerer::App(_)) {
            remove_unseen(record);
        }
        let mut headers = std::mem::take(&mut record.headers);
        header_rules::apply(&policy.request_headers, &mut headers, None, || record.facts());
        record.headers = headers;
    }
    record.policy = Some(Arc::clone(policy));
}

/// The body stays unread; hyper closes the connection if there is more of it than it has at hand.
fn no_location(framing: Framing) -> Fault {
    Fault {
        close: framing != Framing::Empty,
        ..Fault::new(StatusCode::NOT_FOUND, "no location has this path")
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
        Answerer::App(_) | Answerer::Balancer(_) => {
            return Err(Fault::new(StatusCode::NOT_FOUND, "somebody else answers here"));
        }
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
pub(crate) fn host(record: &Record) -> &[u8] {
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

/// Where the same is over TLS; `None` if it came that way, or through a Unix socket, where a proxy has done that already.
#[cold]
fn over_tls(record: &Record, port: u16) -> Option<HeaderValue> {
    let connection = &record.connection;
    if record.scheme() == Scheme::Https || connection.ends.local.is_none() {
        return None;
    }
    let asked = record.headers.get(header::HOST).map(HeaderValue::as_bytes);
    let mut location = b"https://".to_vec();
    match (asked.map(|host| split_port(host).0), &record.common.server_name) {
        (Some(host @ [_, ..]), _) => location.extend_from_slice(host),
        (_, Some(name)) => location.extend_from_slice(name.as_bytes()),
        _ => match connection.ends.local?.ip() {
            IpAddr::V4(ip) => location.extend_from_slice(ip.to_string().as_bytes()),
            IpAddr::V6(ip) => location.extend_from_slice(format!("[{ip}]").as_bytes()),
        },
    }
    if port != 443 {
        location.extend_from_slice(format!(":{port}").as_bytes());
    }
    match record.uri.path_and_query() {
        Some(target) => location.extend_from_slice(target.as_str().as_bytes()),
        None => location.push(b'/'),
    }
    HeaderValue::from_bytes(&location).ok()
}

/// The request as the application shall see it, besides its header fields.
fn request_head<'a, A>(
    record: &'a Record,
    found: &location::Found<'a, A>,
    uri: &'a http::Uri,
    variables: &'a [u8],
) -> RequestHead<'a> {
    let connection = &record.connection;
    let ends = &connection.ends;
    let version = if record.version == http::Version::HTTP_10 {
        Version::Http10
    } else {
        Version::Http11
    };
    let (host, _) = split_port(host(record));
    let mut head = RequestHead::new(version, app_variables::scheme(record));
    head.variables = variables;
    head.method = record.method.as_str().as_bytes();
    head.target = record.target();
    head.script_name = found.script_name;
    head.path = found.path_info;
    head.query = uri.query().unwrap_or_default().as_bytes();
    head.server_name = match &record.common.server_name {
        Some(name) => name.as_bytes(),
        None if host.is_empty() => ends.reached_text().as_bytes(),
        None => host,
    };
    head.server_port = server_port(record);
    head.remote_addr = record.client_text().as_bytes();
    head.remote_port = record.client().and_then(|client| client.port).unwrap_or(0);
    head.request_id = record.id.as_str().as_bytes();
    head
}

/// The port that the client reached.
pub(crate) fn server_port(record: &Record) -> u16 {
    let claimed = record.claims.as_deref();
    match (
        claimed.and_then(|claims| claims.port),
        claimed.and_then(|claims| claims.scheme),
        record.connection.ends.reached(),
    ) {
        (Some(port), ..) => port,
        // A Unix socket has no port, and that of a proxy's connection means nothing to a client that is told to speak TLS.
        (None, None, Some(reached)) => reached.port(),
        (None, ..) => split_port(host(record))
            .1
            .and_then(|port| str::from_utf8(port).ok()?.parse().ok())
            .unwrap_or(match record.scheme() {
                Scheme::Https => 443,
                Scheme::Http => 80,
            }),
    }
}

/// At least what the head takes in the ring: parts of the target count twice, and each field has two lengths.
fn encoded_len(record: &Record) -> usize {
    // With what the front adds: a length, a trace's context.
    let fixed = 336 + record.connection.ends.reached_text().len() + record.client_text().len();
    let variables = app_variables::max_len(record);
    fixed + variables + record.bytes_in as usize + 3 * record.target().len() + 12 * record.headers.len()
}

/// Removes what concerns only this connection, and names with `_`: in `environ` they would look like those with `-`,
/// which is how a client would forge what a proxy sets.
fn remove_unseen(record: &mut Record) {
    if record.notes.hop_by_hop || record.notes.underscore {
        record.notes.hop_by_hop = false;
        record.notes.underscore = false;
        remove_what_is_there(record);
    }
}

#[cold]
fn remove_what_is_there(record: &mut Record) {
    let names: Vec<HeaderName> = record
        .headers
        .keys()
        .filter(|name| is_unseen(name.as_str()))
        .cloned()
        .collect();
    let mut kept = record.common.keeps_unseen_headers.then(Box::<HeaderMap>::default);
    for name in names {
        if let header::Entry::Occupied(entry) = record.headers.entry(&name) {
            let (_, values) = entry.remove_entry_mult();
            if let Some(kept) = &mut kept {
                for value in values {
                    kept.append(name.clone(), value);
                }
            }
        }
    }
    record.unseen_headers = kept;
}

pub(crate) fn is_unseen(name: &str) -> bool {
    matches!(
        name,
        "connection" | "keep-alive" | "proxy-connection" | "te" | "trailer" | "transfer-encoding" | "upgrade"
    ) || name.contains('_')
}
