//! Stacks and interruptions, in a real worker process: what is shown, what is interrupted, and above all what is not.

use carme_ring::control::{StacksReason, TimeLimit, ToWorker};
use carme_ring::{InboxMessage, RecordKind, StreamId, WINDOW};

mod support;
use support::{Answer, Front};

const APP: &str = r#"
import ctypes, sys, threading, time

# So that an interruption finds its request anywhere in its work.
sys.setswitchinterval(1e-5)

gates = {}
lock = threading.Lock()
broken = []

def gate(name):
    with lock:
        return gates.setdefault(name, threading.Event())

def say(text):
    print(text, file=sys.stderr, flush=True)

def application(environ, start_response):
    name, _, rest = environ["PATH_INFO"][1:].partition("/")
    return globals()[name](rest, start_response)

def answer(start_response, body):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [body.encode()]

def hello(rest, start_response):
    return answer(start_response, "hello " + threading.current_thread().name)

def wait(rest, start_response):
    say("here " + rest)
    gate(rest).wait()
    return answer(start_response, "waited")

def open(rest, start_response):
    gate(rest).set()
    return answer(start_response, "open")

def spin(rest, start_response):
    spin_for_ever()

def spin_for_ever():
    say("spinning")
    while True:
        pass

def stubborn(rest, start_response):
    while True:
        try:
            spin_for_ever()
        except Exception:
            say("an Exception was caught")

def swallow(rest, start_response):
    try:
        spin_for_ever()
    except BaseException as error:
        say("swallowed " + type(error).__name__)
    return answer(start_response, "swallowed")

