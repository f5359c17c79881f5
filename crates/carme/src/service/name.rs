//! The name of a service: one that Windows, systemd and a command line take as it is.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

/// Longer ones are cut off in lists.
const LONGEST: usize = 80;

/// A service's name: letters, digits, `-`, `_` and `.`; begins with a letter or a digit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServiceName(String);

impl ServiceName {
    /// The one for a configuration file: `carme-` and the file's own name or, if that is `carme.toml`, its folder's.
    pub(crate) fn of_file(file: &Path) -> Self {
        let name = |path: Option<&std::ffi::OsStr>| {
            let name = path.unwrap_or_default().to_string_lossy().to_ascii_lowercase();
            let name = name.replace(|c| !is_plain(c), "-");
            name.trim_matches(['-', '.', '_']).to_owned()
        };
        let own = name(file.file_stem());
        let own = match own.as_str() {
            "carme" | "" => name(file.parent().and_then(Path::file_name)),
            _ => own,
        };
        let mut full = match own.as_str() {
            "carme" | "" => "carme".to_owned(),
            own => format!("carme-{own}"),
        };
        full.truncate(LONGEST);
        Self(full)
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')
}

impl FromStr for ServiceName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // As `systemctl` writes it.
        let text = text.strip_suffix(".service").unwrap_or(text);
        match text.chars().next() {
            Some(first) if first.is_ascii_alphanumeric() && text.chars().all(is_plain) => {}
            _ => {
                return Err(
                    "a service's name has letters, digits, -, _ and ., and begins with a letter or a digit"
                        .to_owned(),
                );
            }
        }
        match text.len() {
            ..=LONGEST => Ok(Self(text.to_owned())),
            _ => Err(format!("a service's name has at most {LONGEST} letters")),
        }
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_names_its_service() {
        for (file, name) in [
            ("/srv/mysite/carme.toml", "carme-mysite"),
            ("/etc/carme/shop.toml", "carme-shop"),
            ("/etc/carme/carme.toml", "carme"),
            ("/carme.toml", "carme"),
            ("/srv/My Site/carme.toml", "carme-my-site"),
            ("/srv/Läden/carme.toml", "carme-l-den"),
            ("/srv/…/carme.toml", "carme"),
        ] {
            assert_eq!(ServiceName::of_file(Path::new(file)).as_str(), name, "{file}");
        }
        let long = format!("/srv/{}.toml", "x".repeat(200));
        let name = ServiceName::of_file(Path::new(&long));
        assert_eq!(name.as_str().parse(), Ok(name));
    }

    #[test]
    fn names_that_are_taken_and_names_that_are_not() {
        for (text, taken) in [
            ("shop", true),
            ("shop.service", true),
            ("Shop_2.test", true),
            ("", false),
            ("-shop", false),
            ("my shop", false),
            ("a/b", false),
            ("a\\b", false),
            (".service", false),
        ] {
            assert_eq!(text.parse::<ServiceName>().is_ok(), taken, "{text:?}");
        }
        assert!("x".repeat(81).parse::<ServiceName>().is_err());
        assert_eq!("shop.service".parse::<ServiceName>().unwrap().as_str(), "shop");
    }
}
