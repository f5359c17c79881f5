//! What PEP 3333 and RFC 9110 allow in a response head. Pure: bytes in, verdict out.

use std::fmt;

/// Why a response head is refused; says what is wrong with which part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Not "NNN reason".
    Status(String),
    /// A code that cannot be a final answer.
    Code(u16),
    /// Not a token as RFC 9110, 5.6.2 has it.
    Name(String),
    /// A control character in a value.
    Value(String, u8),
    /// A header that is the server's business, not the app's.
    HopByHop(String),
    /// A Content-Length that is not a number.
    Length(String),
    /// More than one Content-Length.
    TwoLengths,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => {
                write!(
                    f,
                    "the status must be of the form \"200 OK\": three digits, a space, a reason; it is {status:?}"
                )
            }
            Self::Code(code) => write!(
                f,
                "a WSGI app cannot answer with status {code}; 200 to 999 are final"
            ),
            Self::Name(name) => write!(f, "{name:?} is not a valid header name"),
            Self::Value(name, byte) => {
                write!(
                    f,
                    "the value of header {name:?} contains the control character 0x{byte:02x}"
                )
            }
            Self::HopByHop(name) => write!(
                f,
                "header {name:?} is hop-by-hop and belongs to the server; PEP 3333 forbids it to the app"
            ),
            Self::Length(value) => write!(f, "Content-Length must be a number; it is {value:?}"),
            Self::TwoLengths => f.write_str("there is more than one Content-Length"),
        }
    }
}

fn show(bytes: &[u8]) -> String {
    bytes.iter().map(|b| char::from(*b)).collect()
}

/// The code and the reason of a status such as `404 Not Found` (latin-1).
pub fn status(status: &[u8]) -> Result<(u16, &[u8]), Refusal> {
    let (digits, reason) = match status {
        [a, b, c, b' ', reason @ ..] => ([*a, *b, *c], reason),
        _ => return Err(Refusal::Status(show(status))),
    };
    let printable = |b: &u8| *b == b'\t' || (*b >= b' ' && *b != 0x7f);
    if !digits.iter().all(u8::is_ascii_digit) || !reason.iter().all(printable) {
        return Err(Refusal::Status(show(status)));
    }
    let code = digits
        .iter()
        .fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
    if code < 200 {
        Err(Refusal::Code(code))
    } else {
        Ok((code, reason))
    }
}

/// `tchar` of RFC 9110, 5.6.2.
const TCHAR: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        let b = byte as u8;
        table[byte] = b.is_ascii_alphanumeric();
        byte += 1;
    }
    let others = b"!#$%&'*+-.^_`|~";
    let mut i = 0;
    while i < others.len() {
        table[others[i] as usize] = true;
        i += 1;
    }
    table
};

/// Names that only the server may send, `wsgiref.util.is_hop_by_hop`'s list.
const HOP_BY_HOP: [&[u8]; 8] = [
    b"connection",
    b"keep-alive",
    b"proxy-authenticate",
    b"proxy-authorization",
    b"te",
    b"trailers",
    b"transfer-encoding",
    b"upgrade",
];

/// Checks a header's name.
pub fn name(name: &[u8]) -> Result<(), Refusal> {
    if name.is_empty() || !name.iter().all(|b| TCHAR[usize::from(*b)]) {
        return Err(Refusal::Name(show(name)));
    }
    if HOP_BY_HOP.iter().any(|hop| name.eq_ignore_ascii_case(hop)) {
        return Err(Refusal::HopByHop(show(name)));
    }
    Ok(())
}

/// Checks the value of header `name`: no control characters but the tab (RFC 9110, 5.5).
pub fn value(name: &[u8], value: &[u8]) -> Result<(), Refusal> {
    match value.iter().find(|b| (**b < b' ' && **b != b'\t') || **b == 0x7f) {
        Some(byte) => Err(Refusal::Value(show(name), *byte)),
        None => Ok(()),
    }
}

/// The number in a Content-Length.
pub fn content_length(value: &[u8]) -> Result<u64, Refusal> {
    let bad = || Refusal::Length(show(value));
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(bad());
    }
    std::str::from_utf8(value)
        .ok()
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(bad)
}

/// Whether a response with this status never has a body (RFC 9110, 6.4.1).
pub fn bodiless(status: u16) -> bool {
    matches!(status, 204 | 304)
}

/// The environ key of a request header, given in lower case; `None` for what an app must not see:
/// names with an underscore (they could pass for the same name with a hyphen), `Proxy` (CGI programs take it for a
/// setting), and what described the transfer that the front has undone.
pub fn environ_key(name: &[u8]) -> Option<String> {
    match name {
        b"content-type" => return Some("CONTENT_TYPE".into()),
        // Written from the body itself, which may have come without one.
        b"content-length" | b"transfer-encoding" | b"proxy" => return None,
        _ => {}
    }
    let mut key = String::with_capacity(5 + name.len());
    key.push_str("HTTP_");
    for byte in name {
        key.push(match byte {
            b'_' => return None,
            b'-' => '_',
            _ => char::from(byte.to_ascii_uppercase()),
        });
    }
    Some(key)
}
