//! Periods of local time.

use std::time::Duration;

use crate::format::Zone;
use crate::time;

const DAY: i64 = 24 * 60 * 60;
const WEEK: i64 = 7 * DAY;
/// The epoch was a Thursday.
const FIRST_MONDAY: i64 = 4 * DAY;

/// Cuts local time into periods.
#[derive(Debug, Clone, Copy)]
pub(super) struct Schedule {
    /// In seconds.
    every: Option<i64>,
    pub(super) zone: Zone,
}

impl Schedule {
    pub(super) fn new(every: Option<Duration>, zone: Zone) -> Self {
        let seconds = |every: Duration| i64::try_from(every.as_secs()).unwrap_or(i64::MAX).max(1);
        Schedule {
            every: every.map(seconds),
            zone,
        }
    }

    /// The number of the period in which the second `unix` lies.
    pub(super) fn period(&self, unix: i64) -> Option<i64> {
        let every = self.every?;
        Some((unix + time::offset(unix, self.zone) - origin(every)).div_euclid(every))
    }

    /// The second at which the period of `unix` begins; `unix` itself if there are no periods.
    pub(super) fn begin(&self, unix: i64) -> i64 {
        match (self.every, self.period(unix)) {
            (Some(every), Some(period)) => {
                let local = period.saturating_mul(every).saturating_add(origin(every));
                time::unix(local, self.zone)
            }
            _ => unix,
        }
    }
}

/// The local second at which the first period begins.
fn origin(every: i64) -> i64 {
    if every % WEEK == 0 { FIRST_MONDAY } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: i64 = 1_795_435_200; // 2026-11-23 12:00:00, a Monday

    #[test]
    fn days_begin_at_midnight_and_weeks_on_monday() {
        let begin =
            |every: i64, unix| Schedule::new(Some(Duration::from_secs(every as u64)), Zone::Utc).begin(unix);
        let midnight = NOON - 12 * 3600;
        for (every, unix, expected) in [
            (DAY, NOON, midnight),
            (DAY, midnight, midnight),
            (DAY, midnight - 1, midnight - DAY),
            (3600, NOON + 3599, NOON),
            (6 * 3600, NOON - 1, NOON - 6 * 3600),
            (WEEK, NOON, midnight),
            (WEEK, midnight - 1, midnight - WEEK),
            (WEEK, midnight + 6 * DAY, midnight),
            (1, NOON, NOON),
            (0, NOON, NOON),
        ] {
            assert_eq!(begin(every, unix), expected, "{every} {unix}");
        }
        assert_eq!(Schedule::new(None, Zone::Utc).begin(NOON), NOON);
        assert_eq!(Schedule::new(None, Zone::Utc).period(NOON), None);
    }

    #[test]
    fn a_period_is_left_exactly_when_the_next_begins() {
        // In whatever zone this machine is, over a year with its changes of the clock.
        for zone in [Zone::Utc, Zone::System] {
            let schedule = Schedule::new(Some(Duration::from_secs(DAY as u64)), zone);
            for quarter in 0..366 * 96 {
                let unix = NOON + quarter * 900;
                let begin = schedule.begin(unix);
                assert!((begin..begin + DAY + 2 * 3600).contains(&unix), "{unix} {begin}");
                assert_eq!(schedule.period(begin), schedule.period(unix), "{unix}");
                assert_ne!(schedule.period(begin - 1), schedule.period(unix), "{unix}");
            }
        }
    }
}
