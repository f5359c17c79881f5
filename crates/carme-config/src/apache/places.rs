//! What answers where at a host.
//!
//! Apache asks its modules in an order of its own (proxies, redirects, aliases, scripts, the document root), and in each
//! the first directive that fits is the one; Carme takes the longest path. So for every path that some directive names it
//! is looked up what Apache would answer there; where that is what the path above answers already, nothing is written.

use super::lexer::Word;
use super::policies::{is_empty, is_part};
use super::proxy::{ProxyOptions, reversed};
use super::reading::{Answers, Host, Reading, Rule};
use crate::balancer::{Proxying, Reverse, ReverseFrom, Via};
use crate::config::defaults;
use crate::draft::{AnswerDraft, AppDraft, At, LocationDraft};
use crate::location::{Answer, Files};
use crate::mount::MountPath;
use crate::paths;
use crate::problem::{Mistake, Problems};

/// A rule's place in the order in which Apache asks.
fn rank(rule: &Rule) -> u8 {
    match rule.what {
        Answers::NeverProxy => 0,
        Answers::NoProxy | Answers::Proxy { .. } => 1,
        Answers::Fixed(_) => 2,
        Answers::Files(_) => 3,
        Answers::Script(_) => 4,
    }
}

/// Whether a path is another or below it.
pub(super) fn covers(outer: &MountPath, inner: &MountPath) -> bool {
    outer.path_info(inner.script_name().as_bytes()).is_some() || outer == inner
}

/// The answer of what is nobody's.
pub(super) fn not_found() -> AnswerDraft {
    AnswerDraft::Other(Answer::Respond {
        status: 404,
        body: String::new(),
        content_type: defaults::RESPOND_TYPE.to_owned(),
    })
}

/// The index of the rule that answers at a path.
pub(super) fn answer_at(rules: &[Rule], path: &MountPath) -> Option<usize> {
    let mut no_proxy = false;
    for (index, rule) in rules.iter().enumerate() {
        if !covers(&rule.path.value, path) {
            continue;
        }
        match rule.what {
            Answers::NoProxy | Answers::NeverProxy => no_proxy = true,
            Answers::Proxy { .. } if no_proxy => {}
            _ => return Some(index),
        }
    }
    None
}

/// The rules of a host with those that it has from the server, in Apache's order.
pub(super) fn ordered(main: &Host, host: &Host) -> Vec<Rule> {
    let is_main = host.place.is_none();
    let root = host.document_root.as_ref().or(main.document_root.as_ref());
    let of = |host: &Host, wanted: u8| {
        host.rules
            .iter()
            .filter(move |rule| rank(rule) == wanted)
            .cloned()
            .collect::<Vec<_>>()
    };
    let mut rules = Vec::new();
    for wanted in 0..5 {
        let inherited = if is_main { Vec::new() } else { of(main, wanted) };
        let own = of(host, wanted);
        // What proxies is the server's first; everything else is the host's first.
        rules.extend(
            if wanted <= 1 {
                [inherited, own]
            } else {
                [own, inherited]
            }
            .concat(),
        );
    }
    rules.extend(root.map(|word| Rule {
        path: word.at("DocumentRoot", MountPath::root()),
        what: Answers::Files(word.clone()),
    }));
    rules
}

/// What a path has behind that of the rule that answers there.
pub(super) fn suffix<'p>(rule: &Rule, path: &'p MountPath) -> &'p str {
    let rest = path.script_name().strip_prefix(rule.path.value.script_name());
    rest.unwrap_or_default()
}

/// All that makes a host's locations.
pub(super) struct Places<'a> {
    pub(super) reading: &'a Reading,
    pub(super) apps: &'a mut Vec<(String, AppDraft)>,
    pub(super) warnings: &'a mut Problems,
    pub(super) problems: &'a mut Problems,
}

