//! Requests that take too long, with workers that the tests drive.

use std::future::poll_fn;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use carme_farm::dispatch::{AnswerBody, Failure, Limits, RequestBody, TimeLimits};
use carme_ring::control::{StacksReason, TimeLimit, ToWorker};
use carme_ring::{RecordKind, StreamId, WINDOW, WorkerIndex, flags};

use crate::worker::*;

const LIMIT: Duration = Duration::from_millis(60);
const LONG: Duration = Duration::from_secs(600);

/// Requests of the length of `LIMIT`, and nothing else that could happen.
const TIMES: TimeLimits = TimeLimits {
    request: Some(LIMIT),
    idle: None,
    interrupt_grace: LONG,
    slow: None,
};

fn limits(times: TimeLimits) -> Limits {
    Limits { times, ..LIMITS }
}

/// What the front says over the worker's control connection, read by a thread.
fn messages(worker: &mut TestWorker) -> mpsc::Receiver<ToWorker> {
    let (told, messages) = mpsc::channel();
    let mut receiver = worker.take_receiver();
    thread::spawn(move || {
        while let Ok((message, _)) = receiver.receive() {
            if told.send(message).is_err() {
                return;
            }
        }
    });
    messages
}

async fn next(messages: mpsc::Receiver<ToWorker>) -> (ToWorker, mpsc::Receiver<ToWorker>) {
    tokio::task::spawn_blocking(move || {
        let message = messages.recv_timeout(Duration::from_secs(20)).expect("a message");
        (message, messages)
    })
    .await
    .expect("it does not panic")
}

/// Takes a request, without answering it.
async fn take(worker: TestWorker) -> (TestWorker, StreamId) {
    tokio::task::spawn_blocking(move || {
        let stream = worker.next(&mut Vec::new()).stream;
        (worker, stream)
    })
    .await
    .expect("it does not panic")
}

fn exceeded(limit: TimeLimit, time: Duration, stream: StreamId) -> ToWorker {
    ToWorker::Stacks {
        reason: StacksReason::Exceeded {
            limit,
            milliseconds: time.as_millis() as u64,
            streams: vec![stream.0],
        },
    }
}

#[test]
fn a_request_over_its_time_fails_and_its_worker_is_told_to_interrupt_it() {
    front(limits(TIMES), async |app| {
        let (mut worker, _keep) = attach(&app, 0);
        let told = messages(&mut worker);
        let mut late = submit(&app, "late", RequestBody::Empty);
        let (worker, stream) = take(worker).await;
        assert_eq!(late.response().await.unwrap_err(), Failure::TimedOut(LIMIT));
        let account = late.account();
        assert_eq!(account.worker.unwrap().pid, 4000);
        assert!(account.worked >= LIMIT, "{:?}", account.worked);
        let (stacks, told) = next(told).await;
        assert_eq!(stacks, exceeded(TimeLimit::RequestTimeout, LIMIT, stream));
        let (interrupt, _told) = next(told).await;
        assert_eq!(interrupt, ToWorker::Interrupt { stream: stream.0 });
        drop(late);
        assert_eq!(app.streams(), 1, "its worker has it still");
        assert_eq!(app.census().in_flight, 1);
        // An answer that comes late is nobody's.
        worker.respond(stream, b"late");
        let worker = echo(worker);
        assert_eq!(whole(&mut submit(&app, "next", RequestBody::Empty)).await, "next");
        whole(&mut submit(&app, "end", RequestBody::Empty)).await;
        worker.join().unwrap();
        assert_eq!(app.streams(), 0);
    });
}

#[test]
fn whoever_asks_late_hears_that_it_took_too_long_whatever_the_worker_has_sent_since() {
    type Send = fn(&TestWorker, StreamId);
    let sends: [Send; 5] = [
        |worker, stream| worker.send(RecordKind::Failed, flags::END, stream, &[b"RequestTimeout"]),
        |worker, stream| worker.send(RecordKind::Invalid, flags::END, stream, &[b"x"]),
        |worker, stream| worker.send(RecordKind::Abort, flags::END, stream, &[b"x"]),
        |worker, stream| worker.send(RecordKind::Response, flags::END, stream, &[&head(200, &[]), b"x"]),
        |worker, stream| {
            worker.send(RecordKind::Response, 0, stream, &[&head(200, &[]), b"x"]);
            worker.send(RecordKind::Body, flags::END, stream, &[b"y"]);
        },
    ];
    front(limits(TIMES), async |app| {
        let (mut worker, _keep) = attach(&app, 0);
        let mut told = messages(&mut worker);
        for send in sends {
            let mut late = submit(&app, "late", RequestBody::Empty);
            let taken = take(worker).await;
            worker = taken.0;
            // Nobody polls it meanwhile.
            told = next(next(told).await.1).await.1;
            send(&worker, taken.1);
            worker.ring.finish();
            while app.census().in_flight > 0 {
                tokio::task::yield_now().await;
            }
            assert_eq!(late.response().await.unwrap_err(), Failure::TimedOut(LIMIT));
            assert_eq!(app.streams(), 0);
        }
    });
}

