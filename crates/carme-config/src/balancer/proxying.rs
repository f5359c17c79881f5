//! What is done to requests on their way to a balancer, and to its answers.

use crate::problem::Mistake;

/// `balancer = "NAME"` of a location, and what stands beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxying {
    /// An index into [`Config::balancers`](crate::Config::balancers).
    pub balancer: usize,
    /// `upstream_path`: what takes the place of the location's path; empty, or without a slash at its end.
    pub path: String,
    /// `preserve_host`: members see the client's `Host`, and not their own.
    pub preserve_host: bool,
    /// `forwarded_headers`: members are told the client by `X-Forwarded-For` and its kin.
    pub forwarded_headers: bool,
    /// `via`
    pub via: Via,
    /// `nocanon`: the path is passed on as the client wrote it.
    pub raw_path: bool,
    /// `trace`: `TRACE` is answered, by members, or by the server itself where it may go no further.
    pub trace: bool,
    /// `reverse`, `reverse_urls`: addresses of members in their answers that become the server's own; the first that fits.
    pub reverse: Vec<Reverse>,
    /// `cookie_domains`: what becomes of `Domain` in their cookies.
    pub cookie_domains: Vec<(String, String)>,
    /// `cookie_paths`: what becomes of `Path` in their cookies.
    pub cookie_paths: Vec<(String, String)>,
    /// `override_errors`: which of their answers are replaced by the server's own pages.
    pub override_errors: ErrorOverride,
}

/// An address that is replaced in `Location`, `Content-Location`, `URI` and `Destination`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reverse {
    /// What it begins with.
    pub from: ReverseFrom,
    /// What takes the place of that: a path of the server.
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
    /// `off`: it is left as it is.
    Off,
    /// `on`: the server is added.
    #[default]
    On,
    /// `full`: with its version.
    Full,
    /// `block`: it is removed.
    Block,
}

/// `override_errors`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ErrorOverride {
    /// `false`: none.
    #[default]
    Off,
    /// `true`: every status from 400 on.
    All,
    /// A list: these.
    Statuses(Vec<u16>),
}

impl Proxying {
    /// What holds when nothing is said, at a location with this path (as `SCRIPT_NAME`).
    pub(crate) fn at(balancer: usize, path: &str) -> Self {
        Proxying {
            balancer,
            path: path.to_owned(),
            preserve_host: false,
            forwarded_headers: true,
            via: Via::default(),
            raw_path: false,
            trace: true,
            reverse: vec![Reverse::members(path, path)],
            cookie_domains: Vec::new(),
            cookie_paths: Vec::new(),
            override_errors: ErrorOverride::default(),
        }
    }
}

impl Reverse {
    /// The members' addresses below a path become the server's at another.
    pub(crate) fn members(path: &str, location: &str) -> Self {
        Reverse {
            from: ReverseFrom::Members(format!("{path}/")),
            to: format!("{location}/"),
        }
    }
}

impl Via {
    pub(crate) fn parse(text: &str) -> Result<Self, Mistake> {
        match text.to_ascii_lowercase().as_str() {
            "off" => Ok(Via::Off),
            "on" => Ok(Via::On),
            "full" => Ok(Via::Full),
            "block" => Ok(Via::Block),
            _ => Err(Mistake::new(format!(
                "must be \"off\", \"on\", \"full\" or \"block\", found {text:?}"
            ))),
        }
    }

    /// As it is written.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Via::Off => "off",
            Via::On => "on",
            Via::Full => "full",
            Via::Block => "block",
        }
    }
}

/// A path that goes before what a location has not matched: begins with a slash, and is kept without one at its end.
pub(crate) fn upstream_path(text: &str) -> Result<String, Mistake> {
    let wrong = || {
        Mistake::new(format!(
            "must be a path such as \"/\" or \"/app\", found {text:?}"
        ))
    };
    if !text.starts_with('/') {
        return Err(wrong().cure(format!("begin with a slash: \"/{text}\"")));
    }
    match text.chars().find(|c| c.is_control() || matches!(c, '?' | '#')) {
        Some(odd) => Err(wrong().cure(format!("a path is without {odd:?}"))),
        None => Ok(text.trim_end_matches('/').to_owned()),
    }
}

/// The beginning of an address: `http://…`, `balancer:///path` for any member, or a path.
pub(crate) fn reverse_from(text: &str) -> Result<ReverseFrom, Mistake> {
    if let Some(path) = text.strip_prefix("balancer://") {
        return match path.starts_with('/') {
            true => Ok(ReverseFrom::Members(path.to_owned())),
            false => Err(Mistake::new(format!(
                "must be a path at any member, \"balancer:///app/\", found {text:?}"
            ))),
        };
    }
    match text.split_once("://") {
        _ if text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Ok(ReverseFrom::Url(text.to_owned()))
        }
        Some((scheme, rest)) if !scheme.is_empty() && !rest.is_empty() && text.is_ascii() => {
            Ok(ReverseFrom::Url(text.to_owned()))
        }
        _ => Err(Mistake::new(format!(
            "must be an address such as \"http://app.internal/\", found {text:?}"
        ))),
    }
}
