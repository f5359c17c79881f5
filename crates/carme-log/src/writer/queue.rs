//! The lines between those who add them and the thread that writes them, and all they have to tell each other.

use std::io;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Totals;

#[derive(Debug)]
pub(super) struct Queue {
    limit: usize,
    state: Mutex<State>,
    /// Wakes the thread.
    work: Condvar,
    /// Wakes those who wait for the thread.
    progress: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Whole lines, each with its line feed.
    pending: Vec<u8>,
    pending_lines: u64,
    /// Bytes the thread has taken and not written yet.
    taken: usize,
    thread: Thread,
    hurry: Option<Hurry>,
    reopen: bool,
    reopening: bool,
    closing: bool,
    accepted: u64,
    /// Accepted and then written or given up.
    settled: u64,
    written: u64,
    lost: u64,
    /// Number of the round that the thread is in or was in last.
    round: u64,
    /// The last round that failed, and how.
    failure: Option<(u64, io::ErrorKind, String)>,
}

/// Somebody waits in `flush`: no rest until the lines up to `target` are settled or a round after `round` has failed.
#[derive(Debug, Clone, Copy)]
struct Hurry {
    target: u64,
    round: u64,
}

/// What the thread is doing; decides who has to wake it.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Thread {
    /// Busy; looks again by itself.
    #[default]
    Awake,
    /// Has nothing to do: the next line wakes it.
    Idle,
    /// Lets lines gather: wakes by itself, or when the buffer is half full.
    Lingering,
    /// Lets a failed destination recover: wakes by itself.
    Retrying,
    Finished,
}

/// How long the thread rests before its next round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rest {
    None,
    Linger(Duration),
    Retry(Duration),
}

/// What the thread is to do in a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Round {
    /// Lines that came with this round's batch.
    pub(super) lines: u64,
    pub(super) reopen: bool,
    pub(super) closing: bool,
}

/// How a round ended.
#[derive(Debug)]
pub(super) struct Outcome<'a> {
    /// Lines of which the last byte was written in this round.
    pub(super) written: u64,
    /// Bytes of the batch still to be written.
    pub(super) left: usize,
    pub(super) error: Option<&'a io::Error>,
}

impl Queue {
    pub(super) fn new(limit: usize) -> Self {
        Queue {
            limit,
            state: Mutex::default(),
            work: Condvar::new(),
            progress: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change of the state is complete before anything in it can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn push(&self, line: &[u8]) {
        let mut state = self.lock();
        if state.pending.len() + state.taken + line.len() + 1 > self.limit {
            state.lost += 1;
            return;
        }
        state.pending.extend_from_slice(line);
        state.pending.push(b'\n');
        state.pending_lines += 1;
        state.accepted += 1;
        let wake = match state.thread {
            Thread::Idle => true,
            Thread::Lingering => state.pending.len() >= self.limit / 2,
            Thread::Awake | Thread::Retrying | Thread::Finished => false,
        };
        if wake {
            // So that the lines until it runs do not wake it again.
            state.thread = Thread::Awake;
            drop(state);
            self.work.notify_one();
        }
    }

    pub(super) fn ask_to_reopen(&self) {
        self.lock().reopen = true;
        self.work.notify_one();
    }

    pub(super) fn flush(&self, deadline: Instant) -> io::Result<()> {
        let mut state = self.lock();
        let hurry = Hurry {
            target: state.accepted,
            round: state.round,
        };
        if state.settled < hurry.target {
            state.hurry = Some(hurry);
            self.work.notify_one();
        }
        loop {
            if let Some((round, kind, text)) = &state.failure
                && *round > hurry.round
            {
                return Err(io::Error::new(*kind, text.clone()));
            }
            if state.settled >= hurry.target && !state.reopen && !state.reopening {
                return Ok(());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "the log's destination blocks",
                ));
            }
            state = self
                .progress
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Ends the thread; `false` if it has not ended by the deadline, in which case the lines it holds count as lost.
    pub(super) fn close(&self, deadline: Instant) -> bool {
        let mut state = self.lock();
        state.closing = true;
        self.work.notify_one();
        while state.thread != Thread::Finished {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                state.give_up();
                return false;
            }
            state = self
                .progress
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        true
    }

    pub(super) fn totals(&self) -> Totals {
        let state = self.lock();
        Totals {
            written: state.written,
            lost: state.lost,
        }
    }

    /// Rests, waits until there is something to do, and begins a round. An empty `batch` is exchanged for the pending
    /// lines; one with bytes left stays as it is.
    pub(super) fn next_round(&self, rest: Rest, batch: &mut Vec<u8>) -> Round {
        let mut state = self.lock();
        let (thread, time) = match rest {
            Rest::None => (Thread::Awake, Duration::ZERO),
            Rest::Linger(time) => (Thread::Lingering, time),
            Rest::Retry(time) => (Thread::Retrying, time),
        };
        let until = Instant::now() + time;
        state.thread = thread;
        // `push` sets Awake when it wakes a lingering thread.
        while !state.urgent() && state.thread != Thread::Awake {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = self
                .work
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        while batch.is_empty() && state.pending.is_empty() && !state.urgent() {
            state.thread = Thread::Idle;
            state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.thread = Thread::Awake;
        state.reopening = std::mem::take(&mut state.reopen);
        state.round += 1;
        let mut lines = 0;
        if batch.is_empty() {
            std::mem::swap(batch, &mut state.pending);
            lines = std::mem::take(&mut state.pending_lines);
            state.taken = batch.len();
        }
        Round {
            lines,
            reopen: state.reopening,
            closing: state.closing,
        }
    }

    /// Ends a round. Returns all lines lost so far and whether others wait already.
    pub(super) fn end_round(&self, outcome: &Outcome<'_>) -> (u64, bool) {
        let mut state = self.lock();
        state.taken = outcome.left;
        state.reopening = false;
        // After `close` lost its patience everything is settled, and counted as lost.
        let written = outcome.written.min(state.accepted - state.settled);
        state.settled += written;
        state.written += written;
        if let Some(error) = outcome.error {
            state.failure = Some((state.round, error.kind(), error.to_string()));
        }
        let (settled, round) = (state.settled, state.round);
        state.hurry = state.hurry.filter(|hurry| match outcome.error {
            Some(_) => round <= hurry.round,
            None => settled < hurry.target,
        });
        self.progress.notify_all();
        (state.lost, !state.pending.is_empty())
    }

    /// The thread ends; lines that are not written are lost. Returns all lines lost.
    pub(super) fn finish(&self) -> u64 {
        let mut state = self.lock();
        state.thread = Thread::Finished;
        state.give_up();
        self.progress.notify_all();
        state.lost
    }
}

impl State {
    fn urgent(&self) -> bool {
        self.hurry.is_some() || self.reopen || self.closing
    }

    fn give_up(&mut self) {
        self.lost += self.accepted - self.settled;
        self.settled = self.accepted;
    }
}
