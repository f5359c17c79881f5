//! PEP 3333 through the whole program, on every interpreter that is there.

use std::net::Shutdown;

use carme_tests::{Server, ServerBuilder, python, wait_until};

fn server() -> Server {
    ServerBuilder::test_app("cases.py")
        .args(&["--workers", "1", "--threads", "4"])
        .start()
}

#[test]
fn every_interpreter_serves() {
    for interpreter in python::all() {
        let server = ServerBuilder::test_app("cases.py")
            .python(&interpreter)
            .args(&["--workers", "2"])
            .start();
        let shown = interpreter.display();
        for (path, body) in [
            ("/no_length", "one"),
            ("/large?1048576", ""),
            ("/stream?30", ""),
            ("/file", "56789"),
        ] {
            let response = server.get(path);
            assert_eq!(response.status(), 200, "{path} on {shown}");
            assert!(
                body.is_empty() || response.text() == body,
                "{path} on {shown}: {}",
                response.text()
            );
        }
        let body = vec![b'x'; 3 << 20];
        assert!(
            server.connect().post("/echo", &body).unwrap().body == body,
            "a large body on {shown}"
        );
        assert_eq!(server.get("/raises").status(), 500, "on {shown}");
    }
}

#[test]
fn environ_is_as_the_pep_and_cgi_say() {
    let server = server();
    let response = server.request(
        "GET /environ/caf%C3%A9%2Fx//y?a=%20b HTTP/1.1\r\nHost: example.org:8080\r\nContent-Type: text/x\r\nX-Twice: 1\r\n\
         X-Twice: 2\r\nCookie: a=1\r\nCookie: b=2\r\nX_Under: no\r\nConnection: close\r\n\r\n",
    );
    let text = response.text();
    let address = server.address;
    let expected = [
        "REQUEST_METHOD='GET'".to_owned(),
        "SCRIPT_NAME=''".into(),
        "PATH_INFO='/environ/caf\u{c3}\u{a9}/x//y'".into(),
        "QUERY_STRING='a=%20b'".into(),
        "REQUEST_URI='/environ/caf%C3%A9%2Fx//y?a=%20b'".into(),
        "RAW_URI='/environ/caf%C3%A9%2Fx//y?a=%20b'".into(),
        "CONTENT_TYPE='text/x'".into(),
        "HTTP_HOST='example.org:8080'".into(),
        "HTTP_X_TWICE='1,2'".into(),
        "HTTP_COOKIE='a=1; b=2'".into(),
        "SERVER_PROTOCOL='HTTP/1.1'".into(),
        format!("SERVER_PORT='{}'", address.port()),
        "REMOTE_ADDR='127.0.0.1'".into(),
        "wsgi.url_scheme='http'".into(),
        "wsgi.version=(1, 0)".into(),
        "wsgi.multithread=True".into(),
        "wsgi.multiprocess=False".into(),
        "wsgi.run_once=False".into(),
        "wsgi.input_terminated=True".into(),
    ];
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for line in &expected {
        assert!(lines.contains(line), "{line} is missing from:\n{text}");
    }
    assert!(
        !text.contains("UNDER"),
        "names with underscores are dropped: X-Under could be forged\n{text}"
    );
    assert_eq!(response.header("x-request-id").map(str::is_empty), Some(false));
}

#[test]
fn a_mount_is_the_script_name() {
    let server = ServerBuilder::test_app("cases.py")
        .args(&["--workers", "1", "--mount", "/blog"])
        .start();
    let text = server.get("/blog/environ?x").text();
    assert!(
        text.contains("SCRIPT_NAME='/blog'") && text.contains("PATH_INFO='/environ'"),
        "{text}"
    );
    for outside in ["/", "/blogs/environ", "/environ"] {
        assert_eq!(server.get(outside).status(), 404, "{outside}");
    }
}

