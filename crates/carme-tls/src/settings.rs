//! What TLS is to be served with.

use std::path::{Path, PathBuf};

/// A certificate and its key, as files in PEM.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CertificateFiles {
    /// The certificate, then the intermediate ones up to a root that clients know.
    pub certificate: PathBuf,
    /// The private key; may be the same file.
    pub key: PathBuf,
}

/// The oldest version of TLS that is spoken. Nothing before 1.2 is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MinVersion {
    /// TLS 1.2 and 1.3
    #[default]
    Tls12,
    /// TLS 1.3 alone
    Tls13,
}

/// Whether clients are asked for certificates. The file has the authorities, in PEM, that may have signed them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ClientAuth {
    /// They are not.
    #[default]
    None,
    /// A client may have none; a wrong one ends the handshake.
    Optional(PathBuf),
    /// Without a right one there is no handshake.
    Required(PathBuf),
}

impl ClientAuth {
    /// The file of authorities.
    pub fn authorities(&self) -> Option<&Path> {
        match self {
            ClientAuth::None => None,
            ClientAuth::Optional(file) | ClientAuth::Required(file) => Some(file),
        }
    }
}

/// All of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// At least one. The first is for clients that ask for no name, or for one that no certificate has.
    pub certificates: Vec<CertificateFiles>,
    /// The oldest version.
    pub min_version: MinVersion,
    /// What is asked of clients.
    pub clients: ClientAuth,
}

impl Settings {
    /// One certificate, and the defaults.
    pub fn new(certificate: CertificateFiles) -> Self {
        Settings {
            certificates: vec![certificate],
            min_version: MinVersion::default(),
            clients: ClientAuth::default(),
        }
    }

    /// All files that are read.
    pub(crate) fn files(&self) -> impl Iterator<Item = &Path> {
        self.certificates
            .iter()
            .flat_map(|files| [files.certificate.as_path(), files.key.as_path()])
            .chain(self.clients.authorities())
    }
}
