//! Interrupting the thread that serves a request, by an exception that reaches that request or none.
//!
//! Python raises such an exception in the thread's own time: at its next step in Python code, wherever that is. So there
//! is a fuse for each thread. It is open while the app has the request, and blown by whoever interrupts it; and whoever
//! closes a blown fuse takes the exception out of the thread before anything else runs there.
//!
//! Every step holds the GIL from its beginning to its end, so the steps of two threads never mix; the atomics are there for the types alone.

use std::ffi::c_long;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use carme_ring::StreamId;
use pyo3::exceptions::PyBaseException;
use pyo3::prelude::*;
use pyo3::types::PyType;
use pyo3::{create_exception, ffi};

create_exception!(
    carme,
    RequestTimeout,
    PyBaseException,
    "The request has taken longer than it may, and nobody waits for its response any more. Like SystemExit it is no \
     Exception, so that what catches every Exception does not stop it; `finally` and `with` do their work."
);

/// Steps in Python code within which an exception that was asked for is raised. The first should do.
const STEPS: &std::ffi::CStr = c"
def step():
    for _ in range(1000):
        pass
";

/// No request.
const NONE: u64 = 0;

/// The fuse of one thread.
pub struct Fuse {
    /// As Python's `threading.get_ident` has it.
    thread: u64,
    /// The stream whose request the app has now.
    serving: AtomicU64,
    /// The exception was asked for since it was opened.
    blown: AtomicBool,
    /// At hand: to look it up may let go of the GIL.
    exception: Py<PyType>,
    step: Py<PyAny>,
}

impl Fuse {
    /// The fuse of the thread that calls this.
    pub fn of_this_thread(py: Python<'_>) -> PyResult<Self> {
        let step = PyModule::from_code(py, STEPS, c"carme", c"carme_worker_fuse")?.getattr("step")?;
        Ok(Self {
            thread: py.import("threading")?.call_method0("get_ident")?.extract()?,
            serving: AtomicU64::new(NONE),
            blown: AtomicBool::new(false),
            exception: py.get_type::<RequestTimeout>().unbind(),
            step: step.unbind(),
        })
    }

    /// The thread, as Python's `threading.get_ident` has it.
    pub fn thread(&self) -> u64 {
        self.thread
    }

    /// The app gets this request now.
    pub fn open(&self, _: Python<'_>, stream: StreamId) {
        self.serving.store(stream.0, Relaxed);
    }

    /// Interrupts the request, if the app still has it and was not interrupted before.
    pub fn blow(&self, py: Python<'_>, stream: StreamId) -> bool {
        let may = self.serving.load(Relaxed) == stream.0 && !self.blown.load(Relaxed);
        if may && self.raise(py) {
            self.blown.store(true, Relaxed);
            return true;
        }
        false
    }

    /// The app is done with the request: from now on nothing interrupts this thread, which is the one that calls this.
    pub fn close(&self, py: Python<'_>) {
        self.serving.store(NONE, Relaxed);
        if self.blown.swap(false, Relaxed) {
            self.absorb(py);
        }
    }

    /// Takes the exception out of this thread. Whether it has been raised yet is not to be known, so it is asked for once
    /// more, in place of one that has not been, and raised here.
    fn absorb(&self, py: Python<'_>) {
        for _ in 0..10 {
            self.raise(py);
            match self.step.call0(py) {
                Err(error) if error.is_instance(py, self.exception.bind(py)) => return,
                // Somebody else's exception came first.
                Ok(_) | Err(_) => {}
            }
        }
        // SAFETY: the GIL is held; null takes back what was asked for.
        unsafe { ffi::PyThreadState_SetAsyncExc(self.id(), std::ptr::null_mut()) };
    }

    /// Asks for the exception. False: there is no such thread.
    fn raise(&self, _: Python<'_>) -> bool {
        // SAFETY: the GIL is held; a live class, of which the call takes a reference of its own.
        unsafe { ffi::PyThreadState_SetAsyncExc(self.id(), self.exception.as_ptr()) == 1 }
    }

    /// The number as pyo3 has it: in C it is an `unsigned long`, and so is what Python gives.
    fn id(&self) -> c_long {
        self.thread as c_long
    }
}
