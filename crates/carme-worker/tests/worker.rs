//! A real worker process on a real ring: threads, flow control, files, failures and the ways to end.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use carme_ring::control::{ToFront, ToWorker};
use carme_ring::{InboxMessage, RecordKind, WINDOW};

mod support;
use support::{Front, Plan, pythons, write_app};

const APP: &str = r#"
import os, sys, threading, time, atexit
from wsgiref.validate import validator

TEXT = [("Content-Type", "text/plain")]
gates = {}
lock = threading.Lock()

def gate(name):
    with lock:
        return gates.setdefault(name, threading.Event())

def application(environ, start_response):
    # The validator would hide the list, or the file, in an iterator.
    run = serve if environ["PATH_INFO"] in ("/", "/file") else validated
    return run(environ, start_response)

def serve(environ, start_response):
    path = environ["PATH_INFO"]
    body = b"hello"
    if path == "/thread":
        body = threading.current_thread().name.encode()
    elif path.startswith("/wait/"):
        gate(path[6:]).wait()
    elif path.startswith("/open/"):
        gate(path[6:]).set()
    elif path == "/facts":
        body = repr((environ["wsgi.multithread"], environ["wsgi.multiprocess"], os.environ.get("CARME_LINK"), sys.argv)).encode()
    elif path == "/echo":
        body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
    elif path == "/exit":
        raise SystemExit(3)
    elif path == "/raise":
        raise ValueError("on purpose")
    elif path == "/big":
        body = b"x" * 3_000_000
    elif path == "/stream":
        start_response("200 OK", list(TEXT))
        return stream()
    elif path == "/file":
        start_response("200 OK", list(TEXT))
        file = open("large", "rb")
        file.seek(10)
        return environ["wsgi.file_wrapper"](file)
    elif path == "/spawn":
        import multiprocessing
        process = multiprocessing.get_context("spawn").Process(target=print, args=("spawned",))
        process.start()
        process.join()
        body = str(process.exitcode).encode()
    elif path == "/fork":
        pid = os.fork()
        if pid == 0:
            os._exit(7)
        body = str(os.waitpid(pid, 0)[1] >> 8).encode()
    elif path == "/terminate":
        import signal, subprocess
        program = subprocess.Popen(["sleep", "1000"])
        program.terminate()
        codes = [program.wait()]
        for number in (signal.SIGTERM, signal.SIGINT):
            read, write = os.pipe()
            pid = os.fork()
            if pid == 0:
                try:
                    usual = {signal.SIGTERM: signal.SIG_DFL, signal.SIGINT: signal.default_int_handler}
                    if signal.getsignal(number) != usual[number]:
                        os._exit(8)
                    os.write(write, b"!")
                    if number == signal.SIGTERM:
                        time.sleep(1000)
                    # Python acts on a signal between two steps: one that comes just before a system call waits for its
                    # end, so the steps are short. CPython 3.13.0 itself loses SIGINT in most children forked from a thread.
                    while sys.version_info[:3] != (3, 13, 0):
                        time.sleep(0.01)
                finally:
                    os._exit(9)
            os.read(read, 1)
            os.kill(pid, number)
            codes.append(os.waitpid(pid, 0)[1])
        body = repr(codes).encode()
    start_response("200 OK", list(TEXT))
    return [body]

def stream():
    try:
        while True:
            yield b"y" * 10_000
    finally:
        print("stream closed", file=sys.stderr, flush=True)
        gate("closed").set()

validated = validator(serve)

atexit.register(lambda: print("atexit ran", file=sys.stderr, flush=True))
"#;

/// Runs a test with every interpreter, on a worker of `APP`.
fn with_worker(threads: u16, test: impl Fn(Front, &Path)) {
    support::with_worker(APP, threads, test);
}

#[test]
fn serves_again_and_again_on_one_thread() {
    with_worker(1, |mut front, _| {
        for _ in 0..200 {
            let answer = front.get("/");
            assert_eq!((answer.status, &answer.body[..]), (200, &b"hello"[..]));
            assert_eq!(answer.kinds, [RecordKind::Response], "one record is enough");
        }
        assert_eq!(front.get("/thread").body, b"carme-1");
        assert_eq!(front.get("/facts").body, b"(False, True, None, ['app'])");
    });
}

