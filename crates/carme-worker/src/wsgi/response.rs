//! One response on its way out: the head is held back until the first body bytes (PEP 3333), bodies are cut into records,
//! Content-Length is held to.
//!
//! What it owes its callers: exactly one record with [`flags::END`] for each request, whatever the app does.

use std::cell::RefCell;
use std::sync::Arc;

use carme_ring::frame::ResponseHead;
use carme_ring::{MAX_RECORD, RecordKind, StreamId, flags};
use pyo3::prelude::*;

use super::file_wrapper::Part;
use super::input::read_exact_at;
use crate::mail::{Mail, Outgoing, Posted};
use crate::rules;

/// Files up to this size go out like any other body: handing them over costs more than copying them.
const SMALL_FILE: u64 = 32 << 10;
/// Bytes that a refusal or an exception may take in a record.
const MAX_REASON: usize = 4 << 10;

/// A checked response head, as the app gave it.
#[derive(Default)]
pub struct Head {
    /// The status code.
    pub status: u16,
    /// Reason, then names and values in turn; latin-1.
    pub text: Vec<u8>,
    /// Where in `text` each of them ends.
    pub ends: Vec<u32>,
    /// The Content-Length among the headers.
    pub length: Option<u64>,
}

impl Head {
    fn encode(&self, computed_length: Option<u64>, out: &mut Vec<u8>) {
        let part = |i: usize| {
            let start = i.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
            &self.text[start..self.ends[i] as usize]
        };
        let digits = computed_length.map(|length| length.to_string());
        let computed = digits
            .as_ref()
            .map(|digits| (&b"content-length"[..], digits.as_bytes()));
        let drop_length = self.status == 204;
        let given = (1..self.ends.len())
            .step_by(2)
            .map(|i| (part(i), part(i + 1)))
            // RFC 9110, 8.6: a 204 must not have one.
            .filter(|(name, _)| !(drop_length && name.eq_ignore_ascii_case(b"content-length")));
        ResponseHead::encode(self.status, part(0), given.chain(computed), out);
    }
}

enum Phase {
    /// `start_response` has not been called.
    Waiting,
    /// It has; nothing has gone out.
    Started(Head),
    /// The head is out. `left`: bytes that are still to come, if a length was given.
    Sending { left: Option<u64> },
    /// The last record is out, or the request is over.
    Ended,
}

/// Why a response does not go on.
#[derive(Debug)]
pub enum Stop {
    /// The client has left.
    Gone,
    /// The app broke PEP 3333; says how.
    Broken(String),
}

/// One response.
pub struct Response {
    mail: Arc<dyn Mail>,
    stream: StreamId,
    /// The request's method is HEAD.
    head_request: bool,
    phase: Phase,
    /// No body goes out: the answer to HEAD, a 204 or a 304.
    bodiless: bool,
    /// The app gave more body than its Content-Length said.
    excess: bool,
    /// The client was seen to have left.
    gone: bool,
    /// When the last record is out, the thread is free: the app has nothing to close.
    nothing_follows: bool,
}

