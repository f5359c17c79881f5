//! The real program under systemd, whose part the test plays: its notification socket, its passed sockets, its signals.
#![cfg(target_os = "linux")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use carme_tests::{Client, process, python, server, wait_until};
use socket2::Socket;

const APP: &str = r#"
import os, time
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    if environ["PATH_INFO"] == "/environment":
        return [" ".join(sorted(os.environ)).encode()]
    if environ["PATH_INFO"] == "/descriptors":
        fds = "/proc/self/fd/"
        links = [os.readlink(fds + fd) for fd in os.listdir(fds) if os.path.lexists(fds + fd)]
        return [" ".join(links).encode()]
    if environ["PATH_INFO"] == "/slow":
        open("begun", "w").close()
        while not os.path.exists("go on"):
            time.sleep(0.01)
    return [b"hello"]
"#;

/// systemd, as far as a service sees it.
struct Systemd {
    folder: tempfile::TempDir,
    socket: UnixDatagram,
    /// What it was told, a datagram each.
    heard: Arc<Mutex<Vec<String>>>,
    child: Option<Child>,
    said: Arc<Mutex<String>>,
}

impl Systemd {
    fn new(listen: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let socket = UnixDatagram::bind(folder.path().join("notify")).expect("a socket");
        let systemd = Systemd {
            folder,
            socket,
            heard: Arc::default(),
            child: None,
            said: Arc::default(),
        };
        fs::write(systemd.path("app.py"), APP).expect("written");
        systemd.configure(&format!("listen = {listen}"));
        systemd
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn configure(&self, server: &str) {
        let toml = format!(
            "[server]\n{server}\n[apps.site]\ntarget = \"app\"\nworkers = 1\npython = {:?}\n",
            python::main().display().to_string()
        );
        fs::write(self.path("carme.toml"), toml).expect("written");
    }

    /// Starts the service by way of a shell, which knows the id of the process that it becomes, as systemd does; with
    /// these as its first descriptors and their names.
    fn start(&mut self, sockets: &[&TcpListener], names: &str, watchdog: &str) {
        let copies: Vec<Socket> = sockets.iter().map(|socket| inheritable(socket)).collect();
        let mut script = String::new();
        if !sockets.is_empty() {
            script = format!(
                "LISTEN_FDS={} LISTEN_FDNAMES={names} LISTEN_PID=$$ ",
                sockets.len()
            );
        }
        script.push_str("exec \"$0\" serve -c carme.toml");
        // A shell's redirections are what puts them there.
        for (number, copy) in (3..).zip(&copies) {
            let copy = copy.as_raw_fd();
            script.push_str(&format!(" {number}<&{copy} {copy}<&-"));
        }
        let mut command = Command::new("sh");
        command
            .args(["-c", &script])
            .arg(server::program())
            .current_dir(self.folder.path())
            .env("NOTIFY_SOCKET", self.path("notify"))
            .env_remove("VIRTUAL_ENV")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        if !watchdog.is_empty() {
            command.env("WATCHDOG_USEC", watchdog);
        }
        let mut child = command.spawn().expect("it starts");
        let (socket, heard) = (self.socket.try_clone().expect("a copy"), Arc::clone(&self.heard));
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length) = socket.recv(&mut buffer) {
                let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
                heard.lock().expect("no panic").push(text);
            }
        });
        let (output, said) = (child.stderr.take().expect("piped"), Arc::clone(&self.said));
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                *said.lock().expect("no panic") += &format!("{line}\n");
            }
        });
        self.child = Some(child);
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().expect("no panic").clone()
    }

    fn said(&self) -> String {
        self.said.lock().expect("no panic").clone()
    }

    /// Waits for a datagram that has a line with this beginning; how many of them there are.
    fn wait_for(&self, beginning: &str) -> usize {
        let count = || {
            let heard = self.heard();
            let has = |text: &&String| text.lines().any(|line| line.starts_with(beginning));
            heard.iter().filter(has).count()
        };
        wait_until(
            &format!("it is told {beginning}; {:?} {}", self.heard(), self.said()),
            || count() > 0,
        );
        count()
    }

    fn pid(&self) -> u32 {
        self.child.as_ref().expect("it was started").id()
    }

    /// Where it serves, as it says.
    fn address(&self) -> SocketAddr {
        self.wait_for("READY=1");
        let said = self.said();
        let (_, rest) = said.split_once("http://").expect("an address");
        let end = rest
            .find(|c: char| c.is_whitespace() || c == ',')
            .expect("an end");
        rest[..end].parse().expect("an address")
    }

    fn wait(&mut self) -> i32 {
        let mut child = self.child.take().expect("it was started");
        child.wait().expect("it ends").code().unwrap_or(-1)
    }
}

