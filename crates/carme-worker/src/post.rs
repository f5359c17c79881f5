//! A worker's post: the ring and the link to the front, and one seat for each thread, where the link's thread leaves what
//! belongs to the stream that the thread is working on.

use std::fmt;
use std::fs::File;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use carme_ring::control::ToFront;
use carme_ring::frame::RequestHead;
use carme_ring::link::{LinkError, Ringer, Sender};
use carme_ring::os::BorrowedHandle;
use carme_ring::{InboxMessage, RecordKind, StreamId, WINDOW, WorkerRing};

use pyo3::Python;

use crate::fuse::Fuse;
use crate::mail::{Mail, Outgoing, Posted};
use crate::report;

/// What all threads of a worker share.
pub struct Post {
    /// The worker's half of the ring.
    pub ring: WorkerRing,
    sender: Sender<ToFront>,
    front: Ringer,
    seats: Mutex<Vec<Arc<Seat>>>,
    /// Counts how often the outbox may have got room.
    drained: Mutex<u64>,
    room: Condvar,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Post {
    /// The post of a worker without threads.
    pub fn new(ring: WorkerRing, sender: Sender<ToFront>, front: Ringer) -> Self {
        Self {
            ring,
            sender,
            front,
            seats: Mutex::default(),
            drained: Mutex::default(),
            room: Condvar::new(),
        }
    }

    /// Sends a control message.
    pub fn tell(&self, message: &ToFront) -> Result<(), LinkError> {
        self.sender.send(message)
    }

    /// A seat for a new thread.
    pub fn seat(self: &Arc<Self>, fuse: Fuse) -> Arc<Seat> {
        let seat = Arc::new(Seat {
            post: Arc::clone(self),
            fuse,
            state: Mutex::default(),
            request: Mutex::default(),
            changed: Condvar::new(),
        });
        lock(&self.seats).push(Arc::clone(&seat));
        seat
    }

    fn at(&self, stream: StreamId, f: impl FnOnce(&mut Working)) {
        for seat in lock(&self.seats).iter() {
            let mut state = lock(&seat.state);
            if let Some(working) = state.as_mut().filter(|working| working.stream == stream) {
                f(working);
                seat.changed.notify_all();
                return;
            }
        }
    }

    /// Takes in a message from the inbox. One for a stream that has ended is nobody's.
    pub fn deliver(&self, message: InboxMessage) {
        match message {
            InboxMessage::Credit { stream, bytes } => {
                self.at(stream, |working| {
                    working.credit = working.credit.saturating_add(bytes)
                });
            }
            InboxMessage::Gone { stream } => self.at(stream, |working| working.gone = true),
        }
    }

    /// Takes in the file with the body of a request.
    pub fn deliver_file(&self, stream: StreamId, file: io::Result<File>) {
        self.at(stream, |working| working.file = Some(file));
    }

    /// What each thread is working on.
    pub fn serving(&self) -> Vec<Serving> {
        lock(&self.seats).iter().map(|seat| seat.serving()).collect()
    }

    /// Interrupts the thread that works on this stream, if the app has it.
    pub fn interrupt(&self, py: Python<'_>, stream: StreamId) {
        let seats: Vec<_> = lock(&self.seats).clone();
        seats.iter().any(|seat| seat.fuse.blow(py, stream));
    }

    /// The front has read the outbox.
    pub fn outbox_drained(&self) {
        *lock(&self.drained) += 1;
        self.room.notify_all();
    }
}

/// What a thread is working on.
struct Working {
    stream: StreamId,
    /// Body bytes that may be sent before the front has to give more.
    credit: u32,
    gone: bool,
    file: Option<io::Result<File>>,
    /// The count of [`Post::drained`] when there was no room.
    full_at: Option<u64>,
    /// The ring counts it no more among the requests in flight.
    counted_out: bool,
}

/// What a thread is working on, for people.
pub struct Serving {
    /// The thread, as Python's `threading.get_ident` has it.
    pub thread: u64,
    /// The stream; 0 if it works on none.
    pub stream: u64,
    /// The request and when it was taken, if it works on one.
    pub request: Option<(String, u64)>,
}

/// The request that a thread works on, kept for whoever asks; the room for it is kept from request to request.
#[derive(Default)]
struct Request {
    id: Vec<u8>,
    method: Vec<u8>,
    target: Vec<u8>,
    taken_at: u64,
}

/// The place of one thread. It works on one stream at a time.
pub struct Seat {
    post: Arc<Post>,
    /// By which the thread is interrupted.
    pub fuse: Fuse,
    state: Mutex<Option<Working>>,
    /// Taken after `state`.
    request: Mutex<Request>,
    changed: Condvar,
}

impl Request {
    fn set(&mut self, head: &RequestHead<'_>, taken_at: u64) {
        for (kept, new) in [
            (&mut self.id, head.request_id),
            (&mut self.method, head.method),
            (&mut self.target, head.target),
        ] {
            kept.clear();
            kept.extend_from_slice(new);
        }
        self.taken_at = taken_at;
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        report::name(f, &self.id, &self.method, &self.target)
    }
}

impl Seat {
    /// From now on the thread works on this stream, which it took at that time.
    pub fn begin(&self, stream: StreamId, head: &RequestHead<'_>, taken_at: u64) {
        let mut state = lock(&self.state);
        lock(&self.request).set(head, taken_at);
        *state = Some(Working {
            stream,
            credit: WINDOW,
            gone: false,
            file: None,
            full_at: None,
            counted_out: false,
        });
    }

