//! `[tls]` as it stands in the file.

use toml::de::DeValue;

use super::schema;
use super::section::{Section, describe};
use crate::draft::At;
use crate::problem::{Mistake, Problems};
use crate::tls::{self, CertificateDraft, PasswordDraft, TlsDraft};

pub(super) fn tls(top: &Section<'_>, problems: &mut Problems) -> Option<TlsDraft> {
    let section = top.section("tls", schema::TLS.section, &schema::TLS, problems)?;
    let whole = top.read("tls", problems, |_| Ok(()))?;
    let mut draft = TlsDraft::new(whole);
    draft.whole.subject = schema::TLS.section.to_owned();
    if has_one(&section) {
        draft.certificates.extend(certificate(&section, problems));
    } else {
        let mistake = Mistake::new("has no `certificate`")
            .cure("write certificate = \"site.pem\" and key = \"site.key\", or pfx = \"site.pfx\"");
        problems.push(draft.whole.problem(mistake));
    }
    for more in section
        .sections("certificates", &schema::CERTIFICATE, problems)
        .unwrap_or_default()
    {
        if !has_one(&more.value) {
            let mistake = Mistake::new("has no `certificate`")
                .cure("write certificate = \"other.pem\", or pfx = \"other.pfx\"");
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

fn has_one(section: &Section<'_>) -> bool {
    section.has("certificate") || section.has("pfx")
}

fn certificate(section: &Section<'_>, problems: &mut Problems) -> Option<CertificateDraft> {
    let key = section.string("key", problems);
    let certificate = section.string("certificate", problems);
    let pfx = section.string("pfx", problems);
    let password = password(section, problems);
    match (certificate, pfx) {
        (Some(certificate), None) => {
            if let Some(password) = password {
                let mistake = Mistake::new("is for a PFX file, and there is none")
                    .cure("name it by `pfx`, in the place of `certificate`");
                problems.push(password.problem(mistake));
            }
            Some(CertificateDraft::Pem { certificate, key })
        }
        (None, Some(pfx)) => {
            if let Some(key) = key {
                let mistake =
                    Mistake::new("is given beside `pfx`").cure("leave it out: a PFX file has its key inside");
                problems.push(key.problem(mistake));
            }
            Some(CertificateDraft::Pfx { pfx, password })
        }
        (Some(_), Some(pfx)) => {
            let mistake = Mistake::new("is given beside `certificate`")
                .cure("keep one of them; a second certificate has its own [[tls.certificates]]");
            problems.push(pfx.problem(mistake));
            None
        }
        (None, None) => None,
    }
}

fn password(section: &Section<'_>, problems: &mut Problems) -> Option<At<PasswordDraft>> {
    let written = section.text("pfx_password", problems, |text| {
        Ok(PasswordDraft::Written(text.to_owned()))
    });
    let file = section.text("pfx_password_file", problems, |text| {
        Ok(PasswordDraft::File(text.to_owned()))
    });
    if let (Some(written), Some(_)) = (&written, &file) {
        let mistake = Mistake::new("is given beside `pfx_password_file`").cure("keep the file");
        problems.push(written.problem(mistake));
    }
    file.or(written)
}
