//! What the front answers with when there is nothing else to answer: JSON where the client prefers it, the user's own
//! page if there is one, or else a small page.

use bytes::Bytes;
use http::{HeaderValue, StatusCode};

use crate::negotiate::prefers_json;
use crate::record::Record;
use crate::request_id::RequestId;

const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
const PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json");

/// The content type and the page for this status.
pub(crate) fn of(record: &Record, status: StatusCode) -> (HeaderValue, Bytes) {
    if prefers_json(record.accepts()) {
        return (PROBLEM, problem(status, &record.id));
    }
    match record.common.error_pages.page(status, reason(status), &record.id) {
        Some(page) => page,
        None => (HTML, built_in(status, &record.id)),
    }
}

fn reason(status: StatusCode) -> &'static str {
    status.canonical_reason().unwrap_or("Error")
}

/// An HTML page that says what happened, without any detail of the inside, and how to name this request.
fn built_in(status: StatusCode, id: &RequestId) -> Bytes {
    let code = status.as_u16();
    let reason = reason(status);
    let explanation = explanation(status);
    let id = id.as_str();
    Bytes::from(format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>{code} {reason}</title></head>\n\
         <body>\n<h1>{code} {reason}</h1>\n<p>{explanation}</p>\n<p><small>Request {id}</small></p>\n</body>\n</html>\n"
    ))
}

/// Problem details (RFC 9457). All of its texts are ours, and need no escaping.
fn problem(status: StatusCode, id: &RequestId) -> Bytes {
    let code = status.as_u16();
    let reason = reason(status);
    let explanation = explanation(status);
    let id = id.as_str();
    Bytes::from(format!(
        "{{\"type\":\"about:blank\",\"title\":\"{reason}\",\"status\":{code},\"detail\":\"{explanation}\",\
         \"request_id\":\"{id}\"}}\n"
    ))
}

fn explanation(status: StatusCode) -> &'static str {
    match status.as_u16() {
        400 => "The request could not be understood.",
        403 => "This may not be seen.",
        404 => "Nothing is served here.",
        405 => "This can only be read.",
        408 => "The request did not arrive in time.",
        413 => "The request's body is too large.",
        414 => "The address is too long.",
        431 => "The request's header is too large.",
        500 => "The application failed.",
        501 => "This server cannot do what the request asks for.",
        502 => "The application gave no valid answer.",
        503 => "The server is too busy at the moment. Please try again.",
        505 => "This server speaks HTTP/1.0 and HTTP/1.1.",
        _ => "The request could not be served.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_are_json_whatever_the_status() {
        for status in (100..1000).filter_map(|code| StatusCode::from_u16(code).ok()) {
            for text in [reason(status), explanation(status)] {
                assert!(!text.contains(['"', '\\', '<', '&']) && text.is_ascii(), "{text}");
            }
        }
        let text = problem(StatusCode::NOT_FOUND, &RequestId::next());
        let text = str::from_utf8(&text).unwrap();
        assert!(
            text.starts_with(
                r#"{"type":"about:blank","title":"Not Found","status":404,"detail":"Nothing is served here.","request_id":""#
            ),
            "{text}"
        );
    }
}
