//! Everything that can go wrong with a request, and the answer that it gets: the table in the documentation, as code.

use carme_farm::dispatch::Failure;
use http::StatusCode;

use crate::body::BodyError;
use crate::guard::Refusal;

/// A request that the front answers because nobody else can.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) status: StatusCode,
    /// For the error log; the client is not told.
    pub(crate) reason: String,
    /// The connection cannot be used for another request.
    pub(crate) close: bool,
}

impl Fault {
    pub(crate) fn new(status: StatusCode, reason: impl Into<String>) -> Self {
        Fault {
            status,
            reason: reason.into(),
            close: false,
        }
    }

    pub(crate) fn closing(status: StatusCode, reason: impl Into<String>) -> Self {
        Fault {
            close: true,
            ..Fault::new(status, reason)
        }
    }

    /// Worth another try soon.
    pub(crate) fn is_temporary(&self) -> bool {
        self.status == StatusCode::SERVICE_UNAVAILABLE
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        Fault::closing(refusal.status(), refusal.to_string())
    }
}

impl From<BodyError> for Fault {
    fn from(error: BodyError) -> Self {
        let status = match &error {
            BodyError::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            BodyError::TooSlow => StatusCode::REQUEST_TIMEOUT,
            BodyError::Malformed(refusal) => refusal.status(),
            BodyError::Trailers(_) | BodyError::Incomplete => StatusCode::BAD_REQUEST,
            BodyError::Spool(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        // Some of the body may still be on its way.
        Fault::closing(status, error.to_string())
    }
}

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Self {
        let status = match &failure {
            Failure::QueueFull | Failure::QueueTimeout | Failure::Stopping => StatusCode::SERVICE_UNAVAILABLE,
            Failure::WorkerDied | Failure::InvalidResponse(_) => StatusCode::BAD_GATEWAY,
            Failure::AppRaised(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Failure::TooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        };
        Fault::new(status, failure.to_string())
    }
}
