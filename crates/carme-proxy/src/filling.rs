//! `min`: connections that are there before they are needed.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use carme_balancer::{MemberId, State};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::cluster::Cluster;
use crate::member::Member;

/// How often members are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// Before a member that could not be reached is called again.
const PAUSE: Duration = Duration::from_secs(10);

impl Cluster {
    /// Opens connections to members that have too few idle ones, until it is dropped.
    pub(crate) async fn keep_filled(self: &Arc<Self>) {
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut filling = HashSet::new();
        let mut tasks: JoinSet<MemberId> = JoinSet::new();
        loop {
            tokio::select! {
                _ = look.tick() => {
                    for member in self.lacking() {
                        if filling.insert(member.id) {
                            tasks.spawn(fill(member));
                        }
                    }
                }
                Some(Ok(filled)) = tasks.join_next() => {
                    filling.remove(&filled);
                }
            }
        }
    }

    /// The members that could be called and have fewer idle connections than they are to have.
    fn lacking(&self) -> Vec<Arc<Member>> {
        let connections = self.connections();
        let lacking: Vec<MemberId> = connections
            .iter()
            .filter(|(_, endpoint, idle)| endpoint.reuse && *idle < endpoint.min)
            .map(|(id, ..)| *id)
            .collect();
        if lacking.is_empty() {
            return Vec::new();
        }
        let report = self.report();
        let can_serve = |id: &MemberId| {
            let member = report.members.iter().find(|member| member.id == *id);
            member.is_some_and(|member| {
                !matches!(
                    member.state,
                    State::Removed | State::Stopped | State::Disabled | State::Unhealthy | State::Error
                )
            })
        };
        let lacking = lacking.iter().filter(|id| can_serve(id));
        lacking.filter_map(|id| Some(self.member(*id)?.0)).collect()
    }
}

async fn fill(member: Arc<Member>) -> MemberId {
    if let Err(error) = member.fill().await {
        tracing::debug!("no connection to a member in advance: {error}");
        tokio::time::sleep(PAUSE).await;
    }
    member.id
}
