//! One exchange on its way to the access log. The line is written when the record is dropped, so no request goes
//! without one, whatever future is dropped where.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use carme_farm::dispatch::Account;
use carme_log::{ConnectionStatus, Fields, RequestLine};
use http::{HeaderMap, Method, Uri, Version, header};

use crate::guard::Notes;
use crate::policy::Policy;
use crate::request_id::RequestId;
use crate::state::{ConnectionState, NextHead};

/// nginx's status for a client that left before it got any of an answer. It is never sent.
const CLIENT_LEFT: u16 = 499;

pub(crate) struct Record {
    pub(crate) connection: Arc<ConnectionState>,
    pub(crate) id: RequestId,
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) version: Version,
    pub(crate) headers: HeaderMap,
    pub(crate) notes: Notes,
    pub(crate) raw_target: Option<Box<[u8]>>,
    /// The first line of what never became a request.
    refused_line: Option<Box<[u8]>>,
    pub(crate) response_headers: Option<HeaderMap>,
    /// 0 until there is an answer.
    pub(crate) status: u16,
    /// Bytes of the response's body that hyper was given.
    pub(crate) body_bytes: u64,
    pub(crate) bytes_in: u64,
    pub(crate) account: Option<Account>,
    /// What holds where the request was answered.
    pub(crate) policy: Option<Arc<Policy>>,
    /// The connection ends with this exchange.
    pub(crate) close: bool,
    keepalives: u32,
    /// `None` where nobody logs.
    started: Option<Instant>,
    fate: Fate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Open,
    Sent,
}

impl Record {
    /// The record of a request that hyper has just parsed; `head` is what the guard says of it.
    pub(crate) fn begin(
        connection: Arc<ConnectionState>,
        head: NextHead,
        keepalives: u32,
        parts: http::request::Parts,
    ) -> Box<Self> {
        let started = (!connection.common.access_logs.is_empty()).then(Instant::now);
        let http::request::Parts {
            method,
            uri,
            version,
            headers,
            ..
        } = parts;
        let policy = connection.common.policy.clone();
        Box::new(Record {
            connection,
            id: RequestId::next(),
            method,
            uri,
            version,
            headers,
            notes: head.notes,
            raw_target: head.raw_target,
            refused_line: head.refused.map(|refused| refused.line),
            response_headers: None,
            status: 0,
            body_bytes: 0,
            bytes_in: head.len as u64,
            account: None,
            policy,
            close: head.notes.close,
            keepalives,
            started,
            fate: Fate::Open,
        })
    }

    /// The socket has taken the whole response.
    pub(crate) fn sent(&mut self) {
        self.fate = Fate::Sent;
    }

    /// The target as received.
    pub(crate) fn target(&self) -> &[u8] {
        match (&self.raw_target, self.uri.path_and_query()) {
            (Some(raw), _) => raw,
            (None, Some(target)) => target.as_str().as_bytes(),
            (None, None) => b"",
        }
    }

