//! What the parts of one connection share: its task, the guard around its socket, the service that hyper calls.
//!
//! HTTP/1 answers one request at a time, so there is one exchange open on a connection at most. Everything here is
//! touched by one task, except [`ConnectionState::signal`] and the deadline, which the server's own tasks use.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::client::{AddressText, Node};
use crate::guard::{Framing, Notes};
use crate::pace::Pace;
use crate::record::Record;
use crate::refused::Refused;
use crate::tls::{Security, Session};
use crate::transport::FilePart;
use crate::tunnel::Switched;

/// The server stops: finish what is in flight.
pub(crate) const DRAIN: u8 = 1;
/// The server has waited long enough.
pub(crate) const ABORT: u8 = 2;
/// The deadline may have passed.
pub(crate) const OVERDUE: u8 = 4;

/// How long a connection is idle before it is parked: a client that asks this seldom does not notice that hyper's two
/// buffers have to be had again, and ten thousand of them take half the memory.
const PARK_AFTER: Duration = Duration::from_millis(200);

const NO_DEADLINE: u64 = u64::MAX;

/// Both ends of a connection, written out once.
#[derive(Clone, Default)]
pub(crate) struct Ends {
    pub(crate) peer: Option<SocketAddr>,
    pub(crate) local: Option<SocketAddr>,
    /// The peer's address without port; empty on a Unix socket.
    pub(crate) peer_text: String,
    /// Our address without port; `localhost` on a Unix socket.
    pub(crate) local_text: String,
    /// What a PROXY header says of the client, if one came.
    announced: OnceLock<Box<Announced>>,
}

/// A client whose bytes a proxy passes through.
#[derive(Clone)]
struct Announced {
    client: SocketAddr,
    client_text: AddressText,
    /// What the client has connected to.
    reached: SocketAddr,
    reached_text: AddressText,
    /// It speaks TLS with the proxy.
    tls: bool,
}

impl Ends {
    pub(crate) fn tcp(peer: SocketAddr, local: SocketAddr) -> Self {
        // A client of a dual-stack socket is the IPv4 client that it is.
        let plain = |end: SocketAddr| SocketAddr::new(end.ip().to_canonical(), end.port());
        let (peer, local) = (plain(peer), plain(local));
        Ends {
            peer: Some(peer),
            local: Some(local),
            peer_text: peer.ip().to_string(),
            local_text: local.ip().to_string(),
            announced: OnceLock::new(),
        }
    }

    #[cfg(unix)]
    pub(crate) fn unix() -> Self {
        Ends {
            local_text: "localhost".to_owned(),
            ..Ends::default()
        }
    }

    /// Takes note of what a PROXY header says.
    pub(crate) fn announce(&self, client: SocketAddr, reached: SocketAddr, tls: bool) {
        let text = |end: SocketAddr| Node::from(end).text();
        // Set once: there is one header, before anything else.
        let _ = self.announced.set(Box::new(Announced {
            client,
            client_text: text(client),
            reached,
            reached_text: text(reached),
            tls,
        }));
    }

    /// The client, as far as the connection knows it.
    pub(crate) fn client(&self) -> Option<SocketAddr> {
        self.announced
            .get()
            .map(|announced| announced.client)
            .or(self.peer)
    }

    /// Its address without port; empty on a Unix socket.
    pub(crate) fn client_text(&self) -> &str {
        match self.announced.get() {
            Some(announced) => announced.client_text.as_str(),
            None => &self.peer_text,
        }
    }

    /// What the client has connected to.
    pub(crate) fn reached(&self) -> Option<SocketAddr> {
        self.announced
            .get()
            .map(|announced| announced.reached)
            .or(self.local)
    }

    /// Its address without port; `localhost` on a Unix socket.
    pub(crate) fn reached_text(&self) -> &str {
        match self.announced.get() {
            Some(announced) => announced.reached_text.as_str(),
            None => &self.local_text,
        }
    }

    /// Whether the client speaks TLS with a proxy that passes the rest through.
    pub(crate) fn tls_before(&self) -> bool {
        self.announced.get().is_some_and(|announced| announced.tls)
    }
}

