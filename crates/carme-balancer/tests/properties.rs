//! What holds whatever happens: random balancers, random requests, failures and changes in random order.

mod common;

use std::collections::{HashMap, HashSet};
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use carme_balancer::{
    Balancer, Change, Check, CheckMethod, Exposure, Failure, Flag, Granted, HealthCheck, LbSet, LoadFactor,
    Member, MemberId, Method, Outcome, Pick, Request, Settings, State, StickySession, Token,
};
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Step {
    Pick { route: Option<u8>, random: u64 },
    Done { which: usize, how: u8 },
    Answered { which: usize },
    Cancel { which: usize },
    Flag { member: usize, flag: usize, on: bool },
    Max { member: usize, max: Option<u32> },
    Check { member: usize, passed: bool },
    Add,
    Remove { member: usize },
    Method { method: usize },
    Pass { milliseconds: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (proptest::option::of(0..6u8), any::<u64>()).prop_map(|(route, random)| Step::Pick { route, random }),
        6 => (any::<usize>(), 0..8u8).prop_map(|(which, how)| Step::Done { which, how }),
        2 => any::<usize>().prop_map(|which| Step::Answered { which }),
        1 => any::<usize>().prop_map(|which| Step::Cancel { which }),
        2 => (any::<usize>(), 0..Flag::ALL.len(), any::<bool>())
            .prop_map(|(member, flag, on)| Step::Flag { member, flag, on }),
        1 => (any::<usize>(), proptest::option::of(1..4u32)).prop_map(|(member, max)| Step::Max { member, max }),
        1 => (any::<usize>(), any::<bool>()).prop_map(|(member, passed)| Step::Check { member, passed }),
        1 => Just(Step::Add),
        1 => any::<usize>().prop_map(|member| Step::Remove { member }),
        1 => (0..Method::ALL.len()).prop_map(|method| Step::Method { method }),
        3 => (0..3000u64).prop_map(|milliseconds| Step::Pass { milliseconds }),
    ]
}

fn new_member(number: usize, max: Option<u32>, lbset: u8) -> Member {
    Member {
        route: Some(format!("r{}", number % 6)),
        redirect: number.is_multiple_of(3).then(|| format!("r{}", (number + 1) % 6)),
        max: max.and_then(NonZeroU32::new),
        lbset: LbSet::new(lbset).unwrap(),
        load_factor: LoadFactor::new(1.0 + (number % 4) as f64).unwrap(),
        retry: Duration::from_millis(700),
        health: number
            .is_multiple_of(2)
            .then(|| HealthCheck::new(CheckMethod::Tcp)),
        ..Member::new(format!("http://m{number}"))
    }
}

fn settings() -> impl Strategy<Value = Settings> {
    (0..Method::ALL.len(), any::<[bool; 5]>(), 0..4u64).prop_map(|(method, flags, seconds)| Settings {
        method: Method::ALL[method],
        sticky: flags[0].then(|| StickySession::new("R")),
        nofailover: flags[1],
        force_recovery: flags[2],
        timeout: Duration::from_secs(if flags[3] { 2 } else { 0 }),
        slow_start: Duration::from_secs(seconds),
        untried_first: flags[4],
        queue_limit: 12,
        acquire: Duration::from_secs(4),
        ..Settings::new("balancer://random")
    })
}

/// The caller's side: leases, and tokens that wait.
struct World {
    balancer: Balancer,
    now: Instant,
    leases: Vec<Granted>,
    waiting: HashMap<Token, Instant>,
    tokens: u64,
    added: usize,
}

impl World {
    fn ids(&self) -> Vec<MemberId> {
        self.balancer
            .report(self.now)
            .members
            .iter()
            .map(|member| member.id)
            .collect()
    }

    fn id(&self, which: usize) -> Option<MemberId> {
        let ids = self.ids();
        ids.get(which % ids.len().max(1)).copied()
    }

