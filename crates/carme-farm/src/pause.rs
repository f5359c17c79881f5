//! How long a worker that failed waits before it is started again.

use std::time::Duration;

/// After the first failure.
const FIRST: Duration = Duration::from_millis(100);
/// At most.
const LONGEST: Duration = Duration::from_secs(30);
/// A worker that was ready for that long has proved itself: its next failure is a first one.
const PROVED: Duration = Duration::from_secs(60);

/// Pauses that grow from failure to failure.
#[derive(Debug, Default)]
pub(crate) struct Pauses {
    failures: u32,
}

impl Pauses {
    /// The pause after a failure of a worker that had been ready for so long.
    pub(crate) fn after(&mut self, ready_for: Duration) -> Duration {
        if ready_for >= PROVED {
            self.failures = 0;
        }
        let pause = FIRST
            .saturating_mul(1u32.checked_shl(self.failures.min(31)).unwrap_or(u32::MAX))
            .min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn double_up_to_half_a_minute() {
        let mut pauses = Pauses::default();
        let millis: Vec<u128> = (0..11)
            .map(|_| pauses.after(Duration::ZERO).as_millis())
            .collect();
        assert_eq!(
            millis,
            [
                100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000
            ]
        );
        assert!((0..100).all(|_| pauses.after(Duration::from_secs(59)) == LONGEST));
    }

    #[test]
    fn begin_again_after_a_minute_of_service() {
        let mut pauses = Pauses::default();
        for _ in 0..9 {
            pauses.after(Duration::ZERO);
        }
        assert_eq!(pauses.after(PROVED), FIRST);
        assert_eq!(pauses.after(Duration::ZERO), 2 * FIRST);
    }
}
