//! What Consul answers: `/v1/health/service/NAME`.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::found::{Found, Ranked, host, plain, scaled};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    node: Node,
    service: Service,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Node {
    #[serde(default)]
    node: String,
    #[serde(default)]
    address: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Service {
    #[serde(rename = "ID", default)]
    id: String,
    #[serde(default)]
    service: String,
    #[serde(default)]
    address: String,
    #[serde(default)]
    port: i64,
    #[serde(default)]
    weights: Option<Weights>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Weights {
    #[serde(default)]
    passing: i64,
}

/// The instances, and what of them cannot be a member.
///
/// # Errors
/// That it is no such answer.
pub(crate) fn members(body: &[u8]) -> Result<(Vec<Found>, Vec<String>), serde_json::Error> {
    let entries: Vec<Entry> = serde_json::from_slice(body)?;
    let mut ranked = Vec::with_capacity(entries.len());
    let mut left_out = BTreeSet::new();
    for entry in entries {
        match member(&entry) {
            Ok(member) => ranked.push(member),
            Err(why) => {
                left_out.insert(format!("{} on {} {why}", entry.service.id, entry.node.node));
            }
        }
    }
    Ok((scaled(ranked), left_out.into_iter().collect()))
}

fn member(entry: &Entry) -> Result<Ranked, String> {
    let Entry { node, service } = entry;
    // A service that says nothing is at its node's address.
    let address = match service.address.as_str() {
        "" => &node.address,
        address => address,
    };
    let port = u16::try_from(service.port).ok().filter(|port| *port > 0);
    Ok(Ranked {
        host: host(address).ok_or_else(|| format!("has the address {address:?}"))?,
        port: port.ok_or_else(|| format!("has the port {}", service.port))?,
        // An id is often the service's name, and then the same on each node.
        name: plain(match service.id == service.service {
            true => &node.node,
            false => &service.id,
        }),
        weight: service.weights.as_ref().map_or(1, |weights| {
            u32::try_from(weights.passing.clamp(0, i64::from(u32::MAX))).unwrap_or(u32::MAX)
        }),
        priority: None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As Consul 1.8 sends it, shortened.
    const ANSWER: &str = r#"[
      {"Node": {"ID": "1c2d", "Node": "n1", "Address": "10.0.0.1", "Datacenter": "dc1", "Meta": {}},
       "Service": {"ID": "app", "Service": "app", "Tags": ["blue"], "Address": "", "Port": 8000,
                   "Weights": {"Passing": 1, "Warning": 1}, "EnableTagOverride": false, "CreateIndex": 14},
       "Checks": [{"Node": "n1", "CheckID": "serfHealth", "Status": "passing"}]},
      {"Node": {"Node": "n2", "Address": "10.0.0.2"},
       "Service": {"ID": "app:2", "Service": "app", "Address": "fd00::2", "Port": 8001, "Weights": {"Passing": 5}}},
      {"Node": {"Node": "n3", "Address": "10.0.0.3"},
       "Service": {"ID": "app", "Service": "app", "Address": "Web.Example.com", "Port": 80}}]"#;

    #[test]
    fn instances_become_members() {
        let (found, left_out) = members(ANSWER.as_bytes()).expect("an answer");
        let line = |one: &Found| format!("{one} {} {:?} {:?}", one.name, one.weight, one.set);
        assert_eq!(
            found.iter().map(line).collect::<Vec<_>>(),
            [
                "web.example.com:80 n3 Some(1) None",
                "10.0.0.1:8000 n1 Some(1) None",
                "[fd00::2]:8001 app-2 Some(5) None",
            ]
        );
        assert!(left_out.is_empty());
    }

    #[test]
    fn what_cannot_be_a_member_is_left_out() {
        let body = r#"[
          {"Node": {"Node": "n1", "Address": "10.0.0.1"}, "Service": {"ID": "app", "Service": "app", "Port": 0}},
          {"Node": {"Node": "n2", "Address": "10.0.0.1"}, "Service": {"ID": "app", "Service": "app", "Port": 65536}},
          {"Node": {"Node": "n3", "Address": "a b"}, "Service": {"ID": "app", "Service": "app", "Port": 80}},
          {"Node": {"Node": "n4", "Address": ""}, "Service": {"ID": "app", "Service": "app", "Port": 80}},
          {"Node": {"Node": "n5", "Address": "10.0.0.5"},
           "Service": {"ID": "app", "Service": "app", "Port": 80, "Weights": {"Passing": -7}}}]"#;
        let (found, left_out) = members(body.as_bytes()).expect("an answer");
        assert_eq!(
            found.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["10.0.0.5:80"]
        );
        assert_eq!(found[0].weight, Some(1));
        assert_eq!(
            left_out,
            [
                "app on n1 has the port 0",
                "app on n2 has the port 65536",
                "app on n3 has the address \"a b\"",
                "app on n4 has the address \"\"",
            ]
        );
    }

    #[test]
    fn other_answers_are_errors() {
        for body in [
            "",
            "null",
            "{}",
            "[{}]",
            "[1]",
            "rpc error: No cluster leader",
            "[[[[",
        ] {
            members(body.as_bytes()).map(|_| ()).expect_err(body);
        }
        let nested = "[".repeat(100_000);
        members(nested.as_bytes()).map(|_| ()).expect_err("too deep");
    }

    proptest! {
        #[test]
        fn bytes_do_no_harm(body in proptest::collection::vec(any::<u8>(), 0..200), at in 0..ANSWER.len(), byte: u8) {
            let _ = members(&body);
            let mut changed = ANSWER.as_bytes().to_vec();
            changed[at] = byte;
            if let Ok((found, _)) = members(&changed) {
                prop_assert!(found.iter().all(|one| one.port > 0 && host(one.host.trim_matches(['[', ']'])).is_some()));
            }
        }
    }
}