impl Drop for Systemd {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A copy that a child inherits.
fn inheritable(socket: &TcpListener) -> Socket {
    let copy = Socket::from(socket.try_clone().expect("a copy"));
    copy.set_cloexec(false).expect("it is inherited");
    copy
}

fn get(address: SocketAddr, path: &str) -> String {
    let mut client = Client::connect(address).expect("it accepts");
    client.get(path).expect("an answer").text()
}

#[test]
fn a_notify_reload_service_tells_all_that_it_does() {
    let mut systemd = Systemd::new("[\"127.0.0.1:0\"]");
    systemd.start(&[], "", "");
    let address = systemd.address();
    let first = systemd.heard();
    assert_eq!(first[0], "STATUS=Starting");
    let ready = first
        .iter()
        .find(|text| text.starts_with("READY=1"))
        .expect("it is ready");
    assert!(
        ready.contains(&format!(
            "STATUS=Serving app:application (WSGI) at http://{address}"
        )),
        "{ready}"
    );
    assert_eq!(get(address, "/"), "hello");
    let environment = get(address, "/environment");
    assert!(!environment.contains("NOTIFY_SOCKET"), "{environment}");

    process::signal(systemd.pid(), "HUP");
    systemd.wait_for("RELOADING=1");
    wait_until("the reload ends", || {
        systemd
            .heard()
            .iter()
            .filter(|text| text.starts_with("READY=1"))
            .count()
            == 2
    });
    let heard = systemd.heard();
    let reloading = heard
        .iter()
        .find(|text| text.starts_with("RELOADING=1"))
        .expect("it was told");
    let stamp = reloading
        .lines()
        .find_map(|line| line.strip_prefix("MONOTONIC_USEC="));
    let stamp: f64 = stamp.expect("a stamp").parse().expect("a number");
    let uptime = fs::read_to_string("/proc/uptime").expect("it is there");
    let uptime: f64 = uptime
        .split(' ')
        .next()
        .expect("a number")
        .parse()
        .expect("a number");
    assert!((uptime - stamp / 1e6).abs() < 120.0, "{stamp} {uptime}");

    let slow = thread::spawn(move || get(address, "/slow"));
    wait_until("the request is in flight", || systemd.path("begun").exists());
    process::terminate(systemd.pid());
    systemd.wait_for("STOPPING=1");
    systemd.wait_for("EXTEND_TIMEOUT_USEC=");
    fs::write(systemd.path("go on"), "").expect("written");
    assert_eq!(slow.join().expect("an answer"), "hello");
    assert_eq!(systemd.wait(), 0);
}

#[test]
fn the_watchdog_hears_the_front_twice_in_each_interval() {
    let mut systemd = Systemd::new("[\"127.0.0.1:0\"]");
    systemd.start(&[], "", "400000");
    let begun = std::time::Instant::now();
    systemd.wait_for("READY=1");
    let beats = || {
        systemd
            .heard()
            .iter()
            .filter(|text| text.contains("WATCHDOG=1"))
            .count()
    };
    let before = beats();
    wait_until("it is heard again and again", || beats() > before + 3);
    assert!(
        begun.elapsed() > std::time::Duration::from_millis(400),
        "it is not heard all the time"
    );
}

#[test]
fn an_app_that_does_not_start_is_in_the_status() {
    let mut systemd = Systemd::new("[\"127.0.0.1:0\"]");
    fs::write(systemd.path("app.py"), "raise RuntimeError('not today')\n").expect("written");
    systemd.start(&[], "", "");
    systemd.wait_for("READY=1");
    let heard = systemd.heard();
    let ready = heard
        .iter()
        .find(|text| text.starts_with("READY=1"))
        .expect("it is ready");
    assert!(
        ready.contains("STATUS=app site did not start: ") && ready.contains("not today"),
        "{ready}"
    );
}

#[test]
fn passed_sockets_serve_and_outlive_the_server() {
    let sockets = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a port"));
    let addresses = [&sockets[0], &sockets[1]].map(|socket| socket.local_addr().expect("an address"));
    let mut systemd = Systemd::new("[\"systemd:web\", \"systemd:admin\"]");
    systemd.start(&[&sockets[0], &sockets[1]], "web:admin", "");
    systemd.wait_for("READY=1");
    for address in addresses {
        assert_eq!(get(address, "/"), "hello");
    }
    let environment = get(addresses[0], "/environment");
    assert!(!environment.contains("LISTEN_"), "{environment}");
    for address in addresses {
        let inode = listening_inode(address);
        let descriptors = get(addresses[0], "/descriptors");
        assert!(
            !descriptors.contains(&format!("socket:[{inode}]")),
            "the worker has it: {descriptors}"
        );
    }
    // An address that is dropped and comes back is the same socket.
    systemd.configure("listen = [\"systemd:web\"]");
    reload(&systemd, 2);
    systemd.configure("listen = [\"systemd:web\", \"systemd:admin\"]");
    reload(&systemd, 3);
    assert_eq!(get(addresses[1], "/"), "hello");

    process::terminate(systemd.pid());
    assert_eq!(systemd.wait(), 0);
    // Nobody is refused meanwhile: the next server answers.
    let waiting = thread::spawn(move || get(addresses[0], "/"));
    systemd.heard.lock().expect("no panic").clear();
    systemd.start(&[&sockets[0]], "web", "");
    let error = systemd.wait();
    assert_eq!(error, 1, "there is no `admin` now");
    let said = systemd.said();
    assert!(
        said.contains("systemd has passed no socket admin: it has passed web"),
        "{said}"
    );
    systemd.configure("listen = [\"systemd:web\"]");
    systemd.start(&[&sockets[0]], "web", "");
    assert_eq!(waiting.join().expect("an answer"), "hello");
}

/// Has it reload, and waits for this READY.
fn reload(systemd: &Systemd, ready: usize) {
    process::signal(systemd.pid(), "HUP");
    wait_until(&format!("it has reloaded; {}", systemd.said()), || {
        systemd
            .heard()
            .iter()
            .filter(|text| text.starts_with("READY=1"))
            .count()
            == ready
    });
}

fn listening_inode(address: SocketAddr) -> String {
    let table = fs::read_to_string("/proc/net/tcp").expect("it is there");
    let port = format!(":{:04X} 00000000:0000 0A", address.port());
    let line = table
        .lines()
        .find(|line| line.contains(&port))
        .expect("it listens");
    line.split_ascii_whitespace().nth(9).expect("an inode").to_owned()
}

#[test]
fn a_socket_that_nothing_serves_is_warned_of() {
    let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
    let mut systemd = Systemd::new("[\"127.0.0.1:0\"]");
    systemd.start(&[&socket], "web", "");
    systemd.wait_for("READY=1");
    let warning = "systemd has passed the socket web, which nothing serves: listen = [\"systemd:web\"]";
    wait_until("it warns", || systemd.said().contains(warning));
}

#[test]
fn install_prints_the_unit_and_says_what_is_missing() {
    let systemd = Systemd::new("[\"127.0.0.1:8000\"]");
    let run = |arguments: &[&str]| {
        let output = Command::new(server::program())
            .args(["service", "install", "-c"])
            .arg(systemd.path("carme.toml"))
            .args(arguments)
            .output()
            .expect("it starts");
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&text).into_owned())
    };
    let (code, unit) = run(&["--dry-run", "--user", "nobody", "--name", "shop"]);
    assert_eq!(code, Some(0), "{unit}");
    let exec = format!(
        "\nExecStart={} serve -c {}\n",
        server::program().display(),
        systemd.path("carme.toml").display()
    );
    for part in [
        exec.as_str(),
        "\nUser=nobody\n",
        "\nRuntimeDirectory=shop\n",
        "\nWatchdogSec=30\n",
    ] {
        assert!(unit.contains(part), "{part}: {unit}");
    }
    let (code, said) = run(&["--dry-run", "--user", "nobody-of-this-name"]);
    assert!(
        code == Some(1) && said.contains("there is no user nobody-of-this-name"),
        "{said}"
    );
    let own = fs::read_to_string(systemd.path("carme.toml")).expect("it is there");
    if fs::metadata("/proc/self").is_ok_and(|of| std::os::unix::fs::MetadataExt::uid(&of) == 0) {
        fs::write(systemd.path("carme.toml"), format!("{own}user = \"nobody\"\n")).expect("written");
        let (code, said) = run(&["--dry-run", "--user", "nobody"]);
        assert!(
            code == Some(1) && said.contains("the server must run as root"),
            "{said}"
        );
        let (_, unit) = run(&["--dry-run"]);
        assert!(unit.contains("\nUser=root\n"), "{unit}");
        fs::write(systemd.path("carme.toml"), own).expect("written");
    }
    let (code, said) = run(&["--dry-run", "--user", "nobody", "--start", "delayed"]);
    assert!(code == Some(1) && said.contains("--start manual"), "{said}");
    systemd.configure("max_hedder = \"1KiB\"");
    let (code, said) = run(&["--dry-run"]);
    assert!(code == Some(2) && said.contains("max_hedder"), "{said}");
    if !std::path::Path::new("/run/systemd/system").is_dir() {
        systemd.configure("");
        let (code, said) = run(&["--user", "nobody"]);
        assert!(
            code == Some(1) && said.contains("systemd does not run this system"),
            "{said}"
        );
    }
}