thread_local! {
    static ENCODED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl Response {
    /// The response to a request.
    pub fn new(mail: Arc<dyn Mail>, stream: StreamId, head_request: bool) -> Self {
        Self {
            mail,
            stream,
            head_request,
            phase: Phase::Waiting,
            bodiless: false,
            excess: false,
            gone: false,
            nothing_follows: false,
        }
    }

    /// Says that the app has nothing to do once the last record is out.
    pub fn nothing_follows(&mut self) {
        self.nothing_follows = true;
    }

    /// Whether the head has been set, sent or not.
    pub fn is_started(&self) -> bool {
        !matches!(self.phase, Phase::Waiting)
    }

    /// Whether the head has gone out.
    pub fn is_sent(&self) -> bool {
        matches!(self.phase, Phase::Sending { .. } | Phase::Ended)
    }

    /// Whether nothing more can be sent.
    pub fn is_ended(&self) -> bool {
        matches!(self.phase, Phase::Ended)
    }

    /// Whether the app gave more than it announced.
    pub fn had_excess(&self) -> bool {
        self.excess
    }

    /// Sets or replaces the head. It must not have been sent.
    pub fn start(&mut self, head: Head) {
        debug_assert!(!self.is_sent());
        self.phase = Phase::Started(head);
    }

    /// Posts a record, waiting for room and credit without the GIL.
    fn post(&mut self, py: Python<'_>, record: Outgoing<'_>) -> Result<(), Stop> {
        if self.nothing_follows && record.flags & flags::END != 0 {
            self.mail.ending(self.stream);
        }
        loop {
            match self.mail.post(self.stream, record) {
                Posted::Sent => return Ok(()),
                Posted::Wait => py.detach(|| self.mail.wait(self.stream, record.body.len())),
                Posted::Gone => {
                    self.gone = true;
                    return Err(Stop::Gone);
                }
            }
        }
    }

    /// Sends body bytes, and the head before the first of them. `all`: these are all there will be.
    pub fn send(&mut self, py: Python<'_>, bytes: &[u8], all: bool) -> Result<(), Stop> {
        let mut rest = bytes;
        if let Phase::Started(head) = &mut self.phase {
            if rest.is_empty() && !all {
                return Ok(());
            }
            let head = std::mem::take(head);
            let bodiless = self.head_request || rules::bodiless(head.status);
            self.bodiless = bodiless;
            let computed =
                (all && head.length.is_none() && may_compute(self.head_request, head.status, rest.len()))
                    .then_some(rest.len() as u64);
            let left = head.length.or(computed);
            let mut encoded = ENCODED.take();
            encoded.clear();
            head.encode(computed, &mut encoded);
            if encoded.len() > MAX_RECORD {
                let problem = format!(
                    "the response head takes {} bytes; {MAX_RECORD} is the limit",
                    encoded.len()
                );
                self.phase = Phase::Waiting;
                return Err(Stop::Broken(problem));
            }
            let mut first: &[u8] = &[];
            if !bodiless {
                rest = self.cut(rest, left);
                (first, rest) = rest.split_at(rest.len().min(MAX_RECORD - encoded.len()));
            }
            let left = left.map(|left| left - first.len() as u64);
            let end = bodiless || left == Some(0) || (all && left.is_none() && rest.is_empty());
            self.phase = if end {
                Phase::Ended
            } else {
                Phase::Sending { left }
            };
            let flags = if end { flags::END } else { 0 };
            let sent = self.post(
                py,
                Outgoing {
                    kind: RecordKind::Response,
                    flags,
                    head: &encoded,
                    body: first,
                },
            );
            ENCODED.set(encoded);
            sent?;
        }
        match self.phase {
            Phase::Waiting => return Err(Stop::Broken(BEFORE_START.into())),
            Phase::Started(_) => unreachable!("sent above"),
            Phase::Sending { left } => {
                rest = self.cut(rest, left);
            }
            Phase::Ended => return Ok(()),
        }
        while let (Phase::Sending { left }, false) = (&mut self.phase, rest.is_empty()) {
            let (piece, after) = rest.split_at(rest.len().min(MAX_RECORD));
            rest = after;
            if let Some(left) = left {
                *left -= piece.len() as u64;
            }
            let end = *left == Some(0) || (all && left.is_none() && rest.is_empty());
            if end {
                self.phase = Phase::Ended;
            }
            let flags = if end { flags::END } else { 0 };
            self.post(
                py,
                Outgoing {
                    kind: RecordKind::Body,
                    flags,
                    head: b"",
                    body: piece,
                },
            )?;
        }
        Ok(())
    }

    fn cut<'b>(&mut self, bytes: &'b [u8], left: Option<u64>) -> &'b [u8] {
        match left {
            Some(left) if (bytes.len() as u64) > left => {
                self.excess = true;
                &bytes[..left as usize]
            }
            _ => bytes,
        }
    }

    /// Notes body bytes that came after the announced end.
    pub fn after_end(&mut self, bytes: &[u8]) {
        self.excess |= !bytes.is_empty() && !self.bodiless;
    }

    /// Says how long the whole body will be, unless the app has said so or the head has gone out.
    pub fn set_total(&mut self, total: u64) {
        if let Phase::Started(head) = &mut self.phase
            && head.length.is_none()
            && may_compute(self.head_request, head.status, 1)
        {
            head.length = Some(total);
            for part in [&b"content-length"[..], total.to_string().as_bytes()] {
                head.text.extend_from_slice(part);
                head.ends.push(head.text.len() as u32);
            }
        }
    }

    /// Whether the body would be sent at all; `None` before the head is set.
    pub fn wants_body(&self) -> Option<bool> {
        match &self.phase {
            Phase::Waiting => None,
            Phase::Started(head) => Some(!self.head_request && !rules::bodiless(head.status)),
            Phase::Sending { .. } => Some(true),
            Phase::Ended => Some(false),
        }
    }

    /// Sends a part of a file as the whole body, through the front. False: it cannot be, read it instead.
    pub fn send_file(&mut self, py: Python<'_>, part: &Part) -> Result<bool, Stop> {
        let Phase::Started(head) = &self.phase else {
            return Ok(false);
        };
        let length = head.length.unwrap_or(part.length);
        if length > part.length || !self.wants_body().unwrap_or(false) {
            return Ok(false);
        }
        if length <= SMALL_FILE {
            let mut bytes = vec![0; length as usize];
            let read = py.detach(|| read_exact_at(&part.file, &mut bytes, part.offset));
            return if read.is_ok() {
                self.send(py, &bytes, true).map(|()| true)
            } else {
                Ok(false)
            };
        }
        let mut encoded = Vec::new();
        head.encode(head.length.is_none().then_some(length), &mut encoded);
        if encoded.len() > MAX_RECORD {
            return Ok(false);
        }
        self.phase = Phase::Ended;
        let flags = flags::END | flags::FILE;
        self.post(
            py,
            Outgoing {
                kind: RecordKind::Response,
                flags,
                head: &encoded,
                body: b"",
            },
        )?;
        let given = py.detach(|| {
            let file = carme_ring::os::borrow(&part.file);
            self.mail.give_file(self.stream, file, part.offset, length)
        });
        // The link is broken: the front is gone, and so is this process in a moment.
        given.map_err(|_| Stop::Gone)?;
        Ok(true)
    }

    /// The body is complete. Sends what is still to be sent.
    pub fn finish(&mut self, py: Python<'_>) -> Result<(), Stop> {
        match self.phase {
            Phase::Waiting => Err(Stop::Broken("the app never called start_response".into())),
            Phase::Started(Head {
                length: Some(1..),
                status,
                ..
            }) if !self.head_request && !rules::bodiless(status) => Err(Stop::Broken(
                "the app announced a body by Content-Length and gave none".into(),
            )),
            Phase::Started(_) => self.send(py, b"", true),
            Phase::Sending { left: Some(left) } => Err(Stop::Broken(format!(
                "the body ended {left} bytes before its Content-Length"
            ))),
            Phase::Sending { left: None } => {
                self.phase = Phase::Ended;
                self.post(
                    py,
                    Outgoing {
                        kind: RecordKind::Body,
                        flags: flags::END,
                        head: b"",
                        body: b"",
                    },
                )
            }
            Phase::Ended => Ok(()),
        }
    }

    /// Ends a response that cannot be completed: as `before` if nothing has gone out, else as an abort.
    pub fn fail(&mut self, py: Python<'_>, before: RecordKind, reason: &str) {
        let kind = match self.phase {
            Phase::Waiting | Phase::Started(_) => before,
            Phase::Sending { .. } => RecordKind::Abort,
            Phase::Ended if self.gone => RecordKind::Abort,
            Phase::Ended => return,
        };
        self.phase = Phase::Ended;
        let mut reason = reason.as_bytes();
        reason = &reason[..reason.len().min(MAX_REASON)];
        // Gone is fine: the front has forgotten the request.
        let _ = self.post(
            py,
            Outgoing {
                kind,
                flags: flags::END,
                head: reason,
                body: b"",
            },
        );
    }
}

/// What an app did that gave body bytes before `start_response`.
pub const BEFORE_START: &str = "the app gave body bytes before it called start_response";

/// Whether Content-Length may be added to a response that has none. An empty answer to HEAD says nothing of the length
/// that GET would have.
fn may_compute(head_request: bool, status: u16, length: usize) -> bool {
    let says_nothing = head_request && length == 0;
    !rules::bodiless(status) && !says_nothing
}
