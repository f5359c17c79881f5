//! One member at work: how it is reached, and the connections that wait for the next request.

use std::sync::Arc;

use bytes::Bytes;
use carme_balancer::MemberId;

use crate::connect::{self, Addresses, ConnectError, Secure};
use crate::endpoint::{Endpoint, Protocol};
use crate::http1;
use crate::http2::{Session, Sessions};
use crate::link::Link;
use crate::pool::Pool;

/// A member as requests see it.
pub(crate) struct Member {
    pub(crate) id: MemberId,
    pub(crate) endpoint: Arc<Endpoint>,
    pool: Pool,
    sessions: Sessions,
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
            sessions: Sessions::default(),
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
        let ttl = self.endpoint.ttl;
        match self.endpoint.protocol {
            Protocol::Http1 => Some(Link::Http1(self.pool.take(ttl)?)),
            Protocol::Http2 => Some(Link::Http2(self.sessions.join(ttl)?)),
        }
    }

    /// A new connection; with HTTP/2 one that somebody else has just made does as well.
    pub(crate) async fn connect(&self) -> Result<Link, ConnectError> {
        if self.endpoint.protocol == Protocol::Http2 && self.endpoint.reuse {
            let joined = self.sessions.open(self.endpoint.ttl, self.session());
            return joined.await.map(Link::Http2);
        }
        self.connect_apart().await
    }

    /// A new connection for one request alone.
    pub(crate) async fn connect_apart(&self) -> Result<Link, ConnectError> {
        match self.endpoint.protocol {
            Protocol::Http1 => self.link().await.map(Link::Http1),
            Protocol::Http2 => Ok(Link::Http2(self.session().await?.alone())),
        }
    }

    async fn link(&self) -> Result<http1::Link, ConnectError> {
        let stream = connect::connect(&self.endpoint, &self.secure, &self.addresses).await?;
        let opened = http1::Link::open(stream, &self.endpoint).await;
        opened.map_err(ConnectError::Handshake)
    }

    async fn session(&self) -> Result<Session, ConnectError> {
        let stream = connect::connect(&self.endpoint, &self.secure, &self.addresses).await?;
        let opened = Session::open(stream, &self.endpoint).await;
        opened.map_err(ConnectError::Handshake)
    }

    /// Keeps a connection for the next request, if it may be.
    pub(crate) fn give_back(&self, link: Link) {
        // A stream of HTTP/2 is over.
        if let Link::Http1(mut link) = link
            && self.endpoint.reuse
            && link.is_ready()
        {
            self.pool.put(link);
        }
    }

    /// Opens connections until there are as many idle ones as there are to be; with HTTP/2 one does.
    ///
    /// # Errors
    /// One could not be opened.
    pub(crate) async fn fill(&self) -> Result<(), ConnectError> {
        match self.endpoint.protocol {
            Protocol::Http1 => {
                while self.pool.len() < self.endpoint.min {
                    self.pool.put(self.link().await?);
                }
            }
            Protocol::Http2 if self.sessions.are_none() => drop(self.connect().await?),
            Protocol::Http2 => {}
        }
        Ok(())
    }

    /// Closes what has idled for too long.
    pub(crate) fn sweep(&self) {
        let endpoint = &self.endpoint;
        self.pool.sweep(endpoint.ttl, endpoint.smax);
        self.sessions.sweep(endpoint.ttl);
    }

    /// Connections that serve no request now.
    pub(crate) fn idle_connections(&self) -> usize {
        self.pool.len() + self.sessions.idle()
    }
}
