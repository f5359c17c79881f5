//! A front in miniature: starts a real interpreter with the real start.py and library, and plays the front's part.

#![allow(dead_code, unreachable_pub, missing_docs)]

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use carme_ring::control::{AppSettings, Interface, ToFront, ToWorker, Welcome};
use carme_ring::frame::{BodyKind, RequestHead, ResponseHead, Scheme, Version};
use carme_ring::link::{ControlSender, FrontBells, Invitation};
use carme_ring::os::{borrow, ordinary_file};
use carme_ring::{
    Collected, FrontRing, Geometry, InboxMessage, Record, RecordKind, Region, Rung, StreamId, Ticket,
    WorkerIndex, flags,
};

/// Everything a test waits for comes within this, or never.
const PATIENCE: Duration = Duration::from_secs(60);

const WORKER: WorkerIndex = WorkerIndex(0);

/// The interpreters to test with: `CARME_TEST_PYTHONS`, or the one on the path.
pub fn pythons() -> Vec<PathBuf> {
    let list = std::env::var_os("CARME_TEST_PYTHONS").unwrap_or_default();
    let given: Vec<_> = std::env::split_paths(&list)
        .filter(|path| !path.as_os_str().is_empty())
        .collect();
    if given.is_empty() {
        vec![if cfg!(windows) { "python" } else { "python3" }.into()]
    } else {
        given
    }
}

/// The library that cargo has built beside the tests, from `src/testing.rs`.
pub fn library() -> PathBuf {
    let tests = std::env::current_exe().expect("the test program's path");
    let name = if cfg!(windows) {
        "carme_worker_testing.dll"
    } else {
        "libcarme_worker_testing.so"
    };
    let path = tests
        .ancestors()
        .nth(2)
        .expect("target/debug/deps/test")
        .join("examples")
        .join(name);
    assert!(
        path.exists(),
        "{} is not built: cargo build -p carme-worker --examples",
        path.display()
    );
    path
}

fn start_script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../python/carme_worker/start.py")
}

/// How to start a worker.
pub struct Plan<'a> {
    pub python: &'a Path,
    pub target: &'a str,
    pub threads: u16,
}

/// A response, complete.
#[derive(Debug, Default)]
pub struct Answer {
    pub kinds: Vec<RecordKind>,
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub reason: String,
    pub file: Option<(u64, u64)>,
}

/// The front of one worker.
pub struct Front {
    pub child: Child,
    pub sender: ControlSender,
    pub first: ToFront,
    control: mpsc::Receiver<(ToFront, Option<File>)>,
    ring: FrontRing,
    bells: FrontBells,
    records: HashMap<StreamId, Vec<Record>>,
    tickets: Vec<Ticket>,
    files: HashMap<StreamId, File>,
    given: HashMap<StreamId, (File, u64, u64)>,
    next: u64,
    /// Give credit for body bytes as they come.
    pub generous: bool,
    pub stderr: Arc<Mutex<String>>,
    errors_ended: mpsc::Receiver<()>,
}

pub fn write_app(folder: &Path, source: &str) {
    std::fs::write(folder.join("app.py"), source).expect("app.py is written");
}

