//! `json` read back by a parser of its own.

use std::time::{Duration, SystemTime};

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Lists, line};
use crate::{ConnectionStatus, Record, RequestLine};

fn read(record: &Record<'_>) -> Value {
    let line = line("json", record);
    assert!(line.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{line}");
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

/// What JSON makes of bytes: text where they are text, else each byte its character.
fn text(bytes: &[u8]) -> String {
    bytes.utf8_chunks().fold(String::new(), |text, chunk| {
        text + chunk.valid()
            + &chunk
                .invalid()
                .iter()
                .map(|&byte| char::from(byte))
                .collect::<String>()
    })
}

#[test]
fn a_line_has_every_member_in_its_type() {
    let lists = Lists {
        request: vec![
            ("referer", "http://ä\"\\".into()),
            ("user-agent", b"ua/1\x1b\xff".to_vec()),
        ],
        tls: vec![
            ("SSL_PROTOCOL", b"TLSv1.3".to_vec()),
            ("SSL_CIPHER", b"X".to_vec()),
        ],
        ..Lists::default()
    };
    let record = Record {
        client: Some([192, 0, 2, 1].into()),
        peer: Some(([10, 0, 0, 1], 50_000).into()),
        host: Some(b"h.example"),
        user: Some("frank\u{1f600}".as_bytes()),
        request_line: RequestLine::Parsed {
            method: b"GET",
            target: b"/a?b",
            protocol: "HTTP/1.1",
        },
        status: 200,
        body_bytes: 6,
        bytes_in: 124,
        bytes_out: 312,
        start: SystemTime::UNIX_EPOCH + Duration::from_micros(1_795_427_901_029_937),
        duration: Duration::from_micros(5_300_123),
        first_byte: Some(Duration::from_micros(100)),
        queue_time: Some(Duration::from_micros(41)),
        worker_time: Some(Duration::from_micros(5_300_000)),
        route: Some("www_1"),
        worker_pid: Some(4711),
        attempts: Some(1),
        request_id: Some("01J9Z"),
        connection: ConnectionStatus::KeepAlive,
        keepalives: 3,
        fields: &lists,
        ..Record::default()
    };
    let expected = json!({
        "time": "2026-11-23T09:58:21.029937+00:00", "request_id": "01J9Z", "client": "192.0.2.1", "peer": "10.0.0.1",
        "user": "frank\u{1f600}", "host": "h.example", "method": "GET", "target": "/a?b", "protocol": "HTTP/1.1",
        "malformed": null, "status": 200, "body_bytes": 6, "bytes_in": 124, "bytes_out": 312, "duration_us": 5_300_123,
        "first_byte_us": 100, "queue_us": 41, "worker_us": 5_300_000, "route": "www_1", "worker_pid": 4711,
        "attempts": 1, "connection": "keep-alive", "keepalives": 3, "tls": "TLSv1.3", "tls_cipher": "X",
        "referer": "http://ä\"\\", "user_agent": "ua/1\u{1b}\u{ff}", "error": null,
    });
    assert_eq!(read(&record), expected);
    // The names and their order do not depend on what a request has.
    let names = |record: &Record<'_>| {
        let line = line("json", record);
        let mut names: Vec<&str> = expected.as_object().unwrap().keys().map(String::as_str).collect();
        names.sort_by_key(|name| {
            line.find(&format!("\"{name}\":"))
                .unwrap_or_else(|| panic!("{name} in {line}"))
        });
        names.join(" ")
    };
    assert_eq!(names(&record), names(&Record::default()));
    assert!(
        names(&record).starts_with("time request_id client "),
        "{}",
        names(&record)
    );
    let empty = read(&Record::default());
    assert_eq!(empty["status"], Value::Null);
    assert_eq!(empty["client"], Value::Null);
    assert_eq!(empty["malformed"], "");
    assert_eq!(empty["body_bytes"], 0);
}

proptest! {
    #[test]
    fn any_bytes_come_back(values in vec(vec(any::<u8>(), 0..40), 5), malformed: bool) {
        let lists = Lists {
            request: vec![("referer", values[0].clone()), ("referer", values[1].clone())],
            notes: vec![("error-notes", values[2].clone())],
            ..Lists::default()
        };
        let record = Record {
            request_line: match malformed {
                true => RequestLine::Malformed(&values[3]),
                false => RequestLine::Parsed { method: &values[3], target: b"http://u:p@h/", protocol: "HTTP/1.1" },
            },
            host: Some(&values[4]),
            fields: &lists,
            ..Record::default()
        };
        let object = read(&record);
        prop_assert_eq!(&object["referer"], &format!("{}, {}", text(&values[0]), text(&values[1])));
        prop_assert_eq!(&object["error"], &text(&values[2]));
        prop_assert_eq!(&object["host"], &text(&values[4]));
        let (there, missing) = if malformed { ("malformed", "method") } else { ("method", "malformed") };
        prop_assert_eq!(&object[there], &text(&values[3]));
        prop_assert_eq!(&object[missing], &Value::Null);
        if !malformed {
            prop_assert_eq!(&object["target"], "http://u:XXXXXXXX@h/");
        }
    }
}
