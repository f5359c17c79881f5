//! The orderings of the ring under loom: no request is stranded while somebody could take it, none is taken twice,
//! and a death anywhere leaves words that say whose each request was. A death is "stop here": a worker's steps end
//! after any of its calls, and the front finds out later.
//!
//! `RUSTFLAGS="--cfg loom" cargo test --release -p carme-ring --test loom`
#![cfg(loom)]

use carme_ring::{
    Armed, Collected, FrontRing, Geometry, Rebound, RecordKind, Region, StreamId, Ticket, Withdrawal,
    WorkerIndex, WorkerRing,
};
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;
use std::sync::Arc;

const GEOMETRY: Geometry = Geometry {
    slots: 2,
    slot_bytes: 8,
    workers: 2,
    outbox_bytes: 64,
    inbox_bytes: 64,
};

fn model(f: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.max_branches = 20_000;
    builder.check(f);
}

fn ring() -> (FrontRing, Arc<Region>) {
    let region = Arc::new(Region::private(GEOMETRY).unwrap());
    let mut front = FrontRing::new(region.clone());
    for w in 0..2 {
        front.clear(WorkerIndex(w));
        front.serve(WorkerIndex(w), true);
    }
    (front, region)
}

/// Takes and reads until there is nothing; says how many.
fn work(worker: &WorkerRing) -> usize {
    let (mut done, mut buffer) = (0, Vec::new());
    while let Some(taken) = worker.take().unwrap() {
        worker.read(taken, &mut buffer).unwrap();
        worker.finish();
        done += 1;
    }
    done
}

#[test]
fn two_workers_share_two_requests_and_nobody_gets_one_twice() {
    model(|| {
        let (mut front, region) = ring();
        let tickets = [1, 2].map(|s| front.submit(StreamId(s), b"h", b"").unwrap());
        let other = region.clone();
        let one = thread::spawn(move || work(&WorkerRing::new(other, WorkerIndex(0))));
        let here = work(&WorkerRing::new(region, WorkerIndex(1)));
        let there = one.join().unwrap();
        assert_eq!(here + there, 2);
        for ticket in tickets {
            assert!(matches!(front.collect(ticket).unwrap(), Collected::Read(..)));
        }
    });
}

#[test]
fn what_is_bound_to_a_worker_and_what_is_anybodys_are_each_taken_once() {
    model(|| {
        let (mut front, region) = ring();
        let bound = front.submit_to(WorkerIndex(0), StreamId(1), b"h", b"").unwrap();
        let anybodys = front.submit(StreamId(2), b"h", b"").unwrap();
        let other = region.clone();
        let one = thread::spawn(move || work(&WorkerRing::new(other, WorkerIndex(0))));
        let here = work(&WorkerRing::new(region, WorkerIndex(1)));
        let there = one.join().unwrap();
        assert_eq!(here + there, 2);
        assert!(matches!(
            front.collect(bound).unwrap(),
            Collected::Read(WorkerIndex(0), _)
        ));
        assert!(matches!(front.collect(anybodys).unwrap(), Collected::Read(..)));
    });
}

/// How the front offers a request.
type Submit = fn(&mut FrontRing) -> Ticket;

#[test]
fn a_request_never_waits_for_a_worker_that_sleeps_unrung() {
    never_waits_for_a_worker_that_sleeps(|front| front.submit(StreamId(1), b"h", b"").unwrap());
}

#[test]
fn what_is_bound_to_a_worker_never_waits_while_that_sleeps_unrung() {
    never_waits_for_a_worker_that_sleeps(|front| {
        front.submit_to(WorkerIndex(0), StreamId(1), b"h", b"").unwrap()
    });
}

