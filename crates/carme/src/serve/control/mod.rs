//! The server's side of the local endpoint: does what commands ask for, and tells how it went.

mod answers;
mod balancer;
mod farm;
mod members;
mod names;
mod status;

use std::sync::Arc;

use carme_control::Listener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::Ended;
use super::orders::Orders;
use super::server::Server;
use answers::Answers;

/// The endpoint while the server runs.
pub(super) struct Control {
    /// How the server has ended, for those who wait for it.
    ended: watch::Sender<Option<Ended>>,
    /// `None` if there is no endpoint: it is switched off, or could not be had.
    serving: Option<JoinHandle<()>>,
}

impl Control {
    /// Attends to commands from now on, unless that is switched off. A server that cannot be reached by them serves all the same. Call it within the
    /// runtime.
    pub(super) fn open(server: &Arc<Server>, orders: Orders) -> Self {
        let ended = watch::Sender::new(None);
        if !server.now().config.server.control {
            return Control { ended, serving: None };
        }
        let listener = match Listener::open() {
            Ok(listener) => listener,
            Err(error) => {
                tracing::warn!("commands such as `carme status` will not reach this server: {error}");
                return Control { ended, serving: None };
            }
        };
        let answers = Answers::new(Arc::clone(server), orders, ended.subscribe());
        let mut over = ended.subscribe();
        let over = async move {
            // Without its sender it is over, too.
            let _ = over.wait_for(Option::is_some).await;
        };
        let serving = tokio::spawn(carme_control::serve(listener, Arc::new(answers), over));
        Control {
            ended,
            serving: Some(serving),
        }
    }

    /// Tells those who wait for the server's end, and attends to nobody any more.
    pub(super) async fn end(self, ended: Ended) {
        self.ended.send_replace(Some(ended));
        if let Some(serving) = self.serving {
            let _ = serving.await;
        }
    }
}
