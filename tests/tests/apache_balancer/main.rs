//! What Apache's balancer does over real connections, with members that are told how to answer.
//!
//! `decisions` has the cases of `carme-balancer/tests/apache`: who answers, and what the log says of it.
#![cfg(target_os = "linux")]

mod decisions;
mod stage;
mod table;
