//! Header fields that are set, added to, edited or removed by the configuration.

use std::cell::LazyCell;

use carme_log::Condition;
use http::header::Entry;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use regex::bytes::Regex;

use crate::template::{Groups, Template, compose, field_value};

/// One change of a header.
#[derive(Debug, Clone)]
pub struct HeaderRule {
    /// What is changed.
    pub change: HeaderChange,
    /// Of responses: only those with such a status; all if empty. Requests have none.
    pub statuses: Vec<StatusRange>,
    /// Only if there is no such field yet.
    pub if_absent: bool,
    /// Only if this holds for what is known of the request so far.
    pub when: Option<Condition>,
}

/// The value of a field.
pub type HeaderText = Template<HeaderValue>;

/// A change of one field.
#[derive(Debug, Clone)]
pub enum HeaderChange {
    /// The only value from now on.
    Set(HeaderName, HeaderText),
    /// One value more, in a field of its own.
    Add(HeaderName, HeaderText),
    /// One element more in the list of the first field of that name, if there is one.
    Append(HeaderName, HeaderText),
    /// The same, unless the list has that element.
    Merge(HeaderName, HeaderText),
    /// Every value has something else where a pattern is found.
    Edit(HeaderName, Edit),
    /// None.
    Remove(HeaderName),
}

/// A change inside a value.
#[derive(Debug, Clone)]
pub struct Edit {
    /// What is looked for.
    pub pattern: Regex,
    /// What takes its place.
    pub text: HeaderText,
    /// Wherever it is found, and not the first time alone.
    pub every: bool,
}

/// Statuses from the first to the last of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusRange {
    /// The lowest.
    pub first: u16,
    /// The highest.
    pub last: u16,
}

impl HeaderRule {
    /// Whether it needs to know anything of the request.
    pub(crate) fn reads_variables(&self) -> bool {
        let in_value = match &self.change {
            HeaderChange::Set(_, text)
            | HeaderChange::Add(_, text)
            | HeaderChange::Append(_, text)
            | HeaderChange::Merge(_, text) => text.has_variables(),
            HeaderChange::Edit(_, edit) => edit.text.has_variables(),
            HeaderChange::Remove(_) => false,
        };
        in_value || self.when.is_some()
    }

    fn name(&self) -> &HeaderName {
        match &self.change {
            HeaderChange::Set(name, _)
            | HeaderChange::Add(name, _)
            | HeaderChange::Append(name, _)
            | HeaderChange::Merge(name, _)
            | HeaderChange::Edit(name, _)
            | HeaderChange::Remove(name) => name,
        }
    }

    fn applies(&self, headers: &HeaderMap, status: Option<StatusCode>) -> bool {
        let has_status = self.statuses.is_empty()
            || status.is_some_and(|status| {
                let is_in = |range: &StatusRange| (range.first..=range.last).contains(&status.as_u16());
                self.statuses.iter().any(is_in)
            });
        has_status && !(self.if_absent && headers.contains_key(self.name()))
    }
}

/// Changes `headers` by all rules in their order; `status` is that of a response. `facts` is asked for what is known of
/// the request only if a rule wants to know.
pub(crate) fn apply<'r>(
    rules: &[HeaderRule],
    headers: &mut HeaderMap,
    status: Option<StatusCode>,
    facts: impl FnOnce() -> carme_log::Record<'r>,
) {
    let facts = LazyCell::new(facts);
    let value = |text: &HeaderText| match text {
        Template::Fixed(value) => value.clone(),
        Template::Composed(pieces) => {
            let mut text = Vec::new();
            compose(pieces, None, || *facts, &mut text);
            field_value(text)
        }
    };
    for rule in rules {
        let holds = |when: &Condition| when.holds(&facts);
        if !rule.applies(headers, status) || !rule.when.as_ref().is_none_or(holds) {
            continue;
        }
        match &rule.change {
            HeaderChange::Set(name, text) => drop(headers.insert(name, value(text))),
            HeaderChange::Add(name, text) => drop(headers.append(name, value(text))),
            HeaderChange::Append(name, text) => append(headers, name, value(text)),
            HeaderChange::Merge(name, text) => {
                let value = value(text);
                let is_there = |field: &HeaderValue| has_element(field.as_bytes(), value.as_bytes());
                if !headers.get_all(name).iter().any(is_there) {
                    append(headers, name, value);
                }
            }
            HeaderChange::Edit(name, edit) => {
                if let Entry::Occupied(mut fields) = headers.entry(name) {
                    for field in fields.iter_mut() {
                        edit.apply(field, || *facts);
                    }
                }
            }
            HeaderChange::Remove(name) => drop(headers.remove(name)),
        }
    }
}

