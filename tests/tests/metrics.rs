//! The server as those who watch it see it: health, readiness, metrics, the dashboard and the guide's list of metrics.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use carme_tests::member::{Member, Reply};
use carme_tests::prometheus::Scrape;
use carme_tests::server::repository;
use carme_tests::{Client, Response, Server, ServerBuilder, process, python, skip, wait_until};

/// The test app as `site` on port 0, with what else is written.
fn configured(settings: &str, rest: &str) -> ServerBuilder {
    let source = std::fs::read_to_string(repository("tests/apps/cases.py")).unwrap();
    serving(&source, settings, rest)
}

fn serving(source: &str, settings: &str, rest: &str) -> ServerBuilder {
    let builder = ServerBuilder::arguments(&["serve", "-c", "carme.toml"]);
    std::fs::write(builder.directory().join("app.py"), source).unwrap();
    let toml = format!(
        "access_logs = [{{ file = \"access.log\" }}]\n{}\n[apps.site]\ntarget = \"app:application\"\npython = '{}'\n{settings}\n{rest}\n",
        "[server]\nlisten = \"127.0.0.1:0\"",
        python::main().display(),
    );
    std::fs::write(builder.directory().join("carme.toml"), toml).unwrap();
    builder
}

const WATCHED: &str = "[metrics]\nlisten = \"127.0.0.1:0\"";

fn get(address: SocketAddr, path: &str) -> Response {
    let mut client = Client::connect(address).expect("it accepts");
    client
        .get(path)
        .unwrap_or_else(|error| panic!("GET {path}: {error}"))
}

