//! Pools that some host uses become balancers.
//!
//! Apache asks the host of each request for its `ProxyTimeout` and how it speaks TLS; here members have these. So they get
//! what the hosts say whose requests go there, and it is told where hosts that share members say different things.

use std::time::Duration;

use super::balancers::Pool;
use super::lexer::Word;
use super::proxy::ProxyOptions;
use super::reading::{Answers, Host, Reading};
use crate::balancer::BalancerDraft;
use crate::config::defaults;
use crate::draft::{AnswerDraft, LocationDraft};
use crate::problem::{Mistake, Problems};

impl Reading {
    pub(super) fn balancers(
        &mut self,
        locations: &[LocationDraft],
        warnings: &mut Problems,
        problems: &mut Problems,
    ) -> Vec<BalancerDraft> {
        let mut drafts = Vec::new();
        for pool in std::mem::take(&mut self.pools) {
            if let Err(problem) = pool.check() {
                problems.push(problem);
            }
            let is_used = |location: &LocationDraft| match &location.answer {
                AnswerDraft::Balancer(name, _) => name.value == pool.name.value,
                _ => false,
            };
            if !locations.iter().any(is_used) {
                let what = format!(
                    "of the balancer {} is passed over: no ProxyPass leads there",
                    pool.name.value
                );
                warnings.push(pool.name.problem(Mistake::new(what)));
                continue;
            }
            if pool.members.is_empty() {
                let what = format!("names the balancer {}, which has no members", pool.name.value);
                let cure = format!(
                    "write <Proxy balancer://{}> with BalancerMember http://10.0.0.1:9001",
                    pool.name.value
                );
                problems.push(pool.name.problem(Mistake::new(what).cure(cure)));
                continue;
            }
            drafts.push(self.balancer(pool, warnings));
        }
        drafts
    }

    fn balancer(&self, pool: Pool, warnings: &mut Problems) -> BalancerDraft {
        let users = self.users(&pool.name.value);
        let is_secure = pool.members.iter().any(|line| line.member.url.scheme.is_secure());
        let mut warn = |directive: &str, [one, other]: [&str; 2], taken: &str, cure: &str| {
            let what = format!(
                "leads to members of the balancer {} from hosts with different {directive}, {one} and {other}: for requests \
                 of both it is {taken}",
                pool.name.value
            );
            warnings.push(pool.name.problem(Mistake::new(what).cure(cure)));
        };
        let apart = "give each host a <Proxy balancer://…> of its own";

        let timeouts = users.iter().map(|proxy| self.timeout_of(proxy));
        let (timeout, other) = first_two(timeouts);
        let timeout = timeout.unwrap_or(defaults::MEMBER_TIMEOUT);
        if let Some(other) = other.filter(|_| pool.members.iter().any(|line| line.timeout.is_none())) {
            let (one, other) = (format!("{timeout:?}"), format!("{other:?}"));
            let cure = "give the members a timeout=, or each host a <Proxy balancer://…> of its own";
            warn("ProxyTimeout", [&one, &other], &one, cure);
        }

        let (verify, other) = first_two(users.iter().map(|proxy| proxy.verify.unwrap_or(true)));
        if other.is_some() && is_secure {
            warn("SSLProxyVerify", ["require", "none"], "require", apart);
        }
        let verify = verify.unwrap_or(true) || other.unwrap_or(false);

        let named = users.iter().filter_map(|proxy| proxy.ca.as_ref());
        let ca: Option<&Word> = named.clone().next();
        let (_, other) = first_two(named.map(|word| word.text.as_str()));
        if let (Some(ca), Some(other), true) = (ca, other, is_secure) {
            warn("SSLProxyCACertificateFile", [&ca.text, other], &ca.text, apart);
        }
        let ca = ca.filter(|_| is_secure);
        let ca = ca.map(|word| word.at("SSLProxyCACertificateFile", word.text.clone()));

        let (name, mut balancer, places) = pool.finish(timeout);
        balancer.tls.verify = verify;
        balancer.persist = self.persist;
        BalancerDraft {
            name,
            balancer,
            places,
            all_read: true,
            ca,
        }
    }

    /// What the hosts say of proxying whose requests go to this pool.
    fn users(&self, pool: &str) -> Vec<ProxyOptions> {
        let leads_there = |host: &&Host| {
            let mut rules = host.rules.iter();
            rules.any(|rule| matches!(&rule.what, Answers::Proxy { pool: name, .. } if name == pool))
        };
        if self.hosts.is_empty() || leads_there(&&self.main) {
            // Hosts have the server's rules.
            let all = self.hosts.iter().map(|host| host.proxy.within(&self.main.proxy));
            let all: Vec<_> = all.collect();
            return match all.is_empty() {
                true => vec![self.main.proxy.clone()],
                false => all,
            };
        }
        let hosts = self.hosts.iter().filter(leads_there);
        hosts.map(|host| host.proxy.within(&self.main.proxy)).collect()
    }

    fn timeout_of(&self, proxy: &ProxyOptions) -> Duration {
        let said = proxy.timeout.or(self.timeout);
        said.unwrap_or(defaults::MEMBER_TIMEOUT)
    }
}

/// The first value, and the first other one.
fn first_two<T: PartialEq>(values: impl Iterator<Item = T>) -> (Option<T>, Option<T>) {
    let mut values = values;
    let first = values.next();
    let other = values.find(|value| Some(value) != first.as_ref());
    (first, other)
}
