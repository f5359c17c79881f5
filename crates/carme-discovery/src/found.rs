//! What engines find, in one shape.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;

/// More members than this are not taken: what answers so is mistaken.
pub const MOST_MEMBERS: usize = 1000;

/// The largest `lbset`.
const LAST_SET: u8 = 99;
/// The largest `loadfactor`.
const MOST_WEIGHT: u32 = 100;

/// A member that was found.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Found {
    /// An IPv4 address, an IPv6 address in brackets, or a name.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// What its engine calls it, the same for all who ask: the first label of a service record's target, Consul's node or
    /// service id, else the host. It has letters, digits, `-` and `_`.
    pub name: String,
    /// Its share, 1 to 100. `None`: the engine says nothing of it.
    pub weight: Option<u8>,
    /// Members of a lower set come before those of a higher, 0 to 99. `None`: the engine says nothing of it.
    pub set: Option<u8>,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// A member as an engine ranks it, on its own scale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ranked {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) name: String,
    /// The higher, the larger its share among those of its priority.
    pub(crate) weight: u32,
    /// The lower, the earlier.
    pub(crate) priority: Option<u16>,
}

/// Brings weights and priorities to the balancer's scales.
///
/// Priorities become sets 0, 1, 2, … Weights stay what they are if all of a set are at most 100; else they are divided so
/// that the largest is 100. The least is 1, also for the 0 of RFC 2782, "a very small proportionate chance".
pub(crate) fn scaled(ranked: Vec<Ranked>) -> Vec<Found> {
    let mut largest: BTreeMap<Option<u16>, u32> = BTreeMap::new();
    for one in &ranked {
        let weight = largest.entry(one.priority).or_default();
        *weight = (*weight).max(one.weight);
    }
    let priorities: BTreeSet<u16> = largest.keys().copied().flatten().collect();
    let found = ranked.into_iter().map(|one| {
        let largest = largest[&one.priority].max(MOST_WEIGHT);
        let weight = u64::from(one.weight) * u64::from(MOST_WEIGHT) / u64::from(largest);
        let set = one.priority.map(|priority| {
            let place = priorities.iter().position(|other| *other == priority);
            place.map_or(LAST_SET, |place| {
                u8::try_from(place).unwrap_or(LAST_SET).min(LAST_SET)
            })
        });
        Found {
            host: one.host,
            port: one.port,
            name: one.name,
            weight: Some(u8::try_from(weight.max(1)).unwrap_or(u8::MAX)),
            set,
        }
    });
    in_order(found.collect())
}

/// Sorted, and of those at the same address only the first.
pub(crate) fn in_order(mut found: Vec<Found>) -> Vec<Found> {
    found.sort_by(|a, b| {
        (a.set, address_key(&a.host), &a.host, a.port, &a.name).cmp(&(
            b.set,
            address_key(&b.host),
            &b.host,
            b.port,
            &b.name,
        ))
    });
    let mut seen = HashSet::new();
    found.retain(|one| seen.insert((one.host.clone(), one.port)));
    found
}

