//! No member is usable: a request waits for what comes back by itself in time, and for nothing else; and who has waited in
//! vain is told when to come again.

mod common;

use std::time::Duration;

use carme_balancer::{
    Awaits, Change, Check, CheckMethod, Exposure, Failure, Flag, HealthCheck, Member, Next, Outcome, Pick,
    Settings, StickySession, Unavailable,
};
use common::{Bench, member};

/// As the program's own configuration makes it, with a timeout of 30 seconds.
fn settings() -> Settings {
    Settings {
        timeout: Duration::from_secs(30),
        slow_start: Duration::ZERO,
        ..Settings::new("balancer://test")
    }
}

fn resting(name: &str, seconds: u64) -> Member {
    Member {
        retry: Duration::from_secs(seconds),
        ..member(name)
    }
}

fn checked(name: &str, seconds: u64) -> Member {
    Member {
        health: Some(HealthCheck {
            interval: Duration::from_secs(seconds),
            ..HealthCheck::new(CheckMethod::Tcp)
        }),
        ..member(name)
    }
}

fn set(bench: &mut Bench, name: &str, flag: Flag) {
    let (id, now) = (bench.id(name), bench.now);
    bench
        .balancer
        .change(id, Change::Status(flag, true), now)
        .expect("it is there");
}

/// The next request finds a member that cannot be reached.
fn fail(bench: &mut Bench) {
    let granted = bench.granted();
    let failed = Outcome::failed(Failure::Connect, Exposure::NothingSent);
    let next = bench.balancer.done(granted.lease, failed, bench.now);
    assert!(matches!(next, Next::Finish | Next::TryAnother));
}

/// `a` drains and the other has failed just now.
fn drained(settings: Settings, other: Member) -> Bench {
    let mut bench = Bench::new(settings, [member("a"), other]);
    set(&mut bench, "a", Flag::Drain);
    fail(&mut bench);
    bench
}

