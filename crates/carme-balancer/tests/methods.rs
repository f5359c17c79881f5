//! The methods that Apache does not have.

mod common;

use std::collections::HashMap;
use std::time::Duration;

use carme_balancer::{
    Balancer, Exposure, Failure, LoadFactor, Member, MemberId, Method, Outcome, Pick, Request, Settings,
    Token,
};
use common::{Bench, member};

fn hashed(members: impl IntoIterator<Item = Member>) -> Bench {
    Bench::new(
        Settings {
            method: Method::Hash,
            ..Settings::apache("balancer://test")
        },
        members,
    )
}

fn pick_key(bench: &mut Bench, key: &str) -> MemberId {
    bench.token += 1;
    let request = Request {
        hash_key: Some(key.as_bytes()),
        ..Request::plain(Token(bench.token), bench.token)
    };
    let Pick::Member(granted) = bench.balancer.pick(&request, bench.now) else {
        panic!()
    };
    let member = granted.member;
    bench.finish(granted, 0);
    member
}

fn keys() -> Vec<String> {
    (0..4000)
        .map(|number| format!("192.0.2.{}:{}", number % 256, number))
        .collect()
}

fn placed(bench: &mut Bench) -> HashMap<String, String> {
    let place = |key: String| {
        let id = pick_key(bench, &key);
        (key, bench.name(id))
    };
    keys().into_iter().map(place).collect()
}

#[test]
fn a_key_stays_and_only_the_share_of_a_member_moves() {
    let mut bench = hashed(["a", "b", "c", "d"].map(member));
    let before = placed(&mut bench);
    assert_eq!(placed(&mut bench), before);
    // Another front with the members in another order agrees.
    assert_eq!(placed(&mut hashed(["d", "b", "a", "c"].map(member))), before);
    for name in ["a", "b", "c", "d"] {
        let count = before.values().filter(|member| *member == name).count();
        assert!((850..1150).contains(&count), "{name} has {count}");
    }
    bench.balancer.remove(bench.id("c"), bench.now).unwrap();
    for (key, member) in placed(&mut bench) {
        assert!(
            before[&key] == "c" || before[&key] == member,
            "{key} moved from {} to {member}",
            before[&key]
        );
    }
    bench.balancer.add(member("e"), bench.now).unwrap();
    let now = placed(&mut bench);
    let moved = now
        .iter()
        .filter(|(key, member)| before[*key] != **member)
        .all(|(key, member)| before[key] == "c" || member == "e");
    assert!(moved);
}

#[test]
fn hash_follows_factors() {
    let heavy = Member {
        load_factor: LoadFactor::new(3.0).unwrap(),
        ..member("b")
    };
    let placed = placed(&mut hashed([member("a"), heavy]));
    let heavy = placed.values().filter(|member| *member == "b").count();
    assert!((2850..3150).contains(&heavy), "{heavy} of 4000");
}

#[test]
fn a_full_member_lends_its_keys() {
    let one = |name| Member {
        max: std::num::NonZeroU32::new(1),
        ..member(name)
    };
    let mut bench = hashed([one("a"), one("b")]);
    let own = pick_key(&mut bench, "key");
    let request = Request {
        hash_key: Some(b"key"),
        ..Request::plain(Token(0), 0)
    };
    let Pick::Member(held) = bench.balancer.pick(&request, bench.now) else {
        panic!()
    };
    assert_eq!(held.member, own);
    assert_ne!(pick_key(&mut bench, "key"), own);
    bench.finish(held, 0);
    assert_eq!(pick_key(&mut bench, "key"), own);
}

/// Serves requests one after another with these latencies; how many each member got.
fn serve_with_latency(
    balancer: &mut Balancer,
    latency: impl Fn(&str) -> (Duration, bool),
) -> HashMap<String, u32> {
    let mut now = std::time::Instant::now();
    let mut counts = HashMap::new();
    for number in 0..2000u64 {
        let request = Request::plain(Token(number), number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let Pick::Member(granted) = balancer.pick(&request, now) else {
            panic!()
        };
        let name = balancer.member(granted.member).unwrap().name.clone();
        let (latency, fails) = latency(&name);
        now += latency;
        let outcome = match fails {
            true => Outcome::failed(Failure::Broke, Exposure::Sent { repeatable: false }),
            false => Outcome::answered(200, 0, 0),
        };
        let _ = balancer.done(granted.lease, outcome, now);
        *counts.entry(name).or_default() += 1;
    }
    counts
}

#[test]
fn peak_ewma_prefers_the_fast_but_not_those_who_fail_fast() {
    let settings = Settings {
        method: Method::PeakEwma,
        ..Settings::apache("balancer://test")
    };
    let members = || ["fast", "slow", "failing"].map(Member::new);
    let milliseconds = Duration::from_millis;
    let counts = serve_with_latency(
        &mut Balancer::new(settings.clone(), members()),
        |name| match name {
            "slow" => (milliseconds(80), false),
            _ => (milliseconds(5), false),
        },
    );
    assert!(counts["slow"] < 400, "{counts:?}");
    let counts = serve_with_latency(&mut Balancer::new(settings, members()), |name| match name {
        "failing" => (Duration::from_micros(100), true),
        "slow" => (milliseconds(80), false),
        _ => (milliseconds(5), false),
    });
    assert!(counts["failing"] < 100, "{counts:?}");
}

/// A member of which nothing is known gets one request, not all, until it has answered.
#[test]
fn peak_ewma_is_careful_with_newcomers() {
    let settings = Settings {
        method: Method::PeakEwma,
        ..Settings::apache("balancer://test")
    };
    let mut bench = Bench::new(settings, [member("a")]);
    for _ in 0..20 {
        let granted = bench.granted();
        bench.pass(Duration::from_millis(10));
        bench.finish(granted, 0);
    }
    let now = bench.now;
    bench.balancer.add(member("b"), now).unwrap();
    let granted: Vec<_> = (0..20).map(|_| bench.granted()).collect();
    let names: Vec<_> = granted.iter().map(|granted| bench.name(granted.member)).collect();
    assert_eq!(names.iter().filter(|name| *name == "b").count(), 1, "{names:?}");
}
