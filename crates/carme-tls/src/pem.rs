//! PEM files, and what people put there instead.

use std::io;
use std::path::Path;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::error::{LoadError, Role};

/// The whole file.
pub(crate) fn read_bytes(path: &Path, role: Role) -> Result<Vec<u8>, LoadError> {
    let error = |what: String, cure: Option<&str>| LoadError {
        file: path.to_owned(),
        role,
        what,
        cure: cure.map(str::to_owned),
    };
    std::fs::read(path).map_err(|failed| match failed.kind() {
        io::ErrorKind::NotFound => error("does not exist".to_owned(), None),
        _ if path.is_dir() => error("is a folder, not a file".to_owned(), None),
        io::ErrorKind::PermissionDenied => error(
            "may not be read".to_owned(),
            Some("give the user that Carme runs as the right to read it"),
        ),
        _ => error(format!("cannot be read: {failed}"), None),
    })
}

/// One PEM file, read.
pub(crate) struct PemFile<'p> {
    path: &'p Path,
    role: Role,
    bytes: Vec<u8>,
}

impl<'p> PemFile<'p> {
    pub(crate) fn read(path: &'p Path, role: Role) -> Result<Self, LoadError> {
        let bytes = read_bytes(path, role)?;
        let file = PemFile { path, role, bytes };
        if file.holds("-----BEGIN ") {
            return Ok(file);
        }
        // DER begins with a SEQUENCE; so do PFX files, which are DER inside.
        Err(match file.bytes.first() {
            None => file.error("is empty", None),
            Some(0x30) => file.error(
                "is not PEM but DER or PFX",
                Some(format!(
                    "name a PFX file by pfx = \"…\" in carme.toml, or make PEM of it: openssl pkcs12 -in {0} -out site.pem -nodes, or openssl x509 -inform DER -in {0} -out site.pem",
                    path.display()
                )),
            ),
            Some(_) => file.error("is not PEM: it has no line \"-----BEGIN …\"", None),
        })
    }

    pub(crate) fn error(&self, what: impl Into<String>, cure: Option<String>) -> LoadError {
        LoadError {
            file: self.path.to_owned(),
            role: self.role,
            what: what.into(),
            cure,
        }
    }

    fn holds(&self, text: &str) -> bool {
        self.bytes
            .windows(text.len())
            .any(|window| window == text.as_bytes())
    }

    /// All certificates, in order; at least one.
    pub(crate) fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, LoadError> {
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.bytes).collect();
        match found {
            Ok(found) if !found.is_empty() => Ok(found),
            Ok(_) if self.holds("PRIVATE KEY-----") => Err(self.error(
                "has a key and no certificate",
                Some("name the file of the certificate".to_owned()),
            )),
            Ok(_) => Err(self.error("has no certificate", None)),
            Err(error) => Err(self.error(format!("is damaged: {error}"), None)),
        }
    }

    /// The first private key.
    pub(crate) fn key(&self) -> Result<PrivateKeyDer<'static>, LoadError> {
        if self.holds("BEGIN ENCRYPTED PRIVATE KEY") || self.holds("Proc-Type: 4,ENCRYPTED") {
            return Err(self.error(
                "has a key with a passphrase, which nobody could type at a start",
                Some(format!(
                    "take it off, and let nobody else read the file: openssl pkey -in {} -out site.key",
                    self.path.display()
                )),
            ));
        }
        PrivateKeyDer::from_pem_slice(&self.bytes).map_err(|error| match error {
            rustls::pki_types::pem::Error::NoItemsFound if self.holds("BEGIN CERTIFICATE") => self.error(
                "has a certificate and no key",
                Some("name the file of the key".to_owned()),
            ),
            rustls::pki_types::pem::Error::NoItemsFound => self.error("has no private key", None),
            // What is not PEM in a key's file is not for a log.
            _ => self.error("is damaged: its key cannot be decoded", None),
        })
    }
}
