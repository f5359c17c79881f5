//! The accept loops, and their orderly end.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use carme_tls::Tls;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::app::Application;
use crate::client::announced;
use crate::connection;
use crate::connections::Connections;
use crate::crowd::{Admission, Crowd};
use crate::guard::Refusal;
use crate::listener::{Listener, Stream};
use crate::shutdown::Shutdown;
use crate::site::Site;
use crate::state::ConnectionState;
use crate::tls;

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
    let crowd = Arc::new(Crowd::new(site.common.limits.connections_per_address));
    let mut tasks = JoinSet::new();
    {
        let connections = Arc::clone(&connections);
        tasks.spawn(async move { connections.watch().await });
    }
    for tls in followed(&listeners) {
        tasks.spawn(tls::watch(tls));
    }
    let mut accepting = JoinSet::new();
    for listener in listeners {
        accepting.spawn(accept(
            listener,
            Arc::clone(&site),
            Arc::clone(&connections),
            Arc::clone(&permits),
            Arc::clone(&crowd),
        ));
    }
    shutdown.begun().await;
    // Aborted tasks drop their listeners, so the port is free when this is over.
    accepting.shutdown().await;
    Drained {
        aborted: connections.drain(shutdown.graceful_timeout()).await,
    }
}

/// What the listeners speak TLS with, each once.
fn followed(listeners: &[Listener]) -> Vec<Arc<Tls>> {
    let mut followed: Vec<Arc<Tls>> = Vec::new();
    for tls in listeners.iter().filter_map(Listener::tls) {
        if !followed.iter().any(|other| Arc::ptr_eq(other, tls)) {
            followed.push(Arc::clone(tls));
        }
    }
    followed
}

async fn accept<A: Application>(
    listener: Listener,
    site: Arc<Site<A>>,
    connections: Arc<Connections>,
    permits: Arc<Semaphore>,
    crowd: Arc<Crowd>,
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
        let peer = ends.peer.map(|peer| peer.ip());
        // A trusted proxy brings the connections of all its clients.
        let admission = crowd.admit(peer.filter(|_| !site.common.proxies.trusts(peer)));
        if admission.is_refused()
            && let Some(metrics) = &site.common.metrics
        {
            metrics.refused();
        }
        // Before a handshake nothing can be said in a way that the client would understand.
        if matches!(admission, Admission::Closed) || admission.is_refused() && listener.tls().is_some() {
            tracing::warn!(client = %ends.peer_text, "closed unanswered: {}", Refusal::Crowded);
            continue;
        }
        let state = Arc::new(ConnectionState::new(Arc::clone(&site.common), ends));
        let attendance = connections.enter(Arc::clone(&state), permit);
        let site = Arc::clone(&site);
        let tls = listener.tls().cloned();
        let announces = listener.announces();
        tokio::spawn(async move {
            let _attendance = attendance;
            match stream {
                Stream::Tcp(mut stream) => {
                    if !announced(&mut stream, &state, announces).await {
                        return;
                    }
                    match tls {
                        // Boxed, so that plain connections do not carry the room for a handshake around.
                        Some(tls) => Box::pin(tls::run(stream, tls, state, site, admission)).await,
                        None => connection::run(stream, state, site, admission).await,
                    }
                }
                #[cfg(unix)]
                Stream::Unix(mut stream) => {
                    if announced(&mut stream, &state, announces).await {
                        connection::run(stream, state, site, admission).await;
                    }
                }
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
