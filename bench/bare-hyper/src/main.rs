//! The ceiling of the benchmarks: what hyper does on one thread when nothing stands behind it.
//!
//! It answers the paths of `bench/apps` itself (`/` hello, `/bytes/N`, POST `/echo`), so the difference between it and
//! a server is what that server's way to Python costs. Usage: `bare-hyper 127.0.0.1:PORT`.

#![forbid(unsafe_code)]

use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The largest body that `/bytes/N` gives.
const LARGEST: usize = 1 << 24;
/// As many connections may wait for being accepted as a server would allow.
const BACKLOG: i32 = 2048;

fn main() -> std::io::Result<()> {
    let address: SocketAddr = match std::env::args().nth(1).map(|text| text.parse()) {
        Some(Ok(address)) => address,
        _ => {
            eprintln!("usage: bare-hyper ADDRESS:PORT, for instance bare-hyper 127.0.0.1:8000");
            std::process::exit(2);
        }
    };
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(serve(address))
}

async fn serve(address: SocketAddr) -> std::io::Result<()> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    let listener = TcpListener::from_std(socket.into())?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(async move {
            // A broken connection is the load generator's affair: it counts its errors.
            let _ = http1::Builder::new()
                .pipeline_flush(true)
                .serve_connection(TokioIo::new(stream), service_fn(answer))
                .await;
        });
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path();
    if path == "/" {
        return Ok(text("text/plain", Bytes::from_static(b"Hello, world!\n")));
    }
    if path == "/echo" {
        return Ok(match request.into_body().collect().await {
            Ok(body) => text("application/octet-stream", body.to_bytes()),
            Err(_) => status(StatusCode::BAD_REQUEST),
        });
    }
    match path.strip_prefix("/bytes/").map(str::parse::<usize>) {
        Some(Ok(length)) if length <= LARGEST => Ok(text("application/octet-stream", sized(length))),
        _ => Ok(status(StatusCode::NOT_FOUND)),
    }
}

/// `length` bytes without copying: like the Python application it has the body ready in memory.
fn sized(length: usize) -> Bytes {
    static BODY: std::sync::OnceLock<Bytes> = std::sync::OnceLock::new();
    BODY.get_or_init(|| Bytes::from(vec![b'x'; LARGEST]))
        .slice(..length)
}

fn text(content_type: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

fn status(code: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = code;
    response
}
