//! Clients that stay at their worker: with others idle and with all busy, across deaths, replacements and hangs.

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use carme_tests::client::{Client, Response};
use carme_tests::{Server, ServerBuilder, process, python, wait_until};

/// Three workers that answer one request at a time, and these settings of the app.
fn start(app: &str) -> Server {
    let builder = ServerBuilder::test_app("cases.py");
    let folder = builder.directory().to_owned();
    let toml = format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\n\
         [apps.app]\ntarget = \"app\"\npython = {python:?}\nworkers = 3\nthreads = 1\nsticky = \"ROUTEID\"\n{app}\n\
         [[access_logs]]\nfile = \"sticky.log\"\nformat = \"%U %{{BALANCER_SESSION_STICKY}}e %{{BALANCER_SESSION_ROUTE}}e \
         %{{BALANCER_WORKER_ROUTE}}e %{{BALANCER_ROUTE_CHANGED}}e\"\n",
        python = python::main().to_str().expect("a path that is text")
    );
    fs::write(folder.join("carme.toml"), toml).expect("the configuration is written");
    let server = builder.configured(&folder.join("carme.toml")).start();
    wait_until("every worker is there", || routes(&server).len() == 3);
    server
}

/// The pids of those that requests without a cookie find, by route.
fn routes(server: &Server) -> BTreeMap<String, u32> {
    let mut clients: Vec<_> = (0..6).map(|_| server.connect()).collect();
    for client in &mut clients {
        client
            .send("GET /slow?0.1 HTTP/1.1\r\nHost: x\r\n\r\n")
            .expect("sent");
    }
    let answers = clients
        .iter_mut()
        .map(|client| client.response("GET").expect("answered"));
    answers
        .map(|answer| (route(&answer).expect("a cookie"), pid(&answer)))
        .collect()
}

fn pid(response: &Response) -> u32 {
    assert_eq!(response.status(), 200, "{response:?}");
    response.text().parse().expect("a pid")
}

/// The route that the response binds the client to, if it does.
fn route(response: &Response) -> Option<String> {
    let cookie = response.header("set-cookie")?;
    let rest = cookie.strip_prefix("ROUTEID=.");
    let route = rest.and_then(|rest| rest.strip_suffix("; path=/; HttpOnly; SameSite=Lax"));
    Some(route.unwrap_or_else(|| panic!("{cookie}")).to_owned())
}

/// Asks without waiting for the answer.
fn ask(client: &mut Client, path: &str, route: &str) {
    client
        .send(format!(
            "GET {path} HTTP/1.1\r\nHost: x\r\nCookie: a=b; ROUTEID=.{route}\r\n\r\n"
        ))
        .expect("sent");
}

fn get(client: &mut Client, path: &str, route: &str) -> Response {
    ask(client, path, route);
    client.response("GET").expect("answered")
}

#[test]
fn two_hundred_requests_with_a_cookie_reach_one_worker_while_others_are_idle_and_while_all_are_busy() {
    let server = start("");
    let (first, own) = routes(&server).pop_first().expect("three");
    let mut client = server.connect();
    for _ in 0..200 {
        let answer = get(&mut client, "/pid", &first);
        assert_eq!((pid(&answer), route(&answer)), (own, None));
    }
    // Idle workers are of no use to a client whose own one is busy.
    let mut before = server.connect();
    ask(&mut before, "/slow?1", &first);
    thread::sleep(Duration::from_millis(300));
    let asked = Instant::now();
    assert_eq!(pid(&get(&mut client, "/pid", &first)), own);
    assert!(asked.elapsed() > Duration::from_millis(300), "it waited");
    assert_eq!(pid(&before.response("GET").expect("answered")), own);

    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..9 {
            scope.spawn(|| {
                let mut anybody = server.connect();
                while !done.load(Ordering::Relaxed) {
                    assert_eq!(anybody.get("/slow?0.01").expect("answered").status(), 200);
                }
            });
        }
        let bound: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = server.connect();
                    (0..25).for_each(|_| {
                        let answer = get(&mut client, "/pid", &first);
                        assert_eq!((pid(&answer), route(&answer)), (own, None));
                    });
                })
            })
            .collect();
        let outcomes: Vec<_> = bound.into_iter().map(|thread| thread.join()).collect();
        done.store(true, Ordering::Relaxed);
        assert!(outcomes.iter().all(Result::is_ok));
    });
}

