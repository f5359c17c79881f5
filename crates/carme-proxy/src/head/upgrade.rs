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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::tests::headers;

    #[test]
    fn which_upgrades_pass() {
        let websocket = Upgrade::Only("websocket".to_owned());
        let asks = ["Connection: keep-alive, Upgrade", "Upgrade: WebSocket"];
        for (allowed, client, passes) in [
            (&Upgrade::Any, &asks[..], true),
            (&websocket, &asks, true),
            (&Upgrade::Never, &asks, false),
            (&Upgrade::Only("tls/1.0".to_owned()), &asks, false),
            (&Upgrade::Any, &["Connection: Upgrade", "Upgrade: h2c"], true),
            (&websocket, &["Connection: Upgrade", "Upgrade: h2c"], false),
            (
                &websocket,
                &["Connection: Upgrade", "Upgrade: websocket, h2c"],
                false,
            ),
            (
                &websocket,
                &["Connection: Upgrade", "Upgrade: websocket", "Upgrade: h2c"],
                false,
            ),
            (&Upgrade::Any, &["Upgrade: websocket"], false),
            (&Upgrade::Any, &["Connection: Upgrade"], false),
            (&Upgrade::Any, &["Connection: Upgrade", "Upgrade: ,"], false),
            (
                &Upgrade::Any,
                &["Connection: X-Upgrade", "Upgrade: websocket"],
                false,
            ),
            (
                &Upgrade::Any,
                &["Connection: close", "Connection: upgrade", "Upgrade: websocket"],
                true,
            ),
        ] {
            let headers = headers(client);
            assert_eq!(
                passes_upgrade(allowed, Version::HTTP_11, &headers),
                passes,
                "{allowed:?} {client:?}"
            );
            assert!(!passes_upgrade(allowed, Version::HTTP_10, &headers));
        }
    }
}
