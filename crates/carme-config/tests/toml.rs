//! `carme.toml`: what a right one means, and what each kind of mistake is told.

mod site;

use std::num::NonZeroU64;
use std::path::Path;
use std::time::Duration;

use carme_config::{
    Answer, AppTimeouts, Bind, ByteSize, ClientHeader, Config, ForwardedFields, Interface, LogOutput, Markup,
    Origin, Proxies, Recycle, TrustedProxy, Workers, defaults,
};
use site::Site;

const FULL: &str = r#"
[server]
listen = ["127.0.0.1:8080", "[::1]:0"]
graceful_timeout = "0s"
keep_alive_timeout = "5s"
header_timeout = "10s"
body_timeout = "1m"
min_body_rate = "1KiB/s"
send_timeout = "40s"
min_send_rate = "2KiB/s"
linger_timeout = "0s"
max_body = "10MiB"
body_memory = "64KiB"
max_header = "32KiB"
max_headers = 50
max_uri = "4KiB"
max_connections = 500
max_connections_per_address = 20
response_buffer = "100MiB"
backlog = 128
trusted_proxies = ["10.0.0.0/8", "unix"]
forwarded = "forwarded"
forwarded_fields = ["proto"]
proxy_protocol = true
error_log = "error.log"
control = false

[apps.site]
target = "app:application"
directory = "."
python = ".venv"
interface = "wsgi"
workers = 3
threads = 4
switch_interval = "2ms"
startup_timeout = "2m"
drain_timeout = "5m"
surge = 2
recycle = { requests = 1000, age = "1d", jitter = 0, memory = "512MiB", idle = "30m" }
queue = { limit = 50, timeout = "5s" }
request_timeout = "off"
idle_timeout = "90s"
interrupt_grace = "0s"
slow_request = "2s"
route = "www_{n}"
env_files = ["site.env"]

[apps.site.env]
MODE = "production"

[apps.shop]
target = "shop/app.py"

[[locations]]
path = "/"
app = "site"
[[locations]]
path = "/shop/"
app = "shop"

[[access_logs]]
file = "access.log"
format = "combined"
[[access_logs]]
file = "-"
format = "%h %>s"

[error_pages]
404 = "404.html"
5xx = "pages/down.txt"
"#;

