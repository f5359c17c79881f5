//! The draft as the text of a `carme.toml` that means the same.

use std::fmt::{Display, Write as _};
use std::path::Path;
use std::time::Duration;

use super::Read;
use super::requests::{LogRequests, Requests};
use crate::balancer::{
    Balancer, BalancerDraft, ErrorOverride, Flush, HashKey, HealthCheck, Member, Method, Proxying, Reverse,
    ReverseFrom, Upgrade,
};
use crate::bind::Bind;
use crate::config::{AccessLog, Server, defaults};
use crate::draft::{AnswerDraft, AppDraft, LocationDraft};
use crate::location::{Answer, Files, HeaderChange, HeaderRule};
use crate::log_output::LogOutput;
use crate::paths;
use crate::problem::Place;
use crate::proxies::{ClientHeader, ForwardedFields, TrustedProxy};
use crate::tls::{CertificateDraft, ClientAuthDraft, TlsDraft};
use crate::units::{ByteSize, DisplayDuration};

/// The whole file.
pub(super) fn toml(read: &Read, from: &Path) -> String {
    let draft = &read.draft;
    let mut file = Writer {
        text: format!("# Made by `carme convert` from {}.\n", from.display()),
        base: draft.base.clone(),
    };
    for note in &read.notes {
        file.comment(note);
    }
    for warning in &read.warnings {
        file.comment(&format!("{}: {}", warning.place, warning.what));
    }
    if draft.access_logs.as_ref().is_some_and(Vec::is_empty) {
        file.line("\naccess_logs = []");
    }
    file.server(&draft.server);
    if let Some(tls) = &draft.tls {
        file.tls(tls);
    }
    for app in &draft.apps {
        file.app(app);
    }
    for balancer in &draft.balancers {
        file.balancer(balancer);
    }
    for location in draft.locations.iter().flatten() {
        file.location(location);
    }
    for (log, requests) in draft.access_logs.iter().flatten().zip(&read.logs) {
        file.access_log(log, requests);
    }
    file.text
}

struct Writer {
    text: String,
    base: std::path::PathBuf,
}

/// A string as TOML has it; with backslashes in it in single quotes, if that can be.
fn quoted(text: &str) -> String {
    if text.contains('\\') && !text.contains(|c: char| c == '\'' || c.is_control()) {
        return format!("'{text}'");
    }
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                quoted.push('\\');
                quoted.push(c);
            }
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

fn list(items: impl IntoIterator<Item = String>) -> String {
    format!("[{}]", items.into_iter().collect::<Vec<_>>().join(", "))
}

fn table(items: impl IntoIterator<Item = String>) -> String {
    match items.into_iter().collect::<Vec<_>>() {
        items if items.is_empty() => "{}".to_owned(),
        items => format!("{{ {} }}", items.join(", ")),
    }
}

fn pairs<'a>(pairs: impl IntoIterator<Item = (&'a String, &'a String)>) -> String {
    table(
        pairs
            .into_iter()
            .map(|(key, value)| format!("{} = {}", quoted(key), quoted(value))),
    )
}

fn time(time: Duration) -> String {
    quoted(&DisplayDuration(time).to_string())
}

fn size(size: impl Display) -> String {
    quoted(&size.to_string())
}

/// Statuses as numbers, classes as `"4xx"`.
fn status((first, last): (u16, u16)) -> String {
    match first == last {
        true => first.to_string(),
        false if first % 100 == 0 && last == first + 99 => format!("\"{}xx\"", first / 100),
        false => format!("\"{first}-{last}\""),
    }
}

impl Writer {
    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn comment(&mut self, text: &str) {
        for line in text.lines() {
            self.line(&format!("# {line}"));
        }
    }

    /// A section, with the place that it comes from.
    fn section(&mut self, title: &str, place: Option<&Place>) {
        self.line("");
        if let Some(place @ Place::File { .. }) = place {
            self.comment(&place.to_string());
        }
        self.line(title);
    }

    fn key(&mut self, key: &str, value: impl Display) {
        let _ = writeln!(self.text, "{key} = {value}");
    }

