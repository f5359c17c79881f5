//! `[balancers.NAME]`: HTTP servers elsewhere, and which of them is next.
//!
//! The parameters and their names are those of Apache's `mod_proxy_balancer`; what Carme adds is said so.

mod check;
mod discover;
mod health;
mod member;
mod proxying;
mod setting;
mod url;

use std::collections::BTreeSet;
use std::fmt;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

pub use discover::{ConsulToken, Discover, DiscoverSource, DnsQuestion, FoundAt, FoundMember, FoundRoute};
pub(crate) use discover::{consul_address, dns_server, found_url};
pub use health::{HealthCheck, HealthExpect, HealthMethod};
pub use member::{Flush, LoadFactor, Member, MemberFlag, Pool, Upgrade};
pub use proxying::{ErrorOverride, Proxying, Reverse, ReverseFrom, Via};
pub(crate) use proxying::{reverse_from, upstream_path};
pub(crate) use url::authority_and_path;
pub use url::{MemberScheme, MemberUrl};

pub(crate) use check::{BalancerDraft, named_balancer};
pub(crate) use member::{flags, route};

use crate::nearest::did_you_mean;
use crate::problem::Mistake;

/// `[balancers.NAME]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Balancer {
    /// The name: lower-case letters, digits, `_`, `-`.
    pub name: String,
    /// `method`: how the next member is chosen.
    pub method: Method,
    /// At least one, if there is no `discover`; no URL twice.
    pub members: Vec<Member>,
    /// `discover`: who names more of them. Not in Apache.
    pub discover: Option<Discover>,
    /// `stickysession`: clients stay at their member.
    pub sticky: Option<Sticky>,
    /// `nofailover`: 503 if a client's own member cannot be used.
    pub no_failover: bool,
    /// `maxattempts`: how many members more are tried; `None`: one fewer than there are members, and one if there is one.
    pub max_attempts: Option<usize>,
    /// `failover`: what may be tried on another member.
    pub failover: Failover,
    /// `timeout`: how long a request may wait for a member that can take it; zero: it does not wait.
    pub timeout: Duration,
    /// `queue_limit`: so many requests may wait; one more gets 503. Not in Apache.
    pub queue_limit: NonZeroUsize,
    /// `failonstatus`: answers with which a member counts as failed.
    pub fail_on_status: BTreeSet<u16>,
    /// `failontimeout`: so does one that does not answer in time.
    pub fail_on_timeout: bool,
    /// `forcerecovery`: if all members have failed, all are tried again at once.
    pub force_recovery: bool,
    /// `growth`: so many members may be added while it runs; `None`: any number.
    pub growth: Option<usize>,
    /// `persist`: what is changed by commands outlives a restart.
    pub persist: bool,
    /// `slow_start`: a member that comes back gets its full share after so long. Not in Apache.
    pub slow_start: Duration,
    /// `tls_verify`, `tls_ca`: how members are known by `https`.
    pub tls: MemberTls,
}

/// How the next member is chosen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Method {
    /// `queue`: requests wait in one queue, and the first free member takes the next. Not in Apache.
    #[default]
    Queue,
    /// `byrequests`: by turns, weighted.
    ByRequests,
    /// `bytraffic`: the one that has moved the fewest bytes for its weight.
    ByTraffic,
    /// `bybusyness`: the one with the fewest requests in flight.
    ByBusyness,
    /// `ewma`: the faster of two chosen by chance. Not in Apache.
    Ewma,
    /// `hash`: the same member for the same client, header or cookie. Not in Apache.
    Hash(HashKey),
}

/// `hash`: what the method of that name looks at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum HashKey {
    /// `address`: the client's.
    #[default]
    Address,
    /// `header:NAME`, in lower case.
    Header(String),
    /// `cookie:NAME`
    Cookie(String),
}

/// `stickysession` and what belongs to it; an app's `sticky`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sticky {
    /// The cookie that names the session.
    pub cookie: String,
    /// The URL's parameter that does; it counts before the cookie.
    pub parameter: String,
    /// `stickysessionsep`: what stands before the route; `None`: all of the value is the route.
    pub separator: Option<char>,
    /// `scolonpathdelim`: a semicolon, too, ends a parameter of the path.
    pub semicolon: bool,
}

/// `failover`: which requests are tried on another member when one has failed. Not in Apache.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Failover {
    /// `unsent`: only those of which the failed member has received nothing.
    Unsent,
    /// `idempotent`: also those whose method may be repeated (RFC 9110, 9.2.2).
    #[default]
    Idempotent,
}

/// How a member that speaks TLS is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberTls {
    /// `tls_verify`: its certificate must be good and for its name.
    pub verify: bool,
    /// `tls_ca`: the authorities in this file, PEM, or members' certificates; `None`: those that the system trusts.
    pub ca: Option<PathBuf>,
}

impl Default for MemberTls {
    fn default() -> Self {
        MemberTls {
            verify: true,
            ca: None,
        }
    }
}

