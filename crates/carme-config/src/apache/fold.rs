//! A balancer and the instances on its own machine, as one app with so many workers.

use std::num::NonZeroUsize;

use super::balancers::Pool;
use super::reading::{Answers, Host, Reading, Rule};
use super::wsgi::{Farm, Script};
use crate::draft::At;
use crate::mount::MountPath;
use crate::problem::Mistake;
use crate::route::RoutePattern;
use crate::sticky;

impl Reading {
    /// Takes the place of a balancer's members where they are the instances whose files are given. Returns what was
    /// done, in sentences.
    pub(super) fn fold(&mut self, mut instances: Vec<Reading>) -> Vec<String> {
        let mut notes = Vec::new();
        if instances.is_empty() {
            return notes;
        }
        let names: Vec<String> = self.pools.iter().map(|pool| pool.name.value.clone()).collect();
        for pool in names {
            let Some(at) = self.pools.iter().position(|known| known.name.value == pool) else {
                continue;
            };
            match self.folded(&self.pools[at], &instances) {
                Ok(Some((script, others, first))) => {
                    let farm = script.farm.clone();
                    self.replace(&pool, &script, &others);
                    self.take_over(&mut instances[first]);
                    if let Some(farm) = farm {
                        notes.push(format!(
                            "The balancer {pool} and its {} instances are one app now, {}, with {} workers: their routes \
                             stay, there is one log, and clients' addresses need no help.",
                            farm.workers, farm.name, farm.workers
                        ));
                        notes.extend(farm.sticky.map(|sticky| {
                            format!(
                                "Its clients stay at their worker by {}, as before; where nothing else sets that cookie, \
                                 Carme does.",
                                sticky.value
                            )
                        }));
                    }
                }
                Ok(None) => {}
                Err(why) => {
                    let name = &self.pools[at].name;
                    let what = format!("is not folded into one app: {why}");
                    self.warnings.push(name.problem(Mistake::new(what)));
                }
            }
        }
        notes
    }

    /// The script that stands for a balancer, what else its instances serve, and the first of them.
    #[allow(clippy::type_complexity, reason = "three things that belong together once")]
    fn folded(
        &self,
        pool: &Pool,
        instances: &[Reading],
    ) -> Result<Option<(Script, Vec<Rule>, usize)>, String> {
        let instance_of = |port: u16| {
            instances
                .iter()
                .position(|one| one.listen.iter().any(|line| line.port == port))
        };
        let found: Vec<Option<usize>> = pool
            .members
            .iter()
            .map(|line| instance_of(line.member.url.port))
            .collect();
        if found.iter().all(Option::is_none) {
            return Ok(None);
        }
        let mut indices = Vec::new();
        for (line, index) in pool.members.iter().zip(found) {
            match index {
                None => return Err(format!("no file has Listen {}", line.member.url.port)),
                Some(index) if indices.contains(&index) => {
                    return Err(format!(
                        "{} is an instance that is there already",
                        line.member.url
                    ));
                }
                Some(index) => indices.push(index),
            }
        }
        let Some(&first) = indices.first() else {
            return Ok(None);
        };
        let script = |index: usize| {
            let rules = rules(&instances[index]);
            let mut scripts = rules.filter_map(|rule| match &rule.what {
                Answers::Script(script) => Some((rule.path.value.clone(), script)),
                _ => None,
            });
            match (scripts.next(), scripts.next()) {
                (Some(one), None) => Ok(one),
                _ => Err("an instance has not exactly one WSGIScriptAlias".to_owned()),
            }
        };
        let (path, found) = script(first)?;
        if path != MountPath::root() {
            return Err(format!(
                "the instances have their application at {path}, not at /"
            ));
        }
        for &index in &indices {
            let (other, same) = script(index)?;
            if other != path || same.file.text != found.file.text {
                return Err("the instances have different applications".to_owned());
            }
        }
        let workers = NonZeroUsize::new(indices.len()).unwrap_or(NonZeroUsize::MIN);
        let routes: Vec<Option<&str>> = pool
            .members
            .iter()
            .map(|line| line.member.route.as_deref())
            .collect();
        let route = pattern(&routes).unwrap_or_else(|| RoutePattern::for_app(&pool.name.value));
        let threads = pool.members.iter().filter_map(|line| line.member.pool.max).max();
        let sticky = match pool.balancer.sticky.clone() {
            None => None,
            Some(mut sticky) => {
                sticky.separator = pool.separator.unwrap_or(sticky.separator);
                sticky.semicolon = pool.semicolon.unwrap_or(sticky.semicolon);
                Some(pool.name.with(sticky::for_app(sticky)?))
            }
        };
        let mut script = found.as_ref().clone();
        script.farm = Some(Farm {
            name: pool.name.value.clone(),
            workers,
            threads,
            route: At {
                value: route,
                subject: "route".to_owned(),
                place: pool.name.place.clone(),
            },
            sticky,
        });
        let others = rules(&instances[first])
            .filter(|rule| matches!(rule.what, Answers::Files(_) | Answers::Fixed(_)));
        Ok(Some((script, others.cloned().collect(), first)))
    }

