//! A client that reads responses as RFC 9112 says, and knows the end of the stream from a reset.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

pub struct Client<S = TcpStream> {
    pub stream: S,
    buffer: Vec<u8>,
}

#[derive(Debug, Clone)]
pub struct Response {
    pub line: String,
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// The connection ended before the response did.
    pub truncated: bool,
}

impl Response {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(found, _)| found == name)
            .map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn closes(&self) -> bool {
        self.header("connection") == Some("close")
    }
}

impl Client {
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("a connection");
        // Nagle's algorithm waits in real time, even where the runtime's time is paused.
        stream.set_nodelay(true).expect("no delay");
        Client::over(stream)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub fn over(stream: S) -> Self {
        Client {
            stream,
            buffer: Vec::new(),
        }
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        // The server may have closed already; what it said is still to be read.
        let _ = self.stream.write_all(bytes.as_ref()).await;
    }

    pub async fn get(&mut self, target: &str) -> Response {
        self.send(format!("GET {target} HTTP/1.1\r\nHost: test\r\n\r\n"))
            .await;
        self.response("GET").await
    }

    /// More bytes; false at the end.
    pub async fn fill(&mut self) -> bool {
        let mut piece = vec![0; 64 * 1024];
        match self.stream.read(&mut piece).await {
            Ok(0) => false,
            Ok(read) => {
                self.buffer.extend_from_slice(&piece[..read]);
                true
            }
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted
                ) =>
            {
                false
            }
            Err(error) => panic!("{error}"),
        }
    }

    async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\r\n") {
                let line = self.buffer.drain(..end + 2).collect::<Vec<_>>();
                return Some(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            if !self.fill().await {
                return None;
            }
        }
    }

    async fn take(&mut self, len: usize) -> (Vec<u8>, bool) {
        while self.buffer.len() < len {
            if !self.fill().await {
                return (std::mem::take(&mut self.buffer), true);
            }
        }
        (self.buffer.drain(..len).collect(), false)
    }

    /// The next response, to a request with this method.
    pub async fn response(&mut self, method: &str) -> Response {
        let Some(line) = self.line().await else {
            panic!("no response, but {:?}", self.buffer)
        };
        let status = line
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .expect(&line);
        let mut headers = Vec::new();
        while let Some(line) = self.line().await {
            let Some((name, value)) = line.split_once(": ") else {
                break;
            };
            headers.push((name.to_owned(), value.to_owned()));
        }
        let mut response = Response {
            line,
            status,
            headers,
            body: Vec::new(),
            truncated: false,
        };
        if method == "HEAD" || matches!(status, 100..=199 | 204 | 304) {
            return response;
        }
        if response.header("transfer-encoding") == Some("chunked") {
            loop {
                let Some(size) = self.line().await else {
                    response.truncated = true;
                    break;
                };
                let size = usize::from_str_radix(&size, 16).expect(&size);
                let (piece, truncated) = self.take(size).await;
                response.body.extend(piece);
                if truncated || self.line().await.is_none() {
                    response.truncated = true;
                    break;
                }
                if size == 0 {
                    break;
                }
            }
        } else if let Some(length) = response
            .header("content-length")
            .map(|text| text.parse().expect(text))
        {
            (response.body, response.truncated) = self.take(length).await;
        } else {
            while self.fill().await {}
            response.body = std::mem::take(&mut self.buffer);
        }
        response
    }

    /// Asserts that the server closes the connection and has said nothing more.
    pub async fn expect_end(&mut self, case: &str) {
        let ended = tokio::time::timeout(Duration::from_secs(60), async { while self.fill().await {} }).await;
        assert!(ended.is_ok(), "{case}: the connection stays open");
        assert!(
            self.buffer.is_empty(),
            "{case}: unread {:?}",
            String::from_utf8_lossy(&self.buffer)
        );
    }
}
