//! Remote members at work: a [`carme_balancer::Balancer`] with connections to what it chooses.
//!
//! Knows HTTP and sockets, and neither clients' connections nor the configuration file: whoever serves clients gives it a
//! request and a body, and gets a response and a body, or a reason why there is none.

#![forbid(unsafe_code)]

mod attention;
mod body;
mod check;
mod checking;
mod cluster;
mod connect;
mod endpoint;
mod filling;
mod forward;
mod frames;
pub mod head;
mod http1;
mod http2;
mod kept;
mod link;
mod member;
mod outgoing;
mod ping;
mod pool;
mod response;
mod seat;
mod stream;
mod tls;

pub use body::{BodyError, RequestBody};
pub use cluster::{Ask, Cluster, Node};
pub use connect::ConnectError;
pub use endpoint::{Address, Endpoint, Protocol, Upgrade};
pub use forward::{Answer, Attempts, Cause, Content, Failed, Forward};
pub use kept::Kept;
pub use link::Tunnel;
pub use member::Label;
pub use response::{BrokenOff, ResponseBody};
pub use seat::Seat;
pub use stream::Stream;
pub use tls::{MemberTls, TlsClient, TlsError, handshake_failure, server_name};
