//! `environ` (PEP 3333), built natively: a dictionary of what is the same for all requests is copied, then the request's
//! own strings are set under interned keys.

use std::collections::HashMap;
use std::ffi::c_char;
use std::sync::Arc;

use carme_ring::StreamId;
use carme_ring::frame::{BodyKind, Malformed, RequestHead, Scheme, Version};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString, PyTuple};
use pyo3::{IntoPyObjectExt, ffi, intern};

use super::file_wrapper::FileWrapper;
use super::input::{Empty, Input};
use crate::mail::Mail;
use crate::rules;

/// Header names that are remembered, since clients can invent any number of them; variables, too.
const REMEMBERED: usize = 256;

/// What is true of all requests of a worker.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// More than one thread may run the app.
    pub multithread: bool,
    /// Another process may run the app.
    pub multiprocess: bool,
}

/// A string made of latin-1 bytes, as PEP 3333 wants all of them.
pub fn latin1<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyString>> {
    // SAFETY: the pointer and the length are those of `bytes`; the result is a new reference to a str, or null with
    // an exception set.
    unsafe {
        let string = ffi::PyUnicode_DecodeLatin1(
            bytes.as_ptr().cast::<c_char>(),
            bytes.len() as isize,
            std::ptr::null(),
        );
        Ok(Bound::from_owned_ptr_or_err(py, string)?.cast_into_unchecked())
    }
}

/// A string that is mostly the same as the last time.
#[derive(Default)]
struct Memo(Vec<u8>, Option<Py<PyString>>);

impl Memo {
    fn get<'py>(&mut self, py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyString>> {
        match &self.1 {
            Some(string) if self.0 == bytes => Ok(string.bind(py).clone()),
            _ => {
                let string = latin1(py, bytes)?;
                *self = Self(bytes.to_vec(), Some(string.clone().unbind()));
                Ok(string)
            }
        }
    }
}

/// The key of a header, and the number of the request that has set it last.
struct Key {
    /// `None`: the app must not see this header.
    name: Option<Py<PyString>>,
    set_by: u64,
    value: Memo,
}

/// One of the front's variables.
struct Variable {
    encoded_name: Vec<u8>,
    /// `None`: the server itself says what this key has.
    key: Option<Py<PyString>>,
    value: Memo,
}

impl Variable {
    fn new(py: Python<'_>, name: &[u8], base: &Bound<'_, PyDict>) -> PyResult<Self> {
        let key = PyString::intern(py, &String::from_utf8_lossy(name));
        Ok(Self {
            encoded_name: name.to_vec(),
            key: (!base.contains(&key)?).then(|| key.unbind()),
            value: Memo::default(),
        })
    }
}

/// The front's variables, which are mostly the same as the last time, or at least some of them are.
#[derive(Default)]
struct Variables(Vec<Variable>);

impl Variables {
    fn set(
        &mut self,
        head: &RequestHead<'_>,
        base: &Bound<'_, PyDict>,
        environ: &Bound<'_, PyDict>,
    ) -> PyResult<()> {
        let py = environ.py();
        for (place, variable) in head.variables().enumerate() {
            let (name, value) = variable.map_err(malformed)?;
            let mut passing = None;
            let known = match self.0.get_mut(place) {
                Some(known) if known.encoded_name == name => known,
                Some(other) => {
                    *other = Variable::new(py, name, base)?;
                    other
                }
                None if place < REMEMBERED => self.0.push_mut(Variable::new(py, name, base)?),
                None => passing.insert(Variable::new(py, name, base)?),
            };
            if let Some(key) = &known.key {
                environ.set_item(key, known.value.get(py, value)?)?;
            }
        }
        Ok(())
    }
}

/// Builds the environs of one thread.
pub struct EnvironBuilder {
    base: Py<PyDict>,
    keys: HashMap<Box<[u8]>, Key>,
    request: u64,
    method: Memo,
    script_name: Memo,
    server_name: Memo,
    server_port: (u16, Option<Py<PyString>>),
    remote_addr: Memo,
    variables: Variables,
}

impl EnvironBuilder {
    /// A builder, with everything in place that no request changes.
    pub fn new(py: Python<'_>, facts: Facts) -> PyResult<Self> {
        let base = PyDict::new(py);
        let set = |key: &str, value: Bound<'_, PyAny>| base.set_item(PyString::intern(py, key), value);
        let text = |value: &str| PyString::intern(py, value).into_any();
        // Keys that every request sets anew are here too: the copies then never grow.
        for key in [
            "REQUEST_METHOD",
            "SCRIPT_NAME",
            "PATH_INFO",
            "QUERY_STRING",
            "SERVER_NAME",
            "SERVER_PORT",
        ] {
            set(key, text(""))?;
        }
        for key in [
            "REMOTE_ADDR",
            "REQUEST_URI",
            "RAW_URI",
            "carme.request_id",
            "HTTP_X_REQUEST_ID",
        ] {
            set(key, text(""))?;
        }
        set("SERVER_PROTOCOL", text("HTTP/1.1"))?;
        set(
            "SERVER_SOFTWARE",
            text(concat!("carme/", env!("CARGO_PKG_VERSION"))),
        )?;
        set("wsgi.version", PyTuple::new(py, [1, 0])?.into_any())?;
        set("wsgi.url_scheme", text("http"))?;
        set("wsgi.input", Bound::new(py, Empty)?.into_any())?;
        set("wsgi.input_terminated", true.into_bound_py_any(py)?)?;
        set("wsgi.errors", py.import("sys")?.getattr("stderr")?)?;
        set("wsgi.multithread", facts.multithread.into_bound_py_any(py)?)?;
        set("wsgi.multiprocess", facts.multiprocess.into_bound_py_any(py)?)?;
        set("wsgi.run_once", false.into_bound_py_any(py)?)?;
        set("wsgi.file_wrapper", py.get_type::<FileWrapper>().into_any())?;
        Ok(Self {
            base: base.unbind(),
            keys: HashMap::new(),
            request: 0,
            method: Memo::default(),
            script_name: Memo::default(),
            server_name: Memo::default(),
            server_port: (0, None),
            remote_addr: Memo::default(),
            variables: Variables::default(),
        })
    }

