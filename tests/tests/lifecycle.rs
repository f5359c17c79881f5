//! Workers come and go, and no client notices: what users of other servers complain about (the numbers
//! are those of the list in the documentation's page on testing), and all of it at once.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use carme_tests::{Server, ServerBuilder, process, python, wait_until};
use serde_json::Value;

/// What it serves says which code and which worker it is from.
const APP: &str = r#"
import os, time
with open("code") as code:
    CODE = code.read().strip()
if CODE == "broken":
    raise RuntimeError("the code is broken")
HOARD = []

def application(environ, start_response):
    path = environ["PATH_INFO"]
    start_response("200 OK", [("Content-Type", "text/plain")])
    if path == "/upload":
        return [str(len(environ["wsgi.input"].read())).encode()]
    if path == "/stream":
        return stream()
    if path == "/wait":
        open("waiting", "w").close()
        while not os.path.exists("go"):
            time.sleep(0.01)
    if path == "/hoard":
        HOARD.append(b"x" * (64 << 20))
    if path == "/slow":
        time.sleep(0.3)
    return [f"{CODE} {os.getpid()}".encode()]

def stream():
    for _ in range(20):
        time.sleep(0.02)
        yield b"x" * 5000
"#;

struct Site {
    server: Server,
    folder: PathBuf,
}

fn write(folder: &Path, app: &str) {
    let toml = format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\nerror_log = \"error.log\"\n\
         [apps.site]\ntarget = \"app\"\npython = {python:?}\n{app}\n\
         [[access_logs]]\nfile = \"access.log\"\nformat = \"%>s %P %X %U\"\n",
        python = python::main().to_str().expect("a path that is text")
    );
    fs::write(folder.join("carme.toml"), toml).expect("the configuration is written");
}

fn site(app: &str) -> Site {
    let builder = ServerBuilder::app(APP);
    let folder = builder.directory().to_owned();
    fs::write(folder.join("code"), "one").expect("written");
    write(&folder, app);
    let server = builder.configured(&folder.join("carme.toml")).start();
    let site = Site { server, folder };
    wait_until("all its workers are ready", || site.ready() == site.seats());
    site
}

impl Site {
    /// Runs a command of the server's: whether it succeeded, and what it said.
    fn tell(&self, arguments: &[&str]) -> (bool, String) {
        let (status, out, err) = self.server.command(arguments).run();
        (status.success(), out + &err)
    }

    fn does(&self, arguments: &[&str]) -> String {
        let (succeeded, said) = self.tell(arguments);
        assert!(succeeded, "{arguments:?}: {said}");
        said
    }

    fn workers(&self) -> Vec<Value> {
        let status: Value = serde_json::from_str(&self.does(&["status", "--json"])).expect("it is JSON");
        status["apps"][0]["workers"].as_array().expect("workers").clone()
    }

    fn seats(&self) -> usize {
        self.workers().len()
    }

    fn ready(&self) -> usize {
        let is_ready = |worker: &&Value| worker["state"] == "ready";
        self.workers().iter().filter(is_ready).count()
    }

    fn pids(&self) -> Vec<u32> {
        let pid = |worker: &Value| u32::try_from(worker["pid"].as_u64()?).ok();
        self.workers().iter().filter_map(pid).collect()
    }

    fn code(&self, code: &str) {
        fs::write(self.folder.join("code"), code).expect("written");
    }

    fn error_log(&self) -> String {
        fs::read_to_string(self.folder.join("error.log")).unwrap_or_default()
    }
}

#[test]
fn point_3_a_reload_waits_for_each_worker_and_refuses_nobody() {
    let site = site("workers = 2\nthreads = 1");
    let old = site.pids();
    let over = Arc::new(AtomicBool::new(false));
    let address = site.server.address;
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let over = Arc::clone(&over);
            thread::spawn(move || {
                let mut kept = carme_tests::Client::connect(address).expect("it accepts");
                let mut answers = 0;
                while !over.load(Ordering::Relaxed) {
                    assert_eq!(kept.get("/").expect("an answer").status(), 200);
                    answers += 1;
                }
                answers
            })
        })
        .collect();
    site.code("two");
    site.does(&["reload"]);
    over.store(true, Ordering::Relaxed);
    let answers: usize = clients
        .into_iter()
        .map(|client| client.join().expect("no failure"))
        .sum();
    assert!(answers > 10, "{answers}");
    assert!(site.server.get("/").text().starts_with("two "));
    wait_until("the old ones are gone", || {
        old.iter().all(|pid| !process::exists(*pid))
    });
    assert_eq!(site.ready(), 2);
}

