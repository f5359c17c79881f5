//! Byte ranges (RFC 9110 section 14).

/// So many ranges, and no more, are answered with just these parts; a request for more gets the whole file, as does one
/// for ranges that together are longer than the file or that overlap: both are either mistakes or attacks.
const MOST: usize = 16;

/// What of a file is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ranges {
    /// Everything: there is no range, or none that is to be obeyed.
    Whole,
    /// Nothing that there is: 416.
    Unsatisfiable,
    /// These parts, in the order in which they are asked for.
    Parts(Vec<Span>),
}

/// A part of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) at: u64,
    pub(crate) len: u64,
}

impl Span {
    /// For `Content-Range`, of a file of `whole` bytes.
    pub(crate) fn content_range(self, whole: u64) -> String {
        format!("bytes {}-{}/{whole}", self.at, self.at + self.len - 1)
    }
}

/// Reads a `Range` field for a file of `len` bytes. What is not in its syntax is not there.
pub(crate) fn parse(field: &[u8], len: u64) -> Ranges {
    let Some(specs) = field
        .split_at_checked(6)
        .filter(|(unit, _)| unit.eq_ignore_ascii_case(b"bytes="))
        .map(|(_, specs)| specs)
    else {
        return Ranges::Whole;
    };
    let mut spans: Vec<Span> = Vec::new();
    let (mut count, mut total) = (0, 0_u64);
    for spec in specs.split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
        // RFC 9110 section 5.6.1: empty elements do not count.
        if spec.is_empty() {
            continue;
        }
        count += 1;
        if count > MOST {
            return Ranges::Whole;
        }
        let Some(span) = one(spec, len) else {
            return Ranges::Whole;
        };
        let Some(span) = span else { continue };
        total = total.saturating_add(span.len);
        let overlaps = |other: &Span| span.at < other.at + other.len && other.at < span.at + span.len;
        if total > len || spans.iter().any(overlaps) {
            return Ranges::Whole;
        }
        spans.push(span);
    }
    match (count, spans.is_empty()) {
        (0, _) => Ranges::Whole,
        (_, true) => Ranges::Unsatisfiable,
        (_, false) => Ranges::Parts(spans),
    }
}

/// `None` if it is no range; `Some(None)` if there is nothing of it in the file.
fn one(spec: &[u8], len: u64) -> Option<Option<Span>> {
    let dash = spec.iter().position(|&byte| byte == b'-')?;
    let (first, last) = (&spec[..dash], &spec[dash + 1..]);
    match (first.is_empty(), last.is_empty()) {
        (true, true) => None,
        // The last bytes.
        (true, false) => {
            let wanted = number(last)?.min(len);
            Some((wanted > 0).then_some(Span {
                at: len - wanted,
                len: wanted,
            }))
        }
        (false, _) => {
            let first = number(first)?;
            let last = if last.is_empty() { u64::MAX } else { number(last)? };
            if last < first {
                return None;
            }
            Some((first < len).then(|| Span {
                at: first,
                len: last.min(len - 1) - first + 1,
            }))
        }
    }
}

/// Digits only; what is too large for the type is as large as it can be.
fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().all(u8::is_ascii_digit).then(|| {
        str::from_utf8(digits)
            .ok()
            .and_then(|digits| digits.parse().ok())
            .unwrap_or(u64::MAX)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(field: &str, len: u64) -> String {
        match parse(field.as_bytes(), len) {
            Ranges::Whole => "whole".to_owned(),
            Ranges::Unsatisfiable => "none".to_owned(),
            Ranges::Parts(spans) => spans
                .iter()
                .map(|span| format!("{}+{}", span.at, span.len))
                .collect::<Vec<_>>()
                .join(" "),
        }
    }

    #[test]
    fn ranges_of_ten_bytes() {
        let many = format!("bytes={}", vec!["0-0"; 17].join(","));
        for (field, expected) in [
            ("bytes=0-0", "0+1"),
            ("bytes=0-", "0+10"),
            ("bytes=0-9", "0+10"),
            ("bytes=0-10", "0+10"),
            ("bytes=9-", "9+1"),
            ("bytes=5-99999999999999999999999", "5+5"),
            ("bytes=-1", "9+1"),
            ("bytes=-10", "0+10"),
            ("bytes=-11", "0+10"),
            ("BYTES=2-3", "2+2"),
            ("bytes= 2-3 ", "2+2"),
            ("bytes=10-", "none"),
            ("bytes=10-20", "none"),
            ("bytes=-0", "none"),
            ("bytes=99999999999999999999999-", "none"),
            ("bytes=0-1,4-5", "0+2 4+2"),
            ("bytes=8-,0-1", "8+2 0+2"),
            ("bytes=0-1, ,-2", "0+2 8+2"),
            ("bytes=20-,0-1", "0+2"),
            ("bytes=20-,30-", "none"),
            ("bytes=0-5,5-9", "whole"),
            ("bytes=0-,-1", "whole"),
            ("bytes=0-0,0-0", "whole"),
            (&many, "whole"),
            ("bytes=", "whole"),
            ("bytes=,", "whole"),
            ("bytes=-", "whole"),
            ("bytes=1", "whole"),
            ("bytes=2-1", "whole"),
            ("bytes=a-", "whole"),
            ("bytes=0-1-2", "whole"),
            ("bytes=+1-2", "whole"),
            ("bytes=0x1-2", "whole"),
            ("bytes 0-1", "whole"),
            ("items=0-1", "whole"),
            ("", "whole"),
        ] {
            assert_eq!(shown(field, 10), expected, "{field}");
        }
    }

    #[test]
    fn of_an_empty_file_there_is_no_part() {
        for field in ["bytes=0-", "bytes=-1", "bytes=0-0"] {
            assert_eq!(shown(field, 0), "none", "{field}");
        }
    }

    proptest::proptest! {
        #[test]
        fn parts_are_in_the_file_and_apart(field in "bytes=([0-9]{0,3}-[0-9]{0,3},?){0,6}", len in 0_u64..500) {
            if let Ranges::Parts(spans) = parse(field.as_bytes(), len) {
                proptest::prop_assert!(!spans.is_empty());
                for (at, span) in spans.iter().enumerate() {
                    proptest::prop_assert!(span.len > 0 && span.at + span.len <= len);
                    proptest::prop_assert!(spans[..at].iter().all(|other| span.at >= other.at + other.len || other.at >= span.at + span.len));
                }
            }
        }

        #[test]
        fn any_bytes_can_be_read(field: Vec<u8>, len: u64) {
            parse(&field, len);
            parse(&[b"bytes=", &field[..]].concat(), len);
        }
    }
}
