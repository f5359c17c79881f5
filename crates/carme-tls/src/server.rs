//! What a listener serves TLS with, and its replacement when files change.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::pki_types::CertificateDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion, version};

use crate::certificate::{Certificate, provider};
use crate::choice::Choice;
use crate::error::{LoadError, Role};
use crate::pem::PemFile;
use crate::settings::{ClientAuth, MinVersion, Settings};
use crate::stamp::Stamp;

/// The application protocols that are offered (RFC 7301).
const ALPN: [&[u8]; 1] = [b"http/1.1"];

/// TLS as it is configured, with what its files had when they were last read and sound.
#[derive(Debug)]
pub struct Tls {
    current: Mutex<Current>,
    files: Mutex<Files>,
}

#[derive(Debug, Clone)]
struct Current {
    config: Arc<ServerConfig>,
    certificates: Arc<[Certificate]>,
    asks_clients: bool,
}

#[derive(Debug)]
struct Files {
    settings: Settings,
    /// When they were last read.
    read: Stamp,
    /// When they were last looked at.
    seen: Stamp,
}

/// What became of looking at the files again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refreshed {
    /// They are as they were.
    Unchanged,
    /// They have just changed: perhaps somebody is writing still. Looked at again later.
    Unsettled,
    /// New connections get what is in them now.
    Reloaded,
    /// What is in them now cannot be used; what was there before goes on. Said once for each change.
    Kept(LoadError),
}

impl Tls {
    /// Reads all files.
    ///
    /// # Errors
    /// What is wrong with the first of them that cannot be used.
    pub fn load(settings: Settings) -> Result<Self, LoadError> {
        // Before they are read: what changes meanwhile is read again.
        let stamp = Stamp::of(settings.files());
        let current = build(&settings)?;
        Ok(Tls {
            current: Mutex::new(current),
            files: Mutex::new(Files {
                settings,
                read: stamp.clone(),
                seen: stamp,
            }),
        })
    }

    /// For the next connection.
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current().config)
    }

    /// The certificates in use, in the settings' order.
    pub fn certificates(&self) -> Arc<[Certificate]> {
        Arc::clone(&self.current().certificates)
    }

    /// Whether clients are asked for certificates.
    pub fn asks_clients(&self) -> bool {
        self.current().asks_clients
    }

    /// Is configured as `other` from now on, with what that has read: connections that come get it, those that are there
    /// keep what they have.
    pub fn adopt(&self, other: Tls) {
        let Tls { current, files } = other;
        // In the order of `refresh`.
        let mut ours = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        *ours = files.into_inner().unwrap_or_else(PoisonError::into_inner);
        *self.current() = current.into_inner().unwrap_or_else(PoisonError::into_inner);
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the files, and reads them again if they have changed and stayed so since the last look: a certificate and
    /// its key are not written at the same moment. Waits for the disk.
    ///
    /// Sessions are not resumed across a change: an authority that is trusted no longer must not live on in tickets.
    pub fn refresh(&self) -> Refreshed {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Stamp::of(files.settings.files());
        if now == files.read {
            files.seen = now;
            return Refreshed::Unchanged;
        }
        if now != files.seen {
            files.seen = now;
            return Refreshed::Unsettled;
        }
        files.read = now;
        match build(&files.settings) {
            Ok(new) => {
                *self.current() = new;
                Refreshed::Reloaded
            }
            Err(error) => Refreshed::Kept(error),
        }
    }
}

fn build(settings: &Settings) -> Result<Current, LoadError> {
    let certificates: Vec<Certificate> = settings
        .certificates
        .iter()
        .map(Certificate::load)
        .collect::<Result<_, _>>()?;
    let versions: &[&SupportedProtocolVersion] = match settings.min_version {
        MinVersion::Tls12 => &[&version::TLS13, &version::TLS12],
        MinVersion::Tls13 => &[&version::TLS13],
    };
    let builder = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(versions)
        .expect("the provider has suites for both versions");
    let builder = match &settings.clients {
        ClientAuth::None => builder.with_no_client_auth(),
        ClientAuth::Optional(file) | ClientAuth::Required(file) => {
            let roots = certificates_of_clients(file)?;
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
            let verifier = match &settings.clients {
                ClientAuth::Optional(_) => verifier.allow_unauthenticated(),
                _ => verifier,
            };
            builder
                .with_client_cert_verifier(verifier.build().expect("there are roots and no revocation lists"))
        }
    };
    let mut config = builder.with_cert_resolver(Arc::new(Choice::new(&certificates)));
    config.alpn_protocols = ALPN.iter().map(|protocol| protocol.to_vec()).collect();
    // Without the system's randomness no handshake would succeed either; then sessions are not resumed.
    if let Ok(ticketer) = rustls::crypto::aws_lc_rs::Ticketer::new() {
        config.ticketer = ticketer;
    }
    Ok(Current {
        config: Arc::new(config),
        certificates: certificates.into(),
        asks_clients: settings.clients != ClientAuth::None,
    })
}

