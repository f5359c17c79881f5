//! Distributed traces: what the application is told, what the log has, and what a collector gets.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use carme_tests::server::repository;
use carme_tests::{Server, ServerBuilder, python, wait_until};
use serde_json::Value;

const CALLER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn start(settings: &str) -> Server {
    let builder = ServerBuilder::arguments(&["serve", "-c", "carme.toml"]);
    let app = repository("tests/apps/cases.py");
    std::fs::copy(app, builder.directory().join("app.py")).unwrap();
    let toml = format!(
        "access_logs = [{{ file = \"access.log\", format = \"%U %{{traceparent}}i\" }}]\n\
         [server]\nlisten = \"127.0.0.1:0\"\n\
         [apps.site]\ntarget = \"app:application\"\nworkers = 1\npython = '{}'\n{settings}\n",
        python::main().display(),
    );
    std::fs::write(builder.directory().join("carme.toml"), toml).unwrap();
    builder.start()
}

/// What the application sees of a header, if it sees it.
fn seen(server: &Server, header: &str, given: &str) -> Option<String> {
    let text = server
        .request(format!("GET /environ HTTP/1.1\r\nHost: test\r\n{given}\r\n"))
        .text();
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(&format!("{header}=")))?;
    Some(value.trim_matches('\'').to_owned())
}

fn parent(server: &Server, given: &str) -> Option<String> {
    seen(server, "HTTP_TRACEPARENT", given)
}

fn from_caller() -> String {
    format!("traceparent: {CALLER}\r\ntracestate: a=b\r\n")
}

#[test]
fn contexts_are_passed_on_or_begun_and_are_in_the_log() {
    let server = start("[traces]");
    assert_eq!(parent(&server, &from_caller()).as_deref(), Some(CALLER));
    assert_eq!(
        seen(&server, "HTTP_TRACESTATE", &from_caller()).as_deref(),
        Some("a=b")
    );
    let begun = parent(&server, "").expect("one is begun");
    assert!(
        begun.starts_with("00-") && begun.ends_with("-01") && begun.len() == 55,
        "{begun}"
    );
    let other = parent(&server, "traceparent: nonsense\r\ntracestate: a=b\r\n").expect("one is begun");
    assert_ne!(begun, other);
    assert_eq!(seen(&server, "HTTP_TRACESTATE", "tracestate: a=b\r\n"), None);
    let log = server.directory().join("access.log");
    let expected = [CALLER, &begun, &other].map(|parent| format!("/environ {parent}"));
    wait_until("the log has all of them", || {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        expected
            .iter()
            .all(|line| text.lines().any(|found| found == line))
    });
}

#[test]
fn without_the_section_nothing_is_read_and_nothing_is_added() {
    let server = start("");
    assert_eq!(parent(&server, ""), None);
    assert_eq!(
        parent(&server, "traceparent: nonsense\r\n").as_deref(),
        Some("nonsense")
    );
}

/// A collector that takes everything: each request's head and spans.
fn collector() -> (u16, mpsc::Receiver<(String, Vec<Value>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut bytes = Vec::new();
            let (head, body) = loop {
                let mut piece = [0; 4096];
                let read = stream.read(&mut piece).unwrap();
                bytes.extend_from_slice(&piece[..read]);
                let text = String::from_utf8_lossy(&bytes).into_owned();
                let Some((head, body)) = text.split_once("\r\n\r\n") else {
                    continue;
                };
                let length = head
                    .lines()
                    .find_map(|line| line.strip_prefix("content-length: "));
                if body.len() >= length.unwrap().parse().unwrap() {
                    break (head.to_owned(), body.to_owned());
                }
            };
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
                .unwrap();
            let request: Value = serde_json::from_str(&body).unwrap();
            let resource = &request["resourceSpans"][0];
            assert_eq!(
                resource["resource"]["attributes"][0]["value"]["stringValue"],
                "shop"
            );
            let spans = resource["scopeSpans"][0]["spans"].as_array().unwrap().clone();
            if sender.send((head, spans)).is_err() {
                return;
            }
        }
    });
    (port, receiver)
}

