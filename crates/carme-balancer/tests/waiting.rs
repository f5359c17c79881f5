//! Requests that wait: first come first served, each woken once, no place given twice, no wait without an end.

mod common;

use std::num::NonZeroU32;
use std::time::Duration;

use carme_balancer::{
    Change, Flag, Granted, Member, Method, Outcome, Pick, Request, SettingChange, Settings, StickySession,
    Token, Unavailable,
};
use common::{Bench, member};

fn limited(name: &str, max: u32) -> Member {
    Member {
        max: NonZeroU32::new(max),
        ..member(name)
    }
}

fn sticky(method: Method) -> Settings {
    Settings {
        method,
        sticky: Some(StickySession::new("R")),
        ..Settings::apache("balancer://test")
    }
}

fn queue() -> Settings {
    Settings {
        method: Method::Queue,
        ..Settings::apache("balancer://test")
    }
}

/// Picks for a request that has to wait; its token and for how long.
fn wait(bench: &mut Bench, cookie: &str) -> (Token, Duration) {
    match bench.pick_with(cookie, &[]) {
        Pick::Wait { until } => (Token(bench.token), until - bench.now),
        other => panic!("{other:?}"),
    }
}

fn wake(bench: &mut Bench) -> Option<(Token, Result<Granted, Unavailable>)> {
    bench.woken().map(|wake| (wake.token, wake.result))
}

#[track_caller]
fn granted_wake(bench: &mut Bench, token: Token, name: &str) -> Granted {
    let (woken, result) = wake(bench).expect("a request is woken");
    let granted = result.expect("it has a member");
    assert_eq!((woken, bench.name(granted.member).as_str()), (token, name));
    granted
}

#[test]
fn first_come_first_served() {
    let mut bench = Bench::new(queue(), [limited("a", 1), limited("b", 1)]);
    let (a, b) = (bench.granted(), bench.granted());
    let (first, limit) = wait(&mut bench, "");
    assert_eq!(limit, Settings::DEFAULT_ACQUIRE);
    let (second, _) = wait(&mut bench, "");
    let (third, _) = wait(&mut bench, "");
    assert_eq!(bench.balancer.waiting(), 3);
    assert!(wake(&mut bench).is_none());
    bench.seconds(2);
    bench.finish(b, 0);
    let b = granted_wake(&mut bench, first, "b");
    assert_eq!(b.waited, Duration::from_secs(2));
    assert!(wake(&mut bench).is_none());
    bench.finish(a, 0);
    let a = granted_wake(&mut bench, second, "a");
    bench.finish(a, 0);
    let a = granted_wake(&mut bench, third, "a");
    // Nobody waits: the place stays free for the next request.
    bench.finish(b, 0);
    assert!(wake(&mut bench).is_none());
    assert_eq!(bench.serve(), "b");
    bench.finish(a, 0);
}

#[test]
fn a_session_waits_for_its_own_member_and_overtakes_nobody_there() {
    let mut bench = Bench::new(sticky(Method::ByRequests), [limited("a", 1), limited("b", 2)]);
    let a = bench.granted();
    assert_eq!(bench.name(a.member), "a");
    // b has room, but the session is a's.
    let (own, _) = wait(&mut bench, "R=x.a");
    let (b1, b2) = (bench.granted(), bench.granted());
    let (any, _) = wait(&mut bench, "");
    let (late_own, _) = wait(&mut bench, "R=x.a");
    bench.finish(b1, 0);
    let b1 = granted_wake(&mut bench, any, "b");
    bench.finish(a, 0);
    let a = granted_wake(&mut bench, own, "a");
    assert!(!a.session.route_changed);
    let (last, _) = wait(&mut bench, "");
    bench.finish(a, 0);
    let a = granted_wake(&mut bench, late_own, "a");
    bench.finish(a, 0);
    let a = granted_wake(&mut bench, last, "a");
    assert!(a.session.route_changed);
    [a, b1, b2]
        .into_iter()
        .for_each(|granted| bench.finish(granted, 0));
}

