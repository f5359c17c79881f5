//! `Domain` and `Path` of members' cookies, which become this server's (`ProxyPassReverseCookieDomain`, `…CookiePath`).

use http::HeaderValue;

use super::passing::Passing;

/// The cookie for the client; `None` if it stays as it is.
///
/// As in Apache, the first pair whose left side the attribute begins with counts, and all of the attribute is replaced.
/// Beyond Apache, a cookie whose own name is `path` or `domain` is left alone, and so is nothing of what is given twice.
pub(super) fn reversed(passing: &Passing, cookie: &[u8]) -> Option<HeaderValue> {
    let mut reversed: Option<Vec<u8>> = None;
    let mut seen = 0;
    for part in cookie.split(|byte| *byte == b';') {
        // The first is the cookie itself.
        let replacement = (seen > 0).then(|| replacement(passing, part)).flatten();
        if let Some((kept, value)) = replacement {
            let reversed = reversed.get_or_insert_with(|| cookie[..seen].to_vec());
            reversed.extend_from_slice(kept);
            reversed.extend_from_slice(value.as_bytes());
        } else if let Some(reversed) = &mut reversed {
            reversed.extend_from_slice(part);
        }
        seen += part.len() + 1;
        if let Some(reversed) = &mut reversed
            && seen <= cookie.len()
        {
            reversed.push(b';');
        }
    }
    HeaderValue::try_from(reversed?).ok()
}

/// The attribute up to its value, and its new value.
fn replacement<'a>(passing: &'a Passing, part: &'a [u8]) -> Option<(&'a [u8], &'a str)> {
    let blanks = part.len() - part.trim_ascii_start().len();
    let equals = part.iter().position(|byte| *byte == b'=')?;
    let (kept, value) = part.split_at(equals + 1);
    let name = kept.get(blanks..equals)?;
    let of = |pairs: &'a [(String, String)], begins: fn(&[u8], &[u8]) -> bool| {
        let found = pairs.iter().find(|(from, _)| begins(value, from.as_bytes()));
        found.map(|(_, to)| (kept, to.as_str()))
    };
    if name.eq_ignore_ascii_case(b"path") {
        of(&passing.cookie_paths, |value, from| value.starts_with(from))
    } else if name.eq_ignore_ascii_case(b"domain") {
        of(&passing.cookie_domains, |value, from| {
            value
                .get(..from.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(from))
        })
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
