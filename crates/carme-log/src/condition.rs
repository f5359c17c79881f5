//! Which requests a log is about.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use crate::format::{Variable, path_and_query};
use crate::record::{Record, RequestLine};

/// A test of a finished request, for logs that do not want all of them.
///
/// Apache's `env=NAME` is [`Condition::variable`], its `env=!NAME` the same with [`Condition::not`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition(Test);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Test {
    /// Without a slash at its end.
    Path(Box<[u8]>),
    Status(RangeInclusive<u16>),
    Variable(Variable),
    Any(Box<[Condition]>),
    All(Box<[Condition]>),
    Not(Box<Condition>),
}

impl Condition {
    /// The decoded path is `prefix` or below it: `/shop` covers `/shop` and `/shop/cart`, not `/shopping`. Segments `.`
    /// and `..` are resolved first, so that `/static/../admin` is not below `/static`.
    pub fn path(prefix: &str) -> Self {
        Condition(Test::Path(prefix.trim_end_matches('/').as_bytes().into()))
    }

    /// The status is one of these.
    pub fn status(range: RangeInclusive<u16>) -> Self {
        Condition(Test::Status(range))
    }

    /// The environment variable, as `%{NAME}e` prints it, exists.
    pub fn variable(name: &str) -> Self {
        Condition(Test::Variable(Variable::named(name)))
    }

    /// At least one of them holds.
    pub fn any(conditions: impl IntoIterator<Item = Condition>) -> Self {
        Condition(Test::Any(conditions.into_iter().collect()))
    }

    /// All of them hold.
    pub fn all(conditions: impl IntoIterator<Item = Condition>) -> Self {
        Condition(Test::All(conditions.into_iter().collect()))
    }

    /// It does not hold.
    #[must_use]
    #[allow(
        clippy::should_implement_trait,
        reason = "`!condition` would read as a question"
    )]
    pub fn not(self) -> Self {
        Condition(Test::Not(Box::new(self)))
    }

    /// Whether it depends on a variable that can be set under this name.
    pub fn reads_variable(&self, name: &str) -> bool {
        match &self.0 {
            Test::Path(_) | Test::Status(_) => false,
            Test::Variable(variable) => variable.is_settable_as(name),
            Test::Any(conditions) | Test::All(conditions) => {
                conditions.iter().any(|condition| condition.reads_variable(name))
            }
            Test::Not(condition) => condition.reads_variable(name),
        }
    }

    /// Whether it holds for this request. Allocates only for a path that has escapes or dot segments.
    pub fn holds(&self, record: &Record<'_>) -> bool {
        match &self.0 {
            Test::Path(prefix) => is_below(&path(record), prefix),
            Test::Status(range) => range.contains(&record.status),
            Test::Variable(variable) => variable.is_set(record),
            Test::Any(conditions) => conditions.iter().any(|condition| condition.holds(record)),
            Test::All(conditions) => conditions.iter().all(|condition| condition.holds(record)),
            Test::Not(condition) => !condition.holds(record),
        }
    }
}

fn is_below(path: &[u8], prefix: &[u8]) -> bool {
    path.strip_prefix(prefix)
        .is_some_and(|rest| matches!(rest, [] | [b'/', ..]) || prefix.is_empty())
}

/// The path as conditions see it; empty if the request has none.
fn path<'a>(record: &Record<'a>) -> Cow<'a, [u8]> {
    match (record.path, record.request_line) {
        (Some(path), _) => resolved(Cow::Borrowed(path)),
        (None, RequestLine::Parsed { target, .. }) => resolved_path(target),
        (None, RequestLine::Malformed(_)) => Cow::Borrowed(b""),
    }
}

/// The path of a request's target as conditions see it: decoded, and without its segments `.` and `..`.
pub fn resolved_path(target: &[u8]) -> Cow<'_, [u8]> {
    resolved(decoded(path_and_query(target).0))
}

