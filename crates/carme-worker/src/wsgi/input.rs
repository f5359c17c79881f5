//! `wsgi.input`: a request's body, read from memory or from the file that the front has put it in.
//!
//! What it owes its callers: the bytes of the body and then `b""`, for ever; any thread may read, one at a time;
//! no read of a file keeps the GIL.

use std::fs::File;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use carme_ring::StreamId;
use pyo3::exceptions::{PyOSError, PyStopIteration};
use pyo3::prelude::*;
use pyo3::sync::MutexExt;
use pyo3::types::{PyBytes, PyList};

use crate::mail::Mail;

/// Bytes that are read from a file in one go.
const STEP: usize = 1 << 20;
/// Bytes that are looked through for the end of a line in one go.
const LINE_STEP: usize = 16 << 10;

/// The body of a request that has none: one for all of them.
#[pyclass(frozen, module = "carme", name = "EmptyInput")]
pub struct Empty;

#[pymethods]
impl Empty {
    #[pyo3(signature = (size = None, /))]
    fn read<'py>(&self, py: Python<'py>, size: Option<i64>) -> Bound<'py, PyBytes> {
        let _ = size;
        PyBytes::new(py, b"")
    }

    #[pyo3(signature = (size = None, /))]
    fn readline<'py>(&self, py: Python<'py>, size: Option<i64>) -> Bound<'py, PyBytes> {
        let _ = size;
        PyBytes::new(py, b"")
    }

    #[pyo3(signature = (hint = None, /))]
    fn readlines<'py>(&self, py: Python<'py>, hint: Option<i64>) -> Bound<'py, PyList> {
        let _ = hint;
        PyList::empty(py)
    }

    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__(&self) -> PyResult<()> {
        Err(PyStopIteration::new_err(()))
    }
}

/// Where the bytes are.
enum Source {
    Memory(Py<PyBytes>),
    /// Not asked for yet.
    Promised(Arc<dyn Mail>, StreamId),
    File(File),
}

/// The body of a request.
struct Body {
    source: Source,
    length: u64,
    position: u64,
}

/// The body of a request, as the app sees it.
#[pyclass(frozen, module = "carme", name = "Input")]
pub struct Input(Mutex<Body>);

impl Input {
    /// A body that came along with the request.
    pub fn inline(bytes: Bound<'_, PyBytes>) -> Self {
        let length = bytes.as_bytes().len() as u64;
        Self(Mutex::new(Body {
            source: Source::Memory(bytes.unbind()),
            length,
            position: 0,
        }))
    }

    /// A body that the front gives as a file, once somebody reads.
    pub fn file(mail: Arc<dyn Mail>, stream: StreamId, length: u64) -> Self {
        Self(Mutex::new(Body {
            source: Source::Promised(mail, stream),
            length,
            position: 0,
        }))
    }

    fn with<'py, T>(&self, py: Python<'py>, f: impl FnOnce(&mut Body) -> PyResult<T>) -> PyResult<T> {
        f(&mut self
            .0
            .lock_py_attached(py)
            .unwrap_or_else(PoisonError::into_inner))
    }
}

#[pymethods]
impl Input {
    #[pyo3(signature = (size = None, /))]
    fn read<'py>(&self, py: Python<'py>, size: Option<i64>) -> PyResult<Bound<'py, PyBytes>> {
        self.with(py, |body| body.read(py, limit(size)))
    }

    #[pyo3(signature = (size = None, /))]
    fn readline<'py>(&self, py: Python<'py>, size: Option<i64>) -> PyResult<Bound<'py, PyBytes>> {
        self.with(py, |body| body.read_line(py, limit(size)))
    }

    #[pyo3(signature = (hint = None, /))]
    fn readlines<'py>(&self, py: Python<'py>, hint: Option<i64>) -> PyResult<Bound<'py, PyList>> {
        let enough = hint
            .and_then(|hint| u64::try_from(hint).ok())
            .filter(|hint| *hint > 0)
            .unwrap_or(u64::MAX);
        let lines = PyList::empty(py);
        self.with(py, |body| {
            let mut total = 0;
            while total < enough {
                let line = body.read_line(py, u64::MAX)?;
                if line.as_bytes().is_empty() {
                    break;
                }
                total += line.as_bytes().len() as u64;
                lines.append(line)?;
            }
            Ok(())
        })?;
        Ok(lines)
    }

    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let line = self.with(py, |body| body.read_line(py, u64::MAX))?;
        Ok(Some(line).filter(|line| !line.as_bytes().is_empty()))
    }
}

