//! `[balancers.NAME]`, its members, and the locations that lead there.

mod site;

use std::time::Duration;

use carme_config::{
    Answer, Balancer, Config, ErrorOverride, Failover, Flush, HashKey, HealthMethod, Location, MemberFlag,
    Method, Proxying, Reverse, ReverseFrom, Upgrade, Via,
};
use site::Site;

const MEMBER: &str = "[[balancers.cluster.members]]\nurl = \"http://192.168.0.10:9001\"\n";
const LOCATION: &str = "[[locations]]\npath = \"/\"\nbalancer = \"cluster\"\n";

fn balancer(text: &str) -> Balancer {
    let config = Site::new()
        .toml(text)
        .unwrap_or_else(|problems| panic!("{text}\n{problems}"));
    config.balancers.into_iter().next().expect("a balancer")
}

fn proxying(location: &Location) -> &Proxying {
    match &location.answer {
        Answer::Balancer(proxying) => proxying,
        other => panic!("{other:?} is no balancer"),
    }
}

fn mistakes(text: &str) -> Vec<String> {
    let site = Site::new();
    match site.toml(text) {
        Ok(_) => Vec::new(),
        Err(problems) => site.lines(&problems),
    }
}

#[test]
fn a_farm_with_its_defaults() {
    let text = "[balancers.cluster]\nmethod = \"byrequests\"\n\
        [[balancers.cluster.members]]\nurl = \"http://192.168.0.10:9001\"\nsmax = 3\nmax = 10\nttl = \"120s\"\nroute = \"www_1\"\n\
        [[balancers.cluster.members]]\nurl = \"http://192.168.0.10:9002\"\nsmax = 3\nmax = 10\nttl = \"120s\"\nroute = \"www_2\"\n";
    let site = Site::new();
    let config = site.toml(text).unwrap_or_else(|problems| panic!("{problems}"));
    let cluster = &config.balancers[0];
    assert_eq!(
        (cluster.name.as_str(), &cluster.method),
        ("cluster", &Method::ByRequests)
    );
    assert_eq!(cluster.timeout, Duration::from_secs(30));
    assert!(cluster.force_recovery && !cluster.no_failover && cluster.tls.verify);
    assert_eq!(cluster.failover, Failover::Idempotent);
    let member = &cluster.members[1];
    assert_eq!(member.url.to_string(), "http://192.168.0.10:9002");
    assert_eq!(member.route.as_deref(), Some("www_2"));
    assert_eq!(
        (member.pool.smax, member.pool.max.map(usize::from)),
        (Some(3), Some(10))
    );
    assert_eq!(member.pool.ttl, Some(Duration::from_secs(120)));
    assert_eq!(
        (member.retry, member.timeout),
        (Duration::from_secs(60), Duration::from_secs(60))
    );
    assert_eq!(member.load_factor.hundredths(), 100);
    // A balancer alone needs no location.
    let proxying = proxying(&config.locations[0]);
    assert_eq!(config.locations[0].path.to_string(), "/");
    assert_eq!((proxying.balancer, proxying.path.as_str()), (0, ""));
    assert_eq!(
        proxying.reverse,
        [Reverse {
            from: ReverseFrom::Members("/".into()),
            to: "/".into()
        }]
    );
    assert_eq!((proxying.via, proxying.preserve_host), (Via::On, false));
}

