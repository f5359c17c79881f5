//! The connections of one worker: control messages both ways, and four doorbells.
//!
//! What it owes its callers:
//! - **Only the worker gets in.** On Unix it inherits one end of a socket pair and nobody else can have it; on Windows it
//!   connects over loopback and proves itself with a 256-bit token that only its environment holds.
//! - **The peer may lie.** Lengths are bounded before anything is allocated, messages and the number of their handles are
//!   checked, and what does not fit is a [`LinkError`], never a panic.
//! - **The front never waits for a worker.** Its sender either hands a message to the kernel at once or says
//!   [`LinkError::Stalled`]. The number of messages under way is bounded by what the worker itself has asked for and by the
//!   requests that it has, so a worker whose buffer is full has stopped reading and is beyond help: the connection is ended, which both sides see.
//!   The worker's sender does wait.
//!
//! Blocking sockets; each side reads with one native thread.

use std::io;
use std::marker::PhantomData;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Region;
use crate::control::{Hello, Message, PROTOCOL, ToFront, ToWorker, Welcome};
use crate::os::{BorrowedHandle, OwnedHandle};

mod bell;
#[cfg(test)]
mod tests;
#[cfg(unix)]
mod unix;
#[cfg(unix)]
use unix as imp;
#[cfg(windows)]
mod windows;
#[cfg(windows)]
use windows as imp;

pub use bell::{Bell, BellStream, Ringer};
pub(crate) use imp::BELLS_IN_WELCOME;
#[cfg(windows)]
pub use windows::WorkerProcess;

/// The environment variable that tells a worker how to reach its front.
pub const LINK_VARIABLE: &str = "CARME_LINK";

/// Bytes of one control message at most.
pub const MAX_MESSAGE: usize = 1 << 20;

/// Handles of one control message at most.
const MAX_HANDLES: usize = 8;

