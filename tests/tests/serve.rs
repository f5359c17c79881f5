//! Starting and stopping: what stands in the way is said, what comes late is waited for, and an end is an end.

use std::fs;
use std::net::TcpListener;
use std::thread;

use carme_tests::{ServerBuilder, python, skip, wait_until};

/// An app that answers, sleeps, or tells its pid.
const APP: &str = r#"
import os, time

def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path.startswith("/sleep"):
        open("sleeping", "w").close()
        time.sleep(1000)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
"#;

#[test]
fn an_address_in_use_is_said_with_a_cure() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let builder = ServerBuilder::app(APP);
    let target = builder.directory().join("app.py");
    let python = python::main();
    let arguments = [
        "serve",
        target.to_str().unwrap(),
        "--python",
        python.to_str().unwrap(),
        "--bind",
        address.as_str(),
    ];
    let (status, _, error) = ServerBuilder::arguments(&arguments).run();
    assert_eq!(status.code(), Some(1), "{error}");
    assert!(error.contains(&format!("cannot listen on {address}")), "{error}");
    assert!(error.contains("choose another port"), "{error}");
}

#[test]
fn an_app_that_takes_too_long_to_import_is_named() {
    let (status, _, error) = ServerBuilder::app("import time\ntime.sleep(1000)\n")
        .args(&["--startup-timeout", "500ms"])
        .run();
    assert_eq!(status.code(), Some(1), "{error}");
    assert!(
        error.contains("its app was not imported within 500ms (startup_timeout)"),
        "{error}"
    );
}

#[test]
fn what_an_app_prints_before_it_fails_is_in_the_error_log() {
    let app = "import sys\nprint('to stdout')\nsys.stderr.write('to stderr')\nsys.stderr.flush()\nimport os\nos._exit(3)\n";
    let (status, _, error) = ServerBuilder::app(app).args(&["--workers", "1"]).run();
    assert_eq!(status.code(), Some(1), "{error}");
    let line = |level: &str, text: &str| {
        error
            .lines()
            .any(|l| l.contains(&format!("[{level}] app app_1 ")) && l.ends_with(&format!(": {text}")))
    };
    assert!(line("info", "to stdout") && line("error", "to stderr"), "{error}");
    assert!(
        error.contains("exited with code 3 before its app was imported: to stderr"),
        "{error}"
    );
}

#[test]
fn an_interpreter_without_the_gil_is_refused_in_a_sentence() {
    let Some(python) = std::env::var_os("CARME_TEST_FREE_THREADED") else {
        return skip::unsuited("there is no free-threaded CPython here");
    };
    let (status, _, error) = ServerBuilder::app(APP).python(python.as_ref()).run();
    assert!(!status.success(), "{error}");
    assert!(error.contains("free-threaded"), "{error}");
    assert!(!error.contains("Traceback"), "{error}");
}

#[test]
fn a_broken_app_does_not_end_a_server_of_several() {
    let builder = ServerBuilder::app(APP);
    let folder = builder.directory().to_owned();
    fs::write(folder.join("broken.py"), "1 / 0\n").unwrap();
    let toml = format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\n\
         [apps.well]\ntarget = \"app\"\npython = {python:?}\nworkers = 1\n\
         [apps.broken]\ntarget = \"broken\"\npython = {python:?}\nworkers = 1\n\
         [[locations]]\npath = \"/\"\napp = \"well\"\n\
         [[locations]]\npath = \"/broken\"\napp = \"broken\"\n",
        python = python::main().to_str().unwrap()
    );
    let file = folder.join("carme.toml");
    fs::write(&file, toml).unwrap();
    let server = ServerBuilder::arguments(&["serve", "-c", file.to_str().unwrap()]).start();
    assert_eq!(server.get("/").status(), 200);
    server.wait_for_line("ZeroDivisionError");
    // Repaired, it answers what has waited for it.
    let waiting = {
        let address = server.address;
        thread::spawn(move || carme_tests::Client::connect(address)?.get("/broken/"))
    };
    fs::write(folder.join("broken.py"), APP).unwrap();
    assert_eq!(waiting.join().unwrap().unwrap().status(), 200);
    assert_eq!(server.get("/").status(), 200);
}

