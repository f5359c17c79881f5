//! What is different between two configurations, in the words of the file, and what it takes to have it.
//!
//! Every structure is taken apart by all of its fields, so that a new setting that is forgotten here does not compile.

mod apps;
mod balancers;
mod places;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::config::{AccessLog, Config, Limits, Server, Timeouts, Traces};
use crate::log_output::LogOutput;
use crate::proxies::{ClientHeader, ForwardedFields, Proxies, TrustedProxy};
use crate::tls::Tls;
use crate::units::DisplayDuration;

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Where the setting is in the file: `server.max_body`, `apps.site.threads`.
    pub key: String,
    /// What has become of it.
    pub what: What,
    /// What it takes.
    pub applies: Applies,
}

/// What has become of a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// Another value.
    Value {
        /// What it was.
        old: String,
        /// What it is.
        new: String,
    },
    /// This element of a list, or of a table, is there now.
    Added(String),
    /// This one is not any more.
    Removed(String),
    /// This one is otherwise; empty if it is the setting itself, whose value is too long, or secret.
    Changed(String),
}

/// What it takes to have a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Applies {
    /// Nothing: the next request, the next connection or the next line has it.
    Live,
    /// New workers of this app.
    NewWorkers(String),
    /// The server has to be started again.
    Restart,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Change { key, what, applies } = self;
        match what {
            What::Value { old, new } => write!(f, "{key}: {old} -> {new}")?,
            What::Added(element) => write!(f, "{key}: {element} added")?,
            What::Removed(element) => write!(f, "{key}: {element} removed")?,
            What::Changed(element) if element.is_empty() => write!(f, "{key}: changed")?,
            What::Changed(element) => write!(f, "{key}: {element} changed")?,
        }
        match applies {
            Applies::Live => Ok(()),
            Applies::NewWorkers(_) => write!(f, " (new workers)"),
            Applies::Restart => write!(f, " (needs a restart of the server)"),
        }
    }
}

impl Config {
    /// What is different in `new`; nothing if they mean the same.
    pub fn changes(&self, new: &Config) -> Vec<Change> {
        let mut found = Found(Vec::new());
        let Config {
            server,
            tls,
            apps,
            balancers,
            locations,
            access_logs,
            error_pages,
            monitor,
            traces,
        } = new;
        found.server(&self.server, server);
        found.tls(self.tls.as_ref(), tls.as_ref());
        found.apps(&self.apps, apps);
        found.balancers(&self.balancers, balancers);
        found.locations(self, new, locations);
        found.access_logs(&self.access_logs, access_logs);
        found.error_pages(&self.error_pages, error_pages);
        found.monitor(&self.monitor, monitor);
        found.traces(self.traces.as_ref(), traces.as_ref());
        found.0
    }
}

/// The differences so far.
struct Found(Vec<Change>);

fn duration(time: &Duration) -> String {
    DisplayDuration(*time).to_string()
}

/// A setting that may be absent.
fn or_none<T>(value: Option<&T>, show: impl Fn(&T) -> String) -> String {
    value.map_or_else(|| "none".to_owned(), show)
}

fn list(elements: impl Iterator<Item = String>) -> String {
    let elements: Vec<String> = elements.collect();
    format!("[{}]", elements.join(", "))
}

impl Found {
    fn push(&mut self, key: impl Into<String>, what: What, applies: &Applies) {
        self.0.push(Change {
            key: key.into(),
            what,
            applies: applies.clone(),
        });
    }

    /// A value that is shown.
    fn value<T: PartialEq>(
        &mut self,
        key: &str,
        (old, new): (&T, &T),
        show: impl Fn(&T) -> String,
        applies: &Applies,
    ) {
        if old != new {
            let (old, new) = (show(old), show(new));
            let what = if old == new {
                What::Changed(String::new())
            } else {
                What::Value { old, new }
            };
            self.push(key, what, applies);
        }
    }

    /// A value that is shown as it prints.
    fn plain<T: PartialEq + ToString>(&mut self, key: &str, both: (&T, &T), applies: &Applies) {
        self.value(key, both, T::to_string, applies);
    }

    /// A value that is not shown.
    fn hidden<T: PartialEq>(&mut self, key: &str, (old, new): (&T, &T), applies: &Applies) {
        if old != new {
            self.push(key, What::Changed(String::new()), applies);
        }
    }

