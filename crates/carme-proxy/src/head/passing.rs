//! What is done to requests on their way to members, and to their answers.

use super::identity::Identity;

/// The settings of a location that members answer at.
#[derive(Debug, Clone)]
pub struct Passing {
    /// What this server is called in the fields it adds.
    pub identity: Identity,
    /// What takes the place of the location's path; empty, or with a slash at its beginning and none at its end.
    pub path: String,
    /// Members see the client's `Host`, and not their own (`ProxyPreserveHost`).
    pub preserve_host: bool,
    /// Members are told the client by `X-Forwarded-For` and its kin (`ProxyAddHeaders`).
    pub forwarded_headers: bool,
    /// `Via` (`ProxyVia`).
    pub via: Via,
    /// The path is passed on as the client wrote it (`nocanon`).
    pub raw_path: bool,
    /// `TRACE` is answered: by members, or here ([`recipient`](super::recipient)). Without it nobody does (`TraceEnable`).
    pub trace: bool,
    /// Addresses of members that become this server's in their answers; the first that fits (`ProxyPassReverse`).
    pub reverse: Vec<Reverse>,
    /// What becomes of `Domain` in members' cookies, as pairs of theirs and the client's; the first that fits
    /// (`ProxyPassReverseCookieDomain`).
    pub cookie_domains: Vec<(String, String)>,
    /// The same for `Path` (`ProxyPassReverseCookiePath`).
    pub cookie_paths: Vec<(String, String)>,
    /// Which of members' answers are replaced by the server's own pages (`ProxyErrorOverride`).
    pub override_errors: ErrorOverride,
}

/// An address that is replaced in `Location`, `Content-Location`, `URI` and `Destination`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reverse {
    /// What it begins with.
    pub from: ReverseFrom,
    /// What takes the place of that: a path of this server.
    pub to: String,
}

/// The beginning of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReverseFrom {
    /// A path at any member of the location's balancer, after the member's own.
    Members(String),
    /// An address as it is; with a slash at its beginning a path, at whatever host.
    Url(String),
}

/// `Via` in requests and answers (RFC 9110, 7.6.3).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Via {
    /// It is left as it is.
    Off,
    /// This server is added.
    #[default]
    On,
    /// This server is added, with its version.
    Full,
    /// It is removed from requests.
    Block,
}

/// Which answers are replaced.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ErrorOverride {
    /// None.
    #[default]
    Off,
    /// Every error: 400 to 599.
    All,
    /// These.
    Statuses(Vec<u16>),
}