#[test]
fn a_client_whose_worker_was_killed_is_served_by_another_and_told_so() {
    let server = start("");
    let (first, own) = routes(&server).pop_first().expect("three");
    let mut client = server.connect();
    // Its worker is busy, and another client of it waits, when it dies.
    let mut busy = server.connect();
    ask(&mut busy, "/slow?20", &first);
    thread::sleep(Duration::from_millis(300));
    ask(&mut client, "/pid", &first);
    thread::sleep(Duration::from_millis(300));
    process::kill(own);
    assert_eq!(
        busy.response("GET").expect("answered").status(),
        502,
        "it had that"
    );
    let answer = client.response("GET").expect("answered");
    assert_ne!(pid(&answer), own);
    let second = route(&answer).expect("it is told");
    assert_ne!(second, first);
    for _ in 0..50 {
        let again = get(&mut client, "/pid", &second);
        assert_eq!((pid(&again), route(&again)), (pid(&answer), None));
    }
    // Whoever comes back when the seat has another worker finds that one.
    wait_until("the seat has a worker", || {
        let answer = get(&mut client, "/pid", &first);
        route(&answer).is_none() && pid(&answer) != own
    });
}

#[test]
fn a_client_stays_with_the_seat_when_its_worker_is_replaced() {
    let server = start("");
    let mut client = server.connect();
    let workers = routes(&server);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        // More of its clients than it can answer at a time: some always wait for it.
        let others: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = server.connect();
                    while !done.load(Ordering::Relaxed) {
                        let answer = get(&mut client, "/slow?0.005", "app_2");
                        assert_eq!((answer.status(), route(&answer)), (200, None));
                    }
                })
            })
            .collect();
        for command in [&["restart", "app_2"][..], &["restart"], &["reload"]] {
            let own = pid(&get(&mut client, "/pid", "app_2"));
            let (status, _, error) = server.command(command).run();
            assert!(status.success(), "{command:?}: {error}");
            wait_until("it has a new process", || {
                let answer = get(&mut client, "/pid", "app_2");
                assert_eq!(route(&answer), None, "{command:?}");
                pid(&answer) != own
            });
        }
        done.store(true, Ordering::Relaxed);
        assert!(others.into_iter().all(|thread| thread.join().is_ok()));
    });
    let now = routes(&server);
    assert!(now.keys().eq(workers.keys()));
    // Drained by hand, its clients go to others; with a worker again, it has who comes back.
    let (status, _, error) = server.command(&["drain", "app_2"]).run();
    assert!(status.success(), "{error}");
    let answer = get(&mut client, "/pid", "app_2");
    assert_ne!(pid(&answer), now["app_2"]);
    assert!(route(&answer).is_some_and(|route| route != "app_2"));
    let (status, _, error) = server.command(&["enable", "app_2"]).run();
    assert!(status.success(), "{error}");
    assert_eq!(route(&get(&mut client, "/pid", "app_2")), None);
}

#[test]
fn a_worker_that_hangs_keeps_only_its_own_clients_waiting_and_not_for_ever() {
    let server = start("queue = { limit = 8, timeout = \"1s\" }\nrequest_timeout = \"off\"");
    let (first, own) = routes(&server).pop_first().expect("three");
    let mut hangs = server.connect();
    ask(&mut hangs, "/slow?25", &first);
    thread::sleep(Duration::from_millis(200));
    let mut waiting: Vec<_> = (0..10).map(|_| server.connect()).collect();
    for client in &mut waiting {
        ask(client, "/pid", &first);
        thread::sleep(Duration::from_millis(20));
    }
    for _ in 0..20 {
        assert_eq!(server.get("/pid").status(), 200, "others are not concerned");
    }
    for client in &mut waiting {
        let answer = client.response("GET").expect("answered");
        assert_eq!(answer.status(), 503);
        assert!(answer.header("retry-after").is_some() && answer.header("set-cookie").is_none());
    }
    let mut late = server.connect();
    ask(&mut late, "/pid", &first);
    thread::sleep(Duration::from_millis(200));
    process::kill(own);
    let answer = late.response("GET").expect("answered");
    assert!(pid(&answer) != own && route(&answer).is_some_and(|route| route != first));
}

