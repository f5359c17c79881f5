//! Listening sockets.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use carme_tls::Tls;
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

/// A socket that accepts connections.
pub struct Listener {
    kind: Kind,
    /// What its clients must speak, if not plain HTTP.
    tls: Option<Arc<Tls>>,
    /// Whether its connections begin with a PROXY header; `None`: as everywhere.
    announces: Option<bool>,
}

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
#[error("cannot listen on {address}: {source}{}", if .cure.is_empty() { String::new() } else { format!(" ({cure})") })]
pub struct BindError {
    address: String,
    source: io::Error,
    cure: String,
}

fn cure(address: SocketAddr, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            let who = platform::owner(address);
            let who = who.as_deref().unwrap_or("another program");
            format!("{who} listens there: stop it, or choose another port")
        }
        io::ErrorKind::AddrNotAvailable => {
            "this machine has no such address: 127.0.0.1 is the machine itself, 0.0.0.0 all its addresses"
                .to_owned()
        }
        io::ErrorKind::PermissionDenied if cfg!(windows) => {
            "another program listens there, or the system has reserved the port: choose another".to_owned()
        }
        io::ErrorKind::PermissionDenied => {
            "ports below 1024 and some others need special rights: choose another port".to_owned()
        }
        _ => String::new(),
    }
}

impl Listener {
    fn plain(kind: Kind) -> Self {
        Listener {
            kind,
            tls: None,
            announces: None,
        }
    }

    /// The same socket, where connections begin with a PROXY header or do not, whatever
    /// [`Proxies::protocol`](crate::Proxies::protocol) says of the others.
    #[must_use]
    pub fn with_proxy_protocol(mut self, on: bool) -> Self {
        self.announces = Some(on);
        self
    }

    pub(crate) fn announces(&self) -> Option<bool> {
        self.announces
    }

    /// The same socket for clients that speak TLS. A Unix socket stays as it is.
    #[must_use]
    pub fn with_tls(mut self, tls: Arc<Tls>) -> Self {
        if matches!(self.kind, Kind::Tcp { .. }) {
            self.tls = Some(tls);
        }
        self
    }

    pub(crate) fn tls(&self) -> Option<&Arc<Tls>> {
        self.tls.as_ref()
    }

    /// Listens on a TCP address; port 0 is any free one. At most `backlog` connections wait to be accepted; the system
    /// may allow fewer. Call it within the runtime.
    ///
    /// # Errors
    /// [`BindError`] names the address and, where it is known, the cure.
    pub fn tcp(address: SocketAddr, backlog: i32) -> Result<Self, BindError> {
        let named = |source| BindError {
            address: address.to_string(),
            cure: cure(address, &source),
            source,
        };
        let listener = bind(address, backlog).map_err(named)?;
        let address = listener.local_addr().map_err(named)?;
        Ok(Self::plain(Kind::Tcp { listener, address }))
    }

    /// Listens on a Unix socket at `path`. A socket that nobody listens on any more is replaced, anything else is not. Who
    /// may connect is up to the umask, as for any file.
    ///
    /// # Errors
    /// [`BindError`] names the path.
    #[cfg(unix)]
    pub fn unix(path: &std::path::Path, backlog: i32) -> Result<Self, BindError> {
        match unix::UnixSocket::bind(path, backlog) {
            Ok(socket) => Ok(Self::plain(Kind::Unix(socket))),
            Err(source) => {
                let cure = unix::cure(&source).to_owned();
                Err(BindError {
                    address: format!("unix:{}", path.display()),
                    source,
                    cure,
                })
            }
        }
    }

    /// Takes over a socket that listens already, because somebody else has opened it; `named` says which, in errors. A Unix
    /// socket's file stays when the listener goes. Call it within the runtime.
    ///
    /// # Errors
    /// [`BindError`] says that it is no socket, or none that listens for streams.
    #[cfg(unix)]
    pub fn passed(socket: std::os::fd::OwnedFd, named: &str) -> Result<Self, BindError> {
        unix::adopt(socket.into())
            .map(Self::plain)
            .map_err(|source| BindError {
                address: named.to_owned(),
                source,
                cure: "it must be a stream socket that listens, ListenStream= in its unit".to_owned(),
            })
    }

    /// The address listened on, with the true port. `None` for a Unix socket.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        match &self.kind {
            Kind::Tcp { address, .. } => Some(*address),
            #[cfg(unix)]
            Kind::Unix(_) => None,
        }
    }

    /// Waits for a client. Cancel safe.
    pub(crate) async fn accept(&self) -> io::Result<(Stream, Ends)> {
        match &self.kind {
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
        match &self.kind {
            Kind::Tcp { address, .. } if self.tls.is_some() => write!(f, "https://{address}"),
            Kind::Tcp { address, .. } => write!(f, "http://{address}"),
            #[cfg(unix)]
            Kind::Unix(socket) => write!(f, "unix:{}", socket.path().display()),
        }
    }
}

fn bind(address: SocketAddr, backlog: i32) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    carme_ring::os::own_port(&socket)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(backlog)?;
    TcpListener::from_std(socket.into())
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    fn any() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 0))
    }

    #[tokio::test]
    async fn an_address_in_use_is_an_error_with_a_cure() {
        let listener = Listener::tcp(any(), 16).unwrap();
        let address = listener.local_addr().unwrap();
        let error = Listener::tcp(address, 16).err().unwrap().to_string();
        assert!(
            error.starts_with(&format!("cannot listen on {address}: ")),
            "{error}"
        );
        assert!(error.contains("listens there"), "{error}");
        if cfg!(target_os = "linux") {
            assert!(
                error.contains(&format!("(pid {}) listens there", std::process::id())),
                "{error}"
            );
        }
    }

    #[tokio::test]
    async fn a_port_is_free_again_at_once() {
        let listener = Listener::tcp(any(), 16).unwrap();
        let address = listener.local_addr().unwrap();
        let client = TcpStream::connect(address).unwrap();
        // A connection that the server closes first stays in TIME_WAIT.
        drop(listener.accept().await.unwrap());
        drop((listener, client));
        Listener::tcp(address, 16).unwrap();
    }

    #[tokio::test]
    async fn an_address_of_another_machine_is_an_error_with_a_cure() {
        let error = Listener::tcp("192.0.2.1:0".parse().unwrap(), 16)
            .err()
            .unwrap()
            .to_string();
        assert!(error.contains("this machine has no such address"), "{error}");
    }
}
