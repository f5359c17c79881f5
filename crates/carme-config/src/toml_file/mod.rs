//! `carme.toml`, read into a draft with the place of every value.
//!
//! The file is walked by hand and not by serde's derive, which stops at the first mistake and forgets places.

mod access_logs;
mod balancers;
pub(crate) mod bounds;
mod discover;
mod document;
mod listen;
pub(crate) mod location;
pub(crate) mod members;
mod monitor;
mod proxies;
pub(crate) mod proxying;
pub(crate) mod rules;
mod schema;
mod section;
mod tls;
mod traces;
pub(crate) mod variables;
mod workers;

use std::path::Path;

use toml::de::DeValue;

use self::document::Document;
use self::section::{Section, describe, text};
use crate::apache::Translated;
use crate::assemble::assemble;
use crate::config::{Config, Server, defaults};
use crate::draft::{AppDraft, At, Draft};
use crate::error_page::{self, Answers, ErrorPage};
use crate::iis::{self, Said};
use crate::location::Policy;
use crate::problem::{Mistake, Problem, Problems};
use crate::route::RoutePattern;
use crate::surroundings::{Console, Surroundings};
use crate::units::{ByteSize, parse_duration};
use crate::{env_file, paths, sticky};

impl Config {
    /// Checks the text of a file at `path`, which need not exist: it names the places and the folder from which
    /// relative paths are seen.
    ///
    /// # Errors
    /// Everything that is wrong in it.
    pub fn from_toml(text: &str, path: &Path, surroundings: &Surroundings) -> Result<Self, Problems> {
        Self::from_toml_with_warnings(text, path, surroundings).map(|read| read.value)
    }

    /// The same, with what is probably not meant.
    ///
    /// # Errors
    /// As [`Config::from_toml`].
    pub fn from_toml_with_warnings(
        text: &str,
        path: &Path,
        surroundings: &Surroundings,
    ) -> Result<Translated<Self>, Problems> {
        let file = paths::absolute(&surroundings.directory, path);
        let base = file.parent().unwrap_or(&surroundings.directory);
        let document = Document::new(path.to_owned(), text);
        let table = document.parse()?;
        let mut problems = Problems::default();
        let top = Section::open(
            &document,
            schema::TOP.section,
            table.get_ref(),
            &schema::TOP,
            &mut problems,
        );
        let server = server(&top, base, surroundings, &mut problems);
        let error_log = server.error_log.clone();
        let monitor = monitor::monitor(&top, base, &server, &mut problems);
        let apps = apps(&top, &mut problems);
        let before = problems.len();
        let locations = location::locations(&top, base, &mut problems);
        let draft = Draft {
            base: base.to_owned(),
            server,
            tls: tls::tls(&top, &mut problems),
            apps,
            balancers: balancers::balancers(&top, base, &mut problems),
            locations,
            all_locations_read: problems.len() == before,
            access_logs: access_logs::read(&top, base, &error_log, &mut problems),
            error_pages: error_pages(&top, base, &mut problems),
            monitor,
            traces: traces::traces(&top, &mut problems),
        };
        if draft.apps.is_empty() && !["apps", "balancers", "locations"].iter().any(|key| top.has(key)) {
            problems.push(Problem {
                place: document.whole(),
                what: "nothing to serve is named".to_owned(),
                cure: Some("add [apps.site] with target = \"app.py\"".to_owned()),
            });
        }
        let mut made = assemble(draft, surroundings, problems)?;
        if surroundings.console == Console::Absent {
            made.value
                .write_console_to(&base.join(defaults::SERVICE_LOG_FOLDER));
        }
        Ok(made)
    }
}

/// `[server]`, and what is different in it when IIS has started the server.
fn server(top: &Section<'_>, base: &Path, surroundings: &Surroundings, problems: &mut Problems) -> Server {
    let section = top.section("server", schema::SERVER.section, &schema::SERVER, problems);
    let has = |key: &str| section.as_ref().is_some_and(|section| section.has(key));
    let said = Said {
        listen: has("listen"),
        trusted_proxies: has("trusted_proxies"),
        forwarded_fields: has("forwarded_fields"),
    };
    let mut server = match &section {
        Some(section) => written_server(top, section, base, problems),
        None => Server::default(),
    };
    if let Err(problem) = iis::adapt(&mut server, said, surroundings) {
        problems.push(problem);
    }
    server
}

