//! Apache's log lines beside Carme's, for the same bytes of requests.
//!
//! A few thousand requests in the usual run; `CARME_LOG_LINES=50000` makes them enough for so many lines in both logs.
#![cfg(target_os = "linux")]

mod apache;
mod differences;
mod requests;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use carme_tests::{ServerBuilder, skip, wait_until};

use apache::Apache;
use requests::Exchange;

/// What is compared, each as `name="value"`.
const FIELDS: &[(&str, &str)] = &[
    ("r", "%r"),
    ("m", "%m"),
    ("U", "%U"),
    ("q", "%q"),
    ("H", "%H"),
    ("s", "%s"),
    ("final", "%>s"),
    ("b", "%b"),
    ("B", "%B"),
    ("h", "%h"),
    ("a", "%a"),
    ("peer", "%{c}a"),
    ("peer_host", "%{c}h"),
    ("A", "%A"),
    ("l", "%l"),
    ("u", "%u"),
    ("V", "%V"),
    ("X", "%X"),
    ("k", "%k"),
    ("I", "%I"),
    ("local", "%{local}p"),
    ("referer", "%{Referer}i"),
    ("agent", "%{User-Agent}i"),
    ("host", "%{Host}i"),
    ("connection", "%{Connection}i"),
    ("encoding", "%{Transfer-Encoding}i"),
    ("length", "%{Content-Length}i"),
    ("multi", "%{X-Multi}i"),
    ("under", "%{X_Under}i"),
    ("cookie", "%{sid}C"),
    ("cookies", "%{Cookie}i"),
    ("type", "%{Content-Type}o"),
    ("out_length", "%{Content-Length}o"),
    ("trailer", "%{X-Sum}^ti"),
    ("out_trailer", "%{X-Sum}^to"),
    ("when", "%200,400{User-Agent}i"),
    ("when_not", "%!200,400{User-Agent}i"),
    ("e", "%{NOPE}e"),
    ("n", "%{NOPE}n"),
    ("x", "%{SSL_PROTOCOL}x"),
    ("T", "%{s}T"),
    ("time", "%{%z %Z}t"),
    ("percent", "%% \\t"),
];

/// Answers what Apache's default handler answers.
const APP: &str = r#"
BODY = b"the page\n"

def application(environ, start_response):
    method = environ["REQUEST_METHOD"]
    environ["wsgi.input"].read()
    if method in ("GET", "HEAD", "POST"):
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(BODY)))])
        return [] if method == "HEAD" else [BODY]
    if method == "OPTIONS":
        start_response("200 OK", [("Content-Length", "0"), ("Content-Type", "text/plain")])
        return []
    known = method in ("PUT", "DELETE", "PATCH")
    start_response("405 Method Not Allowed" if known else "501 Not Implemented", [("Content-Type", "text/html")])
    return [b"no\n"]
"#;

type Line = BTreeMap<&'static str, String>;

#[test]
fn lines_are_apaches() {
    let lines = std::env::var("CARME_LOG_LINES").map_or(4000, |text| text.parse().expect("a number"));
    let format: Vec<String> = FIELDS
        .iter()
        .map(|(name, directive)| format!("{name}=\"{directive}\""))
        .collect();
    let format = format.join(" ");
    let folder = tempfile::tempdir().expect("a folder");
    let apache = match Apache::start(folder.path(), &format) {
        Ok(apache) => apache,
        Err(reason) => return skip::missing(reason),
    };
    let builder = ServerBuilder::app(APP);
    let log = builder.directory().join("access.log");
    let carme = builder
        .args(&[
            "--workers",
            "1",
            "--access-log",
            "access.log",
            "--log-format",
            &format,
        ])
        .start();
    // Five lines from four connections, but for those that end before their last request.
    let exchanges = requests::generate(lines * 8 / 9);
    for address in [apache.address, carme.address] {
        exchanges.iter().for_each(|exchange| send(address, exchange));
    }
    let theirs = read(&apache.log, apache.address, exchanges.len());
    let ours = read(&log, carme.address, exchanges.len());
    let found = differences::compare(&exchanges, &theirs, &ours);
    let count = |log: &BTreeMap<String, Vec<Line>>| log.values().map(Vec::len).sum::<usize>();
    let counts = [count(&theirs), count(&ours)];
    println!(
        "{counts:?} lines of Apache and Carme, {} values alike; documented differences: {:#?}",
        found.alike, found.documented
    );
    assert!(counts.iter().all(|count| *count >= lines), "{counts:?}");
    // What is documented must not be most of it.
    let differ: usize = found.documented.values().sum();
    assert!(found.alike > 10 * differ, "{} alike, {differ} not", found.alike);
    assert!(
        found.others.is_empty(),
        "{} differences\n{}",
        found.others.len(),
        found.others.join("\n")
    );
}

/// Sends an exchange and reads until the server has closed the connection.
fn send(address: SocketAddr, exchange: &Exchange) {
    let mut stream = TcpStream::connect(address).expect("it accepts");
    stream.set_nodelay(true).expect("no delay");
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .expect("a timeout");
    // The server may have refused and closed already.
    let _ = stream.write_all(&exchange.bytes);
    let mut answer = Vec::new();
    if let Err(error) = stream.read_to_end(&mut answer) {
        let reset = error.kind() == std::io::ErrorKind::ConnectionReset;
        assert!(
            reset,
            "{error} from {address} after {}",
            exchange.bytes.escape_ascii()
        );
    }
}

/// The log's lines by the mark in their request line, once there are at least as many as connections.
fn read(log: &Path, address: SocketAddr, at_least: usize) -> BTreeMap<String, Vec<Line>> {
    let mut text = String::new();
    let mut before = usize::MAX;
    wait_until(&format!("{} is complete", log.display()), || {
        text = std::fs::read_to_string(log).unwrap_or_default();
        let count = text.lines().count();
        let settled = count >= at_least && count == std::mem::replace(&mut before, count);
        if !settled {
            std::thread::sleep(Duration::from_millis(200));
        }
        settled
    });
    let mut lines: BTreeMap<String, Vec<Line>> = BTreeMap::new();
    for line in text.lines() {
        let fields = parse(line, &address.port().to_string());
        let mark = requests::mark(&fields["r"]).unwrap_or("none").to_owned();
        lines.entry(mark).or_default().push(fields);
    }
    lines
}

/// A line taken apart; the server's own port is `PORT`.
fn parse(line: &str, port: &str) -> Line {
    let mut rest = line;
    let mut fields = Line::new();
    for (name, _) in FIELDS {
        rest = rest
            .trim_start()
            .strip_prefix(&format!("{name}=\""))
            .unwrap_or_else(|| panic!("{name} is not where it should be in {line}"));
        let mut escaped = false;
        let end = rest.find(|c| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        let end = end.unwrap_or_else(|| panic!("{name} does not end in {line}"));
        let value = &rest[..end];
        fields.insert(name, if value == port { "PORT" } else { value }.to_owned());
        rest = &rest[end + 1..];
    }
    assert_eq!(rest, "", "{line}");
    fields
}
