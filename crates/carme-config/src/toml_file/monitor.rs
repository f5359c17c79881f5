//! `[health]` and `[metrics]`, read together: they may share an address.

use std::path::Path;

use toml::de::DeValue;

use super::schema::{self, Keys};
use super::section::{Section, describe};
use super::set;
use crate::bind::Bind;
use crate::config::{Server, defaults};
use crate::draft::At;
use crate::monitor::{Monitor, MonitorListener, page_path};
use crate::problem::{Mistake, Problem, Problems};

/// What both sections have.
struct Shown {
    /// `None` if `listen` is not there.
    listen: Option<Vec<Bind>>,
    public: Option<bool>,
}

/// Reads both sections; `server` says which addresses are taken.
pub(super) fn monitor(top: &Section<'_>, base: &Path, server: &Server, problems: &mut Problems) -> Monitor {
    let mut monitor = Monitor::default();
    let mut paths = [None, None, None];
    let health = open(top, "health", &schema::HEALTH, problems).map(|section| {
        paths[0] = section.text("path", problems, page_path);
        paths[1] = section.text("ready_path", problems, page_path);
        (shown(&section, base, server, problems), section)
    });
    let metrics = open(top, "metrics", &schema::METRICS, problems).map(|section| {
        paths[2] = section.text("path", problems, page_path);
        shown(&section, base, server, problems)
    });
    set_paths(&mut monitor, paths, problems);
    if let Some((shown, section)) = health {
        monitor.public_health = shown.public.unwrap_or(shown.listen.is_none());
        if shown.public == Some(false) && shown.listen.is_none() && metrics.is_none() {
            section.read("public", problems, |_| -> Result<(), Mistake> {
                Err(Mistake::new("leaves the health pages without an address")
                    .cure("name one: listen = \"127.0.0.1:9180\""))
            });
        }
        let listener = |bind| MonitorListener { bind, metrics: false };
        monitor.listeners = shown.listen.into_iter().flatten().map(listener).collect();
    }
    if let Some(shown) = metrics {
        monitor.public_metrics = shown.public.unwrap_or(false);
        match shown.listen {
            Some(binds) => binds.into_iter().for_each(|bind| add_metrics(&mut monitor, bind)),
            None if monitor.public_metrics => {}
            None if monitor.listeners.is_empty() => {
                add_metrics(&mut monitor, Bind::Tcp(defaults::MONITOR_LISTEN))
            }
            None => monitor
                .listeners
                .iter_mut()
                .for_each(|listener| listener.metrics = true),
        }
    }
    monitor
}

/// Each page has a path of its own, the ones that nobody named included.
fn set_paths(monitor: &mut Monitor, written: [Option<At<String>>; 3], problems: &mut Problems) {
    let mut places = [&mut monitor.alive, &mut monitor.ready, &mut monitor.metrics];
    for (place, path) in places.iter_mut().zip(&written) {
        set(*place, path.as_ref().map(|at| at.value.clone()));
    }
    for (second, first) in [(1, 0), (2, 0), (2, 1)] {
        if places[first] != places[second] {
            continue;
        }
        if let Some(path) = written[second].as_ref().or(written[first].as_ref()) {
            let mistake = format!("is the path of another page already: {}", path.value);
            problems.push(path.problem(Mistake::new(mistake)));
        }
    }
}

fn add_metrics(monitor: &mut Monitor, bind: Bind) {
    match monitor
        .listeners
        .iter_mut()
        .find(|listener| listener.bind.collides(&bind))
    {
        Some(listener) => listener.metrics = true,
        None => monitor.listeners.push(MonitorListener { bind, metrics: true }),
    }
}

fn open<'d>(top: &Section<'d>, key: &str, keys: &Keys, problems: &mut Problems) -> Option<Section<'d>> {
    top.section(key, keys.section, keys, problems)
}

fn shown(section: &Section<'_>, base: &Path, server: &Server, problems: &mut Problems) -> Shown {
    let listen = section.texts("listen", problems, |text| Bind::parse(text, base));
    let listen = listen.map(|binds| distinct(binds, server, problems));
    let public = section.read("public", problems, |value| match value {
        DeValue::Boolean(public) => Ok(*public),
        other => Err(Mistake::new(format!(
            "must be true or false, found {}",
            describe(other)
        ))),
    });
    Shown {
        listen,
        public: public.map(|at| at.value),
    }
}

/// The addresses, without those that are there twice or are the server's.
fn distinct(binds: Vec<At<Bind>>, server: &Server, problems: &mut Problems) -> Vec<Bind> {
    let mut kept: Vec<Bind> = Vec::with_capacity(binds.len());
    for bind in binds {
        let problem: Option<Problem> = if kept.iter().any(|other| other.collides(&bind.value)) {
            Some(bind.problem(Mistake::new(format!("has {} twice", bind.value))))
        } else if server.listen.iter().any(|other| other.collides(&bind.value)) {
            let mistake = format!("has {}, where the server itself listens", bind.value);
            Some(bind.problem(Mistake::new(mistake).cure("name another, or write public = true instead")))
        } else if bind.value.is_tls() {
            let mistake = Mistake::new("has an https:// address; these pages are for plain HTTP".to_owned());
            let plain = bind.value.to_string();
            let plain = plain.trim_start_matches("https://");
            Some(bind.problem(mistake.cure(format!("write \"{plain}\", or public = true instead"))))
        } else {
            None
        };
        match problem {
            Some(problem) => problems.push(problem),
            None => kept.push(bind.value),
        }
    }
    kept
}
