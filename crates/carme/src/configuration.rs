//! The configuration file as the commands take it.

use std::path::Path;

use carme_config::{Config, Problem, Problems, Surroundings};

/// Reads and checks the file.
///
/// # Errors
/// All that is wrong with it.
pub(crate) fn of_file(file: &Path, surroundings: &Surroundings) -> Result<Config, Problems> {
    of_file_telling(file, surroundings, |_| {})
}

/// The same; `warn` is told what is probably not meant, and what of a file in Apache's syntax means nothing here, or
/// something else.
///
/// # Errors
/// As [`of_file`].
pub(crate) fn of_file_telling(
    file: &Path,
    surroundings: &Surroundings,
    warn: impl FnMut(&Problem),
) -> Result<Config, Problems> {
    let read = Config::from_file_with_warnings(file, surroundings)?;
    read.warnings.iter().for_each(warn);
    Ok(read.value)
}
