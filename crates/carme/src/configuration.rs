//! The configuration file as the commands take it.

use std::path::Path;

use carme_config::{Config, Place, Problem, Problems, Surroundings};

/// Reads and checks the file.
///
/// # Errors
/// All that is wrong with it, or that it has what this version only checks.
pub(crate) fn of_file(file: &Path, surroundings: &Surroundings) -> Result<Config, Problems> {
    of_file_telling(file, surroundings, |_| {})
}

/// The same; `warn` is told what of a file in Apache's syntax means nothing here, or something else.
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
    let config = read.value;
    match not_served_yet(&config) {
        None => Ok(config),
        Some(what) => Err(Problems::from(Problem {
            place: Place::WholeFile(file.to_owned()),
            what: what.to_owned(),
            cure: None,
        })),
    }
}

/// What can be configured before it can be served.
fn not_served_yet(config: &Config) -> Option<&'static str> {
    let policies = config.locations.iter().map(|location| &location.policy);
    let mut rules = policies
        .chain([&config.server.policy])
        .flat_map(|policy| policy.request_headers.iter().chain(&policy.response_headers));
    if rules.any(|rule| rule.uses_variables()) {
        Some("header rules with variables are not served yet in this version of Carme; nothing else is wrong")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_served_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("carme.toml");
        let surroundings = Surroundings {
            directory: folder.path().to_owned(),
            ..Surroundings::default()
        };
        let read = |text: &str| {
            std::fs::write(&file, text).expect("written");
            of_file(&file, &surroundings).map_err(|problems| problems.to_string())
        };
        let respond = "[[locations]]\npath = \"/\"\nrespond = {}\n";
        read(respond).expect("that can be served");
        let rule = "response_headers = [{ set = \"X-A\", value = \"b\", env = \"C\" }]";
        assert_eq!(
            read(&format!("{respond}{rule}")),
            Err(format!(
                "{}: header rules with variables are not served yet in this version of Carme; nothing else is wrong",
                file.display()
            ))
        );
    }
}
