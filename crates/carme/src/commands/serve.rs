//! `carme serve`: the configuration checked, then served until the end.

use std::process::ExitCode;

use carme_config::Surroundings;

use crate::cli::Subject;
use crate::serve::{Source, run};
use crate::service;

/// Returns when the server has ended, or at once when something is wrong.
pub(crate) fn serve(subject: Subject, surroundings: &Surroundings) -> ExitCode {
    let source = match &subject.config {
        // A folder that is changed later must not change what it means.
        Some(file) => Source::File(surroundings.directory.join(file), surroundings.clone()),
        None => Source::Options,
    };
    match super::config(subject, surroundings) {
        Ok(config) => run(config, source, service::host()),
        Err(problems) => super::refuse(&problems),
    }
}
