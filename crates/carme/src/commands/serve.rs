//! `carme serve`: the configuration checked, then served until the end.

use std::process::ExitCode;

use carme_config::Surroundings;

use crate::cli::Subject;
use crate::serve::{FirstFailure, run};

/// Returns when the server has ended, or at once when something is wrong.
pub(crate) fn serve(subject: Subject, surroundings: &Surroundings) -> ExitCode {
    let first_failure = match subject.config {
        Some(_) => FirstFailure::IsTriedAgain,
        None => FirstFailure::Ends,
    };
    match super::config(subject, surroundings) {
        Ok(config) => run(&config, first_failure),
        Err(problems) => super::refuse(&problems),
    }
}
