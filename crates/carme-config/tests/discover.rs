//! `[balancers.NAME.discover]`, and files that name members.

mod site;

use std::path::Path;
use std::time::Duration;

use carme_config::{Balancer, Discover, DiscoverSource, DnsQuestion, FoundAt, Member};
use site::Site;

fn balancer(text: &str) -> Balancer {
    let config = Site::new().toml(&format!("[balancers.cluster]\n{text}"));
    let config = config.unwrap_or_else(|problems| panic!("{text}\n{problems}"));
    config.balancers.into_iter().next().expect("a balancer")
}

fn discover(text: &str) -> Discover {
    balancer(text).discover.expect("members are discovered")
}

fn mistakes(text: &str) -> Vec<String> {
    let site = Site::new();
    match site.toml(&format!("[balancers.cluster]\n{text}\n")) {
        Ok(_) => Vec::new(),
        Err(problems) => site.lines(&problems),
    }
}

fn found(host: &str) -> FoundAt {
    FoundAt {
        host: host.to_owned(),
        port: 8000,
        name: host.to_owned(),
        weight: None,
        set: None,
    }
}

#[test]
fn each_source_with_its_defaults() {
    assert_eq!(
        discover("discover = { dns = \"app.default.svc:8000\" }").source,
        DiscoverSource::Dns {
            question: DnsQuestion::Addresses {
                name: "app.default.svc".to_owned(),
                port: 8000
            },
            servers: Vec::new(),
            interval: Duration::from_secs(30),
        }
    );
    assert_eq!(
        discover("discover = { consul = \"app\" }").source,
        DiscoverSource::Consul {
            service: "app".to_owned(),
            authority: "127.0.0.1:8500".to_owned(),
            tag: None,
            datacenter: None,
            token: None,
        }
    );
    let DiscoverSource::File { path, interval } = discover("discover = { file = \"members.toml\" }").source
    else {
        panic!("a file");
    };
    assert!(path.is_absolute() && path.ends_with("members.toml"));
    assert_eq!(interval, Duration::from_secs(1));
}

#[test]
fn everything_that_can_be_said() {
    let text = "[balancers.cluster.discover]\ndns = \"srv:_http._tcp.app.service.consul\"\n\
        server = [\"127.0.0.1:8600\", \"10.0.0.53\"]\ninterval = \"5s\"\n\
        [balancers.cluster.discover.member]\nurl = \"https://{address}/base\"\nroute = \"w-{name}\"\nmax = 10\nttl = \"2m\"\n\
        timeout = \"9s\"\nloadfactor = 2\nhcmethod = \"get\"\nhcuri = \"/healthz\"\n";
    let discover = discover(text);
    let DiscoverSource::Dns {
        servers, interval, ..
    } = &discover.source
    else {
        panic!("DNS");
    };
    assert_eq!(
        servers.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["127.0.0.1:8600", "10.0.0.53:53"]
    );
    assert_eq!(*interval, Duration::from_secs(5));
    let members = discover.member.members(&[found("10.0.0.1")]);
    let Member {
        url,
        route,
        pool,
        timeout,
        connect_timeout,
        load_factor,
        health,
        ..
    } = &members[0];
    assert_eq!(url.to_string(), "https://10.0.0.1:8000/base");
    assert_eq!(route.as_deref(), Some("w-10-0-0-1"));
    assert_eq!(pool.max.map(usize::from), Some(10));
    assert_eq!(pool.ttl, Some(Duration::from_secs(120)));
    assert_eq!((*timeout, *connect_timeout), (Duration::from_secs(9), *timeout));
    assert_eq!(load_factor.hundredths(), 200);
    assert_eq!(health.as_ref().map(|check| check.uri.as_str()), Some("/healthz"));
}

#[test]
fn a_token_may_be_in_a_file() {
    let site = Site::new();
    std::fs::write(site.path().join("token"), "abc-123\nsecond line\n").expect("written");
    let text = "[balancers.c]\ndiscover = { consul = \"app\", token_file = \"token\", tag = \"blue\", datacenter = \"dc2\", \
                address = \"http://10.0.0.1:8501\" }\n";
    let config = site.toml(text).unwrap_or_else(|problems| panic!("{problems}"));
    let discover = config.balancers[0]
        .discover
        .clone()
        .expect("members are discovered");
    let DiscoverSource::Consul {
        token,
        authority,
        tag,
        datacenter,
        ..
    } = discover.source
    else {
        panic!("Consul");
    };
    assert_eq!(token.expect("a token").0, "abc-123");
    assert_eq!(authority, "10.0.0.1:8501");
    assert_eq!(
        (tag.as_deref(), datacenter.as_deref()),
        (Some("blue"), Some("dc2"))
    );
}

#[test]
fn members_may_be_named_and_found_together() {
    let text = "discover = { consul = \"app\" }\n[[balancers.cluster.members]]\nurl = \"http://a\"\nredirect = \"found\"\n";
    assert_eq!(balancer(text).members.len(), 1);
}

