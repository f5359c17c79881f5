//! The worker's files, as `build.rs` made them.

use carme_farm::Embedded;

/// The native library and the Python that starts it.
pub(crate) const EMBEDDED: Embedded = include!(concat!(env!("OUT_DIR"), "/embedded.rs"));
