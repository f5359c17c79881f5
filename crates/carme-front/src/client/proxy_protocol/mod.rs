//! The PROXY protocol of HAProxy: what a proxy that passes bytes through says of its client, ahead of them.
//!
//! The specification is HAProxy's `doc/proxy-protocol.txt`. Both versions are told apart by their first bytes.

mod v1;
mod v2;

use std::net::SocketAddr;

/// What a PROXY header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Header {
    /// The connection is the proxy's own (`LOCAL`), or it does not know its client's address (`UNKNOWN`, a Unix socket).
    Own,
    /// The connection is a client's.
    Client {
        source: SocketAddr,
        /// What the client has connected to.
        destination: SocketAddr,
        /// The client speaks TLS with the proxy.
        tls: bool,
    },
}

/// How far a header has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// At least so many more bytes belong to it, so they can be read without taking what comes after it.
    Needs(usize),
    Complete(Header),
}

/// The bytes are no PROXY header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Wrong(pub(crate) &'static str);

/// Bytes by which the versions can be told apart.
const FIRST: usize = v2::SIGNATURE.len();

/// Judges `bytes`, the start of a connection, of which none must belong to what comes after the header.
pub(crate) fn examine(bytes: &[u8]) -> Result<Progress, Wrong> {
    let start = &bytes[..bytes.len().min(FIRST)];
    let is_start_of = |whole: &[u8]| start.starts_with(whole) || whole.starts_with(start);
    if !is_start_of(v1::START) && !is_start_of(v2::SIGNATURE) {
        return Err(Wrong("the connection does not begin with a PROXY header"));
    }
    if start.len() < FIRST {
        return Ok(Progress::Needs(FIRST - start.len()));
    }
    if start == v2::SIGNATURE {
        v2::examine(bytes)
    } else {
        v1::examine(bytes)
    }
}

/// What both versions agree on.
fn client(source: SocketAddr, destination: SocketAddr, tls: bool) -> Progress {
    let plain = |end: SocketAddr| SocketAddr::new(end.ip().to_canonical(), end.port());
    Progress::Complete(Header::Client {
        source: plain(source),
        destination: plain(destination),
        tls,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads a header from a stream of bytes as a connection does; how many bytes it took.
    fn read(stream: &[u8]) -> Result<(Header, usize), Wrong> {
        let mut taken = 0;
        loop {
            match examine(&stream[..taken])? {
                Progress::Complete(header) => return Ok((header, taken)),
                Progress::Needs(0) => panic!("no progress after {taken} bytes"),
                Progress::Needs(more) if taken + more > stream.len() => {
                    return Err(Wrong("it ends too early"));
                }
                Progress::Needs(more) => taken += more,
            }
        }
    }

    fn ends() -> impl Strategy<Value = (SocketAddr, SocketAddr)> {
        prop_oneof![
            any::<(std::net::SocketAddrV4, std::net::SocketAddrV4)>().prop_map(|(a, b)| (a.into(), b.into())),
            // Without flow and scope, which the protocol does not carry, and without mapped addresses.
            any::<([u16; 7], u16, u16)>().prop_map(|(words, a, b)| {
                let address = |last| {
                    let [w0, w1, w2, w3, w4, w5, w6] = words;
                    std::net::Ipv6Addr::new(w0 | 0x2000, w1, w2, w3, w4, w5, w6, last)
                };
                (
                    SocketAddr::new(address(a).into(), a),
                    SocketAddr::new(address(b).into(), b),
                )
            }),
        ]
    }

    proptest! {
        #[test]
        fn a_header_is_read_to_its_end_and_no_further(
            (source, destination) in ends(), second: bool, tls: bool, after: Vec<u8>,
        ) {
            let mut stream = if second {
                v2::tests::header(source, destination, tls)
            } else {
                v1::tests::header(source, destination)
            };
            let len = stream.len();
            stream.extend(after);
            let header = Header::Client { source, destination, tls: tls && second };
            prop_assert_eq!(read(&stream), Ok((header, len)));
        }

        #[test]
        fn no_bytes_make_it_panic(version in 0..3, mut bytes: Vec<u8>) {
            let start: &[u8] = match version { 0 => b"", 1 => b"PROXY TCP4 ", _ => v2::SIGNATURE };
            bytes.splice(..0, start.iter().copied());
            let _ = read(&bytes);
            let _ = examine(&bytes);
        }

        #[test]
        fn a_byte_that_is_changed_is_refused_or_read_to_some_end(
            (source, destination) in ends(), second: bool, at: prop::sample::Index, byte: u8,
        ) {
            let mut stream = if second { v2::tests::header(source, destination, true) } else { v1::tests::header(source, destination) };
            let at = at.index(stream.len());
            stream[at] = byte;
            let _ = read(&stream);
        }
    }

    #[test]
    fn what_is_no_header_is_known_by_its_first_bytes() {
        for bytes in [
            &b"G"[..],
            b"GET / HTTP/1.1\r\n",
            b"PROXX",
            b"\r\n\r\n\0\r\nQUIX",
            b"\x16\x03\x01",
            b"proxy tcp4",
        ] {
            assert_eq!(
                examine(bytes),
                Err(Wrong("the connection does not begin with a PROXY header")),
                "{}",
                bytes.escape_ascii()
            );
        }
        assert_eq!(examine(b""), Ok(Progress::Needs(12)));
        assert_eq!(examine(b"PROXY "), Ok(Progress::Needs(6)));
        assert_eq!(examine(b"\r\n"), Ok(Progress::Needs(10)));
    }
}
