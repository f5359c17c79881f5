//! The draft as the text of a `carme.toml` that means the same.

mod balancers;
mod locations;
mod policy;
mod writer;

use std::path::Path;

use self::writer::{Writer, list, pairs, quoted, rotation, size, status, table, time};
use super::Read;
use super::requests::{LogRequests, Requests};
use crate::bind::Bind;
use crate::config::{AccessLog, Server};
use crate::draft::{AppDraft, At};
use crate::log_output::LogOutput;
use crate::paths;
use crate::proxies::{ClientHeader, ForwardedFields, TrustedProxy};
use crate::tls::{CertificateDraft, ClientAuthDraft, TlsDraft};
use crate::units::ByteSize;

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

impl Writer {
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
        self.rules(
            &server.policy.variables,
            &server.policy.request_headers,
            &server.policy.response_headers,
        );
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
        self.some("user", app.user.as_ref(), |user| quoted(&user.value));
        self.some("group", app.group.as_ref(), |group| quoted(&group.value));
        self.some("interface", app.interface, |_| quoted("wsgi"));
        self.some("workers", app.workers, |workers| workers.min.to_string());
        self.some("threads", app.threads, |threads| threads.to_string());
        self.some("switch_interval", app.switch_interval, time);
        self.some("startup_timeout", app.startup_timeout, time);
        self.some("drain_timeout", app.drain_timeout, time);
        self.some("request_timeout", app.request_timeout.flatten(), time);
        self.some("interrupt_grace", app.interrupt_grace, time);
        if let Some(At { value: sticky, .. }) = &app.sticky {
            self.key("sticky", quoted(&sticky.to_string()));
            self.unless("sticky_separator", &sticky.separator, &Some('.'), separator_text);
        }
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

fn separator_text(separator: &Option<char>) -> String {
    quoted(&separator.map_or("off".to_owned(), String::from))
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
