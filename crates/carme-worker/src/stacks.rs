//! The stacks of all Python threads on standard error, from where they come into the error log: in full with the GIL, and
//! in short without it where native code keeps it.

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Duration;

use carme_ring::clock;
use carme_ring::control::StacksReason;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::fault_handler::FaultHandler;
use crate::post::{Post, Serving};

/// Writes stacks.
pub struct Stacks {
    /// Python's part.
    describe: Py<PyAny>,
    fault_handler: Option<FaultHandler>,
}

impl Stacks {
    /// Prepares everything that takes the import system, which a thread that hangs may block.
    pub fn new(py: Python<'_>) -> PyResult<Self> {
        let source = std::ffi::CString::new(include_str!("stacks.py"))?;
        let module = PyModule::from_code(py, &source, c"carme", c"carme_worker_stacks")?;
        Ok(Self {
            describe: module.getattr("describe")?.unbind(),
            fault_handler: FaultHandler::prepare(py),
        })
    }

    /// The stacks, line by line.
    pub fn describe(&self, py: Python<'_>, post: &Post) -> PyResult<String> {
        let (now, serving) = (clock::now(), PyDict::new(py));
        for seat in post.serving() {
            serving.set_item(seat.thread, what(&seat, now))?;
        }
        let text = self.describe.call1(py, (serving,))?;
        Ok(text.bind(py).str()?.to_string_lossy().into_owned())
    }

    /// Writes what Python's fault handler sees of them; that takes no GIL.
    pub fn write_without_gil(&self, post: &Post, waited: Duration) {
        let mut text = format!("carme: native code has kept Python's lock (GIL) for {waited:?}");
        let Some(fault_handler) = &self.fault_handler else {
            text.push_str("; without it there are no stacks here\n");
            return print(&text);
        };
        text.push_str(FaultHandler::INTRODUCTION);
        text.push('\n');
        let now = clock::now();
        for seat in post.serving().iter().filter(|seat| seat.request.is_some()) {
            // As the fault handler writes it.
            let width = 2 + 2 * size_of::<std::ffi::c_ulong>();
            let _ = writeln!(
                text,
                "thread {:#0width$x} serves {}",
                seat.thread,
                what(seat, now)
            );
        }
        print(&text);
        fault_handler.write();
    }
}

/// What a thread serves, for people; empty if nothing.
fn what(seat: &Serving, now: u64) -> String {
    seat.request.as_ref().map_or_else(String::new, |(name, since)| {
        let age = Duration::from_millis(now.saturating_sub(*since) / 1_000_000);
        format!("{name} for {age:?}")
    })
}

/// The line above the stacks: why they are there.
pub fn headline(reason: &StacksReason, post: &Post) -> String {
    match reason {
        StacksReason::Asked => "carme: the stacks of all Python threads, as was asked for:\n".into(),
        StacksReason::Exceeded {
            limit,
            milliseconds,
            streams,
        } => {
            let mut text = String::new();
            let time = Duration::from_millis(*milliseconds);
            for seat in post.serving() {
                if let Some((name, _)) = seat.request.filter(|_| streams.contains(&seat.stream)) {
                    let _ = writeln!(
                        text,
                        "carme: request {name} has taken more than {time:?} ({limit})"
                    );
                }
            }
            text.push_str("carme: the stacks of all Python threads:\n");
            text
        }
    }
}

/// In one go, so that nothing else gets in between. When it cannot be written there is nobody to be told.
pub fn print(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}
