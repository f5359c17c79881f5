//! A balancer and what it does by itself.

use std::ops::Deref;
use std::sync::Arc;

use carme_balancer::Settings;
use tokio::task::JoinSet;

use crate::cluster::{Cluster, Node};

/// A cluster for which all is done at its time, as long as somebody has it: requests that wait are sent away, idle
/// connections are closed, members are checked.
pub struct Kept {
    cluster: Arc<Cluster>,
    _upkeep: JoinSet<()>,
}

impl Kept {
    /// As [`Cluster::new`]. Call it within the runtime.
    pub fn start(settings: Settings, nodes: Vec<Node>, seed: u64) -> Arc<Self> {
        let cluster = Cluster::new(settings, nodes, seed);
        let mut upkeep = JoinSet::new();
        upkeep.spawn(Arc::clone(&cluster).keep_time());
        Arc::new(Kept {
            cluster,
            _upkeep: upkeep,
        })
    }
}

impl Deref for Kept {
    type Target = Arc<Cluster>;

    fn deref(&self) -> &Arc<Cluster> {
        &self.cluster
    }
}
