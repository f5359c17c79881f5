//! `[balancers.NAME]`.

use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::location::{flag, flag_at};
use super::members::{integer, member};
use super::section::{Section, describe};
use super::{bounds, discover, schema, set};
use crate::balancer::{Balancer, BalancerDraft, Failover, HashKey, Member, Method, Sticky, separator};
use crate::draft::At;
use crate::problem::{Mistake, Problems};

pub(super) fn balancers(top: &Section<'_>, base: &Path, problems: &mut Problems) -> Vec<BalancerDraft> {
    let mut drafts = Vec::new();
    for (name, value) in top.entries("balancers", problems) {
        if let Err(mistake) = bounds::app_name(&name.value) {
            problems.push(name.problem(mistake));
        }
        match value.get_ref() {
            DeValue::Table(table) => drafts.push(balancer(name, table, top, base, problems)),
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
    base: &Path,
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
    set(&mut balancer.persist, flag(section, "persist", problems));
    set(&mut balancer.slow_start, section.duration("slow_start", problems));
    set(&mut balancer.tls.verify, flag(section, "tls_verify", problems));
    let before = problems.len();
    let mut places = Vec::new();
    for item in section
        .sections("members", &schema::MEMBER, problems)
        .unwrap_or_default()
    {
        if let Some(member) = member(&item, Member::at, problems) {
            balancer.members.push(member);
            places.push(At {
                value: (),
                subject: item.subject,
                place: item.place,
            });
        }
    }
    balancer.discover = discover::discover(section, base, problems);
    let all_read = problems.len() == before;
    BalancerDraft {
        ca: section.string("tls_ca", problems),
        all_read,
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
