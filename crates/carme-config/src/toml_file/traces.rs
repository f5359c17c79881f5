//! `[traces]`.

use super::schema;
use super::section::Section;
use super::set;
use crate::config::Traces;
use crate::problem::{Mistake, Problems};

/// Reads the section; `None` if it is not there.
pub(super) fn traces(top: &Section<'_>, problems: &mut Problems) -> Option<Traces> {
    let section = top.section("traces", schema::TRACES.section, &schema::TRACES, problems)?;
    let mut traces = Traces::default();
    let endpoint = section.text("endpoint", problems, |text| {
        text.parse::<carme_traces::Endpoint>()
            .map_err(|error| Mistake::new(error.to_string()))
    });
    traces.endpoint = endpoint.map(|at| at.value);
    let service = section.text("service", problems, |text| match text.trim() {
        "" => Err(Mistake::new("must be a name, found \"\"")),
        name => Ok(name.to_owned()),
    });
    set(&mut traces.service, service.map(|at| at.value));
    set(&mut traces.sample, section.fraction("sample", problems));
    Some(traces)
}