fn append(headers: &mut HeaderMap, name: &HeaderName, value: HeaderValue) {
    match headers.get_mut(name) {
        Some(first) => *first = field_value([first.as_bytes(), b", ", value.as_bytes()].concat()),
        None => drop(headers.insert(name, value)),
    }
}

/// Whether a list has this element. A comma between quotes divides nothing.
fn has_element(list: &[u8], element: &[u8]) -> bool {
    let mut is_quoted = false;
    let mut elements = list.split(|&byte| {
        is_quoted ^= byte == b'"';
        byte == b',' && !is_quoted
    });
    elements.any(|one| one.trim_ascii() == element)
}

impl Edit {
    fn apply<'r>(&self, field: &mut HeaderValue, facts: impl Fn() -> carme_log::Record<'r>) {
        let old = field.as_bytes();
        let mut new = Vec::new();
        let mut kept = 0;
        for groups in self.pattern.captures_iter(old) {
            let Some(found) = groups.get(0) else { continue };
            new.extend_from_slice(&old[kept..found.start()]);
            self.push(Some(&groups), &facts, &mut new);
            kept = found.end();
            if !self.every {
                break;
            }
        }
        if kept > 0 || !new.is_empty() {
            new.extend_from_slice(&old[kept..]);
            *field = field_value(new);
        }
    }

    fn push<'r>(&self, groups: Groups<'_>, facts: impl Fn() -> carme_log::Record<'r>, out: &mut Vec<u8>) {
        match &self.text {
            Template::Fixed(value) => out.extend_from_slice(value.as_bytes()),
            Template::Composed(pieces) => compose(pieces, groups, facts, out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(change: HeaderChange, statuses: &[(u16, u16)], if_absent: bool) -> HeaderRule {
        HeaderRule {
            change,
            statuses: statuses
                .iter()
                .map(|&(first, last)| StatusRange { first, last })
                .collect(),
            if_absent,
            when: None,
        }
    }

    fn field(name: &'static str, value: &'static str) -> (HeaderName, HeaderValue) {
        (HeaderName::from_static(name), HeaderValue::from_static(value))
    }

    fn set(name: &'static str, value: &'static str) -> HeaderChange {
        let (name, value) = field(name, value);
        HeaderChange::Set(name, HeaderText::Fixed(value))
    }

    fn add(name: &'static str, value: &'static str) -> HeaderChange {
        let (name, value) = field(name, value);
        HeaderChange::Add(name, HeaderText::Fixed(value))
    }

    fn remove(name: &'static str) -> HeaderChange {
        HeaderChange::Remove(HeaderName::from_static(name))
    }

    #[test]
    fn rules_in_their_order_with_their_conditions() {
        for (rules, status, expected) in [
            (vec![rule(set("x-a", "2"), &[], false)], 200, "x-a: 2"),
            (vec![rule(set("x-a", "2"), &[], true)], 200, "x-a: 0, x-a: 1"),
            (
                vec![rule(set("x-b", "2"), &[], true)],
                200,
                "x-a: 0, x-a: 1, x-b: 2",
            ),
            (
                vec![rule(add("x-a", "2"), &[], false)],
                200,
                "x-a: 0, x-a: 1, x-a: 2",
            ),
            (vec![rule(remove("x-a"), &[], false)], 200, ""),
            (
                vec![rule(remove("x-a"), &[(400, 599)], false)],
                200,
                "x-a: 0, x-a: 1",
            ),
            (
                vec![rule(remove("x-a"), &[(404, 404), (500, 599)], false)],
                503,
                "",
            ),
            (
                vec![rule(remove("x-a"), &[(404, 404), (500, 599)], false)],
                404,
                "",
            ),
            (
                vec![rule(remove("x-a"), &[], false), rule(set("x-a", "3"), &[], true)],
                200,
                "x-a: 3",
            ),
        ] {
            let mut headers: HeaderMap = [field("x-a", "0")].into_iter().collect();
            let (name, value) = field("x-a", "1");
            headers.append(name, value);
            apply(
                &rules,
                &mut headers,
                StatusCode::from_u16(status).ok(),
                carme_log::Record::default,
            );
            let shown: Vec<_> = headers
                .iter()
                .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap_or_default()))
                .collect();
            assert_eq!(shown.join(", "), expected, "{rules:?}");
        }
    }

    /// The values of `x-a` that was `b, c` and `d` once the changes are done.
    fn changed(changes: Vec<HeaderChange>) -> Vec<String> {
        let (name, first) = field("x-a", "b, c");
        let mut headers: HeaderMap = [(name.clone(), first)].into_iter().collect();
        headers.append(name, HeaderValue::from_static("d"));
        let rules: Vec<_> = changes
            .into_iter()
            .map(|change| rule(change, &[], false))
            .collect();
        apply(&rules, &mut headers, None, carme_log::Record::default);
        let values = headers.get_all("x-a").iter();
        values
            .map(|value| value.to_str().expect("text").to_owned())
            .collect()
    }

    #[test]
    fn elements_are_appended_to_the_first_field_and_merged_once() {
        let change = |make: fn(HeaderName, HeaderText) -> HeaderChange, value: &'static str| {
            let (name, value) = field("x-a", value);
            make(name, HeaderText::Fixed(value))
        };
        let append = |value| change(HeaderChange::Append, value);
        let merge = |value| change(HeaderChange::Merge, value);
        for (changes, expected) in [
            (vec![append("e")], &["b, c, e", "d"][..]),
            (vec![merge("c")], &["b, c", "d"]),
            (vec![merge("d")], &["b, c", "d"]),
            (vec![merge("C")], &["b, c, C", "d"]),
            (vec![merge("b, c")], &["b, c, b, c", "d"]),
            (
                vec![append("\"x, y\""), merge("y\"")],
                &["b, c, \"x, y\", y\"", "d"],
            ),
            (
                vec![append("\"x, y\""), merge("\"x, y\"")],
                &["b, c, \"x, y\"", "d"],
            ),
            (vec![remove("x-a"), append("e"), merge("e")], &["e"]),
            (vec![remove("x-a"), merge("e")], &["e"]),
        ] {
            assert_eq!(changed(changes), expected);
        }
    }

    #[test]
    fn values_are_edited_where_a_pattern_is_found() {
        let group = |number| crate::template::Piece::Group(number);
        let text = |text: &'static str| crate::template::Piece::Text(text.into());
        for (pattern, pieces, every, expected) in [
            (
                "^(.*)$",
                vec![group(1), text("; Secure")],
                false,
                ["b, c; Secure", "d; Secure"],
            ),
            ("[bcd]", vec![text("x")], false, ["x, c", "x"]),
            ("[bcd]", vec![text("x")], true, ["x, x", "x"]),
            (", .*", vec![], false, ["b", "d"]),
            ("^", vec![text("<")], true, ["<b, c", "<d"]),
            ("nothing", vec![text("x")], true, ["b, c", "d"]),
            ("c", vec![text("\r\nB: "), group(0)], false, ["b,   B: c", "d"]),
        ] {
            let edit = Edit {
                pattern: Regex::new(pattern).expect("an expression"),
                text: Template::Composed(pieces.into()),
                every,
            };
            let change = HeaderChange::Edit(HeaderName::from_static("x-a"), edit);
            assert_eq!(changed(vec![change]), expected, "{pattern}");
        }
    }

    #[test]
    fn a_request_has_no_status() {
        let mut headers = HeaderMap::new();
        for rule in [
            rule(set("x-a", "1"), &[(200, 299)], false),
            rule(set("x-b", "1"), &[], false),
        ] {
            apply(&[rule], &mut headers, None, carme_log::Record::default);
        }
        assert_eq!(headers.len(), 1);
    }
}
