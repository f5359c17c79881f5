//! Opens what the server listens on.
//!
//! What it owes its callers: a TCP port is never shared with another program; a Unix socket that a dead server has left
//! behind is replaced and any other file is not; and an error says what to do.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
#[cfg(unix)]
use std::path::{Path, PathBuf};

use socket2::{Domain, Protocol, Socket, Type};

#[cfg(unix)]
mod unix;
#[cfg(unix)]
use unix as imp;
#[cfg(windows)]
#[allow(unsafe_code)]
mod windows;
#[cfg(windows)]
use windows as imp;

#[cfg(unix)]
pub(crate) use unix::{BoundSocket, bind_unix};

/// Connections that wait to be accepted; the system may allow fewer.
const BACKLOG: i32 = 4096;

/// An address that cannot be listened on.
#[derive(Debug)]
pub(crate) struct BindError {
    address: String,
    error: io::Error,
    cure: String,
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot listen on {}: {}", self.address, self.error)?;
        if self.cure.is_empty() { Ok(()) } else { write!(f, " ({})", self.cure) }
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

/// Listens on a TCP address. Non-blocking.
pub(crate) fn bind_tcp(address: SocketAddr) -> Result<TcpListener, BindError> {
    let open = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        if address.is_ipv6() {
            // Each address means itself on every platform: 0.0.0.0 can be listened on beside it.
            socket.set_only_v6(true)?;
        }
        imp::own_port(&socket)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
        Ok(TcpListener::from(socket))
    };
    open().map_err(|error: io::Error| BindError {
        address: address.to_string(),
        cure: cure_tcp(address, &error),
        error,
    })
}

fn cure_tcp(address: SocketAddr, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            let who = match imp::owner(address) {
                Some(owner) => format!("{owner} has it: stop it"),
                None => "another program has it: stop it".to_owned(),
            };
            format!("{who} or choose another address")
        }
        io::ErrorKind::PermissionDenied if address.port() < 1024 && cfg!(unix) => {
            "ports below 1024 need a privilege: choose a higher port, or give carme CAP_NET_BIND_SERVICE".to_owned()
        }
        io::ErrorKind::PermissionDenied => {
            "another program has it for itself, or the system has reserved it: choose another address".to_owned()
        }
        io::ErrorKind::AddrNotAvailable => {
            "this machine has no such address: 127.0.0.1 is itself, 0.0.0.0 all of its addresses".to_owned()
        }
        _ => String::new(),
    }
}

#[cfg(unix)]
fn unix_error(path: &Path, error: io::Error, cure: &str) -> BindError {
    BindError { address: format!("unix:{}", PathBuf::from(path).display()), error, cure: cure.to_owned() }
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    fn any() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 0))
    }

    #[test]
    fn a_listener_can_be_connected_to() {
        let listener = bind_tcp(any()).unwrap();
        TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    }

    #[test]
    fn an_address_in_use_is_an_error_with_a_cure() {
        let listener = bind_tcp(any()).unwrap();
        let address = listener.local_addr().unwrap();
        let error = bind_tcp(address).unwrap_err().to_string();
        assert!(error.starts_with(&format!("cannot listen on {address}: ")), "{error}");
        assert!(error.contains("choose another address"), "{error}");
        if cfg!(target_os = "linux") {
            assert!(error.contains(&format!("(pid {}) has it", std::process::id())), "{error}");
        }
    }

    #[test]
    fn a_port_is_free_again_at_once() {
        let listener = bind_tcp(any()).unwrap();
        let address = listener.local_addr().unwrap();
        // A connection that the server closes first stays in TIME_WAIT.
        let client = TcpStream::connect(address).unwrap();
        listener.set_nonblocking(false).unwrap();
        drop(listener.accept().unwrap());
        drop(listener);
        drop(client);
        bind_tcp(address).unwrap();
    }

    #[test]
    fn an_address_of_another_machine_is_an_error_with_a_cure() {
        let error = bind_tcp("192.0.2.1:0".parse().unwrap()).unwrap_err().to_string();
        assert!(error.contains("this machine has no such address"), "{error}");
    }
}
