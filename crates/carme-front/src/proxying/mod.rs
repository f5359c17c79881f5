//! Requests that members of a balancer answer.

mod client_body;
mod own_answer;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use carme_proxy::head::{self, Answered, Asked, Origin, Passing};
use carme_proxy::{Answer, Ask, Content, Endpoint, Failed, Forward, Kept, RequestBody, Seat, Tunnel};
use carme_ring::frame::Scheme;
use http::header::{self, HeaderMap, HeaderValue};
use http::uri::PathAndQuery;
use http::{Method, Request, Response, StatusCode, Uri, Version};
use http_body::Body;
use hyper::body::Incoming;
use hyper::ext::ReasonPhrase;

use crate::app::Exchange;
use crate::fault::Fault;
use crate::guard::Framing;
use crate::location;
use crate::outgoing::{self, Outgoing};
use crate::record::Record;
use crate::respond;
use crate::service::{host, server_port};
use crate::tunnel::Switched;
use client_body::{ClientBody, ClientLimits, Receipt};
pub(crate) use own_answer::own_answer;

/// A balancer at a location.
pub struct Proxied {
    /// The balancer's number, by which [`crate::Metrics`] knows it.
    pub number: u16,
    /// The balancer.
    pub cluster: Arc<Kept>,
    /// What is done to requests and answers on their way.
    pub passing: Passing,
    /// What the method `hash` looks at.
    pub hash: HashKey,
}

/// What a member is chosen by where the method is `hash`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum HashKey {
    /// The client's address.
    #[default]
    Address,
    /// This field's value; the client's address where there is none.
    Header(http::HeaderName),
    /// This cookie's value; the client's address where there is none.
    Cookie(String),
}

impl std::fmt::Debug for Proxied {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proxied").finish_non_exhaustive()
    }
}

impl HashKey {
    fn of<'a>(&'a self, record: &'a Record, cookies: &[&'a [u8]]) -> &'a [u8] {
        let found = match self {
            HashKey::Address => None,
            HashKey::Header(name) => record.headers.get(name).map(HeaderValue::as_bytes),
            HashKey::Cookie(name) => cookies.iter().find_map(|field| cookie(field, name)),
        };
        found.unwrap_or(record.client_text().as_bytes())
    }
}

/// The value of the first cookie of that name that has one (RFC 6265, 5.4).
///
/// Not as `stickysession` finds its cookie, which is as Apache does it: there a comma ends a value, too. Here all of it
/// counts, or two clients whose values differ behind a comma would have one key.
fn cookie<'a>(field: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let mut values = field.split(|byte| *byte == b';').filter_map(|pair| {
        pair.trim_ascii()
            .strip_prefix(name.as_bytes())?
            .strip_prefix(b"=")
    });
    values.find(|value| !value.is_empty())
}

/// The path, decoded, in the form that members see; `None` if it has that form.
pub(crate) fn other_form(uri: &Uri, framing: Framing) -> Result<Option<Vec<u8>>, Fault> {
    match head::normal_path(uri.path()) {
        Ok(Cow::Borrowed(_)) => Ok(None),
        Ok(Cow::Owned(normal)) => Ok(Some(location::decode(normal.as_bytes()).into_owned())),
        Err(refused) => Err(Fault {
            close: framing != Framing::Empty,
            ..Fault::new(refused.status(), refused.to_string())
        }),
    }
}

/// Has a member answer a request.
pub(crate) async fn pass(
    proxied: &Proxied,
    location: &[u8],
    record: &mut Record,
    framing: Framing,
    incoming: Incoming,
) -> Result<Answer, Fault> {
    let limits = ClientLimits::of(&record.common.limits);
    let (body, receipt) = match framing {
        Framing::Empty | Framing::Length(0) => (RequestBody::empty(), None),
        Framing::Length(length) if length > limits.bytes => return Err(limits.too_large().into()),
        Framing::Length(_) | Framing::Chunked => {
            let receipt = Receipt::default();
            if framing != Framing::Chunked {
                record.count_body(receipt.counter());
            }
            let body = ClientBody::new(incoming, limits, receipt.clone());
            (RequestBody::new(body), Some(receipt))
        }
    };
    let progress = Arc::default();
    record.attempts = Some(Arc::clone(&progress));
    record.balancer = Some(proxied.number);
    let result = {
        let record = &*record;
        let cookies: Vec<&[u8]> = record
            .headers
            .get_all(header::COOKIE)
            .iter()
            .map(HeaderValue::as_bytes)
            .collect();
        let head = |endpoint: &Endpoint| request_head(proxied, location, record, endpoint);
        let forward = Forward {
            ask: Ask {
                path_and_query: record.target(),
                cookies: &cookies,
                hash_key: Some(proxied.hash.of(record, &cookies)),
            },
            method: &record.method,
            head: &head,
            body,
            id: record.id.as_str(),
        };
        proxied.cluster.forward(forward, &progress).await
    };
    record.note_attempts();
    match result {
        Ok(answer) => Ok(answer),
        Err(Failed::Client) => match receipt.and_then(|receipt| receipt.take_error()) {
            Some(error) => Err(error.into()),
            None => Err(Fault::closing(
                StatusCode::BAD_REQUEST,
                "the request's body was broken off",
            )),
        },
        Err(failed) => Err(Fault {
            // What is left of the body is not read.
            close: framing != Framing::Empty,
            wait: match &failed {
                Failed::Unavailable(reason) => proxied.cluster.retry_after(reason).unwrap_or_default(),
                _ => Duration::ZERO,
            },
            ..Fault::new(failed.status(), failed.to_string())
        }),
    }
}

