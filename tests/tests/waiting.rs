//! Requests before members that are busy, out of use or gone: who waits, and for how long.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use carme_tests::member::{Member, Reply};
use carme_tests::{Client, Server, ServerBuilder, wait_until};
use serde_json::Value;

/// A member that answers when `go` is there, and a server with one request there and one that waits for it.
struct Stage {
    folder: tempfile::TempDir,
    _member: Member,
    go: Arc<AtomicBool>,
    server: Server,
    first: Client,
    second: Client,
}

fn write(folder: &Path, rest: &str) {
    let toml = format!("[server]\nlisten = [\"127.0.0.1:0\"]\n{rest}");
    fs::write(folder.join("carme.toml"), toml).expect("written");
}

impl Stage {
    /// `timeout`: how long requests wait.
    fn new(timeout: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let go = Arc::new(AtomicBool::new(false));
        let member = Member::start({
            let go = Arc::clone(&go);
            move |_| {
                while !go.load(Ordering::Relaxed) {
                    thread::sleep(Duration::from_millis(2));
                }
                Reply::response("200 OK", &[], b"member")
            }
        });
        let balancer = format!(
            "[balancers.cluster]\ntimeout = \"{timeout}\"\n\
             [[balancers.cluster.members]]\nurl = \"http://{}\"\nmax = 1\n\
             [[locations]]\npath = \"/\"\nbalancer = \"cluster\"\n",
            member.address
        );
        write(folder.path(), &balancer);
        let file = folder.path().join("carme.toml");
        let server = ServerBuilder::arguments(&[]).configured(&file).start();
        let ask = || {
            let mut client = server.connect();
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").expect("sent");
            client
        };
        let first = ask();
        wait_until("the member has one", || {
            cluster(&server)["members"][0]["in_flight"] == 1
        });
        let second = ask();
        Stage {
            folder,
            _member: member,
            go,
            first,
            second,
            server,
        }
    }

    /// A reload lets go of the balancer.
    fn let_go(&self) {
        write(
            self.folder.path(),
            "[[locations]]\npath = \"/\"\nrespond = { body = \"nobody\" }\n",
        );
        let (status, out, err) = self.server.command(&["reload"]).run();
        assert!(status.success(), "{out}{err}");
        assert_eq!(self.server.get("/").text(), "nobody");
    }
}

fn cluster(server: &Server) -> Value {
    let (_, told, err) = server.command(&["status", "--json"]).run();
    let told: Value = serde_json::from_str(&told).unwrap_or_else(|error| panic!("{error}: {err}"));
    told["balancers"][0].clone()
}

#[test]
fn they_are_served_when_there_is_room() {
    let mut stage = Stage::new("10m");
    wait_until("one waits", || cluster(&stage.server)["queued"] == 1);
    stage.let_go();
    stage.go.store(true, Ordering::Relaxed);
    for client in [&mut stage.first, &mut stage.second] {
        assert_eq!(client.response("GET").expect("an answer").text(), "member");
    }
}

#[test]
fn they_are_sent_away_in_time() {
    let mut stage = Stage::new("1s");
    stage.let_go();
    let refused = stage.second.response("GET").expect("an answer");
    assert_eq!(refused.status(), 503);
    stage.go.store(true, Ordering::Relaxed);
    let served = stage.first.response("GET").expect("an answer");
    assert_eq!(served.text(), "member");
}

#[test]
fn nobody_waits_for_members_that_do_not_come_back_in_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let well = Member::start(|_| Reply::response("200 OK", &[], b"well"));
    let mut fails = Member::start(|_| Reply::response("200 OK", &[], b"fails"));
    fails.die();
    let member = |member: &Member, route: &str| {
        format!(
            "[[balancers.cluster.members]]\nurl = \"http://{}\"\nroute = \"{route}\"\n",
            member.address
        )
    };
    let (well_member, failed_member) = (member(&well, "well"), member(&fails, "fails"));
    let rest = format!(
        "[balancers.cluster]\nmethod = \"byrequests\"\n{well_member}{failed_member}\
         [[locations]]\npath = \"/\"\nbalancer = \"cluster\"\n"
    );
    write(folder.path(), &rest);
    let file = folder.path().join("carme.toml");
    let server = ServerBuilder::arguments(&[]).configured(&file).start();
    wait_until("the other one is known to have failed", || {
        assert_eq!(server.get("/").text(), "well");
        cluster(&server)["members"][1]["state"] == "error"
    });
    let (status, out, err) = server.command(&["drain", "well"]).run();
    assert!(status.success(), "{out}{err}");
    let begun = Instant::now();
    let refused = server.get("/");
    assert_eq!(refused.status(), 503);
    // `timeout` is 30 s, and `retry` 60 s.
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    let after: u64 = refused
        .header("retry-after")
        .and_then(|text| text.parse().ok())
        .expect("a number");
    assert!((20..=60).contains(&after), "{after}");
}
