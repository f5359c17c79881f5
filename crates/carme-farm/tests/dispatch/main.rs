//! The queue with workers that are threads of the test: real shared memory, real bells, real control connections.

use std::io::{Read, Seek, Write};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use carme_farm::dispatch::{AnswerBody, Census, Failure, Limits, RequestBody};
use carme_ring::control::ToWorker;
use carme_ring::{RecordKind, StreamId, WINDOW, WorkerIndex, flags};

mod bound;
mod overtime;
mod worker;
use worker::*;

#[test]
fn requests_are_answered_by_whoever_is_free_and_accounted_for() {
    front(LIMITS, async |app| {
        // Before there is anybody to take them, so that it is known how many wait.
        let mut exchanges: Vec<_> = (0..500)
            .map(|i| submit(&app, &i.to_string(), RequestBody::Memory(vec![b'x'; i].into())))
            .collect();
        assert!(
            matches!(exchanges[100].response().await, Err(Failure::QueueFull { .. })),
            "100 may wait"
        );
        let (one, _keep) = attach(&app, 0);
        let (two, _keep2) = attach(&app, 1);
        let threads = [echo(one), echo(two)];
        let mut routes = std::collections::BTreeSet::new();
        for (i, exchange) in exchanges.iter_mut().enumerate().take(100) {
            assert_eq!(whole(exchange).await, format!("{i}{}", "x".repeat(i)));
            let account = exchange.account();
            assert!(account.queued + account.worked < Duration::from_secs(60));
            routes.insert(account.worker.unwrap().route);
        }
        drop(exchanges);
        assert!(!routes.is_empty());
        for _ in 0..2 {
            whole(&mut submit(&app, "end", RequestBody::Empty)).await;
        }
        threads.into_iter().for_each(|t| drop(t.join().unwrap()));
        assert_eq!(app.streams(), 0, "nothing is left in the table");
    });
}

#[test]
fn a_request_waits_as_long_as_it_may_and_its_client_may_leave() {
    let limits = Limits {
        queue: 2,
        queue_timeout: Duration::from_millis(50),
        ..LIMITS
    };
    front(limits, async |app| {
        let mut first = submit(&app, "1", RequestBody::Empty);
        tokio::time::sleep(Duration::from_millis(20)).await;
        let second = submit(&app, "2", RequestBody::Empty);
        let mut third = submit(&app, "3", RequestBody::Empty);
        let Failure::QueueFull { longest } = third.response().await.unwrap_err() else {
            panic!("two may wait");
        };
        assert!(
            longest >= Duration::from_millis(20),
            "the first one's wait: {longest:?}"
        );
        drop(second);
        let mut fourth = submit(&app, "4", RequestBody::Empty);
        assert_eq!(first.response().await.unwrap_err(), Failure::QueueTimeout);
        assert_eq!(fourth.response().await.unwrap_err(), Failure::QueueTimeout);
        assert!(first.account().worker.is_none() && first.account().queued >= Duration::from_millis(50));
        assert_eq!(app.streams(), 0);
    });
}

#[test]
fn a_census_tells_what_waits_from_what_is_worked_on() {
    front(LIMITS, async |app| {
        let census = |queued, in_flight| Census {
            queued,
            in_flight,
            queue_limit: 100,
            answered: app.census().answered,
            workers: app.census().workers,
        };
        let mut exchanges: Vec<_> = (0..3).map(|_| submit(&app, "x", RequestBody::Empty)).collect();
        assert_eq!(app.census(), census(3, 0), "nobody is there to take them");
        let (worker, _keep) = attach(&app, 0);
        let (worker, stream) = tokio::task::spawn_blocking(move || {
            let request = worker.next(&mut Vec::new());
            (worker, request.stream)
        })
        .await
        .unwrap();
        assert_eq!(app.census(), census(2, 1));
        assert_eq!(app.census().workers[0].in_flight, 1);
        worker.respond(stream, b"done");
        assert_eq!(whole(&mut exchanges[0]).await, "done");
        assert_eq!(exchanges[0].account().worker.map(|worker| worker.seat), Some(0));
        let [its] = &app.census().workers[..] else {
            panic!("{:?}", app.census())
        };
        assert_eq!((its.seat, its.pid, its.in_flight, its.answered), (0, 4000, 0, 1));
        assert_eq!(app.census().answered, 1);
        assert_eq!(app.census(), census(2, 0));
        drop(exchanges);
        assert_eq!(app.census(), census(0, 0));
    });
}

