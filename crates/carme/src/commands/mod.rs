//! What each command does, from what was typed to the exit code.

pub(crate) mod check;
pub(crate) mod convert;
pub(crate) mod farm;
pub(crate) mod logs;
pub(crate) mod members;
mod reach;
pub(crate) mod reload;
pub(crate) mod serve;
pub(crate) mod status;
pub(crate) mod stop;

use std::process::ExitCode;

use carme_config::{Config, Problem, Problems, Surroundings};

use crate::cli::Subject;
use crate::configuration;

/// What clap, too, ends with when the command line is wrong.
pub(crate) const WRONG_CONFIGURATION: u8 = 2;

/// Checks what was typed, or the file that it names.
fn config(subject: Subject, surroundings: &Surroundings) -> Result<Config, Problems> {
    match &subject.config {
        Some(file) => configuration::of_file_telling(file, surroundings, warn),
        None => Config::from_options(&subject.into_options(), surroundings),
    }
}

/// Tells what means nothing, or something else.
fn warn(warning: &Problem) {
    eprintln!("warning: {warning}");
}

/// Tells all that is wrong.
fn refuse(problems: &Problems) -> ExitCode {
    eprintln!("{problems}");
    ExitCode::from(WRONG_CONFIGURATION)
}
