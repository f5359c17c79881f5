//! What can be typed to reach a running server.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

pub(super) const WHICH: &str = "\
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
            drained: stays empty until `carme enable`
            failed: ended, and starts again after a pause
            stopped: over
  PROCESS   its process id
  AGE       for how long it has served
  REQUESTS  that it has answered
  A SECOND  of these, with --watch
  IN FLIGHT requests that it has taken and not answered yet
  MEMORY    of its process: the resident set, on Windows the working set
  FAILURES  how often one with this name failed: it ended by itself, hung, or
            could not start
  REPLACED  how often one was replaced for another reason: a reload, a restart,
            its age, its memory, its number of requests
  GENERATION, if they differ: 1 at the start, one more with each reload

Above it, for each application: requests that wait because every worker is
busy, how many may wait, requests in flight, and requests answered.
Below it: why workers failed last, and the last lines of those that do not serve.

In the table of a balancer's members:
  MEMBER    its route, or its URL
  STATE     ready, draining (only its own sessions), disabled, stopped, error,
            unhealthy, probation or slow start (comes back), spare, standby
  REQUESTS  that it was chosen for
  IN FLIGHT, MAX  requests that it has, and may have
  WAITING   requests that wait for this member and no other
  IDLE      connections that wait for the next request
  SENT, RECEIVED  bytes to it and from it
  FACTOR, SET  its weight, and which members come first

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

pub(super) const RESTART_HELP: &str = "\
Replaces the worker ROUTE, or all workers of all applications one after
another, with the settings that they have. Each goes on until its successor is
ready; if that does not start, it stays, the reason is printed, and the exit
code is 1. Returns when all is done. Routes are in `carme status`.

A server that runs alone needs no name. Otherwise -c FILE or --name says which one is meant.
Exit code: 0 done, 1 not done, 2 wrong command line, 3 no such server.

Examples:
  carme restart
  carme restart site_2";

pub(super) const DRAIN_HELP: &str = "\
The worker ROUTE finishes what it has, and ends. Its place stays empty, across
reloads, until `carme enable ROUTE`. Returns when it is empty. The last worker
that takes requests is not drained.

A member of a balancer gets nothing new but what its own sessions ask for, across
reloads, until `carme enable ROUTE`. Returns when nothing is in flight there, or
after a minute, with exit code 1. `carme disable` takes its sessions away, too.

A member can be named by its URL, and both by what they belong to: cluster/www_1.

A server that runs alone needs no name. Otherwise -c FILE or --name says which one is meant.
Exit code: 0 done, 1 not done, 2 wrong command line, 3 no such server.

Examples:
  carme drain site_2
  carme drain www_1
  carme drain cluster/www_1";

pub(super) const ENABLE_HELP: &str = "\
Fills the place of a drained worker; returns when it serves.
A member of a balancer that is drained, disabled, stopped, or in error is used again.

A server that runs alone needs no name. Otherwise -c FILE or --name says which one is meant.
Exit code: 0 done, 1 not done, 2 wrong command line, 3 no such server.

Examples:
  carme enable site_2
  carme enable www_1";

pub(super) const SCALE_HELP: &str = "\
Until the next reload, which brings what is configured. Returns at once;
`carme status` shows the workers come and go. Those that go finish what they have.

A server that runs alone needs no name. Otherwise -c FILE or --name says which one is meant.
Exit code: 0 done, 1 not done, 2 wrong command line, 3 no such server.

Examples:
  carme scale site 6";

pub(super) const STACKS_HELP: &str = "\
The worker ROUTE, or every worker, writes the stacks of all its Python threads
into the error log, with the requests that they are at, whatever they are doing.
Nothing is interrupted.

A server that runs alone needs no name. Otherwise -c FILE or --name says which one is meant.
Exit code: 0 done, 1 not done, 2 wrong command line, 3 no such server.

Examples:
  carme stacks
  carme stacks site_2";

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

/// What `carme restart` and `carme stacks` take.
#[derive(Debug, Args)]
pub(crate) struct WorkersOptions {
    /// Only the worker with this name [default: all].
    pub(crate) route: Option<String>,
    #[command(flatten)]
    pub(crate) which: Which,
}

/// What `carme drain` and `carme enable` take.
#[derive(Debug, Args)]
pub(crate) struct RouteOptions {
    /// The worker's or the member's name, as in `carme status`.
    pub(crate) route: String,
    #[command(flatten)]
    pub(crate) which: Which,
}

/// What `carme scale` takes.
#[derive(Debug, Args)]
pub(crate) struct ScaleOptions {
    /// The application's name.
    pub(crate) app: String,
    /// How many workers it is to have.
    #[arg(value_name = "N")]
    pub(crate) workers: u16,
    #[command(flatten)]
    pub(crate) which: Which,
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
