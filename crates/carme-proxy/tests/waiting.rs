//! Requests that wait for a member of a balancer that nobody else has any more: a reload has let go of it.

mod common;

use std::num::NonZeroU32;
use std::sync::{Arc, Weak};
use std::time::Duration;

use carme_balancer::{Member, Settings, Unavailable};
use carme_proxy::{Failed, Kept};
use common::{Balanced, Clock, Listener, Peer, endpoint, get, node, text, until};
use http::StatusCode;
use tokio::net::TcpStream;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
const PATIENCE: Duration = Duration::from_secs(5);

/// A balancer whose only member takes one request at a time.
fn narrow(member: &Listener) -> Arc<Kept> {
    let settings = Settings {
        acquire: PATIENCE,
        ..Settings::apache("balancer://test")
    };
    let member = node(
        Member {
            max: NonZeroU32::new(1),
            ..Member::new("http://member")
        },
        endpoint(member.address()),
    );
    Kept::start(settings, vec![member], 1)
}

/// A request as the front makes it, which has the balancer as long as it goes on.
fn ask(cluster: &Arc<Kept>) -> Asked {
    let cluster = Arc::clone(cluster);
    tokio::spawn(async move {
        let answer = Balanced { cluster }.send(get()).await?;
        Ok((answer.head.status, text(answer).await))
    })
}

type Asked = tokio::task::JoinHandle<Result<(StatusCode, String), Failed>>;

/// A balancer that nobody has any more but a request which its member has, and one that waits.
struct LetGo {
    balancer: Weak<Kept>,
    peer: Peer<TcpStream>,
    first: Asked,
    second: Asked,
}

async fn let_go() -> LetGo {
    let member = Listener::new().await;
    let cluster = narrow(&member);
    let first = ask(&cluster);
    let mut peer = member.accept().await;
    peer.head().await;
    let second = ask(&cluster);
    until(|| cluster.report().waiting == 1).await;
    LetGo {
        balancer: Arc::downgrade(&cluster),
        peer,
        first,
        second,
    }
}

#[tokio::test]
async fn one_that_a_reload_has_let_go_sends_them_away_in_time() {
    let clock = Clock::hold();
    let LetGo {
        balancer,
        mut peer,
        first,
        second,
    } = let_go().await;
    clock.pass(PATIENCE - Duration::from_secs(1)).await;
    assert!(!second.is_finished(), "its time is not over");
    clock.pass(Duration::from_secs(1)).await;
    match second.await.unwrap() {
        Err(Failed::Unavailable(Unavailable::WaitedTooLong(waited))) => assert!(waited >= PATIENCE),
        other => panic!("{other:?}"),
    }
    // What a member has goes on.
    peer.write(OK).await;
    assert_eq!(first.await.unwrap().unwrap(), (StatusCode::OK, "hi".to_owned()));
    assert!(balancer.upgrade().is_none(), "with the last request it is gone");
    assert!(peer.is_closed().await, "and so is its connection");
}

#[tokio::test]
async fn one_that_a_reload_has_let_go_serves_them_when_there_is_room() {
    let _clock = Clock::hold();
    let LetGo {
        mut peer,
        first,
        second,
        ..
    } = let_go().await;
    for request in [first, second] {
        peer.write(OK).await;
        assert_eq!(request.await.unwrap().unwrap().1, "hi");
    }
}
