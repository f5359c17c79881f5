//! What the fuzzer drives: one function a target. Each takes any bytes, and panics if something does not hold that must
//! hold for all of them.
//!
//! `fuzz/fuzz_targets` gives these to libFuzzer, which needs nightly Rust; `tests/corpus.rs` beside this file runs them
//! over the small corpora in `fuzz/corpus`, and over mutations of these, with every test run.

#![forbid(unsafe_code)]

use std::path::Path;
use std::time::Duration;

use carme_config::{Config, Surroundings};
use carme_log::{Fields, Format, Record, RequestLine};
use carme_ring::frame::{RequestHead, ResponseHead, Variables};

pub use carme_control::fuzzing::control;
pub use carme_discovery::fuzzing::consul;
pub use carme_front::fuzzing::{chunked, claims, head, path, proxy_protocol};
pub use carme_ring::fuzzing::byte_ring;

/// Takes any bytes.
pub type Target = fn(&[u8]);

/// All targets by their names, which are those of the folders in `fuzz/corpus`.
pub const TARGETS: &[(&str, Target)] = &[
    ("apache", apache),
    ("byte_ring", byte_ring),
    ("chunked", chunked),
    ("claims", claims),
    ("config", config),
    ("consul", consul),
    ("control", control),
    ("head", head),
    ("log_format", log_format),
    ("members", members),
    ("path", path),
    ("proxy_protocol", proxy_protocol),
    ("request_frame", request_frame),
    ("response_frame", response_frame),
];

/// Every value that a client or an application can choose is this one.
struct Everything<'a>(&'a [u8]);

impl Fields for Everything<'_> {
    fn request_header(&self, _: &str, each: &mut dyn FnMut(&[u8])) {
        each(self.0);
        each(self.0);
    }

    fn response_header(&self, _: &str, each: &mut dyn FnMut(&[u8])) {
        each(self.0);
    }

    fn variable(&self, _: &str) -> Option<&[u8]> {
        Some(self.0)
    }

    fn note(&self, _: &str) -> Option<&[u8]> {
        Some(self.0)
    }
}

/// A LogFormat, up to the first NUL, and a value to print with it. A mistake points into the text; a line has no control
/// characters but those of the format.
pub fn log_format(bytes: &[u8]) {
    let (format, value) = match bytes.iter().position(|byte| *byte == 0) {
        Some(nul) => (&bytes[..nul], &bytes[nul + 1..]),
        None => (bytes, &b"\"\\\n\xff"[..]),
    };
    let Ok(format) = str::from_utf8(format) else {
        return;
    };
    let compiled = match Format::parse(format) {
        Ok(compiled) => compiled.utc(),
        Err(error) => {
            let rest: String = format.chars().skip(error.column - 1).collect();
            assert!(rest.starts_with(&error.directive), "{error}");
            return;
        }
    };
    let parsed = RequestLine::Parsed {
        method: value,
        target: value,
        protocol: "HTTP/1.1",
    };
    for request_line in [parsed, RequestLine::Malformed(value)] {
        let record = Record {
            request_line,
            host: Some(value),
            user: Some(value),
            path: Some(value),
            status: 404,
            duration: Duration::from_micros(value.len() as u64),
            fields: &Everything(value),
            ..Record::default()
        };
        let mut line = Vec::new();
        compiled.render(&record, &mut line);
        // Of a time's format the text is the user's, line feeds included.
        if format.is_ascii()
            && !format.contains(|c: char| c.is_ascii_control() || c == '\\')
            && !format.contains("}t")
        {
            let is_plain = |byte: &u8| (b' '..=b'~').contains(byte);
            assert!(line.iter().all(is_plain), "{}", line.escape_ascii());
        }
    }
}

