//! Failures: what they do to a member, whether the request goes on, and how a member comes back.

mod common;

use std::num::NonZeroU32;
use std::time::Duration;

use carme_balancer::{
    Change, Check, CheckMethod, Exposure, Failure, Flag, HealthChange, HealthCheck, LoadFactor, Member,
    Method, Next, Outcome, Pick, Resend, Settings, State, Status,
};
use common::{Bench, member, with_status};

const SENT: Exposure = Exposure::Sent { repeatable: false };
const REPEATABLE: Exposure = Exposure::Sent { repeatable: true };

fn apache() -> Settings {
    Settings::apache("balancer://test")
}

fn state(bench: &Bench, name: &str) -> State {
    let id = bench.id(name);
    bench
        .balancer
        .report(bench.now)
        .members
        .iter()
        .find(|member| member.id == id)
        .unwrap()
        .state
}

/// Failure, how much got out, the member's flags, the rule; whether the member is in Error then, and what is next.
#[test]
fn marks_and_attempts() {
    use Exposure::{Answering, NothingSent};
    use Failure::{Broke, Connect, Timeout};
    use Next::{Finish, TryAnother};
    let (nothing_sent, idempotent) = (Resend::NothingSent, Resend::Idempotent);
    for (failure, exposure, flags, resend, in_error, next) in [
        (Connect, NothingSent, "", nothing_sent, true, TryAnother),
        // Apache goes on only from a member that is unusable, and this one never is.
        (Connect, NothingSent, "I", nothing_sent, false, Finish),
        (Broke, NothingSent, "", nothing_sent, false, TryAnother),
        (Broke, SENT, "", nothing_sent, false, Finish),
        (Broke, REPEATABLE, "", nothing_sent, false, Finish),
        (Broke, SENT, "", idempotent, false, Finish),
        (Broke, REPEATABLE, "", idempotent, false, TryAnother),
        (Broke, Answering, "", idempotent, false, Finish),
        (Timeout, SENT, "", idempotent, false, Finish),
        (Timeout, REPEATABLE, "", idempotent, false, TryAnother),
        (Timeout, Answering, "", idempotent, false, Finish),
    ] {
        let settings = Settings { resend, ..apache() };
        let mut bench = Bench::new(settings, [with_status("a", flags), member("b")]);
        let granted = bench.granted();
        let happened = bench.fail(granted, failure, exposure);
        let is_error = state(&bench, "a") == State::Error;
        assert_eq!(
            (is_error, happened),
            (in_error, next),
            "{failure:?} {exposure:?} {flags} {resend:?}"
        );
    }
}

#[test]
fn failontimeout_failonstatus_and_max_fails() {
    let fails = |settings: Settings, failure| {
        let mut bench = Bench::new(settings, [member("a"), member("b")]);
        let granted = bench.granted();
        let _ = bench.fail(granted, failure, SENT);
        state(&bench, "a") == State::Error
    };
    let status = |code| Settings {
        fail_on_status: vec![code],
        ..apache()
    };
    assert!(fails(
        Settings {
            fail_on_timeout: true,
            ..apache()
        },
        Failure::Timeout
    ));
    assert!(!fails(
        Settings {
            fail_on_timeout: true,
            ..apache()
        },
        Failure::Broke
    ));
    assert!(fails(status(504), Failure::Timeout) && fails(status(502), Failure::Timeout));
    assert!(fails(status(502), Failure::Broke) && !fails(status(504), Failure::Broke));

    let mut bench = Bench::new(
        Settings {
            max_fails: NonZeroU32::new(2),
            ..apache()
        },
        [member("a"), member("b")],
    );
    bench
        .balancer
        .change(bench.id("b"), Change::Status(Flag::Disabled, true), bench.now)
        .unwrap();
    for (fail, expected) in [
        (true, State::Ready),
        (false, State::Ready),
        (true, State::Ready),
        (true, State::Error),
    ] {
        let granted = bench.granted();
        match fail {
            true => assert_eq!(bench.fail(granted, Failure::Broke, SENT), Next::Finish),
            false => bench.finish(granted, 0),
        }
        assert_eq!(state(&bench, "a"), expected);
    }
}

