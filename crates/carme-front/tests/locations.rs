//! Who answers at which host and path, and what is done to requests and responses on the way.

mod common;

use std::io::Read;

use bytes::Bytes;
use carme_front::{
    Compress, FileOptions, Files, Fixed, HeaderChange, HeaderRule, HeaderText, Location, Policy, Redirect,
    StatusRange,
};
use common::Front;
use common::app::Fake;
use http::{HeaderName, HeaderValue, StatusCode};
use tokio::io::AsyncReadExt;

fn fixed(text: &'static str) -> Fixed {
    Fixed {
        status: StatusCode::OK,
        content_type: HeaderValue::from_static("text/plain"),
        body: Bytes::from_static(text.as_bytes()),
    }
}

#[tokio::test]
async fn by_host_then_by_path() {
    let front = Front::serving(Policy::default(), |events| {
        vec![
            Location::new("/", Fake::new(events)),
            Location::fixed("/a", fixed("any a")),
            Location::fixed("/", fixed("example")).at_host("example.com"),
            Location::fixed("/a/b", fixed("wild ab")).at_host("*.example.com"),
        ]
    });
    for (host, target, text) in [
        ("test", "/", "hello"),
        ("test", "/a/b", "any a"),
        ("example.com", "/a/b", "example"),
        ("EXAMPLE.com:8080", "/", "example"),
        ("www.example.com", "/a/b/c", "wild ab"),
        ("www.example.com", "/a", "any a"),
    ] {
        let response = front.ask("GET", target, &format!("Host: {host}")).await;
        assert_eq!(response.text(), text, "{host}{target}");
    }
    let absolute = front.ask("GET", "http://EXAMPLE.com/", "Host: example.com").await;
    assert_eq!(absolute.text(), "example", "an absolute target has its own host");
}

#[tokio::test]
async fn a_fixed_answer_and_a_redirect_answer_every_method() {
    let front = Front::serving(Policy::default(), |_| {
        vec![
            Location::fixed("/ping", fixed("pong")),
            Location::fixed(
                "/gone",
                Fixed {
                    status: StatusCode::GONE,
                    body: Bytes::new(),
                    ..fixed("")
                },
            ),
            Location::redirect(
                "/old",
                Redirect {
                    status: StatusCode::PERMANENT_REDIRECT,
                    target: "https://{host}/new{path}".into(),
                },
            ),
        ]
    });
    let ping = front.ask("GET", "/ping", "").await;
    assert_eq!(
        (ping.text().as_str(), ping.header("content-type")),
        ("pong", Some("text/plain"))
    );
    let head = front.ask("HEAD", "/ping", "").await;
    assert_eq!((head.status, head.header("content-length")), (200, Some("4")));
    assert_eq!(front.ask("POST", "/ping", "").await.status, 200);
    let gone = front.ask("GET", "/gone", "").await;
    assert_eq!((gone.status, gone.header("content-type")), (410, None));
    let moved = front.ask("POST", "/old/x%20y?q", "Content-Length: 3").await;
    assert_eq!(
        (moved.status, moved.header("location")),
        (308, Some("https://test/new/x%20y"))
    );
    assert!(moved.closes(), "its body stays unread");
    assert_eq!(front.ask("GET", "/older", "").await.status, 404);
    let (_, lines) = front.stop().await;
    assert_eq!(lines[0], "200 + \"GET /ping HTTP/1.1\"");
    assert_eq!(lines[4], "308 - \"POST /old/x%20y?q HTTP/1.1\"");
}

fn rule(change: HeaderChange) -> HeaderRule {
    HeaderRule {
        change,
        statuses: Vec::new(),
        if_absent: false,
        when: None,
    }
}

fn set(name: &'static str, value: &'static str) -> HeaderChange {
    let value = HeaderText::Fixed(HeaderValue::from_static(value));
    HeaderChange::Set(HeaderName::from_static(name), value)
}

fn remove(name: &'static str) -> HeaderChange {
    HeaderChange::Remove(HeaderName::from_static(name))
}

