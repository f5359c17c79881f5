//! A front's runtime, and workers that the tests drive.

use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use carme_farm::dispatch::{
    AnswerBody, App, Exchange, Hooks, Identity, Limits, NewApp, RequestBody, TimeLimits,
};
use carme_ring::control::{AppSettings, Hello, Interface, Python, ToFront, ToWorker, Welcome};
use carme_ring::frame::{RequestHead, ResponseHead, Scheme, Version};
use carme_ring::link::{ControlReceiver, Invitation, Receiver, Sender, WorkerBells, WorkerLink};
use carme_ring::{
    Armed, Geometry, InboxMessage, Inline, RecordKind, StreamId, WorkerIndex, WorkerRing, flags,
};
use http::HeaderMap;

pub(crate) const GEOMETRY: Geometry = Geometry {
    slots: 8,
    slot_bytes: 1024,
    workers: 2,
    outbox_bytes: 128 * 1024,
    inbox_bytes: 1024,
};
pub(crate) const LIMITS: Limits = Limits {
    queue: 100,
    queue_timeout: Duration::from_secs(5),
    response_buffer: 1 << 30,
    times: TimeLimits {
        request: None,
        idle: None,
        interrupt_grace: Duration::from_secs(5),
        slow: None,
    },
};

/// Runs a test on a front's runtime.
pub(crate) fn front<T>(limits: Limits, test: impl AsyncFnOnce(App) -> T) -> T {
    let hooks = Hooks::default();
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all();
    hooks.install(&mut builder);
    builder.build().unwrap().block_on(async move {
        let app = App::new(NewApp {
            number: 0,
            geometry: GEOMETRY,
            limits,
        })
        .unwrap();
        hooks.add(app.clone());
        tokio::time::timeout(Duration::from_secs(60), test(app))
            .await
            .expect("in time")
    })
}

/// What is used of a worker's link while it serves.
pub(crate) struct Link {
    pub bells: WorkerBells,
    /// Open as long as the worker lives.
    _sender: Sender<ToFront>,
}

pub(crate) struct TestWorker {
    pub ring: WorkerRing,
    pub link: Link,
    receiver: Option<Receiver<ToWorker>>,
}

/// A worker in a place of the app, serving; it is the test's to drive. The receiver keeps its connection open.
pub(crate) fn attach(app: &App, place: u16) -> (TestWorker, ControlReceiver) {
    attach_as(app, place, &format!("test_{place}"))
}

/// The same with this route.
pub(crate) fn attach_as(app: &App, place: u16, route: &str) -> (TestWorker, ControlReceiver) {
    let index = WorkerIndex(place);
    let invitation = Invitation::new().unwrap();
    let connect = invitation.for_thread().unwrap();
    let hello = Hello::new(Python {
        version: (3, 13, 0),
        implementation: "cpython".into(),
        ..Python::default()
    });
    let worker = thread::spawn(move || {
        let WorkerLink {
            region,
            sender,
            receiver,
            bells,
            ..
        } = connect(hello).unwrap();
        TestWorker {
            ring: WorkerRing::new(region.into(), index),
            link: Link {
                bells,
                _sender: sender,
            },
            receiver: Some(receiver),
        }
    });
    let (mut link, receiver) = invitation
        .accept(Instant::now() + Duration::from_secs(20), || true)
        .unwrap();
    app.prepare(index);
    let settings = AppSettings {
        target: "test".into(),
        import_root: "/".into(),
        interface: Interface::Wsgi,
        threads: 1,
        switch_interval_us: 1000,
        route: route.to_owned(),
        multiprocess: true,
    };
    let region = app.region().unwrap();
    link.welcome(
        Welcome {
            index,
            geometry: GEOMETRY,
            app: settings,
        },
        region.handle().unwrap(),
    )
    .unwrap();
    let worker = worker.join().unwrap();
    let identity = Identity {
        route: route.into(),
        pid: 4000 + u32::from(place),
        seat: place,
    };
    app.attach(index, identity, link.bells, link.sender).unwrap();
    app.serve(index, true);
    (worker, receiver)
}

impl TestWorker {
    /// Its end of the control connection, to be had once.
    pub(crate) fn take_receiver(&mut self) -> Receiver<ToWorker> {
        self.receiver.take().expect("taken once")
    }

    /// Waits for a request and reads it.
    pub(crate) fn next(&self, buffer: &mut Vec<u8>) -> Inline {
        loop {
            if let Some(taken) = self.ring.take().unwrap() {
                return self.ring.read(taken, buffer).unwrap();
            }
            if self.ring.arm_leader() == Armed::Sleep {
                assert!(self.link.bells.leader.wait().unwrap(), "the front is gone");
            }
        }
    }

    pub(crate) fn send(&self, kind: RecordKind, flags: u8, stream: StreamId, parts: &[&[u8]]) {
        while self.ring.publish(kind, flags, stream, parts).is_err() {
            self.ring.want_space();
            self.ring_front();
            thread::yield_now();
        }
        self.ring_front();
    }

    pub(crate) fn ring_front(&self) {
        if self.ring.must_ring_front() {
            self.link.bells.front.ring();
        }
    }

    pub(crate) fn respond(&self, stream: StreamId, body: &[u8]) {
        let head = head(200, &[("content-type", "text/plain")]);
        self.send(RecordKind::Response, flags::END, stream, &[&head, body]);
        self.ring.finish();
    }

    /// Bytes that may be sent beyond the window, waiting for them.
    pub(crate) fn credit(&mut self, stream: StreamId) -> u32 {
        loop {
            match self.ring.inbox_next().unwrap() {
                Some(InboxMessage::Credit { stream: of, bytes }) if of == stream => return bytes,
                Some(_) => {}
                None if self.ring.inbox_may_sleep() => {
                    assert!(self.link.bells.inbox.wait().unwrap());
                }
                None => {}
            }
        }
    }
}

pub(crate) fn head(status: u16, headers: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    ResponseHead::encode(
        status,
        b"",
        headers.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())),
        &mut out,
    );
    out
}

pub(crate) fn submit(app: &App, path: &str, body: RequestBody) -> Exchange {
    dispatch(app, path, body, None)
}

/// A request whose client is bound to the worker with this route.
pub(crate) fn submit_to(app: &App, route: &str, path: &str) -> Exchange {
    dispatch(app, path, RequestBody::Empty, Some(route.as_bytes()))
}

fn dispatch(app: &App, path: &str, body: RequestBody, route: Option<&[u8]>) -> Exchange {
    let mut head = RequestHead::new(Version::Http11, Scheme::Http);
    (head.method, head.path) = (b"GET", path.as_bytes());
    app.dispatch(head, &HeaderMap::new(), body, route)
}

pub(crate) async fn whole(exchange: &mut Exchange) -> Bytes {
    match exchange.response().await.unwrap().body {
        AnswerBody::Whole(bytes) => bytes,
        other => panic!("{other:?}"),
    }
}

/// A worker that answers every request with its path and body, until it gets one whose path is `end`.
pub(crate) fn echo(worker: TestWorker) -> thread::JoinHandle<TestWorker> {
    thread::spawn(move || {
        let mut buffer = Vec::new();
        loop {
            let request = worker.next(&mut buffer);
            let path = RequestHead::decode(&buffer[request.head.clone()])
                .unwrap()
                .path
                .to_vec();
            worker.respond(request.stream, &[&path, &buffer[request.body.clone()]].concat());
            if path == b"end" {
                return worker;
            }
        }
    })
}
