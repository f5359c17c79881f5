//! Clients that are bound to a worker.

use std::thread;
use std::time::Duration;

use carme_farm::dispatch::{App, Exchange, Failure, Limits, RequestBody};
use carme_ring::WorkerIndex;

use super::worker::*;

const ONE: WorkerIndex = WorkerIndex(0);

/// The route of whoever answered.
async fn answered_by(exchange: &mut Exchange) -> String {
    whole(exchange).await;
    exchange.account().worker.unwrap().route.to_string()
}

/// Ends workers that echo.
async fn end(app: &App, workers: impl IntoIterator<Item = (&str, thread::JoinHandle<TestWorker>)>) {
    for (route, worker) in workers {
        whole(&mut submit_to(app, route, "end")).await;
        worker.join().unwrap();
    }
    assert_eq!(app.streams(), 0);
}

#[test]
fn a_bound_client_gets_its_worker_while_others_have_nothing_to_do() {
    front(LIMITS, async |app| {
        let (one, _keep) = attach(&app, 0);
        let (two, _keep2) = attach(&app, 1);
        let workers = [("test_0", echo(one)), ("test_1", echo(two))];
        for i in 0..100 {
            let route = if i % 3 == 0 { "test_0" } else { "test_1" };
            let mut exchange = submit_to(&app, route, "x");
            assert_eq!(answered_by(&mut exchange).await, route, "request {i}");
        }
        end(&app, workers).await;
    });
}

#[test]
fn many_bound_clients_wait_for_their_worker_in_order() {
    front(LIMITS, async |app| {
        // More than there are slots, and more than may be bound at a time.
        let (one, _keep) = attach(&app, 0);
        let mut bound: Vec<_> = (0..60)
            .map(|i| submit_to(&app, "test_0", &i.to_string()))
            .collect();
        let (two, _keep2) = attach(&app, 1);
        let two = echo(two);
        for _ in 0..20 {
            assert_eq!(
                answered_by(&mut submit(&app, "x", RequestBody::Empty)).await,
                "test_1",
                "the other one takes nothing"
            );
        }
        let one = thread::spawn(move || {
            let (mut buffer, mut paths) = (Vec::new(), Vec::new());
            while paths.len() < 60 {
                let request = one.next(&mut buffer);
                let head = carme_ring::frame::RequestHead::decode(&buffer[request.head.clone()]).unwrap();
                paths.push(String::from_utf8(head.path.to_vec()).unwrap());
                one.respond(request.stream, b"");
            }
            paths
        });
        for exchange in &mut bound {
            assert_eq!(answered_by(exchange).await, "test_0");
        }
        let expected: Vec<_> = (0..60).map(|i| i.to_string()).collect();
        assert_eq!(one.join().unwrap(), expected);
        drop(bound);
        end(&app, [("test_1", two)]).await;
    });
}

#[test]
fn a_route_that_nobody_has_is_anybodys() {
    front(LIMITS, async |app| {
        let (one, _keep) = attach(&app, 0);
        let workers = [("test_0", echo(one))];
        for route in ["test_1", "", "test_0 ", "TEST_0", "\u{0}", &"x".repeat(5000)] {
            assert_eq!(answered_by(&mut submit_to(&app, route, "x")).await, "test_0");
        }
        end(&app, workers).await;
    });
}

#[test]
fn what_waits_for_a_worker_goes_to_others_when_that_is_drained_or_dies() {
    for dies in [false, true] {
        front(LIMITS, async |app| {
            let (one, keep) = attach(&app, 0);
            let (two, _keep2) = attach(&app, 1);
            let mut taken = submit_to(&app, "test_0", "taken");
            let one = tokio::task::spawn_blocking(move || {
                one.next(&mut Vec::new());
                one
            })
            .await
            .unwrap();
            let mut waiting: Vec<_> = (0..20).map(|_| submit_to(&app, "test_0", "x")).collect();
            let two = echo(two);
            assert_eq!(
                answered_by(&mut submit(&app, "x", RequestBody::Empty)).await,
                "test_1"
            );
            if dies {
                drop((one, keep));
                app.died(ONE);
                assert_eq!(taken.response().await.unwrap_err(), Failure::WorkerDied);
            } else {
                app.serve(ONE, false);
            }
            for exchange in &mut waiting {
                assert_eq!(answered_by(exchange).await, "test_1");
            }
            assert_eq!(answered_by(&mut submit_to(&app, "test_0", "x")).await, "test_1");
            drop((taken, waiting));
            if dies {
                end(&app, [("test_1", two)]).await;
            } else {
                whole(&mut submit(&app, "end", RequestBody::Empty)).await;
                two.join().unwrap();
            }
        });
    }
}

