//! Texts with something of the request in them: `%{NAME}e` is a variable's value, `$1` what a group of the rule's pattern
//! has found.

use crate::problem::Mistake;

/// A text in pieces. Two pieces of text are never beside each other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

/// A piece of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// It stays as it is.
    Text(String),
    /// `%{NAME}e`
    Variable(String),
    /// `$1`, of a pattern that has so many groups; `$0` is all that it has found.
    Group(usize),
}

/// What is more than text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Syntax {
    /// `%{NAME}e`. A `%%` before `{` is a percent sign.
    pub(crate) variables: bool,
    /// `$0` and so on: how many groups there are. `\$` is a dollar sign, `\\` a backslash. `None`: there is no pattern.
    pub(crate) groups: Option<usize>,
}

impl Syntax {
    /// Of a header's value.
    pub(crate) const HEADER: Syntax = Syntax {
        variables: true,
        groups: None,
    };
}

impl From<&str> for Template {
    /// The text as it is.
    fn from(text: &str) -> Self {
        let mut template = Template::default();
        template.push_text(text);
        template
    }
}

impl Template {
    /// What it is put together of; nothing if it is empty.
    pub fn pieces(&self) -> &[Piece] {
        &self.0
    }

    /// The variables in it.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Variable(name) => Some(name.as_str()),
            _ => None,
        })
    }

    pub(crate) fn push_text(&mut self, text: &str) {
        match self.0.last_mut() {
            _ if text.is_empty() => {}
            Some(Piece::Text(before)) => before.push_str(text),
            _ => self.0.push(Piece::Text(text.to_owned())),
        }
    }

    pub(crate) fn push_variable(&mut self, name: &str) {
        self.0.push(Piece::Variable(name.to_owned()));
    }

    pub(crate) fn push_labelled(&mut self, label: &str, name: &str) {
        self.push_text(label);
        self.push_variable(name);
    }

    /// Reads a text as `carme.toml` has it.
    pub(crate) fn parse(text: &str, syntax: Syntax) -> Result<Self, Mistake> {
        let mut template = Template::default();
        template.push_parsed(text, syntax)?;
        Ok(template)
    }

    /// The same, for what follows.
    pub(crate) fn push_parsed(&mut self, text: &str, syntax: Syntax) -> Result<(), Mistake> {
        let mut rest = text;
        while let Some(at) = rest.find(['%', '$', '\\']) {
            self.push_text(&rest[..at]);
            rest = &rest[at..];
            rest = match (rest.as_bytes()[0], syntax.groups) {
                (b'%', _) if syntax.variables => self.percent(rest)?,
                (b'$' | b'\\', Some(groups)) => self.group(rest, groups)?,
                _ => self.one(rest),
            };
        }
        self.push_text(rest);
        Ok(())
    }

    /// Takes the first character as it is.
    fn one<'t>(&mut self, rest: &'t str) -> &'t str {
        let (first, rest) = rest.split_at(1);
        self.push_text(first);
        rest
    }

    /// A run of percent signs, of which the last may begin a variable.
    fn percent<'t>(&mut self, rest: &'t str) -> Result<&'t str, Mistake> {
        let after = rest.trim_start_matches('%');
        let count = rest.len() - after.len();
        let Some(inside) = after.strip_prefix('{') else {
            self.push_text(&rest[..count]);
            return Ok(after);
        };
        self.push_text(&rest[..count / 2]);
        if count.is_multiple_of(2) {
            self.push_text("{");
            return Ok(inside);
        }
        match inside.split_once('}') {
            Some((name, after)) if !name.is_empty() && after.starts_with('e') => {
                self.push_variable(name);
                Ok(&after[1..])
            }
            _ => {
                let mistake = Mistake::new(format!("has something behind % that is no variable: %{after:?}"));
                Err(mistake.cure("write %{NAME}e for a variable, %%{ for the characters"))
            }
        }
    }

    fn group<'t>(&mut self, rest: &'t str, groups: usize) -> Result<&'t str, Mistake> {
        let second = rest[1..].chars().next();
        match (rest.as_bytes()[0], second) {
            (b'\\', Some(c @ ('$' | '\\'))) => {
                self.push_text(c.encode_utf8(&mut [0; 4]));
                Ok(&rest[2..])
            }
            (b'$', Some(digit @ '0'..='9')) => {
                let number = digit as usize - '0' as usize;
                if number > groups {
                    let what = format!("has ${number}, and the pattern has no such group");
                    return Err(Mistake::new(what).cure("write \\$ for a dollar sign"));
                }
                self.0.push(Piece::Group(number));
                Ok(&rest[2..])
            }
            _ => Ok(self.one(rest)),
        }
    }

    /// As [`parse`](Self::parse) reads it.
    pub(crate) fn show(&self, syntax: Syntax) -> String {
        let mut shown = String::new();
        for (index, piece) in self.0.iter().enumerate() {
            match piece {
                Piece::Text(text) => {
                    let mut text = text.clone();
                    if syntax.groups.is_some() {
                        text = text.replace('\\', "\\\\");
                        for digit in '0'..='9' {
                            text = text.replace(&format!("${digit}"), &format!("\\${digit}"));
                        }
                    }
                    let before_variable = matches!(self.0.get(index + 1), Some(Piece::Variable(_)));
                    if syntax.variables {
                        text = doubled(&text, before_variable);
                    }
                    shown.push_str(&text);
                }
                Piece::Variable(name) => shown.push_str(&format!("%{{{name}}}e")),
                Piece::Group(number) => shown.push_str(&format!("${number}")),
            }
        }
        shown
    }
}

