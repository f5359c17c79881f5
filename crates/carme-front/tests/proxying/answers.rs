//! What comes back, and how requests go out.

use carme_balancer::{Method, Settings};
use carme_proxy::head::{ErrorOverride, Passing};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Wanted, one_member, passing, until};
use crate::member::Member;

#[tokio::test]
async fn members_answer_in_turn_and_the_log_says_who() {
    let (a, b) = (Member::start("a").await, Member::start("b").await);
    let balanced = Wanted::default().start(&[&a.url(), &b.url()]);
    let mut client = balanced.front.connect().await;
    for name in ["a", "b", "a", "b"] {
        let response = client.get("/x?y=1").await;
        assert_eq!(response.status, 200);
        assert_eq!(response.text(), format!("{name} GET /x?y=1 HTTP/1.1 "));
    }
    let lines = balanced.front.log(4).await;
    assert_eq!(
        lines,
        ["200 r1 1 + /x", "200 r2 1 + /x", "200 r1 1 + /x", "200 r2 1 + /x"]
    );
    assert_eq!((a.connections(), b.connections()), (1, 1), "connections are kept");
}

#[tokio::test]
async fn bodies_go_both_ways_as_they_come() {
    let (member, balanced) = one_member().await;
    let mut client = balanced.front.connect().await;
    client
        .send("POST /pieces HTTP/1.1\r\nHost: test\r\nContent-Length: 14\r\n\r\nhello\r\n")
        .await;
    // The first half of the answer is here before the second half of the question.
    let mut seen = String::new();
    while !seen.contains("hello") {
        seen.push_str(&read(&mut client.stream).await);
    }
    client.send("world\r\n").await;
    while !seen.contains("world") {
        seen.push_str(&read(&mut client.stream).await);
    }
    assert!(
        seen.to_ascii_lowercase().contains("transfer-encoding: chunked"),
        "{seen}"
    );
    assert_eq!(member.connections(), 1);
}

async fn read(stream: &mut tokio::net::TcpStream) -> String {
    let mut piece = [0; 4096];
    let len = stream.read(&mut piece).await.expect("bytes");
    assert!(len > 0, "the connection ended");
    String::from_utf8_lossy(&piece[..len]).into_owned()
}

#[tokio::test]
async fn an_answer_begins_before_its_end_is_there() {
    let (member, balanced) = one_member().await;
    let mut client = balanced.front.connect().await;
    client.send("GET /stream HTTP/1.1\r\nHost: test\r\n\r\n").await;
    let mut seen = String::new();
    while !seen.contains("first") {
        seen.push_str(&read(&mut client.stream).await);
    }
    member.gate.add_permits(1);
    while !seen.ends_with("0\r\n\r\n") {
        seen.push_str(&read(&mut client.stream).await);
    }
    assert!(seen.contains("last"), "{seen}");
}

#[tokio::test]
async fn chunked_bodies_keep_their_framing_and_trailers() {
    let (member, balanced) = one_member().await;
    let mut client = balanced.front.connect().await;
    client
        .send(
            "POST /a HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n\
             3\r\nabc\r\n0\r\nX-Sum: 7\r\n\r\n",
        )
        .await;
    let response = client.response("POST").await;
    assert!(response.text().ends_with(" abc|x-sum: 7"), "{}", response.text());
    assert_eq!(member.asked()[0].field("content-length"), None);
    client
        .send("GET /trailers HTTP/1.1\r\nHost: test\r\nTE: trailers\r\nConnection: TE\r\n\r\n")
        .await;
    let mut seen = String::new();
    while !seen.ends_with("\r\n\r\n") || !seen.contains("0\r\n") {
        seen.push_str(&read(&mut client.stream).await);
    }
    assert!(seen.ends_with("2\r\nok\r\n0\r\nx-sum: 7\r\n\r\n"), "{seen}");
}