    /// A key where its value is not what it is anyway.
    fn unless<T: PartialEq>(&mut self, key: &str, value: &T, usual: &T, show: impl FnOnce(&T) -> String) {
        if value != usual {
            self.key(key, show(value));
        }
    }

    fn some<T>(&mut self, key: &str, value: Option<T>, show: impl FnOnce(T) -> String) {
        if let Some(value) = value {
            self.key(key, show(value));
        }
    }

    /// A path that means the same wherever the file is.
    fn path(&self, text: &str) -> String {
        quoted(&paths::absolute(&self.base, text).display().to_string())
    }

    fn server(&mut self, server: &Server) {
        let usual = Server::default();
        self.section("[server]", None);
        let address = |bind: &Bind| match bind {
            Bind::Unix(path) => format!("unix:{}", path.display()),
            bind => bind.to_string().trim_start_matches("http://").to_owned(),
        };
        self.key(
            "listen",
            list(server.listen.iter().map(|bind| quoted(&address(bind)))),
        );
        let (times, usual_times) = (&server.timeouts, &usual.timeouts);
        for (key, value, usual) in [
            ("graceful_timeout", times.graceful, usual_times.graceful),
            ("keep_alive_timeout", times.keep_alive, usual_times.keep_alive),
            ("header_timeout", times.header, usual_times.header),
            ("body_timeout", times.body, usual_times.body),
            ("send_timeout", times.send, usual_times.send),
        ] {
            self.unless(key, &value, &usual, |value| time(*value));
        }
        let (limits, usual_limits) = (&server.limits, &usual.limits);
        for (key, value, usual) in [
            ("max_body", limits.body, usual_limits.body),
            ("max_header", limits.header, usual_limits.header),
            ("max_uri", limits.uri, usual_limits.uri),
        ] {
            self.unless(key, &value, &usual, |value: &ByteSize| size(value));
        }
        self.unless(
            "min_body_rate",
            &limits.body_rate,
            &usual_limits.body_rate,
            |rate| size(rate),
        );
        self.unless(
            "max_headers",
            &limits.headers,
            &usual_limits.headers,
            ToString::to_string,
        );
        self.unless(
            "backlog",
            &limits.backlog,
            &usual_limits.backlog,
            ToString::to_string,
        );
        let proxies = &server.proxies;
        let name = |proxy: &TrustedProxy| match proxy {
            TrustedProxy::Network(network) => quoted(&network.to_string()),
            TrustedProxy::Unix => quoted("unix"),
        };
        if !proxies.trusted.is_empty() {
            self.key("trusted_proxies", list(proxies.trusted.iter().map(name)));
        }
        self.unless("forwarded", &proxies.header, &ClientHeader::default(), |header| {
            quoted(match header {
                ClientHeader::XForwardedFor => "x-forwarded-for",
                ClientHeader::Forwarded => "forwarded",
                ClientHeader::XRealIp => "x-real-ip",
            })
        });
        self.unless(
            "forwarded_fields",
            &proxies.fields,
            &ForwardedFields::default(),
            |fields| {
                let all = [
                    (fields.proto, "proto"),
                    (fields.host, "host"),
                    (fields.port, "port"),
                ];
                list(
                    all.into_iter()
                        .filter(|(on, _)| *on)
                        .map(|(_, name)| quoted(name)),
                )
            },
        );
        self.unless("proxy_protocol", &proxies.protocol, &false, ToString::to_string);
        self.unless("error_log", &server.error_log, &LogOutput::Standard, |output| {
            quoted(&output.to_string())
        });
        self.some("error_log_rotate", server.error_log_rotation.as_ref(), rotation);
        self.rules(&server.policy.request_headers, &server.policy.response_headers);
    }

