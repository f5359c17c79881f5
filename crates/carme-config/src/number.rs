//! Whole numbers between bounds.

use std::num::NonZeroUsize;

use crate::problem::Mistake;

/// The largest number that makes sense for a setting; the smallest is 1.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AtMost(pub(crate) u32);

impl AtMost {
    /// Checks a number that the user wrote as a number.
    pub(crate) fn check(self, number: i128) -> Result<NonZeroUsize, Mistake> {
        u32::try_from(number)
            .ok()
            .filter(|number| *number <= self.0)
            .and_then(|number| NonZeroUsize::new(number as usize))
            .ok_or_else(|| {
                Mistake::new(format!(
                    "must be a whole number from 1 to {}, found {number}",
                    self.0
                ))
            })
    }

    /// Checks a number that the user wrote on the command line.
    pub(crate) fn parse(self, text: &str) -> Result<NonZeroUsize, Mistake> {
        match text.trim().parse::<i128>() {
            Ok(number) => self.check(number),
            Err(_) => Err(Mistake::new(format!(
                "must be a whole number from 1 to {}, found {text:?}",
                self.0
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::AtMost;

    #[test]
    fn bounds() {
        assert_eq!(AtMost(8).parse("8").map(usize::from), Ok(8));
        for (text, what) in [
            ("0", "must be a whole number from 1 to 8, found 0"),
            ("9", "must be a whole number from 1 to 8, found 9"),
            ("-1", "must be a whole number from 1 to 8, found -1"),
            ("two", "must be a whole number from 1 to 8, found \"two\""),
            ("1.0", "must be a whole number from 1 to 8, found \"1.0\""),
        ] {
            assert_eq!(AtMost(8).parse(text).expect_err(text).what, what);
        }
    }
}
