//! Seats whose workers are made up, in time that is made up.

use std::collections::VecDeque;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use carme_ring::WorkerIndex;
use carme_ring::control::Interface;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep, sleep_until};

use super::*;
use crate::desk::{Load, PlaceLoad, Queue, WorkerHangs};
use crate::endings::Cause;
use crate::plan::{AppPlan, Recycle, Scale};
use crate::process::Exit;

mod hanging;
mod replacing;

/// What a made-up worker does, in order: waits, then says.
type Script = Vec<(Duration, Event)>;

/// Everything that happened, with the time since the start.
#[derive(Clone)]
struct Journal(Arc<Mutex<Vec<(u128, String)>>>, Instant);

impl Journal {
    fn note(&self, what: impl Into<String>) {
        self.0
            .lock()
            .unwrap()
            .push((self.1.elapsed().as_millis(), what.into()));
    }

    fn all(&self) -> Vec<(u128, String)> {
        self.0.lock().unwrap().clone()
    }
}

struct Actors {
    scripts: Mutex<VecDeque<Result<Script, String>>>,
    journal: Journal,
    next_pid: Mutex<u32>,
    deaf: bool,
    /// More than one seat: its route and its place are of interest.
    many: bool,
}

struct Actor {
    pid: u32,
    script: VecDeque<(Instant, Event)>,
    journal: Journal,
    /// When it ends, once it was told to.
    ending: Option<Instant>,
    /// Only a kill ends it.
    deaf: bool,
    many: bool,
}

impl Launch for Actors {
    type Worker = Actor;

    async fn launch(&self, post: Post) -> Result<Actor, String> {
        let script = self
            .scripts
            .lock()
            .unwrap()
            .pop_front()
            .expect("no more workers were expected");
        let script = match script {
            Ok(script) => script,
            Err(error) => {
                self.journal.note("launch failed");
                return Err(error);
            }
        };
        let mut pid = self.next_pid.lock().unwrap();
        *pid += 1;
        self.journal.note(match self.many {
            true => format!(
                "launch {pid} as {} in {}: {}",
                post.route, post.place.0, post.plan.target
            ),
            false => format!("launch {pid}"),
        });
        let mut at = Instant::now();
        let script = script
            .into_iter()
            .map(|(wait, event)| {
                at += wait;
                (at, event)
            })
            .collect();
        Ok(Actor {
            pid: *pid,
            script,
            journal: self.journal.clone(),
            ending: None,
            deaf: self.deaf,
            many: self.many,
        })
    }
}

impl Worker for Actor {
    fn pid(&self) -> u32 {
        self.pid
    }

    fn last_lines(&self) -> Vec<String> {
        Vec::new()
    }

    async fn event(&mut self) -> Event {
        loop {
            match (self.ending, self.script.front()) {
                (Some(at), _) => {
                    sleep_until(at).await;
                    self.journal.note(format!("end {}", self.pid));
                    return Event::Exited(Exit::Code(0));
                }
                (None, Some((at, _))) => {
                    sleep_until(*at).await;
                    let (_, event) = self.script.pop_front().unwrap();
                    if matches!(event, Event::Exited(_)) {
                        self.journal.note(format!("end {}", self.pid));
                    }
                    return event;
                }
                (None, None) => std::future::pending().await,
            }
        }
    }

    fn serve(&mut self) {
        if self.many {
            self.journal.note(format!("serve {}", self.pid));
        }
    }

    fn drain(&mut self) {
        self.journal.note(format!("drain {}", self.pid));
        if !self.deaf {
            self.ending = Some(Instant::now() + secs(1));
        }
    }

    fn stop(&mut self) {
        self.journal.note(format!("stop {}", self.pid));
        if !self.deaf {
            self.ending = Some(Instant::now());
        }
    }

    fn kill(&mut self) {
        self.journal.note(format!("kill {}", self.pid));
        self.ending = Some(Instant::now());
    }
}

/// A queue that has what it is told to have.
#[derive(Clone, Default)]
struct Books {
    load: Arc<Mutex<Load>>,
    damage: Arc<tokio::sync::Notify>,
    hangs: Arc<tokio::sync::Notify>,
    /// The place of the worker that hangs, and whether it has nothing else to do.
    hung: Arc<Mutex<(u16, bool)>>,
    journal: Option<Journal>,
    /// So many times no new region can be had.
    refusals: Arc<Mutex<u32>>,
}

