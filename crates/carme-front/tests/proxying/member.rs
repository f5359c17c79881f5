//! A member that does what the path says, and notes what it is asked.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// A request as the member got it.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Request line and fields, as they came.
    pub head: String,
    pub body: String,
}

impl Asked {
    pub fn line(&self) -> &str {
        self.head.lines().next().unwrap_or_default()
    }

    pub fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (field, value) = line.split_once(": ")?;
            field.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

#[derive(Default)]
pub struct Notes {
    asked: Mutex<Vec<Asked>>,
    pub connections: AtomicUsize,
    pub open: AtomicUsize,
    pub busy: AtomicUsize,
    pub busiest: AtomicUsize,
}

pub struct Member {
    pub address: SocketAddr,
    pub notes: Arc<Notes>,
    /// What waits inside `/wait` and `/stream` goes on, one for each permit.
    pub gate: Arc<Semaphore>,
    _task: JoinSet<()>,
}

impl Member {
    pub async fn start(name: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let notes = Arc::<Notes>::default();
        let gate = Arc::new(Semaphore::new(0));
        let mut task = JoinSet::new();
        let (noting, waiting) = (Arc::clone(&notes), Arc::clone(&gate));
        task.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                stream.set_nodelay(true).expect("no delay");
                noting.connections.fetch_add(1, SeqCst);
                let connection = Connection {
                    stream,
                    buffer: Vec::new(),
                    name,
                    notes: Arc::clone(&noting),
                    gate: Arc::clone(&waiting),
                };
                connections.spawn(connection.serve());
            }
        });
        Member {
            address,
            notes,
            gate,
            _task: task,
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.notes.asked.lock().expect("notes").clone()
    }

    pub fn connections(&self) -> usize {
        self.notes.connections.load(SeqCst)
    }

    pub fn open(&self) -> usize {
        self.notes.open.load(SeqCst)
    }
}

struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    name: &'static str,
    notes: Arc<Notes>,
    gate: Arc<Semaphore>,
}

impl Connection {
    async fn serve(mut self) {
        self.notes.open.fetch_add(1, SeqCst);
        while let Some(head) = self.head().await {
            let busy = self.notes.busy.fetch_add(1, SeqCst) + 1;
            self.notes.busiest.fetch_max(busy, SeqCst);
            let goes_on = self.answer(head).await;
            self.notes.busy.fetch_sub(1, SeqCst);
            if goes_on.is_none() {
                break;
            }
        }
        self.notes.open.fetch_sub(1, SeqCst);
    }

    async fn more(&mut self) -> Option<()> {
        let read = self.stream.read_buf(&mut self.buffer).await.ok()?;
        (read > 0).then_some(())
    }

    async fn head(&mut self) -> Option<String> {
        loop {
            if let Some(at) = self.buffer.windows(4).position(|end| end == b"\r\n\r\n") {
                let head: Vec<u8> = self.buffer.drain(..at + 4).collect();
                return String::from_utf8(head).ok();
            }
            self.more().await?;
        }
    }

    async fn exactly(&mut self, len: usize) -> Option<String> {
        while self.buffer.len() < len {
            self.more().await?;
        }
        String::from_utf8(self.buffer.drain(..len).collect()).ok()
    }

