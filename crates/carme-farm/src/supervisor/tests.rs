//! Seats whose workers are made up, in time that is made up.

mod hanging;
mod replacing;
mod stage;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use super::*;
use crate::endings::Cause;
use crate::plan::Scale;
use crate::process::Exit;
use stage::*;

#[tokio::test(start_paused = true)]
async fn ready_then_drained() {
    let mut stage = stage(vec![Ok(vec![(millis(80), ready())])]);
    stage
        .shown
        .wait_for(|s| matches!(s.state, State::Ready { pid: 1, .. }))
        .await
        .unwrap();
    assert_eq!(
        stage.drain(secs(30)).await,
        journal(&[(0, "launch 1"), (80, "drain 1"), (1080, "end 1")])
    );
}

#[tokio::test(start_paused = true)]
async fn crashes_are_answered_with_growing_pauses() {
    let dies = || Ok(vec![(millis(10), crash())]);
    let mut stage = stage(vec![
        dies(),
        dies(),
        Err("no python".into()),
        Ok(vec![(millis(10), ready())]),
    ]);
    assert_eq!(
        stage.failure().await,
        "worker 1 was ended by SIGSEGV before its app was imported"
    );
    stage
        .shown
        .wait_for(|s| matches!(s.state, State::Ready { .. }))
        .await
        .unwrap();
    let expected = journal(&[
        (0, "launch 1"),
        (10, "end 1"),
        (110, "launch 2"),
        (120, "end 2"),
        (320, "launch failed"),
        (720, "launch 3"),
    ]);
    assert_eq!(stage.journal.all(), expected);
}

#[tokio::test(start_paused = true)]
async fn pauses_are_short_again_after_a_minute_of_service() {
    let dies = || Ok(vec![(millis(0), crash())]);
    let lives = |time| Ok(vec![(millis(0), ready()), (time, crash())]);
    let stage = stage(vec![dies(), dies(), lives(secs(60)), lives(secs(1)), Ok(vec![])]);
    sleep(secs(62)).await;
    let launches: Vec<_> = stage
        .journal
        .all()
        .into_iter()
        .filter(|(_, what)| what.starts_with("launch"))
        .map(|(at, _)| at)
        .collect();
    assert_eq!(launches, [0, 100, 300, 60_400, 61_600]);
}

#[tokio::test(start_paused = true)]
async fn an_app_that_cannot_be_imported_says_so() {
    let failed = Event::ImportFailed {
        message: "No module named 'nope'".into(),
        traceback: "Traceback…\n".into(),
    };
    let mut stage = stage(vec![Ok(vec![(millis(5), failed)]), Ok(vec![])]);
    assert_eq!(stage.failure().await, "No module named 'nope'\nTraceback…");
    assert_eq!(
        stage.journal.all(),
        journal(&[(0, "launch 1"), (5, "kill 1"), (5, "end 1")])
    );
}

