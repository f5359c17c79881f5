//! `mod_wsgi`: daemon processes become apps.

use std::num::{NonZeroU64, NonZeroUsize};
use std::time::Duration;

use super::lexer::Word;
use super::proxy::path;
use super::reading::{Answers, Context, Host, Outcome, Reading, Rule};
use super::source::Node;
use super::time;
use crate::draft::{AppDraft, At};
use crate::env_file;
use crate::mount::MountPath;
use crate::nearest::did_you_mean;
use crate::paths;
use crate::problem::{Mistake, Problem};
use crate::scale::Workers;
use crate::toml_file::bounds;

/// `WSGIDaemonProcess`: what an app of this group has.
pub(super) struct Group {
    pub(super) name: Word,
    pub(super) app: AppDraft,
}

/// `WSGIScriptAlias`: a file, and where it runs.
#[derive(Clone)]
pub(super) struct Script {
    pub(super) file: Word,
    /// `process-group=` beside it.
    pub(super) group: Option<Word>,
    /// Set for what stood in the places of members: routes and their number.
    pub(super) farm: Option<Farm>,
}

/// Instances on this machine, folded into one app.
#[derive(Clone)]
pub(super) struct Farm {
    pub(super) name: String,
    pub(super) workers: NonZeroUsize,
    pub(super) threads: Option<NonZeroUsize>,
    pub(super) route: At<crate::route::RoutePattern>,
    pub(super) sticky: Option<At<crate::balancer::Sticky>>,
}

/// mod_wsgi's own defaults.
const PROCESSES: NonZeroUsize = NonZeroUsize::MIN;
const THREADS: NonZeroUsize = NonZeroUsize::new(15).unwrap();

const OPTIONS: [&str; 44] = [
    "processes",
    "threads",
    "display-name",
    "home",
    "user",
    "group",
    "supplementary-groups",
    "umask",
    "lang",
    "locale",
    "chroot",
    "script-user",
    "script-group",
    "python-home",
    "python-path",
    "python-eggs",
    "switch-interval",
    "restart-interval",
    "maximum-requests",
    "inactivity-timeout",
    "request-timeout",
    "interrupt-timeout",
    "deadlock-timeout",
    "startup-timeout",
    "graceful-timeout",
    "eviction-timeout",
    "shutdown-timeout",
    "connect-timeout",
    "socket-timeout",
    "queue-timeout",
    "listen-backlog",
    "socket-user",
    "cpu-time-limit",
    "cpu-priority",
    "memory-limit",
    "virtual-memory-limit",
    "stack-size",
    "receive-buffer-size",
    "send-buffer-size",
    "header-buffer-size",
    "response-buffer-size",
    "response-socket-timeout",
    "response-flush-delay",
    "server-metrics",
];

/// `WSGIDaemonProcess NAME key=value…`
pub(super) fn daemon(reading: &mut Reading, node: &Node, _: &mut Host, _: &Context) -> Outcome {
    let name = node.arg(0)?.clone();
    if reading.groups.iter().any(|group| group.name.text == name.text) {
        let mistake = Mistake::new(format!("has {:?} a second time", name.text));
        return Err(node.wrong_arg(&name, mistake.cure("give it another name")));
    }
    let mut app = AppDraft::named(name.at("the app", name.text.clone()));
    app.workers = Some(Workers::fixed(PROCESSES));
    app.threads = Some(THREADS);
    for word in &node.args[1..] {
        let Some((key, value)) = word.text.split_once('=') else {
            let mistake = Mistake::new(format!("must be key=value, found {:?}", word.text));
            return Err(node.wrong_arg(word, mistake));
        };
        if let Some(why) = option(reading, &mut app, word, key, value).map_err(|mistake| {
            let what = format!("has {key}, which {}", mistake.what);
            node.wrong_arg(word, Mistake { what, ..mistake })
        })? {
            reading.warn(word, key, why);
        }
    }
    reading.groups.push(Group { name, app });
    Ok(())
}

