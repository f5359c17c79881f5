//! Requests that take too long.
//!
//! What it owes its callers:
//! - A request that has not begun its answer in time fails with [`Failure::TimedOut`]; an answer that does not go on in time
//!   is cut off. Its client waits for it no longer, whatever its worker does.
//! - What the worker has of it stays the worker's until that has ended it or is dead: the stream's entry remains, and what
//!   comes late is dropped.
//! - The worker is asked for its stacks, then to interrupt the request. If that does not help in time, the worker is hung:
//!   [`App::hung`] says so, and [`App::has_only_hung`] when nothing else is in flight there.
//!
//! Age is what counts, never what a worker does or does not say: one that is busy is left alone.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use carme_ring::control::{StacksReason, TimeLimit, ToWorker};
use carme_ring::{InboxMessage, StreamId, WorkerIndex, clock};

use super::app::{App, State};
use super::body::Aborted;
use super::exchange::{Failure, Identity};
use super::streams::{Phase, Stream};

/// How long the requests of an app may take. `None`: as long as they like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeLimits {
    /// From when a worker took a request until its answer begins.
    pub request: Option<Duration>,
    /// Between two pieces of an answer, as far as it is the app that pauses.
    pub idle: Option<Duration>,
    /// What a request that was interrupted has to end before its worker counts as hung.
    pub interrupt_grace: Duration,
    /// From when a worker took a request until its stacks are written to the error log, once.
    pub slow: Option<Duration>,
}

/// A worker that has a request over its time and could not be rid of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hung {
    /// Its place.
    pub place: WorkerIndex,
    /// Who it is.
    pub worker: Identity,
    /// The limit that the request did not keep.
    pub limit: TimeLimit,
    /// How long that is.
    pub time: Duration,
}

impl fmt::Display for Hung {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { limit, time, .. } = self;
        write!(
            f,
            "worker {} is hung: a request took longer than {time:?} ({limit}) and could not be interrupted",
            self.worker.pid
        )
    }
}

/// How a stream stands with its time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Standing {
    #[default]
    InTime,
    /// In time, but slow; that has been told.
    Slow,
    /// Over since then: its client waits no longer, and its worker was told to interrupt it.
    Over { limit: TimeLimit, since: u64 },
    /// The same, and the interruption has not helped.
    Hung { limit: TimeLimit },
}

impl Standing {
    /// Nobody wants what comes any more.
    pub(super) fn is_over(self) -> bool {
        matches!(self, Self::Over { .. } | Self::Hung { .. })
    }
}

/// What a stream that a worker has is doing, and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doing {
    /// Its answer has not begun since it was taken.
    Request(u64),
    /// Its last piece came then.
    Answer(u64),
}

/// What is to be done about a stream now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Leave,
    TellSlow,
    End(TimeLimit),
    CallHung(TimeLimit),
}

fn judge(limits: &TimeLimits, doing: Doing, standing: Standing, now: u64) -> Verdict {
    let exceeds = |since: u64, limit: Option<Duration>| {
        limit.is_some_and(|limit| u128::from(now.saturating_sub(since)) >= limit.as_nanos())
    };
    match (standing, doing) {
        (Standing::Over { limit, since }, _) if exceeds(since, Some(limits.interrupt_grace)) => {
            Verdict::CallHung(limit)
        }
        (Standing::Over { .. } | Standing::Hung { .. }, _) => Verdict::Leave,
        (_, Doing::Request(since)) if exceeds(since, limits.request) => {
            Verdict::End(TimeLimit::RequestTimeout)
        }
        (_, Doing::Answer(since)) if exceeds(since, limits.idle) => Verdict::End(TimeLimit::IdleTimeout),
        (Standing::InTime, Doing::Request(since)) if exceeds(since, limits.slow) => Verdict::TellSlow,
        _ => Verdict::Leave,
    }
}

impl TimeLimits {
    /// How long a limit is; one that is off has kept nobody waiting.
    fn of(&self, limit: TimeLimit) -> Duration {
        match limit {
            TimeLimit::RequestTimeout => self.request,
            TimeLimit::IdleTimeout => self.idle,
            TimeLimit::SlowRequest => self.slow,
        }
        .unwrap_or_default()
    }
}

impl Stream {
    /// What it is doing, if it is in a worker's hands.
    fn doing(&self) -> Option<Doing> {
        self.worker.as_ref()?;
        match self.phase {
            Phase::Submitted(_) | Phase::InFlight => Some(Doing::Request(self.taken_at)),
            _ if self.file_expected => Some(Doing::Request(self.taken_at)),
            Phase::Answering => Some(Doing::Answer(self.last_piece_at)),
            Phase::Backlogged | Phase::Ended => None,
        }
    }