#[test]
fn what_a_client_makes_up_is_harmless_and_the_log_says_what_became_of_it() {
    let server = start("");
    let mut client = server.connect();
    let long = "x".repeat(5000);
    let made_up = [
        "nobody",
        "",
        "app_2x",
        "app_99",
        "../app_1",
        "app_1.app_2",
        &long,
        "%61pp_1",
    ];
    for made_up in made_up {
        let answer = get(&mut client, "/pid", made_up);
        pid(&answer);
        assert!(route(&answer).is_some(), "{made_up}");
    }
    get(&mut client, "/one", "app_3");
    get(&mut client, "/two", "nobody");
    client.get("/three?ROUTEID=.app_1").expect("answered");
    let log = || fs::read_to_string(server.directory().join("sticky.log")).unwrap_or_default();
    wait_until("the log is written", || log().contains("/three"));
    let log = log();
    let line = |path: &str| {
        let line = log.lines().find(|line| line.starts_with(path));
        line.unwrap_or_else(|| panic!("{path} is missing")).to_owned()
    };
    assert_eq!(line("/one"), "/one ROUTEID app_3 app_3 -");
    assert!(line("/two").starts_with("/two ROUTEID nobody app_") && line("/two").ends_with(" 1"));
    assert_eq!(line("/three"), "/three ROUTEID app_1 app_1 -");
}

#[test]
fn a_reload_brings_another_cookie_or_none() {
    let server = start("");
    let file = server.directory().join("carme.toml");
    let text = fs::read_to_string(&file).expect("the configuration");
    let mut client = server.connect();
    for (sticky, cookie) in [
        (
            "sticky = \"OTHER|param\"\nsticky_separator = \"off\"",
            Some("OTHER=app_"),
        ),
        ("", None),
    ] {
        fs::write(&file, text.replace("sticky = \"ROUTEID\"", sticky)).expect("written");
        let (status, _, error) = server.command(&["reload"]).run();
        assert!(status.success(), "{error}");
        let answer = get(&mut client, "/pid", "app_1");
        match (answer.header("set-cookie"), cookie) {
            (Some(found), Some(expected)) => assert!(found.starts_with(expected), "{found}"),
            (found, expected) => assert_eq!(found, expected),
        }
        if cookie.is_some() {
            let answer = client.get("/pid?param=app_2").expect("answered");
            assert_eq!(answer.header("set-cookie"), None, "{answer:?}");
        }
    }
}

#[test]
fn torture_bound_clients_of_workers_that_are_killed_at_random_lose_what_these_had_and_nothing_else() {
    let server = start("queue = { timeout = \"60s\" }");
    let (answered, lost) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let done = AtomicBool::new(false);
    let mut kills = 0;
    thread::scope(|scope| {
        for n in 0..12 {
            let (server, answered, lost, done) = (&server, &answered, &lost, &done);
            scope.spawn(move || {
                let mut client = server.connect();
                let mut own = format!("app_{}", n % 3 + 1);
                while !done.load(Ordering::Relaxed) {
                    let answer = get(&mut client, "/slow?0.005", &own);
                    match answer.status() {
                        200 => answered.fetch_add(1, Ordering::Relaxed),
                        502 => lost.fetch_add(1, Ordering::Relaxed),
                        _ => panic!("{answer:?}"),
                    };
                    own = route(&answer).unwrap_or(own);
                }
            });
        }
        let end = Instant::now() + Duration::from_secs(5);
        let mut client = server.connect();
        while Instant::now() < end || kills < 5 {
            thread::sleep(Duration::from_millis(400));
            process::kill(pid(&get(&mut client, "/pid", &format!("app_{}", kills % 3 + 1))));
            kills += 1;
        }
        done.store(true, Ordering::Relaxed);
    });
    let (answered, lost) = (answered.into_inner(), lost.into_inner());
    assert!(kills > 3 && answered > 100, "{kills} kills, {answered} answered");
    assert!(
        lost <= kills,
        "{lost} lost with {kills} workers of one thread killed"
    );
    // Nothing is left behind: all three serve, and each its own clients.
    wait_until("every worker is there", || routes(&server).len() == 3);
    let mut client = server.connect();
    for route in routes(&server).into_keys() {
        assert_eq!(self::route(&get(&mut client, "/pid", &route)), None);
    }
}
