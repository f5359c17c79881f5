//! Requests that this server answers itself although members answer at their location: `OPTIONS` and `TRACE` that may go
//! no further.

use carme_proxy::head::{self, Recipient, Refused};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};

use super::Proxied;
use crate::fault::Fault;
use crate::guard::Framing;
use crate::local::{LocalAnswer, LocalContent};
use crate::record::Record;
use crate::respond::METHODS;

/// The same with `TRACE`. What members allow nobody knows here.
const METHODS_AND_TRACE: &str = "GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH, TRACE";

/// What must not come back to a script that could not read it otherwise (RFC 9110, 9.3.8).
const SECRETS: [HeaderName; 3] = [header::AUTHORIZATION, header::PROXY_AUTHORIZATION, header::COOKIE];

/// The answer, if it is none of a member.
pub(crate) fn own_answer(
    proxied: &Proxied,
    record: &mut Record,
    framing: Framing,
) -> Result<Option<LocalAnswer>, Fault> {
    let has_content = !matches!(framing, Framing::Empty | Framing::Length(0));
    match head::recipient(&proxied.passing, &record.method, &record.headers, has_content) {
        Ok(Recipient::Member) => Ok(None),
        Ok(Recipient::Server) => {
            record.close |= has_content;
            Ok(Some(match record.method {
                Method::TRACE => reflected(record),
                _ => methods(if proxied.passing.trace {
                    METHODS_AND_TRACE
                } else {
                    METHODS
                }),
            }))
        }
        Err(refused) => Err(Fault {
            close: has_content,
            allow: (refused == Refused::Trace).then_some(METHODS),
            ..Fault::new(refused.status(), refused.to_string())
        }),
    }
}

fn methods(allowed: &'static str) -> LocalAnswer {
    LocalAnswer {
        status: StatusCode::OK,
        headers: HeaderMap::from_iter([(header::ALLOW, HeaderValue::from_static(allowed))]),
        content: LocalContent::Empty,
    }
}

/// The request as it came here, as `message/http`.
fn reflected(record: &Record) -> LocalAnswer {
    let mut message = b"TRACE ".to_vec();
    message.extend_from_slice(record.target());
    message.extend_from_slice(format!(" {}\r\n", record.protocol()).as_bytes());
    for (name, value) in record.headers.iter().filter(|(name, _)| !SECRETS.contains(name)) {
        message.extend_from_slice(name.as_str().as_bytes());
        message.extend_from_slice(b": ");
        message.extend_from_slice(value.as_bytes());
        message.extend_from_slice(b"\r\n");
    }
    message.extend_from_slice(b"\r\n");
    let message_http = HeaderValue::from_static("message/http");
    LocalAnswer {
        status: StatusCode::OK,
        headers: HeaderMap::from_iter([(header::CONTENT_TYPE, message_http)]),
        content: LocalContent::Whole(message.into()),
    }
}
