//! Which full names a name stands for: resolv.conf's `search` and `ndots`.

use hickory_resolver::config::ResolverConfig;
use hickory_resolver::proto::rr::Name;

/// The system's rules.
#[derive(Debug, Clone, Default)]
pub(super) struct Search {
    domains: Vec<Name>,
    /// A name with fewer dots is looked for in the domains first.
    ndots: usize,
}

impl Search {
    pub(super) fn of(config: &ResolverConfig, ndots: usize) -> Self {
        let mut domains = config.search().to_vec();
        // The domain counts only where there is no list; see resolv.conf(5).
        if domains.is_empty() {
            domains.extend(config.domain().cloned());
        }
        Search { domains, ndots }
    }

    /// The names to ask for, in order; all are full.
    pub(super) fn candidates(&self, name: &Name) -> Vec<Name> {
        let mut full = name.clone();
        full.set_fqdn(true);
        if name.is_fqdn() {
            return vec![full];
        }
        let within = self.domains.iter().filter_map(|domain| {
            let mut joined = name.clone().append_domain(domain).ok()?;
            joined.set_fqdn(true);
            Some(joined)
        });
        let mut candidates: Vec<Name> = within.collect();
        match usize::from(name.num_labels()).saturating_sub(1) >= self.ndots {
            true => candidates.insert(0, full),
            false => candidates.push(full),
        }
        candidates
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::from_ascii(text).expect("a name")
    }

    fn candidates(ndots: usize, domains: &[&str], of: &str) -> Vec<String> {
        let search = Search {
            domains: domains.iter().map(|domain| name(domain)).collect(),
            ndots,
        };
        search.candidates(&name(of)).iter().map(Name::to_ascii).collect()
    }

    #[test]
    fn a_pods_rules() {
        let domains = ["default.svc.cluster.local", "svc.cluster.local", "cluster.local"];
        assert_eq!(
            candidates(5, &domains, "app.default.svc"),
            [
                "app.default.svc.default.svc.cluster.local.",
                "app.default.svc.svc.cluster.local.",
                "app.default.svc.cluster.local.",
                "app.default.svc.",
            ]
        );
        assert_eq!(
            candidates(5, &domains, "app.default.svc.cluster.local."),
            ["app.default.svc.cluster.local."]
        );
    }

    #[test]
    fn enough_dots_make_the_name_itself_the_first() {
        assert_eq!(
            candidates(1, &["example.com"], "app.internal"),
            ["app.internal.", "app.internal.example.com."]
        );
        assert_eq!(
            candidates(1, &["example.com"], "app"),
            ["app.example.com.", "app."]
        );
        assert_eq!(candidates(0, &[], "app"), ["app."]);
    }
}
