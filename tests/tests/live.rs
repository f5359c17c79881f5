//! The real program while its configuration and its code change: what clients see, and what they do not.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use carme_tests::{Server, ServerBuilder, python, wait_until};

const APP: &str = r#"
import os
def application(environ, start_response):
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"one {os.environ.get('MOOD')} {environ['REMOTE_ADDR']} {environ['wsgi.multiprocess']} {len(body)}".encode()]
"#;

/// The file with these settings of the server, of the app, and these at its end.
fn write(folder: &Path, server: &str, app: &str, rest: &str) {
    let toml = format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\nerror_log = \"error.log\"\n{server}\n\
         [apps.app]\ntarget = \"app\"\npython = {python:?}\n{app}\n{rest}\n",
        python = python::main().to_str().expect("a path that is text")
    );
    fs::write(folder.join("carme.toml"), toml).expect("the configuration is written");
}

const ONE: &str = "workers = 1";

fn start(server: &str, app: &str, rest: &str) -> Server {
    let builder = ServerBuilder::app(APP);
    let folder = builder.directory().to_owned();
    write(&folder, server, app, rest);
    builder.configured(&folder.join("carme.toml")).start()
}

fn error_log(server: &Server) -> String {
    fs::read_to_string(server.directory().join("error.log")).unwrap_or_default()
}

/// Has the server reload, and waits until it has; what the error log says meanwhile.
fn reload(server: &Server) -> String {
    let ends = |log: &str| log.matches("reloaded").count();
    let before = error_log(server);
    let _ = server.command(&["reload"]).run();
    // The log is written when it is written.
    wait_until("the log has the end", || ends(&error_log(server)) > ends(&before));
    error_log(server)[before.len()..].to_owned()
}

