//! `[error_pages]`: the user's own files for what the server answers by itself. They are read once, when the
//! configuration is.

use std::fmt;
use std::io::Read;
use std::path::Path;

use crate::nearest::did_you_mean;
use crate::paths;
use crate::problem::Mistake;
use crate::units::ByteSize;

/// Every page is kept in memory, and sent whole to whoever provokes it.
const LARGEST: ByteSize = ByteSize::kib(64);
const VARIABLES: [&str; 3] = ["status", "reason", "request_id"];

/// One page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorPage {
    /// What it is for.
    pub answers: Answers,
    /// What it is written in.
    pub markup: Markup,
    /// Its text, with `{status}`, `{reason}` and `{request_id}` where their values shall be.
    pub text: String,
}

/// The statuses that a page is for: `404`, or all of a class: `5xx`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answers {
    /// One status, 400 to 599.
    Status(u16),
    /// The first digit, 4 or 5.
    Class(u16),
}

impl Answers {
    /// Reads `404` or `5xx`.
    pub(crate) fn parse(text: &str) -> Result<Self, Mistake> {
        match text.as_bytes() {
            [class @ (b'4' | b'5'), b'x' | b'X', b'x' | b'X'] => Ok(Answers::Class(u16::from(class - b'0'))),
            [b'4' | b'5', b'0'..=b'9', b'0'..=b'9'] => {
                Ok(Answers::Status(text.parse().map_err(|_| Answers::mistake(text))?))
            }
            _ => Err(Answers::mistake(text)),
        }
    }

    fn mistake(text: &str) -> Mistake {
        Mistake::new(format!(
            "must be a status such as 404, or 4xx or 5xx, found {text:?}"
        ))
    }
}

impl fmt::Display for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Answers::Status(status) => write!(f, "{status}"),
            Answers::Class(class) => write!(f, "{class}xx"),
        }
    }
}

/// What a page is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Markup {
    /// `.html`, `.htm`
    Html,
    /// `.txt`
    Plain,
}

/// Reads the file that `text` names.
pub(crate) fn read(base: &Path, text: &str) -> Result<(Markup, String), Mistake> {
    let path = paths::absolute(base, text);
    let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
    let markup = match extension.to_str() {
        Some("html" | "htm") => Markup::Html,
        Some("txt") => Markup::Plain,
        _ => {
            return Err(Mistake::new(format!(
                "must be a file whose name ends in .html, .htm or .txt, found {text:?}"
            )));
        }
    };
    if path.exists() && !path.is_file() {
        return Err(Mistake::new(format!("must be a file, found {}", path.display())));
    }
    let mut bytes = Vec::new();
    let opened = std::fs::File::open(&path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            Mistake::new(format!("names a file that does not exist: {}", path.display()))
                .maybe_cure(paths::nearest_sibling(&path, Path::is_file))
        }
        _ => Mistake::new(format!("names {}, which cannot be read: {error}", path.display())),
    })?;
    // One byte more tells that there is more.
    opened
        .take(LARGEST.as_u64() + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Mistake::new(format!("names {}, which cannot be read: {error}", path.display())))?;
    if bytes.len() as u64 > LARGEST.as_u64() {
        return Err(
            Mistake::new(format!("names a file of more than {LARGEST}: {}", path.display()))
                .cure("let the page refer to large parts, which a location serves"),
        );
    }
    let text = String::from_utf8(bytes)
        .map_err(|_| Mistake::new(format!("names a file that is not UTF-8 text: {}", path.display())))?;
    match misspelt(&text) {
        Some((line, name, cure)) => Err(Mistake::new(format!(
            "names {}, which has the unknown variable {{{name}}} in line {line}",
            path.display()
        ))
        .cure(cure)),
        None => Ok((markup, text)),
    }
}

/// A word in braces that is nearly a variable: with its line and what was meant. Other braces belong to the page.
fn misspelt(text: &str) -> Option<(usize, &str, String)> {
    for (at, _) in text.match_indices('{') {
        let rest = &text[at + 1..];
        let end = rest
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-')
            .unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        if after.starts_with('}')
            && !VARIABLES.contains(&name)
            && let Some(cure) = did_you_mean(name, VARIABLES)
        {
            let line = text[..at].matches('\n').count() + 1;
            return Some((line, name, cure));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_and_classes() {
        for (text, expected) in [
            ("404", Answers::Status(404)),
            ("599", Answers::Status(599)),
            ("4xx", Answers::Class(4)),
            ("5XX", Answers::Class(5)),
        ] {
            assert_eq!(Answers::parse(text), Ok(expected));
        }
        for text in ["", "200", "3xx", "40x", "4x", "4040", "-404", "not_found", "6xx"] {
            assert!(Answers::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn only_what_is_nearly_a_variable_is_a_slip() {
        for text in [
            "",
            "{status} {reason} {request_id}",
            "a{color:red}",
            "{x}",
            "{",
            "{}",
            "{status",
            "{ status }",
        ] {
            assert_eq!(misspelt(text), None, "{text}");
        }
        let found = misspelt("<p>\n{reqest_id}</p>").expect("a slip");
        assert_eq!((found.0, found.1), (2, "reqest_id"));
    }
}
