//! A server: what it serves and where, both of which may change while it does; and its orderly end.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use carme_tls::Tls;
use tokio::task::JoinSet;

use crate::accept::{self, Lobby};
use crate::app::Application;
use crate::capacity::Capacity;
use crate::connections::Connections;
use crate::crowd::Crowd;
use crate::current::{Current, Retired};
use crate::listener::Listener;
use crate::pace::Pace;
use crate::shutdown::Shutdown;
use crate::site::Site;
use crate::tls;

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
    let server = Server::new(site);
    for listener in listeners {
        server.open(listener);
    }
    server.run(shutdown).await
}

/// Serves a site at the addresses that it has been given; another site and other addresses may follow at any time.
pub struct Server<A> {
    lobby: Arc<Lobby<A>>,
    doors: Mutex<Doors>,
    /// Keeps the time.
    _watching: JoinSet<()>,
}

#[derive(Default)]
struct Doors {
    open: Vec<(DoorId, Option<Arc<Tls>>, JoinSet<()>)>,
    /// The files of certificates that are followed.
    followed: Vec<(Arc<Tls>, JoinSet<()>)>,
    next: u64,
    /// The server stops.
    shut: bool,
}

/// An address that a [`Server`] listens at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DoorId(u64);

impl<A: Application> Server<A> {
    /// A server without addresses. Call it within the runtime that serves it.
    pub fn new(site: Arc<Site<A>>) -> Self {
        let limits = &site.common.limits;
        let pace = Arc::new(Pace::new(limits));
        let connections = Arc::new(Connections::new(Arc::clone(&pace)));
        let mut watching = JoinSet::new();
        watching.spawn({
            let connections = Arc::clone(&connections);
            async move { connections.watch().await }
        });
        Server {
            lobby: Arc::new(Lobby {
                pace,
                connections,
                capacity: Arc::new(Capacity::new(limits.connections)),
                crowd: Arc::new(Crowd::new(limits.connections_per_address)),
                current: Current::new(site),
            }),
            doors: Mutex::default(),
            _watching: watching,
        }
    }

    fn doors(&self) -> MutexGuard<'_, Doors> {
        self.doors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Accepts connections from this listener, too.
    pub fn open(&self, listener: Listener) -> DoorId {
        let mut doors = self.doors();
        let id = DoorId(doors.next);
        doors.next += 1;
        if doors.shut {
            return id;
        }
        let tls = listener.tls().cloned();
        if let Some(tls) = &tls
            && !doors.followed.iter().any(|(other, _)| Arc::ptr_eq(other, tls))
        {
            let mut task = JoinSet::new();
            task.spawn(tls::watch(Arc::clone(tls)));
            doors.followed.push((Arc::clone(tls), task));
        }
        let mut task = JoinSet::new();
        task.spawn(accept::accept(listener, Arc::clone(&self.lobby)));
        doors.open.push((id, tls, task));
        id
    }

    /// Accepts nothing there any more, and returns when the port is free. Connections that are there go on.
    pub async fn close(&self, id: DoorId) {
        let task = {
            let mut doors = self.doors();
            let Some(at) = doors.open.iter().position(|(other, ..)| *other == id) else {
                return;
            };
            let (_, _, task) = doors.open.swap_remove(at);
            let Doors { open, followed, .. } = &mut *doors;
            followed.retain(|(tls, _)| {
                open.iter()
                    .any(|(_, other, _)| other.as_ref().is_some_and(|other| Arc::ptr_eq(other, tls)))
            });
            task
        };
        shut(task).await;
    }

    /// Open connections of clients, idle ones included.
    pub fn connections(&self) -> usize {
        self.lobby.connections.count()
    }

    /// Serves another site from now on, also on connections that are there. Requests under way keep what they began with.
    pub fn replace(&self, site: Arc<Site<A>>) -> Retired<A> {
        let lobby = &self.lobby;
        let limits = site.common.limits.clone();
        let retired = lobby.current.replace(site);
        lobby.pace.set(&limits);
        lobby.capacity.set(limits.connections);
        lobby.crowd.set(limits.connections_per_address);
        retired
    }

    /// Serves until `shutdown` begins and the connections have finished; see [`serve`].
    pub async fn run(&self, shutdown: Shutdown) -> Drained {
        shutdown.begun().await;
        let open = {
            let mut doors = self.doors();
            doors.shut = true;
            std::mem::take(&mut doors.open)
        };
        for (_, _, task) in open {
            shut(task).await;
        }
        Drained {
            aborted: self.lobby.connections.drain(shutdown.graceful_timeout()).await,
        }
    }
}

/// An aborted task drops its listener, so the port is free when this is over.
async fn shut(mut task: JoinSet<()>) {
    task.shutdown().await;
}
