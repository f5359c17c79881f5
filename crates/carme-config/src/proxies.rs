//! Which proxies are believed, and what.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};

use crate::bind::Bind;
use crate::nearest::did_you_mean;
use crate::problem::Mistake;

/// `[server]`: what is believed of proxies before this server. By default nobody is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    /// `trusted_proxies`: who is believed; none twice.
    pub trusted: Vec<TrustedProxy>,
    /// `forwarded`: the field that names the client.
    pub header: ClientHeader,
    /// `forwarded_fields`: what is believed besides the address.
    pub fields: ForwardedFields,
    /// `proxy_protocol`: every connection begins with a PROXY header, unless its address says something else.
    pub protocol: bool,
    /// `proxy_protocol` of single addresses, by their index in `listen`.
    pub protocol_at: BTreeMap<usize, bool>,
}

impl Proxies {
    /// Whether connections to this address, by its index in `listen`, begin with a PROXY header.
    pub fn announce_at(&self, index: usize) -> bool {
        self.protocol_at.get(&index).copied().unwrap_or(self.protocol)
    }
}

/// An element of `trusted_proxies`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrustedProxy {
    /// Peers with these addresses; never mapped IPv4 addresses.
    Network(IpNet),
    /// Whoever connects to a Unix socket.
    Unix,
}

/// `forwarded`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClientHeader {
    /// `X-Forwarded-For`
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239)
    Forwarded,
    /// `X-Real-IP`
    XRealIp,
}

/// `forwarded_fields`; all of them by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is the element of its name")]
pub struct ForwardedFields {
    pub proto: bool,
    pub host: bool,
    pub port: bool,
}

impl ForwardedFields {
    pub(crate) const NONE: Self = ForwardedFields {
        proto: false,
        host: false,
        port: false,
    };
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

impl TrustedProxy {
    /// Reads `10.0.0.0/8`, `fd00::/8`, an address alone, or `unix`.
    ///
    /// # Errors
    /// What is wrong and what was probably meant.
    pub fn parse(text: &str) -> Result<Self, Mistake> {
        let text = text.trim();
        if text == "unix" {
            return Ok(TrustedProxy::Unix);
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(TrustedProxy::Network(address.to_canonical().into()));
        }
        let wrong = || {
            Mistake::new(format!(
                "must be an address, a network such as \"10.0.0.0/8\", or \"unix\", found {text:?}"
            ))
        };
        let network = text.split_once('/').filter(|_| !text.starts_with("unix:"));
        let Some((address, prefix)) = network else {
            return Err(wrong().maybe_cure(instead(text)));
        };
        let Ok(address) = address.trim_matches(['[', ']']).parse::<IpAddr>() else {
            return Err(wrong().cure(format!(
                "what stands before the slash must be an IP address, found {address:?}"
            )));
        };
        let most = if address.is_ipv4() { 32 } else { 128 };
        let Some(network) = prefix
            .parse()
            .ok()
            .and_then(|prefix| IpNet::new(address, prefix).ok())
        else {
            let mask = prefix.parse::<IpAddr>().ok();
            let network = mask.and_then(|mask| IpNet::with_netmask(address, mask).ok());
            return Err(wrong().cure(match network {
                Some(network) => format!("write \"{}\"", network.trunc()),
                None => format!("what follows the slash is a number of bits from 0 to {most}"),
            }));
        };
        if network.trunc() != network {
            return Err(
                Mistake::new(format!("has bits set behind its prefix, found {text:?}")).cure(format!(
                    "write \"{}\" for the whole network, or \"{address}\" for this address alone",
                    network.trunc()
                )),
            );
        }
        Ok(TrustedProxy::Network(plain(network)))
    }
}

/// A network of mapped IPv4 addresses is the network of these addresses.
fn plain(network: IpNet) -> IpNet {
    match (network, network.addr().to_canonical()) {
        (IpNet::V6(v6), IpAddr::V4(address)) if v6.prefix_len() >= 96 => {
            Ipv4Net::new(address, v6.prefix_len() - 96).map_or(network, IpNet::V4)
        }
        _ => network,
    }
}

/// What was probably meant by something that is no address.
fn instead(text: &str) -> Option<String> {
    if text == "*" {
        return Some(
            "name your proxies; only if nobody else can reach this server, write \"0.0.0.0/0\" and \"::/0\""
                .to_owned(),
        );
    }
    if text.contains([',', ' ']) {
        return Some("give each of them by itself".to_owned());
    }
    if text.eq_ignore_ascii_case("localhost") {
        return Some("write \"127.0.0.1\" and \"::1\"".to_owned());
    }
    if let Some(address) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
        return address
            .parse::<IpAddr>()
            .ok()
            .map(|address| format!("write \"{address}\""));
    }
    if let Ok(end) = text.parse::<std::net::SocketAddr>() {
        return Some(format!("leave the port out: \"{}\"", end.ip()));
    }
    // Apache takes the first parts of an address for a network.
    let parts: Vec<&str> = text.trim_end_matches('.').split('.').collect();
    if parts.len() < 4 && parts.iter().all(|part| part.parse::<u8>().is_ok()) {
        let zeros = ".0".repeat(4 - parts.len());
        return Some(format!(
            "write \"{}{zeros}/{}\"",
            parts.join("."),
            8 * parts.len()
        ));
    }
    if text.starts_with("unix:") {
        return Some("write \"unix\": it means whoever connects to one of the Unix sockets".to_owned());
    }
    did_you_mean(text, ["unix"]).or_else(|| Some("name an IP address: names are not looked up".to_owned()))
}

