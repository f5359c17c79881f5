//! Hosts that say different things of the members that their requests go to.

use std::time::Duration;

use super::*;

/// A host of this name, with these lines.
fn host(name: &str, lines: &str) -> String {
    format!("<VirtualHost *:80>\nServerName {name}\n{lines}\n</VirtualHost>\n")
}

/// The timeouts of members, by balancers' names.
fn timeouts(config: &Config) -> Vec<(&str, u64)> {
    let balancers = config.balancers.iter();
    let timeout = |balancer: &carme_config::Balancer| balancer.members[0].timeout.as_secs();
    balancers
        .map(|balancer| (balancer.name.as_str(), timeout(balancer)))
        .collect()
}

#[test]
fn proxy_timeout_holds_for_the_members_of_its_host() {
    let site = Site::new();
    let text = format!(
        "Listen 80\nProxyTimeout 20\n{}{}{}",
        host("a.test", "ProxyTimeout 7\nProxyPass / http://a/"),
        host("b.test", "ProxyPass / http://b/"),
        host("c.test", "ProxyTimeout 9\nProxyPass / http://c/ timeout=3"),
    );
    assert_eq!(
        timeouts(&config(&site, &text)),
        [("a_80", 7), ("b_80", 20), ("c_80", 3)]
    );
    assert_eq!(warnings(&site, &text), Vec::<String>::new());
    // Without one it is Timeout's.
    let text = format!(
        "Listen 80\nTimeout 11\n{}",
        host("a.test", "ProxyPass / http://a/")
    );
    assert_eq!(timeouts(&config(&site, &text)), [("a_80", 11)]);
}

#[test]
fn members_of_two_hosts_have_the_first_one_s_timeout_with_a_warning() {
    let site = Site::new();
    let shared = |parameters: &str| {
        format!(
            "Listen 80\n<Proxy balancer://c>\nBalancerMember http://a {parameters}\n</Proxy>\n{}{}",
            host("a.test", "ProxyTimeout 7\nProxyPass / balancer://c/"),
            host("b.test", "ProxyPass / balancer://c/"),
        )
    };
    assert_eq!(timeouts(&config(&site, &shared(""))), [("c", 7)]);
    let [warning] = &warnings(&site, &shared(""))[..] else {
        panic!("one warning: {:?}", warnings(&site, &shared("")));
    };
    let expected = "leads to members of the balancer c from hosts with different ProxyTimeout, 7s and 60s: for requests \
                    of both it is 7s";
    assert!(warning.contains(expected), "{warning}");
    // Those that say it themselves are asked nothing.
    assert_eq!(timeouts(&config(&site, &shared("timeout=3"))), [("c", 3)]);
    assert_eq!(warnings(&site, &shared("timeout=3")), Vec::<String>::new());
    // What the server proxies, its hosts do.
    let inherited = format!(
        "Listen 80\nProxyTimeout 20\nProxyPass /a http://a/a\n{}",
        host("a.test", "ProxyTimeout 7\nRedirect gone /b")
    );
    assert_eq!(
        config(&site, &inherited).balancers[0].members[0].timeout,
        Duration::from_secs(7)
    );
}

#[test]
fn one_host_s_unverified_members_are_verified_for_the_others() {
    let site = Site::new();
    let unverified = "SSLProxyEngine On\nSSLProxyVerify none\n";
    let text = format!(
        "Listen 80\n{}{}",
        host("a.test", &format!("{unverified}ProxyPass / https://a/")),
        host("b.test", "SSLProxyEngine On\nProxyPass / https://b/"),
    );
    let balancers = config(&site, &text).balancers;
    let verified: Vec<bool> = balancers.iter().map(|balancer| balancer.tls.verify).collect();
    assert_eq!(verified, [false, true]);
    let text = format!(
        "Listen 80\n{}{}",
        host("a.test", &format!("{unverified}ProxyPass / https://a/")),
        host("b.test", "SSLProxyEngine On\nProxyPass / https://a/"),
    );
    assert!(config(&site, &text).balancers[0].tls.verify);
    let told = warnings(&site, &text).join("\n");
    assert!(
        told.contains("different SSLProxyVerify, require and none"),
        "{told}"
    );
}
