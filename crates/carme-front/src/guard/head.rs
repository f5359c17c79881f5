//! One request's head, judged before hyper sees it.
//!
//! What passes here, hyper accepts; the judgement is at least as strict as hyper's in every point, because both use
//! httparse, and stricter where hyper forgives: a field line ended by a bare LF, `Content-Length` beside
//! `Transfer-Encoding` or given twice, more than one `Host`.

use std::mem::MaybeUninit;

use httparse::{Error, Header, Request, Status};

use super::refusal::Refusal;
use super::target;
use crate::client::is_claim;

/// Up to so many header fields are kept on the stack, here and in hyper, which has the same default.
pub(crate) const STACK_FIELDS: usize = 100;

/// A head up to this size always fits hyper's buffer.
pub(crate) const ROOM_BYTES: usize = 64 * 1024;

/// No field's name may be so long.
const MAX_NAME_BYTES: usize = 32 * 1024;

/// What bounds a head.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeadLimits {
    pub(crate) header_bytes: usize,
    pub(crate) header_fields: usize,
    pub(crate) target_bytes: usize,
}

impl HeadLimits {
    /// What hyper must have room for, and has for nothing.
    pub(crate) fn room(self) -> HeadLimits {
        HeadLimits {
            header_bytes: self.header_bytes.max(ROOM_BYTES),
            header_fields: self.header_fields.max(STACK_FIELDS),
            ..self
        }
    }

    /// The tighter of both.
    pub(crate) fn within(self, other: HeadLimits) -> HeadLimits {
        HeadLimits {
            header_bytes: self.header_bytes.min(other.header_bytes),
            header_fields: self.header_fields.min(other.header_fields),
            target_bytes: self.target_bytes,
        }
    }
}

/// How the request's body is delimited (RFC 9112 section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// There is none.
    Empty,
    /// `Content-Length`, not 0.
    Length(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
}

/// Rare things about a head, noted here so that nobody has to look for them again in every request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Notes {
    /// Some field concerns this connection only (RFC 9110 section 7.6.1).
    pub(crate) hop_by_hop: bool,
    /// Some field name contains `_`.
    pub(crate) underscore: bool,
    /// Some field says what only a trusted proxy may say, about the client or the request's id.
    pub(crate) claims: bool,
    /// A `Connection` field has the option `close`, or the version is 1.0 and none has `keep-alive`.
    pub(crate) close: bool,
}

/// A head that may pass.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// Bytes, the empty line at its end included.
    pub(crate) len: usize,
    pub(crate) framing: Framing,
    pub(crate) notes: Notes,
    /// The target as received, where it is not in origin form (`/path?query`).
    pub(crate) raw_target: Option<Box<[u8]>>,
}

/// The judgement on the bytes at the start of a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// More bytes are needed.
    Partial,
    /// A whole head, and nothing is wrong with it.
    Complete(Head),
    /// No number of further bytes makes this a request to be served.
    Refused(Refusal),
}

/// Judges `bytes`, which start where a request starts.
pub(crate) fn examine(bytes: &[u8], limits: HeadLimits) -> Verdict {
    if limits.header_fields > STACK_FIELDS {
        let mut fields = vec![MaybeUninit::uninit(); limits.header_fields];
        return parse(bytes, &mut fields, limits);
    }
    let mut fields = [const { MaybeUninit::uninit() }; STACK_FIELDS];
    parse(bytes, &mut fields[..limits.header_fields], limits)
}

fn parse<'b>(bytes: &'b [u8], fields: &mut [MaybeUninit<Header<'b>>], limits: HeadLimits) -> Verdict {
    let mut request = Request::new(&mut []);
    match request.parse_with_uninit_headers(bytes, fields) {
        Ok(Status::Complete(len)) => match judge(&bytes[..len], &request, limits) {
            Ok(head) => Verdict::Complete(head),
            Err(refusal) => Verdict::Refused(refusal),
        },
        Ok(Status::Partial) => match oversized(bytes, limits) {
            Some(refusal) => Verdict::Refused(refusal),
            None => Verdict::Partial,
        },
        Err(error) => Verdict::Refused(refusal(error, bytes)),
    }
}