#[test]
fn a_worker_that_crashes_again_and_again_is_started_again_and_again() {
    let server = ServerBuilder::app(APP).args(&["--workers", "1"]).start();
    let mut last = 0;
    for _ in 0..3 {
        let pid: u32 = server.get("/").text().parse().unwrap();
        assert_ne!(pid, last);
        last = pid;
        carme_tests::process::kill(pid);
        wait_until("it is dead", || !carme_tests::process::exists(pid));
    }
    let line = server.wait_for_line(&format!("worker {last} "));
    assert!(line.contains("[error] app app_1: worker"), "{line}");
}

#[cfg(unix)]
#[test]
fn the_workers_files_are_put_back_where_somebody_has_swept() {
    let cache = tempfile::tempdir().unwrap();
    let server = ServerBuilder::app(APP)
        .args(&["--workers", "1"])
        .env("XDG_CACHE_HOME", cache.path())
        .start();
    let first = server.get("/").text();
    let folder = cache.path().join("carme");
    assert!(folder.is_dir());
    fs::remove_dir_all(&folder).unwrap();
    carme_tests::process::kill(first.parse().unwrap());
    let second = server.get("/").text();
    assert_ne!(first, second);
    assert!(folder.is_dir());
}

#[cfg(unix)]
#[test]
fn a_second_signal_ends_it_at_once() {
    let mut server = ServerBuilder::app(APP)
        .args(&["--workers", "1", "--graceful-timeout", "1000s"])
        .start();
    let worker: u32 = server.get("/").text().parse().unwrap();
    let mut sleeper = server.connect();
    sleeper.send("GET /sleep HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let sleeping = server.directory().join("sleeping");
    wait_until("the request has begun", || sleeping.exists());
    carme_tests::process::terminate(server.pid());
    server.wait_for_line("stopping after SIGTERM");
    carme_tests::process::terminate(server.pid());
    assert_eq!(server.wait().code(), Some(1));
    wait_until("the worker is dead", || !carme_tests::process::exists(worker));
}

#[cfg(unix)]
#[test]
fn a_graceful_timeout_ends_what_does_not_end() {
    let mut server = ServerBuilder::app(APP)
        .args(&["--workers", "2", "--graceful-timeout", "300ms"])
        .start();
    let mut sleeper = server.connect();
    sleeper.send("GET /sleep HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let sleeping = server.directory().join("sleeping");
    wait_until("the request has begun", || sleeping.exists());
    let status = server.stop();
    assert_eq!(status.code(), Some(0), "{}", server.output());
    assert!(sleeper.is_closed());
}

#[cfg(unix)]
#[test]
fn a_unix_socket_is_served_and_goes_with_the_server() {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    let builder = ServerBuilder::app(APP);
    let socket = builder.directory().join("site.sock");
    // What a killed run has left behind.
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    let bind = format!("unix:{}", socket.display());
    let mut server = builder.args(&["--workers", "1", "--bind", &bind]).start();
    let mut client = UnixStream::connect(&socket).unwrap();
    client
        .set_read_timeout(Some(std::time::Duration::from_secs(30)))
        .unwrap();
    client
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert_eq!(server.stop().code(), Some(0));
    assert!(!socket.exists());
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_costs_log_lines_and_large_bodies_and_nothing_else() {
    let server = ServerBuilder::test_app("cases.py")
        .args(&["--access-log", "/dev/full"])
        // No temporary file can be made here.
        .env("TMPDIR", "/proc")
        .start();
    // Beyond `body_memory`, and no more than the front still reads after its answer.
    let body = vec![b'x'; 300 << 10];
    for _ in 0..3 {
        assert_eq!(server.get("/pid").status(), 200);
        let response = server.connect().post("/echo", &body).unwrap();
        assert_eq!(response.status(), 503);
        assert!(response.header("retry-after").is_some());
        assert_eq!(server.connect().post("/echo", b"small").unwrap().body, b"small");
    }
    server.wait_for_line("/dev/full");
    let line = server.wait_for_line("status=503");
    assert!(line.contains("temporary file"), "{line}");
}
