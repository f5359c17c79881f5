//! The whole of it: the real program before members that come and go while clients ask, and no request fails.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use carme_tests::engines::{ConsulAgent, Knot, replace};
use carme_tests::member::{Member, Reply};
use carme_tests::{Client, Server, ServerBuilder, wait_until};

/// How many requests for `/slow` have come to members.
static SLOW: AtomicUsize = AtomicUsize::new(0);

/// A member that answers with this text; `/slow` takes it a while.
fn member(text: &'static str) -> Member {
    Member::start(move |request| {
        if request.target() == "/slow" {
            SLOW.fetch_add(1, Ordering::Relaxed);
            thread::sleep(Duration::from_millis(1500));
        }
        Reply::response("200 OK", &[], text.as_bytes())
    })
}

/// A server of one balancer with these lines.
fn server(lines: &str) -> Server {
    let builder = ServerBuilder::arguments(&[]);
    let file = builder.directory().join("carme.toml");
    configure(&file, lines);
    builder.config(&file).start()
}

fn configure(file: &Path, lines: &str) {
    let text = format!("[server]\nlisten = [\"127.0.0.1:0\"]\n[balancers.cluster]\n{lines}\n");
    replace(file, &text);
}

/// Clients that ask without a pause.
struct Load {
    seen: Arc<Mutex<Seen>>,
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Seen {
    answers: usize,
    /// Who has answered since the last look.
    members: BTreeSet<String>,
    failures: Vec<String>,
}

impl Load {
    fn start(server: &Server) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let stop = Arc::new(AtomicBool::new(false));
        let client = |_| {
            let (seen, stop, address) = (Arc::clone(&seen), Arc::clone(&stop), server.address);
            thread::spawn(move || {
                let mut client = Client::connect(address).expect("it accepts");
                while !stop.load(Ordering::Relaxed) {
                    let answer = client.get("/");
                    let mut seen = seen.lock().expect("no panic");
                    seen.answers += 1;
                    match answer {
                        Ok(response) if response.status() == 200 => {
                            seen.members.insert(response.text());
                        }
                        Ok(response) => seen.failures.push(response.line),
                        Err(error) => {
                            seen.failures.push(error.to_string());
                            return;
                        }
                    }
                    drop(seen);
                    thread::sleep(Duration::from_millis(1));
                }
            })
        };
        let clients = (0..4).map(client).collect();
        Load { seen, stop, clients }
    }

    /// Waits until these members answer, and no others.
    fn wait_for(&self, members: &[&str]) {
        let expected: BTreeSet<String> = members.iter().map(ToString::to_string).collect();
        let look = || std::mem::take(&mut self.seen.lock().expect("no panic").members);
        wait_until(&format!("{members:?} answer, and no others"), || {
            look();
            thread::sleep(Duration::from_millis(100));
            look() == expected
        });
    }

