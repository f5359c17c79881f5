//! The commands that reach a running server, with the real program on both sides.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use carme_tests::{Server, ServerBuilder, process, python, server, wait_until};
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
fn a_reload_tells_what_is_new_and_what_needs_a_restart() {
    let server = configured();
    let folder = server.directory();
    fs::write(folder.join("app.py"), APP.replace("hello", "hallo")).expect("written");
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
        "hallo",
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
    let mut slow = server.connect();
    let request = b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n";
    slow.send(request).expect("it is sent");
    wait_until("the request is being answered", || {
        folder.join("waiting").exists()
    });
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
        let folder = server.directory().to_owned();
        let mut slow = server.connect();
        slow.send(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
            .expect("it is sent");
        wait_until("the request is being answered", || {
            folder.join("waiting").exists()
        });
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

#[test]
fn of_two_servers_each_is_found_by_what_is_known_of_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let control = folder.path().join("control");
    let file = ServerBuilder::app(APP);
    let path = write(file.directory(), "", "");
    let file = file.configured(&path).control_dir(&control).start();
    let plain = ServerBuilder::app(APP)
        .args(&["--workers", "1"])
        .control_dir(&control)
        .start();
    let (path, address) = (path.to_str().expect("text"), plain.address.to_string());

    let (code, out, err) = ask(&plain, &["reload"]);
    assert_eq!((code, out.as_str()), (NO_SERVER, ""));
    for part in [
        "carme: 2 servers run; say which one:\n",
        &format!(
            "    -c {path}    (process {}, at http://{}",
            file.pid(),
            file.address
        ),
        &format!(
            "    --name http://{address}    (process {}, at http://{address})",
            plain.pid()
        ),
    ] {
        assert!(err.contains(part), "{part}: {err}");
    }
    let pid_of = |arguments: &[&str]| {
        let mut all = vec!["status", "--json"];
        all.extend(arguments);
        let told: Value = serde_json::from_str(&done(&plain, &all)).expect("it is JSON");
        told["pid"].as_u64().expect("a number") as u32
    };
    assert_eq!(pid_of(&["-c", path]), file.pid());
    assert_eq!(pid_of(&["--name", path]), file.pid());
    assert_eq!(pid_of(&["--name", &file.pid().to_string()]), file.pid());
    assert_eq!(pid_of(&["--name", &address]), plain.pid());
    assert_eq!(
        pid_of(&["--name", &format!(":{}", plain.address.port())]),
        plain.pid()
    );

    // A path that is not full is one of the folder that the command is given in.
    let relative = file
        .command(&["status", "-c", "carme.toml"])
        .current_dir(file.directory());
    let (code, out, err) = run(relative);
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains(&format!("process {}, ", file.pid())), "{out}");

    let (code, _, err) = ask(&plain, &["stop", "-c", "other.toml"]);
    assert_eq!(code, NO_SERVER);
    for part in [
        "no server with the configuration file ",
        "other.toml runs; but these do:\n",
        path,
        &address,
    ] {
        assert!(err.contains(part), "{part}: {err}");
    }
}

#[test]
fn a_server_that_was_killed_leaves_nothing_that_lasts() {
    let mut server = plain();
    let entries = |control: &Path| fs::read_dir(control).map_or(0, Iterator::count);
    assert!(entries(server.control_dir()) > 0);
    server.kill();
    let (code, _, err) = ask(&server, &["status"]);
    assert_eq!(code, NO_SERVER);
    assert!(
        err.starts_with("carme: no server runs that you could command (looked in "),
        "{err}"
    );
    assert_eq!(entries(server.control_dir()), 0);
}

/// The workers of the only app, as they are told.
fn workers(server: &Server) -> Vec<Value> {
    let told = json(server);
    told["apps"][0]["workers"].as_array().expect("a list").clone()
}

fn states(server: &Server) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let workers = workers(server);
    workers
        .iter()
        .map(|worker| (text(&worker["route"]), text(&worker["state"])))
        .collect()
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

fn named(states: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(route, state): &(&str, &str)| ((*route).to_owned(), (*state).to_owned());
    states.iter().map(owned).collect()
}