#[test]
fn waits_end_after_the_longest_acquire_of_the_members_in_question() {
    let acquire = |name, milliseconds| Member {
        acquire: Some(Duration::from_millis(milliseconds)),
        ..limited(name, 1)
    };
    let mut bench = Bench::new(sticky(Method::Queue), [acquire("a", 200), acquire("b", 500)]);
    let (_a, _b) = (bench.granted(), bench.granted());
    let (any, limit) = wait(&mut bench, "");
    assert_eq!(limit, Duration::from_millis(500));
    let (own, limit) = wait(&mut bench, "R=x.a");
    assert_eq!(limit, Duration::from_millis(200));
    assert_eq!(
        bench.balancer.next_tick(bench.now),
        Some(bench.now + Duration::from_millis(200))
    );
    bench.pass(Duration::from_millis(199));
    bench.balancer.tick(bench.now);
    assert!(wake(&mut bench).is_none());
    bench.pass(Duration::from_millis(1));
    bench.balancer.tick(bench.now);
    let (token, result) = wake(&mut bench).unwrap();
    assert_eq!(
        (token, result.unwrap_err()),
        (own, Unavailable::WaitedTooLong(Duration::from_millis(200)))
    );
    assert!(wake(&mut bench).is_none());
    bench.pass(Duration::from_millis(300));
    bench.balancer.tick(bench.now);
    assert_eq!(wake(&mut bench).unwrap().0, any);
    assert_eq!(
        (bench.balancer.waiting(), bench.balancer.next_tick(bench.now)),
        (0, None)
    );
}

#[test]
fn the_queue_has_a_limit() {
    let mut bench = Bench::new(
        Settings {
            queue_limit: 2,
            ..queue()
        },
        [limited("a", 1)],
    );
    let _a = bench.granted();
    wait(&mut bench, "");
    wait(&mut bench, "");
    assert_eq!(bench.refused(), Unavailable::QueueFull(2));
    assert_eq!(bench.balancer.report(bench.now).refused, 1);
}

#[test]
fn clients_that_leave_make_room() {
    let mut bench = Bench::new(queue(), [limited("a", 1)]);
    let a = bench.granted();
    let (first, _) = wait(&mut bench, "");
    let (second, _) = wait(&mut bench, "");
    let (third, _) = wait(&mut bench, "");
    assert!(bench.balancer.cancel(first, bench.now));
    bench.finish(a, 0);
    // The second is woken, but its client has left before it looked: the third gets the place.
    assert!(bench.balancer.cancel(second, bench.now));
    let a = granted_wake(&mut bench, third, "a");
    assert!(wake(&mut bench).is_none());
    assert!(!bench.balancer.cancel(third, bench.now));
    let next = bench.balancer.done(a.lease, Outcome::unused(), bench.now);
    assert_eq!(next, carme_balancer::Next::Finish);
    assert_eq!(bench.balancer.report(bench.now).members[0].busy, 0);
}

#[test]
fn those_who_wait_for_a_member_that_goes_are_served_elsewhere() {
    for how in ["disable", "remove", "redirect"] {
        let mut bench = Bench::new(
            sticky(Method::ByRequests),
            [limited("a", 1), member("b"), member("c")],
        );
        let a = bench.granted();
        let (own, _) = wait(&mut bench, "R=x.a");
        let id = bench.id("a");
        match how {
            "disable" => bench
                .balancer
                .change(id, Change::Status(Flag::Disabled, true), bench.now)
                .unwrap(),
            "remove" => bench.balancer.remove(id, bench.now).unwrap(),
            _ => {
                bench
                    .balancer
                    .change(id, Change::Redirect(Some("c".to_owned())), bench.now)
                    .unwrap();
                assert!(wake(&mut bench).is_none());
                bench
                    .balancer
                    .change(id, Change::Status(Flag::Stopped, true), bench.now)
                    .unwrap();
            }
        }
        let expected = if how == "redirect" { "c" } else { "b" };
        let granted = granted_wake(&mut bench, own, expected);
        assert!(granted.session.route_changed);
        bench.finish(granted, 0);
        bench.finish(a, 0);
        let left = bench.balancer.report(bench.now).members.len();
        assert_eq!(left, if how == "remove" { 2 } else { 3 });
    }
}

#[test]
fn nofailover_sends_those_away_whose_member_goes() {
    let settings = Settings {
        nofailover: true,
        ..sticky(Method::ByRequests)
    };
    let mut bench = Bench::new(settings, [limited("a", 1), member("b")]);
    let _a = bench.granted();
    let (own, _) = wait(&mut bench, "R=x.a");
    bench
        .balancer
        .change(bench.id("a"), Change::Status(Flag::Disabled, true), bench.now)
        .unwrap();
    let (token, result) = wake(&mut bench).unwrap();
    assert_eq!(
        (token, result.unwrap_err()),
        (own, Unavailable::RouteUnusable(b"a".to_vec()))
    );
}

