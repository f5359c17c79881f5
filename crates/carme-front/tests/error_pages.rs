//! What a client sees of the front's own answers: its pages, the user's, or JSON. The application's are its own.

mod common;

use carme_front::{ErrorPage, ErrorPages, Markup};
use common::Front;
use common::client::{Client, Response};

fn pages() -> ErrorPages {
    let page = |statuses, markup, text: &str| ErrorPage {
        statuses,
        markup,
        text: text.to_owned(),
    };
    ErrorPages::new([
        page(
            404..=404,
            Markup::Html,
            "<h1>{status} {reason}</h1><i>{request_id}</i>",
        ),
        page(500..=599, Markup::Plain, "{reason}, sorry"),
    ])
}

async fn get(client: &mut Client, target: &str, accept: &str) -> Response {
    client
        .send(format!(
            "GET {target} HTTP/1.1\r\nHost: a\r\nAccept: {accept}\r\n\r\n"
        ))
        .await;
    client.response("GET").await
}

#[tokio::test]
async fn the_users_pages_take_the_place_of_ours() {
    let front = Front::with_pages(pages());
    let mut client = front.connect().await;
    let response = get(&mut client, "/", "text/html").await;
    assert_eq!(response.status, 404);
    assert_eq!(response.header("content-type"), Some("text/html; charset=utf-8"));
    let id = response.header("x-request-id").unwrap();
    assert_eq!(response.text(), format!("<h1>404 Not Found</h1><i>{id}</i>"));

    let response = get(&mut client, "/app/fails/full", "*/*").await;
    assert_eq!(response.status, 503);
    assert_eq!(response.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(response.header("retry-after"), Some("12"));
    assert_eq!(response.text(), "Service Unavailable, sorry");

    // For HEAD there is the length alone.
    client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let response = client.response("HEAD").await;
    assert_eq!(
        (response.status, response.header("content-length")),
        (404, Some("45"))
    );

    client.send("GET / HTTP/1.1\r\n\r\n").await;
    let response = client.response("GET").await;
    assert_eq!(response.status, 400);
    assert!(
        response.text().contains("<h1>400 Bad Request</h1>"),
        "no page is for it"
    );
}

#[tokio::test]
async fn what_a_refused_request_accepts_counts_if_it_can_be_read() {
    let long = "x".repeat(20_000);
    for (status, head, is_json) in [
        // Before and behind what is wrong.
        (
            400,
            "GET / HTTP/1.1\r\nAccept: application/json\r\n\r\n".to_owned(),
            true,
        ),
        (
            400,
            "GET / HTTP/1.1\r\nHost: a\r\nBad Name: x\r\nACCEPT:application/problem+json\r\n\r\n".to_owned(),
            true,
        ),
        (
            400,
            "GET / HTTP/1.1\r\nAccept: text/html\r\n\r\n".to_owned(),
            false,
        ),
        (
            400,
            "GET / HTTP/1.1\r\nX: \0\r\nAccept: application/json\r\nAccept: text/html\r\n\r\n".to_owned(),
            false,
        ),
        // A body is no header.
        (
            400,
            "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\nAccept: application/json\r\n\r\n".to_owned(),
            false,
        ),
        (
            505,
            "GET / HTTP/3.0\r\nAccept: application/json\r\n\r\n".to_owned(),
            true,
        ),
        (
            501,
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\nAccept: application/json\r\n\r\n"
                .to_owned(),
            true,
        ),
        (
            431,
            format!("GET / HTTP/1.1\r\nHost: a\r\nAccept: application/json\r\nX: {long}\r\n\r\n"),
            true,
        ),
        // What comes behind the limit is not read.
        (
            431,
            format!("GET / HTTP/1.1\r\nHost: a\r\nX: {long}\r\nAccept: application/json\r\n\r\n"),
            false,
        ),
        (
            414,
            format!("GET /{long} HTTP/1.1\r\nAccept: application/json\r\n\r\n"),
            false,
        ),
    ] {
        let front = Front::with_pages(pages());
        let mut client = front.connect().await;
        client.send(&head).await;
        let response = client.response("GET").await;
        let case = &head[..head.len().min(100)];
        assert_eq!(response.status, status, "{case}");
        let expected = match is_json {
            true => "application/problem+json",
            false => "text/html; charset=utf-8",
        };
        assert_eq!(response.header("content-type"), Some(expected), "{case}");
        assert_eq!(response.header("vary"), Some("Accept"), "{case}");
        assert!(
            !is_json || response.text().contains(&format!("\"status\":{status},")),
            "{case}: {}",
            response.text()
        );
        let lines = front.log(1).await;
        assert_eq!(lines.len(), 1, "{case}");
        assert!(lines[0].starts_with(&format!("{status} - ")), "{case}: {lines:?}");
    }
}

#[tokio::test]
async fn who_prefers_json_gets_problem_details() {
    let front = Front::with_pages(pages());
    let mut client = front.connect().await;
    for (target, status, title, detail) in [
        ("/", 404, "Not Found", "Nothing is served here."),
        (
            "/app/fails/late",
            503,
            "Service Unavailable",
            "The server is too busy at the moment. Please try again.",
        ),
        (
            "/app/fails/died",
            502,
            "Bad Gateway",
            "The application gave no valid answer.",
        ),
    ] {
        let response = get(&mut client, target, "application/json, text/plain, */*").await;
        assert_eq!(response.status, status);
        assert_eq!(response.header("content-type"), Some("application/problem+json"));
        assert_eq!(response.header("vary"), Some("Accept"));
        let id = response.header("x-request-id").unwrap();
        assert_eq!(
            response.text(),
            format!(
                "{{\"type\":\"about:blank\",\"title\":\"{title}\",\"status\":{status},\"detail\":\"{detail}\",\
                 \"request_id\":\"{id}\"}}\n"
            )
        );
    }
    let response = get(&mut client, "/", "text/html,application/xhtml+xml,*/*;q=0.8").await;
    assert_eq!(response.header("content-type"), Some("text/html; charset=utf-8"));
}

#[tokio::test]
async fn the_applications_errors_are_its_own() {
    let front = Front::with_pages(pages());
    let mut client = front.connect().await;
    for status in [400, 404, 500, 503] {
        let response = get(&mut client, &format!("/app/status/{status}"), "application/json").await;
        assert_eq!((response.status, response.text().as_str()), (status, "body"));
        assert_eq!(response.header("vary"), None);
    }
}