def stream(rest, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return Pieces(endless())

def endless():
    yield b"some"
    spin_for_ever()

class Pieces:
    def __init__(self, items):
        self.items = items

    def __iter__(self):
        return self.items

    def close(self):
        try:
            for _ in range(1000):
                pass
        except BaseException as error:
            broken.append(error)

def short(rest, start_response):
    steps, form = rest.split("/")
    total = 0
    for i in range(int(steps)):
        total += i
    start_response("200 OK", [("Content-Type", "text/plain")])
    if form == "list":
        return [b"done"]
    return Pieces(iter([b"do", b"ne"]))

def large(rest, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"x" * 1_000_000]

def what_broke(rest, start_response):
    return answer(start_response, repr(broken))

def native(rest, start_response):
    sys.setswitchinterval(0.005)
    # What is said must not be in the lines that stacks show.
    # A PyDLL's functions are called with the GIL.
    if sys.platform == "win32":
        kernel = ctypes.PyDLL("kernel32")
        say("in native " + "code")
        kernel.Sleep(4000)
    else:
        system = ctypes.PyDLL(None)
        say("in native " + "code")
        system.sleep(4)
    spin_for_ever()
"#;

/// Runs a test with every interpreter.
fn with_worker(threads: u16, test: impl Fn(Front)) {
    support::with_worker(APP, threads, |front, _| test(front));
}

fn says(front: &mut Front, text: &str) {
    front.until(text, |front| front.errors().contains(text));
}

fn interrupt(front: &Front, stream: StreamId) {
    front
        .sender
        .send(&ToWorker::Interrupt { stream: stream.0 })
        .expect("the link works");
}

fn ask_for_stacks(front: &Front, reason: StacksReason) {
    front
        .sender
        .send(&ToWorker::Stacks { reason })
        .expect("the link works");
}

fn was_interrupted(answer: &Answer) -> bool {
    answer.kinds.last() == Some(&RecordKind::Failed) && answer.reason.contains("RequestTimeout")
}

#[test]
fn a_busy_loop_is_shown_and_interrupted_and_its_thread_serves_on() {
    with_worker(1, |mut front| {
        let stream = front.send("GET", "/spin/x?a=1", None);
        says(&mut front, "spinning");
        ask_for_stacks(
            &front,
            StacksReason::Exceeded {
                limit: TimeLimit::RequestTimeout,
                milliseconds: 1500,
                streams: vec![stream.0],
            },
        );
        interrupt(&front, stream);
        let answer = front.answer(stream);
        assert!(was_interrupted(&answer), "{answer:?}");
        assert_eq!(front.get("/hello").body, b"hello carme-1");
        says(&mut front, "\ncarme.RequestTimeout\n");
        let errors = front.errors();
        for line in [
            "carme: request id-1 \"GET /spin/x?a=1\" has taken more than 1.5s (request_timeout)",
            "thread carme-1 serves id-1 \"GET /spin/x?a=1\" for ",
            "in spin_for_ever",
            "carme: request id-1 \"GET /spin/x?a=1\" was interrupted, as it took too long:",
        ] {
            assert!(errors.contains(line), "{line:?} is missing: {errors}");
        }
        let (stacks, interrupted) = (errors.find("serves id-1"), errors.find("was interrupted"));
        assert!(stacks < interrupted, "the stacks show where it was: {errors}");
    });
}

#[test]
fn what_catches_every_exception_does_not_stop_an_interruption() {
    with_worker(1, |mut front| {
        let stream = front.send("GET", "/stubborn", None);
        says(&mut front, "spinning");
        interrupt(&front, stream);
        assert!(was_interrupted(&front.answer(stream)));
        assert!(!front.errors().contains("an Exception was caught"));
    });
}

#[test]
fn an_app_that_swallows_the_interruption_answers_and_its_thread_serves_on() {
    with_worker(1, |mut front| {
        let stream = front.send("GET", "/swallow", None);
        says(&mut front, "spinning");
        interrupt(&front, stream);
        assert_eq!(front.answer(stream).body, b"swallowed");
        for _ in 0..50 {
            assert_eq!(front.get("/short/500/list").body, b"done");
        }
    });
}

#[test]
fn an_answer_that_does_not_go_on_is_interrupted_and_closed() {
    with_worker(1, |mut front| {
        let stream = front.send("GET", "/stream", None);
        says(&mut front, "spinning");
        interrupt(&front, stream);
        let answer = front.answer(stream);
        assert_eq!(answer.body, b"some");
        assert_eq!(answer.kinds.last(), Some(&RecordKind::Abort));
        assert_eq!(front.get("/what_broke").body, b"[]", "close() is left alone");
    });
}

#[test]
fn what_waits_in_the_queue_or_is_over_is_not_interrupted() {
    with_worker(1, |mut front| {
        let over = front.send("GET", "/hello", None);
        front.answer(over);
        let held = front.send("GET", "/wait/a", None);
        front.until("it is in flight", |front| front.in_flight() == 1);
        let queued = front.send("GET", "/hello", None);
        interrupt(&front, over);
        interrupt(&front, queued);
        interrupt(&front, StreamId(0));
        // Orders are carried out one after the other: when this one has been, the others have.
        ask_for_stacks(&front, StacksReason::Asked);
        says(&mut front, "serves id-2");
        // A thread that waits for a lock is interrupted when it goes on.
        interrupt(&front, held);
        ask_for_stacks(&front, StacksReason::Asked);
        front.until("it is shown again", |front| {
            front.errors().matches("serves id-2").count() == 2
        });
        assert!(!front.is_answered(held));
        front.child.kill().expect("it is killed");
    });
}

#[test]
fn an_interruption_that_comes_too_late_to_be_raised_is_taken_back() {
    with_worker(1, |mut front| {
        front.generous = false;
        let stream = front.send("GET", "/large", None);
        // All that is left to be done is done by native code, which waits for the client.
        front.until("it waits for credit", |front| {
            front.received(stream) > WINDOW as usize / 2
        });
        interrupt(&front, stream);
        // Carried out after that.
        ask_for_stacks(&front, StacksReason::Asked);
        says(&mut front, "thread MainThread:");
        front.generous = true;
        front.post(InboxMessage::Credit {
            stream,
            bytes: 3 * WINDOW,
        });
        let answer = front.answer(stream);
        assert_eq!((answer.status, answer.body.len()), (200, 1_000_000));
        for _ in 0..50 {
            assert_eq!(front.get("/short/500/list").body, b"done");
        }
    });
}

#[test]
fn stress_an_interruption_never_reaches_another_request() {
    with_worker(3, |mut front| {
        let mut random = 0x2545_F491_4F6C_DD1D_u64;
        let mut next = move |below: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % below
        };
        let (mut hit, mut missed, mut rounds) = (0, 0, 0);
        // The answers fit the window: the worker needs no credit.
        front.generous = false;
        while rounds < 50 || hit < 20 || missed < 20 {
            rounds += 1;
            assert!(rounds < 5000, "{hit} were interrupted, {missed} were not");
            let mut streams = Vec::new();
            for n in 0..8 {
                let form = if next(2) == 0 { "list" } else { "pieces" };
                // Those that are left alone are short: many begin just after an interruption.
                let steps = if n % 2 == 0 { 300_000 } else { 20_000 };
                let path = format!("/short/{}/{form}", next(steps));
                streams.push((front.send("GET", &path, None), n % 2 == 0));
            }
            let mut orders = 0;
            front.until("all answers", |front| {
                // Mostly while it is served, but just as well before and after.
                let (target, _) = streams[next(8) as usize & !1];
                if orders < 16 && next(20) == 0 {
                    orders += 1;
                    interrupt(front, target);
                }
                streams.iter().all(|(stream, _)| front.is_answered(*stream))
            });
            for (stream, may_be_interrupted) in streams {
                let answer = front.answer(stream);
                let whole = answer.status == 200 && answer.body == b"done";
                if whole {
                    missed += u32::from(may_be_interrupted);
                    assert!(!answer.kinds.contains(&RecordKind::Abort), "{answer:?}");
                    continue;
                }
                hit += 1;
                assert!(may_be_interrupted, "{stream:?} was left alone: {answer:?}");
                assert!(answer.reason.contains("RequestTimeout"), "{answer:?}");
            }
        }
        assert_eq!(front.get("/what_broke").body, b"[]");
        for _ in 0..20 {
            assert_eq!(front.get("/short/5000/list").body, b"done");
        }
        front.drain();
        assert_eq!(front.exit_code(), Some(0));
    });
}

