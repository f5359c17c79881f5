//! A balancer and its members at one moment, as `carme status` is told.

use std::time::Duration;

use carme_balancer::{Condition, Expect, HealthCheck, MemberReport, Settings};
use carme_config::Flush;
use carme_control::{BalancerState, BalancerStatus, CheckStatus, MemberSettings, MemberStatus};
use carme_proxy::{Address, Endpoint, Protocol};

use super::super::balancers::Balanced;

/// All of it. `configured` is what the file says of it.
pub(super) fn balancer(balanced: &Balanced, configured: &carme_config::Balancer) -> BalancerStatus {
    let report = balanced.cluster.report();
    let connections = balanced.cluster.connections();
    let member = |report: &MemberReport| {
        let reached = connections.iter().find(|(id, ..)| *id == report.id);
        let flush = configured
            .members
            .iter()
            .find(|member| member.url.to_string() == report.config.name)
            .map(|member| &member.flush);
        let mut status = member(report);
        if let Some((_, endpoint, idle)) = reached {
            status.idle_connections = *idle;
            reach(&mut status, endpoint);
        }
        status.settings.flushpackets = flush.map(flush_name);
        status
    };
    let members: Vec<MemberStatus> = report.members.iter().map(member).collect();
    let Settings {
        method,
        sticky,
        nofailover,
        timeout,
        queue_limit,
        fail_on_status,
        fail_on_timeout,
        force_recovery,
        slow_start,
        ..
    } = &report.settings;
    let sticky = sticky.as_ref();
    BalancerStatus {
        name: balanced.name.clone(),
        state: state(&report.members),
        method: method.name().to_owned(),
        stickysession: sticky.map(|sticky| match sticky.cookie == sticky.parameter {
            true => sticky.cookie.clone(),
            false => format!("{}|{}", sticky.cookie, sticky.parameter),
        }),
        stickysessionsep: sticky.map(|sticky| sticky.separator.map_or("off".to_owned(), String::from)),
        scolonpathdelim: sticky.is_some_and(|sticky| sticky.semicolon_delimits),
        nofailover: *nofailover,
        timeout_seconds: timeout.as_secs_f64(),
        maxattempts: report.max_attempts,
        failonstatus: fail_on_status.clone(),
        failontimeout: *fail_on_timeout,
        forcerecovery: *force_recovery,
        slow_start_seconds: slow_start.as_secs_f64(),
        persist: configured.persist,
        queued: report.waiting,
        queue_limit: *queue_limit,
        refused: report.refused,
        members,
    }
}

/// Members that somebody has taken out of use do not count.
fn state(members: &[MemberReport]) -> BalancerState {
    use carme_balancer::State::{Disabled, Draining, Error, Removed, Stopped, Unhealthy};
    let is_meant = |member: &&MemberReport| !matches!(member.state, Removed | Stopped | Disabled | Draining);
    let has_failed = |member: &MemberReport| matches!(member.state, Error | Unhealthy);
    let meant: Vec<_> = members.iter().filter(is_meant).collect();
    match meant.iter().filter(|member| has_failed(member)).count() {
        _ if meant.is_empty() => BalancerState::Stopped,
        0 => BalancerState::Ready,
        failed if failed == meant.len() => BalancerState::Failed,
        _ => BalancerState::Degraded,
    }
}

fn member(report: &MemberReport) -> MemberStatus {
    let seconds = |time: Duration| time.as_secs_f64();
    let config = &report.config;
    MemberStatus {
        url: config.name.clone(),
        scheme: String::new(),
        host: String::new(),
        port: None,
        route: config.route.clone(),
        redirect: config.redirect.clone(),
        loadfactor: f64::from(config.load_factor.hundredths()) / 100.0,
        lbset: config.lbset.number(),
        state: report.state.name().to_owned(),
        usable: report.status.is_usable(),
        status: report.status.to_string(),
        flags: report.status.letters(),
        added: report.added,
        in_flight: report.busy,
        limit: report.limit,
        queued: report.waiting,
        requests: report.elected,
        failures: report.failures,
        lbstatus: report.lbstatus,
        bytes_sent: report.transferred,
        bytes_received: report.read,
        error_seconds_ago: report.error_age.map(seconds),
        retry_in_seconds: report.retry_in.map(seconds),
        retries: report.retries,
        latency_seconds: report.latency.as_secs_f64(),
        idle_connections: 0,
        settings: MemberSettings {
            max: config.max.map(u32::from),
            acquire_seconds: config.acquire.map(seconds),
            retry_seconds: seconds(config.retry),
            ..MemberSettings::default()
        },
        check: config.health.as_ref().map(|check| CheckStatus {
            in_row: report.checks_in_row,
            seconds_ago: report.check_age.map(seconds),
            ..health(check)
        }),
    }
}

