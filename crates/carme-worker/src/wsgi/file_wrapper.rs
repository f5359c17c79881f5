//! `wsgi.file_wrapper` (PEP 3333): an iterator over a file, and, where the file is an ordinary one, a note to the front
//! which part of it to send by itself.

use std::fs::File;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// What an app returns to have a file sent.
#[pyclass(frozen, module = "carme", name = "FileWrapper")]
pub struct FileWrapper {
    filelike: Py<PyAny>,
    block_size: usize,
}

#[pymethods]
impl FileWrapper {
    #[new]
    #[pyo3(signature = (filelike, blksize = 65536, /))]
    fn new(filelike: Py<PyAny>, blksize: usize) -> Self {
        Self {
            filelike,
            block_size: blksize.max(1),
        }
    }

    #[getter]
    fn filelike<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        self.filelike.bind(py).clone()
    }

    #[getter]
    fn blksize(&self) -> usize {
        self.block_size
    }

    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let block = self
            .filelike
            .bind(py)
            .call_method1(intern!(py, "read"), (self.block_size,))?;
        let at_end = block.is_instance_of::<PyBytes>() && block.len()? == 0;
        Ok(if at_end { None } else { Some(block) })
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        match self.filelike.bind(py).getattr_opt(intern!(py, "close"))? {
            Some(close) => close.call0().map(drop),
            None => Ok(()),
        }
    }
}

/// A part of an ordinary file.
#[derive(Debug)]
pub struct Part {
    /// A handle of our own; the app may close its one.
    pub file: File,
    /// Where the part begins.
    pub offset: u64,
    /// Its bytes, up to the end of the file.
    pub length: u64,
}

impl FileWrapper {
    /// What is left of the file, if reading on would give exactly the bytes of an ordinary file. Errors are no reason to
    /// fail: the file is read through Python then, which shows them to the app.
    pub fn part(&self, py: Python<'_>) -> Option<Part> {
        let filelike = self.filelike.bind(py);
        // A file of the io module and of no subclass, which could read differently: GzipFile has a fileno, too.
        let io = py.import(intern!(py, "io")).ok()?;
        let is = |object: &Bound<'_, PyAny>, class| io.getattr(class).is_ok_and(|c| object.get_type().is(&c));
        let raw = if is(filelike, intern!(py, "BufferedReader")) {
            filelike.getattr(intern!(py, "raw")).ok()?
        } else if is(filelike, intern!(py, "BufferedRandom")) {
            filelike.call_method0(intern!(py, "flush")).ok()?;
            filelike.getattr(intern!(py, "raw")).ok()?
        } else {
            filelike.clone()
        };
        if !is(&raw, intern!(py, "FileIO"))
            || !raw.call_method0(intern!(py, "readable")).ok()?.is_truthy().ok()?
        {
            return None;
        }
        let offset: u64 = filelike.call_method0(intern!(py, "tell")).ok()?.extract().ok()?;
        let file = os::own_handle(py, raw.call_method0(intern!(py, "fileno")).ok()?.extract().ok()?)?;
        let metadata = file.metadata().ok()?;
        if !metadata.is_file() {
            return None;
        }
        Some(Part {
            file,
            offset,
            length: metadata.len().saturating_sub(offset),
        })
    }
}

#[cfg(unix)]
mod os {
    use std::fs::File;
    use std::os::fd::BorrowedFd;

    use pyo3::prelude::*;

    /// A second handle for the file behind a descriptor of Python's.
    pub(super) fn own_handle(_: Python<'_>, fd: i32) -> Option<File> {
        if fd < 0 {
            return None;
        }
        // SAFETY: Python has just said that this descriptor is open, and no other thread runs Python code to close it
        // while the GIL is held.
        let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
        borrowed.try_clone_to_owned().ok().map(File::from)
    }
}

#[cfg(windows)]
mod os {
    use std::fs::File;
    use std::os::windows::io::BorrowedHandle;

    use pyo3::prelude::*;

    /// A second handle for the file behind a descriptor of Python's.
    pub(super) fn own_handle(py: Python<'_>, fd: i32) -> Option<File> {
        // Descriptors are the C library's; which one Python uses, only Python knows.
        let handle: isize = py
            .import("msvcrt")
            .ok()?
            .call_method1("get_osfhandle", (fd,))
            .ok()?
            .extract()
            .ok()?;
        // SAFETY: Python has just said that this handle is open, and no other thread runs Python code to close it
        // while the GIL is held.
        let borrowed = unsafe { BorrowedHandle::borrow_raw(handle as *mut _) };
        borrowed.try_clone_to_owned().ok().map(File::from)
    }
}