fn oversized(bytes: &[u8], limits: HeadLimits) -> Option<Refusal> {
    // The longest request line that may still carry a permitted target: a long method and the version beside it.
    let line = limits.target_bytes + 64;
    if bytes.len() > line && memchr::memchr(b'\n', trim_empty_lines(bytes)).is_none_or(|end| end > line) {
        return Some(Refusal::TargetTooLong);
    }
    (bytes.len() > limits.header_bytes).then_some(Refusal::HeadersTooLarge)
}

fn refusal(error: Error, bytes: &[u8]) -> Refusal {
    Refusal::Malformed(match error {
        Error::HeaderName => "a header field's name is malformed, or white space comes before its colon",
        Error::HeaderValue => "a header field's value contains a control character, or the line is folded",
        Error::NewLine => "a carriage return is not followed by a line feed",
        Error::Token if is_client_hello(bytes) => "the client speaks TLS to a port that does not",
        Error::Token => "the request line is malformed",
        Error::TooManyHeaders => return Refusal::HeadersTooLarge,
        Error::Version if names_other_version(bytes) => return Refusal::Version,
        Error::Version => {
            "the request line is not a method, a target and a version of HTTP, one space between them"
        }
        Error::Status => "the request line is malformed",
    })
}

/// True for the beginning of a TLS handshake (RFC 8446 section 5.1): a record of type 22 and version 3.x.
fn is_client_hello(bytes: &[u8]) -> bool {
    matches!(bytes, [0x16] | [0x16, 0x03, ..])
}

/// True for `… HTTP/2.0`; false for `… HTP/1.1`, and for `… HTTP/1.1` with something wrong before it.
fn names_other_version(bytes: &[u8]) -> bool {
    let line = first_line(bytes);
    let last = line.rsplit(|&b| b == b' ').next().unwrap_or_default();
    match last.strip_prefix(b"HTTP/") {
        Some(b"1.0" | b"1.1") => false,
        Some([major, b'.', minor]) => major.is_ascii_digit() && minor.is_ascii_digit(),
        _ => false,
    }
}

/// The request line in `bytes`, without its line end; all of them if there is no line end.
pub(crate) fn first_line(bytes: &[u8]) -> &[u8] {
    let bytes = trim_empty_lines(bytes);
    let end = memchr::memchr2(b'\r', b'\n', bytes).unwrap_or(bytes.len());
    &bytes[..end]
}

/// RFC 9112 section 2.2: empty lines before a request line are ignored.
fn trim_empty_lines(mut bytes: &[u8]) -> &[u8] {
    while let [b'\r' | b'\n', rest @ ..] = bytes {
        bytes = rest;
    }
    bytes
}

fn judge(bytes: &[u8], request: &Request<'_, '_>, limits: HeadLimits) -> Result<Head, Refusal> {
    let target = request.path.unwrap_or_default().as_bytes();
    if target.len() > limits.target_bytes {
        return Err(Refusal::TargetTooLong);
    }
    if bytes.len() > limits.header_bytes {
        return Err(Refusal::HeadersTooLarge);
    }
    if memchr::memchr_iter(b'\n', bytes).any(|at| at == 0 || bytes[at - 1] != b'\r') {
        return Err(Refusal::Malformed("a line ends in a bare line feed"));
    }
    let modern = request.version == Some(1);
    let form = target::examine(request.method.unwrap_or_default(), target)?;
    let fields = Fields::gather(request.headers)?;
    if modern && !fields.host {
        return Err(Refusal::Malformed("an HTTP/1.1 request needs a Host field"));
    }
    if form == target::Form::Other
        && let Some(host) = request
            .headers
            .iter()
            .find(|header| header.name.eq_ignore_ascii_case("host"))
        && target::contradicts(target, host.value)
    {
        return Err(Refusal::Malformed(
            "the Host field and the authority of the request target differ",
        ));
    }
    let framing = match (fields.chunked, fields.length) {
        (true, Some(_)) => {
            return Err(Refusal::Malformed(
                "the request has both Content-Length and Transfer-Encoding",
            ));
        }
        (true, None) if !modern => {
            return Err(Refusal::Malformed(
                "an HTTP/1.0 request cannot have Transfer-Encoding",
            ));
        }
        (true, None) => Framing::Chunked,
        (false, None | Some(0)) => Framing::Empty,
        (false, Some(length)) => Framing::Length(length),
    };
    Ok(Head {
        len: bytes.len(),
        framing,
        notes: Notes {
            hop_by_hop: fields.hop_by_hop,
            underscore: fields.underscore,
            claims: fields.claims,
            close: fields.close || (!modern && !fields.keep_alive),
        },
        raw_target: match form {
            target::Form::Origin => None,
            target::Form::Other => Some(target.into()),
        },
    })
}