    fn rules(&mut self, request: &[HeaderRule], response: &[HeaderRule]) {
        for (key, rules) in [("request_headers", request), ("response_headers", response)] {
            if rules.is_empty() {
                continue;
            }
            self.line(&format!("{key} = ["));
            for rule in rules {
                let mut parts = match &rule.change {
                    HeaderChange::Set(name, value) => {
                        vec![
                            format!("set = {}", quoted(name)),
                            format!("value = {}", quoted(value)),
                        ]
                    }
                    HeaderChange::Add(name, value) => {
                        vec![
                            format!("add = {}", quoted(name)),
                            format!("value = {}", quoted(value)),
                        ]
                    }
                    HeaderChange::Remove(name) => vec![format!("remove = {}", quoted(name))],
                };
                if rule.if_absent {
                    parts.push("if_absent = true".to_owned());
                }
                if !rule.statuses.is_empty() {
                    parts.push(format!(
                        "status = {}",
                        list(rule.statuses.iter().map(|range| status(*range)))
                    ));
                }
                parts.extend(
                    rule.env
                        .as_ref()
                        .map(|test| format!("env = {}", quoted(&test.to_string()))),
                );
                self.line(&format!("    {},", table(parts)));
            }
            self.line("]");
        }
    }

    fn tls(&mut self, tls: &TlsDraft) {
        self.section("[tls]", None);
        for (index, certificate) in tls.certificates.iter().enumerate() {
            // More of them come after the keys of the section.
            if index == 0 {
                self.certificate(certificate);
                self.some("min_version", tls.min_version, |version| {
                    quoted(match version {
                        crate::MinVersion::Tls12 => "1.2",
                        crate::MinVersion::Tls13 => "1.3",
                    })
                });
                let ca = tls.client_ca.as_ref().map(|ca| self.path(&ca.value));
                self.some("client_ca", ca, |ca| ca);
                self.some("client_auth", tls.client_auth.as_ref(), |auth| {
                    quoted(match auth.value {
                        ClientAuthDraft::None => "none",
                        ClientAuthDraft::Optional => "optional",
                        ClientAuthDraft::Required => "required",
                    })
                });
                if tls.redirect.as_ref().is_some_and(|redirect| redirect.value) {
                    self.key("redirect_to_https", true);
                }
            } else {
                self.section("[[tls.certificates]]", None);
                self.certificate(certificate);
            }
        }
    }

    fn certificate(&mut self, certificate: &CertificateDraft) {
        // Apache's files have no other form.
        if let CertificateDraft::Pem { certificate, key } = certificate {
            let certificate = self.path(&certificate.value);
            self.key("certificate", certificate);
            let key = key.as_ref().map(|key| self.path(&key.value));
            self.some("key", key, |key| key);
        }
    }

