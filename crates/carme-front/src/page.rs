//! The small pages that the front answers with when there is nothing else to answer.

use bytes::Bytes;
use http::StatusCode;

use crate::request_id::RequestId;

/// An HTML page that says what happened, without any detail of the inside, and how to name this request.
pub(crate) fn error(status: StatusCode, id: RequestId) -> Bytes {
    let code = status.as_u16();
    let reason = status.canonical_reason().unwrap_or("Error");
    let explanation = explanation(status);
    let id = id.as_str();
    Bytes::from(format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>{code} {reason}</title></head>\n\
         <body>\n<h1>{code} {reason}</h1>\n<p>{explanation}</p>\n<p><small>Request {id}</small></p>\n</body>\n</html>\n"
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
