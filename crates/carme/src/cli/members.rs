//! What can be typed to change balancers and their members in a running server.

use std::collections::BTreeMap;

use clap::{Args, Subcommand, ValueEnum};

use super::control::Which;

pub(super) const DISABLE_HELP: &str = "\
What it has goes on; requests of its sessions go to other members, or get 503 with
nofailover. `carme enable MEMBER` takes it back. To let it keep its sessions for a
while: `carme drain MEMBER`. It is named by its route, its URL, or cluster/www_1.

A server that runs alone needs no name. Otherwise -c FILE or --name says which one is meant.
Exit code: 0 done, 1 not done, 2 wrong command line, 3 no such server.

Examples:
  carme disable www_1
  carme disable http://192.168.0.10:9001";

pub(super) const STANDBY_HELP: &str = "\
A hot standby gets requests when no other member of its set can be used.
`carme member BALANCER MEMBER --standby off` makes it an ordinary one again.
It is named by its route, its URL, or cluster/www_1.

A server that runs alone needs no name. Otherwise -c FILE or --name says which one is meant.
Exit code: 0 done, 1 not done, 2 wrong command line, 3 no such server.

Examples:
  carme standby www_3";

pub(super) const BALANCER_HELP: &str = "\
Changes apply at once, also to requests that wait. They stay over reloads, and with
`persist = true` in [balancers.NAME] over restarts. `carme status --json` shows them.

A server that runs alone needs no name. Otherwise -c FILE or --name says which one is meant.
Exit code: 0 done, 1 not done, 2 wrong command line, 3 no such server.

Examples:
  carme balancer cluster --method bybusyness
  carme balancer cluster --stickysession ROUTEID --nofailover on
  carme balancer cluster --stickysession -";

pub(super) const MEMBER_HELP: &str = "\
MEMBER is its route, or its URL, as in `carme status`. Changes apply at once, stay
over reloads, and with `persist = true` in [balancers.NAME] over restarts.
A member that is removed finishes what it has; added again, it is as configured.
`-` takes a value away: --route -.

A server that runs alone needs no name. Otherwise -c FILE or --name says which one is meant.
Exit code: 0 done, 1 not done, 2 wrong command line, 3 no such server.

Examples:
  carme member cluster www_1 --loadfactor 5 --lbset 1
  carme member cluster www_1 --standby --ignore-errors off
  carme member add cluster http://192.168.0.10:9004 --route www_4 --max 10
  carme member remove cluster www_4";

/// A member and nothing else.
#[derive(Debug, Args)]
pub(crate) struct NamedMember {
    /// Its name, as in `carme status`.
    #[arg(value_name = "MEMBER")]
    pub(crate) member: String,
    #[command(flatten)]
    pub(crate) which: Which,
}

/// What `carme balancer` takes.
#[derive(Debug, Args)]
#[command(override_usage = "carme balancer [OPTIONS] <BALANCER>")]
pub(crate) struct BalancerOptions {
    /// The balancer's name.
    #[arg(value_name = "BALANCER")]
    pub(crate) balancer: String,
    #[command(flatten)]
    settings: BalancerSettings,
    #[command(flatten)]
    pub(crate) which: Which,
}

#[derive(Debug, Args)]
#[group(multiple = true)]
struct BalancerSettings {
    /// How the next member is chosen: queue, byrequests, bytraffic, bybusyness, ewma, hash.
    #[arg(long, value_name = "METHOD")]
    method: Option<String>,
    /// How long a request may wait for a member.
    #[arg(long, value_name = "T")]
    timeout: Option<String>,
    /// How many members more are tried; `-`: all.
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    maxattempts: Option<String>,
    /// 503 if a client's own member cannot be used.
    #[arg(long, value_name = "on|off", num_args = 0..=1, default_missing_value = "on", hide_possible_values = true)]
    nofailover: Option<Switch>,
    /// Clients stay at their member: COOKIE or COOKIE|PARAMETER; `-`: they do not.
    #[arg(long, value_name = "COOKIE", allow_hyphen_values = true)]
    stickysession: Option<String>,
    /// What stands before the route in it, or off.
    #[arg(long, value_name = "CHARACTER", allow_hyphen_values = true)]
    stickysessionsep: Option<String>,
    /// A semicolon, too, ends a parameter of the path.
    #[arg(long, value_name = "on|off", num_args = 0..=1, default_missing_value = "on", hide_possible_values = true)]
    scolonpathdelim: Option<Switch>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Switch {
    On,
    Off,
}

impl Switch {
    fn as_str(self) -> &'static str {
        match self {
            Switch::On => "on",
            Switch::Off => "off",
        }
    }
}

