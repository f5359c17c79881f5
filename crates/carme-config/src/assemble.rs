//! From a draft to a [`Config`]: defaults filled in, targets and interpreters found, the parts checked against
//! each other.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use crate::account::account;
use crate::apache::Translated;
use crate::balancer::{Balancer, Proxying, named_balancer};
use crate::config::{AccessLog, App, AppTimeouts, Config, Queue, defaults};
use crate::draft::{AnswerDraft, AppDraft, At, Draft, LocationDraft, PolicyDraft};
use crate::interpreter::{Interpreter, Origin};
use crate::location::{Answer, HostPattern, Location};
use crate::mount::MountPath;
use crate::nearest::did_you_mean;
use crate::problem::{Mistake, Problem, Problems};
use crate::route::RoutePattern;
use crate::scale::Workers;
use crate::surroundings::Surroundings;
use crate::target::{self, Found, Target};
use crate::{env_file, paths, probe, sticky};

/// Completes the draft, with what is doubtful in it, or returns what was wrong before together with what turns out to be
/// wrong here.
pub(crate) fn assemble(
    draft: Draft,
    surroundings: &Surroundings,
    mut problems: Problems,
) -> Result<Translated<Config>, Problems> {
    let locations = locations(&draft, &mut problems);
    let mut apps = Vec::with_capacity(draft.apps.len());
    for app in &draft.apps {
        apps.extend(complete(app, &draft, surroundings, &mut problems));
    }
    let balancers: Vec<Balancer> = draft
        .balancers
        .iter()
        .map(|balancer| balancer.complete(&draft, &mut problems))
        .collect();
    check_routes(&draft.apps, &mut problems);
    sticky::check_cookies(&draft.apps, &locations, &mut problems);
    let tls = draft
        .tls
        .as_ref()
        .and_then(|tls| tls.complete(&draft, surroundings, &mut problems));
    if !problems.is_empty() {
        return Err(problems.in_order());
    }
    let mut warnings = Problems::default();
    for balancer in &draft.balancers {
        balancer.warnings(&mut warnings);
    }
    let config = Config {
        server: draft.server,
        tls,
        apps,
        balancers,
        locations,
        access_logs: draft.access_logs.unwrap_or_else(|| vec![AccessLog::default()]),
        error_pages: draft.error_pages,
        monitor: draft.monitor,
        traces: draft.traces,
    };
    Ok(Translated {
        value: config,
        warnings: warnings.iter().cloned().collect(),
    })
}

/// One app, looked up. `None` means that it has problems.
fn complete(
    app: &AppDraft,
    draft: &Draft,
    surroundings: &Surroundings,
    problems: &mut Problems,
) -> Option<App> {
    let env = environment(app, draft, problems);
    let user = account(app.user.as_ref(), app.group.as_ref(), surroundings, problems);
    let sendfile = sendfile(app, draft, problems);
    let directory = match &app.directory {
        None => Some(draft.base.clone()),
        Some(written) => match paths::folder(&draft.base, &written.value) {
            Ok(directory) => Some(directory),
            Err(mistake) => {
                problems.push(written.problem(mistake));
                None
            }
        },
    };
    let found = directory.as_deref().and_then(|directory| {
        let target = app.target.as_ref()?;
        target::find(&target.value, directory)
            .map_err(|mistake| problems.push(target.problem(mistake)))
            .ok()
    });
    // The project is where the target is; without one, where it should have been.
    let project = match &found {
        Some(Found::Here(target) | Found::PerhapsInstalled(target, _)) => target.import_root.clone(),
        None => directory.clone().unwrap_or_else(|| draft.base.clone()),
    };
    let named = app.python.as_ref();
    let python = match Interpreter::find(
        named.map(|at| at.value.as_str()),
        &draft.base,
        &project,
        surroundings,
    ) {
        Ok(python) => asked(python, surroundings),
        Err(mistake) => Err(mistake),
    };
    let python = match python {
        Ok(python) => Some(python),
        Err(mistake) => {
            problems.push(named.unwrap_or(&subject("Python", app)).problem(mistake));
            None
        }
    };
    let target = match found? {
        Found::Here(target) => target,
        Found::PerhapsInstalled(target, mistake) => {
            if let Some(problem) = not_installed(app, &target, mistake, python.as_ref(), &env) {
                problems.push(problem);
            }
            target
        }
    };
    // A folder that the user named is the current one; otherwise the app's own is.
    let directory = directory
        .filter(|_| app.directory.is_some())
        .unwrap_or_else(|| target.import_root.clone());
    Some(App {
        name: app.name.value.clone(),
        target,
        directory,
        python: python?,
        interface: app.interface.unwrap_or_default(),
        workers: workers(app),
        surge: app.surge.unwrap_or(defaults::SURGE),
        threads: app.threads.unwrap_or(defaults::THREADS),
        switch_interval: app.switch_interval.unwrap_or(defaults::SWITCH_INTERVAL),
        startup_timeout: app.startup_timeout.unwrap_or(defaults::STARTUP_TIMEOUT),
        drain_timeout: drain_timeout(app),
        user,
        recycle: app.recycle,
        queue: Queue {
            limit: app.queue_limit.unwrap_or(defaults::QUEUE_LIMIT),
            timeout: app.queue_timeout.unwrap_or(defaults::QUEUE_TIMEOUT),
        },
        timeouts: timeouts(app),
        route: route(app),
        sticky: app.sticky.as_ref().map(|sticky| sticky.value.clone()),
        env,
        sendfile,
    })
}

