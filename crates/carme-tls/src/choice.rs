//! Which certificate a client gets (RFC 6066 section 3).

use std::collections::HashMap;
use std::sync::Arc;

use rustls::SignatureScheme;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::certificate::Certificate;

/// Certificates by name. A name may have several, of different kinds of keys: the first one that the client can use is
/// its own.
#[derive(Debug)]
pub(crate) struct Choice {
    all: Vec<Arc<CertifiedKey>>,
    exact: HashMap<String, Vec<usize>>,
    /// Without `*.`.
    wildcards: HashMap<String, Vec<usize>>,
}

impl Choice {
    pub(crate) fn new(certificates: &[Certificate]) -> Self {
        let mut choice = Choice {
            all: Vec::with_capacity(certificates.len()),
            exact: HashMap::new(),
            wildcards: HashMap::new(),
        };
        for (index, certificate) in certificates.iter().enumerate() {
            choice.all.push(Arc::clone(&certificate.certified));
            for name in &certificate.names {
                let (table, name) = match name.strip_prefix("*.") {
                    Some(parent) => (&mut choice.wildcards, parent),
                    None => (&mut choice.exact, name.as_str()),
                };
                table.entry(name.to_owned()).or_default().push(index);
            }
        }
        choice
    }

    /// The certificates for a name, the exact ones before those with a wildcard.
    fn named(&self, name: &str) -> impl Iterator<Item = usize> {
        let name = name.to_ascii_lowercase();
        let parent = name.split_once('.').map(|(_, parent)| parent);
        let exact = self.exact.get(&name);
        let wild = parent.and_then(|parent| self.wildcards.get(parent));
        exact.into_iter().chain(wild).flatten().copied()
    }

    fn choose(&self, name: Option<&str>, schemes: &[SignatureScheme]) -> Option<&Arc<CertifiedKey>> {
        let named = name.into_iter().flat_map(|name| self.named(name));
        named
            .chain(0..self.all.len())
            .map(|index| &self.all[index])
            .find(|certified| certified.key.choose_scheme(schemes).is_some())
    }
}

impl ResolvesServerCert for Choice {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.choose(hello.server_name(), hello.signature_schemes())
            .cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Folder, Kind};

    #[test]
    fn names_choose() {
        let folder = Folder::new();
        let certificates: Vec<Certificate> = [
            (Kind::Ecdsa, &["default.test"][..]),
            (Kind::Ecdsa, &["*.a.test", "a.test"]),
            (Kind::Ecdsa, &["x.a.test"]),
            (Kind::Ed25519, &["b.test"]),
            (Kind::Ecdsa, &["b.test"]),
        ]
        .into_iter()
        .map(|(kind, names)| Certificate::load(&folder.issue(kind, names).into()).expect("a certificate"))
        .collect();
        let choice = Choice::new(&certificates);
        let ecdsa = [SignatureScheme::ECDSA_NISTP256_SHA256];
        let both = [SignatureScheme::ED25519, SignatureScheme::ECDSA_NISTP256_SHA256];
        for (name, schemes, index) in [
            (None, &both[..], 0),
            (Some("unknown.test"), &both, 0),
            (Some("a.test"), &both, 1),
            (Some("Y.A.test"), &both, 1),
            (Some("x.a.test"), &both, 2),
            // A wildcard stands for one label.
            (Some("y.x.a.test"), &both, 0),
            (Some("b.test"), &both, 3),
            (Some("b.test"), &ecdsa, 4),
            (Some("test"), &both, 0),
        ] {
            let chosen = choice.choose(name, schemes).expect("there is always one");
            assert!(
                Arc::ptr_eq(chosen, &certificates[index].certified),
                "{name:?} gets not {index}"
            );
        }
        assert!(choice.choose(None, &[SignatureScheme::RSA_PSS_SHA256]).is_none());
    }
}
