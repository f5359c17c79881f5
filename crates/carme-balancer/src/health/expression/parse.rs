//! Reading an [`super::Expression`].

use regex::bytes::{Regex, RegexBuilder};

use super::{Node, Order, Piece, Word};

/// What is wrong with an expression, and where (columns count characters, from 1).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExpressionError {
    /// It stops too early.
    #[error("an expression ends where {0} was expected")]
    Ends(&'static str),
    /// Something else belongs there.
    #[error("column {column}: {expected} was expected here")]
    Expected {
        /// Where.
        column: usize,
        /// What.
        expected: &'static str,
    },
    /// There is something after the end.
    #[error("column {column}: `{found}` was not expected here")]
    Unexpected {
        /// Where.
        column: usize,
        /// What stands there.
        found: String,
    },
    /// A text without an end.
    #[error("column {column}: the text has no closing quote")]
    OpenQuote {
        /// Where it begins.
        column: usize,
    },
    /// A variable that has nothing to do with a response.
    #[error("column {column}: the variable `{name}` says nothing about a check's response")]
    Variable {
        /// Where.
        column: usize,
        /// Its name.
        name: String,
    },
    /// A function that has nothing to do with a response.
    #[error(
        "column {column}: the function `{name}` is not known here; there are hc('body') and resp('Field')"
    )]
    Function {
        /// Where.
        column: usize,
        /// Its name.
        name: String,
    },
    /// A regular expression without an end.
    #[error("column {column}: the regular expression has no end")]
    OpenRegex {
        /// Where it begins.
        column: usize,
    },
    /// A regular expression that is none.
    #[error("column {column}: the regular expression is not valid: {reason}")]
    Regex {
        /// Where it begins.
        column: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// Too many parentheses or `!` within each other.
    #[error("column {column}: more than {DEPTH} parentheses and negations within each other")]
    TooDeep {
        /// Where.
        column: usize,
    },
}

/// So that no expression can exhaust the stack.
const DEPTH: usize = 50;

const OPERATORS: [(&str, Order, bool); 19] = [
    ("==", Order::Equal, false),
    ("!=", Order::NotEqual, false),
    ("<=", Order::LessOrEqual, false),
    (">=", Order::GreaterOrEqual, false),
    ("<", Order::Less, false),
    (">", Order::Greater, false),
    ("=", Order::Equal, false),
    ("-eq", Order::Equal, true),
    ("-ne", Order::NotEqual, true),
    ("-le", Order::LessOrEqual, true),
    ("-ge", Order::GreaterOrEqual, true),
    ("-lt", Order::Less, true),
    ("-gt", Order::Greater, true),
    ("eq", Order::Equal, true),
    ("ne", Order::NotEqual, true),
    ("le", Order::LessOrEqual, true),
    ("ge", Order::GreaterOrEqual, true),
    ("lt", Order::Less, true),
    ("gt", Order::Greater, true),
];