/// An `httpd.conf`: a configuration that is the same when it is translated to TOML and read again, or problems.
pub fn apache(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    // Other files would be the machine's.
    if text.to_ascii_lowercase().contains("include") {
        return;
    }
    let surroundings = Surroundings {
        directory: std::env::temp_dir().join("carme-fuzz-of-nothing"),
        ..Surroundings::default()
    };
    let path = Path::new("httpd.conf");
    match Config::from_apache(text, path, &surroundings) {
        Ok(read) => {
            let made = carme_config::convert_texts(&[(path, text)], &surroundings).expect("it was read");
            let again = Config::from_toml(&made.value, Path::new("carme.toml"), &surroundings);
            assert_eq!(
                again.map_err(|problems| format!("{problems}\n{}", made.value)),
                Ok(read.value)
            );
        }
        Err(problems) => assert!(problems.iter().next().is_some()),
    }
}

/// A `carme.toml`: a configuration or problems, each with its place.
pub fn config(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    // Nothing is there, so nothing of the machine is looked at.
    let surroundings = Surroundings {
        directory: std::env::temp_dir().join("carme-fuzz-of-nothing"),
        ..Surroundings::default()
    };
    match Config::from_toml(text, Path::new("carme.toml"), &surroundings) {
        Ok(config) => {
            assert!(!config.apps.is_empty() || !config.locations.is_empty());
            assert!(!config.server.listen.is_empty());
        }
        Err(problems) => {
            assert!(problems.iter().next().is_some());
            for problem in &problems {
                assert!(problem.to_string().contains(&problem.place.to_string()));
            }
        }
    }
}

/// A file that names members: mistakes have their places, and no member is named twice.
pub fn members(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let configuration =
        "[balancers.a]\ndiscover = { file = \"members.toml\", member = { max = 9, route = \"{name}\" } }\n";
    let surroundings = Surroundings {
        directory: std::env::temp_dir().join("carme-fuzz-of-nothing"),
        ..Surroundings::default()
    };
    let config = Config::from_toml(configuration, Path::new("carme.toml"), &surroundings);
    let all = match &config {
        Ok(config) => config.balancers[0]
            .discover
            .as_ref()
            .map(|discover| &discover.member),
        Err(problems) => panic!("{problems}"),
    };
    match all.expect("it is there").read(text, Path::new("members.toml")) {
        Ok(members) => {
            let mut urls: Vec<_> = members.iter().map(ToString::to_string).collect();
            urls.sort();
            urls.dedup();
            assert_eq!(urls.len(), members.len());
        }
        Err(problems) => assert!(
            problems
                .iter()
                .all(|problem| problem.to_string().starts_with("members.toml"))
        ),
    }
}

/// A request's head as a worker finds it in shared memory: it reads back as it would be written again.
pub fn request_frame(bytes: &[u8]) {
    let Ok(head) = RequestHead::decode(bytes) else {
        return;
    };
    let Ok(fields) = head.headers().collect::<Result<Vec<_>, _>>() else {
        return;
    };
    if let Ok(pairs) = head.variables().collect::<Result<Vec<_>, _>>() {
        let mut variables = Variables::default();
        pairs.iter().for_each(|(name, value)| variables.push(name, value));
        assert_eq!(variables.as_bytes(), head.variables);
    }
    let mut again = Vec::new();
    head.encode(fields.iter().copied(), &mut again);
    let read = RequestHead::decode(&again).expect("what was encoded decodes");
    let read_fields = read.headers().collect::<Result<Vec<_>, _>>();
    assert_eq!(read_fields.as_ref(), Ok(&fields));
    assert_eq!(
        (read.method, read.target, read.path),
        (head.method, head.target, head.path)
    );
    assert_eq!(
        (read.query, read.remote_addr, read.body),
        (head.query, head.remote_addr, head.body)
    );
}

/// A response's head as the front finds it in shared memory.
pub fn response_frame(bytes: &[u8]) {
    let Ok((head, body_at)) = ResponseHead::decode(bytes) else {
        return;
    };
    assert!(body_at <= bytes.len());
    let Ok(fields) = head.headers().collect::<Result<Vec<_>, _>>() else {
        return;
    };
    let mut again = Vec::new();
    ResponseHead::encode(head.status, head.reason, fields.iter().copied(), &mut again);
    assert_eq!(again, bytes[..body_at]);
}
