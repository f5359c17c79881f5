//! `carme serve`.

mod bind;
mod descriptors;
mod error_log;
mod signals;
