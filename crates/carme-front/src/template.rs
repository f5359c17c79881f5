//! Texts of the configuration that may have something of the request in them.

use bytes::Bytes;
use carme_log::Variable;
use http::HeaderValue;

/// A text in the form in which it is wanted, or the pieces that it is put together of for each request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Template<T> {
    /// Always the same.
    Fixed(T),
    /// Put together.
    Composed(Box<[Piece]>),
}

/// A piece of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// It stays as it is.
    Text(Bytes),
    /// The value of a variable; `(null)` if it has none, as with Apache.
    Variable(Variable),
    /// What a group of the rule's pattern has found; 0 is all of it.
    Group(usize),
}

/// What a pattern has found.
pub(crate) type Groups<'g> = Option<&'g regex::bytes::Captures<'g>>;

impl<T> Template<T> {
    pub(crate) fn has_variables(&self) -> bool {
        match self {
            Template::Fixed(_) => false,
            Template::Composed(pieces) => pieces.iter().any(|piece| matches!(piece, Piece::Variable(_))),
        }
    }
}

/// Appends the pieces. `facts` is asked for only if a variable is among them.
pub(crate) fn compose<'r>(
    pieces: &[Piece],
    groups: Groups<'_>,
    facts: impl Fn() -> carme_log::Record<'r>,
    out: &mut Vec<u8>,
) {
    for piece in pieces {
        match piece {
            Piece::Text(text) => out.extend_from_slice(text),
            Piece::Variable(variable) => {
                if !variable.push(&facts(), out) {
                    out.extend_from_slice(b"(null)");
                }
            }
            Piece::Group(number) => {
                let found = groups.and_then(|groups| groups.get(*number));
                out.extend_from_slice(found.map(|found| found.as_bytes()).unwrap_or_default());
            }
        }
    }
}

/// The text as a field's value. A client may have had a say in it: what would end the field is a space.
pub(crate) fn field_value(mut text: Vec<u8>) -> HeaderValue {
    for byte in &mut text {
        if matches!(byte, 0x00..=0x08 | 0x0a..=0x1f | 0x7f) {
            *byte = b' ';
        }
    }
    // White space around a value is none of it.
    let trimmed = Bytes::copy_from_slice(text.trim_ascii());
    HeaderValue::from_maybe_shared(trimmed).unwrap_or(const { HeaderValue::from_static("") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_byte_makes_a_second_field() {
        let every: Vec<u8> = (0..=255).collect();
        let value = field_value(every);
        assert_eq!(value.len(), 255 - 0x20);
        assert!(value.as_bytes().iter().all(|&byte| byte >= b' ' && byte != 0x7f));
        assert_eq!(field_value(b" a\r\nB: b\t".to_vec()), "a  B: b");
    }

    #[test]
    fn what_is_missing_is_null_and_a_group_that_found_nothing_is_nothing() {
        let pattern = regex::bytes::Regex::new("(b)|(a)").expect("an expression");
        let groups = pattern.captures(b"xax");
        let pieces = [
            Piece::Text("<".into()),
            Piece::Group(1),
            Piece::Group(2),
            Piece::Group(0),
            Piece::Group(7),
            Piece::Variable(Variable::named("NONE")),
            Piece::Variable(Variable::named("ATTEMPTS")),
        ];
        let facts = || carme_log::Record {
            attempts: Some(2),
            ..carme_log::Record::default()
        };
        let mut text = Vec::new();
        compose(&pieces, groups.as_ref(), facts, &mut text);
        assert_eq!(text, b"<aa(null)2");
    }
}
