//! What is different in where the server is, and in what answers there.

use super::{Applies, Found, What};
use crate::bind::Bind;
use crate::config::App;
use crate::error_page::ErrorPage;
use crate::location::{Answer, Location, Policy};
use crate::monitor::{Monitor, MonitorListener};

/// Host and path, as they identify a location.
fn place(location: &Location) -> String {
    let Location {
        host,
        path,
        answer: _,
        policy: _,
    } = location;
    match host {
        Some(host) => format!("{host}{path}"),
        None => path.to_string(),
    }
}

/// Whether both answer the same, with apps by their names.
fn same_answer((old, old_apps): (&Answer, &[App]), (new, new_apps): (&Answer, &[App])) -> bool {
    let name = |apps: &'_ [App], index: usize| apps.get(index).map(|app| app.name.clone());
    match (old, new) {
        (Answer::App(old), Answer::App(new)) => name(old_apps, *old) == name(new_apps, *new),
        (old, new) => old == new,
    }
}

impl Found {
    /// An address that would be had twice for a moment cannot be moved while the server runs.
    pub(super) fn listen(&mut self, old: &[Bind], new: &[Bind]) {
        let keeps = |bind: &Bind| old.contains(bind);
        let blocked = |bind: &Bind| old.iter().any(|other| other.conflicts_with(bind));
        for bind in old.iter().filter(|bind| !new.contains(bind)) {
            let applies = if new
                .iter()
                .any(|other| !keeps(other) && bind.conflicts_with(other))
            {
                Applies::Restart
            } else {
                Applies::Live
            };
            self.push("server.listen", What::Removed(bind.to_string()), &applies);
        }
        for bind in new.iter().filter(|bind| !keeps(bind)) {
            let applies = if blocked(bind) {
                Applies::Restart
            } else {
                Applies::Live
            };
            self.push("server.listen", What::Added(bind.to_string()), &applies);
        }
    }

    pub(super) fn policy(&mut self, at: &str, (old, new): (&Policy, &Policy)) {
        let Policy {
            compress,
            request_headers,
            response_headers,
        } = new;
        let live = &Applies::Live;
        self.hidden(&format!("{at}.compress"), (&old.compress, compress), live);
        self.hidden(
            &format!("{at}.request_headers"),
            (&old.request_headers, request_headers),
            live,
        );
        self.hidden(
            &format!("{at}.response_headers"),
            (&old.response_headers, response_headers),
            live,
        );
    }

    pub(super) fn locations(
        &mut self,
        (old, old_apps): (&[Location], &[App]),
        (new, new_apps): (&[Location], &[App]),
    ) {
        let same = |a: &Location, b: &Location| {
            same_answer((&a.answer, old_apps), (&b.answer, new_apps)) && a.policy == b.policy
        };
        self.elements("locations", (old, new), place, same, &Applies::Live);
    }

    pub(super) fn error_pages(&mut self, old: &[ErrorPage], new: &[ErrorPage]) {
        let name = |page: &ErrorPage| {
            let ErrorPage {
                answers,
                markup,
                text: _,
            } = page;
            format!("{answers} ({markup:?})").to_lowercase()
        };
        self.elements("error_pages", (old, new), name, |a, b| a == b, &Applies::Live);
    }

    pub(super) fn monitor(&mut self, old: &Monitor, new: &Monitor) {
        let live = &Applies::Live;
        let Monitor {
            alive,
            ready,
            metrics,
            public_health,
            public_metrics,
            listeners,
        } = new;
        self.plain("health.path", (&old.alive, alive), live);
        self.plain("health.ready_path", (&old.ready, ready), live);
        self.plain("metrics.path", (&old.metrics, metrics), live);
        self.plain("health.public", (&old.public_health, public_health), live);
        self.plain("metrics.public", (&old.public_metrics, public_metrics), live);
        let name = |listener: &MonitorListener| {
            let MonitorListener { bind, metrics } = listener;
            let what = if *metrics { "health and metrics" } else { "health" };
            format!("{bind} ({what})")
        };
        self.elements(
            "monitor addresses",
            (&old.listeners, listeners),
            name,
            |a, b| a == b,
            &Applies::Restart,
        );
    }
}