#[test]
fn a_restart_replaces_the_worker_that_is_named_or_all() {
    let server = farm(2);
    let pids = || -> Vec<u64> {
        workers(&server)
            .iter()
            .map(|worker| worker["pid"].as_u64().expect("a process"))
            .collect()
    };
    let before = pids();
    assert_eq!(done(&server, &["restart", "app_2"]), "restarted app_2\n");
    let after = pids();
    assert_eq!(before[0], after[0]);
    assert_ne!(before[1], after[1]);
    fs::write(server.directory().join("app.py"), APP.replace("hello", "hallo")).expect("written");
    assert_eq!(done(&server, &["restart"]), "restarted app_1, app_2\n");
    assert!(pids().iter().all(|pid| !after.contains(pid)));
    assert_eq!(server.get("/").text(), "hallo");
    let second = &workers(&server)[1];
    assert_eq!(
        (&second["replacements"], &second["failures"], &second["restarts"]),
        (&2.into(), &0.into(), &serde_json::json!({"restart": 2}))
    );
    let (code, out, err) = ask(&server, &["restart", "app_9"]);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert_eq!(
        err,
        "carme: there is no worker app_9; the workers are app_1, app_2\n"
    );
}

#[test]
fn a_restart_that_fails_leaves_the_worker_and_says_why() {
    let server = farm(1);
    fs::write(
        server.directory().join("app.py"),
        "raise RuntimeError('not today')\n",
    )
    .expect("written");
    let (code, out, err) = ask(&server, &["restart"]);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    for part in [
        "RuntimeError: not today",
        "carme: app_1 stays as it was, no other starts in its place: ",
    ] {
        assert!(err.contains(part), "{part}: {err}");
    }
    assert_eq!(server.get("/").text(), "hello");
}

