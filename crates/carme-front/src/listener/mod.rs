//! Listening sockets.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};

use crate::state::Ends;

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
use unix as platform;
#[cfg(windows)]
use windows as platform;

/// Connections that the system keeps for us while we are busy; the system lowers it to what it allows.
const BACKLOG: i32 = 4096;

/// A socket that accepts connections.
pub struct Listener(Kind);

enum Kind {
    Tcp {
        listener: TcpListener,
        address: SocketAddr,
    },
    #[cfg(unix)]
    Unix(unix::UnixSocket),
}

/// An accepted connection.
pub(crate) enum Stream {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(tokio::net::UnixStream),
}

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}{}", cure(.source))]
pub struct BindError {
    address: String,
    source: io::Error,
}

fn cure(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::AddrInUse => " (another program listens there: stop it, or choose another port)",
        io::ErrorKind::AddrNotAvailable => " (this machine has no such address)",
        io::ErrorKind::PermissionDenied => {
            " (ports below 1024 and some others need special rights: choose another port)"
        }
        _ => "",
    }
}

impl Listener {
    /// Listens on a TCP address; port 0 is any free one. Call it within the runtime.
    ///
    /// # Errors
    /// [`BindError`] names the address and, where it is known, the cure.
    pub fn tcp(address: SocketAddr) -> Result<Self, BindError> {
        let named = |source| BindError {
            address: address.to_string(),
            source,
        };
        let listener = bind(address).map_err(named)?;
        let address = listener.local_addr().map_err(named)?;
        Ok(Listener(Kind::Tcp { listener, address }))
    }

    /// Listens on a Unix socket at `path`. A socket that nobody listens on any more is replaced.
    ///
    /// # Errors
    /// [`BindError`] names the path.
    #[cfg(unix)]
    pub fn unix(path: &std::path::Path) -> Result<Self, BindError> {
        match unix::UnixSocket::bind(path) {
            Ok(socket) => Ok(Listener(Kind::Unix(socket))),
            Err(source) => Err(BindError {
                address: format!("unix:{}", path.display()),
                source,
            }),
        }
    }

    /// The address listened on, with the true port. `None` for a Unix socket.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        match &self.0 {
            Kind::Tcp { address, .. } => Some(*address),
            #[cfg(unix)]
            Kind::Unix(_) => None,
        }
    }

    /// Waits for a client. Cancel safe.
    pub(crate) async fn accept(&self) -> io::Result<(Stream, Ends)> {
        match &self.0 {
            Kind::Tcp { listener, address } => {
                let (stream, peer) = listener.accept().await?;
                // The client may be gone already; it shows at the first read.
                let _ = stream.set_nodelay(true);
                let local = stream.local_addr().unwrap_or(*address);
                Ok((Stream::Tcp(stream), Ends::tcp(peer, local)))
            }
            #[cfg(unix)]
            Kind::Unix(socket) => Ok((Stream::Unix(socket.accept().await?), Ends::unix())),
        }
    }
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Tcp { address, .. } => write!(f, "http://{address}"),
            #[cfg(unix)]
            Kind::Unix(socket) => write!(f, "unix:{}", socket.path().display()),
        }
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    platform::prepare(&socket)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}
