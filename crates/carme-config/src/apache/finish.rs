//! From all that was read to a draft.

use super::Read;
use super::hosts::ClientCheck;
use super::places::{Places, not_found};
use super::reading::{Answers, Host, Reading};
use crate::bind::Bind;
use crate::draft::{AnswerDraft, AppDraft, At, Draft, LocationDraft};
use crate::location::{Answer, Policy};
use crate::monitor::Monitor;
use crate::mount::MountPath;
use crate::problem::{Mistake, Problem, Problems};
use crate::proxies::protocol_needs_proxies;
use crate::tls::{CertificateDraft, ClientAuthDraft, TlsDraft, no_certificate};

impl Reading {
    /// The draft. What is wrong beside something else is told here.
    pub(super) fn finish(mut self, problems: &mut Problems) -> Read {
        let secure = self.addresses(problems);
        let redirects = secure && self.take_redirects();
        self.error_output(problems);
        let (access_logs, requests): (Vec<_>, Vec<_>) = self.access_logs(problems).into_iter().unzip();
        self.order_variables(&access_logs);
        let mut warnings = std::mem::take(&mut self.warnings);
        for idle in self.idle_directories().into_iter().chain(self.idle_hosting()) {
            warnings.push(idle);
        }
        if let Err(mistake) = protocol_needs_proxies(&self.server.proxies) {
            problems.push(Problem {
                place: self.whole.clone(),
                what: format!("RemoteIPProxyProtocol {}", mistake.what),
                cure: Some("name the proxies: RemoteIPTrustedProxy 10.0.0.0/8".to_owned()),
            });
        }
        let mut apps = Vec::new();
        let locations = self.locations(&mut apps, &mut warnings, problems);
        let apps: Vec<AppDraft> = apps.into_iter().map(|(_, app)| app).collect();
        for group in &self.groups {
            let is_used = apps
                .iter()
                .any(|app| app.name.place == group.name.place || runs_in(&self, group.name.text.as_str()));
            if !is_used {
                warnings.push(
                    group
                        .name
                        .problem("WSGIDaemonProcess", Mistake::new("has no script that runs in it")),
                );
            }
        }
        let tls = secure.then(|| self.tls(redirects, problems));
        let balancers = self.balancers(&locations, &mut warnings, problems);
        if locations.is_empty() && problems.is_empty() {
            problems.push(Problem {
                place: self.whole.clone(),
                what: "nothing to serve is named".to_owned(),
                cure: Some("add a ProxyPass, a WSGIScriptAlias or a DocumentRoot".to_owned()),
            });
        }
        let mut server = self.server;
        server.policy = self.main.policy.clone().complete(&Policy::default());
        Read {
            draft: Draft {
                base: self.root,
                server,
                tls,
                apps,
                balancers,
                locations: Some(locations),
                all_locations_read: problems.is_empty(),
                access_logs: Some(access_logs),
                error_pages: Vec::new(),
                monitor: Monitor::default(),
                traces: None,
            },
            logs: requests,
            notes: Vec::new(),
            warnings: warnings.in_order().iter().cloned().collect(),
        }
    }

    /// Where the server listens, and whether any of it is for TLS.
    fn addresses(&mut self, problems: &mut Problems) -> bool {
        self.server.listen.clear();
        let mut any_secure = false;
        for line in std::mem::take(&mut self.listen) {
            let here = |host: &Host| host.ports.is_empty() || host.ports.contains(&line.port);
            let by_host = self
                .hosts
                .iter()
                .any(|host| host.secure.engine && host.ports.contains(&line.port));
            let is_secure =
                line.is_secure || by_host || (self.main.secure.engine && !self.hosts.iter().any(here));
            any_secure |= is_secure;
            let text = format!("{}{}", if is_secure { "https://" } else { "" }, line.address);
            match Bind::parse(&text, &self.root) {
                Ok(bind) if self.server.listen.iter().any(|other| other.collides(&bind)) => {
                    problems.push(
                        line.word
                            .problem("Listen", Mistake::new(format!("has {bind} twice"))),
                    );
                }
                Ok(bind) => self.server.listen.push(bind),
                Err(mistake) => problems.push(line.word.problem("Listen", mistake)),
            }
        }
        if self.server.listen.is_empty() && problems.is_empty() {
            problems.push(Problem {
                place: self.whole.clone(),
                what: "has no Listen".to_owned(),
                cure: Some("add Listen 80".to_owned()),
            });
        }
        any_secure
    }