/// Why a link could not be made or went wrong.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The other side has closed the connection: it has exited, or is about to.
    #[error("the connection was closed")]
    Closed,
    /// The other side did not say what it had to in time.
    #[error("no answer in time")]
    TimedOut,
    /// The worker does not read its control connection any more.
    #[error("the worker does not read its control connection")]
    Stalled,
    /// A message was announced that is longer than any can be.
    #[error("a message of {0} bytes was announced; {MAX_MESSAGE} is the limit")]
    TooLong(usize),
    /// A message was not one of the protocol's.
    #[error("not a message of the protocol: {0}")]
    Garbage(String),
    /// A message came with too many handles, or too few.
    #[error("a message came with {got} handles instead of {expected}")]
    Handles {
        /// Handles that the message must have.
        expected: usize,
        /// Handles that it had.
        got: usize,
    },
    /// Another message was due.
    #[error("expected the {0} message first")]
    OutOfOrder(&'static str),
    /// The worker library and the program are not of the same build.
    #[error("the worker library speaks version {theirs} of the protocol, this program version {PROTOCOL}")]
    Protocol {
        /// The worker's version.
        theirs: u32,
    },
    /// Somebody else than the process that it claims to be is at the other end.
    #[error("the worker says that it is process {claimed}, but process {real} is at the other end")]
    WrongPeer {
        /// The process id in the worker's hello.
        claimed: u32,
        /// The process id that the operating system knows.
        real: u32,
    },
    /// The variable that a worker is started with is missing or damaged.
    #[error("{LINK_VARIABLE} {0}: a worker is started by carme, not by hand")]
    Environment(&'static str),
    /// The operating system said no.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Sends messages of one direction. Cheap to clone; usable from every thread.
pub struct Sender<M> {
    half: Arc<Mutex<imp::SendHalf>>,
    message: PhantomData<fn(M)>,
}

impl<M> Clone for Sender<M> {
    fn clone(&self) -> Self {
        Self {
            half: Arc::clone(&self.half),
            message: PhantomData,
        }
    }
}

impl<M: Message + Serialize> Sender<M> {
    fn new(half: imp::SendHalf) -> Self {
        Self {
            half: Arc::new(Mutex::new(half)),
            message: PhantomData,
        }
    }

    /// Sends a message that no handle travels with.
    pub fn send(&self, message: &M) -> Result<(), LinkError> {
        self.send_with(message, &[])
    }

    /// Sends a message and duplicates of its handles.
    pub fn send_with(&self, message: &M, handles: &[BorrowedHandle<'_>]) -> Result<(), LinkError> {
        let body = serde_json::to_vec(message).map_err(io::Error::from)?;
        if body.len() > MAX_MESSAGE {
            return Err(LinkError::TooLong(body.len()));
        }
        if handles.len() != message.handles() {
            return Err(LinkError::Handles {
                expected: message.handles(),
                got: handles.len(),
            });
        }
        let mut half = self.half.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = half.send(&body, handles);
        if sent.is_err() {
            // Half of a message may have gone: nothing that follows could be understood.
            half.end();
        }
        sent
    }
}

/// Receives messages of one direction.
pub struct Receiver<M> {
    half: imp::ReceiveHalf,
    message: PhantomData<fn() -> M>,
}

impl<M: Message + DeserializeOwned> Receiver<M> {
    fn new(half: imp::ReceiveHalf) -> Self {
        Self {
            half,
            message: PhantomData,
        }
    }

    /// Waits for the next message. After an error the connection is of no more use.
    pub fn receive(&mut self) -> Result<(M, Vec<OwnedHandle>), LinkError> {
        self.receive_by(None)
    }

    fn receive_by(&mut self, deadline: Option<Instant>) -> Result<(M, Vec<OwnedHandle>), LinkError> {
        let (body, handles) = self.half.receive(deadline)?;
        let message: M = serde_json::from_slice(&body).map_err(|e| LinkError::Garbage(e.to_string()))?;
        if handles.len() != message.handles() {
            return Err(LinkError::Handles {
                expected: message.handles(),
                got: handles.len(),
            });
        }
        Ok((message, handles))
    }
}

/// The front's sender.
pub type ControlSender = Sender<ToWorker>;
/// The front's receiver.
pub type ControlReceiver = Receiver<ToFront>;

/// What a worker needs to reach the front, before there is a worker.
pub struct Invitation(imp::Invitation);

impl Invitation {
    /// Prepares the connections of one worker.
    pub fn new() -> io::Result<Self> {
        imp::Invitation::new().map(Self)
    }

    /// Lets the process that this command starts reach the front. To be called once, for one spawn.
    pub fn prepare(&self, command: &mut Command) {
        self.0.prepare(command);
    }

    /// In place of a process: what a thread of this one calls to be the worker, as tests do.
    pub fn for_thread(
        &self,
    ) -> io::Result<impl FnOnce(Hello) -> Result<WorkerLink, LinkError> + Send + use<>> {
        let address = imp::Address::of(&self.0)?;
        Ok(move |hello| WorkerLink::connect(address, hello))
    }

    /// Waits until the worker has connected, proved itself and said hello. Call it after the spawn.
    ///
    /// `alive` is asked now and then where the operating system does not tell by itself that the worker has ended.
    pub fn accept(
        self,
        deadline: Instant,
        alive: impl Fn() -> bool,
    ) -> Result<(FrontLink, ControlReceiver), LinkError> {
        let mut connected = self.0.accept(deadline, &alive)?;
        let mut receiver = Receiver::<ToFront>::new(connected.receive);
        let (first, _) = receiver.receive_by(Some(deadline))?;
        let ToFront::Hello(hello) = first else {
            return Err(LinkError::OutOfOrder("hello"));
        };
        if hello.protocol != PROTOCOL {
            return Err(LinkError::Protocol {
                theirs: hello.protocol,
            });
        }
        let peer = connected
            .worker_ends
            .identify(&mut connected.send, &mut receiver.half, hello.pid)?;
        let link = FrontLink {
            hello,
            peer,
            sender: Sender::new(connected.send),
            bells: connected.bells,
            worker_ends: connected.worker_ends,
        };
        Ok((link, receiver))
    }
}

/// The front's side of a link whose worker has said hello, but for its receiver, which a thread of its own reads.
pub struct FrontLink {
    /// What the worker said of itself.
    pub hello: Hello,
    /// The process at the other end, as the operating system knows it.
    pub peer: Peer,
    /// Control messages to the worker.
    pub sender: ControlSender,
    /// The bells.
    pub bells: FrontBells,
    worker_ends: imp::WorkerEnds,
}

/// The process at the other end of a front's link.
pub struct Peer {
    /// Its process id; on Windows and Linux the operating system vouches for it.
    pub pid: u32,
    /// Its handle: waiting for it shows its death.
    #[cfg(windows)]
    pub process: WorkerProcess,
}

/// The front's ends of a worker's bells.
pub struct FrontBells {
    /// Wakes the thread that leads.
    pub leader: Ringer,
    /// Wakes one more thread.
    pub second: Ringer,
    /// Wakes the thread that reads the inbox, and those that wait for room in the outbox.
    pub inbox: Ringer,
    /// Rung by the worker when it has published for a sleeping front.
    pub front: Bell,
}

impl FrontLink {
    /// Answers the hello: gives the worker its place, its app and the region.
    pub fn welcome(&mut self, welcome: Welcome, region: BorrowedHandle<'_>) -> Result<(), LinkError> {
        let mut handles = vec![region];
        handles.extend(self.worker_ends.handles());
        self.sender.send_with(&ToWorker::Welcome(welcome), &handles)?;
        self.worker_ends.close();
        Ok(())
    }
}

/// The worker's side of its link.
pub struct WorkerLink {
    /// The worker's place and its app.
    pub welcome: Welcome,
    /// The app's region.
    pub region: Region,
    /// Control messages to the front.
    pub sender: Sender<ToFront>,
    /// Control messages from the front. [`LinkError::Closed`] means that the front is gone.
    pub receiver: Receiver<ToWorker>,
    /// Its bells.
    pub bells: WorkerBells,
}

/// A worker's ends of its bells.
pub struct WorkerBells {
    /// Rung for the thread that leads.
    pub leader: Bell,
    /// Rung for one more thread.
    pub second: Bell,
    /// Rung when there is something in the inbox, or room in the outbox for whoever wanted it.
    pub inbox: Bell,
    /// To be rung when the front sleeps.
    pub front: Ringer,
}

/// How long a worker waits for its welcome: far longer than a front under load needs, and not for ever.
const WELCOME_TIMEOUT: Duration = Duration::from_secs(60);

impl WorkerLink {
    /// Reaches the front that started this process, and waits for its welcome.
    ///
    /// To be called once: it takes over what [`LINK_VARIABLE`] names.
    pub fn from_env(hello: Hello) -> Result<Self, LinkError> {
        let value = std::env::var(LINK_VARIABLE).map_err(|_| LinkError::Environment("is not set"))?;
        let address = imp::Address::parse(&value).ok_or(LinkError::Environment("is damaged"))?;
        Self::connect(address, hello)
    }

    fn connect(address: imp::Address, hello: Hello) -> Result<Self, LinkError> {
        let (send, receive, bells) = imp::connect(address)?;
        let sender = Sender::<ToFront>::new(send);
        let mut receiver = Receiver::<ToWorker>::new(receive);
        sender.send(&ToFront::Hello(hello))?;
        let (first, handles) = receiver.receive_by(Some(Instant::now() + WELCOME_TIMEOUT))?;
        let ToWorker::Welcome(welcome) = first else {
            return Err(LinkError::OutOfOrder("welcome"));
        };
        let mut handles = handles.into_iter();
        let region = handles.next().ok_or(LinkError::Handles { expected: 1, got: 0 })?;
        let region = Region::open(region, welcome.geometry)?;
        Ok(Self {
            welcome,
            region,
            sender,
            receiver,
            bells: bells.complete(handles)?,
        })
    }
}

/// The head of a message on the wire: the body's length, and how many handles come with it.
struct Head {
    length: usize,
    handles: usize,
}

impl Head {
    const LEN: usize = 8;

    fn encode(&self) -> [u8; Self::LEN] {
        let mut head = [0; Self::LEN];
        // Both are within their limits, which fit.
        head[..4].copy_from_slice(&(self.length as u32).to_le_bytes());
        head[4] = self.handles as u8;
        head
    }

    fn decode(head: [u8; Self::LEN]) -> Result<Self, LinkError> {
        let [a, b, c, d, handles, ..] = head;
        let length = u32::from_le_bytes([a, b, c, d]) as usize;
        let handles = usize::from(handles);
        if length > MAX_MESSAGE {
            return Err(LinkError::TooLong(length));
        }
        if handles > MAX_HANDLES {
            return Err(LinkError::Handles {
                expected: MAX_HANDLES,
                got: handles,
            });
        }
        Ok(Self { length, handles })
    }
}

/// The time left until a deadline, as a socket's timeout: never zero, which would mean none.
fn time_left(deadline: Option<Instant>) -> Result<Option<Duration>, LinkError> {
    let Some(deadline) = deadline else { return Ok(None) };
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        Err(LinkError::TimedOut)
    } else {
        Ok(Some(left.max(Duration::from_millis(1))))
    }
}

/// What an error of a socket means for a link.
fn socket_error(error: io::Error) -> LinkError {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => LinkError::TimedOut,
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::UnexpectedEof => LinkError::Closed,
        _ => LinkError::Io(error),
    }
}
