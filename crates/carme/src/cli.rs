//! The command line: what can be typed, and the help that teaches it. Values stay as they were typed;
//! `carme_config` checks them and tells of all mistakes at once.

mod control;
mod members;
mod service;

use std::path::PathBuf;

use carme_config::{DevelopmentOptions, ServeOptions};
use clap::{Args, Parser, Subcommand};

pub(crate) use control::{
    LogsCommand, RouteOptions, ScaleOptions, StatusOptions, StopOptions, Which, WorkersOptions,
};
pub(crate) use members::{BalancerOptions, MemberCommand, MemberOptions, NamedMember};
pub(crate) use service::{Install, ServiceCommand, ServiceWhich, Start};

const EXAMPLES: &str = "\
Examples:
  carme serve app.py                              a file, at http://127.0.0.1:8000
  carme serve mysite.wsgi:application             a module's attribute
  carme serve .                                   this folder's Django or Flask site
  carme serve app.py --bind 0.0.0.0:80 --workers 4
  carme serve -c carme.toml                       what a file says
  carme check -c carme.toml                       what is wrong with it
  carme serve -c httpd.conf                       what Apache's file says
  carme status                                    how the running server is
  carme reload                                    new code and new settings, without a lost request
  carme stop                                      what was begun is finished

  carme service install -c carme.toml             have the system start it";

const SERVE_EXAMPLES: &str = "\
TARGET is one of
  mysite.wsgi                a module; application, app and create_app() are tried
  mysite.wsgi:application    a module and what of it is the application
  shop:create_app()          ... or a function that makes it
  app.py, app.py:app         a file
  ., sites/shop              a folder with manage.py, wsgi.py or app.py

Durations have units: 30s, 500ms, 1m30s.

Examples:
  carme serve app.py
  carme serve . --workers 4 --threads 4 --bind 0.0.0.0:8000
  carme serve \"shop:create_app()\" --env-file .env --mount /shop
  carme serve mysite.wsgi --directory /srv/mysite --python /srv/mysite/.venv
  carme serve app.py --access-log access.log --log-format combined
  carme serve app.py --reload
  carme serve app.py --bind https://0.0.0.0:443 --certificate site.pem --key site.key
  carme serve -c carme.toml";

const CHECK_EXAMPLES: &str = "\
Takes what `carme serve` takes, asks the interpreter what it is, and starts nothing.
The exit code is 0 if nothing is wrong, else 2.

Examples:
  carme check app.py --workers 4
  carme check -c carme.toml";

const CONVERT_EXAMPLES: &str = "\
Looks nothing up and starts nothing. What has no meaning for Carme is told on standard error and in comments.

With the files of a balancer and of all instances on this machine between which it balances, they become one application
with so many workers.

Examples:
  carme convert httpd.conf > carme.toml
  carme convert balancer.conf instance-1.conf instance-2.conf instance-3.conf > carme.toml";