    /// Elements that are the same if their names are.
    fn elements<T>(
        &mut self,
        key: &str,
        (old, new): (&[T], &[T]),
        name: impl Fn(&T) -> String,
        same: impl Fn(&T, &T) -> bool,
        applies: &Applies,
    ) {
        let find = |all: &'_ [T], wanted: &str| all.iter().position(|element| name(element) == wanted);
        for element in old {
            let name = name(element);
            if find(new, &name).is_none() {
                self.push(key, What::Removed(name), applies);
            }
        }
        for element in new {
            let name = name(element);
            match find(old, &name) {
                None => self.push(key, What::Added(name), applies),
                Some(at) if !same(&old[at], element) => self.push(key, What::Changed(name), applies),
                Some(_) => {}
            }
        }
    }

    fn server(&mut self, old: &Server, new: &Server) {
        let live = &Applies::Live;
        let Server {
            listen,
            timeouts,
            limits,
            proxies,
            error_log,
            error_log_rotation,
            control,
            state_directory,
            policy,
        } = new;
        self.listen(&old.listen, listen);
        self.timeouts(&old.timeouts, timeouts);
        self.limits(&old.limits, limits);
        self.proxies(&old.proxies, proxies);
        self.plain("server.error_log", (&old.error_log, error_log), live);
        self.value(
            "server.error_log_rotate",
            (&old.error_log_rotation, error_log_rotation),
            rotation,
            live,
        );
        self.hidden(
            "server.state_directory",
            (&old.state_directory, state_directory),
            live,
        );
        self.plain("server.control", (&old.control, control), &Applies::Restart);
        self.policy("server", (&old.policy, policy));
    }

    fn timeouts(&mut self, old: &Timeouts, new: &Timeouts) {
        let Timeouts {
            graceful,
            keep_alive,
            header,
            body,
            send,
            linger,
        } = new;
        for (key, old, new) in [
            ("server.graceful_timeout", &old.graceful, graceful),
            ("server.keep_alive_timeout", &old.keep_alive, keep_alive),
            ("server.header_timeout", &old.header, header),
            ("server.body_timeout", &old.body, body),
            ("server.send_timeout", &old.send, send),
            ("server.linger_timeout", &old.linger, linger),
        ] {
            self.value(key, (old, new), duration, &Applies::Live);
        }
    }

    fn limits(&mut self, old: &Limits, new: &Limits) {
        let live = &Applies::Live;
        let Limits {
            body,
            body_memory,
            body_rate,
            send_rate,
            header,
            headers,
            uri,
            connections,
            connections_per_address,
            response_buffer,
            backlog,
        } = new;
        self.plain("server.max_body", (&old.body, body), live);
        self.plain("server.body_memory", (&old.body_memory, body_memory), live);
        self.plain("server.min_body_rate", (&old.body_rate, body_rate), live);
        self.plain("server.min_send_rate", (&old.send_rate, send_rate), live);
        self.plain("server.max_header", (&old.header, header), live);
        self.plain("server.max_headers", (&old.headers, headers), live);
        self.plain("server.max_uri", (&old.uri, uri), live);
        self.plain("server.max_connections", (&old.connections, connections), live);
        self.value(
            "server.max_connections_per_address",
            (&old.connections_per_address, connections_per_address),
            |limit| or_none(limit.as_ref(), ToString::to_string),
            live,
        );
        self.plain(
            "server.response_buffer",
            (&old.response_buffer, response_buffer),
            live,
        );
        self.plain("server.backlog", (&old.backlog, backlog), &Applies::Restart);
    }

    fn proxies(&mut self, old: &Proxies, new: &Proxies) {
        let live = &Applies::Live;
        let Proxies {
            trusted,
            header,
            fields,
            protocol,
            protocol_at,
        } = new;
        let name = |proxy: &TrustedProxy| match proxy {
            TrustedProxy::Network(network) => network.to_string(),
            TrustedProxy::Unix => "unix".to_owned(),
        };
        self.elements(
            "server.trusted_proxies",
            (&old.trusted, trusted),
            name,
            |a, b| a == b,
            live,
        );
        let field = |header: &ClientHeader| {
            match header {
                ClientHeader::XForwardedFor => "X-Forwarded-For",
                ClientHeader::Forwarded => "Forwarded",
                ClientHeader::XRealIp => "X-Real-IP",
            }
            .to_owned()
        };
        self.value("server.forwarded", (&old.header, header), field, live);
        let believed = |fields: &ForwardedFields| {
            let ForwardedFields { proto, host, port } = *fields;
            let all = [(proto, "proto"), (host, "host"), (port, "port")];
            list(
                all.into_iter()
                    .filter(|(on, _)| *on)
                    .map(|(_, name)| name.to_owned()),
            )
        };
        self.value("server.forwarded_fields", (&old.fields, fields), believed, live);
        self.plain("server.proxy_protocol", (&old.protocol, protocol), live);
        let single = |at: &BTreeMap<usize, bool>| list(at.iter().map(|(at, on)| format!("{}: {on}", at + 1)));
        self.value(
            "server.listen.proxy_protocol",
            (&old.protocol_at, protocol_at),
            single,
            &Applies::Restart,
        );
    }

