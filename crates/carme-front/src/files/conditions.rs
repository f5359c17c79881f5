//! Conditional requests, in the order of RFC 9110 section 13.2.2.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

/// The header fields that decide what of a file is sent; copied, so that they can go to another thread.
#[derive(Debug, Clone, Default)]
pub(crate) struct Conditions {
    if_match: Option<HeaderValue>,
    if_unmodified_since: Option<HeaderValue>,
    if_none_match: Option<HeaderValue>,
    if_modified_since: Option<HeaderValue>,
    if_range: Option<HeaderValue>,
    range: Option<HeaderValue>,
}

/// What a file is known by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Validators {
    /// With its quotes, without `W/`.
    pub(crate) tag: HeaderValue,
    /// A file that was changed just now may be changed again within the same tick of its clock.
    pub(crate) is_weak: bool,
    /// In whole seconds, as the wire has it.
    pub(crate) modified: SystemTime,
}

/// How a file that may be changing is known.
const JUST_NOW: Duration = Duration::from_secs(2);

/// What the conditions say.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict<'c> {
    /// All of it, or this `Range`.
    Send(Option<&'c HeaderValue>),
    /// 304
    NotModified,
    /// 412
    Failed,
}

impl Validators {
    pub(crate) fn new(len: u64, modified: SystemTime, now: SystemTime) -> Self {
        let since_epoch = modified.duration_since(UNIX_EPOCH).unwrap_or_default();
        // Nothing is from the future (RFC 9110 section 8.8.2.1).
        let seconds = since_epoch
            .as_secs()
            .min(now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs());
        let text = format!("\"{:x}-{len:x}\"", since_epoch.as_nanos());
        Validators {
            tag: HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static("\"\"")),
            is_weak: now.duration_since(modified).is_ok_and(|age| age < JUST_NOW) || modified > now,
            modified: UNIX_EPOCH + Duration::from_secs(seconds),
        }
    }

    /// Sets `ETag` and `Last-Modified`.
    pub(crate) fn write(&self, headers: &mut HeaderMap) {
        let tag = match self.is_weak {
            false => Some(self.tag.clone()),
            true => HeaderValue::from_bytes(&[b"W/", self.tag.as_bytes()].concat()).ok(),
        };
        if let Some(tag) = tag {
            headers.insert(header::ETAG, tag);
        }
        if let Ok(date) = HeaderValue::from_str(&httpdate::fmt_http_date(self.modified)) {
            headers.insert(header::LAST_MODIFIED, date);
        }
    }

    /// From the header of an answer that has them; a missing date compares as never.
    pub(crate) fn read(headers: &HeaderMap) -> Option<Self> {
        let tag = headers.get(header::ETAG)?;
        let (is_weak, opaque) = match tag.as_bytes().strip_prefix(b"W/") {
            Some(opaque) => (true, opaque),
            None => (false, tag.as_bytes()),
        };
        Some(Validators {
            tag: HeaderValue::from_bytes(opaque).ok()?,
            is_weak,
            modified: headers.get(header::LAST_MODIFIED).and_then(date)?,
        })
    }

    /// Whether a list of tags has this one.
    fn is_in(&self, list: &HeaderValue, strong: bool) -> bool {
        if list.as_bytes().trim_ascii() == b"*" {
            return true;
        }
        let comparable = !(strong && self.is_weak);
        comparable
            && tags(list.as_bytes())
                .any(|(is_weak, opaque)| !(strong && is_weak) && opaque == self.tag.as_bytes())
    }

    /// `If-Range`: a strong tag, or exactly this date of a file that is not just changing.
    fn is_still(&self, if_range: &HeaderValue) -> bool {
        if if_range.as_bytes().starts_with(b"\"") || if_range.as_bytes().starts_with(b"W/") {
            self.is_in(if_range, true)
        } else {
            !self.is_weak && date(if_range) == Some(self.modified)
        }
    }
}

fn date(value: &HeaderValue) -> Option<SystemTime> {
    httpdate::parse_http_date(value.to_str().ok()?).ok()
}

