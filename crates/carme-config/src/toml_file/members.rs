//! `[[balancers.NAME.members]]`, and what is said of all that are found.

use std::ops::RangeInclusive;
use std::time::Duration;

use toml::de::DeValue;

use super::location::{flag, flag_at};
use super::section::{Section, describe};
use super::{bounds, positive, rules, schema, set};
use crate::balancer::{
    Flush, HealthCheck, HealthExpect, HealthMethod, Member, MemberUrl, Upgrade, flags, route,
};
use crate::config::defaults;
use crate::draft::At;
use crate::problem::{Mistake, Problems};
use crate::units::ByteSize;

/// One of `[[members]]`; `at` gives what holds for it if nothing is said.
pub(super) fn member(
    item: &At<Section<'_>>,
    at: impl FnOnce(MemberUrl) -> Member,
    problems: &mut Problems,
) -> Option<Member> {
    let section = &item.value;
    if !section.has("url") {
        let mistake = Mistake::new("has no `url`").cure("write url = \"http://10.0.0.1:9001\"");
        problems.push(item.problem(mistake));
    }
    let url = section.text("url", problems, MemberUrl::parse);
    // What else is wrong is told even if there is no address.
    let mut member = at(url.as_ref().map_or_else(nowhere, |url| url.value.clone()));
    let name = section.text("route", problems, route).map(|at| at.value);
    member.route = name.or(member.route);
    member.redirect = section.text("redirect", problems, route).map(|at| at.value);
    settings(section, &mut member, problems);
    url.map(|_| member)
}

/// All that is neither an address nor a name.
pub(super) fn settings(section: &Section<'_>, member: &mut Member, problems: &mut Problems) {
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
    pool(section, member, problems);
    set(&mut member.retry, section.duration("retry", problems));
    let timeout = positive(section, "timeout", problems);
    set(&mut member.timeout, timeout);
    let connect = positive(section, "connectiontimeout", problems);
    set(&mut member.connect_timeout, connect.or(timeout));
    some(&mut member.ping, positive(section, "ping", problems));
    transfer(section, member, problems);
    some(&mut member.address_ttl, positive(section, "addressttl", problems));
    some(&mut member.health, health(section, problems));
}

/// What is said counts more than what was said of all.
fn some<T>(place: &mut Option<T>, value: Option<T>) {
    if value.is_some() {
        *place = value;
    }
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
    some(&mut pool.max, section.count("max", problems, bounds::CONNECTIONS));
    some(&mut pool.smax, integer(section, "smax", 0..=1_000_000, problems));
    some(&mut pool.ttl, positive(section, "ttl", problems));
    some(&mut pool.acquire, positive(section, "acquire", problems));
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
    some(&mut member.io_buffer, buffer(section, "iobuffersize", problems));
    some(
        &mut member.receive_buffer,
        buffer(section, "receivebuffersize", problems),
    );
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
pub(super) fn integer<T: TryFrom<i128>>(
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
