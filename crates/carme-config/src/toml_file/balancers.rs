//! `[balancers.NAME]` and `[[balancers.NAME.members]]`.

use std::ops::RangeInclusive;
use std::time::Duration;

use toml::de::{DeTable, DeValue};

use super::location::{flag, flag_at};
use super::section::{Section, describe};
use super::{bounds, positive, rules, schema, set};
use crate::balancer::{
    Balancer, BalancerDraft, Failover, Flush, HashKey, HealthCheck, HealthExpect, HealthMethod, Member,
    MemberUrl, Method, Sticky, Upgrade, flags, route, separator,
};
use crate::config::defaults;
use crate::draft::At;
use crate::problem::{Mistake, Problems};
use crate::units::ByteSize;

pub(super) fn balancers(top: &Section<'_>, problems: &mut Problems) -> Vec<BalancerDraft> {
    let mut drafts = Vec::new();
    for (name, value) in top.entries("balancers", problems) {
        if let Err(mistake) = bounds::app_name(&name.value) {
            problems.push(name.problem(mistake));
        }
        match value.get_ref() {
            DeValue::Table(table) => drafts.push(balancer(name, table, top, problems)),
            other => {
                let mistake = Mistake::new(format!("must be a table, found {}", describe(other))).cure(
                    match schema::BALANCER.known.contains(&name.value.as_str()) {
                        true => format!(
                            "a balancer has a name: write it below [balancers.cluster]: {}",
                            name.value
                        ),
                        false => format!("write [balancers.{}]", name.value),
                    },
                );
                problems.push(name.problem(mistake));
            }
        }
    }
    drafts
}

fn balancer(
    name: At<String>,
    table: &DeTable<'_>,
    top: &Section<'_>,
    problems: &mut Problems,
) -> BalancerDraft {
    let title = format!("[balancers.{}]", name.value);
    let section = &Section::open(top.document, &title, table, &schema::BALANCER, problems);
    let mut balancer = Balancer::named(name.value.clone());
    let method = section.text("method", problems, Method::parse);
    set(&mut balancer.method, method.map(|at| at.value));
    if let Some(hash) = section.text("hash", problems, HashKey::parse) {
        match &mut balancer.method {
            Method::Hash(key) => *key = hash.value,
            _ => problems.push(hash.problem(Mistake::new("goes with method = \"hash\""))),
        }
    }
    balancer.sticky = sticky(section, problems);
    set(&mut balancer.no_failover, flag(section, "nofailover", problems));
    balancer.max_attempts = integer(section, "maxattempts", 0..=1000, problems);
    let failover = section.text("failover", problems, Failover::parse);
    set(&mut balancer.failover, failover.map(|at| at.value));
    set(&mut balancer.timeout, section.duration("timeout", problems));
    let limit = section.count("queue_limit", problems, bounds::QUEUE_LIMIT);
    set(&mut balancer.queue_limit, limit);
    let statuses = section.list("failonstatus", problems, |value| match value {
        DeValue::Integer(number) => match number.as_str().parse() {
            Ok(status @ 100..=599) => Ok(status),
            _ => Err(Mistake::new(format!(
                "must be statuses from 100 to 599, found {number}"
            ))),
        },
        other => Err(Mistake::new(format!(
            "must be a list of statuses such as [500, 503], found {}",
            describe(other)
        ))),
    });
    let statuses = statuses.unwrap_or_default();
    balancer.fail_on_status = statuses.into_iter().map(|at| at.value).collect();
    set(
        &mut balancer.fail_on_timeout,
        flag(section, "failontimeout", problems),
    );
    set(
        &mut balancer.force_recovery,
        flag(section, "forcerecovery", problems),
    );
    balancer.growth = integer(section, "growth", 0..=1000, problems);
    set(&mut balancer.slow_start, section.duration("slow_start", problems));
    set(&mut balancer.tls.verify, flag(section, "tls_verify", problems));
    let before = problems.len();
    let mut places = Vec::new();
    for item in section
        .sections("members", &schema::MEMBER, problems)
        .unwrap_or_default()
    {
        if let Some(member) = member(&item, problems) {
            balancer.members.push(member);
            places.push(At {
                value: (),
                subject: item.subject,
                place: item.place,
            });
        }
    }
    BalancerDraft {
        ca: section.string("tls_ca", problems),
        all_read: problems.len() == before,
        name,
        balancer,
        places,
    }
}

