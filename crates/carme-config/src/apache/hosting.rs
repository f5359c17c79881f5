//! Where a script runs and what of it is called: `WSGIProcessGroup` and `WSGICallableObject` of the server, of a host, of a
//! `<Directory>` or of a `<Location>`.

use std::path::{Path, PathBuf};

use super::lexer::Word;
use super::places::covers;
use super::reading::{Context, Host, Outcome, Reading};
use super::source::Node;
use crate::mount::MountPath;
use crate::problem::{Mistake, Problem};

/// What is said of the scripts at one place.
#[derive(Clone, Default)]
pub(super) struct Hosting {
    /// `Some(None)` is `%{GLOBAL}`: in no group.
    pub(super) group: Option<Option<Word>>,
    pub(super) callable: Option<Word>,
}

impl Hosting {
    /// What holds of both, where this is said inside of the other.
    pub(super) fn within(&self, outer: Hosting) -> Hosting {
        Hosting {
            group: self.group.clone().or(outer.group),
            callable: self.callable.clone().or(outer.callable),
        }
    }

    pub(super) fn names(&self, group: &str) -> bool {
        matches!(&self.group, Some(Some(word)) if word.text == group)
    }
}

/// A part of a host.
#[derive(Clone, PartialEq)]
pub(super) enum Part {
    /// `<Directory>`
    Folder(PathBuf),
    /// `<Location>`
    Path(MountPath),
}

impl Part {
    fn of(context: &Context) -> Option<Self> {
        match (&context.location, &context.directory) {
            (Some(location), _) => Some(Part::Path(location.value.clone())),
            (None, Some(directory)) => Some(Part::Folder(directory.value.clone())),
            (None, None) => None,
        }
    }

    fn has(&self, path: &MountPath, script: &Path) -> bool {
        match self {
            Part::Folder(folder) => script.starts_with(folder),
            Part::Path(outer) => covers(outer, path),
        }
    }

    /// Paths come after folders, and inner folders after outer ones.
    fn rank(&self) -> usize {
        match self {
            Part::Folder(folder) => folder.components().count(),
            Part::Path(_) => usize::MAX,
        }
    }
}

/// `WSGIProcessGroup NAME`
pub(super) fn process_group(_: &mut Reading, node: &Node, host: &mut Host, context: &Context) -> Outcome {
    let word = node.arg(0)?;
    here(host, context).group = Some((word.text != "%{GLOBAL}").then(|| word.clone()));
    Ok(())
}

/// `WSGICallableObject NAME`
pub(super) fn callable(_: &mut Reading, node: &Node, host: &mut Host, context: &Context) -> Outcome {
    here(host, context).callable = Some(node.arg(0)?.clone());
    Ok(())
}

/// What is said where a directive stands.
fn here<'h>(host: &'h mut Host, context: &Context) -> &'h mut Hosting {
    let Some(part) = Part::of(context) else {
        return &mut host.hosting;
    };
    let known = host.hosting_of_parts.iter().position(|(known, _)| *known == part);
    let at = known.unwrap_or_else(|| {
        host.hosting_of_parts.push((part, Hosting::default()));
        host.hosting_of_parts.len() - 1
    });
    &mut host.hosting_of_parts[at].1
}

impl Reading {
    /// What holds for a script at a path of a host.
    pub(super) fn hosting(&self, host: &Host, path: &MountPath, script: &Path) -> Hosting {
        let own: &[_] = if host.place.is_some() {
            &host.hosting_of_parts
        } else {
            &[]
        };
        let parts = self.main.hosting_of_parts.iter().chain(own);
        let mut parts: Vec<_> = parts.filter(|(part, _)| part.has(path, script)).collect();
        parts.sort_by_key(|(part, _)| part.rank());
        let of_host = host.hosting.within(self.main.hosting.clone());
        parts
            .into_iter()
            .fold(of_host, |outer, (_, inner)| inner.within(outer))
    }

    /// Says which of it holds for no script as a whole.
    pub(super) fn idle_hosting(&self) -> Vec<Problem> {
        let of_hosts = self
            .hosts
            .iter()
            .map(|host| (host, [self.apps(host), self.apps(&self.main)].concat()));
        let everywhere = self.hosts.iter().chain([&self.main]);
        let of_main = everywhere.flat_map(|host| self.apps(host)).collect();
        let mut idle = Vec::new();
        for (host, apps) in of_hosts.chain([(&self.main, of_main)]) {
            for (part, hosting) in &host.hosting_of_parts {
                if apps.iter().any(|app| part.has(app.path, &app.file)) {
                    continue;
                }
                let mistake = || {
                    let what = "is passed over: no script is there as a whole";
                    Mistake::new(what).cure("write WSGIScriptAlias for that path, or leave it out")
                };
                let group = hosting.group.iter().flatten();
                idle.extend(group.map(|word| word.problem("WSGIProcessGroup", mistake())));
                let callable = hosting.callable.iter();
                idle.extend(callable.map(|word| word.problem("WSGICallableObject", mistake())));
            }
        }
        idle
    }
}
