//! One request through the WSGI layer without a front: what python/tests drives.

use std::fs::File;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use carme_ring::frame::{BodyKind, RequestHead, ResponseHead, Scheme, Variables, Version};
use carme_ring::os::BorrowedHandle;
use carme_ring::{RecordKind, StreamId, flags};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};

use crate::fuse::Fuse;
use crate::mail::{Mail, Outgoing, Posted};
use crate::wsgi::{self, EnvironBuilder, Facts};

struct Written {
    kind: RecordKind,
    flags: u8,
    head: Vec<u8>,
    body: Vec<u8>,
    file: Option<(File, u64, u64)>,
}

#[derive(Default)]
struct Desk {
    records: Vec<Written>,
    waits: usize,
    refused: bool,
}

/// A front in miniature: keeps every record, refuses each one the first time so that waiting happens, and lets the client
/// leave after so many records.
struct TestMail {
    desk: Mutex<Desk>,
    moved: Condvar,
    gone_after: Option<usize>,
    reluctant: bool,
    body_path: Option<String>,
}

impl TestMail {
    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Mail for TestMail {
    fn post(&self, _: StreamId, record: Outgoing<'_>) -> Posted {
        let mut desk = self.desk();
        if record.kind != RecordKind::Abort && self.gone_after.is_some_and(|n| desk.records.len() >= n) {
            return Posted::Gone;
        }
        if self.reluctant && !std::mem::replace(&mut desk.refused, true) {
            return Posted::Wait;
        }
        desk.refused = false;
        let Outgoing {
            kind,
            flags,
            head,
            body,
        } = record;
        desk.records.push(Written {
            kind,
            flags,
            head: head.to_vec(),
            body: body.to_vec(),
            file: None,
        });
        Posted::Sent
    }

    fn wait(&self, _: StreamId, _: usize) {
        self.desk().waits += 1;
        self.moved.notify_all();
    }

    fn give_file(&self, _: StreamId, file: BorrowedHandle<'_>, offset: u64, length: u64) -> io::Result<()> {
        let mut desk = self.desk();
        let last = desk.records.last_mut().ok_or(io::ErrorKind::NotFound)?;
        assert!(
            last.flags & flags::FILE != 0,
            "a file for a response that announced none"
        );
        last.file = Some((File::from(file.try_clone_to_owned()?), offset, length));
        Ok(())
    }

    fn body_file(&self, _: StreamId) -> io::Result<File> {
        File::open(self.body_path.as_deref().ok_or(io::ErrorKind::NotFound)?)
    }
}

fn field<'py, T: for<'a> FromPyObject<'a, 'py>>(
    request: &Bound<'py, PyDict>,
    key: &str,
) -> PyResult<Option<T>> {
    let bad = |_| PyValueError::new_err(format!("the field {key} is of the wrong type"));
    request
        .get_item(key)?
        .map(|value| value.extract::<T>().map_err(|error| bad(error.into())))
        .transpose()
}

/// Runs one request, given as a dictionary, and gives its records back as dictionaries.
#[pyfunction]
pub fn serve_once<'py>(
    app: &Bound<'py, PyAny>,
    request: &Bound<'py, PyDict>,
) -> PyResult<Bound<'py, PyList>> {
    let py = app.py();
    let text = |key| field::<Vec<u8>>(request, key).map(Option::unwrap_or_default);
    let flag = |key| field::<bool>(request, key).map(Option::unwrap_or_default);
    let (method, target, script_name) = (text("method")?, text("target")?, text("script_name")?);
    let (path, query, server_name) = (text("path")?, text("query")?, text("server_name")?);
    let (remote_addr, request_id, body) = (text("remote_addr")?, text("request_id")?, text("body")?);
    let body_path = field::<String>(request, "body_path")?;
    let headers = field::<Vec<(Vec<u8>, Vec<u8>)>>(request, "headers")?.unwrap_or_default();
    let mut variables = Variables::default();
    for (name, value) in field::<Vec<(Vec<u8>, Vec<u8>)>>(request, "variables")?.unwrap_or_default() {
        variables.push(&name, &value);
    }
    let version = if flag("http10")? {
        Version::Http10
    } else {
        Version::Http11
    };
    let scheme = if flag("https")? {
        Scheme::Https
    } else {
        Scheme::Http
    };
    let mut head = RequestHead::new(version, scheme);
    head.body = match &body_path {
        Some(path) => BodyKind::File(std::fs::metadata(path)?.len()),
        None if request.contains("body")? => BodyKind::Inline,
        None => BodyKind::None,
    };
    head.server_port = field(request, "server_port")?.unwrap_or(0);
    head.remote_port = field(request, "remote_port")?.unwrap_or(0);
    (head.method, head.target, head.script_name) = (&method, &target, &script_name);
    (head.path, head.query, head.server_name) = (&path, &query, &server_name);
    (head.remote_addr, head.request_id) = (&remote_addr, &request_id);
    head.variables = variables.as_bytes();
    let mut encoded = Vec::new();
    head.encode(
        headers.iter().map(|(name, value)| (&name[..], &value[..])),
        &mut encoded,
    );
    let head = RequestHead::decode(&encoded).map_err(|error| PyValueError::new_err(error.to_string()))?;

    let facts = Facts {
        multithread: flag("multithread")?,
        multiprocess: flag("multiprocess")?,
    };
    let test_mail = Arc::new(TestMail {
        desk: Mutex::default(),
        moved: Condvar::new(),
        gone_after: field(request, "gone_after")?,
        reluctant: flag("reluctant")?,
        body_path,
    });
    let mail: Arc<dyn Mail> = Arc::<TestMail>::clone(&test_mail);
    let mut builder = EnvironBuilder::new(py, facts)?;
    let fuse = Fuse::of_this_thread(py)?;
    for _ in 0..field::<usize>(request, "repeat")?.unwrap_or(1) {
        test_mail.desk().records.clear();
        wsgi::run(app, &mut builder, &head, &body, StreamId(7), &mail, &fuse);
    }
    let desk = test_mail.desk();
    if flag("reluctant")? {
        assert!(desk.waits > 0, "nothing was waited for");
    }
    let list = PyList::empty(py);
    for record in &desk.records {
        list.append(show(py, record)?)?;
    }
    Ok(list)
}

fn show<'py>(py: Python<'py>, record: &Written) -> PyResult<Bound<'py, PyDict>> {
    let shown = PyDict::new(py);
    shown.set_item("kind", format!("{:?}", record.kind))?;
    shown.set_item("end", record.flags & flags::END != 0)?;
    shown.set_item("body", PyBytes::new(py, &record.body))?;
    if record.kind == RecordKind::Response {
        let (head, _) =
            ResponseHead::decode(&record.head).map_err(|e| PyValueError::new_err(e.to_string()))?;
        shown.set_item("status", head.status)?;
        shown.set_item("reason", PyBytes::new(py, head.reason))?;
        let headers = PyList::empty(py);
        for field in head.headers() {
            let (name, value) = field.map_err(|e| PyValueError::new_err(e.to_string()))?;
            headers.append((PyBytes::new(py, name), PyBytes::new(py, value)))?;
        }
        shown.set_item("headers", headers)?;
    } else {
        shown.set_item("reason", PyBytes::new(py, &record.head))?;
    }
    if let Some((file, offset, length)) = &record.file {
        let mut bytes = vec![0; *length as usize];
        wsgi::input::read_exact_at(file, &mut bytes, *offset)?;
        shown.set_item("file", PyBytes::new(py, &bytes))?;
    }
    Ok(shown)
}