#[test]
fn a_client_that_leaves_before_the_answer_costs_the_worker_nothing() {
    front(LIMITS, async |app| {
        let (worker, _keep) = attach(&app, 0);
        let left = submit(&app, "left", RequestBody::Empty);
        let (worker, stream) = tokio::task::spawn_blocking(move || {
            let request = worker.next(&mut Vec::new());
            (worker, request.stream)
        })
        .await
        .unwrap();
        drop(left);
        let worker = tokio::task::spawn_blocking(move || {
            worker.send(RecordKind::Abort, flags::END, stream, &[b"the client has left"]);
            worker.ring.finish();
            worker
        })
        .await
        .unwrap();
        let worker = echo(worker);
        assert_eq!(whole(&mut submit(&app, "next", RequestBody::Empty)).await, "next");
        whole(&mut submit(&app, "end", RequestBody::Empty)).await;
        worker.join().unwrap();
        assert_eq!(app.streams(), 0);
    });
}

#[test]
fn what_timed_out_before_it_had_a_slot_reaches_no_worker() {
    let limits = Limits {
        queue_timeout: Duration::from_millis(50),
        ..LIMITS
    };
    front(limits, async |app| {
        let (worker, _keep) = attach(&app, 0);
        // Eight have slots, four wait for some.
        let mut late: Vec<_> = (0..12)
            .map(|_| submit(&app, "late", RequestBody::Empty))
            .collect();
        for exchange in &mut late {
            assert_eq!(exchange.response().await.unwrap_err(), Failure::QueueTimeout);
            assert!(
                worker.ring.take().unwrap().is_none(),
                "they have all timed out together"
            );
        }
        assert_eq!(app.streams(), 0);
    });
}

#[test]
fn a_death_fails_what_was_taken_and_nothing_else() {
    front(LIMITS, async |app| {
        let (dying, keep) = attach(&app, 0);
        let mut answered = submit(&app, "answered", RequestBody::Empty);
        let mut read = submit(&app, "read", RequestBody::Empty);
        let mut taken = submit(&app, "taken", RequestBody::Empty);
        let mut streaming = submit(&app, "streaming", RequestBody::Empty);
        let mut waiting = submit(&app, "waiting", RequestBody::Empty);
        let dying = tokio::task::spawn_blocking(move || {
            let mut buffer = Vec::new();
            let first = dying.next(&mut buffer);
            dying.respond(first.stream, b"done");
            dying.next(&mut buffer);
            let _not_read = dying.ring.take().unwrap().unwrap();
            let third = dying.next(&mut buffer);
            dying.send(RecordKind::Response, 0, third.stream, &[&head(200, &[]), b"some"]);
            dying
        })
        .await
        .unwrap();
        let AnswerBody::Stream = streaming.response().await.unwrap().body else {
            panic!()
        };
        drop((dying, keep));
        app.died(WorkerIndex(0));
        assert_eq!(whole(&mut answered).await, "done");
        assert_eq!(read.response().await.unwrap_err(), Failure::WorkerDied);
        assert_eq!(taken.response().await.unwrap_err(), Failure::WorkerDied);
        assert_eq!(taken.account().worker.unwrap().pid, 4000);
        let chunk = std::future::poll_fn(|cx| streaming.poll_chunk(cx)).await;
        assert_eq!(chunk.unwrap().unwrap(), "some");
        assert!(
            std::future::poll_fn(|cx| streaming.poll_chunk(cx))
                .await
                .unwrap()
                .is_err(),
            "cut off"
        );
        let (next, _keep) = attach(&app, 0);
        let next = echo(next);
        assert_eq!(whole(&mut waiting).await, "waiting");
        whole(&mut submit(&app, "end", RequestBody::Empty)).await;
        next.join().unwrap();
        drop((answered, read, taken, streaming, waiting));
        assert_eq!(app.streams(), 0);
    });
}