#[test]
fn what_waits_in_the_queue_is_not_over_its_time() {
    front(limits(TIMES), async |app| {
        let (worker, _keep) = attach(&app, 0);
        let mut first = submit(&app, "first", RequestBody::Empty);
        let mut second = submit(&app, "second", RequestBody::Empty);
        let (worker, stream) = take(worker).await;
        assert_eq!(first.response().await.unwrap_err(), Failure::TimedOut(LIMIT));
        assert_eq!(app.census().queued, 1);
        worker.ring.finish();
        worker.send(RecordKind::Failed, flags::END, stream, &[b"interrupted"]);
        let worker = echo(worker);
        assert_eq!(whole(&mut second).await, "second");
        whole(&mut submit(&app, "end", RequestBody::Empty)).await;
        worker.join().unwrap();
    });
}

#[test]
fn a_request_that_was_taken_and_never_read_is_over_its_time_too() {
    front(limits(TIMES), async |app| {
        let (worker, keep) = attach(&app, 0);
        let mut late = submit(&app, "late", RequestBody::Empty);
        let worker = tokio::task::spawn_blocking(move || {
            loop {
                if worker.ring.take().unwrap().is_some() {
                    return worker;
                }
                thread::yield_now();
            }
        })
        .await
        .unwrap();
        assert_eq!(late.response().await.unwrap_err(), Failure::TimedOut(LIMIT));
        drop(late);
        assert_eq!(app.streams(), 1, "its slot cannot be used again");
        drop((worker, keep));
        app.died(WorkerIndex(0));
        assert_eq!(app.streams(), 0);
    });
}

#[test]
fn a_client_that_has_left_leaves_its_request_to_be_interrupted() {
    front(limits(TIMES), async |app| {
        let (mut worker, _keep) = attach(&app, 0);
        let told = messages(&mut worker);
        let left = submit(&app, "left", RequestBody::Empty);
        let (worker, stream) = take(worker).await;
        drop(left);
        let (_, told) = next(told).await;
        let (interrupt, _told) = next(told).await;
        assert_eq!(interrupt, ToWorker::Interrupt { stream: stream.0 });
        worker.send(RecordKind::Failed, flags::END, stream, &[b"interrupted"]);
        while app.streams() > 0 {
            app.census();
            tokio::task::yield_now().await;
        }
    });
}

#[test]
fn a_slow_request_is_told_once_and_answered() {
    let times = TimeLimits {
        request: None,
        slow: Some(LIMIT),
        ..TIMES
    };
    front(limits(times), async |app| {
        let (mut worker, _keep) = attach(&app, 0);
        let told = messages(&mut worker);
        let mut slow = submit(&app, "slow", RequestBody::Empty);
        let (worker, stream) = take(worker).await;
        let (stacks, told) = next(told).await;
        assert_eq!(stacks, exceeded(TimeLimit::SlowRequest, LIMIT, stream));
        // The next thing that it hears is something else, many ticks later.
        tokio::time::sleep(3 * LIMIT).await;
        assert!(app.ask_for_stacks(WorkerIndex(0)));
        let (asked, _told) = next(told).await;
        let reason = StacksReason::Asked;
        assert_eq!(asked, ToWorker::Stacks { reason });
        worker.respond(stream, b"done");
        assert_eq!(whole(&mut slow).await, "done");
        assert!(!app.ask_for_stacks(WorkerIndex(1)), "nobody is there");
    });
}

#[test]
fn an_answer_that_does_not_go_on_is_cut_off() {
    let times = TimeLimits {
        request: Some(LONG),
        idle: Some(LIMIT),
        ..TIMES
    };
    front(limits(times), async |app| {
        let (mut worker, _keep) = attach(&app, 0);
        let told = messages(&mut worker);
        let mut exchange = submit(&app, "", RequestBody::Empty);
        let (worker, stream) = take(worker).await;
        // It goes on slowly, but it goes on.
        worker.send(RecordKind::Response, 0, stream, &[&head(200, &[]), b"0"]);
        assert!(matches!(
            exchange.response().await.unwrap().body,
            AnswerBody::Stream
        ));
        let mut came = Vec::new();
        for n in 1..6_u8 {
            let chunk = poll_fn(|cx| exchange.poll_chunk(cx)).await.unwrap().unwrap();
            came.extend_from_slice(&chunk);
            tokio::time::sleep(LIMIT / 3).await;
            worker.send(RecordKind::Body, 0, stream, &[&[b'0' + n]]);
        }
        let why = loop {
            match poll_fn(|cx| exchange.poll_chunk(cx)).await.unwrap() {
                Ok(chunk) => came.extend_from_slice(&chunk),
                Err(aborted) => break aborted.0,
            }
        };
        assert_eq!(came, b"012345");
        assert!(why.contains("idle_timeout"), "{why}");
        let (stacks, told) = next(told).await;
        assert_eq!(stacks, exceeded(TimeLimit::IdleTimeout, LIMIT, stream));
        let (interrupt, _told) = next(told).await;
        assert_eq!(interrupt, ToWorker::Interrupt { stream: stream.0 });
        drop(exchange);
        assert_eq!(app.streams(), 1);
        worker.send(RecordKind::Body, 0, stream, &[b"more"]);
        worker.send(RecordKind::Abort, flags::END, stream, &[b"interrupted"]);
        while app.streams() > 0 {
            app.census();
            tokio::task::yield_now().await;
        }
    });
}