/// The entity tags of a list, each weak or not and with its quotes. They may contain commas.
fn tags(mut list: &[u8]) -> impl Iterator<Item = (bool, &[u8])> {
    std::iter::from_fn(move || {
        let start = list.iter().position(|&byte| byte == b'"')?;
        let is_weak = list[..start].ends_with(b"W/");
        let end = start + 1 + list[start + 1..].iter().position(|&byte| byte == b'"')? + 1;
        let tag = &list[start..end];
        list = &list[end..];
        Some((is_weak, tag))
    })
}

impl Conditions {
    pub(crate) fn of(request: &HeaderMap) -> Self {
        Conditions {
            if_match: list(request, &header::IF_MATCH),
            if_unmodified_since: request.get(header::IF_UNMODIFIED_SINCE).cloned(),
            if_none_match: list(request, &header::IF_NONE_MATCH),
            if_modified_since: request.get(header::IF_MODIFIED_SINCE).cloned(),
            if_range: request.get(header::IF_RANGE).cloned(),
            // Two of them are none that anybody could obey.
            range: Some(request.get_all(header::RANGE))
                .filter(|ranges| ranges.iter().count() == 1)
                .and_then(|ranges| ranges.iter().next().cloned()),
        }
    }

    /// What a GET (or, with `is_head`, a HEAD) of a file with these validators gets. Dates that are none are not there.
    pub(crate) fn judge(&self, file: &Validators, is_head: bool) -> Verdict<'_> {
        match (&self.if_match, self.if_unmodified_since.as_ref().and_then(date)) {
            (Some(list), _) if !file.is_in(list, true) => return Verdict::Failed,
            (None, Some(date)) if file.modified > date => return Verdict::Failed,
            _ => {}
        }
        match (
            &self.if_none_match,
            self.if_modified_since.as_ref().and_then(date),
        ) {
            (Some(list), _) if file.is_in(list, false) => return Verdict::NotModified,
            (None, Some(date)) if file.modified <= date => return Verdict::NotModified,
            _ => {}
        }
        let is_still = self
            .if_range
            .as_ref()
            .is_none_or(|validator| file.is_still(validator));
        Verdict::Send(self.range.as_ref().filter(|_| !is_head && is_still))
    }
}

