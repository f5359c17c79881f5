//! Variables that the configuration gives to requests, as mod_setenvif does.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use carme_log::Variable;
use http::{HeaderMap, HeaderName};
use regex::bytes::Regex;

use crate::record::Record;
use crate::template::{Groups, Template, compose};

/// One change of a request's variables.
#[derive(Debug, Clone)]
pub struct VariableRule {
    /// Which variable.
    pub name: Arc<str>,
    /// What it has from now on; `None`: it is not set.
    pub value: Option<Template<Bytes>>,
    /// For which requests; all if `None`.
    pub when: Option<VariableTest>,
    /// Only for requests whose path is this one or below it; `/admin`.
    pub below: Option<Box<str>>,
}

/// A test of something that is known of a request.
#[derive(Debug, Clone)]
pub struct VariableTest {
    /// What is looked at. What a request does not have is empty.
    pub subject: Subject,
    /// Is found somewhere in it.
    pub pattern: Regex,
}

/// What a test looks at.
#[derive(Debug, Clone)]
pub enum Subject {
    /// A header field, several of them joined by `, `.
    Header(HeaderName),
    /// The client's true address.
    RemoteAddr,
    /// The address that the client has connected to.
    ServerAddr,
    /// `GET`
    RequestMethod,
    /// `HTTP/1.1`
    RequestProtocol,
    /// The path, decoded, without its segments `.` and `..` and without the query.
    RequestUri,
    /// Another variable.
    Variable(Variable),
}

/// Changes the request's variables by all rules in their order.
pub(crate) fn apply(rules: &[VariableRule], record: &mut Record) {
    for rule in rules {
        match rule.outcome(record) {
            Outcome::Unchanged => {}
            Outcome::Set(value) => record.environment.set(&rule.name, value),
            Outcome::Unset => record.environment.unset(&rule.name),
        }
    }
}

enum Outcome {
    Unchanged,
    Set(Bytes),
    Unset,
}

impl VariableRule {
    fn outcome(&self, record: &Record) -> Outcome {
        if let Some(outer) = &self.below
            && !is_below(&carme_log::resolved_path(record.target()), outer)
        {
            return Outcome::Unchanged;
        }
        let composed = |pieces, groups: Groups<'_>| {
            let mut value = Vec::new();
            compose(pieces, groups, || record.facts(), &mut value);
            Outcome::Set(value.into())
        };
        let Some(test) = &self.when else {
            return match &self.value {
                Some(Template::Fixed(value)) => Outcome::Set(value.clone()),
                Some(Template::Composed(pieces)) => composed(pieces, None),
                None => Outcome::Unset,
            };
        };
        let subject = test.subject.of(record);
        match &self.value {
            Some(Template::Composed(pieces)) => match test.pattern.captures(&subject) {
                Some(groups) => composed(pieces, Some(&groups)),
                None => Outcome::Unchanged,
            },
            _ if !test.pattern.is_match(&subject) => Outcome::Unchanged,
            Some(Template::Fixed(value)) => Outcome::Set(value.clone()),
            None => Outcome::Unset,
        }
    }
}

impl Subject {
    fn of<'r>(&self, record: &'r Record) -> Cow<'r, [u8]> {
        match self {
            Subject::Header(name) => joined(&record.headers, name),
            Subject::RemoteAddr => record.client_text().as_bytes().into(),
            Subject::ServerAddr => record.connection.ends.reached_text().as_bytes().into(),
            Subject::RequestMethod => record.method.as_str().as_bytes().into(),
            Subject::RequestProtocol => record.protocol().as_bytes().into(),
            Subject::RequestUri => carme_log::resolved_path(record.target()),
            Subject::Variable(variable) => {
                let mut value = Vec::new();
                variable.push(&record.facts(), &mut value);
                value.into()
            }
        }
    }
}

/// Empty segments make no difference, so that nobody gets around a rule by `//`.
fn is_below(path: &[u8], outer: &str) -> bool {
    let mut segments = path
        .split(|&byte| byte == b'/')
        .filter(|segment| !segment.is_empty());
    let mut outer = outer.split('/').filter(|segment| !segment.is_empty());
    outer.all(|segment| segments.next() == Some(segment.as_bytes()))
}

fn joined<'r>(headers: &'r HeaderMap, name: &HeaderName) -> Cow<'r, [u8]> {
    let mut values = headers.get_all(name).iter().map(|value| value.as_bytes());
    let Some(first) = values.next() else {
        return Cow::default();
    };
    values.fold(Cow::Borrowed(first), |joined, next| {
        Cow::Owned([&joined, &b", "[..], next].concat())
    })
}
