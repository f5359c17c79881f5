//! Apache's methods against the schedules of its manual and tables worked out from its code.

mod common;

use std::num::NonZeroU32;

use carme_balancer::{LoadFactor, Member, Method, Settings};
use common::{Bench, member, with_status};

fn weighted(members: &[(&str, u32)]) -> Vec<Member> {
    let member = |&(name, factor): &(&str, u32)| Member {
        load_factor: LoadFactor::from_hundredths(factor * 100).unwrap(),
        ..member(name)
    };
    members.iter().map(member).collect()
}

fn bench(method: Method, members: Vec<Member>) -> Bench {
    Bench::new(
        Settings {
            method,
            ..Settings::apache("balancer://test")
        },
        members,
    )
}

/// mod_lbmethod_byrequests: "And b gets disabled, the following schedule is produced", with its table of lbstatus.
#[test]
fn byrequests_with_one_disabled() {
    let mut members = weighted(&[("a", 25), ("b", 25), ("c", 25), ("d", 25)]);
    members[1] = Member {
        status: with_status("b", "D").status,
        ..members[1].clone()
    };
    let mut bench = bench(Method::ByRequests, members);
    for (expected, lbstatus) in [
        ("a", [-50, 0, 25, 25]),
        ("c", [-25, 0, -25, 50]),
        ("d", [0, 0, 0, 0]),
        ("a", [-50, 0, 25, 25]),
        ("c", [-25, 0, -25, 50]),
        ("d", [0, 0, 0, 0]),
    ] {
        assert_eq!(bench.serve(), expected);
        assert_eq!(bench.lbstatus(), lbstatus.map(|hundred| hundred * 100));
    }
}

/// The same manual: "has the exact same behavior as" all ones.
#[test]
fn byrequests_depends_on_the_proportion_of_the_factors_only() {
    for factor in [1, 25, 100] {
        let mut bench = bench(
            Method::ByRequests,
            weighted(&[("a", factor), ("b", factor), ("c", factor)]),
        );
        assert_eq!(bench.schedule(7), "a b c a b c a");
    }
}

/// The same manual: "after 10 schedules, the schedule repeats and 7 a are selected with 3 b interspersed".
#[test]
fn byrequests_70_to_30() {
    let mut bench = bench(Method::ByRequests, weighted(&[("a", 70), ("b", 30)]));
    let table = [
        (-30, 30),
        (40, -40),
        (10, -10),
        (-20, 20),
        (-50, 50),
        (20, -20),
        (-10, 10),
        (-40, 40),
        (30, -30),
        (0, 0),
    ];
    let mut schedule = Vec::new();
    for _ in 0..2 {
        for (a, b) in table {
            schedule.push(bench.serve());
            assert_eq!(bench.lbstatus(), [a * 100, b * 100]);
        }
    }
    assert_eq!(schedule[..10].join(" "), "a b a a a b a a b a");
    assert_eq!(schedule[..10], schedule[10..]);
}

/// The comment in the code: "1 1 1 2 would have … d handling twice what a or b or c handles".
#[test]
fn byrequests_1_1_1_2() {
    let mut bench = bench(
        Method::ByRequests,
        weighted(&[("a", 1), ("b", 1), ("c", 1), ("d", 2)]),
    );
    // Worked out by hand: each takes 5 from the one chosen, and the schedule repeats after 5.
    assert_eq!(bench.schedule(10), "d a b c d d a b c d");
}

/// The manual of bytraffic: factors 1 1 3, "if each request/response results in the same amount of traffic, then c would
/// be accessed 3 times as often".
#[test]
fn bytraffic_by_bytes() {
    let mut bench = bench(Method::ByTraffic, weighted(&[("a", 1), ("b", 1), ("c", 3)]));
    let schedule: Vec<_> = (0..10).map(|_| bench.serve_with("", 30_000)).collect();
    assert_eq!(schedule.join(" "), "a b c c c a b c c c");
    // "If a handled a request that resulted in a large byte count, b and c would be chosen more often."
    assert_eq!(bench.serve_with("", 300_000), "a");
    let schedule: Vec<_> = (0..10).map(|_| bench.serve_with("", 30_000)).collect();
    assert_eq!(schedule.join(" "), "b c c c b c c c b c");
}

/// mod_lbmethod_bytraffic divides each direction by the factor in hundredths and drops the rest, so small bodies count
/// for nothing.
#[test]
fn bytraffic_drops_less_than_a_hundred_bytes() {
    let mut bench = bench(Method::ByTraffic, weighted(&[("a", 1), ("b", 1)]));
    assert_eq!(
        (0..3).map(|_| bench.serve_with("", 33)).collect::<String>(),
        "aaa"
    );
    assert_eq!(bench.serve_with("", 1), "a");
    assert_eq!(bench.serve_with("", 1), "b");
}

/// mod_lbmethod_bybusyness: fewest in flight; among equals the most urgent; every choice moves the quotas of all.
#[test]
fn bybusyness_and_its_ties() {
    let mut bench = bench(Method::ByBusyness, weighted(&[("a", 1), ("b", 1), ("c", 1)]));
    assert_eq!(bench.schedule(4), "a b c a");
    let first = bench.granted();
    assert_eq!(bench.name(first.member), "b");
    // b is busy, and a and c are equal in that: c is the more urgent; then a, then c again, never b.
    assert_eq!(bench.schedule(4), "c a c a");
    let second = bench.granted();
    let third = bench.granted();
    assert_eq!(
        [bench.name(second.member), bench.name(third.member)].concat(),
        "ca"
    );
    // All have one: b has gathered the quota of five choices.
    let fourth = bench.granted();
    assert_eq!(bench.name(fourth.member), "b");
    for granted in [first, second, third, fourth] {
        bench.finish(granted, 0);
    }
}

/// queue: the free member that was idle longest; no member gets a second request while another has none.
#[test]
fn queue_takes_the_longest_idle() {
    let mut bench = bench(Method::Queue, weighted(&[("a", 1), ("b", 1), ("c", 1)]));
    assert_eq!(bench.schedule(4), "a b c a");
    let (first, second) = (bench.granted(), bench.granted());
    assert_eq!(
        [bench.name(first.member), bench.name(second.member)].concat(),
        "bc"
    );
    assert_eq!(bench.schedule(2), "a a");
    bench.finish(second, 0);
    // c was chosen before a.
    assert_eq!(bench.schedule(3), "c a c");
    bench.finish(first, 0);
}

/// queue without `max` gives members requests in flight in proportion to their factors.
#[test]
fn queue_follows_factors() {
    let mut bench = bench(Method::Queue, weighted(&[("a", 1), ("b", 3)]));
    let granted: Vec<_> = (0..8).map(|_| bench.granted()).collect();
    let a = granted
        .iter()
        .filter(|granted| bench.name(granted.member) == "a")
        .count();
    assert_eq!(a, 2);
    granted.into_iter().for_each(|granted| bench.finish(granted, 0));
}

/// A full member is passed over and keeps its place in the schedule, as a disabled one would.
#[test]
fn full_members_are_passed_over() {
    let mut members = weighted(&[("a", 1), ("b", 1), ("c", 1)]);
    members[0].max = NonZeroU32::new(1);
    let mut bench = bench(Method::ByRequests, members);
    let held = bench.granted();
    assert_eq!(bench.name(held.member), "a");
    assert_eq!(bench.schedule(4), "b c b c");
    bench.finish(held, 0);
    assert_eq!(bench.schedule(3), "b c a");
}