/// Serves Python web applications from a farm of processes behind one port.
#[derive(Debug, Parser)]
#[command(name = "carme", version, arg_required_else_help = true, max_term_width = 110)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve an application, or what a configuration file says.
    #[command(after_help = SERVE_EXAMPLES)]
    Serve(Box<Serving>),
    /// Tell everything that is wrong with a command line or a configuration file, or what it would serve.
    #[command(after_help = CHECK_EXAMPLES)]
    Check(Box<Subject>),
    /// Print the carme.toml that means the same as a file in Apache's syntax.
    #[command(after_help = CONVERT_EXAMPLES)]
    Convert(Apache),
    /// Show how a running server, its applications, workers, balancers and their members are.
    #[command(after_help = control::STATUS_HELP)]
    Status(StatusOptions),
    /// Have a running server read its configuration again and start new workers, without a lost request.
    #[command(after_help = control::RELOAD_HELP)]
    Reload(Which),
    /// Replace workers of a running server, one after another, without a lost request.
    #[command(after_help = control::RESTART_HELP)]
    Restart(WorkersOptions),
    /// Have a worker, or a member of a balancer, finish what it has, and give it nothing new.
    #[command(after_help = control::DRAIN_HELP)]
    Drain(RouteOptions),
    /// Use a worker or a member again that was drained, disabled or stopped.
    #[command(after_help = control::ENABLE_HELP)]
    Enable(RouteOptions),
    /// Give a member of a balancer nothing, not even what its own sessions ask for.
    #[command(after_help = members::DISABLE_HELP)]
    Disable(NamedMember),
    /// Use a member of a balancer only while no other can be used.
    #[command(after_help = members::STANDBY_HELP)]
    Standby(NamedMember),
    /// Change a balancer while the server runs: its method, its sessions, how long requests wait.
    #[command(after_help = members::BALANCER_HELP)]
    Balancer(BalancerOptions),
    /// Change a member of a balancer while the server runs, add one, or remove one.
    #[command(after_help = members::MEMBER_HELP)]
    Member(Box<MemberOptions>),
    /// Have so many workers of an application.
    #[command(after_help = control::SCALE_HELP)]
    Scale(ScaleOptions),
    /// Have workers write what their Python threads are at into the error log.
    #[command(after_help = control::STACKS_HELP)]
    Stacks(WorkersOptions),
    /// Have a running server finish what it has begun, and end.
    #[command(after_help = control::STOP_HELP)]
    Stop(StopOptions),
    /// The logs of a running server.
    #[command(subcommand)]
    Logs(LogsCommand),
    /// Run the server as a service of the system: of Windows, or of systemd.
    #[command(subcommand, after_help = service::EXAMPLES)]
    Service(ServiceCommand),
}

/// Files in Apache's syntax.
#[derive(Debug, Args)]
pub(crate) struct Apache {
    /// `httpd.conf`, and perhaps the files of the instances on this machine between which it balances.
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
}

/// What is to be served, and whether somebody is working on it.
#[derive(Debug, Args)]
pub(crate) struct Serving {
    #[command(flatten)]
    pub(crate) subject: Subject,
    #[command(flatten)]
    development: DevelopmentArguments,
}

/// For the command line alone: a configuration file is for the server that others use.
#[derive(Debug, Args)]
struct DevelopmentArguments {
    /// Reload when the source changes; while it is broken browsers see why, and they reload by themselves. For
    /// development.
    #[arg(long, help_heading = "Development")]
    reload: bool,
    /// Watch this folder and what is below it; may be repeated [default: the applications' folders].
    #[arg(long, value_name = "DIR", requires = "reload", help_heading = "Development")]
    reload_dir: Vec<String>,
    /// Watch files with such names, too; may be repeated [default: code, templates, styles and scripts].
    #[arg(
        long,
        value_name = "PATTERN",
        requires = "reload",
        help_heading = "Development"
    )]
    reload_include: Vec<String>,
}

impl Serving {
    pub(crate) fn development(&self) -> DevelopmentOptions {
        DevelopmentOptions {
            reload: self.development.reload,
            folders: self.development.reload_dir.clone(),
            patterns: self.development.reload_include.clone(),
        }
    }
}

/// What is to be served or checked: a file's content, or a target with options.
#[derive(Debug, Args)]
pub(crate) struct Subject {
    /// Take everything from this file; one that ends with .conf is in Apache's syntax.
    #[arg(short, long, value_name = "FILE", conflicts_with = "Options")]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    options: Options,
}

#[derive(Debug, Args)]
struct Options {
    /// What to serve: a module, a file or a folder.
    target: Option<String>,

