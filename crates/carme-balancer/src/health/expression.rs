//! `ProxyHCExpr`: the part of Apache's expressions (`ap_expr`) that can say something about a check's response.
//!
//! `%{REQUEST_STATUS}`, `%{HC_BODY}`, `hc('body')`, `resp('Field')`; strings with `%{…}` in them and numbers; `==` `!=`
//! `<` `<=` `>` `>=` for text, `-eq` `-ne` `-lt` `-le` `-gt` `-ge` (with or without `-`) for numbers; `=~` and `!~` with
//! `/…/` or `m#…#` and the flags `i`, `m`, `s`; `in {'a', 'b'}`; `-n`, `-z`, `true`, `false`, `!`, `&&`, `||`, `( )`.
//! Regular expressions are those of the `regex` crate: no look-around and no back-references.

mod parse;

use std::borrow::Cow;

use regex::bytes::Regex;

use super::CheckResponse;
pub use parse::ExpressionError;

/// A condition on a check's response.
#[derive(Debug, Clone)]
pub struct Expression {
    text: String,
    node: Node,
}

impl Expression {
    /// Reads an expression, without the quotes or braces around it.
    pub fn parse(text: &str) -> Result<Expression, ExpressionError> {
        Ok(Expression {
            text: text.to_owned(),
            node: parse::parse(text)?,
        })
    }

