//! The real program as a Windows service, by our own commands and by `sc`. Wine's service manager does, too.
#![cfg(windows)]

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::thread;

use carme_tests::{Client, process, python, server, wait_until};

const APP: &str = r#"
import os, time
from flask import Flask

app = Flask(__name__)

@app.route("/")
def hello():
    return f"hello from {os.getcwd()}"

@app.route("/pids")
def pids():
    return f"{os.getpid()} {os.getppid()}"

@app.route("/programdata")
def programdata():
    return os.environ["ProgramData"]

@app.route("/slow")
def slow():
    open("begun", "w").close()
    while not os.path.exists("go on"):
        time.sleep(0.01)
    return "finished"
"#;

/// A site in a folder of its own, and its service.
struct Service {
    folder: tempfile::TempDir,
    name: String,
    address: SocketAddr,
}

impl Service {
    /// Writes the site; `app` is its code, `server` further settings.
    fn new(name: &str, app: &str, server: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = free.local_addr().expect("an address");
        let service = Service {
            folder,
            name: format!("carme-{name}-{}", std::process::id()),
            address,
        };
        fs::write(service.path("app.py"), app).expect("written");
        let toml = format!(
            "[server]\nlisten = [\"{address}\"]\n{server}\n[apps.site]\ntarget = \"app\"\nworkers = 2\npython = '{}'\n",
            python::main().display()
        );
        fs::write(service.path("carme.toml"), toml).expect("written");
        service
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn carme(&self, arguments: &[&str]) -> Ran {
        run(Command::new(server::program())
            .args(["service", arguments[0]])
            .args(["--name", &self.name])
            .args(&arguments[1..])
            // Nothing may depend on the folder that a command is typed in.
            .current_dir(std::env::temp_dir()))
    }

    fn install(&self) -> Ran {
        let file = self.path("carme.toml");
        self.carme(&["install", "--start", "manual", "-c", file.to_str().expect("text")])
    }

    /// `carme VERB`, for a running server.
    fn command(&self, verb: &str) -> Command {
        let mut command = Command::new(server::program());
        // Wine gives services another one than programs; Windows gives all the same.
        command.env("ProgramData", self.get("/programdata")).arg(verb);
        command
    }

    fn sc(&self, verb: &str) -> Ran {
        run(Command::new("sc").args([verb, &self.name]))
    }

    /// What `sc` says that it does: `RUNNING`.
    fn state(&self) -> String {
        let said = self.sc("query").output;
        let line = said
            .lines()
            .find(|line| line.contains("STATE"))
            .unwrap_or_default();
        line.split_ascii_whitespace()
            .last()
            .unwrap_or_default()
            .to_owned()
    }

    fn get(&self, path: &str) -> String {
        let mut client = Client::connect(self.address).expect("it accepts");
        match client.get(path) {
            Ok(answer) => answer.text(),
            Err(error) => panic!("GET {path}: {error}; its log:\n{}", self.log("error.log")),
        }
    }

    fn log(&self, name: &str) -> String {
        fs::read_to_string(self.path("logs").join(name)).unwrap_or_default()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Whatever has failed: no service is left behind.
        self.carme(&["uninstall"]);
    }
}

struct Ran {
    code: i32,
    output: String,
}

impl Ran {
    #[track_caller]
    fn well(self) -> String {
        assert_eq!(self.code, 0, "{}", self.output);
        self.output
    }
}

fn run(command: &mut Command) -> Ran {
    let Output {
        status,
        stdout,
        stderr,
    } = command.stdin(Stdio::null()).output().expect("it starts");
    let text = [stdout, stderr].concat();
    Ran {
        code: status.code().unwrap_or(-1),
        output: String::from_utf8_lossy(&text).replace("\r\n", "\n"),
    }
}

fn numbers(text: &str) -> Vec<u32> {
    text.split_ascii_whitespace()
        .map(|pid| pid.parse().expect("a number"))
        .collect()
}

/// Points 8 and 9 of what users of other servers ask for: it stops when it is told to, without console events, and it is
/// a service without a wrapper.
#[test]
fn points_8_and_9_a_flask_site_is_a_service_and_its_stop_cuts_off_nothing() {
    let service = Service::new("flask", APP, "");
    let said = service.install().well();
    for part in [
        "Installed the service",
        "LocalService",
        "logs",
        "carme service start",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_eq!(service.state(), "STOPPED");
    assert_eq!(service.carme(&["status"]).code, 3);

    service.carme(&["start"]).well();
    assert_eq!(service.state(), "RUNNING");
    let here = service
        .folder
        .path()
        .file_name()
        .expect("a name")
        .to_string_lossy()
        .into_owned();
    let hello = service.get("/");
    assert!(
        hello.starts_with("hello from ") && hello.contains(&here),
        "{hello}"
    );
    let status = service.carme(&["status"]).well();
    assert!(status.contains("running (pid "), "{status}");
    let pids = numbers(&service.get("/pids"));
    assert!(pids.iter().all(|pid| process::exists(*pid)), "{pids:?}");
    assert!(
        status.contains(&format!("(pid {})", pids[1])),
        "{status} {pids:?}"
    );

    // New code, by a command of the administrator to the service.
    fs::write(service.path("app.py"), APP.replace("hello from", "good day from")).expect("written");
    let file = service.path("carme.toml");
    run(service.command("reload").arg("-c").arg(&file)).well();
    wait_until("the new code serves", || {
        service.get("/").starts_with("good day from")
    });
    let pids = numbers(&service.get("/pids"));

    let address = service.address;
    let slow = thread::spawn(move || Client::connect(address)?.get("/slow"));
    wait_until("the request is in flight", || service.path("begun").exists());
    service.sc("stop").well();
    wait_until("it stops", || service.state() == "STOP_PENDING");
    fs::write(service.path("go on"), "").expect("written");
    let answer = slow
        .join()
        .expect("no panic")
        .expect("an answer, although it stops");
    assert_eq!((answer.status(), answer.text()), (200, "finished".to_owned()));
    wait_until("it has stopped", || service.state() == "STOPPED");
    wait_until("no process is left", || {
        !pids.iter().any(|pid| process::exists(*pid))
    });
    let error_log = service.log("error.log");
    for part in ["Serving app", "stopping after the service control manager"] {
        assert!(error_log.contains(part), "{part}: {error_log}");
    }
    let access_log = service.log("access.log");
    assert!(access_log.contains("GET /slow HTTP/1.1\" 200"), "{access_log}");

    service.carme(&["uninstall"]).well();
    assert_ne!(service.sc("query").code, 0, "it is not there any more");
}

#[test]
fn several_services_run_side_by_side_and_are_removed_while_they_run() {
    let one = Service::new("one", APP, "graceful_timeout = \"5s\"");
    let two = Service::new("two", APP, "");
    for service in [&one, &two] {
        service.install().well();
        service.carme(&["start"]).well();
    }
    let pids = [one.get("/pids"), two.get("/pids")].map(|pids| numbers(&pids));
    assert_ne!(pids[0][1], pids[1][1]);
    assert!(one.carme(&["start"]).well().contains("runs already"));

    one.carme(&["uninstall"]).well();
    wait_until("the first one's processes are gone", || {
        !pids[0].iter().any(|pid| process::exists(*pid))
    });
    assert!(two.get("/").starts_with("hello"), "the other goes on");
    let said = two.carme(&["stop"]).well();
    assert!(said.contains("stopped, after"), "{said}");
    assert!(two.carme(&["stop"]).well().contains("does not run"));
    assert!(!pids[1].iter().any(|pid| process::exists(*pid)));
}

/// A service that has failed would be started again.
#[test]
fn a_service_that_a_command_stops_has_not_failed() {
    let service = Service::new("told", APP, "");
    service.install().well();
    service.carme(&["start"]).well();
    let mut stop = service.command("stop");
    run(stop.args(["--now", "-c"]).arg(service.path("carme.toml")));
    wait_until("it has stopped", || service.state() == "STOPPED");
    let query = service.sc("query").output;
    for line in query.lines().filter(|line| line.contains("EXIT_CODE")) {
        let code = line.split_ascii_whitespace().nth(2);
        assert_eq!(code, Some("0"), "{query}");
    }
    assert_eq!(query.matches("EXIT_CODE").count(), 2, "{query}");
}

#[test]
fn what_is_wrong_is_said_before_anything_is_installed() {
    let service = Service::new("wrong", APP, "max_hedder = \"1KiB\"");
    let refused = service.install();
    assert_eq!(refused.code, 2, "{}", refused.output);
    assert!(
        refused.output.contains("max_hedder") && refused.output.contains("carme.toml"),
        "{}",
        refused.output
    );
    for verb in ["start", "stop", "status", "uninstall"] {
        let refused = service.carme(&[verb]);
        assert_eq!(refused.code, 1, "{verb}: {}", refused.output);
        assert!(
            refused
                .output
                .contains(&format!("there is no service {}", service.name)),
            "{}",
            refused.output
        );
    }
    let twice = Service::new("twice", APP, "");
    twice.install().well();
    let refused = twice.install();
    assert_eq!(refused.code, 1);
    assert!(
        refused.output.contains("there is a service"),
        "{}",
        refused.output
    );
}

#[test]
fn a_start_that_fails_shows_the_reason() {
    let service = Service::new("taken", APP, "");
    let _taken = std::net::TcpListener::bind(service.address).expect("the port");
    service.install().well();
    let refused = service.carme(&["start"]);
    assert_eq!(refused.code, 1, "{}", refused.output);
    for part in [
        "ended while it started, with code 1",
        "error.log",
        "cannot listen on",
    ] {
        assert!(refused.output.contains(part), "{part}: {}", refused.output);
    }
    assert_eq!(service.state(), "STOPPED");

    let file = service.path("carme.toml");
    let toml = fs::read_to_string(&file).expect("it is there");
    fs::write(&file, toml.replace("workers = 2", "wrokers = 2")).expect("written");
    let refused = service.carme(&["start"]);
    assert_eq!(refused.code, 1, "{}", refused.output);
    for part in ["with code 2", "carme.toml:", "did you mean `workers`?"] {
        assert!(refused.output.contains(part), "{part}: {}", refused.output);
    }
}

#[test]
fn an_app_that_does_not_import_does_not_keep_the_service_from_running() {
    let service = Service::new("broken", "raise RuntimeError('not today')\n", "");
    service.install().well();
    service.carme(&["start"]).well();
    let error_log = service.log("error.log");
    assert!(error_log.contains("not today"), "{error_log}");
    fs::write(service.path("app.py"), APP).expect("written");
    wait_until("it serves, without a restart", || {
        Client::connect(service.address)
            .is_ok_and(|mut client| client.get("/").is_ok_and(|answer| answer.status() == 200))
    });
}

#[test]
fn a_dry_run_changes_nothing() {
    let service = Service::new("dry", APP, "");
    let file = service.path("carme.toml");
    let said = service
        .carme(&[
            "install",
            "--dry-run",
            "--user",
            "NetworkService",
            "-c",
            file.to_str().expect("text"),
        ])
        .well();
    for part in [r"NT AUTHORITY\NetworkService", "service run --name", "carme.toml"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_ne!(service.sc("query").code, 0);
    assert!(!service.path("logs").exists());
}

#[test]
fn what_the_manager_starts_is_not_for_people() {
    let refused =
        run(Command::new(server::program()).args(["service", "run", "--name", "x", "-c", "carme.toml"]));
    assert_eq!(refused.code, 1);
    assert!(
        refused.output.contains("carme service start --name x"),
        "{}",
        refused.output
    );
}
