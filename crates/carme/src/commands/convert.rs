//! `carme convert`: Apache's files as TOML, on standard output.

use std::path::Path;
use std::process::ExitCode;

use carme_config::Surroundings;

use crate::cli::Apache;

/// Prints the TOML, or all that is wrong.
pub(crate) fn convert(apache: &Apache, surroundings: &Surroundings) -> ExitCode {
    let files: Vec<&Path> = apache.files.iter().map(AsRef::as_ref).collect();
    match carme_config::convert(&files, surroundings) {
        Ok(made) => {
            made.warnings.iter().for_each(super::warn);
            print!("{}", made.value);
            ExitCode::SUCCESS
        }
        Err(problems) => super::refuse(&problems),
    }
}