/// What `carme member` takes.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
#[command(override_usage = "carme member [OPTIONS] <BALANCER> <MEMBER>\n       \
    carme member add [OPTIONS] <BALANCER> <URL>\n       carme member remove <BALANCER> <MEMBER>")]
pub(crate) struct MemberOptions {
    #[command(subcommand)]
    pub(crate) command: Option<MemberCommand>,
    #[command(flatten)]
    pub(crate) change: ChangeMember,
}

/// What else can be done with a member.
#[derive(Debug, Subcommand)]
pub(crate) enum MemberCommand {
    /// Add a member.
    Add(Box<AddMember>),
    /// Remove a member; what it has goes on.
    Remove(RemoveMember),
}

/// Which settings of a member are to be others.
#[derive(Debug, Args)]
pub(crate) struct ChangeMember {
    /// The balancer's name.
    #[arg(value_name = "BALANCER", required = true)]
    balancer: Option<String>,
    /// The member's route or URL.
    #[arg(value_name = "MEMBER", required = true)]
    member: Option<String>,
    #[command(flatten)]
    settings: MemberSettings,
    #[command(flatten)]
    pub(crate) which: Which,
}

/// Which member is to be added.
#[derive(Debug, Args)]
pub(crate) struct AddMember {
    /// The balancer's name.
    #[arg(value_name = "BALANCER")]
    pub(crate) balancer: String,
    /// Where it is: http://HOST:PORT, https, h2c or h2.
    #[arg(value_name = "URL")]
    pub(crate) url: String,
    #[command(flatten)]
    settings: MemberSettings,
    #[command(flatten)]
    connections: Connections,
    #[command(flatten)]
    pub(crate) which: Which,
}

/// Which member is to be removed.
#[derive(Debug, Args)]
pub(crate) struct RemoveMember {
    /// The balancer's name.
    #[arg(value_name = "BALANCER")]
    pub(crate) balancer: String,
    /// The member's route or URL.
    #[arg(value_name = "MEMBER")]
    pub(crate) member: String,
    #[command(flatten)]
    pub(crate) which: Which,
}

#[derive(Debug, Args)]
#[group(multiple = true)]
struct MemberSettings {
    /// Its weight, 1 to 100.
    #[arg(long, value_name = "N")]
    loadfactor: Option<String>,
    /// Its set, 0 to 99: a lower one comes first.
    #[arg(long, value_name = "N")]
    lbset: Option<String>,
    /// Requests that it may have.
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    max: Option<String>,
    /// Its name in cookies and logs.
    #[arg(long, value_name = "ROUTE", allow_hyphen_values = true)]
    route: Option<String>,
    /// The route that gets its sessions while it cannot be used.
    #[arg(long, value_name = "ROUTE", allow_hyphen_values = true)]
    redirect: Option<String>,
    /// Only requests of its own sessions.
    #[arg(long, value_name = "on|off", num_args = 0..=1, default_missing_value = "on", hide_possible_values = true)]
    drain: Option<Switch>,
    /// No requests.
    #[arg(long, value_name = "on|off", num_args = 0..=1, default_missing_value = "on", hide_possible_values = true)]
    disable: Option<Switch>,
    /// No requests and no checks.
    #[arg(long, value_name = "on|off", num_args = 0..=1, default_missing_value = "on", hide_possible_values = true)]
    stop: Option<Switch>,
    /// Only while no other of its set can be used.
    #[arg(long, value_name = "on|off", num_args = 0..=1, default_missing_value = "on", hide_possible_values = true)]
    standby: Option<Switch>,
    /// In the place of one that cannot be used.
    #[arg(long, value_name = "on|off", num_args = 0..=1, default_missing_value = "on", hide_possible_values = true)]
    spare: Option<Switch>,
    /// Its errors never take it out.
    #[arg(long, value_name = "on|off", num_args = 0..=1, default_missing_value = "on", hide_possible_values = true)]
    ignore_errors: Option<Switch>,
    /// Whether it counts as failed by its health check.
    #[arg(long, value_name = "on|off", num_args = 0..=1, default_missing_value = "on", hide_possible_values = true)]
    unhealthy: Option<Switch>,
    /// How it is asked whether it is well: get, head, options, tcp, none.
    #[arg(long, value_name = "METHOD", help_heading = "Health check")]
    hcmethod: Option<String>,
    /// How often.
    #[arg(long, value_name = "T", help_heading = "Health check")]
    hcinterval: Option<String>,
    /// Good answers in a row that bring it back.
    #[arg(long, value_name = "N", help_heading = "Health check")]
    hcpasses: Option<String>,
    /// Bad ones that take it out.
    #[arg(long, value_name = "N", help_heading = "Health check")]
    hcfails: Option<String>,
    /// What is added to its URL.
    #[arg(
        long,
        value_name = "PATH",
        allow_hyphen_values = true,
        help_heading = "Health check"
    )]
    hcuri: Option<String>,
    /// Good statuses: 2xx,401.
    #[arg(
        long,
        value_name = "STATUSES",
        allow_hyphen_values = true,
        help_heading = "Health check"
    )]
    hcexpect_status: Option<String>,
    /// A text that a good answer has.
    #[arg(
        long,
        value_name = "TEXT",
        allow_hyphen_values = true,
        help_heading = "Health check"
    )]
    hcexpect_contains: Option<String>,
    /// A text that it has not.
    #[arg(
        long,
        value_name = "TEXT",
        allow_hyphen_values = true,
        help_heading = "Health check"
    )]
    hcexpect_lacks: Option<String>,
}

