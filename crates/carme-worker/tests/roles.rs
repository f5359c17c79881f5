//! The roles of a worker's threads: what must hold after any sequence of events.

#[allow(dead_code, missing_docs, unreachable_pub)]
#[path = "../src/roles.rs"]
mod roles;

use proptest::prelude::*;
use roles::{Handover, Role, Roles, ThreadId};

#[test]
fn one_thread_runs_leads_runs() {
    let mut roles = Roles::new(1);
    let only = ThreadId(0);
    assert_eq!(roles.found_nothing(only), Role::Leader);
    assert_eq!(roles.took(only), Handover::None, "the limit is one thread");
    assert_eq!(roles.took(only), Handover::None, "one request after the other");
    assert_eq!(roles.found_nothing(only), Role::Leader);
}

#[test]
fn concurrency_creates_threads_and_idleness_parks_them() {
    let mut roles = Roles::new(3);
    let [a, b, c] = [0, 1, 2].map(ThreadId);
    assert_eq!(roles.found_nothing(a), Role::Leader);
    assert_eq!(roles.took(a), Handover::Create(b));
    assert_eq!(roles.role(b), Role::Second);
    assert_eq!(roles.took(a), Handover::None, "b listens");
    assert_eq!(roles.took(b), Handover::Create(c));
    assert_eq!(roles.took(c), Handover::None, "the limit is three threads");
    assert_eq!(roles.running(), 3);
    assert_eq!(
        roles.found_nothing(b),
        Role::Leader,
        "the first to come back leads"
    );
    assert_eq!(roles.found_nothing(a), Role::Second);
    assert_eq!(roles.found_nothing(c), Role::Standby);
    assert_eq!(roles.took(b), Handover::None);
    assert_eq!(
        roles.took(a),
        Handover::Wake(c),
        "no fourth thread: the one that stands by is next"
    );
    assert_eq!(roles.role(c), Role::Second);
}

#[test]
fn the_second_moves_up_when_nobody_leads() {
    let mut roles = Roles::new(2);
    let [a, b] = [0, 1].map(ThreadId);
    assert_eq!(roles.took(a), Handover::Create(b));
    assert_eq!(roles.found_nothing(b), Role::Leader);
    assert_eq!(roles.found_nothing(a), Role::Second);
}

#[test]
fn who_gives_way_is_the_next_to_be_called() {
    let mut roles = Roles::new(3);
    let [a, b, c] = [0, 1, 2].map(ThreadId);
    assert_eq!(roles.took(a), Handover::Create(b));
    assert_eq!(
        roles.gave_way(b),
        Role::Second,
        "it does not lead, or it would take at once"
    );
    assert_eq!(roles.took(b), Handover::Create(c));
    assert_eq!(roles.gave_way(b), Role::Standby);
    assert_eq!(roles.gave_way(c), Role::Second);
    assert_eq!(roles.gave_way(a), Role::Leader, "there is nobody to give way to");
    assert_eq!(roles.gave_way(a), Role::Leader);
}

#[test]
fn a_thread_that_cannot_be_created_lowers_the_limit() {
    let mut roles = Roles::new(9);
    assert_eq!(roles.took(ThreadId(0)), Handover::Create(ThreadId(1)));
    roles.not_created(ThreadId(1));
    assert_eq!(
        roles.took(ThreadId(0)),
        Handover::None,
        "not tried again at each request"
    );
    assert_eq!(roles.found_nothing(ThreadId(0)), Role::Leader);
}

proptest! {
    #[test]
    fn what_must_hold(limit in 1_usize..6, steps in prop::collection::vec((any::<prop::sample::Index>(), 0..3), 0..200)) {
        let mut roles = Roles::new(limit);
        let mut threads = 1;
        for (who, step) in steps {
            let takes = step == 0;
            // A thread that stands by does nothing by itself.
            let awake: Vec<_> = (0..threads).map(ThreadId).filter(|t| roles.role(*t) != Role::Standby).collect();
            let who = awake[who.index(awake.len())];
            if takes {
                match roles.took(who) {
                    Handover::Create(new) => { prop_assert_eq!(new.0, threads); threads += 1; }
                    Handover::Wake(woken) => prop_assert_eq!(roles.role(woken), Role::Second),
                    Handover::None => {}
                }
            } else if step == 1 {
                roles.found_nothing(who);
            } else {
                roles.gave_way(who);
            }

            let count = |role| (0..threads).filter(|t| roles.role(ThreadId(*t)) == role).count();
            prop_assert!(threads <= limit);
            prop_assert!(count(Role::Leader) <= 1 && count(Role::Second) <= 1);
            prop_assert_eq!(roles.running(), count(Role::Running));
            if roles.running() == 0 {
                prop_assert_eq!(count(Role::Leader), 1, "an idle worker must hear its bell");
            }
            if takes && count(Role::Second) == 0 {
                prop_assert_eq!(threads, limit, "a thread is left out although the limit allows one");
                prop_assert_eq!(count(Role::Standby), 0, "a thread stands by while nobody listens");
            }
        }
    }
}
