//! Requests that take too long, in the real program with real Python: the client's answer, the stacks in the error log, the
//! interruption, the replacement. The points are those of the list of what users of other servers complain about.

use std::fs;
use std::path::Path;

use carme_tests::{Server, ServerBuilder, process, python, wait_until};

const APP: &str = r#"
import ctypes, os, sys, time

def application(environ, start_response):
    return globals()[environ["PATH_INFO"][1:]](environ["QUERY_STRING"], start_response)

def answer(start_response, body):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [body.encode()]

def pid(query, start_response):
    return answer(start_response, str(os.getpid()))

def spin(query, start_response):
    while True:
        pass

def sleep(query, start_response):
    # In C, which an exception does not reach.
    time.sleep(float(query))
    return answer(start_response, "slept")

def stubborn(query, start_response):
    while True:
        try:
            spin(query, start_response)
        except Exception:
            print("an Exception was caught", file=sys.stderr, flush=True)

def swallow(query, start_response):
    while True:
        try:
            spin(query, start_response)
        except BaseException:
            print("everything was caught", file=sys.stderr, flush=True)

def stall(query, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"begun"
    spin(query, start_response)

def until_go(query, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"begun "
    while not os.path.exists("go"):
        time.sleep(0.01)
    yield b"and ended"

def held(query, start_response):
    print("it is being held", file=sys.stderr, flush=True)
    time.sleep(600)

def native(query, start_response):
    # With the GIL: a PyDLL's functions do not let go of it.
    if sys.platform == "win32":
        ctypes.PyDLL("kernel32").Sleep(int(query) * 1000)
    else:
        ctypes.PyDLL(None).sleep(int(query))
    return answer(start_response, "done")
"#;

/// A server with one worker of one thread, and these settings of the app.
fn start(settings: &str) -> Server {
    start_app(APP, &format!("workers = 1\nthreads = 1\n{settings}"))
}

fn start_app(app: &str, settings: &str) -> Server {
    let builder = ServerBuilder::app(app);
    let file = builder.directory().join("carme.toml");
    write(&file, settings);
    builder.configured(&file).start()
}

fn write(file: &Path, settings: &str) {
    let toml = format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\n[apps.app]\ntarget = \"app\"\npython = {python:?}\n{settings}\n",
        python = python::main().to_str().expect("a path that is text")
    );
    fs::write(file, toml).expect("the configuration is written");
}

fn pid(server: &Server) -> u32 {
    server.get("/pid").text().parse().expect("a pid")
}

/// Waits until all of these are in the server's output, in this order.
fn says_in_order(server: &Server, texts: &[&str]) {
    wait_until(&format!("{texts:?} is said"), || {
        let output = server.output();
        texts
            .iter()
            .try_fold(&output[..], |rest, text| {
                rest.split_once(text).map(|(_, after)| after)
            })
            .is_some()
    });
}

#[test]
fn point_7_a_busy_loop_gets_504_is_shown_and_interrupted_and_its_thread_serves_on() {
    let server = start("request_timeout = \"3s\"");
    let worker = pid(&server);
    let response = server.get("/spin?a=1");
    assert_eq!(response.status(), 504);
    let id = response.header("x-request-id").expect("an id").to_owned();
    assert!(response.text().contains(&id));
    assert_eq!(pid(&server), worker, "the thread that was interrupted serves");
    says_in_order(
        &server,
        &[
            &format!("request {id} \"GET /spin?a=1\" has taken more than 3s (request_timeout)"),
            &format!("serves {id} \"GET /spin?a=1\" for "),
            "in spin",
            &format!("request {id} \"GET /spin?a=1\" was interrupted, as it took too long:"),
            "carme.RequestTimeout",
        ],
    );
    let line = server.wait_for_line("did not begin its response within 3s (request_timeout)");
    assert!(line.contains(&id) && line.contains("\"GET /spin?a=1\""), "{line}");
    let line = server.wait_for_line("\"GET /spin?a=1 HTTP/1.1\" 504");
    assert!(line.contains(&id), "{line}");
    assert!(!server.output().contains("is hung"));
}

#[test]
fn point_7_what_catches_every_exception_is_interrupted_all_the_same() {
    let server = start("request_timeout = \"3s\"");
    let worker = pid(&server);
    assert_eq!(server.get("/stubborn").status(), 504);
    assert_eq!(pid(&server), worker);
    assert!(!server.output().contains("an Exception was caught"));
}

#[test]
fn point_7_what_cannot_be_interrupted_is_replaced_and_nobody_else_waits_for_it() {
    for hang in ["/sleep?600", "/swallow"] {
        let server = start("request_timeout = \"3s\"\ninterrupt_grace = \"200ms\"");
        let worker = pid(&server);
        let mut stuck = server.connect();
        stuck
            .send(format!("GET {hang} HTTP/1.1\r\nHost: x\r\n\r\n"))
            .unwrap();
        assert_eq!(stuck.response("GET").unwrap().status(), 504);
        // The only thread of the only worker is taken, and cannot be had back.
        let successor = pid(&server);
        assert_ne!(successor, worker);
        says_in_order(
            &server,
            &[
                &format!("worker {worker} is hung"),
                "takes over from worker",
                "(hung)",
            ],
        );
        wait_until("the old worker is gone", || !process::exists(worker));
        assert_eq!(pid(&server), successor);
    }
}

#[test]
fn point_7_a_worker_that_hangs_is_ended_when_its_other_requests_are_answered() {
    let server = start_app(
        APP,
        "workers = 1\nthreads = 2\nrequest_timeout = \"5s\"\ninterrupt_grace = \"100ms\"\nidle_timeout = \"off\"",
    );
    let worker = pid(&server);
    let mut sibling = server.connect();
    sibling.send("GET /until_go HTTP/1.0\r\nHost: x\r\n\r\n").unwrap();
    assert_eq!(sibling.head().unwrap().status(), 200);
    assert_eq!(server.get("/sleep?600").status(), 504);
    server.wait_for_line("takes over from worker");
    fs::write(server.directory().join("go"), "").unwrap();
    assert_eq!(sibling.rest().unwrap(), b"begun and ended", "it was let finish");
    assert_ne!(pid(&server), worker);
    wait_until("the old worker is gone", || !process::exists(worker));
    server.wait_for_line(&format!("worker {worker} is ended"));
}

/// It can neither show its stacks nor interrupt anything; only the age of its request tells.
#[cfg(unix)]
#[test]
fn point_7_a_worker_that_is_frozen_is_replaced() {
    let server = start("request_timeout = \"3s\"\ninterrupt_grace = \"100ms\"");
    let worker = pid(&server);
    let mut stuck = server.connect();
    stuck.send("GET /held HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    server.wait_for_line("it is being held");
    process::signal(worker, "STOP");
    assert_eq!(stuck.response("GET").unwrap().status(), 504);
    assert_ne!(pid(&server), worker);
    wait_until("the old worker is gone", || !process::exists(worker));
}

#[test]
fn an_answer_that_does_not_go_on_is_cut_off_and_its_thread_serves_on() {
    let server = start("idle_timeout = \"1s\"");
    let worker = pid(&server);
    let mut client = server.connect();
    assert!(client.get("/stall").is_err(), "it has no end");
    assert_eq!(pid(&server), worker);
    says_in_order(
        &server,
        &[
            "\"GET /stall\" has taken more than 1s (idle_timeout)",
            "in stall",
            "was interrupted",
        ],
    );
    server.wait_for_line("the app gave no more of it for 1s (idle_timeout)");
}

#[test]
fn a_slow_request_is_shown_once_and_answered() {
    let server = start("slow_request = \"500ms\"");
    assert_eq!(server.get("/sleep?4").text(), "slept");
    let told = "has taken more than 500ms (slow_request)";
    says_in_order(&server, &[told, "in sleep"]);
    let said = |text: &str| server.output().matches(text).count();
    assert_eq!(said(told), 1);
    assert_eq!(said("interrupted"), 0);
}

#[test]
fn point_6_importing_for_long_is_no_request_that_takes_long() {
    let app = format!("import time\ntime.sleep(5)\n{APP}");
    let settings = "workers = 2\nthreads = 1\nrequest_timeout = \"3s\"\ninterrupt_grace = \"0s\"";
    let server = start_app(&app, settings);
    let worker = pid(&server);
    assert_eq!(server.get("/sleep?0.01").status(), 200);
    assert!(process::exists(worker));
    let output = server.output();
    assert!(
        !output.contains("_timeout") && !output.contains("was ended"),
        "{output}"
    );
}

#[test]
fn point_6_a_worker_is_not_killed_for_being_busy() {
    // No thread of it gets to run any Python for longer than anybody else's patience with a ping.
    let server = start("request_timeout = \"30s\"\ninterrupt_grace = \"0s\"");
    let worker = pid(&server);
    assert_eq!(server.get("/native?6").text(), "done");
    assert_eq!(pid(&server), worker);
    assert!(
        !server.output().contains("request_timeout"),
        "{}",
        server.output()
    );
}

#[test]
fn point_7_native_code_that_keeps_the_gil_is_shown_without_it() {
    let server = start("request_timeout = \"3s\"\ninterrupt_grace = \"30s\"");
    let worker = pid(&server);
    assert_eq!(server.get("/native?8").status(), 504);
    says_in_order(
        &server,
        &[
            "has taken more than 3s (request_timeout)",
            "native code has kept Python's lock (GIL) for 1s",
            "\"GET /native?8\" for ",
            "in native",
        ],
    );
    assert_eq!(
        pid(&server),
        worker,
        "it came back in time, and its thread serves"
    );
}

#[test]
fn without_a_limit_a_request_takes_as_long_as_it_likes() {
    let server = ServerBuilder::app(APP)
        .args(&["--workers", "1", "--request-timeout", "off"])
        .start();
    assert_eq!(server.get("/sleep?2").text(), "slept");
    let server = ServerBuilder::app(APP)
        .args(&["--workers", "1", "--request-timeout", "1s"])
        .start();
    assert_eq!(server.get("/sleep?2").status(), 504);
}