impl Front {
    /// Starts a worker for the modules in `folder` and waits for its first message after the hello.
    pub fn start(folder: &Path, plan: &Plan<'_>) -> Self {
        let geometry = Geometry {
            slots: 16,
            slot_bytes: 4096,
            workers: 1,
            outbox_bytes: 1 << 18,
            inbox_bytes: 1 << 12,
        };
        let region = Arc::new(Region::create(geometry).expect("a region"));
        let mut ring = FrontRing::new(Arc::clone(&region));
        ring.clear(WORKER);
        let invitation = Invitation::new().expect("an invitation");
        let mut command = Command::new(plan.python);
        command
            .arg("-u")
            .arg(start_script())
            .current_dir(folder)
            .env("CARME_WORKER_LIBRARY", library());
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        invitation.prepare(&mut command);
        let mut child = command.spawn().expect("python starts");
        let stderr = Arc::<Mutex<String>>::default();
        let (ended, errors_ended) = mpsc::channel();
        let lines = BufReader::new(child.stderr.take().expect("piped"));
        let collected = Arc::clone(&stderr);
        thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                eprintln!("worker: {line}");
                let mut collected = collected.lock().unwrap();
                collected.push_str(&line);
                collected.push('\n');
            }
            let _ = ended.send(());
        });
        let (mut link, mut receiver) = invitation
            .accept(Instant::now() + PATIENCE, || true)
            .expect("the worker says hello");
        let app = AppSettings {
            target: plan.target.into(),
            import_root: folder.into(),
            interface: Interface::Auto,
            threads: plan.threads,
            switch_interval_us: 1000,
            route: "test_1".into(),
            multiprocess: true,
        };
        let handle = region.handle().expect("a shared region");
        link.welcome(
            Welcome {
                index: WORKER,
                geometry,
                app,
            },
            handle,
        )
        .expect("welcome is sent");
        let (sender, bells) = (link.sender, link.bells);
        let (told, control) = mpsc::channel();
        thread::spawn(move || {
            while let Ok((message, handles)) = receiver.receive() {
                let file = handles
                    .into_iter()
                    .next()
                    .map(|handle| ordinary_file(handle).expect("an ordinary file"));
                if told.send((message, file)).is_err() {
                    return;
                }
            }
        });
        let (first, _) = control.recv_timeout(PATIENCE).expect("ready, or not");
        ring.serve(WORKER, true);
        Self {
            child,
            sender,
            first,
            control,
            ring,
            bells,
            records: HashMap::new(),
            tickets: Vec::new(),
            files: HashMap::new(),
            given: HashMap::new(),
            next: 1,
            generous: true,
            stderr,
            errors_ended,
        }
    }

    /// Queues a request and wakes whoever should take it.
    pub fn send(&mut self, method: &str, path: &str, body: Option<&[u8]>) -> StreamId {
        self.send_with(method, path, body, None)
    }

    /// The same with the body in a file, given when it is asked for.
    pub fn send_file(&mut self, path: &str, file: File) -> StreamId {
        self.send_with("POST", path, None, Some(file))
    }

    fn send_with(&mut self, method: &str, path: &str, body: Option<&[u8]>, file: Option<File>) -> StreamId {
        let stream = StreamId(self.next);
        self.next += 1;
        let id = format!("id-{}", stream.0);
        let mut head = RequestHead::new(Version::Http11, Scheme::Http);
        head.body = match (&body, &file) {
            (Some(_), _) => BodyKind::Inline,
            (None, Some(file)) => BodyKind::File(file.metadata().expect("metadata").len()),
            (None, None) => BodyKind::None,
        };
        head.method = method.as_bytes();
        (head.target, head.path) = (path.as_bytes(), path.as_bytes());
        head.request_id = id.as_bytes();
        if let Some(file) = file {
            self.files.insert(stream, file);
        }
        let mut encoded = Vec::new();
        head.encode([(&b"host"[..], &b"test"[..])].into_iter(), &mut encoded);
        self.collect();
        let ticket = self
            .ring
            .submit(stream, &encoded, body.unwrap_or_default())
            .expect("room in the ring");
        self.tickets.push(ticket);
        self.wake(false);
        stream
    }

    /// Gets the slots back that the worker has read.
    fn collect(&mut self) {
        for ticket in std::mem::take(&mut self.tickets) {
            match self.ring.collect(ticket).expect("a sound slot") {
                Collected::Read(..) => {}
                Collected::Queued(ticket) | Collected::Taken(ticket, _) => self.tickets.push(ticket),
            }
        }
    }

    /// Wakes threads; `stalled`: also the second of a busy worker.
    pub fn wake(&mut self, stalled: bool) {
        let bells = &self.bells;
        self.ring
            .wake(stalled, |_, rung| match rung {
                Rung::Leader => bells.leader.ring(),
                Rung::Second => bells.second.ring(),
            })
            .expect("a sound region");
    }

    /// Tells the worker something about a stream.
    pub fn post(&mut self, message: InboxMessage) {
        if self.ring.post(WORKER, message).expect("room in the inbox") {
            self.bells.inbox.ring();
        }
    }

    /// Takes in what the worker has sent.
    pub fn pump(&mut self) {
        let mut credit = Vec::new();
        let records = &mut self.records;
        let wanted = self
            .ring
            .drain(WORKER, |_, record| {
                let head = match record.kind {
                    RecordKind::Response => ResponseHead::decode(&record.payload).expect("a sound head").1,
                    _ => 0,
                };
                if matches!(record.kind, RecordKind::Response | RecordKind::Body) {
                    credit.push((record.stream, (record.payload.len() - head) as u32));
                }
                records.entry(record.stream).or_default().push(record);
            })
            .expect("a sound outbox");
        if wanted {
            self.bells.inbox.ring();
        }
        if self.generous {
            for (stream, bytes) in credit {
                self.post(InboxMessage::Credit { stream, bytes });
            }
        }
        while let Ok((message, file)) = self.control.try_recv() {
            match message {
                ToFront::NeedFile { stream } => {
                    let file = self
                        .files
                        .remove(&StreamId(stream))
                        .expect("asked for once, and promised");
                    let length = file.metadata().expect("metadata").len();
                    self.sender
                        .send_with(&ToWorker::File { stream, length }, &[borrow(&file)])
                        .expect("the link works");
                }
                ToFront::File {
                    stream,
                    offset,
                    length,
                } => {
                    self.given
                        .insert(StreamId(stream), (file.expect("a handle"), offset, length));
                }
                other => panic!("unexpected: {other:?}"),
            }
        }
    }

    /// Body bytes of a stream that have come so far.
    pub fn received(&self, stream: StreamId) -> usize {
        self.records
            .get(&stream)
            .map_or(0, |records| records.iter().map(|r| r.payload.len()).sum())
    }

    /// Pumps until `done`.
    pub fn until(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.ring.may_sleep();
            self.ring.awake();
            self.pump();
            if done(self) {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "waited for {what}; stderr: {}",
                self.stderr.lock().unwrap()
            );
            self.wake(true);
            thread::yield_now();
        }
    }

    /// Whether the last record of a stream has come.
    pub fn is_answered(&self, stream: StreamId) -> bool {
        self.records
            .get(&stream)
            .is_some_and(|records| records.iter().any(|r| r.flags & flags::END != 0))
    }

    /// Waits for the whole answer.
    pub fn answer(&mut self, stream: StreamId) -> Answer {
        self.until("an answer", |front| {
            let announced = front
                .records
                .get(&stream)
                .is_some_and(|records| records.iter().any(|r| r.flags & flags::FILE != 0));
            front.is_answered(stream) && (!announced || front.given.contains_key(&stream))
        });
        let mut answer = Answer::default();
        for record in self.records.remove(&stream).unwrap() {
            answer.kinds.push(record.kind);
            match record.kind {
                RecordKind::Response => {
                    let (head, at) = ResponseHead::decode(&record.payload).expect("a sound head");
                    answer.status = head.status;
                    answer.headers = head
                        .headers()
                        .map(|field| field.expect("a sound field"))
                        .map(|(n, v)| {
                            (
                                String::from_utf8_lossy(n).into(),
                                String::from_utf8_lossy(v).into(),
                            )
                        })
                        .collect();
                    answer.body.extend_from_slice(&record.payload[at..]);
                }
                RecordKind::Body => answer.body.extend_from_slice(&record.payload),
                _ => answer.reason = String::from_utf8_lossy(&record.payload).into(),
            }
        }
        if let Some((file, offset, length)) = self.given.remove(&stream) {
            answer.file = Some((offset, length));
            answer.body = vec![0; length as usize];
            #[cfg(unix)]
            std::os::unix::fs::FileExt::read_exact_at(&file, &mut answer.body, offset)
                .expect("the file is read");
            #[cfg(windows)]
            {
                use std::io::{Read, Seek, SeekFrom};
                let mut file = file;
                file.seek(SeekFrom::Start(offset)).expect("the file is read");
                file.read_exact(&mut answer.body).expect("the file is read");
            }
        }
        answer
    }

    /// A request with its answer.
    pub fn get(&mut self, path: &str) -> Answer {
        let stream = self.send("GET", path, None);
        self.answer(stream)
    }

    /// Requests that the worker has taken and not finished.
    pub fn in_flight(&self) -> u64 {
        self.ring.load(WORKER)
    }

    /// Lets the worker take nothing more.
    pub fn drain(&mut self) {
        self.ring.serve(WORKER, false);
        self.sender.send(&ToWorker::Drain).expect("the link works");
    }

    /// Waits for the end of the process; its exit code.
    pub fn exit_code(&mut self) -> Option<i32> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("the child is waited for") {
                let _ = self.errors_ended.recv_timeout(PATIENCE);
                return status.code();
            }
            assert!(Instant::now() < deadline, "the worker does not end");
            thread::sleep(Duration::from_millis(2));
        }
    }

    pub fn errors(&self) -> String {
        self.stderr.lock().unwrap().clone()
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a test with every interpreter, on a worker of this app that is ready.
pub fn with_worker(app: &str, threads: u16, test: impl Fn(Front, &Path)) {
    for python in pythons() {
        let folder = tempfile::tempdir().expect("a folder");
        write_app(folder.path(), app);
        let front = Front::start(
            folder.path(),
            &Plan {
                python: &python,
                target: "app",
                threads,
            },
        );
        assert!(matches!(front.first, ToFront::Ready { .. }), "{:?}", front.first);
        test(front, folder.path());
    }
}
