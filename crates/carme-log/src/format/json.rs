//! `json`: one object a line, the same members in the same order in every line, `null` for what does not exist.
//!
//! A line is ASCII whatever a client sends: other characters are `\uXXXX`, and a byte that is not UTF-8 becomes the
//! character of its number (`\u00ff`).

use super::Zone;
use super::render::{micros, microseconds, push_address, without_password, without_password_in};
use crate::record::{ConnectionStatus, Record, RequestLine};
use crate::{decimal, time};

/// Appends the object for `record`.
pub(super) fn push(record: &Record<'_>, zone: Zone, out: &mut Vec<u8>) {
    let mut object = Object { out, zone };
    object.out.push(b'{');
    object.members(record);
    object.out.push(b'}');
}

struct Object<'o> {
    out: &'o mut Vec<u8>,
    zone: Zone,
}

impl Object<'_> {
    fn members(&mut self, record: &Record<'_>) {
        let (method, target, protocol, malformed) = match record.request_line {
            RequestLine::Parsed {
                method,
                target,
                protocol,
            } => (Some(method), Some(target), Some(protocol), None),
            RequestLine::Malformed(line) => (None, None, None, Some(line)),
        };
        self.out.extend_from_slice(b"\"time\":\"");
        time::push_rfc3339(self.out, microseconds(record.start), self.zone);
        self.out.push(b'"');
        self.text("request_id", record.request_id.map(str::as_bytes));
        self.name("client");
        self.address(record.client);
        self.name("peer");
        self.address(record.peer.map(|peer| peer.ip()));
        self.text("user", record.user);
        self.text("host", record.host);
        self.text("method", method);
        self.text("target", target.map(without_password).as_deref());
        self.text("protocol", protocol.map(str::as_bytes));
        self.text("malformed", malformed.map(without_password_in).as_deref());
        self.number(
            "status",
            Some(u64::from(record.status)).filter(|&status| status > 0),
        );
        self.number("body_bytes", Some(record.body_bytes));
        self.number("bytes_in", Some(record.bytes_in));
        self.number("bytes_out", Some(record.bytes_out));
        self.number("duration_us", Some(micros(record.duration)));
        self.number("first_byte_us", record.first_byte.map(micros));
        self.number("queue_us", record.queue_time.map(micros));
        self.number("worker_us", record.worker_time.map(micros));
        self.text("route", record.route.map(str::as_bytes));
        self.number("worker_pid", record.worker_pid.map(u64::from));
        self.number("attempts", record.attempts.map(u64::from));
        let connection: &[u8] = match record.connection {
            ConnectionStatus::Aborted => b"aborted",
            ConnectionStatus::KeepAlive => b"keep-alive",
            ConnectionStatus::Close => b"close",
        };
        self.text("connection", Some(connection));
        self.number("keepalives", Some(u64::from(record.keepalives)));
        self.text("tls", record.fields.tls("SSL_PROTOCOL"));
        self.text("tls_cipher", record.fields.tls("SSL_CIPHER"));
        self.header("referer", record, "referer");
        self.header("user_agent", record, "user-agent");
        self.text("error", record.fields.note("error-notes"));
    }

    fn name(&mut self, name: &str) {
        self.out.extend_from_slice(b",\"");
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    fn text(&mut self, name: &str, value: Option<&[u8]>) {
        self.name(name);
        match value {
            None => self.out.extend_from_slice(b"null"),
            Some(value) => {
                self.out.push(b'"');
                push_escaped(self.out, value);
                self.out.push(b'"');
            }
        }
    }

    fn number(&mut self, name: &str, value: Option<u64>) {
        self.name(name);
        match value {
            None => self.out.extend_from_slice(b"null"),
            Some(number) => decimal::push(self.out, number),
        }
    }

    fn address(&mut self, address: Option<std::net::IpAddr>) {
        match address {
            None => self.out.extend_from_slice(b"null"),
            address => {
                self.out.push(b'"');
                push_address(self.out, address);
                self.out.push(b'"');
            }
        }
    }

    /// Every value, joined as Apache joins repeated headers.
    fn header(&mut self, name: &str, record: &Record<'_>, header: &str) {
        self.name(name);
        let out = &mut *self.out;
        let mut found = false;
        record.fields.request_header(header, &mut |value| {
            out.extend_from_slice(if std::mem::replace(&mut found, true) {
                b", "
            } else {
                b"\""
            });
            push_escaped(out, value);
        });
        out.extend_from_slice(if found { b"\"" } else { b"null" });
    }
}

fn push_escaped(out: &mut Vec<u8>, value: &[u8]) {
    let plain = |&byte: &u8| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
    let end = value.iter().position(|byte| !plain(byte)).unwrap_or(value.len());
    out.extend_from_slice(&value[..end]);
    if end < value.len() {
        push_odd(out, &value[end..]);
    }
}

#[cold]
fn push_odd(out: &mut Vec<u8>, value: &[u8]) {
    for chunk in value.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '"' => out.extend_from_slice(br#"\""#),
                '\\' => out.extend_from_slice(br"\\"),
                '\n' => out.extend_from_slice(br"\n"),
                '\r' => out.extend_from_slice(br"\r"),
                '\t' => out.extend_from_slice(br"\t"),
                ' '..='~' => out.push(character as u8),
                _ => character
                    .encode_utf16(&mut [0; 2])
                    .iter()
                    .for_each(|&unit| push_unit(out, unit)),
            }
        }
        chunk
            .invalid()
            .iter()
            .for_each(|&byte| push_unit(out, u16::from(byte)));
    }
}

fn push_unit(out: &mut Vec<u8>, unit: u16) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.extend_from_slice(br"\u");
    for shift in [12, 8, 4, 0] {
        out.push(HEX[usize::from(unit >> shift & 15)]);
    }
}
