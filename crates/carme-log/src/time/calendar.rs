//! A second as people write it, in the machine's time zone or in UTC.

use std::cell::RefCell;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::decimal;
use crate::format::Zone;

pub(super) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// One second, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Calendar {
    /// Since the epoch.
    pub(super) unix: i64,
    pub(super) year: i16,
    /// 1 to 12.
    pub(super) month: u8,
    /// 1 to 31.
    pub(super) day: u8,
    pub(super) hour: u8,
    pub(super) minute: u8,
    pub(super) second: u8,
    /// 0 is Sunday.
    pub(super) weekday: u8,
    /// 1 to 366.
    pub(super) day_of_year: u16,
    /// ISO 8601, to which the ISO week belongs.
    pub(super) iso_year: i16,
    pub(super) iso_week: u8,
    /// Seconds east of Greenwich.
    pub(super) offset: i32,
    /// `CEST`
    pub(super) abbreviation: String,
}

impl Calendar {
    /// The second `unix` in `zone`; the nearest representable one beyond the years -9999 and 9999.
    pub(super) fn at(unix: i64, zone: &TimeZone) -> Calendar {
        let bounds = Timestamp::MIN.as_second()..=Timestamp::MAX.as_second();
        let nearest = unix.clamp(*bounds.start(), *bounds.end());
        let timestamp = Timestamp::from_second(nearest).unwrap_or(Timestamp::UNIX_EPOCH);
        let local = zone.to_offset_info(timestamp);
        let time = local.offset().to_datetime(timestamp);
        let iso = time.date().iso_week_date();
        Calendar {
            unix: nearest,
            year: time.year(),
            month: time.month().unsigned_abs(),
            day: time.day().unsigned_abs(),
            hour: time.hour().unsigned_abs(),
            minute: time.minute().unsigned_abs(),
            second: time.second().unsigned_abs(),
            weekday: time.weekday().to_sunday_zero_offset().unsigned_abs(),
            day_of_year: time.day_of_year().unsigned_abs(),
            iso_year: iso.year(),
            iso_week: iso.week().unsigned_abs(),
            offset: local.offset().seconds(),
            abbreviation: local.abbreviation().to_owned(),
        }
    }

    /// `[10/Oct/2000:13:55:36 -0700]`
    pub(super) fn push_clf(&self, out: &mut Vec<u8>) {
        let two = |out: &mut Vec<u8>, n: u8| decimal::push_padded(out, u64::from(n), 2, b'0');
        out.push(b'[');
        two(out, self.day);
        out.push(b'/');
        out.extend_from_slice(&MONTHS[usize::from(self.month - 1)].as_bytes()[..3]);
        out.push(b'/');
        decimal::push_signed(out, i64::from(self.year));
        for n in [self.hour, self.minute, self.second] {
            out.push(b':');
            two(out, n);
        }
        out.push(b' ');
        self.push_offset(out);
        out.push(b']');
    }

    /// `2000-10-10T13:55:36.000000-07:00`
    pub(super) fn push_rfc3339(&self, out: &mut Vec<u8>, micros: u64) {
        decimal::push_padded(out, u64::from(self.year.unsigned_abs()), 4, b'0');
        for (before, n) in [
            (b'-', self.month),
            (b'-', self.day),
            (b'T', self.hour),
            (b':', self.minute),
            (b':', self.second),
        ] {
            out.push(before);
            decimal::push_padded(out, u64::from(n), 2, b'0');
        }
        out.push(b'.');
        decimal::push_padded(out, micros, 6, b'0');
        self.push_offset(out);
        out.insert(out.len() - 2, b':');
    }

    /// `-0700`
    pub(super) fn push_offset(&self, out: &mut Vec<u8>) {
        out.push(if self.offset < 0 { b'-' } else { b'+' });
        let minutes = u64::from(self.offset.unsigned_abs()) / 60;
        decimal::push_padded(out, minutes / 60 * 100 + minutes % 60, 4, b'0');
    }
}

