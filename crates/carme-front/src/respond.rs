//! Responses: what the application answered, made right for HTTP/1.1, and the front's own pages.

use bytes::Bytes;
use carme_farm::dispatch::{Answer, AnswerBody};
use carme_ring::frame::Scheme;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Response, StatusCode};
use hyper::ext::ReasonPhrase;

use crate::app::Exchange;
use crate::fault::Fault;
use crate::outgoing::{Content, FileBody, Outgoing};
use crate::page;
use crate::record::Record;
use crate::trace::Tracing;

static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
static KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
static PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Seconds after which a client may try again.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

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
    if !matches!(body, AnswerBody::Stream) {
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
    Ok(finish(record, response, content))
}

/// A page that says what went wrong, and a line in the error log that says why.
pub(crate) fn fault<E: Exchange>(mut record: Box<Record>, fault: &Fault) -> Response<Outgoing<E>> {
    record.close |= fault.close;
    if let Some(metrics) = &record.connection.common.metrics {
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
    if !record.connection.common.access_logs.is_empty() {
        record.reason = Some(fault.reason.clone());
    }
    let mut response = Response::new(());
    *response.status_mut() = fault.status;
    let (content_type, page) = page::of(&record, fault.status);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, content_type);
    headers.insert(header::VARY, const { HeaderValue::from_static("Accept") });
    if fault.is_temporary() {
        headers.insert(header::RETRY_AFTER, RETRY_AFTER);
    }
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

/// The answer to `OPTIONS *`: what the server as a whole can do (RFC 9110 section 9.3.7).
pub(crate) fn server_options<E: Exchange>(record: Box<Record>) -> Response<Outgoing<E>> {
    let mut response = Response::new(());
    let methods = HeaderValue::from_static("GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH");
    response.headers_mut().insert(header::ALLOW, methods);
    finish(record, response, Content::Empty)
}

/// What every response gets.
pub(crate) fn finish<E: Exchange>(
    mut record: Box<Record>,
    mut response: Response<()>,
    content: Content<E>,
) -> Response<Outgoing<E>> {
    record.status = response.status().as_u16();
    record.answered();
    let headers = response.headers_mut();
    headers
        .entry(header::SERVER)
        .or_insert(const { HeaderValue::from_static("Carme") });
    headers.entry(&X_REQUEST_ID).or_insert_with(|| record.id.header());
    if let Some(hsts) = &record.connection.common.hsts
        && record.scheme() == Scheme::Https
    {
        headers
            .entry(header::STRICT_TRANSPORT_SECURITY)
            .or_insert_with(|| hsts.clone());
    }
    if record.close {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    if record.connection.common.keeps_response_headers {
        record.response_headers = Some(headers.clone());
    }
    response.map(|()| Outgoing::new(content, record))
}

/// Fields that concern one connection are the front's business (RFC 9110 section 7.6.1, PEP 3333 "Other HTTP Features").
fn remove_hop_by_hop(headers: &mut HeaderMap) {
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