    async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(at) = self.buffer.windows(2).position(|end| end == b"\r\n") {
                let line: Vec<u8> = self.buffer.drain(..at + 2).collect();
                return String::from_utf8(line)
                    .ok()
                    .map(|line| line.trim_end().to_owned());
            }
            self.more().await?;
        }
    }

    /// The body, and its trailers behind a `|`.
    async fn body(&mut self, asked: &Asked) -> Option<String> {
        if let Some(length) = asked.field("content-length") {
            return self.exactly(length.parse().ok()?).await;
        }
        if asked.field("transfer-encoding") != Some("chunked") {
            return Some(String::new());
        }
        let mut body = String::new();
        loop {
            let size = usize::from_str_radix(&self.line().await?, 16).ok()?;
            if size == 0 {
                break;
            }
            body.push_str(&self.exactly(size).await?);
            self.line().await?;
        }
        loop {
            let line = self.line().await?;
            if line.is_empty() {
                return Some(body);
            }
            body.push_str(&format!("|{line}"));
        }
    }

    async fn send(&mut self, text: impl AsRef<[u8]>) -> Option<()> {
        self.stream.write_all(text.as_ref()).await.ok()
    }

    async fn whole(&mut self, status: &str, fields: &str, body: &str) -> Option<()> {
        let length = body.len();
        let name = self.name;
        self.send(format!(
            "HTTP/1.1 {status}\r\nX-Member: {name}\r\nContent-Length: {length}\r\n{fields}\r\n{body}"
        ))
        .await
    }

    async fn open_gate(&self) {
        self.gate.acquire().await.expect("a gate").forget();
    }

    /// `None`: the connection is over.
    async fn answer(&mut self, head: String) -> Option<()> {
        let mut asked = Asked {
            head,
            body: String::new(),
        };
        let target = asked.line().split(' ').nth(1).unwrap_or_default().to_owned();
        let path = target.split('?').next().unwrap_or_default();
        let at = {
            let mut all = self.notes.asked.lock().expect("notes");
            all.push(asked.clone());
            all.len() - 1
        };
        if path == "/early" {
            self.whole("403 Forbidden", "", "no").await?;
            return None;
        }
        if path == "/pieces" {
            // Says what it got of the body when it got it.
            let first = self.line().await?;
            self.send(format!(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{first}\r\n",
                first.len()
            ))
            .await?;
            let rest = self.line().await?;
            self.send(format!("{:x}\r\n{rest}\r\n0\r\n\r\n", rest.len()))
                .await?;
            return None;
        }
        asked.body = self.body(&asked).await?;
        self.notes.asked.lock().expect("notes")[at].body = asked.body.clone();
        match path {
            "/wait" => {
                self.open_gate().await;
                self.whole("200 OK", "", self.name).await
            }
            "/stream" => {
                self.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
                    .await?;
                self.open_gate().await;
                self.send("4\r\nlast\r\n0\r\n\r\n").await
            }
            "/trailers" => {
                self.send(
                    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n\
                     2\r\nok\r\n0\r\nX-Sum: 7\r\n\r\n",
                )
                .await
            }
            "/drop" => None,
            "/garbage" => {
                self.send("SSH-2.0-nonsense\r\n\r\n").await?;
                None
            }
            "/short" => {
                self.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
                    .await?;
                None
            }
            "/until-close" => {
                self.send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall of it")
                    .await?;
                None
            }
            "/last" => {
                self.whole("200 OK", "", "bye").await?;
                None
            }
            "/early-hints" => {
                self.send("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n")
                    .await?;
                self.whole("200 OK", "", "late").await
            }
            "/no-content" => self.send("HTTP/1.1 204 No Content\r\n\r\n").await,
            "/long-field" => {
                let field = format!("X-Long: {}\r\n", "x".repeat(9000));
                self.whole("200 OK", &field, "").await
            }
            "/redirect" => {
                let address = self.stream.local_addr().expect("an address");
                let field = format!("Location: http://{address}/there\r\nSet-Cookie: a=b; path=/\r\n");
                self.whole("302 Found", &field, "").await
            }
            "/large" => {
                let body = "0123456789abcdef".repeat(64 * 1024);
                self.whole("200 OK", "", &body).await
            }
            "/chat" => {
                self.send(
                    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nwelcome",
                )
                .await?;
                loop {
                    self.more().await?;
                    let bytes = std::mem::take(&mut self.buffer);
                    self.send(bytes).await?;
                }
            }
            _ => match path.strip_prefix("/status/") {
                Some(status) => {
                    self.whole(&format!("{status} Some Reason"), "", "its own page")
                        .await
                }
                None => {
                    let text = format!("{} {} {}", self.name, asked.line(), asked.body);
                    self.whole("200 OK", "", &text).await
                }
            },
        }
    }
}
