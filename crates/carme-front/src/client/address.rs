//! Addresses as proxies write them.

use std::fmt::{self, Write};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// One end of a connection, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Node {
    /// Never a mapped IPv4 address.
    pub(crate) address: IpAddr,
    pub(crate) port: Option<u16>,
}

impl Node {
    /// Reads `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]` or `[2001:db8::1]:80`.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let text = str::from_utf8(text).ok()?;
        if let Ok(address) = text.parse::<IpAddr>() {
            return Some(Node::new(address, None));
        }
        let (address, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (address, after) = rest.split_once(']')?;
                let address = IpAddr::V6(address.parse::<Ipv6Addr>().ok()?);
                (
                    address,
                    if after.is_empty() {
                        None
                    } else {
                        Some(after.strip_prefix(':')?)
                    },
                )
            }
            None => {
                let (address, port) = text.split_once(':')?;
                (IpAddr::V4(address.parse().ok()?), Some(port))
            }
        };
        match port {
            None => Some(Node::new(address, None)),
            Some(port) => Some(Node::new(address, Some(decimal(port.as_bytes())?))),
        }
    }

    pub(crate) fn new(address: IpAddr, port: Option<u16>) -> Self {
        Node {
            address: address.to_canonical(),
            port,
        }
    }

    /// The address, as text.
    pub(crate) fn text(&self) -> AddressText {
        AddressText::new(self.address)
    }
}

impl From<SocketAddr> for Node {
    fn from(end: SocketAddr) -> Self {
        Node::new(end.ip(), Some(end.port()))
    }
}

/// A port: digits and nothing else.
pub(super) fn decimal(digits: &[u8]) -> Option<u16> {
    if digits.is_empty() || digits.len() > 5 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    str::from_utf8(digits).ok()?.parse().ok()
}

/// The longest address, an IPv6 address with an IPv4 tail.
const LONGEST: usize = 45;

/// An address written out, without an allocation.
#[derive(Clone, Copy)]
pub(crate) struct AddressText {
    bytes: [u8; LONGEST],
    len: u8,
}

impl AddressText {
    fn new(address: IpAddr) -> Self {
        let mut text = AddressText {
            bytes: [0; LONGEST],
            len: 0,
        };
        // No address is longer.
        let _ = write!(text, "{address}");
        text
    }

    pub(crate) fn as_str(&self) -> &str {
        str::from_utf8(&self.bytes[..usize::from(self.len)]).unwrap_or_default()
    }
}

impl Write for AddressText {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        let start = usize::from(self.len);
        let room = self.bytes.get_mut(start..start + piece.len()).ok_or(fmt::Error)?;
        room.copy_from_slice(piece.as_bytes());
        self.len += piece.len() as u8;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses_with_and_without_ports() {
        for (text, address, port) in [
            ("192.0.2.1", "192.0.2.1", None),
            ("192.0.2.1:80", "192.0.2.1", Some(80)),
            ("192.0.2.1:0", "192.0.2.1", Some(0)),
            ("2001:db8::1", "2001:db8::1", None),
            ("[2001:db8::1]", "2001:db8::1", None),
            ("[2001:db8::1]:65535", "2001:db8::1", Some(65535)),
            ("::ffff:192.0.2.1", "192.0.2.1", None),
            ("[::ffff:192.0.2.1]:80", "192.0.2.1", Some(80)),
        ] {
            let expected = Node {
                address: address.parse().unwrap(),
                port,
            };
            assert_eq!(Node::parse(text.as_bytes()), Some(expected), "{text}");
        }
        for text in [
            "",
            "unknown",
            "_hidden",
            "example.org",
            "192.0.2",
            "192.0.2.256",
            "192.0.2.01",
            "192.0.2.1:",
            "192.0.2.1:http",
            "192.0.2.1:65536",
            "192.0.2.1:+80",
            "192.0.2.1:80:80",
            "[192.0.2.1]",
            "[2001:db8::1",
            "[2001:db8::1]80",
            "[2001:db8::1]:",
            "fe80::1%eth0",
            "192.0.2.1 ",
            "unix:",
            "127.1",
            "0x7f.0.0.1",
        ] {
            assert_eq!(Node::parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(Node::parse(b"\xff"), None);
    }

    proptest! {
        #[test]
        fn every_end_reads_back(address: IpAddr, port: u16) {
            // Put together here: one made by proptest may have a zone, which proxies do not write.
            let end = SocketAddr::new(address, port);
            prop_assert_eq!(Node::parse(end.to_string().as_bytes()), Some(Node::from(end)));
            let node = Node::from(end);
            let text = node.text();
            prop_assert_eq!(text.as_str(), node.address.to_string());
        }

        #[test]
        fn no_text_makes_it_panic(text: Vec<u8>) {
            let _ = Node::parse(&text);
        }
    }
}
