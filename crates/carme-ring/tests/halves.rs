//! Both halves of a ring in one process: what goes in comes out, nothing is lost, and no scribble is believed.
#![cfg(not(loom))]

use std::sync::Arc;

use carme_ring::{
    Armed, Collected, FrontRing, Geometry, InboxMessage, Need, RecordKind, Refused, Region, Rung, StreamId,
    Ticket, Withdrawal, WorkerIndex, WorkerRing, flags,
};

const GEOMETRY: Geometry = Geometry {
    slots: 8,
    slot_bytes: 64,
    workers: 3,
    outbox_bytes: 1024,
    inbox_bytes: 256,
};

fn ring(workers: u16) -> (FrontRing, Vec<WorkerRing>) {
    let region = Arc::new(Region::private(GEOMETRY).unwrap());
    let mut front = FrontRing::new(region.clone());
    let workers = (0..workers)
        .map(|w| {
            front.clear(WorkerIndex(w));
            front.serve(WorkerIndex(w), true);
            WorkerRing::new(region.clone(), WorkerIndex(w))
        })
        .collect();
    (front, workers)
}

fn submit(front: &mut FrontRing, stream: u64) -> Ticket {
    front.submit(StreamId(stream), b"head", b"body").unwrap()
}

fn rung(front: &mut FrontRing, stalled: bool) -> Vec<(u16, Rung)> {
    let mut rung = Vec::new();
    front.wake(stalled, |w, which| rung.push((w.0, which))).unwrap();
    rung
}

#[test]
fn a_request_of_any_size_arrives_whole() {
    let (mut front, workers) = ring(1);
    let mut buffer = Vec::new();
    for head_len in [0, 1, 7, 8, 63, 64, 65, 130] {
        for body_len in [0, 1, 8, 60, 64, 200] {
            let head: Vec<u8> = (0..head_len).map(|i| i as u8).collect();
            let body: Vec<u8> = (0..body_len).map(|i| 255 - i as u8).collect();
            let ticket = front.submit(StreamId(7), &head, &body).unwrap();
            let taken = workers[0].take().unwrap().unwrap();
            let Collected::Taken(ticket, WorkerIndex(0)) = front.collect(ticket).unwrap() else {
                panic!()
            };
            let inline = workers[0].read(taken, &mut buffer).unwrap();
            assert_eq!(
                (inline.stream, &buffer[inline.head], &buffer[inline.body]),
                (StreamId(7), &head[..], &body[..])
            );
            assert!(
                matches!(front.collect(ticket).unwrap(), Collected::Read(WorkerIndex(0), at) if at == inline.taken_at)
            );
            assert_eq!(front.free_slots(), 8, "all slots are back");
            workers[0].finish();
        }
    }
}

#[test]
fn the_first_comes_first_and_slots_run_out_politely() {
    let (mut front, workers) = ring(2);
    let tickets: Vec<_> = (0..8).map(|i| submit(&mut front, i)).collect();
    assert_eq!(front.submit(StreamId(9), b"", b"").unwrap_err(), Refused::NoSlots);
    assert_eq!(
        front.submit(StreamId(9), &[0; 1000], b"").unwrap_err(),
        Refused::TooLarge
    );
    let mut buffer = Vec::new();
    for (i, ticket) in tickets.into_iter().enumerate() {
        let worker = &workers[i % 2];
        let taken = worker.take().unwrap().unwrap();
        assert_eq!(
            worker.read(taken, &mut buffer).unwrap().stream,
            StreamId(i as u64)
        );
        worker.finish();
        assert!(matches!(front.collect(ticket).unwrap(), Collected::Read(..)));
    }
    assert!(workers[0].take().unwrap().is_none());
}

#[test]
fn a_withdrawn_request_is_nobodys_and_its_entry_is_passed() {
    let (mut front, workers) = ring(1);
    for round in 0..100 {
        let first = submit(&mut front, 1);
        let second = submit(&mut front, 2);
        assert!(matches!(front.withdraw(first).unwrap(), Withdrawal::Withdrawn));
        let taken = workers[0].take().unwrap().unwrap();
        let Withdrawal::TooLate(second) = front.withdraw(second).unwrap() else {
            panic!("round {round}")
        };
        workers[0].read(taken, &mut Vec::new()).unwrap();
        workers[0].finish();
        assert!(matches!(front.collect(second).unwrap(), Collected::Read(..)));
        assert_eq!(front.free_slots(), 8);
    }
}

