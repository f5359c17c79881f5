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
    /// It had answered as many requests as it may (`recycle.requests`).
    Requests,
    /// It was as old as it may be (`recycle.age`).
    Age,
    /// It had more memory than it may (`recycle.memory`).
    Memory,
    /// It had had nothing to do for long (`recycle.idle`).
    Idle,
    /// A request held it longer than any may.
    Hung,
    /// New code or new settings.
    Reload,
    /// Somebody told it to restart.
    Restart,
}

impl Cause {
    /// All of them.
    pub const ALL: [Cause; 14] = [
        Cause::NotStarted,
        Cause::ImportFailed,
        Cause::StartupTimeout,
        Cause::Exited,
        Cause::Signal,
        Cause::Broken,
        Cause::Damaged,
        Cause::Requests,
        Cause::Age,
        Cause::Memory,
        Cause::Idle,
        Cause::Hung,
        Cause::Reload,
        Cause::Restart,
    ];

    /// As it is told in a log, in brackets.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Cause::NotStarted => "it could not be started",
            Cause::ImportFailed => "its app could not be imported",
            Cause::StartupTimeout => "startup_timeout",
            Cause::Exited => "it exited",
            Cause::Signal => "it was killed",
            Cause::Broken => "it broke the protocol",
            Cause::Damaged => "damaged memory",
            Cause::Requests => "recycle.requests",
            Cause::Age => "recycle.age",
            Cause::Memory => "recycle.memory",
            Cause::Idle => "recycle.idle",
            Cause::Hung => "hung",
            Cause::Reload => "reload",
            Cause::Restart => "restart",
        }
    }

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
            Cause::Requests => "requests",
            Cause::Age => "age",
            Cause::Memory => "memory",
            Cause::Idle => "idle",
            Cause::Hung => "hung",
            Cause::Reload => "reload",
            Cause::Restart => "restart",
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
        assert_eq!(counts.to_vec(), (1..=Cause::ALL.len() as u64).collect::<Vec<_>>());
    }
}
