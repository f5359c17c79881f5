//! How to start the workers of an app, how many, and when they are replaced.

use std::ffi::OsString;
use std::num::NonZeroU64;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use carme_ring::control::Interface;

use crate::process::User;

/// How to start the workers of an app, how many, and when they are replaced.
#[derive(Clone, Debug)]
pub struct AppPlan {
    /// The app's name.
    pub name: Arc<str>,
    /// The interpreter.
    pub python: PathBuf,
    /// What it imports: `module:attribute`, `module:factory()` or `module`.
    pub target: String,
    /// What goes first on `sys.path`.
    pub import_root: PathBuf,
    /// How the app is called.
    pub interface: Interface,
    /// Where it runs.
    pub directory: PathBuf,
    /// Changes to the environment; `None` removes a variable.
    pub environment: Vec<(OsString, Option<OsString>)>,
    /// Whom they run as; `None`: as the front.
    pub user: Option<User>,
    /// Processes.
    pub workers: Scale,
    /// Workers beyond these while some are replaced; at least one.
    pub surge: u16,
    /// Threads of each process at most.
    pub threads: u16,
    /// `sys.setswitchinterval`.
    pub switch_interval: Duration,
    /// The route of the nth worker, with `{n}` for its number from 1.
    pub route: String,
    /// What a worker may take from its start until its app is imported.
    pub startup_timeout: Duration,
    /// What a worker that is replaced may take to finish what it has.
    pub drain_timeout: Duration,
    /// When a worker is replaced although nothing is wrong with it.
    pub recycle: Recycle,
}

/// How many workers there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scale {
    /// At least and at most; the least is 1 or more.
    pub range: RangeInclusive<u16>,
    /// One too many stays for so long.
    pub ttl: Duration,
}

impl Scale {
    /// Always so many.
    pub fn fixed(workers: u16) -> Self {
        Scale {
            range: workers..=workers,
            ttl: Duration::ZERO,
        }
    }
}

/// When a worker is replaced although nothing is wrong with it. `None`: never.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recycle {
    /// After so many requests.
    pub requests: Option<NonZeroU64>,
    /// At this age.
    pub age: Option<Duration>,
    /// Up to this part of `requests` and `age` is taken off, another for each worker, so that they do not all come at
    /// once; from 0 to 1.
    pub jitter: f64,
    /// When it has more bytes in memory than this.
    pub memory: Option<u64>,
    /// When it has had no request for so long, after it had some.
    pub idle: Option<Duration>,
}

impl Recycle {
    /// Whether there is any limit.
    pub(crate) fn is_on(&self) -> bool {
        let Recycle {
            requests,
            age,
            jitter: _,
            memory,
            idle,
        } = self;
        requests.is_some() || age.is_some() || memory.is_some() || idle.is_some()
    }
}

impl AppPlan {
    /// The route of the seat with this number, from 0.
    pub fn route(&self, seat: usize) -> Arc<str> {
        self.route.replace("{n}", &(seat + 1).to_string()).into()
    }
}