#[test]
fn a_busy_worker_leaves_a_request_to_an_idle_one_and_takes_what_is_too_much() {
    let (mut front, workers) = ring(2);
    let mut buffer = Vec::new();
    let _a = submit(&mut front, 1);
    let taken = workers[0].take().unwrap().unwrap();
    workers[0].read(taken, &mut buffer).unwrap();
    let _b = submit(&mut front, 2);
    assert!(workers[0].take().unwrap().is_none(), "worker 1 is idle");
    assert_eq!(workers[0].arm_leader(), Armed::Sleep);
    let _c = submit(&mut front, 3);
    assert_eq!(
        rung(&mut front, false),
        [(0, Rung::Leader)],
        "worker 1 is awake and takes one, the other is for worker 0"
    );
    let taken = workers[0].take().unwrap().unwrap();
    assert_eq!(workers[0].read(taken, &mut buffer).unwrap().stream, StreamId(2));
    assert_eq!(workers[0].arm_leader(), Armed::Sleep, "the third is worker 1's");
    let taken = workers[1].take().unwrap().unwrap();
    assert_eq!(workers[1].read(taken, &mut buffer).unwrap().stream, StreamId(3));
}

#[test]
fn what_an_idle_worker_does_not_come_for_is_anybodys() {
    let (mut front, workers) = ring(2);
    let _a = submit(&mut front, 1);
    let taken = workers[0].take().unwrap().unwrap();
    workers[0].read(taken, &mut Vec::new()).unwrap();
    let _b = submit(&mut front, 2);
    assert_eq!(workers[0].arm_leader(), Armed::Sleep);
    assert_eq!(rung(&mut front, false), []);
    front.set_overdue(true);
    assert_eq!(rung(&mut front, true), [(0, Rung::Leader)]);
    assert!(workers[0].take().unwrap().is_some());
}

#[test]
fn idle_workers_are_rung_in_turn() {
    let (mut front, workers) = ring(3);
    let mut order = Vec::new();
    for stream in 0..7 {
        for worker in &workers {
            assert_eq!(worker.arm_leader(), Armed::Sleep);
        }
        let ticket = submit(&mut front, stream);
        let rung = rung(&mut front, false);
        let [(worker, Rung::Leader)] = rung[..] else {
            panic!("{rung:?}")
        };
        let taken = workers[usize::from(worker)].take().unwrap().unwrap();
        workers[usize::from(worker)].read(taken, &mut Vec::new()).unwrap();
        workers[usize::from(worker)].finish();
        assert!(matches!(front.collect(ticket).unwrap(), Collected::Read(..)));
        order.push(worker);
    }
    assert_eq!(
        order,
        [0, 1, 2, 0, 1, 2, 0],
        "no worker gets everything while the load is light"
    );
}

#[test]
fn idle_workers_are_rung_first_and_once_and_seconds_only_where_they_pay() {
    let (mut front, workers) = ring(3);
    assert_eq!(workers[1].arm_leader(), Armed::Sleep);
    let _a = submit(&mut front, 1);
    let taken = workers[0].take().unwrap().unwrap();
    workers[0].read(taken, &mut Vec::new()).unwrap();
    workers[0].arm_second(Need::Stalled);
    front.serve(WorkerIndex(2), false);
    let _b = submit(&mut front, 2);
    let _c = submit(&mut front, 3);
    assert_eq!(
        rung(&mut front, false),
        [(1, Rung::Leader)],
        "worker 0 gets on with the queue: no second thread yet"
    );
    assert_eq!(rung(&mut front, false), []);
    assert_eq!(rung(&mut front, true), [(0, Rung::Second)], "it does not move");
    assert_eq!(rung(&mut front, true), [], "each bell is rung once");
    workers[0].arm_second(Need::Waiting);
    assert_eq!(
        rung(&mut front, false),
        [(0, Rung::Second)],
        "another thread would do good"
    );
    assert_eq!(rung(&mut front, false), [], "each bell is rung once");
}

