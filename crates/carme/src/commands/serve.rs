//! `carme serve`: the configuration checked, then served until the end.

use std::process::ExitCode;

use carme_config::{Development, Surroundings};

use crate::cli::Serving;
use crate::serve::{Source, run};
use crate::service;

/// Returns when the server has ended, or at once when something is wrong.
pub(crate) fn serve(serving: Serving, surroundings: &Surroundings) -> ExitCode {
    let wanted = serving.development();
    let subject = serving.subject;
    let file = subject.config.clone();
    let source = match &subject.config {
        // A folder that is changed later must not change what it means.
        Some(file) => Source::File(surroundings.directory.join(file), surroundings.clone()),
        None => Source::Options,
    };
    let checked = super::config(subject, surroundings).and_then(|config| {
        let development = Development::from_options(&wanted, &config, file.as_deref(), surroundings)?;
        Ok((config, development))
    });
    match checked {
        Ok((config, development)) => run(config, source, service::host(), development),
        Err(problems) => super::refuse(&problems),
    }
}
