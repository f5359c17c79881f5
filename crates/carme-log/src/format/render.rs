//! One record to one line.

use std::borrow::Cow;
use std::io::Write;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use super::directive::{Base, Field, Moment, PortOf, ResponseHeader, Unit};
use super::variable::{Value, Variable};
use super::{Format, Item, Line, json};
use crate::record::{ConnectionStatus, Record, RequestLine};
use crate::{decimal, escape};

impl Format {
    /// Appends the line for `record`, without its line feed, to `out`.
    ///
    /// Nothing is allocated once `out` is large enough and the thread has printed its first time.
    pub fn render(&self, record: &Record<'_>, out: &mut Vec<u8>) {
        let items = match &self.line {
            Line::Items(items) => items,
            Line::Json => return json::push(record, self.zone, out),
        };
        for item in items {
            match item {
                Item::Text(text) => out.extend_from_slice(text),
                Item::Always(field) => self.push_field(field, record, out),
                Item::When {
                    statuses,
                    listed,
                    field,
                } => {
                    if statuses.contains(&record.status) == *listed {
                        self.push_field(field, record, out);
                    } else {
                        out.push(b'-');
                    }
                }
            }
        }
    }

    fn push_field(&self, field: &Field, record: &Record<'_>, out: &mut Vec<u8>) {
        match field {
            Field::ClientAddress => push_address(out, record.client),
            Field::PeerAddress => push_address(out, record.peer.map(|peer| peer.ip())),
            Field::LocalAddress => push_address(out, record.local.map(|local| local.ip())),
            Field::BodyBytes => decimal::push(out, record.body_bytes),
            Field::BodyBytesOrDash => push_number(out, Some(record.body_bytes).filter(|&bytes| bytes > 0)),
            Field::Cookie(name) => push_cookie(out, record, name),
            Field::Duration(unit) => decimal::push(out, in_unit(record.duration, *unit)),
            Field::RequestHeader(name) => {
                push_joined(out, |each| record.fields.request_header(name, each));
            }
            Field::RequestTrailer(name) => {
                push_joined(out, |each| record.fields.request_trailer(name, each));
            }
            Field::ResponseHeader(header) => push_response_header(out, record, header),
            Field::ResponseTrailer(name) => {
                push_joined(out, |each| record.fields.response_trailer(name, each));
            }
            Field::Tls(name) => push_value(out, record.fields.tls(name)),
            Field::Variable(variable) => push_variable(out, record, variable),
            Field::Note(name) => push_value(out, record.fields.note(name)),
            Field::Protocol => push_value(
                out,
                parts(record).map(|(_, _, protocol)| {
                    if protocol.is_empty() { "HTTP/0.9" } else { protocol }.as_bytes()
                }),
            ),
            Field::File => push_value(out, record.file),
            Field::FirstByte => push_number(out, record.first_byte.map(micros)),
            Field::Handler => push_value(out, record.handler.map(str::as_bytes)),
            Field::Keepalives => decimal::push(out, u64::from(record.keepalives)),
            Field::Nothing => out.push(b'-'),
            Field::RequestId => push_value(out, record.request_id.map(str::as_bytes)),
            Field::Method => push_value(out, parts(record).map(|(method, ..)| method)),
            Field::Port(port) => push_number(out, port_of(record, *port).map(u64::from)),
            Field::ProcessId => {
                decimal::push(out, u64::from(record.worker_pid.unwrap_or_else(std::process::id)));
            }
            Field::ThreadId(Base::Ten) => decimal::push(out, thread_id::get() as u64),
            Field::ThreadId(Base::Sixteen) => {
                write!(out, "{:x}", thread_id::get()).expect("a Vec takes every write");
            }
            Field::Query => push_query(out, record),
            Field::RequestLine => push_request_line(out, record.request_line),
            Field::Status => push_number(out, Some(u64::from(record.status)).filter(|&status| status > 0)),
            Field::Time { moment, format } => {
                let time = match moment {
                    Moment::Begin => Some(record.start),
                    Moment::End => record.start.checked_add(record.duration),
                };
                format.push(out, microseconds(time.unwrap_or(record.start)), self.zone);
            }
            Field::User => match record.user {
                Some(b"") => out.extend_from_slice(b"\"\""),
                user => push_value(out, user),
            },
            Field::Path => push_path(out, record),
            Field::ServerName => match record.server_name {
                Some(name) => escape::push(out, name.as_bytes()),
                None => push_host(out, record.host),
            },
            Field::Host => match (record.host, record.server_name) {
                (None, Some(name)) => escape::push(out, name.as_bytes()),
                (host, _) => push_host(out, host),
            },
            Field::ConnectionStatus => out.push(match record.connection {
                ConnectionStatus::Aborted => b'X',
                ConnectionStatus::KeepAlive => b'+',
                ConnectionStatus::Close => b'-',
            }),
            Field::BytesIn => decimal::push(out, record.bytes_in),
            Field::BytesOut => decimal::push(out, record.bytes_out),
            Field::BytesBoth => decimal::push(out, record.bytes_in.saturating_add(record.bytes_out)),
        }
    }
}

