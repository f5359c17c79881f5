//! Remote members at work: a [`carme_balancer::Balancer`] with connections to what it chooses.
//!
//! Knows HTTP and sockets, and neither clients' connections nor the configuration file: whoever serves clients gives it a
//! request and a body, and gets a response and a body, or a reason why there is none.

#![forbid(unsafe_code)]

mod endpoint;
pub mod head;

pub use endpoint::{Address, Endpoint, Protocol, Upgrade};
