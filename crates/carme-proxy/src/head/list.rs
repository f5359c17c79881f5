//! Fields whose value is a list (RFC 9110, 5.6.1), which may have several lines.

use bytes::{BufMut, BytesMut};
use http::header::{GetAll, HeaderMap, HeaderName, HeaderValue};

/// The members of a list, over all its lines; never an empty one.
pub(super) fn members<'a>(lines: &GetAll<'a, HeaderValue>) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    lines
        .iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|member| !member.is_empty())
}

/// Adds a member at the end; what had several lines has one afterwards, for servers that look at one only.
pub(super) fn append(headers: &mut HeaderMap, name: &HeaderName, member: HeaderValue) {
    let mut joined = BytesMut::new();
    for line in headers.get_all(name) {
        joined.put_slice(line.as_bytes());
        joined.put_slice(b", ");
    }
    if joined.is_empty() {
        headers.insert(name, member);
        return;
    }
    joined.put_slice(member.as_bytes());
    if let Ok(value) = HeaderValue::from_maybe_shared(joined.freeze()) {
        headers.insert(name, value);
    }
}