fn written_server(top: &Section<'_>, section: &Section<'_>, base: &Path, problems: &mut Problems) -> Server {
    let mut server = Server::default();
    let mut announced = Vec::new();
    if let Some(addresses) = listen::listen(section, base, problems) {
        server.listen.clear();
        for listen::Listen { bind, proxy_protocol } in addresses {
            if bind.value.is_tls() && !top.has("tls") {
                let cure = "add [tls] with certificate = \"site.pem\" and key = \"site.key\"";
                problems.push(bind.problem(crate::tls::no_certificate(&bind.value, cure)));
            }
            if server.listen.iter().any(|other| other.collides(&bind.value)) {
                problems.push(bind.problem(Mistake::new(format!("has {} twice", bind.value))));
                continue;
            }
            announced.extend(proxy_protocol.map(|at| (server.listen.len(), bind.value.clone(), at)));
            server.listen.push(bind.value);
        }
        // An empty list is reported; a list of mistakes has been.
        if server.listen.is_empty() {
            section.read("listen", problems, |value| match value {
                DeValue::Array(items) if items.is_empty() => {
                    Err(Mistake::new("must have an address, found an empty list")
                        .cure("write [\"127.0.0.1:8000\"], or leave it out"))
                }
                _ => Ok(()),
            });
        }
    }
    let timeouts = &mut server.timeouts;
    set(
        &mut timeouts.graceful,
        section.duration("graceful_timeout", problems),
    );
    set(
        &mut timeouts.keep_alive,
        section.duration("keep_alive_timeout", problems),
    );
    set(
        &mut timeouts.header,
        positive(section, "header_timeout", problems),
    );
    set(&mut timeouts.body, positive(section, "body_timeout", problems));
    set(&mut timeouts.send, positive(section, "send_timeout", problems));
    set(&mut timeouts.linger, section.duration("linger_timeout", problems));
    let limits = &mut server.limits;
    set(&mut limits.body, size(section, "max_body", problems));
    set(&mut limits.body_memory, size(section, "body_memory", problems));
    let rate = section.text("min_body_rate", problems, str::parse);
    set(&mut limits.body_rate, rate.map(|at| at.value));
    let rate = section.text("min_send_rate", problems, str::parse);
    set(&mut limits.send_rate, rate.map(|at| at.value));
    set(&mut limits.header, header_size(section, problems));
    set(
        &mut limits.headers,
        section.count("max_headers", problems, bounds::HEADERS),
    );
    set(&mut limits.uri, uri_size(section, problems));
    set(
        &mut limits.connections,
        section.count("max_connections", problems, bounds::CONNECTIONS),
    );
    limits.connections_per_address =
        section.count("max_connections_per_address", problems, bounds::CONNECTIONS);
    set(
        &mut limits.response_buffer,
        size(section, "response_buffer", problems),
    );
    set(
        &mut limits.backlog,
        section.count("backlog", problems, bounds::BACKLOG),
    );
    let before = problems.len();
    server.proxies = proxies::proxies(section, problems);
    listen::announce(announced, &mut server.proxies, problems.len() == before, problems);
    access_logs::error_log(section, base, &mut server, problems);
    set(&mut server.control, location::flag(section, "control", problems));
    let state = section.text("state_directory", problems, |text| paths::folder(base, text));
    server.state_directory = state.map(|at| at.value);
    server.policy = location::policy(section, problems).complete(&Policy::default());
    server
}

fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

fn positive(section: &Section<'_>, key: &str, problems: &mut Problems) -> Option<std::time::Duration> {
    section
        .text(key, problems, |text| bounds::positive(parse_duration(text)?))
        .map(|at| at.value)
}

fn size(section: &Section<'_>, key: &str, problems: &mut Problems) -> Option<ByteSize> {
    section.text(key, problems, str::parse).map(|at| at.value)
}

/// Smaller than any browser's, or so large that a few clients fill the memory: a slip.
fn header_size(section: &Section<'_>, problems: &mut Problems) -> Option<ByteSize> {
    let parse = |text: &str| bounds::size(text, ByteSize::kib(1), ByteSize::mib(1));
    section.text("max_header", problems, parse).map(|at| at.value)
}

/// Shorter than an ordinary link, or longer than the parser can hold.
fn uri_size(section: &Section<'_>, problems: &mut Problems) -> Option<ByteSize> {
    let parse = |text: &str| bounds::size(text, ByteSize::bytes(64), ByteSize::bytes(65_000));
    section.text("max_uri", problems, parse).map(|at| at.value)
}

