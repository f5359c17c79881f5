//! Rotation: a file is closed and kept, and the next begun, between two lines.
//!
//! A file with a plain name keeps it, and what is full or old is renamed to that name with the time of its last line
//! behind it: `access.log.20261123-235958`. A name with strftime's conversions is that of each file when it begins, and
//! nothing is renamed. In both cases lines go on in the old file where a new one cannot be had.

mod names;
mod schedule;
#[cfg(test)]
mod tests;

use std::io;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::OpenError;
use super::file::LogFile;
use super::output::Output;
use names::Names;
use schedule::Schedule;

/// When a file is closed and the next one begun, and how many are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rotation {
    /// Before it would hold more bytes than these. A longer line has a file of its own.
    pub size: Option<NonZeroU64>,
    /// With the first line after each of these periods, which begin at midnight of local time. Whole weeks begin on
    /// Monday. Less than a second is a second.
    pub every: Option<Duration>,
    /// So many are kept besides the one that is written; the others are removed, oldest first.
    pub keep: Option<NonZeroUsize>,
}

impl Rotation {
    /// Whether files of this name can be rotated so.
    ///
    /// # Errors
    /// What is wrong with the name.
    pub fn check(&self, path: &Path) -> Result<(), FileNameError> {
        Names::of(path, self.keep.is_some()).map(drop)
    }
}

/// A name that rotated files cannot have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileNameError {
    /// `%Q`.
    #[error("its name has {0:?}, which strftime does not know (a literal percent sign is %%)")]
    Conversion(String),
    /// `%D` prints slashes.
    #[error("its name prints as {0:?}, which is no name of a file")]
    Unfit(String),
    /// Old files would have to be looked for everywhere.
    #[error(
        "files in folders named by the time cannot be counted: leave out `keep`, or have the time in the file's name only"
    )]
    Folder,
}

/// After a rotation that failed it is not tried again for so many seconds.
const PAUSE: i64 = 10;

/// A [`LogFile`] that is followed by others.
pub(super) struct RotatedFile {
    log: LogFile,
    size: Option<u64>,
    keep: Option<usize>,
    names: Names,
    schedule: Schedule,
    clock: Box<dyn Fn() -> SystemTime + Send>,
    len: u64,
    /// The period to which the file belongs, if there are periods.
    period: Option<i64>,
    /// When the last line was written, in seconds since the epoch.
    written_at: i64,
    at_line_start: bool,
    not_before: i64,
    trouble: io::Result<()>,
}

impl RotatedFile {
    pub(super) fn open(path: PathBuf, rotation: Rotation) -> Result<Self, OpenError> {
        Self::open_at(
            path,
            rotation,
            crate::format::Zone::System,
            Box::new(SystemTime::now),
        )
    }

    fn open_at(
        path: PathBuf,
        rotation: Rotation,
        zone: crate::format::Zone,
        clock: Box<dyn Fn() -> SystemTime + Send>,
    ) -> Result<Self, OpenError> {
        let mut names = match Names::of(&path, rotation.keep.is_some()) {
            Ok(names) => names,
            Err(source) => return Err(OpenError::Name { path, source }),
        };
        let schedule = Schedule::new(rotation.every, zone);
        let size = rotation.size.map(NonZeroU64::get);
        let now = seconds(clock());
        let current = names.current(&schedule, now, size);
        let log = match LogFile::open(current.clone()) {
            Ok(log) => log,
            Err(source) => {
                return Err(OpenError::File {
                    path: current,
                    source,
                });
            }
        };
        let mut file = RotatedFile {
            log,
            size,
            keep: rotation.keep.map(NonZeroUsize::get),
            names,
            schedule,
            clock,
            len: 0,
            period: None,
            written_at: now,
            at_line_start: true,
            not_before: i64::MIN,
            trouble: Ok(()),
        };
        file.begin(now);
        Ok(file)
    }

    /// Takes note of the file that has just been opened.
    fn begin(&mut self, now: i64) {
        self.at_line_start = true;
        self.len = 0;
        self.written_at = now;
        if let Some(found) = self.log.found.filter(|found| found.len > 0) {
            self.len = found.len;
            self.written_at = seconds(found.modified);
        }
        self.period = match self.names.are_plain() {
            true => self.schedule.period(self.written_at),
            false => self.schedule.period(now),
        };
        if let Some(keep) = self.keep
            && let Err(error) = self.names.remove_old(&self.log.path, keep)
        {
            self.trouble = Err(error);
        }
    }

    fn is_due(&self, now: i64, more: usize) -> bool {
        // What is no regular file cannot be renamed to any use.
        self.log.found.is_some()
            && now >= self.not_before
            && (self.is_full(more) || self.schedule.period(now) != self.period)
    }

    fn is_full(&self, more: usize) -> bool {
        self.size
            .is_some_and(|size| self.len > 0 && self.len + more as u64 > size)
    }

    /// Begins the next file. On error the old one is still open, under its own name if possible.
    fn rotate(&mut self, now: i64, more: usize) -> io::Result<()> {
        if self.len == 0 && self.names.are_plain() {
            self.period = self.schedule.period(now);
            return Ok(());
        }
        let kept = self
            .names
            .set_aside(&self.log.path, &self.schedule, self.written_at)?;
        let next = self.names.next(&self.schedule, now, self.size, more as u64);
        match LogFile::open(next) {
            Ok(log) => self.log = log,
            Err(error) => {
                if let Some(kept) = kept {
                    // If that fails, too, lines go on under the other name.
                    let _ = std::fs::rename(kept, &self.log.path);
                }
                return Err(error);
            }
        }
        self.begin(now);
        Ok(())
    }
}

impl Output for RotatedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let now = seconds((self.clock)());
        if self.at_line_start
            && self.is_due(now, bytes.len())
            && let Err(error) = self.rotate(now, bytes.len())
        {
            self.trouble = Err(error);
            self.not_before = now.saturating_add(PAUSE);
        }
        let written = self.log.write(bytes)?;
        if let Some(last) = bytes[..written].last() {
            self.len += written as u64;
            self.written_at = now;
            self.at_line_start = *last == b'\n';
        }
        Ok(written)
    }

    fn reopen(&mut self) -> io::Result<()> {
        let now = seconds((self.clock)());
        self.log = LogFile::open(self.names.current(&self.schedule, now, self.size))?;
        self.begin(now);
        Ok(())
    }

    fn at_once(&self) -> usize {
        let room = match self.size {
            Some(size) if self.len < size => size - self.len,
            Some(size) => size,
            None => u64::MAX,
        };
        self.log
            .at_once()
            .min(usize::try_from(room).unwrap_or(usize::MAX))
    }

    fn take_trouble(&mut self) -> io::Result<()> {
        std::mem::replace(&mut self.trouble, Ok(()))
    }

    fn name(&self) -> String {
        self.names.name()
    }
}

/// Since the epoch; 0 before it.
fn seconds(time: SystemTime) -> i64 {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}
