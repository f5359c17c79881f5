//! Certificates made for a test, and a client that believes in them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use carme_front::Tls;
use carme_tls::{CertificateFiles, Settings};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SerialNumber,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::client::Client;

pub type SecureClient = Client<TlsStream<TcpStream>>;

/// An authority, and the folder of what it has signed.
pub struct Authority {
    folder: tempfile::TempDir,
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    pub file: PathBuf,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.self_signed(&key).expect("a certificate");
        let file = folder.path().join("ca.pem");
        std::fs::write(&file, certificate.pem()).expect("written");
        Authority {
            certificate: certificate.der().clone(),
            issuer: Issuer::new(params, key),
            folder,
            file,
        }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A server's certificate for these names, in files of this name.
    pub fn server(&self, file: &str, names: &[&str]) -> CertificateFiles {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let key = KeyPair::generate().expect("a key");
        let certificate = CertificateParams::new(names)
            .expect("names")
            .signed_by(&key, &self.issuer)
            .expect("signed");
        let files = CertificateFiles {
            certificate: self.path().join(format!("{file}.pem")),
            key: self.path().join(format!("{file}.key")),
        };
        std::fs::write(&files.certificate, certificate.pem()).expect("written");
        std::fs::write(&files.key, key.serialize_pem()).expect("written");
        files
    }

    /// A client's certificate.
    pub fn client(&self, name: &str) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::OrganizationName, "Example, Inc.");
        params.distinguished_name.push(DnType::CommonName, name);
        params.serial_number = Some(SerialNumber::from(0x00C0_FFEE_u64));
        params.not_before = rcgen::date_time_ymd(2020, 1, 2);
        params.not_after = rcgen::date_time_ymd(2090, 12, 31);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&key, &self.issuer).expect("signed");
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        (certificate.der().clone(), key)
    }

    /// TLS with one certificate for `site.test`.
    pub fn site(&self) -> Arc<Tls> {
        Self::load(Settings::new(self.server("site", &["site.test"])))
    }

    pub fn load(settings: Settings) -> Arc<Tls> {
        Arc::new(Tls::load(settings).unwrap_or_else(|error| panic!("{error}")))
    }

    /// A client that trusts this authority.
    pub fn believer(&self) -> Believer {
        Believer {
            roots: self.certificate.clone(),
            versions: rustls::ALL_VERSIONS.to_vec(),
            identity: None,
        }
    }
}

/// How a client does its handshakes.
pub struct Believer {
    roots: CertificateDer<'static>,
    versions: Vec<&'static SupportedProtocolVersion>,
    identity: Option<(CertificateDer<'static>, PrivateKeyDer<'static>)>,
}

impl Believer {
    pub fn versions(mut self, versions: &[&'static SupportedProtocolVersion]) -> Self {
        self.versions = versions.to_vec();
        self
    }

    pub fn identity(mut self, identity: (CertificateDer<'static>, PrivateKeyDer<'static>)) -> Self {
        self.identity = Some(identity);
        self
    }

    pub fn config(self) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.roots).expect("an authority");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&self.versions)
            .expect("versions")
            .with_root_certificates(roots);
        let mut config = match self.identity {
            Some((certificate, key)) => builder
                .with_client_auth_cert(vec![certificate], key)
                .expect("an identity"),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Arc::new(config)
    }
}

/// A handshake.
pub async fn secure(
    address: SocketAddr,
    name: &str,
    config: &Arc<ClientConfig>,
) -> std::io::Result<SecureClient> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    let stream = TlsConnector::from(Arc::clone(config))
        .connect(name, stream)
        .await?;
    Ok(Client::over(stream))
}
