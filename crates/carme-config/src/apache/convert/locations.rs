//! Locations, and what answers there.

use super::writer::{Writer, list, pairs, quoted, table};
use crate::balancer::{ErrorOverride, Proxying, Reverse, ReverseFrom};
use crate::config::defaults;
use crate::draft::{AnswerDraft, LocationDraft};
use crate::location::{Answer, Files};

impl Writer {
    pub(super) fn location(&mut self, location: &LocationDraft) {
        self.section("[[locations]]", Some(&location.path.place));
        self.some("host", location.host.as_ref(), |host| quoted(host.as_str()));
        let path = location.path.value.to_string();
        self.key("path", quoted(&path));
        match &location.answer {
            AnswerDraft::App(name) => self.key("app", quoted(&name.value)),
            AnswerDraft::Balancer(name, proxying) => {
                self.key("balancer", quoted(&name.value));
                self.proxying(proxying, location.path.value.script_name());
            }
            AnswerDraft::Other(Answer::Files(files)) => self.files(files),
            AnswerDraft::Other(Answer::Redirect { status, target }) => {
                self.key("redirect", quoted(target));
                self.key("status", status);
            }
            AnswerDraft::Other(Answer::Respond { status, body, .. }) => {
                self.key(
                    "respond",
                    format!("{{ status = {status}, body = {} }}", quoted(body)),
                );
            }
            // These are named, and have their own form above.
            AnswerDraft::Other(Answer::App(_) | Answer::Balancer(_)) => {}
        }
        self.rules(
            &location.policy.variables,
            &location.policy.request_headers,
            &location.policy.response_headers,
        );
    }

    fn files(&mut self, files: &Files) {
        self.key("files", quoted(&files.folder.display().to_string()));
        if files.index != [defaults::INDEX] {
            self.key("index", list(files.index.iter().map(|name| quoted(name))));
        }
        self.some("fallback", files.fallback.as_deref(), quoted);
    }

    fn proxying(&mut self, proxying: &Proxying, path: &str) {
        let usual = Proxying::at(0, path);
        self.unless("upstream_path", &proxying.path, &usual.path, |path| {
            quoted(if path.is_empty() { "/" } else { path })
        });
        self.unless(
            "preserve_host",
            &proxying.preserve_host,
            &false,
            ToString::to_string,
        );
        self.unless(
            "forwarded_headers",
            &proxying.forwarded_headers,
            &true,
            ToString::to_string,
        );
        self.unless("via", &proxying.via, &usual.via, |via| quoted(via.as_str()));
        self.unless("nocanon", &proxying.raw_path, &false, ToString::to_string);
        self.unless("trace", &proxying.trace, &true, ToString::to_string);
        let own = Reverse::members(&proxying.path, path);
        let more = match proxying.reverse.split_first() {
            Some((first, more)) if *first == own => more,
            _ => {
                self.key("reverse", false);
                &proxying.reverse
            }
        };
        if !more.is_empty() {
            let from = |from: &ReverseFrom| match from {
                ReverseFrom::Members(path) => format!("balancer://{path}"),
                ReverseFrom::Url(url) => url.clone(),
            };
            let parts = more
                .iter()
                .map(|one| format!("{} = {}", quoted(&from(&one.from)), quoted(&one.to)));
            self.key("reverse_urls", table(parts));
        }
        for (key, changes) in [
            ("cookie_domains", &proxying.cookie_domains),
            ("cookie_paths", &proxying.cookie_paths),
        ] {
            if !changes.is_empty() {
                self.key(key, pairs(changes.iter().map(|(from, to)| (from, to))));
            }
        }
        match &proxying.override_errors {
            ErrorOverride::Off => {}
            ErrorOverride::All => self.key("override_errors", true),
            ErrorOverride::Statuses(statuses) => {
                self.key("override_errors", list(statuses.iter().map(ToString::to_string)));
            }
        }
    }
}
