//! Members that speak HTTP/2: streams of one connection, what is passed through them, and their ends.

mod common;

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use carme_balancer::{CheckMethod, HealthCheck, Member, State};
use carme_proxy::{Address, BodyError, Content, Endpoint, Protocol, RequestBody};
use common::certificates::Authority;
use common::frames::{DATA, GOAWAY, HEADERS, REFUSED_STREAM, RST_STREAM, Raw};
use common::{Balanced, Clock, Listener, endpoint, node, text, until};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Version};
use http_body::Frame;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;

fn h2c(listener: &Listener) -> Endpoint {
    Endpoint {
        protocol: Protocol::Http2,
        ..endpoint(listener.address())
    }
}

fn balanced(endpoint: Endpoint) -> Balanced {
    Balanced::new(vec![node(Member::new("h2c://member"), endpoint)])
}

type Sent = BoxBody<Bytes, hyper::Error>;

fn full(text: &str) -> Sent {
    Full::new(Bytes::from(text.to_owned()))
        .map_err(|never| match never {})
        .boxed()
}

/// A member that answers with this function, and how many connections it has taken.
struct Server {
    connections: Arc<AtomicUsize>,
    _serving: JoinSet<()>,
}

fn serve<F>(
    listener: Listener,
    streams: u32,
    answer: impl Fn(Request<Incoming>) -> F + Clone + Send + 'static,
) -> Server
where
    F: Future<Output = Response<Sent>> + Send + 'static,
{
    let connections = Arc::<AtomicUsize>::default();
    let counter = Arc::clone(&connections);
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        let mut open = JoinSet::new();
        loop {
            let peer = listener.accept().await;
            counter.fetch_add(1, SeqCst);
            let answer = answer.clone();
            let service = service_fn(move |request| {
                let answered = answer(request);
                async move { Ok::<_, Infallible>(answered.await) }
            });
            let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                .max_concurrent_streams(streams)
                .serve_connection(TokioIo::new(peer.0), service);
            open.spawn(async move { drop(connection.await) });
        }
    });
    Server {
        connections,
        _serving: serving,
    }
}

#[tokio::test]
async fn what_a_member_sees_and_what_comes_back() {
    let listener = Listener::new().await;
    let member = h2c(&listener);
    let server = serve(listener, 100, async |request: Request<Incoming>| {
        assert_eq!(request.version(), Version::HTTP_2);
        let seen = format!("{} {} {:?}", request.method(), request.uri(), request.headers());
        let mut response = Response::new(full(&seen));
        *response.status_mut() = StatusCode::CREATED;
        response
    });
    let balanced = balanced(member);
    for number in 1..=3 {
        let request = Request::post("/a%20b?c=d")
            .header("host", "www.test:8080")
            .header("x-one", number.to_string());
        let request = request.body(RequestBody::empty()).unwrap();
        let answer = balanced.send(request).await.unwrap();
        assert_eq!(
            (answer.head.status, answer.head.version),
            (StatusCode::CREATED, Version::HTTP_2)
        );
        let expected = "POST http://www.test:8080/a%20b?c=d ";
        let seen = text(answer).await;
        assert!(seen.starts_with(expected), "{seen}");
        assert!(
            seen.contains(&format!("\"x-one\": \"{number}\"")) && !seen.contains("host"),
            "{seen}"
        );
    }
    // One after the other they share a connection.
    assert_eq!(server.connections.load(SeqCst), 1);
    assert_eq!(balanced.idle(), 1);
}

#[tokio::test]
async fn over_tls_by_alpn() {
    let authority = Authority::new("authority");
    let listener = Listener::new().await;
    let member = Endpoint {
        is_secure: true,
        address: Address::Tcp {
            host: "localhost".to_owned(),
            port: listener.address().port(),
        },
        ..h2c(&listener)
    };
    let acceptor = authority.sign("localhost").acceptor(&["http/1.1", "h2"]);
    let balanced = balanced(member);
    balanced.cluster.set_tls(Some(authority.tls()));
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        let peer = listener.accept_tls(&acceptor).await.unwrap();
        let service = service_fn(async |request: Request<Incoming>| {
            Ok::<_, Infallible>(Response::new(full(&request.uri().to_string())))
        });
        let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
            .serve_connection(TokioIo::new(peer.0), service);
        drop(connection.await);
    });
    assert_eq!(
        balanced.get().await.unwrap(),
        (StatusCode::OK, "https://www.test/".to_owned())
    );
}