#[test]
fn stacks_say_who_serves_what_and_who_waits() {
    with_worker(2, |mut front| {
        front.send("GET", "/wait/a", None);
        says(&mut front, "here a");
        assert!(front.get("/hello").body.starts_with(b"hello"));
        ask_for_stacks(&front, StacksReason::Asked);
        says(&mut front, "waiting for requests: thread carme-");
        let errors = front.errors();
        for text in [
            "as was asked for",
            "serves id-1 \"GET /wait/a\" for ",
            "in wait",
            "thread MainThread:",
        ] {
            assert!(errors.contains(text), "{text:?} is missing: {errors}");
        }
        front.get("/open/a");
        front.drain();
        assert_eq!(front.exit_code(), Some(0));
    });
}

#[test]
fn native_code_that_keeps_the_gil_is_shown_without_it() {
    with_worker(1, |mut front| {
        let stream = (1..=5).find_map(|attempt| {
            let stream = front.send("GET", "/native", None);
            let said = |front: &mut Front, text: &str| front.errors().matches(text).count();
            front.until("it says so", |front| said(front, "in native code") == attempt);
            ask_for_stacks(&front, StacksReason::Asked);
            front.until("stacks, one way or the other", |front| {
                said(front, "has kept") == 1 || said(front, "thread MainThread:") == attempt
            });
            interrupt(&front, stream);
            if said(&mut front, "has kept Python's lock (GIL) for 1s") == 1 {
                return Some(stream);
            }
            // They were had just before it was there.
            front.answer(stream);
            None
        });
        let stream = stream.expect("five times too early");
        // Interrupted when it comes back.
        let answer = front.answer(stream);
        assert!(was_interrupted(&answer), "{answer:?}");
        let errors = front.errors();
        let stacks = errors.split("has kept Python's lock").nth(1).expect("said above");
        for text in ["serves id-", "\"GET /native\" for ", "Thread 0x", "in native"] {
            assert!(stacks.contains(text), "{text:?} is missing: {errors}");
        }
        assert_eq!(front.get("/hello").body, b"hello carme-1");
    });
}