#[test]
fn a_kept_connection_sees_each_new_setting() {
    let server = start("", ONE, "");
    let folder = server.directory().to_owned();
    let mut kept = server.connect();
    assert_eq!(
        kept.get("/").expect("an answer").text(),
        "one None 127.0.0.1 False 0"
    );

    write(&folder, "max_body = \"5B\"", ONE, "");
    let said = reload(&server);
    assert!(said.contains("server.max_body: 1GiB -> 5B"), "{said}");
    assert_eq!(kept.post("/", b"0123456789").expect("an answer").status(), 413);

    let locations = "[[locations]]\npath = \"/\"\napp = \"app\"\n\
                     [[locations]]\npath = \"/up\"\nrespond = { status = 200, body = \"up\" }\n";
    write(&folder, "", ONE, locations);
    let said = reload(&server);
    assert!(said.contains("locations: /up added"), "{said}");
    let mut kept = server.connect();
    assert_eq!(kept.get("/up").expect("an answer").text(), "up");

    write(
        &folder,
        "trusted_proxies = [\"127.0.0.1\"]",
        "workers = 2\nenv = { MOOD = \"geheim\" }",
        "[[access_logs]]\nfile = \"access.log\"\nformat = \"%a %U\"\n",
    );
    let said = reload(&server);
    for line in [
        "server.trusted_proxies: 127.0.0.1/32 added",
        "apps.app.workers: 1 -> 2 (new workers)",
        "apps.app.env: MOOD added (new workers)",
        "access.log added",
        "locations: /up removed",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    assert!(!said.contains("geheim"), "{said}");
    kept.send("GET /log HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.9\r\n\r\n")
        .expect("it is sent");
    assert_eq!(
        kept.response("GET").expect("an answer").text(),
        "one geheim 192.0.2.9 True 0"
    );
    wait_until("the new log has its line", || {
        fs::read_to_string(folder.join("access.log")).is_ok_and(|text| text.contains("192.0.2.9 /log\n"))
    });
}

#[test]
fn an_address_and_a_log_of_errors_come_while_it_runs() {
    let server = start("", ONE, "");
    let folder = server.directory().to_owned();
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = free.local_addr().expect("an address");
    drop(free);
    let text = fs::read_to_string(folder.join("carme.toml")).expect("it is there");
    let text = text
        .replace(
            "listen = [\"127.0.0.1:0\"]",
            &format!("listen = [\"127.0.0.1:0\", \"{address}\"]"),
        )
        .replace("error.log", "second.log");
    fs::write(folder.join("carme.toml"), text).expect("written");
    let _ = server.command(&["reload"]).run();
    wait_until("the other log has the end", || {
        fs::read_to_string(folder.join("second.log")).is_ok_and(|text| text.contains("reloaded: "))
    });
    let mut client = carme_tests::Client::connect(address).expect("it accepts");
    assert!(client.get("/").expect("an answer").text().starts_with("one"));
    assert!(
        server.get("/").text().starts_with("one"),
        "the first is where it was"
    );
}

#[test]
fn a_bad_file_changes_nothing_and_is_told_with_its_place() {
    let server = start("", ONE, "");
    write(
        server.directory(),
        "max_body = \"5B\"\nmax_hedder = \"1KiB\"",
        "threads = 0",
        "",
    );
    let said = reload(&server);
    for part in [
        "not reloaded, all goes on as before",
        "carme.toml",
        "max_hedder",
        "threads",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let answer = server.connect().post("/", b"0123456789").expect("an answer");
    assert_eq!(answer.status(), 200, "the sound part does not hold either");
    write(server.directory(), "max_body = \"5B\"", ONE, "");
    reload(&server);
    assert_eq!(
        server
            .connect()
            .post("/", b"0123456789")
            .expect("an answer")
            .status(),
        413
    );
}

#[test]
fn code_that_does_not_start_leaves_the_old_one_serving() {
    let server = start("", ONE, "");
    let code = server.directory().join("app.py");
    fs::write(&code, "raise RuntimeError('not today')\n").expect("written");
    write(server.directory(), "max_body = \"5B\"", ONE, "");
    let said = reload(&server);
    for part in [
        "not reloaded",
        "app app could not be started",
        "Traceback",
        "not today",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let answer = server.connect().post("/", b"0123456789").expect("an answer");
    assert_eq!(answer.status(), 200, "its settings wait with it");
    fs::write(&code, APP.replace("one", "the other")).expect("written");
    let said = reload(&server);
    assert!(said.contains("new workers of app"), "{said}");
    assert!(server.get("/").text().starts_with("the other"));
}

#[test]
fn what_needs_a_restart_is_named_each_time() {
    let server = start("", ONE, "");
    write(server.directory(), "backlog = 77", ONE, "");
    for _ in 0..2 {
        let said = reload(&server);
        assert!(
            said.contains("server.backlog: 1024 -> 77 (needs a restart of the server)"),
            "{said}"
        );
    }
}

#[test]
fn without_a_file_the_code_is_new() {
    let server = ServerBuilder::app(APP).args(&["--workers", "1"]).start();
    assert!(server.get("/").text().starts_with("one"));
    fs::write(server.directory().join("app.py"), APP.replace("one", "the other")).expect("written");
    let _ = server.command(&["reload"]).run();
    server.wait_for_line("reloaded: ");
    assert!(server.get("/").text().starts_with("the other"));
}

/// Sets the flag when it goes: clients that ask until then end with a test that fails, too.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What a client does between two requests. Under Wine one process serves the sockets and files of all others: clients
/// without a pause would keep a Python from starting.
fn pause() {
    if cfg!(windows) {
        thread::sleep(Duration::from_millis(3));
    }
}

#[test]
fn no_request_fails_during_many_reloads() {
    let server = Arc::new(start("", "workers = 2", ""));
    let (over, done, failed) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    let count = |answer: std::io::Result<u16>| {
        match answer {
            Ok(200) => &done,
            _ => &failed,
        }
        .fetch_add(1, Ordering::Relaxed);
    };
    thread::scope(|scope| {
        let _over = Over(&over);
        scope.spawn(|| {
            let mut kept = server.connect();
            while !over.load(Ordering::Relaxed) {
                count(kept.get("/").map(|answer| answer.status()));
                pause();
            }
        });
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                count(
                    server
                        .connect()
                        .post("/", &[7; 100_000])
                        .map(|answer| answer.status()),
                );
                pause();
            }
        });
        // A Python under Wine starts slowly.
        for round in 0..if cfg!(windows) { 5 } else { 20 } {
            write(
                server.directory(),
                &format!("max_uri = \"{}B\"", 1000 + round),
                &format!("workers = {}", 1 + round % 3),
                "",
            );
            let said = reload(&server);
            assert!(said.contains("reloaded: "), "{said}");
        }
    });
    assert_eq!(failed.into_inner(), 0);
    assert!(done.into_inner() > 100);
}

