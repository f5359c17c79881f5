//! One exchange on its way to the access log. The line is written when the record is dropped, so no request goes
//! without one, whatever future is dropped where.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use carme_farm::dispatch::Account;
use carme_log::{ConnectionStatus, Fields, RequestLine};
use carme_proxy::Attempts;
use carme_ring::frame::Scheme;
use http::{HeaderMap, HeaderValue, Method, Uri, Version, header};

use crate::client::{Claims, Node, tell_of_stranger};
use crate::environment::Environment;
use crate::guard::Notes;
use crate::metrics::Observation;
use crate::policy::Policy;
use crate::refused::Refused;
use crate::request_id::RequestId;
use crate::site::Common;
use crate::state::{ConnectionState, NextHead};
use crate::trace::{Told, Tracing};

/// nginx's status for a client that left before it got any of an answer. It is never sent.
const CLIENT_LEFT: u16 = 499;

pub(crate) struct Record {
    pub(crate) connection: Arc<ConnectionState>,
    /// Of the site that was served when it began.
    pub(crate) common: Arc<Common>,
    pub(crate) id: RequestId,
    /// What trusted proxies say of the client; `None` if there is none, or none says anything.
    pub(crate) claims: Option<Box<Claims>>,
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) version: Version,
    pub(crate) headers: HeaderMap,
    /// What is left of `headers` where nobody logs, for the front's own pages.
    accept: Option<HeaderValue>,
    pub(crate) notes: Notes,
    pub(crate) raw_target: Option<Box<[u8]>>,
    /// What never became a request.
    refused: Option<Box<Refused>>,
    pub(crate) response_headers: Option<HeaderMap>,
    /// What was taken out of `headers`, if somebody logs it.
    pub(crate) unseen_headers: Option<Box<HeaderMap>>,
    /// The client sent no `Content-Length`.
    pub(crate) length_is_ours: bool,
    /// `None` where nobody logs them.
    pub(crate) request_trailers: Option<Box<HeaderMap>>,
    /// Why the front answered in the application's place, or cut the connection.
    pub(crate) reason: Option<String>,
    /// From the beginning to the response's head, if somebody logs it.
    first_byte: Option<Duration>,
    /// 0 until there is an answer.
    pub(crate) status: u16,
    /// Bytes of the response's body that hyper was given.
    pub(crate) body_bytes: u64,
    /// Head and body, but for what is in `counted`.
    pub(crate) bytes_in: u64,
    /// Of a body that is counted as it comes.
    counted: Option<Arc<AtomicU64>>,
    pub(crate) account: Option<Account>,
    /// How far it has come at the members of a balancer, while it is on its way.
    pub(crate) attempts: Option<Arc<Mutex<Attempts>>>,
    /// What became of it there.
    tried: Option<Box<Attempts>>,
    /// Whose request it is, once that is known; see [`crate::Application::number`].
    pub(crate) app: Option<u16>,
    /// Which balancer's members are asked; see [`crate::Proxied::number`].
    pub(crate) balancer: Option<u16>,
    /// Its part of a trace, if it has one.
    pub(crate) trace: Option<Tracing>,
    /// What holds where the request was answered.
    pub(crate) policy: Option<Arc<Policy>>,
    /// Its variables for logs, header rules and conditions.
    pub(crate) environment: Environment,
    /// Its answer binds the client to the worker that gives it.
    pub(crate) binds: bool,
    /// The connection ends with this exchange.
    pub(crate) close: bool,
    keepalives: u32,
    /// `None` where nobody logs, counts or reads variables.
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
        common: Arc<Common>,
        head: NextHead,
        keepalives: u32,
        parts: http::request::Parts,
    ) -> Box<Self> {
        if let Some(metrics) = &common.metrics {
            metrics.begin();
        }
        let timed = !common.access_logs.is_empty()
            || common.metrics.is_some()
            || common.traces.is_some()
            || common.reads_variables;
        let started = timed.then(Instant::now);
        let keeps_trailers = common.keeps_request_trailers;
        let request_trailers = keeps_trailers.then(Box::<HeaderMap>::default);
        let http::request::Parts {
            method,
            uri,
            version,
            mut headers,
            ..
        } = parts;
        let mut claims = None;
        if head.notes.claims {
            let peer = connection.ends.client().map(|peer| peer.ip());
            tell_of_stranger(&headers, peer, &common.proxies, &common.stranger);
            claims = Claims::settle(&mut headers, peer, &common.proxies);
        }
        let given = claims.as_mut().and_then(|claims| claims.request_id.take());
        let policy = common.policy.clone();
        Box::new(Record {
            connection,
            common,
            id: given.unwrap_or_else(RequestId::next),
            claims,
            method,
            uri,
            version,
            headers,
            accept: None,
            notes: head.notes,
            raw_target: head.raw_target,
            refused: head.refused,
            response_headers: None,
            unseen_headers: None,
            length_is_ours: false,
            request_trailers,
            reason: None,
            first_byte: None,
            status: 0,
            body_bytes: 0,
            bytes_in: head.len as u64,
            counted: head.chunked,
            account: None,
            attempts: None,
            tried: None,
            app: None,
            balancer: None,
            trace: None,
            policy,
            environment: Environment::default(),
            binds: false,
            close: head.notes.close,
            keepalives,
            started,
            fate: Fate::Open,
        })
    }

    /// All bytes of the request, as they came.
    fn received(&self) -> u64 {
        let counted = self.counted.as_ref().map_or(0, |count| count.load(Relaxed));
        self.bytes_in + counted
    }

    /// What is known of the members becomes the request's variables, as `mod_proxy_balancer` has it.
    pub(crate) fn note_attempts(&mut self) {
        if let Some(attempts) = self.attempts.take() {
            let mut attempts = std::mem::take(&mut *attempts.lock().unwrap_or_else(PoisonError::into_inner));
            for (name, value) in attempts.variables.drain(..) {
                self.environment.set(name, value);
            }
            self.tried = Some(Box::new(attempts));
        }
    }

    /// The request's body is counted there, as it comes.
    pub(crate) fn count_body(&mut self, count: Arc<AtomicU64>) {
        self.counted = Some(count);
    }

    /// The response's head is on its way to the socket.
    pub(crate) fn answered(&mut self) {
        if self.common.measures_first_byte {
            self.first_byte = self.started.map(|started| started.elapsed());
        }
    }

    /// The socket has taken the whole response.
    pub(crate) fn sent(&mut self) {
        self.fate = Fate::Sent;
    }

    /// Forgets the request's fields but for what an error page needs.
    pub(crate) fn forget_headers(&mut self) {
        self.accept = std::mem::take(&mut self.headers).remove(header::ACCEPT);
    }

    /// What the client accepts, as far as it said and could be understood.
    pub(crate) fn accepts(&self) -> impl Iterator<Item = &[u8]> {
        let sound = self.headers.get_all(header::ACCEPT).iter().chain(&self.accept);
        let refused = self.refused.iter().flat_map(|refused| refused.values("accept"));
        sound.map(HeaderValue::as_bytes).chain(refused)
    }

    /// The target as received.
    pub(crate) fn target(&self) -> &[u8] {
        match (&self.raw_target, self.uri.path_and_query()) {
            (Some(raw), _) => raw,
            (None, Some(target)) => target.as_str().as_bytes(),
            (None, None) => b"",
        }
    }

    /// The client's true end, as far as it is known.
    pub(crate) fn client(&self) -> Option<Node> {
        let claimed = self.claims.as_ref().and_then(|claims| claims.client());
        claimed.or_else(|| self.connection.ends.client().map(Node::from))
    }

    /// Its address; empty on a Unix socket.
    pub(crate) fn client_text(&self) -> &str {
        let claimed = self.claims.as_ref().and_then(|claims| claims.client_text());
        claimed.unwrap_or_else(|| self.connection.ends.client_text())
    }

    /// What the client speaks: as a trusted proxy says, or as it came.
    pub(crate) fn scheme(&self) -> Scheme {
        let connection = &self.connection;
        match self.claims.as_ref().and_then(|claims| claims.scheme) {
            Some(claimed) => claimed,
            None if connection.tls().is_some() || connection.ends.tls_before() => Scheme::Https,
            None => Scheme::Http,
        }
    }

    fn told(&self, duration: Duration) -> Told<'_> {
        Told {
            method: self.method.as_str(),
            path: self.uri.path(),
            client: self.client_text(),
            version: match self.version {
                Version::HTTP_10 => "1.0",
                _ => "1.1",
            },
            request_id: self.id.as_str(),
            status: self.status,
            body_bytes: self.body_bytes,
            account: self.account.as_ref(),
            duration,
        }
    }

    fn request_line(&self) -> RequestLine<'_> {
        if let Some(refused) = &self.refused {
            return parse_line(&refused.line);
        }
        RequestLine::Parsed {
            method: self.method.as_str().as_bytes(),
            target: self.target(),
            protocol: self.protocol(),
        }
    }

    pub(crate) fn protocol(&self) -> &'static str {
        match self.version {
            Version::HTTP_10 => "HTTP/1.0",
            _ => "HTTP/1.1",
        }
    }

    /// As the client sent it.
    fn host(&self) -> Option<&[u8]> {
        match &self.refused {
            Some(refused) => refused.first_value("host"),
            None => self.headers.get(header::HOST).map(|host| host.as_bytes()),
        }
    }

    /// What is known of the request so far, as logs and variables see it.
    pub(crate) fn facts(&self) -> carme_log::Record<'_> {
        let connection = &self.connection;
        let common = &self.common;
        let duration = self.started.map_or(Duration::ZERO, |started| started.elapsed());
        let written = connection.written();
        let sent = self.fate == Fate::Sent;
        let account = self.account.as_ref();
        let worker = account.and_then(|account| account.worker.as_ref());
        let known = |time: Duration| worker.map(|_| time);
        let attempts = self.tried.as_deref();
        let route = attempts
            .and_then(|attempts| attempts.member.as_ref())
            .and_then(|member| str::from_utf8(&member.route).ok());
        carme_log::Record {
            client: self.client().map(|client| client.address),
            peer: connection.ends.peer,
            local: connection.ends.local,
            server_name: common.server_name.as_deref(),
            host: self.host().map(|host| split_port(host).0),
            server_port: self.claims.as_ref().and_then(|claims| claims.port),
            request_line: self.request_line(),
            path: None,
            user: None,
            status: self.status,
            body_bytes: if sent {
                self.body_bytes
            } else {
                self.body_bytes.min(written)
            },
            bytes_in: self.received(),
            bytes_out: written,
            start: SystemTime::now()
                .checked_sub(duration)
                .unwrap_or(SystemTime::UNIX_EPOCH),
            duration,
            first_byte: self.first_byte,
            queue_time: account
                .map(|account| account.queued)
                .or(attempts.map(|attempts| attempts.waited)),
            worker_time: account
                .and_then(|account| known(account.worked))
                .or(attempts.and_then(Attempts::answered_in)),
            route: worker.map(|worker| &*worker.route).or(route),
            worker_pid: worker.map(|worker| worker.pid),
            attempts: account
                .map(|_| u32::from(worker.is_some()))
                .or(attempts.map(|attempts| attempts.number)),
            handler: account.map(|_| "app").or(attempts.map(|_| "proxy-server")),
            file: None,
            request_id: Some(self.id.as_str()),
            connection: match (sent, self.close) {
                (false, _) => ConnectionStatus::Aborted,
                (true, true) => ConnectionStatus::Close,
                (true, false) => ConnectionStatus::KeepAlive,
            },
            keepalives: self.keepalives,
            fields: self,
        }
    }

    fn write(&self) {
        let record = self.facts();
        thread_local! {
            static LINE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
        }
        LINE.with_borrow_mut(|line| {
            for log in &self.common.access_logs {
                log.write(&record, line);
            }
        });
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.note_attempts();
        if self.fate == Fate::Open {
            if self.connection.written() == 0 || self.status == 0 {
                self.status = CLIENT_LEFT;
            }
            tracing::info!(
                client = %self.client_text(),
                request_id = self.id.as_str(),
                status = self.status,
                "the connection ended before the response was sent"
            );
        }
        let common = &self.common;
        if let (Some(metrics), Some(started)) = (&common.metrics, self.started) {
            metrics.observe(&Observation {
                app: self.app,
                balancer: self.balancer,
                account: self.account.as_ref(),
                status: self.status,
                duration: started.elapsed(),
                bytes_in: self.received(),
                bytes_out: self.connection.written(),
                sent: self.fate == Fate::Sent,
            });
        }
        if let (Some(traces), Some(trace), Some(started)) = (&common.traces, &self.trace, self.started) {
            traces.end(trace, &self.told(started.elapsed()));
        }
        if !common.access_logs.is_empty() {
            self.write();
        }
    }
}

