//! Environment files: `KEY=VALUE` lines as shells and other tools write them.
//!
//! `export ` before a key, blank lines and `#` comments are allowed. `'…'` is literal; `"…"` knows `\n \r \t \" \\ \$`.
//! Either may go over several lines. An unquoted value ends at ` #`. Nothing is expanded: `$HOME` stays `$HOME`.

use std::path::Path;

use crate::nearest::nearest;
use crate::paths;
use crate::problem::{Mistake, Place, Problem, Problems};

/// Reads the file's text; `path` is only for the places of problems. Later lines win.
///
/// # Errors
/// Every line that is none, with its number.
pub fn parse(path: &Path, text: &str) -> Result<Vec<(String, String)>, Problems> {
    let mut problems = Problems::default();
    let mut pairs = Vec::new();
    let mut lines = text.strip_prefix('\u{feff}').unwrap_or(text).lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let mut problem = |rest: &str, mistake: Mistake| {
            let column = line[..line.len() - rest.len().min(line.len())].chars().count() + 1;
            problems.push(Problem {
                place: Place::File {
                    path: path.to_owned(),
                    line: number + 1,
                    column,
                },
                what: mistake.what,
                cure: mistake.cure,
            });
        };
        let trimmed = line.trim_start();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            continue;
        }
        let assignment = match trimmed.strip_prefix("export") {
            Some(rest) if rest.starts_with([' ', '\t']) => rest.trim_start(),
            _ => trimmed,
        };
        let Some((key, value)) = assignment.split_once('=') else {
            problem(
                trimmed,
                Mistake::new("expected KEY=VALUE, found no \"=\"").cure("begin a comment with #"),
            );
            continue;
        };
        if let Err(mistake) = check_key(key) {
            problem(assignment, mistake);
            continue;
        }
        let value = value.trim_start();
        match value.chars().next() {
            Some(quote @ ('"' | '\'')) => {
                match quoted(&value[1..], quote, || lines.next().map(|(_, line)| line)) {
                    Ok(value) => pairs.push((key.to_owned(), value)),
                    Err(mistake) => problem(value, mistake),
                }
            }
            _ => pairs.push((key.to_owned(), unquoted(value).to_owned())),
        }
    }
    if problems.is_empty() {
        Ok(pairs)
    } else {
        Err(problems)
    }
}