#[tokio::test]
async fn header_rules_of_the_location_and_elsewhere_of_the_server() {
    let server = Policy {
        response_headers: vec![rule(set("x-frame-options", "DENY"))],
        ..Policy::default()
    };
    let front = Front::serving(server, |events| {
        let policy = Policy {
            request_headers: vec![rule(set("x-set", "by the front")), rule(remove("x-drop"))],
            response_headers: vec![
                rule(remove("server")),
                HeaderRule {
                    if_absent: true,
                    ..rule(set("content-type", "text/changed"))
                },
                HeaderRule {
                    statuses: vec![StatusRange {
                        first: 500,
                        last: 599,
                    }],
                    ..rule(set("x-failed", "yes"))
                },
            ],
            ..Policy::default()
        };
        vec![Location::new("/app", Fake::new(events)).with_policy(policy)]
    });
    let dump = front
        .ask("GET", "/app/dump", "X-Set: by the client\nX-Drop: 1\nX-Keep: 1")
        .await;
    let text = dump.text();
    assert!(
        text.contains("x-set: by the front") && text.contains("x-keep: 1"),
        "{text}"
    );
    assert!(
        !text.contains("x-drop") && !text.contains("by the client"),
        "{text}"
    );
    assert_eq!(dump.header("server"), None);
    assert_eq!(dump.header("content-type"), Some("text/changed"));
    assert_eq!(
        (dump.header("x-failed"), dump.header("x-frame-options")),
        (None, None)
    );
    let failed = front.ask("GET", "/app/fails/raised", "").await;
    assert_eq!((failed.status, failed.header("x-failed")), (500, Some("yes")));
    assert_eq!(
        failed.header("content-type"),
        Some("text/html; charset=utf-8"),
        "it is not absent"
    );
    let missing = front.ask("GET", "/none", "").await;
    assert_eq!(
        (missing.status, missing.header("x-frame-options")),
        (404, Some("DENY"))
    );
    let mut client = front.connect().await;
    client.send("GET / HTTP/1.1\r\n\r\n").await;
    let refused = client.response("GET").await;
    assert_eq!(
        (refused.status, refused.header("x-frame-options")),
        (400, Some("DENY"))
    );
}

fn compressing() -> Policy {
    Policy {
        compress: Some(Compress::default()),
        ..Policy::default()
    }
}

fn decoded(response: &common::client::Response) -> String {
    let mut text = String::new();
    let bytes = response.body.as_slice();
    match response.header("content-encoding") {
        Some("gzip") => flate2::read::GzDecoder::new(bytes)
            .read_to_string(&mut text)
            .map(drop),
        Some("br") => brotli::Decompressor::new(bytes, 4096)
            .read_to_string(&mut text)
            .map(drop),
        Some("zstd") => zstd::decode_all(bytes).map(|bytes| text = String::from_utf8(bytes).expect("text")),
        _ => {
            text = response.text();
            Ok(())
        }
    }
    .expect("it can be decoded");
    text
}

#[tokio::test]
async fn suitable_answers_are_compressed() {
    let directory = tempfile::tempdir().expect("a folder");
    let text = "p { color: red }\n".repeat(20_000);
    std::fs::write(directory.path().join("large.css"), &text).expect("written");
    std::fs::write(directory.path().join("x.png"), &text).expect("written");
    let folder = directory.path().to_owned();
    let front = Front::serving(Policy::default(), |events| {
        vec![
            Location::new("/", Fake::new(events)).with_policy(compressing()),
            Location::files("/static", Files::new(folder, FileOptions::default())).with_policy(compressing()),
        ]
    });
    for coding in ["gzip", "br", "zstd"] {
        let accept = format!("Accept-Encoding: {coding}");
        for len in [5_000, 200_000] {
            let target = format!("/answer/content-type=text|html/etag=\"a\"/{len}");
            let answer = front.ask("GET", &target, &accept).await;
            assert_eq!(answer.header("content-encoding"), Some(coding));
            assert_eq!(answer.header("etag"), Some("W/\"a\""));
            assert_eq!(answer.header("vary"), Some("Accept-Encoding"));
            assert_eq!(answer.header("content-length"), None);
            assert_eq!(decoded(&answer), "text ".repeat(len / 5));
            assert!(answer.body.len() < len / 20, "{}", answer.body.len());
        }
        let file = front.ask("GET", "/static/large.css", &accept).await;
        assert_eq!(
            (file.header("content-encoding"), file.truncated),
            (Some(coding), false)
        );
        assert_eq!(decoded(&file), text);
    }
    for (target, fields) in [
        ("/answer/content-type=text|html/5000", ""),
        ("/answer/content-type=text|html/1000", "Accept-Encoding: gzip"),
        ("/answer/content-type=image|png/5000", "Accept-Encoding: gzip"),
        (
            "/answer/content-type=text|event-stream/5000",
            "Accept-Encoding: gzip",
        ),
        (
            "/answer/content-type=text|html/cache-control=no-transform/5000",
            "Accept-Encoding: gzip",
        ),
        (
            "/answer/content-type=text|html/set-cookie=a/5000",
            "Accept-Encoding: gzip",
        ),
        (
            "/answer/content-type=text|html/5000",
            "Accept-Encoding: gzip\nCookie: a=b",
        ),
        (
            "/answer/content-type=text|html/5000",
            "Accept-Encoding: gzip\nAuthorization: Basic x",
        ),
        ("/static/x.png", "Accept-Encoding: gzip"),
        ("/static/large.css", "Accept-Encoding: gzip\nRange: bytes=0-9999"),
    ] {
        let answer = front.ask("GET", target, fields).await;
        assert_eq!(answer.header("content-encoding"), None, "{target} {fields}");
        assert!(answer.header("content-length").is_some(), "{target} {fields}");
    }
    let file = front
        .ask("GET", "/static/large.css", "Accept-Encoding: gzip\nCookie: a=b")
        .await;
    assert_eq!(
        file.header("content-encoding"),
        Some("gzip"),
        "a file holds nobody's secret"
    );
    let tag = file.header("etag").expect("a tag").to_owned();
    let again = front
        .ask("GET", "/static/large.css", &format!("If-None-Match: {tag}"))
        .await;
    assert_eq!((again.status, again.header("etag")), (304, Some(tag.as_str())));
    let head = front
        .ask(
            "HEAD",
            "/answer/content-type=text|html/5000",
            "Accept-Encoding: gzip",
        )
        .await;
    assert_eq!(
        (head.header("content-encoding"), head.header("vary")),
        (None, Some("Accept-Encoding"))
    );
    let (_, lines) = front.stop().await;
    assert!(
        lines.iter().all(|line| line.contains(" + ")),
        "no connection was cut: {lines:?}"
    );
}

