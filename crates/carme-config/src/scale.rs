//! How many workers an app has, and when they are replaced although nothing is wrong with them.

use std::fmt;
use std::num::{NonZeroU64, NonZeroUsize};
use std::time::Duration;

use crate::units::ByteSize;

/// `workers`: a number, or between two numbers as the load asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Workers {
    /// At least so many.
    pub min: NonZeroUsize,
    /// At most so many; not fewer than `min`.
    pub max: NonZeroUsize,
    /// `ttl`: one that is not needed stays for so long.
    pub ttl: Duration,
}

impl Workers {
    /// Always so many.
    pub fn fixed(number: NonZeroUsize) -> Self {
        Workers {
            min: number,
            max: number,
            ttl: crate::config::defaults::WORKERS_TTL,
        }
    }

    /// Whether the number is always the same.
    pub fn is_fixed(&self) -> bool {
        self.min == self.max
    }
}

/// As it is written: `4` or `2-4`.
impl fmt::Display for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.is_fixed() {
            true => write!(f, "{}", self.min),
            false => write!(f, "{}-{}", self.min, self.max),
        }
    }
}

/// `recycle = { requests, age, jitter, memory, idle }`. `None`: never.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Recycle {
    /// `requests`: after so many.
    pub requests: Option<NonZeroU64>,
    /// `age`: when it has served for so long.
    pub age: Option<Duration>,
    /// `jitter`: up to this part of `requests` and `age` is taken off, for each worker another; from 0 to 1.
    pub jitter: f64,
    /// `memory`: when it has more than this in memory.
    pub memory: Option<ByteSize>,
    /// `idle`: when it has had nothing to do for so long, after it had something.
    pub idle: Option<Duration>,
}

impl Default for Recycle {
    fn default() -> Self {
        Recycle {
            requests: None,
            age: None,
            jitter: crate::config::defaults::RECYCLE_JITTER,
            memory: None,
            idle: None,
        }
    }
}