#[test]
fn records_arrive_whole_and_room_is_asked_for() {
    let (mut front, workers) = ring(1);
    let worker = &workers[0];
    let mut sent = 0;
    while worker
        .publish(
            RecordKind::Body,
            flags::END,
            StreamId(sent),
            &[b"he", b"", b"llo", &[sent as u8]],
        )
        .is_ok()
    {
        sent += 1;
    }
    assert!(sent > 10);
    worker.want_space();
    let mut got = 0;
    let wanted = front
        .drain(WorkerIndex(0), |_, record| {
            assert_eq!(
                (record.kind, record.flags, record.stream),
                (RecordKind::Body, flags::END, StreamId(got))
            );
            assert_eq!(&record.payload[..], [&b"hello"[..], &[got as u8]].concat());
            got += 1;
        })
        .unwrap();
    assert!(wanted && got == sent);
    assert!(front.may_sleep());
    worker.publish(RecordKind::Body, 0, StreamId(0), &[]).unwrap();
    assert!(
        worker.must_ring_front() && !worker.must_ring_front(),
        "one ring is enough"
    );
    assert!(!front.may_sleep());
}

#[test]
fn the_inbox_carries_credit_and_bad_news() {
    let (mut front, workers) = ring(1);
    let worker = &workers[0];
    assert!(worker.inbox_may_sleep());
    let credit = InboxMessage::Credit {
        stream: StreamId(3),
        bytes: 70000,
    };
    assert!(front.post(WorkerIndex(0), credit).unwrap(), "it sleeps: ring");
    assert!(
        !front
            .post(WorkerIndex(0), InboxMessage::Gone { stream: StreamId(4) })
            .unwrap()
    );
    assert!(!worker.inbox_may_sleep());
    assert_eq!(worker.inbox_next().unwrap(), Some(credit));
    assert_eq!(
        worker.inbox_next().unwrap(),
        Some(InboxMessage::Gone { stream: StreamId(4) })
    );
    assert_eq!(worker.inbox_next().unwrap(), None);
    while front.post(WorkerIndex(0), credit).is_ok() {}
    while worker.inbox_next().unwrap().is_some() {}
    front.post(WorkerIndex(0), credit).unwrap();
}

#[test]
fn a_place_can_be_used_again_after_a_death() {
    let (mut front, workers) = ring(2);
    let ticket = submit(&mut front, 1);
    let _taken = workers[0].take().unwrap().unwrap();
    workers[0]
        .publish(RecordKind::Body, 0, StreamId(1), &[b"x"])
        .unwrap();
    // Here it dies, having taken and not read.
    let Collected::Taken(ticket, WorkerIndex(0)) = front.collect(ticket).unwrap() else {
        panic!()
    };
    front.inherit(ticket);
    let mut seen = 0;
    front.drain(WorkerIndex(0), |_, _| seen += 1).unwrap();
    assert_eq!(seen, 1, "what it had said before counts");
    front.clear(WorkerIndex(0));
    front.serve(WorkerIndex(0), true);
    let again = WorkerRing::new(front.region().clone(), WorkerIndex(0));
    let ticket = submit(&mut front, 2);
    let taken = again.take().unwrap().unwrap();
    assert_eq!(again.read(taken, &mut Vec::new()).unwrap().stream, StreamId(2));
    assert!(matches!(front.collect(ticket).unwrap(), Collected::Read(..)));
    assert_eq!((front.free_slots(), again.load()), (8, 1));
}

#[cfg(target_os = "linux")]
#[test]
fn a_shared_region_cannot_be_resized_by_a_worker() {
    use std::os::fd::AsFd;
    let region = Region::create(GEOMETRY).unwrap();
    let handle = carme_ring::os::borrow(region.handle().as_ref().unwrap())
        .try_clone_to_owned()
        .unwrap();
    for len in [0, 4096, 1 << 30] {
        assert!(rustix::fs::ftruncate(handle.as_fd(), len).is_err(), "to {len}");
    }
    assert!(rustix::fs::fcntl_add_seals(handle.as_fd(), rustix::fs::SealFlags::WRITE).is_err());
    Region::open(handle, GEOMETRY).unwrap();
}

#[test]
fn a_shared_region_is_one_memory() {
    let region = Arc::new(Region::create(GEOMETRY).unwrap());
    let handle = region.handle().unwrap().try_clone_to_owned().unwrap();
    let other = Region::open(handle, GEOMETRY).unwrap();
    let mut front = FrontRing::new(region);
    front.clear(WorkerIndex(1));
    front.serve(WorkerIndex(1), true);
    let worker = WorkerRing::new(Arc::new(other), WorkerIndex(1));
    let _ticket = submit(&mut front, 5);
    assert!(worker.take().unwrap().is_some());
    let larger = Geometry {
        outbox_bytes: 1 << 20,
        ..GEOMETRY
    };
    let handle = front.region().handle().unwrap().try_clone_to_owned().unwrap();
    assert!(
        Region::open(handle, larger).is_err(),
        "a geometry that does not fit"
    );
}
