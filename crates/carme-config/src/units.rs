//! Sizes like `512MiB` and durations like `1m30s`: read strictly, printed so that reading gives the same again.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::problem::Mistake;

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(u64);

const SIZE_UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

impl ByteSize {
    /// `n` bytes.
    pub const fn bytes(n: u64) -> Self {
        ByteSize(n)
    }

    /// `n` times 1024 bytes.
    pub const fn kib(n: u64) -> Self {
        ByteSize(n << 10)
    }

    /// `n` times 1024 KiB.
    pub const fn mib(n: u64) -> Self {
        ByteSize(n << 20)
    }

    /// `n` times 1024 MiB.
    pub const fn gib(n: u64) -> Self {
        ByteSize(n << 30)
    }

    /// The number of bytes.
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// The number of bytes, or the largest that fits on this machine.
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

/// Reads a whole number and a unit, in any case: `B`, `KiB` to `TiB` (1024), `kB` to `TB` (1000).
impl FromStr for ByteSize {
    type Err = Mistake;

    fn from_str(text: &str) -> Result<Self, Mistake> {
        let wrong = || Mistake::new(format!("must be a size such as \"512MiB\", found {text:?}"));
        let (digits, unit) = split_number(text.trim());
        if digits.is_empty() {
            return Err(wrong());
        }
        if unit.is_empty() {
            return Err(wrong().cure(format!(
                "say the unit: \"{digits}B\", \"{digits}KiB\" or \"{digits}MiB\""
            )));
        }
        let Some((_, factor)) = SIZE_UNITS
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(unit))
        else {
            let guess = SIZE_UNITS[..4]
                .iter()
                .find(|(name, _)| name[..1].eq_ignore_ascii_case(unit));
            return Err(wrong().cure(match guess {
                Some((name, _)) => format!("write \"{digits}{name}\""),
                None => "the units are B, KiB, MiB, GiB, TiB and kB, MB, GB, TB".to_owned(),
            }));
        };
        digits
            .parse::<u64>()
            .ok()
            .and_then(|number| number.checked_mul(*factor))
            .map(ByteSize)
            .ok_or_else(|| Mistake::new(format!("is larger than any machine: {text:?}")))
    }
}

/// Prints the largest binary unit that leaves a whole number.
impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = SIZE_UNITS[..4]
            .iter()
            .find(|(_, factor)| self.0 >= *factor && self.0.is_multiple_of(*factor));
        let (name, factor) = unit.copied().unwrap_or(("B", 1));
        write!(f, "{}{name}", self.0 / factor)
    }
}

/// A number of bytes a second; none is no bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteRate(ByteSize);

impl ByteRate {
    /// `n` bytes a second.
    pub const fn bytes(n: u64) -> Self {
        ByteRate(ByteSize::bytes(n))
    }

    /// The number of bytes.
    pub const fn as_u64(self) -> u64 {
        self.0.as_u64()
    }
}

/// Reads a size and `/s`.
impl FromStr for ByteRate {
    type Err = Mistake;

    fn from_str(text: &str) -> Result<Self, Mistake> {
        let wrong = || Mistake::new(format!("must be a rate such as \"500B/s\", found {text:?}"));
        match text.trim().strip_suffix("/s") {
            Some(size) => size
                .parse()
                .map(ByteRate)
                .map_err(|mistake: Mistake| wrong().maybe_cure(mistake.cure)),
            None => Err(match text.parse::<ByteSize>() {
                Ok(size) => wrong().cure(format!("write \"{size}/s\"")),
                Err(_) => wrong().cure("write bytes a second, such as \"500B/s\" or \"1KiB/s\""),
            }),
        }
    }
}

impl fmt::Display for ByteRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/s", self.0)
    }
}

