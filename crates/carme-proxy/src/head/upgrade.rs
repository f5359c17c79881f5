//! Which changes of protocol are passed on (RFC 9110, 7.8).

use http::{HeaderMap, Version, header};

use super::{hop_by_hop, list};
use crate::endpoint::Upgrade;

/// Whether a client asks for another protocol that a member with this setting is asked for in turn: `Connection` names
/// `Upgrade`, and all that `Upgrade` names may pass.
pub fn passes_upgrade(allowed: &Upgrade, version: Version, headers: &HeaderMap) -> bool {
    if version != Version::HTTP_11 || matches!(allowed, Upgrade::Never) {
        return false;
    }
    let lines = headers.get_all(header::UPGRADE);
    let mut asked = list::members(&lines).peekable();
    asked.peek().is_some()
        && hop_by_hop::names(headers, &header::CONNECTION, "upgrade")
        && match allowed {
            Upgrade::Any => true,
            Upgrade::Never => false,
            Upgrade::Only(name) => asked.all(|asked| asked.eq_ignore_ascii_case(name.as_bytes())),
        }
}
