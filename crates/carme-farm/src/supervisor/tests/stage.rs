//! Workers and a queue that are made up, and the seats that a steward keeps filled with them.

use std::collections::VecDeque;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use carme_ring::WorkerIndex;
use carme_ring::control::Interface;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::super::*;
use crate::desk::{Queue, WorkerHangs};
use crate::dispatch::Census;
use crate::plan::{AppPlan, Recycle, Scale};
use crate::process::Exit;

/// What a made-up worker does, in order: waits, then says.
pub(super) type Script = Vec<(Duration, Event)>;

/// Everything that happened, with the time since the start.
#[derive(Clone)]
pub(super) struct Journal(Arc<Mutex<Vec<(u128, String)>>>, Instant);

impl Journal {
    pub(super) fn note(&self, what: impl Into<String>) {
        self.0
            .lock()
            .unwrap()
            .push((self.1.elapsed().as_millis(), what.into()));
    }

    pub(super) fn all(&self) -> Vec<(u128, String)> {
        self.0.lock().unwrap().clone()
    }
}

pub(super) struct Actors {
    scripts: Mutex<VecDeque<Result<Script, String>>>,
    journal: Journal,
    next_pid: Mutex<u32>,
    deaf: bool,
    /// More than one seat: its route and its place are of interest.
    many: bool,
}

pub(super) struct Actor {
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
pub(super) struct Books {
    pub(super) census: Arc<Mutex<Census>>,
    pub(super) damage: Arc<tokio::sync::Notify>,
    pub(super) hangs: Arc<tokio::sync::Notify>,
    /// The place of the worker that hangs, and whether it has nothing else to do.
    pub(super) hung: Arc<Mutex<(u16, bool)>>,
    pub(super) journal: Option<Journal>,
    /// So many times no new region can be had.
    pub(super) refusals: Arc<Mutex<u32>>,
}

impl Queue for Books {
    fn census(&self) -> Census {
        self.census.lock().unwrap().clone()
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

pub(super) fn plan(workers: Scale) -> AppPlan {
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

pub(super) fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub(super) fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

pub(super) fn ready() -> Event {
    Event::Ready(About::default())
}

pub(super) fn crash() -> Event {
    Event::Exited(Exit::Signal(11))
}

/// Seats on their stage.
pub(super) struct Stage {
    pub(super) journal: Journal,
    pub(super) seats: Vec<Arc<Shared>>,
    /// The first seat's.
    pub(super) shown: watch::Receiver<Shown>,
    pub(super) commands: mpsc::UnboundedSender<Command>,
    pub(super) task: tokio::task::JoinHandle<()>,
    pub(super) books: Books,
    pub(super) greeted: watch::Sender<bool>,
}

pub(super) fn stage(scripts: Vec<Result<Script, String>>) -> Stage {
    stage_with(scripts, false)
}

pub(super) fn stage_with(scripts: Vec<Result<Script, String>>, deaf: bool) -> Stage {
    stage_of(plan(Scale::fixed(1)), 2, scripts, deaf)
}

/// Many seats, whose workers' routes and places are noted.
pub(super) fn stage_of(
    plan: AppPlan,
    capacity: u16,
    scripts: Vec<Result<Script, String>>,
    deaf: bool,
) -> Stage {
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
        shown: seats[0].shown.subscribe(),
        seats,
        commands,
        task: tokio::spawn(steward.keep()),
        books,
        greeted,
    }
}

impl Stage {
    pub(super) async fn failure(&mut self) -> String {
        let shown = self
            .shown
            .wait_for(|s| matches!(s.state, State::Failed { .. }))
            .await
            .unwrap()
            .clone();
        let State::Failed { failure, .. } = shown.state else {
            unreachable!()
        };
        failure.to_string()
    }

    pub(super) fn tell(&self, command: Command) {
        self.commands.send(command).unwrap();
    }

    pub(super) async fn drain(self, grace: Duration) -> Vec<(u128, String)> {
        self.tell(Command::Stop(Instant::now() + grace));
        self.task.await.unwrap();
        assert_eq!(self.shown.borrow().state, State::Stopped);
        self.journal.all()
    }
}

pub(super) fn journal(entries: &[(u128, &str)]) -> Vec<(u128, String)> {
    entries
        .iter()
        .map(|(at, what)| (*at, (*what).to_owned()))
        .collect()
}
