//! The threads that hear the front: one reads the control connection, one the inbox. They never touch Python, so they
//! work while every thread of the app is busy or stuck: the front's word to stop is heard, and so is the front's end.

use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError, mpsc};
use std::thread;

use carme_ring::StreamId;
use carme_ring::control::ToWorker;
use carme_ring::link::{Bell, LinkError, Receiver};
use carme_ring::os::ordinary_file;

use crate::post::Post;
use crate::process::{exit_now, give_up, was_rung};
use crate::watch::Order;

/// Says once that the worker is to drain.
#[derive(Default)]
pub struct DrainSignal {
    given: Mutex<bool>,
    changed: Condvar,
}

impl DrainSignal {
    /// Waits for the signal.
    pub fn wait(&self) {
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        while !*given {
            given = self.changed.wait(given).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn give(&self) {
        *self.given.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }
}

/// Starts the threads. They end only with the process.
pub fn listen(
    receiver: Receiver<ToWorker>,
    inbox: Bell,
    post: Arc<Post>,
    drain: Arc<DrainSignal>,
    watch: mpsc::Sender<Order>,
) -> io::Result<()> {
    let reader = InboxReader {
        bell: inbox,
        post: Arc::clone(&post),
    };
    let listener = Listener {
        receiver,
        post,
        drain,
        watch,
    };
    spawn("carme-inbox", move || reader.run())?;
    spawn("carme-link", move || listener.run())
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name(name.into()).spawn(run).map(drop)
}

struct Listener {
    receiver: Receiver<ToWorker>,
    post: Arc<Post>,
    drain: Arc<DrainSignal>,
    watch: mpsc::Sender<Order>,
}

impl Listener {
    fn run(mut self) -> ! {
        loop {
            match self.receiver.receive() {
                Ok((ToWorker::File { stream, .. }, handles)) => {
                    let file = handles.into_iter().next().ok_or(io::ErrorKind::NotFound.into());
                    self.post
                        .deliver_file(StreamId(stream), file.and_then(ordinary_file));
                }
                Ok((ToWorker::Stacks { reason }, _)) => self.order(Order::Stacks(reason)),
                Ok((ToWorker::Interrupt { stream }, _)) => self.order(Order::Interrupt(StreamId(stream))),
                Ok((ToWorker::Drain, _)) => self.drain.give(),
                Ok((ToWorker::Stop, _)) | Err(LinkError::Closed) => exit_now(0),
                Ok((ToWorker::Welcome(_), _)) => give_up(&"the front has said welcome twice"),
                Err(error) => give_up(&error),
            }
        }
    }
}

impl Listener {
    /// Passed on, because it may take the GIL.
    fn order(&self, order: Order) {
        if self.watch.send(order).is_err() {
            give_up(&"nobody is left to carry out the front's orders");
        }
    }
}

struct InboxReader {
    bell: Bell,
    post: Arc<Post>,
}

impl InboxReader {
    fn run(self) -> ! {
        loop {
            self.empty_inbox();
            was_rung(self.bell.wait());
            self.post.outbox_drained();
        }
    }

    /// Takes everything out of the inbox and announces sleep.
    fn empty_inbox(&self) {
        loop {
            match self.post.ring.inbox_next() {
                Ok(Some(message)) => self.post.deliver(message),
                Ok(None) if self.post.ring.inbox_may_sleep() => return,
                Ok(None) => {}
                Err(corrupt) => give_up(&corrupt),
            }
        }
    }
}