/// `10.0.0.9` comes before `10.0.0.10`.
fn address_key(host: &str) -> Option<std::net::IpAddr> {
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// What is wrong with more than [`MOST_MEMBERS`].
pub(crate) fn too_many(count: usize) -> String {
    format!("it names {count} members; {MOST_MEMBERS} is the most")
}

/// A name that can stand in a route: other characters become `-`.
pub(crate) fn plain(name: &str) -> String {
    let plain = |c: char| match c.is_ascii_alphanumeric() || matches!(c, '-' | '_') {
        true => c,
        false => '-',
    };
    name.chars().take(128).map(plain).collect()
}

/// A host as it stands in an address, if it is one: an IP address, or a name of letters, digits, `-`, `_` and dots.
pub(crate) fn host(text: &str) -> Option<String> {
    if let Ok(address) = text.parse::<std::net::IpAddr>() {
        return Some(bracketed(address));
    }
    let name = text.trim_end_matches('.');
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    (name.len() <= 253 && name.split('.').all(is_label)).then(|| name.to_ascii_lowercase())
}

/// An address as it stands before a port.
pub(crate) fn bracketed(address: std::net::IpAddr) -> String {
    match address {
        std::net::IpAddr::V4(address) => address.to_string(),
        std::net::IpAddr::V6(address) => format!("[{address}]"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ranked(host: &str, weight: u32, priority: Option<u16>) -> Ranked {
        Ranked {
            host: host.to_owned(),
            port: 80,
            name: plain(host),
            weight,
            priority,
        }
    }

    fn summary(found: &[Found]) -> Vec<(String, Option<u8>, Option<u8>)> {
        let one = |found: &Found| (found.host.clone(), found.weight, found.set);
        found.iter().map(one).collect()
    }

    #[test]
    fn small_weights_stay_and_large_ones_are_scaled_within_their_set() {
        let found = scaled(vec![
            ranked("10.0.0.3", 65_535, Some(20)),
            ranked("10.0.0.10", 30, Some(10)),
            ranked("10.0.0.9", 0, Some(10)),
            ranked("10.0.0.4", 655, Some(20)),
        ]);
        let expected = [
            ("10.0.0.9", 1, 0),
            ("10.0.0.10", 30, 0),
            ("10.0.0.3", 100, 1),
            ("10.0.0.4", 1, 1),
        ];
        let expected = expected.map(|(host, weight, set)| (host.to_owned(), Some(weight), Some(set)));
        assert_eq!(summary(&found), expected);
    }

    #[test]
    fn without_a_priority_there_is_no_set() {
        let found = scaled(vec![ranked("b", 2, None), ranked("a", 1, None)]);
        let expected = [("a", 1), ("b", 2)].map(|(host, weight)| (host.to_owned(), Some(weight), None));
        assert_eq!(summary(&found), expected);
    }

    #[test]
    fn an_address_counts_once() {
        let found = scaled(vec![ranked("a", 2, Some(1)), ranked("a", 1, Some(0))]);
        assert_eq!(summary(&found), [("a".to_owned(), Some(1), Some(0))]);
    }

    #[test]
    fn hosts_are_addresses_or_names() {
        for (text, expected) in [
            ("10.0.0.1", Some("10.0.0.1")),
            ("fd00::1", Some("[fd00::1]")),
            ("Web-1.node.dc1.consul.", Some("web-1.node.dc1.consul")),
            ("a_b", Some("a_b")),
            ("", None),
            (".", None),
            ("a..b", None),
            ("a b", None),
            ("a/b", None),
            ("a:80", None),
            ("user@a", None),
        ] {
            assert_eq!(host(text).as_deref(), expected, "{text:?}");
        }
        assert_eq!(host(&"a.".repeat(130)), None);
    }

    proptest! {
        #[test]
        fn shares_are_in_bounds_and_keep_their_order(
            weights in proptest::collection::vec((any::<u32>(), any::<Option<u16>>()), 0..40),
        ) {
            let all: Vec<_> = weights
                .iter()
                .enumerate()
                .map(|(at, (weight, priority))| ranked(&format!("h{at}"), *weight, *priority))
                .collect();
            let found = scaled(all.clone());
            prop_assert_eq!(found.len(), all.len());
            let of = |host: &str| found.iter().find(|one| one.host == host).map(|one| (one.weight, one.set));
            for a in &all {
                let (weight, set) = of(&a.host).expect("it is there");
                prop_assert!((1..=100).contains(&weight.expect("a weight")));
                prop_assert_eq!(set.is_some(), a.priority.is_some());
                for b in all.iter().filter(|b| b.priority == a.priority && b.weight >= a.weight) {
                    prop_assert!(of(&b.host).expect("it is there").0 >= weight);
                }
                for b in all.iter().filter(|b| b.priority >= a.priority) {
                    prop_assert!(of(&b.host).expect("it is there").1 >= set);
                }
            }
        }
    }
}