#[test]
fn takes_as_many_requests_at_once_as_it_has_threads() {
    with_worker(2, |mut front, _| {
        front.send("GET", "/wait/a", None);
        front.send("GET", "/wait/b", None);
        front.until("two requests in flight", |front| front.in_flight() == 2);
        let third = front.send("GET", "/open/b", None);
        // Nothing but an open gate frees a thread, and the request that opens it waits for a thread.
        for _ in 0..1000 {
            front.wake(true);
            front.pump();
        }
        assert_eq!(
            (front.in_flight(), front.is_answered(third)),
            (2, false),
            "a third thread"
        );
    });
    with_worker(4, |mut front, _| {
        let held: Vec<_> = (0..3).map(|_| front.send("GET", "/wait/a", None)).collect();
        front.until("three requests in flight", |front| front.in_flight() == 3);
        for _ in 0..20 {
            assert_eq!(front.get("/").body, b"hello", "the fourth thread serves");
        }
        front.get("/open/a");
        for stream in held {
            assert_eq!(front.answer(stream).body, b"hello");
        }
        front.until("nothing in flight", |front| front.in_flight() == 0);
    });
}

#[test]
fn bodies_come_inline_and_in_files() {
    with_worker(1, |mut front, folder| {
        for size in [0, 1, 5000, 60_000] {
            let body: Vec<u8> = (0..size).map(|i| i as u8).collect();
            let stream = front.send("POST", "/echo", Some(&body));
            assert_eq!(front.answer(stream).body, body);
        }
        let body: Vec<u8> = (0..3_000_000_u32).map(|i| (i / 7) as u8).collect();
        let path = folder.join("body");
        File::create(&path)
            .and_then(|mut file| file.write_all(&body))
            .expect("the body is written");
        let stream = front.send_file("/echo", File::open(path).expect("the body is there"));
        assert_eq!(front.answer(stream).body, body);
    });
}

#[test]
fn a_large_response_waits_for_credit_and_for_room() {
    with_worker(1, |mut front, _| {
        let answer = front.get("/big");
        assert_eq!(answer.body.len(), 3_000_000);
        front.generous = false;
        let stream = front.send("GET", "/big", None);
        let nearly = WINDOW as usize - (64 << 10);
        front.until("the window's worth", |front| front.received(stream) > nearly);
        assert!(
            front.received(stream) < WINDOW as usize + 1000,
            "more than the window without credit"
        );
        assert!(!front.is_answered(stream));
        front.generous = true;
        front.post(InboxMessage::Credit {
            stream,
            bytes: WINDOW,
        });
        assert_eq!(front.answer(stream).body.len(), 3_000_000);
    });
}

#[test]
fn an_iterable_is_closed_when_the_client_leaves() {
    with_worker(1, |mut front, _| {
        front.generous = false;
        let stream = front.send("GET", "/stream", None);
        front.until("the window's worth", |front| {
            front.received(stream) > WINDOW as usize - (64 << 10)
        });
        front.post(InboxMessage::Gone { stream });
        let answer = front.answer(stream);
        assert_eq!(answer.kinds.last(), Some(&RecordKind::Abort));
        assert_eq!(
            front.get("/wait/closed").body,
            b"hello",
            "closed, and the thread serves on"
        );
    });
}

#[test]
fn files_are_handed_over() {
    with_worker(1, |mut front, folder| {
        let content: Vec<u8> = (0..500_000_u32).map(|i| (i / 3) as u8).collect();
        std::fs::write(folder.join("large"), &content).expect("the file is written");
        for _ in 0..3 {
            let answer = front.get("/file");
            assert_eq!(answer.file, Some((10, 499_990)));
            assert_eq!(answer.body, &content[10..]);
            assert_eq!(
                answer.headers,
                [
                    ("Content-Type".to_owned(), "text/plain".to_owned()),
                    ("content-length".to_owned(), "499990".to_owned())
                ]
            );
        }
    });
}

#[test]
fn what_the_app_raises_fails_one_request() {
    with_worker(1, |mut front, _| {
        for (path, reason) in [("/raise", "ValueError: on purpose"), ("/exit", "SystemExit: 3")] {
            let answer = front.get(path);
            assert_eq!(answer.kinds, [RecordKind::Failed]);
            assert_eq!(answer.reason, reason);
        }
        assert_eq!(front.get("/").body, b"hello");
        front.drain();
        front.exit_code();
        let errors = front.errors();
        assert!(
            errors.contains("carme: request id-1 \"GET /raise\" raised:\nTraceback"),
            "{errors}"
        );
        assert!(errors.contains("ValueError: on purpose"), "{errors}");
        assert!(!errors.contains("start.py"), "{errors}");
    });
}

#[test]
fn apps_may_start_processes() {
    with_worker(2, |mut front, _| {
        assert_eq!(front.get("/spawn").body, b"0");
        if cfg!(unix) {
            assert_eq!(front.get("/fork").body, b"7");
        }
        assert_eq!(front.get("/").body, b"hello");
    });
}

