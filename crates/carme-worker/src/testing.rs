//! The worker's library with one function more, `serve_once`, by which tests/python runs single requests without a front.
//! Built as an example, so that every `cargo test` has it and no program carries it.

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
mod serve_once;
mod stacks;
mod watch;
mod wsgi;

use pyo3::prelude::*;

/// The library's module, and what tests need.
#[pymodule(gil_used = true)]
fn carme_worker_native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(connection::connect, module)?)?;
    module.add_function(wrap_pyfunction!(serve_once::serve_once, module)?)?;
    Ok(())
}