/// The head as this member is to see it.
fn request_head(
    proxied: &Proxied,
    location: &[u8],
    record: &Record,
    endpoint: &Endpoint,
) -> Result<Request<()>, head::Refused> {
    let root = PathAndQuery::from_static("/");
    let ends = &record.connection.ends;
    let mut headers: HeaderMap = record.headers.clone();
    let asked = Asked {
        method: &record.method,
        version: record.version,
        target: record.uri.path_and_query().unwrap_or(&root),
        location: std::str::from_utf8(location).unwrap_or_default(),
        is_secure: record.scheme() == Scheme::Https,
        client: Some(record.client_text()).filter(|text| !text.is_empty()),
        peer: Some(ends.peer_text.as_str()).filter(|text| !text.is_empty()),
        port: server_port(record),
        upgrades: head::passes_upgrade(&endpoint.upgrade, record.version, &record.headers),
    };
    let target = head::request(&proxied.passing, endpoint, &asked, &mut headers)?;
    let mut request = Request::new(());
    *request.method_mut() = record.method.clone();
    *request.uri_mut() = target.into();
    *request.version_mut() = Version::HTTP_11;
    *request.headers_mut() = headers;
    Ok(request)
}

/// The member's answer, made right for the client.
pub(crate) fn respond<E: Exchange>(
    record: Box<Record>,
    answer: Answer,
    proxied: &Proxied,
) -> Response<Outgoing<E>> {
    let Answer { head, content } = answer;
    let (status, mut headers) = (head.status, head.headers);
    let switches = matches!(content, Content::Tunnel(..));
    if proxied.passing.override_errors.replaces(status) {
        head::keep_for_error_page(status, &mut headers);
        return respond::page(record, status, headers);
    }
    let answered = Answered {
        version: head.version,
        switches,
        origin: Origin {
            is_secure: record.scheme() == Scheme::Https,
            authority: host(&record),
        },
    };
    let endpoints = proxied.cluster.endpoints();
    let members = endpoints.iter().map(|endpoint| &**endpoint);
    head::response(&proxied.passing, &answered, members, &mut headers);
    let mut response = Response::new(());
    *response.status_mut() = status;
    if let Some(reason) = head.extensions.get::<ReasonPhrase>() {
        response.extensions_mut().insert(reason.clone());
    }
    *response.headers_mut() = headers;
    let body = match content {
        Content::Body(body) => body,
        Content::Tunnel(Some(tunnel), seat) => return switch(record, response, tunnel, seat),
        Content::Tunnel(None, _) => {
            let fault = Fault::new(
                StatusCode::BAD_GATEWAY,
                "the member broke off inside its response",
            );
            return respond::fault(record, &fault);
        }
    };
    let is_bodiless = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let content = match record.method == Method::HEAD || is_bodiless || body.is_end_stream() {
        true => outgoing::Content::Empty,
        false => outgoing::Content::Passed(body),
    };
    respond::passed(record, response, content)
}

/// The client and the member go on by themselves.
fn switch<E: Exchange>(
    mut record: Box<Record>,
    mut response: Response<()>,
    tunnel: Tunnel,
    seat: Seat,
) -> Response<Outgoing<E>> {
    respond::prepare(&mut record, &mut response);
    let connection = Arc::clone(&record.connection);
    connection.switch(Switched { tunnel, seat, record });
    response.map(|()| Outgoing::unrecorded())
}

#[cfg(test)]
mod tests {
    use super::cookie;

    #[test]
    fn a_cookie_s_value_is_all_that_the_client_was_given() {
        for (field, expected) in [
            ("id=a", Some("a")),
            ("x=1; id=a; y=2", Some("a")),
            ("id=a,b=c", Some("a,b=c")),
            ("xid=a; idx=b; id=c", Some("c")),
            ("ID=a", None),
            ("id=; id=b", Some("b")),
            ("id=", None),
            ("id", None),
            ("", None),
        ] {
            let found = cookie(field.as_bytes(), "id").map(|value| std::str::from_utf8(value).unwrap());
            assert_eq!(found, expected, "{field}");
        }
    }
}
