//! Where a Django project keeps its WSGI application, found without running it.

use std::path::Path;

use crate::paths;
use crate::problem::Mistake;

const VARIABLE: &str = "DJANGO_SETTINGS_MODULE";
/// More than any `manage.py` has.
const MOST_BYTES: u64 = 256 * 1024;

/// The module of the project in `folder`: beside the settings that its `manage.py` names, or above them, or the
/// only one there is.
pub(super) fn wsgi_module(folder: &Path) -> Result<String, Mistake> {
    let settings = read(&folder.join("manage.py"))
        .as_deref()
        .and_then(settings_module)
        .map(str::to_owned);
    if let Some(settings) = &settings {
        // `mysite.settings` and `mysite.settings.production` both belong to `mysite/wsgi.py`.
        let mut package = settings.as_str();
        while let Some((parent, _)) = package.rsplit_once('.') {
            if folder.join(parent.replace('.', "/")).join("wsgi.py").is_file() {
                return Ok(format!("{parent}.wsgi"));
            }
            package = parent;
        }
    }
    let candidates = paths::names_in(folder, |entry| entry.join("wsgi.py").is_file());
    match candidates.as_slice() {
        [only] => Ok(format!("{only}.wsgi")),
        [] => Err(Mistake::new(format!(
            "is a Django project without a wsgi.py{}: {}",
            settings.map_or_else(String::new, |settings| format!(" beside its settings {settings}")),
            folder.display()
        ))
        .cure("name the module that holds the application, such as \"mysite.wsgi:application\"")),
        several => Err(Mistake::new(format!(
            "is a Django project whose manage.py does not tell which wsgi.py is the one: {}",
            folder.display()
        ))
        .cure(format!(
            "name it: {}",
            several
                .iter()
                .map(|n| format!("{n}.wsgi"))
                .collect::<Vec<_>>()
                .join(", ")
        ))),
    }
}

fn read(file: &Path) -> Option<String> {
    (file.metadata().ok()?.len() <= MOST_BYTES)
        .then(|| std::fs::read_to_string(file).ok())
        .flatten()
}

/// The value in `os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")` or
/// `os.environ["DJANGO_SETTINGS_MODULE"] = "mysite.settings"`.
fn settings_module(source: &str) -> Option<&str> {
    let code = source.lines().filter(|line| !line.trim_start().starts_with('#'));
    // The call may be wrapped: the value stands on the variable's line or on one soon after.
    let mut seen = 0;
    for line in code {
        let rest = match line.find(VARIABLE) {
            Some(at) => {
                seen = 1;
                line[at + VARIABLE.len()..].trim_start_matches(['"', '\''])
            }
            None if (1..=3).contains(&seen) => {
                seen += 1;
                line
            }
            None => continue,
        };
        if let Some(value) = string_literal(rest) {
            return super::is_dotted_name(value).then_some(value);
        }
    }
    None
}

fn string_literal(text: &str) -> Option<&str> {
    let start = text.find(['"', '\''])?;
    let quote = text[start..].chars().next()?;
    let rest = &text[start + 1..];
    rest.find(quote).map(|end| &rest[..end])
}

#[cfg(test)]
mod tests {
    use super::settings_module;

    #[test]
    fn the_settings_that_manage_names() {
        for (source, expected) in [
            (
                "    os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'mysite.settings')",
                Some("mysite.settings"),
            ),
            ("os.environ[\"DJANGO_SETTINGS_MODULE\"] = \"a.b\"", Some("a.b")),
            (
                "os.environ.setdefault(\n    \"DJANGO_SETTINGS_MODULE\",\n    \"a.settings.dev\",\n)",
                Some("a.settings.dev"),
            ),
            (
                "# DJANGO_SETTINGS_MODULE 'old'\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'new.settings')",
                Some("new.settings"),
            ),
            ("os.environ.setdefault('DJANGO_SETTINGS_MODULE', name)", None),
            ("print('hello')", None),
        ] {
            assert_eq!(settings_module(source), expected, "{source}");
        }
    }
}
