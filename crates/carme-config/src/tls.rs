//! `[tls]`: what `https://` addresses are served with.

use std::time::Duration;

use carme_tls::{
    Certificate, CertificateFiles, CertificateSource, ClientAuth, LoadError, MinVersion, PfxFile,
    PfxPassword, Role, Settings, Standing,
};

use crate::bind::Bind;
use crate::draft::{At, Draft};
use crate::nearest::did_you_mean;
use crate::paths;
use crate::problem::{Mistake, Problem, Problems};
use crate::surroundings::Surroundings;

/// What `https://` addresses are served with, and how clients are brought there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// Certificates, versions, clients' certificates.
    pub settings: Settings,
    /// `redirect_to_https`: to which port requests to addresses of plain HTTP are sent.
    pub redirect_to: Option<u16>,
    /// `hsts`: for how long browsers shall use nothing but TLS.
    pub hsts: Option<Duration>,
}

/// As it was written.
#[derive(Debug)]
pub(crate) struct TlsDraft {
    /// Where it begins.
    pub(crate) whole: At<()>,
    /// The first is the one for everybody else.
    pub(crate) certificates: Vec<CertificateDraft>,
    pub(crate) min_version: Option<MinVersion>,
    pub(crate) client_ca: Option<At<String>>,
    pub(crate) client_auth: Option<At<ClientAuthDraft>>,
    pub(crate) redirect: Option<At<bool>>,
    pub(crate) hsts: Option<Duration>,
}

/// One certificate.
#[derive(Debug)]
pub(crate) enum CertificateDraft {
    Pem {
        certificate: At<String>,
        /// `None`: in the same file.
        key: Option<At<String>>,
    },
    Pfx {
        pfx: At<String>,
        /// `None`: it has none.
        password: Option<At<PasswordDraft>>,
    },
}

/// What opens a PFX file.
#[derive(Clone)]
pub(crate) enum PasswordDraft {
    Written(String),
    File(String),
}

impl std::fmt::Debug for PasswordDraft {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a password")
    }
}

/// `client_auth`, before it has its authorities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClientAuthDraft {
    None,
    Optional,
    Required,
}

pub(crate) fn client_auth(text: &str) -> Result<ClientAuthDraft, Mistake> {
    match text {
        "none" => Ok(ClientAuthDraft::None),
        "optional" => Ok(ClientAuthDraft::Optional),
        "required" => Ok(ClientAuthDraft::Required),
        _ => Err(Mistake::new(format!(
            "must be \"none\", \"optional\" or \"required\", found {text:?}"
        ))
        .maybe_cure(did_you_mean(text, ["none", "optional", "required"]))),
    }
}

pub(crate) fn min_version(text: &str) -> Result<MinVersion, Mistake> {
    match text {
        "1.2" => Ok(MinVersion::Tls12),
        "1.3" => Ok(MinVersion::Tls13),
        "1.0" | "1.1" => Err(
            Mistake::new(format!("must be \"1.2\" or \"1.3\", found {text:?}"))
                .cure("write \"1.2\": browsers have given up what is older, and so has Carme (RFC 8996)"),
        ),
        _ => Err(Mistake::new(format!(
            "must be \"1.2\" or \"1.3\", found {text:?}"
        ))),
    }
}

/// What a `https://` address without any certificate is told.
pub(crate) fn no_certificate(bind: &Bind, cure: &str) -> Mistake {
    Mistake::new(format!("has {bind}, and there is no certificate for it")).cure(cure)
}

impl TlsDraft {
    pub(crate) fn new(whole: At<()>) -> Self {
        TlsDraft {
            whole,
            certificates: Vec::new(),
            min_version: None,
            client_ca: None,
            client_auth: None,
            redirect: None,
            hsts: None,
        }
    }

    /// Reads all files and checks the parts against each other.
    pub(crate) fn complete(
        &self,
        draft: &Draft,
        surroundings: &Surroundings,
        problems: &mut Problems,
    ) -> Option<Tls> {
        let certificates: Vec<CertificateSource> = self
            .certificates
            .iter()
            .map(|certificate| certificate.check(draft, surroundings, problems))
            .collect();
        let clients = self.clients(draft, problems);
        let port = draft.server.listen.iter().find_map(|bind| match bind {
            // As with port 0, it is known from the listener only.
            Bind::Passed { tls: true, .. } => Some(0),
            bind => bind.is_tls().then(|| bind.port()).flatten(),
        });
        // Where an address could not be read it was perhaps the one.
        if port.is_none() && problems.is_empty() {
            let mistake = Mistake::new("is used by no address")
                .cure("listen for it: \"https://0.0.0.0:443\" beside \"0.0.0.0:80\", or in its place");
            problems.push(self.whole.problem(mistake));
        }
        let has_plain = draft
            .server
            .listen
            .iter()
            .any(|bind| matches!(bind, Bind::Tcp(_) | Bind::Passed { tls: false, .. }));
        let redirect = self.redirect.as_ref().filter(|redirect| redirect.value);
        if let Some(redirect) = redirect
            && !has_plain
            && problems.is_empty()
        {
            let mistake = Mistake::new("has no address of plain HTTP to redirect from")
                .cure("listen there too: \"0.0.0.0:80\"");
            problems.push(redirect.problem(mistake));
        }
        (!certificates.is_empty()).then_some(Tls {
            settings: Settings {
                certificates,
                min_version: self.min_version.unwrap_or_default(),
                clients,
            },
            redirect_to: redirect.and(port),
            hsts: self.hsts,
        })
    }

