//! What a log line can say about one request: plain borrowed data, filled in by whoever served it.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime};

/// One finished request (or one that never became a request).
///
/// Every field has a default that prints as Apache prints a missing value, so callers set what they know:
/// `Record { status: 200, ..Record::default() }`.
#[derive(Clone, Copy)]
pub struct Record<'a> {
    /// The client's true address, after trusted proxies were taken into account (`%a`, `%h`). `None` on a Unix socket.
    pub client: Option<IpAddr>,
    /// The other end of the connection (`%{c}a`, `%{c}h`, `%{remote}p`). `None` on a Unix socket.
    pub peer: Option<SocketAddr>,
    /// Our end of the connection (`%A`, `%{local}p`). `None` on a Unix socket.
    pub local: Option<SocketAddr>,
    /// The server's name by configuration (`%v`).
    pub server_name: Option<&'a str>,
    /// The name the client asked for, without port (`%V`; `%v` where the configuration gives no name).
    pub host: Option<&'a [u8]>,
    /// The port by configuration (`%p`); the local one if `None`.
    pub server_port: Option<u16>,
    /// The first line of the request (`%r`, `%m`, `%U`, `%q`, `%H`).
    pub request_line: RequestLine<'a>,
    /// The path as it was looked up, decoded (`%U`). `None`: the target's path, percent-decoded, is printed.
    pub path: Option<&'a [u8]>,
    /// The authenticated user (`%u`).
    pub user: Option<&'a [u8]>,
    /// The status of the answer (`%s`, `%>s`); 0 if none was sent.
    pub status: u16,
    /// Bytes of the response's body that were sent, 0 for HEAD (`%b`, `%B`).
    pub body_bytes: u64,
    /// Bytes received, request line and header section included (`%I`, `%S`).
    pub bytes_in: u64,
    /// Bytes sent, status line and header section included (`%O`, `%S`).
    pub bytes_out: u64,
    /// When the request began (`%t`).
    pub start: SystemTime,
    /// From then to the end of the response (`%D`, `%T`, `%{end:…}t`).
    pub duration: Duration,
    /// From the beginning to the head of the response being sent (`%^FB`, `%{FIRST_BYTE_US}e`).
    pub first_byte: Option<Duration>,
    /// How long it waited for a worker (`%{QUEUE_TIME_US}e`).
    pub queue_time: Option<Duration>,
    /// How long a worker had it (`%{WORKER_TIME_US}e`).
    pub worker_time: Option<Duration>,
    /// The worker or member that answered (`%{BALANCER_WORKER_ROUTE}e`).
    pub route: Option<&'a str>,
    /// The process that answered (`%{WORKER_PID}e`, `%P`).
    pub worker_pid: Option<u32>,
    /// How many workers or members were given the request (`%{ATTEMPTS}e`).
    pub attempts: Option<u32>,
    /// What kind of thing answered, in Carme's words (`%R`).
    pub handler: Option<&'a str>,
    /// The file that was sent (`%f`).
    pub file: Option<&'a [u8]>,
    /// The request's id (`%{REQUEST_ID}e`, `%L`).
    pub request_id: Option<&'a str>,
    /// What became of the connection (`%X`).
    pub connection: ConnectionStatus,
    /// Requests answered on this connection before this one (`%k`).
    pub keepalives: u32,
    /// Headers, variables and notes.
    pub fields: &'a dyn Fields,
}

impl Default for Record<'_> {
    fn default() -> Self {
        Record {
            client: None,
            peer: None,
            local: None,
            server_name: None,
            host: None,
            server_port: None,
            request_line: RequestLine::Malformed(b""),
            path: None,
            user: None,
            status: 0,
            body_bytes: 0,
            bytes_in: 0,
            bytes_out: 0,
            start: SystemTime::UNIX_EPOCH,
            duration: Duration::ZERO,
            first_byte: None,
            queue_time: None,
            worker_time: None,
            route: None,
            worker_pid: None,
            attempts: None,
            handler: None,
            file: None,
            request_id: None,
            connection: ConnectionStatus::Close,
            keepalives: 0,
            fields: &NoFields,
        }
    }
}

/// The first line of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestLine<'a> {
    /// Method, target and protocol, each as it was received.
    Parsed {
        /// `GET`
        method: &'a [u8],
        /// `/path?query`, undecoded.
        target: &'a [u8],
        /// `HTTP/1.1`; empty for HTTP/0.9, which sends none.
        protocol: &'a str,
    },
    /// What came instead, up to the end of its first line; empty if nothing came.
    Malformed(&'a [u8]),
}

/// What became of the connection after the response, Apache's `%X`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionStatus {
    /// `X`: it ended before the response was complete.
    Aborted,
    /// `+`: it may carry another request.
    KeepAlive,
    /// `-`: it is closed after this response.
    Close,
}

/// Looks up what a format names. Header names are given in lower case.
pub trait Fields {
    /// Calls `each` with every value of a request header, in the order received.
    fn request_header(&self, name: &str, each: &mut dyn FnMut(&[u8]));
    /// Calls `each` with every value of a response header, in the order sent.
    fn response_header(&self, name: &str, each: &mut dyn FnMut(&[u8]));
    /// Calls `each` with every value of a trailer field of the request.
    fn request_trailer(&self, _name: &str, _each: &mut dyn FnMut(&[u8])) {}
    /// Calls `each` with every value of a trailer field of the response.
    fn response_trailer(&self, _name: &str, _each: &mut dyn FnMut(&[u8])) {}
    /// What mod_ssl would say of the connection (`%{SSL_PROTOCOL}x`, in upper case as there); `None` without TLS.
    fn tls(&self, _name: &str) -> Option<&[u8]> {
        None
    }
    /// An environment variable of the request (`%{NAME}e`) that [`Record`] has no value for.
    fn variable(&self, _name: &str) -> Option<&[u8]> {
        None
    }
    /// A note that some part of the server left on the request (`%{NAME}n`).
    fn note(&self, _name: &str) -> Option<&[u8]> {
        None
    }
}

/// No headers, no variables, no notes: a request that could not be read.
#[derive(Debug, Clone, Copy)]
pub struct NoFields;

impl Fields for NoFields {
    fn request_header(&self, _name: &str, _each: &mut dyn FnMut(&[u8])) {}
    fn response_header(&self, _name: &str, _each: &mut dyn FnMut(&[u8])) {}
}
