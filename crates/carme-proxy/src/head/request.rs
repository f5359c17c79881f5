//! The head of a request as a member gets it.

use http::header::{self, HeaderMap, HeaderValue};
use http::uri::PathAndQuery;
use http::{Method, StatusCode, Version};

use super::hop_by_hop::{self, joined, remove_hop_by_hop};
use super::passing::{Passing, Via};
use super::recipient::forwards;
use super::{forwarded, list, path};
use crate::endpoint::{Endpoint, Protocol};

/// What a client asked for, besides its fields.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Its method.
    pub method: &'a Method,
    /// The version of HTTP it spoke.
    pub version: Version,
    /// Path and query as it wrote them.
    pub target: &'a PathAndQuery,
    /// The path of the location that was found, percent-decoded and without a slash at its end (`SCRIPT_NAME`); empty
    /// for the root. To be found by [`normal_path`](super::normal_path).
    pub location: &'a str,
    /// It spoke TLS, to us or to a trusted proxy.
    pub is_secure: bool,
    /// Its address as text, an IPv6 address without brackets; `None` behind a Unix socket whose other end named none.
    pub client: Option<&'a str>,
    /// The address at the other end of the connection, the client or the nearest proxy. `None` at a Unix socket.
    pub peer: Option<&'a str>,
    /// The port that it reached.
    pub port: u16,
    /// The change of protocol that it asks for is passed on ([`passes_upgrade`](super::passes_upgrade)).
    pub upgrades: bool,
}

impl Asked<'_> {
    pub(super) fn scheme(&self) -> &'static str {
        if self.is_secure { "https" } else { "http" }
    }
}

/// Why a request is not passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// `%` without two hexadecimal digits after it, or `%00`.
    #[error("the path has a \"%\" that is no escape of a character that can be passed on")]
    Escape,
    /// More `..` than segments, or one that only the member would see: beside an encoded slash or a backslash, or with
    /// parameters.
    #[error("the path leaves its root by \"..\"")]
    Dots,
    /// It begins with the location's path no longer once it is in its normal form.
    #[error("the path, in its normal form, is not below its location")]
    Elsewhere,
    /// Longer than a URI may be here (64 KiB).
    #[error("the path is too long for a request to a member")]
    TooLong,
    /// `Max-Forwards` that is no number.
    #[error("Max-Forwards is no number")]
    MaxForwards,
    /// `OPTIONS` or `TRACE` with `Max-Forwards: 0`, for which [`recipient`](super::recipient) had to be asked before.
    #[error("Max-Forwards is 0: it is to be answered here")]
    LastHop,
    /// `TRACE` where it is off.
    #[error("TRACE is not answered here")]
    Trace,
    /// `TRACE` with content.
    #[error("TRACE has no content")]
    TraceContent,
}

impl Refused {
    /// What the client gets.
    pub fn status(self) -> StatusCode {
        match self {
            Refused::Escape | Refused::Dots | Refused::MaxForwards => StatusCode::BAD_REQUEST,
            Refused::Elsewhere => StatusCode::NOT_FOUND,
            Refused::TooLong => StatusCode::URI_TOO_LONG,
            Refused::LastHop => StatusCode::BAD_GATEWAY,
            Refused::Trace => StatusCode::METHOD_NOT_ALLOWED,
            Refused::TraceContent => StatusCode::PAYLOAD_TOO_LARGE,
        }
    }
}

/// How many fields are added at most: `Via`, `Host`, `Connection`, and those about the client.
const MOST_ADDED: usize = 3 + forwarded::MOST_ADDED;

/// Makes a client's fields the member's, and says what the member is asked for.
///
/// `Content-Length` stays as it is; whoever sends the body says how it is delimited. If the request is refused, `headers`
/// may have changed in part.
pub fn request(
    passing: &Passing,
    endpoint: &Endpoint,
    asked: &Asked<'_>,
    headers: &mut HeaderMap,
) -> Result<PathAndQuery, Refused> {
    let target = path::at_member(passing, endpoint, asked)?;
    if matches!(*asked.method, Method::OPTIONS | Method::TRACE) {
        count_forwards(headers)?;
    }
    headers.reserve(MOST_ADDED);
    set_connection(endpoint, asked, headers);
    headers.remove(header::EXPECT);
    add_via(passing, asked.version, headers);
    if passing.forwarded_headers {
        forwarded::add(&passing.identity, asked, headers);
    }
    set_host(passing, endpoint, headers);
    Ok(target)
}

/// The client's, for a client without one this server's name, or the member's.
fn set_host(passing: &Passing, endpoint: &Endpoint, headers: &mut HeaderMap) {
    let host = match (passing.preserve_host, &passing.identity.server) {
        (true, _) if headers.contains_key(header::HOST) => return,
        (true, Some(server)) => Some(server.clone()),
        _ => HeaderValue::from_str(&endpoint.authority).ok(),
    };
    match host {
        Some(host) => headers.insert(header::HOST, host),
        None => headers.remove(header::HOST),
    };
}

fn count_forwards(headers: &mut HeaderMap) -> Result<(), Refused> {
    if let Some(forwards) = forwards(headers)? {
        let left = forwards.checked_sub(1).ok_or(Refused::LastHop)?;
        headers.insert(header::MAX_FORWARDS, HeaderValue::from(left));
    }
    Ok(())
}

/// What concerns the client's connection goes, what concerns the member's comes.
fn set_connection(endpoint: &Endpoint, asked: &Asked<'_>, headers: &mut HeaderMap) {
    let takes_trailers = hop_by_hop::names(headers, &header::TE, "trailers");
    let upgrade = asked
        .upgrades
        .then(|| joined(headers, &header::UPGRADE))
        .flatten();
    remove_hop_by_hop(headers);
    if takes_trailers {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
    }
    if endpoint.protocol == Protocol::Http2 {
        return;
    }
    let options = match (&upgrade, takes_trailers, endpoint.reuse) {
        (None, false, true) => return,
        (None, true, true) => "TE",
        (None, false, false) => "close",
        (None, true, false) => "close, TE",
        (Some(_), false, _) => "Upgrade",
        (Some(_), true, _) => "Upgrade, TE",
    };
    headers.insert(header::CONNECTION, HeaderValue::from_static(options));
    if let Some(upgrade) = upgrade {
        headers.insert(header::UPGRADE, upgrade);
    }
}

fn add_via(passing: &Passing, version: Version, headers: &mut HeaderMap) {
    if passing.via == Via::Block {
        headers.remove(header::VIA);
    } else if let Some(via) = passing.identity.via(passing.via, version) {
        list::append(headers, &header::VIA, via);
    }
}

#[cfg(test)]
mod tests;
