//! The threads that run the app: they take turns as [`Roles`] says, and take requests only while they hold the GIL, so that
//! a request is never tied to a thread that waits for it. One that finds it in use gives way as [`Contention`] says.
//!
//! They are Python's own `threading.Thread`s, daemons, so that the app finds a proper `threading.current_thread()`. The
//! main thread runs no requests: it waits for the order to drain and then ends the interpreter in the usual way.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use carme_ring::frame::RequestHead;
use carme_ring::link::Bell;
use carme_ring::{Armed, Need, Taken, clock};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::contention::Contention;
use crate::fuse::Fuse;
use crate::link::DrainSignal;
use crate::mail::Mail;
use crate::post::{Post, Seat};
use crate::process::{give_up, was_rung};
use crate::roles::{Handover, Role, Roles, ThreadId};
use crate::wsgi::{self, EnvironBuilder, Facts};

/// What a crew is made of.
pub struct Equipment {
    /// The way to the front.
    pub post: Arc<Post>,
    /// Rung for the leader.
    pub leader: Bell,
    /// Rung for the second.
    pub second: Bell,
    /// Threads at most.
    pub threads: usize,
    /// What the app is told of threads and processes.
    pub facts: Facts,
}

/// All threads of a worker.
#[pyclass(frozen, module = "carme")]
pub struct Crew {
    equipment: Equipment,
    app: Py<PyAny>,
    contention: Contention,
    roles: Mutex<Roles>,
    /// Where the threads that stand by wait for a role, and the main thread for the end of the last request.
    changed: Condvar,
    /// Set with the GIL held; whoever sees it takes nothing more.
    draining: AtomicBool,
}

impl Crew {
    /// A crew without threads.
    pub fn new(py: Python<'_>, equipment: Equipment, app: Py<PyAny>) -> PyResult<Self> {
        // The app may have set its own by now.
        let interval: f64 = py.import("sys")?.call_method0("getswitchinterval")?.extract()?;
        Ok(Self {
            contention: Contention::new(Duration::from_secs_f64(interval)),
            roles: Mutex::new(Roles::new(equipment.threads)),
            equipment,
            app,
            changed: Condvar::new(),
            draining: AtomicBool::new(false),
        })
    }

    fn roles(&self) -> MutexGuard<'_, Roles> {
        self.roles.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Serves until the front says to drain and the last request is finished.
    pub fn serve(slf: &Bound<'_, Self>, drain: &DrainSignal) -> PyResult<()> {
        let py = slf.py();
        let crew = slf.get();
        Self::start(slf, ThreadId(0))?;
        py.detach(|| drain.wait());
        // The GIL is held here and by every thread that takes: none is between the look at this flag and its `took`.
        crew.draining.store(true, Ordering::Release);
        py.detach(|| {
            let mut roles = crew.roles();
            while roles.running() > 0 {
                roles = crew.changed.wait(roles).unwrap_or_else(PoisonError::into_inner);
            }
        });
        Ok(())
    }

    fn start(slf: &Bound<'_, Self>, thread: ThreadId) -> PyResult<()> {
        let py = slf.py();
        let settings = PyDict::new(py);
        settings.set_item("target", slf.getattr("work")?)?;
        settings.set_item("args", (thread.0,))?;
        settings.set_item("name", format!("carme-{}", thread.0 + 1))?;
        settings.set_item("daemon", true)?;
        py.import("threading")?
            .call_method("Thread", (), Some(&settings))?
            .call_method0("start")?;
        Ok(())
    }

    /// Sees to it that somebody listens while this thread runs a request.
    fn hand_over(slf: &Bound<'_, Self>, handover: Handover) {
        let crew = slf.get();
        match handover {
            Handover::None => {}
            Handover::Wake(_) => crew.changed.notify_all(),
            Handover::Create(thread) => {
                if let Err(error) = Self::start(slf, thread) {
                    crew.roles().not_created(thread);
                    let count = thread.0;
                    eprintln!("carme: no more than {count} threads could be created: {error}");
                }
            }
        }
    }

    /// Sleeps, first in this role, until there may be something to do for this thread.
    fn sleep(&self, py: Python<'_>, thread: ThreadId, mut role: Role) {
        loop {
            let Some(asked) = self.sleep_once(py, thread, role) else {
                return;
            };
            let now = self.has_gil(asked);
            if !self.contention.must_give_way(asked, now) {
                return;
            }
            role = self.roles().gave_way(thread);
        }
    }

    /// Counts the time since a thread has asked for the GIL, which it has now; says when that is.
    fn has_gil(&self, asked: u64) -> u64 {
        let now = clock::now();
        self.equipment.post.ring.note_gil_wait(now.saturating_sub(asked));
        now
    }

