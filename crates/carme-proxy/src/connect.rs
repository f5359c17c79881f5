//! New connections to a member.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

use crate::endpoint::{Address, Endpoint, Protocol};
use crate::stream::{Carrier, Stream};
use crate::tls;

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
    /// Another request has tried in vain.
    #[error("{0}")]
    Shared(Arc<ConnectError>),
    /// TLS could not begin, in words.
    #[error("{0}")]
    Tls(String),
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

/// What TLS to a member is done with; `None` where plain HTTP is spoken.
pub(crate) type Secure = Option<Arc<rustls::ClientConfig>>;

/// Connects to a member, in the time that its configuration grants.
pub(crate) async fn connect(
    endpoint: &Endpoint,
    secure: &Secure,
    addresses: &Addresses,
) -> Result<Stream, ConnectError> {
    let limit = endpoint.connect_timeout;
    match tokio::time::timeout(limit, reach(endpoint, secure, addresses)).await {
        Ok(reached) => reached,
        Err(_) => {
            addresses.forget();
            Err(ConnectError::TooSlow(limit))
        }
    }
}

async fn reach(endpoint: &Endpoint, secure: &Secure, addresses: &Addresses) -> Result<Stream, ConnectError> {
    let tls = handshake(endpoint, secure)?;
    match &endpoint.address {
        Address::Unix { path, .. } => {
            let socket = unix::connect(path).await.map_err(ConnectError::Refused)?;
            begin(endpoint, tls, socket).await
        }
        Address::Tcp { host, port } => {
            let found = addresses.of(host, *port, endpoint.address_ttl).await;
            let mut last = None;
            for address in found.map_err(ConnectError::Resolve)? {
                match tcp(endpoint, address).await {
                    Ok(stream) => return begin(endpoint, tls, stream).await,
                    Err(error) => last = Some(error),
                }
            }
            addresses.forget();
            let nobody = || io::Error::new(io::ErrorKind::NotFound, "its name has no address");
            Err(ConnectError::Refused(last.unwrap_or_else(nobody)))
        }
    }
}

/// How TLS is to begin, if it is to.
type Handshake = Option<(TlsConnector, ServerName<'static>)>;

fn handshake(endpoint: &Endpoint, secure: &Secure) -> Result<Handshake, ConnectError> {
    if !endpoint.is_secure {
        return Ok(None);
    }
    let wrong = |what: &str| ConnectError::Tls(what.to_owned());
    // There is one as soon as a configured member needs it.
    let config = secure.clone().ok_or_else(|| {
        wrong(
            "its balancer has no other member with TLS, and has read no authorities (add it to the configuration, and reload)",
        )
    })?;
    let host = endpoint.address.host();
    let name =
        tls::server_name(host).map_err(|_| wrong("its host is no name that a certificate can have"))?;
    Ok(Some((TlsConnector::from(config), name)))
}

/// HTTP's byte stream over a connection.
async fn begin(
    endpoint: &Endpoint,
    handshake: Handshake,
    socket: impl Carrier + 'static,
) -> Result<Stream, ConnectError> {
    let Some((connector, name)) = handshake else {
        return Ok(Stream::new(socket));
    };
    let stream = connector.connect(name, socket).await;
    let stream = stream.map_err(|error| ConnectError::Tls(tls::handshake_failure(&error)))?;
    if endpoint.protocol == Protocol::Http2 && stream.get_ref().1.alpn_protocol() != Some(b"h2") {
        let what = "it speaks TLS, and no HTTP/2 (is its URL https://?)";
        return Err(ConnectError::Tls(what.to_owned()));
    }
    Ok(Stream::new(stream))
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

    use tokio::net::UnixStream;

    pub(super) async fn connect(path: &Path) -> io::Result<UnixStream> {
        UnixStream::connect(path).await
    }
}

#[cfg(not(unix))]
mod unix {
    use std::io;
    use std::path::Path;

    /// The configuration refuses it before.
    pub(super) async fn connect(_path: &Path) -> io::Result<tokio::net::TcpStream> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `addressttl`
    #[tokio::test(start_paused = true)]
    async fn a_name_is_looked_up_again_after_so_long() {
        let ttl = Duration::from_secs(10);
        let old: Vec<SocketAddr> = vec!["192.0.2.1:80".parse().unwrap()];
        for (ttl, passed, is_old) in [
            (Some(ttl), Duration::from_secs(9), true),
            (Some(ttl), ttl, false),
            (None, Duration::from_secs(1_000_000), true),
        ] {
            let addresses = Addresses::default();
            *addresses.known() = Some((Instant::now(), old.clone()));
            tokio::time::advance(passed).await;
            let found = addresses.of("[::1]", 80, ttl).await.unwrap();
            assert_eq!(found == old, is_old, "{ttl:?} {passed:?}");
            if !is_old {
                assert_eq!(found, ["[::1]:80".parse().unwrap()]);
            }
            // One that leads nowhere is not kept until then.
            addresses.forget();
            assert_ne!(addresses.of("[::1]", 80, ttl).await.unwrap(), old);
        }
    }
}
