//! Workers that are replaced, and seats that open and close.

use std::num::NonZeroU64;

use carme_ring::WorkerIndex;
use tokio::sync::oneshot;

use super::*;
use crate::dispatch::{Census, WorkerCensus};
use crate::plan::{AppPlan, Recycle};

/// Ready after 10 ms.
fn good() -> Result<Script, String> {
    Ok(vec![(millis(10), ready())])
}

/// Dies before it is ready.
pub(super) fn bad() -> Result<Script, String> {
    Ok(vec![(millis(10), crash())])
}

/// So many that are good.
pub(super) fn goods(count: usize) -> Vec<Result<Script, String>> {
    (0..count).map(|_| good()).collect()
}

pub(super) fn fixed(workers: u16) -> AppPlan {
    plan(Scale::fixed(workers))
}

fn other(plan: AppPlan) -> AppPlan {
    AppPlan {
        target: "two".into(),
        ..plan
    }
}

impl Stage {
    /// Tries another plan.
    async fn prepare(&self, plan: AppPlan) -> Result<(), Arc<Failure>> {
        let (asked_by, outcome) = oneshot::channel();
        self.tell(Command::Prepare(Arc::new(plan), asked_by));
        outcome.await.unwrap()
    }

    /// Makes it the plan; the routes that stay as they are.
    async fn commit(&self) -> Vec<String> {
        let (asked_by, outcome) = mpsc::unbounded_channel();
        self.tell(Command::Commit(asked_by));
        routes(outcome).await
    }

    pub(super) fn done(&self) -> Vec<String> {
        self.journal.all().into_iter().map(|(_, what)| what).collect()
    }

    pub(super) fn since(&self, at: usize) -> Vec<String> {
        self.done().split_off(at)
    }

    pub(super) fn states(&self) -> Vec<State> {
        self.seats
            .iter()
            .map(|seat| seat.shown.borrow().state.clone())
            .collect()
    }

    pub(super) fn ready_pids(&self) -> Vec<u32> {
        let pid = |state| match state {
            State::Ready { pid, .. } => Some(pid),
            _ => None,
        };
        self.states().into_iter().filter_map(pid).collect()
    }

    /// What waits, and what the worker in each place has in flight and has answered.
    fn set_load(&self, queued: usize, places: &[(u32, u64)]) {
        let worker = |(place, (in_flight, answered)): (usize, &(u32, u64))| WorkerCensus {
            seat: 0,
            pid: 0,
            place: WorkerIndex(place as u16),
            in_flight: *in_flight,
            answered: *answered,
            gil_wait: Duration::ZERO,
        };
        *self.books.census.lock().unwrap() = Census {
            queued,
            workers: places.iter().enumerate().map(worker).collect(),
            ..Census::default()
        };
    }

    pub(super) fn count(&self, cause: Cause) -> u64 {
        self.seats.iter().map(|seat| seat.endings.get(cause)).sum()
    }
}

async fn routes(mut outcome: mpsc::UnboundedReceiver<Unreplaced>) -> Vec<String> {
    let mut routes = Vec::new();
    while let Some(unreplaced) = outcome.recv().await {
        routes.push(unreplaced.route.to_string());
    }
    routes
}

/// The most workers that lived at once.
fn most_at_once(done: &[String]) -> usize {
    let mut alive = 0usize;
    let mut most = 0;
    for what in done {
        if what.starts_with("launch ") {
            alive += 1;
        } else if what.starts_with("end ") {
            alive -= 1;
        }
        most = most.max(alive);
    }
    most
}

#[tokio::test(start_paused = true)]
async fn a_reload_goes_from_worker_to_worker_with_one_more_than_configured() {
    let stage = stage_of(fixed(3), 8, goods(6), false);
    sleep(secs(1)).await;
    assert_eq!(stage.ready_pids(), [1, 2, 3]);
    let begun = stage.done().len();

    stage.prepare(other(fixed(3))).await.expect("it starts");
    assert_eq!(stage.since(begun), ["launch 4 as site_1 in 3: two"]);
    assert_eq!(stage.ready_pids(), [1, 2, 3], "it takes no requests yet");

    assert_eq!(stage.commit().await, [""; 0]);
    sleep(secs(2)).await;
    assert_eq!(
        stage.since(begun + 1),
        [
            "serve 4",
            "drain 1",
            "end 1",
            "launch 5 as site_2 in 0: two",
            "serve 5",
            "drain 2",
            "end 2",
            "launch 6 as site_3 in 1: two",
            "serve 6",
            "drain 3",
            "end 3",
        ]
    );
    assert_eq!(most_at_once(&stage.done()), 4);
    assert_eq!(stage.ready_pids(), [4, 5, 6]);
    assert_eq!(stage.count(Cause::Reload), 3);
}