#[tokio::test]
async fn answers_without_a_body_have_none() {
    let (member, balanced) = one_member().await;
    let mut client = balanced.front.connect().await;
    client.send("HEAD /a HTTP/1.1\r\nHost: test\r\n\r\n").await;
    // The member sends a body with its answer to HEAD, which no member may: its connection is not used again.
    let head = client.response("HEAD").await;
    assert_eq!(head.status, 200);
    assert!(head.header("content-length").is_some());
    assert_eq!(client.get("/no-content").await.status, 204);
    let not_modified = client.get("/status/304").await;
    assert_eq!((not_modified.status, not_modified.body.len()), (304, 0));
    assert_eq!(client.get("/a").await.status, 200);
    assert!(member.connections() >= 1);
}

#[tokio::test]
async fn a_body_that_ends_with_its_connection_is_whole() {
    let (_member, balanced) = one_member().await;
    let mut client = balanced.front.connect().await;
    let response = client.get("/until-close").await;
    assert_eq!(
        (response.text().as_str(), response.truncated),
        ("all of it", false)
    );
    assert_eq!(
        client.get("/a").await.status,
        200,
        "the client's connection goes on"
    );
}

#[tokio::test]
async fn large_answers_come_whole() {
    let (member, balanced) = one_member().await;
    let mut client = balanced.front.connect().await;
    for _ in 0..3 {
        let response = client.get("/large").await;
        assert_eq!(response.body.len(), 1 << 20);
        assert!(response.body.chunks(16).all(|chunk| chunk == b"0123456789abcdef"));
    }
    assert_eq!(member.connections(), 1);
}

#[tokio::test]
async fn interim_answers_are_passed_over() {
    let (_member, balanced) = one_member().await;
    assert_eq!(balanced.front.ask("GET", "/early-hints", "").await.text(), "late");
}

#[tokio::test]
async fn members_addresses_become_the_servers() {
    let (_member, balanced) = one_member().await;
    let response = balanced
        .front
        .ask("GET", "/redirect", "Host: www.example.com")
        .await;
    assert_eq!(response.header("location"), Some("http://www.example.com/there"));
}

#[tokio::test]
async fn the_servers_own_page_takes_an_errors_place() {
    let member = Member::start("one").await;
    let balanced = Wanted {
        passing: carme_proxy::head::Passing {
            override_errors: ErrorOverride::Statuses(vec![404]),
            ..passing()
        },
        ..Wanted::default()
    }
    .start(&[&member.url()]);
    let mut client = balanced.front.connect().await;
    let replaced = client.get("/status/404").await;
    assert_eq!(replaced.status, 404);
    assert!(
        replaced.text().contains("<h1>404 Not Found</h1>"),
        "{}",
        replaced.text()
    );
    let kept = client.get("/status/500").await;
    assert_eq!(kept.text(), "its own page");
    assert_eq!(kept.line, "HTTP/1.1 500 Some Reason");
}

#[tokio::test]
async fn a_client_of_http_1_0_gets_what_it_understands() {
    let (_member, balanced) = one_member().await;
    let mut client = balanced.front.connect().await;
    client.send("GET /trailers HTTP/1.0\r\n\r\n").await;
    let response = client.response("GET").await;
    assert_eq!(response.header("transfer-encoding"), None);
    assert_eq!(response.text(), "ok");
}