#[test]
fn point_15_code_that_does_not_start_changes_nothing_and_says_why() {
    let site = site("workers = 2");
    let before = site.pids();
    site.code("broken");
    let (succeeded, said) = site.tell(&["reload"]);
    assert!(!succeeded);
    assert!(said.contains("RuntimeError: the code is broken"), "{said}");
    assert!(said.contains("app.py"), "the traceback names the place: {said}");
    assert_eq!(site.pids(), before);
    assert!(site.server.get("/").text().starts_with("one "));
}

#[test]
fn point_15_a_crash_loop_is_shown_with_its_reason_and_ends_without_a_restart() {
    let site = site("workers = 1\nqueue = { timeout = \"500ms\" }");
    site.code("broken");
    site.pids().into_iter().for_each(process::kill);
    wait_until("the worker fails", || {
        let worker = &site.workers()[0];
        worker["state"] == "failed" && worker.to_string().contains("the code is broken")
    });
    // A request waits as long as it may, and is told when to come again.
    let refused = site.server.get("/");
    assert_eq!(refused.status(), 503);
    assert!(refused.header("retry-after").is_some());
    site.code("two");
    wait_until("it comes back by itself", || site.server.get("/").status() == 200);
}

#[test]
fn point_5_a_request_in_flight_outlives_the_reload_that_replaces_its_worker() {
    let site = site("workers = 1\nthreads = 1");
    let mut waits = site.server.connect();
    waits.send("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n").expect("sent");
    wait_until("it is in flight", || site.folder.join("waiting").exists());
    site.code("two");
    site.does(&["reload"]);
    assert!(
        site.server.get("/").text().starts_with("two "),
        "the new worker serves"
    );
    fs::write(site.folder.join("go"), "").expect("written");
    assert!(
        waits
            .response("GET")
            .expect("an answer")
            .text()
            .starts_with("one ")
    );
}

#[test]
fn point_5_a_stop_answers_what_is_in_flight_and_what_is_queued() {
    let mut site = site("workers = 1\nthreads = 1");
    let mut idle = site.server.connect();
    assert_eq!(idle.get("/").expect("an answer").status(), 200);
    let mut waits = site.server.connect();
    waits.send("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n").expect("sent");
    wait_until("it is in flight", || site.folder.join("waiting").exists());
    let mut queued = site.server.connect();
    queued.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").expect("sent");
    wait_until("it is queued", || {
        let status: Value = serde_json::from_str(&site.does(&["status", "--json"])).expect("it is JSON");
        status["apps"][0]["queued"] == 1
    });
    let stop = site.server.command(&["stop"]);
    let stop = thread::spawn(move || stop.run());
    wait_until("it stops", || site.error_log().contains("stopping after"));
    assert!(idle.is_closed(), "nothing is to be expected on it");
    fs::write(site.folder.join("go"), "").expect("written");
    for client in [&mut waits, &mut queued] {
        let answer = client.response("GET").expect("an answer");
        assert_eq!(
            (answer.status(), answer.header("connection")),
            (200, Some("close"))
        );
    }
    let (status, out, err) = stop.join().expect("no panic");
    assert!(status.success(), "{out}{err}");
    assert!(site.server.wait().success());
}

#[test]
fn point_10_a_worker_that_grew_is_replaced_before_it_ends() {
    let site = site("workers = 1\nrecycle = { memory = \"150MiB\" }");
    let old = site.pids();
    for _ in 0..3 {
        assert_eq!(site.server.get("/hoard").status(), 200);
    }
    wait_until("it is replaced", || {
        assert_eq!(site.server.get("/").status(), 200, "while that happens");
        !old.contains(&site.pids()[0])
    });
    wait_until("the log says why", || {
        site.error_log().contains("(recycle.memory)")
    });
}

#[test]
fn workers_are_recycled_after_their_requests() {
    let site = site("workers = 2\nrecycle = { requests = 50, jitter = 0 }");
    let mut pids = BTreeSet::new();
    let mut kept = site.server.connect();
    wait_until("two generations are over", || {
        let answer = kept.get("/").expect("an answer");
        assert_eq!(answer.status(), 200);
        pids.insert(answer.text());
        pids.len() >= 6
    });
}

