//! Version 2: a block of binary fields, with room for more (TLVs).

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Header, Progress, Wrong, client};

pub(super) const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// What stands before the addresses.
const FIXED: usize = SIGNATURE.len() + 4;
/// What may follow it. Addresses take 216 bytes at most; the rest is for certificates and the like.
const LONGEST: usize = 16 * 1024;

const CRC32C: u8 = 0x03;
const SSL: u8 = 0x20;

/// `bytes` begin with [`SIGNATURE`].
pub(super) fn examine(bytes: &[u8]) -> Result<Progress, Wrong> {
    let Some([version_and_command, family, high, low]) = bytes.get(SIGNATURE.len()..FIXED) else {
        return Ok(Progress::Needs(FIXED - bytes.len()));
    };
    if version_and_command >> 4 != 2 {
        return Err(Wrong("the PROXY header has a version that is not 2"));
    }
    let is_local = match version_and_command & 15 {
        0 => true,
        1 => false,
        _ => return Err(Wrong("the PROXY header has an unknown command")),
    };
    let len = usize::from(u16::from_be_bytes([*high, *low]));
    if len > LONGEST {
        return Err(Wrong("the PROXY header is too long"));
    }
    let rest = &bytes[FIXED..];
    if rest.len() < len {
        return Ok(Progress::Needs(len - rest.len()));
    }
    if rest.len() > len {
        return Err(Wrong("the PROXY header is shorter than what was read"));
    }
    if is_local {
        return Ok(Progress::Complete(Header::Own));
    }
    if family & 15 > 2 {
        return Err(Wrong("the PROXY header has an unknown transport"));
    }
    let too_short = Wrong("the PROXY header is too short for its addresses");
    let (ends, more) = match family >> 4 {
        0 => (None, rest),
        1 => {
            let (ends, more) = rest.split_at_checked(12).ok_or(too_short)?;
            (Some(ipv4(ends).ok_or(too_short)?), more)
        }
        2 => {
            let (ends, more) = rest.split_at_checked(36).ok_or(too_short)?;
            (Some(ipv6(ends).ok_or(too_short)?), more)
        }
        3 => (None, rest.get(216..).ok_or(too_short)?),
        _ => return Err(Wrong("the PROXY header has an unknown family of addresses")),
    };
    // What follows unspecified addresses need not be fields.
    let tls = family >> 4 != 0 && fields(bytes, more)?;
    Ok(match ends {
        None => Progress::Complete(Header::Own),
        Some((source, destination)) => client(source, destination, tls),
    })
}

fn ipv4(ends: &[u8]) -> Option<(SocketAddr, SocketAddr)> {
    let address = |at: usize| Some(Ipv4Addr::from(*ends.get(at..)?.first_chunk::<4>()?));
    let ports = ports(ends, 8)?;
    Some((
        SocketAddr::new(address(0)?.into(), ports.0),
        SocketAddr::new(address(4)?.into(), ports.1),
    ))
}

fn ipv6(ends: &[u8]) -> Option<(SocketAddr, SocketAddr)> {
    let address = |at: usize| Some(Ipv6Addr::from(*ends.get(at..)?.first_chunk::<16>()?));
    let ports = ports(ends, 32)?;
    Some((
        SocketAddr::new(address(0)?.into(), ports.0),
        SocketAddr::new(address(16)?.into(), ports.1),
    ))
}

fn ports(ends: &[u8], at: usize) -> Option<(u16, u16)> {
    let port = |at: usize| Some(u16::from_be_bytes(*ends.get(at..)?.first_chunk()?));
    Some((port(at)?, port(at + 2)?))
}

/// Walks over the further fields: the checksum is checked, the rest skipped. Whether the client speaks TLS.
fn fields(header: &[u8], mut more: &[u8]) -> Result<bool, Wrong> {
    let mut tls = false;
    while let [kind, high, low, rest @ ..] = more {
        let len = usize::from(u16::from_be_bytes([*high, *low]));
        let (value, rest) = rest
            .split_at_checked(len)
            .ok_or(Wrong("a field of the PROXY header is longer than the header"))?;
        match (*kind, value) {
            (CRC32C, &[a, b, c, d]) => {
                let at = header.len() - rest.len() - 4;
                if crc32c(header, at) != u32::from_be_bytes([a, b, c, d]) {
                    return Err(Wrong("the PROXY header's checksum is wrong"));
                }
            }
            (CRC32C, _) => return Err(Wrong("the PROXY header's checksum is no CRC32C")),
            // The lowest bit of the first byte: connected over TLS.
            (SSL, [client, ..]) => tls = client & 1 != 0,
            _ => {}
        }
        more = rest;
    }
    if more.is_empty() {
        Ok(tls)
    } else {
        Err(Wrong("the PROXY header ends inside a field"))
    }
}

/// CRC32C (RFC 4960, appendix B) with four zeros in the place of the checksum itself. Few proxies send one, and it is
/// short.
fn crc32c(header: &[u8], checksum_at: usize) -> u32 {
    const POLYNOMIAL: u32 = 0x82f6_3b78;
    let mut crc = !0_u32;
    for (at, &byte) in header.iter().enumerate() {
        let is_checksum = (checksum_at..checksum_at + 4).contains(&at);
        crc ^= if is_checksum { 0 } else { u32::from(byte) };
        for _ in 0..8 {
            crc = crc >> 1 ^ if crc & 1 == 1 { POLYNOMIAL } else { 0 };
        }
    }
    !crc
}

#[cfg(test)]
pub(super) mod tests {
    use std::net::IpAddr;

    use super::super::examine;
    use super::*;