fn error_pages(top: &Section<'_>, base: &Path, problems: &mut Problems) -> Vec<ErrorPage> {
    let mut pages = Vec::new();
    for (key, value) in top.entries("error_pages", problems) {
        let answers = Answers::parse(&key.value).map_err(|mistake| key.problem(mistake));
        let page = text(value.get_ref(), |text| error_page::read(base, text)).map_err(|mistake| {
            let place = top.document.place(&value.span());
            At {
                value: (),
                subject: key.subject.clone(),
                place,
            }
            .problem(mistake)
        });
        match (answers, page) {
            (Ok(answers), Ok((markup, text))) => pages.push(ErrorPage {
                answers,
                markup,
                text,
            }),
            (answers, page) => {
                answers
                    .err()
                    .into_iter()
                    .chain(page.err())
                    .for_each(|problem| problems.push(problem));
            }
        }
    }
    pages
}

fn apps(top: &Section<'_>, problems: &mut Problems) -> Vec<AppDraft> {
    let mut drafts = Vec::new();
    for (name, value) in top.entries("apps", problems) {
        if let Err(mistake) = bounds::app_name(&name.value) {
            problems.push(name.problem(mistake));
        }
        match value.get_ref() {
            DeValue::Table(table) => {
                let title = format!("[apps.{}]", name.value);
                let section = Section::open(top.document, &title, table, &schema::APP, problems);
                drafts.push(app(name, &title, &section, problems));
            }
            other => {
                let is_setting = schema::APP.known.contains(&name.value.as_str());
                let mistake =
                    Mistake::new(format!("must be a table, found {}", describe(other))).cure(if is_setting {
                        format!(
                            "an app has a name: write it below [apps.site], not below [apps]: {}",
                            name.value
                        )
                    } else {
                        format!("write [apps.{}] with target = \"app.py\"", name.value)
                    });
                problems.push(name.problem(mistake));
            }
        }
    }
    if drafts.is_empty() && top.has("apps") && problems.is_empty() {
        problems.push(Problem {
            place: top.document.whole(),
            what: "[apps] names no app".to_owned(),
            cure: Some("add [apps.site] with target = \"app.py\"".to_owned()),
        });
    }
    drafts
}

fn app(name: At<String>, title: &str, section: &Section<'_>, problems: &mut Problems) -> AppDraft {
    let mut app = AppDraft::named(name);
    app.target = section.string("target", problems);
    if !section.has("target") {
        problems.push(Problem {
            place: app.name.place.clone(),
            what: format!("{title} has no `target`"),
            cure: Some("write target = \"app.py\" or target = \"mysite.wsgi:application\"".to_owned()),
        });
    }
    app.directory = section.string("directory", problems);
    app.python = section.string("python", problems);
    app.interface = section
        .text("interface", problems, bounds::interface)
        .map(|at| at.value);
    let inner = |key: &str| format!("{}.{key}]", title.trim_end_matches(']'));
    app.workers = workers::workers(section, &inner("workers"), problems);
    app.surge = section.count("surge", problems, bounds::SURGE);
    app.threads = section.count("threads", problems, bounds::THREADS);
    app.switch_interval = positive(section, "switch_interval", problems);
    app.startup_timeout = positive(section, "startup_timeout", problems);
    app.drain_timeout = positive(section, "drain_timeout", problems);
    app.user = section.string("user", problems);
    app.group = section.string("group", problems);
    let time = |key, problems: &mut Problems| {
        section
            .text(key, problems, bounds::time_or_off)
            .map(|at| at.value)
    };
    app.request_timeout = time("request_timeout", problems);
    app.idle_timeout = time("idle_timeout", problems);
    app.slow_request = time("slow_request", problems);
    app.interrupt_grace = section.duration("interrupt_grace", problems);
    app.route = section.text("route", problems, RoutePattern::parse);
    app.sticky = balancers::sticky_by(section, "sticky", "sticky_separator", sticky::separator, problems);
    if let Some(recycle) = section.section("recycle", &inner("recycle"), &schema::RECYCLE, problems) {
        app.recycle = workers::recycle(&recycle, problems);
    }
    if let Some(queue) = section.section("queue", &inner("queue"), &schema::QUEUE, problems) {
        app.queue_limit = queue.count("limit", problems, bounds::QUEUE_LIMIT);
        app.queue_timeout = positive(&queue, "timeout", problems);
    }
    let variables = section.pairs("env", problems, |key, value| {
        env_file::check_key(key)?;
        env_file::check_value(value).map(|()| value.to_owned())
    });
    app.env.extend(variables);
    app.env_files = section
        .texts("env_files", problems, |text| Ok(text.to_owned()))
        .unwrap_or_default();
    app.sendfile = section
        .texts("sendfile", problems, |text| Ok(text.to_owned()))
        .unwrap_or_default();
    app
}