fn resolved(path: Cow<'_, [u8]>) -> Cow<'_, [u8]> {
    if path.windows(2).any(|two| two == b"/.") {
        Cow::Owned(without_dots(&path))
    } else {
        path
    }
}

fn decoded(path: &[u8]) -> Cow<'_, [u8]> {
    if !path.contains(&b'%') {
        return path.into();
    }
    let mut out = Vec::with_capacity(path.len());
    let mut at = 0;
    while let Some(&byte) = path.get(at) {
        let hex = |at: usize| path.get(at).and_then(|&digit| (digit as char).to_digit(16));
        match (byte, hex(at + 1), hex(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                at += 3;
            }
            _ => {
                out.push(byte);
                at += 1;
            }
        }
    }
    out.into()
}

/// RFC 3986, 5.2.4.
fn without_dots(path: &[u8]) -> Vec<u8> {
    let mut segments: Vec<&[u8]> = Vec::new();
    for segment in path.split(|&byte| byte == b'/').skip(1) {
        match segment {
            b"." => {}
            b".." => drop(segments.pop()),
            _ => segments.push(segment),
        }
    }
    let mut out = Vec::with_capacity(path.len());
    for segment in segments {
        out.push(b'/');
        out.extend_from_slice(segment);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Fields, NoFields};

    fn record(target: &'static str, status: u16) -> Record<'static> {
        Record {
            request_line: RequestLine::Parsed {
                method: b"GET",
                target: target.as_bytes(),
                protocol: "HTTP/1.1",
            },
            status,
            ..Record::default()
        }
    }

    #[test]
    fn paths_are_whole_segments_decoded_and_without_dots() {
        for (prefix, target, expected) in [
            ("/", "/", true),
            ("/", "/a", true),
            ("/", "*", true),
            ("/shop", "/shop", true),
            ("/shop/", "/shop", true),
            ("/shop", "/shop?x=/", true),
            ("/shop", "/shop/cart", true),
            ("/shop", "/shopping", false),
            ("/shop", "/", false),
            ("/shop", "/%73hop/x", true),
            ("/shop", "/shop%2fcart", true),
            ("/shop", "http://other/shop/x", true),
            ("/shop", "/shop/../admin", false),
            ("/shop", "/shop/%2e%2e/admin", false),
            ("/shop", "/shop%2f..%2fadmin", false),
            ("/shop", "/x/./../shop/.", true),
            ("/shop", "/../../shop", true),
            ("/shop", "/shop/.hidden", true),
            ("/shop", "//shop", false),
            ("/shop", "*", false),
        ] {
            let holds = Condition::path(prefix).holds(&record(target, 200));
            assert_eq!(holds, expected, "{prefix} {target}");
        }
        let malformed = Record {
            request_line: RequestLine::Malformed(b"/shop"),
            ..Record::default()
        };
        assert!(!Condition::path("/shop").holds(&malformed));
        let looked_up = Record {
            path: Some(b"/shop/%2e"),
            ..record("/elsewhere", 200)
        };
        assert!(Condition::path("/shop").holds(&looked_up));
    }

    #[test]
    fn statuses_variables_and_their_combinations() {
        struct Gold;
        impl Fields for Gold {
            fn request_header(&self, _: &str, _: &mut dyn FnMut(&[u8])) {}
            fn response_header(&self, _: &str, _: &mut dyn FnMut(&[u8])) {}
            fn variable(&self, name: &str) -> Option<&[u8]> {
                (name == "tier").then_some(b"")
            }
        }
        let errors = Condition::status(400..=599);
        let gold = Condition::variable("tier");
        let routed = Condition::variable("BALANCER_WORKER_ROUTE");
        for (status, tier, route) in [
            (200, false, false),
            (404, true, false),
            (500, false, true),
            (502, true, true),
        ] {
            let record = Record {
                fields: if tier { &Gold } else { &NoFields },
                route: route.then_some("www_1"),
                ..record("/", status)
            };
            let error = status >= 400;
            for (condition, expected) in [
                (errors.clone(), error),
                (errors.clone().not(), !error),
                (gold.clone(), tier),
                (gold.clone().not(), !tier),
                (routed.clone(), route),
                (Condition::all([errors.clone(), gold.clone()]), error && tier),
                (Condition::any([routed.clone(), gold.clone()]), route || tier),
                (Condition::all([]), true),
                (Condition::any([]), false),
            ] {
                assert_eq!(
                    condition.holds(&record),
                    expected,
                    "{condition:?} of {status} {tier} {route}"
                );
            }
        }
    }
}
