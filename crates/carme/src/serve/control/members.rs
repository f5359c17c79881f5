//! What commands do to balancers and their members.

use std::time::Duration;

use carme_balancer::{Change, Flag, State};
use carme_control::Reply;
use tokio::time::{Instant, sleep};

use super::super::by_hand::{self, NotChanged, Values};
use super::super::server::Now;
use super::names::{self, Member};

/// How long a drained member is waited for. What takes longer, such as WebSockets, goes on.
const DRAIN_TIME: Duration = Duration::from_secs(60);
/// How often it is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(50);

/// What was done.
#[derive(Debug)]
pub(super) struct Told {
    /// In the beginning of a sentence.
    pub(super) what: String,
    /// Whether the next start is to know of it; `None` where that goes without saying.
    pub(super) is_kept: Option<bool>,
}

/// Why nothing was done.
#[derive(Debug)]
pub(super) struct NotDone(pub(super) String);

impl From<String> for NotDone {
    fn from(message: String) -> Self {
        NotDone(message)
    }
}

fn wrong(whose: &str, error: &NotChanged) -> NotDone {
    NotDone(format!("{whose} stays as it is: {error}"))
}

/// Changes a balancer's settings.
pub(super) fn set_balancer(now: &Now, name: &str, settings: &Values) -> Result<Told, NotDone> {
    let (balanced, configured) = names::balancer(now, name)?;
    by_hand::set(balanced, configured, settings).map_err(|error| wrong(name, &error))?;
    let said: Vec<String> = settings.iter().map(|(key, value)| said(key, value)).collect();
    Ok(Told {
        what: format!("{name}: {}", said.join(", ")),
        is_kept: Some(configured.persist),
    })
}

/// Changes a member's settings.
pub(super) fn set(now: &Now, balancer: Option<&str>, name: &str, settings: &Values) -> Result<Told, NotDone> {
    let member = match balancer {
        Some(balancer) => names::member(now, balancer, name)?,
        None => match names::find(now, name)? {
            names::Named::Member(member) => member,
            names::Named::Worker(running, route) => {
                let message = format!(
                    "{route} is a worker of app {}: `carme drain {route}` takes it out of use",
                    running.name
                );
                return Err(NotDone(message));
            }
        },
    };
    let full = member.full();
    let changes =
        by_hand::change(member.balanced, member.id, settings).map_err(|error| wrong(&full, &error))?;
    let mut all: Vec<String> = changes.iter().filter_map(state).collect();
    let others = settings.iter().filter(|(key, _)| *key != "status");
    all.extend(others.map(|(key, value)| said(key, value)));
    let takes_out = |change: &Change| {
        matches!(
            change,
            Change::Status(Flag::Disabled | Flag::Stopped | Flag::Drain, true)
        )
    };
    let alone = match changes.iter().any(takes_out) {
        true => alone(&member),
        false => "",
    };
    Ok(Told {
        what: format!("{full}: {}{alone}", all.join(", ")),
        is_kept: Some(member.configured.persist),
    })
}

fn said(key: &str, value: &str) -> String {
    match value {
        "-" => format!("no {key}"),
        value => format!("{key} = {value}"),
    }
}

/// A flag in words.
fn state(change: &Change) -> Option<String> {
    let Change::Status(flag, on) = change else {
        return None;
    };
    let word = match flag {
        Flag::IgnoreErrors => "ignoring errors",
        Flag::Drain => "draining",
        Flag::Shutdown => "removed",
        Flag::Disabled => "disabled",
        Flag::Stopped => "stopped",
        Flag::Error => "in error",
        Flag::HotStandby => "standby",
        Flag::HotSpare => "spare",
        Flag::HealthFailed => "unhealthy",
    };
    Some(match on {
        true => word.to_owned(),
        false => format!("not {word}"),
    })
}

/// What to say if this was the last member for requests that belong to nobody.
fn alone(member: &Member<'_>) -> &'static str {
    let report = member.balanced.cluster.report();
    let is_left = |state: State| {
        !matches!(
            state,
            State::Removed | State::Stopped | State::Disabled | State::Draining
        )
    };
    match report.members.iter().any(|member| is_left(member.state)) {
        true => "",
        false => ", the last one: new requests get 503",
    }
}

/// Adds a member.
pub(super) fn add(now: &Now, balancer: &str, url: &str, settings: &Values) -> Result<Told, NotDone> {
    let (balanced, configured) = names::balancer(now, balancer)?;
    if let Some(growth) = configured.growth {
        let added = balanced
            .cluster
            .report()
            .members
            .iter()
            .filter(|member| member.added)
            .count();
        if added >= growth {
            let message =
                format!("{balancer} stays as it is: {added} members are added, and growth = {growth}");
            return Err(NotDone(message));
        }
    }
    let url = by_hand::add(balanced, configured, url, settings).map_err(|error| wrong(balancer, &error))?;
    let name = settings.get("route").map_or(url.as_str(), String::as_str);
    Ok(Told {
        what: format!("{balancer} has the member {name}"),
        is_kept: Some(configured.persist),
    })
}

/// Removes a member; what it has goes on.
pub(super) fn remove(now: &Now, balancer: &str, name: &str) -> Result<Told, NotDone> {
    let member = names::member(now, balancer, name)?;
    let removed = member
        .balanced
        .cluster
        .with(|balancer, now| balancer.remove(member.id, now));
    removed.map_err(|error| wrong(&member.full(), &error.into()))?;
    let alone = alone(&member);
    Ok(Told {
        what: format!("{} is removed{alone}", member.full()),
        is_kept: Some(member.configured.persist),
    })
}

/// Gives a member nothing but what its own sessions ask for.
pub(super) fn drain(member: &Member<'_>) -> Result<Told, NotDone> {
    let drain = Change::Status(Flag::Drain, true);
    let drains = member
        .balanced
        .cluster
        .with(|balancer, now| balancer.change(member.id, drain, now));
    drains.map_err(|error| wrong(&member.full(), &error.into()))?;
    Ok(Told {
        what: format!("{} drains", member.full()),
        is_kept: None,
    })
}

/// Uses a member again.
pub(super) fn enable(member: &Member<'_>) -> Result<Told, NotDone> {
    let cluster = &member.balanced.cluster;
    let enabled = cluster.with(|balancer, now| balancer.change(member.id, Change::Enable, now));
    enabled.map_err(|error| wrong(&member.full(), &error.into()))?;
    Ok(Told {
        what: format!("{} serves", member.full()),
        is_kept: None,
    })
}

/// Waits until a member that drains has nothing in flight.
pub(super) async fn drained(member: &Member<'_>) -> Reply {
    let until = Instant::now() + DRAIN_TIME;
    loop {
        let report = member.balanced.cluster.report();
        let busy = report
            .members
            .iter()
            .find(|one| one.id == member.id)
            .map(|one| one.busy);
        let full = member.full();
        match busy {
            // It may have been removed.
            None | Some(0) => {
                let sessions = match report.settings.sticky {
                    Some(_) => ", gets only its own sessions",
                    None => "",
                };
                let alone = alone(member);
                return Reply::Done {
                    message: format!("{full} is drained{alone}{sessions}, until `carme enable {full}`"),
                };
            }
            Some(busy) if Instant::now() >= until => {
                return Reply::Refused {
                    message: format!(
                        "{full} gets nothing new until `carme enable {full}`, and after {} s still has {busy} in \
                         flight; `carme status` shows them",
                        DRAIN_TIME.as_secs()
                    ),
                };
            }
            Some(_) => sleep(LOOK).await,
        }
    }
}