/// A worker that is replaced may take as long as a request may: no request is cut off for a reload.
fn drain_timeout(app: &AppDraft) -> Duration {
    app.drain_timeout.unwrap_or_else(|| match timeouts(app).request {
        Some(request) => request.max(defaults::DRAIN_TIMEOUT),
        None => defaults::DRAIN_TIMEOUT_WITHOUT_LIMIT,
    })
}

fn timeouts(app: &AppDraft) -> AppTimeouts {
    let standard = AppTimeouts::default();
    AppTimeouts {
        request: app.request_timeout.unwrap_or(standard.request),
        idle: app.idle_timeout.unwrap_or(standard.idle),
        interrupt_grace: app.interrupt_grace.unwrap_or(standard.interrupt_grace),
        slow: app.slow_request.unwrap_or(standard.slow),
    }
}

/// The interpreter with what it says of itself, if it is to be asked.
fn asked(mut python: Interpreter, surroundings: &Surroundings) -> Result<Interpreter, Mistake> {
    if let Some(probe) = surroundings.probe {
        let facts = probe(&python.path).map_err(|error| {
            let cure = match python.origin {
                Origin::Named => "name another interpreter",
                _ => "name another interpreter with --python, or python = in the file",
            };
            Mistake::new(format!("({}) cannot be used: {error}", python.origin)).cure(cure)
        })?;
        python.facts = Some(facts);
    }
    Ok(python)
}

fn subject(subject: &str, app: &AppDraft) -> At<String> {
    At {
        value: String::new(),
        subject: subject.to_owned(),
        place: app.name.place.clone(),
    }
}

fn route(app: &AppDraft) -> RoutePattern {
    app.route.as_ref().map_or_else(
        || RoutePattern::for_app(&app.name.value),
        |route| route.value.clone(),
    )
}

/// Asks the interpreter for a module that is not in the app's folder.
fn not_installed(
    app: &AppDraft,
    found: &Target,
    mut mistake: Mistake,
    python: Option<&Interpreter>,
    env: &BTreeMap<String, String>,
) -> Option<Problem> {
    let target = app.target.as_ref()?;
    let top = found.module.split('.').next().unwrap_or_default();
    let Some(python) = python else {
        return Some(target.problem(mistake));
    };
    match probe::finds_module(&python.path, &found.import_root, env, top) {
        Ok(true) => None,
        Ok(false) => {
            mistake
                .what
                .push_str(&format!(", nor is it installed for {}", python.path.display()));
            Some(target.problem(mistake))
        }
        Err(error) => {
            let mistake = Mistake::new(format!("was found, but {error}"));
            Some(
                app.python
                    .as_ref()
                    .unwrap_or(&subject("Python", app))
                    .problem(mistake),
            )
        }
    }
}

/// The environment files in their order, then what was set one by one.
fn environment(app: &AppDraft, draft: &Draft, problems: &mut Problems) -> BTreeMap<String, String> {
    let mut env = BTreeMap::new();
    for file in &app.env_files {
        let path = paths::absolute(&draft.base, &file.value);
        match env_file::read(&path) {
            Ok(pairs) => env.extend(pairs),
            Err(found) => {
                for problem in &found {
                    // A missing file is the fault of who named it; a wrong line has its own place.
                    problems.push(match &problem.place {
                        crate::problem::Place::WholeFile(path) => {
                            let what = format!("names {}: {}", path.display(), problem.what);
                            file.problem(Mistake {
                                what,
                                cure: problem.cure.clone(),
                            })
                        }
                        _ => problem.clone(),
                    });
                }
            }
        }
    }
    env.extend(app.env.clone());
    env
}