#[test]
fn every_parameter_of_a_balancer() {
    let read = |line: &str| balancer(&format!("[balancers.cluster]\n{line}\n{MEMBER}"));
    type Check = fn(&Balancer) -> bool;
    let cases: &[(&str, Check)] = &[
        ("", |b| b.method == Method::Queue),
        ("method = \"bytraffic\"", |b| b.method == Method::ByTraffic),
        ("method = \"bybusyness\"", |b| b.method == Method::ByBusyness),
        ("method = \"ewma\"", |b| b.method == Method::Ewma),
        ("method = \"hash\"", |b| {
            b.method == Method::Hash(HashKey::Address)
        }),
        ("method = \"hash\"\nhash = \"header:X-User\"", |b| {
            b.method == Method::Hash(HashKey::Header("x-user".into()))
        }),
        ("method = \"hash\"\nhash = \"cookie:Id\"", |b| {
            b.method == Method::Hash(HashKey::Cookie("Id".into()))
        }),
        ("stickysession = \"ROUTEID\"", |b| {
            b.sticky.as_ref().is_some_and(|sticky| {
                sticky.cookie == "ROUTEID" && sticky.parameter == "ROUTEID" && sticky.separator == Some('.')
            })
        }),
        (
            "stickysession = \"JSESSIONID|jsessionid\"\nscolonpathdelim = true",
            |b| {
                b.sticky.as_ref().is_some_and(|sticky| {
                    sticky.cookie == "JSESSIONID" && sticky.parameter == "jsessionid" && sticky.semicolon
                })
            },
        ),
        ("stickysession = \"R\"\nstickysessionsep = \"-\"", |b| {
            b.sticky
                .as_ref()
                .is_some_and(|sticky| sticky.separator == Some('-'))
        }),
        ("stickysession = \"R\"\nstickysessionsep = \"off\"", |b| {
            b.sticky.as_ref().is_some_and(|sticky| sticky.separator.is_none())
        }),
        ("nofailover = true", |b| b.no_failover),
        ("maxattempts = 0", |b| b.max_attempts == Some(0)),
        ("failover = \"unsent\"", |b| b.failover == Failover::Unsent),
        ("timeout = \"0s\"", |b| b.timeout.is_zero()),
        ("queue_limit = 7", |b| b.queue_limit.get() == 7),
        ("failonstatus = [500, 503]", |b| {
            b.fail_on_status == [500, 503].into()
        }),
        ("failontimeout = true", |b| b.fail_on_timeout),
        ("forcerecovery = false", |b| !b.force_recovery),
        ("persist = true", |b| b.persist),
        ("growth = 10", |b| b.growth == Some(10)),
        ("slow_start = \"30s\"", |b| {
            b.slow_start == Duration::from_secs(30)
        }),
        ("tls_verify = false", |b| !b.tls.verify),
    ];
    for (line, check) in cases {
        assert!(check(&read(line)), "{line}");
    }
}

#[test]
fn every_parameter_of_a_member() {
    let read = |line: &str| {
        let other = "[[balancers.cluster.members]]\nurl = \"http://b\"\nroute = \"b\"\n";
        balancer(&format!("{MEMBER}{line}\n{other}"))
            .members
            .swap_remove(0)
    };
    type Check = fn(&carme_config::Member) -> bool;
    let cases: &[(&str, Check)] = &[
        ("", |m| {
            m.health.is_none() && m.pool.reuse && m.upgrade == Upgrade::Any && m.flush == Flush::Off
        }),
        ("redirect = \"b\"", |m| m.redirect.as_deref() == Some("b")),
        ("loadfactor = 3", |m| m.load_factor.hundredths() == 300),
        ("loadfactor = 2.5", |m| m.load_factor.hundredths() == 250),
        ("lbset = 99", |m| m.lbset == 99),
        ("status = \"DH\"", |m| {
            m.status == [MemberFlag::Disabled, MemberFlag::HotStandby].into()
        }),
        ("status = \"S-E\"", |m| m.status == [MemberFlag::Stopped].into()),
        ("min = 2", |m| m.pool.min == 2),
        ("smax = 0", |m| m.pool.smax == Some(0)),
        ("acquire = \"500ms\"", |m| {
            m.pool.acquire == Some(Duration::from_millis(500))
        }),
        ("disablereuse = true", |m| !m.pool.reuse),
        ("enablereuse = false", |m| !m.pool.reuse),
        ("keepalive = true", |m| m.pool.keep_alive),
        ("retry = \"0s\"", |m| m.retry.is_zero()),
        ("timeout = \"5s\"", |m| {
            m.timeout.as_secs() == 5 && m.connect_timeout.as_secs() == 5
        }),
        ("connectiontimeout = \"2s\"", |m| {
            m.timeout.as_secs() == 60 && m.connect_timeout.as_secs() == 2
        }),
        ("ping = \"1s\"", |m| m.ping == Some(Duration::from_secs(1))),
        ("flushpackets = \"on\"", |m| m.flush == Flush::On),
        ("flushpackets = \"auto\"", |m| {
            m.flush == Flush::Auto(Duration::from_millis(10))
        }),
        ("flushpackets = \"auto\"\nflushwait = \"5ms\"", |m| {
            m.flush == Flush::Auto(Duration::from_millis(5))
        }),
        ("upgrade = \"none\"", |m| m.upgrade == Upgrade::Never),
        ("upgrade = \"websocket\"", |m| {
            m.upgrade == Upgrade::Only("websocket".into())
        }),
        ("iobuffersize = \"16KiB\"", |m| {
            m.io_buffer.is_some_and(|size| size.as_u64() == 16_384)
        }),
        ("receivebuffersize = \"1MiB\"", |m| m.receive_buffer.is_some()),
        ("responsefieldsize = \"16KiB\"", |m| {
            m.response_field.as_u64() == 16_384
        }),
        ("addressttl = \"60s\"", |m| {
            m.address_ttl == Some(Duration::from_secs(60))
        }),
        ("hcmethod = \"none\"", |m| m.health.is_none()),
        ("hcmethod = \"TCP\"", |m| {
            m.health.as_ref().is_some_and(|check| {
                check.method == HealthMethod::Tcp && check.interval.as_secs() == 30 && check.passes.get() == 1
            })
        }),
        (
            "hcmethod = \"get\"\nhcinterval = \"5s\"\nhcpasses = 2\nhcfails = 3\nhcuri = \"/healthz\"\n\
             hcexpect = { status = [\"2xx\", 401], lacks = \"maintenance\" }",
            |m| {
                m.health.as_ref().is_some_and(|check| {
                    check.interval.as_secs() == 5
                        && (check.passes.get(), check.fails.get()) == (2, 3)
                        && check.uri == "/healthz"
                        && check.expect.statuses == [(200, 299), (401, 401)]
                        && check.expect.lacks.as_deref() == Some("maintenance")
                })
            },
        ),
    ];
    for (line, check) in cases {
        assert!(check(&read(line)), "{line}");
    }
}

