//! Apache's balancer beside Carme's: the same file, the same members behind both, the same requests to both.
//!
//! `decisions` has the cases of `carme-balancer/tests/apache` go over real connections: who answers, and what the log says
//! of it; `changes` has more of them, with what balancer-manager and `carme member` can change. `parameters` has a site for each parameter and directive that says how members are spoken to, and compares what
//! members and clients see.
#![cfg(target_os = "linux")]

mod both;
mod by_hand;
mod changes;
mod decisions;
mod differences;
mod parameters;
mod sites;
mod stage;
mod standing;
mod table;
