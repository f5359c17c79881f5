//! The PROXY header at the beginning of a connection: read before anything else, TLS included, and to its last byte.

use tokio::io::{AsyncRead, AsyncReadExt};

use super::Proxies;
use super::proxy_protocol::{Header, Progress, Wrong, examine};
use crate::patience::{Interrupted, attended};
use crate::state::ConnectionState;

/// Why a connection is closed before it has said anything.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("{0}")]
    Wrong(#[from] Wrong),
    #[error("the connection ended inside the PROXY header")]
    Incomplete,
    #[error("the PROXY header did not arrive in time")]
    TooSlow,
    #[error("it is not among trusted_proxies, and only these may speak the PROXY protocol")]
    Untrusted,
}

/// Reads the PROXY header, if one is to come: where the listener says so, or says nothing and all others do. False if the
/// connection is to be closed; the reason is in the error log.
pub(crate) async fn announced<S: AsyncRead + Unpin>(
    io: &mut S,
    state: &ConnectionState,
    proxies: &Proxies,
    listener: Option<bool>,
) -> bool {
    if !listener.unwrap_or(proxies.protocol) {
        return true;
    }
    let outcome = if proxies.trusts(state.ends.peer.map(|peer| peer.ip())) {
        in_time(io, state).await
    } else {
        Err(Refused::Untrusted)
    };
    match outcome {
        Ok(Some(Header::Own)) => true,
        Ok(Some(Header::Client {
            source,
            destination,
            tls,
        })) => {
            state.ends.announce(source, destination, tls);
            true
        }
        // A look at whether the port is open, or the server's end.
        Ok(None) => false,
        Err(refused) => {
            tracing::warn!(client = %state.ends.peer_text, "the connection is closed: {refused}");
            false
        }
    }
}

/// Reads the header as long as the connection may wait for its first byte.
async fn in_time<S: AsyncRead + Unpin>(
    io: &mut S,
    state: &ConnectionState,
) -> Result<Option<Header>, Refused> {
    match attended(state, read(io)).await {
        Ok(outcome) => outcome,
        Err(Interrupted::Late) => Err(Refused::TooSlow),
        Err(Interrupted::ByServer) => Ok(None),
    }
}

/// `None` if nothing comes at all.
async fn read<S: AsyncRead + Unpin>(io: &mut S) -> Result<Option<Header>, Refused> {
    let mut bytes = Vec::with_capacity(128);
    loop {
        let more = match examine(&bytes)? {
            Progress::Complete(header) => return Ok(Some(header)),
            Progress::Needs(more) => more as u64,
        };
        match (&mut *io).take(more).read_buf(&mut bytes).await {
            Ok(1..) => {}
            Ok(0) | Err(_) if bytes.is_empty() => return Ok(None),
            Ok(0) | Err(_) => return Err(Refused::Incomplete),
        }
    }
}
