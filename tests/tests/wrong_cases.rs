//! What a client gets when something is wrong, row by row of the table in the guide (docs/src/errors.md): the real program,
//! a real worker, bytes. Each answer has its line in the access log and its reason in the error log.
//!
//! | row | test |
//! |---|---|
//! | malformed, bad framing, smuggling, several `Host` | `what_is_malformed_is_refused_and_named` |
//! | header section, URI, body too large; headers or body too slow | `limits`: `each_limit_…`, `each_timeout_…` |
//! | no location, no such file, no such method, a file that may not be read | `nothing_there_…`, `a_file_that_may_not_be_read_…` |
//! | queue full, or queued too long; too many connections | `limits`: `the_queues_limit_…`, `an_address_has_…` |
//! | the app raised before its headers | `an_app_that_raises_…` |
//! | it raised, or its worker died, after them; a body that is too short | `a_response_that_breaks_off_…` |
//! | the worker died with the request | `a_worker_that_dies_…`; untaken requests: `farm`: `a_killed_worker_…` |
//! | the app took too long to begin its answer, or to go on with it | `timeouts`: `point_7_…`, `an_answer_that_does_not_go_on_…` |
//! | what came is no response | `what_is_no_response_…` |
//! | the client left | `a_client_that_leaves_…` |

use carme_tests::{LoggedServer, wait_until};

/// The error log has a line with all of these.
fn expect_reason(wrong: &LoggedServer, parts: &[&str]) {
    wait_until(&format!("the error log has a line with {parts:?}"), || {
        let output = wrong.server.output();
        output
            .lines()
            .any(|line| parts.iter().all(|part| line.contains(part)))
    });
}

