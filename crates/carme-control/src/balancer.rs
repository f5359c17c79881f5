//! How a balancer and its members are: all that Apache's balancer-manager shows, and what Carme adds. The settings have
//! their names in `carme.toml`. Fields are added, never renamed.

use serde::{Deserialize, Serialize};

/// A balancer at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BalancerStatus {
    /// Its name in the configuration.
    pub name: String,
    /// How it is, by its members.
    pub state: BalancerState,
    /// `method`, with all changes by hand, as all settings here.
    pub method: String,
    /// `stickysession`: the cookie, or `COOKIE|PARAMETER`.
    #[serde(default)]
    pub stickysession: Option<String>,
    /// `stickysessionsep`; `off` if all of the value is the route.
    #[serde(default)]
    pub stickysessionsep: Option<String>,
    /// `scolonpathdelim`
    #[serde(default)]
    pub scolonpathdelim: bool,
    /// `nofailover`
    #[serde(default)]
    pub nofailover: bool,
    /// `timeout`
    #[serde(default)]
    pub timeout_seconds: f64,
    /// `maxattempts`; worked out if it is not set.
    #[serde(default)]
    pub maxattempts: u32,
    /// `failonstatus`
    #[serde(default)]
    pub failonstatus: Vec<u16>,
    /// `failontimeout`
    #[serde(default)]
    pub failontimeout: bool,
    /// `forcerecovery`
    #[serde(default)]
    pub forcerecovery: bool,
    /// `slow_start`
    #[serde(default)]
    pub slow_start_seconds: f64,
    /// Whether changes by hand outlive a restart.
    #[serde(default)]
    pub persist: bool,
    /// Requests that wait for a member.
    pub queued: usize,
    /// `queue_limit`: requests that may.
    #[serde(default)]
    pub queue_limit: usize,
    /// Requests that got 503 since the start, because no member could be had in time.
    #[serde(default)]
    pub refused: u64,
    /// In their order.
    pub members: Vec<MemberStatus>,
}

/// How a balancer is, by its members. Those that are not meant to be used do not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BalancerState {
    /// All can be used.
    Ready,
    /// Some can be used, and at least one has failed.
    Degraded,
    /// None can be used, and at least one has failed.
    Failed,
    /// None is meant to be used.
    Stopped,
    /// What a newer server says and this program does not know.
    #[serde(other)]
    Unknown,
}

/// A member at that moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MemberStatus {
    /// Its URL.
    pub url: String,
    /// `http`, `https`, `h2c`, `h2`
    #[serde(default)]
    pub scheme: String,
    /// Its host.
    #[serde(default)]
    pub host: String,
    /// Its port; none for a Unix socket.
    #[serde(default)]
    pub port: Option<u16>,
    /// `route`
    #[serde(default)]
    pub route: Option<String>,
    /// `redirect`
    #[serde(default)]
    pub redirect: Option<String>,
    /// `loadfactor`
    #[serde(default)]
    pub loadfactor: f64,
    /// `lbset`
    #[serde(default)]
    pub lbset: u8,
    /// What it does, in a word: `ready`, `draining`, `error` and so on.
    pub state: String,
    /// Whether it gets requests.
    #[serde(default)]
    pub usable: bool,
    /// As balancer-manager has it: `Init Ok`.
    #[serde(default)]
    pub status: String,
    /// The letters of the flags that are set: `DH`.
    #[serde(default)]
    pub flags: String,
    /// Whether it was added by a command.
    #[serde(default)]
    pub added: bool,
    /// `busy`: requests that it has and has not finished.
    pub in_flight: u32,
    /// So many it may have now; less than `max` while it comes back. `None`: any number.
    #[serde(default)]
    pub limit: Option<u32>,
    /// Requests that wait for it and no other, because of their sessions.
    #[serde(default)]
    pub queued: usize,
    /// `elected`: requests that it was chosen for since the start.
    pub requests: u64,
    /// Requests that failed at it.
    #[serde(default)]
    pub failures: u64,
    /// `lbstatus`
    #[serde(default)]
    pub lbstatus: i64,
    /// "To": bytes sent to it.
    #[serde(default)]
    pub bytes_sent: u64,
    /// "From": bytes received from it.
    #[serde(default)]
    pub bytes_received: u64,
    /// `error_time`, as the time since then. `None`: no error since its last answer.
    #[serde(default)]
    pub error_seconds_ago: Option<f64>,
    /// When it is tried again, if it is in error and is.
    #[serde(default)]
    pub retry_in_seconds: Option<f64>,
    /// `retries`: how often it was tried again since its last answer.
    #[serde(default)]
    pub retries: u32,
    /// Its latency as `ewma` sees it.
    #[serde(default)]
    pub latency_seconds: f64,
    /// Connections that wait for the next request.
    #[serde(default)]
    pub idle_connections: usize,
    /// Its other settings.
    #[serde(default)]
    pub settings: MemberSettings,
    /// Its health check, if it is checked.
    #[serde(default)]
    pub check: Option<CheckStatus>,
}

/// Settings of a member that only its configuration changes, under their names there.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MemberSettings {
    /// `min`
    pub min: usize,
    /// `smax`
    pub smax: Option<usize>,
    /// `max`
    pub max: Option<u32>,
    /// `ttl`
    pub ttl_seconds: Option<f64>,
    /// `acquire`
    pub acquire_seconds: Option<f64>,
    /// `timeout`
    pub timeout_seconds: f64,
    /// `connectiontimeout`
    pub connectiontimeout_seconds: f64,
    /// `ping`
    pub ping_seconds: Option<f64>,
    /// `retry`
    pub retry_seconds: f64,
    /// `disablereuse`
    pub disablereuse: bool,
    /// `keepalive`
    pub keepalive: bool,
    /// `flushpackets`
    pub flushpackets: Option<String>,
}

/// A health check at that moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckStatus {
    /// `hcmethod`
    pub method: String,
    /// `hcinterval`
    pub interval_seconds: f64,
    /// `hcpasses`
    pub passes: u32,
    /// `hcfails`
    pub fails: u32,
    /// `hcuri`
    #[serde(default)]
    pub uri: String,
    /// `hcexpect`, as in `carme.toml`: `{ status = ["2xx"], contains = "ok" }`. `None`: 200 to 399.
    #[serde(default)]
    pub expect: Option<String>,
    /// Checks in a row that count towards a change.
    #[serde(default)]
    pub in_row: u32,
    /// How long ago the last one ended.
    #[serde(default)]
    pub seconds_ago: Option<f64>,
}

impl MemberStatus {
    /// What it is called: its route, or without one its URL.
    pub fn name(&self) -> &str {
        self.route.as_deref().unwrap_or(&self.url)
    }
}
