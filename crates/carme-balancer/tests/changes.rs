//! Changes at run time: balancer-manager's, and members from discovery and reloads.

mod common;

use std::num::NonZeroU32;

use carme_balancer::{
    ByHand, Change, Flag, LoadFactor, Member, Method, Outcome, Refused, SettingChange, Settings, State,
    Status,
};
use common::{Bench, member, with_status};

fn bench(members: &[&str]) -> Bench {
    Bench::new(
        Settings::apache("balancer://test"),
        members.iter().map(|name| member(name)),
    )
}

fn names(bench: &Bench) -> String {
    let report = bench.balancer.report(bench.now);
    let members = report
        .members
        .iter()
        .filter(|member| member.state != State::Removed);
    members.map(|member| bench.name(member.id)).collect()
}

#[test]
fn members_of_one_name_are_one() {
    let mut bench = bench(&["a", "b", "a"]);
    assert_eq!(names(&bench), "ab");
    assert_eq!(
        bench.balancer.add(member("a"), bench.now),
        Err(Refused::Exists("http://a".to_owned()))
    );
    // While the removed one finishes its last request, the name is free.
    let granted = bench.granted();
    let old = granted.member;
    bench.balancer.remove(old, bench.now).unwrap();
    let new = bench.balancer.add(member("a"), bench.now).unwrap();
    assert_ne!(old, new);
    assert_eq!(names(&bench), "ba");
    assert_eq!(
        bench.balancer.change(old, Change::Enable, bench.now),
        Err(Refused::NoSuchMember)
    );
    let _ = bench
        .balancer
        .done(granted.lease, Outcome::answered(200, 0, 0), bench.now);
    assert_eq!(bench.balancer.remove(old, bench.now), Err(Refused::NoSuchMember));
}

#[test]
fn shutdown_is_no_flag_to_set() {
    let mut bench = bench(&["a"]);
    let id = bench.id("a");
    assert_eq!(
        bench
            .balancer
            .change(id, Change::Status(Flag::Shutdown, true), bench.now),
        Err(Refused::Shutdown)
    );
}

#[test]
fn replacing_members_keeps_those_that_stay() {
    let mut bench = bench(&["a", "b", "c"]);
    bench.schedule(3);
    let kept = bench.id("b");
    bench
        .balancer
        .change(kept, Change::Status(Flag::Drain, true), bench.now)
        .unwrap();
    let heavier = Member {
        load_factor: LoadFactor::new(2.0).unwrap(),
        max: NonZeroU32::new(7),
        ..member("b")
    };
    let now = bench.now;
    bench
        .balancer
        .replace_members([member("d"), heavier, member("a"), member("d")], now);
    assert_eq!(names(&bench), "dba");
    let report = bench.balancer.report(now);
    let b = &report.members[1];
    assert_eq!((b.id, b.elected, b.state), (kept, 1, State::Draining));
    assert_eq!(
        (b.config.load_factor, b.config.max),
        (LoadFactor::new(2.0).unwrap(), NonZeroU32::new(7))
    );
    // The configuration took a flag back that it had given.
    bench.balancer.replace_members([with_status("b", "D")], now);
    assert_eq!(bench.balancer.report(now).members[0].state, State::Disabled);
    bench.balancer.replace_members([member("b")], now);
    assert_eq!(bench.balancer.report(now).members[0].state, State::Draining);
}

#[test]
fn another_method_starts_anew() {
    let mut bench = bench(&["a", "b"]);
    assert_eq!(bench.schedule(3), "a b a");
    assert_eq!(bench.lbstatus(), [-100, 100]);
    let now = bench.now;
    bench.balancer.set_method(Method::ByTraffic, now);
    // Which looks at no quotas.
    assert_eq!(bench.lbstatus(), [-100, 100]);
    assert_eq!(bench.serve_with("", 1000), "a");
    assert_eq!(bench.serve_with("", 1000), "b");
    bench.balancer.set_method(Method::ByBusyness, now);
    assert_eq!(bench.lbstatus(), [0, 0]);
    // What people read goes on.
    assert_eq!(bench.balancer.report(now).members[0].elected, 3);
}

