//! Two configurations compared: every setting is noticed, in the words of the file, with what it takes.

mod site;

use carme_config::Applies;
use site::Site;

const APP: &str = "[apps.site]\ntarget = \"app.py\"\n";

fn lines(site: &Site, old: &str, new: &str) -> Vec<String> {
    let read = |text: &str| {
        site.toml(text)
            .unwrap_or_else(|problems| panic!("{text}\n{problems}"))
    };
    let folder = site.path().display().to_string();
    read(old)
        .changes(&read(new))
        .iter()
        .map(|change| change.to_string().replace(&folder, "SITE").replace('\\', "/"))
        .collect()
}

#[test]
fn nothing_is_different_in_the_same() {
    let site = Site::new();
    let text =
        "[server]\nlisten = [\":8000\"]\n[[access_logs]]\nfile = \"a.log\"\n[health]\n[metrics]\n[traces]\n";
    assert!(lines(&site, &format!("{text}{APP}"), &format!("{text}{APP}")).is_empty());
}

#[test]
fn each_setting_of_the_server() {
    let site = Site::new();
    for (old, new, expected) in [
        ("", "max_body = \"2GiB\"", "server.max_body: 1GiB -> 2GiB"),
        ("", "body_memory = \"1MiB\"", "server.body_memory: 256KiB -> 1MiB"),
        (
            "",
            "min_body_rate = \"1KiB/s\"",
            "server.min_body_rate: 500B/s -> 1KiB/s",
        ),
        (
            "",
            "min_send_rate = \"0B/s\"",
            "server.min_send_rate: 500B/s -> 0B/s",
        ),
        ("", "max_header = \"32KiB\"", "server.max_header: 64KiB -> 32KiB"),
        ("", "max_headers = 50", "server.max_headers: 100 -> 50"),
        ("", "max_uri = \"4KiB\"", "server.max_uri: 8190B -> 4KiB"),
        (
            "",
            "max_connections = 100",
            "server.max_connections: 16384 -> 100",
        ),
        (
            "",
            "max_connections_per_address = 9",
            "server.max_connections_per_address: none -> 9",
        ),
        (
            "",
            "response_buffer = \"1MiB\"",
            "server.response_buffer: 1GiB -> 1MiB",
        ),
        (
            "",
            "backlog = 7",
            "server.backlog: 1024 -> 7 (needs a restart of the server)",
        ),
        (
            "",
            "control = false",
            "server.control: true -> false (needs a restart of the server)",
        ),
        (
            "",
            "graceful_timeout = \"90s\"",
            "server.graceful_timeout: 30s -> 1m30s",
        ),
        (
            "",
            "keep_alive_timeout = \"5s\"",
            "server.keep_alive_timeout: 1m15s -> 5s",
        ),
        ("", "header_timeout = \"5s\"", "server.header_timeout: 30s -> 5s"),
        ("", "body_timeout = \"5s\"", "server.body_timeout: 1m -> 5s"),
        ("", "send_timeout = \"5s\"", "server.send_timeout: 1m -> 5s"),
        ("", "linger_timeout = \"5s\"", "server.linger_timeout: 2s -> 5s"),
        (
            "",
            "trusted_proxies = [\"10.0.0.0/8\"]",
            "server.trusted_proxies: 10.0.0.0/8 added",
        ),
        (
            "trusted_proxies = [\"10.0.0.0/8\"]",
            "",
            "server.trusted_proxies: 10.0.0.0/8 removed",
        ),
        ("", "error_log = \"e.log\"", "server.error_log: - -> SITE/e.log"),
        ("", "compress = true", "server.compress: changed"),
        (
            "",
            "response_headers = [{ set = \"X-A\", value = \"1\" }]",
            "server.response_headers: changed",
        ),
        (
            "",
            "variables = [{ set = \"A\", header = \"B\", matches = \"c\" }]",
            "server.variables: changed",
        ),
        (
            "",
            "request_headers = [{ remove = \"X-A\" }]",
            "server.request_headers: changed",
        ),
        (
            "listen = [\":81\"]",
            "listen = [\":81\", \":82\"]",
            "server.listen: http://0.0.0.0:82 added",
        ),
        (
            "listen = [\":81\", \":82\"]",
            "listen = [\":81\"]",
            "server.listen: http://0.0.0.0:82 removed",
        ),
    ] {
        let text = |server: &str| format!("[server]\n{server}\n{APP}");
        let found = lines(&site, &text(old), &text(new));
        // Locations have the server's policy in them.
        let found: Vec<&str> = found
            .iter()
            .map(String::as_str)
            .filter(|line| !line.starts_with("locations"))
            .collect();
        assert_eq!(found, [expected], "{old} {new}");
    }
}