fn never_waits_for_a_worker_that_sleeps(submit: Submit) {
    model(move || {
        let (mut front, region) = ring();
        front.serve(WorkerIndex(1), false);
        let worker = thread::spawn(move || {
            let worker = WorkerRing::new(region, WorkerIndex(0));
            let done = work(&worker);
            let armed = if done == 0 {
                worker.arm_leader()
            } else {
                Armed::Look
            };
            let late = if armed == Armed::Look { work(&worker) } else { 0 };
            (done + late, armed)
        });
        let _ticket = submit(&mut front);
        let mut rung = false;
        front.wake(false, |_, _| rung = true).unwrap();
        let (done, armed) = worker.join().unwrap();
        assert!(
            done == 1 || (rung && armed == Armed::Sleep),
            "done {done}, rung {rung}, {armed:?}"
        );
    });
}

#[test]
fn a_record_never_waits_for_a_front_that_sleeps_unrung() {
    model(|| {
        let (mut front, region) = ring();
        let worker = thread::spawn(move || {
            let worker = WorkerRing::new(region, WorkerIndex(0));
            worker.publish(RecordKind::Body, 0, StreamId(1), &[b"x"]).unwrap();
            worker.must_ring_front()
        });
        let sleeps = front.may_sleep();
        let rung = worker.join().unwrap();
        let mut seen = 0;
        front.drain(WorkerIndex(0), |_, _| seen += 1).unwrap();
        assert_eq!(seen, 1);
        assert!(!sleeps || rung);
    });
}

#[test]
fn room_in_the_outbox_is_heard_of() {
    model(|| {
        let (mut front, region) = ring();
        let worker = WorkerRing::new(region, WorkerIndex(0));
        let payload = [0; 40];
        worker
            .publish(RecordKind::Body, 0, StreamId(1), &[&payload])
            .unwrap();
        let writer = thread::spawn(move || {
            if worker
                .publish(RecordKind::Body, 0, StreamId(2), &[&payload])
                .is_ok()
            {
                return true;
            }
            worker.want_space();
            worker
                .publish(RecordKind::Body, 0, StreamId(2), &[&payload])
                .is_ok()
        });
        let wanted = front.drain(WorkerIndex(0), |_, _| {}).unwrap();
        let sent = writer.join().unwrap();
        assert!(sent || wanted);
    });
}

#[test]
fn withdrawing_and_taking_agree() {
    model(|| {
        let (mut front, region) = ring();
        let ticket = front.submit(StreamId(1), b"h", b"").unwrap();
        let taker = thread::spawn(move || work(&WorkerRing::new(region, WorkerIndex(0))));
        let withdrawal = front.withdraw(ticket).unwrap();
        // The slot goes on to the next request at once, while the taker may still look at the old entry.
        let next = front.submit(StreamId(2), b"h", b"").unwrap();
        let done = taker.join().unwrap();
        let left = work(&WorkerRing::new(front.region().clone(), WorkerIndex(1)));
        match withdrawal {
            Withdrawal::Withdrawn => assert_eq!(done + left, 1),
            Withdrawal::TooLate(ticket) => {
                assert_eq!(done + left, 2);
                assert!(matches!(front.collect(ticket).unwrap(), Collected::Read(..)));
            }
        }
        assert!(matches!(front.collect(next).unwrap(), Collected::Read(..)));
        assert_eq!(front.free_slots(), 2);
    });
}

#[test]
fn binding_to_somebody_else_and_taking_agree() {
    for to in [None, Some(WorkerIndex(1))] {
        model(move || {
            let (mut front, region) = ring();
            let ticket = front.submit_to(WorkerIndex(0), StreamId(1), b"h", b"").unwrap();
            let taker = thread::spawn(move || work(&WorkerRing::new(region, WorkerIndex(0))));
            let rebound = front.rebind(ticket, to).unwrap();
            let done = taker.join().unwrap();
            let left = work(&WorkerRing::new(front.region().clone(), WorkerIndex(1)));
            assert_eq!(done + left, 1);
            let ticket = match rebound {
                Rebound::Done(ticket) => {
                    assert!(to.is_none() || left == 1, "it is the other one's");
                    ticket
                }
                Rebound::TooLate(ticket) => {
                    assert_eq!(done, 1);
                    ticket
                }
                Rebound::NoRoom(ticket) => panic!("{ticket:?}"),
            };
            assert!(matches!(front.collect(ticket).unwrap(), Collected::Read(..)));
            assert_eq!(front.free_slots(), 2);
        });
    }
}

