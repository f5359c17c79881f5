//! Changes of balancers and members, from the names and values of `carme.toml` and back to them.

use std::collections::BTreeMap;

use carme_balancer::{
    Change, Condition, Expect, Flag, HealthCheck, LoadFactor, Member, SettingChange, Settings, StickySession,
};
use carme_config::{DisplayDuration, HealthMethod, MemberUrl, Mistake};

use super::super::balancers;

/// Settings by their names in `carme.toml`, with their values as text.
pub(in super::super) type Values = BTreeMap<String, String>;

/// What can be changed while a member is there.
const CHANGEABLE: [&str; 6] = ["route", "redirect", "loadfactor", "lbset", "status", "max"];

pub(super) fn is_changeable(key: &str) -> bool {
    CHANGEABLE.contains(&key) || key.starts_with("hc")
}

/// What is to be changed of a member, or what is wrong with that.
pub(super) fn changes(current: &Member, values: &Values) -> Result<Vec<Change>, Mistake> {
    if let Some(key) = values.keys().find(|key| !is_changeable(key)) {
        // A name that does not exist is told as such.
        let alone = Values::from([(key.clone(), values[key].clone())]);
        carme_config::Member::of_settings(&current.name, &alone)?;
        return Err(Mistake {
            what: format!("{key} is not changed while the member is there"),
            cure: Some("change the file and `carme reload`, or remove the member and add it again".into()),
        });
    }
    let mut scratch = carme_config::Member::of_settings(&current.name, &Values::new())?;
    scratch.health = current.health.as_ref().map(configured_check);
    scratch.set_all(values)?;
    let wanted = balancers::member(&scratch);
    let mut changes = Vec::new();
    for (key, value) in values {
        match key.as_str() {
            "route" => changes.push(Change::Route(wanted.route.clone())),
            "redirect" => changes.push(Change::Redirect(wanted.redirect.clone())),
            "loadfactor" => changes.push(Change::LoadFactor(wanted.load_factor)),
            "lbset" => changes.push(Change::LbSet(wanted.lbset)),
            "max" => changes.push(Change::Max(wanted.max)),
            "status" => changes.extend(flags(value)),
            _ => {}
        }
    }
    if values.keys().any(|key| key.starts_with("hc")) {
        changes.push(Change::Health(wanted.health));
    }
    Ok(changes)
}

/// What is to be changed of a balancer, or what is wrong with that.
pub(super) fn setting_changes(
    configured: &carme_config::Balancer,
    current: &Settings,
    values: &Values,
) -> Result<Vec<SettingChange>, Mistake> {
    let mut scratch = configured.clone();
    scratch.sticky = current.sticky.as_ref().map(|sticky| carme_config::Sticky {
        cookie: sticky.cookie.clone(),
        parameter: sticky.parameter.clone(),
        separator: sticky.separator,
        semicolon: sticky.semicolon_delimits,
    });
    // Before what belongs to it.
    if let Some(value) = values.get("stickysession") {
        scratch.set("stickysession", value)?;
    }
    for (key, value) in values.iter().filter(|(key, _)| *key != "stickysession") {
        scratch.set(key, value)?;
    }
    let wanted = balancers::settings(&scratch);
    let change = |key: &String| match key.as_str() {
        "method" => Some(SettingChange::Method(wanted.method)),
        "timeout" => Some(SettingChange::Timeout(wanted.timeout)),
        "maxattempts" => Some(SettingChange::MaxAttempts(wanted.max_attempts)),
        "nofailover" => Some(SettingChange::Nofailover(wanted.nofailover)),
        _ => None,
    };
    let mut changes: Vec<_> = values.keys().filter_map(change).collect();
    if values
        .keys()
        .any(|key| key.starts_with("sticky") || key == "scolonpathdelim")
    {
        changes.push(SettingChange::Sticky(wanted.sticky));
    }
    Ok(changes)
}

/// Letters with signs, which have been checked.
fn flags(letters: &str) -> Vec<Change> {
    let mut on = true;
    let mut changes = Vec::new();
    for letter in letters.chars() {
        match letter {
            '+' => on = true,
            '-' => on = false,
            _ => {
                let of_letter = |flag: &Flag| flag.letter() == letter.to_ascii_uppercase();
                let flag = Flag::ALL.into_iter().find(of_letter);
                changes.extend(flag.map(|flag| Change::Status(flag, on)));
            }
        }
    }
    changes
}

/// Changes of a member as values.
pub(super) fn written(changes: &[Change]) -> Values {
    let mut values = Values::new();
    for change in changes {
        let or_nothing = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".into());
        let (key, value) = match change {
            Change::Status(flag, on) => {
                let letters: &mut String = values.entry("status".into()).or_default();
                letters.push(if *on { '+' } else { '-' });
                letters.push(flag.letter());
                continue;
            }
            Change::Enable => ("status", "-DSNEC".into()),
            Change::LoadFactor(factor) => ("loadfactor", factor_text(*factor)),
            Change::LbSet(set) => ("lbset", set.number().to_string()),
            Change::Route(route) => ("route", or_nothing(route)),
            Change::Redirect(route) => ("redirect", or_nothing(route)),
            Change::Max(max) => ("max", or_nothing(&max.map(|max| max.to_string()))),
            Change::Health(None) => ("hcmethod", "none".into()),
            Change::Health(Some(check)) => {
                values.extend(check_values(check));
                continue;
            }
        };
        values.insert(key.into(), value);
    }
    values
}

