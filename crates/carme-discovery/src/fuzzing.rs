//! A door for the fuzzer: what is made of what Consul says. Not part of the interface.

use crate::consul;
use crate::found::host;

/// An answer about a service. Whatever it names can be connected to, and no address is named twice.
pub fn consul(bytes: &[u8]) {
    let Ok((members, _)) = consul::members(bytes) else {
        return;
    };
    let mut addresses = std::collections::HashSet::new();
    for member in &members {
        let plain = member.host.trim_matches(['[', ']']);
        assert_eq!(host(plain).as_deref(), Some(member.host.as_str()));
        assert!(member.port > 0 && addresses.insert(member.to_string()));
        assert!(member.weight.is_some_and(|weight| (1..=100).contains(&weight)));
    }
}
