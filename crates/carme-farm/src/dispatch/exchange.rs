//! One request and its answer, as the HTTP side sees them.

use std::fs::File;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use carme_ring::StreamId;
use http::{HeaderMap, StatusCode};

use super::app::App;
use super::body::Aborted;

/// The body of a request, read before the request is dispatched.
#[derive(Debug)]
pub enum RequestBody {
    /// There is none.
    Empty,
    /// In memory. What is too large for the ring has to be in a file.
    Memory(Bytes),
    /// In a file, from its start.
    File {
        /// The file; its worker gets a handle of it.
        file: File,
        /// Bytes of the body.
        len: u64,
    },
}

/// Who answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The worker's route, for instance `site_1`.
    pub route: Arc<str>,
    /// Its process.
    pub pid: u32,
    /// Which of the app's seats it has, from 0: the one of its route.
    pub seat: u16,
}

/// What the log wants to know of a request's way through the farm.
#[derive(Clone, Debug, Default)]
pub struct Account {
    /// Who took it, if anyone did.
    pub worker: Option<Identity>,
    /// From the submission until a worker took it, or until it was over untaken.
    pub queued: Duration,
    /// From there until its last byte had come from the worker, or until now.
    pub worked: Duration,
}

/// An app's answer.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The reason phrase where it is not the usual one for the status.
    pub reason: Option<Bytes>,
    /// The header fields, valid as such; what they say has not been checked.
    pub headers: HeaderMap,
    /// The body.
    pub body: AnswerBody,
}

/// Where an answer's body is.
#[derive(Debug)]
pub enum AnswerBody {
    /// All of it is here.
    Whole(Bytes),
    /// It comes in pieces: [`Exchange::poll_chunk`].
    Stream,
    /// It is part of a file.
    File {
        /// An ordinary file.
        file: File,
        /// Where the body begins.
        offset: u64,
        /// Its bytes.
        len: u64,
    },
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// As many requests wait as may.
    #[error("the queue is full")]
    QueueFull {
        /// How long the one that has waited longest has.
        longest: Duration,
    },
    /// It waited as long as it may, and no worker took it.
    #[error("no worker was free in time")]
    QueueTimeout,
    /// Its worker ended before it had answered.
    #[error("the worker died with the request in flight")]
    WorkerDied,
    /// It had not begun its answer after this time; its worker may still have it.
    #[error("the app did not begin its response within {0:?} (request_timeout)")]
    TimedOut(Duration),
    /// The app raised an exception; its traceback is in the error log.
    #[error("the app raised an exception: {0}")]
    AppRaised(String),
    /// What came is not a response.
    #[error("the app's response is invalid: {0}")]
    InvalidResponse(String),
    /// The request is larger than a request to a worker can be.
    #[error("the request's head does not fit into the queue's slots")]
    TooLarge,
    /// The server stops.
    #[error("the server is stopping")]
    Stopping,
}

#[derive(Debug)]
enum Place {
    /// In the table.
    Listed(StreamId),
    /// Refused before it was listed.
    Refused(Failure),
    /// Over; nothing in the table belongs to it.
    Over,
}

/// A request on its way. Dropping it means that the client has left.
#[derive(Debug)]
pub struct Exchange {
    app: App,
    place: Place,
    account: Account,
}

impl Exchange {
    pub(super) fn listed(app: App, id: StreamId) -> Self {
        Self {
            app,
            place: Place::Listed(id),
            account: Account::default(),
        }
    }

    pub(super) fn refused(app: App, failure: Failure) -> Self {
        Self {
            app,
            place: Place::Refused(failure),
            account: Account::default(),
        }
    }

    /// Waits for the answer's head. Cancel safe; once it is ready it must not be called again.
    pub async fn response(&mut self) -> Result<Answer, Failure> {
        poll_fn(|cx| self.poll_response(cx)).await
    }

    /// [`Exchange::response`], polled.
    pub fn poll_response(&mut self, cx: &mut Context<'_>) -> Poll<Result<Answer, Failure>> {
        match std::mem::replace(&mut self.place, Place::Over) {
            Place::Over => Poll::Ready(Err(Failure::Stopping)),
            Place::Refused(failure) => Poll::Ready(Err(failure)),
            Place::Listed(id) => {
                let mut state = self.app.lock();
                let answer = state.poll_answer(id, cx);
                if answer.is_pending() || !state.is_over(id) {
                    self.place = Place::Listed(id);
                } else {
                    self.account = state.remove(id);
                }
                answer
            }
        }
    }

    /// The next piece of an [`AnswerBody::Stream`]. `None` at its end.
    pub fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Aborted>>> {
        let Place::Listed(id) = self.place else {
            return Poll::Ready(None);
        };
        let mut state = self.app.lock();
        let chunk = state.poll_chunk(id, cx);
        if matches!(chunk, Poll::Ready(None | Some(Err(_)))) && state.is_over(id) {
            self.account = state.remove(id);
            self.place = Place::Over;
        }
        chunk
    }

    /// The way through the farm so far; final when the last piece has been read.
    pub fn account(&self) -> Account {
        match self.place {
            Place::Listed(id) => self.app.lock().account(id),
            _ => self.account.clone(),
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if let Place::Listed(id) = self.place {
            self.app.lock().abandon(id);
        }
    }
}