/// `recalc_factors` of balancer-manager.
#[test]
fn another_factor_sets_the_quotas() {
    let mut bench = bench(&["a", "b"]);
    bench.schedule(1);
    bench
        .balancer
        .change(
            bench.id("b"),
            Change::LoadFactor(LoadFactor::new(3.0).unwrap()),
            bench.now,
        )
        .unwrap();
    assert_eq!(bench.lbstatus(), [100, 300]);
}

#[test]
fn other_settings_keep_members_and_requests() {
    let mut bench = bench(&["a", "b"]);
    let granted = bench.granted();
    let now = bench.now;
    bench.balancer.configure(Settings::new("balancer://other"), now);
    assert_eq!(bench.balancer.settings().method, Method::Queue);
    assert_eq!(bench.schedule(2), "b b");
    bench.finish(granted, 0);
}

#[test]
fn a_report_shows_what_balancer_manager_shows() {
    let mut bench = bench(&["a", "b"]);
    bench.serve_with("", 1234);
    bench.serve_among("", &["b"]);
    bench.seconds(10);
    let report = bench.balancer.report(bench.now);
    let [a, b] = &report.members[..] else { panic!() };
    assert_eq!((report.max_attempts, report.waiting, report.refused), (1, 0, 0));
    assert_eq!(
        (a.elected, a.read, a.busy, a.status.to_string().as_str()),
        (2, 1234, 0, "Init Ok")
    );
    assert_eq!(
        (b.elected, b.failures, b.status),
        (1, 1, Status::OK.with(Flag::Error))
    );
    assert_eq!(
        (b.error_age.unwrap().as_secs(), b.retry_in.unwrap().as_secs()),
        (10, 50)
    );
    assert_eq!(b.config.route.as_deref(), Some("b"));
}

#[test]
fn variables() {
    let mut bench = Bench::new(
        Settings {
            sticky: Some(carme_balancer::StickySession::new("R")),
            ..Settings::apache("balancer://test")
        },
        [
            member("a"),
            Member {
                route: None,
                ..member("b")
            },
        ],
    );
    for (cookie, expected) in [
        (
            "",
            "BALANCER_NAME=balancer://test BALANCER_WORKER_NAME=http://a BALANCER_WORKER_ROUTE=a BALANCER_ROUTE_CHANGED=1",
        ),
        (
            "R=x.z",
            "BALANCER_NAME=balancer://test BALANCER_WORKER_NAME=http://b BALANCER_WORKER_ROUTE= \
          BALANCER_SESSION_STICKY=R BALANCER_SESSION_ROUTE=z BALANCER_ROUTE_CHANGED=1",
        ),
        (
            "R=x.a",
            "BALANCER_NAME=balancer://test BALANCER_WORKER_NAME=http://a BALANCER_WORKER_ROUTE=a \
          BALANCER_SESSION_STICKY=R BALANCER_SESSION_ROUTE=a",
        ),
    ] {
        let carme_balancer::Pick::Member(granted) = bench.pick_with(cookie, &[]) else {
            panic!()
        };
        let member = bench.balancer.member(granted.member).unwrap();
        let variables = common::variables(bench.balancer.settings(), member, &granted.session);
        let text: Vec<_> = variables
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        assert_eq!(text.join(" "), expected);
        bench.finish(granted, 0);
    }
}