    /// Ends it: every request has had its answer.
    fn end(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for client in self.clients.drain(..) {
            client.join().expect("no panic");
        }
        let seen = self.seen.lock().expect("no panic");
        assert_eq!(seen.failures, Vec::<String>::new(), "of {} answers", seen.answers);
        assert!(seen.answers > 100, "{} answers are no load", seen.answers);
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// A file of these members.
fn members(all: &[&Member]) -> String {
    all.iter().fold(String::new(), |mut text, member| {
        writeln!(text, "[[members]]\nurl = \"http://{}\"", member.address).expect("text");
        text
    })
}

#[test]
fn members_of_a_file_come_and_go_under_load() {
    let [a, b, c] = ["a", "b", "c"].map(member);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("members.toml");
    replace(&file, &members(&[&a, &b]));
    let server = server(&format!(
        "stickysession = \"ROUTEID\"\ndiscover = {{ file = {:?}, interval = \"100ms\" }}",
        file.to_str().expect("a path of UTF-8")
    ));
    server.wait_for_line("2 members; new: ");
    let load = Load::start(&server);
    load.wait_for(&["a", "b"]);
    // Those that are taken out finish what they have.
    let slow: Vec<_> = [&a, &b]
        .map(|member| {
            let (mut client, port) = (server.connect(), member.address.port());
            client
                .send(format!(
                    "GET /slow HTTP/1.1\r\nHost: a\r\nCookie: ROUTEID=.127-0-0-1-{port}\r\n\r\n"
                ))
                .expect("it is sent");
            client
        })
        .into();
    wait_until("both have a long request", || SLOW.load(Ordering::Relaxed) == 2);
    replace(&file, &members(&[&b, &c]));
    load.wait_for(&["b", "c"]);
    let answered = slow
        .into_iter()
        .map(|mut client| client.response("GET").expect("an answer").text());
    assert_eq!(answered.collect::<Vec<_>>(), ["a", "b"]);
    drop(a);
    replace(&file, "[[members]]\nurl = \"127.0.0.1\"\n");
    let line = server.wait_for_line("the last known members stay");
    assert!(
        line.contains("balancer cluster: ") && line.contains("members.toml:2:7: `url` must be"),
        "{line}"
    );
    load.wait_for(&["b", "c"]);
    replace(&file, &members(&[&c]));
    server.wait_for_line("there are answers again");
    load.wait_for(&["c"]);
    load.end();
    // Somebody wrote that there are none; whoever asks waits for one, for as long as the balancer says.
    replace(&file, "members = []\n");
    server.wait_for_line("no members; gone: ");
    let mut waiting = server.connect();
    waiting
        .send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .expect("it is sent");
    replace(&file, &members(&[&c]));
    assert_eq!(waiting.response("GET").expect("an answer").text(), "c");
}

#[test]
fn members_of_dns_come_and_go_under_load_and_outlive_their_server() {
    let [a, b, c] = ["a", "b", "c"].map(member);
    let records = |all: &[&Member]| {
        let mut text = "m A 127.0.0.1\n".to_owned();
        for member in all {
            writeln!(text, "_http._tcp SRV 1 1 {} m", member.address.port()).expect("text");
        }
        text
    };
    let Some(mut knot) = Knot::start(&records(&[&a, &b])) else {
        return;
    };
    let server = server(&format!(
        "discover = {{ dns = \"srv:_http._tcp.app.test\", server = \"{}\", interval = \"100ms\" }}",
        knot.address
    ));
    let load = Load::start(&server);
    load.wait_for(&["a", "b"]);
    knot.change(&records(&[&c, &b]));
    load.wait_for(&["b", "c"]);
    knot.kill();
    server.wait_for_line("DNS for srv:_http._tcp.app.test: the last known members stay: no answer");
    load.wait_for(&["b", "c"]);
    knot.run();
    knot.change(&records(&[&a]));
    load.wait_for(&["a"]);
    load.end();
    let lines = server.output();
    assert_eq!(lines.matches("the last known members stay").count(), 1, "{lines}");
    assert_eq!(lines.matches("there are answers again").count(), 1, "{lines}");
}

#[test]
fn members_of_consul_come_and_go_under_load_and_outlive_its_agent() {
    let Some(mut agent) = ConsulAgent::start() else {
        return;
    };
    let [a, b, c] = ["a", "b", "c"].map(member);
    let register = |agent: &ConsulAgent, id: &str, member: &Member| {
        agent.register(id, member.address.port(), &[], 1);
    };
    register(&agent, "a", &a);
    register(&agent, "b", &b);
    let server = server(&format!(
        "discover = {{ consul = \"app\", address = \"http://{}\" }}",
        agent.http
    ));
    let load = Load::start(&server);
    load.wait_for(&["a", "b"]);
    register(&agent, "c", &c);
    load.wait_for(&["a", "b", "c"]);
    agent.set_well("a", false);
    load.wait_for(&["b", "c"]);
    agent.kill();
    server.wait_for_line("the last known members stay");
    load.wait_for(&["b", "c"]);
    agent.run();
    register(&agent, "a", &a);
    register(&agent, "b", &b);
    load.wait_for(&["a", "b"]);
    load.end();
}

#[test]
fn a_reload_asks_somebody_else_and_nothing_is_lost() {
    let [a, b, c] = ["a", "b", "c"].map(member);
    let folder = tempfile::tempdir().expect("a folder");
    let listed = |name: &str, all: &[&Member]| {
        let file = folder.path().join(name);
        replace(&file, &members(all));
        file
    };
    let (one, two) = (listed("one.toml", &[&a]), listed("two.toml", &[&b]));
    let missing = folder.path().join("three.toml");
    let discover = |file: &Path| {
        format!(
            "discover = {{ file = {:?}, interval = \"100ms\" }}",
            file.to_str().expect("a path of UTF-8")
        )
    };
    let server = server(&discover(&one));
    let load = Load::start(&server);
    load.wait_for(&["a"]);
    let configuration = server.directory().join("carme.toml");
    let reload = |lines: &str| {
        configure(&configuration, lines);
        let (status, output, errors) = server.command(&["reload"]).run();
        assert!(status.success(), "{output}{errors}");
        output
    };
    let output = reload(&discover(&two));
    assert!(output.contains("balancers.cluster.discover"), "{output}");
    load.wait_for(&["b"]);
    // Named ones come beside those that are found; who is not there yet takes nothing away.
    let named = format!("[[balancers.cluster.members]]\nurl = \"http://{}\"", c.address);
    reload(&format!("{}\n{named}", discover(&missing)));
    load.wait_for(&["b", "c"]);
    reload(&named);
    load.wait_for(&["c"]);
    load.end();
}

#[test]
fn a_route_is_the_same_at_every_front_and_after_a_restart() {
    let [a, b, c] = ["a", "b", "c"].map(member);
    let records = |all: &[(&str, &Member)]| {
        let mut text = String::new();
        for (name, member) in all {
            let port = member.address.port();
            writeln!(text, "{name} A 127.0.0.1\n_http._tcp SRV 1 1 {port} {name}").expect("text");
        }
        text
    };
    let Some(mut knot) = Knot::start(&records(&[("web-0", &a), ("web-1", &b)])) else {
        return;
    };
    let lines = format!(
        "stickysession = \"ROUTEID\"\n\
         discover = {{ dns = \"srv:_http._tcp.app.test\", server = \"{}\", interval = \"100ms\", member = {{ route = \"{{name}}\" }} }}",
        knot.address
    );
    let ask = |server: &Server| {
        server
            .request("GET / HTTP/1.1\r\nHost: a\r\nCookie: ROUTEID=abc.web-1\r\nConnection: close\r\n\r\n")
            .text()
    };
    let (one, two) = (server(&lines), server(&lines));
    for server in [&one, &two] {
        assert_eq!([0; 6].map(|_| ask(server)), ["b"; 6]);
    }
    // Another comes before it in order.
    knot.change(&records(&[("web-0", &a), ("web-1", &b), ("web-00", &c)]));
    one.wait_for_line("3 members; new: ");
    assert_eq!([0; 6].map(|_| ask(&one)), ["b"; 6]);
}

#[test]
fn members_that_are_found_are_checked() {
    let ill = Arc::new(AtomicBool::new(false));
    let (says, b) = (Arc::clone(&ill), member("b"));
    let a = Member::start(move |request| match request.target() {
        "/healthz" if says.load(Ordering::Relaxed) => Reply::response("503 Service Unavailable", &[], b""),
        _ => Reply::response("200 OK", &[], b"a"),
    });
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("members.toml");
    replace(&file, "members = []\n");
    let server = server(&format!(
        "discover = {{ file = {:?}, interval = \"100ms\", member = {{ hcmethod = \"get\", hcuri = \"/healthz\", \
         hcinterval = \"100ms\" }} }}",
        file.to_str().expect("a path of UTF-8")
    ));
    server.wait_for_line("no members");
    replace(&file, &members(&[&a, &b]));
    server.wait_for_line("2 members; new: ");
    let load = Load::start(&server);
    load.wait_for(&["a", "b"]);
    ill.store(true, Ordering::Relaxed);
    load.wait_for(&["b"]);
    ill.store(false, Ordering::Relaxed);
    load.wait_for(&["a", "b"]);
    load.end();
}
