//! What the integration tests share: a running `carme`, a client that shows bytes, and the interpreters to run apps with.

#![forbid(unsafe_code)]

#[cfg(target_os = "linux")]
pub mod apache;
pub mod certificates;
pub mod client;
pub mod engines;
pub mod logged;
pub mod member;
pub mod process;
pub mod prometheus;
pub mod python;
pub mod server;
pub mod skip;

pub use client::{Client, Response};
pub use logged::LoggedServer;
pub use server::{Server, ServerBuilder, free_address, wait_until};
