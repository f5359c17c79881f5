//! `%t`: Apache's own words and strftime formats, compiled; the calendar is asked once a second and thread.

mod calendar;
mod strftime;

use crate::decimal;
use crate::format::Zone;
pub(crate) use strftime::Strftime;

/// The argument of `%t` without its `begin:` or `end:`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TimeFormat {
    /// `[10/Oct/2000:13:55:36 -0700]`
    Clf,
    /// `sec`: seconds since the epoch.
    Seconds,
    /// `msec`
    Milliseconds,
    /// `usec`
    Microseconds,
    /// `msec_frac`: the three digits after the second.
    MillisecondFraction,
    /// `usec_frac`: the six digits after the second.
    MicrosecondFraction,
    /// Anything else.
    Strftime(Strftime),
}

/// How far local time is ahead of UTC at the second `unix`, in seconds.
pub(crate) fn offset(unix: i64, zone: Zone) -> i64 {
    let mut offset = 0;
    calendar::with(unix, zone, |calendar, _| offset = i64::from(calendar.offset));
    offset
}

/// The first second at which clocks show `local` or later, counted as if they had always been those of Greenwich.
pub(crate) fn unix(local: i64, zone: Zone) -> i64 {
    match zone {
        Zone::System => calendar::unix(local, &jiff::tz::TimeZone::system()),
        Zone::Utc => local,
    }
}

/// Appends a second in a compiled format.
pub(crate) fn push_strftime(out: &mut Vec<u8>, format: &Strftime, unix: i64, zone: Zone) {
    calendar::with(unix, zone, |calendar, _| format.push(out, calendar));
}

/// Appends the time as RFC 3339 has it: `2026-11-23T09:58:21.429937+01:00`.
pub(crate) fn push_rfc3339(out: &mut Vec<u8>, micros: i64, zone: Zone) {
    let (second, fraction) = (
        micros.div_euclid(1_000_000),
        micros.rem_euclid(1_000_000).unsigned_abs(),
    );
    calendar::with(second, zone, |calendar, _| calendar.push_rfc3339(out, fraction));
}

impl TimeFormat {
    /// Compiles a format; the error is the conversion that strftime does not know.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        Ok(match text {
            "" => TimeFormat::Clf,
            "sec" => TimeFormat::Seconds,
            "msec" => TimeFormat::Milliseconds,
            "usec" => TimeFormat::Microseconds,
            "msec_frac" => TimeFormat::MillisecondFraction,
            "usec_frac" => TimeFormat::MicrosecondFraction,
            _ => TimeFormat::Strftime(Strftime::parse(text)?),
        })
    }

    /// Appends the time `micros` microseconds after the epoch.
    pub(crate) fn push(&self, out: &mut Vec<u8>, micros: i64, zone: Zone) {
        let (second, fraction) = (
            micros.div_euclid(1_000_000),
            micros.rem_euclid(1_000_000).unsigned_abs(),
        );
        match self {
            TimeFormat::Clf => calendar::with(second, zone, |_, clf| out.extend_from_slice(clf)),
            TimeFormat::Seconds => decimal::push_signed(out, second),
            TimeFormat::Milliseconds => decimal::push_signed(out, micros.div_euclid(1000)),
            TimeFormat::Microseconds => decimal::push_signed(out, micros),
            TimeFormat::MillisecondFraction => decimal::push_padded(out, fraction / 1000, 3, b'0'),
            TimeFormat::MicrosecondFraction => decimal::push_padded(out, fraction, 6, b'0'),
            TimeFormat::Strftime(format) => {
                calendar::with(second, zone, |calendar, _| format.push(out, calendar))
            }
        }
    }
}
