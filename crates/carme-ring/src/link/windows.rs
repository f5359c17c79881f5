//! Loopback TCP with a token; handles travel as numbers and are duplicated through the worker's process handle.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::os::windows::io::{
    AsRawHandle, AsRawSocket, BorrowedHandle, FromRawHandle, IntoRawHandle, OwnedHandle, RawHandle,
};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use windows_sys::Win32::Foundation::{
    DUPLICATE_CLOSE_SOURCE, DUPLICATE_SAME_ACCESS, DuplicateHandle, HANDLE, HANDLE_FLAG_INHERIT,
    SetHandleInformation,
};
use windows_sys::Win32::Networking::WinSock::{POLLRDNORM, SOCKET_ERROR, WSAPOLLFD, WSAPoll};
use windows_sys::Win32::System::Threading::{
    GetCurrentProcess, OpenProcess, PROCESS_DUP_HANDLE, PROCESS_QUERY_LIMITED_INFORMATION,
    PROCESS_SYNCHRONIZE, PROCESS_TERMINATE,
};

use super::bell::{Bell, Ringer};
use super::{FrontBells, Head, LINK_VARIABLE, LinkError, Peer, WorkerBells, socket_error, time_left};
use owner::peer_processes;

mod owner;

/// Bells are connections of their own here.
pub(crate) const BELLS_IN_WELCOME: usize = 0;

/// The process at the other end of a link: handles are duplicated through it, and its end can be waited for.
pub type WorkerProcess = Arc<OwnedHandle>;

/// How often the front looks whether the worker that it waits for still lives.
const LOOK: Duration = Duration::from_millis(50);

/// Connections that may be half way through proving themselves.
const MAX_PENDING: usize = 32;

const MAGIC: [u8; 7] = *b"carme/1";
const TOKEN: usize = 32;
const PREAMBLE: usize = MAGIC.len() + 1 + TOKEN;

/// What one of a worker's connections is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    /// Control messages to the front.
    Up = 0,
    /// Control messages to the worker.
    Down = 1,
    Leader = 2,
    Second = 3,
    Inbox = 4,
    Front = 5,
}

const ROLES: [Role; 6] = [
    Role::Up,
    Role::Down,
    Role::Leader,
    Role::Second,
    Role::Inbox,
    Role::Front,
];

#[derive(Clone)]
struct Token([u8; TOKEN]);

impl Token {
    fn new() -> io::Result<Self> {
        let mut token = [0; TOKEN];
        getrandom::fill(&mut token)?;
        Ok(Self(token))
    }

    /// Whether the other is the same, in a time that does not depend on where they differ.
    fn proves(&self, other: &[u8; TOKEN]) -> bool {
        self.0
            .iter()
            .zip(other)
            .fold(0, |sum, (a, b)| std::hint::black_box(sum | (a ^ b)))
            == 0
    }
}

pub(super) type BellStream = TcpStream;
pub(super) type RingerStream = TcpStream;

pub(super) fn set_nonblocking(end: &TcpStream) -> io::Result<()> {
    end.set_nonblocking(true)
}

pub(super) struct Invitation {
    listener: TcpListener,
    address: Address,
}

/// What there is once the worker is connected.
pub(super) struct Connected {
    pub(super) send: SendHalf,
    pub(super) receive: ReceiveHalf,
    pub(super) bells: FrontBells,
    pub(super) worker_ends: WorkerEnds,
}

impl Invitation {
    pub(super) fn new() -> io::Result<Self> {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
        // Nobody else may listen where the worker will connect.
        crate::os::own_port(&socket)?;
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
        socket.listen(16)?;
        let listener = TcpListener::from(socket);
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        Ok(Self {
            listener,
            address: Address {
                port,
                token: Token::new()?,
            },
        })
    }

    pub(super) fn prepare(&self, command: &mut Command) {
        command.env(LINK_VARIABLE, self.address.to_string());
    }

