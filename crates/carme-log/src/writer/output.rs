//! The files themselves: opened for appending, shared with whoever rotates or reads them.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::{Destination, OpenError};

/// The most that one write to a pipe or terminal may hold to arrive in one piece (PIPE_BUF is 4096 on Linux).
const PIPE_AT_ONCE: usize = 4096;

/// Something that takes bytes.
pub(super) trait Output: Send {
    /// As [`Write::write`].
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;
    /// Begins a new file under the old name; on error the old one stays.
    fn reopen(&mut self) -> io::Result<()>;
    /// How many bytes one write may hold so that other processes' lines do not come between.
    fn at_once(&self) -> usize;
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

struct LogFile {
    path: PathBuf,
    file: File,
    at_once: usize,
    /// Someone died in the middle of the file's last line: it ends before ours begins.
    mid_line: bool,
}

impl LogFile {
    fn open(path: PathBuf) -> io::Result<Self> {
        let file = imp::append(&path)?;
        // Windows tells nothing about a device such as NUL.
        let length = file
            .metadata()
            .ok()
            .filter(|kind| kind.is_file())
            .map(|kind| kind.len());
        let at_once = if length.is_some() {
            usize::MAX
        } else {
            PIPE_AT_ONCE
        };
        // Not being allowed to read one's own log is no reason not to write it.
        let mid_line = length.is_some_and(|length| length > 0) && ends_mid_line(&path).unwrap_or(false);
        Ok(LogFile {
            path,
            file,
            at_once,
            mid_line,
        })
    }
}

fn ends_mid_line(path: &Path) -> io::Result<bool> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

impl Output for LogFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.mid_line {
            self.file.write_all(b"\n")?;
            self.mid_line = false;
        }
        self.file.write(bytes)
    }

    fn reopen(&mut self) -> io::Result<()> {
        *self = LogFile::open(self.path.clone())?;
        Ok(())
    }

    fn at_once(&self) -> usize {
        self.at_once
    }

    fn name(&self) -> String {
        self.path.display().to_string()
    }
}

#[cfg(unix)]
mod imp {
    use std::fs::{File, OpenOptions};
    use std::io;
    use std::os::fd::AsFd;
    use std::path::Path;

    pub(super) fn append(path: &Path) -> io::Result<File> {
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

    pub(super) fn append(path: &Path) -> io::Result<File> {
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
