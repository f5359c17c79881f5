//! Fields whose value is a list (RFC 9110, 5.6.1), which may have several lines.

use bytes::{BufMut, BytesMut};
use http::header::{Entry, GetAll, HeaderMap, HeaderName, HeaderValue, OccupiedEntry};

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
    match headers.entry(name) {
        Entry::Vacant(entry) => {
            entry.insert(member);
        }
        Entry::Occupied(entry) => append_to(entry, &member),
    }
}

/// The same to a list that is there.
pub(super) fn append_to(mut list: OccupiedEntry<'_, HeaderValue>, member: &HeaderValue) {
    let mut joined = BytesMut::new();
    for line in list.iter() {
        joined.put_slice(line.as_bytes());
        joined.put_slice(b", ");
    }
    joined.put_slice(member.as_bytes());
    if let Ok(value) = HeaderValue::from_maybe_shared(joined.freeze()) {
        list.insert(value);
    }
}
