//! What stands behind both servers, and how one of them is asked.

use std::collections::{HashMap, HashSet};
use std::net::{Shutdown, SocketAddr};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use carme_tests::member::{Member, Reply, Request};
use carme_tests::{Client, Response, wait_until};
use socket2::{Domain, Socket, Type};

/// Members with names, and an address where nobody listens.
pub(crate) struct Stage {
    members: Vec<(&'static str, Member)>,
    pub(crate) script: Arc<Script>,
    nobody: Socket,
    /// A listener that accepts nobody, and those that wait there.
    stuck: (Socket, Vec<Socket>),
}

/// What the members are told while they answer.
#[derive(Default)]
pub(crate) struct Script {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Requests that a member has and does not answer yet.
    held: HashSet<String>,
    /// Paths that fail their health checks.
    ill: HashSet<String>,
    /// How often each path was checked.
    checks: HashMap<String, usize>,
    /// Requests as members saw them, by step.
    seen: HashMap<String, Vec<(&'static str, Request)>>,
}

impl Script {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic")
    }

    /// Keeps a member's thread until the request is released.
    fn hold(&self, name: &str) {
        let mut state = self.state();
        state.held.insert(name.to_owned());
        while state.held.contains(name) {
            state = self.changed.wait(state).expect("no panic");
        }
    }

    pub(crate) fn is_held(&self, name: &str) -> bool {
        self.state().held.contains(name)
    }

    pub(crate) fn release(&self, name: &str) {
        self.state().held.remove(name);
        self.changed.notify_all();
    }

    /// From now on the member at this path passes its checks, or fails them; waits until it was checked some times more.
    pub(crate) fn turn(&self, path: &str, well: bool) {
        let checks = || self.state().checks.get(path).copied().unwrap_or_default();
        let before = {
            let mut state = self.state();
            match well {
                true => state.ill.remove(path),
                false => state.ill.insert(path.to_owned()),
            };
            state.checks.get(path).copied().unwrap_or_default()
        };
        // Two in a row count; one may have been on its way.
        wait_until(&format!("{path} is checked"), || checks() >= before + 4);
    }

    fn check(&self, path: &str) -> Reply {
        let mut state = self.state();
        *state.checks.entry(path.to_owned()).or_default() += 1;
        match state.ill.contains(path) {
            true => Reply::response("500 Internal Server Error", &[], b"ill"),
            false => Reply::response("200 OK", &[], b"well"),
        }
    }

    /// Keeps a request for whoever wants to know what its member saw.
    fn see(&self, name: &'static str, request: &Request) {
        if let Some(step) = request.header("x-step") {
            let seen = (name, request.clone());
            self.state().seen.entry(step.to_owned()).or_default().push(seen);
        }
    }

    /// What members have seen of a step since it was asked about last, in order.
    pub(crate) fn seen(&self, step: &str) -> Vec<(&'static str, Request)> {
        self.state().seen.remove(step).unwrap_or_default()
    }

    fn answer(&self, name: &'static str, request: &Request) -> Reply {
        let path = request.target().split('?').next().unwrap_or_default();
        if let Some(checked) = path.strip_suffix("/alive") {
            return self.check(checked.trim_end_matches('/'));
        }
        self.see(name, request);
        if request.query("hold").is_some() {
            self.hold(request.header("x-step").unwrap_or_default());
        }
        reply(name, request)
    }
}

/// What the query asks for: `hang`, `broke`, `respond`, `bytes`, `field`, `hop`, `location`, `cookie`, `length=none`.
fn reply(name: &str, request: &Request) -> Reply {
    if request.query("hang").is_some() {
        std::thread::sleep(Duration::from_millis(2500));
        return Reply::Close(Vec::new());
    }
    if request.query("broke").is_some() {
        return Reply::Close(Vec::new());
    }
    if request.header("upgrade") == Some("websocket") {
        let head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
        return Reply::Echo(head.into());
    }
    let number = |name: &str| request.query(name).and_then(|text| text.parse().ok());
    let status = match number("respond") {
        Some(204) => "204 No Content",
        Some(304) => "304 Not Modified",
        Some(404) => "404 Not Found",
        Some(500) => "500 Internal Server Error",
        Some(503) => "503 Service Unavailable",
        _ => "200 OK",
    };
    let long = "x".repeat(number("field").unwrap_or_default());
    let mut fields = vec![("X-Member", name)];
    if !long.is_empty() {
        fields.push(("X-Long", &long));
    }
    if request.query("hop").is_some() {
        fields.extend([("Connection", "X-Hop"), ("X-Hop", "1"), ("X-Stays", "1")]);
    }
    fields.extend(request.query("location").map(|place| ("Location", place)));
    fields.extend(request.query("cookie").map(|cookie| ("Set-Cookie", cookie)));
    let body = vec![b'x'; number("bytes").unwrap_or_default()];
    if matches!(status, "204 No Content" | "304 Not Modified") || request.method() == "HEAD" {
        return Reply::Keep(head(status, &fields));
    }
    match request.query("length") {
        Some("none") => Reply::Close(head(status, &fields)),
        _ => Reply::response(status, &fields, &body),
    }
}

/// A head that says no length.
fn head(status: &str, fields: &[(&str, &str)]) -> Vec<u8> {
    let fields = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n"));
    format!("HTTP/1.1 {status}\r\n{}\r\n", fields.collect::<String>()).into_bytes()
}

impl Stage {
    pub(crate) fn new(names: &[&'static str]) -> Stage {
        let script = Arc::new(Script::default());
        let member = |name: &'static str| {
            let script = script.clone();
            (name, Member::start(move |request| script.answer(name, request)))
        };
        Stage {
            members: names.iter().copied().map(member).collect(),
            script,
            // Bound, so that nobody else gets the port, and never listening.
            nobody: bound(),
            stuck: stuck(),
        }
    }

