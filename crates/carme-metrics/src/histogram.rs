//! What is counted: plain atomics, updated without order among each other.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub fn increment(&self) {
        self.add(1);
    }

    /// So many more.
    pub fn add(&self, number: u64) {
        self.0.fetch_add(number, Relaxed);
    }

    /// The number so far.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Upper bounds of the buckets in seconds, as they are printed, and in nanoseconds, as they are compared. From a hello
/// world's time in the queue to a minute; Prometheus' own defaults in the middle.
pub const SECONDS: [(&str, u64); 18] = [
    ("0.0001", 100_000),
    ("0.00025", 250_000),
    ("0.0005", 500_000),
    ("0.001", 1_000_000),
    ("0.0025", 2_500_000),
    ("0.005", 5_000_000),
    ("0.01", 10_000_000),
    ("0.025", 25_000_000),
    ("0.05", 50_000_000),
    ("0.1", 100_000_000),
    ("0.25", 250_000_000),
    ("0.5", 500_000_000),
    ("1", 1_000_000_000),
    ("2.5", 2_500_000_000),
    ("5", 5_000_000_000),
    ("10", 10_000_000_000),
    ("30", 30_000_000_000),
    ("60", 60_000_000_000),
];

/// Durations, counted by the bucket of [`SECONDS`] that they fall into.
#[derive(Debug, Default)]
pub struct Histogram {
    /// Not cumulative; the last is for what is beyond all bounds.
    buckets: [AtomicU64; SECONDS.len() + 1],
    nanoseconds: AtomicU64,
}

impl Histogram {
    /// Counts one duration.
    pub fn observe(&self, duration: Duration) {
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        // `le` is "less than or equal".
        let bucket = SECONDS.partition_point(|(_, bound)| *bound < nanoseconds);
        self.buckets[bucket].fetch_add(1, Relaxed);
        self.nanoseconds.fetch_add(nanoseconds, Relaxed);
    }

    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|bucket| bucket.load(Relaxed)).sum()
    }

    /// All of it at one time.
    pub fn snapshot(&self) -> Snapshot {
        let mut sum = 0;
        let cumulative = self.buckets.each_ref().map(|bucket| {
            sum += bucket.load(Relaxed);
            sum
        });
        Snapshot {
            cumulative,
            nanoseconds: self.nanoseconds.load(Relaxed),
        }
    }
}

/// A [`Histogram`] at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Snapshot {
    cumulative: [u64; SECONDS.len() + 1],
    nanoseconds: u64,
}

impl Snapshot {
    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.cumulative[SECONDS.len()]
    }

    /// Their sum in seconds.
    pub fn seconds(&self) -> f64 {
        Duration::from_nanos(self.nanoseconds).as_secs_f64()
    }

    /// Each bound as it is printed, `+Inf` at the end, and how many were at most that.
    pub fn buckets(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        let bounds = SECONDS.iter().map(|(text, _)| *text).chain(["+Inf"]);
        bounds.zip(self.cumulative)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_rise_and_say_what_they_are() {
        assert!(SECONDS.windows(2).all(|pair| pair[0].1 < pair[1].1));
        for (text, nanoseconds) in SECONDS {
            let seconds: f64 = text.parse().unwrap();
            assert_eq!((seconds * 1e9).round() as u64, nanoseconds);
        }
    }

    #[test]
    fn a_bound_is_part_of_its_bucket() {
        let histogram = Histogram::default();
        for duration in [
            Duration::ZERO,
            Duration::from_micros(100),
            Duration::from_nanos(100_001),
            Duration::from_secs(60),
            Duration::from_secs(61),
        ] {
            histogram.observe(duration);
        }
        let counts: Vec<_> = histogram.snapshot().buckets().collect();
        assert_eq!(counts[..3], [("0.0001", 2), ("0.00025", 3), ("0.0005", 3)]);
        assert_eq!(counts[16..], [("30", 3), ("60", 4), ("+Inf", 5)]);
        assert_eq!(histogram.snapshot().seconds(), 121.000_200_001);
    }

    proptest::proptest! {
        #[test]
        fn every_duration_is_in_exactly_the_buckets_at_or_above_it(all: Vec<u32>) {
            let histogram = Histogram::default();
            let all: Vec<Duration> = all.iter().map(|n| Duration::from_nanos(u64::from(*n) * 37)).collect();
            all.iter().for_each(|duration| histogram.observe(*duration));
            let snapshot = histogram.snapshot();
            for ((_, count), (_, bound)) in snapshot.buckets().zip(SECONDS) {
                let at_most = all.iter().filter(|d| d.as_nanos() <= u128::from(bound)).count();
                proptest::prop_assert_eq!(count, at_most as u64);
            }
            proptest::prop_assert_eq!(snapshot.count(), all.len() as u64);
            proptest::prop_assert_eq!(histogram.count(), all.len() as u64);
            let sum: Duration = all.iter().sum();
            proptest::prop_assert!((snapshot.seconds() - sum.as_secs_f64()).abs() < 1e-9);
        }
    }
}
