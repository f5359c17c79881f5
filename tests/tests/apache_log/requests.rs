//! Requests with what clients, and those who only seem to be some, put into them.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

/// One connection: what is sent, after which the server closes it.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) bytes: Vec<u8>,
    /// The marks of its requests, in order.
    pub(crate) marks: Vec<String>,
}

impl Exchange {
    /// Whether a request comes after another on this connection.
    pub(crate) fn follows(&self, mark: &str) -> bool {
        self.marks.iter().skip(1).any(|later| later == mark)
    }
}

/// The mark that a request carries in its path: `r000017`.
pub(crate) fn mark(request_line: &str) -> Option<&str> {
    let at = request_line.find("/r0")?;
    request_line.get(at + 1..at + 8)
}

/// The same `count` connections every time, with no two requests alike.
pub(crate) fn generate(count: usize) -> Vec<Exchange> {
    let mut runner = TestRunner::deterministic();
    let strategy = request();
    let mut number = 0;
    (0..count)
        .map(|index| {
            // Every fourth is kept for a second request.
            let requests = 1 + usize::from(index % 4 == 0);
            let (mut bytes, mut marks) = (Vec::new(), Vec::new());
            for at in 1..=requests {
                number += 1;
                let mark = format!("r{number:06}");
                let request = strategy.new_tree(&mut runner).expect("a request").current();
                bytes.extend(request.bytes(&mark, at == requests));
                marks.push(mark);
            }
            Exchange { bytes, marks }
        })
        .collect()
}

#[derive(Debug, Clone)]
struct Request {
    method: &'static str,
    origin: &'static str,
    path: Vec<u8>,
    query: Option<Vec<u8>>,
    version: &'static str,
    host: &'static str,
    fields: Vec<(&'static str, Vec<u8>)>,
    body: Body,
}

#[derive(Debug, Clone)]
enum Body {
    None,
    Length(Vec<u8>),
    Chunked(Vec<u8>, Option<Vec<u8>>),
}

impl Request {
    fn bytes(&self, mark: &str, last: bool) -> Vec<u8> {
        let mut out = format!("{} {}/{mark}", self.method, self.origin).into_bytes();
        out.extend(&self.path);
        if let Some(query) = &self.query {
            out.push(b'?');
            out.extend(query);
        }
        out.extend(format!(" {}\r\nHost: {}\r\n", self.version, self.host).as_bytes());
        for (name, value) in &self.fields {
            out.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
        }
        match (last, self.version) {
            (true, _) => out.extend(b"Connection: close\r\n"),
            (false, "HTTP/1.0") => out.extend(b"Connection: keep-alive\r\n"),
            (false, _) => {}
        }
        match &self.body {
            Body::None => out.extend(b"\r\n"),
            Body::Length(body) => {
                out.extend(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
                out.extend(body);
            }
            Body::Chunked(body, trailer) => {
                out.extend(b"Transfer-Encoding: chunked\r\n\r\n");
                for chunk in body.chunks(7) {
                    out.extend(format!("{:x}\r\n", chunk.len()).as_bytes());
                    out.extend([chunk, b"\r\n"].concat());
                }
                out.extend(b"0\r\n");
                if let Some(trailer) = trailer {
                    out.extend([b"X-Sum: ", &**trailer, b"\r\n"].concat());
                }
                out.extend(b"\r\n");
            }
        }
        out
    }
}

/// Parts of paths and queries: what is usual, what is escaped, what must not be there.
fn text() -> impl Strategy<Value = Vec<u8>> {
    let usual = "[a-zA-Z0-9._~!$&'()*+,;=:@-]{1,6}".prop_map(String::into_bytes);
    let escaped = any::<u8>()
        // NUL and the slash are found nowhere by Apache, whatever answers the path.
        .prop_filter("found nowhere", |byte| !matches!(byte, 0 | b'/'))
        .prop_map(|byte| format!("%{byte:02x}").into_bytes());
    let odd = select(&b"\"\\|^`{}<>[]"[..]).prop_map(|byte| vec![byte]);
    let high = vec(0x80_u8.., 1..4);
    let part = prop_oneof![60 => usual, 30 => escaped, 4 => odd, 1 => high];
    vec(part, 0..5).prop_map(|parts| parts.concat())
}

fn path() -> impl Strategy<Value = Vec<u8>> {
    vec(text(), 0..4).prop_map(|segments| {
        let mut path = Vec::new();
        for segment in segments {
            path.push(b'/');
            path.extend(segment);
        }
        path
    })
}

/// Values of fields.
fn value() -> impl Strategy<Value = Vec<u8>> {
    let usual = "[ -~]{0,20}".prop_map(String::into_bytes);
    let odd = vec(
        prop_oneof![3 => 0x20_u8..0x7f, 1 => Just(b'\t'), 1 => Just(b'"'), 1 => Just(b'\\'), 1 => 0x80_u8..],
        0..12,
    );
    prop_oneof![2 => usual, 1 => odd].prop_map(|value| value.trim_ascii().to_vec())
}

fn cookie() -> impl Strategy<Value = Vec<u8>> {
    select(
        &[
            "sid=plain",
            "a=b; sid=second",
            "SID=case",
            "a=sid; b=sid=x",
            "sid",
            "sid=",
            "sid = spaced ; b",
            "sid=\"q\"",
            "a=b;sid=1;sid=2",
            "xsid=1",
            ";;sid=3",
        ][..],
    )
    .prop_map(|cookie| cookie.as_bytes().to_vec())
}

fn fields() -> impl Strategy<Value = Vec<(&'static str, Vec<u8>)>> {
    let name = select(
        &[
            "Referer",
            "User-Agent",
            "X-Multi",
            "X-Multi",
            "x-multi",
            "X_Under",
            "Authorization",
            "Accept",
        ][..],
    );
    let field = prop_oneof![5 => (name, value()), 1 => (Just("Cookie"), cookie())];
    vec(field, 0..6)
}

fn body() -> impl Strategy<Value = Body> {
    prop_oneof![
        vec(any::<u8>(), 0..40).prop_map(Body::Length),
        (vec(any::<u8>(), 1..40), proptest::option::of(value()))
            .prop_map(|(body, trailer)| Body::Chunked(body, trailer)),
    ]
}

fn request() -> impl Strategy<Value = Request> {
    let method = prop_oneof![
        6 => Just("GET"), 2 => Just("HEAD"), 3 => Just("POST"),
        1 => select(&["OPTIONS", "PUT", "DELETE", "PATCH", "FOO", "get"][..]),
    ];
    let origin = prop_oneof![
        12 => Just(""),
        1 => select(&["http://other.example", "http://u:secret@other.example:81", "HTTP://OTHER.example"][..]),
    ];
    let version = prop_oneof![
        30 => Just("HTTP/1.1"), 9 => Just("HTTP/1.0"), 1 => select(&["HTTP/1.2", "HTTP/2.0", "HTTP/x", "http/1.1"][..]),
    ];
    let host = prop_oneof![
        6 => Just("h.example"),
        1 => select(&["h.example:99", "H.Example", "127.0.0.1", "[::1]", "[::1]:8080"][..]),
    ];
    (
        method,
        origin,
        path(),
        proptest::option::of(text()),
        version,
        host,
        fields(),
        body(),
    )
        .prop_map(
            |(method, origin, path, query, version, host, fields, body)| Request {
                method,
                origin,
                path,
                query,
                version,
                host,
                fields,
                body: if method == "POST" { body } else { Body::None },
            },
        )
}
