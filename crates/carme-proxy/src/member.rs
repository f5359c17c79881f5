//! One member at work: how it is reached, and the connections that wait for the next request.

use std::sync::Arc;

use bytes::Bytes;
use carme_balancer::MemberId;

use crate::connect::{self, Addresses, ConnectError, Secure};
use crate::endpoint::Endpoint;
use crate::http1::Link;
use crate::pool::Pool;

/// A member as requests see it.
pub(crate) struct Member {
    pub(crate) id: MemberId,
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) pool: Pool,
    secure: Secure,
    addresses: Addresses,
}

/// What a member is called, in variables and logs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Label {
    /// `BALANCER_WORKER_NAME`: its URL.
    pub name: Bytes,
    /// `BALANCER_WORKER_ROUTE`; empty if it has none.
    pub route: Bytes,
}

impl Member {
    pub(crate) fn new(id: MemberId, endpoint: Arc<Endpoint>, secure: Secure) -> Self {
        Member {
            id,
            endpoint,
            pool: Pool::default(),
            secure,
            addresses: Addresses::default(),
        }
    }

    /// Whether its connections are made like this.
    pub(crate) fn is_reached(&self, endpoint: &Endpoint, secure: &Secure) -> bool {
        let same_trust = match (&self.secure, secure) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (None, None) => true,
            _ => false,
        };
        same_trust && *self.endpoint == *endpoint
    }

    /// A connection that has been used before.
    pub(crate) fn idle(&self) -> Option<Link> {
        self.pool.take(self.endpoint.ttl)
    }

    /// A new connection.
    pub(crate) async fn connect(&self) -> Result<Link, ConnectError> {
        let stream = connect::connect(&self.endpoint, &self.secure, &self.addresses).await?;
        Link::open(stream, &self.endpoint)
            .await
            .map_err(ConnectError::Handshake)
    }

    /// Keeps a connection for the next request, if it may be.
    pub(crate) fn give_back(&self, mut link: Link) {
        if self.endpoint.reuse && link.is_ready() {
            self.pool.put(link);
        }
    }

    /// Closes what has idled for too long.
    pub(crate) fn sweep(&self) {
        let endpoint = &self.endpoint;
        self.pool.sweep(endpoint.ttl, endpoint.smax);
    }
}
