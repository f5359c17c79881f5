//! What TCP sockets need on Windows.

use std::io;

use socket2::Socket;

/// Nothing: an address is free again at once there, and `SO_REUSEADDR` would let two servers share it.
pub(super) fn prepare(_socket: &Socket) -> io::Result<()> {
    Ok(())
}