/// Reads the file at `path`.
pub(crate) fn read(path: &Path) -> Result<Vec<(String, String)>, Problems> {
    let whole = |what: String, cure: Option<String>| {
        Problems::from(Problem {
            place: Place::WholeFile(path.to_owned()),
            what,
            cure,
        })
    };
    match std::fs::read(path) {
        Ok(bytes) => match String::from_utf8(bytes) {
            Ok(text) => parse(path, &text),
            Err(_) => Err(whole("is not UTF-8 text".to_owned(), None)),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(whole(
            "this environment file does not exist".to_owned(),
            near(path),
        )),
        Err(error) => Err(whole(
            format!("this environment file cannot be read: {error}"),
            None,
        )),
    }
}

fn near(path: &Path) -> Option<String> {
    let names = paths::names_in(path.parent()?, |entry| entry.is_file());
    let wanted = path.file_name()?.to_string_lossy();
    let near = nearest(&wanted, names.iter().map(String::as_str)).or_else(|| {
        names
            .iter()
            .map(String::as_str)
            .find(|name| name.starts_with(".env") || name.ends_with(".env"))
    })?;
    Some(format!("did you mean {}?", path.with_file_name(near).display()))
}

/// Whether a variable may be called that. Windows itself has names with parentheses, so only what no system can
/// hold, or what is surely a slip, is refused.
pub(crate) fn check_key(key: &str) -> Result<(), Mistake> {
    if key.is_empty() {
        return Err(Mistake::new("expected a variable's name before \"=\""));
    }
    if key.ends_with([' ', '\t']) {
        return Err(Mistake::new(format!(
            "a variable's name must not end with a space, found {key:?}"
        ))
        .cure("leave no space before \"=\""));
    }
    match key
        .chars()
        .find(|c| c.is_whitespace() || c.is_control() || matches!(c, '=' | '"' | '\'' | '$'))
    {
        Some(odd) => Err(Mistake::new(format!(
            "a variable's name must not contain {odd:?}, found {key:?}"
        ))),
        None => Ok(()),
    }
}

/// Whether a variable may hold that.
pub(crate) fn check_value(value: &str) -> Result<(), Mistake> {
    match value.contains('\0') {
        true => Err(Mistake::new(
            "must not contain a NUL character, which no environment can hold",
        )),
        false => Ok(()),
    }
}

fn unquoted(value: &str) -> &str {
    let end = value
        .char_indices()
        .find(|(at, c)| *c == '#' && (*at == 0 || value[..*at].ends_with([' ', '\t'])))
        .map_or(value.len(), |(at, _)| at);
    value[..end].trim_end()
}

/// Reads on to the closing quote, over lines if need be.
fn quoted<'t>(
    first: &'t str,
    quote: char,
    mut next_line: impl FnMut() -> Option<&'t str>,
) -> Result<String, Mistake> {
    let mut value = String::new();
    let mut line = first;
    loop {
        let mut rest = line.chars();
        while let Some(c) = rest.next() {
            if c == quote {
                let after = rest.as_str().trim();
                return if after.is_empty() || after.starts_with('#') {
                    check_value(&value).map(|()| value)
                } else {
                    Err(Mistake::new(format!(
                        "expected the end of the line after {quote}, found {after:?}"
                    )))
                };
            }
            if c == '\\' && quote == '"' {
                match rest.next() {
                    Some('n') => value.push('\n'),
                    Some('r') => value.push('\r'),
                    Some('t') => value.push('\t'),
                    Some(plain @ ('"' | '\\' | '$' | '\'' | '`')) => value.push(plain),
                    Some(other) => value.extend(['\\', other]),
                    None => value.push('\\'),
                }
            } else {
                value.push(c);
            }
        }
        line = next_line().ok_or_else(|| Mistake::new(format!("this {quote} is never closed")))?;
        value.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        parse(Path::new(".env"), text).expect("it is well-formed")
    }

    #[test]
    fn lines() {
        for (text, expected) in [
            ("A=1", Some(("A", "1"))),
            ("export A=1\r\n", Some(("A", "1"))),
            ("export=1", Some(("export", "1"))),
            ("  A= b c  ", Some(("A", "b c"))),
            ("A=", Some(("A", ""))),
            ("A=#not", Some(("A", ""))),
            ("A=b#c", Some(("A", "b#c"))),
            ("A=b # c", Some(("A", "b"))),
            ("A='$x \\n # y'  # z", Some(("A", "$x \\n # y"))),
            ("A=\"a\\tb\\\"c\\$d\\q\"", Some(("A", "a\tb\"c$d\\q"))),
            ("A=\"one\ntwo\"\n", Some(("A", "one\ntwo"))),
            (
                "A=postgres://u:p=w@h/db?x=1",
                Some(("A", "postgres://u:p=w@h/db?x=1")),
            ),
            ("# A=1", None),
            ("", None),
            ("\u{feff}A=1", Some(("A", "1"))),
        ] {
            let expected: Vec<_> = expected
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into_iter()
                .collect();
            assert_eq!(pairs(text), expected, "{text:?}");
        }
    }

    #[test]
    fn every_mistake_has_its_line() {
        let problems = parse(
            Path::new("conf/.env"),
            "A=1\nB\n\nC =2\n  =3\nD='x' y\nE=\"never\nF=4\n",
        )
        .expect_err("there are mistakes");
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(
            lines,
            [
                "conf/.env:2:1: expected KEY=VALUE, found no \"=\"\n    help: begin a comment with #",
                "conf/.env:4:1: a variable's name must not end with a space, found \"C \"\n    \
                 help: leave no space before \"=\"",
                "conf/.env:5:3: expected a variable's name before \"=\"",
                "conf/.env:6:3: expected the end of the line after ', found \"y\"",
                "conf/.env:7:3: this \" is never closed",
            ]
        );
    }

    proptest! {
        #[test]
        fn a_quoted_value_reads_back(value in "[^\0\r]{0,40}") {
            let escaped = value.replace('\\', "\\\\").replace('"', "\\\"").replace('$', "\\$").replace('\n', "\\n");
            prop_assert_eq!(pairs(&format!("K=\"{escaped}\"")), vec![("K".to_owned(), value)]);
        }

        #[test]
        fn no_text_panics(text in "(\\PC|\n|\"|'|=|#|\\\\){0,80}") {
            let _ = parse(Path::new(".env"), &text);
        }
    }

    #[test]
    fn a_missing_file_names_the_nearest() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join(".env.local"), "").expect("written");
        let missing = folder.path().join(".env");
        let problems = read(&missing).expect_err("it is missing");
        assert_eq!(
            problems.to_string(),
            format!(
                "{}: this environment file does not exist\n    help: did you mean {}?",
                missing.display(),
                folder.path().join(".env.local").display()
            )
        );
    }
}
