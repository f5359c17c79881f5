//! Members' addresses in their answers, which become this server's (`ProxyPassReverse`).
//!
//! As in Apache, the first entry that fits counts, and what follows the beginning that it names is kept. Beyond Apache, a
//! beginning ends where a host, a port or a segment does, and there is one slash where the two sides meet: Apache makes
//! `/1/a` of `http://app:90011/a` for a member at port 9001, and `/app//a` of its `/a` at `/app/`.

use bytes::{BufMut, BytesMut};
use http::HeaderValue;

use super::passing::{Passing, ReverseFrom};
use crate::endpoint::{Address, Endpoint};

/// This server as a client knows it.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    /// The client speaks TLS, to us or to a trusted proxy.
    pub is_secure: bool,
    /// Its `Host`, as it wrote it. If it is empty, URLs become paths.
    pub authority: &'a [u8],
}

/// What is left of a URL behind the beginning that was looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rest<'u> {
    rest: &'u [u8],
    /// The beginning was the whole of a host, whose path is `/` even if it is not written.
    is_whole_host: bool,
}

/// The URL for the client; `None` if it stays as it is.
pub(super) fn reversed<'e>(
    passing: &Passing,
    origin: Origin<'_>,
    members: impl Iterator<Item = &'e Endpoint> + Clone,
    url: &[u8],
) -> Option<HeaderValue> {
    passing.reverse.iter().find_map(|reverse| {
        let found = match &reverse.from {
            ReverseFrom::Members(path) => members.clone().find_map(|member| at_member(member, path, url)),
            ReverseFrom::Url(from) => at_url(from, url),
        }?;
        own(origin, &reverse.to, found)
    })
}

fn own(origin: Origin<'_>, to: &str, found: Rest<'_>) -> Option<HeaderValue> {
    let mut url = BytesMut::with_capacity(16 + origin.authority.len() + to.len() + found.rest.len());
    if !origin.authority.is_empty() {
        let (scheme, default_port) = match origin.is_secure {
            true => (&b"https://"[..], &b":443"[..]),
            false => (&b"http://"[..], &b":80"[..]),
        };
        let authority = origin.authority;
        url.put_slice(scheme);
        url.put_slice(authority.strip_suffix(default_port).unwrap_or(authority));
    }
    let path = to.trim_end_matches('/').as_bytes();
    url.put_slice(path);
    if found.rest.first() != Some(&b'/') && (path.is_empty() || found.is_whole_host && to.ends_with('/')) {
        url.put_u8(b'/');
    }
    url.put_slice(found.rest);
    HeaderValue::from_maybe_shared(url.freeze()).ok()
}

/// Below a path at a member, after the member's own.
fn at_member<'u>(member: &Endpoint, path: &str, url: &'u [u8]) -> Option<Rest<'u>> {
    let (scheme, default_port) = match member.is_secure {
        true => (&b"https://"[..], 443),
        false => (&b"http://"[..], 80),
    };
    let rest = strip_ignoring_case(url, scheme)?;
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#'));
    let (authority, rest) = rest.split_at(end.unwrap_or(rest.len()));
    let (host, port) = split_port(authority)?;
    let (member_host, member_port) = match &member.address {
        Address::Tcp { host, port } => (host, *port),
        Address::Unix { host, .. } => (host, default_port),
    };
    if port.unwrap_or(default_port) != member_port || !host.eq_ignore_ascii_case(member_host.as_bytes()) {
        return None;
    }
    let rest = at_boundary(strip_ignoring_case(rest, member.path.as_bytes())?)?;
    let path = path.trim_end_matches('/');
    Some(Rest {
        rest: at_boundary(rest.strip_prefix(path.as_bytes())?)?,
        is_whole_host: path.is_empty() && member.path.is_empty(),
    })
}

/// Below a URL, or below a path at any host.
fn at_url<'u>(from: &str, url: &'u [u8]) -> Option<Rest<'u>> {
    let url = match from.starts_with('/') {
        true => path_of(url),
        false => url,
    };
    let rest = strip_ignoring_case(url, from.trim_end_matches('/').as_bytes())?;
    // What goes into a query ends where its author says.
    let rest = if from.contains('?') {
        rest
    } else {
        at_boundary(rest)?
    };
    Some(Rest {
        rest,
        is_whole_host: false,
    })
}

/// The path of a URL with a host, and what follows it; anything else as it is.
fn path_of(url: &[u8]) -> &[u8] {
    memchr::memmem::find(url, b"://")
        .and_then(|scheme| memchr::memchr(b'/', &url[scheme + 3..]).map(|path| &url[scheme + 3 + path..]))
        .unwrap_or(url)
}

/// Host and port; `None` if there is a user, or a port that is none.
fn split_port(authority: &[u8]) -> Option<(&[u8], Option<u16>)> {
    if authority.contains(&b'@') {
        return None;
    }
    let colon = authority.iter().rposition(|byte| matches!(byte, b':' | b']'));
    match colon.filter(|at| authority[*at] == b':') {
        None => Some((authority, None)),
        Some(at) => match &authority[at + 1..] {
            [] => Some((&authority[..at], None)),
            port if port.iter().all(u8::is_ascii_digit) => {
                Some((&authority[..at], Some(str::from_utf8(port).ok()?.parse().ok()?)))
            }
            _ => None,
        },
    }
}

fn strip_ignoring_case<'u>(text: &'u [u8], prefix: &[u8]) -> Option<&'u [u8]> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

fn at_boundary(rest: &[u8]) -> Option<&[u8]> {
    matches!(rest, [] | [b'/' | b'?' | b'#', ..]).then_some(rest)
}

#[cfg(test)]
mod tests;
