//! Real processes of a real Python, with a made-up worker in them and a desk that records.

use std::io::{Read, Seek};
use std::path::PathBuf;
use std::sync::Mutex;

use carme_ring::link::FrontBells;
use carme_ring::{Geometry, Region, WorkerIndex};

use super::*;
use crate::desk::{Queue, WorkerHangs};
use crate::dispatch::Census;
use crate::embedded::WorkerFiles;
use crate::plan::{Recycle, Scale};
use crate::supervisor::{Failure, State};
use crate::workers::Workers;

const GEOMETRY: Geometry = Geometry {
    slots: 4,
    slot_bytes: 1024,
    workers: 4,
    outbox_bytes: 4096,
    inbox_bytes: 1024,
};

/// A dispatcher that writes down what it is told.
#[derive(Clone)]
struct Notebook {
    /// `None` while it is damaged.
    region: Arc<Mutex<Option<Arc<Region>>>>,
    damage: Arc<tokio::sync::Notify>,
    notes: mpsc::UnboundedSender<String>,
    kept: Arc<Mutex<Vec<(FrontBells, ControlSender)>>>,
}

impl Notebook {
    fn note(&self, what: String) {
        let _ = self.notes.send(what);
    }
}

impl Desk for Notebook {
    fn region_for(&self, _: WorkerIndex) -> Option<(Arc<Region>, Geometry)> {
        let region = self.region.lock().unwrap().clone()?;
        Some((region, GEOMETRY))
    }

    fn attach(
        &self,
        place: WorkerIndex,
        worker: Identity,
        bells: FrontBells,
        control: ControlSender,
    ) -> std::io::Result<()> {
        self.note(format!("attach {place} {}", worker.route));
        self.kept.lock().unwrap().push((bells, control));
        Ok(())
    }

    fn serving(&self, place: WorkerIndex, serving: bool) {
        self.note(format!("serving {place} {serving}"));
    }

    fn died(&self, place: WorkerIndex) {
        self.note(format!("died {place}"));
    }

    fn need_file(&self, place: WorkerIndex, stream: StreamId) {
        self.note(format!("need file {place} {}", stream.0));
    }

    fn file_from_worker(
        &self,
        place: WorkerIndex,
        stream: StreamId,
        mut file: std::fs::File,
        offset: u64,
        length: u64,
    ) {
        let mut text = String::new();
        file.seek(std::io::SeekFrom::Start(offset)).unwrap();
        file.take(length).read_to_string(&mut text).unwrap();
        self.note(format!("file {place} {} {text}", stream.0));
    }
}

impl Queue for Notebook {
    fn census(&self) -> Census {
        Census::default()
    }

    async fn damaged(&self) -> String {
        self.damage.notified().await;
        *self.region.lock().unwrap() = None;
        "the shared memory is damaged".to_owned()
    }

    async fn hung(&self) -> WorkerHangs {
        std::future::pending().await
    }

    fn has_only_hung(&self, _: WorkerIndex) -> bool {
        false
    }

    fn renew(&self) -> std::io::Result<()> {
        *self.region.lock().unwrap() = Some(Arc::new(Region::create(GEOMETRY)?));
        self.note("renew".to_owned());
        Ok(())
    }
}

struct Trial {
    workers: Workers,
    notes: mpsc::UnboundedReceiver<String>,
    damage: Arc<tokio::sync::Notify>,
    _folder: tempfile::TempDir,
}

/// The interpreter that the tests are given, or the one of this machine.
pub(crate) fn python() -> PathBuf {
    let given = std::env::var_os("CARME_TEST_PYTHONS");
    let first = given.and_then(|list| std::env::split_paths(&list).next());
    first.unwrap_or_else(|| "python3".into())
}

