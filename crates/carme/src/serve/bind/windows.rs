//! `SO_EXCLUSIVEADDRUSE`: on Windows any program could otherwise take the port over with `SO_REUSEADDR`.

use std::io;
use std::net::SocketAddr;
use std::os::windows::io::AsRawSocket;

use socket2::Socket;
use windows_sys::Win32::Networking::WinSock::{SO_EXCLUSIVEADDRUSE, SOCKET_ERROR, SOL_SOCKET, setsockopt};

pub(super) fn own_port(socket: &Socket) -> io::Result<()> {
    let on = 1i32.to_ne_bytes();
    // SAFETY: the socket is open, and the option's value is a readable i32 of the length given.
    let set = unsafe {
        setsockopt(socket.as_raw_socket() as usize, SOL_SOCKET, SO_EXCLUSIVEADDRUSE, on.as_ptr(), on.len() as i32)
    };
    if set == SOCKET_ERROR { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Which process listens there; not looked up here.
pub(super) fn owner(_: SocketAddr) -> Option<String> {
    None
}