/// The first second at which clocks in `zone` show `local` or, where they leave that out, later.
pub(super) fn unix(local: i64, zone: &TimeZone) -> i64 {
    let civil = Timestamp::from_second(local).map(|shown| jiff::tz::Offset::UTC.to_datetime(shown));
    civil
        .and_then(|civil| zone.to_timestamp(civil))
        .map_or(local, |timestamp| timestamp.as_second())
}

struct Cached {
    zone: Zone,
    calendar: Calendar,
    clf: Vec<u8>,
}

thread_local! {
    /// The last even and the last odd second asked for: a line may print its begin and its end.
    static CACHE: RefCell<[Option<Cached>; 2]> = const { RefCell::new([None, None]) };
}

/// Calls `then` with the second and its CLF text.
pub(super) fn with(second: i64, zone: Zone, then: impl FnOnce(&Calendar, &[u8])) {
    CACHE.with_borrow_mut(|cache| {
        let cached = &mut cache[usize::from(second % 2 != 0)];
        match cached {
            Some(known) if known.calendar.unix == second && known.zone == zone => {}
            _ => {
                let calendar = match zone {
                    Zone::System => Calendar::at(second, &TimeZone::system()),
                    Zone::Utc => Calendar::at(second, &TimeZone::UTC),
                };
                let mut clf = Vec::with_capacity(32);
                calendar.push_clf(&mut clf);
                *cached = Some(Cached { zone, calendar, clf });
            }
        }
        if let Some(known) = cached {
            then(&known.calendar, &known.clf);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clf(unix: i64, zone: &TimeZone) -> String {
        let mut out = Vec::new();
        Calendar::at(unix, zone).push_clf(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn clf_time_has_the_zones_offset() {
        let hours = |h| TimeZone::fixed(jiff::tz::Offset::from_seconds(h).unwrap());
        assert_eq!(
            clf(971_211_336, &hours(-7 * 3600)),
            "[10/Oct/2000:13:55:36 -0700]"
        );
        assert_eq!(clf(971_211_336, &TimeZone::UTC), "[10/Oct/2000:20:55:36 +0000]");
        assert_eq!(clf(0, &hours(5 * 3600 + 1800)), "[01/Jan/1970:05:30:00 +0530]");
        assert_eq!(clf(0, &hours(-(3 * 3600 + 1800))), "[31/Dec/1969:20:30:00 -0330]");
        assert_eq!(clf(-1, &TimeZone::UTC), "[31/Dec/1969:23:59:59 +0000]");
    }

    #[test]
    fn local_times_that_clocks_leave_out_or_show_twice() {
        // Clocks go from 24:00 to 01:00 on 2026-09-05 and from 24:00 to 23:00 on 2026-04-04.
        let santiago = TimeZone::posix("<-04>4<-03>,M9.1.6/24,M4.1.6/24").unwrap();
        let seconds = |text: &str| text.parse::<Timestamp>().unwrap().as_second();
        for (local, first) in [
            ("2026-07-01T00:00:00Z", "2026-07-01T04:00:00Z"),
            ("2026-09-06T00:00:00Z", "2026-09-06T04:00:00Z"),
            ("2026-09-06T01:00:00Z", "2026-09-06T04:00:00Z"),
            ("2026-04-04T23:30:00Z", "2026-04-05T02:30:00Z"),
            ("2026-04-05T00:00:00Z", "2026-04-05T04:00:00Z"),
        ] {
            assert_eq!(unix(seconds(local), &santiago), seconds(first), "{local}");
        }
    }

    #[test]
    fn the_cache_never_answers_for_another_second_or_zone() {
        let text = |second, zone| {
            let mut out = Vec::new();
            with(second, zone, |_, clf| out.extend_from_slice(clf));
            String::from_utf8(out).unwrap()
        };
        for second in [10, 11, 10, 12, 11, 13, 10] {
            assert_eq!(text(second, Zone::Utc), clf(second, &TimeZone::UTC));
            assert_eq!(text(second, Zone::System), clf(second, &TimeZone::system()));
        }
    }
}