fn plan(role: &str, directory: PathBuf) -> AppPlan {
    AppPlan {
        name: "site".into(),
        python: python(),
        target: "mysite.wsgi".into(),
        import_root: directory.clone(),
        interface: Interface::Auto,
        directory,
        user: None,
        environment: [("CARME_TEST_ROLE", role), ("CARME_TEST_EXTRA", "ü")]
            .map(|(name, value)| (name.into(), Some(value.into())))
            .into(),
        workers: Scale::fixed(1),
        surge: 1,
        threads: 1,
        switch_interval: Duration::from_millis(1),
        route: "site_{n}".into(),
        startup_timeout: Duration::from_secs(60),
        drain_timeout: Duration::from_secs(60),
        recycle: Recycle::default(),
    }
}

fn trial_of(change: impl FnOnce(&mut AppPlan), role: &str) -> Trial {
    let folder = tempfile::tempdir().unwrap();
    let start = folder.path().join("fake_worker.py");
    std::fs::write(&start, include_str!("fake_worker.py")).unwrap();
    let mut plan = plan(role, folder.path().to_owned());
    change(&mut plan);
    let (send, notes) = mpsc::unbounded_channel();
    let region = Arc::new(Mutex::new(Some(Arc::new(Region::create(GEOMETRY).unwrap()))));
    let damage = Arc::<tokio::sync::Notify>::default();
    let desk = Notebook {
        region,
        damage: Arc::clone(&damage),
        notes: send,
        kept: Arc::default(),
    };
    let files = WorkerFiles {
        library: folder.path().join("no.so"),
        start,
    };
    Trial {
        workers: Workers::keep(
            plan,
            Arc::new(move |_| Ok(files.clone())),
            &desk,
            GEOMETRY.workers,
        ),
        notes,
        damage,
        _folder: folder,
    }
}

fn trial(role: &str) -> Trial {
    trial_of(|_| {}, role)
}

impl Trial {
    async fn failure(&self) -> String {
        let failure: Arc<Failure> = self.workers.first().await.expect_err("it started");
        failure.to_string()
    }

    async fn noted(&mut self, expected: &[&str]) {
        for expected in expected {
            assert_eq!(self.notes.recv().await.as_deref(), Some(*expected));
        }
    }

    async fn end(self) {
        self.workers
            .end(tokio::time::Instant::now() + Duration::from_secs(60))
            .await;
    }
}

#[tokio::test]
async fn a_worker_serves_and_is_drained() {
    let mut trial = trial("serve");
    let about = trial.workers.first().await.unwrap();
    assert_eq!(
        (about.title.as_str(), about.interface.as_str()),
        ("mysite.wsgi", "WSGI")
    );
    assert!(about.python.starts_with("CPython 3."), "{}", about.python);
    let states: Vec<_> = trial
        .workers
        .roster()
        .seats()
        .map(|seat| (seat.route().to_string(), seat.state()))
        .collect();
    assert!(
        matches!(&states[..], [(route, State::Ready { .. })] if route == "site_1"),
        "{states:?}"
    );
    trial.noted(&["attach 0 site_1", "serving 0 true"]).await;
    let Trial {
        workers,
        mut notes,
        _folder,
        ..
    } = trial;
    workers
        .end(tokio::time::Instant::now() + Duration::from_secs(60))
        .await;
    assert_eq!(notes.recv().await.as_deref(), Some("serving 0 false"));
    assert_eq!(notes.recv().await.as_deref(), Some("died 0"));
    assert_eq!(notes.recv().await, None);
}

#[tokio::test]
async fn a_worker_behind_a_launcher_is_known_by_its_own_pid() {
    let mut trial = trial("launcher");
    trial.workers.first().await.unwrap();
    trial.noted(&["attach 0 site_1", "serving 0 true"]).await;
    trial.damage.notify_one();
    trial
        .noted(&["died 0", "renew", "attach 0 site_1", "serving 0 true"])
        .await;
    trial.end().await;
}

#[tokio::test]
async fn a_damaged_region_is_replaced_when_all_who_had_it_are_dead() {
    let mut trial = trial_of(|plan| plan.workers = Scale::fixed(2), "serve");
    let mut notes = Vec::new();
    for count in [4, 3, 4] {
        for _ in 0..count {
            notes.push(trial.notes.recv().await.unwrap());
        }
        if notes.len() == 4 {
            trial.damage.notify_one();
        }
    }
    notes[4..6].sort();
    assert_eq!(notes[4..7], ["died 0", "died 1", "renew"]);
    assert!(
        ["serving 0 true", "serving 1 true"]
            .iter()
            .all(|s| notes[7..].contains(&(*s).to_owned())),
        "{notes:?}"
    );
    trial.end().await;
}