#[test]
fn a_drained_worker_finishes_and_stays_away_until_it_is_enabled() {
    let server = farm(2);
    let folder = server.directory().to_owned();
    let mut slow = server.connect();
    slow.send(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
        .expect("it is sent");
    wait_until("the request is being answered", || {
        folder.join("waiting").exists()
    });
    let busy = workers(&server)
        .iter()
        .position(|worker| worker["in_flight"] == 1)
        .expect("one has it");
    let (busy, other) = [("app_1", "app_2"), ("app_2", "app_1")][busy];
    thread::scope(|scope| {
        let drain = scope.spawn(|| ask(&server, &["drain", busy]));
        wait_until("it takes nothing more", || {
            states(&server).contains(&(busy.to_owned(), "draining".to_owned()))
        });
        assert!(!drain.is_finished());
        fs::write(folder.join("go"), "").expect("written");
        assert_eq!(slow.response("GET").expect("an answer").text(), "hello");
        let (code, out, err) = drain.join().expect("no panic");
        assert_eq!((code, err.as_str()), (Some(0), ""));
        assert_eq!(out, format!("{busy} is drained, until `carme enable {busy}`\n"));
    });
    done(&server, &["reload"]);
    let mut expected = named(&[(busy, "drained"), (other, "ready")]);
    expected.sort();
    assert_eq!(states(&server), expected, "a reload does not fill it");
    let pid = server.get("/pid").text().parse::<u64>().expect("a number");
    assert_eq!(json(&server)["apps"][0]["state"], "ready");
    assert!(
        workers(&server)
            .iter()
            .any(|worker| worker["pid"] == pid && worker["route"] == other)
    );

    let (code, _, err) = ask(&server, &["drain", other]);
    assert_eq!(code, Some(1));
    assert!(
        err.starts_with(&format!(
            "carme: {other} is the only worker of app app that takes requests"
        )),
        "{err}"
    );

    assert_eq!(done(&server, &["enable", busy]), format!("{busy} serves\n"));
    assert_eq!(states(&server), named(&[("app_1", "ready"), ("app_2", "ready")]));
}

#[test]
fn there_are_as_many_workers_as_were_asked_for() {
    let server = farm(1);
    assert_eq!(
        done(&server, &["scale", "app", "3"]),
        "app app has 3 workers from now on, until the next reload\n"
    );
    let all = |count: usize| {
        (1..=count)
            .map(|n| (format!("app_{n}"), "ready".to_owned()))
            .collect::<Vec<_>>()
    };
    wait_until("there are three", || states(&server) == all(3));
    done(&server, &["scale", "app", "2"]);
    wait_until("there are two", || states(&server) == all(2));
    done(&server, &["reload"]);
    wait_until("there are as many as are configured", || {
        states(&server) == all(1)
    });
    for (arguments, reason) in [
        (
            &["scale", "site", "2"][..],
            "carme: there is no app site; the apps are app\n",
        ),
        (&["scale", "app", "0"], "carme: app app can have 1 to "),
        (&["scale", "app", "9999"], "carme: app app can have 1 to "),
    ] {
        let (code, _, err) = ask(&server, arguments);
        assert_eq!(code, Some(1));
        assert!(err.starts_with(reason), "{err}");
    }
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

/// The other side of the endpoint of the only server in this folder, as a program sees it that knows nothing of the protocol.
#[cfg(unix)]
fn endpoint(control: &Path) -> std::os::unix::net::UnixStream {
    std::os::unix::net::UnixStream::connect(entry(control, "sock")).expect("it listens")
}

#[cfg(windows)]
fn endpoint(control: &Path) -> fs::File {
    let entry = entry(control, "pipe");
    let name = entry.file_stem().and_then(|name| name.to_str()).expect("text");
    let pipe = format!(r"\\.\pipe\carme-{name}");
    let mut opened = None;
    wait_until("the pipe has a free end", || {
        opened = fs::OpenOptions::new().read(true).write(true).open(&pipe).ok();
        opened.is_some()
    });
    opened.expect("open")
}

fn entry(control: &Path, extension: &str) -> PathBuf {
    let mut files = fs::read_dir(control)
        .expect("a folder")
        .map(|file| file.expect("readable").path());
    let is_entry = |path: &PathBuf| path.extension().is_some_and(|found| found == extension);
    files.find(is_entry).expect("an entry")
}

#[test]
fn garbage_and_silence_harm_nobody() {
    let server = plain();
    let silent: Vec<_> = (0..5).map(|_| endpoint(server.control_dir())).collect();
    for garbage in [
        &b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..],
        b"\x02\0\0\0{}",
        b"\x0d\0\0\0{\"version\":9}",
    ] {
        let mut stream = endpoint(server.control_dir());
        stream.write_all(garbage).expect("it is read");
        let mut length = [0; 4];
        stream.read_exact(&mut length).expect("an answer");
        let mut answer = vec![0; u32::from_le_bytes(length) as usize];
        stream.read_exact(&mut answer).expect("an answer");
        let answer: Value = serde_json::from_slice(&answer).expect("it is JSON");
        assert_eq!(answer["message"]["kind"], "refused", "{answer}");
    }
    let mut half = endpoint(server.control_dir());
    half.write_all(b"\x50\0\0\0{\"vers").expect("it is read");
    assert_eq!(json(&server)["state"], "serving");
    for mut stream in silent.into_iter().chain([half]) {
        // Whoever says nothing for long is left.
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        assert!(rest.is_empty());
    }
    assert_eq!(server.get("/").text(), "hello");
}

/// Only root can become somebody else.
#[cfg(unix)]
#[test]
fn another_user_is_turned_away_even_where_the_socket_is_open_to_all() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;

    let server = plain();
    let own = fs::metadata(server.control_dir()).expect("it is there");
    if std::os::unix::fs::MetadataExt::uid(&own) != 0 {
        println!("skipped: only root can try it as another user");
        return;
    }
    let socket = entry(server.control_dir(), "sock");
    for (path, mode) in [
        (server.directory(), 0o755),
        (server.control_dir(), 0o755),
        (&socket, 0o777),
    ] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("set");
    }
    let client = r#"
import socket, struct, sys
s = socket.socket(socket.AF_UNIX)
s.settimeout(30)
s.connect(sys.argv[1])
try:
    frame = b'{"version":1,"message":{"command":"identify"}}'
    s.sendall(struct.pack("<I", len(frame)) + frame)
    print(s.recv(1000))
