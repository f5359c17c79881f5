//! Header fields that are set, added or removed by the configuration.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

/// One change of a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderRule {
    /// What is changed.
    pub change: HeaderChange,
    /// Of responses: only those with such a status; all if empty. Requests have none.
    pub statuses: Vec<StatusRange>,
    /// Only if there is no such field yet.
    pub if_absent: bool,
}

/// A change of one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderChange {
    /// The only value from now on.
    Set(HeaderName, HeaderValue),
    /// One value more.
    Add(HeaderName, HeaderValue),
    /// None.
    Remove(HeaderName),
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
    fn applies(&self, headers: &HeaderMap, status: Option<StatusCode>) -> bool {
        let name = match &self.change {
            HeaderChange::Set(name, _) | HeaderChange::Add(name, _) | HeaderChange::Remove(name) => name,
        };
        let has_status = self.statuses.is_empty()
            || status.is_some_and(|status| {
                let is_in = |range: &StatusRange| (range.first..=range.last).contains(&status.as_u16());
                self.statuses.iter().any(is_in)
            });
        has_status && !(self.if_absent && headers.contains_key(name))
    }
}

/// Changes `headers` by all rules in their order; `status` is that of a response.
pub(crate) fn apply(rules: &[HeaderRule], headers: &mut HeaderMap, status: Option<StatusCode>) {
    for rule in rules {
        if !rule.applies(headers, status) {
            continue;
        }
        match &rule.change {
            HeaderChange::Set(name, value) => drop(headers.insert(name, value.clone())),
            HeaderChange::Add(name, value) => drop(headers.append(name, value.clone())),
            HeaderChange::Remove(name) => drop(headers.remove(name)),
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
        }
    }

    fn field(name: &'static str, value: &'static str) -> (HeaderName, HeaderValue) {
        (HeaderName::from_static(name), HeaderValue::from_static(value))
    }

    fn set(name: &'static str, value: &'static str) -> HeaderChange {
        let (name, value) = field(name, value);
        HeaderChange::Set(name, value)
    }

    fn add(name: &'static str, value: &'static str) -> HeaderChange {
        let (name, value) = field(name, value);
        HeaderChange::Add(name, value)
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
            apply(&rules, &mut headers, StatusCode::from_u16(status).ok());
            let shown: Vec<_> = headers
                .iter()
                .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap_or_default()))
                .collect();
            assert_eq!(shown.join(", "), expected, "{rules:?}");
        }
    }

    #[test]
    fn a_request_has_no_status() {
        let mut headers = HeaderMap::new();
        apply(&[rule(set("x-a", "1"), &[(200, 299)], false)], &mut headers, None);
        apply(&[rule(set("x-b", "1"), &[], false)], &mut headers, None);
        assert_eq!(headers.len(), 1);
    }
}
