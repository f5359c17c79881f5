//! Variables that the configuration gives to requests.

use crate::env_file;
use crate::mount::MountPath;
use crate::pattern::Pattern;
use crate::problem::Mistake;
use crate::template::{Syntax, Template};

/// One change of a request's variables: a table of `variables`, a word of `SetEnvIf`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VariableRule {
    /// `set`, `pass` or `remove`: which variable. Upper and lower case are the same.
    pub name: String,
    /// What becomes of it.
    pub change: VariableChange,
    /// For which requests; all if `None`.
    pub when: Option<VariableTest>,
    /// `path`: only for requests at or below it.
    pub below: Option<MountPath>,
}

/// What becomes of a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VariableChange {
    /// `set`: what it has from now on.
    Set(Template),
    /// `pass`: it has what the variable of that name has in the server's own environment; `None`: there is none, and it
    /// stays as it is.
    Pass(Option<String>),
    /// `remove`: it is not set.
    Remove,
}

impl VariableChange {
    /// `pass`, with what is there now.
    pub(crate) fn passed(name: &str) -> Self {
        VariableChange::Pass(std::env::var(name).ok())
    }
}

/// A test of something that is known of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VariableTest {
    /// What is looked at.
    pub subject: Subject,
    /// `matches`: is found somewhere in it.
    pub pattern: Pattern,
}

/// What a test looks at. What a request does not have is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// `header`: a field of the request, in lower case.
    Header(String),
    /// `attribute`
    Attribute(RequestAttribute),
    /// `variable`: one that was set before, or is Carme's own.
    Variable(String),
}

/// What every request has, by Apache's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestAttribute {
    /// The client's true address.
    RemoteAddr,
    /// The address that the client has connected to.
    ServerAddr,
    /// `GET`
    RequestMethod,
    /// `HTTP/1.1`
    RequestProtocol,
    /// The path, decoded, without the query.
    RequestUri,
}

const ATTRIBUTES: [(&str, RequestAttribute); 5] = [
    ("remote_addr", RequestAttribute::RemoteAddr),
    ("server_addr", RequestAttribute::ServerAddr),
    ("request_method", RequestAttribute::RequestMethod),
    ("request_protocol", RequestAttribute::RequestProtocol),
    ("request_uri", RequestAttribute::RequestUri),
];

impl RequestAttribute {
    /// Its name, in any case of letters.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let found = ATTRIBUTES
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, attribute)| *attribute)
    }

    pub(crate) fn names() -> impl Iterator<Item = &'static str> {
        ATTRIBUTES.iter().map(|(name, _)| *name)
    }

    /// As `carme.toml` has it.
    pub(crate) fn as_str(self) -> &'static str {
        let found = ATTRIBUTES.iter().find(|(_, attribute)| *attribute == self);
        found.map_or("", |(name, _)| name)
    }
}

impl VariableRule {
    /// What may be in its value.
    pub(crate) fn syntax(&self) -> Syntax {
        Syntax {
            variables: false,
            groups: self.when.as_ref().map(|test| test.pattern.groups()),
        }
    }
}

/// What an application's environment (PEP 3333) has of the server and of the request itself. Fields of the request
/// (`HTTP_HOST`) are not here: where a request has none, a variable may stand for it.
const FIXED: [&str; 16] = [
    "REQUEST_METHOD",
    "REQUEST_URI",
    "RAW_URI",
    "SCRIPT_NAME",
    "PATH_INFO",
    "QUERY_STRING",
    "CONTENT_LENGTH",
    "HTTP_CONTENT_LENGTH",
    "HTTP_CONTENT_TYPE",
    "HTTP_X_REQUEST_ID",
    "SERVER_NAME",
    "SERVER_PORT",
    "SERVER_PROTOCOL",
    "SERVER_SOFTWARE",
    "REMOTE_ADDR",
    "REMOTE_PORT",
];

/// Whether nobody but Carme can say what this name stands for: in logs, or in the environment of applications.
pub(crate) fn is_fixed(name: &str) -> bool {
    let is_of = |prefix: &str| {
        let start = name.as_bytes().get(..prefix.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
    };
    carme_log::Variable::is_own(name)
        || FIXED.iter().any(|fixed| fixed.eq_ignore_ascii_case(name))
        || is_of("wsgi.")
        || is_of("carme.")
}

/// The name of a variable that a rule may change.
pub(crate) fn settable(name: &str) -> Result<String, Mistake> {
    env_file::check_key(name)?;
    if name.starts_with('!') || name.contains('}') {
        return Err(Mistake::new(format!("must be a variable's name, found {name:?}")));
    }
    match is_fixed(name) {
        true => Err(Mistake::new(format!(
            "must not be {name}, which Carme itself sets"
        ))),
        false => Ok(name.to_owned()),
    }
}