/// The values of a field, in the order received.
fn each_value(headers: Option<&HeaderMap>, name: &str, each: &mut dyn FnMut(&[u8])) {
    if let Some(headers) = headers {
        headers
            .get_all(name)
            .iter()
            .for_each(|value| each(value.as_bytes()));
    }
}

impl Fields for Record {
    fn request_header(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
        // The stand-in for a refused request has fields of its own.
        if let Some(refused) = &self.refused {
            return refused.each_value(name, each);
        }
        if self.length_is_ours && name == "content-length" {
            return;
        }
        each_value(Some(&self.headers), name, &mut *each);
        each_value(self.unseen_headers.as_deref(), name, each);
    }

    fn response_header(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
        each_value(self.response_headers.as_ref(), name, each);
    }

    fn request_trailer(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
        each_value(self.request_trailers.as_deref(), name, each);
    }

    /// Apache's name for why a request was not answered as it was meant to be.
    fn note(&self, name: &str) -> Option<&[u8]> {
        self.reason
            .as_ref()
            .filter(|_| name == "error-notes")
            .map(String::as_bytes)
    }

    fn variable(&self, name: &str) -> Option<&[u8]> {
        self.environment.get(name)
    }

    fn tls(&self, name: &str) -> Option<&[u8]> {
        // Of a client that a proxy speaks TLS with there is nothing else to say.
        if name == "HTTPS" {
            return (self.scheme() == Scheme::Https).then_some(b"on");
        }
        self.connection.tls()?.facts.variable(name).map(str::as_bytes)
    }
}

/// The parts of a request line, if it has them; it may have been refused for something that follows it.
fn parse_line(line: &[u8]) -> RequestLine<'_> {
    let mut words = line.split(|&b| b == b' ');
    let (method, target, version, end) = (words.next(), words.next(), words.next(), words.next());
    let protocol = match version {
        Some([b'H', b'T', b'T', b'P', b'/', major, b'.', minor])
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            version.and_then(|version| str::from_utf8(version).ok())
        }
        _ => None,
    };
    let Some(protocol) = protocol else {
        return RequestLine::Malformed(line);
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
        assert!(matches!(
            parse_line(b"GET /a HTTP/2.0"),
            RequestLine::Parsed {
                protocol: "HTTP/2.0",
                ..
            }
        ));
        for line in [
            "GET /a",
            "GET /a HTTP/x",
            "GET /a HTTP/1.1x",
            "GET  HTTP/1.1",
            "GET /a HTTP/1.1 ",
            "\x16\x03",
            "",
        ] {
            assert_eq!(
                parse_line(line.as_bytes()),
                RequestLine::Malformed(line.as_bytes())
            );
        }
    }
}
