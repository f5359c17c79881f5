//! TLS on accepted connections. The handshake belongs to the connection's own task: a slow one blocks nobody, has the
//! header timeout as its deadline, and counts against the limit of connections like everything that is open.
//!
//! What comes out of it is a byte stream like any other; guard and hyper do not know the difference.

mod stream;

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use carme_ring::frame::Variables;
use carme_tls::{Refreshed, Tls};
use tokio::io::ReadBuf;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use crate::app::Application;
use crate::connection;
use crate::crowd::Admission;
use crate::current::Current;
use crate::metrics::Handshake;
use crate::patience::{Interrupted, attended};
use crate::state::ConnectionState;
use stream::{Secured, Socket};

/// How often the files of certificates are looked at. They must stay the same for two looks before they are read.
const REFRESH: Duration = Duration::from_secs(5);

/// How often what is wrong with the certificates in use is said again.
const REMINDER: Duration = Duration::from_secs(24 * 60 * 60);

/// What lies between the client and the bytes of HTTP.
#[derive(Debug)]
pub(crate) enum Security {
    /// TLS, with what the application shall know of it.
    Tls(Session),
    /// Nothing, although this address speaks TLS: the client has taken it for another.
    MissingTls,
}

/// A connection's TLS session.
#[derive(Debug)]
pub(crate) struct Session {
    /// What is known of it, also under mod_ssl's names.
    pub(crate) facts: carme_tls::Session,
    /// The same for `environ`, encoded once.
    pub(crate) variables: Variables,
}

/// Serves one client of an address that speaks TLS.
pub(crate) async fn run<A: Application>(
    socket: TcpStream,
    tls: Arc<Tls>,
    state: Arc<ConnectionState>,
    current: Current<A>,
    admission: Admission,
) {
    let client = state.ends.client_text();
    let count = |ended| {
        if let Some(metrics) = &current.site().common.metrics {
            metrics.handshake(ended);
        }
    };
    let mut first = [0];
    let peeked = attended(
        &state,
        poll_fn(|cx| socket.poll_peek(cx, &mut ReadBuf::new(&mut first))),
    )
    .await;
    match peeked {
        Ok(Ok(1..)) => {}
        // It came and went without a word, as it may on any connection.
        Ok(Ok(0) | Err(_)) | Err(_) => return,
    }
    // Every method begins with a letter, and no record of TLS does.
    if first[0].is_ascii_uppercase() {
        state.secure(Security::MissingTls);
        return connection::run(socket, state, current, admission).await;
    }
    let acceptor = TlsAcceptor::from(tls.config());
    let socket = Socket::new(socket, Arc::clone(&state));
    // rustls' own state is large; it is on the heap only as long as it is needed.
    let handshake = attended(&state, Box::pin(acceptor.accept(socket))).await;
    let stream = match handshake {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            count(Handshake::Failed);
            return complain(client, &error);
        }
        Err(Interrupted::Late) => {
            count(Handshake::Failed);
            tracing::info!(client = %client, "the TLS handshake did not end in time");
            return;
        }
        Err(Interrupted::ByServer) => return,
    };
    let facts = carme_tls::session(stream.get_ref().1, tls.asks_clients());
    count(if facts.resumed {
        Handshake::Resumed
    } else {
        Handshake::Full
    });
    let mut variables = Variables::default();
    for (name, value) in &facts.variables {
        variables.push(name.as_bytes(), value.as_bytes());
    }
    state.secure(Security::Tls(Session { facts, variables }));
    if let Some(Session { facts, .. }) = state.tls() {
        tracing::debug!(client = %client, protocol = facts.protocol, cipher = facts.cipher, resumed = facts.resumed, "TLS");
    }
    connection::run(Secured::new(stream), Arc::clone(&state), current, admission).await;
}

/// Scanners and clients with other ideas are everyday; clients without the right certificate are worth knowing of.
fn complain(client: &str, error: &io::Error) {
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => {
            tracing::debug!(client = %client, "the client left within the TLS handshake: {error}");
        }
        _ => tracing::info!(client = %client, "the TLS handshake failed: {error}"),
    }
}

/// Follows the files of one address's certificates. Never ends.
pub(crate) async fn watch(tls: Arc<Tls>) {
    let mut reminded = tokio::time::Instant::now();
    remind(&tls);
    loop {
        tokio::time::sleep(REFRESH).await;
        let looked = {
            let tls = Arc::clone(&tls);
            tokio::task::spawn_blocking(move || tls.refresh()).await
        };
        match looked {
            Ok(Refreshed::Unchanged | Refreshed::Unsettled) | Err(_) => {}
            Ok(Refreshed::Reloaded) => {
                for certificate in &*tls.certificates() {
                    tracing::info!(
                        "the certificate for {} was read again from {}",
                        certificate.subject(),
                        certificate.source.certificate().display()
                    );
                }
                remind(&tls);
                reminded = tokio::time::Instant::now();
            }
            Ok(Refreshed::Kept(error)) => {
                tracing::error!("the new certificates are not used, those from before are: {error}");
            }
        }
        if reminded.elapsed() >= REMINDER {
            reminded = tokio::time::Instant::now();
            remind(&tls);
        }
    }
}

/// Says which certificates clients refuse, or soon will.
fn remind(tls: &Tls) {
    let now = std::time::SystemTime::now();
    for certificate in &*tls.certificates() {
        if let Some(complaint) = certificate.complaint(now) {
            tracing::warn!(
                "the certificate for {} in {} {complaint}",
                certificate.subject(),
                certificate.source.certificate().display()
            );
        }
    }
}
