//! A worker's bell at the front: rung, it ends the runtime's sleep, and that is all that anybody has to know of it.

use std::io;

use carme_ring::link::Bell;

/// Whether bells that have been rung so often have to be read, for them to be heard and never full.
pub(super) use imp::is_due;

/// Registered with the runtime that made it. No task waits for it: the runtime's hooks take in what was sent.
pub(super) struct FrontBell(imp::Stream);

impl FrontBell {
    /// Call it within the runtime.
    pub(super) fn new(bell: Bell) -> io::Result<Self> {
        Ok(Self(imp::register(bell)?))
    }

    /// Takes the rings out of it, so that there is room for new ones.
    pub(super) fn read(&self) {
        // Until it is empty. Its end is its worker's end, which the supervisor sees.
        loop {
            match self.0.try_read(&mut [0; 256]) {
                Ok(1..) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => return,
            }
        }
    }
}

#[cfg(unix)]
mod imp {
    use super::{Bell, io};

    pub(super) use tokio::net::unix::pipe::Receiver as Stream;

    /// Every write to a pipe wakes who polls it, read or not; reading seldom saves a system call for most sleeps.
    pub(in super::super) fn is_due(rings: u32) -> bool {
        rings >= 64
    }

    pub(super) fn register(bell: Bell) -> io::Result<Stream> {
        Stream::from_owned_fd_unchecked(bell.into_std()?.into())
    }
}

#[cfg(windows)]
mod imp {
    use super::{Bell, io};

    pub(super) use tokio::net::TcpStream as Stream;

    /// A socket is polled again only after it was found empty, so it is looked at before every sleep; that asks the
    /// system only if it was rung.
    pub(in super::super) fn is_due(_: u32) -> bool {
        true
    }

    pub(super) fn register(bell: Bell) -> io::Result<Stream> {
        Stream::from_std(bell.into_std()?)
    }
}