/// The authorities of clients' certificates in a file, at least one.
///
/// # Errors
/// What is wrong with it.
pub fn certificates_of_clients(file: &Path) -> Result<RootCertStore, LoadError> {
    authorities(file, Role::ClientAuthorities).map(|(_, roots)| roots)
}

/// The authorities of servers' certificates in a file, at least one.
///
/// # Errors
/// What is wrong with it.
pub fn certificates_of_servers(file: &Path) -> Result<RootCertStore, LoadError> {
    authorities(file, Role::ServerAuthorities).map(|(_, roots)| roots)
}

/// All certificates of a file, and the same as authorities.
pub(crate) fn authorities(
    file: &Path,
    role: Role,
) -> Result<(Vec<CertificateDer<'static>>, RootCertStore), LoadError> {
    let pem = PemFile::read(file, role)?;
    let certificates = pem.certificates()?;
    let mut roots = RootCertStore::empty();
    for certificate in &certificates {
        roots
            .add(certificate.clone())
            .map_err(|error| pem.error(format!("has a certificate that is no authority: {error}"), None))?;
    }
    Ok((certificates, roots))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Folder, Kind};

    fn names(tls: &Tls) -> Vec<String> {
        tls.certificates()[0].names.clone()
    }

    #[test]
    fn files_that_change_are_read_again_once_they_have_settled() {
        let folder = Folder::new();
        let files = folder.issue(Kind::Ecdsa, &["old.test"]);
        let new = folder.issue(Kind::Ecdsa, &["much-longer-name.test"]);
        let tls = Tls::load(Settings::new(files.clone())).expect("loaded");
        let first = tls.config();
        assert_eq!(tls.refresh(), Refreshed::Unchanged);
        let copy = |from: &Path, to: &Path| {
            std::fs::write(to, std::fs::read(from).expect("read")).expect("written");
        };

        copy(&new.certificate, &files.certificate);
        assert_eq!(tls.refresh(), Refreshed::Unsettled);
        copy(&new.key, &files.key);
        // Times of files may be as coarse as the clock's tick.
        let later = std::time::SystemTime::now() + std::time::Duration::from_secs(5);
        let key = std::fs::File::options()
            .write(true)
            .open(&files.key)
            .expect("opened");
        key.set_modified(later).expect("its time is set");
        drop(key);
        assert_eq!(tls.refresh(), Refreshed::Unsettled);
        assert_eq!(names(&tls), ["old.test"]);
        assert_eq!(tls.refresh(), Refreshed::Reloaded);
        assert_eq!(names(&tls), ["much-longer-name.test"]);
        assert!(!Arc::ptr_eq(&first, &tls.config()));
        assert_eq!(tls.refresh(), Refreshed::Unchanged);

        // A broken file keeps what works, and is told once.
        std::fs::remove_file(&files.key).expect("removed");
        assert_eq!(tls.refresh(), Refreshed::Unsettled);
        match tls.refresh() {
            Refreshed::Kept(error) => assert_eq!(error.what, "does not exist"),
            other => panic!("{other:?}"),
        }
        assert_eq!(tls.refresh(), Refreshed::Unchanged);
        assert_eq!(names(&tls), ["much-longer-name.test"]);
        copy(&new.key, &files.key);
        assert_eq!(tls.refresh(), Refreshed::Unsettled);
        assert_eq!(tls.refresh(), Refreshed::Reloaded);
    }

    #[test]
    fn other_settings_are_adopted_and_their_files_followed() {
        let folder = Folder::new();
        let tls = Tls::load(Settings::new(folder.issue(Kind::Ecdsa, &["old.test"]))).expect("loaded");
        let new = folder.issue(Kind::Ecdsa, &["new.test"]);
        let settings = Settings {
            clients: ClientAuth::Required(new.certificate.clone()),
            ..Settings::new(new.clone())
        };
        tls.adopt(Tls::load(settings).expect("loaded"));
        assert_eq!(names(&tls), ["new.test"]);
        assert!(tls.asks_clients());
        assert_eq!(tls.refresh(), Refreshed::Unchanged);
        std::fs::remove_file(&new.key).expect("removed");
        assert_eq!(tls.refresh(), Refreshed::Unsettled);
    }

    #[test]
    fn authorities_are_read_and_checked() {
        let folder = Folder::new();
        let files = folder.issue(Kind::Ecdsa, &["a.test"]);
        let with = |clients| Settings {
            clients,
            ..Settings::new(files.clone())
        };
        let tls = Tls::load(with(ClientAuth::Required(files.certificate.clone()))).expect("loaded");
        assert!(tls.asks_clients());
        let error = Tls::load(with(ClientAuth::Optional(files.key.clone()))).expect_err("no authority");
        assert_eq!(error.role, Role::ClientAuthorities);
        assert_eq!(error.what, "has a key and no certificate");
    }
}
