//! What is wrong with a LogFormat, and where.

use thiserror::Error;

/// A LogFormat that cannot be compiled.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("log format, column {column}: {directive:?} {problem}{}", hint(.nearest.as_deref()))]
pub struct FormatError {
    /// The character at which the directive begins, counted from 1.
    pub column: usize,
    /// The directive as far as it was read, or the whole text where it has none.
    pub directive: String,
    /// What is wrong with it.
    pub problem: Problem,
    /// What was probably meant.
    pub nearest: Option<String>,
}

fn hint(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |nearest| format!("; did you mean {nearest:?}?"))
}

/// What can be wrong with a directive.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Problem {
    /// The letter means nothing.
    #[error("is not a directive (a literal percent sign is %%)")]
    Unknown,
    /// The format ends before the letter.
    #[error("has no letter that says what to print")]
    Unfinished,
    /// `{` without `}`.
    #[error("has a {{ without its }}")]
    Unclosed,
    /// `%i` where `%{Name}i` is needed.
    #[error("needs a name in braces")]
    NameMissing,
    /// `%{Referer}I`.
    #[error("takes no argument in braces")]
    ArgumentNotTaken,
    /// `%{min}T`.
    #[error("has an argument that is not one of {}", .0.join(", "))]
    ArgumentUnknown(Vec<&'static str>),
    /// `%{SSL_PROTOCOLL}x`.
    #[error("names no variable of mod_ssl (HTTPS, SSL_PROTOCOL, SSL_CIPHER and so on)")]
    TlsUnknown,
    /// `%{%Q}t`.
    #[error("has a time format that strftime does not know at {0:?}")]
    TimeFormat(String),
    /// A condition that is not an HTTP status.
    #[error("has a condition that is not a status from 100 to 999")]
    Status,
    /// Neither a nickname nor a format.
    #[error("is neither a nickname ({}) nor has it any directive, such as %h", .0.join(", "))]
    NoDirective(Vec<&'static str>),
}
