//! `carme service …`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use crate::service::ServiceName;

pub(super) const EXAMPLES: &str = "\
Without --name the name is made of the file's: carme-mysite for mysite/carme.toml, carme-shop for shop.toml.
Without --name and --config the file is carme.toml in this folder.

Examples:
  carme service install -c /srv/mysite/carme.toml
  carme service install -c carme.toml --name shop --user shop
  carme service start
  carme service status --name shop
  carme service uninstall --name shop";

#[derive(Debug, Subcommand)]
pub(crate) enum ServiceCommand {
    /// Check the file, and have the system start the server with the machine.
    Install(Install),
    /// Stop the service and remove it; files and logs stay.
    Uninstall(ServiceWhich),
    /// Start it, and wait until it serves.
    Start(ServiceWhich),
    /// Stop it, and wait until its last request is answered.
    Stop(ServiceWhich),
    /// Tell whether it runs.
    Status(ServiceWhich),
    /// What the service control manager starts.
    #[command(hide = true)]
    Run(Run),
}

/// ServiceWhich service is meant.
#[derive(Debug, Args)]
pub(crate) struct ServiceWhich {
    /// The service's name.
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<ServiceName>,
    /// The configuration file that it was installed with.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Install {
    #[command(flatten)]
    pub(crate) which: ServiceWhich,
    /// The account that it runs as. Windows: LocalService, NetworkService, LocalSystem or an account; Linux: a user
    /// [default: LocalService; the owner of the app's folder].
    #[arg(long, value_name = "USER")]
    pub(crate) user: Option<String>,
    /// Windows: read the account's password from standard input instead of asking for it.
    #[arg(long)]
    pub(crate) password_stdin: bool,
    /// When it starts.
    #[arg(long, value_enum, default_value_t = Start::Auto)]
    pub(crate) start: Start,
    /// Print what would be installed, and change nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// When a service starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Start {
    /// With the system.
    Auto,
    /// A while after the system (Windows).
    Delayed,
    /// When it is told to.
    Manual,
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    #[arg(long)]
    pub(crate) name: ServiceName,
    #[arg(short, long)]
    pub(crate) config: PathBuf,
}
