//! A client that sends exactly the bytes it is given and reads responses strictly.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

/// Longer than any answer takes on a loaded machine, shorter than a test's own limit.
const PATIENCE: Duration = Duration::from_secs(30);

/// One connection.
pub struct Client {
    stream: BufReader<TcpStream>,
}

/// One response, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The status line without its line end.
    pub line: String,
    /// Header fields in order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, decoded if it was chunked.
    pub body: Vec<u8>,
}

impl Response {
    /// The status code.
    pub fn status(&self) -> u16 {
        self.line
            .split(' ')
            .nth(1)
            .and_then(|s| s.parse().ok())
            .unwrap_or_else(|| panic!("no status in {:?}", self.line))
    }

    /// The first value of a header field.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Client {
    /// Connects.
    pub fn connect(address: SocketAddr) -> io::Result<Self> {
        Self::over(TcpStream::connect(address)?)
    }

    fn over(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self {
            stream: BufReader::new(stream),
        })
    }

    /// Connects from this address of the machine.
    pub fn connect_from(source: IpAddr, address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.bind(&SocketAddr::new(source, 0).into())?;
        socket.connect(&address.into())?;
        Self::over(socket.into())
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes.as_ref())
    }

    /// The socket, for what this client does not do.
    pub fn socket(&self) -> &TcpStream {
        self.stream.get_ref()
    }

    /// Sends a GET for this path and reads its response.
    pub fn get(&mut self, path: &str) -> io::Result<Response> {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n"))?;
        self.response("GET")
    }

    /// Sends a POST with this body and reads its response.
    pub fn post(&mut self, path: &str, body: &[u8]) -> io::Result<Response> {
        self.send(format!(
            "POST {path} HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n",
            body.len()
        ))?;
        self.send(body)?;
        self.response("POST")
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        self.stream.read_until(b'\n', &mut line)?;
        if line.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = line
            .strip_suffix(b"\r\n")
            .ok_or_else(|| io::Error::other(format!("a line without CRLF: {line:?}")))?;
        Ok(String::from_utf8_lossy(line).into_owned())
    }

    /// Reads the head of a response, 1xx included.
    pub fn head(&mut self) -> io::Result<Response> {
        let line = self.line()?;
        let mut headers = Vec::new();
        loop {
            let field = self.line()?;
            if field.is_empty() {
                return Ok(Response {
                    line,
                    headers,
                    body: Vec::new(),
                });
            }
            let (name, value) = field
                .split_once(':')
                .ok_or_else(|| io::Error::other(format!("no field: {field}")))?;
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    /// Reads the final response to a request with this method. A body that ends too early is an error.
    pub fn response(&mut self, method: &str) -> io::Result<Response> {
        let mut response = self.head()?;
        while response.status() < 200 {
            response = self.head()?;
        }
        if method == "HEAD" || matches!(response.status(), 204 | 304) {
            return Ok(response);
        }
        if response.header("transfer-encoding") == Some("chunked") {
            loop {
                let line = self.line()?;
                let size = usize::from_str_radix(&line, 16)
                    .map_err(|_| io::Error::other(format!("chunk size {line:?}")))?;
                let start = response.body.len();
                response.body.resize(start + size, 0);
                self.stream.read_exact(&mut response.body[start..])?;
                if !self.line()?.is_empty() {
                    return Err(io::Error::other("a chunk does not end where it said"));
                }
                if size == 0 {
                    return Ok(response);
                }
            }
        }
        match response.header("content-length").map(str::to_owned) {
            Some(length) => {
                response.body = vec![0; length.parse().map_err(|_| io::Error::other("Content-Length"))?];
                self.stream.read_exact(&mut response.body)?;
            }
            None => {
                self.stream.read_to_end(&mut response.body)?;
            }
        }
        Ok(response)
    }

    /// Whether something comes within this time, or the connection's end.
    pub fn has_more(&mut self, within: Duration) -> bool {
        let socket = self.stream.get_ref();
        let mut byte = [0];
        let waits = socket.set_read_timeout(Some(within)).is_ok();
        let found = !self.stream.buffer().is_empty() || (waits && socket.peek(&mut byte).is_ok());
        let _ = socket.set_read_timeout(Some(PATIENCE));
        found
    }

    /// Everything until the connection is closed.
    pub fn rest(&mut self) -> io::Result<Vec<u8>> {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest)?;
        Ok(rest)
    }

    /// True when the other side has closed, and sent nothing before.
    pub fn is_closed(&mut self) -> bool {
        matches!(self.rest(), Ok(rest) if rest.is_empty())
    }
}
