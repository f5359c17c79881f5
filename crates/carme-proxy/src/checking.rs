//! When members are checked, and what comes of it.

use std::collections::VecDeque;
use std::sync::Arc;

use carme_balancer::{Check, HealthChange, HealthCheck, MemberId};
use tokio::task::JoinSet;

use crate::check::{Unfit, check};
use crate::cluster::{Cluster, now};
use crate::member::{Label, Member};

/// Checks of one balancer at the same time: as many as Apache's `ProxyHCTPsize` has threads.
const AT_ONCE: usize = 16;

/// A check that is to be made.
struct Due {
    member: Arc<Member>,
    label: Arc<Label>,
    rule: HealthCheck,
}

impl Cluster {
    /// Has members checked whenever it is time, until it is dropped.
    pub(crate) async fn keep_checking(self: &Arc<Self>) {
        let mut due = VecDeque::new();
        let mut running: JoinSet<(Due, Result<(), Unfit>)> = JoinSet::new();
        loop {
            due.extend(self.due_checks());
            while running.len() < AT_ONCE
                && let Some(next) = due.pop_front()
            {
                running.spawn(async move {
                    let outcome = check(&next.member, &next.rule).await;
                    (next, outcome)
                });
            }
            let time = async {
                match self.look(|balancer| balancer.next_check(now())) {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = time => {}
                () = self.rechecked.notified() => {}
                Some(Ok((checked, outcome))) = running.join_next() => self.take(&checked, outcome),
            }
        }
    }

    fn due_checks(self: &Arc<Self>) -> Vec<Due> {
        let due: Vec<(MemberId, HealthCheck)> = self.act(|balancer, now| balancer.due_checks(now));
        let due = due.into_iter().filter_map(|(id, rule)| {
            let (member, label) = self.member(id)?;
            Some(Due { member, label, rule })
        });
        due.collect()
    }

    fn take(self: &Arc<Self>, checked: &Due, outcome: Result<(), Unfit>) {
        let result = match outcome {
            Ok(()) => Check::Passed,
            Err(_) => Check::Failed,
        };
        let change = self.act(|balancer, now| balancer.checked(checked.member.id, result, now));
        let member = String::from_utf8_lossy(&checked.label.name);
        let balancer = String::from_utf8_lossy(self.name());
        match (change, outcome) {
            (HealthChange::None, Ok(())) => {}
            (HealthChange::None, Err(unfit)) => {
                tracing::debug!("the member {member} of {balancer} has failed a health check: {unfit}");
            }
            (HealthChange::Disabled, outcome) => {
                let why = outcome.err().map(|unfit| unfit.to_string()).unwrap_or_default();
                tracing::warn!(
                    "the member {member} of {balancer} has failed its health checks and gets no requests: {why}"
                );
            }
            (HealthChange::Enabled, _) => {
                tracing::info!(
                    "the member {member} of {balancer} has passed its health checks and gets requests again"
                );
            }
        }
    }
}