    /// Ends it for its client.
    fn time_out(&mut self, limit: TimeLimit, time: Duration, now: u64) {
        self.standing = Standing::Over { limit, since: now };
        self.ended_at = now;
        if limit == TimeLimit::IdleTimeout {
            let reason = format!("the app gave no more of it for {time:?} ({limit})");
            self.body.finish(Err(Aborted(reason)));
        } else {
            self.file_expected = false;
            self.answer = Some(Err(Failure::TimedOut(time)));
        }
        self.wake();
    }
}

/// The streams of each worker that exceed a limit, of those that are found in one look.
type Exceeding = BTreeMap<(WorkerIndex, TimeLimit), Vec<StreamId>>;

impl State {
    /// Looks at these streams' time.
    pub(super) fn end_overtime(&mut self, streams: &[StreamId]) {
        let (now, limits) = (clock::now(), self.limits.times);
        let mut exceeding = Exceeding::new();
        for &id in streams {
            let Some(stream) = self.streams.get_mut(id) else {
                continue;
            };
            if !stream.abandoned && stream.body.may_hold_up() {
                // It may be the client that pauses.
                stream.last_piece_at = now;
            }
            let (Some(doing), Some((worker, _))) = (stream.doing(), &stream.worker) else {
                continue;
            };
            let worker = *worker;
            match judge(&limits, doing, stream.standing, now) {
                Verdict::Leave => {}
                Verdict::TellSlow => {
                    stream.standing = Standing::Slow;
                    let at = (worker, TimeLimit::SlowRequest);
                    exceeding.entry(at).or_default().push(id);
                }
                Verdict::End(limit) => {
                    stream.time_out(limit, limits.of(limit), now);
                    exceeding.entry((worker, limit)).or_default().push(id);
                }
                Verdict::CallHung(limit) => {
                    stream.standing = Standing::Hung { limit };
                    self.call_hung(worker, limit);
                }
            }
        }
        for ((worker, limit), streams) in exceeding {
            self.tell_exceeding(worker, limit, &streams);
        }
    }

    /// Tells a worker what takes too long there. Its stacks come first: they are to show where it was.
    fn tell_exceeding(&mut self, worker: WorkerIndex, limit: TimeLimit, streams: &[StreamId]) {
        let time = self.limits.times.of(limit);
        let reason = StacksReason::Exceeded {
            limit,
            milliseconds: u64::try_from(time.as_millis()).unwrap_or(u64::MAX),
            streams: streams.iter().map(|id| id.0).collect(),
        };
        self.say(worker, &ToWorker::Stacks { reason });
        if limit == TimeLimit::SlowRequest {
            return;
        }
        for id in streams {
            self.say(worker, &ToWorker::Interrupt { stream: id.0 });
            // If it is about to send something, that ends it as well.
            self.tell(worker, InboxMessage::Gone { stream: *id });
        }
    }

    /// A message over the control connection. One that cannot be sent finds a worker that is beyond hearing it: its
    /// supervisor sees the end of the connection.
    fn say(&self, worker: WorkerIndex, message: &ToWorker) -> bool {
        let Some(Some(attached)) = self.workers.get(worker.get()) else {
            return false;
        };
        attached
            .control
            .send(message)
            .inspect_err(|error| {
                let Identity { route, pid, .. } = &attached.identity;
                tracing::warn!(
                    route = &**route,
                    "worker {pid} cannot be told {message:?}: {error}"
                );
            })
            .is_ok()
    }

    fn call_hung(&mut self, worker: WorkerIndex, limit: TimeLimit) {
        let time = self.limits.times.of(limit);
        let Some(Some(attached)) = self.workers.get_mut(worker.get()) else {
            return;
        };
        if !std::mem::replace(&mut attached.is_hung, true) {
            self.hung.push_back(Hung {
                place: worker,
                worker: attached.identity.clone(),
                limit,
                time,
            });
            self.signals.hung.notify_one();
        }
    }