    fn serving(&self) -> Serving {
        let state = lock(&self.state);
        let request = lock(&self.request);
        Serving {
            thread: self.fuse.thread(),
            stream: state.as_ref().map_or(0, |working| working.stream.0),
            request: state.as_ref().map(|_| (request.to_string(), request.taken_at)),
        }
    }

    /// The stream's last record has been posted.
    pub fn end(&self) {
        if lock(&self.state)
            .take()
            .is_some_and(|working| !working.counted_out)
        {
            self.post.ring.finish();
        }
    }
}

fn of(state: &mut Option<Working>, stream: StreamId) -> Option<&mut Working> {
    state.as_mut().filter(|working| working.stream == stream)
}

impl Mail for Seat {
    fn ending(&self, stream: StreamId) {
        if let Some(working) = of(&mut lock(&self.state), stream)
            && !std::mem::replace(&mut working.counted_out, true)
        {
            self.post.ring.finish();
        }
    }

    fn post(&self, stream: StreamId, record: Outgoing<'_>) -> Posted {
        let mut state = lock(&self.state);
        let Some(working) = of(&mut state, stream) else {
            return Posted::Gone;
        };
        if working.gone && matches!(record.kind, RecordKind::Response | RecordKind::Body) {
            return Posted::Gone;
        }
        let bytes = record.body.len() as u32;
        if bytes > working.credit {
            return Posted::Wait;
        }
        let post = &*self.post;
        let parts = [record.head, record.body];
        let publish = || {
            post.ring
                .publish(record.kind, record.flags, stream, &parts)
                .is_ok()
        };
        if !publish() {
            let drained = *lock(&post.drained);
            post.ring.want_space();
            // Once more: what the front has read before it could see the wish, it does not tell of.
            if !publish() {
                working.full_at = Some(drained);
                drop(state);
                // It may sleep on a full outbox only if it was never rung for it.
                if post.ring.must_ring_front() {
                    post.front.ring();
                }
                return Posted::Wait;
            }
        }
        working.credit -= bytes;
        drop(state);
        if post.ring.must_ring_front() {
            post.front.ring();
        }
        Posted::Sent
    }

    fn wait(&self, stream: StreamId, body: usize) {
        let mut state = lock(&self.state);
        loop {
            match of(&mut state, stream) {
                Some(working) if (working.credit as usize) < body && !working.gone => {
                    state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
                Some(Working { full_at, .. }) => {
                    let Some(seen) = full_at.take() else { return };
                    drop(state);
                    let mut drained = lock(&self.post.drained);
                    while *drained == seen {
                        drained = self
                            .post
                            .room
                            .wait(drained)
                            .unwrap_or_else(PoisonError::into_inner);
                    }
                    return;
                }
                None => return,
            }
        }
    }

    fn give_file(
        &self,
        stream: StreamId,
        file: BorrowedHandle<'_>,
        offset: u64,
        length: u64,
    ) -> io::Result<()> {
        let message = ToFront::File {
            stream: stream.0,
            offset,
            length,
        };
        self.post
            .sender
            .send_with(&message, &[file])
            .map_err(io::Error::other)
    }

    fn body_file(&self, stream: StreamId) -> io::Result<File> {
        if of(&mut lock(&self.state), stream).is_none() {
            return Err(io::Error::other("the request is over"));
        }
        self.post
            .tell(&ToFront::NeedFile { stream: stream.0 })
            .map_err(io::Error::other)?;
        let mut state = lock(&self.state);
        loop {
            let Some(working) = of(&mut state, stream) else {
                return Err(io::Error::other("the request is over"));
            };
            if let Some(file) = working.file.take() {
                return file;
            }
            if working.gone {
                return Err(io::Error::new(io::ErrorKind::BrokenPipe, "the client has left"));
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}
