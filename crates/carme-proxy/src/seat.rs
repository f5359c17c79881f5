//! The right to send one request to one member.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use carme_balancer::{Granted, Lease, Next, Outcome, Session, environment};

use crate::cluster::Cluster;
use crate::member::{Label, Member};

/// Counted as in flight until it is given back; when it is dropped, it says nothing about the member.
pub struct Seat {
    cluster: Arc<Cluster>,
    member: Arc<Member>,
    label: Arc<Label>,
    /// `None` when it was given back.
    lease: Option<Lease>,
    session: Session,
    waited: Duration,
}

impl Seat {
    pub(crate) fn new(
        cluster: Arc<Cluster>,
        member: Arc<Member>,
        label: Arc<Label>,
        granted: Granted,
    ) -> Self {
        Seat {
            cluster,
            member,
            label,
            lease: Some(granted.lease),
            session: granted.session,
            waited: granted.waited,
        }
    }

    pub(crate) fn member(&self) -> &Arc<Member> {
        &self.member
    }

    pub(crate) fn label(&self) -> &Arc<Label> {
        &self.label
    }

    /// How long the request has waited for it.
    pub(crate) fn waited(&self) -> Duration {
        self.waited
    }

    /// The variables of a request that is sent with it.
    pub(crate) fn variables(&self) -> Vec<(&'static str, Bytes)> {
        let Label { name, route } = &*self.label;
        environment(
            self.cluster.name().clone(),
            name.clone(),
            route.clone(),
            &self.session,
            Bytes::copy_from_slice,
        )
    }

    /// The head of the member's response is there.
    pub(crate) fn answered(&mut self, status: u16) {
        if let Some(lease) = &mut self.lease {
            self.cluster
                .act(|balancer, now| balancer.answered(lease, status, now));
        }
    }

    /// Whether bytes are to be counted while the request lasts, since its balancer looks at them.
    pub(crate) fn counts_early(&self) -> bool {
        self.lease.as_ref().is_some_and(Lease::traffic_counts)
    }

    /// Counts bytes that will not be counted once more when it is given back.
    pub(crate) fn count(&self, sent: u64, received: u64) {
        if let Some(lease) = &self.lease {
            self.cluster
                .act(|balancer, _| balancer.count_bytes(lease, sent, received));
        }
    }

    /// Gives it back after a tunnel through which the member was sent and has sent so many bytes.
    pub fn tunnelled(self, sent: u64, received: u64) {
        let status = http::StatusCode::SWITCHING_PROTOCOLS.as_u16();
        let _ = self.done(Outcome::answered(status, sent, received));
    }

    /// Gives it back.
    pub(crate) fn done(mut self, outcome: Outcome) -> Next {
        self.give_back(outcome)
    }

    fn give_back(&mut self, outcome: Outcome) -> Next {
        match self.lease.take() {
            Some(lease) => self
                .cluster
                .act(|balancer, now| balancer.done(lease, outcome, now)),
            None => Next::Finish,
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let _ = self.give_back(Outcome::unused());
    }
}