#[test]
fn a_slow_reader_holds_nobody_up_until_the_buffer_is_full() {
    let size = 8 * WINDOW as usize;
    front(
        Limits {
            response_buffer: 1 << 30,
            ..LIMITS
        },
        async |app| {
            let (mut worker, _keep) = attach(&app, 0);
            let mut exchange = submit(&app, "", RequestBody::Empty);
            let sent: Vec<u8> = (0..size).map(|i| (i / 7) as u8).collect();
            let expected = sent.clone();
            let (done, finished) = mpsc::channel();
            let sender = thread::spawn(move || {
                let request = worker.next(&mut Vec::new());
                worker.send(RecordKind::Response, 0, request.stream, &[&head(200, &[])]);
                let mut window = WINDOW;
                for piece in sent.chunks(32 * 1024) {
                    while window < piece.len() as u32 {
                        window += worker.credit(request.stream);
                    }
                    window -= piece.len() as u32;
                    worker.send(RecordKind::Body, 0, request.stream, &[piece]);
                }
                worker.send(RecordKind::Body, flags::END, request.stream, &[]);
                worker.ring.finish();
                done.send(()).unwrap();
                worker
            });
            let AnswerBody::Stream = exchange.response().await.unwrap().body else {
                panic!()
            };
            // Nobody reads yet, and the worker comes to its end all the same.
            while finished.try_recv().is_err() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let mut got = Vec::new();
            while let Some(chunk) = std::future::poll_fn(|cx| exchange.poll_chunk(cx)).await {
                got.extend_from_slice(&chunk.unwrap());
            }
            assert!(
                got == expected,
                "{} of {} bytes, or others",
                got.len(),
                expected.len()
            );
            sender.join().unwrap();
            assert_eq!(app.streams(), 0);
        },
    );
}

#[test]
fn files_travel_both_ways_and_only_to_the_worker_that_has_the_request() {
    front(LIMITS, async |app| {
        let (worker, _keep) = attach(&app, 0);
        let mut upload = tempfile::tempfile().unwrap();
        upload.write_all(b"a large body").unwrap();
        let mut exchange = submit(
            &app,
            "",
            RequestBody::File {
                file: upload,
                len: 12,
            },
        );
        let (stream, mut worker) = tokio::task::spawn_blocking(move || {
            let stream = worker.next(&mut Vec::new()).stream;
            (stream, worker)
        })
        .await
        .unwrap();
        app.need_file(WorkerIndex(1), stream);
        app.need_file(WorkerIndex(0), stream);
        let (message, handles) = worker.take_receiver().receive().unwrap();
        assert_eq!(
            message,
            ToWorker::File {
                stream: stream.0,
                length: 12
            }
        );
        let mut file = carme_ring::os::ordinary_file(handles.into_iter().next().unwrap()).unwrap();
        file.rewind().unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "a large body");
        worker.send(
            RecordKind::Response,
            flags::END | flags::FILE,
            stream,
            &[&head(200, &[])],
        );
        worker.ring.finish();
        app.file_from_worker(WorkerIndex(1), stream, tempfile::tempfile().unwrap(), 0, 1);
        app.file_from_worker(WorkerIndex(0), stream, file, 2, 5);
        let AnswerBody::File {
            offset: 2, len: 5, ..
        } = exchange.response().await.unwrap().body
        else {
            panic!()
        };
        assert_eq!(app.streams(), 0);
    });
}

#[test]
fn a_worker_that_lies_costs_its_own_requests_and_a_region() {
    type Lie = fn(&TestWorker, StreamId);
    let lies: [(&str, Lie); 4] = [
        ("an unknown request", |w, _| {
            w.send(RecordKind::Response, flags::END, StreamId(77), &[&head(200, &[])])
        }),
        ("a body without a head", |w, s| {
            w.send(RecordKind::Body, 0, s, &[b"x"])
        }),
        ("an answer twice", |w, s| {
            w.send(RecordKind::Response, 0, s, &[&head(200, &[])]);
            w.send(RecordKind::Response, 0, s, &[&head(200, &[])]);
        }),
        ("a failure after the head", |w, s| {
            w.send(RecordKind::Response, 0, s, &[&head(200, &[])]);
            w.send(RecordKind::Failed, 0, s, &[b"x"]);
        }),
    ];
    for (name, lie) in lies {
        front(LIMITS, async |app| {
            let (worker, keep) = attach(&app, 0);
            let mut exchange = submit(&app, "", RequestBody::Empty);
            let worker = tokio::task::spawn_blocking(move || {
                let request = worker.next(&mut Vec::new());
                lie(&worker, request.stream);
                worker
            })
            .await
            .unwrap();
            let damage = app.damaged().await;
            assert_eq!(damage.worker, Some(WorkerIndex(0)), "{name}");
            match exchange.response().await {
                Err(failure) => assert_eq!(failure, Failure::WorkerDied, "{name}"),
                Ok(_) => assert!(
                    std::future::poll_fn(|cx| exchange.poll_chunk(cx))
                        .await
                        .unwrap()
                        .is_err(),
                    "{name}"
                ),
            }
            let mut waiting = submit(&app, "waiting", RequestBody::Empty);
            drop((worker, keep));
            app.died(WorkerIndex(0));
            app.renew().unwrap();
            let (next, _keep) = attach(&app, 0);
            let next = echo(next);
            assert_eq!(whole(&mut waiting).await, "waiting", "{name}");
            whole(&mut submit(&app, "end", RequestBody::Empty)).await;
            next.join().unwrap();
        });
    }
}

