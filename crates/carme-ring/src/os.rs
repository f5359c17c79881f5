//! One name for what Unix calls a file descriptor and Windows a handle.

use std::fs::File;

#[cfg(unix)]
mod imp {
    pub use std::os::fd::{
        AsFd as AsHandle, AsFd as AsSocket, BorrowedFd as BorrowedHandle, OwnedFd as OwnedHandle,
    };

    pub(super) fn as_handle<T: AsHandle>(from: &T) -> BorrowedHandle<'_> {
        from.as_fd()
    }

    pub(super) fn own_port<S: AsSocket>(socket: &S) -> std::io::Result<()> {
        // On Unix this does not let anybody share the port.
        Ok(rustix::net::sockopt::set_socket_reuseaddr(socket, true)?)
    }
}

#[cfg(windows)]
mod imp {
    use std::io;
    use std::os::windows::io::AsRawSocket;
    pub use std::os::windows::io::{AsHandle, AsSocket, BorrowedHandle, OwnedHandle};

    use windows_sys::Win32::Networking::WinSock::{
        SO_EXCLUSIVEADDRUSE, SOCKET_ERROR, SOL_SOCKET, setsockopt,
    };

    pub(super) fn as_handle<T: AsHandle>(from: &T) -> BorrowedHandle<'_> {
        from.as_handle()
    }

    pub(super) fn own_port<S: AsSocket>(socket: &S) -> io::Result<()> {
        let socket = socket.as_socket().as_raw_socket() as usize;
        let on = 1i32.to_ne_bytes();
        // SAFETY: the socket is open, and the option's value is a readable i32 of the length given.
        let set = unsafe {
            setsockopt(
                socket,
                SOL_SOCKET,
                SO_EXCLUSIVEADDRUSE,
                on.as_ptr(),
                on.len() as i32,
            )
        };
        if set == SOCKET_ERROR {
            Err(io::Error::last_os_error())
        } else {
            Ok(())
        }
    }
}

pub use imp::{AsHandle, AsSocket, BorrowedHandle, OwnedHandle};

/// The handle of a file, a region or a handle itself, for as long as that lives.
pub fn borrow<T: AsHandle>(from: &T) -> BorrowedHandle<'_> {
    imp::as_handle(from)
}

/// Makes the port that a socket is about to be bound to its own: no other program can listen there beside it, and on
/// Unix connections that are over do not keep it from being bound again.
pub fn own_port<S: AsSocket>(socket: &S) -> std::io::Result<()> {
    imp::own_port(socket)
}

/// The file behind a handle that another process has given, if it is an ordinary file and nothing else: a pipe or a
/// device could make its reader wait for ever.
pub fn ordinary_file(handle: OwnedHandle) -> std::io::Result<File> {
    let file = File::from(handle);
    if !file.metadata()?.is_file() {
        return Err(std::io::Error::new(
            std::io::ErrorKind::InvalidInput,
            "not an ordinary file",
        ));
    }
    Ok(file)
}