/// After `retry` a member gets one request; the others go elsewhere until it has answered, or fails again.
#[test]
fn a_member_that_is_tried_again_gets_one_request_until_it_answers() {
    let mut bench = Bench::new(
        Settings {
            method: Method::ByRequests,
            ..apache()
        },
        [member("a"), member("b")],
    );
    assert_eq!(bench.serve_among("", &["a"]), "a b");
    bench.seconds(61);
    // By its quota b is next.
    assert_eq!(bench.serve(), "b");
    let probe = bench.granted();
    assert_eq!(
        (bench.name(probe.member).as_str(), state(&bench, "a")),
        ("a", State::Probation)
    );
    assert_eq!(bench.schedule(4), "b b b b");
    assert_eq!(
        bench.fail(probe, Failure::Connect, Exposure::NothingSent),
        Next::TryAnother
    );
    assert_eq!(
        (bench.schedule(3).as_str(), state(&bench, "a")),
        ("b b b", State::Error)
    );
    bench.seconds(61);
    assert_eq!(bench.serve(), "b");
    let mut probe = bench.granted();
    assert_eq!(bench.name(probe.member), "a");
    // The head of its response is enough.
    bench.balancer.answered(&mut probe.lease, 200, bench.now);
    assert_eq!(state(&bench, "a"), State::Ready);
    let second = bench.granted();
    let third = bench.granted();
    assert!([second.member, third.member].contains(&bench.id("a")));
    [probe, second, third]
        .into_iter()
        .for_each(|granted| bench.finish(granted, 0));
}

/// All are in Error and recovered by force: each gets one request, and the rest wait instead of being burnt.
#[test]
fn forced_recovery_does_not_flood() {
    let mut bench = Bench::new(apache(), [member("a"), member("b")]);
    assert_eq!(bench.serve_among("", &["a", "b"]), "a b");
    let (first, second) = (bench.granted(), bench.granted());
    assert_eq!(
        [bench.name(first.member), bench.name(second.member)].concat(),
        "ba"
    );
    let Pick::Wait { .. } = bench.pick() else { panic!() };
    bench.finish(first, 0);
    let woken = bench.woken().unwrap().result.unwrap();
    assert_eq!(bench.name(woken.member), "b");
    bench.finish(second, 0);
    bench.finish(woken, 0);
}

/// In flight at most a tenth of `max` at first, then more and more, and all of it in the end.
#[test]
fn slow_start_with_max() {
    let settings = Settings {
        slow_start: Duration::from_secs(10),
        ..apache()
    };
    let mut bench = Bench::new(
        settings,
        [Member {
            max: NonZeroU32::new(20),
            ..with_status("a", "D")
        }],
    );
    bench
        .balancer
        .change(bench.id("a"), Change::Enable, bench.now)
        .unwrap();
    for (second, limit) in [(0, 2), (1, 2), (3, 6), (5, 10), (9, 18), (10, 20), (100, 20)] {
        let start = bench.now;
        bench.seconds(second);
        let member = &bench.balancer.report(bench.now).members[0];
        assert_eq!(member.limit, Some(limit), "after {second} s");
        bench.now = start;
    }
}

/// Without `max` the share of the requests grows.
#[test]
fn slow_start_of_every_method() {
    for method in [
        Method::ByRequests,
        Method::ByBusyness,
        Method::ByTraffic,
        Method::Queue,
        Method::Hash,
    ] {
        let settings = Settings {
            method,
            slow_start: Duration::from_secs(100),
            ..apache()
        };
        let mut bench = Bench::new(settings, [member("a"), with_status("b", "D")]);
        for _ in 0..50 {
            bench.serve_with("", 10_000);
        }
        bench
            .balancer
            .change(bench.id("b"), Change::Enable, bench.now)
            .unwrap();
        let mut shares = Vec::new();
        for second in [0, 50, 50] {
            bench.seconds(second);
            // Several in flight at the same time, as bybusyness and queue look at nothing else.
            let mut granted = Vec::new();
            for _ in 0..200 {
                granted.push(bench.granted());
                if granted.len() == 40 {
                    granted
                        .drain(..)
                        .for_each(|granted| bench.finish(granted, 10_000));
                }
            }
            let elected = bench.balancer.report(bench.now).members[1].elected;
            let before: u64 = shares.iter().sum();
            shares.push(elected - before);
        }
        assert!(shares[0] <= 40, "{method:?} {shares:?}");
        assert!(
            shares[0] < shares[1] && shares[1] < shares[2] + 20,
            "{method:?} {shares:?}"
        );
        assert!(shares[2] >= 70, "{method:?} {shares:?}");
    }
}

