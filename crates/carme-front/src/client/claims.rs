//! What the fields of a request claim about its client, as far as it is believed.

use std::net::IpAddr;
use std::sync::Once;

use carme_ring::frame::Scheme;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::address::{AddressText, Node, decimal};
use super::proxies::{ClientHeader, Proxies};
use super::rfc7239::{Element, Elements};
use crate::guard::is_authority;
use crate::request_id::RequestId;

static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
static X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
static X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
static X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Whether a field of this name says what only a trusted proxy may say.
pub(crate) fn is_claim(name: &[u8]) -> bool {
    match name.first() {
        Some(b'x' | b'X') => {
            (name.len() > 12 && name[..12].eq_ignore_ascii_case(b"x-forwarded-"))
                || name.eq_ignore_ascii_case(b"x-request-id")
                || name.eq_ignore_ascii_case(b"x-real-ip")
        }
        Some(b'f' | b'F') => name.eq_ignore_ascii_case(b"forwarded"),
        _ => false,
    }
}

/// What trusted proxies say of a request; `None` where they say nothing that can be used.
#[derive(Default)]
pub(crate) struct Claims {
    client: Option<(Node, AddressText)>,
    /// What the client spoke.
    pub(crate) scheme: Option<Scheme>,
    /// What the client asked for, as `Host` has it.
    pub(crate) host: Option<HeaderValue>,
    /// The port that the client reached.
    pub(crate) port: Option<u16>,
    pub(crate) request_id: Option<RequestId>,
}

impl Claims {
    /// Takes the claims out of a request's fields and believes what `peer` may be believed, which is nothing if it is
    /// not trusted. What is left in the fields is true.
    pub(crate) fn settle(
        headers: &mut HeaderMap,
        peer: Option<IpAddr>,
        proxies: &Proxies,
    ) -> Option<Box<Self>> {
        if !proxies.trusts(peer) {
            remove_all(headers);
            return None;
        }
        let mut claims = Box::<Claims>::default();
        // Of several lines the nearest proxy has written the last.
        let id = headers.get_all(&X_REQUEST_ID).iter().next_back();
        claims.request_id = id.and_then(|id| RequestId::given(id.as_bytes()));
        headers.remove(&X_REQUEST_ID);
        match proxies.header {
            ClientHeader::XForwardedFor => {
                let chain = Chain::walk(proxies, entries(headers, &X_FORWARDED_FOR).map(Node::parse));
                keep(headers, &X_FORWARDED_FOR, List::Commas, chain.verified);
                headers.remove(header::FORWARDED);
                claims.relate(headers, proxies, &chain);
            }
            ClientHeader::XRealIp => {
                // One address, and no list; here, too, the last line.
                let named = headers.get_all(&X_REAL_IP).iter().next_back();
                let chain = Chain {
                    client: named.and_then(|value| Node::parse(value.as_bytes().trim_ascii())),
                    ..Chain::default()
                };
                headers.remove(header::FORWARDED);
                headers.remove(&X_FORWARDED_FOR);
                claims.relate(headers, proxies, &chain);
            }
            ClientHeader::Forwarded => claims.forwarded(headers, proxies),
        }
        if headers.contains_key(&X_REAL_IP) {
            let address = claims.client.as_ref().map(|(_, text)| text.as_str().to_owned());
            let address = address.or_else(|| peer.map(|peer| peer.to_canonical().to_string()));
            replace(headers, &X_REAL_IP, address.as_deref().map(str::as_bytes));
        }
        Some(claims)
    }

    /// The client's end, if it is not the peer's.
    pub(crate) fn client(&self) -> Option<Node> {
        self.client.map(|(node, _)| node)
    }

    /// The client's address, if it is not the peer's.
    pub(crate) fn client_text(&self) -> Option<&str> {
        self.client.as_ref().map(|(_, text)| text.as_str())
    }