    fn app(&mut self, app: &AppDraft) {
        self.section(&format!("[apps.{}]", app.name.value), Some(&app.name.place));
        if let Some(target) = &app.target {
            // The attribute stands behind the last colon.
            let (file, attribute) = target
                .value
                .rsplit_once(':')
                .unwrap_or((&target.value, "application"));
            let path = paths::absolute(&self.base, file).display().to_string();
            self.key("target", quoted(&format!("{path}:{attribute}")));
        }
        let directory = app.directory.as_ref().map(|at| self.path(&at.value));
        self.some("directory", directory, |path| path);
        let python = app.python.as_ref().map(|at| self.path(&at.value));
        self.some("python", python, |path| path);
        self.some("interface", app.interface, |_| quoted("wsgi"));
        self.some("workers", app.workers, |workers| workers.min.to_string());
        self.some("threads", app.threads, |threads| threads.to_string());
        self.some("switch_interval", app.switch_interval, time);
        self.some("startup_timeout", app.startup_timeout, time);
        self.some("drain_timeout", app.drain_timeout, time);
        self.some("request_timeout", app.request_timeout.flatten(), time);
        self.some("interrupt_grace", app.interrupt_grace, time);
        self.some("route", app.route.as_ref(), |route| {
            quoted(&route.value.to_string())
        });
        let recycle = &app.recycle;
        let parts = [
            recycle.requests.map(|number| format!("requests = {number}")),
            recycle.age.map(|age| format!("age = {}", time(age))),
            recycle.memory.map(|memory| format!("memory = {}", size(memory))),
            recycle.idle.map(|idle| format!("idle = {}", time(idle))),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        if !parts.is_empty() {
            self.key("recycle", table(parts));
        }
        let queue = [
            app.queue_limit.map(|limit| format!("limit = {limit}")),
            app.queue_timeout
                .map(|timeout| format!("timeout = {}", time(timeout))),
        ];
        let queue: Vec<String> = queue.into_iter().flatten().collect();
        if !queue.is_empty() {
            self.key("queue", table(queue));
        }
        if !app.env.is_empty() {
            self.key("env", pairs(&app.env));
        }
    }

    fn balancer(&mut self, draft: &BalancerDraft) {
        let balancer = &draft.balancer;
        let usual = Balancer::named(String::new());
        self.section(&format!("[balancers.{}]", balancer.name), Some(&draft.name.place));
        self.key("method", quoted(balancer.method.as_str()));
        if let Method::Hash(key) = &balancer.method {
            self.unless("hash", key, &HashKey::Address, |key| {
                quoted(&match key {
                    HashKey::Address => "address".to_owned(),
                    HashKey::Header(name) => format!("header:{name}"),
                    HashKey::Cookie(name) => format!("cookie:{name}"),
                })
            });
        }
        if let Some(sticky) = &balancer.sticky {
            let name = match sticky.cookie == sticky.parameter {
                true => sticky.cookie.clone(),
                false => format!("{}|{}", sticky.cookie, sticky.parameter),
            };
            self.key("stickysession", quoted(&name));
            self.unless("stickysessionsep", &sticky.separator, &Some('.'), |separator| {
                quoted(&separator.map_or("off".to_owned(), String::from))
            });
            self.unless("scolonpathdelim", &sticky.semicolon, &false, ToString::to_string);
        }
        self.unless("nofailover", &balancer.no_failover, &false, ToString::to_string);
        self.some("maxattempts", balancer.max_attempts, |number| number.to_string());
        self.unless("timeout", &balancer.timeout, &usual.timeout, |timeout| {
            time(*timeout)
        });
        if !balancer.fail_on_status.is_empty() {
            self.key(
                "failonstatus",
                list(balancer.fail_on_status.iter().map(ToString::to_string)),
            );
        }
        self.unless(
            "failontimeout",
            &balancer.fail_on_timeout,
            &false,
            ToString::to_string,
        );
        self.unless(
            "forcerecovery",
            &balancer.force_recovery,
            &true,
            ToString::to_string,
        );
        self.some("growth", balancer.growth, |number| number.to_string());
        self.unless("tls_verify", &balancer.tls.verify, &true, ToString::to_string);
        let ca = draft.ca.as_ref().map(|ca| self.path(&ca.value));
        self.some("tls_ca", ca, |ca| ca);
        for (member, place) in balancer.members.iter().zip(&draft.places) {
            self.section(
                &format!("[[balancers.{}.members]]", balancer.name),
                Some(&place.place),
            );
            self.member(member);
        }
    }

    fn member(&mut self, member: &Member) {
        let usual = Member::at(member.url.clone());
        self.key("url", quoted(&member.url.to_string()));
        self.some("route", member.route.as_deref(), quoted);
        self.some("redirect", member.redirect.as_deref(), quoted);
        self.unless(
            "loadfactor",
            &member.load_factor,
            &usual.load_factor,
            ToString::to_string,
        );
        self.unless("lbset", &member.lbset, &0, ToString::to_string);
        self.unless("status", &member.status, &usual.status, |flags| {
            quoted(&flags.iter().map(|flag| flag.letter()).collect::<String>())
        });
        let pool = &member.pool;
        self.unless("min", &pool.min, &0, ToString::to_string);
        self.some("max", pool.max, |number| number.to_string());
        self.some("smax", pool.smax, |number| number.to_string());
        self.some("ttl", pool.ttl, time);
        self.some("acquire", pool.acquire, time);
        self.unless("enablereuse", &pool.reuse, &true, ToString::to_string);
        self.unless("keepalive", &pool.keep_alive, &false, ToString::to_string);
        self.unless("retry", &member.retry, &usual.retry, |retry| time(*retry));
        self.unless("timeout", &member.timeout, &usual.timeout, |timeout| {
            time(*timeout)
        });
        self.unless(
            "connectiontimeout",
            &member.connect_timeout,
            &member.timeout,
            |timeout| time(*timeout),
        );
        self.some("ping", member.ping, time);
        match member.flush {
            Flush::Off => {}
            Flush::On => self.key("flushpackets", quoted("on")),
            Flush::Auto(wait) => {
                self.key("flushpackets", quoted("auto"));
                self.key("flushwait", time(wait));
            }
        }
        self.unless("upgrade", &member.upgrade, &Upgrade::Any, |upgrade| {
            quoted(match upgrade {
                Upgrade::Any => "any",
                Upgrade::Never => "none",
                Upgrade::Only(name) => name,
            })
        });
        self.some("iobuffersize", member.io_buffer, size);
        self.some("receivebuffersize", member.receive_buffer, size);
        self.unless(
            "responsefieldsize",
            &member.response_field,
            &usual.response_field,
            |field| size(*field),
        );
        self.some("addressttl", member.address_ttl, time);
        if let Some(check) = &member.health {
            self.health(check);
        }
    }

    fn health(&mut self, check: &HealthCheck) {
        let usual = HealthCheck::by(check.method);
        self.key("hcmethod", quoted(check.method.as_str()));
        self.unless("hcinterval", &check.interval, &usual.interval, |interval| {
            time(*interval)
        });
        self.unless("hcpasses", &check.passes, &usual.passes, ToString::to_string);
        self.unless("hcfails", &check.fails, &usual.fails, ToString::to_string);
        self.unless("hcuri", &check.uri, &usual.uri, |uri| quoted(uri));
        let expect = &check.expect;
        let parts = [
            (!expect.statuses.is_empty()).then(|| {
                format!(
                    "status = {}",
                    list(expect.statuses.iter().flat_map(|range| statuses(*range)))
                )
            }),
            expect
                .contains
                .as_ref()
                .map(|text| format!("contains = {}", quoted(text))),
            expect
                .lacks
                .as_ref()
                .map(|text| format!("lacks = {}", quoted(text))),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        if !parts.is_empty() {
            self.key("hcexpect", table(parts));
        }
    }

    fn location(&mut self, location: &LocationDraft) {
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

    fn access_log(&mut self, log: &AccessLog, requests: &LogRequests) {
        self.section("[[access_logs]]", None);
        self.key("file", quoted(&log.output.to_string()));
        self.key("format", quoted(&log.format));
        for (key, requests) in [("only", &requests.only), ("except", &requests.except)] {
            if !requests.is_empty() {
                self.key(key, list(requests.iter().map(conditions)));
            }
        }
        self.some("rotate", log.rotation.as_ref(), rotation);
    }
}

/// Ranges that are no class, one by one.
fn statuses((first, last): (u16, u16)) -> Vec<String> {
    let mut parts = Vec::new();
    let mut at = first;
    while at <= last {
        if at % 100 == 0 && at + 99 <= last {
            parts.push(status((at, at + 99)));
            at += 100;
        } else {
            parts.push(at.to_string());
            at += 1;
        }
    }
    parts
}

fn conditions(requests: &Requests) -> String {
    let parts = [
        (!requests.paths.is_empty()).then(|| {
            format!(
                "path = {}",
                list(requests.paths.iter().map(|path| quoted(&path.to_string())))
            )
        }),
        (!requests.statuses.is_empty()).then(|| {
            format!(
                "status = {}",
                list(requests.statuses.iter().map(|range| status(*range)))
            )
        }),
        (!requests.env.is_empty())
            .then(|| format!("env = {}", list(requests.env.iter().map(|name| quoted(name))))),
    ];
    table(parts.into_iter().flatten())
}

fn rotation(rotation: &carme_log::Rotation) -> String {
    let parts = [
        rotation
            .size
            .map(|bytes| format!("size = {}", size(ByteSize::bytes(bytes.get())))),
        rotation.every.map(|every| format!("every = {}", time(every))),
        rotation.keep.map(|keep| format!("keep = {keep}")),
    ];
    table(parts.into_iter().flatten())
}