    pub(super) fn accept(self, deadline: Instant, alive: &dyn Fn() -> bool) -> Result<Connected, LinkError> {
        let mut pending: Vec<Applicant> = Vec::new();
        let mut proved: [Option<TcpStream>; ROLES.len()] = Default::default();
        while proved.iter().any(Option::is_none) {
            let wait = time_left(Some(deadline))?.unwrap_or(LOOK).min(LOOK);
            wait_readable(
                std::iter::once(self.listener.as_raw_socket()).chain(pending.iter().map(Applicant::socket)),
                wait,
            )?;
            while pending.len() < MAX_PENDING {
                match self.listener.accept() {
                    Ok((stream, _)) => pending.push(Applicant::new(stream)?),
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                    // That client gave up between its connect and this accept.
                    Err(e) if e.kind() == io::ErrorKind::ConnectionReset => {}
                    Err(e) => return Err(e.into()),
                }
            }
            let mut still = Vec::with_capacity(pending.len());
            for mut applicant in pending {
                match applicant.read(&self.address.token) {
                    Proof::Given(role) => {
                        if proved[role as usize].replace(applicant.stream).is_some() {
                            return Err(LinkError::Garbage("a connection was made twice".to_owned()));
                        }
                    }
                    Proof::Pending => still.push(applicant),
                    Proof::Failed => {}
                }
            }
            // Strangers on this machine can fill the waiting room, never keep it: the oldest is shown out.
            if still.len() == MAX_PENDING {
                still.remove(0);
            }
            pending = still;
            if !alive() {
                return Err(LinkError::Closed);
            }
        }
        let real = peer_processes(proved.iter().flatten())?;
        let [
            Some(up),
            Some(down),
            Some(leader),
            Some(second),
            Some(inbox),
            Some(front),
        ] = proved
        else {
            return Err(LinkError::Closed);
        };
        up.set_nonblocking(false)?;
        front.set_nonblocking(false)?;
        down.set_nonblocking(true)?;
        Ok(Connected {
            send: SendHalf {
                stream: down,
                other: up.try_clone()?,
                transfer: Transfer::NotYet,
            },
            receive: ReceiveHalf {
                stream: up,
                transfer: Transfer::NotYet,
            },
            bells: FrontBells {
                leader: Ringer::new(leader)?,
                second: Ringer::new(second)?,
                inbox: Ringer::new(inbox)?,
                front: Bell::new(front),
            },
            worker_ends: WorkerEnds { real },
        })
    }
}

/// A connection that has not proved itself yet.
struct Applicant {
    stream: TcpStream,
    preamble: [u8; PREAMBLE],
    read: usize,
}

enum Proof {
    Given(Role),
    Pending,
    Failed,
}

impl Applicant {
    fn new(stream: TcpStream) -> io::Result<Self> {
        keep_to_ourselves(&stream)?;
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            preamble: [0; PREAMBLE],
            read: 0,
        })
    }

    fn socket(&self) -> u64 {
        self.stream.as_raw_socket()
    }

    fn read(&mut self, token: &Token) -> Proof {
        while self.read < PREAMBLE {
            match self.stream.read(&mut self.preamble[self.read..]) {
                Ok(0) => return Proof::Failed,
                Ok(n) => self.read += n,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Proof::Pending,
                Err(_) => return Proof::Failed,
            }
        }
        let (magic, rest) = self.preamble.split_at(MAGIC.len());
        let Some((role, shown)) = rest.split_first() else {
            return Proof::Failed;
        };
        let Ok(shown) = <&[u8; TOKEN]>::try_from(shown) else {
            return Proof::Failed;
        };
        match ROLES.get(usize::from(*role)) {
            Some(role) if token.proves(shown) && magic == MAGIC => Proof::Given(*role),
            _ => Proof::Failed,
        }
    }
}

