//! The names of rotated files: which comes next, which are ours, which are too many.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::FileNameError;
use super::schedule::Schedule;
use crate::format::Zone;
use crate::time::{Strftime, push_strftime};

/// Printed behind the name of a file that is set aside.
const STAMP: &str = "%Y%m%d-%H%M%S";

pub(super) enum Names {
    /// One name, which the file that is written has.
    Plain { path: PathBuf, stamp: Strftime },
    /// A name for each.
    Dated(Dated),
}

pub(super) struct Dated {
    /// As the user wrote it.
    text: String,
    whole: Strftime,
    /// Without its folder.
    name: Strftime,
    folder_is_dated: bool,
    /// What is written now, and the number behind it if it is not the first of that name.
    base: PathBuf,
    number: u32,
}

impl Names {
    pub(super) fn of(path: &Path, keep: bool) -> Result<Self, FileNameError> {
        let stamp = Strftime::parse(STAMP).map_err(FileNameError::Conversion)?;
        let Some(text) = path.to_str().filter(|text| text.contains('%')) else {
            let path = path.to_owned();
            return Ok(Names::Plain { path, stamp });
        };
        let whole = Strftime::parse(text).map_err(FileNameError::Conversion)?;
        if whole.is_constant() {
            let path = printed(&whole, 0, Zone::Utc);
            return Ok(Names::Plain { path, stamp });
        }
        let at = text.rfind(std::path::is_separator).map_or(0, |at| at + 1);
        let name = Strftime::parse(&text[at..]).map_err(FileNameError::Conversion)?;
        let sample = printed(&name, 0, Zone::Utc);
        let sample = sample.to_string_lossy();
        let unfit = |c: char| c.is_control() || std::path::is_separator(c) || (cfg!(windows) && c == ':');
        if sample.contains(unfit) {
            return Err(FileNameError::Unfit(sample.into_owned()));
        }
        let folder_is_dated = text[..at].contains('%');
        if folder_is_dated && keep {
            return Err(FileNameError::Folder);
        }
        Ok(Names::Dated(Dated {
            text: text.to_owned(),
            whole,
            name,
            folder_is_dated,
            base: PathBuf::new(),
            number: 0,
        }))
    }

    pub(super) fn are_plain(&self) -> bool {
        matches!(self, Names::Plain { .. })
    }

    /// For messages.
    pub(super) fn name(&self) -> String {
        match self {
            Names::Plain { path, .. } => path.display().to_string(),
            Names::Dated(dated) => dated.text.clone(),
        }
    }

    /// The file to open when nothing is open yet.
    pub(super) fn current(&mut self, schedule: &Schedule, now: i64, size: Option<u64>) -> PathBuf {
        match self {
            Names::Plain { path, .. } => path.clone(),
            Names::Dated(dated) => dated.begin(schedule, now, 0, size, 1),
        }
    }

    /// The file to open when the old one is done with; `more` bytes are to be written.
    pub(super) fn next(&mut self, schedule: &Schedule, now: i64, size: Option<u64>, more: u64) -> PathBuf {
        match self {
            Names::Plain { path, .. } => path.clone(),
            Names::Dated(dated) => {
                // Never back to one of lower number, though it may have room.
                let same = dated.base == dated.at(schedule, now);
                let first = if same { dated.number } else { 0 };
                dated.begin(schedule, now, first, size, more)
            }
        }
    }

    /// Moves a plainly named file out of the way; returns where it is now.
    pub(super) fn set_aside(
        &self,
        path: &Path,
        schedule: &Schedule,
        written_at: i64,
    ) -> io::Result<Option<PathBuf>> {
        let Names::Plain { stamp, .. } = self else {
            return Ok(None);
        };
        let mut text = b".".to_vec();
        push_strftime(&mut text, stamp, written_at, schedule.zone);
        let base = with_suffix(path, &String::from_utf8_lossy(&text));
        let kept = (0..)
            .map(|number| numbered(&base, number))
            .find(|kept| fs::symlink_metadata(kept).is_err())
            .unwrap_or(base);
        match fs::rename(path, &kept) {
            Ok(()) => Ok(Some(kept)),
            // Somebody else was faster.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io::Error::new(
                error.kind(),
                format!("it cannot be renamed to {}: {error}", kept.display()),
            )),
        }
    }

    /// Removes all but the newest `keep` of the files that were written before `current`.
    pub(super) fn remove_old(&self, current: &Path, keep: usize) -> io::Result<()> {
        let folder = match current.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let mut old = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let ours =
                Some(&*name) != current.file_name() && name.to_str().is_some_and(|name| self.is_ours(name));
            if ours
                && let Ok(found) = entry.metadata()
                && found.is_file()
            {
                old.push((found.modified().ok(), name, entry.path()));
            }
        }
        old.sort();
        let surplus = old.len().saturating_sub(keep);
        let mut outcome = Ok(());
        for (.., path) in &old[..surplus] {
            if let Err(error) = fs::remove_file(path) {
                outcome = Err(io::Error::new(
                    error.kind(),
                    format!("{} cannot be removed: {error}", path.display()),
                ));
            }
        }
        outcome
    }

    fn is_ours(&self, name: &str) -> bool {
        match self {
            Names::Plain { path, stamp } => {
                let base = path.file_name().and_then(|name| name.to_str());
                base.and_then(|base| name.strip_prefix(base)?.strip_prefix('.'))
                    .is_some_and(|text| is_printed_with_number(stamp, text))
            }
            Names::Dated(dated) => is_printed_with_number(&dated.name, name),
        }
    }
}

impl Dated {
    fn at(&self, schedule: &Schedule, now: i64) -> PathBuf {
        printed(&self.whole, schedule.begin(now), schedule.zone)
    }

    fn begin(&mut self, schedule: &Schedule, now: i64, first: u32, size: Option<u64>, more: u64) -> PathBuf {
        self.base = self.at(schedule, now);
        let fits = |number: &u32| match (size, numbered(&self.base, *number).metadata()) {
            (Some(size), Ok(found)) => found.len() == 0 || found.len().saturating_add(more) <= size,
            _ => true,
        };
        self.number = (first..).find(fits).unwrap_or(first);
        let path = numbered(&self.base, self.number);
        if self.folder_is_dated
            && let Some(folder) = path.parent()
        {
            // If it fails, opening the file tells why.
            let _ = fs::create_dir_all(folder);
        }
        path
    }
}

fn printed(format: &Strftime, unix: i64, zone: Zone) -> PathBuf {
    let mut text = Vec::new();
    push_strftime(&mut text, format, unix, zone);
    // What is compiled from a string prints a string.
    String::from_utf8_lossy(&text).into_owned().into()
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn numbered(base: &Path, number: u32) -> PathBuf {
    match number {
        0 => base.to_owned(),
        _ => with_suffix(base, &format!(".{number}")),
    }
}

/// `20261123-235958` or `20261123-235958.1`.
fn is_printed_with_number(format: &Strftime, text: &str) -> bool {
    let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    format.may_have_printed(text.as_bytes())
        || text
            .rsplit_once('.')
            .is_some_and(|(base, end)| number(end) && format.may_have_printed(base.as_bytes()))
}
