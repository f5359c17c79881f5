//! A socket pair; handles travel as `SCM_RIGHTS`, and on Linux the kernel names the sender with each message. The bells
//! are pipes: both ends wake faster than those of sockets (`docs`, design notes), and unlike an eventfd's, the front's
//! ends cannot be made to block by the worker.

use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut, PipeReader, PipeWriter, pipe};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use rustix::io::{Errno, FdFlags, fcntl_getfd, fcntl_setfd};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

use super::bell::{Bell, Ringer};
use super::{
    FrontBells, Head, LINK_VARIABLE, LinkError, MAX_HANDLES, Peer, WorkerBells, socket_error, time_left,
};

/// The worker's ends of the bells travel with its welcome.
pub(crate) const BELLS_IN_WELCOME: usize = 4;

pub(super) type BellStream = PipeReader;
pub(super) type RingerStream = PipeWriter;

pub(super) fn set_nonblocking(end: &impl AsFd) -> io::Result<()> {
    Ok(rustix::io::ioctl_fionbio(end, true)?)
}

pub(super) struct Invitation {
    front: UnixStream,
    worker: UnixStream,
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
        // std opens both with close-on-exec.
        let (front, worker) = UnixStream::pair()?;
        #[cfg(target_os = "linux")]
        rustix::net::sockopt::set_socket_passcred(&front, true)?;
        Ok(Self { front, worker })
    }

    pub(super) fn prepare(&self, command: &mut Command) {
        let fd = self.worker.as_raw_fd();
        command.env(LINK_VARIABLE, format!("fd:{fd}"));
        let inherit = move || {
            // SAFETY: `self.worker` is open when the command is spawned: `accept` consumes it afterwards.
            let fd = unsafe { BorrowedFd::borrow_raw(fd) };
            Ok(fcntl_setfd(fd, fcntl_getfd(fd)? - FdFlags::CLOEXEC)?)
        };
        // SAFETY: the closure only makes two fcntl calls, which are async-signal-safe.
        unsafe { command.pre_exec(inherit) };
    }

    pub(super) fn accept(self, _: Instant, _: &dyn Fn() -> bool) -> Result<Connected, LinkError> {
        let Self { front, worker } = self;
        // With the front's copy of it gone, the worker's death ends the connection.
        drop(worker);
        let (leader_end, leader) = pipe()?;
        let (second_end, second) = pipe()?;
        let (inbox_end, inbox) = pipe()?;
        let (bell, bell_end) = pipe()?;
        let stream = Arc::new(front);
        Ok(Connected {
            send: SendHalf {
                stream: Arc::clone(&stream),
                patient: false,
            },
            receive: ReceiveHalf::new(stream),
            bells: FrontBells {
                leader: Ringer::new(leader)?,
                second: Ringer::new(second)?,
                inbox: Ringer::new(inbox)?,
                front: Bell::new(bell),
            },
            worker_ends: WorkerEnds(vec![
                leader_end.into(),
                second_end.into(),
                inbox_end.into(),
                bell_end.into(),
            ]),
        })
    }
}

/// The worker's ends of its bells, until its welcome has been sent.
pub(super) struct WorkerEnds(Vec<OwnedFd>);

impl WorkerEnds {
    pub(super) fn identify(
        &self,
        _: &mut SendHalf,
        from: &mut ReceiveHalf,
        claimed: u32,
    ) -> Result<Peer, LinkError> {
        // In a pid namespace of its own a worker knows itself by another number: the kernel's is the one that counts.
        Ok(Peer {
            pid: from.peer.unwrap_or(claimed),
        })
    }

    pub(super) fn handles(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.0.iter().map(AsFd::as_fd)
    }

    pub(super) fn close(&mut self) {
        self.0.clear();
    }
}

/// Where a worker finds its front.
pub(super) struct Address(OwnedFd);