impl Queue for Books {
    fn load(&self) -> Load {
        self.load.lock().unwrap().clone()
    }

    async fn damaged(&self) -> String {
        self.damage.notified().await;
        "the shared memory is damaged".to_owned()
    }

    async fn hung(&self) -> WorkerHangs {
        self.hangs.notified().await;
        WorkerHangs {
            place: WorkerIndex(self.hung.lock().unwrap().0),
            reason: "it hangs".to_owned(),
        }
    }

    fn has_only_hung(&self, place: WorkerIndex) -> bool {
        let (hung, only) = *self.hung.lock().unwrap();
        hung == place.0 && only
    }

    fn renew(&self) -> std::io::Result<()> {
        let mut refusals = self.refusals.lock().unwrap();
        if *refusals > 0 {
            *refusals -= 1;
            return Err(std::io::Error::other("no memory"));
        }
        if let Some(journal) = &self.journal {
            journal.note("renew");
        }
        Ok(())
    }
}

fn plan(workers: Scale) -> AppPlan {
    AppPlan {
        name: "site".into(),
        python: "python3".into(),
        target: "one".into(),
        import_root: ".".into(),
        interface: Interface::Auto,
        directory: ".".into(),
        environment: Vec::new(),
        user: None,
        workers,
        surge: 1,
        threads: 1,
        switch_interval: millis(5),
        route: "site_{n}".into(),
        startup_timeout: secs(30),
        drain_timeout: secs(60),
        recycle: Recycle::default(),
    }
}

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn ready() -> Event {
    Event::Ready(About::default())
}

fn crash() -> Event {
    Event::Exited(Exit::Signal(11))
}

/// Seats on their stage.
struct Stage {
    journal: Journal,
    seats: Vec<Arc<Shared>>,
    /// The first seat's.
    state: watch::Receiver<State>,
    commands: mpsc::UnboundedSender<Command>,
    task: tokio::task::JoinHandle<()>,
    books: Books,
    greeted: watch::Sender<bool>,
}

fn stage(scripts: Vec<Result<Script, String>>) -> Stage {
    stage_with(scripts, false)
}

fn stage_with(scripts: Vec<Result<Script, String>>, deaf: bool) -> Stage {
    stage_of(plan(Scale::fixed(1)), 2, scripts, deaf)
}

/// Many seats, whose workers' routes and places are noted.
fn stage_of(plan: AppPlan, capacity: u16, scripts: Vec<Result<Script, String>>, deaf: bool) -> Stage {
    let journal = Journal(Arc::default(), Instant::now());
    let (commands, receiver) = mpsc::unbounded_channel();
    let many = capacity > 2;
    let launch = Actors {
        scripts: Mutex::new(scripts.into()),
        journal: journal.clone(),
        next_pid: Mutex::new(0),
        deaf,
        many,
    };
    let books = Books {
        journal: Some(journal.clone()),
        ..Books::default()
    };
    let (greeted, follow) = watch::channel(many);
    let begun = Arc::<AtomicBool>::default();
    let steward = Steward::new(
        launch,
        books.clone(),
        Arc::new(plan),
        capacity,
        receiver,
        follow,
        begun,
    );
    let seats: Vec<_> = steward.shared().collect();
    Stage {
        journal,
        state: seats[0].state.subscribe(),
        seats,
        commands,
        task: tokio::spawn(steward.keep()),
        books,
        greeted,
    }
}

impl Stage {
    async fn failure(&mut self) -> String {
        let state = self
            .state
            .wait_for(|s| matches!(s, State::Failed { .. }))
            .await
            .unwrap()
            .clone();
        let State::Failed { failure, .. } = state else {
            unreachable!()
        };
        failure.to_string()
    }

    fn tell(&self, command: Command) {
        self.commands.send(command).unwrap();
    }

    async fn drain(self, grace: Duration) -> Vec<(u128, String)> {
        self.tell(Command::Stop(Instant::now() + grace));
        self.task.await.unwrap();
        assert_eq!(*self.state.borrow(), State::Stopped);
        self.journal.all()
    }
}

