//! What went wrong with a request, on standard error: the first line names the request, the rest is Python's traceback.

use std::fmt;

use carme_ring::frame::RequestHead;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::fuse::RequestTimeout;

/// An exception in one line, such as `ValueError: no`.
pub fn summary(py: Python<'_>, error: &PyErr) -> String {
    let class = error
        .get_type(py)
        .name()
        .map_or_else(|_| "an exception".into(), |name| name.to_string());
    match error.value(py).str() {
        Ok(text) if text.to_string_lossy().is_empty() => class,
        Ok(text) => format!("{class}: {}", text.to_string_lossy()),
        Err(_) => class,
    }
}

/// The app raised.
pub fn raised(py: Python<'_>, head: &RequestHead<'_>, error: &PyErr) {
    let formatted = py.import(intern!(py, "traceback")).and_then(|traceback| {
        let lines = traceback.call_method1(
            intern!(py, "format_exception"),
            (error.get_type(py), error.value(py), error.traceback(py)),
        )?;
        let text = PyString::new(py, "").call_method1(intern!(py, "join"), (lines,))?;
        Ok(text.cast_into::<PyString>()?.to_string_lossy().into_owned())
    });
    let traceback = formatted.unwrap_or_else(|_| format!("{}\n", summary(py, error)));
    let how = if error.is_instance_of::<RequestTimeout>(py) {
        "was interrupted, as it took too long"
    } else {
        "raised"
    };
    write(py, &format!("{} {how}:\n{traceback}", Named(head)));
}

/// The app broke PEP 3333.
pub fn broken(py: Python<'_>, head: &RequestHead<'_>, how: &str) {
    write(py, &format!("{}: {how}\n", Named(head)));
}

/// A request by which it is found in the logs: its id, its method and its target.
pub fn name(f: &mut fmt::Formatter<'_>, id: &[u8], method: &[u8], target: &[u8]) -> fmt::Result {
    let (id, method, target) = (id.escape_ascii(), method.escape_ascii(), target.escape_ascii());
    write!(f, "{id} \"{method} {target}\"")
}

/// The beginning of a line about a request.
struct Named<'a>(&'a RequestHead<'a>);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("carme: request ")?;
        name(f, self.0.request_id, self.0.method, self.0.target)
    }
}

/// Writes in one go, so that the lines of two threads do not mix. When even this fails there is nobody left to tell.
fn write(py: Python<'_>, text: &str) {
    let _ = py.import(intern!(py, "sys")).and_then(|sys| {
        let stderr = sys.getattr(intern!(py, "stderr"))?;
        stderr.call_method1(intern!(py, "write"), (text,))?;
        stderr.call_method0(intern!(py, "flush"))
    });
}