/// What a connection is doing, as far as deadlines are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Phase {
    /// Before the first request, or for a while between requests: without hyper.
    Parked,
    /// Between requests.
    Idle,
    /// Some of a head has come.
    Head,
    /// A head came too slowly; the guard has not seen to it yet.
    LateHead,
    /// An exchange is open. Bodies and applications have deadlines of their own.
    Busy,
    /// The client does not take what is being sent.
    Blocked,
    /// Everything is sent; what the client still sends is dropped.
    Lingering,
}

impl Phase {
    fn from_u8(number: u8) -> Self {
        [
            Phase::Parked,
            Phase::Idle,
            Phase::Head,
            Phase::LateHead,
            Phase::Busy,
            Phase::Blocked,
            Phase::Lingering,
        ][usize::from(number)]
    }
}

/// A head that passed the guard, on its way to the service.
#[derive(Debug)]
pub(crate) struct NextHead {
    /// Bytes, as received.
    pub(crate) len: usize,
    pub(crate) framing: Framing,
    pub(crate) notes: Notes,
    /// The target as received, where it is not in origin form.
    pub(crate) raw_target: Option<Box<[u8]>>,
    /// Set if hyper got a stand-in.
    pub(crate) refused: Option<Box<Refused>>,
    /// Of a chunked body, so many bytes have come so far, the chunks' frames included.
    pub(crate) chunked: Option<Arc<AtomicU64>>,
}

impl NextHead {
    pub(crate) fn unknown() -> Self {
        NextHead {
            len: 0,
            framing: Framing::Empty,
            notes: Notes::default(),
            raw_target: None,
            refused: None,
            chunked: None,
        }
    }
}

pub(crate) struct ConnectionState {
    pub(crate) pace: Arc<Pace>,
    pub(crate) ends: Ends,
    /// Nothing on an address of plain HTTP, and before the end of the handshake.
    security: OnceLock<Security>,
    signals: AtomicU8,
    phase: AtomicU8,
    deadline: AtomicU64,
    /// Bytes sent since the exchange began.
    written: AtomicU64,
    /// Milliseconds since the exchange began in which the client did not take what was being sent, and when the last of
    /// them began.
    blocked: AtomicU64,
    blocked_since: AtomicU64,
    exchanges: AtomicU32,
    finished: AtomicBool,
    waker: OnceLock<Waker>,
    /// The socket can send parts of files.
    sends_files: AtomicBool,
    /// There is one in `queue`.
    part_waits: AtomicBool,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    heads: VecDeque<NextHead>,
    /// The exchange whose response hyper has in full, and the socket perhaps not.
    finished: Option<Box<Record>>,
    /// What hyper has a blank for.
    part: Option<FilePart>,
    /// What goes on when hyper is done with the connection.
    switched: Option<Box<Switched>>,
}

