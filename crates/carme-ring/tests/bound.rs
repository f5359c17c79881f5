//! Requests that are bound to one worker: it alone gets them, in their turn, until they are bound to somebody else.
#![cfg(not(loom))]

use std::sync::Arc;

use carme_ring::{
    Armed, Collected, FrontRing, Geometry, Need, Rebound, Refused, Region, Rung, StreamId, Ticket,
    Withdrawal, WorkerIndex, WorkerRing,
};

const GEOMETRY: Geometry = Geometry {
    slots: 64,
    slot_bytes: 64,
    workers: 3,
    outbox_bytes: 1024,
    inbox_bytes: 256,
};
/// What waits for one worker at most: the slots' half, shared among the workers.
const BOUND: usize = 10;
const ONE: WorkerIndex = WorkerIndex(0);
const OTHER: WorkerIndex = WorkerIndex(1);

fn ring() -> (FrontRing, [WorkerRing; 2]) {
    let region = Arc::new(Region::private(GEOMETRY).unwrap());
    let mut front = FrontRing::new(region.clone());
    let workers = [ONE, OTHER].map(|worker| {
        front.clear(worker);
        front.serve(worker, true);
        WorkerRing::new(region.clone(), worker)
    });
    (front, workers)
}

fn submit(front: &mut FrontRing, stream: u64) -> Ticket {
    front.submit(StreamId(stream), b"head", b"body").unwrap()
}

fn bind(front: &mut FrontRing, worker: WorkerIndex, stream: u64) -> Ticket {
    front
        .submit_to(worker, StreamId(stream), b"head", b"body")
        .unwrap()
}

/// Takes and reads one, and keeps it in flight.
fn begin(worker: &WorkerRing) -> Option<u64> {
    let taken = worker.take().unwrap()?;
    Some(worker.read(taken, &mut Vec::new()).unwrap().stream.0)
}

/// Takes, reads and finishes one.
fn serve(worker: &WorkerRing) -> Option<u64> {
    let stream = begin(worker)?;
    worker.finish();
    Some(stream)
}

fn rung(front: &mut FrontRing, stalled: bool) -> (Vec<(u16, Rung)>, bool) {
    let mut rung = Vec::new();
    let later = front.wake(stalled, |w, which| rung.push((w.0, which))).unwrap();
    (rung, later)
}

#[test]
fn only_its_worker_gets_it() {
    let (mut front, [one, other]) = ring();
    let ticket = bind(&mut front, ONE, 7);
    assert_eq!(serve(&other), None);
    assert_eq!(other.arm_leader(), Armed::Sleep);
    assert_eq!(one.arm_leader(), Armed::Look);
    assert_eq!(serve(&one), Some(7));
    assert!(matches!(front.collect(ticket).unwrap(), Collected::Read(ONE, _)));
    assert_eq!(front.free_slots(), 64);
    assert_eq!(one.arm_leader(), Armed::Sleep);
}

#[test]
fn it_is_taken_in_its_turn_among_all_that_its_worker_could_take() {
    let (mut front, [one, other]) = ring();
    let _tickets = [
        bind(&mut front, ONE, 1),
        submit(&mut front, 2),
        submit(&mut front, 3),
        bind(&mut front, ONE, 4),
        submit(&mut front, 5),
        bind(&mut front, OTHER, 6),
    ];
    assert_eq!(serve(&one), Some(1));
    assert_eq!(serve(&one), Some(2));
    assert_eq!(serve(&other), Some(3), "of those that are for anybody");
    assert_eq!(serve(&one), Some(4), "all that came before it has been taken");
    assert_eq!(serve(&one), Some(5));
    assert_eq!(serve(&one), None);
    assert_eq!(serve(&other), Some(6));
}

