//! A balancer with a clock and tokens of its own, for tests that read like tables.

#![allow(dead_code)]

use std::time::{Duration, Instant};

use carme_balancer::{
    Balancer, Exposure, Failure, Granted, Member, MemberId, Next, Outcome, Pick, Request, Session, Settings,
    Status, Token, Unavailable, Wake, environment,
};

pub(crate) struct Bench {
    pub(crate) balancer: Balancer,
    pub(crate) now: Instant,
    pub(crate) token: u64,
}

/// A member named `a` is `http://a` with route `a`.
pub(crate) fn member(name: &str) -> Member {
    Member {
        route: Some(name.to_owned()),
        ..Member::new(format!("http://{name}"))
    }
}

pub(crate) fn with_status(name: &str, letters: &str) -> Member {
    Member {
        status: Status::parse(letters).unwrap(),
        ..member(name)
    }
}

impl Bench {
    pub(crate) fn new(settings: Settings, members: impl IntoIterator<Item = Member>) -> Bench {
        Bench {
            balancer: Balancer::new(settings, members),
            now: Instant::now(),
            token: 0,
        }
    }

    pub(crate) fn id(&self, name: &str) -> MemberId {
        self.balancer.find(&format!("http://{name}")).unwrap()
    }

    pub(crate) fn name(&self, id: MemberId) -> String {
        self.balancer
            .member(id)
            .unwrap()
            .name
            .trim_start_matches("http://")
            .to_owned()
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    pub(crate) fn seconds(&mut self, seconds: u64) {
        self.pass(Duration::from_secs(seconds));
    }

    /// Picks for a request with that cookie and those members tried.
    pub(crate) fn pick_with(&mut self, cookie: &str, tried: &[MemberId]) -> Pick {
        self.token += 1;
        let cookies = [cookie.as_bytes()];
        let request = Request {
            cookies: &cookies,
            tried,
            ..Request::plain(Token(self.token), self.token)
        };
        self.balancer.pick(&request, self.now)
    }

    pub(crate) fn pick(&mut self) -> Pick {
        self.pick_with("", &[])
    }

    pub(crate) fn granted(&mut self) -> Granted {
        match self.pick() {
            Pick::Member(granted) => granted,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn refused(&mut self) -> Unavailable {
        match self.pick() {
            Pick::None(reason) => reason,
            other => panic!("{other:?}"),
        }
    }

    /// The name of the member of one request that is answered at once, with so many bytes from the member.
    pub(crate) fn serve_with(&mut self, cookie: &str, bytes: u64) -> String {
        match self.pick_with(cookie, &[]) {
            Pick::Member(granted) => {
                let name = self.name(granted.member);
                self.finish(granted, bytes);
                name
            }
            Pick::None(reason) => format!("{reason:?}"),
            Pick::Wait { .. } => panic!("waits"),
        }
    }

    pub(crate) fn serve(&mut self) -> String {
        self.serve_with("", 0)
    }

    /// The members of so many requests, one after another.
    pub(crate) fn schedule(&mut self, requests: usize) -> String {
        (0..requests).map(|_| self.serve()).collect::<Vec<_>>().join(" ")
    }

    pub(crate) fn finish(&mut self, granted: Granted, bytes: u64) {
        let next = self
            .balancer
            .done(granted.lease, Outcome::answered(200, 0, bytes), self.now);
        assert_eq!(next, Next::Finish);
    }

    pub(crate) fn fail(&mut self, granted: Granted, failure: Failure, exposure: Exposure) -> Next {
        self.balancer
            .done(granted.lease, Outcome::failed(failure, exposure), self.now)
    }

    /// One request of which every attempt cannot connect to the members in `dead`: the members tried, in order.
    pub(crate) fn serve_among(&mut self, cookie: &str, dead: &[&str]) -> String {
        let (mut names, mut tried) = (Vec::new(), Vec::new());
        loop {
            let granted = match self.pick_with(cookie, &tried) {
                Pick::Member(granted) => granted,
                Pick::None(_) => {
                    names.push("503".to_owned());
                    break;
                }
                Pick::Wait { .. } => panic!("waits"),
            };
            let name = self.name(granted.member);
            let is_dead = dead.contains(&name.as_str());
            names.push(name);
            if !is_dead {
                self.finish(granted, 0);
                break;
            }
            tried.push(granted.member);
            if self.fail(granted, Failure::Connect, Exposure::NothingSent) == Next::Finish {
                break;
            }
        }
        names.join(" ")
    }

    pub(crate) fn woken(&mut self) -> Option<Wake> {
        self.balancer.next_wake()
    }

    pub(crate) fn lbstatus(&self) -> Vec<i64> {
        self.balancer
            .report(self.now)
            .members
            .iter()
            .map(|member| member.lbstatus)
            .collect()
    }
}

/// The variables of a request that has this member, as text.
pub(crate) fn variables(
    settings: &Settings,
    member: &Member,
    session: &Session,
) -> Vec<(&'static str, String)> {
    let route = member.route.clone().unwrap_or_default();
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    environment(settings.name.clone(), member.name.clone(), route, session, text)
}