/// What only a member that comes can be given.
#[derive(Debug, Args)]
#[group(multiple = true)]
struct Connections {
    /// Connections that are kept.
    #[arg(long, value_name = "N", help_heading = "Connections")]
    min: Option<String>,
    /// Idle ones beyond it are closed after ttl.
    #[arg(long, value_name = "N", help_heading = "Connections")]
    smax: Option<String>,
    /// How long one may idle.
    #[arg(long, value_name = "T", help_heading = "Connections")]
    ttl: Option<String>,
    /// How long a request may wait for one.
    #[arg(long, value_name = "T", help_heading = "Connections")]
    acquire: Option<String>,
    /// How long it may be silent.
    #[arg(long, value_name = "T", help_heading = "Connections")]
    timeout: Option<String>,
    /// How long a connection may take.
    #[arg(long, value_name = "T", help_heading = "Connections")]
    connectiontimeout: Option<String>,
    /// How long it rests after a failure.
    #[arg(long, value_name = "T", help_heading = "Connections")]
    retry: Option<String>,
    /// How long it may take to say that it takes a request with a body.
    #[arg(long, value_name = "T", help_heading = "Connections")]
    ping: Option<String>,
    /// One connection for each request.
    #[arg(long, value_name = "on|off", num_args = 0..=1, default_missing_value = "on", hide_possible_values = true, help_heading = "Connections")]
    disablereuse: Option<Switch>,
    /// The system tests idle connections.
    #[arg(long, value_name = "on|off", num_args = 0..=1, default_missing_value = "on", hide_possible_values = true, help_heading = "Connections")]
    keepalive: Option<Switch>,
    /// Protocols that clients may change to: any, none, or one.
    #[arg(long, value_name = "PROTOCOL", help_heading = "Connections")]
    upgrade: Option<String>,
    /// Its name is looked up again after so long.
    #[arg(long, value_name = "T", help_heading = "Connections")]
    addressttl: Option<String>,
}

/// Those that were given, by their names in `carme.toml`.
fn given<const N: usize>(settings: [(&str, Option<&str>); N]) -> BTreeMap<String, String> {
    let given = settings
        .into_iter()
        .filter_map(|(key, value)| Some((key.to_owned(), value?.to_owned())));
    given.collect()
}

fn switched(switch: Option<Switch>) -> Option<&'static str> {
    switch.map(Switch::as_str)
}

impl BalancerOptions {
    /// What was given, by the names in `carme.toml`.
    pub(crate) fn settings(&self) -> BTreeMap<String, String> {
        let settings = &self.settings;
        given([
            ("method", settings.method.as_deref()),
            ("timeout", settings.timeout.as_deref()),
            ("maxattempts", settings.maxattempts.as_deref()),
            ("nofailover", switched(settings.nofailover)),
            ("stickysession", settings.stickysession.as_deref()),
            ("stickysessionsep", settings.stickysessionsep.as_deref()),
            ("scolonpathdelim", switched(settings.scolonpathdelim)),
        ])
    }
}

impl ChangeMember {
    /// The balancer's name; the command line asks for it.
    pub(crate) fn balancer(&self) -> &str {
        self.balancer.as_deref().unwrap_or_default()
    }

    /// The member's name, as well.
    pub(crate) fn member(&self) -> &str {
        self.member.as_deref().unwrap_or_default()
    }

    /// What was given, by the names in `carme.toml`.
    pub(crate) fn settings(&self) -> BTreeMap<String, String> {
        self.settings.values()
    }
}

impl AddMember {
    /// What was given, by the names in `carme.toml`.
    pub(crate) fn settings(&self) -> BTreeMap<String, String> {
        let mut values = self.settings.values();
        values.extend(self.connections.values());
        values
    }
}