    /// The environ of one request.
    pub fn build<'py>(
        &mut self,
        py: Python<'py>,
        head: &RequestHead<'_>,
        body: &[u8],
        stream: StreamId,
        mail: &Arc<dyn Mail>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let environ = self.base.bind(py).copy()?;
        self.request += 1;
        environ.set_item(intern!(py, "REQUEST_METHOD"), self.method.get(py, head.method)?)?;
        if !head.script_name.is_empty() {
            environ.set_item(
                intern!(py, "SCRIPT_NAME"),
                self.script_name.get(py, head.script_name)?,
            )?;
        }
        let path = latin1(py, head.path)?;
        environ.set_item(intern!(py, "PATH_INFO"), &path)?;
        if !head.query.is_empty() {
            environ.set_item(intern!(py, "QUERY_STRING"), latin1(py, head.query)?)?;
        }
        let target = if head.target == head.path {
            path
        } else {
            latin1(py, head.target)?
        };
        environ.set_item(intern!(py, "REQUEST_URI"), &target)?;
        environ.set_item(intern!(py, "RAW_URI"), target)?;
        environ.set_item(
            intern!(py, "SERVER_NAME"),
            self.server_name.get(py, head.server_name)?,
        )?;
        environ.set_item(intern!(py, "SERVER_PORT"), self.server_port(py, head.server_port))?;
        environ.set_item(
            intern!(py, "REMOTE_ADDR"),
            self.remote_addr.get(py, head.remote_addr)?,
        )?;
        if head.remote_port != 0 {
            environ.set_item(intern!(py, "REMOTE_PORT"), head.remote_port.to_string())?;
        }
        if head.version == Version::Http10 {
            environ.set_item(intern!(py, "SERVER_PROTOCOL"), intern!(py, "HTTP/1.0"))?;
        }
        if head.scheme == Scheme::Https {
            environ.set_item(intern!(py, "wsgi.url_scheme"), intern!(py, "https"))?;
            environ.set_item(intern!(py, "HTTPS"), intern!(py, "on"))?;
        }
        if !head.variables.is_empty() {
            self.variables.set(head, self.base.bind(py), &environ)?;
        }
        let request_id = latin1(py, head.request_id)?;
        environ.set_item(intern!(py, "carme.request_id"), &request_id)?;
        environ.set_item(intern!(py, "HTTP_X_REQUEST_ID"), request_id)?;
        self.headers(py, head, &environ)?;
        let (length, input) = match head.body {
            BodyKind::None => return Ok(environ),
            BodyKind::Inline => (body.len() as u64, Input::inline(PyBytes::new(py, body))),
            BodyKind::File(length) => (length, Input::file(Arc::clone(mail), stream, length)),
        };
        environ.set_item(intern!(py, "CONTENT_LENGTH"), length.to_string())?;
        environ.set_item(intern!(py, "wsgi.input"), Bound::new(py, input)?)?;
        Ok(environ)
    }

    fn server_port<'py>(&mut self, py: Python<'py>, port: u16) -> Bound<'py, PyString> {
        let (known, text) = &mut self.server_port;
        if *known != port {
            *text = None;
            *known = port;
        }
        text.get_or_insert_with(|| PyString::new(py, &port.to_string()).unbind())
            .bind(py)
            .clone()
    }

    fn headers(
        &mut self,
        py: Python<'_>,
        head: &RequestHead<'_>,
        environ: &Bound<'_, PyDict>,
    ) -> PyResult<()> {
        for field in head.headers() {
            let (name, value) = field.map_err(malformed)?;
            if name == b"content-length" && head.body == BodyKind::None {
                environ.set_item(intern!(py, "CONTENT_LENGTH"), latin1(py, value)?)?;
                continue;
            }
            let Some(key) = self.keys.get_mut(name) else {
                let key = rules::environ_key(name).map(|key| PyString::intern(py, &key).unbind());
                if let Some(key) = &key {
                    set_or_join(py, environ, key.bind(py), name, value)?;
                }
                if self.keys.len() < REMEMBERED {
                    self.keys.insert(
                        name.into(),
                        Key {
                            name: key,
                            set_by: self.request,
                            value: Memo::default(),
                        },
                    );
                }
                continue;
            };
            let Some(key_name) = &key.name else { continue };
            if key.set_by == self.request {
                set_or_join(py, environ, key_name.bind(py), name, value)?;
            } else {
                key.set_by = self.request;
                environ.set_item(key_name.bind(py), key.value.get(py, value)?)?;
            }
        }
        Ok(())
    }
}

fn malformed(error: Malformed) -> PyErr {
    PyRuntimeError::new_err(format!("a request came damaged from the front: {error}"))
}

/// A header that may have been set already: the values are joined as RFC 9110, 5.2 and RFC 6265, 5.4 have it.
fn set_or_join(
    py: Python<'_>,
    environ: &Bound<'_, PyDict>,
    key: &Bound<'_, PyString>,
    name: &[u8],
    value: &[u8],
) -> PyResult<()> {
    let value = latin1(py, value)?;
    let Some(before) = environ.get_item(key)? else {
        return environ.set_item(key, value);
    };
    let separator = if name == b"cookie" {
        intern!(py, "; ")
    } else {
        intern!(py, ",")
    };
    environ.set_item(key, before.add(separator)?.add(value)?)
}