#[tokio::test]
async fn several_workers_have_places_and_routes_of_their_own() {
    let mut trial = trial_of(|plan| plan.workers = Scale::fixed(2), "serve");
    let mut notes = Vec::new();
    for _ in 0..4 {
        notes.push(trial.notes.recv().await.unwrap());
    }
    notes.sort();
    assert_eq!(
        notes,
        [
            "attach 0 site_1",
            "attach 1 site_2",
            "serving 0 true",
            "serving 1 true"
        ]
    );
    trial.end().await;
}

#[tokio::test]
async fn a_crash_is_followed_by_a_replacement_in_the_same_place() {
    let mut trial = trial("crash");
    trial
        .noted(&[
            "attach 0 site_1",
            "serving 0 true",
            "died 0",
            "attach 0 site_1",
            "serving 0 true",
            "died 0",
        ])
        .await;
    trial.end().await;
}

#[tokio::test]
async fn files_reach_the_dispatcher() {
    let mut trial = trial("file");
    trial
        .noted(&[
            "attach 0 site_1",
            "serving 0 true",
            "need file 0 6",
            "file 0 7 ntent",
        ])
        .await;
    trial.end().await;
}

#[tokio::test]
async fn a_pipe_is_no_file() {
    let mut trial = trial("not a file");
    trial
        .noted(&["attach 0 site_1", "serving 0 true", "died 0"])
        .await;
    trial.end().await;
}

#[tokio::test]
async fn an_import_that_fails_comes_with_its_traceback() {
    let trial = trial("import failed");
    assert_eq!(trial.failure().await, "No module named 'nope'\nTraceback: nope");
    trial.end().await;
}

#[tokio::test]
async fn the_last_words_of_a_worker_that_exits_at_once_are_told() {
    let trial = trial("early exit");
    let failure = trial.failure().await;
    let expected = "exited with code 1 before its app was imported: this interpreter cannot be served";
    assert!(failure.ends_with(expected), "{failure}");
    trial.end().await;
}

#[tokio::test]
async fn interpreters_that_cannot_be_served_are_refused_in_one_sentence() {
    for (role, said) in [
        ("free-threaded", "is a free-threaded CPython 3.13.1"),
        ("old", "is CPython 3.8.20"),
        ("pypy", "is pypy 3."),
    ] {
        let trial = trial(role);
        let failure = trial.failure().await;
        assert!(
            failure.contains("carme serves apps from CPython 3.9 and later with the GIL, and "),
            "{failure}"
        );
        assert!(failure.contains(said), "{failure}");
        trial.end().await;
    }
}

#[tokio::test]
async fn a_worker_that_breaks_the_protocol_is_ended_and_the_reason_told() {
    let trial = trial("garbage");
    let failure = trial.failure().await;
    assert!(
        failure.contains("a message of 4294967295 bytes was announced"),
        "{failure}"
    );
    trial.end().await;
}

#[tokio::test]
async fn a_worker_that_never_says_hello_is_ended() {
    let trial = trial_of(|plan| plan.startup_timeout = Duration::from_millis(300), "deaf");
    let failure = trial.failure().await;
    assert!(
        failure.ends_with("its app was not imported within 300ms (startup_timeout)"),
        "{failure}"
    );
    trial.end().await;
}

#[tokio::test]
async fn what_cannot_be_started_is_named() {
    let trial = trial_of(|plan| plan.python = "/no/such/python".into(), "serve");
    let failure = trial.failure().await;
    assert!(
        failure.starts_with("/no/such/python could not be started: "),
        "{failure}"
    );
    trial.end().await;
    let trial = trial_of(|plan| plan.directory = "/no/such/folder".into(), "serve");
    let failure = trial.failure().await;
    assert!(
        failure.ends_with("the app's directory /no/such/folder is not there"),
        "{failure}"
    );
    trial.end().await;
}
