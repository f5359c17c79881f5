//! `SO_REUSEADDR`, which on Unix only means "not for connections that are over"; Unix sockets; and whose a port is.

use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use socket2::Socket;

use super::{BindError, unix_error};

pub(super) fn own_port(socket: &Socket) -> io::Result<()> {
    socket.set_reuse_address(true)
}

/// Which process listens there, for people, if it can be seen: the kernel tells of one's own processes.
pub(super) fn owner(address: SocketAddr) -> Option<String> {
    let table = fs::read_to_string(if address.is_ipv6() { "/proc/net/tcp6" } else { "/proc/net/tcp" }).ok()?;
    let inode = table.lines().skip(1).find_map(|line| listening_inode(line, address))?;
    let socket = PathBuf::from(format!("socket:[{inode}]"));
    for process in fs::read_dir("/proc").ok()?.flatten() {
        let name = process.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let Ok(descriptors) = fs::read_dir(process.path().join("fd")) else { continue };
        if descriptors.flatten().any(|fd| fs::read_link(fd.path()).is_ok_and(|link| link == socket)) {
            let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            return Some(format!("{} (pid {pid})", name.trim()));
        }
    }
    None
}

/// The inode of the socket that a line of `/proc/net/tcp` is about, if it listens where the address is.
fn listening_inode(line: &str, address: SocketAddr) -> Option<&str> {
    const LISTEN: &str = "0A";
    let mut fields = line.split_ascii_whitespace().skip(1);
    let (ip, port) = fields.next()?.split_once(':')?;
    let state = fields.nth(1)?;
    let inode = fields.nth(5)?;
    let everywhere = ip.bytes().all(|digit| digit == b'0');
    let same = match address.ip() {
        IpAddr::V4(v4) => u32::from_str_radix(ip, 16).is_ok_and(|raw| raw.to_ne_bytes() == v4.octets()),
        IpAddr::V6(v6) => {
            let words = v6.octets();
            let text: String =
                words.chunks_exact(4).map(|w| format!("{:08X}", u32::from_ne_bytes([w[0], w[1], w[2], w[3]]))).collect();
            text == ip
        }
    };
    let port = u16::from_str_radix(port, 16).ok()?;
    (state == LISTEN && port == address.port() && (same || everywhere || address.ip().is_unspecified())).then_some(inode)
}

/// A Unix socket that is listened on, and its file, which goes when this is dropped.
#[derive(Debug)]
pub(crate) struct BoundSocket {
    path: PathBuf,
    /// Device and inode: a file that somebody else has put there meanwhile is not ours to remove.
    file: (u64, u64),
}

impl Drop for BoundSocket {
    fn drop(&mut self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|found| (found.dev(), found.ino()) == self.file) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Listens on a Unix socket; who may connect is up to the umask, as for any file. Non-blocking.
pub(crate) fn bind_unix(path: &Path) -> Result<(UnixListener, BoundSocket), BindError> {
    match fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            let error = io::Error::from(io::ErrorKind::AlreadyExists);
            return Err(unix_error(path, error, "it is not a socket and will not be replaced: choose another path"));
        }
        Ok(_) => match UnixStream::connect(path) {
            // Nobody listens: what a server that was killed has left behind.
            Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => {
                fs::remove_file(path).map_err(|e| unix_error(path, e, "the socket of a dead server is in the way"))?;
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Ok(_) | Err(_) => {
                let error = io::Error::from(io::ErrorKind::AddrInUse);
                return Err(unix_error(path, error, "another server listens there: stop it or choose another path"));
            }
        },
        Err(_) => {}
    }
    let cure = |error: &io::Error| match error.kind() {
        io::ErrorKind::NotFound => "its folder is not there",
        io::ErrorKind::PermissionDenied => "this user may not create files in its folder",
        io::ErrorKind::InvalidInput => "a socket's path has at most 107 bytes",
        _ => "",
    };
    let listener = UnixListener::bind(path).map_err(|e| {
        let cure = cure(&e);
        unix_error(path, e, cure)
    })?;
    let rest = || {
        // std's backlog is small.
        rustix::net::listen(&listener, super::BACKLOG)?;
        listener.set_nonblocking(true)?;
        let found = fs::symlink_metadata(path)?;
        Ok(BoundSocket { path: path.to_owned(), file: (found.dev(), found.ino()) })
    };
    let socket = rest().map_err(|e: io::Error| unix_error(path, e, ""))?;
    Ok((listener, socket))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_that_a_dead_server_left_is_replaced_and_a_living_ones_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        drop(UnixListener::bind(&path).unwrap());
        let (listener, bound) = bind_unix(&path).unwrap();
        UnixStream::connect(&path).unwrap();
        let error = bind_unix(&path).unwrap_err().to_string();
        assert!(error.contains("another server listens there"), "{error}");
        drop((listener, bound));
        assert!(!path.exists());
    }

    #[test]
    fn a_file_of_somebody_is_never_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        fs::write(&path, "precious").unwrap();
        let error = bind_unix(&path).unwrap_err().to_string();
        assert!(error.contains("is not a socket and will not be replaced"), "{error}");
        fs::remove_file(&path).unwrap();

        let (listener, bound) = bind_unix(&path).unwrap();
        fs::remove_file(&path).unwrap();
        fs::write(&path, "precious").unwrap();
        drop((listener, bound));
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }

    #[test]
    fn what_stands_in_the_way_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let error = bind_unix(&folder.path().join("no/such")).unwrap_err().to_string();
        assert!(error.contains("its folder is not there"), "{error}");
        let error = bind_unix(&folder.path().join("x".repeat(200))).unwrap_err().to_string();
        assert!(error.contains("at most 107 bytes"), "{error}");
    }

    #[test]
    fn lines_of_the_kernels_table_are_read() {
        let line = "   0: 0100007F:1F40 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4242 1";
        let port = |address: &str| listening_inode(line, address.parse().unwrap());
        if cfg!(target_endian = "little") {
            assert_eq!(port("127.0.0.1:8000"), Some("4242"));
        }
        assert_eq!(port("0.0.0.0:8000"), Some("4242"));
        assert_eq!(port("127.0.0.1:8001"), None);
        assert_eq!(port("127.0.0.2:8000"), None);
    }
}
