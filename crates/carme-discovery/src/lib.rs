//! Who the members of a balancer are, asked again and again: of DNS, of Consul, of a file.
//!
//! What callers may rely on: [`follow`] gives a set of members when it differs from the one before, sorted and without
//! doubles, so that all fronts that ask the same see the same. While the engine is away, or says nonsense, nothing is
//! given: the last known members stay. An answer that there are none is believed when it was given [`BELIEVED_EMPTY`]
//! times. Dropping the future ends it at any time. What comes from outside is bounded ([`MOST_MEMBERS`]) and never makes
//! it panic.
//!
//! It knows neither balancers nor the configuration: DNS and Consul give [`Found`], a file gives what its reader makes of
//! its text.

#![forbid(unsafe_code)]

mod consul;
mod course;
mod dns;
mod file;
mod follow;
mod found;
#[doc(hidden)]
pub mod fuzzing;
mod pause;

pub use consul::Consul;
pub use course::{BELIEVED_EMPTY, Failure, Look};
pub use dns::{Dns, Question};
pub use file::{File, Read};
pub use follow::{Engine, follow};
pub use found::{Found, MOST_MEMBERS};
