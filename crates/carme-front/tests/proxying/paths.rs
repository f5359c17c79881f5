//! Which location a path has, and what a client cannot take away there.

use bytes::Bytes;
use carme_front::{Fixed, HeaderChange, HeaderRule, Location, Policy, Template};
use http::{HeaderName, HeaderValue, StatusCode};

use super::{Balanced, Wanted};
use crate::member::Member;

async fn front() -> (Member, Balanced) {
    let member = Member::start("one").await;
    let secret = HeaderRule {
        change: HeaderChange::Set(
            HeaderName::from_static("x-secret"),
            Template::Fixed(HeaderValue::from_static("kept")),
        ),
        statuses: Vec::new(),
        if_absent: false,
        when: None,
    };
    let policy = Policy {
        request_headers: vec![secret],
        ..Policy::default()
    };
    let no = Fixed {
        status: StatusCode::FORBIDDEN,
        content_type: HeaderValue::from_static("text/plain"),
        body: Bytes::new(),
    };
    let balanced = Wanted::default().start_with(&[&member.url()], |proxied| {
        vec![
            Location::balanced("/", proxied).with_policy(policy),
            Location::fixed("/no", no),
        ]
    });
    (member, balanced)
}

#[tokio::test]
async fn no_spelling_of_a_path_gets_past_its_location() {
    let (member, balanced) = front().await;
    let mut client = balanced.front.connect().await;
    for path in [
        "/no",
        "/no/x",
        "//no/x",
        "/./no/x",
        "/a/../no/x",
        "/a/%2e%2e/no/x",
        "/a//..//no/x",
        "/%6eo/x",
        "/no%2Fx",
    ] {
        assert_eq!(client.get(path).await.status, 403, "{path}");
    }
    for path in [
        "/..",
        "/a/../../no",
        "/a%2F..%2Fno/x",
        "/a/..%2Fno",
        "/..;/no",
        "/%zz",
        "/%00",
    ] {
        assert_eq!(client.get(path).await.status, 400, "{path}");
    }
    assert!(member.asked().is_empty());
    for (path, seen) in [
        ("/x/../yes", "/yes"),
        ("/noway", "/noway"),
        ("//yes//x", "/yes/x"),
        ("/a%2Fb", "/a%2Fb"),
    ] {
        assert_eq!(client.get(path).await.status, 200, "{path}");
        let asked = member.asked().pop().unwrap();
        assert_eq!(asked.line(), format!("GET {seen} HTTP/1.1"));
    }
}

#[tokio::test]
async fn a_client_cannot_take_away_what_the_configuration_adds() {
    let (member, balanced) = front().await;
    let mut client = balanced.front.connect().await;
    client
        .send(
            "GET /x HTTP/1.1\r\nHost: test\r\nConnection: X-Secret, X-Own, keep-alive\r\nX-Own: 1\r\n\
             X-Secret: forged\r\n\r\n",
        )
        .await;
    assert_eq!(client.response("GET").await.status, 200);
    let asked = member.asked().pop().unwrap();
    assert_eq!(asked.field("x-secret"), Some("kept"));
    assert_eq!(asked.field("x-own"), None);
    assert_eq!(asked.field("connection"), None);
}