/// So many requests at once as its member has streams, and others over another connection.
#[tokio::test]
async fn a_second_connection_when_the_first_is_full() {
    let listener = Listener::new().await;
    let member = h2c(&listener);
    let (arrivals, mut arrived) = mpsc::unbounded_channel();
    let go = Arc::new(Notify::new());
    let server = serve(listener, 2, {
        let go = Arc::clone(&go);
        move |_| {
            let (arrivals, go) = (arrivals.clone(), Arc::clone(&go));
            async move {
                let waiting = go.notified();
                arrivals.send(()).unwrap();
                waiting.await;
                Response::new(full("done"))
            }
        }
    });
    let balanced = Arc::new(balanced(member));
    let mut asking = JoinSet::new();
    let ask = |asking: &mut JoinSet<_>| {
        let balanced = Arc::clone(&balanced);
        asking.spawn(async move { balanced.get().await.unwrap().1 });
    };
    for connections in [1, 1, 2, 2, 3] {
        ask(&mut asking);
        arrived.recv().await.unwrap();
        assert_eq!(server.connections.load(SeqCst), connections);
    }
    go.notify_waiters();
    while let Some(answer) = asking.join_next().await {
        assert_eq!(answer.unwrap(), "done");
    }
    assert_eq!(balanced.idle(), 3);
}

/// More at once than a new connection turns out to have streams for: the others wait, and none is refused.
#[tokio::test]
async fn more_at_once_than_a_member_has_said_yet() {
    let listener = Listener::new().await;
    let member = h2c(&listener);
    let server = serve(listener, 2, async |_| {
        tokio::task::yield_now().await;
        Response::new(full("done"))
    });
    let balanced = balanced(member);
    let all: [_; 12] = std::array::from_fn(|_| balanced.get());
    for answer in futures(all).await {
        assert_eq!(answer.unwrap().1, "done");
    }
    assert_eq!(server.connections.load(SeqCst), 1);
}

#[tokio::test]
async fn those_who_come_together_open_one_connection_and_share_its_failure() {
    let listener = Listener::new().await;
    let address = listener.address();
    let member = h2c(&listener);
    let server = serve(listener, 100, async |_| Response::new(full("done")));
    let balanced = balanced(member.clone());
    let all = [balanced.get(), balanced.get(), balanced.get(), balanced.get()];
    for answer in futures(all).await {
        assert_eq!(answer.unwrap().1, "done");
    }
    assert_eq!(server.connections.load(SeqCst), 1);
    drop(server);
    until(|| std::net::TcpListener::bind(address).is_ok()).await;
    let gone = self::balanced(member);
    for answer in futures([gone.get(), gone.get(), gone.get()]).await {
        assert!(answer.unwrap_err().to_string().contains("cannot be reached"));
    }
}

async fn futures<F: Future, const N: usize>(all: [F; N]) -> Vec<F::Output> {
    let mut all: Vec<_> = all.into_iter().map(Box::pin).collect();
    let mut outputs: Vec<Option<F::Output>> = (0..N).map(|_| None).collect();
    std::future::poll_fn(|cx| {
        for (future, output) in all.iter_mut().zip(&mut outputs) {
            if output.is_none()
                && let Poll::Ready(done) = future.as_mut().poll(cx)
            {
                *output = Some(done);
            }
        }
        match outputs.iter().all(Option::is_some) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    })
    .await;
    outputs.into_iter().flatten().collect()
}

/// A body that the test sends piece by piece.
struct Pieces(mpsc::UnboundedReceiver<Frame<Bytes>>);

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.0.poll_recv(cx).map(|piece| piece.map(Ok))
    }
}

fn data(text: &str) -> Frame<Bytes> {
    Frame::data(Bytes::from(text.to_owned()))
}

fn trailers(name: &'static str, value: &'static str) -> Frame<Bytes> {
    let mut trailers = HeaderMap::new();
    trailers.insert(name, HeaderValue::from_static(value));
    Frame::trailers(trailers)
}

fn post(body: Pieces) -> Request<RequestBody> {
    let request = Request::post("/").header("host", "www.test");
    request.body(RequestBody::new(body)).unwrap()
}

#[tokio::test]
async fn pieces_and_trailers_both_ways() {
    let listener = Listener::new().await;
    let member = h2c(&listener);
    let _server = serve(listener, 100, async |request: Request<Incoming>| {
        Response::new(request.into_body().boxed())
    });
    let balanced = balanced(member);
    let (client, body) = mpsc::unbounded_channel();
    let answer = balanced.send(post(Pieces(body))).await.unwrap();
    let Content::Body(mut body) = answer.content else {
        panic!("a tunnel");
    };
    for text in ["one", "two"] {
        client.send(data(text)).unwrap();
        let frame = body.frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), text);
    }
    // More than any window, against one who reads while it is sent.
    let large = "x".repeat(3_000_000);
    client.send(data(&large)).unwrap();
    client.send(trailers("x-sum", "7")).unwrap();
    drop(client);
    let rest = body.collect().await.unwrap();
    assert_eq!(rest.trailers().unwrap()["x-sum"], "7");
    assert_eq!(rest.to_bytes().len(), large.len());
    let report = balanced.cluster.report();
    let (sent, received) = (report.members[0].transferred, report.members[0].read);
    assert!((3_000_006..3_000_200).contains(&sent), "{sent}");
    assert_eq!(received, "HTTP/1.1 200 OK".len() as u64 + 3_000_006);
}

