//! Why a request is refused before any application sees it.

use std::fmt;

use http::StatusCode;

/// A request that the front answers itself, and closes the connection after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It breaks RFC 9112, or it is one of the patterns that request smuggling is made of.
    Malformed(&'static str),
    /// The header section is larger than `Limits::header_bytes`, or has more than `Limits::header_fields` fields.
    HeadersTooLarge,
    /// The request target is longer than `Limits::target_bytes`.
    TargetTooLong,
    /// The header section did not arrive within `Limits::header_timeout`.
    HeadersTooSlow,
    /// Some other major version of HTTP.
    Version,
    /// A transfer coding besides `chunked`.
    Coding,
    /// The client's address has `Limits::connections_per_address` connections already.
    Crowded,
}

impl Refusal {
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Refusal::Malformed(_) => StatusCode::BAD_REQUEST,
            Refusal::HeadersTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Refusal::TargetTooLong => StatusCode::URI_TOO_LONG,
            Refusal::HeadersTooSlow => StatusCode::REQUEST_TIMEOUT,
            Refusal::Version => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Refusal::Coding => StatusCode::NOT_IMPLEMENTED,
            Refusal::Crowded => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refusal::Malformed(what) => what,
            Refusal::HeadersTooLarge => "the header section is too large",
            Refusal::TargetTooLong => "the request target is too long",
            Refusal::HeadersTooSlow => "the header section did not arrive in time",
            Refusal::Version => "the version of HTTP is not 1.0 or 1.1",
            Refusal::Coding => "the request uses a transfer coding other than chunked",
            Refusal::Crowded => {
                "its address has as many connections as it may have (max_connections_per_address)"
            }
        })
    }
}

/// A refusal as an `io::Error`, the way it travels through hyper out of the middle of a body.
impl std::error::Error for Refusal {}