fn push_value(out: &mut Vec<u8>, value: Option<&[u8]>) {
    escape::push(out, value.unwrap_or(b"-"));
}

/// As Apache keeps it: in lower case and without the brackets of an IPv6 address.
pub(super) fn push_host(out: &mut Vec<u8>, host: Option<&[u8]>) {
    let Some(host) = host else { return out.push(b'-') };
    let inner = host
        .strip_prefix(b"[")
        .and_then(|host| host.strip_suffix(b"]"))
        .unwrap_or(host);
    for byte in inner {
        escape::push_byte(out, byte.to_ascii_lowercase());
    }
}

fn push_number(out: &mut Vec<u8>, number: Option<u64>) {
    match number {
        Some(number) => decimal::push(out, number),
        None => out.push(b'-'),
    }
}

pub(super) fn push_address(out: &mut Vec<u8>, address: Option<IpAddr>) {
    match address.map(|address| address.to_canonical()) {
        None => out.push(b'-'),
        Some(IpAddr::V4(address)) => {
            for (at, octet) in address.octets().into_iter().enumerate() {
                if at > 0 {
                    out.push(b'.');
                }
                decimal::push(out, u64::from(octet));
            }
        }
        Some(IpAddr::V6(address)) => {
            write!(out, "{address}").expect("a Vec takes every write");
        }
    }
}

fn in_unit(duration: Duration, unit: Unit) -> u64 {
    match unit {
        Unit::Seconds => duration.as_secs(),
        Unit::Milliseconds => u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
        Unit::Microseconds => u64::try_from(duration.as_micros()).unwrap_or(u64::MAX),
    }
}

pub(super) fn micros(duration: Duration) -> u64 {
    in_unit(duration, Unit::Microseconds)
}

/// Since the epoch; negative before it.
pub(super) fn microseconds(time: SystemTime) -> i64 {
    let micros = |duration: Duration| i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => micros(after),
        Err(before) => -micros(before.duration()),
    }
}

fn port_of(record: &Record<'_>, port: PortOf) -> Option<u16> {
    let local = record.local.map(|local| local.port());
    match port {
        PortOf::Server => record.server_port.or(local),
        PortOf::Local => local,
        PortOf::Remote => record.peer.map(|peer| peer.port()),
    }
}

/// Every value, joined as Apache joins repeated headers.
fn push_joined(out: &mut Vec<u8>, lookup: impl FnOnce(&mut dyn FnMut(&[u8]))) {
    let mut found = false;
    lookup(&mut |value| {
        if found {
            out.extend_from_slice(b", ");
        }
        found = true;
        escape::push(out, value);
    });
    if !found {
        out.push(b'-');
    }
}

fn push_response_header(out: &mut Vec<u8>, record: &Record<'_>, header: &ResponseHeader) {
    let (name, parameters) = match header {
        ResponseHeader::SetCookie => {
            return push_joined(out, |each| record.fields.response_header("set-cookie", each));
        }
        ResponseHeader::ContentType => ("content-type", false),
        ResponseHeader::First(name) => (&**name, true),
    };
    let mut found = false;
    record.fields.response_header(name, &mut |value| {
        if !std::mem::replace(&mut found, true) {
            let end = if parameters {
                None
            } else {
                value.iter().position(|&byte| byte == b';')
            };
            escape::push(out, value[..end.unwrap_or(value.len())].trim_ascii_end());
        }
    });
    if !found {
        out.push(b'-');
    }
}

/// The first cookie of that name that has a value, whatever its case, in any Cookie header.
fn push_cookie(out: &mut Vec<u8>, record: &Record<'_>, name: &str) {
    let mut found = false;
    record.fields.request_header("cookie", &mut |header| {
        for pair in header.split(|&byte| byte == b';') {
            let Some(equals) = pair.iter().position(|&byte| byte == b'=') else {
                continue;
            };
            if equals + 1 == pair.len() {
                continue;
            }
            let matches = pair[..equals].trim_ascii().eq_ignore_ascii_case(name.as_bytes());
            if matches && !std::mem::replace(&mut found, true) {
                escape::push(out, pair[equals + 1..].trim_ascii());
            }
        }
    });
    if !found {
        out.push(b'-');
    }
}

