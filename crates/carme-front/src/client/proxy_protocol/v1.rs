//! Version 1: a line of text.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Header, Progress, Wrong, client};
use crate::client::address::decimal;

pub(super) const START: &[u8] = b"PROXY ";
/// The longest line, its end included.
const LONGEST: usize = 107;

/// `bytes` begin with [`START`].
pub(super) fn examine(bytes: &[u8]) -> Result<Progress, Wrong> {
    if let Some(end) = memchr::memchr(b'\n', bytes) {
        let line = bytes[..end].strip_suffix(b"\r");
        return match line {
            Some(line) if end + 1 == bytes.len() => parse(&line[START.len()..]),
            _ => Err(Wrong("the line of the PROXY header does not end as it must")),
        };
    }
    let missing = least_missing(bytes);
    if bytes.len() + missing > LONGEST {
        return Err(Wrong("the line of the PROXY header is too long"));
    }
    Ok(Progress::Needs(missing))
}

/// As many bytes as a line that begins like this must still have.
fn least_missing(line: &[u8]) -> usize {
    const SPACES: usize = 5;
    if line.last() == Some(&b'\r') {
        return 1;
    }
    let rest = &line[START.len()..];
    let spaces = rest.iter().filter(|&&byte| byte == b' ').count() + 1;
    // `UNKNOWN` may end at once; each field that is still to come is a space and a character.
    let is_address = rest.starts_with(b"TCP");
    let fields = if is_address {
        2 * SPACES.saturating_sub(spaces)
    } else {
        0
    };
    fields + b"\r\n".len()
}

fn parse(line: &[u8]) -> Result<Progress, Wrong> {
    let mut fields = line.split(|&byte| byte == b' ');
    let family = fields.next().unwrap_or_default();
    if family == b"UNKNOWN" {
        return Ok(Progress::Complete(Header::Own));
    }
    let mut text = || {
        fields
            .next()
            .and_then(|field| str::from_utf8(field).ok())
            .unwrap_or_default()
    };
    let (source, destination) = (text(), text());
    let address = |text: &str| -> Option<IpAddr> {
        match family {
            b"TCP4" => Some(text.parse::<Ipv4Addr>().ok()?.into()),
            b"TCP6" => Some(text.parse::<Ipv6Addr>().ok()?.into()),
            _ => None,
        }
    };
    let (Some(source), Some(destination)) = (address(source), address(destination)) else {
        return Err(Wrong("the PROXY header has no addresses of its family"));
    };
    let (Some(source_port), Some(destination_port), None) = (port(text()), port(text()), fields.next())
    else {
        return Err(Wrong("the PROXY header does not end in two ports"));
    };
    Ok(client(
        SocketAddr::new(source, source_port),
        SocketAddr::new(destination, destination_port),
        false,
    ))
}

fn port(text: &str) -> Option<u16> {
    let is_padded = text.len() > 1 && text.starts_with('0');
    decimal(text.as_bytes()).filter(|_| !is_padded)
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::examine;
    use super::*;

    pub(in super::super) fn header(source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
        let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
        let (from, to) = (source.ip(), destination.ip());
        format!(
            "PROXY {family} {from} {to} {} {}\r\n",
            source.port(),
            destination.port()
        )
        .into_bytes()
    }

    #[test]
    fn lines() {
        for (line, source, destination) in [
            (
                "TCP4 192.0.2.1 198.51.100.1 56324 443",
                "192.0.2.1:56324",
                "198.51.100.1:443",
            ),
            (
                "TCP4 0.0.0.0 255.255.255.255 0 65535",
                "0.0.0.0:0",
                "255.255.255.255:65535",
            ),
            ("TCP6 2001:db8::1 ::1 1 2", "[2001:db8::1]:1", "[::1]:2"),
            (
                "TCP6 ::ffff:192.0.2.1 ::ffff:192.0.2.2 1 2",
                "192.0.2.1:1",
                "192.0.2.2:2",
            ),
        ] {
            assert_eq!(
                examine(format!("PROXY {line}\r\n").as_bytes()),
                Ok(client(
                    source.parse().unwrap(),
                    destination.parse().unwrap(),
                    false
                )),
                "{line}"
            );
        }
        for line in [
            "UNKNOWN",
            "UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535",
            "UNKNOWN ",
        ] {
            assert_eq!(
                examine(format!("PROXY {line}\r\n").as_bytes()),
                Ok(Progress::Complete(Header::Own)),
                "{line}"
            );
        }
        for line in [
            "TCP4 192.0.2.1 198.51.100.1 56324",
            "TCP4 192.0.2.1 198.51.100.1 56324 443 x",
            "TCP4 192.0.2.1 198.51.100.1 56324 443 ",
            "TCP4  192.0.2.1 198.51.100.1 56324 443",
            "TCP4 192.0.2.1 198.51.100.1 056324 443",
            "TCP4 192.0.2.1 198.51.100.1 65536 443",
            "TCP4 192.0.2.1 198.51.100.1 -1 443",
            "TCP4 192.0.2.1 198.51.100.256 1 443",
            "TCP4 2001:db8::1 ::1 1 2",
            "TCP6 192.0.2.1 198.51.100.1 1 2",
            "TCP5 192.0.2.1 198.51.100.1 1 2",
            "UNKNOWNX",
            "",
            "TCP4\t192.0.2.1 198.51.100.1 1 2",
        ] {
            let examined = examine(format!("PROXY {line}\r\n").as_bytes());
            assert!(!matches!(examined, Ok(Progress::Complete(_))), "{line}");
        }
    }

    #[test]
    fn the_end_of_the_line_is_exact() {
        for bytes in [
            "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n",
            "PROXY UNKNOWN\r\nG",
            "PROXY UNKNOWN\r\r\n",
        ] {
            assert!(examine(bytes.as_bytes()).is_err(), "{bytes:?}");
        }
        // The longest line of the specification is taken, one more is not.
        let longest = format!("PROXY UNKNOWN {}\r\n", "f".repeat(LONGEST - 16));
        assert_eq!(longest.len(), LONGEST);
        assert_eq!(examine(longest.as_bytes()), Ok(Progress::Complete(Header::Own)));
        let endless = format!("PROXY UNKNOWN {}", "f".repeat(LONGEST - 15));
        assert!(examine(endless.as_bytes()).is_err());
    }
}
