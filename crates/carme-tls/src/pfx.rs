//! PFX files (PKCS#12): a certificate, its chain and its key behind a password.

use p12_keystore::error::Error;
use p12_keystore::{CertificateBag, Pkcs12Archive, PrivateKeyBag};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::certificate::{NO_SUCH_KEYS, USE_THESE_KEYS, provider};
use crate::error::{LoadError, Role};
use crate::pem::read_bytes;
use crate::settings::{PfxFile, PfxPassword};

const EXPORT_WITH_KEY: &str =
    "export it again with its private key: in Windows \"Yes, export the private key\"";

/// Opens the file. Of several keys the first counts whose certificate is there.
pub(crate) fn load(file: &PfxFile) -> Result<CertifiedKey, LoadError> {
    let error = |role, what: &str, cure: Option<&str>| LoadError {
        file: file.pfx.clone(),
        role,
        what: what.to_owned(),
        cure: cure.map(str::to_owned),
    };
    let wrong = |what: &str, cure: &str| Err(error(Role::Pfx, what, Some(cure)));
    let bytes = read_bytes(&file.pfx, Role::Pfx)?;
    match bytes.first() {
        None => return Err(error(Role::Pfx, "is empty", None)),
        // DER begins with a SEQUENCE.
        Some(0x30) => {}
        Some(_) if bytes.starts_with(b"-----BEGIN ") || bytes.starts_with(b"Bag Attributes") => {
            return wrong(
                "is PEM, not PFX",
                "name it by `certificate`, and its key by `key`",
            );
        }
        Some(_) => return Err(error(Role::Pfx, "is not PFX (PKCS#12)", None)),
    }
    let archive =
        Pkcs12Archive::from_pkcs12(&bytes, &file.password.read()?).map_err(|failed| match failed {
            // Without a MAC what was decrypted wrongly has the wrong padding.
            Error::MacError(_) | Error::UnpadError => error(
                Role::PfxPassword,
                "is not opened by the password",
                Some("give the one that it was exported with"),
            ),
            Error::UnsupportedEncryptionScheme | Error::UnsupportedMacAlgorithm | Error::Pkcs5Error(_) => {
                error(
                    Role::Pfx,
                    "is encrypted in a way that is not supported",
                    Some("export it with AES256-SHA256 or TripleDES-SHA1"),
                )
            }
            Error::UnsupportedContentType => error(
                Role::Pfx,
                "is not protected by a password",
                Some("export it with a password, not for users or groups"),
            ),
            other => error(Role::Pfx, &format!("is damaged: {other}"), None),
        })?;
    if archive.keys.is_empty() {
        return wrong("has no private key", EXPORT_WITH_KEY);
    }
    if archive.certs.is_empty() {
        return wrong(
            "has a key and no certificate",
            "export the certificate with its key",
        );
    }
    let mut certified = None;
    for bag in &archive.keys {
        certified =
            pair(bag, &archive.certs).map_err(|_| error(Role::Pfx, NO_SUCH_KEYS, Some(USE_THESE_KEYS)))?;
        if certified.is_some() {
            break;
        }
    }
    match certified {
        Some(certified) => Ok(certified),
        None => wrong(
            "has a key that belongs to none of its certificates",
            EXPORT_WITH_KEY,
        ),
    }
}

impl PfxPassword {
    fn read(&self) -> Result<String, LoadError> {
        let file = match self {
            PfxPassword::Written(password) => return Ok(password.clone()),
            PfxPassword::File(file) => file,
        };
        let text = String::from_utf8(read_bytes(file, Role::PfxPasswordFile)?).map_err(|_| LoadError {
            file: file.clone(),
            role: Role::PfxPasswordFile,
            what: "is not UTF-8".to_owned(),
            cure: Some("save it as UTF-8: Windows PowerShell writes UTF-16 by default".to_owned()),
        })?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        Ok(text.lines().next().unwrap_or_default().to_owned())
    }
}