fn push_variable(out: &mut Vec<u8>, record: &Record<'_>, variable: &Variable) {
    match variable.value(record) {
        Some(Value::Number(number)) => decimal::push(out, number),
        Some(Value::Text(text)) => escape::push(out, text),
        None => out.push(b'-'),
    }
}

fn parts<'a>(record: &Record<'a>) -> Option<(&'a [u8], &'a [u8], &'a str)> {
    match record.request_line {
        RequestLine::Parsed {
            method,
            target,
            protocol,
        } => Some((method, target, protocol)),
        RequestLine::Malformed(_) => None,
    }
}

fn push_request_line(out: &mut Vec<u8>, line: RequestLine<'_>) {
    match line {
        RequestLine::Malformed(b"") => out.push(b'-'),
        RequestLine::Malformed(received) => escape::push(out, &without_password_in(received)),
        RequestLine::Parsed {
            method,
            target,
            protocol,
        } => {
            escape::push(out, method);
            out.push(b' ');
            escape::push(out, &without_password(target));
            if !protocol.is_empty() {
                out.push(b' ');
                escape::push(out, protocol.as_bytes());
            }
        }
    }
}

/// What came instead of a request line; its second word may be a target that has a password.
pub(super) fn without_password_in(line: &[u8]) -> Cow<'_, [u8]> {
    let Some(start) = line.iter().position(|&byte| byte == b' ').map(|space| space + 1) else {
        return line.into();
    };
    let end = line[start..].iter().position(|&byte| byte == b' ');
    let end = end.map_or(line.len(), |end| start + end);
    match without_password(&line[start..end]) {
        Cow::Borrowed(_) => line.into(),
        Cow::Owned(target) => [&line[..start], &target, &line[end..]].concat().into(),
    }
}

/// As Apache does, so that `GET http://user:secret@host/` leaves no secret in a log.
pub(super) fn without_password(target: &[u8]) -> Cow<'_, [u8]> {
    let Some(authority) = authority_at(target) else {
        return target.into();
    };
    let end = target[authority..].iter().position(|byte| b"/?#".contains(byte));
    let end = end.map_or(target.len(), |end| authority + end);
    let Some(host) = target[authority..end].iter().rposition(|&byte| byte == b'@') else {
        return target.into();
    };
    let Some(colon) = target[authority..authority + host]
        .iter()
        .position(|&byte| byte == b':')
    else {
        return target.into();
    };
    [
        &target[..=authority + colon],
        b"XXXXXXXX",
        &target[authority + host..],
    ]
    .concat()
    .into()
}

/// Where `host:port` begins in an absolute-form target.
fn authority_at(target: &[u8]) -> Option<usize> {
    if target.starts_with(b"/") {
        return None;
    }
    let colon = target.iter().position(|byte| b":/?#".contains(byte))?;
    target[colon..].starts_with(b"://").then_some(colon + 3)
}

/// Path and query of a target in any of its four forms (RFC 9112, 3.2).
pub(crate) fn path_and_query(target: &[u8]) -> (&[u8], Option<&[u8]>) {
    let mut rest = target;
    if let Some(authority) = authority_at(target) {
        let path = target[authority..].iter().position(|byte| b"/?".contains(byte));
        rest = path.map_or(b"", |path| &target[authority + path..]);
    }
    let (path, query) = match rest.iter().position(|&byte| byte == b'?') {
        Some(at) => (&rest[..at], Some(&rest[at + 1..])),
        None => (rest, None),
    };
    // The authority form of CONNECT has no path; Apache prints "/".
    let path = if path.starts_with(b"/") || path == b"*" {
        path
    } else {
        b"/"
    };
    (path, query)
}

fn push_path(out: &mut Vec<u8>, record: &Record<'_>) {
    if let Some(path) = record.path {
        return escape::push(out, path);
    }
    let Some((_, target, _)) = parts(record) else {
        return out.push(b'-');
    };
    let mut path = path_and_query(target).0;
    while let Some(at) = path.iter().position(|&byte| byte == b'%') {
        escape::push(out, &path[..at]);
        path = &path[at..];
        let hex = |at: usize| path.get(at).and_then(|&digit| (digit as char).to_digit(16));
        let used = match (hex(1), hex(2)) {
            (Some(high), Some(low)) => {
                escape::push_byte(out, (high * 16 + low) as u8);
                3
            }
            _ => {
                out.push(b'%');
                1
            }
        };
        path = &path[used..];
    }
    escape::push(out, path);
}

fn push_query(out: &mut Vec<u8>, record: &Record<'_>) {
    let query = parts(record).and_then(|(_, target, _)| path_and_query(target).1);
    if let Some(query) = query {
        out.push(b'?');
        escape::push(out, query);
    }
}
