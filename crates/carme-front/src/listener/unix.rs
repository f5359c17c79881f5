//! Unix sockets, and what TCP sockets need on Unix.

use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use socket2::Socket;
use tokio::net::{UnixListener, UnixStream};

/// A restart must not wait for the connections of the run before it.
pub(super) fn prepare(socket: &Socket) -> io::Result<()> {
    socket.set_reuse_address(true)
}

/// A listening Unix socket; its file goes with it.
pub(super) struct UnixSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl UnixSocket {
    pub(super) fn bind(path: &Path) -> io::Result<Self> {
        remove_stale(path)?;
        Ok(UnixSocket {
            listener: UnixListener::bind(path)?,
            path: path.to_owned(),
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) async fn accept(&self) -> io::Result<UnixStream> {
        Ok(self.listener.accept().await?.0)
    }
}

impl Drop for UnixSocket {
    fn drop(&mut self) {
        // It may be gone, or somebody else's by now; the next start looks at it again.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Removes the socket that a killed run has left. Nothing else is ever removed.
fn remove_stale(path: &Path) -> io::Result<()> {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    if !is_socket {
        return Ok(());
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Ok(_) => Err(io::ErrorKind::AddrInUse.into()),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path),
        Err(_) => Ok(()),
    }
}
