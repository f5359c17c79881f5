//! Everything that can go wrong with a request, and the answer that it gets: the table in the documentation, as code.

use std::time::Duration;

use carme_farm::dispatch::{Account, Failure};
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
    /// How long it will take until another try is worth while, as far as that is known.
    pub(crate) wait: Duration,
    /// The methods that there are, where the request's is none of them: 405 names them.
    pub(crate) allow: Option<&'static str>,
}

/// The longest that a client is sent away for: a queue empties sooner than it seems if its clients have left.
const LONGEST_WAIT: u64 = 60;

impl Fault {
    pub(crate) fn new(status: StatusCode, reason: impl Into<String>) -> Self {
        Fault {
            status,
            reason: reason.into(),
            close: false,
            wait: Duration::ZERO,
            allow: None,
        }
    }

    pub(crate) fn closing(status: StatusCode, reason: impl Into<String>) -> Self {
        Fault {
            close: true,
            ..Fault::new(status, reason)
        }
    }

    /// What the farm made of it; the account says how long it has waited there.
    pub(crate) fn in_farm(failure: Failure, account: &Account) -> Self {
        let wait = match failure {
            // Who comes now would wait as long as the one at the queue's head has.
            Failure::QueueFull { longest } => longest,
            Failure::QueueTimeout => account.queued,
            _ => Duration::ZERO,
        };
        Fault {
            wait,
            ..Fault::from(failure)
        }
    }

    /// Whole seconds after which it is worth another try; `None` if it never is.
    pub(crate) fn retry_after(&self) -> Option<u64> {
        let seconds = self.wait.as_secs_f64().round() as u64;
        (self.status == StatusCode::SERVICE_UNAVAILABLE).then(|| seconds.clamp(1, LONGEST_WAIT))
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
            Failure::QueueFull { .. } | Failure::QueueTimeout | Failure::Stopping => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Failure::WorkerDied | Failure::InvalidResponse(_) => StatusCode::BAD_GATEWAY,
            Failure::TimedOut(_) => StatusCode::GATEWAY_TIMEOUT,
            Failure::AppRaised(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Failure::TooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        };
        Fault::new(status, failure.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_come_again_when_the_queue_has_moved_on() {
        let after = |failure, queued| {
            let account = Account {
                queued: Duration::from_millis(queued),
                ..Account::default()
            };
            Fault::in_farm(failure, &account).retry_after()
        };
        let full = |longest| Failure::QueueFull {
            longest: Duration::from_millis(longest),
        };
        for (failure, queued, expected) in [
            (full(0), 0, Some(1)),
            (full(400), 0, Some(1)),
            (full(12_300), 0, Some(12)),
            (full(600_000), 0, Some(60)),
            (Failure::QueueTimeout, 30_010, Some(30)),
            (Failure::QueueTimeout, 600_000, Some(60)),
            (Failure::Stopping, 20_000, Some(1)),
            (Failure::WorkerDied, 20_000, None),
        ] {
            assert_eq!(after(failure.clone(), queued), expected, "{failure:?}");
        }
        let crowded = Fault::from(crate::guard::Refusal::Crowded);
        assert_eq!(crowded.retry_after(), Some(1));
    }
}
