//! `[traces]`.

use toml::de::DeValue;

use super::schema;
use super::section::{Section, describe};
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
    let sample = section.read("sample", problems, |value| {
        let number = match value {
            DeValue::Integer(number) => number.as_str().parse::<f64>().ok(),
            DeValue::Float(number) => number.as_str().parse::<f64>().ok(),
            _ => None,
        };
        number
            .filter(|number| (0.0..=1.0).contains(number))
            .ok_or_else(|| Mistake::new(format!("must be a number from 0 to 1, found {}", describe(value))))
    });
    set(&mut traces.sample, sample.map(|at| at.value));
    Some(traces)
}
