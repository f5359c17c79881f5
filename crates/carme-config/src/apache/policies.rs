//! Which rules hold where: those of the host, of `<Directory>` and of `<Location>`, in Apache's order.

use std::path::PathBuf;

use super::places::{answer_at, covers, ordered, suffix};
use super::reading::{Answers, Host, Reading, Rule};
use super::variables::same;
use crate::draft::{At, PolicyDraft};
use crate::mount::MountPath;
use crate::paths;
use crate::problem::{Mistake, Problem};
use crate::variable::VariableRule;

/// `<Location>` or `<Directory>`: for which path or folder, and what holds there.
type Section<P> = (At<P>, PolicyDraft);

impl Host {
    /// The `<Location>` sections of this server that hold at a host, with the host's own.
    pub(super) fn sections_of<'h>(&'h self, host: &'h Host) -> Vec<&'h Section<MountPath>> {
        let inherited: &[_] = if host.place.is_some() { &self.sections } else { &[] };
        inherited.iter().chain(&host.sections).collect()
    }

    /// The `<Directory>` sections of this server that hold at a host, with the host's own, outer folders first.
    fn directories_of<'h>(&'h self, host: &'h Host) -> Vec<&'h Section<PathBuf>> {
        let inherited: &[_] = if host.place.is_some() {
            &self.directories
        } else {
            &[]
        };
        let mut all: Vec<_> = inherited.iter().chain(&host.directories).collect();
        all.sort_by_key(|(folder, _)| folder.value.components().count());
        all
    }
}

impl Reading {
    /// What holds at a path of a host, where this one of the rules answers, inside what holds for all of the server.
    pub(super) fn policy_at(
        &self,
        host: &Host,
        rules: &[Rule],
        answer: Option<usize>,
        path: &MountPath,
    ) -> PolicyDraft {
        let mut all = PolicyDraft::default();
        if host.place.is_some() {
            extend(&mut all, &host.policy);
        }
        let file = answer.and_then(|index| self.file(&rules[index], path));
        for (folder, policy) in self.main.directories_of(host) {
            if file.as_ref().is_some_and(|file| file.starts_with(&folder.value)) {
                extend(&mut all, policy);
            }
        }
        for section in self.main.sections_of(host) {
            let (known, policy) = section;
            if covers(&known.value, path) {
                extend(&mut all, policy);
            } else if covers(path, &known.value) && is_part(rules, answer, section) {
                let limited = policy.variables.iter().map(|rule| VariableRule {
                    below: Some(known.value.clone()),
                    ..rule.clone()
                });
                all.variables.extend(limited);
            }
        }
        self.order(&mut all.variables);
        all
    }

    /// `SetEnv` comes when all `SetEnvIf` are done, also that of the server.
    fn order(&self, rules: &mut Vec<VariableRule>) {
        let is_late = |rule: &VariableRule| rule.when.is_none();
        let (late, early): (Vec<_>, Vec<_>) = std::mem::take(rules).into_iter().partition(is_late);
        let is_changed = |rule: &&VariableRule| early.iter().any(|other| same(&other.name, &rule.name));
        let of_server = self.main.policy.variables.iter();
        let again: Vec<_> = of_server
            .filter(|rule| is_late(rule))
            .filter(is_changed)
            .cloned()
            .collect();
        *rules = [early, again, late].concat();
    }

    /// Says which `<Directory>` sections hold for nothing that is served.
    pub(super) fn idle_directories(&self) -> Vec<Problem> {
        let files = |host| {
            let rules = ordered(&self.main, host);
            rules
                .into_iter()
                .filter_map(|rule| self.file(&rule, &rule.path.value))
        };
        let of_hosts = self
            .hosts
            .iter()
            .map(|host| (host, files(host).collect::<Vec<_>>()));
        let of_main = self.hosts.iter().chain([&self.main]).flat_map(files).collect();
        let mut idle = Vec::new();
        for (host, files) in of_hosts.chain([(&self.main, of_main)]) {
            for (folder, policy) in &host.directories {
                if !is_empty(policy) && !files.iter().any(|file| file.starts_with(&folder.value)) {
                    let what = "is passed over: no script and no folder that is served is in it";
                    let cure = "write <Location> with the path at which it is served";
                    idle.push(folder.problem(Mistake::new(what).cure(cure)));
                }
            }
        }
        idle
    }

    /// The script or the folder that a rule leads to at a path.
    pub(super) fn file(&self, rule: &Rule, path: &MountPath) -> Option<PathBuf> {
        match &rule.what {
            Answers::Script(script) => Some(paths::absolute(&self.root, &script.file.text)),
            Answers::Files(folder) => {
                let text = format!("{}{}", folder.text, suffix(rule, path));
                Some(paths::absolute(&self.root, text))
            }
            Answers::NoProxy | Answers::NeverProxy | Answers::Proxy { .. } | Answers::Fixed(_) => None,
        }
    }
}

fn extend(all: &mut PolicyDraft, policy: &PolicyDraft) {
    all.variables.extend(policy.variables.iter().cloned());
    all.request_headers.extend(policy.request_headers.iter().cloned());
    all.response_headers
        .extend(policy.response_headers.iter().cloned());
}

/// Whether a section is for a part of the application, or of the files, of this rule and needs no location of its own, since
/// variables can be for a part. With a location the application would be mounted there, too.
pub(super) fn is_part(rules: &[Rule], answer: Option<usize>, section: &Section<MountPath>) -> bool {
    let (path, policy) = section;
    let has_parts = |index: usize| {
        let rule = &rules[index];
        matches!(rule.what, Answers::Script(_) | Answers::Files(_)) && !suffix(rule, &path.value).is_empty()
    };
    answer.is_some_and(has_parts)
        && answer_at(rules, &path.value) == answer
        && policy.request_headers.is_empty()
        && policy.response_headers.is_empty()
}

pub(super) fn is_empty(policy: &PolicyDraft) -> bool {
    policy.variables.is_empty() && policy.request_headers.is_empty() && policy.response_headers.is_empty()
}