#[test]
fn an_address_that_would_be_had_twice_needs_a_restart() {
    let site = Site::new();
    let text = |listen: &str| format!("[server]\nlisten = [\"{listen}\"]\n{APP}");
    assert_eq!(
        lines(&site, &text(":81"), &text("127.0.0.1:81")),
        [
            "server.listen: http://0.0.0.0:81 removed (needs a restart of the server)",
            "server.listen: http://127.0.0.1:81 added (needs a restart of the server)",
        ]
    );
}

#[test]
fn each_setting_of_an_app() {
    let site = Site::new();
    for (new, expected) in [
        ("threads = 4", "apps.site.threads: 10 -> 4 (new workers)"),
        ("workers = 3", "apps.site.workers: 2 -> 3 (new workers)"),
        ("workers = \"2-4\"", "apps.site.workers: 2 -> 2-4 (new workers)"),
        (
            "workers = { min = 2, max = 2, ttl = \"5s\" }",
            "apps.site.workers.ttl: 2m -> 5s",
        ),
        ("surge = 2", "apps.site.surge: 1 -> 2"),
        (
            "drain_timeout = \"5s\"",
            "apps.site.drain_timeout: 1m -> 5s (new workers)",
        ),
        (
            "recycle.requests = 9",
            "apps.site.recycle.requests: none -> 9 (new workers)",
        ),
        (
            "recycle.age = \"1h\"",
            "apps.site.recycle.age: none -> 1h (new workers)",
        ),
        (
            "recycle.idle = \"1h\"",
            "apps.site.recycle.idle: none -> 1h (new workers)",
        ),
        (
            "recycle.memory = \"1GiB\"",
            "apps.site.recycle.memory: none -> 1GiB (new workers)",
        ),
        (
            "recycle.jitter = 0.5",
            "apps.site.recycle.jitter: 0.1 -> 0.5 (new workers)",
        ),
        (
            "interface = \"wsgi\"",
            "apps.site.interface: auto -> wsgi (new workers)",
        ),
        (
            "switch_interval = \"1ms\"",
            "apps.site.switch_interval: 5ms -> 1ms (new workers)",
        ),
        (
            "startup_timeout = \"5s\"",
            "apps.site.startup_timeout: 1m -> 5s (new workers)",
        ),
        (
            "route = \"www_{n}\"",
            "apps.site.route: site_{n} -> www_{n} (new workers)",
        ),
        ("queue = { limit = 5 }", "apps.site.queue.limit: 1000 -> 5"),
        (
            "queue = { timeout = \"5s\" }",
            "apps.site.queue.timeout: 30s -> 5s",
        ),
        (
            "request_timeout = \"off\"",
            "apps.site.request_timeout: 1m -> off",
        ),
        ("idle_timeout = \"5s\"", "apps.site.idle_timeout: 1m -> 5s"),
        ("interrupt_grace = \"1s\"", "apps.site.interrupt_grace: 5s -> 1s"),
        ("slow_request = \"2s\"", "apps.site.slow_request: off -> 2s"),
        ("sticky = \"ROUTEID\"", "apps.site.sticky: none -> ROUTEID"),
        ("sendfile = [\"shop\"]", "apps.site.sendfile: [] -> [SITE/shop]"),
        (
            "env = { PASSWORD = \"geheim\" }",
            "apps.site.env: PASSWORD added (new workers)",
        ),
        (
            "directory = \"shop\"",
            "apps.site.directory: SITE -> SITE/shop (new workers)",
        ),
    ] {
        let workers = if new.starts_with("workers") {
            ""
        } else {
            "workers = 2\n"
        };
        let old = format!("{APP}workers = 2\n");
        let found = lines(&site, &old, &format!("{APP}{workers}{new}\n"));
        assert!(found.contains(&expected.to_owned()), "{new}: {found:?}");
    }
    let sticky = |text: &str| format!("{APP}{text}\n");
    for (old, new, expected) in [
        ("sticky = \"R\"", "sticky = \"R|r\"", "apps.site.sticky: R -> R|r"),
        ("sticky = \"R\"", "", "apps.site.sticky: R -> none"),
        (
            "sticky = \"R\"\nsticky_separator = \"off\"",
            "sticky = \"R\"",
            "apps.site.sticky_separator: off -> .",
        ),
    ] {
        assert_eq!(lines(&site, &sticky(old), &sticky(new)), [expected]);
    }
    let env = |value: &str| format!("{APP}env = {{ PASSWORD = \"{value}\" }}\n");
    let found = lines(&site, &env("geheim"), &env("secret"));
    assert_eq!(
        found,
        ["apps.site.env: PASSWORD changed (new workers)"],
        "no value is told"
    );
}