    /// Whether it holds for a response.
    pub fn holds(&self, response: &CheckResponse<'_>) -> bool {
        self.node.holds(response)
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// Two are equal if they were written the same.
impl PartialEq for Expression {
    fn eq(&self, other: &Expression) -> bool {
        self.text == other.text
    }
}

#[derive(Debug, Clone)]
enum Node {
    Constant(bool),
    Not(Box<Node>),
    And(Box<Node>, Box<Node>),
    Or(Box<Node>, Box<Node>),
    IsEmpty(Word),
    Text(Word, Order, Word),
    Number(Word, Order, Word),
    Matches(Word, Regex),
    In(Word, Vec<Word>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Order {
    fn holds<T: Ord>(self, left: T, right: T) -> bool {
        match self {
            Order::Equal => left == right,
            Order::NotEqual => left != right,
            Order::Less => left < right,
            Order::LessOrEqual => left <= right,
            Order::Greater => left > right,
            Order::GreaterOrEqual => left >= right,
        }
    }
}

/// Pieces that are put together.
#[derive(Debug, Clone)]
struct Word(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(String),
    Status,
    Body,
    Field(String),
}

impl Word {
    fn value<'a>(&'a self, response: &CheckResponse<'a>) -> Cow<'a, [u8]> {
        match &self.0[..] {
            [piece] => piece.value(response),
            pieces => Cow::Owned(
                pieces
                    .iter()
                    .flat_map(|piece| piece.value(response).into_owned())
                    .collect(),
            ),
        }
    }

    /// C's `atoi`: leading digits count, and nothing is 0.
    fn number(&self, response: &CheckResponse<'_>) -> i64 {
        let value = self.value(response);
        let text = String::from_utf8_lossy(&value);
        let text = text.trim_start();
        let sign = usize::from(text.starts_with(['-', '+']));
        let digits = text[sign..].bytes().take_while(u8::is_ascii_digit).count();
        text[..sign + digits].parse().unwrap_or_default()
    }
}

impl Piece {
    fn value<'a>(&'a self, response: &CheckResponse<'a>) -> Cow<'a, [u8]> {
        match self {
            Piece::Literal(text) => Cow::Borrowed(text.as_bytes()),
            Piece::Status => Cow::Owned(response.status.to_string().into_bytes()),
            Piece::Body => Cow::Borrowed(response.body),
            Piece::Field(name) => {
                let field = response
                    .headers
                    .iter()
                    .find(|(known, _)| known.eq_ignore_ascii_case(name));
                Cow::Borrowed(field.map_or(b"", |(_, value)| *value))
            }
        }
    }
}

impl Node {
    fn holds(&self, response: &CheckResponse<'_>) -> bool {
        match self {
            Node::Constant(value) => *value,
            Node::Not(node) => !node.holds(response),
            Node::And(left, right) => left.holds(response) && right.holds(response),
            Node::Or(left, right) => left.holds(response) || right.holds(response),
            Node::IsEmpty(word) => word.value(response).is_empty(),
            Node::Text(left, order, right) => order.holds(left.value(response), right.value(response)),
            Node::Number(left, order, right) => order.holds(left.number(response), right.number(response)),
            Node::Matches(word, regex) => regex.is_match(&word.value(response)),
            Node::In(word, list) => {
                let value = word.value(response);
                list.iter().any(|one| one.value(response) == value)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(text: &str) -> bool {
        let headers: &[(&str, &[u8])] = &[("X-Load", b"17"), ("Content-Type", b"text/plain")];
        let response = CheckResponse {
            status: 200,
            headers,
            body: b"All is well.\nUnder no maintenance",
        };
        Expression::parse(text)
            .unwrap_or_else(|error| panic!("{text}: {error}"))
            .holds(&response)
    }

    #[test]
    fn the_manuals_examples() {
        // mod_proxy_hcheck's manual: ok234, gdown, in_maint.
        for (text, expected) in [
            ("%{REQUEST_STATUS} =~ /^[234]/", true),
            ("%{REQUEST_STATUS} =~ /^[5]/", false),
            ("hc('body') !~ /Under maintenance/", true),
            ("hc('body') =~ /Under (no )?maintenance/", true),
        ] {
            assert_eq!(holds(text), expected, "{text}");
        }
    }

    #[test]
    fn operators() {
        for (text, expected) in [
            ("true", true),
            ("!true", false),
            ("! false && true", true),
            ("false || true && false", false),
            ("(false || true) && true", true),
            ("%{REQUEST_STATUS} -eq 200", true),
            ("%{REQUEST_STATUS} ne 200", false),
            ("%{REQUEST_STATUS} -lt 1000", true),
            ("%{REQUEST_STATUS} < 1000", false),
            ("%{REQUEST_STATUS} == '200'", true),
            ("%{REQUEST_STATUS} = 200", true),
            ("%{REQUEST_STATUS} in {'200', '204'}", true),
            ("%{REQUEST_STATUS} -in {'301'}", false),
            ("resp('x-load') -gt 16 && resp('X-Load') -le 17", true),
            ("-z resp('Nothing')", true),
            ("-n %{RESP:Content-Type}", true),
            ("%{HC_BODY} =~ m#ALL is#i", true),
            ("%{HC_BODY} =~ /^under/im", true),
            (r"%{HC_BODY} =~ /^under\//i", false),
            ("'%{REQUEST_STATUS} OK' == \"200 OK\"", true),
            ("'it\\'s' == \"it's\"", true),
            ("HC('body') != ''", true),
        ] {
            assert_eq!(holds(text), expected, "{text}");
        }
    }

    #[test]
    fn mistakes_are_named_with_their_place() {
        for (text, expected) in [
            ("", "an expression ends where a value was expected"),
            (
                "%{REQUEST_STATUS} =~ /a",
                "column 22: the regular expression has no end",
            ),
            (
                "%{REQUEST_STATUS}",
                "an expression ends where an operator was expected",
            ),
            (
                "%{NO_SUCH} == 1",
                "column 1: the variable `NO_SUCH` says nothing about a check's response",
            ),
            (
                "file('x') == 1",
                "column 1: the function `file` is not known here; there are hc('body') and resp('Field')",
            ),
            ("true true", "column 6: `true` was not expected here"),
            (
                "1 =~ 2",
                "column 6: a regular expression (`/…/` or `m#…#`) was expected here",
            ),
            ("'a == 1", "column 1: the text has no closing quote"),
            ("(true", "an expression ends where `)` was expected"),
        ] {
            assert_eq!(
                Expression::parse(text).unwrap_err().to_string(),
                expected,
                "{text}"
            );
        }
        let error = Expression::parse("hc('body') =~ /(?=a)/")
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("column 15: the regular expression is not valid: "),
            "{error}"
        );
    }
}
