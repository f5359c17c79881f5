//! What is different in where the server is, and in what answers there.

use super::{Applies, Found, What};
use crate::balancer::Proxying;
use crate::bind::Bind;
use crate::config::Config;
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

/// Whether both answer the same, with apps and balancers by their names.
fn same_answer((old, before): (&Answer, &Config), (new, after): (&Answer, &Config)) -> bool {
    let app = |config: &Config, index: usize| config.apps.get(index).map(|app| app.name.clone());
    let balancer = |config: &Config, index: usize| config.balancers.get(index).map(|one| one.name.clone());
    match (old, new) {
        (Answer::App(old), Answer::App(new)) => app(before, *old) == app(after, *new),
        (Answer::Balancer(old), Answer::Balancer(new)) => {
            let same_place = Proxying {
                balancer: new.balancer,
                ..old.clone()
            };
            balancer(before, old.balancer) == balancer(after, new.balancer) && same_place == *new
        }
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
            variables,
            request_headers,
            response_headers,
        } = new;
        let live = &Applies::Live;
        self.hidden(&format!("{at}.compress"), (&old.compress, compress), live);
        self.hidden(&format!("{at}.variables"), (&old.variables, variables), live);
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

    pub(super) fn locations(&mut self, before: &Config, after: &Config, new: &[Location]) {
        let same = |a: &Location, b: &Location| {
            same_answer((&a.answer, before), (&b.answer, after)) && a.policy == b.policy
        };
        self.elements("locations", (&before.locations, new), place, same, &Applies::Live);
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