    /// Hosts of plain HTTP that only send clients to TLS are a setting of Carme. All of them must be such.
    fn take_redirects(&mut self) -> bool {
        let only_redirects = |host: &Host| {
            let to_tls = |answers: &Answers| match answers {
                Answers::Fixed(Answer::Redirect { target, .. }) => target.starts_with("https://"),
                _ => false,
            };
            !host.rules.is_empty()
                && host
                    .rules
                    .iter()
                    .all(|rule| rule.path.value.script_name().is_empty() && to_tls(&rule.what))
        };
        let plain: Vec<&Host> = self.hosts.iter().filter(|host| !host.secure.engine).collect();
        if plain.is_empty() || !plain.iter().all(|host| only_redirects(host)) {
            return false;
        }
        let (secure, plain): (Vec<Host>, Vec<Host>) = std::mem::take(&mut self.hosts)
            .into_iter()
            .partition(|host| host.secure.engine);
        self.hosts = secure;
        for host in plain {
            if let Some(rule) = host.rules.first() {
                let mistake =
                    Mistake::new("is done by redirect_to_https: to the same host and path, for every host");
                self.warnings.push(rule.path.problem(mistake));
            }
        }
        true
    }

    fn locations(
        &self,
        apps: &mut Vec<(String, AppDraft)>,
        warnings: &mut Problems,
        problems: &mut Problems,
    ) -> Vec<LocationDraft> {
        let mut all: Vec<LocationDraft> = Vec::new();
        let hosts: Vec<&Host> = match self.hosts.is_empty() {
            true => vec![&self.main],
            false => self.hosts.iter().collect(),
        };
        for (number, host) in hosts.iter().enumerate() {
            let mut places = Places {
                reading: self,
                apps: &mut *apps,
                warnings: &mut *warnings,
                problems: &mut *problems,
            };
            let drafts = places.of(host);
            let mut patterns: Vec<_> = host.names.iter().map(|name| Some(name.value.clone())).collect();
            // The first one answers for names that nobody has; so does one without a name.
            if number == 0 || patterns.is_empty() {
                patterns = vec![None];
            }
            for pattern in patterns {
                for draft in &drafts {
                    let draft = LocationDraft {
                        host: pattern.clone(),
                        path: draft.path.clone(),
                        answer: draft.answer.clone(),
                        policy: draft.policy.clone(),
                    };
                    let known = all
                        .iter()
                        .find(|other| other.host == draft.host && other.path.value == draft.path.value);
                    match known {
                        None => all.push(draft),
                        Some(other) if same(other, &draft) => {}
                        Some(other) => {
                            let what = format!(
                                "is answered otherwise by another <VirtualHost>, at {}: Carme's locations hold at every \
                                 address",
                                other.path.place
                            );
                            let cure = "give both the same content, or run two servers";
                            problems.push(draft.path.problem(Mistake::new(what).cure(cure)));
                        }
                    }
                }
            }
        }
        let later = hosts.into_iter().skip(1);
        add_ends(&mut all, later);
        all
    }