/// The key with its certificate and what signed that, if it is there. The order in the file means nothing: Windows puts
/// the root first, OpenSSL the site's own.
fn pair(key: &PrivateKeyBag, bags: &[CertificateBag]) -> Result<Option<CertifiedKey>, rustls::Error> {
    let der = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.key.as_der().to_vec()));
    let key = provider().key_provider.load_private_key(der)?;
    let certificates: Vec<CertificateDer<'static>> = bags
        .iter()
        .map(|bag| CertificateDer::from(bag.cert.as_der().to_vec()))
        .collect();
    let certified = certificates.iter().find_map(|certificate| {
        let certified = CertifiedKey::new(vec![certificate.clone()], key.clone());
        certified.keys_match().is_ok().then_some(certified)
    });
    Ok(certified.map(|mut certified| {
        complete(&mut certified.cert, &certificates);
        certified
    }))
}

/// Adds the issuers, up to a root, which clients have.
fn complete(chain: &mut Vec<CertificateDer<'static>>, certificates: &[CertificateDer<'static>]) {
    let names = |der: &[u8]| {
        let (_, parsed) = X509Certificate::from_der(der).ok()?;
        Some((
            parsed.subject().as_raw().to_vec(),
            parsed.issuer().as_raw().to_vec(),
        ))
    };
    let mut issuer = chain
        .last()
        .and_then(|last| names(last))
        .map(|(_, issuer)| issuer);
    while let Some(wanted) = issuer.take() {
        for certificate in certificates.iter().filter(|other| !chain.contains(other)) {
            if let Some((subject, next)) = names(certificate)
                && subject == wanted
                && subject != next
            {
                chain.push(certificate.clone());
                issuer = Some(next);
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::settings::CertificateSource;
    use crate::testing::Folder;
    use crate::{Certificate, Refreshed, Settings, Tls};

    /// Made by `testing/make.sh`: the site's certificate, an intermediate one, a root and the key.
    fn fixture(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("src/testing")
            .join(name)
    }

    /// The key of one file beside the certificate of another, which OpenSSL would not write.
    fn mixed() -> Vec<u8> {
        let archive = |name| {
            let bytes = std::fs::read(fixture(name)).expect("read");
            Pkcs12Archive::from_pkcs12(&bytes, "sésame").expect("opened")
        };
        let key = archive("ec.pfx").keys.remove(0).key;
        let certificate = archive("aes.pfx").certs.remove(0).cert;
        let mut store = p12_keystore::KeyStore::new();
        let chain = p12_keystore::PrivateKeyChain::new("1", key, [certificate]);
        store.add_entry("site", p12_keystore::KeyStoreEntry::PrivateKeyChain(chain));
        store.writer("sésame").write().expect("written")
    }

    fn open(pfx: PathBuf, password: &str) -> Result<Certificate, LoadError> {
        Certificate::load(&CertificateSource::Pfx(PfxFile {
            pfx,
            password: PfxPassword::Written(password.to_owned()),
        }))
    }

    /// AES with SHA-256, as Windows since 2019 and OpenSSL 3 write it; 3DES and RC2 with SHA-1, as everything before does.
    #[test]
    fn old_and_new_ones_are_opened() {
        for (name, password, chain) in [
            ("aes.pfx", "sésame", 2),
            ("3des.pfx", "sésame", 2),
            ("rc2.pfx", "sésame", 2),
            ("ec.pfx", "sésame", 1),
            ("open.pfx", "", 2),
            ("backwards.pfx", "sésame", 2),
            ("no-mac.pfx", "sésame", 2),
        ] {
            let certificate = open(fixture(name), password).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(certificate.names, ["site.test"], "{name}");
            assert_eq!(
                certificate.certified.cert.len(),
                chain,
                "{name}: the root stays at home"
            );
            assert_eq!(certificate.certified.keys_match(), Ok(()), "{name}");
        }
    }

    #[test]
    fn what_cannot_be_opened_is_said_with_a_cure() {
        let folder = Folder::new();
        let aes = std::fs::read(fixture("aes.pfx")).expect("read");
        let torn = folder.write("torn.pfx", &aes[..aes.len() / 2]);
        let pem = folder.write("site.pem", "-----BEGIN CERTIFICATE-----\n");
        let text = folder.write("text.pfx", "hello");
        let empty = folder.write("empty.pfx", "");
        let other_key = folder.write("other-key.pfx", mixed());
        for (file, password, role, what, has_cure) in [
            (
                fixture("aes.pfx"),
                "",
                Role::PfxPassword,
                "is not opened by the password",
                true,
            ),
            (
                fixture("3des.pfx"),
                "x",
                Role::PfxPassword,
                "is not opened by the password",
                true,
            ),
            (
                fixture("no-key.pfx"),
                "sésame",
                Role::Pfx,
                "has no private key",
                true,
            ),
            (
                fixture("no-certificate.pfx"),
                "sésame",
                Role::Pfx,
                "has a key and no certificate",
                true,
            ),
            (
                other_key,
                "sésame",
                Role::Pfx,
                "has a key that belongs to none",
                true,
            ),
            (
                folder.path().join("missing.pfx"),
                "",
                Role::Pfx,
                "does not exist",
                false,
            ),
            (torn, "sésame", Role::Pfx, "is damaged: ", false),
            (pem, "", Role::Pfx, "is PEM, not PFX", true),
            (text, "", Role::Pfx, "is not PFX (PKCS#12)", false),
            (empty, "", Role::Pfx, "is empty", false),
        ] {
            let shown = file.display().to_string();
            let error = open(file, password).expect_err(what);
            assert!(error.what.starts_with(what), "{error} instead of {what}");
            assert_eq!(
                (error.role, error.cure.is_some()),
                (role, has_cure),
                "{shown}: {error}"
            );
            assert!(!error.to_string().contains("sésame"));
        }
    }

    #[test]
    fn the_password_may_stand_in_a_file() {
        let folder = Folder::new();
        let with = |text: &[u8]| {
            let source = CertificateSource::Pfx(PfxFile {
                pfx: fixture("aes.pfx"),
                password: PfxPassword::File(folder.write("password", text)),
            });
            Certificate::load(&source).map(|certificate| certificate.names)
        };
        for text in ["sésame", "sésame\n", "sésame\r\n", "\u{feff}sésame\r\nmore\r\n"] {
            assert_eq!(
                with(text.as_bytes()),
                Ok(vec!["site.test".to_owned()]),
                "{text:?}"
            );
        }
        assert_eq!(
            with(b" s\xc3\xa9same").expect_err("a space counts").role,
            Role::PfxPassword
        );
        let error = with(b"\xff\xfes\0").expect_err("UTF-16");
        assert_eq!(
            (error.role, error.what.as_str()),
            (Role::PfxPasswordFile, "is not UTF-8")
        );
    }

    /// Renewed together with its password, as a new export has a new one.
    #[test]
    fn a_new_file_or_password_is_read_again() {
        let folder = Folder::new();
        let read = |name| std::fs::read(fixture(name)).expect("read");
        let pfx = folder.write("site.pfx", read("aes.pfx"));
        let password = folder.write("password", "sésame");
        let tls = Tls::load(Settings::new(PfxFile {
            pfx: pfx.clone(),
            password: PfxPassword::File(password.clone()),
        }))
        .expect("loaded");
        assert_eq!(tls.refresh(), Refreshed::Unchanged);
        folder.write("site.pfx", read("open.pfx"));
        assert_eq!(tls.refresh(), Refreshed::Unsettled);
        match tls.refresh() {
            Refreshed::Kept(error) => assert_eq!(error.role, Role::PfxPassword),
            other => panic!("{other:?}"),
        }
        folder.write("password", "");
        assert_eq!(tls.refresh(), Refreshed::Unsettled);
        assert_eq!(tls.refresh(), Refreshed::Reloaded);
    }

    #[test]
    fn passwords_are_not_printed() {
        let tls = Tls::load(Settings::new(PfxFile {
            pfx: fixture("aes.pfx"),
            password: PfxPassword::Written("sésame".to_owned()),
        }));
        let shown = format!("{:?}", tls.expect("loaded"));
        assert!(shown.contains("site.test") && !shown.contains("sésame"));
    }
}
