//! A log file: opened for appending, shared with whoever rotates or reads it.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::output::{Output, PIPE_AT_ONCE, append};

pub(super) struct LogFile {
    pub(super) path: PathBuf,
    file: File,
    /// `None` for what is no regular file.
    pub(super) found: Option<Found>,
    /// Someone died in the middle of the file's last line: it ends before ours begins.
    mid_line: bool,
}

/// What was there already.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    pub(super) len: u64,
    pub(super) modified: std::time::SystemTime,
}

impl LogFile {
    pub(super) fn open(path: PathBuf) -> io::Result<Self> {
        let file = append(&path)?;
        // Windows tells nothing about a device such as NUL.
        let found = file
            .metadata()
            .ok()
            .filter(|kind| kind.is_file())
            .map(|kind| Found {
                len: kind.len(),
                modified: kind.modified().unwrap_or(std::time::SystemTime::UNIX_EPOCH),
            });
        // Not being allowed to read one's own log is no reason not to write it.
        let mid_line = found.is_some_and(|found| found.len > 0) && ends_mid_line(&path).unwrap_or(false);
        Ok(LogFile {
            path,
            file,
            found,
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
        match self.found {
            Some(_) => usize::MAX,
            None => PIPE_AT_ONCE,
        }
    }

    fn name(&self) -> String {
        self.path.display().to_string()
    }
}
