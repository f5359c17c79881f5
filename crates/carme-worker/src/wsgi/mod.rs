//! PEP 3333: one request through the app.
//!
//! What it owes its callers: whatever the app does, the request is answered with exactly one last record, its iterable is
//! closed, and what went wrong stands on standard error with the request's id. Nothing that the app raises gets out,
//! `SystemExit` included. It can be interrupted only while the app has the request: from the call until all of its
//! response is there.

mod environ;
mod file_wrapper;
pub mod input;
mod response;
mod start_response;

use std::sync::Arc;

use carme_ring::frame::RequestHead;
use carme_ring::{RecordKind, StreamId};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyTuple};
use pyo3::{ffi, intern};

pub use environ::{EnvironBuilder, Facts};
use file_wrapper::FileWrapper;
use response::{BEFORE_START, Response, Stop};
use start_response::StartResponse;

use crate::fuse::Fuse;
use crate::mail::Mail;
use crate::report;

/// Bytes of a list's items that are put together into one piece.
const GATHERED: usize = 64 << 10;

/// Why a response ends early.
enum Trouble {
    /// The app, or what it returned, raised.
    Raised(PyErr),
    /// The response stopped.
    Stopped(Stop),
}

impl From<PyErr> for Trouble {
    fn from(error: PyErr) -> Self {
        Self::Raised(error)
    }
}

impl From<Stop> for Trouble {
    fn from(stop: Stop) -> Self {
        Self::Stopped(stop)
    }
}

/// Calls the app for one request and answers it.
pub fn run(
    app: &Bound<'_, PyAny>,
    builder: &mut EnvironBuilder,
    head: &RequestHead<'_>,
    body: &[u8],
    stream: StreamId,
    mail: &Arc<dyn Mail>,
    fuse: &Fuse,
) {
    let py = app.py();
    let response = Response::new(Arc::clone(mail), stream, head.method == b"HEAD");
    let start = match Bound::new(py, StartResponse::new(response)) {
        Ok(start) => start,
        Err(error) => {
            // Out of memory, by all appearances; the response has to be ended all the same.
            Response::new(Arc::clone(mail), stream, false).fail(py, RecordKind::Failed, "no memory");
            return report::raised(py, head, &error);
        }
    };
    let result = builder
        .build(py, head, body, stream, mail)
        .and_then(|environ| {
            fuse.open(py, stream);
            call(app, &environ, &start)
        })
        .map_err(Trouble::Raised)
        .and_then(|result| {
            let sent = respond(&start, &result);
            // What ends the request must be left alone.
            fuse.close(py);
            // Whatever happened before, even if the client has left.
            let closed = close(&result);
            match (sent, closed) {
                (Err(trouble), Err(error)) => {
                    report::raised(py, head, &error);
                    Err(trouble)
                }
                (Ok(()), Err(error)) => Err(error.into()),
                (sent, Ok(())) => sent,
            }
        });
    // If the app has raised.
    fuse.close(py);
    let mut response = start.get().response(py);
    let excess = response.had_excess();
    match result {
        Ok(()) => drop(response),
        Err(Trouble::Raised(error)) => {
            let summary = report::summary(py, &error);
            response.fail(py, RecordKind::Failed, &summary);
            drop(response);
            report::raised(py, head, &error);
        }
        Err(Trouble::Stopped(Stop::Broken(how))) => {
            response.fail(py, RecordKind::Invalid, &how);
            drop(response);
            report::broken(py, head, &how);
        }
        Err(Trouble::Stopped(Stop::Gone)) => {
            response.fail(py, RecordKind::Abort, "the client has left");
            drop(response);
        }
    }
    if excess {
        report::broken(
            py,
            head,
            "the body was longer than its Content-Length; what was too much has been left out",
        );
    }
}

fn call<'py>(
    app: &Bound<'py, PyAny>,
    environ: &Bound<'py, PyDict>,
    start: &Bound<'py, StartResponse>,
) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: three live references and the null that ends them; the result is a new reference, or null with an
    // exception set. This is the stable ABI's only call that needs no tuple before Python 3.12.
    unsafe {
        let result = ffi::PyObject_CallFunctionObjArgs(
            app.as_ptr(),
            environ.as_ptr(),
            start.as_ptr(),
            std::ptr::null_mut::<ffi::PyObject>(),
        );
        Bound::from_owned_ptr_or_err(app.py(), result)
    }
}