    /// Listen here: `127.0.0.1:8000`, `[::1]:8000`, `:8000` for every IPv4 address, each with `https://` before it
    /// for TLS, `unix:PATH` and `systemd:NAME` on Linux; may be repeated [default: 127.0.0.1:8000].
    #[arg(short, long, value_name = "ADDRESS", help_heading = "Server")]
    bind: Vec<String>,
    /// Speak TLS at https:// addresses with this certificate and its chain, in PEM.
    #[arg(long, value_name = "FILE", help_heading = "Server")]
    certificate: Option<String>,
    /// The certificate's private key, in PEM [default: in the certificate's file].
    #[arg(long, value_name = "FILE", help_heading = "Server")]
    key: Option<String>,
    /// Serve below this path: it becomes SCRIPT_NAME [default: /].
    #[arg(long, value_name = "PREFIX", help_heading = "Server")]
    mount: Option<String>,
    /// A proxy, by address or network, whose `X-Forwarded-For` and the like are believed, or `unix`; may be repeated
    /// [default: none].
    #[arg(long, value_name = "CIDR", help_heading = "Server")]
    trusted_proxy: Vec<String>,
    /// How long requests in flight may go on after a stop [default: 30s].
    #[arg(long, value_name = "T", help_heading = "Server")]
    graceful_timeout: Option<String>,

    /// Worker processes, or two numbers between which they follow the load (2-4) [default: as many as CPUs, at least 2
    /// and at most 8].
    #[arg(
        short,
        long,
        value_name = "N|MIN-MAX",
        allow_negative_numbers = true,
        help_heading = "Workers"
    )]
    workers: Option<String>,
    /// Threads that a worker may create [default: 10].
    #[arg(
        short,
        long,
        value_name = "N",
        allow_negative_numbers = true,
        help_heading = "Workers"
    )]
    threads: Option<String>,
    /// `auto` or `wsgi` [default: auto].
    #[arg(long, value_name = "INTERFACE", help_heading = "Workers")]
    interface: Option<String>,
    /// Requests that may wait for a worker; one more gets 503 [default: 1000].
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        help_heading = "Workers"
    )]
    queue_limit: Option<String>,
    /// How long a request may wait for a worker; then it gets 503 [default: 30s].
    #[arg(
        long,
        value_name = "T",
        allow_negative_numbers = true,
        help_heading = "Workers"
    )]
    queue_timeout: Option<String>,
    /// How long the application may take to begin its response; then the client gets 504. `off`: as long as it likes
    /// [default: 60s].
    #[arg(
        long,
        value_name = "T",
        allow_negative_numbers = true,
        help_heading = "Workers"
    )]
    request_timeout: Option<String>,
    // The braces stand in the value's name because clap takes them for a line break everywhere else.
    /// The workers' names, with their number in the braces [default: made of the application's name].
    #[arg(long, value_name = "NAME_{n}", help_heading = "Workers")]
    route: Option<String>,
    /// How long a worker may take to import the application [default: 60s].
    #[arg(long, value_name = "T", help_heading = "Workers")]
    startup_timeout: Option<String>,
    /// Python's switch interval [default: 5ms].
    #[arg(long, value_name = "T", help_heading = "Workers")]
    switch_interval: Option<String>,

    /// The interpreter: a program, or an environment's folder [default: the active environment, .venv, python3].
    #[arg(short, long, value_name = "PYTHON", help_heading = "Application")]
    python: Option<String>,
    /// The application's folder [default: the current one].
    #[arg(short, long, value_name = "DIR", help_heading = "Application")]
    directory: Option<String>,
    /// An environment variable for the workers; may be repeated.
    #[arg(short, long, value_name = "KEY=VALUE", help_heading = "Application")]
    env: Vec<String>,
    /// A file of environment variables, read before --env; may be repeated.
    #[arg(long, value_name = "FILE", help_heading = "Application")]
    env_file: Vec<String>,

    /// A file, `-` for standard output, or `off` [default: -].
    #[arg(long, value_name = "FILE", help_heading = "Access log")]
    access_log: Option<String>,
    /// A nickname (`common`, `combined`, `combined_route`, `json`) or an Apache LogFormat [default: combined_route].
    #[arg(long, value_name = "FORMAT", help_heading = "Access log")]
    log_format: Option<String>,
}

