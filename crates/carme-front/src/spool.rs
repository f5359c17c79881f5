//! Files without a name for request bodies: a worker gets a handle of one, and nobody else can open it.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use bytes::Bytes;

/// Where such files are made.
pub(crate) struct Spool<'a> {
    directory: Option<&'a Path>,
}

impl<'a> Spool<'a> {
    /// In `directory`, or in the system's temporary directory.
    pub(crate) fn new(directory: Option<&'a Path>) -> Self {
        Spool { directory }
    }

    /// A file that begins with `bytes`, for a body too large for memory.
    pub(crate) async fn create_on_disk(&self, bytes: Bytes) -> io::Result<File> {
        let directory = self.directory.map(Path::to_owned);
        blocking(move || {
            let mut file = match &directory {
                Some(directory) => tempfile::tempfile_in(directory),
                None => tempfile::tempfile(),
            }?;
            file.write_all(&bytes)?;
            Ok(file)
        })
        .await
    }

    /// A file with just `bytes`, which are few enough for memory.
    pub(crate) async fn create_in_memory(&self, bytes: Bytes) -> io::Result<File> {
        match imp::memory_file(&bytes) {
            Some(file) => Ok(file),
            None => self.create_on_disk(bytes).await,
        }
    }

    /// Adds `bytes` to a file.
    pub(crate) async fn append(&self, mut file: File, bytes: Bytes) -> io::Result<File> {
        if bytes.is_empty() {
            return Ok(file);
        }
        blocking(move || {
            file.write_all(&bytes)?;
            Ok(file)
        })
        .await
    }
}

/// Runs file work where it blocks nobody.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|panic| Err(io::Error::other(panic)))
}

#[cfg(target_os = "linux")]
mod imp {
    use std::fs::File;
    use std::io::Write;

    use rustix::fs::MemfdFlags;

    /// `None` where the kernel has none to give; a file on disk does as well.
    pub(super) fn memory_file(bytes: &[u8]) -> Option<File> {
        let mut file = File::from(rustix::fs::memfd_create("carme-body", MemfdFlags::CLOEXEC).ok()?);
        file.write_all(bytes).ok()?;
        Some(file)
    }
}

#[cfg(not(target_os = "linux"))]
mod imp {
    use std::fs::File;

    /// Temporary files stay in the cache here.
    pub(super) fn memory_file(_bytes: &[u8]) -> Option<File> {
        None
    }
}
