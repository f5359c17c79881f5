//! The `key=value` of `BalancerMember`, `ProxySet` and `ProxyPass`.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;

use super::balancers::{MemberLine, Pool};
use super::lexer::Word;
use super::reading::{Outcome, Reading, switch};
use super::source::Node;
use super::time;
use crate::balancer::{
    Flush, HealthCheck, HealthExpect, HealthMethod, MemberUrl, Method, Sticky, Upgrade, flags, route,
    separator,
};
use crate::config::defaults;
use crate::nearest::did_you_mean;
use crate::problem::Mistake;
use crate::toml_file::bounds;
use crate::toml_file::members::{flush_wait, health_uri};
use crate::units::ByteSize;

/// What became of a parameter.
enum Done {
    Set,
    /// Known, and without a meaning here.
    Meaningless(&'static str),
    /// There is none of this name.
    Unknown,
}

const OF_BALANCERS: [&str; 12] = [
    "lbmethod",
    "maxattempts",
    "nofailover",
    "stickysession",
    "stickysessionsep",
    "scolonpathdelim",
    "timeout",
    "failonstatus",
    "failontimeout",
    "nonce",
    "growth",
    "forcerecovery",
];

const OF_MEMBERS: [&str; 30] = [
    "min",
    "max",
    "smax",
    "ttl",
    "acquire",
    "connectiontimeout",
    "disablereuse",
    "enablereuse",
    "flushpackets",
    "flushwait",
    "iobuffersize",
    "receivebuffersize",
    "responsefieldsize",
    "keepalive",
    "lbset",
    "ping",
    "loadfactor",
    "redirect",
    "retry",
    "route",
    "status",
    "timeout",
    "upgrade",
    "mapping",
    "addressttl",
    "secret",
    "flusher",
    "hctemplate",
    "hcmethod",
    "hcexpr",
];

const OF_CHECKS: [&str; 6] = ["hcmethod", "hcinterval", "hcpasses", "hcfails", "hcuri", "hcexpr"];

/// What says that there are checks comes before what says of what kind, wherever it stands.
pub(super) fn in_order(parameters: &[Word]) -> Vec<&Word> {
    let begins = |word: &Word, key: &str| {
        let start = word.text.get(..key.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(key))
    };
    let mut ordered: Vec<&Word> = parameters.iter().collect();
    ordered.sort_by_key(|word| (!begins(word, "hctemplate="), !begins(word, "hcmethod=")));
    ordered
}

/// Sets one parameter of the balancer or of the member that `url` names.
pub(super) fn set(reading: &mut Reading, node: &Node, word: &Word, url: &str, pool: &str) -> Outcome {
    let wrong = |mistake| node.wrong_arg(word, mistake);
    let Some((key, value)) = word.text.split_once('=') else {
        let mistake = Mistake::new(format!("must be key=value, found {:?}", word.text));
        return Err(wrong(mistake));
    };
    let key = key.to_ascii_lowercase();
    let Some(at) = reading.pools.iter().position(|known| known.name.value == pool) else {
        return Ok(());
    };
    let of_balancer = url.starts_with("balancer://");
    let done = if of_balancer {
        balancer(&mut reading.pools[at], &key, value)
    } else {
        let wanted = MemberUrl::parse(url).ok();
        let pool = &mut reading.pools[at];
        let alone = pool.members.len() == 1;
        let line = pool
            .members
            .iter_mut()
            .find(|line| alone || wanted.as_ref() == Some(&line.member.url));
        match line {
            Some(line) => member(
                &reading.health_templates,
                &reading.health_expects,
                line,
                &key,
                value,
            ),
            None => Ok(Done::Set),
        }
    };
    let named = |mistake: Mistake| Mistake {
        what: format!("{key} {}", mistake.what),
        ..mistake
    };
    match done.map_err(|mistake| wrong(named(mistake)))? {
        Done::Set => Ok(()),
        Done::Meaningless(why) => {
            reading.warn(word, &key, why);
            Ok(())
        }
        Done::Unknown => {
            let (own, other, whose) = match of_balancer {
                true => (&OF_BALANCERS[..], &OF_MEMBERS[..], "a member"),
                false => (&OF_MEMBERS[..], &OF_BALANCERS[..], "a balancer"),
            };
            let cure = match other.contains(&key.as_str()) {
                true => Some(format!("{key} belongs to {whose}")),
                false => did_you_mean(&key, own.iter().chain(&OF_CHECKS).copied()),
            };
            Err(wrong(
                Mistake::new(format!("has the unknown parameter {key:?}")).maybe_cure(cure),
            ))
        }
    }
}

fn whole<T: TryFrom<i128>>(text: &str, bounds: RangeInclusive<i128>) -> Result<T, Mistake> {
    let number = time::number(text)?;
    T::try_from(number)
        .ok()
        .filter(|_| bounds.contains(&number))
        .ok_or_else(|| {
            Mistake::new(format!(
                "must be a whole number from {} to {}, found {number}",
                bounds.start(),
                bounds.end()
            ))
        })
}

fn balancer(pool: &mut Pool, key: &str, value: &str) -> Result<Done, Mistake> {
    let balancer = &mut pool.balancer;
    match key {
        "lbmethod" => balancer.method = Method::parse(value)?,
        "maxattempts" => balancer.max_attempts = Some(whole(value, 0..=1000)?),
        "nofailover" => balancer.no_failover = switch(value)?,
        "stickysession" => balancer.sticky = Some(Sticky::parse(value)?),
        "stickysessionsep" => pool.separator = Some(separator(value)?),
        "scolonpathdelim" => pool.semicolon = Some(switch(value)?),
        "timeout" => balancer.timeout = time::any(value)?,
        "failonstatus" => {
            for status in value.split(',') {
                balancer.fail_on_status.insert(whole(status.trim(), 100..=599)?);
            }
        }
        "failontimeout" => balancer.fail_on_timeout = switch(value)?,
        "forcerecovery" => balancer.force_recovery = switch(value)?,
        "growth" => balancer.growth = Some(whole(value, 0..=1000)?),
        "nonce" => {
            return Ok(Done::Meaningless(
                "is of Apache's balancer-manager, a page that Carme does not have",
            ));
        }
        _ => return Ok(Done::Unknown),
    }
    Ok(Done::Set)
}

fn buffer(value: &str) -> Result<Option<ByteSize>, Mistake> {
    match time::bytes(value)? {
        size if size.as_u64() == 0 => Ok(None),
        size if (512..=16 << 20).contains(&size.as_u64()) => Ok(Some(size)),
        size => Err(Mistake::new(format!(
            "must be a number of bytes from 512 to 16777216, found {}",
            size.as_u64()
        ))),
    }
}

fn member(
    templates: &HashMap<String, HealthCheck>,
    expects: &HashMap<String, HealthExpect>,
    line: &mut MemberLine,
    key: &str,
    value: &str,
) -> Result<Done, Mistake> {
    let member = &mut line.member;
    match key {
        "min" => member.pool.min = whole(value, 0..=65_535)?,
        // None is no limit.
        "max" => member.pool.max = NonZeroUsize::new(whole(value, 0..=1_000_000)?),
        "smax" => member.pool.smax = Some(whole(value, 0..=1_000_000)?),
        "ttl" => member.pool.ttl = Some(time::seconds(value)?),
        "acquire" => member.pool.acquire = Some(bounds::positive(time::milliseconds(value)?)?),
        "connectiontimeout" => line.connect_timeout = Some(time::seconds(value)?),
        "disablereuse" => member.pool.reuse = !switch(value)?,
        "enablereuse" => member.pool.reuse = switch(value)?,
        "flushpackets" => member.flush = Flush::parse(value, defaults::FLUSH_WAIT)?,
        "flushwait" => {
            let wait = time::milliseconds(value)?;
            line.flush_wait = Some(if wait.is_zero() {
                defaults::FLUSH_WAIT
            } else {
                flush_wait(wait)?
            });
        }
        "iobuffersize" => member.io_buffer = buffer(value)?,
        "receivebuffersize" => member.receive_buffer = buffer(value)?,
        "responsefieldsize" => member.response_field = buffer(value)?.unwrap_or(defaults::RESPONSE_FIELD),
        "keepalive" => member.pool.keep_alive = switch(value)?,
        "lbset" => member.lbset = whole(value, 0..=99)?,
        "ping" => member.ping = Some(time::seconds(value)?),
        "loadfactor" => member.load_factor = value.parse()?,
        "redirect" => member.redirect = Some(route(value)?),
        "retry" => member.retry = time::any(value)?,
        "route" => member.route = Some(route(value)?),
        "status" => flags(value, &mut member.status)?,
        "timeout" => line.timeout = Some(time::seconds(value)?),
        "upgrade" => member.upgrade = Upgrade::parse(value)?,
        "addressttl" => {
            member.address_ttl = if value == "-1" {
                None
            } else {
                Some(time::seconds(value)?)
            }
        }
        "mapping" if value.eq_ignore_ascii_case("encoded") => {
            return Ok(Done::Meaningless("is what Carme does anyway"));
        }
        "mapping" => return Ok(Done::Meaningless("is for servlets")),
        "secret" => return Ok(Done::Meaningless("is for AJP, which Carme does not speak")),
        "flusher" => {
            return Ok(Done::Meaningless(
                "is for handing over descriptors, which Carme does not",
            ));
        }
        "hctemplate" => match templates.get(value) {
            Some(check) => member.health = Some(check.clone()),
            None => {
                let known = did_you_mean(value, templates.keys().map(String::as_str));
                let what = format!("names no template: {value:?}");
                return Err(Mistake::new(what).cure(known.unwrap_or_else(|| {
                    format!("write before it: ProxyHCTemplate {value} hcmethod=GET hcinterval=10")
                })));
            }
        },
        "hcmethod" if HealthMethod::parse(value)?.is_none() => member.health = None,
        _ => {
            // Without hcmethod it is no check, as in Apache.
            let mut check = member
                .health
                .clone()
                .unwrap_or_else(|| HealthCheck::by(HealthMethod::Options));
            if !health(expects, &mut check, key, value)? {
                return Ok(Done::Unknown);
            }
            if key == "hcmethod" || member.health.is_some() {
                member.health = Some(check);
            } else {
                return Ok(Done::Meaningless(
                    "is of a check that there is not: write hcmethod, too",
                ));
            }
        }
    }
    Ok(Done::Set)
}

/// A parameter of a check; whether it is one.
pub(super) fn health(
    expects: &HashMap<String, HealthExpect>,
    check: &mut HealthCheck,
    key: &str,
    value: &str,
) -> Result<bool, Mistake> {
    match key.to_ascii_lowercase().as_str() {
        "hcmethod" => check.method = HealthMethod::parse(value)?.unwrap_or(check.method),
        "hcinterval" => check.interval = time::seconds(value)?,
        "hcpasses" => check.passes = bounds::HEALTH_COUNT.parse(value)?,
        "hcfails" => check.fails = bounds::HEALTH_COUNT.parse(value)?,
        "hcuri" => check.uri = health_uri(value)?,
        "hcexpr" => match expects.get(value) {
            Some(expect) => check.expect = expect.clone(),
            None => {
                let known = did_you_mean(value, expects.keys().map(String::as_str));
                let mistake = Mistake::new(format!("names no expression: {value:?}"));
                return Err(mistake.cure(known.unwrap_or_else(|| {
                    format!("write before it: ProxyHCExpr {value} {{%{{REQUEST_STATUS}} =~ /^[23]/}}")
                })));
            }
        },
        _ => return Ok(false),
    }
    Ok(true)
}

/// The nearest name of a check's parameter.
pub(super) fn near_health(key: &str) -> Option<String> {
    did_you_mean(key, OF_CHECKS)
}