impl Places<'_> {
    /// The locations of a host, without its names.
    pub(super) fn of(&mut self, host: &Host) -> Vec<LocationDraft> {
        let main = &self.reading.main;
        let rules = ordered(main, host);
        let proxy = match host.place {
            Some(_) => host.proxy.within(&main.proxy),
            None => host.proxy.clone(),
        };
        let sections = main.sections_of(host);
        let mut named: Vec<&At<MountPath>> = rules.iter().map(|rule| &rule.path).collect();
        named.extend(sections.iter().map(|(path, _)| path));
        named.sort_by_key(|path| path.value.script_name().len());
        let mut done: Vec<(&MountPath, Option<usize>)> = Vec::new();
        let mut drafts = Vec::new();
        for at in named {
            let path = &at.value;
            if done.iter().any(|(known, _)| *known == path) {
                continue;
            }
            let answer = answer_at(&rules, path);
            let above = done
                .iter()
                .filter(|(known, _)| covers(known, path))
                .max_by_key(|(known, _)| known.script_name().len());
            let has_policy = sections
                .iter()
                .any(|(known, policy)| known.value == *path && !is_empty(policy));
            let same = above.is_some_and(|(_, known)| *known == answer);
            let is_new = above.is_some() || answer.is_some();
            done.push((path, answer));
            if (same || !is_new) && !has_policy {
                continue;
            }
            let mut here = sections.iter().filter(|(known, _)| known.value == *path);
            if same && here.all(|section| is_part(&rules, answer, section)) {
                continue;
            }
            let drafted = match answer {
                Some(index) => self.answer(host, &proxy, &rules[index], at),
                // What is taken out of something, and given to nobody.
                None => Some(not_found()),
            };
            let Some(drafted) = drafted else { continue };
            drafts.push(LocationDraft {
                host: None,
                path: at.clone(),
                answer: drafted,
                policy: self.reading.policy_at(host, &rules, answer, path),
            });
        }
        self.never_reached(&rules, &done);
        drafts
    }

    /// Says which directives an earlier one hides.
    fn never_reached(&mut self, rules: &[Rule], done: &[(&MountPath, Option<usize>)]) {
        for (index, rule) in rules.iter().enumerate() {
            let is_root = rule.path.subject == "DocumentRoot";
            let reached = done.iter().any(|(_, answer)| *answer == Some(index));
            if !reached && !is_root && !matches!(rule.what, Answers::NoProxy | Answers::NeverProxy) {
                let mistake = Mistake::new(format!(
                    "for {} is never reached, as in Apache: something before it answers there",
                    rule.path.value
                ));
                self.warnings.push(rule.path.problem(mistake));
            }
        }
    }

    fn answer(
        &mut self,
        host: &Host,
        proxy: &ProxyOptions,
        rule: &Rule,
        at: &At<MountPath>,
    ) -> Option<AnswerDraft> {
        let suffix = suffix(rule, &at.value);
        match &rule.what {
            Answers::NoProxy | Answers::NeverProxy => None,
            Answers::Proxy { pool, path, raw_path } => {
                let proxying = self.proxying(proxy, pool, &format!("{path}{suffix}"), *raw_path);
                Some(AnswerDraft::Balancer(rule.path.with(pool.clone()), proxying))
            }
            Answers::Fixed(Answer::Redirect { status, target }) => {
                if !suffix
                    .bytes()
                    .all(|byte| byte.is_ascii_graphic() && !b"{}".contains(&byte))
                {
                    let mistake =
                        Mistake::new("divides a redirect at a path that an address cannot have as it is");
                    self.problems.push(at.problem(mistake));
                    return None;
                }
                let target = target.replace("{path}", &format!("{suffix}{{path}}"));
                Some(AnswerDraft::Other(Answer::Redirect {
                    status: *status,
                    target,
                }))
            }
            Answers::Fixed(answer) => Some(AnswerDraft::Other(answer.clone())),
            Answers::Files(folder) => self.files(host, rule, folder, suffix),
            Answers::Script(script) => {
                if !suffix.is_empty() {
                    let what = "divides an application: what is below it would be mounted there";
                    let cure = format!(
                        "write WSGIScriptAlias {} for that part, or leave it to the application",
                        at.value
                    );
                    self.problems.push(at.problem(Mistake::new(what).cure(cure)));
                    return None;
                }
                match self.reading.app(script, host, &at.value, self.apps) {
                    Ok(name) => Some(AnswerDraft::App(name)),
                    Err(problem) => {
                        self.problems.push(problem);
                        None
                    }
                }
            }
        }
    }

    fn files(&mut self, host: &Host, rule: &Rule, folder: &Word, suffix: &str) -> Option<AnswerDraft> {
        let main = &self.reading.main;
        let text = format!("{}{suffix}", folder.text);
        let path = paths::absolute(&self.reading.root, &text);
        let checked = match path.is_file() {
            true => Err(Mistake::new(format!(
                "names a file, and Carme serves folders: {}",
                path.display()
            ))
            .cure("serve its folder, or have the application answer")),
            false => paths::folder(&self.reading.root, &text),
        };
        let folder = match checked {
            Ok(folder) => folder,
            Err(mistake) => {
                self.problems.push(folder.problem(&rule.path.subject, mistake));
                return None;
            }
        };
        let index = host.index.clone().or_else(|| main.index.clone());
        Some(AnswerDraft::Other(Answer::Files(Files {
            folder,
            index: index.unwrap_or_else(|| vec![defaults::INDEX.to_owned()]),
            fallback: host.fallback.clone().or_else(|| main.fallback.clone()),
            follow_links: false,
            hidden: false,
            precompressed: false,
            cache: None,
            immutable: Vec::new(),
            media_types: std::collections::BTreeMap::new(),
        })))
    }

    fn proxying(&mut self, proxy: &ProxyOptions, pool: &str, path: &str, raw_path: bool) -> Proxying {
        let reverse = proxy.reverse.iter().filter_map(|(location, url)| {
            let to = format!("{location}/");
            let at_members = reversed(&url.text).filter(|(name, _)| name == pool);
            let from = match at_members {
                Some((_, path)) => ReverseFrom::Members(format!("{}/", path.trim_end_matches('/'))),
                // Another balancer's members do not answer here.
                None if url.text.starts_with("balancer://") => return None,
                None => ReverseFrom::Url(url.text.clone()),
            };
            Some(Reverse { from, to })
        });
        Proxying {
            reverse: first_of_each(reverse, |reverse| reverse.from.clone()),
            preserve_host: proxy.preserve_host.unwrap_or(false),
            forwarded_headers: proxy.add_headers.unwrap_or(true),
            via: proxy.via.unwrap_or(Via::Off),
            raw_path,
            trace: proxy.trace.unwrap_or(true),
            cookie_domains: first_of_each(proxy.cookie_domains.iter().cloned(), |(from, _)| from.clone()),
            cookie_paths: first_of_each(proxy.cookie_paths.iter().cloned(), |(from, _)| from.clone()),
            override_errors: proxy.override_errors.clone().unwrap_or_default(),
            ..Proxying::at(0, path)
        }
    }
}

/// The first of those that look for the same is the one that counts.
fn first_of_each<T, K: PartialEq>(items: impl Iterator<Item = T>, key: impl Fn(&T) -> K) -> Vec<T> {
    let mut kept: Vec<T> = Vec::new();
    for item in items {
        if !kept.iter().any(|other| key(other) == key(&item)) {
            kept.push(item);
        }
    }
    kept
}