/// The log counts what the client gets, once.
#[tokio::test]
async fn a_compressed_body_counts_as_what_is_sent() {
    let directory = tempfile::tempdir().expect("a folder");
    std::fs::write(
        directory.path().join("large.css"),
        "p { color: red }\n".repeat(20_000),
    )
    .expect("written");
    let folder = directory.path().to_owned();
    let front = Front::serving_as("%B %O", |events| {
        vec![
            Location::new("/", Fake::new(events)).with_policy(compressing()),
            Location::files("/static", Files::new(folder, FileOptions::default())).with_policy(compressing()),
        ]
    });
    let mut count = 0;
    for coding in ["gzip", "br", "zstd", "identity"] {
        for target in [
            "/answer/content-type=text|html/5000",
            "/answer/content-type=text|html/200000",
            "/typed-stream/one/two/three",
            "/typed-aborts",
            "/static/large.css",
        ] {
            let answer = front
                .ask("GET", target, &format!("Accept-Encoding: {coding}"))
                .await;
            let encoding = answer.header("content-encoding");
            assert_eq!(encoding, (coding != "identity").then_some(coding), "{target}");
            count += 1;
            let lines = front.log(count).await;
            let (body, all) = lines[count - 1].split_once(' ').expect("two numbers");
            assert_eq!(body, answer.body.len().to_string(), "{coding} {target}");
            assert!(
                all.parse::<usize>().expect("a number") > answer.body.len(),
                "{coding} {target}"
            );
        }
    }
}

#[tokio::test]
async fn what_an_application_streams_comes_through_while_it_pauses() {
    let front = Front::serving(Policy::default(), |events| {
        vec![Location::new("/", Fake::new(events)).with_policy(compressing())]
    });
    for coding in ["gzip", "br", "zstd"] {
        let mut client = front.connect().await;
        client
            .send(format!(
                "GET /typed-held-stream/first/second HTTP/1.1\r\nHost: a\r\nAccept-Encoding: {coding}\r\n\r\n"
            ))
            .await;
        let mut received = Vec::new();
        let waited = tokio::time::timeout(std::time::Duration::from_secs(20), async {
            while !begins_with_first(coding, &received) {
                let mut piece = [0; 4096];
                let read = client.stream.read(&mut piece).await.expect("it goes on");
                received.extend_from_slice(&piece[..read]);
            }
        });
        waited.await.expect("the first piece comes before the second");
    }
    assert_eq!(front.events.dispatched(), 3);
    front.events.release();
}

/// Whether the chunks of this response, as far as they have come, begin with the application's first piece.
fn begins_with_first(coding: &str, received: &[u8]) -> bool {
    let Some(head) = received.windows(4).position(|four| four == b"\r\n\r\n") else {
        return false;
    };
    let (mut rest, mut body) = (&received[head + 4..], Vec::new());
    while let Some(end) = rest.windows(2).position(|two| two == b"\r\n") {
        let size = str::from_utf8(&rest[..end]).expect("a size");
        let size = usize::from_str_radix(size, 16).expect("a size");
        let Some(chunk) = rest.get(end + 2..end + 2 + size) else {
            break;
        };
        body.extend_from_slice(chunk);
        rest = rest.get(end + 4 + size..).unwrap_or_default();
    }
    let mut first = [0; 5];
    let is_there = match coding {
        "gzip" => flate2::read::GzDecoder::new(&body[..]).read_exact(&mut first),
        "br" => brotli::Decompressor::new(&body[..], 4096).read_exact(&mut first),
        _ => zstd::Decoder::new(&body[..])
            .expect("a decoder")
            .read_exact(&mut first),
    };
    is_there.is_ok() && &first == b"first"
}

