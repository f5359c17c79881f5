//! The part of the page that tells of a balancer.

use std::fmt::Write as _;

use carme_control::{BalancerState, BalancerStatus, MemberStatus, printable};

use super::figures::{counted, data, or_none, span};
use super::rates::Rates;
use super::table::{Column, table};

/// A balancer and its members.
pub(super) fn balancer(balancer: &BalancerStatus, rates: Option<&Rates<'_>>) -> String {
    let state = match balancer.state {
        BalancerState::Ready => "ready",
        BalancerState::Degraded => "degraded: some of its members have failed",
        BalancerState::Failed => "failed: none of its members can be used",
        BalancerState::Stopped => "stopped: none of its members is in use",
        BalancerState::Unknown => "in an unknown state",
    };
    let mut text = format!(
        "balancer {}: {state} ({}",
        printable(&balancer.name),
        printable(&balancer.method)
    );
    if let Some(sticky) = &balancer.stickysession {
        let _ = write!(text, ", sessions by {}", printable(sticky));
    }
    if balancer.nofailover {
        text.push_str(", which stay at their members");
    }
    let in_flight: u32 = balancer.members.iter().map(|member| member.in_flight).sum();
    let _ = write!(
        text,
        ")\n{} waiting for a member (at most {} may), {in_flight} in flight, {} refused",
        counted(balancer.queued, "request", "requests"),
        balancer.queue_limit,
        balancer.refused,
    );
    let members = members(balancer, rates);
    let _ = writeln!(text, "\n\n{members}");
    for member in &balancer.members {
        text.push_str(&failure(member));
    }
    text.push_str(&same_routes(&balancer.members));
    text
}

/// Members whose sessions go to another one, which has their route and comes before them.
fn same_routes(members: &[MemberStatus]) -> String {
    let mut text = String::new();
    for (at, member) in members.iter().enumerate() {
        let Some(route) = &member.route else { continue };
        let mut before = members[..at].iter();
        if let Some(first) = before.find(|other| other.route.as_ref() == Some(route)) {
            let (url, route, first) = (printable(&member.url), printable(route), printable(&first.url));
            let _ = writeln!(
                text,
                "\n{url} has the route {route} of {first}, which gets the sessions of both"
            );
        }
    }
    text
}

fn members(balancer: &BalancerStatus, rates: Option<&Rates<'_>>) -> String {
    let has = |what: fn(&MemberStatus) -> bool| balancer.members.iter().any(what);
    let mut columns: Vec<Column<'_, MemberStatus>> = vec![
        ("MEMBER", Box::new(|member| printable(member.name()))),
        ("STATE", Box::new(state)),
        ("REQUESTS", Box::new(|member| member.requests.to_string())),
    ];
    if let Some(rates) = rates {
        let rate = |member: &MemberStatus| format!("{:.1}", rates.of_member(&balancer.name, member));
        columns.push(("A SECOND", Box::new(rate)));
    }
    columns.push(("IN FLIGHT", Box::new(|member| member.in_flight.to_string())));
    columns.push(("MAX", Box::new(|member| or_none(member.settings.max))));
    // Said where it says something.
    if has(|member| member.queued > 0) {
        columns.push(("WAITING", Box::new(|member| member.queued.to_string())));
    }
    columns.push(("IDLE", Box::new(|member| member.idle_connections.to_string())));
    columns.push(("FAILURES", Box::new(|member| member.failures.to_string())));
    columns.push(("SENT", Box::new(|member| data(member.bytes_sent))));
    columns.push(("RECEIVED", Box::new(|member| data(member.bytes_received))));
    columns.push(("FACTOR", Box::new(|member| member.loadfactor.to_string())));
    if has(|member| member.lbset > 0) {
        columns.push(("SET", Box::new(|member| member.lbset.to_string())));
    }
    if has(|member| member.redirect.is_some()) {
        let redirect = |member: &MemberStatus| or_none(member.redirect.as_deref().map(printable));
        columns.push(("REDIRECT", Box::new(redirect)));
    }
    if has(|member| member.route.is_some()) {
        columns.push(("URL", Box::new(|member| printable(&member.url))));
    }
    table(&columns, &balancer.members)
}

/// What it does, and in which other ways it is not an ordinary member.
fn state(member: &MemberStatus) -> String {
    let mut words = vec![printable(&member.state)];
    for (letter, word) in [
        ('D', "disabled"),
        ('S', "stopped"),
        ('N', "draining"),
        ('E', "error"),
        ('C', "unhealthy"),
        ('R', "spare"),
        ('H', "standby"),
        ('I', "ignores errors"),
    ] {
        if member.flags.contains(letter) && member.state != word {
            words.push(word.to_owned());
        }
    }
    words.join(", ")
}

