//! What is known of a connection once its handshake is over, under the names that Apache's mod_ssl has made usual.

use data_encoding::BASE64;
use rustls::server::ServerConnection;
use rustls::{CipherSuite, HandshakeKind, ProtocolVersion};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::name;
use crate::time;

/// One secured connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// `TLSv1.2`, `TLSv1.3`
    pub protocol: &'static str,
    /// The cipher suite, under OpenSSL's name.
    pub cipher: &'static str,
    /// It goes on with the secrets of an earlier connection.
    pub resumed: bool,
    /// `HTTPS` and the `SSL_` variables for the application.
    pub variables: Vec<(&'static str, String)>,
}

impl Session {
    /// One of mod_ssl's variables, by its name in upper case.
    pub fn variable(&self, name: &str) -> Option<&str> {
        if name == "SSL_SESSION_RESUMED" {
            return Some(if self.resumed { "Resumed" } else { "Initial" });
        }
        let found = self.variables.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// The facts of a connection whose handshake is over. `asks` is true if clients are asked for certificates.
pub fn session(connection: &ServerConnection, asks: bool) -> Session {
    let protocol = match connection.protocol_version() {
        Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
        Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
        _ => "unknown",
    };
    let cipher = connection
        .negotiated_cipher_suite()
        .map_or("unknown", |suite| cipher(suite.suite()));
    let mut variables = vec![
        ("HTTPS", "on".to_owned()),
        ("SSL_PROTOCOL", protocol.to_owned()),
        ("SSL_CIPHER", cipher.to_owned()),
    ];
    if let Some(name) = connection.server_name() {
        variables.push(("SSL_TLS_SNI", name.to_owned()));
    }
    if asks {
        client(
            connection
                .peer_certificates()
                .and_then(|chain| chain.first())
                .map(|first| &**first),
            &mut variables,
        );
    }
    Session {
        protocol,
        cipher,
        resumed: connection.handshake_kind() == Some(HandshakeKind::Resumed),
        variables,
    }
}

/// What a client's certificate says. It has been verified: a wrong one ends the handshake.
fn client(certificate: Option<&[u8]>, variables: &mut Vec<(&'static str, String)>) {
    let Some(der) = certificate else {
        variables.push(("SSL_CLIENT_VERIFY", "NONE".to_owned()));
        return;
    };
    let Ok((_, certificate)) = X509Certificate::from_der(der) else {
        variables.push((
            "SSL_CLIENT_VERIFY",
            "FAILED:the certificate cannot be read".to_owned(),
        ));
        return;
    };
    variables.push(("SSL_CLIENT_VERIFY", "SUCCESS".to_owned()));
    variables.push(("SSL_CLIENT_S_DN", name::distinguished(certificate.subject())));
    if let Some(common) = name::common(certificate.subject()) {
        variables.push(("SSL_CLIENT_S_DN_CN", common));
    }
    variables.push(("SSL_CLIENT_I_DN", name::distinguished(certificate.issuer())));
    variables.push(("SSL_CLIENT_M_SERIAL", serial(certificate.raw_serial())));
    variables.push((
        "SSL_CLIENT_V_START",
        time::openssl(certificate.validity().not_before),
    ));
    variables.push((
        "SSL_CLIENT_V_END",
        time::openssl(certificate.validity().not_after),
    ));
    variables.push(("SSL_CLIENT_CERT", pem(der)));
}

/// Upper-case hexadecimal without the sign's zero byte.
fn serial(bytes: &[u8]) -> String {
    let digits = match bytes {
        [0, rest @ ..] if !rest.is_empty() => rest,
        all => all,
    };
    digits.iter().map(|byte| format!("{byte:02X}")).collect()
}

fn pem(der: &[u8]) -> String {
    let text = BASE64.encode(der);
    let mut pem = String::with_capacity(text.len() + text.len() / 64 + 64);
    pem.push_str("-----BEGIN CERTIFICATE-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = after;
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}

fn cipher(suite: CipherSuite) -> &'static str {
    match suite {
        CipherSuite::TLS13_AES_128_GCM_SHA256 => "TLS_AES_128_GCM_SHA256",
        CipherSuite::TLS13_AES_256_GCM_SHA384 => "TLS_AES_256_GCM_SHA384",
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => "TLS_CHACHA20_POLY1305_SHA256",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 => "ECDHE-ECDSA-AES128-GCM-SHA256",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 => "ECDHE-ECDSA-AES256-GCM-SHA384",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 => "ECDHE-ECDSA-CHACHA20-POLY1305",
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => "ECDHE-RSA-AES128-GCM-SHA256",
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => "ECDHE-RSA-AES256-GCM-SHA384",
        CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => "ECDHE-RSA-CHACHA20-POLY1305",
        other => other.as_str().unwrap_or("unknown"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_suite_has_openssls_name() {
        for suite in &crate::certificate::provider().cipher_suites {
            let name = cipher(suite.suite());
            assert!(name.contains("-") || name.starts_with("TLS_"), "{name}");
            assert!(!name.starts_with("TLS13") && !name.contains("WITH"), "{name}");
        }
    }

    #[test]
    fn variables_are_found_by_name() {
        let mut session = Session {
            protocol: "TLSv1.3",
            cipher: "TLS_AES_128_GCM_SHA256",
            resumed: false,
            variables: vec![("SSL_PROTOCOL", "TLSv1.3".to_owned())],
        };
        assert_eq!(session.variable("SSL_PROTOCOL"), Some("TLSv1.3"));
        assert_eq!(session.variable("SSL_CLIENT_S_DN"), None);
        assert_eq!(session.variable("SSL_SESSION_RESUMED"), Some("Initial"));
        session.resumed = true;
        assert_eq!(session.variable("SSL_SESSION_RESUMED"), Some("Resumed"));
    }

    #[test]
    fn serials_and_pem() {
        assert_eq!(serial(&[0, 0xab, 1]), "AB01");
        assert_eq!(serial(&[0]), "00");
        let der = vec![b'a'; 50];
        let text = pem(&der);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!((lines.len(), lines[1].len()), (4, 64));
        assert_eq!(BASE64.decode(lines[1..3].concat().as_bytes()), Ok(der));
    }
}