    fn tls(&mut self, old: Option<&Tls>, new: Option<&Tls>) {
        let live = &Applies::Live;
        let (old, new) = match (old, new) {
            (None, None) => return,
            (None, Some(_)) => return self.push("tls", What::Added("TLS".into()), live),
            (Some(_), None) => return self.push("tls", What::Removed("TLS".into()), live),
            (Some(old), Some(new)) => (old, new),
        };
        let Tls {
            settings,
            redirect_to,
            hsts,
        } = new;
        let crate::TlsSettings {
            certificates,
            min_version,
            clients,
        } = settings;
        let before = &old.settings;
        self.elements(
            "tls.certificates",
            (&before.certificates, certificates),
            |files| files.certificate().display().to_string(),
            |a, b| a == b,
            live,
        );
        let order = |files: &Vec<crate::CertificateSource>| {
            list(
                files
                    .iter()
                    .map(|files| files.certificate().display().to_string()),
            )
        };
        let sorted = |files: &[crate::CertificateSource]| {
            let mut names: Vec<_> = files.iter().map(|files| files.certificate().to_owned()).collect();
            names.sort();
            names
        };
        if sorted(&before.certificates) == sorted(certificates)
            && order(&before.certificates) != order(certificates)
        {
            self.value(
                "tls.certificates",
                (&before.certificates, certificates),
                order,
                live,
            );
        }
        let version = |version: &crate::MinVersion| {
            match version {
                crate::MinVersion::Tls12 => "1.2",
                crate::MinVersion::Tls13 => "1.3",
            }
            .to_owned()
        };
        self.value(
            "tls.min_version",
            (&before.min_version, min_version),
            version,
            live,
        );
        let asked = |clients: &crate::ClientAuth| match clients {
            crate::ClientAuth::None => "none".to_owned(),
            crate::ClientAuth::Optional(file) => format!("optional, by {}", file.display()),
            crate::ClientAuth::Required(file) => format!("required, by {}", file.display()),
        };
        self.value("tls.client_auth", (&before.clients, clients), asked, live);
        self.value(
            "tls.redirect_to_https",
            (&old.redirect_to, redirect_to),
            |port| or_none(port.as_ref(), ToString::to_string),
            live,
        );
        self.value(
            "tls.hsts",
            (&old.hsts, hsts),
            |age| or_none(age.as_ref(), duration),
            live,
        );
    }

    fn access_logs(&mut self, old: &[AccessLog], new: &[AccessLog]) {
        let live = &Applies::Live;
        let name = |log: &AccessLog| match &log.output {
            LogOutput::Standard => "-".to_owned(),
            LogOutput::File(path) => path.display().to_string(),
        };
        // Several logs may go to one place: then the list is compared as it is.
        let names = |logs: &[AccessLog]| {
            let mut names: Vec<String> = logs.iter().map(name).collect();
            names.sort();
            let before = names.len();
            names.dedup();
            names.len() == before
        };
        if names(old) && names(new) {
            self.elements("access_logs", (old, new), name, |a, b| a == b, live);
        } else {
            self.hidden("access_logs", (&old, &new), live);
        }
    }

    fn traces(&mut self, old: Option<&Traces>, new: Option<&Traces>) {
        let live = &Applies::Live;
        let (old, new) = match (old, new) {
            (None, None) => return,
            (None, Some(_)) => return self.push("traces", What::Added("tracing".into()), live),
            (Some(_), None) => return self.push("traces", What::Removed("tracing".into()), live),
            (Some(old), Some(new)) => (old, new),
        };
        let Traces {
            endpoint,
            service,
            sample,
        } = new;
        self.hidden("traces.endpoint", (&old.endpoint, endpoint), live);
        self.plain("traces.service", (&old.service, service), live);
        self.plain("traces.sample", (&old.sample, sample), live);
    }
}

fn rotation(rotation: &Option<carme_log::Rotation>) -> String {
    or_none(rotation.as_ref(), |rotation| {
        let carme_log::Rotation { size, every, keep } = rotation;
        let parts = [
            size.map(|size| format!("size {}", crate::ByteSize::bytes(size.get()))),
            every.map(|every| format!("every {}", duration(&every))),
            keep.map(|keep| format!("keep {keep}")),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    })
}
