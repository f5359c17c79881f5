//! What workers send, believed as far as it can be checked.

use bytes::Bytes;
use carme_ring::frame::ResponseHead;
use carme_ring::{InboxMessage, Poisoned, Record, RecordKind, WorkerIndex, clock, flags};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::app::State;
use super::body::Aborted;
use super::exchange::{Answer, AnswerBody, Failure};
use super::streams::{Phase, Stream};

impl State {
    /// Takes in what every worker has sent.
    pub(super) fn drain_all(&mut self) {
        for index in 0..self.workers.len() {
            if self.workers[index].is_some() {
                self.drain(WorkerIndex(index as u16));
            }
        }
        if self.has_backlog() {
            self.submit_backlog();
        }
    }

    /// Takes in what one worker has sent.
    pub(super) fn drain(&mut self, worker: WorkerIndex) {
        let Some(mut ring) = self.ring.take() else { return };
        let mut records = std::mem::take(&mut self.records);
        let drained = ring.drain(worker, |_, record| records.push(record));
        self.ring = Some(ring);
        let mut damage = None;
        if !records.is_empty() {
            let now = clock::now();
            for record in records.drain(..) {
                if damage.is_none() {
                    damage = self.take_in(worker, record, now).err();
                }
            }
        }
        self.records = records;
        match (drained, damage) {
            (Err(damage), _) | (_, Some(damage)) => self.damaged(damage),
            (Ok(true), None) => self.ring_inbox(worker),
            (Ok(false), None) => {}
        }
    }

    fn take_in(&mut self, worker: WorkerIndex, record: Record, now: u64) -> Result<(), Poisoned> {
        let id = record.stream;
        let poisoned = |what| Poisoned {
            worker: Some(worker),
            what,
        };
        self.collect(id, now)?;
        let Some(stream) = self.streams.get_mut(id) else {
            return Err(poisoned("a record belongs to no request"));
        };
        if stream.worker.as_ref().map(|(w, _)| *w) != Some(worker) {
            return Err(poisoned("a record belongs to another worker's request"));
        }
        let received = stream.take_in(record, now).map_err(poisoned)?;
        if matches!(stream.phase, Phase::Ended)
            && let Some(Some(attached)) = self.workers.get_mut(worker.get())
        {
            attached.answered += 1;
            self.answered += 1;
        }
        if stream.abandoned || stream.standing.is_over() {
            if matches!(stream.phase, Phase::Ended) {
                // Whoever has not been told yet that it took too long still finds that here.
                if stream.abandoned {
                    self.streams.remove(id);
                }
            } else if received > 0 {
                // Whoever drops what comes must not let the worker wait for it.
                self.tell(
                    worker,
                    InboxMessage::Credit {
                        stream: id,
                        bytes: received,
                    },
                );
            }
            return Ok(());
        }
        stream.wake();
        self.grant(id);
        Ok(())
    }
}

impl Stream {
    /// Takes in one record; says how many body bytes it had.
    fn take_in(&mut self, record: Record, now: u64) -> Result<u32, &'static str> {
        let Record {
            kind, flags, payload, ..
        } = record;
        let ends = flags & flags::END != 0;
        let mut received = 0;
        let over = self.standing.is_over();
        match (kind, &self.phase) {
            (RecordKind::Response, Phase::InFlight) if over => {
                received = ResponseHead::decode(&payload).map_or(0, |(_, body)| payload.len() - body) as u32;
                self.phase = Phase::Answering;
            }
            (RecordKind::Response, Phase::InFlight) => {
                self.file = None;
                match decode_answer(payload) {
                    Err(reason) => {
                        self.answer = Some(Err(Failure::InvalidResponse(reason)));
                        // What else comes of it is dropped.
                        self.abandon_answer();
                    }
                    Ok((mut answer, body)) => {
                        received = body.len() as u32;
                        if flags & flags::FILE != 0 {
                            self.file_expected = true;
                        } else if ends {
                            answer.body = AnswerBody::Whole(body);
                        } else {
                            self.streaming = true;
                            self.body.push(body);
                        }
                        self.answer = Some(Ok(answer));
                        self.match_file();
                    }
                }
                self.phase = Phase::Answering;
            }
            (RecordKind::Body, Phase::Answering) => {
                received = payload.len() as u32;
                if !self.abandoned && !over {
                    self.body.push(payload);
                }
            }
            (RecordKind::Abort, Phase::Answering) => {
                self.body
                    .finish(Err(Aborted(String::from_utf8_lossy(&payload).into_owned())));
            }
            // Told that nobody waits any more, a worker ends what it has not begun to answer like this.
            (RecordKind::Abort, Phase::InFlight) if self.abandoned || over => {}
            (RecordKind::Failed | RecordKind::Invalid, Phase::InFlight) if over => {}
            (RecordKind::Failed, Phase::InFlight) => {
                self.answer = Some(Err(Failure::AppRaised(
                    String::from_utf8_lossy(&payload).into_owned(),
                )));
            }
            (RecordKind::Invalid, Phase::InFlight) => {
                self.answer = Some(Err(Failure::InvalidResponse(
                    String::from_utf8_lossy(&payload).into_owned(),
                )));
            }
            _ => return Err("a record comes at a time when it cannot"),
        }
        if ends || !matches!(kind, RecordKind::Response | RecordKind::Body) {
            self.body.finish(Ok(()));
            if !over {
                self.ended_at = now;
            }
            self.phase = Phase::Ended;
            self.file = None;
        }
        self.last_piece_at = now;
        Ok(received)
    }

    fn abandon_answer(&mut self) {
        self.file_expected = false;
        self.body
            .finish(Err(Aborted("the response's head is invalid".into())));
    }

    /// Joins an answer and the file that is its body, whichever came first.
    pub(super) fn match_file(&mut self) {
        if let (true, Some(Ok(answer)), Some((file, offset, len))) = (
            self.file_expected,
            &mut self.answer,
            self.file_came.take_if(|_| self.file_expected),
        ) {
            answer.body = AnswerBody::File { file, offset, len };
            self.file_expected = false;
        }
    }
}

/// The answer with an empty stream for a body, and the bytes of the body that came along. Everything in it is valid HTTP.
fn decode_answer(payload: Bytes) -> Result<(Answer, Bytes), String> {
    let (head, body_at) = ResponseHead::decode(&payload).map_err(|e| e.to_string())?;
    let status =
        StatusCode::from_u16(head.status).map_err(|_| format!("{} is not a status code", head.status))?;
    if status.is_informational() {
        return Err(format!("{status} is not a final status"));
    }
    let mut headers = HeaderMap::with_capacity(8);
    for field in head.headers() {
        let (name, value) = field.map_err(|e| e.to_string())?;
        let shown = || String::from_utf8_lossy(name).into_owned();
        let name = HeaderName::from_bytes(name).map_err(|_| format!("{:?} is not a header name", shown()))?;
        let value = HeaderValue::from_maybe_shared(payload.slice_ref(value))
            .map_err(|_| format!("the value of {name} has characters that no header may have"))?;
        headers.append(name, value);
    }
    let usual = status.canonical_reason().unwrap_or("").as_bytes();
    let reason = (!head.reason.is_empty() && head.reason != usual).then(|| payload.slice_ref(head.reason));
    if reason
        .as_ref()
        .is_some_and(|r| r.iter().any(|b| *b < b' ' && *b != b'\t' || *b == 0x7f))
    {
        return Err("the reason phrase has control characters".into());
    }
    let body = payload.slice(body_at..);
    Ok((
        Answer {
            status,
            reason,
            headers,
            body: AnswerBody::Stream,
        },
        body,
    ))
}
