//! Which variables of requests something looks at: a log, a header rule, an application, another `SetEnvIf`.

use std::path::{Path, PathBuf};

use super::places::covers;
use super::reading::{Answers, Host, Reading, Rule};
use super::switches::{self, NO_PROXY, NO_PROXY_LATE};
use super::variables::same;
use crate::config::AccessLog;
use crate::draft::PolicyDraft;
use crate::mount::MountPath;
use crate::problem::Mistake;
use crate::variable::{Subject, VariableTest};

/// What is to be told of a directive that changes a variable, as the rest of a sentence.
fn doubtful(name: &str, is_late: bool, is_read: bool) -> Option<String> {
    match switches::unlike(name) {
        _ if same(name, NO_PROXY) => is_late.then(|| NO_PROXY_LATE.to_owned()),
        Some(why) => Some(format!("changes {name}, which {why}")),
        None if is_read => None,
        None => Some(format!(
            "changes {name}, and nothing here looks at it: no log, no header rule, no application"
        )),
    }
}

impl Reading {
    /// Forgets the variables that nobody looks at, and says so. The others are in the order in which Apache sets them.
    pub(super) fn order_variables(&mut self, logs: &[AccessLog]) {
        let read = self.read_variables(logs);
        let is_read = |name: &str| read.iter().any(|known| same(known, name));
        for (is_late, all) in [
            (false, std::mem::take(&mut self.variables)),
            (true, std::mem::take(&mut self.late_variables)),
        ] {
            for at in &all {
                if let Some(what) = doubtful(&at.value, is_late, is_read(&at.value)) {
                    self.warnings.push(at.problem(Mistake::new(what)));
                }
            }
        }
        for policy in self.policies_mut() {
            policy.variables.retain(|rule| is_read(&rule.name));
            policy.variables.sort_by_key(|rule| rule.when.is_none());
        }
    }

    /// The names that something looks at.
    fn read_variables(&self, logs: &[AccessLog]) -> Vec<String> {
        let formats: Vec<_> = logs
            .iter()
            .filter_map(|log| carme_log::Format::parse(&log.format).ok())
            .collect();
        let in_logs = |name: &str| {
            let mut conditions = logs.iter().filter_map(|log| log.when.as_ref());
            conditions.any(|when| when.reads_variable(name))
                || formats.iter().any(|format| format.reads_variable(name))
        };
        let in_headers = |name: &str| {
            let rules = |policy: &'_ PolicyDraft| {
                let mut rules = policy.request_headers.iter().chain(&policy.response_headers);
                rules.any(|rule| rule.reads_variable(name))
            };
            self.policies().any(rules)
        };
        let in_apps = self.app_variables();
        let rules = || self.policies().flat_map(|policy| &policy.variables);
        let mut read: Vec<String> = Vec::new();
        loop {
            let looked_at = |name: &str| {
                rules().any(|rule| match &rule.when {
                    Some(VariableTest {
                        subject: Subject::Variable(subject),
                        ..
                    }) => same(subject, name) && read.iter().any(|known| same(known, &rule.name)),
                    _ => false,
                })
            };
            let is_new = |name: &&String| !read.iter().any(|known| same(known, name));
            let found = rules().map(|rule| &rule.name).filter(is_new).find(|name| {
                let in_apps = in_apps.iter().any(|known| same(known, name));
                in_apps || in_logs(name) || in_headers(name) || looked_at(name)
            });
            match found.cloned() {
                Some(name) => read.push(name),
                None => return read,
            }
        }
    }

    /// What applications find in `environ`: all that is set where they answer, but for Apache's own affairs.
    fn app_variables(&self) -> Vec<&str> {
        let everywhere = self.hosts.iter().chain([&self.main]);
        let everywhere: Vec<App<'_>> = everywhere.flat_map(|host| self.apps(host)).collect();
        let of_hosts = self
            .hosts
            .iter()
            .map(|host| (host, [self.apps(host), self.apps(&self.main)].concat()));
        let mut names = Vec::new();
        for (host, apps) in std::iter::once((&self.main, everywhere)).chain(of_hosts) {
            let meets = |path: &MountPath, app: &App<'_>| covers(path, app.path) || covers(app.path, path);
            let at = |path: &MountPath| apps.iter().any(|app| meets(path, app));
            let below = |folder: &Path| apps.iter().any(|app| app.file.starts_with(folder));
            let sections = host.sections.iter().filter(|(path, _)| at(&path.value));
            let directories = host.directories.iter().filter(|(folder, _)| below(&folder.value));
            let policies = sections
                .map(|(_, policy)| policy)
                .chain(directories.map(|(_, policy)| policy))
                .chain((!apps.is_empty()).then_some(&host.policy));
            let rules = policies.flat_map(|policy| &policy.variables);
            names.extend(rules.map(|rule| rule.name.as_str()));
        }
        // What Apache's own modules look at no application does.
        names.retain(|name| !same(name, NO_PROXY) && switches::unlike(name).is_none());
        names
    }

    /// A host's own applications.
    pub(super) fn apps<'h>(&self, host: &'h Host) -> Vec<App<'h>> {
        let app = |rule: &'h Rule| match &rule.what {
            Answers::Script(_) => Some(App {
                path: &rule.path.value,
                file: self.file(rule, &rule.path.value)?,
            }),
            _ => None,
        };
        host.rules.iter().filter_map(app).collect()
    }

    fn policies(&self) -> impl Iterator<Item = &PolicyDraft> {
        std::iter::once(&self.main).chain(&self.hosts).flat_map(|host| {
            let sections = host.sections.iter().map(|(_, policy)| policy);
            let directories = host.directories.iter().map(|(_, policy)| policy);
            std::iter::once(&host.policy).chain(sections).chain(directories)
        })
    }

    fn policies_mut(&mut self) -> impl Iterator<Item = &mut PolicyDraft> {
        std::iter::once(&mut self.main)
            .chain(&mut self.hosts)
            .flat_map(|host| {
                let sections = host.sections.iter_mut().map(|(_, policy)| policy);
                let directories = host.directories.iter_mut().map(|(_, policy)| policy);
                std::iter::once(&mut host.policy)
                    .chain(sections)
                    .chain(directories)
            })
    }
}

/// Where an application is, and its script.
#[derive(Clone)]
pub(super) struct App<'h> {
    pub(super) path: &'h MountPath,
    pub(super) file: PathBuf,
}