#[test]
fn a_busy_worker_leaves_what_is_anybodys_and_takes_its_own() {
    let (mut front, [one, other]) = ring();
    let _first = submit(&mut front, 1);
    assert_eq!(begin(&one), Some(1));
    let _tickets = [submit(&mut front, 2), bind(&mut front, ONE, 3)];
    assert_eq!(one.arm_leader(), Armed::Look);
    assert_eq!(begin(&one), Some(3));
    assert_eq!(begin(&one), None, "the other worker is idle");
    assert_eq!(serve(&other), Some(2));
}

#[test]
fn its_worker_is_rung_and_nobody_else() {
    let (mut front, [one, other]) = ring();
    for worker in [&one, &other] {
        assert_eq!(worker.arm_leader(), Armed::Sleep);
    }
    let _first = bind(&mut front, OTHER, 1);
    assert_eq!(rung(&mut front, false), (vec![(1, Rung::Leader)], false));
    assert_eq!(rung(&mut front, false), (vec![], true), "it may come, or not");
    assert_eq!(rung(&mut front, false), (vec![], false), "that was said already");
    let _second = submit(&mut front, 2);
    assert_eq!(
        rung(&mut front, false).0,
        [(0, Rung::Leader)],
        "the other one does not come for that"
    );
    assert_eq!(begin(&other), Some(1));
    assert_eq!(serve(&one), Some(2));
}

#[test]
fn a_busy_workers_second_thread_is_rung_for_what_is_bound_to_it() {
    let (mut front, [one, _other]) = ring();
    let _first = bind(&mut front, ONE, 1);
    assert_eq!(begin(&one), Some(1));
    let _second = bind(&mut front, ONE, 2);
    assert_eq!(
        rung(&mut front, false),
        (vec![], true),
        "no second thread listens"
    );
    one.arm_second(Need::Waiting);
    assert_eq!(rung(&mut front, false).0, [(0, Rung::Second)]);
    assert_eq!(begin(&one), Some(2));
    let _third = bind(&mut front, ONE, 3);
    one.arm_second(Need::Stalled);
    assert_eq!(
        rung(&mut front, false),
        (vec![], true),
        "the others get on with it"
    );
    let mut held_back = Vec::new();
    front.wake_held_back(|w, which| held_back.push((w.0, which)));
    assert_eq!(held_back, [(0, Rung::Second)], "nothing was taken for a moment");
    one.arm_second(Need::Stalled);
    assert_eq!(begin(&one), Some(3));
    front.wake_held_back(|w, _| panic!("{w}: nothing waits"));
}

#[test]
fn a_worker_that_takes_nothing_has_not_the_slots_of_others() {
    let (mut front, [_, other]) = ring();
    let mut tickets: Vec<_> = (0..BOUND as u64).map(|i| bind(&mut front, ONE, i)).collect();
    let refused = |front: &mut FrontRing, worker| {
        let refused = front.submit_to(worker, StreamId(99), b"head", b"body");
        refused.unwrap_err() == Refused::NoSlots
    };
    assert!(refused(&mut front, ONE));
    // Clients that leave make room.
    assert!(matches!(
        front.withdraw(tickets.remove(0)).unwrap(),
        Withdrawal::Withdrawn
    ));
    tickets.push(bind(&mut front, ONE, 100));
    // Another worker has its own share, and the rest is anybody's.
    tickets.extend((0..BOUND as u64).map(|i| bind(&mut front, OTHER, i)));
    assert!(refused(&mut front, OTHER));
    let anybodys: Vec<_> = (200..244).map(|i| submit(&mut front, i)).collect();
    assert_eq!(front.free_slots(), 0);
    let all = std::iter::from_fn(|| serve(&other)).count();
    assert_eq!(all, BOUND + 44);
    for ticket in anybodys {
        assert!(matches!(
            front.collect(ticket).unwrap(),
            Collected::Read(OTHER, _)
        ));
    }
    front.pass_withdrawn().unwrap();
    assert_eq!(front.bound(ONE).unwrap(), BOUND as u64);
    assert_eq!(front.bound(OTHER).unwrap(), 0);
}

