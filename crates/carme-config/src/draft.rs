//! What the user wrote, read but not yet looked up: the common ground of the command line and `carme.toml`.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use crate::balancer::{BalancerDraft, Proxying, Sticky};
use crate::config::{AccessLog, Interface, Server, Traces};
use crate::error_page::ErrorPage;
use crate::header_rule::HeaderRule;
use crate::location::{Answer, Compress, HostPattern, Policy};
use crate::monitor::Monitor;
use crate::mount::MountPath;
use crate::problem::{Mistake, Place, Problem};
use crate::route::RoutePattern;
use crate::scale::{Recycle, Workers};
use crate::tls::TlsDraft;
use crate::variable::VariableRule;

/// A value, the name under which it was given and the place where.
#[derive(Debug, Clone)]
pub(crate) struct At<T> {
    pub(crate) value: T,
    /// "`threads`" or "--threads": the beginning of a problem's sentence.
    pub(crate) subject: String,
    pub(crate) place: Place,
}

impl<T> At<T> {
    /// Another value at the same place.
    pub(crate) fn with<U>(&self, value: U) -> At<U> {
        At {
            value,
            subject: self.subject.clone(),
            place: self.place.clone(),
        }
    }

    /// The mistake as this value's problem.
    pub(crate) fn problem(&self, mistake: Mistake) -> Problem {
        Problem {
            place: self.place.clone(),
            what: format!("{} {}", self.subject, mistake.what),
            cure: mistake.cure,
        }
    }
}

/// Everything; what is `None` gets its default, what was wrong has been reported.
#[derive(Debug)]
pub(crate) struct Draft {
    /// Where paths begin; absolute.
    pub(crate) base: PathBuf,
    pub(crate) server: Server,
    pub(crate) tls: Option<TlsDraft>,
    pub(crate) apps: Vec<AppDraft>,
    pub(crate) balancers: Vec<BalancerDraft>,
    /// `None` if the user named none: then the only app, or balancer, answers everything.
    pub(crate) locations: Option<Vec<LocationDraft>>,
    /// Whether each of them could be read: if not, an app without any has perhaps one.
    pub(crate) all_locations_read: bool,
    pub(crate) access_logs: Option<Vec<AccessLog>>,
    pub(crate) error_pages: Vec<ErrorPage>,
    pub(crate) monitor: Monitor,
    pub(crate) traces: Option<Traces>,
}

/// One app.
#[derive(Debug, Clone)]
pub(crate) struct AppDraft {
    /// Its name, with the place where the app begins.
    pub(crate) name: At<String>,
    pub(crate) target: Option<At<String>>,
    pub(crate) directory: Option<At<String>>,
    pub(crate) python: Option<At<String>>,
    pub(crate) interface: Option<Interface>,
    pub(crate) workers: Option<Workers>,
    pub(crate) surge: Option<NonZeroUsize>,
    pub(crate) threads: Option<NonZeroUsize>,
    pub(crate) switch_interval: Option<Duration>,
    pub(crate) startup_timeout: Option<Duration>,
    pub(crate) drain_timeout: Option<Duration>,
    pub(crate) user: Option<At<String>>,
    pub(crate) group: Option<At<String>>,
    pub(crate) recycle: Recycle,
    pub(crate) queue_limit: Option<NonZeroUsize>,
    pub(crate) queue_timeout: Option<Duration>,
    /// `Some(None)` is switched off.
    pub(crate) request_timeout: Option<Option<Duration>>,
    pub(crate) idle_timeout: Option<Option<Duration>>,
    pub(crate) interrupt_grace: Option<Duration>,
    pub(crate) slow_request: Option<Option<Duration>>,
    pub(crate) route: Option<At<RoutePattern>>,
    pub(crate) sticky: Option<At<Sticky>>,
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) env_files: Vec<At<String>>,
    pub(crate) sendfile: Vec<At<String>>,
}

impl AppDraft {
    /// An app of which only the name is known.
    pub(crate) fn named(name: At<String>) -> Self {
        AppDraft {
            name,
            target: None,
            directory: None,
            python: None,
            interface: None,
            workers: None,
            surge: None,
            threads: None,
            switch_interval: None,
            startup_timeout: None,
            drain_timeout: None,
            user: None,
            group: None,
            recycle: Recycle::default(),
            queue_limit: None,
            queue_timeout: None,
            request_timeout: None,
            idle_timeout: None,
            interrupt_grace: None,
            slow_request: None,
            route: None,
            sticky: None,
            env: BTreeMap::new(),
            env_files: Vec::new(),
            sendfile: Vec::new(),
        }
    }
}

/// One location.
#[derive(Debug)]
pub(crate) struct LocationDraft {
    pub(crate) host: Option<HostPattern>,
    pub(crate) path: At<MountPath>,
    pub(crate) answer: AnswerDraft,
    pub(crate) policy: PolicyDraft,
}

/// Who answers at a location.
#[derive(Debug, Clone)]
pub(crate) enum AnswerDraft {
    /// The app's name.
    App(At<String>),
    /// The balancer's name, and how: its index there counts for nothing.
    Balancer(At<String>, Proxying),
    /// Anything that needs neither.
    Other(Answer),
}

impl LocationDraft {
    /// An app at a path, and nothing else.
    pub(crate) fn app(path: At<MountPath>, app: At<String>) -> Self {
        LocationDraft {
            host: None,
            path,
            answer: AnswerDraft::App(app),
            policy: PolicyDraft::default(),
        }
    }

    /// The name of the app that answers.
    pub(crate) fn app_name(&self) -> Option<&str> {
        match &self.answer {
            AnswerDraft::App(app) => Some(&app.value),
            AnswerDraft::Balancer(..) | AnswerDraft::Other(_) => None,
        }
    }
}

/// What is said about requests and responses at one place.
#[derive(Debug, Clone, Default)]
pub(crate) struct PolicyDraft {
    /// `Some(None)` is switched off.
    pub(crate) compress: Option<Option<Compress>>,
    pub(crate) variables: Vec<VariableRule>,
    pub(crate) request_headers: Vec<HeaderRule>,
    pub(crate) response_headers: Vec<HeaderRule>,
}

impl PolicyDraft {
    /// What holds in the end: the outer rules come first, so that the inner ones can change what they did. The outer
    /// variables are set before there is a location.
    pub(crate) fn complete(self, outer: &Policy) -> Policy {
        let after = |outer: &[HeaderRule], inner| [outer.to_vec(), inner].concat();
        Policy {
            compress: self.compress.unwrap_or_else(|| outer.compress.clone()),
            variables: self.variables,
            request_headers: after(&outer.request_headers, self.request_headers),
            response_headers: after(&outer.response_headers, self.response_headers),
        }
    }
}
