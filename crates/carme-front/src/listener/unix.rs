//! Unix sockets, and whose a port is.

use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::{TcpListener, UnixListener, UnixStream};

use super::Kind;

/// Which process listens there, for people, if it can be seen: the kernel tells of one's own processes.
pub(super) fn owner(address: SocketAddr) -> Option<String> {
    let table = fs::read_to_string(if address.is_ipv6() {
        "/proc/net/tcp6"
    } else {
        "/proc/net/tcp"
    })
    .ok()?;
    let inode = table
        .lines()
        .skip(1)
        .find_map(|line| listening_inode(line, address))?;
    let socket = PathBuf::from(format!("socket:[{inode}]"));
    for process in fs::read_dir("/proc").ok()?.flatten() {
        let name = process.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let Ok(descriptors) = fs::read_dir(process.path().join("fd")) else {
            continue;
        };
        if descriptors
            .flatten()
            .any(|fd| fs::read_link(fd.path()).is_ok_and(|link| link == socket))
        {
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
            let text: String = words
                .chunks_exact(4)
                .map(|w| format!("{:08X}", u32::from_ne_bytes([w[0], w[1], w[2], w[3]])))
                .collect();
            text == ip
        }
    };
    let port = u16::from_str_radix(port, 16).ok()?;
    (state == LISTEN && port == address.port() && (same || everywhere || address.ip().is_unspecified()))
        .then_some(inode)
}

/// Takes over a socket that listens already.
pub(super) fn adopt(socket: Socket) -> io::Result<Kind> {
    if socket.r#type()? != Type::STREAM || !socket.is_listener()? {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    socket.set_nonblocking(true)?;
    let address = socket.local_addr()?;
    if let Some(address) = address.as_socket() {
        return Ok(Kind::Tcp {
            listener: TcpListener::from_std(socket.into())?,
            address,
        });
    }
    let path = address
        .as_pathname()
        .unwrap_or(Path::new("(without a file)"))
        .to_owned();
    Ok(Kind::Unix(UnixSocket {
        listener: UnixListener::from_std(socket.into())?,
        path,
        file: None,
    }))
}

/// A listening Unix socket; its file goes with it, if it has made it.
pub(super) struct UnixSocket {
    listener: UnixListener,
    path: PathBuf,
    /// Device and inode: a file that somebody else has put there meanwhile is not ours to remove.
    file: Option<(u64, u64)>,
}

impl UnixSocket {
    pub(super) fn bind(path: &Path, backlog: i32) -> io::Result<Self> {
        remove_stale(path)?;
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.bind(&SockAddr::unix(path)?)?;
        socket.listen(backlog)?;
        let listener = UnixListener::from_std(socket.into())?;
        let found = fs::symlink_metadata(path)?;
        Ok(UnixSocket {
            listener,
            path: path.to_owned(),
            file: Some((found.dev(), found.ino())),
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
        let is_ours = |found: fs::Metadata| Some((found.dev(), found.ino())) == self.file;
        if fs::symlink_metadata(&self.path).is_ok_and(is_ours) {
            // If it cannot be, the next start looks at it again.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Removes the socket that a killed run has left. Nothing else is ever removed.
fn remove_stale(path: &Path) -> io::Result<()> {
    let Ok(found) = fs::symlink_metadata(path) else {
        return Ok(());
    };
    if !found.file_type().is_socket() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Ok(_) => Err(io::ErrorKind::AddrInUse.into()),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(_) => Ok(()),
    }
}

/// What to do about a path that cannot be listened on.
pub(super) fn cure(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "another server listens there: stop it, or choose another path",
        io::ErrorKind::AlreadyExists => {
            "a file that is not a socket is there, and will not be replaced: choose another path"
        }
        io::ErrorKind::NotFound => "its folder is not there",
        io::ErrorKind::PermissionDenied => "this user may not create or replace files in its folder",
        io::ErrorKind::InvalidInput => "a socket's path has at most 107 bytes",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::super::Listener;
    use super::*;

    fn refusal(path: &Path) -> String {
        Listener::unix(path, 16).err().expect("it is refused").to_string()
    }

    #[tokio::test]
    async fn a_socket_that_a_dead_server_left_is_replaced_and_a_living_ones_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let listener = Listener::unix(&path, 16).unwrap();
        UnixStream::connect(&path).unwrap();
        let error = refusal(&path);
        assert!(error.contains("another server listens there"), "{error}");
        drop(listener);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_file_of_somebody_is_never_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        fs::write(&path, "precious").unwrap();
        let error = refusal(&path);
        assert!(error.contains("is not a socket"), "{error}");
        fs::remove_file(&path).unwrap();

        let listener = Listener::unix(&path, 16).unwrap();
        fs::remove_file(&path).unwrap();
        fs::write(&path, "precious").unwrap();
        drop(listener);
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }

    #[tokio::test]
    async fn what_stands_in_the_way_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let error = refusal(&folder.path().join("no/such"));
        assert!(error.contains("its folder is not there"), "{error}");
        let error = refusal(&folder.path().join("x".repeat(200)));
        assert!(error.contains("at most 107 bytes"), "{error}");
    }

    #[tokio::test]
    async fn a_socket_that_somebody_else_has_opened_is_taken_over() {
        use std::net::TcpListener;
        use std::os::fd::OwnedFd;
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = tcp.local_addr().unwrap();
        let listener = Listener::passed(OwnedFd::from(tcp), "a").unwrap();
        assert_eq!(listener.local_addr(), Some(address));
        let client = std::net::TcpStream::connect(address).unwrap();
        listener.accept().await.unwrap();
        drop(client);

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let unix = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let listener = Listener::passed(OwnedFd::from(unix), "b").unwrap();
        assert_eq!(listener.to_string(), format!("unix:{}", path.display()));
        UnixStream::connect(&path).unwrap();
        listener.accept().await.unwrap();
        drop(listener);
        assert!(path.exists(), "the file is systemd's");

        let file = fs::File::open("/dev/null").unwrap();
        let error = Listener::passed(OwnedFd::from(file), "systemd:c")
            .err()
            .unwrap()
            .to_string();
        assert!(error.starts_with("cannot listen on systemd:c: "), "{error}");
        let datagrams = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let error = Listener::passed(OwnedFd::from(datagrams), "d")
            .err()
            .unwrap()
            .to_string();
        assert!(error.contains("ListenStream="), "{error}");
    }

    #[test]
    fn lines_of_the_kernels_table_are_read() {
        let line = "   0: 0100007F:1F40 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4242 1";
        let inode = |address: &str| listening_inode(line, address.parse().unwrap());
        if cfg!(target_endian = "little") {
            assert_eq!(inode("127.0.0.1:8000"), Some("4242"));
        }
        assert_eq!(inode("0.0.0.0:8000"), Some("4242"));
        assert_eq!(inode("127.0.0.1:8001"), None);
        assert_eq!(inode("127.0.0.2:8000"), None);
    }
}