#[test]
fn a_large_request_is_bound_alone() {
    let (mut front, [one, _]) = ring();
    let large = [0; 20 * 64];
    let first = front.submit_to(ONE, StreamId(1), &large, b"").unwrap();
    assert_eq!(
        front.submit_to(ONE, StreamId(2), b"", b"").unwrap_err(),
        Refused::NoSlots
    );
    // The half of all slots is not enough for two of them.
    assert_eq!(
        front.submit_to(OTHER, StreamId(3), &large, b"").unwrap_err(),
        Refused::NoSlots
    );
    let small = bind(&mut front, OTHER, 4);
    assert_eq!(serve(&one), Some(1));
    assert!(matches!(front.collect(first).unwrap(), Collected::Read(ONE, _)));
    let second = front.submit_to(ONE, StreamId(2), &large, b"").unwrap();
    assert!(matches!(front.withdraw(small).unwrap(), Withdrawal::Withdrawn));
    assert!(matches!(front.withdraw(second).unwrap(), Withdrawal::Withdrawn));
    assert_eq!(front.free_slots(), 64);
}

#[test]
fn what_its_worker_leaves_behind_is_bound_to_somebody_else() {
    let (mut front, [one, other]) = ring();
    let [first, second, third] = [1, 2, 3].map(|stream| bind(&mut front, ONE, stream));
    assert_eq!(begin(&one), Some(1));
    let Rebound::TooLate(first) = front.rebind(first, None).unwrap() else {
        panic!("it is taken")
    };
    let Rebound::Done(second) = front.rebind(second, None).unwrap() else {
        panic!()
    };
    let Rebound::Done(third) = front.rebind(third, Some(OTHER)).unwrap() else {
        panic!()
    };
    assert_eq!((second.bound_to(), third.bound_to()), (None, Some(OTHER)));
    front.serve(ONE, false);
    assert_eq!(serve(&one), None);
    // Dead.
    front.clear(ONE);
    assert_eq!(serve(&other), Some(2));
    assert_eq!(serve(&other), Some(3));
    for (ticket, worker) in [(first, ONE), (second, OTHER), (third, OTHER)] {
        assert!(matches!(front.collect(ticket).unwrap(), Collected::Read(by, _) if by == worker));
    }
    assert_eq!(front.free_slots(), 64);
}

#[test]
fn a_request_that_goes_to_and_fro_is_taken_once() {
    let (mut front, [one, other]) = ring();
    let mut ticket = bind(&mut front, ONE, 1);
    for to in [Some(OTHER), Some(ONE), Some(OTHER), Some(ONE)] {
        let Rebound::Done(moved) = front.rebind(ticket, to).unwrap() else {
            panic!()
        };
        ticket = moved;
    }
    assert_eq!(serve(&other), None);
    assert_eq!(serve(&one), Some(1));
    assert_eq!(serve(&one), None);
    assert!(matches!(front.collect(ticket).unwrap(), Collected::Read(ONE, _)));
    // The other's old entries name a use that is over.
    let next = bind(&mut front, ONE, 2);
    assert_eq!(serve(&other), None);
    assert_eq!(serve(&one), Some(2));
    assert!(matches!(front.collect(next).unwrap(), Collected::Read(ONE, _)));
    assert_eq!(front.free_slots(), 64);
}

#[test]
fn a_withdrawn_one_is_nobodys() {
    let (mut front, [one, _]) = ring();
    for _ in 0..1000 {
        let gone = bind(&mut front, ONE, 1);
        let stays = bind(&mut front, ONE, 2);
        assert!(matches!(front.withdraw(gone).unwrap(), Withdrawal::Withdrawn));
        assert_eq!(serve(&one), Some(2));
        assert!(matches!(front.collect(stays).unwrap(), Collected::Read(ONE, _)));
    }
    assert_eq!((front.free_slots(), front.bound(ONE).unwrap()), (64, 0));
}