/// Bytes at most: `None` and negative numbers mean all there are.
fn limit(size: Option<i64>) -> u64 {
    size.and_then(|size| u64::try_from(size).ok()).unwrap_or(u64::MAX)
}

impl Body {
    /// The file, asked for now if nobody has before; `None` when the body is in memory.
    fn open(&mut self, py: Python<'_>) -> PyResult<()> {
        if let Source::Promised(mail, stream) = &self.source {
            let file = py.detach(|| mail.body_file(*stream)).map_err(|error| {
                PyOSError::new_err(format!(
                    "the front did not give the body of this request: {error}"
                ))
            })?;
            self.source = Source::File(file);
        }
        Ok(())
    }

    fn read<'py>(&mut self, py: Python<'py>, limit: u64) -> PyResult<Bound<'py, PyBytes>> {
        let count = limit.min(self.length - self.position) as usize;
        if count == 0 {
            return Ok(PyBytes::new(py, b""));
        }
        self.open(py)?;
        let position = self.position;
        let bytes = match &self.source {
            Source::Memory(bytes) if position == 0 && count as u64 == self.length => bytes.bind(py).clone(),
            Source::Memory(bytes) => PyBytes::new(py, &bytes.as_bytes(py)[position as usize..][..count]),
            Source::File(file) => PyBytes::new_with(py, count, |buffer| {
                for (nth, step) in buffer.chunks_mut(STEP).enumerate() {
                    let at = position + (nth * STEP) as u64;
                    py.detach(|| read_exact_at(file, step, at)).map_err(unreadable)?;
                }
                Ok(())
            })?,
            Source::Promised(..) => unreachable!("opened above"),
        };
        self.position += count as u64;
        Ok(bytes)
    }

    fn read_line<'py>(&mut self, py: Python<'py>, limit: u64) -> PyResult<Bound<'py, PyBytes>> {
        let count = limit.min(self.length - self.position);
        if count == 0 {
            return Ok(PyBytes::new(py, b""));
        }
        self.open(py)?;
        let line = match &self.source {
            Source::Memory(bytes) => {
                let rest = &bytes.as_bytes(py)[self.position as usize..][..count as usize];
                PyBytes::new(py, &rest[..line_end(rest).unwrap_or(rest.len())])
            }
            Source::File(file) => {
                let position = self.position;
                let line = py
                    .detach(|| file_line(file, position, count))
                    .map_err(unreadable)?;
                PyBytes::new(py, &line)
            }
            Source::Promised(..) => unreachable!("opened above"),
        };
        self.position += line.as_bytes().len() as u64;
        Ok(line)
    }
}

/// One line of a file, `count` bytes at most, with its line feed.
fn file_line(file: &File, position: u64, count: u64) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    while (line.len() as u64) < count {
        let start = line.len();
        line.resize(start + LINE_STEP.min((count - start as u64) as usize), 0);
        read_exact_at(file, &mut line[start..], position + start as u64)?;
        if let Some(end) = line_end(&line[start..]) {
            line.truncate(start + end);
            break;
        }
    }
    Ok(line)
}

/// How long the first line is, its line feed included.
fn line_end(bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|byte| *byte == b'\n').map(|at| at + 1)
}

fn unreadable(error: io::Error) -> PyErr {
    PyOSError::new_err(format!(
        "cannot read the body of this request from its temporary file: {error}"
    ))
}

/// Reads at a place in a file; where the handle itself stands does not matter, it may be shared.
pub fn read_exact_at(file: &File, mut buffer: &mut [u8], mut position: u64) -> io::Result<()> {
    #[cfg(unix)]
    use std::os::unix::fs::FileExt;
    #[cfg(windows)]
    use std::os::windows::fs::FileExt;
    while !buffer.is_empty() {
        #[cfg(unix)]
        let read = file.read_at(buffer, position);
        #[cfg(windows)]
        let read = file.seek_read(buffer, position);
        match read {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => {
                buffer = &mut buffer[n..];
                position += n as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