#[test]
fn what_goes_with_a_location() {
    let read = |lines: &str| {
        let text = format!("{MEMBER}[[locations]]\npath = \"/shop\"\nbalancer = \"cluster\"\n{lines}\n");
        let config = Site::new()
            .toml(&text)
            .unwrap_or_else(|problems| panic!("{text}\n{problems}"));
        proxying(&config.locations[0]).clone()
    };
    let plain = read("");
    assert_eq!(plain.path, "/shop");
    assert!(plain.forwarded_headers && !plain.raw_path);
    let moved = read("upstream_path = \"/\"");
    assert_eq!(moved.path, "");
    assert_eq!(
        moved.reverse,
        [Reverse {
            from: ReverseFrom::Members("/".into()),
            to: "/shop/".into()
        }]
    );
    assert!(read("reverse = false").reverse.is_empty());
    let more = read("reverse_urls = { \"http://internal/\" = \"/shop/\", \"balancer:///old/\" = \"/new/\" }");
    assert_eq!(more.reverse[1].from, ReverseFrom::Url("http://internal/".into()));
    assert_eq!(more.reverse[2].from, ReverseFrom::Members("/old/".into()));
    assert!(read("preserve_host = true").preserve_host);
    assert!(!read("forwarded_headers = false").forwarded_headers);
    assert!(read("nocanon = true").raw_path);
    assert_eq!(read("via = \"block\"").via, Via::Block);
    let cookies =
        read("cookie_domains = { \"internal\" = \"example.com\" }\ncookie_paths = { \"/app\" = \"/shop\" }");
    assert_eq!(
        cookies.cookie_domains,
        [("internal".to_owned(), "example.com".to_owned())]
    );
    assert_eq!(cookies.cookie_paths, [("/app".to_owned(), "/shop".to_owned())]);
    assert!(!read("trace = false").trace);
    assert_eq!(read("override_errors = true").override_errors, ErrorOverride::All);
    assert_eq!(
        read("override_errors = [502, 503]").override_errors,
        ErrorOverride::Statuses(vec![502, 503])
    );
}

#[test]
fn a_header_rule_with_a_variable() {
    let rule = "response_headers = [{ add = \"Set-Cookie\", value = \"ROUTEID=.%{BALANCER_WORKER_ROUTE}e; path=/\", \
                env = \"BALANCER_ROUTE_CHANGED\" }]";
    let config = Site::new()
        .toml(&format!("{MEMBER}{LOCATION}{rule}"))
        .unwrap_or_else(|problems| panic!("{problems}"));
    let rule = &config.locations[0].policy.response_headers[0];
    assert_eq!(
        rule.env.as_ref().map(ToString::to_string).as_deref(),
        Some("BALANCER_ROUTE_CHANGED")
    );
    let variables: Vec<_> = rule.value().expect("a value").variables().collect();
    assert_eq!(variables, ["BALANCER_WORKER_ROUTE"]);
}