/// Every percent sign twice that stands before a brace, or before a variable that follows.
fn doubled(text: &str, before_variable: bool) -> String {
    let mut out = String::new();
    let mut run = 0;
    for c in text.chars() {
        if c == '%' {
            run += 1;
        } else if run > 0 {
            if c == '{' {
                out.push_str(&"%".repeat(run));
            }
            run = 0;
        }
        out.push(c);
    }
    if before_variable {
        out.push_str(&"%".repeat(run));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BOTH: Syntax = Syntax {
        variables: true,
        groups: Some(2),
    };

    fn pieces(text: &str, syntax: Syntax) -> String {
        match Template::parse(text, syntax) {
            Ok(template) => format!("{:?}", template.0),
            Err(mistake) => mistake.what,
        }
    }

    #[test]
    fn what_is_text_and_what_is_not() {
        for (text, syntax, expected) in [
            ("", Syntax::HEADER, "[]"),
            ("100%", Syntax::HEADER, "[Text(\"100%\")]"),
            ("/a%20b%D0", Syntax::HEADER, "[Text(\"/a%20b%D0\")]"),
            ("%%", Syntax::HEADER, "[Text(\"%%\")]"),
            ("$1", Syntax::HEADER, "[Text(\"$1\")]"),
            (
                "a%{B}ec",
                Syntax::HEADER,
                "[Text(\"a\"), Variable(\"B\"), Text(\"c\")]",
            ),
            ("%{A}e%{B}e", Syntax::HEADER, "[Variable(\"A\"), Variable(\"B\")]"),
            ("%%{A}e", Syntax::HEADER, "[Text(\"%{A}e\")]"),
            ("%%%{A}e", Syntax::HEADER, "[Text(\"%\"), Variable(\"A\")]"),
            (
                "%{A}i",
                Syntax::HEADER,
                "has something behind % that is no variable: %\"{A}i\"",
            ),
            (
                "%{}e",
                Syntax::HEADER,
                "has something behind % that is no variable: %\"{}e\"",
            ),
            (
                "%{A",
                Syntax::HEADER,
                "has something behind % that is no variable: %\"{A\"",
            ),
            ("$0-$2$", BOTH, "[Group(0), Text(\"-\"), Group(2), Text(\"$\")]"),
            (
                "\\$1\\\\$1\\x",
                BOTH,
                "[Text(\"$1\\\\\"), Group(1), Text(\"\\\\x\")]",
            ),
            ("$3", BOTH, "has $3, and the pattern has no such group"),
            (
                "%{A}e",
                Syntax {
                    variables: false,
                    groups: Some(0),
                },
                "[Text(\"%{A}e\")]",
            ),
            ("é$1é", BOTH, "[Text(\"é\"), Group(1), Text(\"é\")]"),
        ] {
            assert_eq!(pieces(text, syntax), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_again(
            parts in prop::collection::vec(prop::sample::select(
                &["%", "%%", "{", "{A}e", "%{A}e", "$", "$1", "\\", "\\$", "1", "x", "é"][..],
            ), 0..12),
            variables: bool,
            groups in prop::option::of(1..3_usize),
        ) {
            let syntax = Syntax { variables, groups };
            if let Ok(template) = Template::parse(&parts.concat(), syntax) {
                let shown = template.show(syntax);
                prop_assert_eq!(Template::parse(&shown, syntax).map_err(|mistake| mistake.what), Ok(template), "{}", shown);
            }
        }
    }
}
