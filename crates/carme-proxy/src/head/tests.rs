//! What several tests of heads begin with.

use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};

use super::{Asked, ErrorOverride, Identity, Passing, Via};
use crate::endpoint::Endpoint;

pub(super) fn endpoint() -> Endpoint {
    Endpoint::http("app1.internal", 9001)
}

pub(super) fn passing() -> Passing {
    Passing {
        identity: Identity::new("www.example.com", None),
        path: String::new(),
        preserve_host: false,
        forwarded_headers: true,
        via: Via::Off,
        raw_path: false,
        trace: true,
        reverse: Vec::new(),
        cookie_domains: Vec::new(),
        cookie_paths: Vec::new(),
        override_errors: ErrorOverride::Off,
    }
}

pub(super) fn asked<'a>(method: &'a Method, target: &'a PathAndQuery) -> Asked<'a> {
    Asked {
        method,
        version: Version::HTTP_11,
        target,
        location: "",
        is_secure: false,
        client: Some("192.0.2.7"),
        peer: Some("192.0.2.7"),
        port: 80,
        upgrades: false,
    }
}

/// Lines of `name: value`.
pub(super) fn headers(lines: &[&str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(": ").unwrap();
        let name: HeaderName = name.parse().unwrap();
        headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers
}

/// As lines again, sorted.
pub(super) fn lines(headers: &HeaderMap) -> Vec<String> {
    let mut lines: Vec<String> = headers
        .iter()
        .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())))
        .collect();
    lines.sort();
    lines
}
