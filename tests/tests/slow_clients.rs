//! Clients that are slow on purpose, hundreds of them, and one that is not.
//!
//! `CARME_SLOW_SECONDS` is how long each kind goes on. `python3 bench/slow.py` measures the same with slowhttptest.

use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use carme_tests::server::repository;
use carme_tests::{ServerBuilder, python};
use socket2::{Domain, Socket, Type};

/// Wine has one process wait for the sockets of all others, and for so many it needs seconds: there they are fewer.
fn connections() -> usize {
    match std::env::var_os("CARME_TEST_WINE") {
        Some(_) => 50,
        None => 500,
    }
}

/// So many begin at a time, five times a second.
const RAMP: usize = 100;

#[derive(Debug, Clone, Copy)]
enum Slow {
    Headers,
    Body,
    Read,
}

impl Slow {
    /// What a connection begins with.
    fn first(self) -> &'static str {
        match self {
            Slow::Headers => "GET /pid HTTP/1.1\r\nHost: a\r\n",
            Slow::Body => "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n",
            Slow::Read => "GET /large?200000 HTTP/1.1\r\nHost: a\r\n\r\n",
        }
    }

    /// One more moment of it; false when the server has had enough.
    fn go_on(self, stream: &mut TcpStream) -> bool {
        let mut byte = [0];
        let is_open = match (self, stream.read(&mut byte)) {
            (_, Ok(0)) => false,
            // An answer before there was a whole request is the end of it.
            (Slow::Headers | Slow::Body, Ok(_)) => false,
            (Slow::Read, Ok(_)) => true,
            (_, Err(error)) => error.kind() == ErrorKind::WouldBlock,
        };
        let more: &[u8] = match self {
            Slow::Headers => b"X-A: b\r\n",
            Slow::Body => b"x",
            Slow::Read => return is_open,
        };
        is_open && stream.write_all(more).is_ok()
    }
}

/// Connects with a window so small that most of a response stays with the server.
fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_recv_buffer_size(2048)?;
    socket.connect(&address.into())?;
    Ok(socket.into())
}

/// Keeps so many slow connections busy until it is told to stop; how many the server ended.
fn attack(address: SocketAddr, how: Slow, stop: &AtomicBool, open: &AtomicUsize) -> usize {
    let mut streams: Vec<TcpStream> = Vec::new();
    let mut ended = 0;
    while !stop.load(Ordering::Relaxed) {
        for _ in 0..RAMP.min(connections() - streams.len()) {
            let Ok(mut stream) = connect(address) else { break };
            // The server may have closed it already; then the next moment tells.
            let _ = stream.write_all(how.first().as_bytes());
            stream.set_nonblocking(true).expect("it can be");
            streams.push(stream);
        }
        open.store(streams.len(), Ordering::Relaxed);
        let before = streams.len();
        streams.retain_mut(|stream| how.go_on(stream));
        ended += before - streams.len();
        thread::sleep(Duration::from_millis(200));
    }
    ended
}

#[test]
fn torture_slow_clients_do_not_keep_others_from_their_answers() {
    let seconds =
        std::env::var("CARME_SLOW_SECONDS").map_or(4, |text| text.parse().expect("a number of seconds"));
    let folder = tempfile::tempdir().unwrap();
    let source = fs::read_to_string(repository("tests/apps/cases.py")).unwrap();
    fs::write(folder.path().join("app.py"), source).unwrap();
    let file = folder.path().join("carme.toml");
    let toml = format!(
        "access_logs = []\n[server]\nlisten = [\"127.0.0.1:0\"]\nheader_timeout = \"2s\"\nbody_timeout = \"2s\"\n\
         send_timeout = \"2s\"\n[apps.site]\ntarget = \"app\"\npython = {:?}\nworkers = 2\nthreads = 2\n",
        python::main().to_str().unwrap()
    );
    fs::write(&file, toml).unwrap();
    let server = ServerBuilder::arguments(&["serve", "-c", file.to_str().unwrap()]).start();
    for how in [Slow::Headers, Slow::Body, Slow::Read] {
        let (stop, open) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let attacker = {
            let (address, stop, open) = (server.address, Arc::clone(&stop), Arc::clone(&open));
            thread::spawn(move || attack(address, how, &stop, &open))
        };
        carme_tests::wait_until("the attack is under way", || {
            open.load(Ordering::Relaxed) >= connections() / 2
        });
        let begun = Instant::now();
        let mut slowest = Duration::ZERO;
        let mut answered = 0;
        while begun.elapsed() < Duration::from_secs(seconds) {
            let asked = Instant::now();
            // Each on a connection of its own: they must be accepted, too.
            assert_eq!(server.get("/pid").status(), 200, "{how:?}");
            slowest = slowest.max(asked.elapsed());
            answered += 1;
            thread::sleep(Duration::from_millis(10));
        }
        stop.store(true, Ordering::Relaxed);
        let ended = attacker.join().unwrap();
        println!(
            "{how:?}: {answered} answers, the slowest after {slowest:?}; {ended} slow connections ended"
        );
        if matches!(how, Slow::Headers | Slow::Body) {
            assert!(
                ended >= connections() / 2,
                "{how:?}: {ended} were ended, which drip for ever"
            );
        }
    }
}
