//! Certificates made for a test, and members that have them.

use std::path::PathBuf;
use std::sync::Arc;

use carme_proxy::{MemberTls, TlsClient};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::{Listener, Peer};

/// Signs members' certificates.
pub struct Authority {
    folder: tempfile::TempDir,
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A member's certificate.
pub struct Identity(CertificateDer<'static>, PrivateKeyDer<'static>);

impl Authority {
    pub fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.self_signed(&key).unwrap();
        Authority {
            folder: tempfile::tempdir().unwrap(),
            issuer: Issuer::new(params, key),
            pem: certificate.pem(),
        }
    }

    fn file(&self) -> PathBuf {
        let file = self.folder.path().join("ca.pem");
        std::fs::write(&file, &self.pem).unwrap();
        file
    }

    /// Of those who trust it.
    pub fn tls(&self) -> TlsClient {
        let ca = Some(self.file());
        MemberTls { verify: true, ca }.load().unwrap()
    }

    pub fn sign(&self, name: &str) -> Identity {
        self.sign_until(name, 2090)
    }

    pub fn sign_until(&self, name: &str, year: i32) -> Identity {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        Identity(certificate.der().clone(), key)
    }
}

impl Identity {
    /// A member that speaks these protocols.
    pub fn acceptor(self, protocols: &[&str]) -> TlsAcceptor {
        let config = ServerConfig::builder().with_no_client_auth();
        let mut config = config.with_single_cert(vec![self.0], self.1).unwrap();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }
}

impl Listener {
    pub async fn accept_tls(&self, acceptor: &TlsAcceptor) -> std::io::Result<Peer<TlsStream<TcpStream>>> {
        let peer = self.accept().await;
        Ok(Peer(acceptor.accept(peer.0).await?))
    }
}