#[test]
fn workers_come_with_the_load_and_go_when_it_is_over() {
    let site = site("workers = { min = 1, max = 3, ttl = \"1s\" }\nthreads = 1");
    assert_eq!(site.seats(), 1);
    let over = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..6)
        .map(|_| {
            let mut kept = site.server.connect();
            let over = Arc::clone(&over);
            thread::spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    assert_eq!(kept.get("/slow").expect("an answer").status(), 200);
                }
            })
        })
        .collect();
    wait_until("there are three", || site.ready() == 3);
    over.store(true, Ordering::Relaxed);
    clients
        .into_iter()
        .for_each(|client| client.join().expect("no failure"));
    wait_until("there is one again", || site.seats() == 1);
    assert_eq!(site.server.get("/").status(), 200);
}

#[test]
fn point_22_an_app_that_hangs_or_crashes_leaves_the_others_alone() {
    let builder = ServerBuilder::app(APP);
    let folder = builder.directory().to_owned();
    let python = python::main();
    let python = python.to_str().expect("a path that is text");
    for app in ["hangs", "works"] {
        fs::create_dir(folder.join(app)).expect("a folder");
        fs::write(folder.join(app).join("app.py"), APP).expect("written");
        fs::write(folder.join(app).join("code"), app).expect("written");
    }
    let app = |name: &str| {
        format!(
            "[apps.{name}]\ntarget = \"app.py\"\ndirectory = \"{name}\"\npython = {python:?}\nworkers = 1\nthreads = 2\n\
             queue = {{ limit = 2 }}\n[[locations]]\npath = \"/{name}\"\napp = \"{name}\"\n"
        )
    };
    let toml = format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\n{}{}",
        app("hangs"),
        app("works")
    );
    fs::write(folder.join("carme.toml"), toml).expect("written");
    let server = builder.configured(&folder.join("carme.toml")).start();
    wait_until("both serve", || {
        ["/hangs/", "/works/"]
            .iter()
            .all(|path| server.get(path).status() == 200)
    });
    // More than its threads and its queue can hold.
    let stuck: Vec<_> = (0..8)
        .map(|_| {
            let mut client = server.connect();
            thread::spawn(move || client.get("/hangs/wait").expect("an answer").status())
        })
        .collect();
    wait_until("it hangs", || folder.join("hangs").join("waiting").exists());
    let works = || assert!(server.get("/works/").text().starts_with("works "));
    (0..50).for_each(|_| works());
    // And now it crashes again and again.
    fs::write(folder.join("hangs").join("code"), "broken").expect("written");
    fs::write(folder.join("hangs").join("go"), "").expect("written");
    let statuses: Vec<u16> = stuck
        .into_iter()
        .map(|client| client.join().expect("no panic"))
        .collect();
    assert!(statuses.contains(&200) && statuses.contains(&503), "{statuses:?}");
    let pid = server.get("/hangs/").text();
    process::kill(
        pid.rsplit(' ')
            .next()
            .and_then(|pid| pid.parse().ok())
            .expect("a pid"),
    );
    server.wait_for_line("the code is broken");
    (0..50).for_each(|_| works());
}

/// What became of requests.
#[derive(Default)]
struct Tally {
    answered: AtomicUsize,
    /// 502, or cut in the middle: what a killed worker costs.
    lost: AtomicUsize,
}

/// A client that does the same again and again until it is over; `once` says whether the answer was whole.
fn client(
    over: &Arc<AtomicBool>,
    tally: &Arc<Tally>,
    mut once: impl FnMut() -> Result<(), Lost> + Send + 'static,
) -> thread::JoinHandle<()> {
    let (over, tally) = (Arc::clone(over), Arc::clone(tally));
    thread::spawn(move || {
        while !over.load(Ordering::Relaxed) {
            let counter = match once() {
                Ok(()) => &tally.answered,
                Err(Lost) => &tally.lost,
            };
            counter.fetch_add(1, Ordering::Relaxed);
        }
    })
}

/// The worker of a request was killed.
struct Lost;

/// Judges an answer: anything but what was asked for, or what a killed worker leaves, is a failure of the test.
fn judge(answer: std::io::Result<carme_tests::Response>, whole: usize, streams: bool) -> Result<(), Lost> {
    match answer {
        Ok(answer) if answer.status() == 200 && answer.body.len() >= whole => Ok(()),
        Ok(answer) if answer.status() == 502 => Err(Lost),
        Ok(answer) => panic!("{}: {}", answer.line, answer.text()),
        Err(_) if streams => Err(Lost),
        Err(error) => panic!("no answer: {error}"),
    }
}

