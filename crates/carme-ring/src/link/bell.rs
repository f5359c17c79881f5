//! Doorbells: one byte on a socket says "look", and more bytes say no more than that.

use std::io::{self, Read, Write};

/// The socket under a bell, for a reactor.
#[cfg(unix)]
pub type BellStream = std::os::unix::net::UnixStream;
/// The socket under a bell, for a reactor.
#[cfg(windows)]
pub type BellStream = std::net::TcpStream;

/// The end that rings.
#[derive(Debug)]
pub struct Ringer(BellStream);

impl Ringer {
    pub(super) fn new(stream: BellStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self(stream))
    }

    /// Rings, without ever waiting. A full socket has been rung already; a closed one has nobody behind it, which shows
    /// elsewhere.
    pub fn ring(&self) {
        loop {
            match (&self.0).write(&[1]) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                _ => return,
            }
        }
    }
}

/// The end that waits.
#[derive(Debug)]
pub struct Bell(BellStream);

impl Bell {
    pub(super) fn new(stream: BellStream) -> Self {
        Self(stream)
    }

    /// Waits until it is rung, however often. `false` when the other side is gone.
    pub fn wait(&self) -> io::Result<bool> {
        loop {
            match (&self.0).read(&mut [0; 256]) {
                Ok(n) => return Ok(n > 0),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::ConnectionReset => return Ok(false),
                Err(e) => return Err(e),
            }
        }
    }

    /// The socket itself, non-blocking, for a reactor.
    pub fn into_std(self) -> io::Result<BellStream> {
        self.0.set_nonblocking(true)?;
        Ok(self.0)
    }
}