impl ClientHeader {
    const NAMES: [(&'static str, ClientHeader); 3] = [
        ("x-forwarded-for", ClientHeader::XForwardedFor),
        ("forwarded", ClientHeader::Forwarded),
        ("x-real-ip", ClientHeader::XRealIp),
    ];

    pub(crate) fn parse(text: &str) -> Result<Self, Mistake> {
        let known = Self::NAMES
            .iter()
            .find(|(name, _)| text.eq_ignore_ascii_case(name));
        known.map(|(_, header)| *header).ok_or_else(|| {
            Mistake::new(format!(
                "must be \"x-forwarded-for\", \"forwarded\" or \"x-real-ip\", found {text:?}"
            ))
            .maybe_cure(did_you_mean(text, Self::NAMES.map(|(name, _)| name)))
        })
    }
}

impl ForwardedFields {
    /// Adds one by its name.
    pub(crate) fn add(&mut self, text: &str) -> Result<(), Mistake> {
        let field = match text {
            "proto" => &mut self.proto,
            "host" => &mut self.host,
            "port" => &mut self.port,
            _ => {
                let short = text.to_ascii_lowercase();
                let short = short.strip_prefix("x-forwarded-").unwrap_or(&short);
                return Err(
                    Mistake::new(format!("must be \"proto\", \"host\" or \"port\", found {text:?}"))
                        .maybe_cure(did_you_mean(short, ["proto", "host", "port"])),
                );
            }
        };
        match std::mem::replace(field, true) {
            true => Err(Mistake::new(format!("has {text:?} twice"))),
            false => Ok(()),
        }
    }
}

/// What cannot hold together.
pub(crate) fn protocol_needs_proxies(proxies: &Proxies) -> Result<(), Mistake> {
    if proxies.protocol && proxies.trusted.is_empty() {
        return Err(Mistake::new("is on, and nobody may speak it")
            .cure("name the proxies: trusted_proxies = [\"10.0.0.0/8\"]"));
    }
    Ok(())
}

/// The same for the PROXY protocol at one address.
pub(crate) fn nobody_may_announce(bind: &Bind, proxies: &Proxies) -> Result<(), Mistake> {
    if let Bind::Passed { .. } = bind {
        // Of what kind it is, only systemd knows.
        return protocol_needs_proxies(&Proxies {
            protocol: true,
            ..proxies.clone()
        });
    }
    let is_unix = matches!(bind, Bind::Unix(_));
    let may_come = |proxy: &TrustedProxy| matches!(proxy, TrustedProxy::Unix) == is_unix;
    if proxies.trusted.iter().any(may_come) {
        return Ok(());
    }
    let example = if is_unix { "unix" } else { "10.0.0.0/8" };
    Err(
        Mistake::new(format!("is on for {bind}, and nobody may speak it there"))
            .cure(format!("name the proxies: trusted_proxies = [\"{example}\"]")),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_addresses_and_unix() {
        for (text, expected) in [
            ("10.0.0.0/8", "10.0.0.0/8"),
            (" 192.168.1.5 ", "192.168.1.5/32"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("fd00::/8", "fd00::/8"),
            ("::1", "::1/128"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("::ffff:10.0.0.1", "10.0.0.1/32"),
            ("::/0", "::/0"),
        ] {
            let expected = TrustedProxy::Network(expected.parse().expect("a network"));
            assert_eq!(TrustedProxy::parse(text), Ok(expected), "{text}");
        }
        assert_eq!(TrustedProxy::parse("unix"), Ok(TrustedProxy::Unix));
    }

    #[test]
    fn mistakes_get_their_cures() {
        for (text, cure) in [
            (
                "10.0.0.1/8",
                "write \"10.0.0.0/8\" for the whole network, or \"10.0.0.1\" for this address alone",
            ),
            (
                "fd00::1/8",
                "write \"fd00::/8\" for the whole network, or \"fd00::1\" for this address alone",
            ),
            (
                "10.0.0.0/33",
                "what follows the slash is a number of bits from 0 to 32",
            ),
            (
                "fd00::/129",
                "what follows the slash is a number of bits from 0 to 128",
            ),
            (
                "10.0.0.0/",
                "what follows the slash is a number of bits from 0 to 32",
            ),
            ("10.0.0.0/255.0.0.0", "write \"10.0.0.0/8\""),
            (
                "proxy/8",
                "what stands before the slash must be an IP address, found \"proxy\"",
            ),
            (
                "*",
                "name your proxies; only if nobody else can reach this server, write \"0.0.0.0/0\" and \"::/0\"",
            ),
            ("10.0.0.1, 10.0.0.2", "give each of them by itself"),
            ("localhost", "write \"127.0.0.1\" and \"::1\""),
            ("[::1]", "write \"::1\""),
            ("127.0.0.1:80", "leave the port out: \"127.0.0.1\""),
            ("10.1.", "write \"10.1.0.0/16\""),
            (
                "unix:/run/a.sock",
                "write \"unix\": it means whoever connects to one of the Unix sockets",
            ),
            ("Unix", "did you mean `unix`?"),
            ("proxy.example.org", "name an IP address: names are not looked up"),
        ] {
            let mistake = TrustedProxy::parse(text).expect_err(text);
            assert_eq!(mistake.cure.as_deref(), Some(cure), "{text}");
            assert!(
                mistake.what.ends_with(&format!("found {text:?}")),
                "{}",
                mistake.what
            );
        }
    }
}
