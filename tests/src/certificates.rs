//! Certificates made for a test.

use std::fs;
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

/// Signs certificates.
pub struct Authority(Issuer<'static, KeyPair>);

impl Authority {
    /// Writes `ca.pem` into the folder.
    pub fn new(folder: &Path) -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
        params.distinguished_name.push(DnType::CommonName, "authority");
        let certificate = params.self_signed(&key).expect("signed");
        fs::write(folder.join("ca.pem"), certificate.pem()).expect("written");
        Authority(Issuer::new(params, key))
    }

    /// Writes `FILE.pem` and `FILE.key`, for these names and addresses.
    pub fn issue(
        &self,
        folder: &Path,
        file: &str,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(names).expect("names");
        params.use_authority_key_identifier_extension = true;
        change(&mut params);
        let certificate = params.signed_by(&key, &self.0).expect("signed");
        fs::write(folder.join(format!("{file}.pem")), certificate.pem()).expect("written");
        fs::write(folder.join(format!("{file}.key")), key.serialize_pem()).expect("written");
    }
}