#[test]
fn what_is_wrong() {
    for (text, expected) in [
        (
            "discover = {}",
            "carme.toml:2:12: `discover` says nowhere who names the members | help: write one of dns = \
             \"app.internal:8000\", consul = \"app\" and file = \"members.toml\"",
        ),
        (
            "discover = { dns = \"a:1\", consul = \"a\" }",
            "carme.toml:2:12: `discover` has `dns` and `consul` | help: write one of dns = \"app.internal:8000\", \
             consul = \"app\" and file = \"members.toml\"",
        ),
        (
            "discover = { dns = \"a:1\", token = \"a\" }",
            "carme.toml:2:35: `token` goes with `consul`, not with `dns`",
        ),
        (
            "discover = { consul = \"a\", interval = \"1s\" }",
            "carme.toml:2:39: `interval` goes with `dns` and `file`, not with `consul`",
        ),
        (
            "discover = { dns = \"app\" }",
            "carme.toml:2:20: `dns` must be a name with a port, or \"srv:\" and a name, found \"app\" | help: write \
             \"app:8000\", or \"srv:app\" if service records say the port",
        ),
        (
            "discover = { dns = \"a:1\", server = \"dns.internal\" }",
            "carme.toml:2:36: `server` must be the address of a DNS server, such as \"10.0.0.53\" or \"127.0.0.1:8600\", \
             found \"dns.internal\"",
        ),
        (
            "discover = { dns = \"a:1\", interval = \"1ms\" }",
            "carme.toml:2:38: `interval` must be from \"100ms\" to \"1d\", found \"1ms\"",
        ),
        (
            "discover = { consul = \"a\", address = \"https://a:8501\" }",
            "carme.toml:2:38: `address` must be the address of an agent, such as \"http://127.0.0.1:8500\", found \
             \"https://a:8501\" | help: an agent is asked by plain HTTP: the one on this machine, or behind what speaks TLS",
        ),
        (
            "discover = { consul = \"a\", token = \"a b\" }",
            "carme.toml:2:36: `token` holds no token: one is a word without spaces",
        ),
        (
            "discover = { file = \"\" }",
            "carme.toml:2:21: `file` must be a name, found \"\"",
        ),
        (
            "discover = { file = \"a\", member = { url = \"http://10.0.0.1\" } }",
            "carme.toml:2:43: `url` must be as \"http://{address}\", found \"http://10.0.0.1\" | help: the scheme and \
             perhaps a path are what it says: \"https://{address}/base\"",
        ),
        (
            "discover = { file = \"a\", member = { route = \"www_{n}\" } }",
            "carme.toml:2:45: `route` has {n}, which is unknown, in \"www_{n}\" | help: there are {name}, {host} and {port}",
        ),
        (
            "discover = { file = \"a\", member = { max = 2, smax = 3 } }",
            "carme.toml:2:35: `member` keeps 3 idle connections (smax) and may have 2 (max) | help: smax is at most max",
        ),
        (
            "discover = \"dns\"",
            "carme.toml:2:12: `discover` must be a table, found the string \"dns\" | help: it has the keys dns, server, consul, address, tag, datacenter, token, token_file, file, interval, member",
        ),
    ] {
        assert_eq!(mistakes(text), [expected], "{text}");
    }
    let unknown = mistakes("discover = { dns = \"a:1\", member = { redirect = \"a\" } }");
    assert_eq!(unknown.len(), 1);
    assert!(
        unknown[0].starts_with("carme.toml:2:38: unknown key `redirect` in [balancers.NAME.discover.member]"),
        "{unknown:?}"
    );
}

/// Members of a file with what is said of all: their URLs, routes, limits and time-outs.
fn read(all: &str, file: &str) -> Result<Vec<String>, String> {
    let discover = discover(&format!(
        "discover = {{ file = \"members.toml\", member = {{ {all} }} }}"
    ));
    let members = discover.member.read(file, Path::new("members.toml"));
    let members = members.map_err(|problems| problems.to_string().replace("\n    help: ", " | "))?;
    let line = |member: &Member| {
        format!(
            "{member} {} {:?} {:?}",
            member.route.as_deref().unwrap_or("-"),
            member.pool.max.map(usize::from),
            member.timeout
        )
    };
    Ok(members.iter().map(line).collect())
}

#[test]
fn a_file_has_members_as_the_configuration_has_them() {
    let file = "[[members]]\nurl = \"http://10.0.0.1:9001\"\n\
                [[members]]\nurl = \"https://app.internal/base\"\nroute = \"www_2\"\nmax = 3\ntimeout = \"5s\"\n";
    assert_eq!(
        read("max = 10, timeout = \"9s\"", file),
        Ok(vec![
            "http://10.0.0.1:9001 10-0-0-1-9001 Some(10) 9s".to_owned(),
            "https://app.internal/base www_2 Some(3) 5s".to_owned(),
        ])
    );
    assert_eq!(read("", "members = []"), Ok(vec![]));
}

#[test]
fn what_is_wrong_in_a_file_has_its_place() {
    for (file, expected) in [
        (
            "",
            "members.toml: the file names no members | write [[members]], or members = [] if there are none",
        ),
        (
            "[[members]]\nurl = \"10.0.0.1:9001\"\n",
            "members.toml:2:7: `url` must be an address such as \"http://10.0.0.1:9001\", found \"10.0.0.1:9001\" | write \
             \"http://10.0.0.1:9001\"",
        ),
        (
            "[[members]]\nurl = \"http://a\"\n[[members]]\nurl = \"http://a:80/\"\n",
            "members.toml:3:1: [[balancers.NAME.members]] is there already: http://a at members.toml:1:1",
        ),
        (
            "[[members]]\nurl = \"http://a\"\nmax = 1\nsmax = 2\n",
            "members.toml:1:1: [[balancers.NAME.members]] keeps 2 idle connections (smax) and may have 1 (max) | smax is at \
             most max",
        ),
    ] {
        assert_eq!(read("", file), Err(expected.to_owned()), "{file}");
    }
    let two = read("", "members = 1\nmember = 2\n").expect_err("two mistakes");
    assert_eq!(two.lines().count(), 2, "{two}");
    read("", "[[members]\n").expect_err("no TOML");
}