/// What cannot become what it is to be while it runs: another route, another place among the apps, many more workers.
#[test]
fn an_app_that_is_another_is_started_beside_and_no_request_fails() {
    let server = Arc::new(start("", "workers = 1", ""));
    let folder = server.directory().to_owned();
    fs::create_dir(folder.join("first")).expect("a folder");
    fs::write(folder.join("first").join("app.py"), APP.replace("one", "first")).expect("written");
    let first = format!(
        "[apps.a]\ntarget = \"app\"\ndirectory = \"first\"\nworkers = 1\npython = {:?}\n",
        python::main().to_str().expect("a path that is text")
    );
    let places = |also: &str| format!("[[locations]]\npath = \"/\"\napp = \"app\"\n{also}");
    let also = places("[[locations]]\npath = \"/first\"\napp = \"a\"\n");
    let over = AtomicBool::new(false);
    let answers = thread::scope(|scope| {
        let until = Over(&over);
        let asked = scope.spawn(|| {
            let (mut kept, mut answers) = (server.connect(), 0);
            while !over.load(Ordering::Relaxed) {
                assert_eq!(kept.get("/").expect("an answer").status(), 200);
                answers += 1;
                pause();
            }
            answers
        });
        for (before, app, rest) in [
            ("", "workers = 1\nroute = \"www_{n}\"", places("")),
            ("", "workers = 10", places("")),
            // Before it in the file, so that it has another number.
            (first.as_str(), "workers = 1", also),
        ] {
            write(&folder, before, app, &rest);
            let said = reload(&server);
            assert!(said.contains("reloaded: "), "{said}");
        }
        assert!(server.get("/first").text().starts_with("first "));
        drop(until);
        asked.join().expect("no request fails")
    });
    assert!(answers > 10, "{answers}");
}

/// By signals and terminals.
#[cfg(unix)]
mod unix {
    use carme_tests::process;

    use super::*;

    #[test]
    fn sighup_reloads() {
        let server = ServerBuilder::app(APP).args(&["--workers", "1"]).start();
        assert!(server.get("/").text().starts_with("one"));
        fs::write(server.directory().join("app.py"), APP.replace("one", "the other")).expect("written");
        process::signal(server.pid(), "HUP");
        server.wait_for_line("reloaded: ");
        assert!(server.get("/").text().starts_with("the other"));
    }

    #[test]
    fn a_stop_during_a_reload_ends_well() {
        let mut server = start("", ONE, "");
        fs::write(
            server.directory().join("app.py"),
            "import time\ntime.sleep(3600)\n",
        )
        .expect("written");
        process::signal(server.pid(), "HUP");
        wait_until("the reload has begun", || {
            error_log(&server).contains("reloading after SIGHUP")
        });
        assert!(server.stop().success());
        let said = error_log(&server);
        assert!(said.contains("the server stops"), "{said}");
    }

    #[test]
    fn a_terminal_that_is_closed_stops_the_server_unless_nohup_was_asked_for() {
        // Python starts it in a terminal of its own, waits until it serves, closes the terminal, and says how it ended.
        let script = r#"
import os, pty, subprocess, sys, time
master, slave = pty.openpty()
def own_terminal():
    import fcntl, termios
    os.setsid()
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
process = subprocess.Popen(sys.argv[1:], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, stdin=slave,
                           preexec_fn=own_terminal, pass_fds=[slave])
os.close(slave)
while b"Serving" not in (line := process.stderr.readline()):
    if not line:
        sys.exit(9)
os.close(master)
try:
    print("ended", process.wait(3))
except subprocess.TimeoutExpired:
    print("serves")
    process.terminate()
    process.wait()
"#;
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("app.py"), APP).expect("written");
        for (nohup, expected) in [(&[][..], "ended 0"), (&["nohup"][..], "serves")] {
            let output = std::process::Command::new(python::main())
                .args(["-c", script])
                .args(nohup)
                .arg(carme_tests::server::program())
                .args([
                    "serve",
                    "app",
                    "--workers",
                    "1",
                    "--bind",
                    "127.0.0.1:0",
                    "--python",
                ])
                .arg(python::main())
                .current_dir(folder.path())
                .output()
                .expect("Python runs");
            let said = String::from_utf8_lossy(&output.stdout);
            assert_eq!(
                said.trim(),
                expected,
                "{}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
    }
}
