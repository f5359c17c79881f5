//! The accept loops.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::app::Application;
use crate::capacity::Capacity;
use crate::client::announced;
use crate::connection;
use crate::connections::Connections;
use crate::crowd::{Admission, Crowd};
use crate::current::Current;
use crate::guard::Refusal;
use crate::listener::{Listener, Stream};
use crate::pace::Pace;
use crate::state::ConnectionState;
use crate::tls;

/// After an error that concerns the process and not one client, such as no free descriptor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What all of a server's connections share.
pub(crate) struct Lobby<A> {
    pub(crate) pace: Arc<Pace>,
    pub(crate) connections: Arc<Connections>,
    pub(crate) capacity: Arc<Capacity>,
    pub(crate) crowd: Arc<Crowd>,
    pub(crate) current: Current<A>,
}

/// Serves whoever connects; never ends.
pub(crate) async fn accept<A: Application>(listener: Listener, lobby: Arc<Lobby<A>>) {
    let mut troubled = false;
    loop {
        // Before accepting: beyond the limit, clients wait in the backlog.
        let place = lobby.capacity.place().await;
        let (stream, ends) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) if is_clients(&error) => continue,
            Err(error) => {
                if let Some(metrics) = &lobby.current.site().common.metrics {
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
        let common = Arc::clone(&lobby.current.site().common);
        let peer = ends.peer.map(|peer| peer.ip());
        // A trusted proxy brings the connections of all its clients.
        let admission = lobby.crowd.admit(peer.filter(|_| !common.proxies.trusts(peer)));
        if admission.is_refused()
            && let Some(metrics) = &common.metrics
        {
            metrics.refused();
        }
        // Before a handshake nothing can be said in a way that the client would understand.
        if matches!(admission, Admission::Closed) || admission.is_refused() && listener.tls().is_some() {
            tracing::warn!(client = %ends.peer_text, "closed unanswered: {}", Refusal::Crowded);
            continue;
        }
        let state = Arc::new(ConnectionState::new(Arc::clone(&lobby.pace), ends));
        let attendance = lobby
            .connections
            .enter(Arc::clone(&state), place, common.metrics.clone());
        let current = lobby.current.clone();
        let tls = listener.tls().cloned();
        let announces = listener.announces();
        tokio::spawn(async move {
            let _attendance = attendance;
            match stream {
                Stream::Tcp(mut stream) => {
                    if !announced(&mut stream, &state, &common.proxies, announces).await {
                        return;
                    }
                    match tls {
                        // Boxed, so that plain connections do not carry the room for a handshake around.
                        Some(tls) => Box::pin(tls::run(stream, tls, state, current, admission)).await,
                        None => connection::run(stream, state, current, admission).await,
                    }
                }
                #[cfg(unix)]
                Stream::Unix(mut stream) => {
                    if announced(&mut stream, &state, &common.proxies, announces).await {
                        connection::run(stream, state, current, admission).await;
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
