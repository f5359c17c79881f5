//! What is wrong with a file.

use std::path::PathBuf;

/// What a file was to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A certificate with its chain.
    Certificate,
    /// A private key.
    Key,
    /// A certificate and its key in PKCS#12.
    Pfx,
    /// The same, with a password that does not open it.
    PfxPassword,
    /// The password of such a file.
    PfxPasswordFile,
    /// The authorities of clients' certificates.
    ClientAuthorities,
    /// The authorities of certificates of servers that are called.
    ServerAuthorities,
}

/// A file that cannot be used. Never says what is in a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} {what}{}", .file.display(), .cure.as_ref().map(|cure| format!(" ({cure})")).unwrap_or_default())]
pub struct LoadError {
    /// The file.
    pub file: PathBuf,
    /// What it was to be.
    pub role: Role,
    /// The rest of a sentence that begins with the file.
    pub what: String,
    /// What to do about it.
    pub cure: Option<String>,
}
