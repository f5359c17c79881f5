//! What is different in the balancers. All of it applies at once: members have no state that a file could change but
//! what it says of them.

use std::num::NonZeroUsize;
use std::time::Duration;

use super::{Applies, Found, What, duration, list, or_none};
use crate::balancer::{Balancer, LoadFactor, Member, MemberFlag, MemberTls, Pool};

impl Found {
    pub(super) fn balancers(&mut self, old: &[Balancer], new: &[Balancer]) {
        let live = &Applies::Live;
        let find = |all: &'_ [Balancer], name: &str| all.iter().position(|one| one.name == name);
        for balancer in old {
            if find(new, &balancer.name).is_none() {
                self.push("balancers", What::Removed(balancer.name.clone()), live);
            }
        }
        for balancer in new {
            match find(old, &balancer.name) {
                None => self.push("balancers", What::Added(balancer.name.clone()), live),
                Some(at) => self.balancer(&old[at], balancer),
            }
        }
    }

    fn balancer(&mut self, old: &Balancer, new: &Balancer) {
        let live = &Applies::Live;
        let Balancer {
            name,
            method,
            members,
            discover,
            sticky,
            no_failover,
            max_attempts,
            failover,
            timeout,
            queue_limit,
            fail_on_status,
            fail_on_timeout,
            force_recovery,
            growth,
            persist,
            slow_start,
            tls: MemberTls { verify, ca },
        } = new;
        let key = |setting: &str| format!("balancers.{name}.{setting}");
        let called = |method: &crate::Method| method.as_str().to_owned();
        self.value(&key("method"), (&old.method, method), called, live);
        let cookie =
            |sticky: &Option<crate::Sticky>| or_none(sticky.as_ref(), |sticky| sticky.cookie.clone());
        self.value(&key("stickysession"), (&old.sticky, sticky), cookie, live);
        self.plain(&key("nofailover"), (&old.no_failover, no_failover), live);
        let count = |count: &Option<usize>| or_none(count.as_ref(), ToString::to_string);
        self.value(
            &key("maxattempts"),
            (&old.max_attempts, max_attempts),
            count,
            live,
        );
        let which = |failover: &crate::Failover| failover.as_str().to_owned();
        self.value(&key("failover"), (&old.failover, failover), which, live);
        self.value(&key("timeout"), (&old.timeout, timeout), duration, live);
        self.plain(&key("queue_limit"), (&old.queue_limit, queue_limit), live);
        let statuses =
            |statuses: &std::collections::BTreeSet<u16>| list(statuses.iter().map(ToString::to_string));
        self.value(
            &key("failonstatus"),
            (&old.fail_on_status, fail_on_status),
            statuses,
            live,
        );
        self.plain(
            &key("failontimeout"),
            (&old.fail_on_timeout, fail_on_timeout),
            live,
        );
        self.plain(&key("forcerecovery"), (&old.force_recovery, force_recovery), live);
        self.value(&key("growth"), (&old.growth, growth), count, live);
        self.plain(&key("persist"), (&old.persist, persist), live);
        self.value(&key("slow_start"), (&old.slow_start, slow_start), duration, live);
        self.plain(&key("tls_verify"), (&old.tls.verify, verify), live);
        self.hidden(&key("tls_ca"), (&old.tls.ca, ca), live);
        self.hidden(&key("discover"), (&old.discover, discover), live);
        self.members(&key("members"), (&old.members, members));
    }

    fn members(&mut self, key: &str, (old, new): (&[Member], &[Member])) {
        let live = &Applies::Live;
        // Those in both are taken apart below.
        self.elements(
            key,
            (old, new),
            |member| member.url.to_string(),
            |_, _| true,
            live,
        );
        for member in new {
            if let Some(before) = old.iter().find(|before| before.url == member.url) {
                self.member(&format!("{key}.{}", member.url), before, member);
            }
        }
    }

    fn member(&mut self, key: &str, old: &Member, new: &Member) {
        let live = &Applies::Live;
        let Member {
            url: _,
            route,
            redirect,
            load_factor,
            lbset,
            status,
            pool,
            retry,
            timeout,
            connect_timeout,
            ping,
            flush,
            upgrade,
            io_buffer,
            receive_buffer,
            response_field,
            address_ttl,
            health,
        } = new;
        let key = |setting: &str| format!("{key} {setting}");
        let text = |text: &Option<String>| or_none(text.as_ref(), Clone::clone);
        let time = |time: &Option<Duration>| or_none(time.as_ref(), duration);
        self.value(&key("route"), (&old.route, route), text, live);
        self.value(&key("redirect"), (&old.redirect, redirect), text, live);
        self.value(
            &key("loadfactor"),
            (&old.load_factor, load_factor),
            LoadFactor::to_string,
            live,
        );
        self.plain(&key("lbset"), (&old.lbset, lbset), live);
        let letters = |flags: &std::collections::BTreeSet<MemberFlag>| {
            flags.iter().map(|flag| flag.letter()).collect::<String>()
        };
        let letters = |flags: &_| match letters(flags) {
            letters if letters.is_empty() => "none".to_owned(),
            letters => letters,
        };
        self.value(&key("status"), (&old.status, status), letters, live);
        self.pool(&key, &old.pool, pool);
        self.value(&key("retry"), (&old.retry, retry), duration, live);
        self.value(&key("timeout"), (&old.timeout, timeout), duration, live);
        self.value(
            &key("connectiontimeout"),
            (&old.connect_timeout, connect_timeout),
            duration,
            live,
        );
        self.value(&key("ping"), (&old.ping, ping), time, live);
        self.hidden(&key("flushpackets"), (&old.flush, flush), live);
        self.hidden(&key("upgrade"), (&old.upgrade, upgrade), live);
        self.hidden(&key("iobuffersize"), (&old.io_buffer, io_buffer), live);
        self.hidden(
            &key("receivebuffersize"),
            (&old.receive_buffer, receive_buffer),
            live,
        );
        self.plain(
            &key("responsefieldsize"),
            (&old.response_field, response_field),
            live,
        );
        self.value(&key("addressttl"), (&old.address_ttl, address_ttl), time, live);
        self.hidden(&key("health check"), (&old.health, health), live);
    }

    fn pool(&mut self, key: &impl Fn(&str) -> String, old: &Pool, new: &Pool) {
        let live = &Applies::Live;
        let Pool {
            min,
            max,
            smax,
            ttl,
            acquire,
            reuse,
            keep_alive,
        } = new;
        let time = |time: &Option<Duration>| or_none(time.as_ref(), duration);
        let number = |number: &Option<NonZeroUsize>| or_none(number.as_ref(), ToString::to_string);
        self.plain(&key("min"), (&old.min, min), live);
        self.value(&key("max"), (&old.max, max), number, live);
        let idle = |smax: &Option<usize>| or_none(smax.as_ref(), ToString::to_string);
        self.value(&key("smax"), (&old.smax, smax), idle, live);
        self.value(&key("ttl"), (&old.ttl, ttl), time, live);
        self.value(&key("acquire"), (&old.acquire, acquire), time, live);
        self.plain(&key("enablereuse"), (&old.reuse, reuse), live);
        self.plain(&key("keepalive"), (&old.keep_alive, keep_alive), live);
    }
}
