//! New connections to a member.

use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::Instant;

use crate::endpoint::{Address, Endpoint};
use crate::stream::Stream;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Its name is not known, or nobody answers for names.
    #[error("its address cannot be found: {0}")]
    Resolve(io::Error),
    /// Nobody listens there, or the way there is closed.
    #[error("{0}")]
    Refused(io::Error),
    /// `connectiontimeout`.
    #[error("no connection within {0:?} (connectiontimeout)")]
    TooSlow(Duration),
    /// HTTP could not begin.
    #[error("{0}")]
    Handshake(hyper::Error),
}

/// The addresses of a member's name.
#[derive(Debug, Default)]
pub(crate) struct Addresses(Mutex<Option<(Instant, Vec<SocketAddr>)>>);

impl Addresses {
    async fn of(&self, host: &str, port: u16, ttl: Option<Duration>) -> io::Result<Vec<SocketAddr>> {
        if let Some((since, known)) = &*self.known()
            && ttl.is_none_or(|ttl| since.elapsed() < ttl)
        {
            return Ok(known.clone());
        }
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let found: Vec<_> = tokio::net::lookup_host((host, port)).await?.collect();
        *self.known() = Some((Instant::now(), found.clone()));
        Ok(found)
    }

    /// They lead nowhere: the next connection asks anew.
    fn forget(&self) {
        *self.known() = None;
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Option<(Instant, Vec<SocketAddr>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Connects to a member, in the time that its configuration grants.
pub(crate) async fn connect(endpoint: &Endpoint, addresses: &Addresses) -> Result<Stream, ConnectError> {
    let limit = endpoint.connect_timeout;
    match tokio::time::timeout(limit, reach(endpoint, addresses)).await {
        Ok(reached) => reached,
        Err(_) => {
            addresses.forget();
            Err(ConnectError::TooSlow(limit))
        }
    }
}

async fn reach(endpoint: &Endpoint, addresses: &Addresses) -> Result<Stream, ConnectError> {
    match &endpoint.address {
        Address::Unix { path, .. } => unix::connect(path).await.map_err(ConnectError::Refused),
        Address::Tcp { host, port } => {
            let found = addresses.of(host, *port, endpoint.address_ttl).await;
            let mut last = None;
            for address in found.map_err(ConnectError::Resolve)? {
                match tcp(endpoint, address).await {
                    Ok(stream) => return Ok(Stream::new(stream)),
                    Err(error) => last = Some(error),
                }
            }
            addresses.forget();
            let nobody = || io::Error::new(io::ErrorKind::NotFound, "its name has no address");
            Err(ConnectError::Refused(last.unwrap_or_else(nobody)))
        }
    }
}

async fn tcp(endpoint: &Endpoint, address: SocketAddr) -> io::Result<TcpStream> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    if let Some(bytes) = endpoint.receive_buffer {
        socket.set_recv_buffer_size(u32::try_from(bytes.get()).unwrap_or(u32::MAX))?;
    }
    let stream = socket.connect(address).await?;
    stream.set_nodelay(true)?;
    if endpoint.keep_alive {
        SockRef::from(&stream).set_tcp_keepalive(&TcpKeepalive::new())?;
    }
    Ok(stream)
}

#[cfg(unix)]
mod unix {
    use std::io;
    use std::path::Path;

    use crate::stream::Stream;

    pub(super) async fn connect(path: &Path) -> io::Result<Stream> {
        Ok(Stream::new(tokio::net::UnixStream::connect(path).await?))
    }
}

#[cfg(not(unix))]
mod unix {
    use std::io;
    use std::path::Path;

    use crate::stream::Stream;

    /// The configuration refuses it before.
    pub(super) async fn connect(_path: &Path) -> io::Result<Stream> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
