//! Tells of trouble with the destination, at most so often.

use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use super::OnTrouble;

/// What is wrong with a log's destination, or that it is well again.
#[derive(Debug)]
#[non_exhaustive]
pub struct Trouble {
    /// The file's path or `standard output`.
    pub destination: String,
    /// What happened.
    pub what: What,
    /// Lines lost since the writer was opened.
    pub lost: u64,
}

/// What happened to a destination.
#[derive(Debug)]
pub enum What {
    /// It takes no more.
    Write(io::Error),
    /// It cannot be opened anew; the old file stays in use.
    Reopen(io::Error),
    /// The file cannot be closed and kept, or old ones not be removed; lines are written all the same.
    Rotate(io::Error),
    /// It takes lines more slowly than they come.
    Slow,
    /// It takes lines again after an error.
    Recovered,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Trouble {
            destination,
            what,
            lost,
        } = self;
        match what {
            What::Write(error) => write!(f, "the access log cannot be written to {destination}: {error}")?,
            What::Reopen(error) => {
                write!(
                    f,
                    "{destination} cannot be reopened, the access log goes on in the old file: {error}"
                )?;
            }
            What::Rotate(error) => {
                write!(
                    f,
                    "the access log is written to {destination}, but not rotated: {error}"
                )?;
            }
            What::Slow => write!(
                f,
                "{destination} takes the access log more slowly than requests come"
            )?,
            What::Recovered => write!(f, "the access log is written to {destination} again")?,
        }
        match lost {
            0 => f.write_str("; no line is lost so far"),
            1 => f.write_str("; 1 line is lost so far"),
            _ => write!(f, "; {lost} lines are lost so far"),
        }
    }
}

/// How the parts of a round went.
#[derive(Debug)]
pub(super) struct Went {
    pub(super) written: io::Result<()>,
    pub(super) reopened: io::Result<()>,
    pub(super) rotated: io::Result<()>,
}

pub(super) struct Reporter {
    destination: String,
    every: Duration,
    on_trouble: OnTrouble,
    last: Option<Instant>,
    /// Trouble that came too soon after the last report.
    held: Option<What>,
    told_lost: u64,
    failing: bool,
}

impl Reporter {
    pub(super) fn new(destination: String, every: Duration, on_trouble: Option<OnTrouble>) -> Self {
        let on_trouble = on_trouble.unwrap_or_else(|| Box::new(|trouble| tracing::warn!("{trouble}")));
        Reporter {
            destination,
            every,
            on_trouble,
            last: None,
            held: None,
            told_lost: 0,
            failing: false,
        }
    }

    /// Takes note of the last round. What was held back is told now: nothing follows.
    pub(super) fn last_round(&mut self, went: Went, lost: u64) {
        self.last = None;
        self.round(went, lost);
    }

    /// Takes note of how a round went; `lost` is the writer's total.
    pub(super) fn round(&mut self, went: Went, lost: u64) {
        let written = &went.written;
        let recovered = std::mem::replace(&mut self.failing, written.is_err()) && written.is_ok();
        let news = match (went.reopened, went.written, went.rotated) {
            (Err(error), ..) => Some(What::Reopen(error)),
            (_, Err(error), _) => Some(What::Write(error)),
            (.., Err(error)) => Some(What::Rotate(error)),
            _ if recovered => Some(What::Recovered),
            _ if lost > self.told_lost => Some(What::Slow),
            _ => None,
        };
        if news.is_some() {
            self.held = news;
        }
        if self.last.is_some_and(|last| last.elapsed() < self.every) {
            return;
        }
        if let Some(what) = self.held.take() {
            self.last = Some(Instant::now());
            self.told_lost = lost;
            (self.on_trouble)(&Trouble {
                destination: self.destination.clone(),
                what,
                lost,
            });
        }
    }
}
