//! The Python side of a worker, in Rust: takes requests out of the ring, calls the app, sends its responses.
//!
//! Loaded by `python/carme_worker/start.py` as the module `carme_worker_native` into the app's own interpreter,
//! CPython 3.9 or later (abi3).

// Nobody links against this library; `pub` says what a module owes the others.
#![allow(unreachable_pub)]

mod connection;
mod contention;
mod crew;
mod fault_handler;
mod fuse;
mod link;
mod mail;
mod post;
mod process;
mod report;
mod roles;
mod rules;
mod stacks;
mod watch;
mod wsgi;

use pyo3::prelude::*;

/// The native half of a Carme worker.
#[pymodule(gil_used = true)]
fn carme_worker_native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(connection::connect, module)?)?;
    Ok(())
}
