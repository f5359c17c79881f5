//! Numbers as Apache has them: seconds without a unit, milliseconds with one, bytes.

use std::time::Duration;

use crate::problem::Mistake;
use crate::units::ByteSize;

/// Seconds, or a number with `ms`, `s`, `mi` (or `min`) or `h`; more than none.
pub(super) fn seconds(text: &str) -> Result<Duration, Mistake> {
    match any(text)? {
        Duration::ZERO => Err(Mistake::new(format!(
            "must be longer than nothing, found {text:?}"
        ))),
        time => Ok(time),
    }
}

/// The same, or none.
pub(super) fn any(text: &str) -> Result<Duration, Mistake> {
    read(text, 1000)
}

/// The same, where a number alone is of milliseconds.
pub(super) fn milliseconds(text: &str) -> Result<Duration, Mistake> {
    read(text, 1)
}

fn read(text: &str, usual: u64) -> Result<Duration, Mistake> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let factor = match unit.to_ascii_lowercase().as_str() {
        "" => Some(usual),
        "ms" => Some(1),
        "s" => Some(1000),
        "mi" | "min" => Some(60_000),
        "h" => Some(3_600_000),
        _ => None,
    };
    let wrong = || {
        Mistake::new(format!(
            "must be a time in seconds, or with a unit such as \"500ms\", found {text:?}"
        ))
    };
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    let total = factor
        .and_then(|factor| number.checked_mul(factor))
        .ok_or_else(wrong)?;
    match total <= 400 * 24 * 3_600_000 {
        true => Ok(Duration::from_millis(total)),
        false => Err(wrong().cure("that is more than a year")),
    }
}

/// A number of bytes.
pub(super) fn bytes(text: &str) -> Result<ByteSize, Mistake> {
    text.parse::<u64>()
        .map(ByteSize::bytes)
        .map_err(|_| Mistake::new(format!("must be a number of bytes, found {text:?}")))
}

/// A whole number.
pub(super) fn number(text: &str) -> Result<i128, Mistake> {
    text.parse()
        .map_err(|_| Mistake::new(format!("must be a whole number, found {text:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        for (text, milliseconds) in [
            ("5", 5000),
            ("500ms", 500),
            ("2s", 2000),
            ("1mi", 60_000),
            ("1h", 3_600_000),
        ] {
            assert_eq!(seconds(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        assert_eq!(super::milliseconds("5"), Ok(Duration::from_millis(5)));
        assert_eq!(any("0"), Ok(Duration::ZERO));
        for text in ["", "0", "x", "5d", "-1", "99999999999999999999", "1.5"] {
            seconds(text).expect_err(text);
        }
    }
}
