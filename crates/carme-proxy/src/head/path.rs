//! A request's path at a member: the location's prefix goes, the member's comes, and nothing leads out of it.
//!
//! As Apache's `ProxyPass`: a path is brought into its normal form, percent-decoded and encoded again, so that members see
//! one spelling of it; with `nocanon` they see the client's. Beyond Apache, in both: an encoded slash is passed on as it is
//! (Apache refuses it unless `AllowEncodedSlashes NoDecode`), and `..` that only a member would see is refused.

use std::borrow::Cow;

use bytes::{BufMut, Bytes, BytesMut};
use http::uri::PathAndQuery;

use super::passing::Passing;
use super::request::{Asked, Refused};
use crate::endpoint::Endpoint;

/// What a member's paths have unencoded: Apache's list.
const PLAIN: [bool; 256] = table(b"~$-_.+!*'(),:;@&=/");
/// What needs no encoding at all (RFC 3986, 2.3), and so loses it.
const UNRESERVED: [bool; 256] = table(b"-._~");

const fn table(others: &[u8]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let mut at = 0;
    while at < others.len() {
        table[others[at] as usize] = true;
        at += 1;
    }
    table
}

/// A path with single slashes, without `.` and `..` segments, and without escapes of what needs none; still
/// percent-encoded. It is how locations have to be looked for: `/a/../b` and `//b` are what `/b` is.
pub fn normal_path(path: &str) -> Result<Cow<'_, str>, Refused> {
    if is_normal(path.as_bytes()) {
        return Ok(Cow::Borrowed(path));
    }
    let mut segments = path
        .strip_prefix('/')
        .ok_or(Refused::Elsewhere)?
        .split('/')
        .peekable();
    let mut normal = Vec::with_capacity(path.len());
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        let slash = normal.len();
        normal.push(b'/');
        push_unreserved(&mut normal, segment.as_bytes())?;
        match &normal[slash + 1..] {
            b"." | b"" if is_last => normal.truncate(slash + 1),
            b"." | b"" => normal.truncate(slash),
            b".." => {
                let parent = normal[..slash].iter().rposition(|byte| *byte == b'/');
                normal.truncate(parent.ok_or(Refused::Dots)?);
                if is_last {
                    normal.push(b'/');
                }
            }
            _ => {}
        }
    }
    // Only whole escapes of ASCII characters were decoded.
    String::from_utf8(normal)
        .map(Cow::Owned)
        .map_err(|_| Refused::Escape)
}

fn is_normal(path: &[u8]) -> bool {
    let follows = |at: usize| path.get(at).copied().unwrap_or(b'/');
    path.first() == Some(&b'/')
        && path.iter().enumerate().all(|(at, byte)| match byte {
            b'/' if at + 1 == path.len() => true,
            b'/' => match follows(at + 1) {
                b'/' => false,
                b'.' => match follows(at + 2) {
                    b'/' => false,
                    b'.' => follows(at + 3) != b'/',
                    _ => true,
                },
                _ => true,
            },
            b'%' => escape(&path[at..]).is_some_and(|byte| byte != 0 && !UNRESERVED[usize::from(byte)]),
            _ => true,
        })
}

fn push_unreserved(normal: &mut Vec<u8>, segment: &[u8]) -> Result<(), Refused> {
    let mut rest = segment;
    while let Some((&byte, after)) = rest.split_first() {
        if byte != b'%' {
            normal.push(byte);
            rest = after;
            continue;
        }
        match escape(rest) {
            None | Some(0) => return Err(Refused::Escape),
            Some(meant) if UNRESERVED[usize::from(meant)] => normal.push(meant),
            Some(_) => normal.extend_from_slice(&rest[..3]),
        }
        rest = &rest[3..];
    }
    Ok(())
}

/// The byte that the escape at the beginning means.
fn escape(text: &[u8]) -> Option<u8> {
    let [b'%', high, low, ..] = text else { return None };
    let digit = |digit: u8| char::from(digit).to_digit(16);
    u8::try_from(digit(*high)? << 4 | digit(*low)?).ok()
}

/// What a member is asked for.
pub(super) fn at_member(
    passing: &Passing,
    endpoint: &Endpoint,
    asked: &Asked<'_>,
) -> Result<PathAndQuery, Refused> {
    let path = normal_path(asked.target.path())?;
    let below = strip(&path, asked.location.as_bytes()).ok_or(Refused::Elsewhere)?;
    if has_hidden_dots(below.as_bytes()) {
        return Err(Refused::Dots);
    }
    let raw = match passing.raw_path {
        true => raw_below(asked),
        false => None,
    };
    let (below, is_sound) = match raw {
        Some(raw) => (raw, raw.bytes().all(is_visible)),
        None => (below, is_canonical(below.as_bytes())),
    };
    let query = asked.target.query();
    if is_sound
        && below.len() + asked.location.len() == asked.target.path().len()
        && is_same_base(passing, endpoint, asked)
        && query.is_none_or(|query| query.bytes().all(is_visible))
    {
        return Ok(asked.target.clone());
    }
    let room = endpoint.path.len() + passing.path.len() + asked.target.as_str().len() + 16;
    let mut target = BytesMut::with_capacity(room);
    push_configured(&mut target, &endpoint.path);
    push_configured(&mut target, &passing.path);
    match raw {
        Some(raw) => push_visible(&mut target, raw),
        None => push_canonical(&mut target, below.as_bytes()),
    }
    if target.is_empty() {
        target.put_u8(b'/');
    }
    if let Some(query) = query {
        target.put_u8(b'?');
        push_visible(&mut target, query);
    }
    // The characters are sound, so it is the length.
    PathAndQuery::from_maybe_shared(Bytes::from(target)).map_err(|_| Refused::TooLong)
}

