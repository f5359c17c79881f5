//! Lines of words with their places: continuations, quotes and comments as Apache reads them.

use std::path::{Path, PathBuf};

use crate::draft::At;
use crate::problem::{Mistake, Place, Problem};

/// A file's text and where its lines begin.
#[derive(Debug)]
pub(super) struct Source {
    path: PathBuf,
    lines: Vec<usize>,
    text: String,
}

/// A word with the place of its first character.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) text: String,
    pub(super) place: Place,
}

/// A line that is not empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Line {
    /// `Name argument…`
    Directive(Word, Vec<Word>),
    /// `<Name argument…>`
    Open(Word, Vec<Word>),
    /// `</Name>`
    Close(Word),
}

impl Word {
    /// The word as what a mistake is about.
    pub(super) fn at<T>(&self, subject: &str, value: T) -> At<T> {
        At {
            value,
            subject: subject.to_owned(),
            place: self.place.clone(),
        }
    }

    pub(super) fn problem(&self, subject: &str, mistake: Mistake) -> Problem {
        self.at(subject, ()).problem(mistake)
    }

    /// Whether it is this, in any case.
    pub(super) fn is(&self, text: &str) -> bool {
        self.text.eq_ignore_ascii_case(text)
    }
}

impl Source {
    pub(super) fn new(path: &Path, text: &str) -> Self {
        // Windows' editors begin files with a mark.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let lines = std::iter::once(0)
            .chain(text.match_indices('\n').map(|(at, _)| at + 1))
            .collect();
        Source {
            path: path.to_owned(),
            lines,
            text: text.to_owned(),
        }
    }

    fn place(&self, at: usize) -> Place {
        let line = self.lines.partition_point(|start| *start <= at).max(1);
        let before = self.text.get(self.lines[line - 1]..at).unwrap_or_default();
        Place::File {
            path: self.path.clone(),
            line,
            column: before.chars().count() + 1,
        }
    }

    /// All lines, or the first that is none.
    pub(super) fn read(&self) -> Result<Vec<Line>, Problem> {
        let mut lines = Vec::new();
        let mut at = 0;
        while at < self.text.len() {
            let end = self.end_of_line(at);
            lines.extend(self.line(at, end)?);
            at = end + 1;
        }
        Ok(lines)
    }

    /// The end of the line that begins at `at`, over all its continuations.
    fn end_of_line(&self, mut at: usize) -> usize {
        loop {
            let end = self.text[at..]
                .find('\n')
                .map_or(self.text.len(), |found| at + found);
            let line = self.text[at..end].trim_end_matches('\r');
            if !line.ends_with('\\') || end == self.text.len() {
                return end;
            }
            at = end + 1;
        }
    }

    fn line(&self, at: usize, end: usize) -> Result<Option<Line>, Problem> {
        let mut words = self.words(at, end)?;
        if words.is_empty() || words[0].text.starts_with('#') {
            return Ok(None);
        }
        let mut first = words.remove(0);
        let Some(name) = first.text.strip_prefix('<').map(ToOwned::to_owned) else {
            return Ok(Some(Line::Directive(first, words)));
        };
        // The closing bracket belongs to the last word, or is one.
        match words.last_mut() {
            Some(last) if last.text.ends_with('>') => {
                last.text.pop();
                if last.text.is_empty() {
                    words.pop();
                }
                first.text = name;
            }
            None if name.ends_with('>') => first.text = name.trim_end_matches('>').to_owned(),
            _ => {
                let mistake = Mistake::new("does not end with \">\"").cure("close it on the same line");
                return Err(first.problem(&first.text, mistake));
            }
        }
        if let Place::File { column, .. } = &mut first.place {
            *column += 1;
        }
        match first.text.strip_prefix('/').map(ToOwned::to_owned) {
            Some(name) => {
                first.text = name;
                Ok(Some(Line::Close(first)))
            }
            None => Ok(Some(Line::Open(first, words))),
        }
    }

    fn words(&self, at: usize, end: usize) -> Result<Vec<Word>, Problem> {
        let mut words = Vec::new();
        let mut rest = Cursor {
            text: &self.text[..end],
            at,
        };
        loop {
            rest.skip_space();
            let Some(first) = rest.peek() else { break };
            let start = rest.at;
            if words.is_empty() && first == '#' {
                break;
            }
            let is_section = matches!(words.first(), Some(Word { text, .. }) if text.starts_with('<'));
            let text = match first {
                '"' | '\'' if !words.is_empty() => rest.quoted(first).ok_or_else(|| Problem {
                    place: self.place(start),
                    what: "the quote that begins here does not end on its line".to_owned(),
                    cure: Some(format!("add {first}")),
                })?,
                _ => rest.bare(),
            };
            words.push(Word {
                text,
                place: self.place(start),
            });
            // `<Proxy "balancer://cluster">`: what follows a quote is a word of its own, and ends the section.
            if is_section && rest.peek() == Some('>') {
                let last = words.len() - 1;
                words[last].text.push('>');
                rest.next();
            }
        }
        Ok(words)
    }
}

