//! What members are told about the client: `X-Forwarded-For` and its kin, and `Forwarded` (RFC 7239).
//!
//! What is in the request already is true, since whoever gives it to us has removed the rest: a list that trusted
//! proxies wrote begins with the client, and we add the end of our own connection. So Apache does, and nginx and Caddy.

use std::fmt::Write as _;

use http::header::{self, Entry, HeaderMap, HeaderName, HeaderValue};

use super::identity::Identity;
use super::list;
use super::request::Asked;

static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
static X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
static X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
static X_FORWARDED_SERVER: HeaderName = HeaderName::from_static("x-forwarded-server");

/// How many fields [`add`] adds at most.
pub(super) const MOST_ADDED: usize = 5;

/// Adds who asks, and for what. `headers` has the client's `Host` yet.
pub(super) fn add(identity: &Identity, asked: &Asked<'_>, headers: &mut HeaderMap) {
    if headers.contains_key(header::FORWARDED) {
        extend_forwarded(asked, headers);
    }
    add_for(asked, headers);
    // One host: members take the whole field for it, and what is there is what the client asked for.
    if let Some(host) = headers.get(header::HOST).cloned() {
        headers.entry(&X_FORWARDED_HOST).or_insert(host);
    }
    if let Some(server) = &identity.server {
        list::append(headers, &X_FORWARDED_SERVER, server.clone());
    }
    headers.insert(&X_FORWARDED_PROTO, HeaderValue::from_static(asked.scheme()));
    let port = match asked.port {
        80 => HeaderValue::from_static("80"),
        443 => HeaderValue::from_static("443"),
        port => HeaderValue::from(port),
    };
    headers.insert(&X_FORWARDED_PORT, port);
}

fn add_for(asked: &Asked<'_>, headers: &mut HeaderMap) {
    let value = |address: Option<&str>| HeaderValue::from_str(address?).ok();
    match headers.entry(&X_FORWARDED_FOR) {
        Entry::Occupied(list) => {
            if let Some(peer) = value(asked.peer) {
                list::append_to(list, &peer);
            }
        }
        // Nobody has written a list: the client is told, even if a proxy has named it in another way.
        Entry::Vacant(entry) => {
            if let Some(client) = value(asked.client) {
                entry.insert(client);
            }
        }
    }
}

/// Goes on with a list that is there. None is begun: hardly anybody reads it, and two lists are one too many to be
/// believed by a member that was not told which.
fn extend_forwarded(asked: &Asked<'_>, headers: &mut HeaderMap) {
    let mut element = String::with_capacity(64);
    let _ = match asked.peer {
        // RFC 7239, 6: an IPv6 address is in brackets, which only a quoted string may have.
        Some(peer) if peer.contains(':') => write!(element, "for=\"[{peer}]\""),
        Some(peer) => write!(element, "for={peer}"),
        None => write!(element, "for=unknown"),
    };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    if let Some(host) = host.filter(|host| !host.contains(['"', '\\'])) {
        let _ = write!(element, ";host=\"{host}\"");
    }
    let _ = write!(element, ";proto={}", asked.scheme());
    if let Ok(element) = HeaderValue::try_from(element) {
        list::append(headers, &header::FORWARDED, element);
    }
}