fn attribute<'s>(span: &'s Value, name: &str) -> &'s Value {
    let attributes = span["attributes"].as_array().unwrap();
    let found = attributes.iter().find(|attribute| attribute["key"] == name);
    &found.unwrap_or_else(|| panic!("no {name} in {span}"))["value"]
}

#[test]
fn a_collector_is_told_of_sampled_requests() {
    let (port, requests) = collector();
    let server = start(&format!(
        "[traces]\nendpoint = \"http://127.0.0.1:{port}\"\nservice = \"shop\"\nsample = 0\n[metrics]\nlisten = \"127.0.0.1:0\""
    ));
    let child = parent(&server, &from_caller()).expect("it is passed on");
    assert_eq!(child[..36], CALLER[..36], "the same trace");
    assert_ne!(child[36..52], CALLER[36..52], "another span");
    let raises = format!(
        "GET /raises?x=secret HTTP/1.1\r\nHost: test\r\n{}\r\n",
        from_caller()
    );
    assert_eq!(server.request(raises).status(), 500);
    // Neither is sampled.
    let unsampled = CALLER.replace("-01", "-00");
    let given = format!("traceparent: {unsampled}\r\n");
    assert_eq!(parent(&server, &given).as_deref(), Some(unsampled.as_str()));
    assert!(parent(&server, "").expect("one is begun").ends_with("-00"));

    let (head, spans) = requests
        .recv_timeout(Duration::from_secs(30))
        .expect("it is told");
    assert!(head.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{head}");
    let [first, second] = &spans[..] else {
        panic!("{spans:?}")
    };
    for span in [first, second] {
        assert_eq!(span["traceId"], CALLER[3..35]);
        assert_eq!(span["parentSpanId"], CALLER[36..52]);
        assert_eq!((&span["name"], &span["kind"]), (&"GET".into(), &2.into()));
        assert_eq!(attribute(span, "carme.route")["stringValue"], "site_1");
        assert_eq!(attribute(span, "client.address")["stringValue"], "127.0.0.1");
        let time = |name: &str| span[name].as_str().unwrap().parse::<u64>().unwrap();
        assert!(time("startTimeUnixNano") < time("endTimeUnixNano"), "{span}");
    }
    assert_eq!(first["spanId"], child[36..52]);
    assert_eq!(attribute(first, "url.path")["stringValue"], "/environ");
    assert_eq!(attribute(first, "http.response.status_code")["intValue"], "200");
    assert_eq!(attribute(second, "http.response.status_code")["intValue"], "500");
    assert_eq!(second["status"]["code"], 2);
    assert!(
        !second.to_string().contains("secret"),
        "queries are nobody's business"
    );
    let line = server.wait_for_line("status=500");
    assert!(line.contains(&format!("trace_id={}", &CALLER[3..35])), "{line}");
    wait_until("it is counted", || {
        let response = carme_tests::Client::connect(server.monitor())
            .and_then(|mut client| client.get("/metrics"))
            .unwrap();
        response
            .text()
            .contains("carme_trace_spans_total{outcome=\"sent\"} 2\n")
    });
}

#[cfg(unix)]
#[test]
fn spans_that_wait_are_sent_when_the_server_stops() {
    let (port, requests) = collector();
    let mut server = start(&format!(
        "[traces]\nendpoint = \"http://127.0.0.1:{port}\"\nservice = \"shop\""
    ));
    assert_eq!(server.get("/pid").status(), 200);
    assert!(server.stop().success());
    let (_, spans) = requests
        .recv_timeout(Duration::from_secs(1))
        .expect("it was told");
    assert_eq!(spans.len(), 1);
    assert!(spans[0].get("parentSpanId").is_none());
}