/// What its connections are made of.
fn reach(status: &mut MemberStatus, endpoint: &Endpoint) {
    let seconds = |time: Duration| time.as_secs_f64();
    let scheme = match (endpoint.protocol, endpoint.is_secure) {
        (Protocol::Http1, false) => "http",
        (Protocol::Http1, true) => "https",
        (Protocol::Http2, false) => "h2c",
        (Protocol::Http2, true) => "h2",
    };
    scheme.clone_into(&mut status.scheme);
    let (host, port) = match &endpoint.address {
        Address::Tcp { host, port } => (host, Some(*port)),
        Address::Unix { host, .. } => (host, None),
    };
    status.host.clone_from(host);
    status.port = port;
    let settings = &mut status.settings;
    settings.min = endpoint.min;
    settings.smax = endpoint.smax;
    settings.ttl_seconds = endpoint.ttl.map(seconds);
    settings.timeout_seconds = seconds(endpoint.timeout);
    settings.connectiontimeout_seconds = seconds(endpoint.connect_timeout);
    settings.ping_seconds = endpoint.ping.map(seconds);
    settings.disablereuse = !endpoint.reuse;
    settings.keepalive = endpoint.keep_alive;
}

fn flush_name(flush: &Flush) -> String {
    match flush {
        Flush::Off => "off",
        Flush::On => "on",
        Flush::Auto(_) => "auto",
    }
    .to_owned()
}

fn health(check: &HealthCheck) -> CheckStatus {
    CheckStatus {
        method: check.method.name().trim_end_matches("11").to_ascii_lowercase(),
        interval_seconds: check.interval.as_secs_f64(),
        passes: check.passes.get(),
        fails: check.fails.get(),
        uri: check.uri.clone(),
        expect: match &check.condition {
            Condition::Expect(expect) => expectation(expect),
            Condition::Success | Condition::Expression(_) => None,
        },
        in_row: 0,
        seconds_ago: None,
    }
}

/// As it is written in `carme.toml`.
fn expectation(expect: &Expect) -> Option<String> {
    let quoted = |text: &String| format!("{text:?}");
    let range = |(first, last): &(u16, u16)| match (first % 100, last - first) {
        (0, 99) => format!("\"{}xx\"", first / 100),
        (_, 0) => first.to_string(),
        _ => format!("\"{first}-{last}\""),
    };
    let mut parts = Vec::new();
    if !expect.statuses.is_empty() {
        let ranges: Vec<String> = expect.statuses.iter().map(range).collect();
        parts.push(format!("status = [{}]", ranges.join(", ")));
    }
    parts.extend(
        expect
            .contains
            .as_ref()
            .map(|text| format!("contains = {}", quoted(text))),
    );
    parts.extend(
        expect
            .lacks
            .as_ref()
            .map(|text| format!("lacks = {}", quoted(text))),
    );
    (!parts.is_empty()).then(|| format!("{{ {} }}", parts.join(", ")))
}

#[cfg(test)]
mod tests {
    use carme_balancer::{Balancer, Member, Status};
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_balancer_is_what_its_members_are() {
        for (flags, expected) in [
            (&["", ""][..], BalancerState::Ready),
            (&["", "D", "N", "S"], BalancerState::Ready),
            (&["H", "R"], BalancerState::Ready),
            (&["", "E"], BalancerState::Degraded),
            (&["", "C"], BalancerState::Degraded),
            (&["E", "C"], BalancerState::Failed),
            (&["E", "D"], BalancerState::Failed),
            (&["D", "S"], BalancerState::Stopped),
            (&[], BalancerState::Stopped),
        ] {
            let members = flags.iter().enumerate().map(|(number, flags)| Member {
                status: Status::parse(flags).expect("letters"),
                ..Member::new(format!("http://{number}"))
            });
            let report = Balancer::new(Settings::apache("balancer://a"), members).report(Instant::now());
            assert_eq!(state(&report.members), expected, "{flags:?}");
        }
    }

    #[test]
    fn expectations_are_shown_as_they_are_written() {
        let expect = Expect {
            statuses: vec![(200, 299), (401, 401), (301, 304)],
            contains: Some("it's \"ok\"".into()),
            lacks: None,
        };
        let shown = r#"{ status = ["2xx", 401, "301-304"], contains = "it's \"ok\"" }"#;
        assert_eq!(expectation(&expect).as_deref(), Some(shown));
        assert_eq!(expectation(&Expect::default()), None);
    }
}
