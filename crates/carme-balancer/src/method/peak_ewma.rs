//! Peak EWMA, as Finagle and linkerd have it: the load of a member is its recent latency times its requests in flight.
//!
//! The average rises at once with a slow answer and falls slowly. A known hole of the method is that a member which
//! fails fast looks fast and draws all requests; here a failure counts as [`FAILURE`] at least.

use std::time::{Duration, Instant};

use super::{Choice, hash::mix};
use crate::member::Live;

/// How fast old latencies are forgotten: to a third in this time. Finagle's.
const DECAY: Duration = Duration::from_secs(10);
/// The latency that stands for a failure, if the failure did not take longer.
const FAILURE: Duration = Duration::from_secs(5);
/// For a member of which nothing is known and which has not answered its first request: it gets one, not all.
const UNKNOWN: Duration = Duration::from_secs(1);

/// A member's latency, in seconds.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct PeakEwma {
    cost: f64,
    at: Option<Instant>,
}

impl PeakEwma {
    /// Takes one more latency.
    pub(crate) fn observe(&mut self, latency: Duration, failed: bool, now: Instant) {
        let latency = if failed { latency.max(FAILURE) } else { latency }.as_secs_f64();
        let kept = self.kept(now);
        self.cost = if latency > self.cost {
            latency
        } else {
            self.cost * kept + latency * (1.0 - kept)
        };
        self.at = Some(now);
    }

    /// The latency now: it decays towards nothing while there is no answer, so that a member once slow is tried again.
    pub(crate) fn latency(&self, now: Instant) -> f64 {
        self.cost * self.kept(now)
    }

    /// What to multiply with requests in flight.
    fn load(&self, busy: u32, now: Instant) -> f64 {
        let latency = match self.at {
            None if busy > 0 => UNKNOWN.as_secs_f64(),
            _ => self.latency(now),
        };
        latency * (f64::from(busy) + 1.0)
    }

    fn kept(&self, now: Instant) -> f64 {
        let since = self
            .at
            .map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        (-since.as_secs_f64() / DECAY.as_secs_f64()).exp()
    }
}

/// The better of two candidates, chosen at random; of equals the less busy.
pub(super) fn best(members: &[Live], candidates: &[usize], choice: &Choice<'_>) -> usize {
    let random = mix(choice.random);
    let count = candidates.len() as u64;
    let first = (random >> 32) % count;
    if count == 1 {
        return candidates[0];
    }
    let second = (first + 1 + (random & 0xffff_ffff) % (count - 1)) % count;
    let (first, second) = (candidates[first as usize], candidates[second as usize]);
    let rank = |i: usize| {
        let member = &members[i];
        let factor = member.factor(choice.now) as f64;
        (
            member.ewma.load(member.busy, choice.now) / factor,
            f64::from(member.busy) / factor,
        )
    };
    if rank(second) < rank(first) { second } else { first }
}
