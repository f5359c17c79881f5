//! A LogFormat, compiled once and rendered for every request.

mod directive;
mod error;
mod json;
mod parse;
mod render;
#[cfg(test)]
mod tests;
mod tls;
mod variable;

use directive::Field;

pub use error::{FormatError, Problem};
pub(crate) use render::path_and_query;
pub use variable::Variable;

const COMMON: &str = r#"%h %l %u %t "%r" %>s %b"#;
const COMBINED: &str = r#"%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i""#;
const COMBINED_ROUTE: &str = concat!(
    r#"%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i" "#,
    "%{BALANCER_WORKER_ROUTE}e %D %{QUEUE_TIME_US}e %{WORKER_TIME_US}e %{REQUEST_ID}e"
);

/// The formats known by name.
const NICKNAMES: &[(&str, &str)] = &[
    ("common", COMMON),
    ("combined", COMBINED),
    ("combined_route", COMBINED_ROUTE),
];

/// The nickname that is no LogFormat.
const JSON: &str = "json";

fn nicknames() -> Vec<&'static str> {
    NICKNAMES.iter().map(|(name, _)| *name).chain([JSON]).collect()
}

/// A compiled LogFormat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Format {
    line: Line,
    zone: Zone,
}

/// What a line looks like.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Line {
    Items(Box<[Item]>),
    Json,
}

/// Where a clock hangs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Zone {
    System,
    Utc,
}

/// One piece of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Item {
    /// Printed as it is.
    Text(Box<[u8]>),
    /// Printed for every request.
    Always(Field),
    /// `%400,501{…}i`, `%!200{…}i`: printed for some statuses, `-` for the others.
    When {
        statuses: Box<[u16]>,
        listed: bool,
        field: Field,
    },
}

impl Format {
    /// Compiles a nickname (`common`, `combined`, `combined_route`, `json`) or a LogFormat string.
    ///
    /// # Errors
    /// [`FormatError`] says where the first mistake is, which directive it is in, and what may have been meant.
    pub fn parse(format: &str) -> Result<Self, FormatError> {
        let line = match NICKNAMES.iter().find(|(name, _)| *name == format) {
            None if format == JSON => Line::Json,
            Some((_, text)) => Line::Items(parse::items(text)?),
            None => Line::Items(parse::items(format)?),
        };
        Ok(Format {
            line,
            zone: Zone::System,
        })
    }

    /// True if a line depends on the response's header fields, which callers may otherwise not have to keep.
    pub fn reads_response_headers(&self) -> bool {
        self.reads(|field| matches!(field, Field::ResponseHeader(_)))
    }

    /// True if a line depends on the request's trailer fields, likewise.
    pub fn reads_request_trailers(&self) -> bool {
        self.reads(|field| matches!(field, Field::RequestTrailer(_)))
    }

    /// True if a line depends on a field of the request whose name, in lower case, is `wanted`.
    pub fn reads_request_header(&self, wanted: impl Fn(&str) -> bool) -> bool {
        self.reads(|field| matches!(field, Field::RequestHeader(name) if wanted(name)))
    }

    /// True if a line depends on the time of the response's first byte, likewise.
    pub fn reads_first_byte(&self) -> bool {
        self.line == Line::Json
            || self.reads(|field| match field {
                Field::FirstByte => true,
                Field::Variable(variable) => variable.is_first_byte(),
                _ => false,
            })
    }

    /// True if a line depends on a variable that can be set under this name.
    pub fn reads_variable(&self, name: &str) -> bool {
        self.reads(|field| matches!(field, Field::Variable(variable) if variable.is_settable_as(name)))
    }

    fn reads(&self, wanted: impl Fn(&Field) -> bool) -> bool {
        match &self.line {
            Line::Json => false,
            Line::Items(items) => items.iter().any(|item| match item {
                Item::Text(_) => false,
                Item::Always(field) | Item::When { field, .. } => wanted(field),
            }),
        }
    }

    /// The same format with its times in UTC instead of the machine's time zone.
    #[must_use]
    pub fn utc(self) -> Self {
        Format {
            zone: Zone::Utc,
            ..self
        }
    }
}

impl std::str::FromStr for Format {
    type Err = FormatError;

    fn from_str(format: &str) -> Result<Self, FormatError> {
        Format::parse(format)
    }
}