fn scrape(address: SocketAddr) -> Scrape {
    let response = get(address, "/metrics");
    assert_eq!(
        response.header("content-type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    Scrape::parse(&response.text()).unwrap_or_else(|wrong| panic!("{wrong}"))
}

/// Waits until a scrape shows something; returns that scrape.
fn scrape_until(address: SocketAddr, what: &str, holds: impl Fn(&Scrape) -> bool) -> Scrape {
    let mut last = None;
    wait_until(what, || {
        last.insert(scrape(address)).0.len() > 1 && holds(last.as_ref().unwrap())
    });
    last.unwrap()
}

const WORKERS: &str = "carme_workers";

#[test]
fn a_thousand_requests_are_counted_exactly() {
    let before = SystemTime::now();
    let server = configured("workers = 2\nthreads = 2", WATCHED).start();
    let monitor = server.monitor();
    let ready = [("app", "site"), ("state", "ready")];
    scrape_until(monitor, "both workers are ready", |s| {
        s.value(WORKERS, &ready) == Some(2.0)
    });
    let clients: Vec<_> = (0..10)
        .map(|_| {
            let mut client = server.connect();
            thread::spawn(move || {
                for _ in 0..90 {
                    assert_eq!(client.get("/pid").unwrap().status(), 200);
                }
                for _ in 0..10 {
                    assert_eq!(client.get("/raises").unwrap().status(), 500);
                }
            })
        })
        .collect();
    clients.into_iter().for_each(|client| client.join().unwrap());
    let requests = "carme_http_requests_total";
    let scrape = scrape_until(monitor, "all are over", |s| {
        s.sum(requests, &[]) >= 1000.0 && s.value("carme_connections_open", &[]) == Some(0.0)
    });
    let value = |name: &str, labels: &[(&str, &str)]| scrape.value(name, labels);
    for (status, count) in [("2xx", 900.0), ("5xx", 100.0)] {
        let labels = [("app", "site"), ("status", status)];
        assert_eq!(scrape.sum(requests, &labels), count, "{status}");
        for histogram in ["duration", "queue", "worker"] {
            let name = format!("carme_http_request_{histogram}_seconds");
            assert_eq!(scrape.sum(&format!("{name}_count"), &labels), count, "{name}");
        }
        // What a worker took it took for longer than no time, and no longer than the whole.
        let [whole, worker, queue] = ["duration", "worker", "queue"]
            .map(|part| scrape.sum(&format!("carme_http_request_{part}_seconds_sum"), &labels));
        assert!(
            worker > 0.0 && queue > 0.0 && worker + queue <= whole,
            "{worker} {queue} {whole}"
        );
    }
    assert_eq!(scrape.sum(requests, &[]), 1000.0, "and nothing else");
    assert_eq!(
        value(
            "carme_app_failures_total",
            &[("app", "site"), ("cause", "app_raised")]
        ),
        Some(100.0)
    );
    assert_eq!(
        value("carme_http_error_responses_total", &[("code", "500")]),
        Some(100.0)
    );
    let sent = "GET /pid HTTP/1.1\r\nHost: test\r\n\r\n".len() * 900
        + "GET /raises HTTP/1.1\r\nHost: test\r\n\r\n".len() * 100;
    assert_eq!(
        value("carme_http_request_bytes_total", &[("app", "site")]),
        Some(sent as f64)
    );
    assert!(value("carme_http_response_bytes_total", &[("app", "site")]) > Some(100_000.0));
    assert_eq!(
        value("carme_connections_accepted_total", &[]),
        Some(10.0),
        "the watchers' are not counted"
    );
    assert_eq!(value("carme_http_requests_in_progress", &[]), Some(0.0));
    assert_eq!(value("carme_queue_length", &[("app", "site")]), Some(0.0));
    assert_eq!(value("carme_queue_limit", &[("app", "site")]), Some(1000.0));
    assert_eq!(scrape.sum("carme_worker_restarts_total", &[]), 0.0);
    for route in ["site_1", "site_2"] {
        assert!(scrape.sum(requests, &[("route", route)]) > 0.0, "{route}");
        let memory = value(
            "carme_worker_resident_memory_bytes",
            &[("app", "site"), ("route", route)],
        );
        assert!(memory > Some(4e6) && memory < Some(1e9), "{route}: {memory:?}");
    }
    assert!(value("process_resident_memory_bytes", &[]) > Some(1e6));
    let started = value("process_start_time_seconds", &[]).unwrap();
    let earliest = before
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
        .as_secs_f64();
    assert!(
        started >= earliest && started < earliest + 600.0,
        "{started} {earliest}"
    );
    assert_eq!(
        scrape.sum("carme_build_info", &[("version", env!("CARGO_PKG_VERSION"))]),
        1.0
    );
    assert_eq!(scrape.sum("carme_log_lines_lost_total", &[]), 0.0);
    scrape_until(monitor, "a thousand lines are written", |s| {
        s.value("carme_log_lines_written_total", &[("log", "access")]) == Some(1000.0)
    });
}

#[test]
fn a_killed_worker_is_a_restart() {
    let server = configured("workers = 1", WATCHED).start();
    let monitor = server.monitor();
    let pid: u32 = server.get("/pid").text().parse().unwrap();
    process::kill(pid);
    let cause = if cfg!(unix) { "signal" } else { "exited" };
    let restarts = |s: &Scrape, cause: &str| {
        let labels = [("app", "site"), ("route", "site_1"), ("cause", cause)];
        s.value("carme_worker_restarts_total", &labels)
    };
    let scrape = scrape_until(monitor, "the replacement is ready", |s| {
        restarts(s, cause) == Some(1.0)
            && s.value(WORKERS, &[("app", "site"), ("state", "ready")]) == Some(1.0)
    });
    assert_eq!(scrape.sum("carme_worker_restarts_total", &[]), 1.0);
    assert_eq!(restarts(&scrape, "import_failed"), Some(0.0));
}

#[test]
fn threads_that_wait_for_the_gil_say_how_long() {
    let server = configured("workers = 1\nthreads = 2", WATCHED).start();
    let waited = |s: &Scrape| {
        s.value(
            "carme_worker_gil_wait_seconds_total",
            &[("app", "site"), ("route", "site_1")],
        )
    };
    let before = waited(&scrape(server.monitor())).expect("the worker is listed");
    let mut burning = server.connect();
    burning
        .send("GET /burn?1 HTTP/1.1\r\nHost: test\r\n\r\n")
        .unwrap();
    let burns = |s: &Scrape| s.value("carme_app_requests_in_flight", &[("app", "site")]) == Some(1.0);
    scrape_until(server.monitor(), "the worker has it", burns);
    // The second thread is called while the first one computes: the lock comes after the switch interval, 5 ms.
    // Asked again, as a request that is taken need not compute yet.
    let waits = |s: &Scrape| {
        server.get("/pid");
        waited(s).expect("the worker is listed") - before >= 0.001
    };
    scrape_until(server.monitor(), "a thread waits for the lock", waits);
    burning.response("GET").unwrap();
}

#[test]
fn connections_beyond_an_addresss_limit_are_counted() {
    let server = configured("workers = 1", WATCHED);
    let path = server.directory().join("carme.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(
        &path,
        text.replace("[server]\n", "[server]\nmax_connections_per_address = 1\n"),
    )
    .unwrap();
    let server = server.start();
    let mut first = server.connect();
    assert_eq!(first.get("/pid").unwrap().status(), 200);
    assert_eq!(server.connect().response("GET").unwrap().status(), 503);
    let scrape = scrape(server.monitor());
    assert_eq!(scrape.value("carme_connections_refused_total", &[]), Some(1.0));
    assert_eq!(
        scrape.value("carme_tls_handshakes_total", &[("outcome", "full")]),
        Some(0.0)
    );
}

#[test]
fn while_every_worker_is_stuck_the_front_still_answers_for_itself() {
    let settings = "workers = 1\nthreads = 1\nqueue = { limit = 2, timeout = \"30s\" }";
    let server = configured(
        settings,
        "[health]\npublic = true\n[metrics]\nlisten = \"127.0.0.1:0\"",
    )
    .start();
    let monitor = server.monitor();
    let slow = || {
        let mut client = server.connect();
        client.send("GET /slow?4 HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
        client
    };
    let site = [("app", "site")];
    let mut busy = slow();
    let in_flight = |s: &Scrape| s.value("carme_app_requests_in_flight", &site) == Some(1.0);
    scrape_until(monitor, "the worker has taken one", in_flight);
    let _waiting = [slow(), slow()];
    let full = scrape_until(monitor, "two wait", |s| {
        s.value("carme_queue_length", &site) == Some(2.0)
    });
    assert!(in_flight(&full));
    assert_eq!(server.get("/pid").status(), 503);
    let begun = Instant::now();
    for address in [server.address, monitor] {
        for page in ["/healthz", "/readyz", "/readyz/site"] {
            assert_eq!(get(address, page).status(), 200, "{page}");
        }
    }
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    let scrape = scrape(monitor);
    let refused = [("app", "site"), ("cause", "queue_full")];
    assert_eq!(scrape.value("carme_app_failures_total", &refused), Some(1.0));
    assert_eq!(
        scrape.value("carme_http_error_responses_total", &[("code", "503")]),
        Some(1.0)
    );
    assert_eq!(scrape.value("carme_http_requests_in_progress", &[]), Some(3.0));
    // It was taken by no worker, so it has no route.
    let untaken = [("app", "site"), ("status", "5xx")];
    assert_eq!(scrape.value("carme_http_requests_total", &untaken), Some(1.0));
    assert_eq!(busy.response("GET").unwrap().status(), 200);
}

#[test]
fn ready_is_who_has_a_worker_that_is() {
    let builder = serving(
        "import gate\nfrom cases import application\n",
        "workers = 1",
        WATCHED,
    );
    let folder = builder.directory().to_owned();
    let cases = std::fs::read_to_string(repository("tests/apps/cases.py")).unwrap();
    std::fs::write(folder.join("cases.py"), cases).unwrap();
    // Imported when the file says so.
    let gate = "import os, time\nwhile not os.path.exists('open'):\n    time.sleep(0.02)\nassert os.path.getsize('open') == 0\n";
    std::fs::write(folder.join("gate.py"), gate).unwrap();
    let server = builder.start_watched();
    let monitor = server.address;
    let page = |path: &str| {
        let response = get(monitor, path);
        (response.status(), response.text())
    };
    assert_eq!(page("/healthz"), (200, "ok\n".to_owned()));
    let starting = "not ready\nsite: 0 of 1 workers ready, 1 starting\n".to_owned();
    assert_eq!(page("/readyz"), (503, starting.clone()));
    assert_eq!(page("/readyz/site"), (503, starting));
    assert_eq!(page("/readyz/shop").0, 404);
    assert_eq!(page("/").0, 404, "there is nothing else");

    // The import fails.
    std::fs::write(folder.join("open"), "no").unwrap();
    let failed = "not ready\nsite: 0 of 1 workers ready, 1 failed\n";
    wait_until("the app has failed", || {
        page("/readyz") == (503, failed.to_owned())
    });
    assert_eq!(page("/healthz").0, 200);
    let failures = [("app", "site"), ("route", "site_1"), ("cause", "import_failed")];
    assert!(scrape(monitor).value("carme_worker_restarts_total", &failures) >= Some(1.0));

    std::fs::write(folder.join("open"), "").unwrap();
    wait_until("the app is ready", || {
        page("/readyz") == (200, "ready\nsite: 1 of 1 workers ready\n".to_owned())
    });
    let mut client = Client::connect(monitor).unwrap();
    client
        .send("GET /readyz HTTP/1.1\r\nHost: test\r\nAccept: application/json\r\n\r\n")
        .unwrap();
    let response = client.response("GET").unwrap();
    assert_eq!(response.header("content-type"), Some("application/json"));
    let json: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
    assert_eq!(json["status"], "ready");
    assert_eq!(json["apps"]["site"]["ready_workers"], 1);
}

#[test]
fn pages_are_public_only_where_they_were_made_so() {
    let cases = |settings: &str| configured("workers = 1", settings).start();
    let statuses = |server: &Server| {
        ["/healthz", "/readyz", "/readyz/site", "/metrics"].map(|path| server.get(path).status())
    };
    assert_eq!(statuses(&cases("")), [404; 4]);
    assert_eq!(statuses(&cases("[health]")), [200, 200, 200, 404]);
    let server = cases("[health]\npath = \"/live\"\n[metrics]\npublic = true\npath = \"/-/metrics\"");
    assert_eq!(statuses(&server), [404, 200, 200, 404]);
    assert_eq!(server.get("/live").status(), 200);
    let text = server.get("/-/metrics").text();
    let scrape = Scrape::parse(&text).unwrap_or_else(|wrong| panic!("{wrong}"));
    assert_eq!(
        scrape.value("carme_http_requests_total", &[("status", "2xx")]),
        Some(3.0)
    );
}

#[cfg(unix)]
#[test]
fn a_server_that_stops_says_so_until_its_end() {
    let mut server = configured("workers = 1", WATCHED).start();
    let monitor = server.monitor();
    let mut busy = server.connect();
    busy.send("GET /slow?2 HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
    scrape_until(monitor, "it is in flight", |s| {
        s.value("carme_app_requests_in_flight", &[("app", "site")]) == Some(1.0)
    });
    assert_eq!(get(monitor, "/healthz").status(), 200);
    process::terminate(server.pid());
    server.wait_for_line("stopping after");
    for page in ["/healthz", "/readyz"] {
        wait_until("it is known", || get(monitor, page).status() == 503);
        assert!(get(monitor, page).text().starts_with("stopping\n"));
    }
    assert_eq!(
        scrape(monitor).value("carme_http_requests_in_progress", &[]),
        Some(1.0)
    );
    assert_eq!(
        busy.response("GET").unwrap().status(),
        200,
        "and it still gets its answer"
    );
    assert!(server.wait().success());
}

#[test]
fn members_of_a_balancer_are_counted() {
    let mut members =
        ["one", "two"].map(|name| Member::start(move |_| Reply::response("200 OK", &[], name.as_bytes())));
    let [one, two] = [0, 1].map(|at: usize| format!("http://{}", members[at].address));
    let builder = ServerBuilder::arguments(&["serve", "-c", "carme.toml"]);
    let toml = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n{WATCHED}\n[balancers.cluster]\n\
         method = \"byrequests\"\nmembers = [{{ url = \"{one}\", route = \"www_1\" }}, {{ url = \"{two}\" }}]\n\
         [[locations]]\npath = \"/\"\nbalancer = \"cluster\"\n"
    );
    std::fs::write(builder.directory().join("carme.toml"), toml).unwrap();
    let server = builder.start();
    for _ in 0..4 {
        assert_eq!(server.get("/").status(), 200);
    }
    let monitor = server.monitor();
    let is = |name: &str, labels: &[(&str, &str)], value: f64| {
        let found = scrape(monitor).value(name, labels);
        assert_eq!(found, Some(value), "{name} {labels:?}");
    };
    let first = [
        ("balancer", "cluster"),
        ("member", one.as_str()),
        ("route", "www_1"),
    ];
    let second = [("balancer", "cluster"), ("member", two.as_str())];
    let balancer = [("balancer", "cluster")];
    for labels in [&first[..], &second[..]] {
        is("carme_member_requests_total", labels, 2.0);
        is("carme_member_up", labels, 1.0);
        is("carme_member_failures_total", labels, 0.0);
        is("carme_member_requests_in_flight", labels, 0.0);
        is("carme_member_idle_connections", labels, 1.0);
        assert!(scrape(monitor).value("carme_member_sent_bytes_total", labels) > Some(50.0));
        assert!(scrape(monitor).value("carme_member_received_bytes_total", labels) >= Some(6.0));
    }
    let waited = scrape(monitor);
    assert_eq!(
        waited.value("carme_balancer_queue_seconds_count", &balancer),
        Some(4.0)
    );
    is("carme_balancer_queue_length", &balancer, 0.0);
    is("carme_balancer_queue_limit", &balancer, 1000.0);
    is("carme_balancer_refused_total", &balancer, 0.0);
    is(
        "carme_http_requests_total",
        &[("balancer", "cluster"), ("status", "2xx")],
        4.0,
    );
    assert!(scrape(monitor).value("carme_http_response_bytes_total", &balancer) > Some(100.0));
    members[0].die();
    assert_eq!(server.get("/").text(), "two", "it is tried on the other");
    is("carme_member_up", &first, 0.0);
    is("carme_member_failures_total", &first, 1.0);
    is(
        "carme_balancer_members",
        &[("balancer", "cluster"), ("state", "ready")],
        1.0,
    );
    is(
        "carme_balancer_members",
        &[("balancer", "cluster"), ("state", "error")],
        1.0,
    );
}

/// Every family with all the labels that it can have, from a server that has answered something.
fn live() -> (Server, String, Scrape) {
    let balancer = "[balancers.far]\n[[balancers.far.members]]\nurl = \"http://127.0.0.1:9\"\nroute = \"far_1\"\n\
                    [[locations]]\npath = \"/far\"\nbalancer = \"far\"\n[[locations]]\npath = \"/\"\napp = \"site\"";
    let server = configured("workers = 1", &format!("{WATCHED}\n{balancer}")).start();
    assert_eq!(server.get("/pid").status(), 200);
    assert_eq!(server.get("/raises").status(), 500);
    // Nobody is there.
    assert_eq!(server.get("/far").status(), 502);
    let monitor = server.monitor();
    scrape_until(monitor, "all are counted", |s| {
        s.sum("carme_http_requests_total", &[]) == 3.0
    });
    let text = get(monitor, "/metrics").text();
    let scrape = Scrape::parse(&text).unwrap();
    (server, text, scrape)
}

fn labels(scrape: &Scrape, family: &str) -> BTreeSet<String> {
    let samples = &scrape.0[family].samples;
    let labels = samples.iter().flat_map(|(_, labels, _)| labels.keys().cloned());
    labels.filter(|label| label != "le").collect()
}

#[test]
fn the_guide_lists_every_metric_with_its_type_and_labels() {
    let (_server, _, scrape) = live();
    let guide = std::fs::read_to_string(repository("docs/src/metrics.md")).unwrap();
    let mut listed = BTreeSet::new();
    for row in guide.lines().filter_map(|line| line.strip_prefix("| `")) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let [name, kind, written, ..] = cells[..] else {
            continue;
        };
        let name = name.trim_end_matches('`');
        if !name.starts_with("carme_") && !name.starts_with("process_") {
            continue;
        }
        let family = scrape
            .0
            .get(name)
            .unwrap_or_else(|| panic!("the server has no {name}"));
        assert_eq!(family.kind, kind, "{name}");
        let written: BTreeSet<String> = written
            .split(',')
            .map(|label| label.trim().trim_matches('`').to_owned())
            .filter(|label| !label.is_empty())
            .collect();
        assert_eq!(labels(&scrape, name), written, "{name}");
        listed.insert(name.to_owned());
    }
    let served: BTreeSet<String> = scrape.0.keys().cloned().collect();
    assert_eq!(listed, served);
}

#[test]
fn the_dashboard_asks_for_nothing_that_is_not_there() {
    let (_server, _, scrape) = live();
    let text = std::fs::read_to_string(repository("docs/grafana/carme.json")).unwrap();
    let dashboard: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut expressions = Vec::new();
    collect(&dashboard, &mut expressions);
    assert!(expressions.len() > 10, "{expressions:?}");
    let mut asked = BTreeSet::new();
    for expression in expressions {
        let mut metrics = Vec::new();
        for word in words(&expression) {
            if word.starts_with("carme_") || word.starts_with("process_") {
                let family = ["_bucket", "_sum", "_count"]
                    .iter()
                    .find_map(|suffix| word.strip_suffix(suffix))
                    .unwrap_or(word);
                assert!(scrape.0.contains_key(family), "{word} in {expression}");
                metrics.push(family);
            }
        }
        assert!(!metrics.is_empty(), "{expression}");
        asked.extend(metrics.iter().map(|family| (*family).to_owned()));
        let known: BTreeSet<String> = metrics
            .iter()
            .flat_map(|family| labels(&scrape, family))
            .collect();
        for label in grouped(&expression) {
            assert!(
                label == "le" || known.contains(&label),
                "{label} in {expression}: {known:?}"
            );
        }
    }
    let is_of_balancers =
        |name: &&String| name.starts_with("carme_balancer_") || name.starts_with("carme_member_");
    for name in scrape.0.keys().filter(is_of_balancers) {
        assert!(asked.contains(name), "nobody sees {name}");
    }
}

fn words(expression: &str) -> impl Iterator<Item = &str> {
    expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
}

/// The labels that an expression groups by or selects with.
fn grouped(expression: &str) -> Vec<String> {
    let by = expression
        .split("by (")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .flat_map(|inside| inside.split(','))
        .map(|label| label.trim().to_owned());
    let selected = expression
        .split('{')
        .skip(1)
        .filter_map(|rest| rest.split('}').next())
        .flat_map(|inside| inside.split("\","))
        .filter_map(|matcher| words(matcher.trim()).next())
        .map(str::to_owned);
    by.chain(selected)
        .filter(|label| !label.is_empty() && label != "job" && label != "instance")
        .collect()
}

/// Every `expr` of a dashboard, and every query of its variables.
fn collect(value: &serde_json::Value, found: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(fields) => {
            for (name, value) in fields {
                match value.as_str() {
                    Some(expression) if name == "expr" || name == "definition" => {
                        found.push(expression.to_owned())
                    }
                    _ => collect(value, found),
                }
            }
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        _ => {}
    }
}

/// Prometheus' own opinion, where its program is.
#[test]
fn promtool_has_nothing_to_say() {
    use std::io::Write;

    let (_server, text, _) = live();
    let program = std::env::var_os("CARME_TEST_PROMTOOL").unwrap_or_else(|| "promtool".into());
    let promtool = Command::new(program)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut promtool) = promtool else {
        return skip::missing("promtool is not installed (it comes with Debian's package prometheus)");
    };
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.trim().is_empty(), "{said}");
}
