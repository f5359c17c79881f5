//! The keys of `[server]` about proxies before it.

use toml::de::DeValue;

use super::section::{Section, describe};
use crate::problem::{Mistake, Problems};
use crate::proxies::{ClientHeader, ForwardedFields, Proxies, TrustedProxy, protocol_needs_proxies};

pub(super) fn proxies(section: &Section<'_>, problems: &mut Problems) -> Proxies {
    let mut proxies = Proxies::default();
    let before = problems.len();
    let trusted = section.texts("trusted_proxies", problems, TrustedProxy::parse);
    let all_read = problems.len() == before;
    for proxy in trusted.unwrap_or_default() {
        match proxies.trusted.contains(&proxy.value) {
            true => problems.push(proxy.problem(Mistake::new("has the same twice"))),
            false => proxies.trusted.push(proxy.value),
        }
    }
    if let Some(header) = section.text("forwarded", problems, ClientHeader::parse) {
        proxies.header = header.value;
    }
    if section.has("forwarded_fields") {
        let mut fields = ForwardedFields::NONE;
        section.texts("forwarded_fields", problems, |text| fields.add(text));
        proxies.fields = fields;
    }
    let protocol = section.read("proxy_protocol", problems, |value| match value {
        DeValue::Boolean(on) => Ok(*on),
        other => Err(Mistake::new(format!(
            "must be true or false, found {}",
            describe(other)
        ))),
    });
    if let Some(protocol) = protocol {
        proxies.protocol = protocol.value;
        // A list of mistakes has been reported as such.
        if let Err(mistake) = protocol_needs_proxies(&proxies)
            && all_read
        {
            problems.push(protocol.problem(mistake));
        }
    }
    proxies
}
