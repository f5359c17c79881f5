//! What becomes of heads: a request's on its way to a member, and its answer's on the way back. Pure: no I/O, no clock.
//!
//! What clients and members write is foreign. What comes out is always a sound head: a target without spaces and control
//! characters, nothing in it that concerns another connection, and no path that leaves the location it was found at.

mod cookies;
mod forwarded;
mod hop_by_hop;
mod identity;
mod list;
mod passing;
mod path;
mod recipient;
mod request;
mod response;
mod reverse;
#[cfg(test)]
mod tests;
mod upgrade;

pub use hop_by_hop::remove_named_fields;
pub use identity::Identity;
pub use passing::{ErrorOverride, Passing, Reverse, ReverseFrom, Via};
pub use path::normal_path;
pub use recipient::{Recipient, recipient};
pub use request::{Asked, Refused, request};
pub use response::{Answered, keep_for_error_page, response};
pub use reverse::Origin;
pub use upgrade::passes_upgrade;
