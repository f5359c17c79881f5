//! Doorbells: one byte in a pipe or on a socket says "look", and more bytes say no more than that.

use std::io::{self, Read, Write};

use super::imp::{self, RingerStream};

/// The end of a pipe or the socket under a bell, for a reactor.
pub type BellStream = imp::BellStream;

/// The end that rings.
#[derive(Debug)]
pub struct Ringer(RingerStream);

impl Ringer {
    pub(super) fn new(stream: RingerStream) -> io::Result<Self> {
        imp::set_nonblocking(&stream)?;
        Ok(Self(stream))
    }

    /// Rings, without ever waiting. A full pipe has been rung already; a closed one has nobody behind it, which shows
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

    /// What is under the bell, non-blocking, for a reactor.
    pub fn into_std(self) -> io::Result<BellStream> {
        imp::set_nonblocking(&self.0)?;
        Ok(self.0)
    }
}
