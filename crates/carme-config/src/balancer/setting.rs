//! One setting of a balancer or a member by its name in `carme.toml` and its value as text: what commands change at run
//! time, and what is kept of that. The values are written as in the file, without quotes; `-` takes one away.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use super::{
    Balancer, Flush, HealthCheck, HealthMethod, Member, MemberUrl, Method, Sticky, Upgrade, flags, route,
    separator,
};
use crate::config::defaults;
use crate::nearest::did_you_mean;
use crate::problem::Mistake;
use crate::toml_file::bounds;
use crate::toml_file::members::{flush_wait, health_uri};
use crate::toml_file::rules;
use crate::units::{ByteSize, parse_duration};

/// What of a balancer can be changed at run time.
const OF_BALANCERS: [&str; 7] = [
    "method",
    "timeout",
    "maxattempts",
    "nofailover",
    "stickysession",
    "stickysessionsep",
    "scolonpathdelim",
];

/// What a member can be given at run time.
const OF_MEMBERS: [&str; 30] = [
    "route",
    "redirect",
    "loadfactor",
    "lbset",
    "status",
    "min",
    "max",
    "smax",
    "ttl",
    "acquire",
    "disablereuse",
    "keepalive",
    "retry",
    "timeout",
    "connectiontimeout",
    "ping",
    "flushpackets",
    "flushwait",
    "upgrade",
    "receivebuffersize",
    "responsefieldsize",
    "addressttl",
    "hcmethod",
    "hcinterval",
    "hcpasses",
    "hcfails",
    "hcuri",
    "hcexpect.status",
    "hcexpect.contains",
    "hcexpect.lacks",
];

/// Takes a setting away.
const NOTHING: &str = "-";

fn some<T>(text: &str, read: impl FnOnce(&str) -> Result<T, Mistake>) -> Result<Option<T>, Mistake> {
    match text {
        NOTHING => Ok(None),
        text => read(text).map(Some),
    }
}

fn on(text: &str) -> Result<bool, Mistake> {
    match text {
        "on" | "true" => Ok(true),
        "off" | "false" => Ok(false),
        _ => Err(Mistake::new(format!("must be on or off, found {text:?}"))),
    }
}

fn number<T: FromStr + PartialOrd + std::fmt::Display>(text: &str, most: T) -> Result<T, Mistake> {
    let parsed = text.parse().ok().filter(|number| *number <= most);
    parsed.ok_or_else(|| Mistake::new(format!("must be a whole number from 0 to {most}, found {text:?}")))
}

fn positive(text: &str) -> Result<Duration, Mistake> {
    bounds::positive(parse_duration(text)?)
}

fn buffer(text: &str) -> Result<ByteSize, Mistake> {
    bounds::size(text, ByteSize::bytes(512), ByteSize::mib(16))
}

/// The same with the setting's name, for whoever is not told it otherwise.
fn named(key: &str, mistake: Mistake) -> Mistake {
    Mistake {
        what: format!("{key} {}", mistake.what),
        ..mistake
    }
}