fn sticky(section: &Section<'_>, problems: &mut Problems) -> Option<Sticky> {
    let semicolon = flag_at(section, "scolonpathdelim", problems);
    let sticky = sticky_by(section, "stickysession", "stickysessionsep", separator, problems);
    match (sticky, semicolon) {
        (Some(At { value, .. }), semicolon) => Some(Sticky {
            semicolon: semicolon.is_some_and(|at| at.value),
            ..value
        }),
        (None, Some(semicolon)) if !section.has("stickysession") => {
            problems.push(semicolon.problem(nothing_without("stickysession")));
            None
        }
        (None, _) => None,
    }
}

/// What binds clients to one of many: the cookie and the separator, by these keys.
pub(super) fn sticky_by(
    section: &Section<'_>,
    key: &str,
    separator_key: &str,
    separator: impl FnOnce(&str) -> Result<Option<char>, Mistake>,
    problems: &mut Problems,
) -> Option<At<Sticky>> {
    let sticky = section.text(key, problems, Sticky::parse);
    let separator = section.text(separator_key, problems, separator);
    if !section.has(key) {
        if let Some(separator) = separator {
            problems.push(separator.problem(nothing_without(key)));
        }
        return None;
    }
    let mut sticky = sticky?;
    set(&mut sticky.value.separator, separator.map(|at| at.value));
    Some(sticky)
}

fn nothing_without(key: &str) -> Mistake {
    Mistake::new(format!("means nothing without `{key}`")).cure(format!("add {key} = \"ROUTEID\""))
}

fn member(item: &At<Section<'_>>, problems: &mut Problems) -> Option<Member> {
    let section = &item.value;
    if !section.has("url") {
        let mistake = Mistake::new("has no `url`").cure("write url = \"http://10.0.0.1:9001\"");
        problems.push(item.problem(mistake));
    }
    let url = section.text("url", problems, MemberUrl::parse);
    // What else is wrong is told even if there is no address.
    let mut member = Member::at(url.as_ref().map_or_else(nowhere, |url| url.value.clone()));
    member.route = section.text("route", problems, route).map(|at| at.value);
    member.redirect = section.text("redirect", problems, route).map(|at| at.value);
    let factor = section.read("loadfactor", problems, |value| match value {
        DeValue::Integer(number) => number.as_str().parse(),
        DeValue::Float(number) => number.as_str().parse(),
        other => Err(Mistake::new(format!(
            "must be a number from 1 to 100, found {}",
            describe(other)
        ))),
    });
    set(&mut member.load_factor, factor.map(|at| at.value));
    set(&mut member.lbset, integer(section, "lbset", 0..=99, problems));
    section.text("status", problems, |text| flags(text, &mut member.status));
    pool(section, &mut member, problems);
    set(&mut member.retry, section.duration("retry", problems));
    let timeout = positive(section, "timeout", problems);
    set(&mut member.timeout, timeout);
    let connect = positive(section, "connectiontimeout", problems);
    member.connect_timeout = connect.unwrap_or(member.timeout);
    member.ping = positive(section, "ping", problems);
    transfer(section, &mut member, problems);
    member.address_ttl = positive(section, "addressttl", problems);
    member.health = health(section, problems);
    url.map(|_| member)
}

/// In the place of an address that could not be read; the member is dropped.
fn nowhere() -> MemberUrl {
    MemberUrl {
        scheme: crate::balancer::MemberScheme::Http,
        host: String::new(),
        port: 0,
        path: String::new(),
        socket: None,
    }
}

fn pool(section: &Section<'_>, member: &mut Member, problems: &mut Problems) {
    let pool = &mut member.pool;
    set(&mut pool.min, integer(section, "min", 0..=65_535, problems));
    pool.max = section.count("max", problems, bounds::CONNECTIONS);
    pool.smax = integer(section, "smax", 0..=1_000_000, problems);
    pool.ttl = positive(section, "ttl", problems);
    pool.acquire = positive(section, "acquire", problems);
    set(&mut pool.keep_alive, flag(section, "keepalive", problems));
    let disable = flag(section, "disablereuse", problems);
    let enable = flag_at(section, "enablereuse", problems);
    if let (Some(_), Some(enable)) = (disable, &enable) {
        let mistake = Mistake::new("is given beside `disablereuse`").cure("keep one of them");
        problems.push(enable.problem(mistake));
    }
    set(&mut pool.reuse, disable.map(|off| !off));
    set(&mut pool.reuse, enable.map(|on| on.value));
}

