//! The commands that reach a running server, with the real program on both sides.

mod endpoint;
mod farm;
mod members;
mod points;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use carme_tests::{Client, Server, ServerBuilder, process, python, server, wait_until};
use serde_json::Value;

/// Says hello, at `/pid` its process, or at `/wait` waits until there is a file `go`.
const APP: &str = r#"
import os, time
def application(environ, start_response):
    if environ["PATH_INFO"] == "/pid":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [str(os.getpid()).encode()]
    if environ["PATH_INFO"] == "/wait":
        open("waiting", "w").close()
        while not os.path.exists("go"):
            time.sleep(0.01)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]
"#;

const NO_SERVER: Option<i32> = Some(3);

/// What a command did: its exit code, standard output and standard error.
type Outcome = (Option<i32>, String, String);

fn run(command: ServerBuilder) -> Outcome {
    let (status, out, err) = command.run();
    (status.code(), out, err)
}

fn ask(server: &Server, arguments: &[&str]) -> Outcome {
    run(server.command(arguments))
}

/// What a command says that does what it should.
fn done(server: &Server, arguments: &[&str]) -> String {
    let (code, out, err) = ask(server, arguments);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{arguments:?}: {out}");
    out
}

fn json(server: &Server) -> Value {
    serde_json::from_str(&done(server, &["status", "--json"])).expect("it is JSON")
}

/// A server of this app with one worker, with a file if it is to be configured by one.
fn write(folder: &Path, server: &str, rest: &str) -> PathBuf {
    let toml = format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\nerror_log = \"error.log\"\n{server}\n\
         [apps.site]\ntarget = \"app\"\nworkers = 1\npython = {python:?}\n{rest}\n",
        python = python::main().to_str().expect("a path that is text")
    );
    let file = folder.join("carme.toml");
    fs::write(&file, toml).expect("the configuration is written");
    file
}

fn configured() -> Server {
    let builder = ServerBuilder::app(APP);
    let file = write(builder.directory(), "", "");
    builder.configured(&file).start()
}

fn plain() -> Server {
    ServerBuilder::app(APP).args(&["--workers", "1"]).start()
}

/// A server whose workers, so many, all serve.
fn farm(workers: usize) -> Server {
    let server = ServerBuilder::app(APP)
        .args(&["--workers", &workers.to_string()])
        .start();
    wait_until("all workers are ready", || {
        json(&server)["apps"][0]["state"] == "ready"
    });
    server
}

