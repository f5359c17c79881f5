//! `--reload`: the source is followed while somebody works on it. A change reloads the server; while what is there cannot
//! be served, browsers see why; and they reload by themselves ([`served`]).

mod live;
mod page;
mod served;
mod source;
mod tree;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use carme_config::{Bind, Config};
use carme_front::Insight;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::server::Server;

pub(super) use live::{Broken, Live};
pub(super) use served::Served;
use source::Source;

/// What brings the script into a page of the front's own; `mount` is where an app is.
pub(super) fn tag(mount: &str) -> String {
    page::tag(mount.trim_end_matches('/').as_bytes(), None)
}

/// The page for what goes wrong with a request, as the front takes it, which reloads after a change.
pub(super) fn failure_page(mount: &str) -> String {
    page::failure(&tag(mount))
}

/// How often it is looked whether an app that did not start does now without any change: its database is there again.
const LOOK: Duration = Duration::from_millis(500);

/// What follows the source.
pub(super) struct Development {
    source: Source,
    live: Arc<Live>,
}

impl Development {
    /// Looks at the source; to be called before any worker does. Blocks.
    pub(super) fn new(wanted: &carme_config::Development, config: &Config) -> Self {
        for bind in &config.server.listen {
            if is_public(bind) {
                tracing::warn!(
                    "development: whoever reaches {bind} can see tracebacks of a broken application"
                );
            }
        }
        Development {
            source: Source::new(wanted),
            live: Arc::new(Live::new()),
        }
    }

    /// What the front and its apps share.
    pub(super) fn live(&self) -> Arc<Live> {
        Arc::clone(&self.live)
    }

    /// Reloads the server after each change, until it stops.
    pub(super) fn follow(self, server: Arc<Server>) -> JoinSet<()> {
        let Development { mut source, live } = self;
        // A change that comes during a reload is told after it.
        let (changes, told) = mpsc::channel(16);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            loop {
                let changed = source.changed().await;
                if changes.send(changed).await.is_err() {
                    return;
                }
            }
        });
        tasks.spawn(follow(server, live, told));
        tasks
    }
}

async fn follow(server: Arc<Server>, live: Arc<Live>, mut changes: mpsc::Receiver<Vec<PathBuf>>) {
    loop {
        let time_to_look = async {
            live.did_not_start().await;
            tokio::time::sleep(LOOK).await;
        };
        tokio::select! {
            () = server.shutdown.begun() => break,
            () = time_to_look => {
                if server.now().watch.apps().iter().all(|app| app.ready > 0) {
                    live.works();
                }
            }
            Some(mut changed) = changes.recv() => {
                while let Ok(more) = changes.try_recv() {
                    changed.extend(more);
                }
                reload(&server, &live, &changed).await;
            }
        }
    }
    live.end();
}

async fn reload(server: &Server, live: &Live, changed: &[PathBuf]) {
    match server.reload(&told(changed)).await {
        Ok(_) => live.works(),
        Err(refused) => live.broke(Broken {
            message: refused.message,
            traceback: refused.traceback,
            is_start: false,
        }),
    }
}

/// For the log: "a change of app.py".
fn told(changed: &[PathBuf]) -> String {
    let name = changed.first().and_then(|path| path.file_name()).map_or_else(
        || "the source".into(),
        |name| Path::new(name).display().to_string(),
    );
    match changed.len() {
        0 | 1 => format!("a change of {name}"),
        2 => format!("a change of {name} and another file"),
        many => format!("a change of {name} and {} other files", many - 1),
    }
}

fn is_public(bind: &Bind) -> bool {
    let is_outside = |ip: IpAddr| !ip.is_loopback();
    match bind {
        Bind::Tcp(address) | Bind::Tls(address) => is_outside(address.ip()),
        Bind::Unix(_) => false,
        // A service's: it is hardly for one person alone.
        Bind::Passed { .. } => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_told_by_the_first_and_their_number() {
        let paths = |names: &[&str]| names.iter().map(PathBuf::from).collect::<Vec<_>>();
        for (names, expected) in [
            (&["/a/app.py"][..], "a change of app.py"),
            (&["/a/app.py", "/a/b.py"], "a change of app.py and another file"),
            (&["a.py", "b", "c"], "a change of a.py and 2 other files"),
        ] {
            assert_eq!(told(&paths(names)), expected);
        }
    }

    #[test]
    fn who_else_can_see_it() {
        for (text, expected) in [
            ("127.0.0.1:8000", false),
            ("[::1]:0", false),
            (":8000", true),
            ("192.0.2.1:80", true),
        ] {
            let bind = Bind::parse(text, Path::new("/")).expect(text);
            assert_eq!(is_public(&bind), expected, "{text}");
        }
    }
}