const DURATION_UNITS: [(&str, u128); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// Reads whole numbers with units: `d`, `h`, `m`, `s`, `ms`, `us`, `ns`, also several: `1m30s`.
///
/// # Errors
/// What is wrong, with what to write instead: a number without a unit, a fraction, an unknown unit.
pub fn parse_duration(text: &str) -> Result<Duration, Mistake> {
    let wrong = || {
        Mistake::new(format!(
            "must be a duration such as \"30s\" or \"500ms\", found {text:?}"
        ))
    };
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(wrong());
    }
    let mut total: u128 = 0;
    while !rest.is_empty() {
        let (digits, after) = split_number(rest);
        let end = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, next) = after.split_at(end);
        if digits.is_empty() {
            return Err(wrong());
        }
        if unit.is_empty() {
            return Err(wrong().cure(format!("say the unit: \"{digits}s\" or \"{digits}ms\"")));
        }
        if unit == "." || unit == "," {
            return Err(wrong().cure("write whole numbers with smaller units, such as \"1500ms\""));
        }
        let Some((_, factor)) = DURATION_UNITS.iter().find(|(name, _)| *name == unit.trim()) else {
            return Err(wrong().cure("the units are d, h, m, s, ms and us"));
        };
        let part = digits
            .parse::<u64>()
            .ok()
            .map(|number| u128::from(number) * factor);
        total = part
            .and_then(|part| total.checked_add(part))
            .ok_or_else(too_long)?;
        rest = next;
    }
    let seconds = u64::try_from(total / 1_000_000_000).map_err(|_| too_long())?;
    // A century is longer than any timer; the bound keeps `Instant + Duration` from overflowing anywhere.
    if seconds > 36_500 * 86_400 {
        return Err(too_long());
    }
    Ok(Duration::new(seconds, (total % 1_000_000_000) as u32))
}

fn too_long() -> Mistake {
    Mistake::new("is longer than a hundred years")
}

/// Prints a duration so that [`parse_duration`] reads the same again: `1m30s`.
#[derive(Debug, Clone, Copy)]
pub struct DisplayDuration(pub Duration);

impl fmt::Display for DisplayDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0.as_nanos();
        if rest == 0 {
            return f.write_str("0s");
        }
        for (unit, factor) in DURATION_UNITS {
            if rest >= factor {
                write!(f, "{}{unit}", rest / factor)?;
                rest %= factor;
            }
        }
        Ok(())
    }
}