    fn tls(&self, redirects: bool, problems: &mut Problems) -> TlsDraft {
        let whole = At {
            value: (),
            subject: "SSLEngine".to_owned(),
            place: self.whole.clone(),
        };
        let mut draft = TlsDraft::new(whole.clone());
        let mut hosts: Vec<&Host> = self.hosts.iter().filter(|host| host.secure.engine).collect();
        hosts.push(&self.main);
        let mut taken: Vec<&str> = Vec::new();
        for host in hosts {
            let secure = &host.secure;
            if let Some(word) = secure
                .certificate
                .as_ref()
                .filter(|word| !taken.contains(&word.text.as_str()))
            {
                taken.push(&word.text);
                draft.certificates.push(CertificateDraft::Pem {
                    certificate: word.at("SSLCertificateFile", word.text.clone()),
                    key: secure
                        .key
                        .as_ref()
                        .map(|word| word.at("SSLCertificateKeyFile", word.text.clone())),
                });
            }
            if let (None, Some(word)) = (&draft.client_ca, &secure.client_ca) {
                draft.client_ca = Some(word.at("SSLCACertificateFile", word.text.clone()));
            }
            if let (None, Some((word, check))) = (&draft.client_auth, &secure.client_check) {
                let check = match check {
                    ClientCheck::None => ClientAuthDraft::None,
                    ClientCheck::Optional => ClientAuthDraft::Optional,
                    ClientCheck::Required => ClientAuthDraft::Required,
                };
                draft.client_auth = Some(word.at("SSLVerifyClient", check));
            }
            draft.min_version = draft.min_version.or(secure.min_version);
        }
        // Authorities without a word on what for are for nothing, in Apache.
        if let (Some(ca), None) = (&draft.client_ca, &draft.client_auth) {
            draft.client_auth = Some(ca.with(ClientAuthDraft::None));
        }
        if let (true, Some(bind)) = (
            draft.certificates.is_empty(),
            self.server.listen.iter().find(|bind| bind.is_tls()),
        ) {
            problems.push(whole.problem(no_certificate(
                bind,
                "add SSLCertificateFile and SSLCertificateKeyFile",
            )));
        }
        draft.redirect = redirects.then(|| whole.with(true));
        draft
    }
}

/// What a host does not name is nobody's, and not the first host's: 404.
fn add_ends<'h>(all: &mut Vec<LocationDraft>, hosts: impl Iterator<Item = &'h Host>) {
    let root = MountPath::root();
    for host in hosts {
        for name in &host.names {
            let is_end = |location: &LocationDraft| {
                location.host.as_ref() == Some(&name.value) && location.path.value == root
            };
            if !all.iter().any(is_end) {
                all.push(LocationDraft {
                    host: Some(name.value.clone()),
                    path: name.with(root.clone()),
                    answer: not_found(),
                    policy: host.policy.clone(),
                });
            }
        }
    }
}

/// Whether any script names this group.
fn runs_in(reading: &Reading, group: &str) -> bool {
    let hosts = || std::iter::once(&reading.main).chain(&reading.hosts);
    let by_host = |host: &Host| {
        let parts = host.hosting_of_parts.iter().map(|(_, hosting)| hosting);
        std::iter::once(&host.hosting)
            .chain(parts)
            .any(|hosting| hosting.names(group))
    };
    hosts().any(by_host)
        || hosts().flat_map(|host| &host.rules).any(|rule| match &rule.what {
            Answers::Script(script) => script.group.as_ref().is_some_and(|word| word.text == group),
            _ => false,
        })
}

/// Whether two locations do the same.
fn same(a: &LocationDraft, b: &LocationDraft) -> bool {
    let answers = match (&a.answer, &b.answer) {
        (AnswerDraft::App(a), AnswerDraft::App(b)) => a.value == b.value,
        (AnswerDraft::Balancer(a, how), AnswerDraft::Balancer(b, other)) => {
            a.value == b.value && how == other
        }
        (AnswerDraft::Other(a), AnswerDraft::Other(b)) => a == b,
        _ => false,
    };
    answers
        && a.policy.variables == b.policy.variables
        && a.policy.request_headers == b.policy.request_headers
        && a.policy.response_headers == b.policy.response_headers
}