#[tokio::test(start_paused = true)]
async fn replacements_are_counted_by_their_cause() {
    let import_failed = Event::ImportFailed {
        message: "no".into(),
        traceback: String::new(),
    };
    let exits = Event::Exited(Exit::Code(3));
    let stage = stage(vec![
        Err("no python".into()),
        Ok(vec![(millis(1), import_failed)]),
        Ok(vec![(secs(31), ready())]),
        Ok(vec![(millis(1), exits.clone())]),
        Ok(vec![(millis(1), ready()), (millis(1), exits)]),
        Ok(vec![(millis(1), ready()), (millis(1), crash())]),
        Ok(vec![
            (millis(1), ready()),
            (millis(1), Event::Closed),
            (millis(1), crash()),
        ]),
        Ok(vec![(millis(1), Event::Broken("it lies".into()))]),
        Ok(vec![(millis(1), ready()), (millis(1), ready())]),
        Ok(vec![(millis(1), ready())]),
    ]);
    sleep(secs(120)).await;
    assert!(matches!(stage.shown.borrow().state, State::Ready { .. }));
    stage.books.damage.notify_one();
    sleep(millis(1)).await;
    let counts = Cause::ALL[..7]
        .iter()
        .copied()
        .map(|cause| (cause, stage.seats[0].endings.get(cause)));
    assert_eq!(
        counts.collect::<Vec<_>>(),
        [
            (Cause::NotStarted, 1),
            (Cause::ImportFailed, 1),
            (Cause::StartupTimeout, 1),
            (Cause::Exited, 2),
            (Cause::Signal, 2),
            (Cause::Broken, 2),
            (Cause::Damaged, 1),
        ]
    );
    let seat = Arc::clone(&stage.seats[0]);
    stage.drain(secs(1)).await;
    let all: u64 = Cause::ALL.map(|cause| seat.endings.get(cause)).iter().sum();
    assert_eq!(all, 10, "an ordered end is no replacement");
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_is_not_ready_in_time_is_replaced() {
    let mut stage = stage(vec![Ok(vec![]), Ok(vec![])]);
    let failure = stage.failure().await;
    assert!(
        failure.contains("not imported within 30s (startup_timeout)"),
        "{failure}"
    );
    assert_eq!(
        stage.journal.all(),
        journal(&[(0, "launch 1"), (30_000, "kill 1"), (30_000, "end 1")])
    );
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_lies_is_killed_and_the_reason_is_told() {
    let lies = Event::Broken("a message of 4294967295 bytes was announced".into());
    let mut stage = stage(vec![
        Ok(vec![(millis(1), ready()), (millis(1), lies)]),
        Ok(vec![]),
    ]);
    assert_eq!(
        stage.failure().await,
        "worker 1 was ended: a message of 4294967295 bytes was announced"
    );
    assert_eq!(
        stage.journal.all(),
        journal(&[(0, "launch 1"), (2, "kill 1"), (2, "end 1")])
    );
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_closed_its_connection_may_still_exit_by_itself() {
    let script = vec![
        (millis(1), ready()),
        (millis(1), Event::Closed),
        (secs(1), Event::Exited(Exit::Code(7))),
    ];
    let mut stage = stage(vec![Ok(script), Ok(vec![])]);
    assert_eq!(stage.failure().await, "worker 1 exited with code 7");
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_closed_its_connection_and_stays_is_killed() {
    let mut stage = stage(vec![
        Ok(vec![(millis(1), ready()), (millis(1), Event::Closed)]),
        Ok(vec![]),
    ]);
    let failure = stage.failure().await;
    assert!(
        failure.contains("it had closed its control connection"),
        "{failure}"
    );
    assert_eq!(
        stage.journal.all(),
        journal(&[(0, "launch 1"), (5002, "kill 1"), (5002, "end 1")])
    );
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_a_start() {
    let stage = stage(vec![Ok(vec![])]);
    sleep(secs(1)).await;
    assert_eq!(
        stage.drain(secs(30)).await,
        journal(&[(0, "launch 1"), (1000, "kill 1"), (1000, "end 1")])
    );
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_a_pause() {
    let mut stage = stage(vec![Err("no python".into())]);
    assert_eq!(stage.failure().await, "no python");
    assert_eq!(stage.drain(secs(30)).await, journal(&[(0, "launch failed")]));
}

#[tokio::test(start_paused = true)]
async fn a_drain_that_takes_too_long_ends_in_a_stop() {
    let stage = stage(vec![Ok(vec![(millis(0), ready())])]);
    sleep(secs(1)).await;
    let told = stage.drain(millis(500)).await;
    assert_eq!(
        told,
        journal(&[
            (0, "launch 1"),
            (1000, "drain 1"),
            (1500, "stop 1"),
            (1500, "end 1")
        ])
    );
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_does_not_listen_is_killed() {
    let stage = stage_with(vec![Ok(vec![(millis(0), ready())])], true);
    sleep(secs(1)).await;
    let told = stage.drain(secs(10)).await;
    let expected = [
        (0, "launch 1"),
        (1000, "drain 1"),
        (11_000, "stop 1"),
        (13_000, "kill 1"),
        (13_000, "end 1"),
    ];
    assert_eq!(told, journal(&expected));
}

#[tokio::test(start_paused = true)]
async fn damaged_memory_is_renewed_when_all_are_dead() {
    let mut stage = stage(vec![
        Ok(vec![(millis(0), ready())]),
        Ok(vec![(millis(3), ready())]),
    ]);
    sleep(secs(1)).await;
    *stage.books.refusals.lock().unwrap() = 2;
    stage.books.damage.notify_one();
    assert_eq!(stage.failure().await, "the shared memory is damaged");
    stage
        .shown
        .wait_for(|s| matches!(s.state, State::Ready { pid: 2, .. }))
        .await
        .unwrap();
    let expected = journal(&[
        (0, "launch 1"),
        (1000, "kill 1"),
        (1000, "end 1"),
        (3000, "renew"),
        (3000, "launch 2"),
    ]);
    assert_eq!(stage.journal.all(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_farm_that_is_dropped_leaves_nothing_running() {
    let stage = stage(vec![Ok(vec![(millis(0), ready())])]);
    sleep(secs(1)).await;
    drop(stage.commands);
    stage.task.await.unwrap();
    assert_eq!(
        stage.journal.all(),
        journal(&[(0, "launch 1"), (1000, "kill 1"), (1000, "end 1")])
    );
}
