//! From the configured server to what the front serves.

use std::sync::Arc;

use carme_config::{Answers, Bind, Config, Markup, TrustedProxy};
use carme_front::{
    AccessLog, BindError, ClientHeader, ErrorPage, ErrorPages, ForwardedFields, Https, Limits, Listener,
    Proxies, Site, SiteOptions, Tls,
};

/// An address that cannot be served.
#[derive(Debug, thiserror::Error)]
pub(super) enum ListenError {
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error(transparent)]
    Passed(#[from] PassedError),
    #[error("TLS: {0}")]
    Tls(#[from] carme_tls::LoadError),
}

use super::monitor::Watch;

use super::balancers::Balanced;
use super::develop::{self, Served};
use super::locations;
use super::passed::{self, PassedError};

/// What `https://` addresses are to be served with.
pub(super) fn tls(config: &Config) -> Result<Option<Tls>, ListenError> {
    let load = |tls: &carme_config::Tls| Tls::load(tls.settings.clone());
    Ok(config.tls.as_ref().map(load).transpose()?)
}

/// Listens at one address that the configuration names, by its index there. Only sockets that were passed can be several.
pub(super) fn listen(
    config: &Config,
    at: usize,
    tls: Option<&Arc<Tls>>,
) -> Result<Vec<Listener>, ListenError> {
    let backlog = i32::try_from(config.server.limits.backlog.get()).unwrap_or(i32::MAX);
    let bind = &config.server.listen[at];
    let announces = config.server.proxies.protocol_at.get(&at);
    let tls = tls.filter(|_| bind.is_tls());
    let complete = |mut listener: Listener| {
        if let Some(on) = announces {
            listener = listener.with_proxy_protocol(*on);
        }
        match tls {
            Some(tls) => listener.with_tls(Arc::clone(tls)),
            None => listener,
        }
    };
    Ok(listen_at(bind, backlog)?.into_iter().map(complete).collect())
}

/// Listens at one address, for plain HTTP.
pub(super) fn listen_at(bind: &Bind, backlog: i32) -> Result<Vec<Listener>, ListenError> {
    Ok(match bind {
        Bind::Tcp(address) | Bind::Tls(address) => vec![Listener::tcp(*address, backlog)?],
        Bind::Passed { name, .. } => passed::listen(name)?,
        #[cfg(unix)]
        Bind::Unix(path) => vec![Listener::unix(path, backlog)?],
        #[cfg(not(unix))]
        Bind::Unix(_) => unreachable!("the configuration refuses Unix sockets on Windows"),
    })
}

/// The site of these apps, in the configuration's order.
pub(super) fn site(
    config: &Config,
    access_logs: Vec<AccessLog>,
    apps: &[Served],
    balancers: &[Arc<Balanced>],
    secure_port: Option<u16>,
    watch: &Arc<Watch>,
) -> Site<Served> {
    let (limits, timeouts) = (&config.server.limits, &config.server.timeouts);
    let limits = Limits {
        connections: limits.connections.get(),
        connections_per_address: limits.connections_per_address,
        header_bytes: limits.header.as_usize(),
        header_fields: limits.headers.get(),
        target_bytes: limits.uri.as_usize(),
        body_bytes: limits.body.as_u64(),
        body_memory: limits.body_memory.as_usize(),
        body_rate: limits.body_rate.as_u64(),
        header_timeout: timeouts.header,
        body_timeout: timeouts.body,
        keep_alive_timeout: timeouts.keep_alive,
        send_timeout: timeouts.send,
        send_rate: limits.send_rate.as_u64(),
        linger_timeout: timeouts.linger,
    };
    let options = SiteOptions {
        limits,
        proxies: proxies(&config.server.proxies),
        access_logs,
        https: https(config, secure_port),
        error_pages: error_pages(config, apps.iter().any(|app| app.live.is_some())),
        metrics: watch.metrics(),
        monitor: watch.public_pages(&config.monitor),
        traces: watch.traces(config),
        policy: locations::policy(&config.server.policy),
        ..SiteOptions::default()
    };
    let locations = config
        .locations
        .iter()
        .filter_map(|location| locations::location(config, location, apps, balancers));
    Site::new(options, locations)
}

/// How clients are brought to TLS. A port that the system chose is known from its listener only.
fn https(config: &Config, secure_port: Option<u16>) -> Https {
    let Some(tls) = &config.tls else {
        return Https::default();
    };
    Https {
        redirect_to: match tls.redirect_to {
            Some(0) => secure_port,
            port => port,
        },
        hsts: tls.hsts,
    }
}

/// Whom the front is to believe about clients.
fn proxies(configured: &carme_config::Proxies) -> Proxies {
    let carme_config::ForwardedFields { proto, host, port } = configured.fields;
    let networks = configured.trusted.iter().filter_map(|proxy| match proxy {
        TrustedProxy::Network(network) => Some(*network),
        TrustedProxy::Unix => None,
    });
    Proxies {
        networks: networks.collect(),
        unix: configured.trusted.contains(&TrustedProxy::Unix),
        header: match configured.header {
            carme_config::ClientHeader::XForwardedFor => ClientHeader::XForwardedFor,
            carme_config::ClientHeader::Forwarded => ClientHeader::Forwarded,
            carme_config::ClientHeader::XRealIp => ClientHeader::XRealIp,
        },
        fields: ForwardedFields { proto, host, port },
        protocol: configured.protocol,
    }
}

/// The user's pages. In development they reload, too, and so does one for what an app makes wrong.
fn error_pages(config: &Config, is_development: bool) -> ErrorPages {
    let mut pages: Vec<_> = config
        .error_pages
        .iter()
        .map(|page| ErrorPage {
            statuses: match page.answers {
                Answers::Status(status) => status..=status,
                Answers::Class(class) => class * 100..=class * 100 + 99,
            },
            markup: match page.markup {
                Markup::Html => carme_front::Markup::Html,
                Markup::Plain => carme_front::Markup::Plain,
            },
            text: page.text.clone(),
        })
        .collect();
    let is_app = |location: &&carme_config::Location| matches!(location.answer, carme_config::Answer::App(_));
    if is_development && let Some(location) = config.locations.iter().find(is_app) {
        let mount = location.path.script_name();
        for page in &mut pages {
            if page.markup == carme_front::Markup::Html {
                page.text.push_str(&develop::tag(mount));
            }
        }
        pages.push(ErrorPage {
            statuses: 500..=599,
            markup: carme_front::Markup::Html,
            text: develop::failure_page(mount),
        });
    }
    ErrorPages::new(pages)
}
