//! One certificate with its key, checked against each other.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::crypto::CryptoProvider;
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::error::{LoadError, Role};
use crate::pem::PemFile;
use crate::pfx;
use crate::settings::{CertificateFiles, CertificateSource};
use crate::time::{date, moment};

/// How long before its end a certificate is worth a warning.
pub const WARNING: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// What is said of keys that the one implementation does not know.
pub(crate) const NO_SUCH_KEYS: &str = "has a key of a kind that is not supported";
pub(crate) const USE_THESE_KEYS: &str =
    "use RSA of 2048 bits or more, ECDSA (P-256, P-384, P-521) or Ed25519";

/// A certificate that can be served, and what it says.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// Where it comes from.
    pub source: CertificateSource,
    /// The host names that it is for, in lower case; `*.` before one stands for a label.
    pub names: Vec<String>,
    /// The addresses that it is for.
    pub addresses: Vec<IpAddr>,
    /// From when it holds.
    pub not_before: SystemTime,
    /// Until when.
    pub not_after: SystemTime,
    pub(crate) certified: Arc<CertifiedKey>,
}

/// A certificate beside the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It holds, for longer than [`WARNING`].
    Valid,
    /// It holds for this long.
    EndsSoon(Duration),
    /// Clients refuse it.
    Expired,
    /// Clients refuse it still; or the clock here is wrong.
    NotYetValid,
}

impl Certificate {
    /// Reads what belongs to it and checks that it belongs together.
    ///
    /// # Errors
    /// What is wrong with one of the files.
    pub fn load(source: &CertificateSource) -> Result<Self, LoadError> {
        let (certified, role) = match source {
            CertificateSource::Pem(files) => (from_pem(files)?, Role::Certificate),
            CertificateSource::Pfx(file) => (pfx::load(file)?, Role::Pfx),
        };
        let not_x509 = |error: &dyn std::fmt::Display| LoadError {
            file: source.certificate().to_owned(),
            role,
            what: format!("has a certificate that cannot be read: {error}"),
            cure: None,
        };
        let (_, parsed) = X509Certificate::from_der(&certified.cert[0]).map_err(|error| not_x509(&error))?;
        let alternatives = parsed
            .subject_alternative_name()
            .map_err(|error| not_x509(&error))?;
        let (mut names, mut addresses) = (Vec::new(), Vec::new());
        for name in alternatives
            .iter()
            .flat_map(|extension| &extension.value.general_names)
        {
            match name {
                GeneralName::DNSName(name) => names.push(name.to_ascii_lowercase()),
                GeneralName::IPAddress(bytes) => addresses.extend(address(bytes)),
                _ => {}
            }
        }
        let (not_before, not_after) = (
            moment(parsed.validity().not_before),
            moment(parsed.validity().not_after),
        );
        Ok(Certificate {
            source: source.clone(),
            names,
            addresses,
            not_before,
            not_after,
            certified: Arc::new(certified),
        })
    }

    /// How it stands at this time.
    pub fn standing(&self, now: SystemTime) -> Standing {
        if now < self.not_before {
            return Standing::NotYetValid;
        }
        match self.not_after.duration_since(now) {
            Err(_) => Standing::Expired,
            Ok(left) if left <= WARNING => Standing::EndsSoon(left),
            Ok(_) => Standing::Valid,
        }
    }

    /// The rest of a sentence about what clients refuse, or soon will; `None` if all is well.
    pub fn complaint(&self, now: SystemTime) -> Option<String> {
        match self.standing(now) {
            Standing::Valid => None,
            Standing::EndsSoon(left) => Some(format!(
                "expires on {}, in {} days",
                date(self.not_after),
                left.as_secs() / (24 * 60 * 60)
            )),
            Standing::Expired => Some(format!("expired on {}", date(self.not_after))),
            Standing::NotYetValid => Some(format!("is not valid before {}", date(self.not_before))),
        }
    }

    /// The names and addresses for a message.
    pub fn subject(&self) -> String {
        let addresses = self.addresses.iter().map(ToString::to_string);
        let all: Vec<String> = self.names.iter().cloned().chain(addresses).collect();
        match all.is_empty() {
            true => "no name".to_owned(),
            false => all.join(", "),
        }
    }
}

/// Both files, checked against each other.
fn from_pem(files: &CertificateFiles) -> Result<CertifiedKey, LoadError> {
    let file = PemFile::read(&files.certificate, Role::Certificate)?;
    let chain = file.certificates()?;
    let key_file = PemFile::read(&files.key, Role::Key)?;
    let key = provider()
        .key_provider
        .load_private_key(key_file.key()?)
        .map_err(|_| key_file.error(NO_SUCH_KEYS, Some(USE_THESE_KEYS.to_owned())))?;
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(certified),
        Err(Error::InconsistentKeys(_)) => Err(mismatch(&certified, &file, &key_file, files)),
        Err(error) => Err(file.error(format!("has a certificate that cannot be read: {error}"), None)),
    }
}

/// Tells a wrong key from a chain in the wrong order.
fn mismatch(
    certified: &CertifiedKey,
    file: &PemFile<'_>,
    key_file: &PemFile<'_>,
    files: &CertificateFiles,
) -> LoadError {
    let is_of = |other: &&rustls::pki_types::CertificateDer<'static>| {
        CertifiedKey::new(vec![(*other).clone()], Arc::clone(&certified.key))
            .keys_match()
            .is_ok()
    };
    if certified.cert[1..].iter().any(|other| is_of(&other)) {
        return file.error(
            "has another certificate before the one that the key belongs to",
            Some("put the site's own certificate first, then the intermediate ones".to_owned()),
        );
    }
    key_file.error(
        format!(
            "is not the key of the certificate in {}",
            files.certificate.display()
        ),
        Some("name the key that the certificate was requested with".to_owned()),
    )
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}

