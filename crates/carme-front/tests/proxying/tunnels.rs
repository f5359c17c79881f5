//! Other protocols through the front.

use carme_proxy::Upgrade;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Wanted, one_member, until};
use crate::member::Member;

const CHAT: &str =
    "GET /chat HTTP/1.1\r\nHost: test\r\nConnection: keep-alive, Upgrade\r\nUpgrade: echo\r\n\r\n";

async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut seen = String::new();
    let mut piece = [0; 4096];
    while !seen.ends_with(end) {
        let len = stream.read(&mut piece).await.expect("bytes");
        assert!(len > 0, "the connection ended after {seen:?}");
        seen.push_str(&String::from_utf8_lossy(&piece[..len]));
    }
    seen
}

#[tokio::test]
async fn a_change_of_protocol_goes_through_and_is_logged_at_its_end() {
    let (member, balanced) = one_member().await;
    let mut client = balanced.front.connect().await;
    client.send(CHAT).await;
    let head = read_until(&mut client.stream, "welcome").await;
    assert!(head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{head}");
    assert!(
        head.to_ascii_lowercase().contains("\r\nupgrade: echo\r\n"),
        "{head}"
    );
    let asked = member.asked();
    assert_eq!(asked[0].field("upgrade"), Some("echo"));
    for word in ["hello", "GET / HTTP/1.1\r\n\r\n", "\0\u{1}binary"] {
        client.stream.write_all(word.as_bytes()).await.expect("sent");
        assert_eq!(read_until(&mut client.stream, word).await, word);
    }
    assert_eq!(balanced.cluster.report().members[0].busy, 1, "it is in flight");
    drop(client);
    assert_eq!(balanced.front.log(1).await, ["101 r1 1 + /chat"]);
    until("the member is free", || {
        balanced.cluster.report().members[0].busy == 0
    })
    .await;
    until("its connection is closed", || member.open() == 0).await;
}

#[tokio::test]
async fn what_may_not_change_is_asked_for_as_it_is() {
    let member = Member::start("one").await;
    let wanted = Wanted {
        endpoint: |endpoint| endpoint.upgrade = Upgrade::Only("websocket".into()),
        ..Wanted::default()
    };
    let balanced = wanted.start(&[&member.url()]);
    let mut client = balanced.front.connect().await;
    client.send(CHAT.replace("/chat", "/a")).await;
    assert_eq!(client.response("GET").await.status, 200);
    assert_eq!(member.asked()[0].field("upgrade"), None);
    assert_eq!(member.asked()[0].field("connection"), None);
}

#[tokio::test]
async fn a_member_that_changes_unasked_is_a_bad_gateway() {
    let (_member, balanced) = one_member().await;
    let response = balanced.front.ask("GET", "/chat", "").await;
    assert_eq!(response.status, 502);
}

#[tokio::test]
async fn a_stop_ends_tunnels_when_its_time_is_over() {
    let (member, balanced) = one_member().await;
    let mut client = balanced.front.connect().await;
    client.send(CHAT).await;
    read_until(&mut client.stream, "welcome").await;
    balanced
        .front
        .shutdown
        .set_graceful_timeout(std::time::Duration::from_millis(200));
    let (drained, lines) = balanced.front.stop().await;
    assert_eq!(drained.aborted, 1);
    assert_eq!(lines, ["101 r1 1 X /chat"]);
    until("the member's connection is closed", || member.open() == 0).await;
}