/// Why it is not used, or has just not been, in a line.
fn failure(member: &MemberStatus) -> String {
    let name = printable(member.name());
    let mut text = String::new();
    if let Some(seconds) = member.error_seconds_ago.filter(|_| member.flags.contains('E')) {
        let _ = write!(text, "\n{name} failed {} ago", span(seconds));
        if let Some(again) = member.retry_in_seconds {
            let _ = write!(text, "; tried again in {}", span(again.ceil()));
        }
        if member.retries > 0 {
            let _ = write!(
                text,
                ", {} so far",
                counted(member.retries as usize, "time", "times")
            );
        }
        text.push('\n');
    }
    if let Some(check) = member.check.as_ref().filter(|_| member.flags.contains('C')) {
        let _ = write!(
            text,
            "\n{name} fails its health check ({}",
            printable(&check.method)
        );
        if !check.uri.is_empty() {
            let _ = write!(text, " {}", printable(&check.uri));
        }
        let _ = write!(text, " every {})", span(check.interval_seconds));
        if let Some(seconds) = check.seconds_ago {
            let _ = write!(text, ", the last {} ago", span(seconds));
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use carme_control::{CheckStatus, MemberSettings};

    use super::*;

    fn told() -> BalancerStatus {
        let member = |number: u64, state: &str, flags: &str| MemberStatus {
            url: format!("http://10.0.0.{number}:9001"),
            scheme: "http".into(),
            host: format!("10.0.0.{number}"),
            port: Some(9001),
            route: Some(format!("www_{number}")),
            redirect: None,
            loadfactor: 1.0 + number as f64 / 2.0,
            lbset: 0,
            state: state.into(),
            usable: flags.is_empty(),
            status: String::new(),
            flags: flags.into(),
            added: false,
            in_flight: 3,
            limit: Some(10),
            queued: 0,
            requests: 1000 * number,
            failures: number - 1,
            lbstatus: 0,
            bytes_sent: 1 << 20,
            bytes_received: 1 << 30,
            error_seconds_ago: Some(3.9),
            retry_in_seconds: Some(56.1),
            retries: 2,
            latency_seconds: 0.01,
            idle_connections: 4,
            settings: MemberSettings {
                max: Some(10),
                ..MemberSettings::default()
            },
            check: Some(CheckStatus {
                method: "get".into(),
                interval_seconds: 30.0,
                passes: 1,
                fails: 3,
                uri: "/healthz".into(),
                expect: None,
                in_row: 0,
                seconds_ago: Some(4.0),
            }),
        };
        BalancerStatus {
            name: "cluster".into(),
            state: BalancerState::Degraded,
            method: "byrequests".into(),
            stickysession: Some("ROUTEID".into()),
            stickysessionsep: Some(".".into()),
            scolonpathdelim: false,
            nofailover: true,
            timeout_seconds: 30.0,
            maxattempts: 2,
            failonstatus: Vec::new(),
            failontimeout: false,
            forcerecovery: true,
            slow_start_seconds: 0.0,
            persist: false,
            queued: 1,
            queue_limit: 1000,
            refused: 2,
            members: vec![
                member(1, "ready", "I"),
                member(2, "error", "EN"),
                member(3, "unhealthy", "C"),
            ],
        }
    }

    #[test]
    fn it_is_read_without_a_manual() {
        let expected = "\
balancer cluster: degraded: some of its members have failed (byrequests, sessions by ROUTEID, which stay at their members)
1 request waiting for a member (at most 1000 may), 9 in flight, 2 refused

MEMBER  STATE                  REQUESTS  IN FLIGHT  MAX  IDLE  FAILURES     SENT  RECEIVED  FACTOR  URL
www_1   ready, ignores errors      1000          3   10     4         0  1.0 MiB   1.0 GiB     1.5  http://10.0.0.1:9001
www_2   error, draining            2000          3   10     4         1  1.0 MiB   1.0 GiB       2  http://10.0.0.2:9001
www_3   unhealthy                  3000          3   10     4         2  1.0 MiB   1.0 GiB     2.5  http://10.0.0.3:9001

www_2 failed 3s ago; tried again in 57s, 2 times so far

www_3 fails its health check (get /healthz every 30s), the last 4s ago
";
        assert_eq!(balancer(&told(), None), expected);
    }

    #[test]
    fn members_with_the_same_route_are_told_of() {
        let mut same = told();
        same.members[2].route = Some("www_1".into());
        let text = balancer(&same, None);
        let last = text.lines().last().expect("a line");
        assert_eq!(
            last,
            "http://10.0.0.3:9001 has the route www_1 of http://10.0.0.1:9001, which gets the sessions of both"
        );
    }

    #[test]
    fn what_says_nothing_has_no_column() {
        let mut plain = told();
        for member in &mut plain.members {
            member.route = None;
        }
        plain.members[0].lbset = 1;
        plain.members[0].queued = 7;
        let text = balancer(&plain, None);
        let heading = text.lines().nth(3).expect("a table");
        assert!(
            heading.contains("WAITING") && heading.contains("SET") && !heading.contains("URL"),
            "{heading}"
        );
        assert!(text.contains("\nhttp://10.0.0.2:9001  error"), "{text}");
    }
}