/// All of a member that can be changed, as values; what is as it is by default is left out.
pub(super) fn member_values(member: &Member) -> Values {
    let usual = Member::new(String::new());
    let mut changes: Vec<Change> = member
        .status
        .flags()
        .map(|flag| Change::Status(flag, true))
        .collect();
    let differing = [
        (
            Change::LoadFactor(member.load_factor),
            member.load_factor != usual.load_factor,
        ),
        (Change::LbSet(member.lbset), member.lbset != usual.lbset),
        (Change::Route(member.route.clone()), member.route.is_some()),
        (
            Change::Redirect(member.redirect.clone()),
            member.redirect.is_some(),
        ),
        (Change::Max(member.max), member.max.is_some()),
        (Change::Health(member.health.clone()), member.health.is_some()),
    ];
    changes.extend(
        differing
            .into_iter()
            .filter(|(_, differs)| *differs)
            .map(|(change, _)| change),
    );
    written(&changes)
}

/// Changes of a balancer as values.
pub(super) fn settings_written(changes: &[SettingChange]) -> Values {
    let mut values = Values::new();
    for change in changes {
        let (key, value) = match change {
            SettingChange::Method(method) => ("method", method.name().to_owned()),
            SettingChange::Timeout(timeout) => ("timeout", DisplayDuration(*timeout).to_string()),
            SettingChange::MaxAttempts(attempts) => (
                "maxattempts",
                attempts.map_or("-".into(), |attempts| attempts.to_string()),
            ),
            SettingChange::Nofailover(on) => ("nofailover", switch(*on)),
            SettingChange::Sticky(None) => ("stickysession", "-".into()),
            SettingChange::Sticky(Some(sticky)) => {
                values.extend(sticky_values(sticky));
                continue;
            }
        };
        values.insert(key.into(), value);
    }
    values
}

fn sticky_values(sticky: &StickySession) -> [(String, String); 3] {
    [
        (
            "stickysession".into(),
            format!("{}|{}", sticky.cookie, sticky.parameter),
        ),
        (
            "stickysessionsep".into(),
            sticky.separator.map_or("off".into(), String::from),
        ),
        ("scolonpathdelim".into(), switch(sticky.semicolon_delimits)),
    ]
}

fn check_values(check: &HealthCheck) -> Vec<(String, String)> {
    let configured = configured_check(check);
    let mut values = vec![
        ("hcmethod", configured.method.as_str().to_owned()),
        ("hcinterval", DisplayDuration(check.interval).to_string()),
        ("hcpasses", check.passes.to_string()),
        ("hcfails", check.fails.to_string()),
    ];
    if !check.uri.is_empty() {
        values.push(("hcuri", check.uri.clone()));
    }
    let expect = configured.expect;
    if !expect.statuses.is_empty() {
        let ranges = expect
            .statuses
            .iter()
            .map(|(first, last)| format!("{first}-{last}"));
        values.push(("hcexpect.status", ranges.collect::<Vec<_>>().join(",")));
    }
    values.extend(expect.contains.map(|text| ("hcexpect.contains", text)));
    values.extend(expect.lacks.map(|text| ("hcexpect.lacks", text)));
    values
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
}

fn factor_text(factor: LoadFactor) -> String {
    let text = factor.to_string();
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn switch(on: bool) -> String {
    if on { "on" } else { "off" }.to_owned()
}

/// A check as the configuration has it.
fn configured_check(check: &HealthCheck) -> carme_config::HealthCheck {
    use carme_balancer::CheckMethod::{Get, Head, Options, Tcp};
    let Expect {
        statuses,
        contains,
        lacks,
    } = match &check.condition {
        Condition::Expect(expect) => expect.clone(),
        // The configuration makes no other conditions.
        Condition::Success | Condition::Expression(_) => Expect::default(),
    };
    carme_config::HealthCheck {
        method: match check.method {
            Tcp => HealthMethod::Tcp,
            Options { .. } => HealthMethod::Options,
            Head { .. } => HealthMethod::Head,
            Get { .. } => HealthMethod::Get,
        },
        interval: check.interval,
        passes: check.passes.try_into().unwrap_or(std::num::NonZeroUsize::MAX),
        fails: check.fails.try_into().unwrap_or(std::num::NonZeroUsize::MAX),
        uri: check.uri.clone(),
        expect: carme_config::HealthExpect {
            statuses,
            contains,
            lacks,
        },
    }
}

/// How a member's URL is written, whatever was typed.
pub(super) fn url(text: &str) -> String {
    MemberUrl::parse(text).map_or_else(|_| text.to_owned(), |url| url.to_string())
}