#[test]
fn a_full_file() {
    let site = Site::new();
    site.write("site.env", "MODE=test\nexport KEY='a b'\n");
    site.write("404.html", "<p>{status}");
    site.write("pages/down.txt", "{reason}");
    let config = site.toml(FULL).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(config.server.listen.len(), 2);
    assert_eq!(
        config.server.listen[1],
        Bind::Tcp("[::1]:0".parse().expect("an address"))
    );
    assert_eq!(config.server.timeouts.graceful, Duration::ZERO);
    assert_eq!(config.server.timeouts.body, Duration::from_secs(60));
    assert_eq!(config.server.limits.body, ByteSize::mib(10));
    assert_eq!(config.server.limits.backlog.get(), 128);
    assert!(!config.server.control);
    let expected = Proxies {
        trusted: vec![
            TrustedProxy::Network("10.0.0.0/8".parse().expect("a network")),
            TrustedProxy::Unix,
        ],
        header: ClientHeader::Forwarded,
        fields: ForwardedFields {
            proto: true,
            host: false,
            port: false,
        },
        protocol: true,
        ..Proxies::default()
    };
    assert_eq!(config.server.proxies, expected);
    let (limits, timeouts) = (&config.server.limits, &config.server.timeouts);
    assert_eq!(limits.body_rate.as_u64(), 1024);
    assert_eq!(limits.send_rate.as_u64(), 2048);
    assert_eq!((limits.headers.get(), limits.uri), (50, ByteSize::kib(4)));
    assert_eq!(limits.connections.get(), 500);
    assert_eq!(limits.connections_per_address.map(usize::from), Some(20));
    assert_eq!(
        (timeouts.send, timeouts.linger),
        (Duration::from_secs(40), Duration::ZERO)
    );
    let pages: Vec<_> = config
        .error_pages
        .iter()
        .map(|page| (page.answers.to_string(), page.markup, page.text.as_str()))
        .collect();
    assert_eq!(
        pages,
        [
            ("404".to_owned(), Markup::Html, "<p>{status}"),
            ("5xx".to_owned(), Markup::Plain, "{reason}")
        ]
    );
    assert_eq!(
        config.server.error_log,
        LogOutput::File(site.path().join("error.log"))
    );

    let [www, shop] = config.apps.as_slice() else {
        panic!("two apps: {config:?}")
    };
    assert_eq!(
        (www.name.as_str(), www.target.to_string().as_str()),
        ("site", "app:application")
    );
    assert_eq!(www.directory, site.path());
    assert_eq!(
        (www.python.path.as_path(), www.python.origin),
        (site.python().as_path(), Origin::Named)
    );
    assert_eq!(www.interface, Interface::Wsgi);
    assert_eq!((www.workers.max.get(), www.threads.get()), (3, 4));
    assert_eq!(www.switch_interval, Duration::from_millis(2));
    assert_eq!(
        (www.drain_timeout, www.surge.get()),
        (Duration::from_secs(300), 2)
    );
    let recycle = Recycle {
        requests: NonZeroU64::new(1000),
        age: Some(Duration::from_secs(86_400)),
        jitter: 0.0,
        memory: Some(ByteSize::mib(512)),
        idle: Some(Duration::from_secs(1800)),
    };
    assert_eq!(www.recycle, recycle);
    assert_eq!(
        (www.queue.limit.get(), www.queue.timeout),
        (50, Duration::from_secs(5))
    );
    let timeouts = AppTimeouts {
        request: None,
        idle: Some(Duration::from_secs(90)),
        interrupt_grace: Duration::ZERO,
        slow: Some(Duration::from_secs(2)),
    };
    assert_eq!(www.timeouts, timeouts);
    assert_eq!(www.route.route(3), "www_3");
    let env: Vec<_> = www
        .env
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect();
    assert_eq!(env, [("KEY", "a b"), ("MODE", "production")]);

    assert_eq!(shop.target.to_string(), "app");
    assert_eq!(shop.target.import_root, site.path().join("shop"));
    assert_eq!(shop.directory, site.path().join("shop"));
    assert_eq!(shop.python.origin, Origin::ProjectEnvironment);
    assert_eq!(
        (shop.threads, shop.queue.limit),
        (defaults::THREADS, defaults::QUEUE_LIMIT)
    );
    assert_eq!(shop.timeouts, AppTimeouts::default());
    assert_eq!(shop.route.to_string(), "shop_{n}");

    let app_for = |path: &[u8]| {
        config
            .location("any", path)
            .map(|location| location.answer.clone())
    };
    assert_eq!(app_for(b"/shop/cart"), Some(Answer::App(1)));
    assert_eq!(app_for(b"/shopping"), Some(Answer::App(0)));
    let logs: Vec<_> = config.access_logs.iter().map(|log| log.format.as_str()).collect();
    assert_eq!(logs, ["combined", "%h %>s"]);
}

#[test]
fn the_least_file() {
    let site = Site::new();
    let config = site
        .toml("[apps.site]\ntarget = \"app.py\"")
        .unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(config.server.listen, [Bind::Tcp(defaults::LISTEN)]);
    assert_eq!(config.server.limits.body_memory, defaults::BODY_MEMORY);
    assert_eq!(config.server.limits.connections_per_address, None);
    assert_eq!(config.error_pages, []);
    assert_eq!(config.apps[0].workers, Workers::fixed(defaults::workers()));
    assert_eq!(
        config
            .location("any", b"/any")
            .map(|location| location.answer.clone()),
        Some(Answer::App(0))
    );
    assert_eq!(config.access_logs, [carme_config::AccessLog::default()]);
    let none = site
        .toml("access_logs = []\n[apps.site]\ntarget = \"app.py\"")
        .expect("it is right");
    assert_eq!(none.access_logs, []);
}