/// The member's prefix and the location's are the same, and nothing in them needs encoding.
fn is_same_base(passing: &Passing, endpoint: &Endpoint, asked: &Asked<'_>) -> bool {
    let (member, passed) = (endpoint.path.as_bytes(), passing.path.as_bytes());
    asked
        .target
        .path()
        .as_bytes()
        .strip_prefix(member)
        .is_some_and(|rest| rest.starts_with(passed))
        && member.len() + passed.len() == asked.location.len()
        && asked.location.bytes().all(|byte| PLAIN[usize::from(byte)])
}

/// What is below a decoded prefix, which ends where a segment ends. An encoded slash ends none.
fn strip<'p>(path: &'p str, prefix: &[u8]) -> Option<&'p str> {
    let mut rest = path.as_bytes();
    for &wanted in prefix {
        let (byte, len) = match rest.first()? {
            b'%' => (escape(rest).filter(|byte| *byte != b'/')?, 3),
            byte => (*byte, 1),
        };
        if byte != wanted {
            return None;
        }
        rest = &rest[len..];
    }
    let below = path.get(path.len() - rest.len()..)?;
    matches!(rest, [] | [b'/', ..]).then_some(below)
}

/// The path below the location as the client wrote it, if that is safe: the prefix is written out, and no `..` leads
/// above it. Otherwise `nocanon` does not hold, as in Apache.
fn raw_below<'a>(asked: &Asked<'a>) -> Option<&'a str> {
    let below = asked.target.path().strip_prefix(asked.location)?;
    if !matches!(below.as_bytes(), [] | [b'/', ..]) {
        return None;
    }
    // Apache takes all slashes at the seam for one.
    let seam = below.len() - below.trim_start_matches('/').len();
    let below = &below[seam.saturating_sub(1)..];
    (below.is_empty() || normal_path(below).is_ok()).then_some(below)
}

/// Whether a path in its normal form has a `..` for a member that decodes slashes too early, takes a backslash for one,
/// or cuts a segment's parameters off.
fn has_hidden_dots(path: &[u8]) -> bool {
    if memchr::memmem::find(path, b"..").is_none() {
        return false;
    }
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((&byte, after)) = rest.split_first() {
        let meant = escape(rest);
        decoded.push(meant.unwrap_or(byte));
        rest = if meant.is_some() { &rest[3..] } else { after };
    }
    decoded
        .split(|byte| matches!(byte, b'/' | b'\\'))
        .any(|segment| matches!(segment, b".." | [b'.', b'.', b';', ..]))
}

fn is_canonical(path: &[u8]) -> bool {
    path.iter().all(|byte| PLAIN[usize::from(*byte)])
}

/// Decodes and encodes again; an encoded slash stays one.
fn push_canonical(target: &mut BytesMut, path: &[u8]) {
    let mut rest = path;
    while let Some((&byte, after)) = rest.split_first() {
        let meant = escape(rest);
        match meant {
            Some(b'/') => push_escape(target, b'/'),
            _ => push_encoded(target, meant.unwrap_or(byte)),
        }
        rest = if meant.is_some() { &rest[3..] } else { after };
    }
}

/// What the configuration says, where escapes are meant as such.
fn push_configured(target: &mut BytesMut, path: &str) {
    let mut rest = path.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        if escape(rest).is_some() {
            target.put_slice(&rest[..3]);
            rest = &rest[3..];
        } else {
            push_encoded(target, byte);
            rest = after;
        }
    }
}

fn push_encoded(target: &mut BytesMut, byte: u8) {
    match PLAIN[usize::from(byte)] {
        true => target.put_u8(byte),
        false => push_escape(target, byte),
    }
}

/// As it is, but for what no request line may have.
fn push_visible(target: &mut BytesMut, text: &str) {
    for byte in text.bytes() {
        match is_visible(byte) {
            true => target.put_u8(byte),
            false => push_escape(target, byte),
        }
    }
}

/// ASCII, no space, no control character, and no `#`, which would begin a fragment.
fn is_visible(byte: u8) -> bool {
    byte.is_ascii_graphic() && byte != b'#'
}

fn push_escape(target: &mut BytesMut, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    target.put_u8(b'%');
    target.put_u8(DIGITS[usize::from(byte >> 4)]);
    target.put_u8(DIGITS[usize::from(byte & 15)]);
}

#[cfg(test)]
mod tests;
