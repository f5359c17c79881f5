//! Where a chunked body ends (RFC 9112 section 7.1), with no mercy for what other parsers might read differently.

use super::refusal::Refusal;

/// Bytes of chunk extensions that one body may carry; they are ignored, and only an attacker sends many.
const EXTENSION_BYTES: usize = 4096;
/// Bytes of trailers that one body may carry; hyper's limit is the same.
const TRAILER_BYTES: usize = 16 * 1024 - 64;

/// Follows a chunked body over as many pieces as it comes in.
#[derive(Debug)]
pub(crate) struct Scanner {
    state: State,
    extensions: usize,
    trailers: usize,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// Inside a chunk's size: its value and the number of its digits so far.
    Size(u64, u8),
    Extension(u64),
    /// Inside a quoted value of an extension, which no line end may be part of.
    Quoted(u64),
    /// Behind a backslash there.
    Escaped(u64),
    SizeLf(u64),
    Data(u64),
    DataCr,
    DataLf,
    /// At the start of a trailer line.
    Line,
    Trailer,
    TrailerLf,
    EndLf,
}

/// How far a piece of the body goes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// All of the piece, and the body goes on.
    All,
    /// The body ends after that many bytes of the piece.
    Ends(usize),
}

impl Scanner {
    pub(crate) fn new() -> Self {
        Scanner {
            state: State::Size(0, 0),
            extensions: 0,
            trailers: 0,
        }
    }

    /// Follows the body through `bytes`. After an error or the end, the scanner must not be used again.
    pub(crate) fn follow(&mut self, bytes: &[u8]) -> Result<Extent, Refusal> {
        let mut at = 0;
        while at < bytes.len() {
            if let State::Data(left) = self.state {
                let step = left.min((bytes.len() - at) as u64);
                at += step as usize;
                self.state = if step == left {
                    State::DataCr
                } else {
                    State::Data(left - step)
                };
                continue;
            }
            let byte = bytes[at];
            at += 1;
            self.state = match self.step(byte)? {
                Some(state) => state,
                None => return Ok(Extent::Ends(at)),
            };
        }
        Ok(Extent::All)
    }

    fn step(&mut self, byte: u8) -> Result<Option<State>, Refusal> {
        let malformed = |what| Err(Refusal::Malformed(what));
        Ok(Some(match (self.state, byte) {
            (State::Size(size, digits), b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                if digits == 16 {
                    return malformed("a chunk's size is too large");
                }
                let digit = char::from(byte).to_digit(16).unwrap_or_default();
                State::Size(size << 4 | u64::from(digit), digits + 1)
            }
            (State::Size(size, 1..), b'\r') => State::SizeLf(size),
            (State::Size(size, 1..), b';') => State::Extension(size),
            (State::Size(..), _) => return malformed("a chunk's size is malformed"),
            (State::Extension(size), b'\r') => State::SizeLf(size),
            (
                State::Extension(size) | State::Quoted(size) | State::Escaped(size),
                b'\t' | b' '..=b'~' | 0x80..,
            ) => {
                self.extensions += 1;
                if self.extensions > EXTENSION_BYTES {
                    return malformed("the chunk extensions are too long");
                }
                match (self.state, byte) {
                    (State::Extension(_), b'"') | (State::Escaped(_), _) => State::Quoted(size),
                    (State::Quoted(_), b'\\') => State::Escaped(size),
                    (State::Quoted(_), byte) if byte != b'"' => State::Quoted(size),
                    _ => State::Extension(size),
                }
            }
            (State::Quoted(_) | State::Escaped(_), b'\r') => {
                return malformed("a chunk extension's quoted value does not end");
            }
            (State::Extension(_) | State::Quoted(_) | State::Escaped(_), _) => {
                return malformed("a chunk extension contains a control character");
            }
            (State::SizeLf(0), b'\n') => State::Line,
            (State::SizeLf(size), b'\n') => State::Data(size),
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => State::Size(0, 0),
            (State::Line, b'\r') => State::EndLf,
            (State::TrailerLf, b'\n') => State::Line,
            (State::EndLf, b'\n') => return Ok(None),
            (State::Line | State::Trailer, b'\n') => {
                return malformed("a trailer line ends in a bare line feed");
            }
            (State::Trailer, b'\r') => State::TrailerLf,
            (State::Line | State::Trailer, _) => {
                self.trailers += 1;
                if self.trailers > TRAILER_BYTES {
                    return Err(Refusal::HeadersTooLarge);
                }
                State::Trailer
            }
            (State::DataCr | State::DataLf, _) => return malformed("a chunk is longer than its size says"),
            (State::SizeLf(_) | State::TrailerLf | State::EndLf | State::Data(_), _) => {
                return malformed("a carriage return in the chunked framing is not followed by a line feed");
            }
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(bytes: &[u8]) -> Result<Extent, Refusal> {
        Scanner::new().follow(bytes)
    }

    #[test]
    fn ends_where_the_body_ends() {
        for body in [
            &b"0\r\n\r\n"[..],
            b"5\r\nhello\r\n0\r\n\r\n",
            b"A;x=\"y\"\r\n0123456789\r\n00\r\nX: y\r\nZ: w\r\n\r\n",
            b"2\r\n\r\n\r\n0\r\n\r\n",
            b"1;x=\"a;\\\"b\\\\\";y\r\nz\r\n0;last\r\n\r\n",
        ] {
            let mut longer = body.to_vec();
            longer.extend_from_slice(b"GET / HTTP/1.1\r\n");
            assert_eq!(whole(&longer), Ok(Extent::Ends(body.len())));
            let mut scanner = Scanner::new();
            for byte in &body[..body.len() - 1] {
                assert_eq!(scanner.follow(&[*byte]), Ok(Extent::All));
            }
            assert_eq!(scanner.follow(b"\n"), Ok(Extent::Ends(1)));
        }
    }

    #[test]
    fn refuses_what_could_be_read_in_two_ways() {
        for body in [
            &b"\r\n"[..],
            b"x\r\n",
            b"-1\r\n",
            b"+1\r\n",
            b"0x1\r\n",
            b"1 \r\n",
            b" 1\r\n",
            b"1\n",
            b"1\rx",
            b"1;a\nb\r\n",
            b"1;\0\r\n",
            b"1;x=\"y\r\n",
            b"1;x=\"y\\\r\n",
            b"1;x=\"\n\"\r\n",
            b"1\r\nab\r\n",
            b"1\r\na\n",
            b"11111111111111111\r\n",
            b"0\r\n\n",
            b"0\r\nX: y\n\r\n",
            b"0\r\nX: y\rz",
            b"0\r\n\rx",
        ] {
            assert!(whole(body).is_err(), "{:?}", String::from_utf8_lossy(body));
        }
        assert!(whole(format!("1;{}", "a".repeat(EXTENSION_BYTES + 1)).as_bytes()).is_err());
        assert_eq!(
            whole(format!("0\r\n{}", "a".repeat(TRAILER_BYTES + 1)).as_bytes()),
            Err(Refusal::HeadersTooLarge)
        );
    }
}