fn waits(bench: &mut Bench) -> bool {
    match bench.pick() {
        Pick::Wait { .. } => true,
        Pick::None(Unavailable::NoneUsable) => false,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_retry_that_ends_too_late_is_not_waited_for() {
    for (other, expected) in [
        (resting("b", 60), false),
        (resting("b", 30), false),
        (resting("b", 29), true),
        (checked("b", 29), true),
    ] {
        let mut bench = drained(settings(), other.clone());
        assert_eq!(waits(&mut bench), expected, "{other:?}");
    }
    // As the time goes on, the end of a retry comes near.
    let mut bench = drained(settings(), resting("b", 60));
    bench.seconds(31);
    assert!(waits(&mut bench));
    let tick = bench.balancer.next_tick(bench.now).expect("there is one");
    bench.now = tick;
    bench.balancer.tick(tick);
    let woken = bench.woken().expect("it is woken").result;
    assert_eq!(bench.name(woken.expect("a member").member), "b");
}

#[test]
fn with_apache_s_settings_timeout_alone_counts() {
    let apache = |timeout| Settings {
        timeout: Duration::from_secs(timeout),
        ..Settings::apache("balancer://test")
    };
    assert!(!waits(&mut drained(apache(0), resting("b", 29))));
    assert!(waits(&mut drained(apache(30), resting("b", 60))));
    let found = Settings {
        awaits: Awaits::Anything,
        ..settings()
    };
    assert!(
        waits(&mut drained(found, resting("b", 60))),
        "another may be found"
    );
}

#[test]
fn what_was_taken_out_of_use_does_not_come_back_by_itself() {
    for flag in [Flag::Disabled, Flag::Stopped, Flag::Drain, Flag::HealthFailed] {
        let mut bench = Bench::new(settings(), [member("a")]);
        set(&mut bench, "a", flag);
        assert!(!waits(&mut bench), "{flag:?}");
    }
    // Checks may bring it back.
    let mut bench = Bench::new(settings(), [checked("a", 5)]);
    set(&mut bench, "a", Flag::HealthFailed);
    assert!(waits(&mut bench));
    // Whoever waits is told at once.
    set(&mut bench, "a", Flag::Disabled);
    let woken = bench.woken().expect("it is woken").result;
    assert_eq!(woken.map(drop), Err(Unavailable::NoneUsable));
    assert_eq!(bench.balancer.waiting(), 0);
}

#[test]
fn passes_that_are_missing_take_their_time() {
    for (passes, expected) in [(3, true), (4, true), (5, false)] {
        let mut one = checked("a", 10);
        let health = one.health.as_mut().expect("it is checked");
        health.passes = passes.try_into().expect("not zero");
        let mut bench = Bench::new(settings(), [one]);
        set(&mut bench, "a", Flag::HealthFailed);
        assert_eq!(waits(&mut bench), expected, "{passes} passes");
    }
}

#[test]
fn one_that_drains_comes_back_for_its_own_sessions() {
    let settings = Settings {
        sticky: Some(StickySession::new("R")),
        ..settings()
    };
    let mut bench = Bench::new(settings, [resting("a", 5), member("b")]);
    set(&mut bench, "b", Flag::Disabled);
    fail(&mut bench);
    set(&mut bench, "a", Flag::Drain);
    assert!(!waits(&mut bench));
    let own = bench.pick_with("R=x.a", &[]);
    assert!(matches!(own, Pick::Wait { .. }), "{own:?}");
}

#[test]
fn members_that_are_still_to_come_are_waited_for() {
    let mut bench = Bench::new(settings(), []);
    assert!(matches!(bench.pick(), Pick::Wait { .. }));
    let now = bench.now;
    bench.balancer.replace_members([member("a")], now);
    assert!(bench.woken().expect("it is woken").result.is_ok());
}

fn retry_after(bench: &Bench, reason: &Unavailable) -> Option<Duration> {
    bench.balancer.retry_after(reason, bench.now)
}

#[test]
fn clients_are_told_when_the_first_member_comes_back() {
    let mut bench = drained(settings(), resting("b", 60));
    bench.pass(Duration::from_millis(20_300));
    let expected = Some(Duration::from_secs(40));
    assert_eq!(retry_after(&bench, &Unavailable::NoneUsable), expected);
    // Another one is checked sooner.
    let now = bench.now;
    bench.balancer.add(checked("c", 7), now).expect("it is new");
    set(&mut bench, "c", Flag::HealthFailed);
    let due = bench.balancer.due_checks(now);
    assert_eq!(due.len(), 1);
    let _ = bench.balancer.checked(bench.id("c"), Check::Failed, now);
    bench.pass(Duration::from_millis(1_700));
    let expected = Some(Duration::from_secs(6));
    assert_eq!(retry_after(&bench, &Unavailable::NoneUsable), expected);
    // A session's own member counts alone.
    let own = |route: &str| Unavailable::RouteUnusable(route.as_bytes().to_vec());
    let expected = Some(Duration::from_secs(39));
    assert_eq!(retry_after(&bench, &own("b")), expected);
    set(&mut bench, "b", Flag::Disabled);
    assert_eq!(retry_after(&bench, &own("b")), None);
    let empty = Bench::new(settings(), []);
    assert_eq!(retry_after(&empty, &Unavailable::NoMembers), None);
}

#[test]
fn clients_are_told_how_long_the_queue_is() {
    let narrow = Settings {
        queue_limit: 2,
        ..settings()
    };
    let one = Member {
        max: std::num::NonZeroU32::new(1),
        ..member("a")
    };
    let mut bench = Bench::new(narrow, [one]);
    let _a = bench.granted();
    for _ in 0..2 {
        let pick = bench.pick();
        assert!(matches!(pick, Pick::Wait { .. }), "{pick:?}");
        bench.seconds(4);
    }
    let refused = bench.refused();
    assert_eq!(refused, Unavailable::QueueFull(2));
    assert_eq!(retry_after(&bench, &refused), Some(Duration::from_secs(8)));
    let waited = Duration::from_millis(30_010);
    let late = Unavailable::WaitedTooLong(waited);
    assert_eq!(retry_after(&bench, &late), Some(waited));
}