#[test]
fn a_client_stays_with_the_seat_when_its_worker_is_replaced() {
    front(LIMITS, async |app| {
        let (_old, _keep) = attach_as(&app, 0, "seat");
        let mut waiting: Vec<_> = (0..20).map(|_| submit_to(&app, "seat", "x")).collect();
        let (new, _keep2) = attach_as(&app, 1, "seat");
        let new = echo(new);
        // Both serve; the new one has it.
        let mut after = submit_to(&app, "seat", "x");
        whole(&mut after).await;
        assert_eq!(after.account().worker.unwrap().pid, 4001);
        app.serve(ONE, false);
        for exchange in &mut waiting {
            whole(exchange).await;
            assert_eq!(exchange.account().worker.unwrap().pid, 4001);
        }
        drop((waiting, after));
        end(&app, [("seat", new)]).await;
    });
}

#[test]
fn a_worker_that_hangs_keeps_only_its_own_clients_waiting_and_not_for_ever() {
    let limits = Limits {
        queue: 10,
        queue_timeout: Duration::from_millis(200),
        ..LIMITS
    };
    front(limits, async |app| {
        let (_hangs, _keep) = attach(&app, 0);
        let mut waiting: Vec<_> = (0..11).map(|_| submit_to(&app, "test_0", "x")).collect();
        let Failure::QueueFull { .. } = waiting[10].response().await.unwrap_err() else {
            panic!("ten may wait");
        };
        let left = waiting.pop();
        drop(left);
        let (two, _keep2) = attach(&app, 1);
        let two = echo(two);
        for _ in 0..30 {
            assert_eq!(
                answered_by(&mut submit_to(&app, "test_1", "x")).await,
                "test_1",
                "others have their own queue"
            );
        }
        // One client leaves, another comes for it.
        waiting.pop();
        waiting.push(submit_to(&app, "test_0", "x"));
        for exchange in &mut waiting {
            assert_eq!(exchange.response().await.unwrap_err(), Failure::QueueTimeout);
            assert!(exchange.account().queued >= Duration::from_millis(200));
        }
        drop(waiting);
        end(&app, [("test_1", two)]).await;
    });
}

#[test]
fn bound_clients_that_are_told_that_the_server_stops() {
    front(LIMITS, async |app| {
        let (_one, _keep) = attach(&app, 0);
        let mut waiting: Vec<_> = (0..20).map(|_| submit_to(&app, "test_0", "x")).collect();
        app.close(true);
        for exchange in &mut waiting {
            assert_eq!(exchange.response().await.unwrap_err(), Failure::Stopping);
        }
        drop(waiting);
        assert_eq!(app.streams(), 0);
    });
}

#[test]
fn what_was_bound_survives_a_damaged_region_as_far_as_it_waited_in_the_front() {
    front(LIMITS, async |app| {
        let (one, keep) = attach(&app, 0);
        let mut bound: Vec<_> = (0..20).map(|_| submit_to(&app, "test_0", "x")).collect();
        let one = tokio::task::spawn_blocking(move || {
            let request = one.next(&mut Vec::new());
            one.send(carme_ring::RecordKind::Body, 0, request.stream, &[b"no head"]);
            one
        })
        .await
        .unwrap();
        app.damaged().await;
        drop((one, keep));
        app.died(ONE);
        app.renew().unwrap();
        let (next, _keep) = attach(&app, 0);
        let next = echo(next);
        let (mut lost, mut answered) = (0, 0);
        for exchange in &mut bound {
            match exchange.response().await {
                Ok(_) => answered += 1,
                Err(failure) => {
                    assert_eq!(failure, Failure::WorkerDied);
                    lost += 1;
                }
            }
        }
        assert!(
            lost > 0 && lost < 9 && lost + answered == 20,
            "eight slots: {lost} lost, {answered} answered"
        );
        drop(bound);
        end(&app, [("test_0", next)]).await;
    });
}
