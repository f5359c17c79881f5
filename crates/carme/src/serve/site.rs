//! From the configured server to what the front serves.

use carme_config::{Bind, Config, Server};
use carme_farm::dispatch::App;
use carme_front::{AccessLog, BindError, Limits, Listener, Location, Site, SiteOptions};

/// Listens everywhere that the configuration names.
pub(super) fn listen(server: &Server) -> Result<Vec<Listener>, BindError> {
    let backlog = i32::try_from(server.limits.backlog.get()).unwrap_or(i32::MAX);
    server
        .listen
        .iter()
        .map(|bind| match bind {
            Bind::Tcp(address) => Listener::tcp(*address, backlog),
            #[cfg(unix)]
            Bind::Unix(path) => Listener::unix(path, backlog),
            #[cfg(not(unix))]
            Bind::Unix(_) => unreachable!("the configuration refuses Unix sockets on Windows"),
        })
        .collect()
}

/// The site of these apps, in the configuration's order. Call it within the runtime that serves it.
pub(super) fn site(config: &Config, access_logs: Vec<AccessLog>, apps: &[App]) -> Site<App> {
    let (limits, timeouts) = (&config.server.limits, &config.server.timeouts);
    let limits = Limits {
        header_bytes: limits.header.as_usize(),
        body_bytes: limits.body.as_u64(),
        body_memory: limits.body_memory.as_usize(),
        header_timeout: timeouts.header,
        body_timeout: timeouts.body,
        keep_alive_timeout: timeouts.keep_alive,
        ..Limits::default()
    };
    let options = SiteOptions {
        limits,
        access_logs,
        ..SiteOptions::default()
    };
    let locations = config.locations.iter().filter_map(|location| {
        let app = apps.get(location.app)?;
        Some(Location::new(location.path.script_name(), app.clone()))
    });
    Site::new(options, locations)
}