    fn named(&mut self, client: Option<Node>) {
        self.client = client.map(|node| (node, node.text()));
    }

    /// Reads what comes with `X-Forwarded-For` or `X-Real-IP`.
    fn relate(&mut self, headers: &mut HeaderMap, proxies: &Proxies, chain: &Chain) {
        self.named(chain.client);
        let said = |name: &HeaderName, believed: bool| {
            let said = believed.then(|| nth_from_right(headers, name, chain.outermost()))?;
            said.map(<[u8]>::to_vec)
        };
        let proto = said(&X_FORWARDED_PROTO, proxies.fields.proto);
        let host = said(&X_FORWARDED_HOST, proxies.fields.host);
        let port = said(&X_FORWARDED_PORT, proxies.fields.port);
        self.scheme = proto.as_deref().and_then(scheme);
        self.host = host.as_deref().and_then(host_value);
        self.port = port.as_deref().and_then(decimal).filter(|port| *port != 0);
        replace(
            headers,
            &X_FORWARDED_PROTO,
            proto.as_deref().filter(|_| self.scheme.is_some()),
        );
        replace(
            headers,
            &X_FORWARDED_HOST,
            host.as_deref().filter(|_| self.host.is_some()),
        );
        replace(
            headers,
            &X_FORWARDED_PORT,
            port.as_deref().filter(|_| self.port.is_some()),
        );
    }

    /// Reads `Forwarded`.
    fn forwarded(&mut self, headers: &mut HeaderMap, proxies: &Proxies) {
        let mut said = Vec::new();
        let chain = Chain::walk(
            proxies,
            elements(headers, &header::FORWARDED).map(|element| {
                let element = Element::parse(element)?;
                let node = element.node;
                said.push(element);
                node
            }),
        );
        self.named(chain.client);
        // The outermost proxy knows best what the client asked for.
        if proxies.fields.proto {
            self.scheme = said
                .iter()
                .rev()
                .find_map(|element| scheme(element.proto.as_deref()?));
        }
        if proxies.fields.host {
            self.host = said
                .iter()
                .rev()
                .find_map(|element| host_value(element.host.as_deref()?));
        }
        drop(said);
        keep(headers, &header::FORWARDED, List::Elements, chain.verified);
        for name in [
            &X_FORWARDED_FOR,
            &X_FORWARDED_PROTO,
            &X_FORWARDED_HOST,
            &X_FORWARDED_PORT,
        ] {
            headers.remove(name);
        }
    }
}

/// A list of addresses, followed from the peer outwards.
#[derive(Debug, Default, PartialEq, Eq)]
struct Chain {
    /// The first that is not trusted, or the outermost of all.
    client: Option<Node>,
    /// So many entries from the right were written by trusted proxies and name an address.
    verified: usize,
    /// So many entries from the right were written by trusted proxies.
    written: usize,
}

impl Chain {
    /// `named` are the entries from right to left, `None` for one that is no address: nobody knows what is behind it.
    fn walk(proxies: &Proxies, named: impl Iterator<Item = Option<Node>>) -> Self {
        let mut chain = Chain::default();
        for node in named {
            chain.written += 1;
            let Some(node) = node else { break };
            chain.client = Some(node);
            chain.verified += 1;
            if !proxies.trusts(Some(node.address)) {
                break;
            }
        }
        chain
    }

    /// How far from the right the outermost trusted proxy has written.
    fn outermost(&self) -> usize {
        self.written.saturating_sub(1)
    }
}

/// How the entries of a list are told apart.
#[derive(Clone, Copy)]
enum List {
    Commas,
    Elements,
}

/// The entries of a list that may have several lines, from right to left.
fn entries<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    let lines = headers.get_all(name).iter().rev();
    lines.flat_map(|line| {
        line.as_bytes()
            .rsplit(|byte| *byte == b',')
            .map(<[u8]>::trim_ascii)
    })
}

