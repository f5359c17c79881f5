use std::io::{Read, Write};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::{ClientConnection, ServerConnection};

use super::*;
use crate::settings::{CertificateFiles, Settings};
use crate::testing::{Folder, Kind};
use crate::{MinVersion, Tls};

/// As `openssl req -x509` does it.
fn authority(params: &mut CertificateParams) {
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
}

fn expired(params: &mut CertificateParams) {
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2021, 1, 1);
}

fn of_the_future(params: &mut CertificateParams) {
    params.not_before = date_time_ymd(2200, 1, 1);
    params.not_after = date_time_ymd(2201, 1, 1);
}

/// A server's certificate, signed by an authority whose file is the second.
fn signed(folder: &Folder, names: &[&str]) -> (CertificateFiles, PathBuf) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    authority(&mut params);
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, "authority");
    let root = params.self_signed(&key).unwrap();
    let file = folder.write("root.pem", root.pem());
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let leaf = CertificateParams::new(names)
        .unwrap()
        .signed_by(&key, &issuer)
        .unwrap();
    let files = CertificateFiles {
        certificate: folder.write("leaf.pem", leaf.pem()),
        key: folder.write("leaf.key", key.serialize_pem()),
    };
    (files, file)
}

/// Calls a server with this certificate by this name.
fn call(trust: &Trust, server: &CertificateFiles, name: &str) -> Result<(), Error> {
    call_at(MinVersion::Tls12, &trust.client_config().unwrap(), server, name)
}

fn call_at(
    versions: MinVersion,
    client: &ClientConfig,
    server: &CertificateFiles,
    name: &str,
) -> Result<(), Error> {
    let settings = Settings {
        min_version: versions,
        ..Settings::new(server.clone())
    };
    let mut server = ServerConnection::new(Tls::load(settings).unwrap().config()).unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::new(client.clone()), name).unwrap();
    let mut wire = Vec::new();
    while client.is_handshaking() || server.is_handshaking() {
        wire.clear();
        client.write_tls(&mut wire).unwrap();
        server.read_tls(&mut &*wire).unwrap();
        // The server only hears of the end; the client says why.
        let _ = server.process_new_packets();
        wire.clear();
        server.write_tls(&mut wire).unwrap();
        client.read_tls(&mut &*wire).unwrap();
        client.process_new_packets()?;
    }
    client.writer().write_all(b"ping").unwrap();
    wire.clear();
    client.write_tls(&mut wire).unwrap();
    server.read_tls(&mut &*wire).unwrap();
    server.process_new_packets().unwrap();
    let mut got = [0; 4];
    server.reader().read_exact(&mut got).unwrap();
    assert_eq!(&got, b"ping");
    Ok(())
}

fn is_bad_name(result: &Result<(), Error>) -> bool {
    matches!(
        result,
        Err(Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }
        ))
    )
}

#[test]
fn what_a_listed_authority_has_signed_is_believed_for_its_name() {
    let folder = Folder::new();
    let (server, root) = signed(&folder, &["app.test", "127.0.0.1"]);
    let trust = Trust::File(root);
    assert_eq!(call(&trust, &server, "app.test"), Ok(()));
    assert_eq!(call(&trust, &server, "127.0.0.1"), Ok(()));
    assert!(is_bad_name(&call(&trust, &server, "other.test")));
    assert!(is_bad_name(&call(&trust, &server, "127.0.0.2")));
    let stranger = folder.issue(Kind::Ecdsa, &["app.test"]);
    assert_eq!(
        call(&trust, &stranger, "app.test"),
        Err(CertificateError::UnknownIssuer.into())
    );
}

#[test]
fn a_listed_certificate_is_believed_in_its_time_and_for_its_name() {
    let folder = Folder::new();
    for change in [authority as fn(&mut CertificateParams), |_| {}] {
        let server = folder.issue_with(Kind::Ecdsa, &["app.test"], change);
        let trust = Trust::File(server.certificate.clone());
        assert_eq!(call(&trust, &server, "app.test"), Ok(()));
        assert!(is_bad_name(&call(&trust, &server, "other.test")));
    }
    for (change, refused) in [
        (expired as fn(&mut CertificateParams), CertificateError::Expired),
        (of_the_future, CertificateError::NotValidYet),
    ] {
        let server = folder.issue_with(Kind::Ecdsa, &["app.test"], |params| {
            authority(params);
            change(params);
        });
        let trust = Trust::File(server.certificate.clone());
        assert_eq!(call(&trust, &server, "app.test"), Err(refused.into()));
    }
    // Its name and key alone prove nothing.
    let server = folder.issue_with(Kind::Ecdsa, &["app.test"], authority);
    let twin = folder.issue_with(Kind::Ecdsa, &["app.test"], authority);
    assert!(call(&Trust::File(twin.certificate), &server, "app.test").is_err());
}

#[test]
fn both_versions_are_spoken() {
    let folder = Folder::new();
    let (server, root) = signed(&folder, &["app.test"]);
    for trust in [Trust::File(root), Trust::Anybody] {
        let mut config = trust.client_config().unwrap();
        assert_eq!(call_at(MinVersion::Tls13, &config, &server, "app.test"), Ok(()));
        config.resumption = rustls::client::Resumption::disabled();
        let older = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&version::TLS12])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(trust.verifier().unwrap())
            .with_no_client_auth();
        assert_eq!(call_at(MinVersion::Tls12, &older, &server, "app.test"), Ok(()));
    }
}

#[test]
fn anybody_is_anybody() {
    let folder = Folder::new();
    let server = folder.issue_with(Kind::Ed25519, &["app.test"], expired);
    assert_eq!(call(&Trust::Anybody, &server, "other.test"), Ok(()));
}

#[test]
fn the_system_knows_nothing_of_a_certificate_that_was_just_made() {
    let folder = Folder::new();
    let server = folder.issue(Kind::Ecdsa, &["app.test"]);
    match Trust::System.client_config() {
        Ok(config) => {
            let refused = call_at(MinVersion::Tls12, &config, &server, "app.test");
            assert!(
                matches!(refused, Err(Error::InvalidCertificate(_))),
                "{refused:?}"
            );
        }
        // A machine without authorities.
        Err(error) => assert!(matches!(error, TrustError::System(_)), "{error}"),
    }
}

#[test]
fn a_file_that_is_none_of_certificates() {
    let folder = Folder::new();
    let key = folder.issue(Kind::Ecdsa, &["app.test"]).key;
    let garbage = folder.write(
        "garbage.pem",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    );
    for (file, what) in [
        (folder.path().join("nowhere.pem"), "does not exist"),
        (key, "has a key and no certificate"),
        (garbage, "has a certificate that is no authority"),
    ] {
        match Trust::File(file.clone()).client_config() {
            Err(TrustError::File(error)) => {
                assert_eq!((error.file, error.role), (file, Role::ServerAuthorities));
                assert!(error.what.starts_with(what), "{}", error.what);
            }
            other => panic!("{other:?}"),
        }
    }
}