    fn apply(&mut self, step: &Step) {
        let now = self.now;
        match *step {
            Step::Pick { route, random } => self.pick(route, random),
            Step::Done { which, how } if !self.leases.is_empty() => {
                let granted = self.leases.swap_remove(which % self.leases.len());
                let sent = Exposure::Sent {
                    repeatable: how % 2 == 0,
                };
                let outcome = match how {
                    0..=3 => Outcome::answered(200, 100, 1000),
                    4 => Outcome::failed(Failure::Connect, Exposure::NothingSent),
                    5 => Outcome::failed(Failure::Timeout, sent),
                    6 => Outcome::failed(Failure::Broke, sent),
                    _ => Outcome::unused(),
                };
                let _ = self.balancer.done(granted.lease, outcome, now);
            }
            Step::Answered { which } if !self.leases.is_empty() => {
                let which = which % self.leases.len();
                self.balancer.answered(&mut self.leases[which].lease, 200, now);
            }
            Step::Cancel { which } => {
                let mut tokens: Vec<_> = self.waiting.keys().copied().collect();
                tokens.sort();
                if let Some(&token) = tokens.get(which % tokens.len().max(1)) {
                    self.waiting.remove(&token);
                    assert!(self.balancer.cancel(token, now));
                }
            }
            Step::Flag { member, flag, on } => {
                if let Some(id) = self.id(member) {
                    let _ = self.balancer.change(id, Change::Status(Flag::ALL[flag], on), now);
                }
            }
            Step::Max { member, max } => {
                if let Some(id) = self.id(member) {
                    let _ = self
                        .balancer
                        .change(id, Change::Max(max.and_then(NonZeroU32::new)), now);
                }
            }
            Step::Check { member, passed } => {
                if let Some(id) = self.id(member) {
                    let check = if passed { Check::Passed } else { Check::Failed };
                    self.balancer.checked(id, check, now);
                }
            }
            Step::Add => {
                self.added += 1;
                self.balancer
                    .add(new_member(self.added, Some(2), 0), now)
                    .unwrap();
            }
            Step::Remove { member } => {
                if let Some(id) = self.id(member) {
                    let _ = self.balancer.remove(id, now);
                }
            }
            Step::Method { method } => self.balancer.set_method(Method::ALL[method], now),
            Step::Pass { milliseconds } => {
                self.now += Duration::from_millis(milliseconds);
                self.balancer.tick(self.now);
            }
            Step::Done { .. } | Step::Answered { .. } => {}
        }
        self.take_wakes();
    }

    fn pick(&mut self, route: Option<u8>, random: u64) {
        self.tokens += 1;
        let token = Token(self.tokens);
        let cookie = route.map(|route| format!("R=x.r{route}")).unwrap_or_default();
        let tried: Vec<_> = self
            .leases
            .iter()
            .map(|granted| granted.member)
            .take((random % 3) as usize)
            .collect();
        let request = Request {
            cookies: &[cookie.as_bytes()],
            hash_key: Some(cookie.as_bytes()),
            tried: &tried,
            ..Request::plain(token, random)
        };
        match self.balancer.pick(&request, self.now) {
            Pick::Member(granted) => self.check_granted(granted),
            Pick::Wait { until } => assert!(self.waiting.insert(token, until).is_none()),
            Pick::None(_) => {}
        }
    }

    fn take_wakes(&mut self) {
        while let Some(wake) = self.balancer.next_wake() {
            assert!(
                self.waiting.remove(&wake.token).is_some(),
                "woken without waiting"
            );
            if let Ok(granted) = wake.result {
                self.check_granted(granted);
            }
        }
    }

    /// Only usable members get requests.
    fn check_granted(&mut self, granted: Granted) {
        let report = self.balancer.report(self.now);
        let member = report
            .members
            .iter()
            .find(|member| member.id == granted.member)
            .expect("it exists");
        assert!(member.status.is_usable(), "{member:?}");
        self.leases.push(granted);
    }