pub(super) fn parse(text: &str) -> Result<Node, ExpressionError> {
    let mut parser = Parser {
        text,
        at: 0,
        depth: 0,
    };
    let node = parser.either()?;
    parser.skip_spaces();
    match parser.rest() {
        "" => Ok(node),
        rest => {
            let found = rest.split_whitespace().next().unwrap_or_default().to_owned();
            Err(ExpressionError::Unexpected {
                column: parser.column(),
                found,
            })
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn column(&self) -> usize {
        self.text[..self.at].chars().count() + 1
    }

    fn skip_spaces(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    /// Passes over a symbol, if it is next.
    fn take(&mut self, symbol: &str) -> bool {
        self.skip_spaces();
        let is_next = self.rest().starts_with(symbol);
        self.at += if is_next { symbol.len() } else { 0 };
        is_next
    }

    /// Passes over a word of letters, if it is next and not a part of a longer one.
    fn take_word(&mut self, word: &str) -> bool {
        self.skip_spaces();
        let rest = self.rest();
        let ends = rest
            .get(word.len()..)
            .is_some_and(|after| !after.starts_with(|c: char| c.is_ascii_alphanumeric()));
        let is_next = ends && rest[..word.len()].eq_ignore_ascii_case(word);
        self.at += if is_next { word.len() } else { 0 };
        is_next
    }

    fn expected(&self, expected: &'static str) -> ExpressionError {
        match self.rest() {
            "" => ExpressionError::Ends(expected),
            _ => ExpressionError::Expected {
                column: self.column(),
                expected,
            },
        }
    }

    fn either(&mut self) -> Result<Node, ExpressionError> {
        let mut left = self.both()?;
        while self.take("||") {
            left = Node::Or(Box::new(left), Box::new(self.both()?));
        }
        Ok(left)
    }

    fn both(&mut self) -> Result<Node, ExpressionError> {
        let mut left = self.one()?;
        while self.take("&&") {
            left = Node::And(Box::new(left), Box::new(self.one()?));
        }
        Ok(left)
    }

    fn one(&mut self) -> Result<Node, ExpressionError> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(ExpressionError::TooDeep {
                column: self.column(),
            });
        }
        let node = self.one_of_this_depth();
        self.depth -= 1;
        node
    }

    fn one_of_this_depth(&mut self) -> Result<Node, ExpressionError> {
        if self.take("!") {
            return Ok(Node::Not(Box::new(self.one()?)));
        }
        if self.take("(") {
            let node = self.either()?;
            return if self.take(")") {
                Ok(node)
            } else {
                Err(self.expected("`)`"))
            };
        }
        for (word, value) in [("true", true), ("false", false)] {
            if self.take_word(word) {
                return Ok(Node::Constant(value));
            }
        }
        if self.take_word("-z") {
            return Ok(Node::IsEmpty(self.word()?));
        }
        if self.take_word("-n") {
            return Ok(Node::Not(Box::new(Node::IsEmpty(self.word()?))));
        }
        self.comparison()
    }

    fn comparison(&mut self) -> Result<Node, ExpressionError> {
        let left = self.word()?;
        if self.take("=~") {
            return Ok(Node::Matches(left, self.regex()?));
        }
        if self.take("!~") {
            return Ok(Node::Not(Box::new(Node::Matches(left, self.regex()?))));
        }
        if self.take_word("-in") || self.take_word("in") {
            return Ok(Node::In(left, self.list()?));
        }
        for (symbol, order, is_number) in OPERATORS {
            let is_letters = symbol.ends_with(|c: char| c.is_ascii_alphabetic());
            let is_next = if is_letters {
                self.take_word(symbol)
            } else {
                self.take(symbol)
            };
            match (is_next, is_number) {
                (true, true) => return Ok(Node::Number(left, order, self.word()?)),
                (true, false) => return Ok(Node::Text(left, order, self.word()?)),
                (false, _) => {}
            }
        }
        Err(self.expected("an operator"))
    }

    fn list(&mut self) -> Result<Vec<Word>, ExpressionError> {
        if !self.take("{") {
            return Err(self.expected("`{`"));
        }
        let mut words = vec![self.word()?];
        while self.take(",") {
            words.push(self.word()?);
        }
        if self.take("}") {
            Ok(words)
        } else {
            Err(self.expected("`}`"))
        }
    }

    fn word(&mut self) -> Result<Word, ExpressionError> {
        self.skip_spaces();
        let rest = self.rest();
        match rest.chars().next() {
            Some(quote @ ('\'' | '"')) => self.quoted(quote),
            Some('%') if rest.starts_with("%{") => Ok(Word(vec![self.variable()?])),
            Some(c) if c.is_ascii_digit() || c == '-' => {
                let digits = rest[1..].bytes().take_while(u8::is_ascii_digit).count();
                self.at += 1 + digits;
                Ok(Word(vec![Piece::Literal(rest[..1 + digits].to_owned())]))
            }
            Some(c) if c.is_ascii_alphabetic() => self.function(),
            _ => Err(self.expected("a value")),
        }
    }

    /// Text in quotes, with `%{…}` in it and `\` before what is to stand for itself.
    fn quoted(&mut self, quote: char) -> Result<Word, ExpressionError> {
        let begin = self.column();
        self.at += 1;
        let (mut pieces, mut text) = (Vec::new(), String::new());
        loop {
            let mut chars = self.rest().chars();
            let Some(next) = chars.next() else {
                return Err(ExpressionError::OpenQuote { column: begin });
            };
            if next == quote {
                self.at += 1;
                if !text.is_empty() || pieces.is_empty() {
                    pieces.push(Piece::Literal(text));
                }
                return Ok(Word(pieces));
            }
            if self.rest().starts_with("%{") {
                if !text.is_empty() {
                    pieces.push(Piece::Literal(std::mem::take(&mut text)));
                }
                pieces.push(self.variable()?);
                continue;
            }
            self.at += next.len_utf8();
            match next {
                '\\' => {
                    let Some(escaped) = chars.next() else {
                        return Err(ExpressionError::OpenQuote { column: begin });
                    };
                    text.push(escaped);
                    self.at += escaped.len_utf8();
                }
                _ => text.push(next),
            }
        }
    }

    fn variable(&mut self) -> Result<Piece, ExpressionError> {
        let column = self.column();
        let Some(length) = self.rest().find('}') else {
            return Err(ExpressionError::Ends("`}`"));
        };
        let name = &self.rest()[2..length];
        let piece = match name.split_once(':') {
            None if name.eq_ignore_ascii_case("REQUEST_STATUS") => Piece::Status,
            None if name.eq_ignore_ascii_case("HC_BODY") => Piece::Body,
            Some((kind, field)) if kind.eq_ignore_ascii_case("RESP") => Piece::Field(field.to_owned()),
            Some((kind, what)) if kind.eq_ignore_ascii_case("HC") && what.eq_ignore_ascii_case("body") => {
                Piece::Body
            }
            _ => {
                return Err(ExpressionError::Variable {
                    column,
                    name: name.to_owned(),
                });
            }
        };
        self.at += length + 1;
        Ok(piece)
    }

    fn function(&mut self) -> Result<Word, ExpressionError> {
        let column = self.column();
        let rest = self.rest();
        let length = rest
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(rest.len());
        let name = rest[..length].to_owned();
        let function = |name: String| ExpressionError::Function { column, name };
        if !rest[length..].trim_start().starts_with('(') {
            return Err(ExpressionError::Expected {
                column,
                expected: "a value",
            });
        }
        self.at += length;
        self.take("(");
        let argument = self.word()?;
        if !self.take(")") {
            return Err(self.expected("`)`"));
        }
        match (name.to_ascii_lowercase().as_str(), &argument.0[..]) {
            ("hc", [Piece::Literal(what)]) if what.eq_ignore_ascii_case("body") => {
                Ok(Word(vec![Piece::Body]))
            }
            ("resp", [Piece::Literal(field)]) => Ok(Word(vec![Piece::Field(field.clone())])),
            _ => Err(function(name)),
        }
    }

    fn regex(&mut self) -> Result<Regex, ExpressionError> {
        self.skip_spaces();
        let column = self.column();
        let mut chars = self.rest().chars();
        let delimiter = match (chars.next(), chars.next()) {
            (Some('/'), _) => '/',
            (Some('m'), Some(delimiter)) if delimiter.is_ascii_punctuation() => {
                self.at += 1;
                delimiter
            }
            _ => return Err(self.expected("a regular expression (`/…/` or `m#…#`)")),
        };
        self.at += 1;
        let mut escaped = false;
        let end = self.rest().find(|c| {
            let is_end = c == delimiter && !escaped;
            escaped = c == '\\' && !escaped;
            is_end
        });
        let Some(end) = end else {
            return Err(ExpressionError::OpenRegex { column });
        };
        let pattern = self.rest()[..end].replace(&format!("\\{delimiter}"), &delimiter.to_string());
        self.at += end + 1;
        let mut builder = RegexBuilder::new(&pattern);
        while let Some(flag) = self
            .rest()
            .chars()
            .next()
            .filter(|c| matches!(c, 'i' | 'm' | 's'))
        {
            match flag {
                'i' => builder.case_insensitive(true),
                'm' => builder.multi_line(true),
                _ => builder.dot_matches_new_line(true),
            };
            self.at += 1;
        }
        builder.build().map_err(|error| ExpressionError::Regex {
            column,
            reason: error.to_string(),
        })
    }
}
