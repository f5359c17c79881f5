//! How members that speak TLS are called.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use carme_tls::{Trust, TrustError};
use rustls::pki_types::{InvalidDnsNameError, ServerName};
use rustls::{CertificateError, ClientConfig};

use crate::endpoint::Protocol;

/// `tls_verify` and `tls_ca` of a balancer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberTls {
    /// A member's certificate must be good and for its name.
    pub verify: bool,
    /// By one of the authorities in this PEM file, or in it itself; `None`: by one that the system trusts.
    pub ca: Option<PathBuf>,
}

/// What connections to a balancer's members are made with.
#[derive(Debug, Clone)]
pub struct TlsClient {
    http1: Arc<ClientConfig>,
    http2: Arc<ClientConfig>,
}

/// Why no member can be called.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TlsError {
    /// The file of authorities.
    #[error("members cannot be called over TLS: tls_ca: {0}")]
    Ca(carme_tls::LoadError),
    /// The system has no authorities.
    #[error(
        "members cannot be called over TLS: {0} (install the package ca-certificates, or name a file of authorities: tls_ca = \"…\")"
    )]
    System(TrustError),
}

impl MemberTls {
    /// Reads what is needed, and warns if members are not to be verified. Waits for the disk.
    ///
    /// # Errors
    /// What is wrong with the file or with the system, and what to do about it.
    pub fn load(&self) -> Result<TlsClient, TlsError> {
        let trust = match (self.verify, &self.ca) {
            (false, _) => Trust::Anybody,
            (true, Some(ca)) => Trust::File(ca.clone()),
            (true, None) => Trust::System,
        };
        let config = trust.client_config().map_err(|error| match error {
            TrustError::File(error) => TlsError::Ca(error),
            other => TlsError::System(other),
        })?;
        if !self.verify {
            tracing::warn!(
                "members' certificates are not verified (tls_verify = false): whoever is on the way to them can read and \
                 change everything; tls_ca = \"…\" takes the certificate of a member as well"
            );
        }
        let speaking = |protocol: &[u8]| {
            let mut config = config.clone();
            config.alpn_protocols = vec![protocol.to_vec()];
            Arc::new(config)
        };
        Ok(TlsClient {
            http1: speaking(b"http/1.1"),
            http2: speaking(b"h2"),
        })
    }
}

impl TlsClient {
    /// With this protocol offered (RFC 7301).
    pub fn config(&self, protocol: Protocol) -> Arc<ClientConfig> {
        Arc::clone(match protocol {
            Protocol::Http1 => &self.http1,
            Protocol::Http2 => &self.http2,
        })
    }
}

/// Whom a member's certificate has to be for; `host` as in [`Address`](crate::Address).
///
/// # Errors
/// It is neither an address nor a name.
pub fn server_name(host: &str) -> Result<ServerName<'static>, InvalidDnsNameError> {
    let address = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .filter(|address| address.contains(':'));
    ServerName::try_from(address.unwrap_or(host).to_owned())
}

/// Why a handshake with a member failed, in words, and what to do about it.
pub fn handshake_failure(error: &io::Error) -> String {
    let Some(tls) = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>())
    else {
        return match error.kind() {
            io::ErrorKind::UnexpectedEof => "it ended the connection within the TLS handshake".to_owned(),
            _ => error.to_string(),
        };
    };
    let certificate = match tls {
        rustls::Error::InvalidCertificate(certificate) => certificate,
        rustls::Error::InvalidMessage(_) => return "it does not speak TLS (is its URL http://?)".to_owned(),
        rustls::Error::AlertReceived(rustls::AlertDescription::NoApplicationProtocol) => {
            return "it does not speak this version of HTTP over TLS".to_owned();
        }
        other => return other.to_string(),
    };
    match certificate {
        // Of an authority that was made anew under its old name the signature is bad.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "its certificate is by nobody who is trusted (tls_ca = \"…\" names the authority, or the certificate itself)"
                .to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!("{certificate} (the member's URL has to have a name that its certificate has)")
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "its certificate has expired".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its certificate is not valid yet (are both clocks right?)".to_owned()
        }
        other => format!("its certificate is not good: {other}"),
    }
}

#[cfg(test)]
mod tests;
