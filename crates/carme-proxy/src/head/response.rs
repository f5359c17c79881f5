//! The head of a member's answer as a client gets it.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{StatusCode, Version};

use super::hop_by_hop::{joined, remove_hop_by_hop};
use super::passing::{ErrorOverride, Passing};
use super::reverse::Origin;
use super::{cookies, reverse};
use crate::endpoint::Endpoint;

/// What a head depends on besides its fields.
#[derive(Debug, Clone, Copy)]
pub struct Answered<'a> {
    /// The version that the member answered with.
    pub version: Version,
    /// It is a `101` to a change of protocol that was passed on.
    pub switches: bool,
    /// This server as the client knows it.
    pub origin: Origin<'a>,
}

/// Makes a member's fields the client's. `members` are all that the balancer has: an answer may name another.
///
/// `Content-Length` stays as it is; whoever sends the body says how it is delimited.
pub fn response<'e>(
    passing: &Passing,
    answered: &Answered<'_>,
    members: impl Iterator<Item = &'e Endpoint> + Clone,
    headers: &mut HeaderMap,
) {
    let upgrade = answered
        .switches
        .then(|| joined(headers, &header::UPGRADE))
        .flatten();
    remove_hop_by_hop(headers);
    if let Some(upgrade) = upgrade {
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(header::UPGRADE, upgrade);
    }
    if let Some(via) = passing.identity.via(passing.via, answered.version) {
        headers.append(header::VIA, via);
    }
    if passing.reverse.is_empty() && passing.cookie_paths.is_empty() && passing.cookie_domains.is_empty() {
        return;
    }
    for (name, value) in headers.iter_mut() {
        let reversed = if has_address(name) {
            reverse::reversed(passing, answered.origin, members.clone(), value.as_bytes())
        } else if *name == header::SET_COOKIE {
            cookies::reversed(passing, value.as_bytes())
        } else {
            None
        };
        if let Some(reversed) = reversed {
            *value = reversed;
        }
    }
}

/// The four fields that Apache looks at.
fn has_address(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "location" | "content-location" | "uri" | "destination"
    )
}

impl ErrorOverride {
    /// Whether an answer with this status is replaced by a page of the server.
    pub fn replaces(&self, status: StatusCode) -> bool {
        match self {
            ErrorOverride::Off => false,
            ErrorOverride::All => status.is_client_error() || status.is_server_error(),
            ErrorOverride::Statuses(statuses) => statuses.contains(&status.as_u16()),
        }
    }
}

/// What is left of a member's fields when its answer is replaced: how to log in, if that is what it asks for.
pub fn keep_for_error_page(status: StatusCode, headers: &mut HeaderMap) {
    let mut kept = HeaderMap::new();
    if status == StatusCode::UNAUTHORIZED {
        for challenge in headers.get_all(header::WWW_AUTHENTICATE) {
            kept.append(header::WWW_AUTHENTICATE, challenge.clone());
        }
    }
    *headers = kept;
}

#[cfg(test)]
mod tests;