/// One mistake in a file that is right otherwise: `[server]` is line 1, the app's settings begin at line 11.
#[test]
fn a_replaced_worker_has_as_long_as_a_request_may_take() {
    let site = Site::new();
    for (app, seconds) in [
        ("", 60),
        ("request_timeout = \"10s\"", 60),
        ("request_timeout = \"10m\"", 600),
        ("request_timeout = \"off\"", 3600),
        ("request_timeout = \"10m\"\ndrain_timeout = \"5s\"", 5),
    ] {
        let settings = format!("target = \"app.py\"\n{app}");
        let config = with(&site, "", &settings, "").unwrap_or_else(|problems| panic!("{problems}"));
        assert_eq!(
            config.apps[0].drain_timeout,
            Duration::from_secs(seconds),
            "{app}"
        );
    }
}

fn with(site: &Site, server: &str, app: &str, rest: &str) -> Result<Config, carme_config::Problems> {
    site.toml(&format!(
        "[server]\n{server}\n\n\n\n\n\n\n\n[apps.site]\n{app}\n\n\n\n\n\n\n\n\n\n{rest}\n"
    ))
}

#[test]
fn each_kind_of_mistake() {
    const TARGET: &str = "target = \"app.py\"";
    let site = Site::new();
    site.write("wrong.env", "A=1\nB\n");
    site.write("text", "");
    site.write("errors/404.html", "");
    site.write("errors/large.html", &"x".repeat(65_537));
    site.write("errors/slip.html", "<p>\n{reqest_id}");
    std::fs::write(site.path().join("errors/latin.html"), b"caf\xe9").expect("written");
    let server = |text: &str| with(&site, text, TARGET, "");
    let app = |text: &str| with(&site, "", &format!("{text}\n{TARGET}"), "");
    let target = |text: &str| with(&site, "", text, "");
    let rest = |text: &str| with(&site, "", TARGET, text);
    let mut failures = Vec::new();
    const SERVER_KEYS: &str = "[server] knows: listen, graceful_timeout, keep_alive_timeout, header_timeout, \
                               body_timeout, min_body_rate, send_timeout, min_send_rate, linger_timeout, max_body, body_memory, \
                               max_header, max_headers, max_uri, max_connections, max_connections_per_address, \
                               response_buffer, backlog, compress, variables, request_headers, response_headers, trusted_proxies, forwarded, forwarded_fields, proxy_protocol, \
                               error_log, error_log_rotate, control, state_directory";
    const APP_KEYS: &str = "[apps.site] knows: target, directory, python, interface, workers, surge, threads, \
                            switch_interval, startup_timeout, drain_timeout, user, group, recycle, queue, request_timeout, \
                            idle_timeout, interrupt_grace, slow_request, route, sticky, sticky_separator, env, env_files, sendfile";
    for (result, expected) in [
        // Keys.
        (server("lisen = []"), format!("carme.toml:2:1: unknown key `lisen` in [server] | help: did you mean `listen`? {SERVER_KEYS}")),
        (server("threads = 4"), format!("carme.toml:2:1: unknown key `threads` in [server] | help: `threads` belongs into [apps.NAME]; {SERVER_KEYS}")),
        (server("colour = 4"), format!("carme.toml:2:1: unknown key `colour` in [server] | help: {SERVER_KEYS}")),
        (server("http2 = \"x\""), "carme.toml:2:1: `http2` in [server] is not available yet in this version of Carme".into()),
        (app("  wrokers = 4"), format!("carme.toml:11:3: unknown key `wrokers` in [apps.site] | help: did you mean `workers`? {APP_KEYS}")),
        (app("request_timeout = \"none\""), "carme.toml:11:19: `request_timeout` must be a duration such as \"30s\" or \"500ms\", found \"none\" | help: write \"off\" for no limit".into()),
        (app("slow_request = 5"), "carme.toml:11:16: `slow_request` must be a string, found the number 5 | help: say the unit: \"5s\" or \"5ms\"".into()),
        (app("queue = { limits = 4 }"), "carme.toml:11:11: unknown key `limits` in [apps.site.queue] | help: did you mean `limit`? [apps.site.queue] knows: limit, timeout".into()),
        (rest("[sever]"), "carme.toml:21:2: unknown key `sever` in the top of the file | help: did you mean `server`? the top of the file knows: server, tls, apps, balancers, locations, access_logs, error_pages, health, metrics, traces".into()),
        // Types.
        (server("listen = 8000"), "carme.toml:2:10: `listen` must be a string, found the number 8000 | help: write \"127.0.0.1:8000\" for this machine alone, \"0.0.0.0:8000\" for everybody".into()),
        (server("listen = [\"127.0.0.1:0\", true]"), "carme.toml:2:26: `listen` must be a string, found true".into()),
        (server("header_timeout = 30"), "carme.toml:2:18: `header_timeout` must be a string, found the number 30 | help: say the unit: \"30s\" or \"30ms\"".into()),
        (server("max_body = 1_000"), "carme.toml:2:12: `max_body` must be a string, found the number 1000 | help: say the unit: \"1000B\", \"1000KiB\" or \"1000MiB\"".into()),
        (app("threads = \"4\""), "carme.toml:11:11: `threads` must be a whole number from 1 to 1024, found the string \"4\" | help: write 4 without quotes".into()),
        (app("threads = 1.5"), "carme.toml:11:11: `threads` must be a whole number from 1 to 1024, found the number 1.5".into()),
        (app("threads = []"), "carme.toml:11:11: `threads` must be a whole number from 1 to 1024, found a list".into()),
        (app("queue = 100"), "carme.toml:11:9: `queue` must be a table, found the number 100 | help: it has the keys limit, timeout".into()),
        (app("env = { PORT = 80 }"), "carme.toml:11:16: `PORT` must be a string, found the number 80 | help: write it in quotes: \"80\"".into()),
        (app("env = \"A=1\""), "carme.toml:11:7: `env` must be a table, found the string \"A=1\"".into()),
        (target("target = 5"), "carme.toml:11:10: `target` must be a string, found the number 5 | help: write it in quotes: \"5\"".into()),
        (rest("[locations]\npath = \"/\""), "carme.toml:21:1: `locations` must be a list of tables, found a table | help: begin each with [[locations]]".into()),
        // Values.
        (server("listen = []"), "carme.toml:2:10: `listen` must have an address, found an empty list | help: write [\"127.0.0.1:8000\"], or leave it out".into()),
        (server("listen = [\":80\", \"0.0.0.0:80\"]"), "carme.toml:2:18: `listen` has http://0.0.0.0:80 twice".into()),
        (server("header_timeout = \"0s\""), "carme.toml:2:18: `header_timeout` must be longer than nothing, found \"0s\"".into()),
        (server("max_header = \"2MiB\""), "carme.toml:2:14: `max_header` must be a size from 1KiB to 1MiB, found 2MiB".into()),
        (server("max_uri = \"1MiB\""), "carme.toml:2:11: `max_uri` must be a size from 64B to 65000B, found 1MiB".into()),
        (server("max_headers = 5000"), "carme.toml:2:15: `max_headers` must be a whole number from 1 to 1000, found 5000".into()),
        (server("max_connections_per_address = 0"), "carme.toml:2:31: `max_connections_per_address` must be a whole number from 1 to 1000000, found 0".into()),
        (server("min_body_rate = 500"), "carme.toml:2:17: `min_body_rate` must be a string, found the number 500 | help: write bytes a second, such as \"500B/s\" or \"1KiB/s\"".into()),
        (server("min_body_rate = \"500B\""), "carme.toml:2:17: `min_body_rate` must be a rate such as \"500B/s\", found \"500B\" | help: write \"500B/s\"".into()),
        (server("min_send_rate = \"500\""), "carme.toml:2:17: `min_send_rate` must be a rate such as \"500B/s\", found \"500\" | help: write bytes a second, such as \"500B/s\" or \"1KiB/s\"".into()),
        (server("send_timeout = \"0s\""), "carme.toml:2:16: `send_timeout` must be longer than nothing, found \"0s\"".into()),
        (rest("[error_pages]\n200 = \"errors/404.html\""), "carme.toml:22:1: `200` must be a status such as 404, or 4xx or 5xx, found \"200\"".into()),
        (rest("[error_pages]\n404 = \"errors/405.html\""), "carme.toml:22:7: `404` names a file that does not exist: SITE/errors/405.html | help: did you mean SITE/errors/404.html?".into()),
        (rest("[error_pages]\n404 = \"errors\""), "carme.toml:22:7: `404` must be a file whose name ends in .html, .htm or .txt, found \"errors\"".into()),
        (rest("[error_pages]\n404 = 404"), "carme.toml:22:7: `404` must be a string, found the number 404 | help: write it in quotes: \"404\"".into()),
        (rest("[error_pages]\n4xx = \"errors/large.html\""), "carme.toml:22:7: `4xx` names a file of more than 64KiB: SITE/errors/large.html | help: let the page refer to large parts, which a location serves".into()),
        (rest("[error_pages]\n4xx = \"errors/latin.html\""), "carme.toml:22:7: `4xx` names a file that is not UTF-8 text: SITE/errors/latin.html".into()),
        (rest("[error_pages]\n4xx = \"errors/slip.html\""), "carme.toml:22:7: `4xx` names SITE/errors/slip.html, which has the unknown variable {reqest_id} in line 2 | help: did you mean `request_id`?".into()),
        (site.toml("error_pages = \"errors\"\n[apps.site]\ntarget = \"app.py\""), "carme.toml:1:15: `error_pages` must be a table, found the string \"errors\"".into()),
        (server("control = \"off\""), "carme.toml:2:11: `control` must be true or false, found the string \"off\"".into()),
        (server("backlog = 0"), "carme.toml:2:11: `backlog` must be a whole number from 1 to 65535, found 0".into()),
        (server("backlog = 99999999999999999999999999999999999999999999"), "carme.toml:2:11: `backlog` must be a whole number from 1 to 65535, found 170141183460469231731687303715884105727".into()),
        (server("trusted_proxies = [\"10.0.0.0/8\", \"10.0.0.1/8\"]"), "carme.toml:2:34: `trusted_proxies` has bits set behind its prefix, found \"10.0.0.1/8\" | help: write \"10.0.0.0/8\" for the whole network, or \"10.0.0.1\" for this address alone".into()),
        (server("trusted_proxies = [\"10.0.0.1\", \"10.0.0.1/32\"]"), "carme.toml:2:32: `trusted_proxies` has the same twice".into()),
        (server("forwarded = \"x-forwarded-by\""), "carme.toml:2:13: `forwarded` must be \"x-forwarded-for\", \"forwarded\" or \"x-real-ip\", found \"x-forwarded-by\" | help: did you mean `x-forwarded-for`?".into()),
        (server("forwarded_fields = [\"X-Forwarded-Proto\"]"), "carme.toml:2:21: `forwarded_fields` must be \"proto\", \"host\" or \"port\", found \"X-Forwarded-Proto\" | help: did you mean `proto`?".into()),
        (server("forwarded_fields = [\"host\", \"host\"]"), "carme.toml:2:29: `forwarded_fields` has \"host\" twice".into()),
        (server("proxy_protocol = \"on\""), "carme.toml:2:18: `proxy_protocol` must be true or false, found the string \"on\"".into()),
        (server("proxy_protocol = true"), "carme.toml:2:18: `proxy_protocol` is on, and nobody may speak it | help: name the proxies: trusted_proxies = [\"10.0.0.0/8\"]".into()),
        (server("listen = [{ proxy_protocol = true }]"), "carme.toml:2:11: `listen` has a table without `address` | help: write { address = \"127.0.0.1:8000\" }".into()),
        (server("listen = [\"127.0.0.1:80\", { address = \"8000\" }]"), "carme.toml:2:39: `address` must be an address such as \"127.0.0.1:8000\", found \"8000\" | help: write \"127.0.0.1:8000\" for this machine alone, \"0.0.0.0:8000\" for everybody".into()),
        (server("listen = { address = \":80\", proxy_protocol = \"true\" }"), "carme.toml:2:46: `proxy_protocol` must be true or false, found the string \"true\" | help: write true without quotes".into()),
        (server("listen = [{ address = \":80\", proxy = true }]"), "carme.toml:2:30: unknown key `proxy` in `listen` | help: did you mean `proxy_protocol`? `listen` knows: address, proxy_protocol".into()),
        (server("listen = [\":80\", { address = \":80\" }]"), "carme.toml:2:30: `address` has http://0.0.0.0:80 twice".into()),
        (server("listen = [{ address = \":80\", proxy_protocol = true }]"), "carme.toml:2:47: `proxy_protocol` is on for http://0.0.0.0:80, and nobody may speak it there | help: name the proxies: trusted_proxies = [\"10.0.0.0/8\"]".into()),
        (server("error_log = \"logs/error.log\""), "carme.toml:2:13: `error_log` is in a folder that does not exist: SITE/logs | help: create the folder, or name another".into()),
        (app("workers = { min = 4, max = 2 }"), "carme.toml:11:11: `workers` has a least number, 4, that is above the greatest, 2 | help: did you mean 2-4?".into()),
        (app("workers = { min = 4 }"), "carme.toml:11:11: `workers` needs both `min` and `max` | help: write { min = 2, max = 4 }, or one number".into()),
        (app("workers = \"4-2\""), "carme.toml:11:11: `workers` has a least number, 4, that is above the greatest, 2 | help: did you mean 2-4?".into()),
        (app("workers = \"-4\""), "carme.toml:11:11: `workers` must be a whole number from 1 to 256, found -4".into()),
        (app("recycle = { request = 5 }"), "carme.toml:11:13: unknown key `request` in [apps.site.recycle] | help: did you mean `requests`? [apps.site.recycle] knows: requests, age, jitter, memory, idle".into()),
        (app("recycle = { memory = \"5kB\" }"), "carme.toml:11:22: `memory` must be a size from 1MiB to 1TiB, found 5000B".into()),
        (app("recycle = { jitter = 1.5 }"), "carme.toml:11:22: `jitter` must be a number from 0 to 1, found the number 1.5".into()),
        (app("workers = 0"), "carme.toml:11:11: `workers` must be a whole number from 1 to 256, found 0".into()),
        (app("workers = -0x10"), "carme.toml:11:11: integers with a radix cannot be signed, expected nothing".into()),
        (app("interface = \"asgi\""), "carme.toml:11:13: `interface` asks for ASGI, which is not available yet in this version of Carme | help: serve a WSGI application".into()),
        (app("interface = \"wsig\""), "carme.toml:11:13: `interface` must be \"auto\" or \"wsgi\", found \"wsig\" | help: did you mean `wsgi`?".into()),
        (app("route = \"www\""), "carme.toml:11:9: `route` must contain {n}, the worker's number, found \"www\" | help: write \"www_{n}\"".into()),
        (app("env = { \"A B\" = \"\" }"), "carme.toml:11:17: `A B` a variable's name must not contain ' ', found \"A B\"".into()),
        (app("env = { A = \"a\\u0000\" }"), "carme.toml:11:13: `A` must not contain a NUL character, which no environment can hold".into()),
        // Paths.
        (app("directory = \"shpo\""), "carme.toml:11:13: `directory` names a folder that does not exist: SITE/shpo | help: did you mean SITE/shop?".into()),
        (app("directory = \"text\""), "carme.toml:11:13: `directory` must be a folder, found the file SITE/text".into()),
        (app("env_files = [\"wrong.env\"]"), "SITE/wrong.env:2:1: expected KEY=VALUE, found no \"=\" | help: begin a comment with #".into()),
        (app("env_files = \"wrogn.env\""), "carme.toml:11:13: `env_files` names SITE/wrogn.env: this environment file does not exist | help: did you mean SITE/wrong.env?".into()),
        (app("python = \"no/such/python\""), "carme.toml:11:10: `python` names a file that does not exist: SITE/no/such/python | help: there is SITE, and nothing named no in it".into()),
        (target("target = \"ap.py\""), "carme.toml:11:10: `target` names a file that does not exist: SITE/ap.py | help: did you mean SITE/app.py?".into()),
        (target("target = \"app:\""), "carme.toml:11:10: `target` names no attribute after the colon: \"app:\" | help: write \"app:app\", or \"app\" alone to try the usual names".into()),
        // What belongs together.
        (target(""), "carme.toml:10:7: [apps.site] has no `target` | help: write target = \"app.py\" or target = \"mysite.wsgi:application\"".into()),
        (rest("[[locations]]\npath = \"/\"\napp = \"sit\""), "carme.toml:23:7: `app` names no app: \"sit\" | help: did you mean `site`?".into()),
        (rest("[[locations]]\npath = \"/\""), "carme.toml:21:1: [[locations]] says not what answers | help: write one of app = \"site\", balancer = \"cluster\", files = \"static\", redirect = \"https://example.com{uri}\", respond = { body = \"text\" }".into()),
        (rest("[[locations]]\npath = \"shop\"\napp = \"site\""), "carme.toml:22:8: `path` must be a path such as \"/\" or \"/shop\", found \"shop\" | help: begin with a slash: \"/shop\"".into()),
        (rest("[[locations]]\npath = \"/a\"\napp = \"site\"\n[[locations]]\npath = \"/a/\"\napp = \"site\""), "carme.toml:25:8: `path` is taken already: /a at carme.toml:22:8".into()),
        (rest("[[access_logs]]\nfile = \"-\"\nformat = \"combiend\""), "carme.toml:23:10: `format` is no log format: at column 1, \"combiend\" is neither a nickname (common, combined, combined_route, json) nor has it any directive, such as %h | help: did you mean \"combined\"?".into()),
        (rest("[[access_logs]]\n[[access_logs]]"), "carme.toml:22:1: [[access_logs]] has the same file and format as another: each line would be there twice".into()),
        (rest("[apps.other]\ntarget = \"app.py\"\nroute = \"site_{n}\"\n[[locations]]\npath = \"/\"\napp = \"site\"\n[[locations]]\npath = \"/other\"\napp = \"other\""), "carme.toml:23:9: `route` would give a worker of `other` the name site_1, as `site` does | help: choose another pattern for one of them".into()),
        (site.toml("[apps.Site]\ntarget = \"app.py\""), "carme.toml:1:7: `Site` must have a name of lower-case letters, digits, \"_\" and \"-\" | help: call it site".into()),
        (site.toml("[apps]\ntarget = \"app.py\""), "carme.toml:2:1: `target` must be a table, found the string \"app.py\" | help: an app has a name: write it below [apps.site], not below [apps]: target".into()),
        (site.toml("[apps]"), "carme.toml: [apps] names no app | help: add [apps.site] with target = \"app.py\"".into()),
        (site.toml(""), "carme.toml: nothing to serve is named | help: add [apps.site] with target = \"app.py\"".into()),
        (site.toml("[server\nlisten = []"), "carme.toml:1:8: unclosed table, expected `]`".into()),
        (site.toml("[apps.a]\ntarget = \"D:\\sites\"\n"), "carme.toml:2:14: missing escaped value, expected `b`, `e`, `f`, `n`, `r`, `\\`, `\"`, `x`, `u`, `U`".into()),
    ] {
        let shown = expected.replace('\\', "/");
        let lines = result.map_or_else(|problems| site.lines(&problems), |_| vec!["no mistake was found".to_owned()]);
        // A mistake must not draw others after it; a location's leaves its app without any.
        let others = lines.iter().filter(|line| **line != shown && !line.contains("is not served anywhere"));
        if !lines.contains(&shown) || (others.count() > 0 && !shown.contains("is not served anywhere")) {
            failures.push(format!("expected\n  {shown}\nfound\n  {}", lines.join("\n  ")));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

#[test]
fn all_at_once_and_in_order() {
    let site = Site::new();
    let text = "[apps.site]\ntarget = \"ap.py\"\nthreads = 0\nworker = 2\n\n[server]\nlisten = [\"x\", \"127.0.0.1\"]\nmax_body = 1\n\n\
                [[locations]]\npath = \"a\"\napp = \"site\"\n";
    let problems = site.toml(text).expect_err("there are mistakes");
    let places: Vec<String> = problems.iter().map(|problem| problem.place.to_string()).collect();
    let lines = [
        "carme.toml:2:10",
        "carme.toml:3:11",
        "carme.toml:4:1",
        "carme.toml:7:11",
        "carme.toml:7:16",
        "carme.toml:8:12",
        "carme.toml:11:8",
    ];
    assert_eq!(places, lines);
    let syntax = site.toml("a = \nb = 'x\n[c\n").expect_err("its syntax is wrong");
    assert!(syntax.len() >= 3, "{syntax}");
}

#[test]
fn several_apps_need_locations() {
    let site = Site::new();
    let problems = site
        .toml("[apps.a]\ntarget = \"app.py\"\n[apps.b]\ntarget = \"app.py\"")
        .expect_err("no locations");
    assert_eq!(
        site.lines(&problems),
        [
            "carme.toml:1:7: the app `a` is not served anywhere | help: add [[locations]] with path = \"/a\" and app = \"a\"",
            "carme.toml:3:7: the app `b` is not served anywhere | help: add [[locations]] with path = \"/b\" and app = \"b\"",
        ]
    );
}

#[test]
fn an_app_that_no_location_leads_to() {
    let site = Site::new();
    let problems = site
        .toml("[apps.a]\ntarget = \"app.py\"\n[apps.b]\ntarget = \"app.py\"\n[[locations]]\npath = \"/\"\napp = \"a\"")
        .expect_err("b is not served");
    assert_eq!(
        site.lines(&problems),
        [
            "carme.toml:3:7: the app `b` is not served anywhere | help: add [[locations]] with path = \"/b\" and app = \"b\""
        ]
    );
}

#[test]
fn paths_are_seen_from_the_files_folder() {
    let site = Site::new();
    site.write(
        "conf/carme.toml",
        "[apps.site]\ntarget = \"app.py\"\ndirectory = \"..\"\n",
    );
    let config = Config::from_file(Path::new("conf/carme.toml"), &site.surroundings())
        .unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(
        config.apps[0].target.import_root.canonicalize().ok(),
        site.path().canonicalize().ok()
    );
}

#[test]
fn files_that_cannot_be_read() {
    let site = Site::new();
    site.write("carme.toml", "");
    site.write("latin.toml", "");
    std::fs::write(site.path().join("latin.toml"), b"# caf\xe9\n").expect("written");
    site.write("httpd.conf", "");
    for (name, expected) in [
        (
            "crame.toml",
            "crame.toml: this configuration file does not exist | help: did you mean SITE/carme.toml?",
        ),
        (
            "latin.toml",
            "latin.toml: is not UTF-8 text, as it must be: see line 1",
        ),
        (
            ".",
            ".: is a folder, not a configuration file | help: write ./carme.toml",
        ),
        ("httpd.conf", "httpd.conf: has no Listen | help: add Listen 80"),
    ] {
        let problems = Config::from_file(Path::new(name), &site.surroundings()).expect_err(name);
        assert_eq!(site.lines(&problems), [expected]);
    }
}

#[test]
fn addresses_say_for_themselves_whether_proxies_announce_clients() {
    let site = Site::new();
    let announced = |server: &str| {
        let text = format!(
            "[server]\n{server}\ntrusted_proxies = [\"127.0.0.1\", \"unix\"]\n[apps.site]\ntarget = \"app\"\n"
        );
        let config = site.toml(&text).unwrap_or_else(|problems| panic!("{problems}"));
        let server = config.server;
        (0..server.listen.len())
            .map(|index| server.proxies.announce_at(index))
            .collect::<Vec<_>>()
    };
    let listen = "listen = [\"127.0.0.1:80\", { address = \":81\", proxy_protocol = true }, { address = \":82\", proxy_protocol = false }]";
    assert_eq!(announced(listen), [false, true, false]);
    assert_eq!(
        announced(&format!("{listen}\nproxy_protocol = true")),
        [true, true, false]
    );
    assert_eq!(
        announced("listen = { address = \":80\", proxy_protocol = true }"),
        [true]
    );
    // What proxies may connect there is looked at, too.
    if cfg!(unix) {
        let text = "[server]\nlisten = { address = \"unix:a.sock\", proxy_protocol = true }\ntrusted_proxies = \"127.0.0.1\"\n\
                    [apps.site]\ntarget = \"app\"\n";
        let problems = site.toml(text).expect_err("nobody may");
        let line = &site.lines(&problems)[0];
        assert!(
            line.ends_with(
                "nobody may speak it there | help: name the proxies: trusted_proxies = [\"unix\"]"
            ),
            "{line}"
        );
    }
}