/// The app's page is its version and its process: `4 52` is all of it where processes have small numbers.
const SHORTEST: usize = 3;

/// How long the steady load lasts: a minute, or as long as `CARME_TORTURE_SECONDS` says.
fn duration() -> Duration {
    let seconds = std::env::var("CARME_TORTURE_SECONDS").ok();
    Duration::from_secs(seconds.and_then(|text| text.parse().ok()).unwrap_or(60))
}

#[test]
fn torture_steady_load_while_workers_change_all_the_time() {
    let settings = "threads = 4\nrecycle = { requests = 300, age = \"20s\" }\ndrain_timeout = \"30s\"";
    let workers = |text: &str| format!("workers = {text}\n{settings}");
    let site = site(&workers("2"));
    let address = site.server.address;
    let connect = move || carme_tests::Client::connect(address).expect("it accepts");
    let (over, tally) = (Arc::<AtomicBool>::default(), Arc::<Tally>::default());
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut kept = connect();
        clients.push(client(&over, &tally, move || {
            judge(kept.get("/"), SHORTEST, false)
        }));
        clients.push(client(&over, &tally, move || {
            judge(connect().get("/"), SHORTEST, false)
        }));
    }
    for _ in 0..2 {
        let body = vec![b'u'; 400_000];
        let mut kept = connect();
        clients.push(client(&over, &tally, move || {
            judge(kept.post("/upload", &body), 6, false)
        }));
        let mut kept = connect();
        clients.push(client(&over, &tally, move || {
            let outcome = judge(kept.get("/stream"), 100_000, true);
            if outcome.is_err() {
                kept = connect();
            }
            outcome
        }));
    }
    let mut killed = BTreeSet::new();
    let (mut reloads, mut round) = (0, 0u32);
    let end = Instant::now() + duration();
    // On a slow machine longer: until each kind of change has come.
    while Instant::now() < end || round < 11 {
        round += 1;
        match round % 5 {
            0 => {
                // Whoever it is: one that starts, serves or drains.
                let pids = site.pids();
                if let Some(pid) = pids.get(round as usize / 5 % pids.len().max(1)) {
                    killed.insert(*pid);
                    process::kill(*pid);
                }
            }
            1 => drop(site.does(&["scale", "site", if round % 2 == 0 { "3" } else { "2" }])),
            2 => {
                let (_, said) = site.tell(&["restart", "site_1"]);
                assert!(!said.contains("no worker"), "{said}");
            }
            3 => {
                site.code("broken");
                let (succeeded, said) = site.tell(&["reload"]);
                assert!(!succeeded && said.contains("the code is broken"), "{said}");
                site.code(&round.to_string());
            }
            _ => {
                site.code(&round.to_string());
                write(&site.folder, &workers(["2", "3", "\"2-4\""][round as usize % 3]));
                let (succeeded, said) = site.tell(&["reload"]);
                // A worker that was killed while it started may stay as it was.
                assert!(succeeded || said.contains("stay"), "{said}");
                reloads += 1;
            }
        }
    }
    over.store(true, Ordering::Relaxed);
    clients
        .into_iter()
        .for_each(|client| client.join().expect("no failure"));
    let (answered, lost) = (
        tally.answered.load(Ordering::Relaxed),
        tally.lost.load(Ordering::Relaxed),
    );
    eprintln!(
        "{answered} answered, {lost} lost, {} workers killed, {reloads} reloads",
        killed.len()
    );
    assert!(answered > 1000, "{answered}");
    assert!(reloads > 1, "{reloads}");
    // Each that was lost has its line, and its worker was one that was killed.
    let mut in_log = 0;
    wait_until("the log is written", || {
        let text = fs::read_to_string(site.folder.join("access.log")).unwrap_or_default();
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split(' ').collect()).collect();
        let failed = lines.iter().filter(|line| line[0] == "502" || line[2] == "X");
        in_log = 0;
        for line in failed {
            let pid: u32 = line[1].parse().unwrap_or(0);
            assert!(killed.contains(&pid), "{line:?}");
            in_log += 1;
        }
        text.lines().count() >= answered + lost
    });
    assert_eq!(in_log, lost);
}