#[test]
fn bodies_arrive_however_they_are_sent() {
    let server = server();
    let mut client = server.connect();
    for size in [0, 1, 1000, 100_000, 300_000, 5 << 20] {
        let body: Vec<u8> = (0..size).map(|i| (i * 7) as u8).collect();
        let response = client.post("/echo", &body).unwrap();
        assert!(response.body == body, "{size} bytes");
        assert_eq!(response.header("x-length"), Some(size.to_string().as_str()));
        client
            .send("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
            .unwrap();
        for chunk in body.chunks(70_000) {
            client.send(format!("{:x};ext=1\r\n", chunk.len())).unwrap();
            client.send(chunk).unwrap();
            client.send("\r\n").unwrap();
        }
        client.send("0\r\nTrailer: ignored\r\n\r\n").unwrap();
        assert!(
            client.response("POST").unwrap().body == body,
            "{size} bytes, chunked"
        );
    }
    let response = server
        .connect()
        .post("/lines", b"first\nsecond\nthird\nlast")
        .unwrap();
    assert_eq!(
        response.text(),
        r"[b'first\n', b'sec', b'ond\n', b'third\n', b'last', b'']"
    );
}

#[test]
fn responses_have_the_framing_that_http_wants() {
    let server = server();
    let mut client = server.connect();
    assert_eq!(
        client.get("/one_item").unwrap().header("content-length"),
        Some("3"),
        "one item: its length is known"
    );
    let stream = client.get("/stream?100").unwrap();
    assert_eq!(stream.header("transfer-encoding"), Some("chunked"));
    let expected: Vec<u8> = (0..100u8).flat_map(|n| vec![n; 10240]).collect();
    assert!(stream.body == expected);
    assert_eq!(client.get("/empty_items").unwrap().text(), "ab");
    for status in ["204", "304"] {
        let response = client.get(&format!("/nothing?{status}")).unwrap();
        assert_eq!(
            (
                response.status().to_string().as_str(),
                response.header("transfer-encoding")
            ),
            (status, None)
        );
    }
    client
        .send("HEAD /head_body HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    let head = client.response("HEAD").unwrap();
    assert_eq!((head.status(), head.header("content-length")), (200, Some("4")));
    let duplicates = client.get("/duplicates").unwrap();
    let cookies: Vec<_> = duplicates
        .headers
        .iter()
        .filter(|(n, _)| n == "set-cookie")
        .map(|(_, v)| v.as_str())
        .collect();
    assert_eq!(cookies, ["a=1", "b=2"]);
    assert_eq!(client.get("/reason").unwrap().line, "HTTP/1.1 299 Quite Unusual");
    assert_eq!(
        client.get("/writes").unwrap().text(),
        "written twice and returned"
    );
    let old = server.request("GET /stream?3 HTTP/1.0\r\n\r\n");
    assert_eq!(
        (old.body.len(), old.header("transfer-encoding")),
        (30720, None),
        "HTTP/1.0 knows no chunks"
    );
    for case in ["empty_items", "stream", "nothing"] {
        assert!(
            client.get("/was_closed").unwrap().text().contains(case),
            "{case} was closed"
        );
    }
}

#[test]
fn files_are_sent_from_where_they_stand() {
    let server = server();
    let mut client = server.connect();
    assert_eq!(client.get("/file").unwrap().text(), "56789");
    let large = client.get("/file?1000000").unwrap();
    assert_eq!(large.body.len(), 10_000_000 - 5);
    assert!(large.body.starts_with(b"567890123456789"));
    assert_eq!(client.get("/file_with_length").unwrap().text(), "012345678901234");
    assert_eq!(client.get("/not_a_file").unwrap().body.len(), 10_000);
}

#[test]
fn failures_are_answers_and_the_log_says_why() {
    let server = server();
    for (path, status) in [
        ("/raises", 500),
        ("/exits", 500),
        ("/twice", 500),
        ("/never", 500),
        ("/bad_header", 500),
        ("/bad_status", 500),
        ("/hop_by_hop", 500),
        ("/not_bytes", 500),
        ("/replaces", 500),
    ] {
        let response = server.get(path);
        assert!(
            matches!(response.status(), 500 | 502) && status == 500,
            "{path}: {}",
            response.line
        );
        assert!(!response.headers.iter().any(|(n, _)| n == "x-injected"), "{path}");
    }
    assert_eq!(server.get("/replaces").text(), "replaced");
    let raised = server.get("/raises");
    let id = raised.header("x-request-id").expect("an id").to_owned();
    server.wait_for_line(&id);
    server.wait_for_line("ValueError: before the headers");
    assert!(
        !raised.text().contains("ValueError"),
        "what is wrong is not the visitor's business"
    );
    let cut = server.connect().get("/raises_late");
    assert!(cut.is_err(), "the client sees the truncation: {cut:?}");
    assert!(server.connect().get("/too_short").is_err());
    assert_eq!(server.get("/too_long").text(), "mor");
    assert!(server.get("/was_closed").text().contains("raises_late"));
    assert_eq!(server.get("/pid").status(), 200, "it is none the worse");
}

#[test]
fn what_apps_print_has_its_route_and_pid() {
    let server = server();
    let pid = server.get("/pid").text();
    server.get("/prints");
    for text in ["to standard output", "to standard error", "to wsgi.errors"] {
        let line = server.wait_for_line(text);
        assert!(line.contains("_1") && line.contains(&pid), "{line}");
    }
}

#[test]
fn a_reader_that_reads_nothing_holds_no_worker() {
    let server = ServerBuilder::test_app("cases.py")
        .args(&["--workers", "1", "--threads", "1"])
        .start();
    let mut slow = server.connect();
    slow.send("GET /stream?3000 HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut sender = server.connect();
    sender
        .send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf")
        .unwrap();
    assert_eq!(
        server.get("/pid").status(),
        200,
        "30 MB are unread, and a body is half sent"
    );
    assert_eq!(slow.response("GET").unwrap().body.len(), 3000 * 10240);
    sender.send(" half.").unwrap();
    assert_eq!(sender.response("POST").unwrap().text(), "half half.");
}

#[test]
fn a_client_that_leaves_in_the_middle_is_forgotten() {
    let server = ServerBuilder::test_app("cases.py")
        .args(&["--workers", "1", "--threads", "1"])
        .start();
    for _ in 0..20 {
        let mut client = server.connect();
        client
            .send("GET /stream?200000 HTTP/1.1\r\nHost: x\r\n\r\n")
            .unwrap();
        client.head().unwrap();
        client.socket().shutdown(Shutdown::Both).unwrap();
    }
    wait_until("every stream is closed", || {
        server.get("/was_closed").text().matches("stream").count() == 20
    });
}

#[test]
fn threads_come_as_they_are_needed_and_requests_overlap() {
    let server = ServerBuilder::test_app("cases.py")
        .args(&["--workers", "1", "--threads", "5"])
        .start();
    let few: usize = server.get("/threads").text().parse().unwrap();
    let started = std::time::Instant::now();
    let mut clients: Vec<_> = (0..5).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.send("GET /slow?1 HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    }
    for client in &mut clients {
        assert_eq!(client.response("GET").unwrap().status(), 200);
    }
    assert!(
        started.elapsed().as_secs() < 4,
        "five seconds of sleep one after the other would be {:?}",
        started.elapsed()
    );
    let many: usize = server.get("/threads").text().parse().unwrap();
    assert!(few < many, "{few} threads, then {many}");
}