/// Several as one: `Some` if it is not none.
fn at_least_one(value: &str) -> Result<Option<Duration>, Mistake> {
    Ok(Some(time::any(value)?).filter(|time| !time.is_zero()))
}

/// One option; a text if it means nothing here, or something else.
fn option(
    reading: &mut Reading,
    app: &mut AppDraft,
    word: &Word,
    key: &str,
    value: &str,
) -> Result<Option<&'static str>, Mistake> {
    const USER: &str = "is not changed by Carme; a worker has the groups of its user";
    const SYSTEM: &str = "is a limit of the system; systemd has such limits for its services";
    const SOCKET: &str = "is of a socket between Apache and its processes, which Carme does not have";
    match key {
        "processes" => app.workers = Some(Workers::fixed(bounds::WORKERS.parse(value)?)),
        "threads" if value == "0" => {
            return Ok(Some(
                "of 0 is a process without requests, which Carme does not have",
            ));
        }
        "threads" => app.threads = Some(bounds::THREADS.parse(value)?),
        "home" => app.directory = Some(word.at("home", value.to_owned())),
        "python-home" => app.python = Some(word.at("python-home", value.to_owned())),
        "python-path" => variable(app, "PYTHONPATH", value)?,
        "python-eggs" => variable(app, "PYTHON_EGG_CACHE", value)?,
        "lang" => variable(app, "LANG", value)?,
        "locale" => variable(app, "LC_ALL", value)?,
        "switch-interval" => {
            let seconds: f64 = value
                .parse()
                .map_err(|_| Mistake::new(format!("must be a number of seconds, found {value:?}")))?;
            let microseconds = (seconds * 1e6).round();
            if !(1.0..=60e6).contains(&microseconds) {
                return Err(Mistake::new(format!(
                    "must be a number of seconds up to 60, found {value}"
                )));
            }
            app.switch_interval = Some(Duration::from_micros(microseconds as u64));
        }
        "restart-interval" => app.recycle.age = at_least_one(value)?,
        "maximum-requests" => {
            let number: u32 = value
                .parse()
                .map_err(|_| Mistake::new(format!("must be a whole number, found {value:?}")))?;
            app.recycle.requests = NonZeroU64::new(number.into());
        }
        "inactivity-timeout" => app.recycle.idle = at_least_one(value)?,
        "memory-limit" => {
            app.recycle.memory = Some(time::bytes(value)?).filter(|size| size.as_u64() > 0);
        }
        "request-timeout" => app.request_timeout = at_least_one(value)?.map(Some),
        "interrupt-timeout" => app.interrupt_grace = at_least_one(value)?,
        "startup-timeout" => app.startup_timeout = at_least_one(value)?,
        "queue-timeout" => app.queue_timeout = at_least_one(value)?,
        "graceful-timeout" => app.drain_timeout = at_least_one(value)?,
        "shutdown-timeout" => {
            let timeout = time::any(value)?;
            reading.server.timeouts.graceful = reading.server.timeouts.graceful.max(timeout);
            return Ok(Some(
                "is how long the whole server waits when it ends; the longest is taken, at least 30 s",
            ));
        }
        "listen-backlog" => app.queue_limit = Some(bounds::QUEUE_LIMIT.parse(value)?),
        "display-name" => {
            return Ok(Some(
                "is not shown: the titles of processes are left alone; `carme status` names them",
            ));
        }
        "user" | "group" if !reading.is_root => return Ok(Some(NOT_ROOT)),
        "user" => app.user = Some(word.at("user", value.to_owned())),
        "group" => app.group = Some(word.at("group", value.to_owned())),
        "supplementary-groups" | "script-user" | "script-group" | "chroot" | "umask" => {
            return Ok(Some(USER));
        }
        "deadlock-timeout" => {
            return Ok(Some(
                "is not needed: a worker that hangs is known by the age of its request",
            ));
        }
        "eviction-timeout" => return Ok(Some("is drain_timeout here, as graceful-timeout is")),
        "cpu-time-limit" | "cpu-priority" | "virtual-memory-limit" | "stack-size" => return Ok(Some(SYSTEM)),
        "connect-timeout"
        | "socket-timeout"
        | "socket-user"
        | "receive-buffer-size"
        | "send-buffer-size"
        | "header-buffer-size"
        | "response-buffer-size"
        | "response-socket-timeout"
        | "response-flush-delay" => {
            return Ok(Some(SOCKET));
        }
        "server-metrics" => return Ok(Some("is [metrics] here")),
        _ => {
            let mistake = Mistake::new("is not known");
            return Err(mistake.maybe_cure(did_you_mean(key, OPTIONS)));
        }
    }
    Ok(None)
}