#[test]
fn what_is_malformed_is_refused_and_named() {
    let wrong = LoggedServer::start("", "", "");
    let get = "GET /site/pid HTTP/1.1\r\n";
    let post = "POST /site/echo HTTP/1.1\r\nHost: a\r\n";
    let cases = [
        ("garbage\r\n\r\n".to_owned(), "request line"),
        ("GET site HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), "target"),
        (format!("{get}\r\n"), "Host"),
        (format!("{get}Host: a\r\nHost: a\r\n\r\n"), "Host"),
        (format!("{get}Host: a b\r\n\r\n"), "Host"),
        (
            "GET http://b/site/pid HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
            "Host",
        ),
        (format!("{get}Host: a\nX: y\r\n\r\n"), "line feed"),
        (format!("{get}Host: a\r\nX: y\r\n folded\r\n\r\n"), "name"),
        (format!("{get}Host : a\r\n\r\n"), "name"),
        (format!("{get}Host: a\r\nX: \0\r\n\r\n"), "value"),
        (
            format!("{post}Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"),
            "Content-Length",
        ),
        (format!("{post}Content-Length: +5\r\n\r\nhello"), "Content-Length"),
        (
            format!("{post}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            "Transfer-Encoding",
        ),
        (
            format!("{post}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            "Transfer-Encoding",
        ),
        (
            format!("{post}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
            "chunked",
        ),
        (
            format!("{post}Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n"),
            "chunk",
        ),
        (
            format!("{post}Transfer-Encoding: chunked\r\n\r\n5\r\nhello!\r\n0\r\n\r\n"),
            "chunk",
        ),
    ];
    let requests: Vec<_> = cases.iter().map(|(bytes, _)| (400, bytes.clone())).collect();
    let reasons = wrong.expect_refusals(&requests);
    for ((bytes, expected), reason) in cases.iter().zip(reasons) {
        assert!(reason.contains(expected), "{bytes:?}: {reason}");
    }
    assert_eq!(wrong.server.get("/site/pid").status(), 200);
}

/// What is hidden or outside looks like what is not there: that it is there is nobody's business.
#[test]
fn nothing_there_is_404_and_no_such_method_405() {
    let wrong = LoggedServer::start("", "", "[[locations]]\npath = \"/files\"\nfiles = \"files\"\n");
    let mut client = wrong.server.connect();
    for (method, path, status, why) in [
        ("GET", "/nowhere", 404, "no location has this path"),
        ("GET", "/files/none.txt", 404, "there is no such file"),
        ("GET", "/files/.hidden", 404, "no file is served for"),
        ("GET", "/files/../carme.toml", 404, "no file is served for"),
        ("GET", "/files/%2e%2e/carme.toml", 404, "no file is served for"),
        ("GET", "/files/a.txt/b", 404, "no file is served for"),
        ("GET", "/files/a.txt::$DATA", 404, "no file is served for"),
        ("DELETE", "/files/a.txt", 405, "files are there for GET and HEAD"),
    ] {
        client
            .send(format!("{method} {path} HTTP/1.1\r\nHost: a\r\n\r\n"))
            .unwrap();
        let response = client.response(method).unwrap();
        assert_eq!(response.status(), status, "{path}");
        assert_eq!(
            response.header("allow"),
            (status == 405).then_some("GET, HEAD"),
            "{path}"
        );
        let reason = wrong.expect_logged(&response, path);
        assert!(reason.contains(why), "{path}: {reason}");
        let line = wrong.line(response.header("x-request-id").unwrap());
        assert!(
            line.starts_with(&format!("{status} + \"{method} {path} HTTP/1.1\" ")),
            "{line}"
        );
    }
    assert_eq!(client.get("/files/a.txt").unwrap().text(), "a file");
}

/// The only way to 403: the system lets the server see a file and not read it.
#[cfg(target_os = "linux")]
#[test]
fn a_file_that_may_not_be_read_is_403() {
    // May be written and not read, by root either.
    let folder = "/proc/sys/vm";
    let wrong = LoggedServer::start(
        "",
        "",
        &format!("[[locations]]\npath = \"/files\"\nfiles = \"{folder}\"\n"),
    );
    let response = wrong.server.get("/files/compact_memory");
    assert_eq!(response.status(), 403);
    let reason = wrong.expect_logged(&response, "unreadable");
    assert!(reason.contains("it may not be read"), "{reason}");
    assert!(!response.text().contains("compact_memory"));
}

#[test]
fn an_app_that_raises_is_500_and_its_traceback_has_the_requests_id() {
    let wrong = LoggedServer::start("", "", "");
    let mut client = wrong.server.connect();
    let response = client.get("/site/raises").unwrap();
    assert_eq!(response.status(), 500);
    assert!(!response.text().contains("ValueError"));
    let id = response.header("x-request-id").unwrap();
    assert_eq!(
        wrong.line(id),
        format!("500 + \"GET /site/raises HTTP/1.1\" {id}")
    );
    let reason = wrong.server.wait_for_line("status=500");
    assert!(
        reason.contains(id) && reason.contains("the app raised an exception"),
        "{reason}"
    );
    let mut traceback = Vec::new();
    wait_until("the error log has the whole traceback", || {
        let output = wrong.server.output();
        traceback = output
            .lines()
            .skip_while(|line| !line.contains(&format!("request {id} \"GET /site/raises\" raised:")))
            .map(str::to_owned)
            .collect();
        traceback
            .iter()
            .any(|line| line.ends_with(": ValueError: before the headers"))
    });
    assert!(
        traceback[1].ends_with("Traceback (most recent call last):"),
        "{traceback:?}"
    );
    assert_eq!(client.get("/site/pid").unwrap().status(), 200, "it goes on");
}

#[test]
fn a_response_that_breaks_off_is_cut_so_that_the_client_sees_it() {
    let wrong = LoggedServer::start("", "", "");
    for (path, why) in [
        ("/site/raises_late", "the connection is cut inside the response"),
        ("/site/dies_late", "the connection is cut inside the response"),
        (
            "/site/too_short",
            "the body ended 96 bytes before its Content-Length",
        ),
    ] {
        let mut client = wrong.server.connect();
        client
            .send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"))
            .unwrap();
        let head = client.head().unwrap();
        assert_eq!(head.status(), 200, "{path}");
        let rest = client.rest().unwrap_or_default();
        assert!(!rest.ends_with(b"0\r\n\r\n"), "{path}: it must not look complete");
        if let Some(length) = head.header("content-length") {
            assert!(rest.len() < length.parse().unwrap(), "{path}");
        }
        let id = head.header("x-request-id").unwrap();
        assert_eq!(wrong.line(id), format!("200 X \"GET {path} HTTP/1.1\" {id}"));
        expect_reason(&wrong, &[id, why, "status=200"]);
    }
    assert_eq!(wrong.server.get("/site/pid").status(), 200);
}

#[test]
fn a_worker_that_dies_with_a_request_is_502() {
    let wrong = LoggedServer::start("", "", "");
    let mut client = wrong.server.connect();
    let response = client.get("/site/dies").unwrap();
    assert_eq!(response.status(), 502);
    let reason = wrong.expect_logged(&response, "dies");
    assert!(
        reason.contains("the worker died with the request in flight"),
        "{reason}"
    );
    assert_eq!(client.get("/site/pid").unwrap().status(), 200, "by the next one");
}

#[test]
fn what_is_no_response_is_502() {
    let wrong = LoggedServer::start("", "", "");
    let mut client = wrong.server.connect();
    for (path, why) in [
        ("/site/never", "before it called start_response"),
        (
            "/site/announces",
            "announced a body by Content-Length and gave none",
        ),
    ] {
        let response = client.get(path).unwrap();
        assert_eq!(response.status(), 502, "{path}");
        assert!(!response.text().contains("start_response"));
        let id = response.header("x-request-id").unwrap();
        assert_eq!(wrong.line(id), format!("502 + \"GET {path} HTTP/1.1\" {id}"));
        expect_reason(&wrong, &[id, why, "status=502"]);
    }
}

/// Waits until the front says that so many requests are queued and in flight. The pages' own requests are no app's.
fn wait_for_census(wrong: &LoggedServer, queued: usize, in_flight: usize) {
    let expected = [
        format!("carme_queue_length{{app=\"site\"}} {queued}"),
        format!("carme_app_requests_in_flight{{app=\"site\"}} {in_flight}"),
    ];
    wait_until(&format!("{expected:?}"), || {
        let page = carme_tests::Client::connect(wrong.server.monitor())
            .and_then(|mut client| client.get("/metrics"))
            .expect("the page")
            .text();
        expected
            .iter()
            .all(|line| page.lines().any(|found| found == line))
    });
}

#[test]
fn a_client_that_leaves_is_499_in_the_log_whether_it_was_queued_or_in_flight() {
    let wrong = LoggedServer::start("", "", "[metrics]\nlisten = \"127.0.0.1:0\"");
    let mut running = wrong.server.connect();
    running
        .send("GET /site/slow?3 HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    wait_for_census(&wrong, 0, 1);
    let mut queued = wrong.server.connect();
    queued
        .send("GET /site/prints HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    wait_for_census(&wrong, 1, 1);
    drop(queued);
    let log = wrong.log(1);
    assert!(
        log[0].starts_with("499 X \"GET /site/prints HTTP/1.1\" "),
        "{log:?}"
    );
    wait_for_census(&wrong, 0, 1);
    assert_eq!(running.response("GET").unwrap().status(), 200);

    let mut in_flight = wrong.server.connect();
    in_flight
        .send("GET /site/slow?1 HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    wait_for_census(&wrong, 0, 1);
    drop(in_flight);
    let log = wrong.log(3);
    assert!(
        log[2].starts_with("499 X \"GET /site/slow?1 HTTP/1.1\" "),
        "{log:?}"
    );
    for line in [&log[0], &log[2]] {
        let id = line.rsplit(' ').next().unwrap();
        expect_reason(
            &wrong,
            &[
                id,
                "the connection ended before the response was sent",
                "status=499",
            ],
        );
    }
    // The thread has finished what nobody waits for, and takes the next.
    assert_eq!(wrong.server.get("/site/pid").status(), 200);
    assert!(
        !wrong.server.output().contains("to standard output"),
        "the application never saw the queued one"
    );
}
