//! What the front wants of Python besides requests: stacks, interruptions.
//!
//! Two threads. One takes the orders and never touches Python, so that it knows when the other, which carries them out,
//! waits for the GIL in vain; it writes what stacks can be had without it then.

use std::io;
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use carme_ring::StreamId;
use carme_ring::control::StacksReason;
use pyo3::prelude::*;

use crate::post::Post;
use crate::stacks::{self, Stacks};

/// How long the GIL is waited for before stacks are written without it.
const GIL_PATIENCE: Duration = Duration::from_secs(1);

/// What the front orders.
pub enum Order {
    /// Write the stacks of all Python threads.
    Stacks(StacksReason),
    /// Interrupt this request.
    Interrupt(StreamId),
}

/// What needs the GIL.
enum Job {
    /// The stacks, and where it is said that the GIL was had; they are written only if that is still heard.
    Describe(SyncSender<()>),
    Interrupt(StreamId),
}

/// Whether the interpreter may be entered.
#[derive(Default)]
struct Door {
    closed: Mutex<bool>,
}

/// The way to both threads.
pub struct Watch {
    orders: mpsc::Sender<Order>,
    door: Arc<Door>,
}

impl Watch {
    /// Starts the threads. They end only with the process.
    pub fn start(py: Python<'_>, post: Arc<Post>) -> PyResult<Self> {
        let stacks = Arc::new(Stacks::new(py)?);
        let door = Arc::<Door>::default();
        let (orders, received) = mpsc::channel();
        let (jobs, work) = mpsc::channel();
        let hand = Hand {
            jobs: work,
            door: Arc::clone(&door),
            post: Arc::clone(&post),
            stacks: Arc::clone(&stacks),
        };
        spawn("carme-hand", move || hand.run())?;
        let watcher = Watcher {
            orders: received,
            jobs,
            post,
            stacks,
        };
        spawn("carme-watch", move || watcher.run())?;
        Ok(Self { orders, door })
    }

    /// The way for orders.
    pub fn orders(&self) -> mpsc::Sender<Order> {
        self.orders.clone()
    }

    /// The interpreter is about to end: nobody enters it after this. To be called without the GIL.
    pub fn close(&self) {
        *self.door.closed.lock().unwrap_or_else(PoisonError::into_inner) = true;
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name(name.into()).spawn(run).map(drop)
}

/// Takes the orders.
struct Watcher {
    orders: mpsc::Receiver<Order>,
    jobs: mpsc::Sender<Job>,
    post: Arc<Post>,
    stacks: Arc<Stacks>,
}

impl Watcher {
    fn run(self) {
        while let Ok(order) = self.orders.recv() {
            match order {
                Order::Stacks(reason) => self.write_stacks(&reason),
                Order::Interrupt(stream) => drop(self.jobs.send(Job::Interrupt(stream))),
            }
        }
    }

    fn write_stacks(&self, reason: &StacksReason) {
        stacks::print(&stacks::headline(reason, &self.post));
        // Nobody is between: either it is heard that the GIL was had, or whoever gets it later finds that out.
        let (had, heard) = mpsc::sync_channel(0);
        if self.jobs.send(Job::Describe(had)).is_err() {
            return;
        }
        match heard.recv_timeout(GIL_PATIENCE) {
            Ok(()) => {}
            Err(RecvTimeoutError::Timeout) => {
                drop(heard);
                self.stacks.write_without_gil(&self.post, GIL_PATIENCE);
            }
            Err(RecvTimeoutError::Disconnected) => {
                stacks::print("carme: the interpreter is ending, there are none\n");
            }
        }
    }
}

/// Carries out what needs the GIL.
struct Hand {
    jobs: mpsc::Receiver<Job>,
    door: Arc<Door>,
    post: Arc<Post>,
    stacks: Arc<Stacks>,
}

impl Hand {
    fn run(self) {
        while let Ok(job) = self.jobs.recv() {
            let closed = self.door.closed.lock().unwrap_or_else(PoisonError::into_inner);
            if !*closed {
                self.carry_out(job);
            }
        }
    }

    fn carry_out(&self, job: Job) {
        let text = Python::attach(|py| match job {
            Job::Interrupt(stream) => {
                self.post.interrupt(py, stream);
                None
            }
            Job::Describe(had) => {
                had.send(()).ok()?;
                let described = self.stacks.describe(py, &self.post);
                Some(described.unwrap_or_else(|error| format!("carme: there are none: {error}\n")))
            }
        });
        if let Some(text) = text {
            stacks::print(&text);
        }
    }
}
