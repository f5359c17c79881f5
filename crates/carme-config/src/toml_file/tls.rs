//! `[tls]` as it stands in the file.

use toml::de::DeValue;

use super::schema;
use super::section::{Section, describe};
use crate::problem::{Mistake, Problems};
use crate::tls::{self, CertificateDraft, TlsDraft};

pub(super) fn tls(top: &Section<'_>, problems: &mut Problems) -> Option<TlsDraft> {
    let section = top.section("tls", schema::TLS.section, &schema::TLS, problems)?;
    let whole = top.read("tls", problems, |_| Ok(()))?;
    let mut draft = TlsDraft::new(whole);
    draft.whole.subject = schema::TLS.section.to_owned();
    if section.has("certificate") {
        draft.certificates.extend(certificate(&section, problems));
    } else {
        let mistake = Mistake::new("has no `certificate`")
            .cure("write certificate = \"site.pem\" and key = \"site.key\"");
        problems.push(draft.whole.problem(mistake));
    }
    for more in section
        .sections("certificates", &schema::CERTIFICATE, problems)
        .unwrap_or_default()
    {
        if !more.value.has("certificate") {
            let mistake = Mistake::new("has no `certificate`").cure("write certificate = \"other.pem\"");
            problems.push(more.problem(mistake));
        }
        draft.certificates.extend(certificate(&more.value, problems));
    }
    draft.min_version = section
        .text("min_version", problems, tls::min_version)
        .map(|at| at.value);
    draft.client_ca = section.string("client_ca", problems);
    draft.client_auth = section.text("client_auth", problems, tls::client_auth);
    draft.redirect = section.read("redirect_to_https", problems, |value| match value {
        DeValue::Boolean(value) => Ok(*value),
        other => Err(Mistake::new(format!(
            "must be true or false, found {}",
            describe(other)
        ))),
    });
    draft.hsts = section.duration("hsts", problems);
    Some(draft)
}

fn certificate(section: &Section<'_>, problems: &mut Problems) -> Option<CertificateDraft> {
    let key = section.string("key", problems);
    Some(CertificateDraft {
        certificate: section.string("certificate", problems)?,
        key,
    })
}