fn variable(app: &mut AppDraft, name: &str, value: &str) -> Result<(), Mistake> {
    env_file::check_value(value)?;
    app.env.insert(name.to_owned(), value.to_owned());
    Ok(())
}

/// What a user is told whose server cannot start others as that user.
const NOT_ROOT: &str = "is followed when the server runs as root; workers are the user that starts it now";

pub(super) fn user(reading: &mut Reading, node: &Node, _: &mut Host, _: &Context) -> Outcome {
    reading.user = Some(node.arg(0)?.clone());
    not_root(reading, node);
    Ok(())
}

pub(super) fn group(reading: &mut Reading, node: &Node, _: &mut Host, _: &Context) -> Outcome {
    reading.group = Some(node.arg(0)?.clone());
    not_root(reading, node);
    Ok(())
}

fn not_root(reading: &mut Reading, node: &Node) {
    if !reading.is_root {
        reading.warn(&node.name, &node.name.text, NOT_ROOT);
    }
}

pub(super) fn application_group(reading: &mut Reading, node: &Node, _: &mut Host, _: &Context) -> Outcome {
    let word = node.arg(0)?;
    if word.text != "%{GLOBAL}" {
        let why = "is an interpreter of its own in a process; Carme's apps have processes of their own";
        reading.warn(word, &node.name.text, why);
    }
    Ok(())
}

pub(super) fn python_home(reading: &mut Reading, node: &Node, _: &mut Host, _: &Context) -> Outcome {
    reading.python_home = Some(node.arg(0)?.clone());
    Ok(())
}

pub(super) fn python_path(reading: &mut Reading, node: &Node, _: &mut Host, _: &Context) -> Outcome {
    reading.python_path = Some(node.arg(0)?.clone());
    Ok(())
}

/// `WSGIScriptAlias /path /file [process-group=…] [application-group=…]`
pub(super) fn script_alias(_: &mut Reading, node: &Node, host: &mut Host, context: &Context) -> Outcome {
    let (location, args) = match (&context.location, node.args.len()) {
        (Some(location), 1) => (location.clone(), node.args.as_slice()),
        _ => {
            let word = node.arg(0)?;
            let path = path(&word.text).map_err(|mistake| node.wrong_arg(word, mistake))?;
            (word.at(&node.name.text, path), &node.args[1..])
        }
    };
    let Some((file, options)) = args.split_first() else {
        return Err(node
            .wrong(Mistake::new("names no script").cure("write WSGIScriptAlias / /srv/site/site/wsgi.py")));
    };
    let mut group = None;
    for word in options {
        match word.text.split_once('=') {
            Some(("process-group", "%{GLOBAL}")) => {}
            Some(("process-group", name)) => {
                group = Some(Word {
                    text: name.to_owned(),
                    place: word.place.clone(),
                });
            }
            Some(("application-group", _)) => {}
            _ => {
                let mistake = Mistake::new(format!("has the unknown option {:?}", word.text));
                return Err(node.wrong_arg(
                    word,
                    mistake.cure("there are process-group=NAME and application-group=NAME"),
                ));
            }
        }
    }
    host.rules.push(Rule {
        path: location,
        what: Answers::Script(Box::new(Script {
            file: file.clone(),
            group,
            farm: None,
        })),
    });
    Ok(())
}

