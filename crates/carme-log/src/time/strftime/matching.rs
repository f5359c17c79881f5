//! Which texts a format may have printed: to find the files that are named by one.

use super::{Fill, Part, Strftime};

impl Strftime {
    /// True if the format may have printed `text`. Knows how many digits a number has and what words look like, not
    /// which days there are.
    pub(crate) fn may_have_printed(&self, text: &[u8]) -> bool {
        matches(&self.0, text)
    }
}

fn matches(parts: &[Part], text: &[u8]) -> bool {
    let Some((part, parts)) = parts.split_first() else {
        return text.is_empty();
    };
    let (lengths, allowed): (_, fn(u8) -> bool) = match part {
        Part::Text(expected) => {
            return text
                .strip_prefix(&**expected)
                .is_some_and(|rest| matches(parts, rest));
        }
        Part::Number {
            conversion,
            width,
            fill,
        } => {
            let longest = match conversion {
                b's' => 12,
                b'Y' | b'G' => 4,
                _ => *width,
            };
            let shortest = match (conversion, fill) {
                (b'Y' | b'G', _) => 4,
                (_, Fill::Nothing) => 1,
                _ => *width,
            };
            (shortest..=longest, |byte| byte.is_ascii_digit() || byte == b' ')
        }
        Part::Words { conversion, .. } => match conversion {
            b'z' => (5..=5, |byte| byte.is_ascii_digit() || b"+-".contains(&byte)),
            b'Z' => (1..=8, |byte| {
                byte.is_ascii_alphanumeric() || b"+-".contains(&byte)
            }),
            b'p' | b'P' => (2..=2, |byte| byte.is_ascii_alphabetic()),
            b'a' | b'b' | b'h' => (3..=3, |byte| byte.is_ascii_alphabetic()),
            _ => (3..=9, |byte| byte.is_ascii_alphabetic()),
        },
    };
    let run = text.iter().take_while(|byte| allowed(**byte)).count();
    lengths
        .take_while(|length| *length <= run)
        .any(|length| matches(parts, &text[length..]))
}

#[cfg(test)]
mod tests {
    use super::super::Strftime;
    use crate::format::Zone;
    use crate::time::push_strftime;
    use proptest::prelude::*;

    #[test]
    fn other_files_are_not_taken_for_ours() {
        for (format, text, expected) in [
            ("a-%Y-%m-%d.log", "a-2026-11-23.log", true),
            ("a-%Y-%m-%d.log", "a-2026-11-23.log.gz", false),
            ("a-%Y-%m-%d.log", "a-2026-11-2x.log", false),
            ("a-%Y-%m-%d.log", "b-2026-11-23.log", false),
            ("a-%Y-%m-%d.log", "a-notes-to-keep.log", false),
            ("%Y%m%d%s", "202611231795427901", true),
            ("%Y%m%d%s", "20261123", false),
            ("a%%%d", "a%07", true),
            ("%-d.log", "7.log", true),
            ("%-d.log", "123.log", false),
            ("%a.log", "Mon.log", true),
            ("%A.log", "Wednesday.log", true),
            ("%A.log", "my-notes.log", false),
        ] {
            let format = Strftime::parse(format).unwrap();
            assert_eq!(format.may_have_printed(text.as_bytes()), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_printed_is_recognised(unix in 0_i64..4_000_000_000, which in prop::sample::select(vec![
            "%a%A%b%B%C%d%e%F", "%g%G%H%I%j%k%l", "%m%M%p%P%R%s%S%T", "%u%U%V%w%W%y%Y%z%Z", "%c|%r|%-d%_d%^a",
        ])) {
            let format = Strftime::parse(which).unwrap();
            let mut out = Vec::new();
            push_strftime(&mut out, &format, unix, Zone::Utc);
            prop_assert!(format.may_have_printed(&out), "{}", String::from_utf8_lossy(&out));
        }
    }
}
