//! Responses: what the application answered, made right for HTTP/1.1, and the front's own pages.

use bytes::Bytes;
use carme_farm::dispatch::{Answer, AnswerBody};
use carme_ring::frame::Scheme;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Response, StatusCode};
use http_body::Body;
use hyper::ext::ReasonPhrase;

use crate::app::Exchange;
use crate::compress::{Compressing, Secrets};
use crate::fault::Fault;
use crate::file_body::FileBody;
use crate::header_rules;
use crate::local::{LocalAnswer, LocalContent};
use crate::outgoing::{Content, Outgoing};
use crate::page;
use crate::record::Record;
use crate::sticky;
use crate::trace::Tracing;

static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
static KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
static PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// The application's answer.
pub(crate) fn answer<E: Exchange>(
    mut record: Box<Record>,
    exchange: E,
    answer: Answer,
) -> Result<Response<Outgoing<E>>, (Box<Record>, Fault)> {
    let Answer {
        status,
        reason,
        mut headers,
        body,
    } = answer;
    // That of a stream is known at its end, and who answers now.
    if !matches!(body, AnswerBody::Stream) || record.common.reads_variables {
        record.account = Some(exchange.account());
    }
    if status.is_informational() {
        let fault = Fault::new(
            StatusCode::BAD_GATEWAY,
            format!("the app's response has the status {status}"),
        );
        return Err((record, fault));
    }
    remove_hop_by_hop(&mut headers);
    let declared = match declared_length(&headers) {
        Ok(declared) => declared,
        Err(fault) => return Err((record, fault)),
    };
    let bodiless = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let content = if record.method == Method::HEAD || bodiless {
        if status == StatusCode::NO_CONTENT {
            headers.remove(header::CONTENT_LENGTH);
        } else if !bodiless && declared.is_none() {
            announce_length(&mut headers, &body);
        }
        Content::Empty
    } else {
        content(exchange, body, declared)
    };
    let mut response = Response::new(());
    *response.status_mut() = status;
    if let Some(reason) = reason.and_then(|reason| ReasonPhrase::try_from(reason).ok()) {
        response.extensions_mut().insert(reason);
    }
    *response.headers_mut() = headers;
    let compressing = compressing(&record, &mut response, &content, Secrets::Perhaps);
    Ok(finish_compressed(record, response, content, compressing))
}

/// A page that says what went wrong, and a line in the error log that says why.
pub(crate) fn fault<E: Exchange>(mut record: Box<Record>, fault: &Fault) -> Response<Outgoing<E>> {
    record.close |= fault.close;
    record.binds = false;
    if let Some(metrics) = &record.common.metrics {
        metrics.own_answer(fault.status);
    }
    tracing::warn!(
        client = %record.client_text(),
        request_id = record.id.as_str(),
        status = fault.status.as_u16(),
        trace_id = record.trace.as_ref().map(Tracing::id),
        "{}",
        fault.reason
    );
    if !record.common.access_logs.is_empty() {
        record.reason = Some(fault.reason.clone());
    }
    let mut headers = HeaderMap::new();
    if let Some(methods) = fault.allow {
        headers.insert(header::ALLOW, HeaderValue::from_static(methods));
    }
    if let Some(seconds) = fault.retry_after() {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    page(record, fault.status, headers)
}

/// The server's own page for this status, with these fields besides its own.
pub(crate) fn page<E: Exchange>(
    record: Box<Record>,
    status: StatusCode,
    fields: HeaderMap,
) -> Response<Outgoing<E>> {
    let mut response = Response::new(());
    *response.status_mut() = status;
    let (content_type, page) = page::of(&record, status);
    let headers = response.headers_mut();
    *headers = fields;
    headers.insert(header::CONTENT_TYPE, content_type);
    headers.insert(header::VARY, const { HeaderValue::from_static("Accept") });
    let content = if record.method == Method::HEAD {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(page.len()));
        Content::Empty
    } else {
        Content::Whole(page)
    };
    finish(record, response, content)
}

/// The same request elsewhere, for good. Only GET and HEAD may become another method on the way.
pub(crate) fn redirect<E: Exchange>(record: Box<Record>, location: HeaderValue) -> Response<Outgoing<E>> {
    let mut response = Response::new(());
    *response.status_mut() = match record.method {
        Method::GET | Method::HEAD => StatusCode::MOVED_PERMANENTLY,
        _ => StatusCode::PERMANENT_REDIRECT,
    };
    response.headers_mut().insert(header::LOCATION, location);
    finish(record, response, Content::Empty)
}

/// An answer that the front has made itself.
pub(crate) fn local<E: Exchange>(record: Box<Record>, answer: LocalAnswer) -> Response<Outgoing<E>> {
    let LocalAnswer {
        status,
        mut headers,
        content,
    } = answer;
    let bodiless = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let content = if record.method == Method::HEAD || bodiless {
        if !bodiless {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(content.len()));
        }
        Content::Empty
    } else {
        match content {
            LocalContent::Empty => Content::Empty,
            LocalContent::Whole(bytes) => whole(bytes),
            LocalContent::File(file) => Content::File(file),
        }
    };
    let mut response = Response::new(());
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    let compressing = compressing(&record, &mut response, &content, Secrets::None);
    finish_compressed(record, response, content, compressing)
}

