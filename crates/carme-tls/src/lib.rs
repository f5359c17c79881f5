//! Certificates and keys: read, checked, chosen by the name that a client asks for, and made into what TLS is served
//! with, and called with. Knows nothing of HTTP, of sockets and of the configuration file.
//!
//! [`Tls`] is what a listener needs. It can be told to look whether its files have changed; what is broken then does not
//! replace what works. [`Trust`] makes what other servers are called with. [`Certificate`], [`certificates_of_clients`] and
//! [`certificates_of_servers`] load one file each, for whoever wants to know beforehand what is wrong.

#![forbid(unsafe_code)]

mod certificate;
mod choice;
mod client;
mod error;
mod name;
mod pem;
mod pfx;
mod server;
mod session;
mod settings;
mod stamp;
mod time;

pub use certificate::{Certificate, Standing, WARNING};
pub use client::{Trust, TrustError};
pub use error::{LoadError, Role};
pub use server::{Refreshed, Tls, certificates_of_clients, certificates_of_servers};
pub use session::{Session, session};
pub use settings::{
    CertificateFiles, CertificateSource, ClientAuth, MinVersion, PfxFile, PfxPassword, Settings,
};
pub use time::date;

#[cfg(test)]
mod testing;