    /// What holds after every step. `limits` are those that were in force all the time.
    fn check(&self, before: &HashMap<MemberId, u32>) {
        let report = self.balancer.report(self.now);
        assert_eq!(report.waiting, self.waiting.len());
        assert!(report.waiting <= 12);
        for member in &report.members {
            let held = self
                .leases
                .iter()
                .filter(|granted| granted.member == member.id)
                .count() as u32;
            assert_eq!(member.busy, held, "in flight is what callers hold");
            // A limit may have sunk below what is in flight; then nothing may have been added.
            let allowed = member
                .limit
                .unwrap_or(u32::MAX)
                .max(before.get(&member.id).copied().unwrap_or(0));
            assert!(member.busy <= allowed, "{} in flight of {allowed}", member.busy);
        }
        let ids: HashSet<_> = report.members.iter().map(|member| member.id).collect();
        assert_eq!(ids.len(), report.members.len());
        for granted in &self.leases {
            assert!(
                ids.contains(&granted.member),
                "a member stays until its last request is done"
            );
        }
        for until in self.waiting.values() {
            assert!(
                *until > self.now
                    || self
                        .balancer
                        .next_tick(self.now)
                        .is_some_and(|tick| tick <= *until)
            );
        }
        if !self.waiting.is_empty() {
            assert!(
                self.balancer.next_tick(self.now).is_some(),
                "no wait without an end"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn invariants(
        settings in settings(),
        members in proptest::collection::vec((proptest::option::of(1..4u32), 0..2u8), 0..5),
        steps in proptest::collection::vec(step(), 1..120),
    ) {
        let now = Instant::now();
        let added = members.len();
        let members = members.into_iter().enumerate().map(|(number, (max, lbset))| new_member(number, max, lbset));
        let balancer = Balancer::new(settings, members);
        let mut world = World { balancer, now, leases: Vec::new(), waiting: HashMap::new(), tokens: 0, added };
        for step in &steps {
            let before = world.balancer.report(world.now).members.iter().map(|m| (m.id, m.busy)).collect();
            world.apply(step);
            world.check(&before);
        }
        // When all leases have come back and time goes by, nobody waits any more and nothing is left of the removed.
        while let Some(granted) = world.leases.pop() {
            let _ = world.balancer.done(granted.lease, Outcome::answered(200, 0, 0), world.now);
            world.take_wakes();
        }
        world.now += Duration::from_secs(10);
        world.balancer.tick(world.now);
        world.take_wakes();
        prop_assert!(world.waiting.is_empty());
        while let Some(granted) = world.leases.pop() {
            let _ = world.balancer.done(granted.lease, Outcome::unused(), world.now);
        }
        let report = world.balancer.report(world.now);
        prop_assert!(report.members.iter().all(|member| member.busy == 0 && member.state != State::Removed));
    }

    /// No request waits while a member that could take it has room.
    #[test]
    fn nobody_waits_beside_a_free_member(
        method in 0..Method::ALL.len(),
        limits in proptest::collection::vec(1..4u32, 1..5),
        steps in proptest::collection::vec((any::<bool>(), any::<usize>()), 1..200),
    ) {
        let settings = Settings { method: Method::ALL[method], ..Settings::new("balancer://work-conserving") };
        let members = limits.iter().enumerate().map(|(number, max)| new_member(number, Some(*max), 0));
        let mut balancer = Balancer::new(settings, members);
        let (now, total) = (Instant::now(), limits.iter().sum::<u32>() as usize);
        let mut order = std::collections::VecDeque::new();
        let mut leases = Vec::new();
        for (number, (arrives, which)) in steps.into_iter().enumerate() {
            if arrives {
                match balancer.pick(&Request::plain(Token(number as u64), which as u64), now) {
                    Pick::Member(granted) => leases.push(granted.lease),
                    Pick::Wait { .. } => order.push_back(Token(number as u64)),
                    Pick::None(reason) => panic!("{reason}"),
                }
            } else if !leases.is_empty() {
                let _ = balancer.done(leases.swap_remove(which % leases.len()), Outcome::answered(200, 0, 0), now);
            }
            while let Some(wake) = balancer.next_wake() {
                prop_assert_eq!(Some(wake.token), order.pop_front(), "in order of arrival");
                leases.push(wake.result.unwrap().lease);
            }
            prop_assert_eq!(leases.len() == total, leases.len() >= total);
            prop_assert!(order.is_empty() || leases.len() == total);
        }
    }

    /// Apache's quotas never get lost: their sum stays 0, and every member gets its share.
    #[test]
    fn byrequests_is_fair(factors in proptest::collection::vec(1..20u32, 1..6)) {
        let members = factors.iter().enumerate().map(|(number, factor)| Member {
            load_factor: LoadFactor::from_hundredths(factor * 100).unwrap(),
            ..Member::new(format!("http://m{number}"))
        });
        let mut balancer = Balancer::new(Settings::apache("balancer://fair"), members);
        let now = Instant::now();
        let total: u32 = factors.iter().sum();
        for number in 0..total {
            let Pick::Member(granted) = balancer.pick(&Request::plain(Token(number.into()), 0), now) else { panic!() };
            let _ = balancer.done(granted.lease, Outcome::answered(200, 0, 0), now);
            prop_assert_eq!(balancer.report(now).members.iter().map(|member| member.lbstatus).sum::<i64>(), 0);
        }
        let elected: Vec<_> = balancer.report(now).members.iter().map(|member| member.elected as u32).collect();
        prop_assert_eq!(elected, factors);
    }

    /// Neither bytes from clients nor expressions from files can do any harm.
    #[test]
    fn nothing_panics_on_strange_text(
        url in proptest::collection::vec(prop_oneof![Just(b'R'), Just(b'='), Just(b'.'), Just(b';'), any::<u8>()], 0..40),
        cookie in proptest::collection::vec(prop_oneof![Just(b'R'), Just(b'='), Just(b' '), Just(b';'), any::<u8>()], 0..40),
        expression in "[%{}()'\"!&|=~<>/im#a-zA-Z0-9:é \\\\-]{0,40}",
    ) {
        let mut sticky = StickySession::new("R|R");
        let _ = sticky.find(&url, &[&cookie]);
        sticky.separator = None;
        sticky.semicolon_delimits = true;
        let _ = sticky.find(&url, &[&cookie]);
        let _ = carme_balancer::Expression::parse(&expression);
    }
}