/// All fields of this name as one.
fn list(request: &HeaderMap, name: &HeaderName) -> Option<HeaderValue> {
    let mut values = request.get_all(name).iter();
    let first = values.next()?;
    let mut joined = first.as_bytes().to_vec();
    for value in values {
        joined.extend_from_slice(b", ");
        joined.extend_from_slice(value.as_bytes());
    }
    match joined.len() == first.len() {
        true => Some(first.clone()),
        false => HeaderValue::from_bytes(&joined).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 784_111_777; // Sun, 06 Nov 1994 08:49:37 GMT

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn file() -> Validators {
        Validators {
            tag: HeaderValue::from_static("\"a\""),
            is_weak: false,
            modified: at(NOW),
        }
    }

    fn conditions(text: &str) -> Conditions {
        let mut request = HeaderMap::new();
        for line in text.split('|').filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(": ").expect(line);
            let value = value
                .replace("NOW", "Sun, 06 Nov 1994 08:49:37 GMT")
                .replace("BEFORE", "Sun, 06 Nov 1994 08:49:36 GMT")
                .replace("LATER", "Sun, 06 Nov 1994 08:49:38 GMT");
            request.append(
                HeaderName::from_bytes(name.as_bytes()).expect(name),
                HeaderValue::from_str(&value).expect(&value),
            );
        }
        Conditions::of(&request)
    }

    fn shown(verdict: &Verdict<'_>) -> &'static str {
        match verdict {
            Verdict::Send(None) => "200",
            Verdict::Send(Some(_)) => "206",
            Verdict::NotModified => "304",
            Verdict::Failed => "412",
        }
    }

    #[test]
    fn in_the_order_of_rfc_9110() {
        for (request, expected) in [
            ("", "200"),
            ("if-none-match: \"a\"", "304"),
            ("if-none-match: W/\"a\"", "304"),
            ("if-none-match: *", "304"),
            ("if-none-match: \"b\", \"a\"", "304"),
            ("if-none-match: \"b\"|if-none-match: \"a\"", "304"),
            ("if-none-match: \"b,\", W/\"a\"", "304"),
            ("if-none-match: \"b\"", "200"),
            ("if-none-match: a", "200"),
            ("if-none-match: \"a", "200"),
            ("if-modified-since: NOW", "304"),
            ("if-modified-since: LATER", "304"),
            ("if-modified-since: BEFORE", "200"),
            ("if-modified-since: yesterday", "200"),
            ("if-modified-since: Sunday, 06-Nov-94 08:49:37 GMT", "304"),
            ("if-modified-since: Sun Nov  6 08:49:37 1994", "304"),
            ("if-none-match: \"b\"|if-modified-since: NOW", "200"),
            ("if-none-match: \"a\"|if-modified-since: BEFORE", "304"),
            ("if-match: \"a\"", "200"),
            ("if-match: *", "200"),
            ("if-match: W/\"a\"", "412"),
            ("if-match: \"b\"", "412"),
            ("if-match: \"b\"|if-none-match: \"a\"", "412"),
            ("if-match: \"a\"|if-none-match: \"a\"", "304"),
            ("if-match: \"a\"|if-unmodified-since: BEFORE", "200"),
            ("if-unmodified-since: BEFORE", "412"),
            ("if-unmodified-since: NOW", "200"),
            ("if-unmodified-since: never", "200"),
            ("range: bytes=0-", "206"),
            ("range: bytes=0-|range: bytes=1-", "200"),
            ("range: bytes=0-|if-range: \"a\"", "206"),
            ("range: bytes=0-|if-range: W/\"a\"", "200"),
            ("range: bytes=0-|if-range: \"b\"", "200"),
            ("range: bytes=0-|if-range: NOW", "206"),
            ("range: bytes=0-|if-range: LATER", "200"),
            ("range: bytes=0-|if-range: BEFORE", "200"),
            ("range: bytes=0-|if-range: x", "200"),
            ("range: bytes=0-|if-none-match: \"a\"", "304"),
            ("range: bytes=0-|if-match: \"b\"", "412"),
        ] {
            let conditions = conditions(request);
            assert_eq!(shown(&conditions.judge(&file(), false)), expected, "{request}");
        }
        assert_eq!(
            shown(&conditions("range: bytes=0-").judge(&file(), true)),
            "200",
            "HEAD knows no ranges"
        );
    }

    #[test]
    fn a_file_that_was_changed_just_now_has_a_weak_tag() {
        let old = Validators::new(10, at(NOW - 2), at(NOW));
        assert_eq!((old.is_weak, old.modified), (false, at(NOW - 2)));
        let new = Validators::new(10, at(NOW - 1), at(NOW));
        assert!(new.is_weak);
        let future = Validators::new(10, at(NOW + 100), at(NOW));
        assert_eq!((future.is_weak, future.modified), (true, at(NOW)));
        assert_eq!(
            shown(&conditions("range: bytes=0-|if-range: NOW").judge(&future, false)),
            "200"
        );
        let mut headers = HeaderMap::new();
        new.write(&mut headers);
        assert!(headers[header::ETAG].as_bytes().starts_with(b"W/\""));
        assert_eq!(Validators::read(&headers), Some(new));
        let longer = Validators::new(11, at(NOW - 2), at(NOW));
        assert_ne!(old.tag, longer.tag);
    }

    proptest::proptest! {
        #[test]
        fn what_was_sent_is_not_modified(len: u64, seconds in 0..NOW, nanos in 0_u32..1_000_000_000) {
            let modified = at(seconds) + Duration::from_nanos(nanos.into());
            let file = Validators::new(len, modified, at(NOW));
            let mut sent = HeaderMap::new();
            file.write(&mut sent);
            for (condition, field) in [(header::IF_NONE_MATCH, header::ETAG), (header::IF_MODIFIED_SINCE, header::LAST_MODIFIED)] {
                let request: HeaderMap = [(condition, sent[field].clone())].into_iter().collect();
                let conditions = Conditions::of(&request);
                proptest::prop_assert_eq!(conditions.judge(&file, false), Verdict::NotModified);
            }
        }

        #[test]
        fn any_list_of_tags_can_be_read(bytes in proptest::collection::vec(0x20_u8..0x7f, 0..40)) {
            for (_, tag) in tags(&bytes) {
                proptest::prop_assert!(tag.len() >= 2 && tag.starts_with(b"\"") && tag.ends_with(b"\""));
            }
        }
    }
}