fn journal(entries: &[(u128, &str)]) -> Vec<(u128, String)> {
    entries
        .iter()
        .map(|(at, what)| (*at, (*what).to_owned()))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn ready_then_drained() {
    let mut stage = stage(vec![Ok(vec![(millis(80), ready())])]);
    stage
        .state
        .wait_for(|s| matches!(s, State::Ready { pid: 1, .. }))
        .await
        .unwrap();
    assert_eq!(
        stage.drain(secs(30)).await,
        journal(&[(0, "launch 1"), (80, "drain 1"), (1080, "end 1")])
    );
}

#[tokio::test(start_paused = true)]
async fn crashes_are_answered_with_growing_pauses() {
    let dies = || Ok(vec![(millis(10), crash())]);
    let mut stage = stage(vec![
        dies(),
        dies(),
        Err("no python".into()),
        Ok(vec![(millis(10), ready())]),
    ]);
    assert_eq!(
        stage.failure().await,
        "worker 1 was ended by SIGSEGV before its app was imported"
    );
    stage
        .state
        .wait_for(|s| matches!(s, State::Ready { .. }))
        .await
        .unwrap();
    let expected = journal(&[
        (0, "launch 1"),
        (10, "end 1"),
        (110, "launch 2"),
        (120, "end 2"),
        (320, "launch failed"),
        (720, "launch 3"),
    ]);
    assert_eq!(stage.journal.all(), expected);
}

#[tokio::test(start_paused = true)]
async fn pauses_are_short_again_after_a_minute_of_service() {
    let dies = || Ok(vec![(millis(0), crash())]);
    let lives = |time| Ok(vec![(millis(0), ready()), (time, crash())]);
    let stage = stage(vec![dies(), dies(), lives(secs(60)), lives(secs(1)), Ok(vec![])]);
    sleep(secs(62)).await;
    let launches: Vec<_> = stage
        .journal
        .all()
        .into_iter()
        .filter(|(_, what)| what.starts_with("launch"))
        .map(|(at, _)| at)
        .collect();
    assert_eq!(launches, [0, 100, 300, 60_400, 61_600]);
}

#[tokio::test(start_paused = true)]
async fn an_app_that_cannot_be_imported_says_so() {
    let failed = Event::ImportFailed {
        message: "No module named 'nope'".into(),
        traceback: "Traceback…\n".into(),
    };
    let mut stage = stage(vec![Ok(vec![(millis(5), failed)]), Ok(vec![])]);
    assert_eq!(stage.failure().await, "No module named 'nope'\nTraceback…");
    assert_eq!(
        stage.journal.all(),
        journal(&[(0, "launch 1"), (5, "kill 1"), (5, "end 1")])
    );
}

#[tokio::test(start_paused = true)]
async fn replacements_are_counted_by_their_cause() {
    let import_failed = Event::ImportFailed {
        message: "no".into(),
        traceback: String::new(),
    };
    let exits = Event::Exited(Exit::Code(3));
    let stage = stage(vec![
        Err("no python".into()),
        Ok(vec![(millis(1), import_failed)]),
        Ok(vec![(secs(31), ready())]),
        Ok(vec![(millis(1), exits.clone())]),
        Ok(vec![(millis(1), ready()), (millis(1), exits)]),
        Ok(vec![(millis(1), ready()), (millis(1), crash())]),
        Ok(vec![
            (millis(1), ready()),
            (millis(1), Event::Closed),
            (millis(1), crash()),
        ]),
        Ok(vec![(millis(1), Event::Broken("it lies".into()))]),
        Ok(vec![(millis(1), ready()), (millis(1), ready())]),
        Ok(vec![(millis(1), ready())]),
    ]);
    sleep(secs(120)).await;
    assert!(matches!(*stage.state.borrow(), State::Ready { .. }));
    stage.books.damage.notify_one();
    sleep(millis(1)).await;
    let counts = Cause::ALL[..7]
        .iter()
        .copied()
        .map(|cause| (cause, stage.seats[0].endings.get(cause)));
    assert_eq!(
        counts.collect::<Vec<_>>(),
        [
            (Cause::NotStarted, 1),
            (Cause::ImportFailed, 1),
            (Cause::StartupTimeout, 1),
            (Cause::Exited, 2),
            (Cause::Signal, 2),
            (Cause::Broken, 2),
            (Cause::Damaged, 1),
        ]
    );
    let seat = Arc::clone(&stage.seats[0]);
    stage.drain(secs(1)).await;
    let all: u64 = Cause::ALL.map(|cause| seat.endings.get(cause)).iter().sum();
    assert_eq!(all, 10, "an ordered end is no replacement");
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_is_not_ready_in_time_is_replaced() {
    let mut stage = stage(vec![Ok(vec![]), Ok(vec![])]);
    let failure = stage.failure().await;
    assert!(
        failure.contains("not imported within 30s (startup_timeout)"),
        "{failure}"
    );
    assert_eq!(
        stage.journal.all(),
        journal(&[(0, "launch 1"), (30_000, "kill 1"), (30_000, "end 1")])
    );
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_lies_is_killed_and_the_reason_is_told() {
    let lies = Event::Broken("a message of 4294967295 bytes was announced".into());
    let mut stage = stage(vec![
        Ok(vec![(millis(1), ready()), (millis(1), lies)]),
        Ok(vec![]),
    ]);
    assert_eq!(
        stage.failure().await,
        "worker 1 was ended: a message of 4294967295 bytes was announced"
    );
    assert_eq!(
        stage.journal.all(),
        journal(&[(0, "launch 1"), (2, "kill 1"), (2, "end 1")])
    );
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_closed_its_connection_may_still_exit_by_itself() {
    let script = vec![
        (millis(1), ready()),
        (millis(1), Event::Closed),
        (secs(1), Event::Exited(Exit::Code(7))),
    ];
    let mut stage = stage(vec![Ok(script), Ok(vec![])]);
    assert_eq!(stage.failure().await, "worker 1 exited with code 7");
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_closed_its_connection_and_stays_is_killed() {
    let mut stage = stage(vec![
        Ok(vec![(millis(1), ready()), (millis(1), Event::Closed)]),
        Ok(vec![]),
    ]);
    let failure = stage.failure().await;
    assert!(
        failure.contains("it had closed its control connection"),
        "{failure}"
    );
    assert_eq!(
        stage.journal.all(),
        journal(&[(0, "launch 1"), (5002, "kill 1"), (5002, "end 1")])
    );
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_a_start() {
    let stage = stage(vec![Ok(vec![])]);
    sleep(secs(1)).await;
    assert_eq!(
        stage.drain(secs(30)).await,
        journal(&[(0, "launch 1"), (1000, "kill 1"), (1000, "end 1")])
    );
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_a_pause() {
    let mut stage = stage(vec![Err("no python".into())]);
    assert_eq!(stage.failure().await, "no python");
    assert_eq!(stage.drain(secs(30)).await, journal(&[(0, "launch failed")]));
}

#[tokio::test(start_paused = true)]
async fn a_drain_that_takes_too_long_ends_in_a_stop() {
    let stage = stage(vec![Ok(vec![(millis(0), ready())])]);
    sleep(secs(1)).await;
    let told = stage.drain(millis(500)).await;
    assert_eq!(
        told,
        journal(&[
            (0, "launch 1"),
            (1000, "drain 1"),
            (1500, "stop 1"),
            (1500, "end 1")
        ])
    );
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_does_not_listen_is_killed() {
    let stage = stage_with(vec![Ok(vec![(millis(0), ready())])], true);
    sleep(secs(1)).await;
    let told = stage.drain(secs(10)).await;
    let expected = [
        (0, "launch 1"),
        (1000, "drain 1"),
        (11_000, "stop 1"),
        (13_000, "kill 1"),
        (13_000, "end 1"),
    ];
    assert_eq!(told, journal(&expected));
}

#[tokio::test(start_paused = true)]
async fn damaged_memory_is_renewed_when_all_are_dead() {
    let mut stage = stage(vec![
        Ok(vec![(millis(0), ready())]),
        Ok(vec![(millis(3), ready())]),
    ]);
    sleep(secs(1)).await;
    *stage.books.refusals.lock().unwrap() = 2;
    stage.books.damage.notify_one();
    assert_eq!(stage.failure().await, "the shared memory is damaged");
    stage
        .state
        .wait_for(|s| matches!(s, State::Ready { pid: 2, .. }))
        .await
        .unwrap();
    let expected = journal(&[
        (0, "launch 1"),
        (1000, "kill 1"),
        (1000, "end 1"),
        (3000, "renew"),
        (3000, "launch 2"),
    ]);
    assert_eq!(stage.journal.all(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_farm_that_is_dropped_leaves_nothing_running() {
    let stage = stage(vec![Ok(vec![(millis(0), ready())])]);
    sleep(secs(1)).await;
    drop(stage.commands);
    stage.task.await.unwrap();
    assert_eq!(
        stage.journal.all(),
        journal(&[(0, "launch 1"), (1000, "kill 1"), (1000, "end 1")])
    );
}
