//! What commands do to workers.

use std::fs;
use std::thread;

use carme_tests::{Server, wait_until};
use serde_json::Value;

use super::{APP, done, farm, json, waiting};

/// What a server says that does not do what it is told, and that it is the one that was asked.
fn refused(server: &Server, arguments: &[&str]) -> String {
    let (code, out, err) = super::ask(server, arguments);
    assert_eq!((code, out.as_str()), (Some(1), ""), "{arguments:?}: {err}");
    let asked = format!("carme: http://{} (process {}): ", server.address, server.pid());
    let reason = err.strip_prefix(&asked);
    reason
        .unwrap_or_else(|| panic!("{arguments:?}: {err}"))
        .to_owned()
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
    fs::write(
        server.directory().join("app.py"),
        APP.replace("hello", "hello again"),
    )
    .expect("written");
    assert_eq!(done(&server, &["restart"]), "restarted app_1, app_2\n");
    assert!(pids().iter().all(|pid| !after.contains(pid)));
    assert_eq!(server.get("/").text(), "hello again");
    let second = &workers(&server)[1];
    assert_eq!(
        (&second["replacements"], &second["failures"], &second["restarts"]),
        (&2.into(), &0.into(), &serde_json::json!({"restart": 2}))
    );
    assert_eq!(
        refused(&server, &["restart", "app_9"]),
        "there is no worker app_9; the workers are app_1, app_2\n"
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
    let (code, out, err) = super::ask(&server, &["restart"]);
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
    let mut slow = waiting(&server);
    let busy = workers(&server)
        .iter()
        .position(|worker| worker["in_flight"] == 1)
        .expect("one has it");
    let (busy, other) = [("app_1", "app_2"), ("app_2", "app_1")][busy];
    thread::scope(|scope| {
        let drain = scope.spawn(|| super::ask(&server, &["drain", busy]));
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

    let reason = refused(&server, &["drain", other]);
    let last = format!("{other} is the only worker of app app that takes requests");
    assert!(reason.starts_with(&last), "{reason}");

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
            "there is no app site; the apps are app\n",
        ),
        (&["scale", "app", "0"], "app app can have 1 to "),
        (&["scale", "app", "9999"], "app app can have 1 to "),
    ] {
        let told = refused(&server, arguments);
        assert!(told.starts_with(reason), "{told}");
    }
}

#[test]
fn stacks_of_busy_threads_are_in_the_error_log() {
    let server = farm(2);
    let folder = server.directory().to_owned();
    let mut slow = waiting(&server);
    let busy = workers(&server)
        .into_iter()
        .find(|worker| worker["in_flight"] == 1)
        .expect("one has it");
    let (route, pid) = (busy["route"].as_str().expect("text"), &busy["pid"]);
    let told = done(&server, &["stacks", route]);
    assert_eq!(
        told,
        format!("in the server's error log, its standard error, are the stacks of {route} (process {pid})\n")
    );
    // Where it waits, by the line of the app.
    let line = server.wait_for_line("time.sleep(0.01)");
    assert!(line.contains(route), "{line}");
    let told = done(&server, &["stacks"]);
    assert!(
        told.contains("app_1 (process ") && told.contains("app_2 (process "),
        "{told}"
    );
    fs::write(folder.join("go"), "").expect("written");
    assert_eq!(
        slow.response("GET").expect("an answer").text(),
        "hello",
        "nothing was interrupted"
    );
    assert_eq!(
        refused(&server, &["stacks", "app_9"]),
        "there is no worker app_9; the workers are app_1, app_2\n"
    );
}