fn split_number(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    (digits, unit.trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_printed_duration_reads_back(seconds in 0u64..3_000_000_000, nanos in 0u32..1_000_000_000) {
            let duration = Duration::new(seconds, nanos);
            prop_assert_eq!(parse_duration(&DisplayDuration(duration).to_string()), Ok(duration));
        }

        #[test]
        fn a_printed_size_reads_back(bytes: u64) {
            let size = ByteSize::bytes(bytes);
            prop_assert_eq!(size.to_string().parse::<ByteSize>(), Ok(size));
        }

        #[test]
        fn whole_units_read_back_and_stay_short(number in 1u64..1023, shift in 0u32..5) {
            let size = ByteSize::bytes(number << (10 * shift));
            let text = size.to_string();
            prop_assert!(text.len() <= "1023GiB".len(), "{}", text);
            prop_assert_eq!(text.parse::<ByteSize>(), Ok(size));
        }

        #[test]
        fn no_text_panics(text in ".{0,12}") {
            let _ = parse_duration(&text);
            let _ = text.parse::<ByteSize>();
        }

        #[test]
        fn no_number_with_any_unit_panics(text in "[0-9]{1,25}[a-zA-Zµ. ]{0,4}[0-9]{0,3}[a-z]{0,2}") {
            let _ = parse_duration(&text);
            let _ = text.parse::<ByteSize>();
        }
    }

    #[test]
    fn durations() {
        for (text, expected) in [
            ("60s", Duration::from_secs(60)),
            ("500ms", Duration::from_millis(500)),
            ("1m30s", Duration::from_secs(90)),
            ("1h 5m", Duration::from_secs(3900)),
            ("2d", Duration::from_secs(172_800)),
            ("0s", Duration::ZERO),
            ("5 ms", Duration::from_millis(5)),
        ] {
            assert_eq!(parse_duration(text), Ok(expected), "{text}");
        }
        for (text, what, cure) in [
            (
                "30",
                "must be a duration such as \"30s\" or \"500ms\", found \"30\"",
                Some("say the unit: \"30s\" or \"30ms\""),
            ),
            (
                "1.5s",
                "must be a duration such as \"30s\" or \"500ms\", found \"1.5s\"",
                Some("write whole numbers with smaller units, such as \"1500ms\""),
            ),
            (
                "5 sec",
                "must be a duration such as \"30s\" or \"500ms\", found \"5 sec\"",
                Some("the units are d, h, m, s, ms and us"),
            ),
            (
                "-1s",
                "must be a duration such as \"30s\" or \"500ms\", found \"-1s\"",
                None,
            ),
            (
                "",
                "must be a duration such as \"30s\" or \"500ms\", found \"\"",
                None,
            ),
            ("99999999999999999999d", "is longer than a hundred years", None),
            ("36501d", "is longer than a hundred years", None),
        ] {
            let mistake = parse_duration(text).expect_err(text);
            assert_eq!(
                (mistake.what.as_str(), mistake.cure.as_deref()),
                (what, cure),
                "{text}"
            );
        }
    }

    #[test]
    fn rates() {
        for (text, expected, printed) in [
            ("500B/s", 500, "500B/s"),
            ("1 KiB/s", 1024, "1KiB/s"),
            ("0B/s", 0, "0B/s"),
        ] {
            let rate: ByteRate = text.parse().expect(text);
            assert_eq!((rate.as_u64(), rate.to_string().as_str()), (expected, printed));
        }
        for (text, cure) in [
            ("500B", "write \"500B/s\""),
            ("500", "write bytes a second, such as \"500B/s\" or \"1KiB/s\""),
            ("500/s", "say the unit: \"500B\", \"500KiB\" or \"500MiB\""),
        ] {
            let mistake = text.parse::<ByteRate>().expect_err(text);
            assert_eq!(
                (mistake.what, mistake.cure.as_deref()),
                (
                    format!("must be a rate such as \"500B/s\", found {text:?}"),
                    Some(cure)
                )
            );
        }
    }

    #[test]
    fn sizes() {
        for (text, expected) in [
            ("512MiB", 512 << 20),
            ("1GiB", 1 << 30),
            ("10MB", 10_000_000),
            ("64kb", 64_000),
            ("64 KiB", 65536),
            ("0B", 0),
        ] {
            assert_eq!(text.parse(), Ok(ByteSize::bytes(expected)), "{text}");
        }
        for (text, what, cure) in [
            (
                "64",
                "must be a size such as \"512MiB\", found \"64\"",
                Some("say the unit: \"64B\", \"64KiB\" or \"64MiB\""),
            ),
            (
                "64K",
                "must be a size such as \"512MiB\", found \"64K\"",
                Some("write \"64KiB\""),
            ),
            (
                "64 blocks",
                "must be a size such as \"512MiB\", found \"64 blocks\"",
                Some("the units are B, KiB, MiB, GiB, TiB and kB, MB, GB, TB"),
            ),
            (
                "0¡",
                "must be a size such as \"512MiB\", found \"0¡\"",
                Some("the units are B, KiB, MiB, GiB, TiB and kB, MB, GB, TB"),
            ),
            ("much", "must be a size such as \"512MiB\", found \"much\"", None),
            ("99999999TiB", "is larger than any machine: \"99999999TiB\"", None),
        ] {
            let mistake = text.parse::<ByteSize>().expect_err(text);
            assert_eq!(
                (mistake.what.as_str(), mistake.cure.as_deref()),
                (what, cure),
                "{text}"
            );
        }
    }
}