#[test]
fn any_number_waits_for_a_usable_member_if_timeout_says_so() {
    let mut bench = Bench::new(queue(), [member("a"), member("b")]);
    for name in ["a", "b"] {
        bench
            .balancer
            .change(bench.id(name), Change::Status(Flag::Disabled, true), bench.now)
            .unwrap();
    }
    assert_eq!(bench.refused(), Unavailable::NoneUsable);
    bench
        .balancer
        .change_setting(SettingChange::Timeout(Duration::from_secs(5)), bench.now);
    let tokens: Vec<_> = (0..3).map(|_| wait(&mut bench, "").0).collect();
    bench.seconds(4);
    bench
        .balancer
        .change(bench.id("b"), Change::Enable, bench.now)
        .unwrap();
    for token in tokens {
        let _ = granted_wake(&mut bench, token, "b");
    }
    bench
        .balancer
        .change(bench.id("b"), Change::Status(Flag::Disabled, true), bench.now)
        .unwrap();
    let (token, limit) = wait(&mut bench, "");
    assert_eq!(limit, Duration::from_secs(5));
    bench.seconds(5);
    bench.balancer.tick(bench.now);
    let (woken, result) = wake(&mut bench).unwrap();
    assert_eq!((woken, result.unwrap_err()), (token, Unavailable::NoneUsable));
}

/// The timer wakes for a member whose `retry` is over, not only for the end of waits.
#[test]
fn a_retry_that_is_over_serves_those_who_wait() {
    let settings = Settings {
        timeout: Duration::from_secs(600),
        force_recovery: false,
        ..queue()
    };
    let mut bench = Bench::new(settings, [member("a")]);
    let a = bench.granted();
    let outcome = Outcome::failed(
        carme_balancer::Failure::Connect,
        carme_balancer::Exposure::NothingSent,
    );
    assert_eq!(
        bench.balancer.done(a.lease, outcome, bench.now),
        carme_balancer::Next::Finish
    );
    let (token, _) = wait(&mut bench, "");
    let tick = bench.balancer.next_tick(bench.now).unwrap();
    assert_eq!(tick - bench.now, Member::DEFAULT_RETRY + Duration::from_millis(1));
    bench.now = tick;
    bench.balancer.tick(bench.now);
    let _ = granted_wake(&mut bench, token, "a");
}

/// A request that comes when time alone has made room does not overtake one that waits.
#[test]
fn newcomers_do_not_overtake() {
    let settings = Settings {
        slow_start: Duration::from_secs(10),
        ..queue()
    };
    let mut bench = Bench::new(settings, []);
    let now = bench.now;
    bench.balancer.add(limited("a", 10), now).unwrap();
    // A tenth of its ten.
    let _a = bench.granted();
    let (first, _) = wait(&mut bench, "");
    bench.seconds(2);
    wait(&mut bench, "");
    let _ = granted_wake(&mut bench, first, "a");
}

/// A request that has tried a member may have to wait while another, behind it, can be served by that member.
#[test]
fn one_that_is_particular_does_not_block_the_others() {
    let settings = Settings {
        untried_first: true,
        ..queue()
    };
    let mut bench = Bench::new(settings, [limited("a", 1), limited("b", 1)]);
    let (a, _b) = (bench.granted(), bench.granted());
    let a_id = a.member;
    bench.token += 1;
    let request = Request {
        tried: &[a_id],
        ..Request::plain(Token(bench.token), 0)
    };
    let Pick::Wait { .. } = bench.balancer.pick(&request, bench.now) else {
        panic!()
    };
    let (plain, _) = wait(&mut bench, "");
    bench.finish(a, 0);
    let _ = granted_wake(&mut bench, plain, "a");
    assert_eq!(bench.balancer.waiting(), 1);
}

#[test]
fn an_empty_balancer_says_so() {
    let mut bench = Bench::new(queue(), []);
    assert_eq!(bench.refused(), Unavailable::NoMembers);
}

/// A front that has just begun and learns its members all at once.
#[test]
fn a_session_that_waits_for_any_member_gets_its_own_when_several_come() {
    let settings = Settings {
        timeout: Duration::from_secs(30),
        ..sticky(Method::Queue)
    };
    let mut bench = Bench::new(settings, []);
    let (token, _) = wait(&mut bench, "R=x.b");
    let now = bench.now;
    bench.balancer.replace_members(["a", "b", "c"].map(member), now);
    let own = granted_wake(&mut bench, token, "b");
    bench.finish(own, 0);
}
