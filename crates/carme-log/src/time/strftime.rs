//! strftime (POSIX with glibc's additions) in the C locale, compiled, so that a mistake is found at start-up and every
//! platform prints the same.

mod matching;

use super::calendar::{Calendar, MONTHS};
use crate::decimal;

const DAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];

/// A compiled strftime format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Strftime(Box<[Part]>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(Box<[u8]>),
    Number {
        conversion: u8,
        width: usize,
        fill: Fill,
    },
    Words {
        conversion: u8,
        upper: bool,
    },
}

/// What stands before a number that is shorter than its width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fill {
    Nothing,
    With(u8),
}

impl Strftime {
    /// Compiles `format`; the error is the conversion that is not known.
    pub(crate) fn parse(format: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        parse_into(&mut parts, format)?;
        Ok(Strftime(parts.into()))
    }

    /// True if it prints the same at any time.
    pub(crate) fn is_constant(&self) -> bool {
        self.0.iter().all(|part| matches!(part, Part::Text(_)))
    }

    /// Appends `time`.
    pub(super) fn push(&self, out: &mut Vec<u8>, time: &Calendar) {
        for part in &self.0 {
            match part {
                Part::Text(text) => out.extend_from_slice(text),
                Part::Words { conversion, upper } => {
                    let start = out.len();
                    push_words(out, time, *conversion);
                    if *upper {
                        out[start..].make_ascii_uppercase();
                    }
                }
                Part::Number {
                    conversion,
                    width,
                    fill,
                } => {
                    let number = number(time, *conversion);
                    if number < 0 {
                        out.push(b'-');
                    }
                    match fill {
                        Fill::Nothing => decimal::push(out, number.unsigned_abs()),
                        Fill::With(fill) => decimal::push_padded(out, number.unsigned_abs(), *width, *fill),
                    }
                }
            }
        }
    }
}

fn parse_into(parts: &mut Vec<Part>, format: &str) -> Result<(), String> {
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        push_text(parts, &rest[..at]);
        rest = &rest[at..];
        let flags = rest[1..]
            .bytes()
            .take_while(|byte| b"-_0^".contains(byte))
            .count();
        let (flags, spec) = rest[1..].split_at(flags);
        // The alternative digits and eras that E and O ask for do not exist in the C locale.
        let letter = spec.strip_prefix(['E', 'O']).unwrap_or(spec);
        let unknown =
            || rest[..rest.len() - letter.len() + letter.chars().next().map_or(0, char::len_utf8)].to_owned();
        let conversion = letter.bytes().next().ok_or_else(unknown)?;
        match conversion {
            b'%' => push_text(parts, "%"),
            b'n' => push_text(parts, "\n"),
            b't' => push_text(parts, "\t"),
            b'c' => parse_into(parts, "%a %b %e %H:%M:%S %Y")?,
            b'D' | b'x' => parse_into(parts, "%m/%d/%y")?,
            b'F' => parse_into(parts, "%Y-%m-%d")?,
            b'r' => parse_into(parts, "%I:%M:%S %p")?,
            b'R' => parse_into(parts, "%H:%M")?,
            b'T' | b'X' => parse_into(parts, "%H:%M:%S")?,
            b'+' => parse_into(parts, "%a %b %e %H:%M:%S %Z %Y")?,
            b'a' | b'A' | b'b' | b'B' | b'h' | b'p' | b'P' | b'z' | b'Z' => {
                parts.push(Part::Words {
                    conversion,
                    upper: flags.contains('^'),
                });
            }
            _ => {
                let (width, usual) = match conversion {
                    b'C' | b'd' | b'g' | b'H' | b'I' | b'm' | b'M' | b'S' | b'U' | b'V' | b'W' | b'y' => {
                        (2, b'0')
                    }
                    b'e' | b'k' | b'l' => (2, b' '),
                    b'j' => (3, b'0'),
                    b'G' | b'Y' | b's' | b'u' | b'w' => (1, b'0'),
                    _ => return Err(unknown()),
                };
                let fill = match flags.bytes().rfind(|flag| *flag != b'^') {
                    Some(b'-') => Fill::Nothing,
                    Some(b'_') => Fill::With(b' '),
                    Some(_) => Fill::With(b'0'),
                    None => Fill::With(usual),
                };
                parts.push(Part::Number {
                    conversion,
                    width,
                    fill,
                });
            }
        }
        rest = &letter[1..];
    }
    push_text(parts, rest);
    Ok(())
}

