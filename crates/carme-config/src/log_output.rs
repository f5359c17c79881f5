//! Where a log goes.

use std::fmt;
use std::path::{Path, PathBuf};

use carme_log::Rotation;

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
    /// Reads `-` or a path, which is taken from `base`; the file's folder must exist. `none` says how to have no such log:
    /// a file of the name "none" is a slip.
    ///
    /// # Errors
    /// The folder that is missing, or what stands where the file should be.
    pub fn parse(text: &str, base: &Path, none: &str) -> Result<Self, Mistake> {
        if text == "-" {
            return Ok(LogOutput::Standard);
        }
        if text.trim().is_empty() {
            return Err(Mistake::new(
                "must be a file, or \"-\" for the console, found \"\"",
            ));
        }
        not_a_word(text, none)?;
        if let Some(dated) = dated_part(text) {
            return Err(Mistake::new(format!(
                "has the time in its name ({dated:?}), but is not rotated"
            ))
            .cure("in carme.toml, add rotate = { every = \"1d\" }"));
        }
        in_a_folder(text, paths::absolute(base, text)).map(LogOutput::File)
    }

    /// Reads the path of a log that is rotated: `%` in it begins a conversion of strftime, but not in `base`.
    ///
    /// # Errors
    /// As [`LogOutput::parse`], and that the console cannot be rotated, or files of that name.
    pub fn parse_rotated(text: &str, base: &Path, none: &str, rotation: &Rotation) -> Result<Self, Mistake> {
        if text == "-" {
            return Err(Mistake::new("is the console, which cannot be rotated").cure("name a file"));
        }
        let Some(dated) = dated_part(text) else {
            return Self::parse(text, base, none);
        };
        let literal = base.to_string_lossy().replace('%', "%%");
        let path = paths::absolute(Path::new(&literal), text);
        rotation
            .check(&path)
            .map_err(|error| Mistake::new(format!("cannot be rotated: {error}")))?;
        // Folders that are named by the time are made when their time comes.
        let known = &text[..text.find(dated).unwrap_or_default()];
        let known = known
            .rfind(std::path::is_separator)
            .map_or("", |at| &known[..=at]);
        in_a_folder(text, paths::absolute(base, format!("{known}x")))?;
        Ok(LogOutput::File(path))
    }
}

/// Words that somebody writes who does not mean a file.
fn not_a_word(text: &str, none: &str) -> Result<(), Mistake> {
    let cure = match text.to_ascii_lowercase().as_str() {
        "none" | "null" | "nil" | "false" | "no" | "off" | "disabled" | "nothing" => none,
        "stdout" | "stderr" | "console" | "true" | "yes" | "on" => "write \"-\" for the console",
        _ => return Ok(()),
    };
    Err(Mistake::new(format!(
        "must be a file, or \"-\" for the console, found {text:?}"
    ))
    .cure(format!("{cure} (\"./{text}\" is a file of that name)")))
}

/// The text from the first conversion of strftime on, if it has one.
fn dated_part(text: &str) -> Option<&str> {
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        let letter = rest[at + 1..].trim_start_matches(['-', '_', '0', '^', 'E', 'O']);
        match letter.chars().next() {
            Some(letter) if letter.is_ascii_alphabetic() => return Some(&rest[at..]),
            _ => rest = rest[at + 1..].strip_prefix('%').unwrap_or(&rest[at + 1..]),
        }
    }
    None
}

/// The path, if a file can be made there.
fn in_a_folder(text: &str, path: PathBuf) -> Result<PathBuf, Mistake> {
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
        _ => Ok(path),
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