/// What happens to a request whose stream ends without an answer.
#[derive(Clone, Copy, Debug)]
enum End {
    Refused,
    /// `GOAWAY` with the last stream that counts, which is so much before that of the request; the connection stays.
    Away(u32),
    /// The same, and the connection ends.
    AwayAndGone(u32),
    Gone,
    Reset,
}

fn empty_post() -> Request<RequestBody> {
    let request = Request::post("/").header("host", "www.test");
    request.body(RequestBody::empty()).unwrap()
}

#[tokio::test]
async fn what_a_member_has_not_seen_is_sent_again() {
    for (end, is_sent_again) in [
        (End::Refused, true),
        (End::Away(2), true),
        (End::AwayAndGone(2), true),
        // It may have been done.
        (End::AwayAndGone(0), false),
        (End::Gone, false),
        (End::Reset, false),
    ] {
        let member = Listener::new().await;
        let balanced = balanced(h2c(&member));
        let serve = async {
            let mut raw = Raw::accept(&member).await;
            let (stream, _) = raw.next(HEADERS).await;
            raw.answer(stream).await;
            let (stream, _) = raw.next(HEADERS).await;
            let mut raw = Some(raw);
            match (end, &mut raw) {
                (End::Refused, Some(raw)) => raw.write(RST_STREAM, 0, stream, &REFUSED_STREAM).await,
                (End::Reset, Some(raw)) => raw.write(RST_STREAM, 0, stream, &[0, 0, 0, 2]).await,
                (End::Away(before), Some(raw)) => raw.goaway(stream - before).await,
                (End::AwayAndGone(before), there) => {
                    there.take().unwrap().goaway(stream - before).await;
                }
                (_, there) => *there = None,
            }
            if is_sent_again {
                let mut again = match (end, raw.take()) {
                    (End::Refused, Some(raw)) => raw,
                    (_, old) => {
                        raw = old;
                        Raw::accept(&member).await
                    }
                };
                let (stream, _) = again.next(HEADERS).await;
                again.answer(stream).await;
                return (raw, Some(again));
            }
            (raw, None)
        };
        let ask = async {
            balanced.send(empty_post()).await.unwrap();
            balanced.send(empty_post()).await
        };
        let (_there, answered) = tokio::join!(serve, ask);
        match answered {
            Ok(_) => assert!(is_sent_again, "{end:?}"),
            Err(failed) => {
                assert!(!is_sent_again, "{end:?}: {failed}");
                assert_eq!(failed.status(), StatusCode::BAD_GATEWAY, "{end:?}");
                let again = tokio::time::timeout(Duration::ZERO, member.accept()).await;
                assert!(again.is_err(), "{end:?}");
            }
        }
    }
}

/// One that refuses for ever has no request that goes round for ever.
#[tokio::test]
async fn a_member_that_refuses_again() {
    let member = Listener::new().await;
    let balanced = balanced(h2c(&member));
    let serve = async {
        let mut raw = Raw::accept(&member).await;
        let (stream, _) = raw.next(HEADERS).await;
        raw.answer(stream).await;
        for _ in 0..2 {
            let (stream, _) = raw.next(HEADERS).await;
            raw.write(RST_STREAM, 0, stream, &REFUSED_STREAM).await;
        }
        raw
    };
    let ask = async {
        balanced.send(empty_post()).await.unwrap();
        balanced.send(empty_post()).await
    };
    let (_raw, answered) = tokio::join!(serve, ask);
    assert_eq!(answered.err().unwrap().status(), StatusCode::BAD_GATEWAY);
}

/// The connection stays for the others.
#[tokio::test]
async fn a_client_that_leaves_ends_its_stream_alone() {
    let member = Listener::new().await;
    let balanced = balanced(h2c(&member));
    let serve = async {
        let mut raw = Raw::accept(&member).await;
        let (first, _) = raw.next(HEADERS).await;
        // The answer begins, and has no end.
        raw.write(HEADERS, 4, first, &[0x88]).await;
        let (reset, reason) = raw.next(RST_STREAM).await;
        assert_eq!((reset, &reason[..]), (first, &[0, 0, 0, 8][..]));
        let (second, _) = raw.next(HEADERS).await;
        raw.answer(second).await;
        raw
    };
    let ask = async {
        drop(balanced.send(common::get()).await.unwrap());
        assert_eq!(balanced.get().await.unwrap().1, "");
    };
    tokio::join!(serve, ask);
}