impl Subject {
    pub(crate) fn into_options(self) -> ServeOptions {
        let options = self.options;
        ServeOptions {
            target: options.target,
            bind: options.bind,
            certificate: options.certificate,
            key: options.key,
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
            trusted_proxy: options.trusted_proxy,
            queue_limit: options.queue_limit,
            queue_timeout: options.queue_timeout,
            request_timeout: options.request_timeout,
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
    use clap::error::ErrorKind;

    use super::*;

    fn options(words: &[&str]) -> ServeOptions {
        match Cli::try_parse_from(words).expect("it can be typed").command {
            Command::Serve(serving) => serving.subject.into_options(),
            Command::Check(subject) => subject.into_options(),
            other => panic!("{other:?} is another command"),
        }
    }

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
            "-t",
            "-1",
            "-e",
            "A=b",
            "--access-log",
            "-",
            "--log-format",
            "%h %>s",
        ];
        let expected = ServeOptions {
            target: Some("app.py:app".into()),
            bind: vec!["unix:a".into(), ":80".into()],
            workers: Some("two".into()),
            threads: Some("-1".into()),
            env: vec!["A=b".into()],
            access_log: Some("-".into()),
            log_format: Some("%h %>s".into()),
            ..ServeOptions::default()
        };
        assert_eq!(options(&words), expected);
    }

    #[test]
    fn every_option_has_its_place() {
        let words = "carme check app --bind a --mount b --graceful-timeout c --workers d --threads e --interface f \
                     --queue-limit g --queue-timeout h --route i --startup-timeout j --switch-interval k --python l \
                     --directory m --env n --env-file o --access-log p --log-format q --certificate r --key s --trusted-proxy t \
                     --request-timeout u";
        let words: Vec<&str> = words.split_whitespace().collect();
        let some = |text: &str| Some(text.to_owned());
        let expected = ServeOptions {
            target: some("app"),
            bind: vec!["a".into()],
            mount: some("b"),
            graceful_timeout: some("c"),
            workers: some("d"),
            threads: some("e"),
            interface: some("f"),
            queue_limit: some("g"),
            queue_timeout: some("h"),
            request_timeout: some("u"),
            route: some("i"),
            startup_timeout: some("j"),
            switch_interval: some("k"),
            python: some("l"),
            directory: some("m"),
            env: vec!["n".into()],
            env_file: vec!["o".into()],
            access_log: some("p"),
            log_format: some("q"),
            certificate: some("r"),
            key: some("s"),
            trusted_proxy: vec!["t".into()],
        };
        assert_eq!(options(&words), expected);
    }

    #[test]
    fn a_file_and_a_target_exclude_each_other() {
        for words in [
            &["carme", "serve", "-c", "a.toml", "app.py"][..],
            &["carme", "serve", "-c", "a.toml", "-w", "2"],
        ] {
            let error = Cli::try_parse_from(words).expect_err("they exclude each other");
            assert_eq!(error.kind(), ErrorKind::ArgumentConflict);
        }
        assert!(Cli::try_parse_from(["carme", "serve", "-c", "carme.toml"]).is_ok());
    }

    #[test]
    fn development_goes_with_a_target_and_with_a_file() {
        let words = "carme serve -c a.toml --reload --reload-dir x --reload-dir y --reload-include *.toml";
        let Ok(Cli {
            command: Command::Serve(serving),
        }) = Cli::try_parse_from(words.split(' '))
        else {
            panic!("it can be typed");
        };
        assert_eq!(
            serving.development(),
            DevelopmentOptions {
                reload: true,
                folders: vec!["x".into(), "y".into()],
                patterns: vec!["*.toml".into()],
            }
        );
        assert!(Cli::try_parse_from(["carme", "serve", "app.py", "--reload"]).is_ok());
        for (words, kind) in [
            (
                "carme serve app.py --reload-dir x",
                ErrorKind::MissingRequiredArgument,
            ),
            ("carme check app.py --reload", ErrorKind::UnknownArgument),
        ] {
            let error = Cli::try_parse_from(words.split(' ')).expect_err(words);
            assert_eq!(error.kind(), kind, "{words}");
        }
    }

    #[test]
    fn a_wrong_option_gets_the_nearest() {
        let error =
            Cli::try_parse_from(["carme", "serve", "app.py", "--worker", "2"]).expect_err("there is none");
        assert_eq!((error.kind(), error.exit_code()), (ErrorKind::UnknownArgument, 2));
        assert!(error.to_string().contains("'--workers'"), "{error}");
    }
}
