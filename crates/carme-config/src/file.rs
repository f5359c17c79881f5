//! Configuration files, in the syntax that their ending says.

use std::path::Path;

use crate::apache::{Translated, convert_texts};
use crate::config::Config;
use crate::paths;
use crate::problem::{Place, Problem, Problems};
use crate::surroundings::Surroundings;

impl Config {
    /// Reads and checks the file at `path`, seen from the current directory; one that ends with `.conf` is in Apache's
    /// syntax.
    ///
    /// # Errors
    /// That it cannot be read, or everything that is wrong in it.
    pub fn from_file(path: &Path, surroundings: &Surroundings) -> Result<Self, Problems> {
        Self::from_file_with_warnings(path, surroundings).map(|read| read.value)
    }

    /// The same, with what is probably not meant, and what of a file in Apache's syntax means nothing here, or something
    /// else.
    ///
    /// # Errors
    /// As [`Config::from_file`].
    pub fn from_file_with_warnings(
        path: &Path,
        surroundings: &Surroundings,
    ) -> Result<Translated<Self>, Problems> {
        let text = text(path, surroundings)?;
        if path
            .extension()
            .is_some_and(|extension| extension.eq_ignore_ascii_case("conf"))
        {
            return Self::from_apache(&text, path, surroundings);
        }
        Self::from_toml_with_warnings(&text, path, surroundings)
    }
}

/// The `carme.toml` that means the same as files in Apache's syntax: the first, and perhaps those of instances on this
/// machine between which it balances, which become one app with so many workers. Nothing is looked up: `carme check` tells
/// of a script or an interpreter that is missing.
///
/// # Errors
/// Everything that is wrong in them, cannot be read, or cannot be done here.
pub fn convert(files: &[&Path], surroundings: &Surroundings) -> Result<Translated<String>, Problems> {
    let mut texts = Vec::with_capacity(files.len());
    for path in files {
        texts.push((*path, text(path, surroundings)?));
    }
    let texts: Vec<(&Path, &str)> = texts.iter().map(|(path, text)| (*path, text.as_str())).collect();
    convert_texts(&texts, surroundings)
}

/// The text of a file.
fn text(path: &Path, surroundings: &Surroundings) -> Result<String, Problems> {
    let absolute = paths::absolute(&surroundings.directory, path);
    let whole = |what: String, cure: Option<String>| {
        Problems::from(Problem {
            place: Place::WholeFile(path.to_owned()),
            what,
            cure,
        })
    };
    let bytes = std::fs::read(&absolute).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => whole(
            "this configuration file does not exist".to_owned(),
            paths::nearest_sibling(&absolute, |entry| entry.extension().is_some_and(|e| e == "toml")),
        ),
        _ if absolute.is_dir() => whole(
            "is a folder, not a configuration file".to_owned(),
            absolute
                .join("carme.toml")
                .is_file()
                .then(|| format!("write {}", path.join("carme.toml").display())),
        ),
        _ => whole(format!("this configuration file cannot be read: {error}"), None),
    })?;
    String::from_utf8(bytes).map_err(|error| {
        let line = error.as_bytes()[..error.utf8_error().valid_up_to()]
            .split(|byte| *byte == b'\n')
            .count();
        whole(format!("is not UTF-8 text, as it must be: see line {line}"), None)
    })
}
