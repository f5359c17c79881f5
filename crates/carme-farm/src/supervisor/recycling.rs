//! When a worker is replaced although nothing is wrong with it.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use tokio::time::Instant;

use crate::endings::Cause;
use crate::plan::Recycle;

/// One worker's own limits: those of its app, less its share of the jitter.
#[derive(Clone, Debug)]
pub(super) struct Limits {
    requests: Option<u64>,
    age: Option<Duration>,
    memory: Option<u64>,
    idle: Option<Duration>,
}

/// What a worker has done so far.
#[derive(Clone, Debug)]
pub(super) struct Usage {
    /// Since when it serves.
    pub(super) since: Instant,
    /// Requests that it has answered.
    pub(super) answered: u64,
    /// When it was last seen with something to do.
    pub(super) busy_at: Instant,
    /// Bytes that it has in memory, as far as that is known.
    pub(super) memory: u64,
}

impl Limits {
    /// Limits for one worker; `luck` from 0 to 1 is its part of the jitter.
    pub(super) fn of(recycle: &Recycle, luck: f64) -> Self {
        let kept = 1.0 - recycle.jitter.clamp(0.0, 1.0) * luck.clamp(0.0, 1.0);
        Limits {
            requests: recycle
                .requests
                .map(|requests| ((requests.get() as f64 * kept) as u64).max(1)),
            age: recycle.age.map(|age| age.mul_f64(kept)),
            memory: recycle.memory,
            idle: recycle.idle,
        }
    }

    /// Why the worker is to be replaced, if it is.
    pub(super) fn reached(&self, usage: &Usage, now: Instant) -> Option<Cause> {
        let over = |limit: Option<u64>, value: u64| limit.is_some_and(|limit| value >= limit);
        let past = |limit: Option<Duration>, since: Instant| {
            limit.is_some_and(|limit| now.saturating_duration_since(since) >= limit)
        };
        // One that has done nothing yet would be followed by another like it.
        let worked = usage.answered > 0;
        if over(self.requests, usage.answered) {
            Some(Cause::Requests)
        } else if worked && over(self.memory.map(|most| most.saturating_add(1)), usage.memory) {
            Some(Cause::Memory)
        } else if past(self.age, usage.since) {
            Some(Cause::Age)
        } else if worked && past(self.idle, usage.busy_at) {
            Some(Cause::Idle)
        } else {
            None
        }
    }
}

/// A number from 0 to 1 that nobody can foresee and nobody needs to keep secret.
pub(super) fn luck() -> f64 {
    (RandomState::new().hash_one(0) >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn recycle() -> Recycle {
        Recycle {
            requests: NonZeroU64::new(1000),
            age: Some(10 * MINUTE),
            jitter: 0.2,
            memory: Some(1 << 20),
            idle: Some(MINUTE),
        }
    }

    #[test]
    fn jitter_takes_off_and_never_adds() {
        for (luck, requests, age) in [(0.0, 1000, 600), (0.5, 900, 540), (1.0, 800, 480)] {
            let limits = Limits::of(&recycle(), luck);
            assert_eq!(
                (limits.requests, limits.age),
                (Some(requests), Some(Duration::from_secs(age)))
            );
        }
        let all = Recycle {
            jitter: 1.0,
            ..recycle()
        };
        assert_eq!(Limits::of(&all, 1.0).requests, Some(1), "never none at all");
        assert!((0..1000).map(|_| luck()).all(|luck| (0.0..1.0).contains(&luck)));
        let low = (0..1000).filter(|_| luck() < 0.5).count();
        assert!((300..700).contains(&low), "{low}");
    }

    #[test]
    fn each_limit_counts_and_none_counts_early() {
        let begun = Instant::now();
        let usage = |answered, memory| Usage {
            since: begun,
            answered,
            busy_at: begun,
            memory,
        };
        let limits = Limits::of(&recycle(), 0.0);
        let soon = begun + Duration::from_secs(59);
        for (usage, at, cause) in [
            (usage(999, 1 << 20), soon, None),
            (usage(1000, 0), soon, Some(Cause::Requests)),
            (usage(1, (1 << 20) + 1), soon, Some(Cause::Memory)),
            (usage(0, 1 << 30), soon, None),
            (usage(1, 0), begun + MINUTE, Some(Cause::Idle)),
            (usage(0, 0), begun + MINUTE, None),
            (usage(0, 0), begun + 10 * MINUTE, Some(Cause::Age)),
        ] {
            assert_eq!(limits.reached(&usage, at), cause, "{usage:?}");
        }
        let never = Limits::of(&Recycle::default(), 1.0);
        let long = begun + 1_000_000 * MINUTE;
        assert_eq!(never.reached(&usage(u64::MAX, u64::MAX), long), None);
    }
}
