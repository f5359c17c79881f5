//! Fields that concern one connection only (RFC 9110, 7.6.1).

use http::header::{self, Entry, HeaderMap, HeaderName, HeaderValue};

use super::list;

/// Removes the fields that `Connection` names, and their names from it. What is asked of the connection itself stays.
///
/// Whoever adds fields to a request that its client shall not take away calls this before, since a client can name any.
pub fn remove_named_fields(headers: &mut HeaderMap) {
    for name in [&header::CONNECTION, &PROXY_CONNECTION] {
        if list::members(&headers.get_all(name)).all(is_of_connection) {
            continue;
        }
        let lines: Vec<HeaderValue> = headers.get_all(name).iter().cloned().collect();
        lines.iter().for_each(|line| remove_named(headers, line));
        let kept: Vec<&[u8]> = list::members(&headers.get_all(name))
            .filter(|option| is_of_connection(option))
            .collect();
        match HeaderValue::from_bytes(&kept.join(&b", "[..])) {
            Ok(kept) if !kept.is_empty() => headers.insert(name, kept),
            _ => headers.remove(name),
        };
    }
}

fn is_of_connection(option: &[u8]) -> bool {
    [&b"close"[..], b"keep-alive", b"upgrade", b"te"]
        .iter()
        .any(|known| option.eq_ignore_ascii_case(known))
}

/// Removes what concerns only the connection that a head came from, and what its `Connection` names. Trailers are passed
/// on, so `Trailer` stays.
pub(super) fn remove_hop_by_hop(headers: &mut HeaderMap) {
    while let Some(name) = headers.keys().find(|name| is_hop_by_hop(name)).cloned() {
        let Entry::Occupied(entry) = headers.entry(&name) else {
            return;
        };
        let (_, mut lines) = entry.remove_entry_mult();
        let (first, others): (_, Vec<HeaderValue>) = (lines.next(), lines.collect());
        if name == header::CONNECTION || name == PROXY_CONNECTION {
            let lines = first.iter().chain(&others);
            lines.for_each(|line| remove_named(headers, line));
        }
    }
}

static PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// `Proxy-Authenticate` is for the next client only; none of ours has members' credentials to give.
fn is_hop_by_hop(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-connection"
            | "te"
            | "transfer-encoding"
            | "upgrade"
    )
}

fn remove_named(headers: &mut HeaderMap, connection: &HeaderValue) {
    for option in connection.as_bytes().split(|byte| *byte == b',') {
        let option = option.trim_ascii();
        let is_no_field = [&b"close"[..], b"keep-alive"]
            .iter()
            .any(|known| option.eq_ignore_ascii_case(known));
        if option.is_empty() || is_no_field {
            continue;
        }
        if let Ok(name) = HeaderName::from_bytes(option)
            && !is_for_everybody(&name)
        {
            headers.remove(name);
        }
    }
}

/// Fields that no `Connection` takes away: they say where the body ends, and who the client is.
fn is_for_everybody(name: &HeaderName) -> bool {
    let name = name.as_str();
    name.starts_with("x-forwarded-")
        || matches!(
            name,
            "content-length" | "forwarded" | "host" | "set-cookie" | "x-real-ip" | "x-request-id"
        )
}

/// Whether a list such as `Connection` or `TE` names this, in any case and with any parameters.
pub(super) fn names(headers: &HeaderMap, field: &HeaderName, wanted: &str) -> bool {
    list::members(&headers.get_all(field)).any(|member| {
        let name = member.split(|byte| *byte == b';').next().unwrap_or_default();
        name.trim_ascii().eq_ignore_ascii_case(wanted.as_bytes())
    })
}

/// The field in one line.
pub(super) fn joined(headers: &HeaderMap, name: &HeaderName) -> Option<HeaderValue> {
    let mut lines = headers.get_all(name).iter().cloned();
    let (first, second) = (lines.next()?, lines.next());
    drop(lines);
    match second {
        None => Some(first),
        Some(_) => {
            let members: Vec<&[u8]> = list::members(&headers.get_all(name)).collect();
            HeaderValue::from_bytes(&members.join(&b", "[..])).ok()
        }
    }
}
