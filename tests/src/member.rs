//! An HTTP server that a test puts behind a balancer: it answers as the test says, remembers what it was asked, and can
//! die and come back on its port.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// A request as the member saw it.
#[derive(Debug, Clone)]
pub struct Request {
    /// Which of the member's connections it came on, counted from 1.
    pub connection: usize,
    /// The request line.
    pub line: String,
    /// Header fields in order, names as they came.
    pub headers: Vec<(String, String)>,
    /// The body, decoded if it was chunked.
    pub body: Vec<u8>,
    /// Whether all of the body came.
    pub is_whole: bool,
}

impl Request {
    /// The method.
    pub fn method(&self) -> &str {
        self.line.split(' ').next().unwrap_or_default()
    }

    /// The target.
    pub fn target(&self) -> &str {
        self.line.split(' ').nth(1).unwrap_or_default()
    }

    /// The first value of a header field.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut fields = self.headers.iter();
        let field = fields.find(|(known, _)| known.eq_ignore_ascii_case(name));
        field.map(|(_, value)| value.as_str())
    }

    /// The value of a parameter of the query, not decoded.
    pub fn query(&self, name: &str) -> Option<&str> {
        let query = self.target().split_once('?')?.1;
        query.split('&').find_map(|pair| match pair.split_once('=') {
            Some((key, value)) => (key == name).then_some(value),
            None => (pair == name).then_some(""),
        })
    }
}

/// What becomes of a request.
#[derive(Debug, Clone)]
pub enum Reply {
    /// These bytes, and the connection stays.
    Keep(Vec<u8>),
    /// These bytes, which may be none, and the connection is closed.
    Close(Vec<u8>),
    /// These bytes, and whatever comes then is sent back: another protocol.
    Echo(Vec<u8>),
}

impl Reply {
    /// A response with these fields; its length is said.
    pub fn response(status: &str, fields: &[(&str, &str)], body: &[u8]) -> Reply {
        let mut bytes = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n", body.len());
        for (name, value) in fields {
            bytes += &format!("{name}: {value}\r\n");
        }
        bytes += "\r\n";
        Reply::Keep([bytes.as_bytes(), body].concat())
    }
}

type Answer = dyn Fn(&Request) -> Reply + Send + Sync;

/// What the threads of a member share.
struct Shared {
    answer: Box<Answer>,
    /// Those that are open; none of a member that is dead.
    connections: Mutex<Option<Vec<TcpStream>>>,
    accepted: AtomicUsize,
}

impl Shared {
    fn connections(&self) -> MutexGuard<'_, Option<Vec<TcpStream>>> {
        self.connections.lock().expect("no panic")
    }
}

/// A member; it dies with the test.
pub struct Member {
    /// Where it is, also when it is dead.
    pub address: SocketAddr,
    shared: Arc<Shared>,
    accepts: Option<JoinHandle<()>>,
}

