//! Regular expressions, as far as they can be followed in a time that no client can lengthen.

use regex::bytes::{Regex, RegexBuilder};

use crate::problem::Mistake;

/// Room for a compiled pattern, in bytes: far more than any that a person writes needs.
const SIZE: usize = 1 << 20;

/// A regular expression over bytes. Two are equal if they are written the same.
#[derive(Debug, Clone)]
pub struct Pattern(Regex);

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Pattern {}

impl Pattern {
    /// Reads an expression. As in Apache it is about bytes, and a dot is any of them.
    pub(crate) fn parse(text: &str) -> Result<Self, Mistake> {
        let built = RegexBuilder::new(text)
            .unicode(false)
            .dot_matches_new_line(true)
            .size_limit(SIZE)
            .build();
        built.map(Pattern).map_err(|error| {
            let said = error.to_string();
            let why = said.lines().last().unwrap_or_default();
            let why = why.strip_prefix("error: ").unwrap_or(why);
            let mistake = Mistake::new(format!(
                "is no expression that Carme can follow: {why}, found {text:?}"
            ));
            match text.contains("(?!") || text.contains("(?=") || text.contains("(?<") {
                true => mistake.cure("write the exception as a second rule that undoes the first"),
                false => mistake,
            }
        })
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Ready to be used.
    pub fn regex(&self) -> &Regex {
        &self.0
    }

    /// How many groups it has, all of it not counted.
    pub(crate) fn groups(&self) -> usize {
        self.0.captures_len() - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_followed() {
        for (text, subject, found) in [
            ("^/a", &b"/ab"[..], true),
            ("^$", b"", true),
            ("a.c", b"a\nc", true),
            ("a.c", b"a\xffc", true),
            ("(?i)MSIE", b"msie", true),
            ("\\.gif$", b"/a.gif", true),
            ("\\/x\\-y", b"/x-y", true),
            ("[[:digit:]]+", b"7", true),
            ("\\d", "٣".as_bytes(), false),
            ("é", "é".as_bytes(), true),
        ] {
            let pattern = Pattern::parse(text).expect(text);
            assert_eq!(pattern.regex().is_match(subject), found, "{text}");
        }
        for (text, what) in [
            (
                "(",
                "is no expression that Carme can follow: unclosed group, found \"(\"",
            ),
            (
                "^(?!/a)",
                "is no expression that Carme can follow: look-around, including look-ahead and look-behind, is not \
                 supported, found \"^(?!/a)\"",
            ),
            (
                "(a)\\1",
                "is no expression that Carme can follow: backreferences are not supported, found \"(a)\\\\1\"",
            ),
        ] {
            assert_eq!(Pattern::parse(text).expect_err(text).what, what);
        }
        assert!(Pattern::parse("(((a{100}){100}){100}){100}").is_err());
        assert_eq!(Pattern::parse("(a)(?:b)(c)").expect("groups").groups(), 2);
    }
}