    /// Sleeps in a role until this thread is called, and says when it asked for the GIL. Nothing: it need not sleep at all.
    fn sleep_once(&self, py: Python<'_>, thread: ThreadId, role: Role) -> Option<u64> {
        let Equipment {
            post, leader, second, ..
        } = &self.equipment;
        let called = |bell: &Bell| {
            py.detach(|| {
                was_rung(bell.wait());
                clock::now()
            })
        };
        match role {
            Role::Leader => match post.ring.arm_leader() {
                Armed::Look => None,
                Armed::Sleep => {
                    let asked = called(leader);
                    post.ring.disarm_leader();
                    Some(asked)
                }
            },
            Role::Second => {
                let crowded = self.contention.is_crowded();
                post.ring
                    .arm_second(if crowded { Need::Stalled } else { Need::Waiting });
                let asked = called(second);
                post.ring.disarm_second();
                Some(asked)
            }
            Role::Standby | Role::Running => Some(py.detach(|| {
                let mut roles = self.roles();
                while roles.role(thread) == Role::Standby {
                    roles = self.changed.wait(roles).unwrap_or_else(PoisonError::into_inner);
                }
                drop(roles);
                clock::now()
            })),
        }
    }

    /// Lets go of the GIL for a moment, and sleeps if the threads that get it then do better without this one.
    fn make_room(&self, py: Python<'_>, thread: ThreadId) {
        let asked = py.detach(|| {
            // Whoever waits for the GIL has to wake up to get it.
            std::thread::sleep(Duration::from_micros(50));
            clock::now()
        });
        if self.contention.must_stop(asked, self.has_gil(asked)) {
            let role = self.roles().gave_way(thread);
            self.sleep(py, thread, role);
        }
    }
}

/// How long a thread works beside others before it looks again whether there is room for it.
const ROOM_FOR: Duration = Duration::from_millis(4);

#[pymethods]
impl Crew {
    /// The life of one thread. A thread that fails would leave its request without an answer and its role without
    /// anyone in it; the front replaces a whole worker, so that is what it gets to do.
    fn work(slf: &Bound<'_, Self>, thread: usize) {
        match catch_unwind(AssertUnwindSafe(|| Self::run(slf, ThreadId(thread)))) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => give_up(&error),
            Err(_) => give_up(&"its native part panicked"),
        }
    }
}

impl Crew {
    fn run(slf: &Bound<'_, Self>, thread: ThreadId) -> PyResult<()> {
        let (py, crew) = (slf.py(), slf.get());
        let ring = &crew.equipment.post.ring;
        let mut bench = Workbench::new(py, crew)?;
        let (mut yielded, mut room_since) = (false, Instant::now());
        loop {
            if crew.draining.load(Ordering::Acquire) {
                crew.roles().found_nothing(thread);
                crew.changed.notify_all();
                return Ok(());
            }
            match ring.take() {
                Ok(Some(taken)) => {
                    yielded = false;
                    let now = clock::now();
                    crew.contention.begun(now);
                    let handover = crew.roles().took(thread);
                    Self::hand_over(slf, handover);
                    bench.serve(py, taken, now);
                    if ring.load() > 0 && room_since.elapsed() >= ROOM_FOR {
                        crew.make_room(py, thread);
                        room_since = Instant::now();
                    }
                }
                // Before it sleeps, whoever else can run on this CPU may: if that is the front, there may be requests
                // then, and neither a bell nor a sleep was needed.
                Ok(None) if !yielded => {
                    py.detach(std::thread::yield_now);
                    yielded = true;
                }
                Ok(None) => {
                    yielded = false;
                    let role = crew.roles().found_nothing(thread);
                    crew.sleep(py, thread, role);
                    room_since = Instant::now();
                }
                Err(poisoned) => give_up(&poisoned),
            }
        }
    }
}

/// What one thread works with, kept from request to request.
struct Workbench<'a> {
    crew: &'a Crew,
    seat: Arc<Seat>,
    mail: Arc<dyn Mail>,
    builder: EnvironBuilder,
    buffer: Vec<u8>,
}

/// Bytes of a request buffer that a thread keeps for the next request.
const KEPT_BUFFER: usize = 256 << 10;

impl<'a> Workbench<'a> {
    fn new(py: Python<'_>, crew: &'a Crew) -> PyResult<Self> {
        let seat = crew.equipment.post.seat(Fuse::of_this_thread(py)?);
        let mail: Arc<dyn Mail> = Arc::<Seat>::clone(&seat);
        let builder = EnvironBuilder::new(py, crew.equipment.facts)?;
        Ok(Self {
            crew,
            seat,
            mail,
            builder,
            buffer: Vec::new(),
        })
    }

    fn serve(&mut self, py: Python<'_>, taken: Taken, now: u64) {
        let ring = &self.crew.equipment.post.ring;
        let inline = ring
            .read(taken, &mut self.buffer)
            .unwrap_or_else(|corrupt| give_up(&corrupt));
        let head =
            RequestHead::decode(&self.buffer[inline.head]).unwrap_or_else(|malformed| give_up(&malformed));
        self.seat.begin(inline.stream, &head, now);
        let body = &self.buffer[inline.body];
        wsgi::run(
            self.crew.app.bind(py),
            &mut self.builder,
            &head,
            body,
            inline.stream,
            &self.mail,
            &self.seat.fuse,
        );
        self.seat.end();
        if self.buffer.capacity() > KEPT_BUFFER {
            self.buffer = Vec::new();
        }
    }
}
