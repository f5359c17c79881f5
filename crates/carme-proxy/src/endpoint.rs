//! Where a member is, and how it is spoken to.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

/// What one member's connections are made of and how patient they are: `BalancerMember` as far as choosing it is not
/// concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// What is spoken.
    pub protocol: Protocol,
    /// TLS is spoken below that; the certificate has to be good for [`Address::host`].
    pub is_secure: bool,
    /// Where it is.
    pub address: Address,
    /// `Host` of requests that do not keep the client's.
    pub authority: String,
    /// What its paths begin with; empty, or with a slash at its beginning and none at its end.
    pub path: String,
    /// `min`: so many idle connections are kept.
    pub min: usize,
    /// `smax`: idle connections beyond it are closed after `ttl`. `None`: no number.
    pub smax: Option<usize>,
    /// `ttl`: an idle connection is not used again after so long. `None`: until the member closes it.
    pub ttl: Option<Duration>,
    /// `enablereuse`: a connection serves more than one request.
    pub reuse: bool,
    /// `keepalive`: the system tests idle connections (`SO_KEEPALIVE`).
    pub keep_alive: bool,
    /// `timeout`: how long it may be silent, before its response and within.
    pub timeout: Duration,
    /// `connectiontimeout`: how long a connection to it may take.
    pub connect_timeout: Duration,
    /// `ping`: it is asked whether it takes a request (`Expect: 100-continue`), over HTTP/2 whether it is there (`PING`),
    /// and has so long to say so.
    pub ping: Option<Duration>,
    /// `upgrade`: which other protocols are passed on.
    pub upgrade: Upgrade,
    /// `receivebuffersize`: bytes (`SO_RCVBUF`). `None`: the system's.
    pub receive_buffer: Option<NonZeroUsize>,
    /// `responsefieldsize`: bytes of the longest field of its header sections.
    pub response_field: usize,
    /// `addressttl`: its name is looked up again after so long. `None`: as long as connections succeed, once.
    pub address_ttl: Option<Duration>,
}

impl Endpoint {
    /// How long a member may be silent, and a connection to it take (`Timeout` of Apache).
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);
    /// `responsefieldsize`'s default.
    pub const DEFAULT_RESPONSE_FIELD: usize = 8192;

    /// A member that speaks plain HTTP/1.1 at this host, an IPv6 address in brackets, and port, with Apache's defaults.
    pub fn http(host: impl Into<String>, port: u16) -> Self {
        let host = host.into();
        Endpoint {
            protocol: Protocol::Http1,
            is_secure: false,
            authority: format!("{host}:{port}"),
            address: Address::Tcp { host, port },
            path: String::new(),
            min: 0,
            smax: None,
            ttl: None,
            reuse: true,
            keep_alive: false,
            timeout: Self::DEFAULT_TIMEOUT,
            connect_timeout: Self::DEFAULT_TIMEOUT,
            ping: None,
            upgrade: Upgrade::Any,
            receive_buffer: None,
            response_field: Self::DEFAULT_RESPONSE_FIELD,
            address_ttl: None,
        }
    }
}

/// What is spoken to a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// HTTP/1.1
    Http1,
    /// HTTP/2, from the first byte or by ALPN.
    Http2,
}

/// Where a member is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Address {
    /// A host and its port.
    Tcp {
        /// A name, an IPv4 address, or an IPv6 address in brackets.
        host: String,
        /// Its port.
        port: u16,
    },
    /// A Unix socket.
    Unix {
        /// Its path.
        path: PathBuf,
        /// The name that is spoken to there.
        host: String,
    },
}

impl Address {
    /// The name or address that is spoken to; an IPv6 address in brackets.
    pub fn host(&self) -> &str {
        match self {
            Address::Tcp { host, .. } | Address::Unix { host, .. } => host,
        }
    }
}

/// Which protocols a client may change to at a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Upgrade {
    /// Any.
    Any,
    /// None.
    Never,
    /// This one, in lower case: `websocket`.
    Only(String),
}