    fn clients(&self, draft: &Draft, problems: &mut Problems) -> ClientAuth {
        let wanted = self.client_auth.as_ref().map(|wanted| wanted.value);
        let Some(written) = &self.client_ca else {
            if let (Some(at), Some(ClientAuthDraft::Optional | ClientAuthDraft::Required)) =
                (&self.client_auth, wanted)
            {
                let mistake = Mistake::new("says nothing of who may have signed the clients' certificates")
                    .cure("add client_ca = \"ca.pem\" with the authorities");
                problems.push(at.problem(mistake));
            }
            return ClientAuth::None;
        };
        let path = paths::absolute(&draft.base, &written.value);
        if let Err(error) = carme_tls::certificates_of_clients(&path) {
            problems.push(written.problem(mistake(error)));
        }
        match wanted {
            Some(ClientAuthDraft::None) => ClientAuth::None,
            Some(ClientAuthDraft::Optional) => ClientAuth::Optional(path),
            // Who names authorities and no more means to have them asked.
            Some(ClientAuthDraft::Required) | None => ClientAuth::Required(path),
        }
    }
}

impl CertificateDraft {
    fn check(
        &self,
        draft: &Draft,
        surroundings: &Surroundings,
        problems: &mut Problems,
    ) -> CertificateSource {
        let absolute = |path: &str| paths::absolute(&draft.base, path);
        let source = match self {
            CertificateDraft::Pem { certificate, key } => CertificateSource::Pem(CertificateFiles {
                certificate: absolute(&certificate.value),
                key: absolute(&key.as_ref().unwrap_or(certificate).value),
            }),
            CertificateDraft::Pfx { pfx, password } => CertificateSource::Pfx(PfxFile {
                pfx: absolute(&pfx.value),
                password: match password.as_ref().map(|password| &password.value) {
                    None => PfxPassword::Written(String::new()),
                    Some(PasswordDraft::Written(password)) => PfxPassword::Written(password.clone()),
                    Some(PasswordDraft::File(file)) => PfxPassword::File(absolute(file)),
                },
            }),
        };
        match Certificate::load(&source) {
            Err(error) => problems.push(self.problem(error)),
            Ok(certificate) => {
                let refused = surroundings.now.filter(|now| {
                    matches!(
                        certificate.standing(*now),
                        Standing::Expired | Standing::NotYetValid
                    )
                });
                if let Some(complaint) = refused.and_then(|now| certificate.complaint(now)) {
                    let mistake = Mistake::new(format!(
                        "names a certificate that clients refuse: {} {complaint}",
                        source.certificate().display()
                    ));
                    problems.push(
                        self.certificate()
                            .problem(mistake.cure("renew it, or set this machine's clock")),
                    );
                }
            }
        }
        source
    }

    /// Where the certificate is named.
    fn certificate(&self) -> &At<String> {
        match self {
            CertificateDraft::Pem { certificate, .. } => certificate,
            CertificateDraft::Pfx { pfx, .. } => pfx,
        }
    }

    /// What is wrong with the files, at the place that names the one.
    fn problem(&self, error: LoadError) -> Problem {
        match (self, error.role) {
            (CertificateDraft::Pem { key: Some(key), .. }, Role::Key) => key.problem(mistake(error)),
            (
                CertificateDraft::Pfx {
                    password: Some(at), ..
                },
                Role::PfxPassword,
            ) => {
                let what = format!("does not open {}", error.file.display());
                at.problem(Mistake::new(what).maybe_cure(error.cure))
            }
            (CertificateDraft::Pfx { pfx, password: None }, Role::PfxPassword) => {
                let what = format!("names {}, which has a password", error.file.display());
                let cure =
                    "add pfx_password_file = \"site.password\", a file with it that nobody else may read";
                pfx.problem(Mistake::new(what).cure(cure))
            }
            (
                CertificateDraft::Pfx {
                    password: Some(at), ..
                },
                Role::PfxPasswordFile,
            ) => at.problem(mistake(error)),
            _ => self.certificate().problem(mistake(error)),
        }
    }
}

fn mistake(error: LoadError) -> Mistake {
    let near = match error.what.as_str() {
        "does not exist" => paths::nearest_sibling(&error.file, |entry| entry.is_file()),
        _ => None,
    };
    Mistake::new(format!("names {}, which {}", error.file.display(), error.what))
        .maybe_cure(near.or(error.cure))
}
