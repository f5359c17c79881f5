//! The command line.

use std::path::PathBuf;

use carme_config::ServeOptions;
use clap::{Args, Parser, Subcommand};

/// Serves Python web applications from a farm of processes behind one port.
#[derive(Debug, Parser)]
#[command(name = "carme", version, arg_required_else_help = true, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve an application, or what a configuration file says.
    Serve(Box<Serve>),
    /// Check a configuration file, and say all that is wrong with it.
    Check {
        /// The configuration file.
        #[arg(short, long, value_name = "FILE")]
        config: PathBuf,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// The configuration file; the other options are for serving without one.
    #[arg(
        short,
        long,
        value_name = "FILE",
        exclusive = true,
        required_unless_present = "target"
    )]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    options: Options,
}

/// Values stay as they were typed: `carme_config` checks them, and tells of all mistakes at once.
#[derive(Debug, Args)]
struct Options {
    /// `module:attribute`, `module`, or a file (`app.py`, `app.py:app`).
    target: Option<String>,
    /// Where to listen: `127.0.0.1:8000`, `[::1]:8000`, or `unix:PATH` on Linux. Can be given several times
    /// [default: 127.0.0.1:8000].
    #[arg(short, long, value_name = "ADDRESS")]
    bind: Vec<String>,
    /// Worker processes [default: as many as CPUs, at least 2 and at most 8].
    #[arg(short, long, value_name = "N")]
    workers: Option<String>,
    /// Threads of each worker at most; they are created as they are needed [default: 10].
    #[arg(short, long, value_name = "N")]
    threads: Option<String>,
    /// `auto` or `wsgi` [default: auto].
    #[arg(long, value_name = "INTERFACE")]
    interface: Option<String>,
    /// The interpreter, or an environment's folder [default: the active environment, .venv, python3, python or py].
    #[arg(short, long, value_name = "PYTHON")]
    python: Option<String>,
    /// The app's directory [default: the current one].
    #[arg(short, long, value_name = "DIR")]
    directory: Option<String>,
    /// Access log: a file, `-` for standard output, or `off` [default: -].
    #[arg(long, value_name = "FILE")]
    access_log: Option<String>,
    /// The access log's format: a nickname or an Apache LogFormat [default: combined_route].
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
    /// An environment variable for the app. Can be given several times.
    #[arg(short, long, value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// A file of environment variables for the app. Can be given several times.
    #[arg(long, value_name = "FILE")]
    env_file: Vec<String>,
    /// The path below which the app answers [default: /].
    #[arg(long, value_name = "PATH")]
    mount: Option<String>,
    /// Requests that may wait for a free worker [default: 1000].
    #[arg(long, value_name = "N")]
    queue_limit: Option<String>,
    /// How long a request may wait for a free worker [default: 30s].
    #[arg(long, value_name = "TIME")]
    queue_timeout: Option<String>,
    /// How long requests in flight may go on after a stop [default: 30s].
    #[arg(long, value_name = "TIME")]
    graceful_timeout: Option<String>,
    /// The workers' routes, with `{n}` for the number [default: NAME_{n}].
    #[arg(long, value_name = "PATTERN")]
    route: Option<String>,
    /// Python's thread switch interval [default: chosen by Carme].
    #[arg(long, value_name = "TIME")]
    switch_interval: Option<String>,
    /// How long a worker may take to import the app [default: 60s].
    #[arg(long, value_name = "TIME")]
    startup_timeout: Option<String>,
}

impl Serve {
    pub(crate) fn into_options(self) -> ServeOptions {
        let options = self.options;
        ServeOptions {
            target: options.target,
            bind: options.bind,
            workers: options.workers,
            threads: options.threads,
            interface: options.interface,
            python: options.python,
            directory: options.directory,
            access_log: options.access_log,
            log_format: options.log_format,
            env: options.env,
            env_file: options.env_file,
            mount: options.mount,
            queue_limit: options.queue_limit,
            queue_timeout: options.queue_timeout,
            graceful_timeout: options.graceful_timeout,
            route: options.route,
            switch_interval: options.switch_interval,
            startup_timeout: options.startup_timeout,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn options_arrive_as_they_were_typed() {
        let words = [
            "carme",
            "serve",
            "app.py:app",
            "--bind",
            "unix:a",
            "-b",
            ":80",
            "--workers",
            "two",
            "-e",
            "A=b",
        ];
        let Command::Serve(serve) = Cli::try_parse_from(words).unwrap().command else {
            panic!("another command")
        };
        let expected = ServeOptions {
            target: Some("app.py:app".into()),
            bind: vec!["unix:a".into(), ":80".into()],
            workers: Some("two".into()),
            env: vec!["A=b".into()],
            ..ServeOptions::default()
        };
        assert_eq!(serve.into_options(), expected);
    }

    #[test]
    fn a_file_and_a_target_exclude_each_other() {
        assert!(Cli::try_parse_from(["carme", "serve"]).is_err());
        assert!(Cli::try_parse_from(["carme", "serve", "-c", "carme.toml", "app.py"]).is_err());
        assert!(Cli::try_parse_from(["carme", "serve", "-c", "carme.toml"]).is_ok());
    }
}
