//! `carme check`: everything that is wrong at once, or what would be served. Starts nothing but the interpreter,
//! to ask it what it is.

use std::process::ExitCode;
use std::time::SystemTime;

use carme_config::{
    Answer, App, Bind, Config, Discover, DiscoverSource, Location, Monitor, Place, Problem, Problems,
    Proxying, Surroundings, probe,
};
use carme_tls::{Certificate, Standing, date};

use crate::cli::Subject;

/// Prints the problems to standard error or the summary to standard output.
pub(crate) fn check(subject: Subject, surroundings: Surroundings) -> ExitCode {
    let surroundings = Surroundings {
        probe: Some(probe),
        now: Some(SystemTime::now()),
        ..surroundings
    };
    match super::config(subject, &surroundings) {
        Ok(config) => {
            if let Err(problems) = files_of_members(&config) {
                return super::refuse(&problems);
            }
            print!("{}{}", summary(&config), certificates(&config, SystemTime::now()));
            ExitCode::SUCCESS
        }
        Err(problems) => super::refuse(&problems),
    }
}

/// One line an app, one for each location that needs none, and one an address of pages for those who watch; each begins
/// with `ok:`.
fn summary(config: &Config) -> String {
    let apps = config.apps.iter().enumerate();
    let apps = apps.map(|(index, app)| line(config, index, app));
    let others = config
        .locations
        .iter()
        .filter_map(|location| other_line(config, location));
    let watched = watched(&config.server.listen, &config.monitor);
    apps.chain(others).chain(watched).collect()
}

/// A location that needs no app.
fn other_line(config: &Config, location: &Location) -> Option<String> {
    let what = match &location.answer {
        Answer::App(_) => return None,
        Answer::Balancer(proxying) => balancer(config, proxying)?,
        Answer::Files(files) => format!("the files of {}", files.folder.display()),
        Answer::Redirect { status, target } => format!("a redirect ({status}) to {target}"),
        Answer::Respond { status, .. } => format!("a fixed answer ({status})"),
    };
    let places: Vec<String> = places(config, location).collect();
    Some(format!("ok: {what} at {}\n", places.join(", ")))
}

/// A balancer with its members.
fn balancer(config: &Config, proxying: &Proxying) -> Option<String> {
    let balancer = config.balancers.get(proxying.balancer)?;
    let found = balancer
        .discover
        .as_ref()
        .map(|discover| format!("those that are found by {}", discover.source));
    let named = match (balancer.members.len(), &found) {
        (0, Some(_)) => None,
        (number, _) => Some(counted(number, "member")),
    };
    Some(format!(
        "the balancer {} ({}) with {}",
        balancer.name,
        balancer.method.as_str(),
        named.into_iter().chain(found).collect::<Vec<_>>().join(" and "),
    ))
}

