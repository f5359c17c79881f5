//! The article's farm, and its balancer and instances as one app.

use super::*;

const FARM: &str = "\
Listen 8080
<Proxy balancer://cluster>
BalancerMember http://192.168.0.10:9001 smax=3 max=10 ttl=120 route=www_1
BalancerMember http://192.168.0.10:9002 smax=3 max=10 ttl=120 route=www_2
BalancerMember http://192.168.0.10:9003 smax=3 max=10 ttl=120 route=www_3
</Proxy>
ProxyPass / balancer://cluster/
ProxyPassReverse / balancer://cluster/
LogFormat \"%h %l %u %t \\\"%r\\\" %>s %b %{BALANCER_WORKER_ROUTE}e\" routed
CustomLog access.log routed
";

#[test]
fn the_farm_of_the_article() {
    let site = Site::new();
    let config = config(&site, FARM);
    let cluster = &config.balancers[0];
    assert_eq!(
        (cluster.name.as_str(), &cluster.method),
        ("cluster", &Method::ByRequests)
    );
    let routes: Vec<_> = cluster
        .members
        .iter()
        .filter_map(|member| member.route.as_deref())
        .collect();
    assert_eq!(routes, ["www_1", "www_2", "www_3"]);
    assert_eq!(cluster.members[2].url.to_string(), "http://192.168.0.10:9003");
    assert_eq!(cluster.members[0].pool.max.map(usize::from), Some(10));
    assert!(
        matches!(&config.locations[0].answer, Answer::Balancer(proxying) if proxying.path.is_empty() && proxying.reverse.len() == 1)
    );
    assert!(
        config.access_logs[0]
            .format
            .ends_with("%{BALANCER_WORKER_ROUTE}e")
    );
    assert!(warnings(&site, FARM).is_empty());
}

#[test]
fn what_is_changed_at_run_time_is_kept_where_the_file_says_so() {
    let site = Site::new();
    let with = |line: &str| format!("{FARM}{line}\n");
    assert!(config(&site, &with("BalancerPersist On")).balancers[0].persist);
    assert!(!config(&site, &with("BalancerPersist Off")).balancers[0].persist);
    assert!(toml(&site, &with("BalancerPersist On")).contains("\npersist = true\n"));
    let wrong = problems(&site, &with("BalancerPersist yes"));
    assert!(wrong[0].contains("must be On or Off, found \"yes\""), "{wrong:?}");
}

fn instance(number: usize) -> String {
    format!(
        "Listen 127.0.0.1:900{number}\nRPAF_Enable On\nRPAF_ProxyIPs 127.0.0.1\nWSGIScriptAlias / app.py\nLogFormat \" \" empty\nCustomLog access-{number}.log empty env=NOTHING_IS_LOGGED\n"
    )
}

#[test]
fn a_balancer_and_its_instances_become_one_app() {
    let site = Site::new();
    let balancer = FARM.replace("192.168.0.10", "127.0.0.1") + "SetEnvIf Request_URI ^/a OURS\n";
    let own = "SetEnv SITE shop\nSetEnvIf Host x OURS=2\n";
    let instances: Vec<String> = (1..=3).map(|number| instance(number) + own).collect();
    let made = made(
        &site,
        &[
            ("balancer.conf", &balancer),
            ("1.conf", &instances[0]),
            ("2.conf", &instances[1]),
            ("3.conf", &instances[2]),
        ],
    );
    assert!(
        made.contains("# The balancer cluster and its 3 instances are one app now, cluster, with 3 workers"),
        "{made}"
    );
    let config = site
        .toml(&made)
        .unwrap_or_else(|problems| panic!("{made}\n{problems}"));
    assert!(config.balancers.is_empty());
    let app = &config.apps[0];
    assert_eq!((app.workers.min.get(), app.threads.get()), (3, 10));
    assert_eq!(app.route.route(3), "www_3");
    assert_eq!(config.locations[0].answer, Answer::App(0));
    // What the instances set for their application; a name that the balancer's file has is its own.
    let variables = &config.server.policy.variables;
    let names: Vec<_> = variables.iter().map(|rule| rule.name.as_str()).collect();
    assert_eq!(names, ["OURS", "SITE"], "{made}");
    assert_eq!(config.access_logs.len(), 1);
    // One of them is not there.
    let made = convert_texts(
        &[
            (Path::new("balancer.conf"), balancer.as_str()),
            (Path::new("1.conf"), instances[0].as_str()),
        ],
        &site.surroundings(),
    );
    let warnings: Vec<String> = made
        .expect("a balancer still")
        .warnings
        .iter()
        .map(ToString::to_string)
        .collect();
    assert!(
        warnings
            .concat()
            .contains("is not folded into one app: no file has Listen 9002"),
        "{warnings:?}"
    );
}

#[test]
fn clients_that_stay_at_their_instance_stay_at_their_worker() {
    let site = Site::new();
    let folded = |parameters: &str| {
        let set = format!("<Proxy balancer://cluster>\nProxySet {parameters}\n");
        let rule = "Header add Set-Cookie \"ROUTEID=.%{BALANCER_WORKER_ROUTE}e; path=/\" env=BALANCER_ROUTE_CHANGED\n";
        let balancer = FARM.replace("192.168.0.10", "127.0.0.1");
        let balancer = format!("{rule}{}", balancer.replace("<Proxy balancer://cluster>\n", &set));
        let instances: Vec<String> = (1..=3).map(instance).collect();
        let files = [
            (Path::new("balancer.conf"), balancer.as_str()),
            (Path::new("1.conf"), instances[0].as_str()),
            (Path::new("2.conf"), instances[1].as_str()),
            (Path::new("3.conf"), instances[2].as_str()),
        ];
        convert_texts(&files, &site.surroundings()).unwrap_or_else(|problems| panic!("{problems}"))
    };
    for (parameters, cookie, separator) in [
        ("stickysession=ROUTEID", "ROUTEID", Some('.')),
        ("stickysession=R|r stickysessionsep=-", "R|r", Some('-')),
        ("stickysession=R stickysessionsep=Off", "R", None),
    ] {
        let made = folded(parameters);
        assert!(
            made.value.contains(&format!("stay at their worker by {cookie}")),
            "{}",
            made.value
        );
        let config = site
            .toml(&made.value)
            .unwrap_or_else(|problems| panic!("{problems}"));
        let sticky = config.apps[0].sticky.clone().expect("it is sticky");
        assert_eq!(
            (sticky.to_string().as_str(), sticky.separator),
            (cookie, separator)
        );
        let rules = &config.server.policy.response_headers;
        assert_eq!(rules.len(), 1, "the cookie is still the rule's");
    }
    for (parameters, why) in [
        (
            "stickysession=R scolonpathdelim=On",
            "an app has no scolonpathdelim",
        ),
        (
            "stickysession=R stickysessionsep=,",
            "no cookie may have its stickysessionsep ','",
        ),
    ] {
        let warnings: String = folded(parameters)
            .warnings
            .iter()
            .map(ToString::to_string)
            .collect();
        assert!(
            warnings.contains(&format!("is not folded into one app: {why}")),
            "{warnings}"
        );
    }
}
