//! `[health]`, `[metrics]` and `[traces]`: what they mean, and what each mistake is told.

mod site;

use carme_config::{Bind, Config, Monitor, MonitorListener, Problems, Traces, defaults};
use site::Site;

const REST: &str = "[apps.site]\ntarget = \"app.py\"\n";

fn read(site: &Site, text: &str) -> Result<Config, Problems> {
    site.toml(&format!("{text}\n{REST}"))
}

fn listener(address: &str, metrics: bool) -> MonitorListener {
    MonitorListener {
        bind: Bind::Tcp(address.parse().expect("an address")),
        metrics,
    }
}

#[test]
fn pages_are_where_they_were_asked_for_and_nowhere_else() {
    let site = Site::new();
    for (text, public_health, public_metrics, listeners) in [
        ("", false, false, vec![]),
        ("[health]", true, false, vec![]),
        (
            "[health]\nlisten = \":9100\"",
            false,
            false,
            vec![listener("0.0.0.0:9100", false)],
        ),
        (
            "[health]\nlisten = [\":9100\", \"[::1]:9100\"]\npublic = true",
            true,
            false,
            vec![listener("0.0.0.0:9100", false), listener("[::1]:9100", false)],
        ),
        ("[metrics]", false, false, vec![listener("127.0.0.1:9180", true)]),
        ("[metrics]\npublic = true", false, true, vec![]),
        (
            "[metrics]\nlisten = \"127.0.0.1:1\"",
            false,
            false,
            vec![listener("127.0.0.1:1", true)],
        ),
        (
            "[health]\n[metrics]",
            true,
            false,
            vec![listener("127.0.0.1:9180", true)],
        ),
        (
            "[health]\nlisten = \":9100\"\n[metrics]",
            false,
            false,
            vec![listener("0.0.0.0:9100", true)],
        ),
        (
            "[health]\nlisten = \":9100\"\n[metrics]\nlisten = [\"127.0.0.1:2\", \":9100\"]",
            false,
            false,
            vec![listener("0.0.0.0:9100", true), listener("127.0.0.1:2", true)],
        ),
        (
            "[health]\nlisten = \":9100\"\n[metrics]\nlisten = \"127.0.0.1:2\"",
            false,
            false,
            vec![listener("0.0.0.0:9100", false), listener("127.0.0.1:2", true)],
        ),
        (
            "[health]\npublic = false\n[metrics]",
            false,
            false,
            vec![listener("127.0.0.1:9180", true)],
        ),
    ] {
        let config = read(&site, text).unwrap_or_else(|problems| panic!("{text}: {problems}"));
        let expected = Monitor {
            public_health,
            public_metrics,
            listeners,
            ..Monitor::default()
        };
        assert_eq!(config.monitor, expected, "{text}");
        assert_eq!(config.monitor.counts(), text.contains("[metrics]"), "{text}");
    }
    let config = read(
        &site,
        "[health]\npath = \"/live\"\nready_path = \"/ready/\"\n[metrics]\npath = \"/-/metrics\"",
    )
    .unwrap_or_else(|problems| panic!("{problems}"));
    let monitor = config.monitor;
    assert_eq!(
        (&*monitor.alive, &*monitor.ready, &*monitor.metrics),
        ("/live", "/ready", "/-/metrics")
    );
    assert_eq!(Monitor::default().ready, defaults::READY_PATH);
}

#[test]
fn traces_are_off_then_passed_on_then_told() {
    let site = Site::new();
    let traces = |text: &str| {
        read(&site, text)
            .unwrap_or_else(|problems| panic!("{problems}"))
            .traces
    };
    assert_eq!(traces(""), None);
    assert_eq!(traces("[traces]"), Some(Traces::default()));
    let told =
        traces("[traces]\nendpoint = \"http://127.0.0.1\"\nservice = \"shop\"\nsample = 0.25").expect("on");
    let endpoint = told.endpoint.map(|endpoint| endpoint.to_string());
    assert_eq!(endpoint.as_deref(), Some("http://127.0.0.1:4318/v1/traces"));
    assert_eq!((told.service.as_str(), told.sample), ("shop", 0.25));
    assert_eq!(traces("[traces]\nsample = 0").expect("on").sample, 0.0);
}