/// A worker that dies after `steps` of: take, read, finish.
fn mortal(worker: &WorkerRing, steps: usize) {
    if steps == 0 {
        return;
    }
    let Some(taken) = worker.take().unwrap() else {
        return;
    };
    if steps == 1 {
        std::mem::forget(taken);
        return;
    }
    worker.read(taken, &mut Vec::new()).unwrap();
    if steps > 2 {
        worker.finish();
    }
}

#[test]
fn a_death_loses_no_slot_and_holds_nobody_up() {
    for steps in 0..4 {
        model(move || {
            let (mut front, region) = ring();
            let tickets: Vec<Ticket> = [1, 2]
                .map(|s| front.submit(StreamId(s), b"h", b"").unwrap())
                .into();
            let dead = region.clone();
            let dying = thread::spawn(move || mortal(&WorkerRing::new(dead, WorkerIndex(0)), steps));
            let served = Arc::new(AtomicUsize::new(work(&WorkerRing::new(region, WorkerIndex(1)))));
            dying.join().unwrap();
            // Its death is certain now.
            front.clear(WorkerIndex(0));
            let (mut inherited, mut waiting) = (0, 0);
            for ticket in tickets {
                match front.collect(ticket).unwrap() {
                    Collected::Read(WorkerIndex(0), _) => inherited += 1,
                    Collected::Read(..) => {}
                    Collected::Taken(ticket, WorkerIndex(0)) => {
                        front.inherit(ticket);
                        inherited += 1;
                    }
                    Collected::Queued(ticket) => {
                        waiting += 1;
                        let late = work(&WorkerRing::new(front.region().clone(), WorkerIndex(1)));
                        served.fetch_add(late, Ordering::Relaxed);
                        assert!(matches!(
                            front.collect(ticket).unwrap(),
                            Collected::Read(WorkerIndex(1), _)
                        ));
                    }
                    other => panic!("{other:?}"),
                }
            }
            assert!(waiting <= 1 && inherited <= 1);
            assert_eq!(served.load(Ordering::Relaxed) + inherited, 2);
            assert_eq!(front.free_slots(), 2);
        });
    }
}

#[test]
fn a_death_leaves_what_was_bound_to_the_worker_to_others() {
    for steps in 0..4 {
        model(move || {
            let (mut front, region) = ring();
            let ticket = front.submit_to(WorkerIndex(0), StreamId(1), b"h", b"").unwrap();
            let dying = thread::spawn(move || mortal(&WorkerRing::new(region, WorkerIndex(0)), steps));
            dying.join().unwrap();
            // Its death is certain now.
            match front.collect(ticket).unwrap() {
                Collected::Queued(ticket) => {
                    let Rebound::Done(ticket) = front.rebind(ticket, None).unwrap() else {
                        panic!("nobody else can take it")
                    };
                    front.clear(WorkerIndex(0));
                    assert_eq!(work(&WorkerRing::new(front.region().clone(), WorkerIndex(1))), 1);
                    assert!(matches!(
                        front.collect(ticket).unwrap(),
                        Collected::Read(WorkerIndex(1), _)
                    ));
                }
                Collected::Taken(ticket, WorkerIndex(0)) => {
                    front.inherit(ticket);
                    front.clear(WorkerIndex(0));
                }
                Collected::Read(WorkerIndex(0), _) => front.clear(WorkerIndex(0)),
                other => panic!("{other:?}"),
            }
            assert_eq!(front.free_slots(), 2);
        });
    }
}