/// Decides whether the response is compressed, and makes its header say so.
fn compressing<E: Exchange>(
    record: &Record,
    response: &mut Response<()>,
    content: &Content<E>,
    secrets: Secrets,
) -> Option<Box<Compressing>> {
    let compress = record.policy.as_ref()?.compress.as_ref()?;
    let len = match content {
        // What will be cut short must not look complete.
        Content::Short { .. } | Content::Cut(_) => return None,
        Content::Whole(bytes) => Some(bytes.len() as u64),
        Content::File(file) => Some(file.left()),
        Content::Stream { left, .. } => *left,
        Content::Passed(body) => body.size_hint().exact(),
        Content::Empty if record.method == Method::HEAD => None,
        Content::Empty => Some(0),
    };
    let asked = (&record.method, &record.headers);
    compress.begin(asked, response.status(), response.headers_mut(), len, secrets)
}

/// What a member of a balancer has answered.
pub(crate) fn passed<E: Exchange>(
    record: Box<Record>,
    mut response: Response<()>,
    content: Content<E>,
) -> Response<Outgoing<E>> {
    let compressing = compressing(&record, &mut response, &content, Secrets::Perhaps);
    finish_compressed(record, response, content, compressing)
}

/// What may be asked for where nobody here knows better.
pub(crate) const METHODS: &str = "GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH";

/// The answer to `OPTIONS *`: what the server as a whole can do (RFC 9110 section 9.3.7).
pub(crate) fn server_options<E: Exchange>(record: Box<Record>) -> Response<Outgoing<E>> {
    let mut response = Response::new(());
    let methods = HeaderValue::from_static(METHODS);
    response.headers_mut().insert(header::ALLOW, methods);
    finish(record, response, Content::Empty)
}

/// What every response gets.
pub(crate) fn finish<E: Exchange>(
    record: Box<Record>,
    response: Response<()>,
    content: Content<E>,
) -> Response<Outgoing<E>> {
    finish_compressed(record, response, content, None)
}

fn finish_compressed<E: Exchange>(
    mut record: Box<Record>,
    mut response: Response<()>,
    content: Content<E>,
    compressing: Option<Box<Compressing>>,
) -> Response<Outgoing<E>> {
    prepare(&mut record, &mut response);
    response.map(|()| Outgoing::new(content, record).compressed(compressing))
}

/// The same for the head alone.
pub(crate) fn prepare(record: &mut Record, response: &mut Response<()>) {
    let status = response.status();
    record.status = status.as_u16();
    record.answered();
    let headers = response.headers_mut();
    headers
        .entry(header::SERVER)
        .or_insert(const { HeaderValue::from_static("Carme") });
    headers.entry(&X_REQUEST_ID).or_insert_with(|| record.id.header());
    if let Some(hsts) = &record.common.hsts
        && record.scheme() == Scheme::Https
    {
        headers
            .entry(header::STRICT_TRANSPORT_SECURITY)
            .or_insert_with(|| hsts.clone());
    }
    if let Some(policy) = &record.policy {
        header_rules::apply(&policy.response_headers, headers, Some(status), || record.facts());
    }
    sticky::bind(record, headers);
    if record.close {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    if record.common.keeps_response_headers {
        record.response_headers = Some(headers.clone());
    }
}

/// Fields that concern one connection are the front's business (RFC 9110 section 7.6.1, PEP 3333 "Other HTTP Features").
pub(crate) fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let is_hop_by_hop = |name: &HeaderName| {
        [
            &header::CONNECTION,
            &header::TRANSFER_ENCODING,
            &header::UPGRADE,
            &header::TE,
            &header::TRAILER,
            &header::PROXY_AUTHENTICATE,
            &header::PROXY_AUTHORIZATION,
            &KEEP_ALIVE,
            &PROXY_CONNECTION,
        ]
        .contains(&name)
    };
    while let Some(name) = headers.keys().find(|name| is_hop_by_hop(name)).cloned() {
        headers.remove(name);
    }
}

fn declared_length(headers: &HeaderMap) -> Result<Option<u64>, Fault> {
    let mut values = headers.get_all(header::CONTENT_LENGTH).iter();
    let Some(first) = values.next() else {
        return Ok(None);
    };
    let length = first
        .to_str()
        .ok()
        .filter(|text| text.bytes().all(|b| b.is_ascii_digit()))
        .and_then(|text| text.parse().ok());
    match (length, values.next()) {
        (Some(length), None) => Ok(Some(length)),
        _ => Err(Fault::new(
            StatusCode::BAD_GATEWAY,
            format!("the app's response has no valid Content-Length: {first:?}"),
        )),
    }
}

/// What a GET would have announced.
fn announce_length(headers: &mut HeaderMap, body: &AnswerBody) {
    let length = match body {
        AnswerBody::Whole(bytes) if bytes.is_empty() => return,
        AnswerBody::Whole(bytes) => bytes.len() as u64,
        AnswerBody::File { len, .. } => *len,
        AnswerBody::Stream => return,
    };
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
}

fn content<E: Exchange>(exchange: E, body: AnswerBody, declared: Option<u64>) -> Content<E> {
    match (body, declared) {
        (AnswerBody::Whole(bytes), None) => whole(bytes),
        (AnswerBody::Whole(mut bytes), Some(declared)) => {
            // More than was announced is not sent (PEP 3333); less must not look complete.
            bytes.truncate(usize::try_from(declared).unwrap_or(usize::MAX));
            match declared - bytes.len() as u64 {
                0 => whole(bytes),
                missing => Content::Short { bytes, missing },
            }
        }
        (AnswerBody::Stream, left) => Content::Stream { exchange, left },
        (AnswerBody::File { file, offset, len }, declared) => {
            Content::File(FileBody::new(file, offset, declared.unwrap_or(len)))
        }
    }
}

fn whole<E>(bytes: Bytes) -> Content<E> {
    if bytes.is_empty() {
        Content::Empty
    } else {
        Content::Whole(bytes)
    }
}
