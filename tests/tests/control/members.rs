//! What commands do to balancers and their members, and what is left of that after a restart.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use carme_tests::member::{Member, Reply, Request};
use carme_tests::{Server, ServerBuilder, python, wait_until};
use serde_json::{Value, json};

use super::{APP, done, json as told};

/// A member that says its name; at `/wait` it does so when `go` is there.
fn member(name: &'static str, go: &Arc<AtomicBool>) -> Member {
    let go = Arc::clone(go);
    Member::start(move |request: &Request| {
        while request.target() == "/wait" && !go.load(Ordering::Relaxed) {
            thread::sleep(std::time::Duration::from_millis(2));
        }
        Reply::response("200 OK", &[], name.as_bytes())
    })
}

/// Two members, and a balancer that goes from one to the other.
struct Stage {
    members: [Member; 2],
    go: Arc<AtomicBool>,
    folder: tempfile::TempDir,
}

impl Stage {
    fn new() -> Self {
        let go = Arc::new(AtomicBool::new(false));
        Stage {
            members: [member("one", &go), member("two", &go)],
            go,
            folder: tempfile::tempdir().expect("a folder"),
        }
    }

    fn url(&self, number: usize) -> String {
        format!("http://{}", self.members[number].address)
    }

    fn write(&self, balancer: &str, rest: &str) -> PathBuf {
        let members: String = (0..2)
            .map(|at| {
                format!(
                    "[[balancers.cluster.members]]\nurl = \"{}\"\nroute = \"www_{}\"\n",
                    self.url(at),
                    at + 1
                )
            })
            .collect();
        let file = self.folder.path().join("carme.toml");
        let toml = format!(
            "[server]\nlisten = [\"127.0.0.1:0\"]\n[balancers.cluster]\nmethod = \"byrequests\"\n{balancer}\n{members}\
             [[locations]]\npath = \"/\"\nbalancer = \"cluster\"\n{rest}"
        );
        fs::write(&file, toml).expect("written");
        file
    }

    fn start(&self, file: &Path) -> Server {
        // Its own folder for commands, since that of the configuration outlives the server.
        ServerBuilder::arguments(&[]).configured(file).start()
    }

    fn serve(&self, balancer: &str) -> Server {
        let file = self.write(balancer, "");
        self.start(&file)
    }
}

/// Who answers so many requests, in order.
fn answers(server: &Server, requests: usize) -> Vec<String> {
    (0..requests).map(|_| server.get("/").text()).collect()
}

fn cluster(server: &Server) -> Value {
    told(server)["balancers"][0].clone()
}

fn state(server: &Server, route: &str) -> Value {
    let members = cluster(server)["members"].clone();
    let members = members.as_array().expect("a list");
    let found = members.iter().find(|member| member["route"] == route);
    found.map_or(Value::Null, |member| member["state"].clone())
}

fn refused(server: &Server, arguments: &[&str]) -> String {
    let (code, out, err) = super::ask(server, arguments);
    assert_eq!((code, out.as_str()), (Some(1), ""), "{arguments:?}: {err}");
    let (_, reason) = err.split_once("): ").unwrap_or_else(|| panic!("{err}"));
    reason.to_owned()
}