#[test]
fn each_kind_of_mistake() {
    let site = Site::new();
    for (text, expected) in [
        (
            "health = true",
            "carme.toml:1:10: `health` must be a table, found true | help: it has the keys listen, public, path, ready_path",
        ),
        (
            "[health]\npaht = \"/x\"",
            "carme.toml:2:1: unknown key `paht` in [health] | help: did you mean `path`? [health] knows: listen, public, path, ready_path",
        ),
        (
            "[metrics]\nready_path = \"/x\"",
            "carme.toml:2:1: unknown key `ready_path` in [metrics] | help: `ready_path` belongs into [health]; [metrics] knows: listen, public, path",
        ),
        (
            "[metrics]\npublic = \"yes\"",
            "carme.toml:2:10: `public` must be true or false, found the string \"yes\"",
        ),
        (
            "[metrics]\nlisten = 9180",
            "carme.toml:2:10: `listen` must be a string, found the number 9180 | help: write \"127.0.0.1:9180\" for this machine alone, \"0.0.0.0:9180\" for everybody",
        ),
        (
            "[metrics]\nlisten = [\":1\", \":1\"]",
            "carme.toml:2:17: `listen` has http://0.0.0.0:1 twice",
        ),
        (
            "[health]\nlisten = \"https://127.0.0.1:1\"",
            "carme.toml:2:10: `listen` has an https:// address; these pages are for plain HTTP | help: write \"127.0.0.1:1\", or public = true instead",
        ),
        (
            "[health]\nlisten = \"127.0.0.1:8000\"",
            "carme.toml:2:10: `listen` has http://127.0.0.1:8000, where the server itself listens | help: name another, or write public = true instead",
        ),
        (
            "[health]\npath = \"healthz\"",
            "carme.toml:2:8: `path` must be a path such as \"/\" or \"/shop\", found \"healthz\" | help: begin with a slash: \"/healthz\"",
        ),
        (
            "[health]\npath = \"/\"",
            "carme.toml:2:8: `path` must be a path of its own such as \"/healthz\", found \"/\", which is everything",
        ),
        (
            "[health]\npath = \"/x\"\n[metrics]\npath = \"/x/\"",
            "carme.toml:4:8: `path` is the path of another page already: /x",
        ),
        (
            "[traces]\nendpoint = \"https://a\"",
            "carme.toml:2:12: `endpoint` must begin with \"http://\": spans are sent without TLS, to a collector on this machine or network, found \"https://a\"",
        ),
        (
            "[traces]\nendpoint = \"127.0.0.1:4318\"",
            "carme.toml:2:12: `endpoint` must be an address such as \"http://127.0.0.1:4318\", found \"127.0.0.1:4318\"",
        ),
        (
            "[traces]\nsample = 1.5",
            "carme.toml:2:10: `sample` must be a number from 0 to 1, found the number 1.5",
        ),
        (
            "[traces]\nsample = \"all\"",
            "carme.toml:2:10: `sample` must be a number from 0 to 1, found the string \"all\"",
        ),
        (
            "[traces]\nservice = \"\"",
            "carme.toml:2:11: `service` must be a name, found \"\"",
        ),
        (
            "[metrics]\npath = \"/readyz\"",
            "carme.toml:2:8: `path` is the path of another page already: /readyz",
        ),
        (
            "[health]\npath = \"/readyz\"",
            "carme.toml:2:8: `path` is the path of another page already: /readyz",
        ),
        (
            "[health]\npublic = false",
            "carme.toml:2:10: `public` leaves the health pages without an address | help: name one: listen = \"127.0.0.1:9180\"",
        ),
    ] {
        let problems = read(&site, text).expect_err(text);
        assert_eq!(site.lines(&problems), [expected], "{text}");
    }
}
