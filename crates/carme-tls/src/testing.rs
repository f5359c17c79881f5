//! Certificates made for a test.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519};

use crate::settings::CertificateFiles;

#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Ecdsa,
    Ed25519,
}

/// A temporary folder of certificates and keys.
pub(crate) struct Folder {
    folder: tempfile::TempDir,
    count: AtomicUsize,
}

impl Folder {
    pub(crate) fn new() -> Self {
        Folder {
            folder: tempfile::tempdir().expect("a folder"),
            count: AtomicUsize::new(0),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        std::fs::write(&path, text).expect("written");
        path
    }

    /// A self-signed certificate for these names.
    pub(crate) fn issue(&self, kind: Kind, names: &[&str]) -> CertificateFiles {
        self.issue_with(kind, names, |_| {})
    }

    pub(crate) fn issue_with(
        &self,
        kind: Kind,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> CertificateFiles {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let algorithm = match kind {
            Kind::Ecdsa => &PKCS_ECDSA_P256_SHA256,
            Kind::Ed25519 => &PKCS_ED25519,
        };
        let key = KeyPair::generate_for(algorithm).expect("a key");
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names");
        change(&mut params);
        let certificate = params.self_signed(&key).expect("a certificate");
        CertificateFiles {
            certificate: self.write(&format!("{number}.pem"), certificate.pem()),
            key: self.write(&format!("{number}.key"), key.serialize_pem()),
        }
    }
}