/// Children that are spawned later must not inherit a socket: they would keep its connection open.
fn keep_to_ourselves(stream: &TcpStream) -> io::Result<()> {
    // SAFETY: the socket is open, and sockets are handles to this call.
    let done = unsafe { SetHandleInformation(stream.as_raw_socket() as HANDLE, HANDLE_FLAG_INHERIT, 0) };
    if done == 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Waits until one of the sockets can be read (or accepts, or has failed), or the time is over.
fn wait_readable(sockets: impl Iterator<Item = u64>, time: Duration) -> io::Result<()> {
    let mut polled: Vec<_> = sockets
        .map(|s| WSAPOLLFD {
            fd: s as usize,
            events: POLLRDNORM,
            revents: 0,
        })
        .collect();
    // SAFETY: the array is valid for its length, and all sockets are open during the call.
    let ready = unsafe { WSAPoll(polled.as_mut_ptr(), polled.len() as u32, time.as_millis() as i32) };
    if ready == SOCKET_ERROR {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Who made the connections, as the operating system says; `None` where it does not say.
pub(super) struct WorkerEnds {
    real: Vec<Option<u32>>,
}

impl WorkerEnds {
    pub(super) fn identify(
        &self,
        send: &mut SendHalf,
        receive: &mut ReceiveHalf,
        claimed: u32,
    ) -> Result<Peer, LinkError> {
        if let Some(real) = self.real.iter().flatten().find(|real| **real != claimed) {
            return Err(LinkError::WrongPeer { claimed, real: *real });
        }
        let rights =
            PROCESS_DUP_HANDLE | PROCESS_SYNCHRONIZE | PROCESS_QUERY_LIMITED_INFORMATION | PROCESS_TERMINATE;
        // SAFETY: takes no pointers; a failure is a null handle.
        let handle = unsafe { OpenProcess(rights, 0, claimed) };
        if handle.is_null() {
            return Err(io::Error::last_os_error().into());
        }
        // SAFETY: just opened, and owned by nobody else.
        let process = Arc::new(unsafe { OwnedHandle::from_raw_handle(handle) });
        send.transfer = Transfer::Through(Arc::clone(&process));
        receive.transfer = Transfer::Through(Arc::clone(&process));
        Ok(Peer {
            pid: claimed,
            process,
        })
    }

    pub(super) fn handles(&self) -> impl Iterator<Item = BorrowedHandle<'_>> {
        std::iter::empty()
    }

    pub(super) fn close(&mut self) {}
}

/// Where a worker finds its front, and what proves that it is the one.
#[derive(Clone)]
pub(super) struct Address {
    port: u16,
    token: Token,
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "tcp:{}:", self.port)?;
        self.token.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Address {
    pub(super) fn parse(value: &str) -> Option<Self> {
        let (port, hex) = value.strip_prefix("tcp:")?.split_once(':')?;
        if hex.len() != 2 * TOKEN || !hex.is_ascii() {
            return None;
        }
        let mut token = [0; TOKEN];
        for (byte, digits) in token.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        }
        Some(Self {
            port: port.parse().ok()?,
            token: Token(token),
        })
    }

    pub(super) fn of(invitation: &Invitation) -> io::Result<Self> {
        Ok(invitation.address.clone())
    }

    #[cfg(test)]
    pub(super) fn with_wrong_token(&self) -> Self {
        let mut wrong = self.clone();
        wrong.token.0[TOKEN - 1] ^= 1;
        wrong
    }

    fn connect(&self, role: Role) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(SocketAddrV4::new(Ipv4Addr::LOCALHOST, self.port))?;
        keep_to_ourselves(&stream)?;
        stream.set_nodelay(true)?;
        let mut preamble = MAGIC.to_vec();
        preamble.push(role as u8);
        preamble.extend_from_slice(&self.token.0);
        (&stream).write_all(&preamble)?;
        Ok(stream)
    }
}

pub(super) fn connect(address: Address) -> Result<(SendHalf, ReceiveHalf, ComingBells), LinkError> {
    let open = |role| address.connect(role).map_err(socket_error);
    let (up, down) = (open(Role::Up)?, open(Role::Down)?);
    let send = SendHalf {
        stream: up,
        other: down.try_clone()?,
        transfer: Transfer::ByTheOther,
    };
    let receive = ReceiveHalf {
        stream: down,
        transfer: Transfer::ByTheOther,
    };
    let bells = WorkerBells {
        leader: Bell::new(open(Role::Leader)?),
        second: Bell::new(open(Role::Second)?),
        inbox: Bell::new(open(Role::Inbox)?),
        front: Ringer::new(open(Role::Front)?)?,
    };
    Ok((send, receive, ComingBells(bells)))
}

/// The worker's bells, connected already.
pub(super) struct ComingBells(WorkerBells);

impl ComingBells {
    pub(super) fn complete(self, _: impl Iterator<Item = OwnedHandle>) -> Result<WorkerBells, LinkError> {
        Ok(self.0)
    }
}

/// How handles cross. The front does it for both directions, because only it may open the other process.
enum Transfer {
    /// The front's, before it knows the worker's process.
    NotYet,
    /// The front's.
    Through(WorkerProcess),
    /// The worker's.
    ByTheOther,
}

