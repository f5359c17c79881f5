//! The accept loops, and their orderly end.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::app::Application;
use crate::connection;
use crate::connections::Connections;
use crate::listener::{Listener, Stream};
use crate::shutdown::Shutdown;
use crate::site::Site;
use crate::state::ConnectionState;

/// After an error that concerns the process and not one client, such as no free descriptor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How a server ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Connections that had not finished in time and were cut off.
    pub aborted: usize,
}

/// Serves `site` on all of `listeners` until `shutdown` begins and the connections have finished.
///
/// An idle connection is closed at once then; one with a request in flight gets its response with `Connection: close`,
/// if it is there within the graceful timeout.
pub async fn serve<A: Application>(
    listeners: Vec<Listener>,
    site: Arc<Site<A>>,
    shutdown: Shutdown,
) -> Drained {
    let connections = Arc::new(Connections::new(Arc::clone(&site.common)));
    let permits = Arc::new(Semaphore::new(
        site.common.limits.connections.min(Semaphore::MAX_PERMITS),
    ));
    let mut tasks = JoinSet::new();
    {
        let connections = Arc::clone(&connections);
        tasks.spawn(async move { connections.watch().await });
    }
    let mut accepting = JoinSet::new();
    for listener in listeners {
        accepting.spawn(accept(
            listener,
            Arc::clone(&site),
            Arc::clone(&connections),
            Arc::clone(&permits),
        ));
    }
    shutdown.begun().await;
    // Aborted tasks drop their listeners, so the port is free when this is over.
    accepting.shutdown().await;
    Drained {
        aborted: connections.drain(shutdown.graceful_timeout()).await,
    }
}

async fn accept<A: Application>(
    listener: Listener,
    site: Arc<Site<A>>,
    connections: Arc<Connections>,
    permits: Arc<Semaphore>,
) {
    let mut troubled = false;
    loop {
        // Before accepting: beyond the limit, clients wait in the backlog.
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else {
            return;
        };
        let (stream, ends) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) if is_clients(&error) => continue,
            Err(error) => {
                if let Some(metrics) = &site.common.metrics {
                    metrics.accept_failed();
                }
                if !troubled {
                    tracing::error!("cannot accept connections on {listener}: {error}; trying again");
                    troubled = true;
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        if troubled {
            tracing::warn!("accepting connections on {listener} again");
            troubled = false;
        }
        let state = Arc::new(ConnectionState::new(Arc::clone(&site.common), ends));
        let attendance = connections.enter(Arc::clone(&state), permit);
        let site = Arc::clone(&site);
        tokio::spawn(async move {
            let _attendance = attendance;
            match stream {
                Stream::Tcp(stream) => connection::run(stream, state, site).await,
                #[cfg(unix)]
                Stream::Unix(stream) => connection::run(stream, state, site).await,
            }
        });
    }
}

/// True for errors of a connection that was lost before it could be accepted.
fn is_clients(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}