fn transfer(section: &Section<'_>, member: &mut Member, problems: &mut Problems) {
    let wait = section.text("flushwait", problems, |text| {
        flush_wait(bounds::positive(crate::units::parse_duration(text)?)?)
    });
    let usual = wait.as_ref().map_or(defaults::FLUSH_WAIT, |wait| wait.value);
    let flush = section.text("flushpackets", problems, |text| Flush::parse(text, usual));
    set(&mut member.flush, flush.map(|at| at.value));
    if let Some(wait) = wait
        && !matches!(member.flush, Flush::Auto(_))
    {
        let mistake = Mistake::new("goes with flushpackets = \"auto\"");
        problems.push(wait.problem(mistake));
    }
    let upgrade = section.text("upgrade", problems, Upgrade::parse);
    set(&mut member.upgrade, upgrade.map(|at| at.value));
    member.io_buffer = buffer(section, "iobuffersize", problems);
    member.receive_buffer = buffer(section, "receivebuffersize", problems);
    set(
        &mut member.response_field,
        buffer(section, "responsefieldsize", problems),
    );
}

/// Apache's bound.
pub(crate) fn flush_wait(wait: Duration) -> Result<Duration, Mistake> {
    match wait <= Duration::from_secs(1) {
        true => Ok(wait),
        false => Err(Mistake::new("must be at most \"1s\"")),
    }
}

fn buffer(section: &Section<'_>, key: &str, problems: &mut Problems) -> Option<ByteSize> {
    let parse = |text: &str| bounds::size(text, ByteSize::bytes(512), ByteSize::mib(16));
    section.text(key, problems, parse).map(|at| at.value)
}

fn health(section: &Section<'_>, problems: &mut Problems) -> Option<HealthCheck> {
    let method = section.text("hcmethod", problems, HealthMethod::parse);
    let interval = positive(section, "hcinterval", problems);
    let passes = section.count("hcpasses", problems, bounds::HEALTH_COUNT);
    let fails = section.count("hcfails", problems, bounds::HEALTH_COUNT);
    let uri = section.text("hcuri", problems, health_uri);
    let expect = section
        .section("hcexpect", "`hcexpect`", &schema::HEALTH_EXPECT, problems)
        .map(|table| HealthExpect {
            statuses: rules::statuses(&table, problems).unwrap_or_default(),
            contains: table.string("contains", problems).map(|at| at.value),
            lacks: table.string("lacks", problems).map(|at| at.value),
        });
    if !section.has("hcmethod") {
        for key in ["hcinterval", "hcpasses", "hcfails", "hcuri", "hcexpect"] {
            section.read(key, problems, |_| {
                let mistake = Mistake::new("means nothing without `hcmethod`");
                Err::<(), _>(mistake.cure("add hcmethod = \"get\", \"head\", \"options\" or \"tcp\""))
            });
        }
    }
    let at = method?;
    let mut check = HealthCheck::by(at.value?);
    set(&mut check.interval, interval);
    set(&mut check.passes, passes);
    set(&mut check.fails, fails);
    set(&mut check.uri, uri.map(|at| at.value));
    set(&mut check.expect, expect);
    if let Err(mistake) = check.check() {
        let at = At {
            value: (),
            subject: at.subject,
            place: at.place,
        };
        problems.push(at.problem(mistake));
    }
    Some(check)
}

/// A path with perhaps a query.
pub(crate) fn health_uri(text: &str) -> Result<String, Mistake> {
    match text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
        true => Ok(text.to_owned()),
        false => Err(Mistake::new(format!(
            "must be a path such as \"/healthz\", found {text:?}"
        ))),
    }
}

/// A whole number that may be zero.
fn integer<T: TryFrom<i128>>(
    section: &Section<'_>,
    key: &str,
    bounds: RangeInclusive<i128>,
    problems: &mut Problems,
) -> Option<T> {
    let read = section.read(key, problems, |value| {
        let number = match value {
            DeValue::Integer(number) => i128::from_str_radix(number.as_str(), number.radix()).ok(),
            _ => None,
        };
        number
            .filter(|number| bounds.contains(number))
            .and_then(|number| T::try_from(number).ok())
            .ok_or_else(|| {
                Mistake::new(format!(
                    "must be a whole number from {} to {}, found {}",
                    bounds.start(),
                    bounds.end(),
                    describe(value)
                ))
            })
    });
    read.map(|at| at.value)
}
