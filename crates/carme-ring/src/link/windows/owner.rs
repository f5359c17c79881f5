//! Which process is at the other end of a loopback connection.

use std::io;
use std::net::{SocketAddr, SocketAddrV4, TcpStream};

use windows_sys::Win32::Foundation::{ERROR_INSUFFICIENT_BUFFER, NO_ERROR};
use windows_sys::Win32::NetworkManagement::IpHelper::{
    GetExtendedTcpTable, MIB_TCPROW_OWNER_PID, TCP_TABLE_OWNER_PID_CONNECTIONS,
};
use windows_sys::Win32::Networking::WinSock::AF_INET;

/// For each of these the id of the process at its other end, or `None` if the operating system does not tell: then the
/// token alone is the proof.
///
/// There is only the table of all connections of the machine, which can be long, so it is read once for all of them.
pub(super) fn peer_processes<'a>(
    streams: impl IntoIterator<Item = &'a TcpStream>,
) -> io::Result<Vec<Option<u32>>> {
    let table = connections().unwrap_or_default();
    let peer = |stream: &TcpStream| {
        let (SocketAddr::V4(ours), SocketAddr::V4(theirs)) = (stream.local_addr()?, stream.peer_addr()?)
        else {
            return Ok(None);
        };
        // The other end's row has the addresses the other way round.
        let row = table.iter().find(|row| row.local == theirs && row.remote == ours);
        Ok(row.map(|row| row.process))
    };
    streams.into_iter().map(peer).collect()
}

/// Enough bytes for some ten thousand connections, so that one call mostly does.
const ROOM: u32 = 256 * 1024;

struct Connection {
    local: SocketAddrV4,
    remote: SocketAddrV4,
    process: u32,
}

/// All IPv4 TCP connections of this machine.
fn connections() -> Option<Vec<Connection>> {
    // Words, so that the rows behind the count are aligned.
    let mut table: Vec<u32> = Vec::new();
    let mut bytes = ROOM;
    // The table can grow between the calls; a machine on which it always does gets no answer.
    for _ in 0..8 {
        table.resize(bytes.div_ceil(4) as usize, 0);
        // SAFETY: `table` has room for `bytes` bytes, and `bytes` is a valid place for the size wanted.
        let result = unsafe {
            GetExtendedTcpTable(
                table.as_mut_ptr().cast(),
                &mut bytes,
                0,
                u32::from(AF_INET),
                TCP_TABLE_OWNER_PID_CONNECTIONS,
                0,
            )
        };
        match result {
            NO_ERROR => return Some(rows(&table)),
            ERROR_INSUFFICIENT_BUFFER => {}
            _ => return None,
        }
    }
    None
}

/// The rows of a `MIB_TCPTABLE_OWNER_PID`: a count, then rows of six words.
fn rows(table: &[u32]) -> Vec<Connection> {
    const WORDS: usize = size_of::<MIB_TCPROW_OWNER_PID>() / 4;
    let Some((count, words)) = table.split_first() else {
        return Vec::new();
    };
    // Addresses and, in their low half, ports are in network order.
    let address = |ip: u32, port: u32| SocketAddrV4::new(u32::from_be(ip).into(), u16::from_be(port as u16));
    words
        .chunks_exact(WORDS)
        .take(*count as usize)
        .filter_map(|row| {
            let [_state, local_ip, local_port, remote_ip, remote_port, process] = row.try_into().ok()?;
            Some(Connection {
                local: address(local_ip, local_port),
                remote: address(remote_ip, remote_port),
                process,
            })
        })
        .collect()
}