/// An answer that comes before the request's body is at its end: the rest is not sent.
#[tokio::test]
async fn a_body_that_nobody_waits_for() {
    let member = Listener::new().await;
    let balanced = balanced(h2c(&member));
    let (client, body) = mpsc::unbounded_channel();
    let serve = async {
        let mut raw = Raw::accept(&member).await;
        let (stream, _) = raw.next(HEADERS).await;
        raw.next(DATA).await;
        raw.answer(stream).await;
        raw.next(RST_STREAM).await;
    };
    let ask = async {
        client.send(data("begun")).unwrap();
        let answer = balanced.send(post(Pieces(body))).await.unwrap();
        assert_eq!(text(answer).await, "");
        // Nobody reads it any more.
        client.closed().await;
    };
    tokio::join!(serve, ask);
}

#[tokio::test]
async fn a_member_that_is_silent() {
    let clock = Clock::hold();
    let member = Listener::new().await;
    let balanced = balanced(Endpoint {
        timeout: Duration::from_secs(3),
        ..h2c(&member)
    });
    let serve = async {
        let mut raw = Raw::accept(&member).await;
        raw.next(HEADERS).await;
        clock.pass(Duration::from_secs(3)).await;
        raw.next(RST_STREAM).await;
        raw
    };
    let (_raw, answer) = tokio::join!(serve, balanced.get());
    assert_eq!(answer.unwrap_err().status(), StatusCode::GATEWAY_TIMEOUT);
}

#[tokio::test]
async fn idle_connections_end_after_ttl() {
    let clock = Clock::hold();
    let member = Listener::new().await;
    let balanced = balanced(Endpoint {
        ttl: Some(Duration::from_secs(10)),
        ..h2c(&member)
    });
    let serve = async {
        let mut raw = Raw::accept(&member).await;
        let (stream, _) = raw.next(HEADERS).await;
        raw.answer(stream).await;
        raw
    };
    let (mut raw, answer) = tokio::join!(serve, balanced.get());
    answer.unwrap();
    assert_eq!(balanced.idle(), 1);
    clock.pass(Duration::from_secs(10)).await;
    raw.next(GOAWAY).await;
    assert_eq!(balanced.idle(), 0);
}

/// Checks have a connection of their own there, too.
#[tokio::test]
async fn health_checks() {
    let listener = Listener::new().await;
    let endpoint = h2c(&listener);
    let seen = Arc::<Mutex<Vec<String>>>::default();
    let log = Arc::clone(&seen);
    let server = serve(listener, 100, move |request| {
        log.lock()
            .unwrap()
            .push(format!("{} {}", request.method(), request.uri()));
        async { Response::new(full("well")) }
    });
    for (method, sent) in [
        (CheckMethod::Get { http11: true }, "GET http://{host}/up"),
        (CheckMethod::Options { http11: true }, "OPTIONS http://{host}*"),
    ] {
        let check = HealthCheck {
            uri: "up".to_owned(),
            ..HealthCheck::new(method)
        };
        let member = Member {
            health: Some(check),
            ..Member::new("h2c://member")
        };
        let balanced = Balanced::new(vec![node(member, endpoint.clone())]);
        let last = || balanced.cluster.report().members[0].check_age;
        until(|| last().is_some()).await;
        assert_eq!(balanced.state(), State::Ready);
        let sent = sent.replace("{host}", &endpoint.authority);
        assert_eq!(seen.lock().unwrap().pop(), Some(sent));
        assert_eq!(balanced.idle(), 0);
    }
    assert_eq!(server.connections.load(SeqCst), 2);
}

/// Another implementation answers what is asked between the library's frames, while bodies go both ways.
#[tokio::test]
async fn a_member_that_is_asked_whether_it_is_there() {
    let clock = Clock::hold();
    let listener = Listener::new().await;
    let member = Endpoint {
        ping: Some(Duration::from_millis(500)),
        ..h2c(&listener)
    };
    let server = serve(listener, 100, async |request: Request<Incoming>| {
        Response::new(request.into_body().boxed())
    });
    let balanced = balanced(member);
    let large = "x".repeat(1_000_000);
    for _ in 0..3 {
        let all: [_; 4] = std::array::from_fn(|_| async {
            let (client, body) = mpsc::unbounded_channel();
            client.send(data(&large)).unwrap();
            drop(client);
            text(balanced.send(post(Pieces(body))).await.unwrap()).await
        });
        for answer in futures(all).await {
            assert!(answer == large);
        }
        clock.pass(Duration::from_secs(1)).await;
    }
    assert_eq!(server.connections.load(SeqCst), 1);
}