#[test]
fn mistakes_name_the_place_and_the_cure() {
    let mut missing = Vec::new();
    let cluster = |line: &str| format!("[balancers.cluster]\n{line}\n{MEMBER}");
    let member = |line: &str| format!("{MEMBER}{line}\n");
    let location = |line: &str| format!("{MEMBER}{LOCATION}{line}\n");
    for (text, expected) in [
        (
            cluster("method = \"byrequest\""),
            "carme.toml:2:10: `method` must be one of \"queue\", \"byrequests\", \"bytraffic\", \"bybusyness\", \"ewma\", \
             \"hash\", found \"byrequest\" | help: did you mean `byrequests`?",
        ),
        (
            cluster("method = \"heartbeat\""),
            "carme.toml:2:10: `method` asks for \"heartbeat\", which Carme does not have | help: \"queue\" gives requests \
             to members that are free",
        ),
        (
            cluster("hash = \"address\""),
            "carme.toml:2:8: `hash` goes with method = \"hash\"",
        ),
        (
            cluster("stickysessionsep = \"-\""),
            "carme.toml:2:20: `stickysessionsep` means nothing without `stickysession` | help: add stickysession = \"ROUTEID\"",
        ),
        (
            cluster("failonstatus = [99]"),
            "carme.toml:2:17: `failonstatus` must be statuses from 100 to 599, found 99",
        ),
        (
            cluster("maxattempts = -1"),
            "carme.toml:2:15: `maxattempts` must be a whole number from 0 to 1000, found the number -1",
        ),
        (
            "[balancers.cluster]\nmethod = \"queue\"\n".into(),
            "carme.toml:1:12: the balancer `cluster` has no members | help: add [[balancers.cluster.members]] with url = \
             \"http://10.0.0.1:9001\", or `discover`",
        ),
        (
            member("lbset = 100"),
            "carme.toml:3:9: `lbset` must be a whole number from 0 to 99, found the number 100",
        ),
        (
            member("status = \"X\""),
            "carme.toml:3:10: `status` has the unknown letter 'X' in \"X\" | help: there are D disabled, S stopped, I \
             ignores errors, R hot spare, H hot standby, E error, N drains, C failed its check",
        ),
        (
            member("loadfactor = 0.5"),
            "carme.toml:3:14: `loadfactor` must be a number from 1 to 100, found 0.5",
        ),
        (
            member("max = 2\nsmax = 3"),
            "carme.toml:1:1: [[balancers.NAME.members]] keeps 3 idle connections (smax) and may have 2 (max) | help: smax \
             is at most max",
        ),
        (
            member(MEMBER),
            "carme.toml:3:1: [[balancers.NAME.members]] is there already: http://192.168.0.10:9001 at carme.toml:1:1 | \
             help: a larger share is `loadfactor`",
        ),
        (
            member("disablereuse = true\nenablereuse = true"),
            "carme.toml:4:15: `enablereuse` is given beside `disablereuse` | help: keep one of them",
        ),
        (
            member("flushwait = \"5ms\""),
            "carme.toml:3:13: `flushwait` goes with flushpackets = \"auto\"",
        ),
        (
            member("hcuri = \"/\""),
            "carme.toml:3:9: `hcuri` means nothing without `hcmethod` | help: add hcmethod = \"get\", \"head\", \"options\" \
             or \"tcp\"",
        ),
        (
            member("hcmethod = \"head\"\nhcexpect = { contains = \"ok\" }"),
            "carme.toml:3:12: `hcmethod` looks at bodies, and HEAD has none | help: write hcmethod = \"get\"",
        ),
        (
            format!("{MEMBER}[[locations]]\npath = \"/\"\nbalancer = \"clusters\"\n"),
            "carme.toml:5:12: `balancer` names no balancer: \"clusters\" | help: did you mean `cluster`?",
        ),
        (
            "[[locations]]\npath = \"/\"\nbalancer = \"cluster\"\n".into(),
            "carme.toml:3:12: `balancer` names no balancer: \"cluster\" | help: add [balancers.cluster] and \
             [[balancers.cluster.members]]",
        ),
        (
            format!("{MEMBER}[[locations]]\npath = \"/\"\nrespond = {{}}\n"),
            "carme.toml:1:13: the balancer `cluster` is not served anywhere | help: add [[locations]] with path = \
             \"/cluster\" and balancer = \"cluster\"",
        ),
        (
            format!("{MEMBER}{LOCATION}[[locations]]\npath = \"/a\"\nrespond = {{}}\npreserve_host = true"),
            "carme.toml:9:17: `preserve_host` goes with `balancer`, and here is `respond`",
        ),
        (
            location("upstream_path = \"app\""),
            "carme.toml:6:17: `upstream_path` must be a path such as \"/\" or \"/app\", found \"app\" | help: begin with a \
             slash: \"/app\"",
        ),
        (
            location("override_errors = [200]"),
            "carme.toml:6:19: `override_errors` must be true, false or a list of statuses from 400 to 599, found the \
             number 200",
        ),
        (
            location("reverse_urls = { \"internal\" = \"/\" }"),
            "carme.toml:6:31: `internal` must be an address such as \"http://app.internal/\", found \"internal\"",
        ),
        (
            format!("[balancers]\nmethod = \"queue\"\n{LOCATION}"),
            "carme.toml:2:1: `method` must be a table, found the string \"queue\" | help: a balancer has a name: write it \
             below [balancers.cluster]: method",
        ),
    ] {
        let found = mistakes(&text);
        if !found.contains(&expected.to_owned()) {
            missing.push(format!("{text}\n{expected}\n{found:#?}"));
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n\n"));
}

#[test]
fn changes_are_told() {
    let site = Site::new();
    let lines = |old: &str, new: &str| -> Vec<String> {
        let read = |text: &str| {
            site.toml(text)
                .unwrap_or_else(|problems| panic!("{text}\n{problems}"))
        };
        let changes = read(old).changes(&read(new));
        changes.iter().map(ToString::to_string).collect()
    };
    let with = |balancer: &str, member: &str, location: &str| {
        format!("[balancers.cluster]\n{balancer}\n{MEMBER}{member}\n{LOCATION}{location}\n")
    };
    let plain = with("", "", "");
    for (text, expected) in [
        (with("", "", ""), None),
        (
            with("method = \"byrequests\"", "", ""),
            Some("balancers.cluster.method: queue -> byrequests"),
        ),
        (
            with("stickysession = \"ROUTEID\"", "", ""),
            Some("balancers.cluster.stickysession: none -> ROUTEID"),
        ),
        (
            with("failonstatus = [500]", "", ""),
            Some("balancers.cluster.failonstatus: [] -> [500]"),
        ),
        (
            with("", "loadfactor = 2", ""),
            Some("balancers.cluster.members.http://192.168.0.10:9001 loadfactor: 1 -> 2"),
        ),
        (
            with("", "status = \"D\"", ""),
            Some("balancers.cluster.members.http://192.168.0.10:9001 status: none -> D"),
        ),
        (
            with("", "max = 10", ""),
            Some("balancers.cluster.members.http://192.168.0.10:9001 max: none -> 10"),
        ),
        (
            with("", "hcmethod = \"tcp\"", ""),
            Some("balancers.cluster.members.http://192.168.0.10:9001 health check: changed"),
        ),
        (
            with("", "[[balancers.cluster.members]]\nurl = \"http://b\"", ""),
            Some("balancers.cluster.members: http://b added"),
        ),
        (with("", "", "preserve_host = true"), Some("locations: / changed")),
    ] {
        let expected: Vec<String> = expected.into_iter().map(ToOwned::to_owned).collect();
        assert_eq!(lines(&plain, &text), expected, "{text}");
    }
    let renamed = plain.replace("cluster", "farm");
    assert_eq!(
        lines(&plain, &renamed),
        [
            "balancers: cluster removed",
            "balancers: farm added",
            "locations: / changed"
        ]
    );
}

/// As in Apache: whoever is sent on to a route that is not there goes to any member.
#[test]
fn a_redirect_to_a_route_that_no_member_has_is_a_warning() {
    let warnings = |parameters: &str| {
        let site = Site::new();
        let text = format!("{MEMBER}{parameters}\n{LOCATION}");
        let path = std::path::Path::new("carme.toml");
        let read = Config::from_toml_with_warnings(&text, path, &site.surroundings());
        let read = read.unwrap_or_else(|problems| panic!("{text}\n{problems}"));
        let all: Vec<_> = read.warnings.iter().map(ToString::to_string).collect();
        all.join("\n").replace("\n    ", " | ")
    };
    assert_eq!(
        warnings("redirect = \"www_2\"\nroute = \"www_1\""),
        "carme.toml:1:1: [[balancers.NAME.members]] sends clients on to \"www_2\", and no member has this route: they go \
         to any member | help: did you mean `www_1`?"
    );
    assert_eq!(warnings("redirect = \"www_1\"\nroute = \"www_1\""), "");
    assert_eq!(
        warnings("redirect = \"www_1\"\n[balancers.cluster.discover]\ndns = \"app.internal:80\""),
        ""
    );
}