fn unknown(key: &str, known: &[&'static str]) -> Mistake {
    let cure = did_you_mean(key, known.iter().copied());
    Mistake::new("is no setting that can be changed while the server runs").maybe_cure(cure)
}

impl Balancer {
    /// Changes a setting.
    ///
    /// # Errors
    /// There is none of this name, or it cannot have this value; the setting is named.
    pub fn set(&mut self, key: &str, text: &str) -> Result<(), Mistake> {
        self.try_set(key, text).map_err(|mistake| named(key, mistake))
    }

    fn try_set(&mut self, key: &str, text: &str) -> Result<(), Mistake> {
        let alone = || Mistake::new("means nothing without stickysession");
        match key {
            "method" => self.method = Method::parse(text)?,
            "timeout" => self.timeout = parse_duration(text)?,
            "maxattempts" => self.max_attempts = some(text, |text| number(text, 1000))?,
            "nofailover" => self.no_failover = on(text)?,
            "stickysession" => {
                let before = self.sticky.take();
                self.sticky = some(text, Sticky::parse)?;
                if let (Some(sticky), Some(before)) = (&mut self.sticky, before) {
                    (sticky.separator, sticky.semicolon) = (before.separator, before.semicolon);
                }
            }
            "stickysessionsep" => {
                self.sticky.as_mut().ok_or_else(alone)?.separator = separator(text)?;
            }
            "scolonpathdelim" => self.sticky.as_mut().ok_or_else(alone)?.semicolon = on(text)?,
            _ => return Err(unknown(key, &OF_BALANCERS)),
        }
        Ok(())
    }
}

impl Member {
    /// A member with these settings, and the defaults of all others.
    ///
    /// # Errors
    /// The address is none, or a setting is wrong.
    pub fn of_settings(url: &str, settings: &BTreeMap<String, String>) -> Result<Member, Mistake> {
        let url = MemberUrl::parse(url).map_err(|mistake| named("the URL", mistake))?;
        let mut member = Member::at(url);
        member.set_all(settings)?;
        if !settings.contains_key("connectiontimeout") {
            member.connect_timeout = member.timeout;
        }
        Ok(member)
    }

    /// Changes settings, in an order in which they make sense.
    ///
    /// # Errors
    /// The first that is wrong; the setting is named.
    pub fn set_all(&mut self, settings: &BTreeMap<String, String>) -> Result<(), Mistake> {
        let first = ["hcmethod", "flushpackets"];
        let is_first = |(key, _): &(&String, &String)| first.contains(&key.as_str());
        let (first, rest): (Vec<_>, Vec<_>) = settings.iter().partition(is_first);
        for (key, text) in first.into_iter().chain(rest) {
            self.try_set(key, text).map_err(|mistake| named(key, mistake))?;
        }
        if let Some(check) = &self.health {
            check.check().map_err(|mistake| named("hcmethod", mistake))?;
        }
        match (self.pool.smax, self.pool.max) {
            (Some(smax), Some(max)) if smax > max.get() => Err(Mistake::new(format!(
                "smax is at most max, found {smax} and {max}"
            ))),
            _ => Ok(()),
        }
    }

    fn try_set(&mut self, key: &str, text: &str) -> Result<(), Mistake> {
        let pool = &mut self.pool;
        match key {
            "route" => self.route = some(text, route)?,
            "redirect" => self.redirect = some(text, route)?,
            "loadfactor" => self.load_factor = text.parse()?,
            "lbset" => self.lbset = number(text, 99)?,
            "status" => flags(text, &mut self.status)?,
            "min" => pool.min = number(text, 65_535)?,
            "max" => pool.max = some(text, |text| bounds::CONNECTIONS.parse(text))?,
            "smax" => pool.smax = some(text, |text| number(text, 1_000_000))?,
            "ttl" => pool.ttl = some(text, positive)?,
            "acquire" => pool.acquire = some(text, positive)?,
            "disablereuse" => pool.reuse = !on(text)?,
            "keepalive" => pool.keep_alive = on(text)?,
            "retry" => self.retry = parse_duration(text)?,
            "timeout" => self.timeout = positive(text)?,
            "connectiontimeout" => self.connect_timeout = positive(text)?,
            "ping" => self.ping = some(text, positive)?,
            "flushpackets" => self.flush = Flush::parse(text, defaults::FLUSH_WAIT)?,
            "flushwait" => match &mut self.flush {
                Flush::Auto(wait) => *wait = flush_wait(positive(text)?)?,
                _ => return Err(Mistake::new("goes with flushpackets auto")),
            },
            "upgrade" => self.upgrade = Upgrade::parse(text)?,
            "receivebuffersize" => self.receive_buffer = some(text, buffer)?,
            "responsefieldsize" => self.response_field = buffer(text)?,
            "addressttl" => self.address_ttl = some(text, positive)?,
            "hcmethod" => match HealthMethod::parse(text)? {
                None => self.health = None,
                Some(method) => {
                    self.health.get_or_insert_with(|| HealthCheck::by(method)).method = method;
                }
            },
            _ => return self.set_check(key, text),
        }
        Ok(())
    }

    fn set_check(&mut self, key: &str, text: &str) -> Result<(), Mistake> {
        if !key.starts_with("hc") {
            return Err(unknown(key, &OF_MEMBERS));
        }
        let Some(check) = &mut self.health else {
            return Err(Mistake::new("means nothing without hcmethod"));
        };
        let count = |text| bounds::HEALTH_COUNT.parse(text);
        match key {
            "hcinterval" => check.interval = positive(text)?,
            "hcpasses" => check.passes = count(text)?,
            "hcfails" => check.fails = count(text)?,
            "hcuri" => check.uri = some(text, health_uri)?.unwrap_or_default(),
            "hcexpect.status" => {
                check.expect.statuses = some(text, |text| {
                    text.split(',')
                        .map(|one| rules::status_text(one.trim()))
                        .collect()
                })?
                .unwrap_or_default();
            }
            "hcexpect.contains" => check.expect.contains = some(text, |text| Ok(text.to_owned()))?,
            "hcexpect.lacks" => check.expect.lacks = some(text, |text| Ok(text.to_owned()))?,
            _ => return Err(unknown(key, &OF_MEMBERS)),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balancer::{HealthExpect, MemberFlag};

    fn settings(text: &[(&str, &str)]) -> BTreeMap<String, String> {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        text.iter().map(owned).collect()
    }

    #[test]
    fn a_member_has_what_is_said_of_it() {
        let member = Member::of_settings(
            "http://10.0.0.4:9004",
            &settings(&[
                ("route", "www_4"),
                ("loadfactor", "2.5"),
                ("lbset", "1"),
                ("status", "+DH-D"),
                ("max", "10"),
                ("smax", "3"),
                ("ttl", "120s"),
                ("disablereuse", "on"),
                ("timeout", "5s"),
                ("flushwait", "20ms"),
                ("flushpackets", "auto"),
                ("hcuri", "/healthz"),
                ("hcmethod", "get"),
                ("hcexpect.status", "2xx,401"),
                ("hcexpect.lacks", "maintenance"),
            ]),
        )
        .expect("it is right");
        assert_eq!(member.route.as_deref(), Some("www_4"));
        assert_eq!(member.load_factor.hundredths(), 250);
        assert_eq!(
            (member.lbset, member.pool.smax, member.pool.reuse),
            (1, Some(3), false)
        );
        assert_eq!(member.status, [MemberFlag::HotStandby].into());
        assert_eq!(member.pool.ttl, Some(Duration::from_secs(120)));
        assert_eq!(
            (member.timeout, member.connect_timeout),
            (Duration::from_secs(5), Duration::from_secs(5))
        );
        assert_eq!(member.flush, Flush::Auto(Duration::from_millis(20)));
        let check = member.health.expect("it is checked");
        let expect = HealthExpect {
            statuses: vec![(200, 299), (401, 401)],
            contains: None,
            lacks: Some("maintenance".into()),
        };
        assert_eq!((check.uri.as_str(), check.expect), ("/healthz", expect));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_cure() {
        for (key, text, what, cure) in [
            (
                "loadfactor",
                "0",
                "loadfactor must be a number from 1 to 100, found 0",
                None,
            ),
            (
                "lbset",
                "100",
                "lbset must be a whole number from 0 to 99, found \"100\"",
                None,
            ),
            ("hcuri", "/a", "hcuri means nothing without hcmethod", None),
            (
                "loadfaktor",
                "1",
                "loadfaktor is no setting that can be changed while the server runs",
                Some("did you mean `loadfactor`?"),
            ),
        ] {
            let wrong = Member::of_settings("http://10.0.0.4", &settings(&[(key, text)]));
            let mistake = wrong.expect_err(key);
            assert_eq!((mistake.what.as_str(), mistake.cure.as_deref()), (what, cure));
        }
        let together = settings(&[("smax", "3"), ("max", "2")]);
        Member::of_settings("http://10.0.0.4", &together).expect_err("smax above max");
        let wrong = Member::of_settings("10.0.0.4", &settings(&[])).expect_err("no scheme");
        assert!(wrong.what.starts_with("the URL must be"), "{wrong:?}");
    }

    #[test]
    fn a_balancer_is_changed_and_what_it_says_not_stays() {
        let mut balancer = Balancer::named("cluster".into());
        balancer.set("stickysessionsep", ":").expect_err("no session");
        for (key, text) in [
            ("stickysession", "ROUTEID"),
            ("stickysessionsep", ":"),
            ("stickysession", "SESSION|session"),
            ("method", "bybusyness"),
            ("maxattempts", "3"),
            ("timeout", "0s"),
            ("nofailover", "on"),
        ] {
            balancer.set(key, text).expect(key);
        }
        let sticky = balancer.sticky.as_ref().expect("sessions");
        assert_eq!((sticky.cookie.as_str(), sticky.separator), ("SESSION", Some(':')));
        assert_eq!(
            (balancer.method.as_str(), balancer.max_attempts),
            ("bybusyness", Some(3))
        );
        assert!(balancer.no_failover && balancer.timeout.is_zero());
        balancer.set("stickysession", "-").expect("taken away");
        balancer.set("maxattempts", "-").expect("taken away");
        assert_eq!((balancer.sticky, balancer.max_attempts), (None, None));
    }
}