except (BrokenPipeError, ConnectionResetError):
    print(b'')
"#;
    let client = |user: u32| {
        let output = Command::new("/usr/bin/env")
            .args(["python3", "-c", client])
            .arg(&socket)
            .uid(user)
            .gid(user)
            .output()
            .expect("Python runs");
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    };
    assert_eq!(client(65534), "b''\n");
    let answer = client(0);
    assert!(answer.contains("identity"), "{answer}");
    server.wait_for_line("a command of another user (id 65534) was refused");
    // By the usual modes they do not even get that far.
    fs::set_permissions(server.control_dir(), fs::Permissions::from_mode(0o700)).expect("set");
    assert!(client(65534).contains("PermissionError"));
}

/// Point 15: a crash loop ends other servers, and its reason is lost in their output.
#[test]
fn point_15_an_app_that_does_not_start_is_shown_with_its_reason_and_comes_back_by_itself() {
    let builder = ServerBuilder::app("raise KeyError('DATABASE')\n");
    let folder = builder.directory().to_owned();
    fs::create_dir(folder.join("well")).expect("made");
    fs::write(folder.join("well").join("app.py"), APP).expect("written");
    let other = format!(
        "[apps.well]\ntarget = \"app\"\ndirectory = \"well\"\nworkers = 1\npython = {:?}\n\
         [[locations]]\npath = \"/\"\napp = \"site\"\n[[locations]]\npath = \"/well\"\napp = \"well\"",
        python::main().to_str().expect("a path that is text")
    );
    let file = write(&folder, "", &other);
    let server = builder.configured(&file).start();
    let mut told = Value::Null;
    wait_until("the reason is known", || {
        told = json(&server);
        told["apps"][0]["state"] == "failed" && told["apps"][1]["state"] == "ready"
    });
    let failure = &told["apps"][0]["workers"][0]["last_failure"];
    assert!(
        failure["message"].as_str().expect("text").contains("KeyError"),
        "{told}"
    );
    assert!(
        failure["traceback"]
            .as_str()
            .expect("text")
            .contains("raise KeyError('DATABASE')"),
        "{told}"
    );
    assert_eq!(server.get("/well").text(), "hello", "the other app is untouched");
    // Between two attempts; at most seconds apart.
    let mut text = String::new();
    wait_until("people are told", || {
        text = done(&server, &["status"]);
        text.contains("; starts again in ")
    });
    for part in [
        "app site: failed: none of its workers serves\n",
        "app well: ready",
        "KeyError: 'DATABASE'",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    fs::write(folder.join("app.py"), APP).expect("written");
    wait_until("it serves without a restart", || {
        json(&server)["apps"][0]["state"] == "ready"
    });
    assert_eq!(server.get("/").text(), "hello");
    assert!(json(&server)["apps"][0]["workers"][0]["restarts"]["import_failed"].as_u64() >= Some(1));
}

/// Point 24: other servers have to be replaced for another setting or another log.
#[test]
fn point_24_settings_and_logs_change_under_a_kept_connection() {
    let server = configured();
    let folder = server.directory().to_owned();
    let mut kept = server.connect();
    assert_eq!(kept.post("/", b"0123456789").expect("an answer").status(), 200);
    write(
        &folder,
        "max_uri = \"64B\"",
        "[[access_logs]]\nfile = \"later.log\"\nformat = \"%U %>s\"\n",
    );
    let told = done(&server, &["reload"]);
    assert!(
        told.contains("server.max_uri: ") && told.contains("later.log added"),
        "{told}"
    );
    assert_eq!(kept.get("/short").expect("an answer").status(), 200);
    let long = format!("/{}", "long".repeat(20));
    assert_eq!(kept.get(&long).expect("an answer").status(), 414);
    let log = folder.join("later.log");
    let written = || fs::read_to_string(&log).unwrap_or_default();
    wait_until("both are logged", || {
        written() == format!("/short 200\n{long} 414\n")
    });
    assert_eq!(json(&server)["pid"], server.pid(), "the server is the same");
}