#[tokio::test]
async fn a_compressed_stream_that_breaks_off_looks_broken() {
    let front = Front::serving(Policy::default(), |events| {
        vec![Location::new("/", Fake::new(events)).with_policy(compressing())]
    });
    let stream = front
        .ask("GET", "/typed-stream/ab/cd", "Accept-Encoding: gzip")
        .await;
    assert_eq!((decoded(&stream).as_str(), stream.truncated), ("abcd", false));
    let broken = front.ask("GET", "/typed-aborts", "Accept-Encoding: gzip").await;
    assert_eq!(broken.header("content-encoding"), Some("gzip"));
    assert!(broken.truncated);
}

#[tokio::test]
async fn the_application_names_a_file_and_the_front_sends_it() {
    let directory = tempfile::tempdir().expect("a folder");
    let allowed = directory.path().join("allowed");
    std::fs::create_dir(&allowed).expect("created");
    std::fs::write(allowed.join("a b.pdf"), "0123456789").expect("written");
    std::fs::write(directory.path().join("secret"), "secret").expect("written");
    #[cfg(unix)]
    std::os::unix::fs::symlink("../secret", allowed.join("link")).expect("a link");
    // The orders of the application have | for a slash.
    let path = |name: &str| {
        let path = directory.path().join(name).display().to_string();
        path.replace(['/', '\\'], "|").replace(' ', "%20")
    };
    let front = Front::serving(Policy::default(), |events| {
        let policy = Policy {
            sendfile: vec![allowed.clone()],
            ..Policy::default()
        };
        vec![
            Location::new("/", Fake::new(events)).with_policy(policy),
            Location::new("/without", Fake::new(events)),
        ]
    });
    let named = |name: &str| {
        format!(
            "/answer/content-type=application|pdf/transfer-encoding=chunked/connection=close/x-sendfile={}/5",
            path(name)
        )
    };
    let whole = front.ask("GET", &named("allowed/a b.pdf"), "").await;
    assert_eq!((whole.status, whole.text().as_str()), (200, "0123456789"));
    for name in ["x-sendfile", "transfer-encoding", "connection"] {
        assert_eq!(whole.header(name), None, "{name}");
    }
    assert_eq!(whole.header("content-type"), Some("application/pdf"));
    assert_eq!(whole.header("content-length"), Some("10"));
    let part = front
        .ask("GET", &named("allowed/a b.pdf"), "Range: bytes=0-1")
        .await;
    assert_eq!((part.status, part.text().as_str()), (206, "01"));
    let date = whole.header("last-modified").expect("a date");
    let same = front
        .ask(
            "GET",
            &named("allowed/a b.pdf"),
            &format!("If-Modified-Since: {date}"),
        )
        .await;
    assert_eq!(same.status, 304);
    let head = front.ask("HEAD", &named("allowed/a b.pdf"), "").await;
    assert_eq!((head.status, head.header("content-length")), (200, Some("10")));
    let redirect = "/answer/x-accel-redirect=|a%2520b.pdf/5";
    let redirected = front.ask("GET", redirect, "").await;
    assert_eq!(
        (redirected.text().as_str(), redirected.header("x-accel-redirect")),
        ("0123456789", None)
    );
    for (target, status) in [
        (named("secret"), 500),
        (named("allowed/../secret"), 500),
        (named("allowed/none"), 404),
        ("/answer/x-sendfile=|etc|passwd/5".to_owned(), 500),
        ("/answer/x-sendfile=relative/5".to_owned(), 500),
        ("/answer/x-accel-redirect=|..|secret/5".to_owned(), 500),
        ("/answer/x-accel-redirect=|none/5".to_owned(), 404),
    ] {
        let response = front.ask("GET", &target, "").await;
        assert_eq!(response.status, status, "{target}");
        assert!(
            !response.text().contains("secret") && response.header("x-sendfile").is_none(),
            "{target}"
        );
    }
    #[cfg(unix)]
    assert_eq!(front.ask("GET", &named("allowed/link"), "").await.status, 500);
    let without = front
        .ask("GET", &format!("/without{}", named("allowed/a b.pdf")), "")
        .await;
    assert_eq!(
        without.text(),
        "text ",
        "the header means nothing where it is not allowed"
    );
    let stats = front.events.withdrawn();
    assert_eq!(stats, 0, "no request counts as one whose client has left");
}
