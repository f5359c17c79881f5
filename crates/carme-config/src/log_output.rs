//! Where a log goes.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::paths;
use crate::problem::Mistake;

/// Where a log goes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum LogOutput {
    /// `-`: standard output for an access log, standard error for the error log.
    Standard,
    /// A file, appended to; an absolute path in a folder that exists.
    File(PathBuf),
}

impl LogOutput {
    /// Reads `-` or a path, which is taken from `base`; the file's folder must exist.
    ///
    /// # Errors
    /// The folder that is missing, or what stands where the file should be.
    pub fn parse(text: &str, base: &Path) -> Result<Self, Mistake> {
        if text == "-" {
            return Ok(LogOutput::Standard);
        }
        if text.trim().is_empty() {
            return Err(Mistake::new(
                "must be a file, or \"-\" for the console, found \"\"",
            ));
        }
        let path = paths::absolute(base, text);
        if path.is_dir() {
            return Err(
                Mistake::new(format!("must be a file, found the folder {}", path.display())).cure(format!(
                    "write \"{}/access.log\"",
                    text.trim_end_matches(['/', '\\'])
                )),
            );
        }
        match path.parent() {
            Some(folder) if !folder.is_dir() => Err(Mistake::new(format!(
                "is in a folder that does not exist: {}",
                folder.display()
            ))
            .cure("create the folder, or name another")),
            _ => Ok(LogOutput::File(path)),
        }
    }
}

impl fmt::Display for LogOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LogOutput::Standard => f.write_str("-"),
            LogOutput::File(path) => write!(f, "{}", path.display()),
        }
    }
}