#[test]
fn a_client_that_does_not_read_does_not_make_its_app_idle() {
    let times = TimeLimits {
        request: Some(LONG),
        idle: Some(LIMIT),
        ..TIMES
    };
    let limits = Limits {
        // No more than memory holds: the worker waits for the client.
        response_buffer: 0,
        ..limits(times)
    };
    front(limits, async |app| {
        let (worker, _keep) = attach(&app, 0);
        let mut exchange = submit(&app, "", RequestBody::Empty);
        let (worker, stream) = take(worker).await;
        let worker = tokio::task::spawn_blocking(move || {
            worker.send(RecordKind::Response, 0, stream, &[&head(200, &[])]);
            let piece = vec![b'x'; 32 * 1024];
            for _ in 0..WINDOW / (32 * 1024) {
                worker.send(RecordKind::Body, 0, stream, &[&piece]);
            }
            worker
        });
        exchange.response().await.unwrap();
        let mut worker = worker.await.unwrap();
        tokio::time::sleep(4 * LIMIT).await;
        let mut read = 0;
        while read < WINDOW as usize {
            let chunk = poll_fn(|cx| exchange.poll_chunk(cx)).await;
            read += chunk.unwrap().expect("it goes on").len();
        }
        assert!(worker.credit(stream) > 0);
        worker.send(RecordKind::Body, flags::END, stream, &[b"end"]);
        let chunk = poll_fn(|cx| exchange.poll_chunk(cx)).await;
        assert_eq!(chunk.unwrap().unwrap(), "end");
    });
}

#[test]
fn a_worker_is_hung_when_the_interruption_has_not_helped_and_its_other_requests_are_waited_for() {
    let times = TimeLimits {
        interrupt_grace: LIMIT,
        ..TIMES
    };
    front(limits(times), async |app| {
        let (worker, keep) = attach(&app, 0);
        let mut hung = submit(&app, "hung", RequestBody::Empty);
        let (worker, _) = take(worker).await;
        let known = app.hung().await;
        assert_eq!((known.place, known.worker.pid), (WorkerIndex(0), 4000));
        assert_eq!((known.limit, known.time), (TimeLimit::RequestTimeout, LIMIT));
        assert!(known.to_string().contains("60ms (request_timeout)"), "{known}");
        assert_eq!(hung.response().await.unwrap_err(), Failure::TimedOut(LIMIT));
        // It has another one.
        app.set_limits(limits(TimeLimits {
            request: Some(LONG),
            ..times
        }));
        let mut sibling = submit(&app, "sibling", RequestBody::Empty);
        let (worker, stream) = take(worker).await;
        assert!(!app.has_only_hung(WorkerIndex(0)));
        worker.respond(stream, b"done");
        assert_eq!(whole(&mut sibling).await, "done");
        assert!(app.has_only_hung(WorkerIndex(0)));
        let told_twice = tokio::time::timeout(2 * LIMIT, app.hung()).await;
        assert!(told_twice.is_err(), "it was told before: {told_twice:?}");
        drop((worker, keep, hung, sibling));
        app.died(WorkerIndex(0));
        assert_eq!(app.streams(), 0);
        assert!(app.has_only_hung(WorkerIndex(0)), "nobody is there");
    });
}

#[test]
fn an_answer_at_a_hung_worker_is_cut_no_sooner_than_a_request_would_be() {
    let times = TimeLimits {
        request: Some(2 * LIMIT),
        interrupt_grace: Duration::ZERO,
        ..TIMES
    };
    front(limits(times), async |app| {
        let (worker, _keep) = attach(&app, 0);
        let mut endless = submit(&app, "endless", RequestBody::Empty);
        let (worker, stream) = take(worker).await;
        worker.send(RecordKind::Response, 0, stream, &[&head(200, &[]), b"some"]);
        endless.response().await.unwrap();
        let _hung = submit(&app, "hung", RequestBody::Empty);
        let (_worker, _) = take(worker).await;
        app.hung().await;
        assert!(!app.has_only_hung(WorkerIndex(0)));
        while !app.has_only_hung(WorkerIndex(0)) {
            tokio::time::sleep(LIMIT / 10).await;
        }
    });
}