impl MemberSettings {
    fn values(&self) -> BTreeMap<String, String> {
        let mut letters = String::new();
        for (letter, switch) in [
            ('N', self.drain),
            ('D', self.disable),
            ('S', self.stop),
            ('H', self.standby),
            ('R', self.spare),
            ('I', self.ignore_errors),
            ('C', self.unhealthy),
        ] {
            match switch {
                Some(Switch::On) => letters.extend(['+', letter]),
                Some(Switch::Off) => letters.extend(['-', letter]),
                None => {}
            }
        }
        given([
            (
                "status",
                Some(letters.as_str()).filter(|letters| !letters.is_empty()),
            ),
            ("loadfactor", self.loadfactor.as_deref()),
            ("lbset", self.lbset.as_deref()),
            ("max", self.max.as_deref()),
            ("route", self.route.as_deref()),
            ("redirect", self.redirect.as_deref()),
            ("hcmethod", self.hcmethod.as_deref()),
            ("hcinterval", self.hcinterval.as_deref()),
            ("hcpasses", self.hcpasses.as_deref()),
            ("hcfails", self.hcfails.as_deref()),
            ("hcuri", self.hcuri.as_deref()),
            ("hcexpect.status", self.hcexpect_status.as_deref()),
            ("hcexpect.contains", self.hcexpect_contains.as_deref()),
            ("hcexpect.lacks", self.hcexpect_lacks.as_deref()),
        ])
    }
}

impl Connections {
    fn values(&self) -> BTreeMap<String, String> {
        given([
            ("min", self.min.as_deref()),
            ("smax", self.smax.as_deref()),
            ("ttl", self.ttl.as_deref()),
            ("acquire", self.acquire.as_deref()),
            ("timeout", self.timeout.as_deref()),
            ("connectiontimeout", self.connectiontimeout.as_deref()),
            ("retry", self.retry.as_deref()),
            ("ping", self.ping.as_deref()),
            ("disablereuse", switched(self.disablereuse)),
            ("keepalive", switched(self.keepalive)),
            ("upgrade", self.upgrade.as_deref()),
            ("addressttl", self.addressttl.as_deref()),
        ])
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn typed(words: &str) -> Result<Command, clap::Error> {
        Cli::try_parse_from(words.split(' ')).map(|cli| cli.command)
    }

    fn member(words: &str) -> MemberOptions {
        match typed(words).expect("it can be typed") {
            Command::Member(options) => *options,
            other => panic!("{other:?} is another command"),
        }
    }

    fn pairs(settings: BTreeMap<String, String>) -> Vec<String> {
        let pair = |(key, value): (String, String)| format!("{key}={value}");
        settings.into_iter().map(pair).collect()
    }

    #[test]
    fn a_member_is_changed_added_and_removed() {
        let words = "carme member cluster www_1 --loadfactor 5 --disable --standby off --redirect -";
        let MemberOptions { command, change } = member(words);
        assert!(command.is_none());
        assert_eq!((change.balancer(), change.member()), ("cluster", "www_1"));
        assert_eq!(
            pairs(change.settings()),
            ["loadfactor=5", "redirect=-", "status=+D-H"]
        );

        let words = "carme member add cluster http://a:1 --route www_4 --ttl 120s --hcexpect-status 2xx,401";
        let Some(MemberCommand::Add(add)) = member(words).command else {
            panic!("one is added");
        };
        assert_eq!(
            pairs(add.settings()),
            ["hcexpect.status=2xx,401", "route=www_4", "ttl=120s"]
        );
        typed("carme member add cluster http://a:1").expect("with the defaults of everything");

        let removed = member("carme member remove cluster www_4 -c carme.toml");
        let Some(MemberCommand::Remove(remove)) = removed.command else {
            panic!("one is removed");
        };
        assert_eq!(
            (remove.balancer.as_str(), remove.member.as_str()),
            ("cluster", "www_4")
        );
    }

    #[test]
    fn a_balancer_is_changed() {
        let words = "carme balancer cluster --method bybusyness --nofailover --stickysession -";
        let Ok(Command::Balancer(options)) = typed(words) else {
            panic!("it can be typed");
        };
        assert_eq!(
            pairs(options.settings()),
            ["method=bybusyness", "nofailover=on", "stickysession=-"]
        );
    }

    #[test]
    fn who_is_to_be_changed_has_to_be_said() {
        for (words, missing) in [
            ("carme member cluster", "<MEMBER>"),
            ("carme member --disable", "<BALANCER>"),
            ("carme member add cluster", "<URL>"),
            ("carme balancer --method queue", "<BALANCER>"),
        ] {
            let error = typed(words).expect_err(words).to_string();
            assert!(error.contains(missing), "{words}: {error}");
        }
        typed("carme member cluster www_1 --disable maybe").expect_err("on or off");
    }
}