#[test]
fn apps_and_locations_come_and_go_by_their_names() {
    let site = Site::new();
    let other = "[apps.shop]\ntarget = \"shop/app.py\"\n";
    let place = |path: &str, app: &str| format!("[[locations]]\npath = \"{path}\"\napp = \"{app}\"\n");
    let fixed = |text: &str| {
        format!("[[locations]]\npath = \"/up\"\nrespond = {{ status = 200, body = \"{text}\" }}\n")
    };
    let one = format!("{APP}{}", place("/", "site"));
    let two = format!(
        "{other}{APP}{}{}{}",
        place("/", "site"),
        place("/shop/", "shop"),
        fixed("a")
    );
    assert_eq!(
        lines(&site, &one, &two),
        [
            "apps: shop added (new workers)",
            "locations: /shop added",
            "locations: /up added"
        ],
        "the other location's app has another number now, and is the same"
    );
    assert_eq!(
        lines(&site, &two, &one),
        [
            "apps: shop removed",
            "locations: /shop removed",
            "locations: /up removed"
        ]
    );
    let changed = two.replace("\"a\"", "\"b\"");
    assert_eq!(lines(&site, &two, &changed), ["locations: /up changed"]);
}

#[test]
fn logs_pages_and_traces() {
    let site = Site::new();
    site.write("lost.html", "lost");
    for (old, new, expected) in [
        (
            "[[access_logs]]\nfile = \"a.log\"",
            "[[access_logs]]\nfile = \"b.log\"",
            vec!["access_logs: SITE/a.log removed", "access_logs: SITE/b.log added"],
        ),
        (
            "[[access_logs]]\nfile = \"a.log\"",
            "[[access_logs]]\nfile = \"a.log\"\nformat = \"json\"",
            vec!["access_logs: SITE/a.log changed"],
        ),
        (
            "",
            "[error_pages]\n404 = \"lost.html\"",
            vec!["error_pages: 404 (html) added"],
        ),
        ("", "[health]", vec!["health.public: false -> true"]),
        (
            "[health]",
            "[health]\npath = \"/up\"",
            vec!["health.path: /healthz -> /up"],
        ),
        ("", "[traces]", vec!["traces: tracing added"]),
        (
            "[traces]",
            "[traces]\nsample = 0.5",
            vec!["traces.sample: 1 -> 0.5"],
        ),
        (
            "",
            "[metrics]",
            vec![
                "monitor addresses: http://127.0.0.1:9180 (health and metrics) added (needs a restart of the server)",
            ],
        ),
    ] {
        let text = |what: &str| format!("{what}\n{APP}");
        assert_eq!(lines(&site, &text(old), &text(new)), expected, "{new}");
    }
}

#[test]
fn what_it_takes_is_a_value_too() {
    let site = Site::new();
    let old = site.toml(APP).expect("sound");
    let new = site.toml(&format!("{APP}threads = 4\n")).expect("sound");
    assert_eq!(old.changes(&new)[0].applies, Applies::NewWorkers("site".into()));
}
