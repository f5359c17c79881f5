//! Members that a test plays itself, byte by byte, and a clock that only the test moves.
#![allow(dead_code, unreachable_pub)]

pub mod certificates;
pub mod frames;
#[path = "../../../carme-front/tests/common/reasons.rs"]
pub mod reasons;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::{Mutex, mpsc};
use std::time::Duration;

use carme_balancer::{Member, Settings, State};
use carme_proxy::{Answer, Ask, Attempts, Content, Endpoint, Failed, Forward, Kept, Node, RequestBody};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Time stands still but for [`Clock::pass`].
pub struct Clock(Option<mpsc::Sender<()>>);

impl Clock {
    pub fn hold() -> Self {
        tokio::time::pause();
        // With a blocking task at work tokio does not move a paused clock by itself when it has nothing to do: sockets
        // have all the time they need.
        let (sender, receiver) = mpsc::channel();
        tokio::task::spawn_blocking(move || receiver.recv());
        Clock(Some(sender))
    }

    /// So much time and a millisecond, as tokio's timers may be late by one.
    pub async fn pass(&self, time: Duration) {
        tokio::time::advance(time + Duration::from_millis(1)).await;
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        self.0.take();
    }
}

/// Until it is so.
pub async fn until(mut is_so: impl FnMut() -> bool) {
    while !is_so() {
        tokio::task::yield_now().await;
    }
}

pub fn endpoint(address: SocketAddr) -> Endpoint {
    Endpoint::http(address.ip().to_string(), address.port())
}

pub fn node(member: Member, endpoint: Endpoint) -> Node {
    Node {
        member,
        endpoint: Arc::new(endpoint),
    }
}

/// A balancer that lives as long as this.
pub struct Balanced {
    pub cluster: Arc<Kept>,
}

impl Balanced {
    pub fn new(nodes: Vec<Node>) -> Self {
        let cluster = Kept::start(Settings::apache("balancer://test"), nodes, 1);
        Balanced { cluster }
    }

    /// A request with this head and body, on its way.
    pub async fn send(&self, request: Request<RequestBody>) -> Result<Answer, Failed> {
        let (head, body) = request.into_parts();
        let head = Request::from_parts(head, ());
        let forward = Forward {
            ask: Ask::default(),
            method: head.method(),
            head: &|_: &Endpoint| Ok(head.clone()),
            body,
            id: "test",
        };
        self.cluster
            .forward(forward, &Mutex::new(Attempts::default()))
            .await
    }

    /// `GET /`, and what came of it.
    pub async fn get(&self) -> Result<(StatusCode, String), Failed> {
        let answer = self.send(get()).await?;
        Ok((answer.head.status, text(answer).await))
    }

    /// Connections that wait for the next request.
    pub fn idle(&self) -> usize {
        let members = self.cluster.connections();
        members.into_iter().map(|(.., idle)| idle).sum()
    }

    /// What its only member does.
    pub fn state(&self) -> State {
        self.cluster.report().members[0].state
    }
}

/// `GET /`
pub fn get() -> Request<RequestBody> {
    let request = Request::get("/").header("host", "www.test");
    request.body(RequestBody::empty()).unwrap()
}

/// An answer's body, to its end.
pub async fn text(answer: Answer) -> String {
    let Content::Body(body) = answer.content else {
        panic!("a tunnel");
    };
    let bytes = body.collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.into()).unwrap()
}

/// A member's listening socket.
pub struct Listener(TcpListener);

impl Listener {
    pub async fn new() -> Self {
        Listener(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    pub fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    pub async fn accept(&self) -> Peer {
        Peer(self.0.accept().await.unwrap().0)
    }
}

/// The member's end of a connection.
pub struct Peer<S = TcpStream>(pub S);

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    /// A request's head, to the empty line.
    pub async fn head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.0.read_u8().await.unwrap());
        }
        String::from_utf8(head).unwrap()
    }

    pub async fn write(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    /// The other end has closed it.
    pub async fn is_closed(&mut self) -> bool {
        matches!(self.0.read_u8().await, Err(error) if error.kind() != std::io::ErrorKind::WouldBlock)
    }
}