#[test]
fn what_is_no_http_is_no_answer() {
    let bad: [(&str, Vec<u8>); 5] = [
        ("status", head(99, &[])),
        ("informational", head(100, &[])),
        ("name", head(200, &[("a b", "x")])),
        ("value", head(200, &[("a", "x\r\ny: z")])),
        ("garbage", vec![1, 2, 3]),
    ];
    for (name, bytes) in bad {
        front(LIMITS, async |app| {
            let (worker, _keep) = attach(&app, 0);
            let mut exchange = submit(&app, "", RequestBody::Empty);
            let worker = thread::spawn(move || {
                let request = worker.next(&mut Vec::new());
                worker.send(RecordKind::Response, flags::END, request.stream, &[&bytes]);
                worker.ring.finish();
                worker
            });
            assert!(
                matches!(exchange.response().await, Err(Failure::InvalidResponse(_))),
                "{name}"
            );
            worker.join().unwrap();
            drop(exchange);
            assert_eq!(app.streams(), 0, "{name}");
        });
    }
}

/// A worker that writes over all of its memory, and tries to take it away from under the front.
#[cfg(unix)]
#[test]
fn a_worker_that_scribbles_over_everything_costs_its_requests_and_a_region() {
    use std::os::unix::fs::FileExt;
    type Pattern = fn(u64) -> u8;
    let patterns: [(&str, Pattern); 4] = [
        ("zeros", |_| 0),
        ("ones", |_| 0xff),
        ("noise", |at| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8),
        ("counting", |at| at as u8),
    ];
    for (name, pattern) in patterns {
        front(
            Limits {
                queue_timeout: Duration::from_secs(20),
                ..LIMITS
            },
            async |app| {
                let (worker, keep) = attach(&app, 0);
                let mut exchanges: Vec<_> = (0..5).map(|_| submit(&app, "", RequestBody::Empty)).collect();
                let region = app
                    .region()
                    .unwrap()
                    .handle()
                    .unwrap()
                    .try_clone_to_owned()
                    .unwrap();
                let worker = tokio::task::spawn_blocking(move || {
                    worker.next(&mut Vec::new());
                    let memory = std::fs::File::from(region);
                    assert!(
                        memory.set_len(0).is_err() && memory.set_len(1 << 30).is_err(),
                        "it is sealed"
                    );
                    let len = memory.metadata().unwrap().len();
                    let noise: Vec<u8> = (0..len).map(pattern).collect();
                    memory.write_all_at(&noise, 0).unwrap();
                    worker
                })
                .await
                .unwrap();
                app.damaged().await;
                for exchange in &mut exchanges {
                    assert_eq!(
                        exchange.response().await.unwrap_err(),
                        Failure::WorkerDied,
                        "{name}"
                    );
                }
                let mut waiting = submit(&app, "waiting", RequestBody::Empty);
                drop((worker, keep, exchanges));
                app.died(WorkerIndex(0));
                app.renew().unwrap();
                let (next, _keep) = attach(&app, 0);
                let next = echo(next);
                assert_eq!(whole(&mut waiting).await, "waiting", "{name}");
                whole(&mut submit(&app, "end", RequestBody::Empty)).await;
                next.join().unwrap();
                assert_eq!(app.streams(), 0, "{name}");
            },
        );
    }
}
