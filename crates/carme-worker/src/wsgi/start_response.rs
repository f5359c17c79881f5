//! `start_response` and `write` (PEP 3333).

use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::{PyAssertionError, PyBrokenPipeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::MutexExt;
use pyo3::types::{PyBytes, PyList, PyString, PyTuple};
use pyo3::{ffi, intern};

use super::response::{Head, Response, Stop};
use crate::rules::{self, Refusal};

/// The callable that an app is given for one request.
#[pyclass(frozen, module = "carme", name = "start_response")]
pub struct StartResponse(Mutex<Response>);

impl StartResponse {
    /// For a response that nothing is known of yet.
    pub fn new(response: Response) -> Self {
        Self(Mutex::new(response))
    }

    /// The response. Other threads of the app may use it too; nobody waits for them with the GIL held.
    pub fn response<'a>(&'a self, py: Python<'a>) -> MutexGuard<'a, Response> {
        self.0
            .lock_py_attached(py)
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl StartResponse {
    #[pyo3(signature = (status, response_headers, exc_info = None, /))]
    fn __call__(
        slf: &Bound<'_, Self>,
        status: &Bound<'_, PyAny>,
        response_headers: &Bound<'_, PyAny>,
        exc_info: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Write> {
        let py = slf.py();
        let head = check(status, response_headers)?;
        let mut response = slf.get().response(py);
        match exc_info {
            Some(exc_info) if response.is_sent() => {
                drop(response);
                return Err(raised(exc_info)?);
            }
            None if response.is_started() => {
                return Err(PyAssertionError::new_err(
                    "start_response was called a second time; that needs exc_info (PEP 3333)",
                ));
            }
            Some(_) | None => response.start(head),
        }
        Ok(Write(slf.clone().unbind()))
    }
}

/// The exception in an `exc_info`, to be raised again: the head has been sent.
fn raised(exc_info: &Bound<'_, PyAny>) -> PyResult<PyErr> {
    let bad = || PyTypeError::new_err("exc_info must be a tuple as sys.exc_info() gives it");
    let exc_info = exc_info.cast::<PyTuple>().map_err(|_| bad())?;
    if exc_info.len() != 3 {
        return Err(bad());
    }
    let (value, traceback) = (exc_info.get_item(1)?, exc_info.get_item(2)?);
    Ok(PyErr::from_value(value.call_method1(
        intern!(exc_info.py(), "with_traceback"),
        (traceback,),
    )?))
}

fn type_name(object: &Bound<'_, PyAny>) -> String {
    object
        .get_type()
        .name()
        .map_or_else(|_| "an object".into(), |name| name.to_string())
}

/// A str as latin-1 bytes.
fn latin1<'py>(object: &Bound<'py, PyAny>, what: &str) -> PyResult<Bound<'py, PyBytes>> {
    let py = object.py();
    if !object.is_instance_of::<PyString>() {
        return Err(PyTypeError::new_err(format!(
            "{what} must be a str, not {}",
            type_name(object)
        )));
    }
    // SAFETY: the object is a str and the GIL is held; the result is a new reference to bytes, or null with an
    // exception set.
    let bytes = unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyUnicode_AsLatin1String(object.as_ptr())) };
    match bytes {
        // SAFETY: PyUnicode_AsLatin1String gives bytes.
        Ok(bytes) => Ok(unsafe { bytes.cast_into_unchecked() }),
        Err(_) => Err(PyValueError::new_err(format!(
            "{what} must consist of latin-1 characters (PEP 3333); it is {}",
            object.repr()?
        ))),
    }
}

fn refused(refusal: Refusal) -> PyErr {
    PyValueError::new_err(refusal.to_string())
}

/// Checks what an app gave and copies it.
fn check(status: &Bound<'_, PyAny>, headers: &Bound<'_, PyAny>) -> PyResult<Head> {
    let status = latin1(status, "the status")?;
    let (code, reason) = rules::status(status.as_bytes()).map_err(refused)?;
    let headers = headers.cast::<PyList>().map_err(|_| {
        PyTypeError::new_err(format!(
            "the response headers must be a list, not {}",
            type_name(headers)
        ))
    })?;
    let mut head = Head {
        status: code,
        text: Vec::with_capacity(64 + 48 * headers.len()),
        ends: Vec::with_capacity(1 + 2 * headers.len()),
        length: None,
    };
    let mut add = |bytes: &[u8]| {
        head.text.extend_from_slice(bytes);
        head.ends.push(head.text.len() as u32);
    };
    add(reason);
    for header in headers.iter() {
        let pair = header
            .cast::<PyTuple>()
            .ok()
            .filter(|pair| pair.len() == 2)
            .ok_or_else(|| {
                let shown = header
                    .repr()
                    .map_or_else(|_| type_name(&header), |repr| repr.to_string());
                PyTypeError::new_err(format!(
                    "a response header must be a tuple (name, value), not {shown}"
                ))
            })?;
        let name = latin1(&pair.get_item(0)?, "a response header's name")?;
        let value = latin1(&pair.get_item(1)?, "a response header's value")?;
        let (name, value) = (name.as_bytes(), value.as_bytes());
        rules::name(name).map_err(refused)?;
        rules::value(name, value).map_err(refused)?;
        if name.eq_ignore_ascii_case(b"content-length") {
            let length = rules::content_length(value).map_err(refused)?;
            if head.length.replace(length).is_some() {
                return Err(refused(Refusal::TwoLengths));
            }
        }
        add(name);
        add(value);
    }
    Ok(head)
}

/// The callable that `start_response` returns, for apps that cannot give an iterable.
#[pyclass(frozen, module = "carme", name = "write")]
pub struct Write(Py<StartResponse>);

#[pymethods]
impl Write {
    #[pyo3(signature = (data, /))]
    fn __call__(&self, py: Python<'_>, data: &Bound<'_, PyAny>) -> PyResult<()> {
        let Ok(data) = data.cast::<PyBytes>() else {
            return Err(PyTypeError::new_err(format!(
                "write() takes bytes, not {}",
                type_name(data)
            )));
        };
        let mut response = self.0.get().response(py);
        if response.is_ended() {
            response.after_end(data.as_bytes());
            return Ok(());
        }
        match response.send(py, data.as_bytes(), false) {
            Ok(()) => Ok(()),
            Err(Stop::Gone) => Err(PyBrokenPipeError::new_err("the client has left")),
            Err(Stop::Broken(how)) => Err(PyAssertionError::new_err(how)),
        }
    }
}