/// The one implementation of the algorithms.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: std::sync::LazyLock<Arc<CryptoProvider>> =
        std::sync::LazyLock::new(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
    Arc::clone(&PROVIDER)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Folder, Kind};

    #[test]
    fn says_what_it_is_for_and_until_when() {
        let folder = Folder::new();
        let certificate = Certificate::load(
            &folder
                .issue_with(
                    Kind::Ecdsa,
                    &["A.test", "*.b.test", "127.0.0.1", "::1"],
                    |params| {
                        params.not_before = rcgen::date_time_ymd(2026, 1, 1);
                        params.not_after = rcgen::date_time_ymd(2026, 12, 31);
                    },
                )
                .into(),
        )
        .expect("a certificate");
        assert_eq!(certificate.subject(), "a.test, *.b.test, 127.0.0.1, ::1");
        let day = Duration::from_secs(24 * 60 * 60);
        let (begin, end) = (certificate.not_before, certificate.not_after);
        for (now, complaint) in [
            (begin - day, Some("is not valid before 2026-01-01")),
            (begin, None),
            (end - WARNING - day, None),
            (end - 3 * day, Some("expires on 2026-12-31, in 3 days")),
            (end + day, Some("expired on 2026-12-31")),
        ] {
            assert_eq!(certificate.complaint(now).as_deref(), complaint);
        }
    }

    #[test]
    fn what_cannot_be_served_is_said_with_a_cure() {
        let folder = Folder::new();
        let good = folder.issue(Kind::Ecdsa, &["a.test"]);
        let other = folder.issue(Kind::Ed25519, &["b.test"]);
        let read = |path| std::fs::read_to_string(path).expect("read");
        let swapped = read(&other.certificate) + &read(&good.certificate);
        let swapped = folder.write("swapped.pem", swapped);
        let both = folder.write("both.pem", read(&good.key) + &read(&good.certificate));
        let empty = folder.write("empty", "");
        let der = folder.write("site.pfx", [0x30, 0x82, 0, 1]);
        let text = folder.write("text", "hello");
        let locked = folder.write(
            "locked",
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
        );
        let odd = folder.write(
            "odd",
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        );
        let torn = folder.write("torn", "-----BEGIN CERTIFICATE-----\nAA");
        let junk = folder.write(
            "junk",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        );
        let missing = folder.path().join("missing");
        let load = |certificate: &std::path::Path, key: &std::path::Path| {
            Certificate::load(&CertificateSource::Pem(CertificateFiles {
                certificate: certificate.to_owned(),
                key: key.to_owned(),
            }))
        };
        assert_eq!(
            load(&both, &both).map(|loaded| loaded.names),
            Ok(vec!["a.test".to_owned()])
        );
        let (cert, key) = (good.certificate.as_path(), good.key.as_path());
        for (certificate, key, role, what, has_cure) in [
            (missing.as_path(), key, Role::Certificate, "does not exist", false),
            (
                folder.path(),
                key,
                Role::Certificate,
                "is a folder, not a file",
                false,
            ),
            (&empty, key, Role::Certificate, "is empty", false),
            (&text, key, Role::Certificate, "is not PEM: it has no line", false),
            (&der, key, Role::Certificate, "is not PEM but DER or PFX", true),
            (&torn, key, Role::Certificate, "is damaged: ", false),
            (
                &junk,
                key,
                Role::Certificate,
                "has a certificate that cannot be read",
                false,
            ),
            (key, key, Role::Certificate, "has a key and no certificate", true),
            (
                &swapped,
                key,
                Role::Certificate,
                "has another certificate before the one",
                true,
            ),
            (cert, cert, Role::Key, "has a certificate and no key", true),
            (cert, &missing, Role::Key, "does not exist", false),
            (cert, &locked, Role::Key, "has a key with a passphrase", true),
            (
                cert,
                &odd,
                Role::Key,
                "has a key of a kind that is not supported",
                true,
            ),
            (
                cert,
                &other.key,
                Role::Key,
                "is not the key of the certificate in ",
                true,
            ),
        ] {
            let error = load(certificate, key).expect_err(what);
            assert!(error.what.starts_with(what), "{error} instead of {what}");
            assert_eq!((error.role, error.cure.is_some()), (role, has_cure), "{error}");
        }
    }

    #[test]
    fn keys_are_not_printed() {
        let folder = Folder::new();
        let files = folder.issue(Kind::Ecdsa, &["a.test"]);
        let key = std::fs::read_to_string(&files.key).expect("read");
        let secret = key.lines().nth(1).expect("a line");
        let tls = crate::Tls::load(crate::Settings::new(files)).expect("loaded");
        let shown = format!("{tls:?}");
        assert!(shown.contains("a.test") && !shown.contains(secret));
        // The key as bytes in whatever notation would make this much longer.
        let bytes = data_encoding::BASE64
            .decode(
                key.lines()
                    .filter(|line| !line.starts_with('-'))
                    .collect::<String>()
                    .as_bytes(),
            )
            .expect("base64");
        let numbers: Vec<String> = bytes[40..50].iter().map(u8::to_string).collect();
        assert!(!shown.contains(&numbers.join(", ")));
    }
}
