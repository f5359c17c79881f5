//! What can be typed to reach a running server.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

const WHICH: &str = "\
A server that runs alone needs no name. Otherwise -c FILE or --name says which one is meant.
Only the user that runs the server, and root (on Windows: administrators), can
command it.
Exit code: 0 done, 1 not done, 2 wrong command line, 3 no such server.";

pub(super) const STATUS_HELP: &str = "\
In the table of workers:
  WORKER    its route, as in the access log
  STATE     starting: imports the application
            ready: serves
            draining: finishes what it has taken, takes nothing more
            failed: ended, and starts again after a pause
            stopped: over
  PROCESS   its process id
  MEMORY    of its process: the resident set, on Windows the working set
  RESTARTS  how often it ended unexpectedly and was replaced

Above it, for each application: requests that wait because every worker is
busy, how many may wait, and requests that workers are at.

A server that runs alone needs no name. Otherwise -c FILE or --name says which one is meant.
Exit code: 0 it runs, 1 it does not answer, 2 wrong command line, 3 no such server.

Examples:
  carme status
  carme status -c carme.toml --watch
  carme status --name :8000 --json";

pub(super) const RELOAD_HELP: &str = "\
Reads the configuration file again and starts new workers, which take over
when they are ready. If the file is wrong or the application does not start,
nothing changes, the reason is printed, and the exit code is 1.

A server that runs alone needs no name. Otherwise -c FILE or --name says which one is meant.
Exit code: 0 reloaded, 1 not reloaded, 2 wrong command line, 3 no such server.

Examples:
  carme reload
  carme reload -c carme.toml";

pub(super) const STOP_HELP: &str = "\
Takes no new connections, lets requests in flight finish, ends the workers,
and returns when the server has ended.

A server that runs alone needs no name. Otherwise -c FILE or --name says which one is meant.
Exit code: 0 it has ended, 1 it has not, 2 wrong command line, 3 no such server.

Examples:
  carme stop
  carme stop -c carme.toml --timeout 2m
  carme stop --name 4711 --now";

/// Which running server is meant.
#[derive(Debug, Args)]
pub(crate) struct Which {
    /// The server that was started with this file.
    #[arg(short, long, value_name = "FILE", conflicts_with = "name")]
    pub(crate) config: Option<PathBuf>,
    /// The server with this address (`127.0.0.1:8000`, `:8000`), process id or file.
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
}

/// What `carme status` takes.
#[derive(Debug, Args)]
pub(crate) struct StatusOptions {
    #[command(flatten)]
    pub(crate) which: Which,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// Print it again and again, with requests a second, until Ctrl+C; SECONDS apart [default: 1].
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "1", value_parser = seconds)]
    pub(crate) watch: Option<Duration>,
}

/// What `carme stop` takes.
#[derive(Debug, Args)]
pub(crate) struct StopOptions {
    #[command(flatten)]
    pub(crate) which: Which,
    /// How long requests in flight may go on, in place of the configured graceful_timeout.
    #[arg(long, value_name = "T", value_parser = duration, conflicts_with = "now")]
    pub(crate) timeout: Option<Duration>,
    /// Cut requests in flight off.
    #[arg(long)]
    pub(crate) now: bool,
}

/// What can be done with the logs of a running server.
#[derive(Debug, Subcommand)]
pub(crate) enum LogsCommand {
    /// Open the log files anew, after they were renamed or removed.
    #[command(after_help = WHICH)]
    Reopen(Which),
}

fn duration(text: &str) -> Result<Duration, String> {
    carme_config::parse_duration(text).map_err(|mistake| match mistake.cure {
        Some(cure) => format!("{}: {cure}", mistake.what),
        None => mistake.what,
    })
}

fn seconds(text: &str) -> Result<Duration, String> {
    let wrong = || "must be a number of seconds from 0.1 to 3600".to_owned();
    let seconds: f64 = text.parse().map_err(|_| wrong())?;
    if (0.1..=3600.0).contains(&seconds) {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err(wrong())
    }
}