    /// The script in the place of every `ProxyPass` to the balancer.
    fn replace(&mut self, pool: &str, script: &Script, others: &[Rule]) {
        for host in std::iter::once(&mut self.main).chain(&mut self.hosts) {
            let mut is_here = false;
            for rule in &mut host.rules {
                if matches!(&rule.what, Answers::Proxy { pool: name, .. } if name == pool) {
                    rule.what = Answers::Script(Box::new(script.clone()));
                    is_here = true;
                }
            }
            if is_here {
                host.rules.extend(others.iter().cloned());
            }
        }
        self.pools.retain(|other| other.name.value != pool);
    }

    /// What the first instance says of its Python, and what its application sees in `environ`.
    fn take_over(&mut self, instance: &mut Reading) {
        if self.python_home.is_none() {
            self.python_home = instance.python_home.take();
        }
        if self.python_path.is_none() {
            self.python_path = instance.python_path.take();
        }
        self.groups.append(&mut instance.groups);
        for host in hosts(instance) {
            self.main.hosting = self.main.hosting.within(host.hosting.clone());
            self.main
                .hosting_of_parts
                .extend(host.hosting_of_parts.iter().cloned());
        }
        let known: Vec<&At<String>> = self.variables.iter().chain(&self.late_variables).collect();
        let is_ours = |name: &str| known.iter().any(|at| at.value.eq_ignore_ascii_case(name));
        let rules = hosts(instance).flat_map(|host| &host.policy.variables);
        let new: Vec<_> = rules.filter(|rule| !is_ours(&rule.name)).cloned().collect();
        self.main.policy.variables.extend(new);
        let directories: Vec<_> = hosts(instance)
            .flat_map(|host| host.directories.clone())
            .collect();
        self.main.directories.extend(directories);
    }
}

fn hosts(reading: &Reading) -> impl Iterator<Item = &Host> {
    std::iter::once(&reading.main).chain(&reading.hosts)
}

fn rules(reading: &Reading) -> impl Iterator<Item = &Rule> {
    hosts(reading).flat_map(|host| &host.rules)
}

/// `www_{n}` for `www_1`, `www_2`, `www_3`.
fn pattern(routes: &[Option<&str>]) -> Option<RoutePattern> {
    let first = (*routes.first()?)?;
    let candidates = first
        .match_indices('1')
        .map(|(at, _)| format!("{}{{n}}{}", &first[..at], &first[at + 1..]));
    let mut patterns = candidates.filter_map(|text| RoutePattern::parse(&text).ok());
    patterns.find(|pattern| {
        let expected =
            |(index, route): (usize, &Option<&str>)| *route == Some(pattern.route(index + 1).as_str());
        routes.iter().enumerate().all(expected)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_of_routes() {
        let shown = |routes: &[&str]| {
            let routes: Vec<_> = routes.iter().map(|route| Some(*route)).collect();
            pattern(&routes).map(|pattern| pattern.to_string())
        };
        assert_eq!(shown(&["www_1", "www_2", "www_3"]).as_deref(), Some("www_{n}"));
        assert_eq!(shown(&["a1-1", "a1-2"]).as_deref(), Some("a1-{n}"));
        assert_eq!(shown(&["a", "b"]), None);
        assert_eq!(shown(&["w2", "w1"]), None);
        assert_eq!(pattern(&[None, None]), None);
    }
}
