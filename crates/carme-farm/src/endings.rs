//! Why workers were replaced, counted.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Why a worker was replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Its process could not be started.
    NotStarted,
    /// Its app could not be imported.
    ImportFailed,
    /// Its app was not imported in time.
    StartupTimeout,
    /// Its process ended by itself.
    Exited,
    /// A signal ended its process: a crash, the system's memory guard, somebody's `kill`. Never on Windows, where such an
    /// end is an exit with a code.
    Signal,
    /// It broke the protocol, or is not a worker that can be served.
    Broken,
    /// The memory that it shared with the front was damaged.
    Damaged,
}

impl Cause {
    /// All of them.
    pub const ALL: [Cause; 7] = [
        Cause::NotStarted,
        Cause::ImportFailed,
        Cause::StartupTimeout,
        Cause::Exited,
        Cause::Signal,
        Cause::Broken,
        Cause::Damaged,
    ];

    /// As it is called in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Cause::NotStarted => "not_started",
            Cause::ImportFailed => "import_failed",
            Cause::StartupTimeout => "startup_timeout",
            Cause::Exited => "exited",
            Cause::Signal => "signal",
            Cause::Broken => "broken",
            Cause::Damaged => "damaged",
        }
    }
}

/// How often the worker of a place was replaced, by cause.
#[derive(Debug, Default)]
pub(crate) struct Endings([AtomicU64; Cause::ALL.len()]);

impl Endings {
    pub(crate) fn count(&self, cause: Cause) {
        self.0[cause as usize].fetch_add(1, Relaxed);
    }

    pub(crate) fn get(&self, cause: Cause) -> u64 {
        self.0[cause as usize].load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_has_a_counter_of_its_own() {
        let endings = Endings::default();
        for (at, cause) in Cause::ALL.into_iter().enumerate() {
            (0..=at).for_each(|_| endings.count(cause));
        }
        let counts = Cause::ALL.map(|cause| endings.get(cause));
        assert_eq!(counts, [1, 2, 3, 4, 5, 6, 7]);
    }
}