fn close(result: &Bound<'_, PyAny>) -> PyResult<()> {
    if result.is_exact_instance_of::<PyList>() || result.is_exact_instance_of::<PyTuple>() {
        return Ok(());
    }
    match result.getattr_opt(intern!(result.py(), "close"))? {
        Some(close) => close.call0().map(drop),
        None => Ok(()),
    }
}

fn respond(start: &Bound<'_, StartResponse>, result: &Bound<'_, PyAny>) -> Result<(), Trouble> {
    let py = start.py();
    let response = || start.get().response(py);
    if let Some(items) = items(result) {
        response().nothing_follows();
        match &items[..] {
            [] => {}
            [only] => response().send(py, bytes(only)?.as_bytes(), true)?,
            items => send_items(start, items)?,
        }
    } else {
        if let Ok(wrapper) = result.cast_exact::<FileWrapper>()
            && let Some(part) = wrapper.get().part(py)
        {
            let handed_over = response().send_file(py, &part)?;
            if handed_over {
                return Ok(());
            }
        }
        iterate(start, result)?;
    }
    Ok(response().finish(py)?)
}

/// The items of a list or tuple, which are all there already.
fn items<'py>(result: &Bound<'py, PyAny>) -> Option<Vec<Bound<'py, PyAny>>> {
    if let Ok(list) = result.cast_exact::<PyList>() {
        Some(list.iter().collect())
    } else {
        result
            .cast_exact::<PyTuple>()
            .ok()
            .map(|tuple| tuple.iter().collect())
    }
}

/// Sends the items of a list: together, if they are few bytes.
fn send_items(start: &Bound<'_, StartResponse>, items: &[Bound<'_, PyAny>]) -> Result<(), Trouble> {
    let py = start.py();
    let pieces = items.iter().map(bytes).collect::<Result<Vec<_>, Trouble>>()?;
    let total: usize = pieces.iter().map(|piece| piece.as_bytes().len()).sum();
    if total <= GATHERED {
        let mut gathered = Vec::with_capacity(total);
        pieces
            .iter()
            .for_each(|piece| gathered.extend_from_slice(piece.as_bytes()));
        return Ok(start.get().response(py).send(py, &gathered, true)?);
    }
    start.get().response(py).set_total(total as u64);
    for piece in pieces {
        send_one(start, piece.as_bytes())?;
    }
    Ok(())
}

/// Sends what an iterable gives, as it gives it.
fn iterate(start: &Bound<'_, StartResponse>, result: &Bound<'_, PyAny>) -> Result<(), Trouble> {
    let py = start.py();
    let iterator = match result.try_iter() {
        Ok(iterator) => iterator,
        Err(error) if error.is_instance_of::<PyTypeError>(py) && !has_iter(result) => {
            return Err(Stop::Broken(format!(
                "the app must return an iterable of bytes; it returned {}",
                result.get_type().name()?
            ))
            .into());
        }
        Err(error) => return Err(error.into()),
    };
    for item in iterator {
        let item = bytes(&item?)?;
        // In a statement of its own: the lock must be free again below.
        let wanted = start.get().response(py).wants_body();
        match wanted {
            None => return Err(Stop::Broken(BEFORE_START.into()).into()),
            // HEAD, 204, 304, or an app that has not stopped where its Content-Length said.
            Some(false) => {
                let mut response = start.get().response(py);
                response.send(py, b"", true)?;
                response.after_end(item.as_bytes());
                if !item.as_bytes().is_empty() {
                    return Ok(());
                }
            }
            Some(true) => send_one(start, item.as_bytes())?,
        }
    }
    Ok(())
}

fn has_iter(result: &Bound<'_, PyAny>) -> bool {
    let class = result.get_type();
    class.hasattr(intern!(result.py(), "__iter__")).unwrap_or(false)
        || class
            .hasattr(intern!(result.py(), "__getitem__"))
            .unwrap_or(false)
}

fn send_one(start: &Bound<'_, StartResponse>, bytes: &[u8]) -> Result<(), Trouble> {
    let py = start.py();
    let mut response = start.get().response(py);
    if response.is_ended() {
        response.after_end(bytes);
        return Ok(());
    }
    Ok(response.send(py, bytes, false)?)
}

fn bytes<'py>(item: &Bound<'py, PyAny>) -> Result<Bound<'py, PyBytes>, Trouble> {
    item.cast::<PyBytes>().cloned().map_err(|_| {
        let class = item
            .get_type()
            .name()
            .map_or_else(|_| "an object".into(), |name| name.to_string());
        Stop::Broken(format!("the body must consist of bytes; the app gave {class}")).into()
    })
}
