//! What TLS is to be served with.

use std::fmt;
use std::path::{Path, PathBuf};

/// A certificate and its key, as files in PEM.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CertificateFiles {
    /// The certificate, then the intermediate ones up to a root that clients know.
    pub certificate: PathBuf,
    /// The private key; may be the same file.
    pub key: PathBuf,
}

/// A certificate and its key in one PFX file (PKCS#12), as Windows exports them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PfxFile {
    /// The file.
    pub pfx: PathBuf,
    /// What it was exported with.
    pub password: PfxPassword,
}

/// What a PFX file was exported with.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum PfxPassword {
    /// The password itself; empty for none.
    Written(String),
    /// The file whose first line it is.
    File(PathBuf),
}

impl fmt::Debug for PfxPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PfxPassword::Written(_) => f.write_str("Written(…)"),
            PfxPassword::File(file) => f.debug_tuple("File").field(file).finish(),
        }
    }
}

/// Where a certificate and its key come from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum CertificateSource {
    /// Files in PEM.
    Pem(CertificateFiles),
    /// One file, behind a password.
    Pfx(PfxFile),
}

impl CertificateSource {
    /// The file with the certificate.
    pub fn certificate(&self) -> &Path {
        match self {
            CertificateSource::Pem(files) => &files.certificate,
            CertificateSource::Pfx(file) => &file.pfx,
        }
    }

    /// What is read besides it.
    fn secret(&self) -> Option<&Path> {
        match self {
            CertificateSource::Pem(files) => Some(&files.key),
            CertificateSource::Pfx(file) => match &file.password {
                PfxPassword::Written(_) => None,
                PfxPassword::File(file) => Some(file),
            },
        }
    }
}

impl From<CertificateFiles> for CertificateSource {
    fn from(files: CertificateFiles) -> Self {
        CertificateSource::Pem(files)
    }
}

impl From<PfxFile> for CertificateSource {
    fn from(file: PfxFile) -> Self {
        CertificateSource::Pfx(file)
    }
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
    pub certificates: Vec<CertificateSource>,
    /// The oldest version.
    pub min_version: MinVersion,
    /// What is asked of clients.
    pub clients: ClientAuth,
}

impl Settings {
    /// One certificate, and the defaults.
    pub fn new(certificate: impl Into<CertificateSource>) -> Self {
        Settings {
            certificates: vec![certificate.into()],
            min_version: MinVersion::default(),
            clients: ClientAuth::default(),
        }
    }

    /// All files that are read.
    pub(crate) fn files(&self) -> impl Iterator<Item = &Path> {
        self.certificates
            .iter()
            .flat_map(|source| std::iter::once(source.certificate()).chain(source.secret()))
            .chain(self.clients.authorities())
    }
}
