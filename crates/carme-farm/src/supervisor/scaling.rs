//! How many workers there are to be, from what there is to do.

use std::ops::RangeInclusive;
use std::time::Duration;

use tokio::time::Instant;

/// Looks in a row at which requests waited before another worker is started: a moment's wait is none.
const PATIENCE: u8 = 2;

/// What was seen at one look.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    /// Requests that nobody has taken.
    pub(super) queued: usize,
    /// Workers that have requests.
    pub(super) busy: u16,
    /// Workers that there are to be now.
    pub(super) open: u16,
    /// Some of them are not ready yet.
    pub(super) starting: bool,
}

/// Decides, look by look.
#[derive(Debug)]
pub(super) struct Scaling {
    /// Looks in a row at which requests waited.
    waited: u8,
    /// When the last of the workers was needed.
    needed_at: Instant,
}

impl Scaling {
    pub(super) fn new(now: Instant) -> Self {
        Scaling {
            waited: 0,
            needed_at: now,
        }
    }

    /// How many workers there are to be from now on: one more when requests wait, one less when the last was not needed
    /// for `ttl`.
    pub(super) fn look(
        &mut self,
        seen: Seen,
        range: &RangeInclusive<u16>,
        ttl: Duration,
        now: Instant,
    ) -> u16 {
        if seen.queued > 0 || seen.busy >= seen.open || seen.starting {
            self.needed_at = now;
        }
        self.waited = if seen.queued > 0 && !seen.starting {
            self.waited.saturating_add(1)
        } else {
            0
        };
        if self.waited >= PATIENCE && seen.open < *range.end() {
            self.waited = 0;
            seen.open + 1
        } else if seen.open > *range.start() && now.saturating_duration_since(self.needed_at) >= ttl {
            self.needed_at = now;
            seen.open - 1
        } else {
            seen.open
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOK: Duration = Duration::from_millis(100);
    const TTL: Duration = Duration::from_secs(2);

    /// Looks again and again; the numbers of workers that follow.
    fn follow(looks: &[(usize, u16, bool)], range: RangeInclusive<u16>) -> Vec<u16> {
        let mut now = Instant::now();
        let mut scaling = Scaling::new(now);
        let mut open = *range.start();
        let look = |(queued, busy, starting): &(usize, u16, bool)| {
            now += LOOK;
            let seen = Seen {
                queued: *queued,
                busy: *busy,
                open,
                starting: *starting,
            };
            open = scaling.look(seen, &range, TTL, now);
            open
        };
        looks.iter().map(look).collect()
    }

    #[test]
    fn a_moments_wait_starts_nobody() {
        let looks = [(5, 1, false), (0, 1, false), (5, 1, false), (0, 0, false)];
        assert_eq!(follow(&looks, 1..=4), [1, 1, 1, 1]);
    }

    #[test]
    fn one_after_another_while_requests_wait() {
        let looks = [
            (5, 1, false),
            (5, 1, false),
            (5, 1, true),
            (5, 1, true),
            (5, 2, false),
            (5, 2, false),
            (5, 3, false),
            (5, 3, false),
        ];
        assert_eq!(follow(&looks, 1..=3), [1, 2, 2, 2, 2, 3, 3, 3]);
    }

    #[test]
    fn those_that_are_not_needed_go_one_by_one_down_to_the_least() {
        let mut looks = vec![(5, 2, false); 4];
        looks.extend([(0, 1, false); 60]);
        let counts = follow(&looks, 2..=4);
        assert_eq!(counts[3], 4);
        // Needed last at the fourth look.
        assert_eq!((counts[22], counts[23]), (4, 3));
        assert_eq!((counts[42], counts[43]), (3, 2));
        assert_eq!(counts.last(), Some(&2));
    }

    #[test]
    fn while_all_are_busy_none_goes() {
        let mut looks = vec![(5, 1, false); 2];
        looks.extend([(0, 2, false); 100]);
        assert_eq!(follow(&looks, 1..=4).last(), Some(&2));
    }
}