/// The fields that matter to the front, from one walk over all of them.
#[derive(Default)]
struct Fields {
    host: bool,
    length: Option<u64>,
    chunked: bool,
    hop_by_hop: bool,
    underscore: bool,
    claims: bool,
    close: bool,
    keep_alive: bool,
}

impl Fields {
    fn gather(headers: &[Header<'_>]) -> Result<Self, Refusal> {
        let mut fields = Fields::default();
        for header in headers {
            let name = header.name;
            match name.len() {
                2 if name.eq_ignore_ascii_case("te") => fields.hop_by_hop = true,
                4 if name.eq_ignore_ascii_case("host") => fields.host(header.value)?,
                7 if name.eq_ignore_ascii_case("upgrade") || name.eq_ignore_ascii_case("trailer") => {
                    fields.hop_by_hop = true;
                }
                10 if name.eq_ignore_ascii_case("connection") => fields.connection(header.value),
                10 if name.eq_ignore_ascii_case("keep-alive") => fields.hop_by_hop = true,
                14 if name.eq_ignore_ascii_case("content-length") => fields.length(header.value)?,
                16 if name.eq_ignore_ascii_case("proxy-connection") => fields.hop_by_hop = true,
                17 if name.eq_ignore_ascii_case("transfer-encoding") => fields.coding(header.value)?,
                // hyper keeps a name's length in 16 bits.
                MAX_NAME_BYTES.. => return Err(Refusal::HeadersTooLarge),
                _ => {
                    fields.underscore |= name.as_bytes().contains(&b'_');
                    fields.claims |= is_claim(name.as_bytes());
                }
            }
        }
        Ok(fields)
    }

    fn host(&mut self, value: &[u8]) -> Result<(), Refusal> {
        if self.host {
            return Err(Refusal::Malformed("the request has more than one Host field"));
        }
        self.host = true;
        if target::is_authority(value) {
            Ok(())
        } else {
            Err(Refusal::Malformed("the Host field is malformed"))
        }
    }

    fn length(&mut self, value: &[u8]) -> Result<(), Refusal> {
        if self.length.is_some() {
            return Err(Refusal::Malformed(
                "the request has more than one Content-Length field",
            ));
        }
        self.length = Some(decimal(value).ok_or(Refusal::Malformed("the Content-Length is not a number"))?);
        Ok(())
    }

    fn coding(&mut self, value: &[u8]) -> Result<(), Refusal> {
        self.hop_by_hop = true;
        if self.chunked {
            return Err(Refusal::Malformed(
                "the request has more than one Transfer-Encoding field",
            ));
        }
        if value.eq_ignore_ascii_case(b"chunked") {
            self.chunked = true;
            return Ok(());
        }
        // RFC 9112 section 6.1: a coding that is not known gets 501; one that leaves the length open, 400.
        let mut codings = value.rsplit(|&b| b == b',').map(<[u8]>::trim_ascii);
        let last = codings.next().unwrap_or_default();
        let known = |coding: &[u8]| {
            [&b"gzip"[..], b"x-gzip", b"deflate", b"compress", b"x-compress"]
                .iter()
                .any(|name| coding.eq_ignore_ascii_case(name))
        };
        if last.eq_ignore_ascii_case(b"chunked") && codings.all(known) {
            return Err(Refusal::Coding);
        }
        Err(Refusal::Malformed("the Transfer-Encoding is not chunked"))
    }

    fn connection(&mut self, value: &[u8]) {
        self.hop_by_hop = true;
        for option in value.split(|&b| b == b',').map(<[u8]>::trim_ascii) {
            self.close |= option.eq_ignore_ascii_case(b"close");
            self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
        }
    }
}

/// RFC 9110 section 8.6: digits and nothing else, and few enough of them for a signed 64-bit file offset.
fn decimal(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 18 || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(
        value
            .iter()
            .fold(0, |number, digit| number * 10 + u64::from(digit - b'0')),
    )
}

/// True if `bytes` contain a whole request line.
pub(crate) fn has_line(bytes: &[u8]) -> bool {
    memchr::memchr(b'\n', trim_empty_lines(bytes)).is_some()
}

/// True if `bytes` contain the empty line that ends a head, looking only at what follows `from`.
pub(crate) fn has_end(bytes: &[u8], from: usize) -> bool {
    let start = from.saturating_sub(3);
    memchr::memchr_iter(b'\n', &bytes[start..])
        .any(|at| matches!(bytes[start + at + 1..], [b'\n', ..] | [b'\r', b'\n', ..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: HeadLimits = HeadLimits {
        header_bytes: 4096,
        header_fields: STACK_FIELDS,
        target_bytes: 1024,
    };

    fn refused(bytes: &[u8]) -> Refusal {
        match examine(bytes, LIMITS) {
            Verdict::Refused(refusal) => refusal,
            other => panic!("{:?} gave {other:?}", String::from_utf8_lossy(bytes)),
        }
    }

    fn complete(bytes: &[u8]) -> Head {
        match examine(bytes, LIMITS) {
            Verdict::Complete(head) => head,
            other => panic!("{:?} gave {other:?}", String::from_utf8_lossy(bytes)),
        }
    }

    #[test]
    fn framing_comes_from_length_or_chunked() {
        let head =
            |extra: &str| complete(format!("POST / HTTP/1.1\r\nHost: a\r\n{extra}\r\n").as_bytes()).framing;
        assert_eq!(head(""), Framing::Empty);
        assert_eq!(head("Content-Length: 0\r\n"), Framing::Empty);
        assert_eq!(head("content-length:  17 \r\n"), Framing::Length(17));
        assert_eq!(head("Transfer-Encoding: Chunked\r\n"), Framing::Chunked);
    }

    #[test]
    fn smuggling_patterns_are_refused_with_400() {
        for extra in [
            "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
            "Content-Length: 3\r\nContent-Length: 3\r\n",
            "Content-Length: 3\r\nContent-Length: 4\r\n",
            "Content-Length: 3, 3\r\n",
            "Content-Length: +3\r\n",
            "Content-Length: -3\r\n",
            "Content-Length: 0x3\r\n",
            "Content-Length: 3 3\r\n",
            "Content-Length: \r\n",
            "Content-Length: 9999999999999999999\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked, chunked\r\n",
            "Transfer-Encoding: identity\r\n",
            "Transfer-Encoding: xchunked\r\n",
            "Transfer-Encoding: chunked, gzip\r\n",
            "Transfer-Encoding: \x0bchunked\r\n",
            "Transfer-Encoding : chunked\r\n",
            "Transfer-Encoding\r\n",
            "X: a\r\n b\r\n",
            "X: a\r\n\tb\r\n",
            "X: a\nY: b\r\n",
            "X: a\rY: b\r\n",
            "X: a\0b\r\n",
            ": b\r\n",
            " X: b\r\n",
            "X Y: b\r\n",
            "Host: b\r\n",
            "Host: a\r\n",
        ] {
            let bytes = format!("POST / HTTP/1.1\r\nHost: a\r\n{extra}\r\n");
            assert_eq!(refused(bytes.as_bytes()).status(), 400, "{extra:?}");
        }
        assert_eq!(
            refused(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"),
            Refusal::Coding
        );
    }

    #[test]
    fn request_lines() {
        assert_eq!(refused(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), Refusal::Version);
        assert_eq!(refused(b"GET / HTTP/3.7\r\nHost: a\r\n\r\n"), Refusal::Version);
        for line in [
            "GET /",
            "GET  / HTTP/1.1",
            "GET / HTP/1.1",
            " GET / HTTP/1.1",
            "G\x01T / HTTP/1.1",
            "\x16\x03\x01",
        ] {
            let bytes = format!("{line}\r\nHost: a\r\n\r\n");
            assert_eq!(refused(bytes.as_bytes()).status(), 400, "{line:?}");
        }
        assert_eq!(refused(b"GET / HTTP/1.1\r\n\r\n").status(), 400, "no Host");
        assert_eq!(
            refused(b"GET / HTTP/1.1\nHost: a\r\n\r\n").status(),
            400,
            "bare LF"
        );
        assert!(complete(b"GET / HTTP/1.0\r\n\r\n").notes.close);
        assert!(
            !complete(b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n")
                .notes
                .close
        );
        assert!(
            complete(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: x, close\r\n\r\n")
                .notes
                .close
        );
        assert_eq!(complete(b"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n").len, 31);
        assert!(
            complete(b"GET / HTTP/1.1\r\nHost: a\r\nX_Y: 1\r\n\r\n")
                .notes
                .underscore
        );
    }

    #[test]
    fn limits() {
        let long = "a".repeat(1025);
        assert_eq!(
            refused(format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()),
            Refusal::TargetTooLong
        );
        assert_eq!(
            refused(format!("GET /{long}{long}").as_bytes()),
            Refusal::TargetTooLong
        );
        let field = format!("X: {long}\r\n").repeat(4);
        let head = format!("GET / HTTP/1.1\r\nHost: a\r\n{field}");
        assert_eq!(refused(head.as_bytes()), Refusal::HeadersTooLarge);
        assert_eq!(
            refused(format!("{head}\r\n").as_bytes()),
            Refusal::HeadersTooLarge
        );
        let many = format!(
            "GET / HTTP/1.1\r\nHost: a\r\n{}\r\n",
            "a: b\r\n".repeat(STACK_FIELDS)
        );
        assert_eq!(refused(many.as_bytes()), Refusal::HeadersTooLarge);
    }

    #[test]
    fn the_number_of_fields_is_bounded_where_the_user_wants_it() {
        for most in [1, 3, STACK_FIELDS, STACK_FIELDS + 1, 500] {
            let limits = HeadLimits {
                header_fields: most,
                ..LIMITS
            };
            let head = |fields: usize| {
                let more = "a: b\r\n".repeat(fields - 1);
                format!("GET / HTTP/1.1\r\nHost: a\r\n{more}\r\n")
            };
            assert!(
                matches!(examine(head(most).as_bytes(), limits), Verdict::Complete(_)),
                "{most}"
            );
            let refused = Verdict::Refused(Refusal::HeadersTooLarge);
            assert_eq!(examine(head(most + 1).as_bytes(), limits), refused, "{most}");
        }
    }

    #[test]
    fn a_name_that_hyper_could_not_keep_is_too_large() {
        let limits = HeadLimits {
            header_bytes: 1 << 20,
            ..LIMITS
        };
        for (len, fits) in [
            (MAX_NAME_BYTES - 1, true),
            (MAX_NAME_BYTES, false),
            (70_000, false),
        ] {
            let bytes = format!("GET / HTTP/1.1\r\nHost: a\r\n{}: b\r\n\r\n", "n".repeat(len));
            assert_eq!(
                matches!(examine(bytes.as_bytes(), limits), Verdict::Complete(_)),
                fits,
                "{len}"
            );
        }
    }

    #[test]
    fn what_is_no_http_is_named() {
        let reason = |bytes: &[u8]| refused(bytes).to_string();
        assert!(reason(b"\x16\x03\x01\x02\x00\x01").contains("TLS"));
        assert!(reason(b"\x16").contains("TLS"));
        assert!(!reason(b"\x16\x04").contains("TLS"));
    }

    #[test]
    fn every_prefix_of_a_good_head_is_partial() {
        let bytes = b"GET /a?b=c HTTP/1.1\r\nHost: a:80\r\nAccept: */*\r\n\r\n";
        for end in 0..bytes.len() {
            assert_eq!(examine(&bytes[..end], LIMITS), Verdict::Partial, "{end}");
            assert!(!has_end(&bytes[..end], 0));
        }
        assert!(has_end(bytes, bytes.len() - 1));
        assert_eq!(complete(bytes).len, bytes.len());
    }
}