impl ConnectionState {
    pub(crate) fn new(pace: Arc<Pace>, ends: Ends) -> Self {
        let deadline = pace.deadline(pace.header_timeout());
        ConnectionState {
            pace,
            ends,
            security: OnceLock::new(),
            signals: AtomicU8::new(0),
            phase: AtomicU8::new(Phase::Parked as u8),
            deadline: AtomicU64::new(deadline),
            written: AtomicU64::new(0),
            blocked: AtomicU64::new(0),
            blocked_since: AtomicU64::new(0),
            exchanges: AtomicU32::new(0),
            finished: AtomicBool::new(false),
            waker: OnceLock::new(),
            sends_files: AtomicBool::new(false),
            part_waits: AtomicBool::new(false),
            queue: Mutex::default(),
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // ----- signals from the server

    /// Tells the connection's task something; safe from any thread.
    pub(crate) fn signal(&self, signal: u8) {
        self.signals.fetch_or(signal, std::sync::atomic::Ordering::AcqRel);
        if let Some(waker) = self.waker.get() {
            waker.wake_by_ref();
        }
    }

    /// The signals since the last call.
    pub(crate) fn signals(&self) -> u8 {
        // The common case is a load.
        if self.signals.load(std::sync::atomic::Ordering::Acquire) == 0 {
            0
        } else {
            self.signals.swap(0, std::sync::atomic::Ordering::AcqRel)
        }
    }

    /// From now on signals wake this task, which is the only one that polls the connection.
    pub(crate) fn attend(&self, waker: &Waker) {
        if self.waker.get().is_none() {
            let _ = self.waker.set(waker.clone());
        }
    }

    /// Whether a connection that only waits for its client is to end: the server stops, or the deadline has passed.
    pub(crate) fn has_waited_enough(&self, cx: &Context<'_>) -> bool {
        self.attend(cx.waker());
        let signals = self.signals();
        let overdue = signals & OVERDUE != 0 && self.is_overdue(self.pace.now());
        signals & (ABORT | DRAIN) != 0 || overdue
    }

    // ----- phases

    pub(crate) fn phase(&self) -> Phase {
        Phase::from_u8(self.phase.load(Relaxed))
    }

    pub(crate) fn is_overdue(&self, now: u64) -> bool {
        self.deadline.load(Relaxed) <= now
    }

    fn enter(&self, phase: Phase, deadline: u64) {
        self.deadline.store(deadline, Relaxed);
        self.phase.store(phase as u8, Relaxed);
    }

    /// A request may begin: until hyper has seen its head or the guard finds it unfinished.
    pub(crate) fn unpark(&self) {
        self.enter(Phase::Idle, NO_DEADLINE);
    }

    /// The connection has been idle for a moment and may stay so for the rest of its time.
    pub(crate) fn park(&self) {
        let rest = self.pace.keep_alive_timeout().saturating_sub(PARK_AFTER);
        self.enter(Phase::Parked, self.pace.deadline(rest));
    }

    /// Part of a head is here.
    pub(crate) fn begin_head(&self) {
        if self.phase() == Phase::Idle {
            self.enter(Phase::Head, self.pace.deadline(self.pace.header_timeout()));
        }
    }

    /// The time for a head is over.
    pub(crate) fn give_up_head(&self) {
        self.enter(Phase::LateHead, NO_DEADLINE);
    }

    pub(crate) fn head_is_late(&self) -> bool {
        self.phase() == Phase::LateHead
    }

    pub(crate) fn begin_linger(&self) {
        self.enter(Phase::Lingering, self.pace.deadline(self.pace.linger_timeout()));
    }

    // ----- TLS

    /// The handshake is over, or it is known that there will be none. The first request may take its time anew.
    pub(crate) fn secure(&self, security: Security) {
        let _ = self.security.set(security);
        let timeout = self.pace.header_timeout();
        self.enter(Phase::Parked, self.pace.deadline(timeout));
    }

    pub(crate) fn security(&self) -> Option<&Security> {
        self.security.get()
    }

    /// The TLS session, if there is one.
    pub(crate) fn tls(&self) -> Option<&Session> {
        match self.security.get() {
            Some(Security::Tls(session)) => Some(session),
            Some(Security::MissingTls) | None => None,
        }
    }

    // ----- heads, from the guard to the service

    pub(crate) fn push_head(&self, head: NextHead) {
        self.queue().heads.push_back(head);
    }

    /// The head of the request that hyper has just parsed, and the number of requests before it.
    pub(crate) fn begin_exchange(&self) -> (Option<NextHead>, u32) {
        let (head, unsettled) = {
            let mut queue = self.queue();
            (queue.heads.pop_front(), queue.finished.take())
        };
        if let Some(record) = unsettled {
            self.settle(record);
        }
        self.enter(Phase::Busy, NO_DEADLINE);
        self.written.store(0, Relaxed);
        self.blocked.store(0, Relaxed);
        let before = self.exchanges.load(Relaxed);
        self.exchanges.store(before.wrapping_add(1), Relaxed);
        (head, before)
    }

    // ----- parts of files, from the body to the guard

    /// The socket can send parts of files by itself.
    pub(crate) fn send_files(&self) {
        self.sends_files.store(true, Relaxed);
    }

    /// Whether a part may be left here now. There is room for one.
    pub(crate) fn takes_part(&self) -> bool {
        self.sends_files.load(Relaxed) && !self.part_waits.load(Relaxed)
    }

    pub(crate) fn leave_part(&self, part: FilePart) {
        self.queue().part = Some(part);
        self.part_waits.store(true, Relaxed);
    }

    /// What is to be sent next in place of a blank.
    pub(crate) fn part(&self) -> Option<FilePart> {
        match self.part_waits.load(Relaxed) {
            true => self.queue().part.clone(),
            false => None,
        }
    }

    /// The socket has taken this much of it.
    pub(crate) fn part_sent(&self, sent: usize) {
        let mut queue = self.queue();
        match &mut queue.part {
            Some(part) if part.len > sent => {
                part.at += sent as u64;
                part.len -= sent;
            }
            _ => {
                queue.part = None;
                self.part_waits.store(false, Relaxed);
            }
        }
    }

    // ----- another protocol, from the service to the connection

    /// When hyper has sent the answer, this goes on.
    pub(crate) fn switch(&self, switched: Switched) {
        self.queue().switched = Some(Box::new(switched));
    }

    pub(crate) fn take_switched(&self) -> Option<Switched> {
        self.queue().switched.take().map(|switched| *switched)
    }

    // ----- the end of an exchange

    pub(crate) fn written(&self) -> u64 {
        self.written.load(Relaxed)
    }

    /// Bytes that were sent past the guard.
    pub(crate) fn count_written(&self, bytes: u64) {
        self.written.store(self.written() + bytes, Relaxed);
    }

    /// The outcome of a write to the socket.
    pub(crate) fn wrote(&self, polled: &Poll<io::Result<usize>>) {
        match polled {
            Poll::Ready(Ok(bytes)) => self.written.store(self.written() + *bytes as u64, Relaxed),
            Poll::Ready(Err(_)) | Poll::Pending => {}
        }
        self.paced(polled);
    }

    /// Whether the client takes what is being sent; below TLS this is seen apart from what was written.
    pub(crate) fn paced(&self, polled: &Poll<io::Result<usize>>) {
        match polled {
            Poll::Ready(Ok(_)) => {
                if self.phase() == Phase::Blocked {
                    self.blocked.store(self.blocked(), Relaxed);
                    self.enter(Phase::Busy, NO_DEADLINE);
                }
            }
            Poll::Ready(Err(_)) => {}
            Poll::Pending => {
                if self.phase() == Phase::Busy {
                    self.blocked_since.store(self.pace.now(), Relaxed);
                    let patience = self.pace.send_timeout().min(self.send_allowance_left());
                    self.enter(Phase::Blocked, self.pace.deadline(patience));
                }
            }
        }
    }

    /// Milliseconds in which the client has been waited for, while it is.
    fn blocked(&self) -> u64 {
        let since = self.pace.now().saturating_sub(self.blocked_since.load(Relaxed));
        self.blocked.load(Relaxed).saturating_add(since)
    }

    fn send_allowance_left(&self) -> Duration {
        self.pace
            .send_allowance(self.written())
            .saturating_sub(Duration::from_millis(self.blocked()))
    }

    /// Whether a client that is waited for takes something, and yet too little.
    pub(crate) fn takes_too_slowly(&self) -> bool {
        self.send_allowance_left().is_zero()
    }

    /// hyper has the whole response; it counts as sent once the socket has taken it.
    pub(crate) fn finish(&self, record: Box<Record>) {
        self.queue().finished = Some(record);
        self.finished.store(true, Relaxed);
    }

    /// Everything that hyper had is with the socket.
    pub(crate) fn flushed(&self) {
        if !self.finished.load(Relaxed) {
            return;
        }
        self.finished.store(false, Relaxed);
        let record = self.queue().finished.take();
        if let Some(record) = record {
            self.settle(record);
            let moment = self.pace.keep_alive_timeout().min(PARK_AFTER);
            self.enter(Phase::Idle, self.pace.deadline(moment));
        }
    }

    fn settle(&self, mut record: Box<Record>) {
        record.sent();
        drop(record);
    }

    /// The connection is over. A response that is not sent by now never will be.
    pub(crate) fn close(&self) {
        let (record, switched) = {
            let mut queue = self.queue();
            (queue.finished.take(), queue.switched.take())
        };
        // Dropped outside the lock: they write their log lines.
        drop((record, switched));
    }
}