    fn block(version_and_command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend([version_and_command, family]);
        bytes.extend((rest.len() as u16).to_be_bytes());
        bytes.extend(rest);
        bytes
    }

    fn field(kind: u8, value: &[u8]) -> Vec<u8> {
        let mut bytes = vec![kind];
        bytes.extend((value.len() as u16).to_be_bytes());
        bytes.extend(value);
        bytes
    }

    fn addresses(source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
        let mut bytes = Vec::new();
        for end in [source, destination] {
            match end.ip() {
                IpAddr::V4(address) => bytes.extend(address.octets()),
                IpAddr::V6(address) => bytes.extend(address.octets()),
            }
        }
        bytes.extend(source.port().to_be_bytes());
        bytes.extend(destination.port().to_be_bytes());
        bytes
    }

    pub(in super::super) fn header(source: SocketAddr, destination: SocketAddr, tls: bool) -> Vec<u8> {
        let mut rest = addresses(source, destination);
        rest.extend(field(SSL, &[u8::from(tls), 0, 0, 0, 0]));
        block(0x21, if source.is_ipv4() { 0x11 } else { 0x21 }, &rest)
    }

    fn ends() -> (SocketAddr, SocketAddr) {
        (
            "192.0.2.1:56324".parse().unwrap(),
            "198.51.100.1:443".parse().unwrap(),
        )
    }

    fn with_fields(fields: &[u8]) -> Vec<u8> {
        let (source, destination) = ends();
        block(0x21, 0x11, &[&addresses(source, destination), fields].concat())
    }

    #[test]
    fn families() {
        let (source, destination) = ends();
        let v4 = addresses(source, destination);
        let known = Ok(client(source, destination, false));
        let own = Ok(Progress::Complete(Header::Own));
        for (name, bytes, expected) in [
            ("stream", block(0x21, 0x11, &v4), known),
            ("datagram, as of QUIC", block(0x21, 0x12, &v4), known),
            ("unspecified transport", block(0x21, 0x10, &v4), known),
            ("local", block(0x20, 0x00, b""), own),
            ("local with addresses", block(0x20, 0x11, &v4), own),
            ("local with anything", block(0x20, 0xff, b"anything"), own),
            ("unspecified", block(0x21, 0x00, b""), own),
            ("unspecified with anything", block(0x21, 0x00, b"anything"), own),
            ("unix", block(0x21, 0x31, &[0; 216]), own),
        ] {
            assert_eq!(examine(&bytes), expected, "{name}");
        }
        let mapped = addresses(
            "[::ffff:192.0.2.1]:56324".parse().unwrap(),
            "[::ffff:198.51.100.1]:443".parse().unwrap(),
        );
        assert_eq!(examine(&block(0x21, 0x21, &mapped)), known);
    }

    #[test]
    fn lies_are_refused() {
        let (source, destination) = ends();
        let v4 = addresses(source, destination);
        for (name, bytes) in [
            ("version 1", block(0x11, 0x11, &v4)),
            ("version 3", block(0x31, 0x11, &v4)),
            ("command 2", block(0x22, 0x11, &v4)),
            ("family 4", block(0x21, 0x41, &v4)),
            ("transport 3", block(0x21, 0x13, &v4)),
            ("too short for IPv4", block(0x21, 0x11, &v4[..11])),
            ("too short for IPv6", block(0x21, 0x21, &[0; 35])),
            ("too short for Unix", block(0x21, 0x31, &[0; 215])),
            ("a field's head cut off", with_fields(&[SSL, 0])),
            ("a field longer than the header", with_fields(&[SSL, 0, 2, 1])),
            ("a checksum of three bytes", with_fields(&field(CRC32C, &[0; 3]))),
            ("a wrong checksum", with_fields(&field(CRC32C, &[0; 4]))),
            ("too long", {
                let mut bytes = block(0x21, 0x11, &v4);
                bytes[14..16].copy_from_slice(&(LONGEST as u16 + 1).to_be_bytes());
                bytes
            }),
        ] {
            assert!(examine(&bytes).is_err(), "{name}");
        }
    }

    #[test]
    fn fields_are_skipped_and_checksums_checked() {
        let (source, destination) = ends();
        let plain = Ok(client(source, destination, false));
        let fields = [
            field(0x01, b"h2"),
            field(0x02, b"example.org"),
            field(0x04, &[]),
            field(0xea, b"vpce-1"),
        ]
        .concat();
        assert_eq!(examine(&with_fields(&fields)), plain);
        assert_eq!(
            examine(&with_fields(&field(SSL, &[1, 0, 0, 0, 0]))),
            Ok(client(source, destination, true))
        );
        assert_eq!(examine(&with_fields(&field(SSL, &[6, 0, 0, 0, 0]))), plain);

        let mut bytes =
            with_fields(&[field(0x04, b"pad"), field(CRC32C, &[0; 4]), field(0x05, b"id")].concat());
        let at = bytes.len() - 5 - 4;
        let checksum = crc32c(&bytes, at);
        bytes[at..at + 4].copy_from_slice(&checksum.to_be_bytes());
        assert_eq!(examine(&bytes), plain);
        for changed in [13, 20, at, bytes.len() - 1] {
            let mut bytes = bytes.clone();
            bytes[changed] ^= 1;
            assert!(examine(&bytes).is_err(), "byte {changed}");
        }
    }

    #[test]
    fn the_checksum_is_the_known_one() {
        // RFC 3720, appendix B.4, and the usual check value.
        assert_eq!(crc32c(b"123456789", 100), 0xe306_9283);
        assert_eq!(crc32c(&[0xff; 32], 100), 0x62a8_ab43);
        assert_eq!(crc32c(b"12345XXXX", 5), crc32c(b"12345\0\0\0\0", 100));
    }
}
