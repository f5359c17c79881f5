//! How long to wait before looking again.

use std::time::Duration;

/// After the first failure.
const FIRST: Duration = Duration::from_secs(1);
/// At most, however long the engine is away.
const LONGEST: Duration = Duration::from_secs(30);

/// After so many failures in a row: 1, 2, 4, … 30 seconds, of which `part` takes off up to a half, so that a thousand
/// fronts do not come back all at once.
pub(crate) fn after_failures(failures: u32, part: f64) -> Duration {
    let doubled = FIRST.saturating_mul(1 << failures.saturating_sub(1).min(10));
    doubled.min(LONGEST).mul_f64(1.0 - part.clamp(0.0, 1.0) / 2.0)
}

/// Between looks, less up to a tenth.
pub(crate) fn between_looks(pause: Duration, part: f64) -> Duration {
    pause.mul_f64(1.0 - part.clamp(0.0, 1.0) / 10.0)
}

/// A number from 0 to 1, another each time.
pub(crate) fn part() -> f64 {
    // Without randomness all fronts wait alike, which is no reason to stop.
    getrandom::u32().map_or(0.0, |number| f64::from(number) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_their_bound_and_lose_up_to_a_half() {
        let seconds = [1, 2, 4, 8, 16, 30, 30];
        for (failures, seconds) in (1..).zip(seconds) {
            assert_eq!(after_failures(failures, 0.0), Duration::from_secs(seconds));
            assert_eq!(after_failures(failures, 1.0), Duration::from_secs(seconds) / 2);
        }
        assert_eq!(after_failures(u32::MAX, 0.0), LONGEST);
    }

    #[test]
    fn looks_lose_up_to_a_tenth() {
        let pause = Duration::from_secs(10);
        assert_eq!(between_looks(pause, 0.0), pause);
        assert_eq!(between_looks(pause, 1.0), Duration::from_secs(9));
    }

    #[test]
    fn parts_are_parts() {
        assert!((0..100).all(|_| (0.0..=1.0).contains(&part())));
    }
}