/// The elements of `Forwarded`, from right to left.
fn elements<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    let lines = headers.get_all(name).iter().rev();
    lines.flat_map(|line| Elements::new(line.as_bytes()))
}

/// What the proxy has said that wrote the entry so far from the right. Proxies that replace what came leave fewer.
fn nth_from_right<'a>(headers: &'a HeaderMap, name: &HeaderName, nth: usize) -> Option<&'a [u8]> {
    entries(headers, name).take(nth.saturating_add(1)).last()
}

/// Leaves the last `count` entries of a list.
fn keep(headers: &mut HeaderMap, name: &HeaderName, list: List, count: usize) {
    let mut entries: Vec<&[u8]> = match list {
        List::Commas => entries(headers, name).collect(),
        List::Elements => elements(headers, name).collect(),
    };
    let is_one_line = headers.get_all(name).iter().nth(1).is_none();
    if is_one_line && entries.len() == count {
        return;
    }
    entries.truncate(count);
    entries.reverse();
    let kept = entries.join(&b", "[..]);
    replace(headers, name, (count > 0).then_some(&kept));
}

/// Sets a field that is there; `None` removes it.
fn replace(headers: &mut HeaderMap, name: &HeaderName, value: Option<&[u8]>) {
    let mut lines = headers.get_all(name).iter();
    match (lines.next(), lines.next(), value) {
        (None, ..) => {}
        (Some(line), None, Some(value)) if line.as_bytes() == value => {}
        (_, _, value) => match value.and_then(|value| HeaderValue::from_bytes(value).ok()) {
            Some(value) => drop(headers.insert(name, value)),
            None => drop(headers.remove(name)),
        },
    }
}

fn scheme(name: &[u8]) -> Option<Scheme> {
    // WebSockets are HTTP here; some proxies name them.
    let is = |names: [&[u8]; 2]| names.iter().any(|known| name.eq_ignore_ascii_case(known));
    if is([b"https", b"wss"]) {
        Some(Scheme::Https)
    } else if is([b"http", b"ws"]) {
        Some(Scheme::Http)
    } else {
        None
    }
}

fn host_value(host: &[u8]) -> Option<HeaderValue> {
    (!host.is_empty() && is_authority(host)).then(|| HeaderValue::from_bytes(host).ok())?
}

/// Tells the error log, once, of somebody who is not trusted and may be a proxy that was forgotten: the user would only
/// see that every client has the same address.
pub(crate) fn tell_of_stranger(headers: &HeaderMap, peer: Option<IpAddr>, proxies: &Proxies, told: &Once) {
    let names_a_client = || {
        headers.contains_key(&X_FORWARDED_FOR)
            || headers.contains_key(header::FORWARDED)
            || headers.contains_key(&X_REAL_IP)
    };
    if told.is_completed() || proxies.trusts(peer) || !is_neighbour(peer) || !names_a_client() {
        return;
    }
    told.call_once(|| {
        let (who, name) = match peer {
            Some(peer) => (peer.to_string(), peer.to_string()),
            None => ("who is at a Unix socket".to_owned(), "unix".to_owned()),
        };
        tracing::warn!(
            "{who} names a client of its own (X-Forwarded-For or the like) and is not believed; if it is your proxy: \
             trusted_proxies = [\"{name}\"]"
        );
    });
}

/// Whether a peer is on this machine or its network, where proxies are.
fn is_neighbour(peer: Option<IpAddr>) -> bool {
    match peer.map(|peer| peer.to_canonical()) {
        None => true,
        Some(IpAddr::V4(peer)) => peer.is_loopback() || peer.is_private(),
        Some(IpAddr::V6(peer)) => peer.is_loopback() || peer.is_unique_local(),
    }
}

fn remove_all(headers: &mut HeaderMap) {
    let is_one = |name: &&HeaderName| is_claim(name.as_str().as_bytes());
    while let Some(name) = headers.keys().find(is_one).cloned() {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests;