#[cfg(unix)]
#[test]
fn signals_are_the_fronts_but_not_for_the_apps_children() {
    with_worker(2, |mut front, _| {
        for signal in ["-TERM", "-INT"] {
            let killed = std::process::Command::new("kill")
                .args([signal, &front.child.id().to_string()])
                .status();
            assert!(killed.expect("kill runs").success());
            assert_eq!(front.get("/").body, b"hello");
        }
        // SIGTERM ended the program and the first child; KeyboardInterrupt took the second one to its exit.
        assert_eq!(front.get("/terminate").body, b"[-15, 15, 2304]");
    });
}

#[test]
fn drain_finishes_what_is_in_flight_and_ends_in_order() {
    with_worker(2, |mut front, _| {
        let held = front.send("GET", "/wait/a", None);
        front.until("a request in flight", |front| front.in_flight() == 1);
        let opener = front.send("GET", "/open/a", None);
        front.answer(opener);
        front.drain();
        assert_eq!(front.answer(held).body, b"hello");
        assert_eq!(front.exit_code(), Some(0));
        assert!(front.errors().contains("atexit ran"), "{}", front.errors());
    });
}

#[test]
fn drain_ends_an_idle_worker() {
    with_worker(10, |mut front, _| {
        front.get("/");
        front.drain();
        assert_eq!(front.exit_code(), Some(0));
        assert!(front.errors().contains("atexit ran"));
    });
}

#[test]
fn stop_ends_it_at_once() {
    with_worker(2, |mut front, _| {
        front.send("GET", "/wait/never", None);
        front.until("a request in flight", |front| front.in_flight() == 1);
        front.sender.send(&ToWorker::Stop).expect("the link works");
        assert_eq!(front.exit_code(), Some(0));
        assert!(!front.errors().contains("atexit ran"));
    });
}

#[test]
fn import_errors_are_told_with_the_apps_traceback() {
    let cases = [
        (
            "import nonsuch_module",
            "app",
            "importing app failed: ModuleNotFoundError: No module named 'nonsuch_module'",
            "import nonsuch_module",
        ),
        ("def f(:", "app", "importing app failed: SyntaxError: ", "def f(:"),
        (
            "x = 1",
            "app",
            "app has none of the usual names for an application",
            "",
        ),
        (
            "aplication = 1",
            "app:application",
            "app has no attribute application; did you mean aplication?",
            "",
        ),
        ("x = 1", "app:x", "app:x is not an application: it is an int", ""),
        ("x = 1", "nonsuch", "there is no module nonsuch", ""),
        (
            "raise SystemExit(4)",
            "app",
            "importing app failed: SystemExit: 4",
            "raise SystemExit(4)",
        ),
        (
            "def create_app(): 1/0",
            "app",
            "calling app:create_app() failed: ZeroDivisionError",
            "1/0",
        ),
        (
            "async def app(scope, receive, send): pass",
            "app",
            "app:app is an ASGI application",
            "",
        ),
    ];
    let python = &pythons()[0];
    for (source, target, expected, in_traceback) in cases {
        let folder = tempfile::tempdir().expect("a folder");
        write_app(folder.path(), source);
        let mut front = Front::start(
            folder.path(),
            &Plan {
                python,
                target,
                threads: 1,
            },
        );
        let ToFront::ImportFailed { message, traceback } = &front.first else {
            panic!("{source:?} was served: {:?}", front.first)
        };
        assert!(message.contains(expected), "{message:?} for {source:?}");
        assert!(traceback.contains(in_traceback), "{traceback}");
        assert!(
            !traceback.contains("start.py") && !traceback.contains("target.py"),
            "{traceback}"
        );
        assert_eq!(front.exit_code(), Some(1));
    }
}

#[test]
fn targets_are_found() {
    let source = "def make(): return app\ndef app(environ, start_response):\n    start_response('200 OK', [])\n    return [__name__.encode()]\nclass N:\n    inner = staticmethod(app)\n";
    let python = &pythons()[0];
    for (target, found, title) in [
        ("app", "app", "app:app"),
        ("app:app", "app", "app:app"),
        ("app:make()", "make()", "app:make()"),
        ("app:N.inner", "N.inner", "app:N.inner"),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        write_app(folder.path(), source);
        let mut front = Front::start(
            folder.path(),
            &Plan {
                python,
                target,
                threads: 1,
            },
        );
        match &front.first {
            ToFront::Ready {
                attribute,
                title: told,
                ..
            } => assert_eq!((&attribute[..], &told[..]), (found, title)),
            other => panic!("{target}: {other:?}"),
        }
        assert_eq!(front.get("/").body, b"app");
    }
}