#[tokio::test(start_paused = true)]
async fn new_code_that_does_not_start_leaves_all_as_it_was() {
    let mut scripts = goods(2);
    scripts.extend([bad(), good()]);
    let stage = stage_of(fixed(2), 8, scripts, false);
    sleep(secs(1)).await;
    let refused = stage.prepare(other(fixed(2))).await.expect_err("it crashes");
    assert!(refused.message.contains("worker 3"), "{refused}");
    assert_eq!(stage.ready_pids(), [1, 2]);
    // And one that is not wanted after all.
    stage.prepare(other(fixed(2))).await.expect("it starts");
    stage.tell(Command::Forget);
    sleep(secs(2)).await;
    assert_eq!(stage.ready_pids(), [1, 2]);
    assert_eq!(stage.done().last().unwrap(), "end 4");
    assert_eq!(stage.count(Cause::Reload), 0);
}

#[tokio::test(start_paused = true)]
async fn a_prepared_worker_that_dies_before_it_is_wanted_is_followed_by_another() {
    let mut scripts = goods(1);
    scripts.push(Ok(vec![(millis(10), ready()), (millis(10), crash())]));
    scripts.extend(goods(2));
    let stage = stage_of(fixed(1), 8, scripts, false);
    sleep(secs(1)).await;
    stage.prepare(other(fixed(1))).await.expect("it starts");
    sleep(millis(15)).await;
    assert_eq!(stage.commit().await, [""; 0]);
    sleep(secs(2)).await;
    assert_eq!(stage.ready_pids(), [4], "{:?}", stage.journal.all());
    assert_eq!(stage.count(Cause::Reload), 1);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_cannot_be_replaced_stays_and_is_named() {
    let mut scripts = goods(3);
    scripts.extend([bad(), bad(), bad()]);
    let stage = stage_of(fixed(2), 8, scripts, false);
    sleep(secs(1)).await;
    stage.prepare(other(fixed(2))).await.expect("the first starts");
    assert_eq!(stage.commit().await, ["site_2"]);
    assert_eq!(stage.ready_pids(), [3, 2]);
}

#[tokio::test(start_paused = true)]
async fn new_code_fills_the_seats_of_an_app_that_crashed_all_the_time() {
    let scripts = vec![bad(), bad(), bad(), bad(), good(), good()];
    let stage = stage_of(fixed(2), 8, scripts, false);
    sleep(millis(150)).await;
    assert_eq!(stage.ready_pids(), [0; 0]);
    stage.prepare(other(fixed(2))).await.expect("it starts");
    assert_eq!(stage.commit().await, [""; 0]);
    sleep(millis(20)).await;
    assert_eq!(stage.ready_pids(), [5, 6], "{:?}", stage.journal.all());
}

#[tokio::test(start_paused = true)]
async fn a_crash_in_the_middle_of_a_reload_is_filled_with_the_new_code_once() {
    let mut scripts = vec![good(), Ok(vec![(millis(10), ready()), (millis(1500), crash())])];
    scripts.extend(goods(2));
    let stage = stage_of(fixed(2), 8, scripts, false);
    sleep(secs(1)).await;
    stage.prepare(other(fixed(2))).await.expect("it starts");
    stage.commit().await;
    sleep(secs(5)).await;
    assert_eq!(stage.ready_pids(), [3, 4]);
    assert_eq!(stage.count(Cause::Signal), 1);
}

#[tokio::test(start_paused = true)]
async fn workers_are_recycled_after_their_requests_one_at_a_time() {
    let plan = AppPlan {
        recycle: Recycle {
            requests: NonZeroU64::new(100),
            ..Recycle::default()
        },
        ..fixed(2)
    };
    let stage = stage_of(plan, 8, goods(4), false);
    sleep(secs(1)).await;
    stage.set_load(0, &[(0, 99), (1, 100)]);
    sleep(secs(1)).await;
    assert_eq!(stage.ready_pids(), [1, 3]);
    stage.set_load(0, &[(0, 100), (1, 100), (0, 1)]);
    sleep(secs(3)).await;
    assert_eq!(stage.ready_pids(), [4, 3]);
    assert_eq!(most_at_once(&stage.done()), 3);
    assert_eq!(stage.count(Cause::Requests), 2);
}

#[tokio::test(start_paused = true)]
async fn a_successor_that_does_not_start_leaves_the_old_one_and_is_tried_again() {
    let plan = AppPlan {
        recycle: Recycle {
            age: Some(secs(10)),
            ..Recycle::default()
        },
        ..fixed(1)
    };
    let stage = stage_of(plan, 8, vec![good(), bad(), bad(), bad(), bad(), good()], false);
    sleep(secs(10)).await;
    assert_eq!(stage.ready_pids(), [1]);
    sleep(secs(3)).await;
    assert_eq!(stage.ready_pids(), [6], "{:?}", stage.journal.all());
    let launches = stage.journal.all().into_iter();
    let launches = launches
        .filter(|(_, what)| what.starts_with("launch"))
        .map(|(at, _)| at);
    let pauses: Vec<_> = launches.skip(1).map(|at| at.saturating_sub(10_000)).collect();
    assert!(pauses.windows(2).all(|two| two[1] - two[0] >= 100), "{pauses:?}");
    assert_eq!(stage.count(Cause::Age), 1);
}

#[tokio::test(start_paused = true)]
async fn workers_come_when_requests_wait_and_go_when_they_do_not() {
    let plan = plan(Scale {
        range: 1..=3,
        ttl: secs(20),
    });
    let stage = stage_of(plan, 8, goods(3), false);
    sleep(secs(1)).await;
    assert_eq!(stage.ready_pids(), [1]);
    assert_eq!(
        stage
            .seats
            .iter()
            .filter(|seat| seat.shown.borrow().is_used())
            .count(),
        1
    );
    stage.set_load(5, &[(1, 0), (1, 0), (1, 0)]);
    sleep(secs(1)).await;
    assert_eq!(stage.ready_pids(), [1, 2, 3]);
    stage.set_load(0, &[(1, 0), (0, 0), (0, 0)]);
    sleep(secs(21)).await;
    assert_eq!(stage.ready_pids(), [1, 2]);
    sleep(secs(21)).await;
    assert_eq!(stage.ready_pids(), [1]);
    sleep(secs(100)).await;
    assert_eq!(stage.ready_pids(), [1]);
}

#[tokio::test(start_paused = true)]
async fn seats_are_drained_enabled_and_scaled_by_hand() {
    let stage = stage_of(fixed(3), 8, goods(6), false);
    sleep(secs(1)).await;
    let (done, is_done) = oneshot::channel();
    stage.tell(Command::Drain(1, done));
    let before = Instant::now();
    assert_eq!(is_done.await, Ok(Ok(())));
    assert_eq!(before.elapsed(), secs(1), "when its worker is dead");
    assert_eq!(stage.ready_pids(), [1, 3]);
    assert_eq!(stage.states()[1], State::Stopped);

    stage.tell(Command::Scale(2));
    sleep(secs(2)).await;
    assert_eq!(
        stage.ready_pids(),
        [1],
        "the second is drained, the third is closed"
    );
    stage.tell(Command::Enable(1));
    sleep(secs(1)).await;
    assert_eq!(stage.ready_pids(), [1, 4]);
    stage.tell(Command::Scale(4));
    sleep(secs(1)).await;
    assert_eq!(stage.ready_pids(), [1, 4, 5, 6]);
}

#[tokio::test(start_paused = true)]
async fn the_last_that_takes_requests_is_not_drained_whoever_asks_at_the_same_time() {
    let stage = stage_of(fixed(2), 8, goods(2), false);
    sleep(secs(1)).await;
    let (first, is_first_done) = oneshot::channel();
    let (second, is_second_done) = oneshot::channel();
    stage.tell(Command::Drain(0, first));
    stage.tell(Command::Drain(1, second));
    assert_eq!(is_second_done.await, Ok(Err(LastOne)));
    assert_eq!(is_first_done.await, Ok(Ok(())));
    assert_eq!(stage.ready_pids(), [2]);
}

#[tokio::test(start_paused = true)]
async fn as_many_are_replaced_at_a_time_as_surge_says() {
    let plan = AppPlan { surge: 2, ..fixed(4) };
    let stage = stage_of(plan, 8, goods(8), false);
    sleep(secs(1)).await;
    let (asked_by, outcome) = mpsc::unbounded_channel();
    let before = Instant::now();
    stage.tell(Command::Restart(None, asked_by));
    assert_eq!(routes(outcome).await, [""; 0]);
    // Two pairs, each ready after 10 ms, the second when the predecessors of the first have drained for a second.
    assert_eq!(before.elapsed(), millis(1020));
    assert_eq!(stage.ready_pids(), [5, 6, 7, 8]);
    assert_eq!(most_at_once(&stage.done()), 6);
}

#[tokio::test(start_paused = true)]
async fn what_a_replaced_worker_has_not_finished_in_time_is_cut_off() {
    let stage = stage_of(fixed(1), 8, goods(2), true);
    sleep(secs(1)).await;
    let (asked_by, outcome) = mpsc::unbounded_channel();
    stage.tell(Command::Restart(None, asked_by));
    assert_eq!(routes(outcome).await, [""; 0]);
    sleep(secs(100)).await;
    let told = stage.journal.all();
    let at = |what: &str| told.iter().find(|(_, told)| told == what).map(|(at, _)| *at);
    let drained = at("drain 1").expect("it is replaced");
    // drain_timeout, and the moment that it has to end by itself.
    assert_eq!(at("stop 1"), Some(drained + 60_000));
    assert_eq!(at("end 1"), Some(drained + 62_000));
    assert_eq!(stage.ready_pids(), [2]);
}

#[tokio::test(start_paused = true)]
async fn an_enabled_seat_closes_no_other() {
    let stage = stage_of(fixed(3), 8, goods(4), false);
    sleep(secs(1)).await;
    let (done, is_done) = oneshot::channel();
    stage.tell(Command::Drain(0, done));
    assert_eq!(is_done.await, Ok(Ok(())));
    stage.tell(Command::Enable(0));
    sleep(secs(1)).await;
    assert_eq!(stage.ready_pids(), [4, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_restart_replaces_one_or_all() {
    let stage = stage_of(fixed(2), 8, goods(5), false);
    sleep(secs(1)).await;
    let (asked_by, outcome) = mpsc::unbounded_channel();
    stage.tell(Command::Restart(Some(1), asked_by));
    assert_eq!(routes(outcome).await, [""; 0]);
    assert_eq!(stage.ready_pids(), [1, 3]);
    let (asked_by, outcome) = mpsc::unbounded_channel();
    stage.tell(Command::Restart(None, asked_by));
    assert_eq!(routes(outcome).await, [""; 0]);
    assert_eq!(stage.ready_pids(), [4, 5]);
    assert_eq!(stage.count(Cause::Restart), 3);
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_what_has_just_begun() {
    let stage = stage_of(fixed(2), 8, goods(4), false);
    sleep(secs(1)).await;
    stage.prepare(other(fixed(2))).await.expect("it starts");
    stage.commit().now_or_nothing();
    let done = stage.drain(secs(30)).await;
    let ends = done.iter().filter(|(_, what)| what.starts_with("end ")).count();
    let launches = done
        .iter()
        .filter(|(_, what)| what.starts_with("launch "))
        .count();
    assert_eq!(ends, launches, "{done:?}");
}

#[tokio::test(start_paused = true)]
async fn the_first_goes_ahead_as_far_as_its_hello() {
    let stage = stage_of(fixed(2), 8, goods(2), false);
    // Before it begins.
    stage.greeted.send_replace(false);
    sleep(secs(1)).await;
    assert_eq!(stage.done()[0], "launch 1 as site_1 in 0: one");
    assert_eq!(stage.ready_pids(), [1]);
    stage.greeted.send_replace(true);
    sleep(secs(1)).await;
    assert_eq!(stage.ready_pids(), [1, 2]);
}

/// A future that is begun and left.
trait Begun: Future + Sized {
    fn now_or_nothing(self) {
        let mut this = Box::pin(self);
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        let _ = this.as_mut().poll(&mut context);
    }
}

impl<F: Future> Begun for F {}