impl Address {
    pub(super) fn parse(value: &str) -> Option<Self> {
        let fd: i32 = value.strip_prefix("fd:")?.parse().ok().filter(|fd| *fd > 2)?;
        // SAFETY: only borrowed to ask whether it is an open socket; any number above 2 may be asked.
        let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
        rustix::net::sockopt::socket_type(borrowed).ok()?;
        // SAFETY: the front left this descriptor to this process alone, and `from_env` is called once.
        Some(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    pub(super) fn of(invitation: &Invitation) -> io::Result<Self> {
        Ok(Self(invitation.worker.try_clone()?.into()))
    }
}

pub(super) fn connect(address: Address) -> Result<(SendHalf, ReceiveHalf, ComingBells), LinkError> {
    let fd = address.0;
    // What the worker's app starts must not get it.
    fcntl_setfd(&fd, FdFlags::CLOEXEC).map_err(io::Error::from)?;
    let stream = Arc::new(UnixStream::from(fd));
    Ok((
        SendHalf {
            stream: Arc::clone(&stream),
            patient: true,
        },
        ReceiveHalf::new(stream),
        ComingBells,
    ))
}

/// The worker's bells, to come with its welcome.
pub(super) struct ComingBells;

impl ComingBells {
    pub(super) fn complete(self, mut ends: impl Iterator<Item = OwnedFd>) -> Result<WorkerBells, LinkError> {
        match (ends.next(), ends.next(), ends.next(), ends.next()) {
            (Some(leader), Some(second), Some(inbox), Some(front)) => Ok(WorkerBells {
                leader: Bell::new(leader.into()),
                second: Bell::new(second.into()),
                inbox: Bell::new(inbox.into()),
                front: Ringer::new(front.into())?,
            }),
            _ => Err(LinkError::Garbage(
                "the welcome came without its bells".to_owned(),
            )),
        }
    }
}

pub(super) struct SendHalf {
    stream: Arc<UnixStream>,
    /// Waits when the socket is full; the front's never does.
    patient: bool,
}

impl SendHalf {
    pub(super) fn send(&mut self, body: &[u8], handles: &[BorrowedFd<'_>]) -> Result<(), LinkError> {
        let mut bytes = Head {
            length: body.len(),
            handles: handles.len(),
        }
        .encode()
        .to_vec();
        bytes.extend_from_slice(body);
        let mut rest = bytes.as_slice();
        let mut handles = handles;
        while !rest.is_empty() {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_HANDLES))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            if !handles.is_empty() && !control.push(SendAncillaryMessage::ScmRights(handles)) {
                return Err(LinkError::Handles {
                    expected: MAX_HANDLES,
                    got: handles.len(),
                });
            }
            match sendmsg(&*self.stream, &[IoSlice::new(rest)], &mut control, self.flags()) {
                Ok(sent) => {
                    // The handles went with the first bytes.
                    handles = &[];
                    rest = &rest[sent..];
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Err(LinkError::Stalled),
                Err(e) => return Err(socket_error(e.into())),
            }
        }
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn stream_for_tests(&self) -> &UnixStream {
        &self.stream
    }

    /// Ends the connection in both directions.
    pub(super) fn end(&self) {
        // It may have ended already.
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
    }

    fn flags(&self) -> SendFlags {
        let flags = if self.patient {
            SendFlags::empty()
        } else {
            SendFlags::DONTWAIT
        };
        // Rust programs ignore SIGPIPE, a Python app may not.
        #[cfg(not(target_vendor = "apple"))]
        let flags = flags | SendFlags::NOSIGNAL;
        flags
    }
}

pub(super) struct ReceiveHalf {
    stream: Arc<UnixStream>,
    bytes: Vec<u8>,
    handles: VecDeque<OwnedFd>,
    /// Who sent, as the kernel says.
    peer: Option<u32>,
}

impl ReceiveHalf {
    fn new(stream: Arc<UnixStream>) -> Self {
        Self {
            stream,
            bytes: Vec::new(),
            handles: VecDeque::new(),
            peer: None,
        }
    }

    pub(super) fn receive(
        &mut self,
        deadline: Option<Instant>,
    ) -> Result<(Vec<u8>, Vec<OwnedFd>), LinkError> {
        let head = loop {
            if let Some(head) = self.bytes.first_chunk() {
                break Head::decode(*head)?;
            }
            self.fill(deadline)?;
        };
        let end = Head::LEN + head.length;
        while self.bytes.len() < end {
            self.fill(deadline)?;
        }
        if self.handles.len() < head.handles {
            return Err(LinkError::Handles {
                expected: head.handles,
                got: self.handles.len(),
            });
        }
        let body = self.bytes[Head::LEN..end].to_vec();
        self.bytes.drain(..end);
        Ok((body, self.handles.drain(..head.handles).collect()))
    }

    /// Receives what there is, at least one byte.
    fn fill(&mut self, deadline: Option<Instant>) -> Result<(), LinkError> {
        self.stream.set_read_timeout(time_left(deadline)?)?;
        let mut chunk = [0; 16 * 1024];
        let mut space =
            [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_HANDLES), ScmCredentials(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        #[cfg(not(target_vendor = "apple"))]
        let flags = RecvFlags::CMSG_CLOEXEC;
        #[cfg(target_vendor = "apple")]
        let flags = RecvFlags::empty();
        let received = loop {
            match recvmsg(
                &*self.stream,
                &mut [IoSliceMut::new(&mut chunk)],
                &mut control,
                flags,
            ) {
                Err(Errno::INTR) => {}
                other => break other.map_err(|e| socket_error(e.into()))?,
            }
        };
        for message in control.drain() {
            match message {
                RecvAncillaryMessage::ScmRights(fds) => {
                    for fd in fds {
                        #[cfg(target_vendor = "apple")]
                        fcntl_setfd(&fd, FdFlags::CLOEXEC).map_err(io::Error::from)?;
                        self.handles.push_back(fd);
                    }
                }
                #[cfg(target_os = "linux")]
                RecvAncillaryMessage::ScmCredentials(who) => {
                    self.peer = u32::try_from(who.pid.as_raw_nonzero().get()).ok();
                }
                _ => {}
            }
        }
        if received.flags.contains(ReturnFlags::CTRUNC) || self.handles.len() > 4 * MAX_HANDLES {
            return Err(LinkError::Handles {
                expected: MAX_HANDLES,
                got: self.handles.len(),
            });
        }
        if received.bytes == 0 {
            return Err(LinkError::Closed);
        }
        self.bytes.extend_from_slice(&chunk[..received.bytes]);
        Ok(())
    }
}