impl Transfer {
    /// A number that means the handle to the other side.
    fn give(&self, handle: BorrowedHandle<'_>) -> io::Result<u64> {
        match self {
            Self::NotYet => Err(io::Error::other("no handle can be given before the hello")),
            Self::Through(process) => {
                let mut given: HANDLE = std::ptr::null_mut();
                // SAFETY: the three handles are open, and `given` is a place for one; the duplicate belongs to the
                // worker, which closes it.
                let done = unsafe {
                    DuplicateHandle(
                        GetCurrentProcess(),
                        handle.as_raw_handle(),
                        process.as_raw_handle(),
                        &mut given,
                        0,
                        0,
                        DUPLICATE_SAME_ACCESS,
                    )
                };
                if done == 0 {
                    Err(io::Error::last_os_error())
                } else {
                    Ok(given as usize as u64)
                }
            }
            // The front takes this duplicate and closes it here.
            Self::ByTheOther => Ok(handle.try_clone_to_owned()?.into_raw_handle() as usize as u64),
        }
    }

    /// The handle that a number from the other side means.
    fn take(&self, number: u64) -> io::Result<OwnedHandle> {
        let raw = usize::try_from(number).map_err(io::Error::other)? as RawHandle;
        match self {
            Self::NotYet => Err(io::Error::other("no handle can be taken before the hello")),
            Self::Through(process) => {
                let mut taken: HANDLE = std::ptr::null_mut();
                // SAFETY: the process handle is open, `taken` is a place for one handle, and `raw` is only looked up in
                // the worker's own table, where a wrong number does harm to nobody else.
                let done = unsafe {
                    DuplicateHandle(
                        process.as_raw_handle(),
                        raw,
                        GetCurrentProcess(),
                        &mut taken,
                        0,
                        0,
                        DUPLICATE_SAME_ACCESS | DUPLICATE_CLOSE_SOURCE,
                    )
                };
                if done == 0 || taken.is_null() {
                    return Err(io::Error::last_os_error());
                }
                // SAFETY: just made by the call, and owned by nobody else.
                Ok(unsafe { OwnedHandle::from_raw_handle(taken) })
            }
            // SAFETY: the front, whose word a worker takes, has just put this handle into this process's table for
            // this message alone.
            Self::ByTheOther => Ok(unsafe { OwnedHandle::from_raw_handle(raw) }),
        }
    }
}

pub(super) struct SendHalf {
    stream: TcpStream,
    /// The connection of the other direction.
    other: TcpStream,
    transfer: Transfer,
}

impl SendHalf {
    /// Ends the connections of both directions.
    pub(super) fn end(&self) {
        for stream in [&self.stream, &self.other] {
            // It may have ended already.
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    }

    #[cfg(test)]
    pub(super) fn stream_for_tests(&self) -> &TcpStream {
        &self.stream
    }

    pub(super) fn send(&mut self, body: &[u8], handles: &[BorrowedHandle<'_>]) -> Result<(), LinkError> {
        let mut bytes = Head {
            length: body.len(),
            handles: handles.len(),
        }
        .encode()
        .to_vec();
        for handle in handles {
            bytes.extend_from_slice(&self.transfer.give(*handle)?.to_le_bytes());
        }
        bytes.extend_from_slice(body);
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            match self.stream.write(rest) {
                Ok(n) => rest = &rest[n..],
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Err(LinkError::Stalled),
                Err(e) => return Err(socket_error(e)),
            }
        }
        Ok(())
    }
}

pub(super) struct ReceiveHalf {
    stream: TcpStream,
    transfer: Transfer,
}

impl ReceiveHalf {
    pub(super) fn receive(
        &mut self,
        deadline: Option<Instant>,
    ) -> Result<(Vec<u8>, Vec<OwnedHandle>), LinkError> {
        let mut head = [0; Head::LEN];
        self.read_exact(&mut head, deadline)?;
        let head = Head::decode(head)?;
        let mut handles = Vec::with_capacity(head.handles);
        for _ in 0..head.handles {
            let mut number = [0; 8];
            self.read_exact(&mut number, deadline)?;
            handles.push(self.transfer.take(u64::from_le_bytes(number))?);
        }
        let mut body = vec![0; head.length];
        self.read_exact(&mut body, deadline)?;
        Ok((body, handles))
    }

    fn read_exact(&mut self, mut into: &mut [u8], deadline: Option<Instant>) -> Result<(), LinkError> {
        while !into.is_empty() {
            self.stream.set_read_timeout(time_left(deadline)?)?;
            match self.stream.read(into) {
                Ok(0) => return Err(LinkError::Closed),
                Ok(n) => into = &mut into[n..],
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(socket_error(e)),
            }
        }
        Ok(())
    }
}