/// Looks at the files that name members. A server starts without them and waits for them to be mended.
fn files_of_members(config: &Config) -> Result<(), Problems> {
    let mut wrong = Problems::default();
    for balancer in &config.balancers {
        let Some(Discover {
            source: DiscoverSource::File { path, .. },
            member,
        }) = &balancer.discover
        else {
            continue;
        };
        let whole = |what: String, cure: Option<String>| Problem {
            place: Place::WholeFile(path.clone()),
            what,
            cure,
        };
        match std::fs::read_to_string(path) {
            Ok(text) => {
                if let Err(problems) = member.read(&text, path) {
                    wrong.extend(problems);
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let what = format!(
                    "does not exist: until it does, {} has nobody from it",
                    balancer.name
                );
                super::warn(&whole(what, None));
            }
            Err(error) => wrong.extend(Problems::from(whole(format!("cannot be read: {error}"), None))),
        }
    }
    match wrong.is_empty() {
        true => Ok(()),
        false => Err(wrong),
    }
}

/// Where a location can be reached.
fn places(config: &Config, location: &Location) -> impl Iterator<Item = String> {
    let path = location.path.script_name();
    let host = match &location.host {
        Some(host) => format!(" for {host}"),
        None => String::new(),
    };
    config.server.listen.iter().map(move |bind| match bind {
        Bind::Tcp(_) | Bind::Tls(_) => format!("{bind}{path}{host}"),
        Bind::Unix(_) | Bind::Passed { .. } if path.is_empty() => format!("{bind}{host}"),
        Bind::Unix(_) | Bind::Passed { .. } => format!("{bind} {path}{host}"),
    })
}

/// One line a certificate.
fn certificates(config: &Config, now: SystemTime) -> String {
    let files = config.tls.iter().flat_map(|tls| &tls.settings.certificates);
    files
        .filter_map(|files| Certificate::load(files).ok())
        .map(|certificate| {
            let until = match certificate.standing(now) {
                Standing::EndsSoon(_) => certificate.complaint(now).unwrap_or_default(),
                _ => format!("is valid until {}", date(certificate.not_after)),
            };
            format!(
                "ok: the certificate for {} {until} ({})\n",
                certificate.subject(),
                certificate.source.certificate().display()
            )
        })
        .collect()
}

fn watched<'c>(public: &'c [Bind], monitor: &'c Monitor) -> impl Iterator<Item = String> + 'c {
    let shown = public
        .iter()
        .map(|bind| (bind, monitor.public_health, monitor.public_metrics));
    let apart = monitor
        .listeners
        .iter()
        .map(|listener| (&listener.bind, true, listener.metrics));
    shown.chain(apart).filter_map(|(bind, health, metrics)| {
        let pages = [
            (health, &monitor.alive),
            (health, &monitor.ready),
            (metrics, &monitor.metrics),
        ];
        let pages: Vec<&str> = pages
            .into_iter()
            .filter_map(|(shown, page)| shown.then_some(page.as_str()))
            .collect();
        (!pages.is_empty()).then(|| format!("ok: {} at {bind}\n", pages.join(", ")))
    })
}

fn line(config: &Config, index: usize, app: &App) -> String {
    let places = config
        .places_of(index)
        .flat_map(|location| places(config, location));
    let places: Vec<String> = places.collect();
    let python = app
        .python
        .facts
        .as_ref()
        .map_or_else(|| "Python".to_owned(), ToString::to_string);
    let sticky = app.sticky.as_ref();
    let sticky = sticky.map_or_else(String::new, |sticky| format!(", sticky by {sticky}"));
    format!(
        "ok: {} from {} at {}, with {} and {} each{sticky}, {python} ({}, {})\n",
        app.target,
        app.target.import_root.display(),
        places.join(", "),
        workers(app.workers),
        counted(app.threads.get(), "thread"),
        app.python.path.display(),
        app.python.origin,
    )
}

fn workers(workers: carme_config::Workers) -> String {
    match workers.is_fixed() {
        true => counted(workers.min.get(), "worker"),
        false => format!("{} to {} workers", workers.min, workers.max),
    }
}

fn counted(number: usize, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use carme_config::{ProbeError, PythonFacts};

    use super::*;

    fn modern(path: &Path) -> Result<PythonFacts, ProbeError> {
        Ok(PythonFacts {
            implementation: "CPython".into(),
            version: (3, 13, 1),
            free_threaded: false,
            cache_tag: "cpython-313".into(),
            bits: 64,
            executable: path.to_owned(),
        })
    }

    #[test]
    fn says_what_would_be_served() {
        let folder = tempfile::tempdir().expect("a folder");
        // Any program will do: it is the answer that is made up.
        let python = std::env::current_exe().expect("the test knows its path");
        std::fs::write(folder.path().join("app.py"), "").expect("written");
        let surroundings = Surroundings {
            directory: folder.path().to_owned(),
            probe: Some(modern),
            ..Surroundings::default()
        };
        let text = format!(
            "[server]\nlisten = [\"127.0.0.1:80\", \"[::1]:80\"]\n[apps.a]\ntarget = \"app\"\nworkers = 1\npython = '{0}'\n\
             [apps.b]\ntarget = \"app:b\"\nworkers = 4\nthreads = 1\npython = '{0}'\nsticky = \"R|r\"\n\
             [[locations]]\npath = \"/\"\napp = \"a\"\n[[locations]]\npath = \"/b/\"\napp = \"b\"\n\
             [[locations]]\npath = \"/files\"\nfiles = \".\"\n\
             [[locations]]\nhost = \"old.example\"\npath = \"/\"\nredirect = \"https://new.example{{uri}}\"\nstatus = 308\n\
             [[balancers.farm.members]]\nurl = \"http://a\"\n[[locations]]\npath = \"/far\"\nbalancer = \"farm\"\n\
             [balancers.pods]\ndiscover = {{ dns = \"app.default.svc:8000\" }}\n\
             [[locations]]\npath = \"/pods\"\nbalancer = \"pods\"\n\
             [[locations]]\npath = \"/ping\"\nrespond = {{ body = \"pong\" }}\n[health]\n[metrics]\n",
            python.display()
        );
        let config = Config::from_toml(&text, Path::new("carme.toml"), &surroundings)
            .unwrap_or_else(|problems| panic!("{problems}"));
        let (folder, python) = (folder.path().display(), python.display());
        assert_eq!(
            summary(&config),
            format!(
                "ok: app from {folder} at http://127.0.0.1:80, http://[::1]:80, with 1 worker and 10 threads each, \
                 CPython 3.13.1 ({python}, as configured)\n\
                 ok: app:b from {folder} at http://127.0.0.1:80/b, http://[::1]:80/b, with 4 workers and 1 thread each, \
                 sticky by R|r, CPython 3.13.1 ({python}, as configured)\n\
                 ok: a redirect (308) to https://new.example{{uri}} at http://127.0.0.1:80 for old.example, \
                 http://[::1]:80 for old.example\n\
                 ok: the files of {folder} at http://127.0.0.1:80/files, http://[::1]:80/files\n\
                 ok: the balancer pods (queue) with those that are found by DNS for app.default.svc:8000 at \
                 http://127.0.0.1:80/pods, http://[::1]:80/pods\n\
                 ok: a fixed answer (200) at http://127.0.0.1:80/ping, http://[::1]:80/ping\n\
                 ok: the balancer farm (queue) with 1 member at http://127.0.0.1:80/far, http://[::1]:80/far\n\
                 ok: /healthz, /readyz at http://127.0.0.1:80\n\
                 ok: /healthz, /readyz at http://[::1]:80\n\
                 ok: /healthz, /readyz, /metrics at http://127.0.0.1:9180\n"
            )
        );
    }

    #[test]
    fn files_of_members_are_looked_at() {
        let folder = tempfile::tempdir().expect("a folder");
        let surroundings = Surroundings {
            directory: folder.path().to_owned(),
            ..Surroundings::default()
        };
        let text = "[balancers.farm]\ndiscover = { file = \"members.toml\" }\n";
        let config = Config::from_toml(text, Path::new("carme.toml"), &surroundings)
            .unwrap_or_else(|problems| panic!("{problems}"));
        let file = folder.path().join("members.toml");
        // It may come later.
        assert_eq!(files_of_members(&config), Ok(()));
        std::fs::write(&file, "[[members]]\nurl = \"http://10.0.0.1:9001\"\n").expect("written");
        assert_eq!(files_of_members(&config), Ok(()));
        std::fs::write(&file, "[[members]]\nurls = \"http://10.0.0.1:9001\"\n").expect("written");
        let problems = files_of_members(&config).expect_err("it is wrong").to_string();
        let place = format!("{}:2:1: unknown key `urls`", file.display());
        assert!(problems.contains(&place), "{problems}");
    }
}
