//! What takes a log's bytes, and how each of them is opened.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use super::file::LogFile;
use super::rotation::RotatedFile;
use super::{Destination, OpenError};

/// The most that one write to a pipe or terminal may hold to arrive in one piece (PIPE_BUF is 4096 on Linux).
pub(super) const PIPE_AT_ONCE: usize = 4096;

/// Something that takes bytes.
pub(super) trait Output: Send {
    /// As [`Write::write`].
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;
    /// Begins a new file under the old name; on error the old one stays.
    fn reopen(&mut self) -> io::Result<()>;
    /// How many bytes one write may hold so that other processes' lines do not come between.
    fn at_once(&self) -> usize;
    /// What went wrong since the last call in keeping the files few and small, while lines were written all the same.
    fn take_trouble(&mut self) -> io::Result<()> {
        Ok(())
    }
    /// For messages.
    fn name(&self) -> String;
}

pub(super) fn open(destination: Destination) -> Result<Box<dyn Output>, OpenError> {
    match destination {
        Destination::Stdout => {
            let file = imp::stdout().map_err(OpenError::Stdout)?;
            Ok(Box::new(Standard {
                file,
                name: "standard output",
            }))
        }
        Destination::Stderr => {
            let file = imp::stderr().map_err(OpenError::Stderr)?;
            Ok(Box::new(Standard {
                file,
                name: "standard error",
            }))
        }
        Destination::File(path) => match LogFile::open(path.clone()) {
            Ok(file) => Ok(Box::new(file)),
            Err(source) => Err(OpenError::File { path, source }),
        },
        Destination::Rotated(path, rotation) => Ok(Box::new(RotatedFile::open(path, rotation)?)),
    }
}

/// What to do about a file that cannot be opened.
pub(super) fn cure(path: &Path, error: &io::Error) -> String {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    match error.kind() {
        io::ErrorKind::NotFound => format!(" (create the folder {})", folder.display()),
        io::ErrorKind::PermissionDenied => {
            format!(
                " (this user needs the right to create and write files in {})",
                folder.display()
            )
        }
        io::ErrorKind::IsADirectory => " (name a file in it)".to_owned(),
        _ => String::new(),
    }
}

/// Standard output or standard error.
struct Standard {
    file: File,
    name: &'static str,
}

impl Output for Standard {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn reopen(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn at_once(&self) -> usize {
        PIPE_AT_ONCE
    }

    fn name(&self) -> String {
        self.name.to_owned()
    }
}

pub(super) use imp::append;

#[cfg(unix)]
mod imp {
    use std::fs::{File, OpenOptions};
    use std::io;
    use std::os::fd::AsFd;
    use std::path::Path;

    /// Opens for appending; others may rename the file meanwhile.
    pub(in crate::writer) fn append(path: &Path) -> io::Result<File> {
        OpenOptions::new().append(true).create(true).open(path)
    }

    /// Standard output without the standard library's buffer.
    pub(super) fn stdout() -> io::Result<File> {
        Ok(File::from(io::stdout().as_fd().try_clone_to_owned()?))
    }

    /// Standard error as a file.
    pub(super) fn stderr() -> io::Result<File> {
        Ok(File::from(io::stderr().as_fd().try_clone_to_owned()?))
    }
}

#[cfg(windows)]
mod imp {
    use std::fs::{File, OpenOptions};
    use std::io;
    use std::os::windows::fs::OpenOptionsExt;
    use std::os::windows::io::AsHandle;
    use std::path::Path;

    const FILE_SHARE_READ: u32 = 1;
    const FILE_SHARE_WRITE: u32 = 2;
    /// Lets others rename and delete the file while it is open.
    const FILE_SHARE_DELETE: u32 = 4;

    /// Opens for appending; others may rename the file meanwhile.
    pub(in crate::writer) fn append(path: &Path) -> io::Result<File> {
        OpenOptions::new()
            .append(true)
            .create(true)
            .share_mode(FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE)
            .open(path)
    }

    /// Standard output without the standard library's buffer.
    pub(super) fn stdout() -> io::Result<File> {
        Ok(File::from(io::stdout().as_handle().try_clone_to_owned()?))
    }

    /// Standard error as a file.
    pub(super) fn stderr() -> io::Result<File> {
        Ok(File::from(io::stderr().as_handle().try_clone_to_owned()?))
    }
}
