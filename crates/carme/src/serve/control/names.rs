//! Which worker or which member a command means.

use std::sync::Arc;

use carme_balancer::{MemberId, MemberReport, State};
use carme_config::Balancer;

use super::super::apps::Running;
use super::super::balancers::Balanced;
use super::super::server::Now;

/// What a name stands for.
pub(super) enum Named<'n> {
    /// A worker, by its app and its route.
    Worker(&'n Running, &'n str),
    /// A member.
    Member(Member<'n>),
}

/// A member of a balancer.
pub(super) struct Member<'n> {
    pub(super) balanced: &'n Arc<Balanced>,
    pub(super) configured: &'n Balancer,
    pub(super) id: MemberId,
    /// Its route, or its URL.
    pub(super) name: String,
}

impl Member<'_> {
    /// How it is called where several balancers can have one of its name.
    pub(super) fn full(&self) -> String {
        format!("{}/{}", self.balanced.name, self.name)
    }
}

/// The app in which there is to be a worker with this route, or what to say if there is not exactly one.
pub(super) fn worker<'n>(now: &'n Now, route: &str) -> Result<&'n Arc<Running>, String> {
    let has_it = |running: &&Arc<Running>| running.roster.seats().any(|seat| &**seat.route() == route);
    let mut apps = now.apps.iter().filter(has_it);
    match (apps.next(), apps.next()) {
        (Some(running), None) => Ok(running),
        (Some(one), Some(other)) => Err(format!(
            "both app {} and app {} have a worker {route}: give their workers different names (route)",
            one.name, other.name
        )),
        (None, _) => Err(format!("there is no worker {route}; {}", workers(now))),
    }
}

/// The routes that there are.
pub(super) fn workers(now: &Now) -> String {
    let routes = now.apps.iter().flat_map(|running| running.roster.seats());
    let routes: Vec<String> = routes.map(|seat| seat.route().to_string()).collect();
    if routes.is_empty() {
        "this server has no workers".to_owned()
    } else {
        format!("the workers are {}", routes.join(", "))
    }
}

/// The balancer of this name and what the file says of it, or what to say if there is none.
pub(super) fn balancer<'n>(now: &'n Now, name: &str) -> Result<(&'n Arc<Balanced>, &'n Balancer), String> {
    let mut balancers = now.balancers.iter().zip(&now.config.balancers);
    balancers
        .find(|(balanced, _)| balanced.name == name)
        .ok_or_else(|| {
            let names: Vec<&str> = now
                .balancers
                .iter()
                .map(|balanced| balanced.name.as_str())
                .collect();
            match names.as_slice() {
                [] => format!("there is no balancer {name}; this server has none"),
                names => format!("there is no balancer {name}; there is {}", names.join(", ")),
            }
        })
}

/// The member of that balancer, by its route or its URL.
pub(super) fn member<'n>(now: &'n Now, of: &str, name: &str) -> Result<Member<'n>, String> {
    let both = balancer(now, of)?;
    let mut found = members_called(both, name);
    match (found.pop(), found.is_empty()) {
        (Some(member), true) => Ok(member),
        (Some(_), false) => Err(format!(
            "{of} has several members {name}: name one by its URL ({})",
            urls(both.0, name).join(", ")
        )),
        (None, _) => Err(format!("balancer {of} has no member {name}; {}", members(now))),
    }
}

/// The worker or the member of this name, or what to say if there is not exactly one.
pub(super) fn find<'n>(now: &'n Now, name: &'n str) -> Result<Named<'n>, String> {
    let mut found: Vec<(String, Named<'n>)> = Vec::new();
    for running in &now.apps {
        let own = name
            .strip_prefix(&*running.name)
            .and_then(|rest| rest.strip_prefix('/'));
        for route in [Some(name), own].into_iter().flatten() {
            if running.roster.seats().any(|seat| &**seat.route() == route) {
                let full = format!("{}/{route} (a worker)", running.name);
                found.push((full, Named::Worker(running, route)));
            }
        }
    }
    for both in now.balancers.iter().zip(&now.config.balancers) {
        let own = name
            .strip_prefix(&*both.0.name)
            .and_then(|rest| rest.strip_prefix('/'));
        for called in [Some(name), own].into_iter().flatten() {
            let several = urls(both.0, called);
            for (at, member) in members_called(both, called).into_iter().enumerate() {
                let full = match several.get(at) {
                    Some(url) if several.len() > 1 => format!("{}/{url} (a member)", both.0.name),
                    _ => format!("{} (a member)", member.full()),
                };
                found.push((full, Named::Member(member)));
            }
        }
    }
    match found.len() {
        1 => found.pop().map(|(_, named)| named).ok_or_else(String::new),
        0 if now.balancers.is_empty() => Err(format!("there is no worker {name}; {}", workers(now))),
        0 if now.apps.is_empty() => Err(format!("there is no member {name}; {}", members(now))),
        0 => Err(format!(
            "there is no worker and no member {name}; {}; {}",
            workers(now),
            members(now)
        )),
        _ => {
            let names: Vec<String> = found.into_iter().map(|(full, _)| full).collect();
            Err(format!(
                "there are several {name}; say which: {}",
                names.join(", ")
            ))
        }
    }
}

/// The members that there are.
fn members(now: &Now) -> String {
    let names = now.balancers.iter().flat_map(|balanced| {
        let report = balanced.cluster.report();
        let members = report.members.into_iter().filter(is_there);
        members.map(|member| format!("{}/{}", balanced.name, called(&member)))
    });
    let names: Vec<String> = names.collect();
    if names.is_empty() {
        "there are no members".to_owned()
    } else {
        format!("the members are {}", names.join(", "))
    }
}

fn is_there(member: &MemberReport) -> bool {
    member.state != State::Removed
}

fn called(member: &MemberReport) -> &str {
    member.config.route.as_deref().unwrap_or(&member.config.name)
}

fn is_called(member: &MemberReport, name: &str) -> bool {
    is_there(member) && (member.config.route.as_deref() == Some(name) || is_url(&member.config.name, name))
}

/// However it is written.
fn is_url(url: &str, name: &str) -> bool {
    url == name
        || (name.contains("://")
            && carme_config::MemberUrl::parse(name).is_ok_and(|parsed| parsed.to_string() == url))
}

fn members_called<'n>(
    (balanced, configured): (&'n Arc<Balanced>, &'n Balancer),
    name: &str,
) -> Vec<Member<'n>> {
    let report = balanced.cluster.report();
    let found = report.members.iter().filter(|member| is_called(member, name));
    found
        .map(|member| Member {
            balanced,
            configured,
            id: member.id,
            name: called(member).to_owned(),
        })
        .collect()
}

fn urls(balanced: &Balanced, name: &str) -> Vec<String> {
    let report = balanced.cluster.report();
    let found = report
        .members
        .into_iter()
        .filter(|member| is_called(member, name));
    found.map(|member| member.config.name).collect()
}