#[test]
fn status_shows_balancers_with_all_figures() {
    let stage = Stage::new();
    let server = stage.serve("stickysession = \"ROUTEID\"");
    assert_eq!(answers(&server, 4), ["one", "two", "one", "two"]);
    let text = done(&server, &["status"]);
    for part in [
        "balancer cluster: ready (byrequests, sessions by ROUTEID)\n",
        "0 requests waiting for a member (at most 1000 may), 0 in flight, 0 refused\n",
        "\nMEMBER  STATE",
        "\nwww_1   ready",
        "\nwww_2   ready",
        &stage.url(1),
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let told = cluster(&server);
    assert_eq!(
        (
            &told["name"],
            &told["method"],
            &told["stickysession"],
            &told["maxattempts"]
        ),
        (
            &json!("cluster"),
            &json!("byrequests"),
            &json!("ROUTEID"),
            &json!(1)
        )
    );
    let first = &told["members"][0];
    for (key, value) in [
        ("url", json!(stage.url(0))),
        ("scheme", json!("http")),
        ("host", json!("127.0.0.1")),
        ("port", json!(stage.members[0].address.port())),
        ("route", json!("www_1")),
        ("status", json!("Init Ok")),
        ("flags", json!("")),
        ("requests", json!(2)),
        ("in_flight", json!(0)),
        ("loadfactor", json!(1.0)),
        ("lbset", json!(0)),
        ("retries", json!(0)),
        ("idle_connections", json!(1)),
        ("check", Value::Null),
    ] {
        assert_eq!(first[key], value, "{key}: {first}");
    }
    assert!(first["bytes_sent"].as_u64() > Some(50), "{first}");
    assert!(first["bytes_received"].as_u64() > Some(10), "{first}");
    assert_eq!(first["settings"]["flushpackets"], "off");
}

#[test]
fn a_member_is_drained_when_its_requests_are_over() {
    let stage = Stage::new();
    let server = stage.serve("");
    let mut slow = server.connect();
    slow.send(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n").expect("sent");
    wait_until("it has arrived", || {
        cluster(&server)["members"][0]["in_flight"] == 1
    });
    thread::scope(|scope| {
        let drain = scope.spawn(|| super::ask(&server, &["drain", "www_1"]));
        wait_until("it drains", || state(&server, "www_1") == "draining");
        assert!(!drain.is_finished());
        assert_eq!(answers(&server, 3), ["two", "two", "two"]);
        stage.go.store(true, Ordering::Relaxed);
        assert_eq!(slow.response("GET").expect("an answer").text(), "one");
        let (code, out, err) = drain.join().expect("no panic");
        assert_eq!((code, err.as_str()), (Some(0), ""));
        assert_eq!(
            out,
            "cluster/www_1 is drained, until `carme enable cluster/www_1`\n"
        );
    });
    done(&server, &["reload"]);
    assert_eq!(
        state(&server, "www_1"),
        "draining",
        "a reload does not use it again"
    );
    assert_eq!(
        done(&server, &["enable", "cluster/www_1"]),
        "cluster/www_1 serves\n"
    );
    assert!(answers(&server, 4).contains(&"one".to_owned()));
}

#[test]
fn members_and_balancers_are_changed_and_what_is_wrong_is_told() {
    let stage = Stage::new();
    let server = stage.serve("");
    let url = stage.url(1);
    for (arguments, answer) in [
        (
            &["disable", "www_1"][..],
            "cluster/www_1: disabled, until the server ends\n",
        ),
        (&["enable", "www_1"], "cluster/www_1 serves\n"),
        (
            &["standby", &url],
            "cluster/www_2: standby, until the server ends\n",
        ),
        (
            &[
                "member",
                "cluster",
                "www_1",
                "--loadfactor",
                "5",
                "--ignore-errors",
            ],
            "cluster/www_1: ignoring errors, loadfactor = 5, until the server ends\n",
        ),
        (
            &["balancer", "cluster", "--method", "bybusyness", "--timeout", "0s"],
            "cluster: method = bybusyness, timeout = 0s, until the server ends\n",
        ),
        (
            &["member", "cluster", "www_1", "--stop"],
            "cluster/www_1: stopped, until the server ends\n",
        ),
        (
            &["member", "cluster", "www_2", "--disable", "--standby", "off"],
            "cluster/www_2: disabled, not standby, the last one: new requests get 503, until the server ends\n",
        ),
    ] {
        assert_eq!(done(&server, arguments), answer);
    }
    assert_eq!(server.get("/").status(), 503);
    let now = cluster(&server);
    assert_eq!(
        (&now["state"], &now["method"]),
        (&json!("stopped"), &json!("bybusyness"))
    );
    assert_eq!(now["members"][0]["flags"], "IS");
    assert_eq!(now["members"][0]["loadfactor"], 5.0);
    for (arguments, reason) in [
        (
            &["disable", "www_9"][..],
            "there is no member www_9; the members are cluster/www_1, cluster/www_2\n",
        ),
        (
            &["member", "cluster", "www_9", "--disable"],
            "balancer cluster has no member www_9; the members are cluster/www_1, cluster/www_2\n",
        ),
        (
            &["member", "clutser", "www_1", "--disable"],
            "there is no balancer clutser; there is cluster\n",
        ),
        (
            &["member", "cluster", "www_1", "--loadfactor", "0", "--lbset", "1"],
            "cluster/www_1 stays as it is: loadfactor must be a number from 1 to 100, found 0\n",
        ),
        (
            &["balancer", "cluster", "--method", "byrequest"],
            "cluster stays as it is: method must be one of \"queue\", \"byrequests\", \"bytraffic\", \
             \"bybusyness\", \"ewma\", \"hash\", found \"byrequest\"; did you mean `byrequests`?\n",
        ),
        (
            &["member", "add", "cluster", &url],
            &format!("cluster stays as it is: the balancer has a member `{url}` already\n"),
        ),
    ] {
        assert_eq!(refused(&server, arguments), *reason);
    }
    assert_eq!(
        cluster(&server)["members"][0]["lbset"],
        0,
        "nothing of it was done"
    );
}

#[test]
fn a_name_that_a_worker_and_a_member_have_is_told_apart() {
    let stage = Stage::new();
    fs::write(stage.folder.path().join("app.py"), APP).expect("written");
    let file = stage.write(
        "",
        &format!(
            "[[locations]]\npath = \"/app\"\napp = \"site\"\n[apps.site]\ntarget = \"app\"\nworkers = 2\n\
             route = \"www_{{n}}\"\npython = {:?}\n",
            python::main().to_str().expect("text")
        ),
    );
    let server = stage.start(&file);
    wait_until("the workers serve", || {
        told(&server)["apps"][0]["state"] == "ready"
    });
    assert_eq!(
        refused(&server, &["drain", "www_1"]),
        "there are several www_1; say which: site/www_1 (a worker), cluster/www_1 (a member)\n"
    );
    done(&server, &["drain", "cluster/www_1"]);
    assert_eq!(state(&server, "www_1"), "draining");
    assert_eq!(
        done(&server, &["drain", "site/www_1"]),
        "www_1 is drained, until `carme enable www_1`\n"
    );
    assert_eq!(
        refused(&server, &["disable", "site/www_2"]),
        "www_2 is a worker of app site: `carme drain www_2` takes it out of use\n"
    );
}

#[test]
fn what_was_changed_is_there_after_a_restart_if_it_is_to_be() {
    let stage = Stage::new();
    let third = member("three", &stage.go);
    let third_url = format!("http://{}", third.address);
    let mut server = stage.serve("persist = true\nstickysession = \"ROUTEID\"");
    let file = stage.folder.path().join("carme.balancers.json");
    assert!(!file.exists(), "nothing is changed yet");
    for arguments in [
        &[
            "member",
            "cluster",
            "www_2",
            "--loadfactor",
            "2.5",
            "--spare",
            "--hcmethod",
            "tcp",
        ][..],
        &[
            "member", "add", "cluster", &third_url, "--route", "www_3", "--ttl", "2m",
        ],
        &["member", "cluster", "www_3", "--lbset", "1"],
        &["member", "remove", "cluster", "www_1"],
        &[
            "balancer",
            "cluster",
            "--method",
            "bybusyness",
            "--stickysession",
            "SESSION|session",
        ],
    ] {
        let out = done(&server, arguments);
        assert!(out.ends_with(", kept for the next start\n"), "{out}");
    }
    let seen = |server: &Server| {
        let cluster = cluster(server);
        let members = cluster["members"].as_array().expect("a list").iter();
        let members: Vec<Value> = members
            .map(|member| {
                json!([
                    member["route"],
                    member["flags"],
                    member["loadfactor"],
                    member["lbset"],
                    member["settings"]["ttl_seconds"],
                    member["check"]["method"],
                    member["added"],
                ])
            })
            .collect();
        json!([cluster["method"], cluster["stickysession"], members])
    };
    let expected = json!([
        "bybusyness",
        "SESSION|session",
        [
            ["www_2", "R", 2.5, 0, null, "tcp", false],
            ["www_3", "", 1.0, 1, 120.0, null, true],
        ]
    ]);
    assert_eq!(seen(&server), expected);
    // Killed: what is kept is kept at once.
    server.kill();
    let mut server = stage.serve("persist = true\nstickysession = \"ROUTEID\"");
    assert_eq!(seen(&server), expected);
    // The file says something new: then it counts, also for the next start.
    stage.write("persist = true\nmethod_is = \"\"", "");
    let (code, ..) = super::ask(&server, &["reload"]);
    assert_eq!(code, Some(1), "that is no setting");
    stage.write("persist = true", "");
    done(&server, &["reload"]);
    assert_eq!(seen(&server)[1], Value::Null, "the file has taken sessions away");
    done(&server, &["member", "add", "cluster", &stage.url(0)]);
    server.stop();
    let server = stage.serve("persist = true");
    let routes = cluster(&server)["members"].as_array().expect("a list").len();
    assert_eq!(
        (routes, &seen(&server)[0], &seen(&server)[1]),
        (3, &json!("bybusyness"), &Value::Null)
    );
    assert_eq!(state(&server, "www_1"), "ready", "it is back as it is configured");
}

#[test]
fn members_that_are_found_are_as_they_were_after_a_restart() {
    let stage = Stage::new();
    let found = format!(
        "[[members]]\nurl = \"{}\"\nroute = \"www_1\"\n[[members]]\nurl = \"{}\"\nroute = \"www_2\"\n",
        stage.url(0),
        stage.url(1)
    );
    fs::write(stage.folder.path().join("members.toml"), found).expect("written");
    let file = stage.folder.path().join("carme.toml");
    let toml = "[server]\nlisten = [\"127.0.0.1:0\"]\n[balancers.cluster]\npersist = true\n\
                discover = { file = \"members.toml\", interval = \"100ms\" }\n\
                [[locations]]\npath = \"/\"\nbalancer = \"cluster\"\n";
    fs::write(&file, toml).expect("written");
    let members = |server: &Server| cluster(server)["members"].as_array().expect("a list").len();
    let mut server = stage.start(&file);
    wait_until("both are found", || members(&server) == 2);
    done(&server, &["disable", "www_1"]);
    done(&server, &["member", "remove", "cluster", "www_2"]);
    server.stop();
    let mut server = stage.start(&file);
    wait_until("one is found", || members(&server) == 1);
    assert_eq!(state(&server, "www_1"), "disabled");
    server.stop();
}

#[test]
fn without_persist_a_restart_brings_what_is_configured() {
    let stage = Stage::new();
    let mut server = stage.serve("");
    done(&server, &["disable", "www_1"]);
    server.stop();
    assert!(!stage.folder.path().join("carme.balancers.json").exists());
    let server = stage.serve("");
    assert_eq!(state(&server, "www_1"), "ready");
}

#[test]
fn a_file_that_cannot_be_read_is_told_of_and_kept() {
    let stage = Stage::new();
    let file = stage.folder.path().join("carme.balancers.json");
    fs::write(&file, "not JSON").expect("written");
    let server = stage.serve("persist = true");
    let line = server.wait_for_line("what commands have changed is forgotten");
    assert!(line.contains("carme.balancers.json: "), "{line}");
    assert_eq!(server.get("/").status(), 200);
    let aside = stage.folder.path().join("carme.balancers.json.unreadable");
    assert_eq!(fs::read_to_string(aside).expect("it is there"), "not JSON");
    done(&server, &["disable", "www_1"]);
    assert!(file.exists());
}

#[test]
fn what_cannot_be_kept_is_told() {
    let stage = Stage::new();
    let state_folder = stage.folder.path().join("state");
    fs::create_dir(&state_folder).expect("made");
    let file = stage.write("persist = true", "");
    let toml = fs::read_to_string(&file).expect("read");
    fs::write(
        &file,
        toml.replace("[server]\n", "[server]\nstate_directory = \"state\"\n"),
    )
    .expect("written");
    let server = stage.start(&file);
    done(&server, &["disable", "www_1"]);
    let kept = state_folder.join("carme.balancers.json");
    assert!(kept.exists(), "where the configuration says");
    fs::remove_dir_all(&state_folder).expect("removed");
    let reason = refused(&server, &["disable", "www_2"]);
    let beginning = "cluster/www_2: disabled, the last one: new requests get 503; but the next start will not know of \
                     it: ";
    assert!(
        reason.starts_with(beginning) && reason.contains("carme.balancers.json"),
        "{reason}"
    );
    assert_eq!(state(&server, "www_2"), "disabled");
}
