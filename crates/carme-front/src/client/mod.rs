//! Who the client is, and what it asked for: the connection's other end, or what trusted proxies say in its place.
//!
//! Fields such as `X-Forwarded-For` are claims that anybody can make. They count only where the peer is a trusted proxy,
//! and then from right to left, as far as trusted proxies have written them: each proxy adds the address that it was
//! called from at the right end, so the first address that is not trusted is the client's, and what stands to the left of
//! it is the client's own invention. One kind of field is believed, the configured one; a proxy that writes one kind
//! passes on whatever its client wrote in the others.
//!
//! The application sees what was believed and nothing else: claims of peers that are not trusted are removed, and a
//! list that a trusted peer sent begins with the client.

mod address;
mod announcement;
mod claims;
mod proxies;
pub(crate) mod proxy_protocol;
mod rfc7239;

pub(crate) use address::{AddressText, Node};
pub(crate) use announcement::announced;
pub(crate) use claims::{Claims, is_claim, tell_of_stranger};
pub use proxies::{ClientHeader, ForwardedFields, Proxies};