/// A name that an app can have.
fn app_name(text: &str) -> String {
    let plain = |c: char| match c.to_ascii_lowercase() {
        c if c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' => c,
        _ => '_',
    };
    let name: String = text.chars().map(plain).collect();
    match name.trim_matches('_') {
        "" => "app".to_owned(),
        name => name.to_owned(),
    }
}

impl Reading {
    /// The app of a script at a path of a host: one for each script and group, made when it is first asked for.
    pub(super) fn app(
        &self,
        script: &Script,
        host: &Host,
        path: &MountPath,
        apps: &mut Vec<(String, AppDraft)>,
    ) -> Result<At<String>, Problem> {
        let file = paths::absolute(&self.root, &script.file.text);
        let hosting = self.hosting(host, path, &file);
        let group = script
            .group
            .as_ref()
            .or(hosting.group.as_ref().and_then(Option::as_ref));
        let callable = hosting
            .callable
            .as_ref()
            .map_or("application", |word| word.text.as_str());
        let target = format!("{}:{callable}", file.display());
        let key = format!("{target} {}", group.map_or("", |group| group.text.as_str()));
        if let Some((_, app)) = apps.iter().find(|(known, _)| *known == key) {
            return Ok(script.file.at("WSGIScriptAlias", app.name.value.clone()));
        }
        let mut app = match group {
            None => AppDraft::named(script.file.at("the app", String::new())),
            Some(word) => {
                let names = || self.groups.iter().map(|group| group.name.text.as_str());
                let Some(group) = self.groups.iter().find(|group| group.name.text == word.text) else {
                    let mistake = Mistake::new(format!("names no WSGIDaemonProcess: {:?}", word.text));
                    return Err(word.problem(
                        "the process group",
                        mistake.maybe_cure(did_you_mean(&word.text, names())),
                    ));
                };
                group.app.clone()
            }
        };
        let name = match (&script.farm, group, host.names.first()) {
            (Some(farm), ..) => farm.name.clone(),
            (None, Some(group), _) => app_name(&group.text),
            (None, None, Some(name)) => app_name(name.value.as_str()),
            (None, None, None) => {
                let folder = script.file.text.rsplit(['/', '\\']).nth(1).unwrap_or("app");
                app_name(folder)
            }
        };
        let taken = |name: &str| apps.iter().any(|(_, app)| app.name.value == name);
        let name = (2..)
            .map(|number| format!("{name}_{number}"))
            .find(|other| !taken(other))
            .filter(|_| taken(&name))
            .unwrap_or(name);
        app.name = script.file.at("the app", name.clone());
        if let Some(farm) = &script.farm {
            app.workers = Some(Workers::fixed(farm.workers));
            app.threads = farm.threads.or(app.threads);
            app.route = Some(farm.route.clone());
            app.sticky.clone_from(&farm.sticky);
        }
        app.target = Some(script.file.at("WSGIScriptAlias", target));
        app.interface = Some(crate::config::Interface::Wsgi);
        if app.python.is_none() {
            app.python = self
                .python_home
                .as_ref()
                .map(|word| word.at("WSGIPythonHome", word.text.clone()));
        }
        // Started by root, Apache's processes are this user, too.
        if self.is_root && app.user.is_none() {
            app.user = self.user.as_ref().map(|word| word.at("User", word.text.clone()));
            if app.user.is_some() && app.group.is_none() {
                app.group = self
                    .group
                    .as_ref()
                    .map(|word| word.at("Group", word.text.clone()));
            }
        }
        if let (Some(word), false) = (&self.python_path, app.env.contains_key("PYTHONPATH")) {
            variable(&mut app, "PYTHONPATH", &word.text)
                .map_err(|mistake| word.problem("WSGIPythonPath", mistake))?;
        }
        apps.push((key, app));
        Ok(script.file.at("WSGIScriptAlias", name))
    }
}
