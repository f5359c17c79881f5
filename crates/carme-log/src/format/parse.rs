//! LogFormat text to items, the way `parse_log_item` of mod_log_config reads it.

use super::directive::{Argument, Directive, TABLE, nearest};
use super::error::{FormatError, Problem};
use super::{Item, nicknames};

/// Compiles a format.
pub(super) fn items(format: &str) -> Result<Box<[Item]>, FormatError> {
    let mut items = Vec::new();
    let mut text = Vec::new();
    let mut rest = format;
    while let Some(at) = rest.find(['%', '\\']) {
        text.extend_from_slice(&rest.as_bytes()[..at]);
        rest = &rest[at..];
        if let Some((byte, after)) = escape(rest) {
            text.push(byte);
            rest = after;
        } else if let Some(after) = rest.strip_prefix('\\') {
            text.push(b'\\');
            rest = after;
        } else {
            let (item, after) = directive(format, rest)?;
            if !text.is_empty() {
                items.push(Item::Text(std::mem::take(&mut text).into()));
            }
            items.push(item);
            rest = after;
        }
    }
    text.extend_from_slice(rest.as_bytes());
    // Blanks alone are meant: the line of a log that is to be empty. A word alone is a nickname with a slip in it.
    if items.is_empty() && (text.is_empty() || !text.iter().all(u8::is_ascii_whitespace)) {
        return Err(no_directive(format));
    }
    if !text.is_empty() {
        items.push(Item::Text(text.into()));
    }
    Ok(items.into())
}

/// `%%` and the escapes outside directives. A backslash before anything else stands for itself.
fn escape(text: &str) -> Option<(u8, &str)> {
    let byte = match text.as_bytes().get(..2)? {
        b"%%" => b'%',
        br"\n" => b'\n',
        br"\r" => b'\r',
        br"\t" => b'\t',
        br"\\" => b'\\',
        br#"\""# => b'"',
        _ => return None,
    };
    Some((byte, &text[2..]))
}

/// Reads one directive from the start of `rest`, which is the end of `format`.
fn directive<'f>(format: &'f str, rest: &'f str) -> Result<(Item, &'f str), FormatError> {
    let wrong = |after: &str, problem, nearest| FormatError {
        column: format[..format.len() - rest.len()].chars().count() + 1,
        directive: rest[..rest.len() - after.len()].to_owned(),
        problem,
        nearest,
    };
    let mut statuses: Vec<u16> = Vec::new();
    let mut listed = true;
    let mut argument: Option<&str> = None;
    let mut at = &rest[1..];
    loop {
        let Some(next) = at.chars().next() else {
            return Err(wrong(
                at,
                Problem::Unfinished,
                argument.map(|name| format!("%{{{name}}}i")),
            ));
        };
        match next {
            '!' => listed = !listed,
            // Original and final request: the same one here, see the crate's documentation.
            '<' | '>' | ',' => {}
            '{' => {
                let Some(end) = at.find('}') else {
                    return Err(wrong("", Problem::Unclosed, None));
                };
                argument = Some(&at[1..end]);
                at = &at[end..];
            }
            '0'..='9' => {
                let end = at.find(|c: char| !c.is_ascii_digit()).unwrap_or(at.len());
                match at[..end].parse() {
                    Ok(status @ 100..=999) => statuses.push(status),
                    _ => return Err(wrong(&at[end..], Problem::Status, None)),
                }
                at = &at[end..];
                continue;
            }
            _ => break,
        }
        at = &at[1..];
    }
    let Some(known) = TABLE.iter().find(|known| at.starts_with(known.letter)) else {
        let letter = at.chars().next().expect("the loop ended at a character");
        let (meant, length) = match argument {
            // `%{User-Agent}` with its letter forgotten.
            Some(name) if !letter.is_ascii_alphabetic() => (Some(format!("%{{{name}}}i")), 0),
            _ => (instead_of(letter, argument), letter.len_utf8()),
        };
        return Err(wrong(&at[length..], Problem::Unknown, meant));
    };
    let after = &at[known.letter.len()..];
    let field = known.field(argument).map_err(|(problem, word)| {
        let meant = match (&problem, argument) {
            (Problem::ArgumentNotTaken, Some(name)) => Some(other_case(known.letter, name)),
            (Problem::NameMissing, _) => Some(format!("%{{NAME}}{}", known.letter)),
            _ => word.map(|word| format!("%{{{word}}}{}", known.letter)),
        };
        wrong(after, problem, meant)
    })?;
    let item = match statuses.is_empty() {
        true => Item::Always(field),
        false => Item::When {
            statuses: statuses.into(),
            listed,
            field,
        },
    };
    Ok((item, after))
}

/// What may have been meant by an unknown letter: the other case of it, or a time that was written without `%{…}t`.
fn instead_of(letter: char, argument: Option<&str>) -> Option<String> {
    let swapped = if letter.is_ascii_lowercase() {
        letter.to_ascii_uppercase()
    } else {
        letter.to_ascii_lowercase()
    };
    let known = TABLE.iter().find(|known| known.letter.starts_with(swapped));
    match (known, argument) {
        (Some(known), Some(name)) if known.field(argument).is_ok() => {
            Some(format!("%{{{name}}}{}", known.letter))
        }
        (
            Some(Directive {
                argument: Argument::Name(_),
                letter,
            }),
            None,
        ) => Some(format!("%{{NAME}}{letter}")),
        (Some(known), None) => Some(format!("%{}", known.letter)),
        (_, Some(name)) => Some(format!("%{{{name}}}i")),
        (None, None) => {
            let time = format!("%{letter}");
            crate::time::TimeFormat::parse(&time)
                .is_ok()
                .then(|| format!("%{{{time}}}t"))
        }
    }
}

/// `%{Referer}I` is `%{Referer}i`; anything else with a name is most often a request header.
fn other_case(letter: &str, name: &str) -> String {
    let swapped = match letter {
        "O" => "o",
        _ => "i",
    };
    format!("%{{{name}}}{swapped}")
}

fn no_directive(format: &str) -> FormatError {
    let names = nicknames();
    FormatError {
        column: 1,
        directive: format.to_owned(),
        nearest: nearest(format, &names),
        problem: Problem::NoDirective(names),
    }
}