/// The locations, longest path first. Names are checked against each other.
fn locations(draft: &Draft, problems: &mut Problems) -> Vec<Location> {
    let nowhere = |app: &AppDraft, mistake: Mistake| Problem {
        place: app.name.place.clone(),
        what: format!("the app `{}` {}", app.name.value, mistake.what),
        cure: mistake.cure,
    };
    let Some(written) = &draft.locations else {
        if draft.apps.len() > 1 {
            for app in &draft.apps {
                problems.push(nowhere(app, no_location(&app.name.value)));
            }
        }
        let answer = match draft.apps.is_empty() && !draft.balancers.is_empty() {
            true => Answer::Balancer(Proxying::at(0, "")),
            false => Answer::App(0),
        };
        if draft.apps.len() + draft.balancers.len() > 1 {
            for balancer in &draft.balancers {
                problems.push(balancer.problem(nobody_comes(&balancer.name.value)));
            }
        }
        return vec![Location {
            host: None,
            path: MountPath::root(),
            answer,
            policy: PolicyDraft::default().complete(&draft.server.policy),
        }];
    };
    let mut locations: Vec<Location> = Vec::with_capacity(written.len());
    let mut all_known = draft.all_locations_read;
    let mut taken: HashMap<(&Option<HostPattern>, &MountPath), &LocationDraft> = HashMap::new();
    for location in written {
        if let Some(first) = taken.insert((&location.host, &location.path.value), location) {
            let host = location.host.as_ref().map_or("", |host| host.as_str());
            let what = format!(
                "is taken already: {host}{} at {}",
                location.path.value, first.path.place
            );
            problems.push(location.path.problem(Mistake::new(what)));
        }
        let answer = match &location.answer {
            AnswerDraft::Other(answer) => Ok(answer.clone()),
            AnswerDraft::App(app) => named_app(app, draft).map(Answer::App),
            AnswerDraft::Balancer(name, proxying) => named_balancer(name, draft).map(|balancer| {
                Answer::Balancer(Proxying {
                    balancer,
                    ..proxying.clone()
                })
            }),
        };
        match answer {
            Ok(answer) => locations.push(Location {
                host: location.host.clone(),
                path: location.path.value.clone(),
                answer,
                policy: location.policy.clone().complete(&draft.server.policy),
            }),
            Err(problem) => {
                all_known = false;
                problems.push(problem);
            }
        }
    }
    for app in &draft.apps {
        if all_known
            && !written
                .iter()
                .any(|location| location.app_name() == Some(&app.name.value))
        {
            problems.push(nowhere(app, no_location(&app.name.value)));
        }
    }
    for (index, balancer) in draft.balancers.iter().enumerate() {
        let is_this = |location: &Location| match &location.answer {
            Answer::Balancer(proxying) => proxying.balancer == index,
            _ => false,
        };
        if all_known && !locations.iter().any(is_this) {
            problems.push(balancer.problem(nobody_comes(&balancer.name.value)));
        }
    }
    locations.sort_by_key(|location| {
        let host = location.host.as_ref().map_or((0, 0), HostPattern::rank);
        std::cmp::Reverse((host, location.path.script_name().len()))
    });
    locations
}

/// The place of the app with this name.
fn named_app(app: &At<String>, draft: &Draft) -> Result<usize, Problem> {
    let names = || draft.apps.iter().map(|app| app.name.value.as_str());
    names().position(|name| name == app.value).ok_or_else(|| {
        let known = || match names().collect::<Vec<_>>().as_slice() {
            [] => None,
            names => Some(format!("there is {}", names.join(", "))),
        };
        app.problem(
            Mistake::new(format!("names no app: {:?}", app.value))
                .maybe_cure(did_you_mean(&app.value, names()).or_else(known)),
        )
    })
}

/// The folders of which an app may have files sent.
fn sendfile(app: &AppDraft, draft: &Draft, problems: &mut Problems) -> Vec<std::path::PathBuf> {
    let folder = |written: &At<String>| {
        paths::folder(&draft.base, &written.value)
            .map_err(|mistake| problems.push(written.problem(mistake)))
            .ok()
    };
    app.sendfile.iter().filter_map(folder).collect()
}

fn no_location(name: &str) -> Mistake {
    Mistake::new("is not served anywhere").cure(format!(
        "add [[locations]] with path = \"/{name}\" and app = \"{name}\""
    ))
}

fn nobody_comes(name: &str) -> Mistake {
    Mistake::new("is not served anywhere").cure(format!(
        "add [[locations]] with path = \"/{name}\" and balancer = \"{name}\""
    ))
}

fn workers(app: &AppDraft) -> Workers {
    app.workers.unwrap_or_else(|| Workers::fixed(defaults::workers()))
}

/// No two workers may have the same name: sticky requests and log lines go by it.
fn check_routes(apps: &[AppDraft], problems: &mut Problems) {
    let mut owners: HashMap<String, &AppDraft> = HashMap::new();
    for app in apps {
        let pattern = route(app);
        for number in 1..=workers(app).max.get() {
            let route = pattern.route(number);
            let Some(other) = owners
                .insert(route.clone(), app)
                .filter(|other| other.name.value != app.name.value)
            else {
                continue;
            };
            let what = format!(
                "would give a worker of `{}` the name {route}, as `{}` does",
                app.name.value, other.name.value
            );
            let mistake = Mistake::new(what).cure("choose another pattern for one of them");
            problems.push(match (&app.route, &other.route) {
                (Some(route), _) | (None, Some(route)) => route.problem(mistake),
                (None, None) => subject("the route", app).problem(mistake),
            });
            break;
        }
    }
}
