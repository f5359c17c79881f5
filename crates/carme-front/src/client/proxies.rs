//! Whom the front believes about clients, and what.

use std::net::IpAddr;

use ipnet::IpNet;

/// Whom the front believes about clients, and what. By default nobody.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    /// Peers with these addresses are trusted.
    pub networks: Vec<IpNet>,
    /// Whoever connects to a Unix socket is trusted.
    pub unix: bool,
    /// The field that names the client.
    pub header: ClientHeader,
    /// What else is believed besides the client's address.
    pub fields: ForwardedFields,
    /// Every connection begins with a PROXY header, and only trusted peers may connect, unless its listener says something
    /// else.
    pub protocol: bool,
}

/// The field by which trusted proxies name the client. The others are removed: a proxy passes on what it does not write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClientHeader {
    /// `X-Forwarded-For`, with `X-Forwarded-Proto`, `-Host` and `-Port`.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239), with its own `proto` and `host`.
    Forwarded,
    /// `X-Real-IP`, with `X-Forwarded-Proto`, `-Host` and `-Port`.
    XRealIp,
}

/// What is believed besides the client's address. By default all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ForwardedFields {
    /// The scheme.
    pub proto: bool,
    /// The host that the client asked for.
    pub host: bool,
    /// The port that the client asked for.
    pub port: bool,
}

impl Default for ForwardedFields {
    fn default() -> Self {
        ForwardedFields {
            proto: true,
            host: true,
            port: true,
        }
    }
}

impl Proxies {
    /// Whether a peer is believed; `None` is somebody at a Unix socket.
    pub(crate) fn trusts(&self, peer: Option<IpAddr>) -> bool {
        match peer {
            None => self.unix,
            Some(address) => {
                let address = address.to_canonical();
                self.networks.iter().any(|network| network.contains(&address))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_trusted_by_default() {
        let nobody = Proxies::default();
        for address in [None, Some("127.0.0.1"), Some("::1"), Some("10.0.0.1")] {
            assert!(!nobody.trusts(address.map(|address| address.parse().unwrap())));
        }
    }

    #[test]
    fn networks_are_trusted_whatever_the_spelling() {
        let proxies = Proxies {
            networks: vec!["10.0.0.0/8".parse().unwrap(), "2001:db8::/32".parse().unwrap()],
            ..Proxies::default()
        };
        for (address, trusted) in [
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("11.0.0.1", false),
            ("2001:db8:1::1", true),
            ("2001:db9::1", false),
            // The same low bits, but no mapped address.
            ("::10.1.2.3", false),
        ] {
            assert_eq!(
                proxies.trusts(Some(address.parse().unwrap())),
                trusted,
                "{address}"
            );
        }
        assert!(!proxies.trusts(None));
    }
}