impl Balancer {
    /// One without members, and everything else as it is in `carme.toml` when nothing is said.
    pub(crate) fn named(name: String) -> Self {
        use crate::config::defaults;
        Balancer {
            name,
            method: Method::default(),
            members: Vec::new(),
            discover: None,
            sticky: None,
            no_failover: false,
            max_attempts: None,
            failover: Failover::default(),
            timeout: defaults::QUEUE_TIMEOUT,
            queue_limit: defaults::QUEUE_LIMIT,
            fail_on_status: BTreeSet::new(),
            fail_on_timeout: false,
            force_recovery: true,
            growth: None,
            persist: false,
            slow_start: Duration::ZERO,
            tls: MemberTls::default(),
        }
    }
}

/// What `method` may be.
pub(crate) const METHODS: [&str; 6] = ["queue", "byrequests", "bytraffic", "bybusyness", "ewma", "hash"];

impl Method {
    pub(crate) fn parse(text: &str) -> Result<Self, Mistake> {
        Ok(match text {
            "queue" => Method::Queue,
            "byrequests" => Method::ByRequests,
            "bytraffic" => Method::ByTraffic,
            "bybusyness" => Method::ByBusyness,
            "ewma" => Method::Ewma,
            "hash" => Method::Hash(HashKey::default()),
            "heartbeat" => {
                return Err(Mistake::new("asks for \"heartbeat\", which Carme does not have")
                    .cure("\"queue\" gives requests to members that are free"));
            }
            _ => {
                return Err(Mistake::new(format!(
                    "must be one of {}, found {text:?}",
                    METHODS.map(|name| format!("{name:?}")).join(", ")
                ))
                .maybe_cure(did_you_mean(text, METHODS)));
            }
        })
    }

    /// As it is written.
    pub fn as_str(&self) -> &'static str {
        match self {
            Method::Queue => "queue",
            Method::ByRequests => "byrequests",
            Method::ByTraffic => "bytraffic",
            Method::ByBusyness => "bybusyness",
            Method::Ewma => "ewma",
            Method::Hash(_) => "hash",
        }
    }
}

impl HashKey {
    pub(crate) fn parse(text: &str) -> Result<Self, Mistake> {
        let named = |name: &str| !name.is_empty() && name.bytes().all(is_token);
        match text.split_once(':') {
            None if text == "address" => Ok(HashKey::Address),
            Some(("header", name)) if named(name) => Ok(HashKey::Header(name.to_ascii_lowercase())),
            Some(("cookie", name)) if named(name) => Ok(HashKey::Cookie(name.to_owned())),
            _ => Err(Mistake::new(format!(
                "must be \"address\", \"header:NAME\" or \"cookie:NAME\", found {text:?}"
            ))),
        }
    }
}

impl Failover {
    pub(crate) fn parse(text: &str) -> Result<Self, Mistake> {
        match text {
            "unsent" => Ok(Failover::Unsent),
            "idempotent" => Ok(Failover::Idempotent),
            _ => Err(
                Mistake::new(format!("must be \"unsent\" or \"idempotent\", found {text:?}"))
                    .maybe_cure(did_you_mean(text, ["unsent", "idempotent"])),
            ),
        }
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Failover::Unsent => "unsent",
            Failover::Idempotent => "idempotent",
        }
    }
}

impl Sticky {
    /// Reads `ROUTEID` or `JSESSIONID|jsessionid`: the cookie, and the parameter where its name is another.
    pub(crate) fn parse(text: &str) -> Result<Self, Mistake> {
        let (cookie, parameter) = text.split_once('|').unwrap_or((text, text));
        for name in [cookie, parameter] {
            if name.is_empty() || !name.bytes().all(is_token) {
                return Err(Mistake::new(format!(
                    "must be a cookie's name, or COOKIE|PARAMETER, found {text:?}"
                )));
            }
        }
        Ok(Sticky {
            cookie: cookie.to_owned(),
            parameter: parameter.to_owned(),
            separator: Some('.'),
            semicolon: false,
        })
    }
}

/// `stickysession`, or an app's `sticky`: as it is written.
impl fmt::Display for Sticky {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Sticky {
            cookie, parameter, ..
        } = self;
        match cookie == parameter {
            true => f.write_str(cookie),
            false => write!(f, "{cookie}|{parameter}"),
        }
    }
}

/// `stickysessionsep`: one character, or off.
pub(crate) fn separator(text: &str) -> Result<Option<char>, Mistake> {
    if text.eq_ignore_ascii_case("off") {
        return Ok(None);
    }
    let mut characters = text.chars();
    match (characters.next(), characters.next()) {
        (Some(one), None) if one.is_ascii_graphic() => Ok(Some(one)),
        _ => Err(Mistake::new(format!(
            "must be one character or \"off\", found {text:?}"
        ))),
    }
}

/// RFC 9110, 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