    fn request_line(&self) -> RequestLine<'_> {
        if let Some(line) = &self.refused_line {
            return parse_line(line);
        }
        let protocol = if self.version == Version::HTTP_10 {
            "HTTP/1.0"
        } else {
            "HTTP/1.1"
        };
        RequestLine::Parsed {
            method: self.method.as_str().as_bytes(),
            target: self.target(),
            protocol,
        }
    }

    fn write(&self, started: Instant) {
        let connection = &self.connection;
        let common = &connection.common;
        let duration = started.elapsed();
        let written = connection.written();
        let sent = self.fate == Fate::Sent;
        let account = self.account.as_ref();
        let worker = account.and_then(|account| account.worker.as_ref());
        let known = |time: Duration| worker.map(|_| time);
        let record = carme_log::Record {
            client: connection.ends.peer.map(|peer| peer.ip()),
            peer: connection.ends.peer,
            local: connection.ends.local,
            server_name: common.server_name.as_deref(),
            host: self
                .headers
                .get(header::HOST)
                .map(|host| split_port(host.as_bytes()).0),
            server_port: None,
            request_line: self.request_line(),
            path: None,
            user: None,
            status: self.status,
            body_bytes: if sent {
                self.body_bytes
            } else {
                self.body_bytes.min(written)
            },
            bytes_in: self.bytes_in,
            bytes_out: written,
            start: SystemTime::now()
                .checked_sub(duration)
                .unwrap_or(SystemTime::UNIX_EPOCH),
            duration,
            queue_time: account.map(|account| account.queued),
            worker_time: account.and_then(|account| known(account.worked)),
            route: worker.map(|worker| &*worker.route),
            worker_pid: worker.map(|worker| worker.pid),
            request_id: Some(self.id.as_str()),
            connection: match (sent, self.close) {
                (false, _) => ConnectionStatus::Aborted,
                (true, true) => ConnectionStatus::Close,
                (true, false) => ConnectionStatus::KeepAlive,
            },
            keepalives: self.keepalives,
            fields: self,
        };
        thread_local! {
            static LINE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
        }
        LINE.with_borrow_mut(|line| {
            for log in &common.access_logs {
                log.write(&record, line);
            }
        });
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if self.fate == Fate::Open {
            if self.connection.written() == 0 || self.status == 0 {
                self.status = CLIENT_LEFT;
            }
            tracing::info!(
                client = %self.connection.ends.peer_text,
                request_id = self.id.as_str(),
                status = self.status,
                "the connection ended before the response was sent"
            );
        }
        if let Some(started) = self.started {
            self.write(started);
        }
    }
}

impl Fields for Record {
    fn request_header(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
        self.headers
            .get_all(name)
            .iter()
            .for_each(|value| each(value.as_bytes()));
    }

    fn response_header(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
        if let Some(headers) = &self.response_headers {
            headers
                .get_all(name)
                .iter()
                .for_each(|value| each(value.as_bytes()));
        }
    }
}

/// The parts of a request line, if it has them; it may have been refused for something that follows it.
fn parse_line(line: &[u8]) -> RequestLine<'_> {
    let mut words = line.split(|&b| b == b' ');
    let (method, target, version, end) = (words.next(), words.next(), words.next(), words.next());
    let protocol = match version {
        Some(b"HTTP/1.1") => "HTTP/1.1",
        Some(b"HTTP/1.0") => "HTTP/1.0",
        _ => return RequestLine::Malformed(line),
    };
    match (method, target, end) {
        (Some(method @ [_, ..]), Some(target @ [_, ..]), None) => RequestLine::Parsed {
            method,
            target,
            protocol,
        },
        _ => RequestLine::Malformed(line),
    }
}

/// `host:port` apart, the port as it is written; the brackets of an IPv6 address stay with the host.
pub(crate) fn split_port(authority: &[u8]) -> (&[u8], Option<&[u8]>) {
    // A port has five digits at most, so the colon is near the end.
    match authority.iter().rposition(|&b| b == b':' || b == b']') {
        Some(at) if authority[at] == b':' => (&authority[..at], Some(&authority[at + 1..])),
        _ => (authority, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_come_off_hosts() {
        for (authority, host, port) in [
            ("a", "a", None),
            ("a:80", "a", Some("80")),
            ("a:", "a", Some("")),
            ("[::1]", "[::1]", None),
            ("[::1]:80", "[::1]", Some("80")),
            ("", "", None),
        ] {
            assert_eq!(
                split_port(authority.as_bytes()),
                (host.as_bytes(), port.map(str::as_bytes))
            );
        }
    }

    #[test]
    fn a_sound_line_of_a_refused_request_is_logged_in_parts() {
        assert_eq!(
            parse_line(b"GET /a HTTP/1.1"),
            RequestLine::Parsed {
                method: b"GET",
                target: b"/a",
                protocol: "HTTP/1.1"
            }
        );
        for line in ["GET /a", "GET  HTTP/1.1", "GET /a HTTP/1.1 ", "\x16\x03", ""] {
            assert_eq!(
                parse_line(line.as_bytes()),
                RequestLine::Malformed(line.as_bytes())
            );
        }
    }
}