impl Member {
    /// Starts one on a port of its own. `answer` may block: each connection has a thread. It is asked also about requests
    /// whose body breaks off.
    pub fn start(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Member {
        let shared = Arc::new(Shared {
            answer: Box::new(answer),
            connections: Mutex::new(None),
            accepted: AtomicUsize::new(0),
        });
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let mut member = Member {
            address: listener.local_addr().expect("an address"),
            shared,
            accepts: None,
        };
        member.accept(listener);
        member
    }

    fn accept(&mut self, listener: TcpListener) {
        *self.shared.connections() = Some(Vec::new());
        let shared = self.shared.clone();
        self.accepts = Some(thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { continue };
                let kept = stream.try_clone().expect("a second handle");
                match shared.connections().as_mut() {
                    Some(open) => open.push(kept),
                    None => return,
                }
                let (shared, number) = (
                    shared.clone(),
                    shared.accepted.fetch_add(1, Ordering::Relaxed) + 1,
                );
                thread::spawn(move || {
                    // Whatever breaks is the other side's affair: it is what is tested.
                    let _ = serve(&shared, &stream, number);
                    let _ = stream.shutdown(Shutdown::Both);
                    let own = stream.peer_addr().ok();
                    if let Some(open) = shared.connections().as_mut() {
                        open.retain(|other| own.is_some() && other.peer_addr().ok() != own);
                    }
                });
            }
        }));
    }

    /// How many connections it has accepted so far.
    pub fn accepted(&self) -> usize {
        self.shared.accepted.load(Ordering::Relaxed)
    }

    /// As if its process had been killed: its connections end in the middle of whatever it is, and new ones are refused.
    pub fn die(&mut self) {
        let Some(accepts) = self.accepts.take() else {
            return;
        };
        for connection in self.shared.connections().take().into_iter().flatten() {
            let _ = connection.shutdown(Shutdown::Both);
        }
        // Wakes it; it sees that it is dead and drops the listener.
        while !accepts.is_finished() {
            let _ = TcpStream::connect_timeout(&self.address, Duration::from_millis(100));
        }
        let _ = accepts.join();
    }

    /// On its port again.
    pub fn come_back(&mut self) {
        if self.accepts.is_none() {
            let listener = TcpListener::bind(self.address).expect("its own port is free");
            self.accept(listener);
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.die();
    }
}

/// One connection to its end.
fn serve(shared: &Shared, stream: &TcpStream, number: usize) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    let mut writer = stream;
    while let Some(request) = read(&mut reader, writer, number)? {
        let reply = (shared.answer)(&request);
        if !request.is_whole {
            return Ok(());
        }
        match reply {
            Reply::Keep(bytes) => writer.write_all(&bytes)?,
            Reply::Close(bytes) => return writer.write_all(&bytes),
            Reply::Echo(bytes) => {
                writer.write_all(&bytes)?;
                return io::copy(&mut reader, &mut writer).map(drop);
            }
        }
    }
    Ok(())
}

/// The next request; none at the connection's end.
fn read(
    reader: &mut BufReader<&TcpStream>,
    mut writer: &TcpStream,
    number: usize,
) -> io::Result<Option<Request>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut request = Request {
        connection: number,
        line: line.trim_end().to_owned(),
        headers: Vec::new(),
        body: Vec::new(),
        is_whole: true,
    };
    loop {
        let mut field = String::new();
        reader.read_line(&mut field)?;
        match field.trim_end().split_once(':') {
            Some((name, value)) => request.headers.push((name.to_owned(), value.trim().to_owned())),
            None if field == "\r\n" => break,
            None => return Ok(None),
        }
    }
    if request.header("expect").is_some() {
        writer.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    let chunked = request
        .header("transfer-encoding")
        .is_some_and(|value| value.eq_ignore_ascii_case("chunked"));
    let length = request
        .header("content-length")
        .and_then(|value| value.parse().ok());
    let body = match chunked {
        true => read_chunks(reader, &mut request.body),
        false => read_exactly(reader, length.unwrap_or(0), &mut request.body),
    };
    request.is_whole = body.is_ok();
    Ok(Some(request))
}

fn read_exactly(reader: &mut BufReader<&TcpStream>, length: u64, body: &mut Vec<u8>) -> io::Result<()> {
    match reader.by_ref().take(length).read_to_end(body)? as u64 == length {
        true => Ok(()),
        false => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

fn read_chunks(reader: &mut BufReader<&TcpStream>, body: &mut Vec<u8>) -> io::Result<()> {
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let size = line.trim_end().split(';').next().unwrap_or_default();
        let size = u64::from_str_radix(size, 16).map_err(|_| io::ErrorKind::InvalidData)?;
        if size == 0 {
            break;
        }
        read_exactly(reader, size, body)?;
        reader.read_line(&mut String::new())?;
    }
    // The trailer section.
    let mut field = String::new();
    while reader.read_line(&mut field)? > 2 {
        field.clear();
    }
    Ok(())
}
