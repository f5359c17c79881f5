use super::*;

fn made(folder: &tempfile::TempDir) -> PathBuf {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["app.test".to_owned()]).unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, params.self_signed(&key).unwrap().pem()).unwrap();
    file
}

#[test]
fn each_protocol_is_offered_alone() {
    let folder = tempfile::tempdir().unwrap();
    for verify in [true, false] {
        let tls = MemberTls {
            verify,
            ca: Some(made(&folder)),
        };
        let client = tls.load().unwrap();
        assert_eq!(client.config(Protocol::Http1).alpn_protocols, [b"http/1.1"]);
        assert_eq!(client.config(Protocol::Http2).alpn_protocols, [b"h2"]);
        assert!(Arc::ptr_eq(
            &client.config(Protocol::Http1),
            &client.config(Protocol::Http1)
        ));
    }
}

#[test]
fn a_file_that_is_missing_is_named_with_its_setting() {
    let folder = tempfile::tempdir().unwrap();
    let tls = MemberTls {
        verify: true,
        ca: Some(folder.path().join("nowhere.pem")),
    };
    let error = tls.load().unwrap_err().to_string();
    let nowhere = folder.path().join("nowhere.pem");
    assert_eq!(
        error,
        format!(
            "members cannot be called over TLS: tls_ca: {} does not exist",
            nowhere.display()
        )
    );
}

#[test]
fn whom_a_certificate_has_to_be_for() {
    for (host, is_name) in [
        ("app.internal", true),
        ("10.0.0.1", false),
        ("[2001:db8::1]", false),
    ] {
        let name = server_name(host).unwrap();
        assert_eq!(matches!(name, ServerName::DnsName(_)), is_name, "{host}");
        assert_eq!(name.to_str(), host.trim_matches(['[', ']']));
    }
    for host in ["", "a b", "[app]", "a..b"] {
        assert!(server_name(host).is_err(), "{host}");
    }
}

#[test]
fn failures_in_words() {
    let failure =
        |error: rustls::Error| handshake_failure(&io::Error::new(io::ErrorKind::InvalidData, error));
    for (error, begins, cure) in [
        (
            CertificateError::UnknownIssuer.into(),
            "its certificate is by nobody",
            "tls_ca",
        ),
        (
            CertificateError::BadSignature.into(),
            "its certificate is by nobody",
            "tls_ca",
        ),
        (CertificateError::NotValidForName.into(), "", "URL"),
        (
            CertificateError::Expired.into(),
            "its certificate has expired",
            "",
        ),
        (
            CertificateError::NotValidYet.into(),
            "its certificate is not valid yet",
            "clocks",
        ),
        (
            CertificateError::Revoked.into(),
            "its certificate is not good",
            "",
        ),
        (
            rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType),
            "it does not speak TLS",
            "http://",
        ),
        (
            rustls::Error::AlertReceived(rustls::AlertDescription::NoApplicationProtocol),
            "it does not speak this version of HTTP",
            "",
        ),
        (
            rustls::Error::AlertReceived(rustls::AlertDescription::HandshakeFailure),
            "received fatal alert",
            "",
        ),
    ] {
        let words = failure(error);
        assert!(words.starts_with(begins) && words.contains(cure), "{words}");
    }
    let ended = handshake_failure(&io::Error::from(io::ErrorKind::UnexpectedEof));
    assert_eq!(ended, "it ended the connection within the TLS handshake");
    let reset = handshake_failure(&io::Error::new(io::ErrorKind::ConnectionReset, "reset"));
    assert_eq!(reset, "reset");
}