fn push_text(parts: &mut Vec<Part>, text: &str) {
    if !text.is_empty() {
        parts.push(Part::Text(text.as_bytes().into()));
    }
}

fn push_words(out: &mut Vec<u8>, time: &Calendar, conversion: u8) {
    let (day, month) = (
        DAYS[usize::from(time.weekday)],
        MONTHS[usize::from(time.month - 1)],
    );
    let afternoon = time.hour >= 12;
    let word = match conversion {
        b'a' => &day[..3],
        b'A' => day,
        b'b' | b'h' => &month[..3],
        b'B' => month,
        b'p' => ["AM", "PM"][usize::from(afternoon)],
        b'P' => ["am", "pm"][usize::from(afternoon)],
        b'Z' => &time.abbreviation,
        _ => return time.push_offset(out),
    };
    out.extend_from_slice(word.as_bytes());
}

fn number(time: &Calendar, conversion: u8) -> i64 {
    let twelve = |hour: u8| i64::from((hour + 11) % 12 + 1);
    let (days, weekday) = (i64::from(time.day_of_year) - 1, i64::from(time.weekday));
    match conversion {
        b'C' => i64::from(time.year).div_euclid(100),
        b'd' | b'e' => time.day.into(),
        b'g' => i64::from(time.iso_year).rem_euclid(100),
        b'G' => time.iso_year.into(),
        b'H' | b'k' => time.hour.into(),
        b'I' | b'l' => twelve(time.hour),
        b'j' => time.day_of_year.into(),
        b'm' => time.month.into(),
        b'M' => time.minute.into(),
        b's' => time.unix,
        b'S' => time.second.into(),
        b'u' => (weekday + 6) % 7 + 1,
        b'U' => (days + 7 - weekday) / 7,
        b'V' => time.iso_week.into(),
        b'w' => weekday,
        b'W' => (days + 7 - (weekday + 6) % 7) / 7,
        b'y' => i64::from(time.year).rem_euclid(100),
        _ => time.year.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::tz::TimeZone;

    fn text(unix: i64, format: &str) -> String {
        let mut out = Vec::new();
        Strftime::parse(format)
            .unwrap()
            .push(&mut out, &Calendar::at(unix, &TimeZone::UTC));
        String::from_utf8(out).unwrap()
    }

    /// Printed by Apache 2.4 on glibc in the C locale.
    #[test]
    fn every_conversion_prints_what_glibc_prints() {
        let format = "%a %A %b %B %C %d %D %e %F %g %G %h %H %I %j %k %l %m %M %p %P %R %s %S %T %u %U %V %w %W %y %Y \
                      %z %Z %c|%x|%X|%r|%-d %_d %Ey %-I %^a";
        let apache = "Mon Monday Nov November 20 23 11/23/26 23 2026-11-23 26 2026 Nov 09 09 327  9  9 11 58 AM am \
                      09:58 1795427901 21 09:58:21 1 47 48 1 47 26 2026 +0000 UTC Mon Nov 23 09:58:21 \
                      2026|11/23/26|09:58:21|09:58:21 AM|23 23 26 9 MON";
        assert_eq!(text(1_795_427_901, format), apache);
    }

    /// `TZ=UTC LC_ALL=C date -d @SECONDS +…` of GNU coreutils.
    #[test]
    fn weeks_hours_and_padding_at_the_edges() {
        let weeks = "%F %j %U %W %V %G %g %u %w";
        assert_eq!(text(1_609_459_200, weeks), "2021-01-01 001 00 00 53 2020 20 5 5");
        assert_eq!(text(1_609_632_000, weeks), "2021-01-03 003 01 00 53 2020 20 7 0");
        assert_eq!(text(1_609_718_400, weeks), "2021-01-04 004 01 01 01 2021 21 1 1");
        assert_eq!(text(1_735_603_200, weeks), "2024-12-31 366 52 53 01 2025 25 2 2");
        assert_eq!(text(0, "%I %l %p|%-H|%_H|%_j|%0e|%e"), "12 12 AM|0| 0|  1|01| 1");
        assert_eq!(text(43_200, "%I%p %r%%%n%t."), "12PM 12:00:00 PM%\n\t.");
    }

    #[test]
    fn an_unknown_conversion_is_named() {
        for (format, unknown) in [
            ("%Y-%Q", "%Q"),
            ("%", "%"),
            ("%-", "%-"),
            ("x%Ö", "%Ö"),
            ("%EQ", "%EQ"),
        ] {
            assert_eq!(Strftime::parse(format), Err(unknown.to_owned()));
        }
    }
}