    pub(crate) fn address(&self, name: &str) -> SocketAddr {
        let member = self.members.iter().find(|(known, _)| *known == name);
        member.expect("a member").1.address
    }

    /// Where connections are refused.
    pub(crate) fn nobody(&self) -> SocketAddr {
        address_of(&self.nobody)
    }

    /// Where no connection comes about.
    pub(crate) fn stuck(&self) -> SocketAddr {
        address_of(&self.stuck.0)
    }
}

fn bound() -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let anywhere: SocketAddr = ([127, 0, 0, 1], 0).into();
    socket.bind(&anywhere.into()).expect("a port");
    socket
}

fn address_of(socket: &Socket) -> SocketAddr {
    let address = socket.local_addr().expect("an address");
    address.as_socket().expect("of IP")
}

/// With as many who wait as the system lets wait.
fn stuck() -> (Socket, Vec<Socket>) {
    let listener = bound();
    listener.listen(0).expect("it listens");
    let mut waiting = Vec::new();
    loop {
        let client = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        let address = address_of(&listener).into();
        let connected = client.connect_timeout(&address, Duration::from_millis(300));
        waiting.push(client);
        if connected.is_err() {
            return (listener, waiting);
        }
    }
}

/// A client of one of the servers, with the connections that it has.
pub(crate) struct Asker {
    address: SocketAddr,
    kept: Option<Client>,
    held: HashMap<String, Client>,
}

impl Asker {
    pub(crate) fn new(address: SocketAddr) -> Asker {
        Asker {
            address,
            kept: None,
            held: HashMap::new(),
        }
    }

    fn connect(&self) -> Client {
        Client::connect(self.address).expect("it accepts")
    }

    /// One request and its response, on the connection that is kept; the server reads it when it is through with the last.
    pub(crate) fn ask(&mut self, request: &str) -> Response {
        let mut client = self.kept.take().unwrap_or_else(|| self.connect());
        client.send(request).expect("it is sent");
        let response = client
            .response(request.split(' ').next().unwrap_or_default())
            .unwrap_or_else(|error| panic!("{error} from {} for {request}", self.address));
        match response.header("connection") {
            // When it ends, too, the server is through: Apache marks a member whose status is bad only after the answer.
            Some("close") => drop(client.rest()),
            _ => self.kept = Some(client),
        }
        response
    }

    /// The head of an answer, and what comes after this was sent behind it, if it is another protocol.
    pub(crate) fn upgrade(&self, request: &str, sent: &str) -> (Response, String) {
        let mut client = self.connect();
        client.send(request).expect("it is sent");
        let head = client.head().expect("an answer");
        if head.status() != 101 {
            return (head, String::new());
        }
        client.send(sent).expect("it is sent");
        client.socket().shutdown(Shutdown::Write).expect("it is shut");
        let echo = client.rest().expect("what was sent");
        (head, String::from_utf8_lossy(&echo).into_owned())
    }

    /// The next request has a connection of its own.
    pub(crate) fn leave(&mut self) {
        self.kept = None;
    }

    /// Waits until the server is through with the last request of the connection that is kept.
    pub(crate) fn settle(&mut self) {
        if self.kept.is_some() {
            self.ask("GET /through HTTP/1.1\r\nHost: www.example.org\r\n\r\n");
        }
    }

    /// A request that its member holds; or its response, if none does.
    pub(crate) fn hold(&mut self, script: &Script, name: &str, request: &str) -> Option<Response> {
        self.settle();
        let mut client = self.connect();
        client.send(request).expect("it is sent");
        let mut has_answer = false;
        wait_until("a member has it, or it has its answer", || {
            has_answer = client.has_more(Duration::from_millis(1));
            has_answer || script.is_held(name)
        });
        if has_answer {
            return Some(client.response("GET").expect("an answer"));
        }
        self.held.insert(name.to_owned(), client);
        None
    }

    /// The response to a held request, when the server is through with it.
    pub(crate) fn release(&mut self, script: &Script, name: &str) -> Option<Response> {
        let mut client = self.held.remove(name)?;
        script.release(name);
        let response = client.response("GET").expect("an answer");
        let _ = client.get("/through");
        Some(response)
    }
}
