//! What is different in the apps.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::time::Duration;

use super::{Applies, Found, What, duration, list, or_none};
use crate::account::Account;
use crate::balancer::Sticky;
use crate::config::{App, AppTimeouts, Interface, Queue};
use crate::scale::Recycle;
use crate::units::ByteSize;

impl Found {
    pub(super) fn apps(&mut self, old: &[App], new: &[App]) {
        let find = |apps: &'_ [App], name: &str| apps.iter().position(|app| app.name == name);
        for app in old {
            if find(new, &app.name).is_none() {
                self.push("apps", What::Removed(app.name.clone()), &Applies::Live);
            }
        }
        for app in new {
            match find(old, &app.name) {
                None => self.push(
                    "apps",
                    What::Added(app.name.clone()),
                    &Applies::NewWorkers(app.name.clone()),
                ),
                Some(at) => self.app(&old[at], app),
            }
        }
    }

    fn app(&mut self, old: &App, new: &App) {
        let App {
            name,
            target,
            directory,
            python,
            interface,
            workers,
            surge,
            threads,
            switch_interval,
            startup_timeout,
            drain_timeout,
            user,
            recycle,
            queue: Queue { limit, timeout },
            timeouts,
            route,
            sticky,
            env,
            sendfile,
        } = new;
        let (live, fresh) = (&Applies::Live, &Applies::NewWorkers(name.clone()));
        let key = |setting: &str| format!("apps.{name}.{setting}");
        self.plain(&key("target"), (&old.target, target), fresh);
        let path = |path: &std::path::PathBuf| path.display().to_string();
        self.value(&key("directory"), (&old.directory, directory), path, fresh);
        // Who named it, and what it says of itself, change nothing.
        self.value(&key("python"), (&old.python.path, &python.path), path, fresh);
        let called = |interface: &Interface| {
            match interface {
                Interface::Auto => "auto",
                Interface::Wsgi => "wsgi",
            }
            .to_owned()
        };
        self.value(&key("interface"), (&old.interface, interface), called, fresh);
        self.plain(&key("workers"), (&old.workers, workers), fresh);
        self.value(
            &key("workers.ttl"),
            (&old.workers.ttl, &workers.ttl),
            duration,
            live,
        );
        self.plain(&key("surge"), (&old.surge, surge), live);
        let whom = |account: &Option<Account>| {
            let shown = |account: &Account| format!("{} (group {})", account.name, account.gid);
            or_none(account.as_ref(), shown)
        };
        self.value(&key("user"), (&old.user, user), whom, fresh);
        self.plain(&key("threads"), (&old.threads, threads), fresh);
        for (setting, old, new) in [
            ("switch_interval", &old.switch_interval, switch_interval),
            ("startup_timeout", &old.startup_timeout, startup_timeout),
            ("drain_timeout", &old.drain_timeout, drain_timeout),
        ] {
            self.value(&key(setting), (old, new), duration, fresh);
        }
        let Recycle {
            requests,
            age,
            jitter,
            memory,
            idle,
        } = recycle;
        let before = &old.recycle;
        let count = |requests: &Option<NonZeroU64>| or_none(requests.as_ref(), ToString::to_string);
        self.value(
            &key("recycle.requests"),
            (&before.requests, requests),
            count,
            fresh,
        );
        let time = |time: &Option<Duration>| or_none(time.as_ref(), duration);
        self.value(&key("recycle.age"), (&before.age, age), time, fresh);
        self.value(&key("recycle.idle"), (&before.idle, idle), time, fresh);
        self.plain(&key("recycle.jitter"), (&before.jitter, jitter), fresh);
        let size = |size: &Option<ByteSize>| or_none(size.as_ref(), ToString::to_string);
        self.value(&key("recycle.memory"), (&before.memory, memory), size, fresh);
        self.plain(&key("queue.limit"), (&old.queue.limit, limit), live);
        self.value(
            &key("queue.timeout"),
            (&old.queue.timeout, timeout),
            duration,
            live,
        );
        self.app_timeouts(key, &old.timeouts, timeouts);
        self.plain(&key("route"), (&old.route, route), fresh);
        self.sticky(key, old.sticky.as_ref(), sticky.as_ref());
        self.environment(&key("env"), (&old.env, env), fresh);
        let folders = |folders: &Vec<std::path::PathBuf>| list(folders.iter().map(path));
        self.value(&key("sendfile"), (&old.sendfile, sendfile), folders, live);
    }

    fn sticky(&mut self, key: impl Fn(&str) -> String, old: Option<&Sticky>, new: Option<&Sticky>) {
        let names = |sticky: Option<&Sticky>| or_none(sticky, ToString::to_string);
        self.plain(&key("sticky"), (&names(old), &names(new)), &Applies::Live);
        if let (Some(old), Some(new)) = (old, new) {
            let shown = |separator: &Option<char>| separator.map_or_else(|| "off".to_owned(), String::from);
            let separators = (&old.separator, &new.separator);
            self.value(&key("sticky_separator"), separators, shown, &Applies::Live);
        }
    }

    fn app_timeouts(&mut self, key: impl Fn(&str) -> String, old: &AppTimeouts, new: &AppTimeouts) {
        let AppTimeouts {
            request,
            idle,
            interrupt_grace,
            slow,
        } = new;
        let or_off = |time: &Option<Duration>| time.as_ref().map_or_else(|| "off".to_owned(), duration);
        for (setting, old, new) in [
            ("request_timeout", &old.request, request),
            ("idle_timeout", &old.idle, idle),
            ("slow_request", &old.slow, slow),
        ] {
            self.value(&key(setting), (old, new), or_off, &Applies::Live);
        }
        let grace = (&old.interrupt_grace, interrupt_grace);
        self.value(&key("interrupt_grace"), grace, duration, &Applies::Live);
    }

    /// Names only: values are passwords as often as not.
    fn environment(
        &mut self,
        key: &str,
        (old, new): (&BTreeMap<String, String>, &BTreeMap<String, String>),
        applies: &Applies,
    ) {
        let pairs = |env: &BTreeMap<String, String>| {
            env.iter()
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect::<Vec<_>>()
        };
        self.elements(
            key,
            (&pairs(old), &pairs(new)),
            |(name, _)| name.clone(),
            |a, b| a == b,
            applies,
        );
    }
}