#[tokio::test]
async fn a_client_that_waits_for_100_gets_it_when_its_body_is_wanted() {
    let (member, balanced) = one_member().await;
    let mut client = balanced.front.connect().await;
    client
        .send("POST /a HTTP/1.1\r\nHost: test\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        .await;
    let seen = read(&mut client.stream).await;
    assert_eq!(seen, "HTTP/1.1 100 Continue\r\n\r\n");
    client.stream.write_all(b"ok").await.expect("sent");
    assert!(client.response("POST").await.text().ends_with(" ok"));
    assert_eq!(member.asked()[0].field("expect"), None);
}

#[tokio::test]
async fn what_may_go_no_further_is_answered_here() {
    let (member, balanced) = one_member().await;
    let mut client = balanced.front.connect().await;
    let ask = "HTTP/1.1\r\nHost: test\r\nMax-Forwards: 0\r\n";
    client.send(format!("OPTIONS /x {ask}\r\n")).await;
    let response = client.response("OPTIONS").await;
    assert_eq!(
        (
            response.status,
            response.header("allow"),
            response.text().as_str()
        ),
        (
            200,
            Some("GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH, TRACE"),
            ""
        )
    );
    let secrets = "Cookie: a=b\r\nAuthorization: Basic YQ==\r\nProxy-Authorization: Basic YQ==\r\n";
    client
        .send(format!("TRACE /x?y {ask}X-Own: 1\r\n{secrets}\r\n"))
        .await;
    let response = client.response("TRACE").await;
    assert_eq!(
        (
            response.status,
            response.header("content-type"),
            response.text().as_str()
        ),
        (
            200,
            Some("message/http"),
            "TRACE /x?y HTTP/1.1\r\nhost: test\r\nmax-forwards: 0\r\nx-own: 1\r\n\r\n"
        )
    );
    client
        .send(format!("TRACE /x {ask}Content-Length: 1\r\n\r\n"))
        .await;
    assert_eq!(client.response("TRACE").await.status, 413);
    assert_eq!(
        balanced.front.log(3).await,
        ["200 - - + /x", "200 - - + /x", "413 - - - /x"]
    );
    assert_eq!(member.connections(), 0, "no member is asked");
}

#[tokio::test]
async fn trace_may_be_off() {
    let member = Member::start("one").await;
    let wanted = Wanted {
        passing: Passing {
            trace: false,
            ..passing()
        },
        ..Wanted::default()
    };
    let balanced = wanted.start(&[&member.url()]);
    let mut client = balanced.front.connect().await;
    client.send("TRACE / HTTP/1.1\r\nHost: test\r\n\r\n").await;
    let response = client.response("TRACE").await;
    assert_eq!(
        (response.status, response.header("allow")),
        (405, Some("GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH"))
    );
    assert_eq!(member.connections(), 0);
}

/// Before anything is answered, what was asked counts: a burst does not go to one member.
#[tokio::test]
async fn by_traffic_a_request_counts_while_it_is_answered() {
    let (a, b) = (Member::start("a").await, Member::start("b").await);
    let wanted = Wanted {
        settings: Settings {
            method: Method::ByTraffic,
            ..Wanted::default().settings
        },
        ..Wanted::default()
    };
    let balanced = wanted.start(&[&a.url(), &b.url()]);
    let mut waiting = balanced.front.connect().await;
    waiting.send("GET /wait HTTP/1.1\r\nHost: test\r\n\r\n").await;
    until("it is asked", || a.asked().len() == 1).await;
    let mut client = balanced.front.connect().await;
    assert_eq!(client.get("/x").await.text(), "b GET /x HTTP/1.1 ");
    // Which is more than was sent so far to either.
    assert_eq!(client.get("/large").await.status, 200);
    assert_eq!((a.asked().len(), b.asked().len()), (2, 1));
}

/// Nobody is trusted here.
#[tokio::test]
async fn a_member_sees_nothing_of_what_a_client_claims() {
    let (member, balanced) = one_member().await;
    let mut client = balanced.front.connect().await;
    client
        .send(
            "GET / HTTP/1.1\r\nHost: test\r\nX-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Host: other\r\n\
             X-Forwarded-Proto: https\r\nForwarded: for=192.0.2.1\r\nX-Real-IP: 192.0.2.1\r\n\r\n",
        )
        .await;
    assert_eq!(client.response("GET").await.status, 200);
    let asked = &member.asked()[0];
    for (name, expected) in [
        ("x-forwarded-for", Some("127.0.0.1")),
        ("x-forwarded-host", Some("test")),
        ("x-forwarded-proto", Some("http")),
        ("forwarded", None),
        ("x-real-ip", None),
    ] {
        assert_eq!(asked.field(name), expected, "{name}");
    }
}