/// With the other members in Error, a failure recovers all by force. Apache's quotas may then lead the request back to
/// the member that has just failed it.
#[test]
fn untried_first() {
    for (untried_first, expected) in [(false, "a a"), (true, "a b")] {
        let settings = Settings {
            untried_first,
            ..apache()
        };
        let heavy = Member {
            load_factor: LoadFactor::new(10.0).unwrap(),
            ..member("a")
        };
        let mut bench = Bench::new(settings, [heavy, member("b")]);
        while bench.serve_among("", &["b"]) != "b a" {}
        assert_eq!(bench.serve_among("", &["a"]), expected);
    }
}

fn checked(name: &str) -> Member {
    let health = HealthCheck {
        interval: Duration::from_secs(5),
        ..HealthCheck::new(CheckMethod::Tcp)
    };
    Member {
        health: Some(health),
        ..member(name)
    }
}

#[test]
fn health_checks_take_members_out_and_bring_them_back() {
    let mut bench = Bench::new(apache(), [checked("a"), member("b")]);
    let due = bench.balancer.due_checks(bench.now);
    assert_eq!(due.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [bench.id("a")]);
    // While it runs it is not due again.
    assert!(bench.balancer.due_checks(bench.now).is_empty());
    assert_eq!(bench.balancer.next_check(bench.now), None);
    let (id, now) = (bench.id("a"), bench.now);
    assert_eq!(
        bench.balancer.checked(id, Check::Failed, now),
        HealthChange::Disabled
    );
    assert_eq!(
        (state(&bench, "a"), bench.schedule(3).as_str()),
        (State::Unhealthy, "b b b")
    );
    // Neither retry nor forced recovery brings it back.
    bench.seconds(1000);
    assert_eq!(bench.serve_among("", &["b"]), "b 503");
    assert_eq!(bench.balancer.due_checks(bench.now).len(), 1);
    let now = bench.now;
    assert_eq!(
        bench.balancer.checked(id, Check::Passed, now),
        HealthChange::Enabled
    );
    assert_eq!(bench.serve(), "a");
    assert_eq!(bench.balancer.next_check(now), Some(now + Duration::from_secs(5)));
}

/// mod_proxy_hcheck since 2.4.55: a check that passes ends an error before its `retry`.
#[test]
fn a_passed_check_ends_an_error() {
    let mut bench = Bench::new(apache(), [checked("a"), member("b")]);
    assert_eq!(bench.serve_among("", &["a"]), "a b");
    let (id, now) = (bench.id("a"), bench.now);
    assert_eq!(
        bench.balancer.checked(id, Check::Passed, now),
        HealthChange::Enabled
    );
    assert_eq!(state(&bench, "a"), State::Ready);
}

#[test]
fn a_member_that_is_not_checked_any_more_is_not_out_for_good() {
    let mut bench = Bench::new(apache(), [checked("a"), member("b")]);
    let (id, now) = (bench.id("a"), bench.now);
    assert_eq!(
        bench.balancer.checked(id, Check::Failed, now),
        HealthChange::Disabled
    );
    let seldom = Member {
        health: Some(HealthCheck::new(CheckMethod::Tcp)),
        ..member("a")
    };
    bench.balancer.replace_members([seldom, member("b")], now);
    assert_eq!(state(&bench, "a"), State::Unhealthy);
    bench.balancer.replace_members([member("a"), member("b")], now);
    assert_eq!(state(&bench, "a"), State::Ready);
}

#[test]
fn stopped_members_are_not_checked() {
    let mut bench = Bench::new(
        apache(),
        [Member {
            status: Status::parse("S").unwrap(),
            ..checked("a")
        }],
    );
    assert!(bench.balancer.due_checks(bench.now).is_empty());
    bench
        .balancer
        .change(bench.id("a"), Change::Enable, bench.now)
        .unwrap();
    assert_eq!(bench.balancer.due_checks(bench.now).len(), 1);
}

/// A request whose member was removed meanwhile, and a lease that says nothing.
#[test]
fn leases_outlive_their_members() {
    let mut bench = Bench::new(apache(), [member("a"), member("b")]);
    let granted = bench.granted();
    let id = granted.member;
    bench.balancer.remove(id, bench.now).unwrap();
    assert_eq!(bench.balancer.report(bench.now).members[0].state, State::Removed);
    assert_eq!(bench.schedule(2), "b b");
    let next = bench
        .balancer
        .done(granted.lease, Outcome::answered(200, 1, 1), bench.now);
    assert_eq!((next, bench.balancer.member(id)), (Next::Finish, None));
}