/// Changes by hand outlive a reload that says nothing new about them, and a restart.
#[test]
fn what_was_done_by_hand_stays() {
    let mut bench = bench(&["a", "b", "c"]);
    let now = bench.now;
    assert_eq!(bench.balancer.by_hand(), ByHand::default());
    let two = LoadFactor::new(2.0).unwrap();
    bench
        .balancer
        .change(bench.id("a"), Change::LoadFactor(two), now)
        .unwrap();
    bench
        .balancer
        .change(bench.id("a"), Change::Status(Flag::Drain, true), now)
        .unwrap();
    bench
        .balancer
        .change(bench.id("c"), Change::Status(Flag::Error, true), now)
        .unwrap();
    bench.balancer.remove(bench.id("b"), now).unwrap();
    bench.balancer.add(member("d"), now).unwrap();
    bench
        .balancer
        .change(bench.id("d"), Change::Status(Flag::Disabled, true), now)
        .unwrap();
    bench
        .balancer
        .change_setting(SettingChange::Method(Method::ByTraffic), now);
    bench
        .balancer
        .change_setting(SettingChange::Nofailover(true), now);
    let expected = ByHand {
        settings: vec![
            SettingChange::Method(Method::ByTraffic),
            SettingChange::Nofailover(true),
        ],
        added: vec![with_status("d", "D")],
        removed: vec!["http://b".to_owned()],
        changed: vec![(
            "http://a".to_owned(),
            vec![Change::Status(Flag::Drain, true), Change::LoadFactor(two)],
        )],
    };
    assert_eq!(bench.balancer.by_hand(), expected);

    // A reload of the same configuration, and one that gives c another factor.
    let three = LoadFactor::new(3.0).unwrap();
    bench.balancer.configure(
        Settings {
            queue_limit: 7,
            ..Settings::apache("balancer://test")
        },
        now,
    );
    bench.balancer.replace_members(
        [
            member("a"),
            member("b"),
            Member {
                load_factor: three,
                ..member("c")
            },
        ],
        now,
    );
    assert_eq!(bench.balancer.by_hand(), expected);
    assert_eq!(names(&bench), "acd");
    assert_eq!(
        (
            bench.balancer.settings().method,
            bench.balancer.settings().queue_limit
        ),
        (Method::ByTraffic, 7)
    );
    assert_eq!(bench.balancer.member(bench.id("a")).unwrap().load_factor, two);
    assert_eq!(bench.balancer.member(bench.id("c")).unwrap().load_factor, three);

    // The configuration speaks last where it says something new.
    bench.balancer.replace_members(
        [
            Member {
                load_factor: three,
                ..member("a")
            },
            member("b"),
            member("c"),
        ],
        now,
    );
    assert_eq!(bench.balancer.member(bench.id("a")).unwrap().load_factor, three);

    // A restart.
    let mut restarted = freshly_started();
    restarted.balancer.restore(expected.clone(), now);
    assert_eq!(restarted.balancer.by_hand(), expected);
    // Added once more by hand, b is configured as before.
    restarted.balancer.add(member("b"), now).unwrap();
    assert!(restarted.balancer.by_hand().removed.is_empty());
}

#[test]
fn what_is_expected_of_members_holds_when_they_are_found() {
    let mut bench = bench(&[]);
    let now = bench.now;
    let disabled = vec![Change::Status(Flag::Disabled, true)];
    bench.balancer.expect_changed("http://a".into(), disabled.clone());
    bench.balancer.expect_removed("http://b".into());
    let by_hand = bench.balancer.by_hand();
    assert_eq!(by_hand.changed, [("http://a".to_owned(), disabled.clone())]);
    assert_eq!(by_hand.removed, ["http://b"]);
    bench
        .balancer
        .replace_members([member("a"), member("b"), member("c")], now);
    assert_eq!(names(&bench), "ac");
    assert_eq!(bench.balancer.report(now).members[0].state, State::Disabled);
    assert_eq!(bench.balancer.by_hand(), by_hand, "it is kept as before");
    // Enabled, it is found once more as it is: what was expected has come to pass.
    bench.balancer.change(bench.id("a"), Change::Enable, now).unwrap();
    bench.balancer.replace_members([member("c")], now);
    bench.balancer.replace_members([member("a"), member("c")], now);
    assert_eq!(bench.balancer.report(now).members[0].state, State::Ready);
}

fn freshly_started() -> Bench {
    bench(&["a", "b", "c"])
}