/// A text from which a line continuation is gone: a backslash before the line's end.
struct Cursor<'t> {
    text: &'t str,
    at: usize,
}

impl Cursor<'_> {
    fn skip_continuations(&mut self) {
        loop {
            let rest = &self.text[self.at..];
            let skipped = ["\\\n", "\\\r\n"].into_iter().find(|end| rest.starts_with(end));
            match skipped {
                Some(end) => self.at += end.len(),
                None => return,
            }
        }
    }

    fn peek(&mut self) -> Option<char> {
        self.skip_continuations();
        self.text[self.at..].chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    fn skip_space(&mut self) {
        while self.peek().is_some_and(char::is_whitespace) {
            self.next();
        }
    }

    /// Up to the next space; `key="a value"` is one word, without its quotes. Two backslashes are one.
    fn bare(&mut self) -> String {
        let mut word = String::new();
        while let Some(c) = self.peek().filter(|c| !c.is_whitespace()) {
            let is_key = |word: &str| {
                word.strip_suffix('=').is_some_and(|key| {
                    !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                })
            };
            if (c == '"' || c == '\'') && is_key(&word) {
                let start = self.at;
                match self.quoted(c) {
                    Some(value) => word.push_str(&value),
                    None => {
                        self.at = start + c.len_utf8();
                        word.push(c);
                    }
                }
                continue;
            }
            word.push(c);
            self.next();
            if c == '\\' && self.peek() == Some('\\') {
                self.next();
            }
        }
        word
    }

    /// A backslash stands for itself unless it is before another or before the quote. `None`: there is no end.
    fn quoted(&mut self, quote: char) -> Option<String> {
        self.next();
        let mut word = String::new();
        loop {
            match self.next()? {
                '\\' => match self.peek() {
                    Some(c) if c == '\\' || c == quote => {
                        word.push(c);
                        self.next();
                    }
                    _ => word.push('\\'),
                },
                c if c == quote => return Some(word),
                c => word.push(c),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<String> {
        let words = |words: &[Word]| {
            words
                .iter()
                .map(|word| format!("[{}]", word.text))
                .collect::<String>()
        };
        match Source::new(Path::new("a.conf"), text).read() {
            Ok(lines) => lines
                .iter()
                .map(|line| match line {
                    Line::Directive(name, args) => format!("{}{}", name.text, words(args)),
                    Line::Open(name, args) => format!("<{}{}", name.text, words(args)),
                    Line::Close(name) => format!("/{}", name.text),
                })
                .collect(),
            Err(problem) => vec![problem.to_string()],
        }
    }

    #[test]
    fn lines_and_words() {
        for (text, expected) in [
            ("Listen 80", "Listen[80]"),
            ("  # Listen 80", ""),
            ("\u{feff}Listen 80\r\n", "Listen[80]"),
            ("LogFormat \"%h \\\"%r\\\"\" x", "LogFormat[%h \"%r\"][x]"),
            ("Alias /a \"D:\\a\\b c\"", "Alias[/a][D:\\a\\b c]"),
            ("Alias /a D:\\a\\b", "Alias[/a][D:\\a\\b]"),
            ("A \\\\b\\\\\\c", "A[\\b\\\\c]"),
            ("Alias /a 'it is'", "Alias[/a][it is]"),
            (
                "BalancerMember http://a \\\n  max=1",
                "BalancerMember[http://a][max=1]",
            ),
            (
                "BalancerMember http://a \\\r\n  max=1",
                "BalancerMember[http://a][max=1]",
            ),
            ("Listen 8\\\n0", "Listen[80]"),
            ("A python-home=\"D:\\a b\" c", "A[python-home=D:\\a b][c]"),
            ("A b=\"c", "A[b=\"c]"),
            ("<VirtualHost *:80>", "<VirtualHost[*:80]"),
            ("<Proxy \"balancer://c\">", "<Proxy[balancer://c]"),
            ("<Directory />", "<Directory[/]"),
            ("<IfModule mod_a.c >", "<IfModule[mod_a.c]"),
            ("<Else>", "<Else"),
            ("</Proxy>", "/Proxy"),
            ("Header add a #b", "Header[add][a][#b]"),
        ] {
            assert_eq!(shown(text).concat(), expected, "{text}");
        }
    }

    #[test]
    fn mistakes_have_their_places() {
        assert_eq!(
            shown("Listen 80\n  Alias /é \"x").concat(),
            "a.conf:2:12: the quote that begins here does not end on its line\n    help: add \""
        );
        assert_eq!(
            shown("<Proxy a").concat(),
            "a.conf:1:1: <Proxy does not end with \">\"\n    help: close it on the same line"
        );
    }
}
