//! Members that speak TLS: who is believed, and what is said of those who are not.

mod common;

use std::net::SocketAddr;

use carme_balancer::Member;
use carme_proxy::{Address, Endpoint, Failed, MemberTls, Protocol};
use common::certificates::{Authority, Identity};
use common::{Balanced, Listener, endpoint, node};
use http::StatusCode;

fn secure(host: &str, address: SocketAddr) -> Endpoint {
    Endpoint {
        is_secure: true,
        address: Address::Tcp {
            host: host.to_owned(),
            port: address.port(),
        },
        ..endpoint(address)
    }
}

fn balanced(endpoint: Endpoint) -> Balanced {
    Balanced::new(vec![node(Member::new("https://member"), endpoint)])
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

#[tokio::test]
async fn a_member_is_known_by_the_host_of_its_url() {
    let authority = Authority::new("authority");
    for (host, asked) in [("localhost", Some("localhost")), ("127.0.0.1", None)] {
        let member = Listener::new().await;
        let acceptor = authority.sign(host).acceptor(&["h2", "http/1.1"]);
        let balanced = balanced(secure(host, member.address()));
        balanced.cluster.set_tls(Some(authority.tls()));
        let serve = async {
            let mut peer = member.accept_tls(&acceptor).await.unwrap();
            let session = peer.0.get_ref().1;
            assert_eq!(session.server_name(), asked);
            assert_eq!(session.alpn_protocol(), Some(&b"http/1.1"[..]));
            for _ in 0..2 {
                assert!(peer.head().await.starts_with("GET / HTTP/1.1\r\n"));
                peer.write(OK).await;
            }
        };
        let ask = async {
            // The second goes over the same connection.
            for _ in 0..2 {
                let (status, body) = balanced.get().await.unwrap();
                assert_eq!((status, body.as_str()), (StatusCode::OK, "hi"));
            }
        };
        tokio::join!(serve, ask);
    }
}

/// What becomes of a request to a member with this certificate, for somebody who trusts `authority`.
async fn failure(authority: &Authority, host: &str, identity: Identity, protocol: Protocol) -> String {
    let member = Listener::new().await;
    let acceptor = identity.acceptor(&["http/1.1"]);
    let endpoint = Endpoint {
        protocol,
        ..secure(host, member.address())
    };
    let balanced = balanced(endpoint);
    balanced.cluster.set_tls(Some(authority.tls()));
    let (_, answer) = tokio::join!(member.accept_tls(&acceptor), balanced.get());
    let failed = answer.unwrap_err();
    assert!(matches!(failed, Failed::Member { .. }), "{failed}");
    assert_eq!(failed.status(), StatusCode::BAD_GATEWAY);
    assert_eq!(balanced.state(), carme_balancer::State::Error, "{failed}");
    failed.to_string()
}

#[tokio::test]
async fn who_is_not_believed_and_why() {
    let authority = Authority::new("authority");
    let stranger = Authority::new("stranger");
    for (host, identity, why) in [
        ("localhost", stranger.sign("localhost"), "tls_ca"),
        (
            "localhost",
            authority.sign("other.test"),
            "URL has to have a name",
        ),
        ("127.0.0.1", authority.sign("localhost"), "URL has to have a name"),
        (
            "localhost",
            authority.sign_until("localhost", 2021),
            "has expired",
        ),
    ] {
        let told = failure(&authority, host, identity, Protocol::Http1).await;
        assert!(
            told.starts_with("the member https://member cannot be reached: "),
            "{told}"
        );
        assert!(told.contains("certificate ") && told.contains(why), "{told}");
    }
    let told = failure(
        &authority,
        "localhost",
        authority.sign("localhost"),
        Protocol::Http2,
    )
    .await;
    assert!(told.contains("HTTP"), "{told}");
}

#[tokio::test]
async fn anybody_is_believed_if_that_is_wanted() {
    let member = Listener::new().await;
    let acceptor = Authority::new("stranger").sign("other.test").acceptor(&[]);
    let balanced = balanced(secure("127.0.0.1", member.address()));
    let anybody = MemberTls {
        verify: false,
        ca: None,
    };
    balanced.cluster.set_tls(Some(anybody.load().unwrap()));
    let serve = async {
        let mut peer = member.accept_tls(&acceptor).await.unwrap();
        peer.head().await;
        peer.write(OK).await;
    };
    let ((), answer) = tokio::join!(serve, balanced.get());
    assert_eq!(answer.unwrap().0, StatusCode::OK);
}

/// A connection is not used any more when another authority counts.
#[tokio::test]
async fn another_authority_counts_at_once() {
    let authority = Authority::new("authority");
    let member = Listener::new().await;
    let acceptor = authority.sign("localhost").acceptor(&[]);
    let balanced = balanced(secure("localhost", member.address()));
    balanced.cluster.set_tls(Some(authority.tls()));
    let serve = async {
        let mut peer = member.accept_tls(&acceptor).await.unwrap();
        peer.head().await;
        peer.write(OK).await;
        peer
    };
    let (mut peer, answer) = tokio::join!(serve, balanced.get());
    assert_eq!(answer.unwrap().1, "hi");
    balanced.cluster.set_tls(Some(Authority::new("other").tls()));
    assert!(peer.is_closed().await);
    let (handshake, answer) = tokio::join!(member.accept_tls(&acceptor), balanced.get());
    assert!(handshake.is_err());
    assert!(answer.unwrap_err().to_string().contains("tls_ca"));
}

#[tokio::test]
async fn a_member_that_speaks_no_tls() {
    let member = Listener::new().await;
    let balanced = balanced(secure("localhost", member.address()));
    let told = balanced.get().await.unwrap_err().to_string();
    assert!(
        told.ends_with("(add it to the configuration, and reload)"),
        "{told}"
    );
    balanced.cluster.set_tls(Some(Authority::new("authority").tls()));
    balanced.cluster.with(|balancer, now| {
        let id = balancer.members().next().unwrap().0;
        balancer.change(id, carme_balancer::Change::Enable, now).unwrap();
    });
    let serve = async {
        let mut peer = member.accept().await;
        peer.write("HTTP/1.1 400 Bad Request\r\n\r\n").await;
        peer
    };
    let (_, answer) = tokio::join!(serve, balanced.get());
    let told = answer.unwrap_err().to_string();
    assert!(told.contains("it does not speak TLS"), "{told}");
}
