//! The limits of `[server]`, the queue's and the error pages, as a user sets them and a client meets them: the real
//! program, a real worker, bytes.

use std::fs;
use std::thread;
use std::time::Duration;

use carme_tests::{Client, LoggedServer, Response, wait_until};

/// Sends a byte now and then until there is an answer.
fn drip(client: &mut Client, first: &str) -> Response {
    client.send(first).unwrap();
    let mut sender = client.socket().try_clone().unwrap();
    let dripping = thread::spawn(move || {
        use std::io::Write;
        // Ends when the server closes the connection.
        while sender.write_all(b"x").is_ok() {
            thread::sleep(Duration::from_millis(50));
        }
    });
    let response = client.response("POST").unwrap();
    client.socket().shutdown(std::net::Shutdown::Both).ok();
    dripping.join().unwrap();
    response
}

#[test]
fn each_limit_has_its_answer_and_one_line_in_each_log() {
    let limited = LoggedServer::start(
        "max_uri = \"100B\"\nmax_header = \"1KiB\"\nmax_headers = 5\nmax_body = \"1000B\"",
        "",
        "",
    );
    let long = "a".repeat(101);
    let field = format!("X: {}\r\n", "a".repeat(1100));
    let many = "X: y\r\n".repeat(5);
    let post = "POST /site/echo HTTP/1.1\r\nHost: a\r\n";
    let get = "GET /site/pid HTTP/1.1\r\nHost: a\r\n";
    limited.expect_refusals(&[
        (414, format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n")),
        (431, format!("{get}{field}\r\n")),
        (431, format!("{get}{many}\r\n")),
        (413, format!("{post}Content-Length: 1001\r\n\r\n")),
        (400, format!("{post}Content-Length: 5, 5\r\n\r\nhello")),
    ]);
    assert_eq!(limited.server.get("/site/pid").status(), 200);
}

#[test]
fn each_timeout_has_its_answer_and_one_line_in_each_log() {
    let limited = LoggedServer::start(
        "header_timeout = \"700ms\"\nbody_timeout = \"1s\"\nmin_body_rate = \"1KiB/s\"",
        "",
        "",
    );
    let post = "POST /site/echo HTTP/1.1\r\nHost: a\r\n";
    let get = "GET /site/pid HTTP/1.1\r\nHost: a\r\n";
    // By silence.
    limited.expect_refusals(&[
        (408, get.to_owned()),
        (408, format!("{post}Content-Length: 10\r\n\r\nhello")),
    ]);
    // By dripping.
    for (at, first) in [
        "GET /site/pid HTTP/1.1\r\nHost: a\r\nX: ".to_owned(),
        format!("{post}Content-Length: 999\r\n\r\n"),
    ]
    .into_iter()
    .enumerate()
    {
        let response = drip(&mut limited.server.connect(), &first);
        assert_eq!(response.status(), 408, "{first}");
        limited.expect_logged(&response, &first);
        let line = format!("408 - \"{}\" ", first.lines().next().unwrap());
        let log = limited.log(3 + at);
        assert!(log[2 + at].starts_with(&line), "{log:?}");
    }
    assert_eq!(limited.server.get("/site/pid").status(), 200);
}

#[test]
fn an_address_has_as_many_connections_as_it_may_have() {
    let limited = LoggedServer::start("max_connections_per_address = 3", "", "");
    let mut clients: Vec<_> = (0..3).map(|_| limited.server.connect()).collect();
    for client in &mut clients {
        assert_eq!(client.get("/site/pid").unwrap().status(), 200);
    }
    let mut one_more = limited.server.connect();
    let response = one_more.get("/site/pid").unwrap();
    assert_eq!(response.status(), 503);
    assert!(response.header("retry-after").is_some());
    assert!(one_more.is_closed());
    let line = limited
        .server
        .wait_for_line(response.header("x-request-id").unwrap());
    assert!(
        line.contains("max_connections_per_address") && line.contains("client=127.0.0.1"),
        "{line}"
    );
    assert!(
        limited.log(4)[3].starts_with("503 - \"-\" "),
        "{:?}",
        limited.log(4)
    );
    clients.pop();
    wait_until("there is room again", || {
        limited
            .server
            .connect()
            .get("/site/pid")
            .is_ok_and(|response| response.status() == 200)
    });
}

#[test]
fn the_queues_limit_and_timeout_say_when_to_come_again() {
    let limited = LoggedServer::start("", "queue = { limit = 1, timeout = \"1s\" }", "");
    let mut clients: Vec<_> = (0..3).map(|_| limited.server.connect()).collect();
    for client in &mut clients {
        client
            .send("GET /site/slow?4 HTTP/1.1\r\nHost: a\r\nAccept: application/json\r\n\r\n")
            .unwrap();
        thread::sleep(Duration::from_millis(200));
    }
    let [running, queued, refused] = &mut clients[..] else {
        unreachable!("three")
    };
    for (client, what) in [(refused, "the queue is full"), (queued, "the queue's timeout")] {
        let response = client.response("GET").unwrap();
        assert_eq!(response.status(), 503, "{what}");
        // A second, and what a busy machine adds.
        let after: u64 = response.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=3).contains(&after), "{what}: {after}");
        assert_eq!(
            response.header("content-type"),
            Some("application/problem+json"),
            "{what}"
        );
        assert!(response.text().contains("\"status\":503"), "{}", response.text());
        limited.expect_logged(&response, what);
        assert_eq!(
            client.get("/nowhere").unwrap().status(),
            404,
            "{what}: the connection goes on"
        );
    }
    assert_eq!(running.response("GET").unwrap().status(), 200);
    assert_eq!(limited.log(5).len(), 5);
}

#[test]
fn error_pages_are_the_users_own_and_the_apps_errors_its_own() {
    let limited = LoggedServer::start("", "", "[error_pages]\n404 = \"errors/404.html\"");
    let response = limited.server.get("/nowhere");
    assert_eq!(response.status(), 404);
    let id = response.header("x-request-id").unwrap();
    assert_eq!(response.text(), format!("<p>404 Not Found: {id}</p>"));
    // The application knows no such path either, and says so itself.
    let response = limited.server.get("/site/nowhere");
    assert_eq!(response.status(), 404);
    assert!(!response.text().contains("<p>"), "{}", response.text());
    let response = limited
        .server
        .request("GET /nowhere HTTP/1.1\r\nHost: a\r\nAccept: application/json, text/plain, */*\r\n\r\n");
    assert_eq!(response.header("content-type"), Some("application/problem+json"));
    // Read at the start: what happens to the file later is nobody's error.
    fs::remove_file(limited.folder().join("errors/404.html")).unwrap();
    assert!(limited.server.get("/nowhere").text().starts_with("<p>404"));
}
