//! What the user wrote, on the command line or in `carme.toml`, checked into one [`Config`].
//!
//! What callers may rely on: a [`Config`] is complete (defaults filled in), its paths are absolute, its target
//! and interpreter were found, and every limit is a type that cannot hold nonsense. When something is wrong,
//! *all* of it is reported at once, each [`Problem`] with its place and a cure. Nothing is started and no socket
//! is opened here; only files are looked at, and the interpreter is asked a question when a file cannot answer it.

#![forbid(unsafe_code)]

mod account;
mod apache;
mod assemble;
mod balancer;
mod bind;
mod changes;
mod config;
mod development;
mod draft;
mod env_file;
mod error_page;
mod file;
mod header_rule;
mod iis;
mod interpreter;
mod location;
mod log_output;
mod monitor;
mod mount;
mod nearest;
mod number;
mod options;
mod paths;
mod pattern;
mod probe;
mod problem;
mod proxies;
mod route;
mod scale;
mod sticky;
mod surroundings;
mod target;
mod template;
mod tls;
mod toml_file;
mod units;
mod variable;

pub use account::Account;
pub use apache::{Translated, convert_texts};
pub use balancer::{
    Balancer, ConsulToken, Discover, DiscoverSource, DnsQuestion, ErrorOverride, Failover, Flush, FoundAt,
    FoundMember, FoundRoute, HashKey, HealthCheck, HealthExpect, HealthMethod, LoadFactor, Member,
    MemberFlag, MemberScheme, MemberTls, MemberUrl, Method, Pool, Proxying, Reverse, ReverseFrom, Sticky,
    Upgrade, Via,
};
pub use bind::Bind;
pub use carme_tls::{
    CertificateFiles, CertificateSource, ClientAuth, MinVersion, PfxFile, PfxPassword,
    Settings as TlsSettings,
};
pub use changes::{Applies, Change, What};
pub use config::{
    AccessLog, App, AppTimeouts, Config, Interface, Limits, Queue, Server, Timeouts, Traces, defaults,
};
pub use development::{Development, DevelopmentOptions};
pub use env_file::parse as parse_env_file;
pub use error_page::{Answers, ErrorPage, Markup};
pub use file::convert;
pub use header_rule::{Edit, EnvTest, HeaderChange, HeaderRule};
pub use interpreter::{Interpreter, Origin};
pub use location::{Answer, Compress, Files, HostPattern, Location, Policy};
pub use log_output::LogOutput;
pub use monitor::{Monitor, MonitorListener};
pub use mount::MountPath;
pub use options::ServeOptions;
pub use pattern::Pattern;
pub use probe::{ProbeError, PythonFacts, Unsupported, probe};
pub use problem::{Mistake, Place, Problem, Problems};
pub use proxies::{ClientHeader, ForwardedFields, Proxies, TrustedProxy};
pub use route::RoutePattern;
pub use scale::{Recycle, Workers};
pub use surroundings::{Console, Probe, Surroundings};
pub use target::{Attribute, Target};
pub use template::{Piece, Template};
pub use tls::Tls;
pub use units::{ByteRate, ByteSize, DisplayDuration, parse_duration};
pub use variable::{RequestAttribute, Subject, VariableChange, VariableRule, VariableTest};
