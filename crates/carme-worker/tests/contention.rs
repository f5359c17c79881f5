//! When a thread gives way to those that work already.

#[allow(dead_code, missing_docs, unreachable_pub)]
#[path = "../src/contention.rs"]
mod contention;

use std::time::Duration;

use contention::Contention;

const MICROSECOND: u64 = 1_000;
const INTERVAL: u64 = 1_000 * MICROSECOND;

fn worker() -> Contention {
    Contention::new(Duration::from_nanos(INTERVAL))
}

#[test]
fn a_called_thread_gives_way_to_threads_that_get_on() {
    for (waited, begun_before, gives_way) in [
        (5 * MICROSECOND, 0, false),     // the GIL was free
        (500 * MICROSECOND, 0, true),    // another thread has just begun a request
        (INTERVAL, INTERVAL / 2, true),  // and it had to be made to let go
        (INTERVAL, 2 * INTERVAL, false), // nobody has begun one for long: they are busy with something long
        (8 * INTERVAL, 3 * INTERVAL, false),
    ] {
        let (contention, now) = (worker(), 100 * INTERVAL);
        contention.begun(now - begun_before);
        assert_eq!(
            contention.must_give_way(now - waited, now),
            gives_way,
            "waited {waited}, the last request begun {begun_before} before"
        );
        assert_eq!(contention.is_crowded(), gives_way);
    }
}

#[test]
fn a_thread_that_works_beside_others_stops_only_if_it_must_take_the_gil_by_force_while_they_get_on() {
    for (waited, begun_while_it_waited, stops) in [
        (5 * MICROSECOND, false, false),
        (5 * MICROSECOND, true, false), // the other waits for something else meanwhile
        (INTERVAL, false, false),       // the other is busy with something long
        (INTERVAL, true, true),
        (8 * INTERVAL, true, true), // several threads wait for the GIL
    ] {
        let (contention, asked) = (worker(), 100 * INTERVAL);
        contention.begun(if begun_while_it_waited {
            asked
        } else {
            asked - INTERVAL
        });
        assert_eq!(
            contention.must_stop(asked, asked + waited),
            stops,
            "waited {waited}, another request begun meanwhile: {begun_while_it_waited}"
        );
        assert_eq!(contention.is_crowded(), stops);
    }
}

#[test]
fn it_is_no_more_crowded_when_the_next_one_finds_room() {
    let (contention, now) = (worker(), 100 * INTERVAL);
    contention.begun(now);
    assert!(contention.must_give_way(now - INTERVAL, now));
    assert!(!contention.must_give_way(now, now));
    assert!(!contention.is_crowded());
}