    /// Whether nothing is in flight at a hung worker that is worth waiting for.
    fn has_only_hung(&mut self, worker: WorkerIndex) -> bool {
        self.drain_all();
        self.collect_all();
        let now = clock::now();
        let Some(Some(attached)) = self.workers.get_mut(worker.get()) else {
            return true;
        };
        let since = *attached.waited_for_since.get_or_insert(now);
        let patience = self.limits.times.request.unwrap_or(STREAMS_PATIENCE);
        // An answer may go on for ever; it is not cut off before a request would be.
        let streams_may_be_cut = u128::from(now.saturating_sub(since)) >= patience.as_nanos();
        self.streams.ids().into_iter().all(|id| {
            self.streams.get(id).is_none_or(|stream| {
                let its = stream.worker.as_ref().is_some_and(|(by, _)| *by == worker);
                match stream.doing() {
                    Some(Doing::Request(_)) if its => stream.standing.is_over(),
                    Some(Doing::Answer(_)) if its => stream.standing.is_over() || streams_may_be_cut,
                    _ => true,
                }
            })
        })
    }
}

/// How long answers in the making are waited for at a hung worker where requests have no limit.
const STREAMS_PATIENCE: Duration = Duration::from_secs(60);

impl App {
    /// Waits until a worker is hung. Each is told of once, to one caller.
    pub async fn hung(&self) -> Hung {
        loop {
            let heard = self.0.signals.hung.notified();
            if let Some(hung) = self.lock().hung.pop_front() {
                return hung;
            }
            heard.await;
        }
    }

    /// Whether nothing in flight at a hung worker is worth waiting for: what there is, is over its time itself, or an answer
    /// that has gone on for as long as a request may take since this was first asked. The worker must take no new requests.
    pub fn has_only_hung(&self, place: WorkerIndex) -> bool {
        self.lock().has_only_hung(place)
    }

    /// Asks the worker in this place to write the stacks of all its Python threads to the error log. False: there is none
    /// that hears it.
    pub fn ask_for_stacks(&self, place: WorkerIndex) -> bool {
        let reason = StacksReason::Asked;
        self.lock().say(place, &ToWorker::Stacks { reason })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: TimeLimits = TimeLimits {
        request: Some(Duration::from_nanos(100)),
        idle: Some(Duration::from_nanos(50)),
        interrupt_grace: Duration::from_nanos(10),
        slow: Some(Duration::from_nanos(20)),
    };
    const OFF: TimeLimits = TimeLimits {
        request: None,
        idle: None,
        interrupt_grace: Duration::ZERO,
        slow: None,
    };

    #[test]
    fn what_is_done_about_a_stream() {
        use TimeLimit::{IdleTimeout, RequestTimeout};
        use Verdict::{CallHung, End, Leave, TellSlow};
        let (request, answer) = (Doing::Request(1000), Doing::Answer(1000));
        let over = |limit, since| Standing::Over { limit, since };
        let hung = Standing::Hung {
            limit: RequestTimeout,
        };
        for (limits, doing, standing, now, expected) in [
            (&LIMITS, request, Standing::InTime, 1019, Leave),
            (&LIMITS, request, Standing::InTime, 1020, TellSlow),
            (&LIMITS, request, Standing::Slow, 1099, Leave),
            (&LIMITS, request, Standing::Slow, 1100, End(RequestTimeout)),
            (&LIMITS, request, Standing::InTime, 1100, End(RequestTimeout)),
            (&LIMITS, answer, Standing::InTime, 1049, Leave),
            (&LIMITS, answer, Standing::InTime, 1050, End(IdleTimeout)),
            (&LIMITS, answer, Standing::Slow, 1050, End(IdleTimeout)),
            (&LIMITS, request, over(RequestTimeout, 1100), 1109, Leave),
            (
                &LIMITS,
                request,
                over(RequestTimeout, 1100),
                1110,
                CallHung(RequestTimeout),
            ),
            // Interrupted late, it has begun to answer: nobody reads that.
            (
                &LIMITS,
                answer,
                over(RequestTimeout, 1100),
                1110,
                CallHung(RequestTimeout),
            ),
            (
                &LIMITS,
                answer,
                over(IdleTimeout, 1100),
                1110,
                CallHung(IdleTimeout),
            ),
            (&LIMITS, request, hung, u64::MAX, Leave),
            (&OFF, request, Standing::InTime, u64::MAX, Leave),
            (&OFF, answer, Standing::InTime, u64::MAX, Leave),
            // A clock that is read twice may seem to go back.
            (&LIMITS, request, Standing::InTime, 0, Leave),
        ] {
            assert_eq!(
                judge(limits, doing, standing, now),
                expected,
                "{doing:?} {standing:?} at {now}"
            );
        }
    }
}
