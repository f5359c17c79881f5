//! Balancers and their members.

use super::separator_text;
use super::writer::{Writer, list, quoted, size, status, table, time};
use crate::balancer::{Balancer, BalancerDraft, Flush, HashKey, HealthCheck, Member, Method, Upgrade};

impl Writer {
    pub(super) fn balancer(&mut self, draft: &BalancerDraft) {
        let balancer = &draft.balancer;
        let usual = Balancer::named(String::new());
        self.section(&format!("[balancers.{}]", balancer.name), Some(&draft.name.place));
        self.key("method", quoted(balancer.method.as_str()));
        if let Method::Hash(key) = &balancer.method {
            self.unless("hash", key, &HashKey::Address, |key| {
                quoted(&match key {
                    HashKey::Address => "address".to_owned(),
                    HashKey::Header(name) => format!("header:{name}"),
                    HashKey::Cookie(name) => format!("cookie:{name}"),
                })
            });
        }
        if let Some(sticky) = &balancer.sticky {
            self.key("stickysession", quoted(&sticky.to_string()));
            self.unless("stickysessionsep", &sticky.separator, &Some('.'), separator_text);
            self.unless("scolonpathdelim", &sticky.semicolon, &false, ToString::to_string);
        }
        self.unless("nofailover", &balancer.no_failover, &false, ToString::to_string);
        self.some("maxattempts", balancer.max_attempts, |number| number.to_string());
        self.unless("failover", &balancer.failover, &usual.failover, |failover| {
            quoted(failover.as_str())
        });
        self.unless("timeout", &balancer.timeout, &usual.timeout, |timeout| {
            time(*timeout)
        });
        if !balancer.fail_on_status.is_empty() {
            self.key(
                "failonstatus",
                list(balancer.fail_on_status.iter().map(ToString::to_string)),
            );
        }
        self.unless(
            "failontimeout",
            &balancer.fail_on_timeout,
            &false,
            ToString::to_string,
        );
        self.unless(
            "forcerecovery",
            &balancer.force_recovery,
            &true,
            ToString::to_string,
        );
        self.unless("persist", &balancer.persist, &false, ToString::to_string);
        self.some("growth", balancer.growth, |number| number.to_string());
        self.unless("tls_verify", &balancer.tls.verify, &true, ToString::to_string);
        let ca = draft.ca.as_ref().map(|ca| self.path(&ca.value));
        self.some("tls_ca", ca, |ca| ca);
        for (member, place) in balancer.members.iter().zip(&draft.places) {
            self.section(
                &format!("[[balancers.{}.members]]", balancer.name),
                Some(&place.place),
            );
            self.member(member);
        }
    }

    fn member(&mut self, member: &Member) {
        let usual = Member::at(member.url.clone());
        self.key("url", quoted(&member.url.to_string()));
        self.some("route", member.route.as_deref(), quoted);
        self.some("redirect", member.redirect.as_deref(), quoted);
        self.unless(
            "loadfactor",
            &member.load_factor,
            &usual.load_factor,
            ToString::to_string,
        );
        self.unless("lbset", &member.lbset, &0, ToString::to_string);
        self.unless("status", &member.status, &usual.status, |flags| {
            quoted(&flags.iter().map(|flag| flag.letter()).collect::<String>())
        });
        let pool = &member.pool;
        self.unless("min", &pool.min, &0, ToString::to_string);
        self.some("max", pool.max, |number| number.to_string());
        self.some("smax", pool.smax, |number| number.to_string());
        self.some("ttl", pool.ttl, time);
        self.some("acquire", pool.acquire, time);
        self.unless("enablereuse", &pool.reuse, &true, ToString::to_string);
        self.unless("keepalive", &pool.keep_alive, &false, ToString::to_string);
        self.unless("retry", &member.retry, &usual.retry, |retry| time(*retry));
        self.unless("timeout", &member.timeout, &usual.timeout, |timeout| {
            time(*timeout)
        });
        self.unless(
            "connectiontimeout",
            &member.connect_timeout,
            &member.timeout,
            |timeout| time(*timeout),
        );
        self.some("ping", member.ping, time);
        match member.flush {
            Flush::Off => {}
            Flush::On => self.key("flushpackets", quoted("on")),
            Flush::Auto(wait) => {
                self.key("flushpackets", quoted("auto"));
                self.key("flushwait", time(wait));
            }
        }
        self.unless("upgrade", &member.upgrade, &Upgrade::Any, |upgrade| {
            quoted(match upgrade {
                Upgrade::Any => "any",
                Upgrade::Never => "none",
                Upgrade::Only(name) => name,
            })
        });
        self.some("iobuffersize", member.io_buffer, size);
        self.some("receivebuffersize", member.receive_buffer, size);
        self.unless(
            "responsefieldsize",
            &member.response_field,
            &usual.response_field,
            |field| size(*field),
        );
        self.some("addressttl", member.address_ttl, time);
        if let Some(check) = &member.health {
            self.health(check);
        }
    }

    fn health(&mut self, check: &HealthCheck) {
        let usual = HealthCheck::by(check.method);
        self.key("hcmethod", quoted(check.method.as_str()));
        self.unless("hcinterval", &check.interval, &usual.interval, |interval| {
            time(*interval)
        });
        self.unless("hcpasses", &check.passes, &usual.passes, ToString::to_string);
        self.unless("hcfails", &check.fails, &usual.fails, ToString::to_string);
        self.unless("hcuri", &check.uri, &usual.uri, |uri| quoted(uri));
        let expect = &check.expect;
        let parts = [
            (!expect.statuses.is_empty()).then(|| {
                format!(
                    "status = {}",
                    list(expect.statuses.iter().flat_map(|range| statuses(*range)))
                )
            }),
            expect
                .contains
                .as_ref()
                .map(|text| format!("contains = {}", quoted(text))),
            expect
                .lacks
                .as_ref()
                .map(|text| format!("lacks = {}", quoted(text))),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        if !parts.is_empty() {
            self.key("hcexpect", table(parts));
        }
    }
}

/// Ranges that are no class, one by one.
fn statuses((first, last): (u16, u16)) -> Vec<String> {
    let mut parts = Vec::new();
    let mut at = first;
    while at <= last {
        if at % 100 == 0 && at + 99 <= last {
            parts.push(status((at, at + 99)));
            at += 100;
        } else {
            parts.push(at.to_string());
            at += 1;
        }
    }
    parts
}