/// A client whose request is being answered until there is a file `go`.
fn waiting(server: &Server) -> Client {
    let mut slow = server.connect();
    slow.send(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
        .expect("it is sent");
    wait_until("the request is being answered", || {
        server.directory().join("waiting").exists()
    });
    slow
}

#[test]
fn status_shows_a_server_its_app_and_its_workers() {
    let server = ServerBuilder::app(APP).args(&["--workers", "2"]).start();
    let pid = server.pid();
    // The first worker answers; the second may still be on its way.
    wait_until("both workers are ready", || {
        json(&server)["apps"][0]["state"] == "ready"
    });
    let text = done(&server, &["status"]);
    for part in [
        &format!("carme {}: http://{}\n", env!("CARGO_PKG_VERSION"), server.address),
        &format!("process {pid}, serving, started "),
        "0 open connections",
        &format!("listening at http://{}\n", server.address),
        "app app: ready (app:application, WSGI, CPython 3.",
        "0 requests waiting for a worker (at most 1000 may), 0 in flight, 0 answered\n",
        "\nWORKER  STATE",
        "\napp_1   ready",
        "\napp_2   ready",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let _kept = server.connect();
    let told = json(&server);
    assert_eq!(told["pid"], pid);
    assert_eq!(told["file"], Value::Null);
    assert_eq!(told["addresses"][0], format!("http://{}", server.address));
    assert_eq!(told["state"], "serving");
    wait_until("the connection is counted", || json(&server)["connections"] == 1);
    let workers = told["apps"][0]["workers"].as_array().expect("a list");
    assert_eq!(workers.len(), 2);
    for worker in workers {
        let pid = worker["pid"].as_u64().expect("a process");
        assert!(process::exists(pid as u32), "{worker}");
        assert!(worker["memory_bytes"].as_u64() > Some(1_000_000), "{worker}");
    }
}

#[test]
fn status_goes_on_until_the_server_is_gone() {
    let mut server = plain();
    let mut watch = Command::new(server::program())
        .args(["status", "--watch", "0.1"])
        .env("CARME_CONTROL_DIR", server.control_dir())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("carme starts");
    let out = BufReader::new(watch.stdout.take().expect("piped"));
    let heads = out
        .lines()
        .map_while(Result::ok)
        .filter(|line| line.starts_with("process "));
    assert_eq!(heads.take(3).count(), 3, "it is shown again and again");
    server.kill();
    let mut err = String::new();
    watch
        .stderr
        .take()
        .expect("piped")
        .read_to_string(&mut err)
        .expect("text");
    // Nobody reads its output any more, which may be what it notices first.
    assert!(
        err.is_empty() || err.starts_with("carme: http://127.0.0.1:"),
        "{err}"
    );
    watch.wait().expect("it ends");
}

#[test]
fn a_look_after_another_says_how_much_is_done_in_a_second() {
    let server = farm(1);
    let mut watch = Command::new(server::program())
        .args(["status", "--watch", "0.2"])
        .env("CARME_CONTROL_DIR", server.control_dir())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("carme starts");
    let out = BufReader::new(watch.stdout.take().expect("piped"));
    let mut kept = server.connect();
    let rates = out.lines().map_while(Result::ok).filter_map(|line| {
        kept.get("/").expect("an answer");
        let (_, rate) = line.strip_suffix(" a second")?.rsplit_once(" answered, ")?;
        rate.parse::<f64>().ok()
    });
    assert!(
        rates.take(20).any(|rate| rate > 0.0),
        "requests are answered all the time"
    );
    watch.kill().expect("it is ended");
    watch.wait().expect("it ends");
}

#[test]
fn a_reload_tells_what_is_new_and_what_needs_a_restart() {
    let server = configured();
    let folder = server.directory();
    fs::write(folder.join("app.py"), APP.replace("hello", "hello again")).expect("written");
    write(folder, "max_body = \"5B\"\nbacklog = 77", "");
    let told = done(&server, &["reload"]);
    let (told, last) = told.trim_end().rsplit_once('\n').expect("several lines");
    assert!(told.contains("server.max_body: 1GiB -> 5B"), "{told}");
    assert!(
        told.contains("server.backlog: 1024 -> 77 (needs a restart of the server)"),
        "{told}"
    );
    assert!(
        last.starts_with("reloaded ") && last.ends_with("with new workers of site"),
        "{last}"
    );
    assert_eq!(
        server.get("/").text(),
        "hello again",
        "it is in effect when the command ends"
    );
}

#[test]
fn a_reload_that_fails_says_why_and_changes_nothing() {
    let server = configured();
    let folder = server.directory();
    fs::write(folder.join("app.py"), "raise RuntimeError('not today')\n").expect("written");
    let (code, out, err) = ask(&server, &["reload"]);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    for part in [
        "Traceback (most recent call last):",
        "RuntimeError: not today",
        "carme: not reloaded, all goes on as before: app site could not be started",
    ] {
        assert!(err.contains(part), "{part}: {err}");
    }
    write(folder, "max_hedder = \"1KiB\"", "threads = 0");
    let (code, _, err) = ask(&server, &["reload"]);
    assert_eq!(code, Some(1));
    for part in ["carme.toml:4:1", "max_hedder", "threads"] {
        assert!(err.contains(part), "{part}: {err}");
    }
    assert_eq!(server.get("/").text(), "hello");
}

#[test]
fn a_stop_waits_for_what_was_begun_and_for_the_end() {
    let mut server = plain();
    let folder = server.directory().to_owned();
    let mut slow = waiting(&server);
    thread::scope(|scope| {
        let stops: Vec<_> = (0..2).map(|_| scope.spawn(|| ask(&server, &["stop"]))).collect();
        wait_until("it stops", || json(&server)["state"] == "stopping");
        let text = done(&server, &["status"]);
        assert!(text.contains(", stopping, "), "{text}");
        assert!(text.contains("1 in flight"), "{text}");
        assert!(
            !stops.iter().any(thread::ScopedJoinHandle::is_finished),
            "there is something to wait for"
        );
        fs::write(folder.join("go"), "").expect("written");
        let answer = slow.response("GET").expect("an answer");
        assert_eq!((answer.status(), answer.text().as_ref()), (200, "hello"));
        for stop in stops {
            let (code, out, err) = stop.join().expect("no panic");
            assert_eq!(
                (code, err.as_str()),
                (Some(0), ""),
                "a second command is in no greater hurry"
            );
            assert!(out.starts_with("stopped http://127.0.0.1:"), "{out}");
        }
        assert!(
            !process::exists(server.pid()) || cfg!(unix),
            "its process has ended"
        );
    });
    assert!(server.wait().success());
    let (code, _, err) = ask(&server, &["status"]);
    assert_eq!(code, NO_SERVER);
    assert!(
        err.starts_with("carme: no server runs that you could command"),
        "{err}"
    );
}

#[test]
fn a_stop_can_be_hurried() {
    for hurry in [&["stop", "--now"][..], &["stop", "--timeout", "10ms"]] {
        let mut server = plain();
        let mut slow = waiting(&server);
        let begun = Instant::now();
        let out = done(&server, hurry);
        assert!(out.starts_with("stopped "), "{hurry:?}: {out}");
        assert!(
            begun.elapsed() < Duration::from_secs(25),
            "graceful_timeout is 30 s"
        );
        server.wait();
        assert!(slow.response("GET").is_err(), "{hurry:?}: nobody could answer");
    }
}

#[test]
fn a_log_that_was_moved_is_left_when_the_command_ends() {
    let server = ServerBuilder::app(APP)
        .args(&[
            "--workers",
            "1",
            "--access-log",
            "access.log",
            "--log-format",
            "%U",
        ])
        .start();
    let (now, old) = (
        server.directory().join("access.log"),
        server.directory().join("old.log"),
    );
    server.get("/first");
    wait_until("the line is there", || {
        fs::read_to_string(&now).is_ok_and(|text| text == "/first\n")
    });
    fs::rename(&now, &old).expect("renamed");
    let out = done(&server, &["logs", "reopen"]);
    assert!(out.ends_with("the log files are opened anew\n"), "{out}");
    server.get("/second");
    wait_until("the line is there", || {
        fs::read_to_string(&now).is_ok_and(|text| text == "/second\n")
    });
    assert_eq!(fs::read_to_string(&old).expect("it is there"), "/first\n");
}
