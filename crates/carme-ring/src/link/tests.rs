//! Both ends in one process, the worker's in a thread; and workers that lie.

use std::io::{Read, Write};
use std::thread;
use std::time::{Duration, Instant};

use super::*;
use crate::control::{AppSettings, Interface, Python};
use crate::os::{borrow, ordinary_file};
use crate::{Geometry, WorkerIndex};

const GEOMETRY: Geometry = Geometry {
    slots: 4,
    slot_bytes: 1024,
    workers: 1,
    outbox_bytes: 4096,
    inbox_bytes: 1024,
};

fn deadline() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

fn hello() -> Hello {
    Hello::new(Python {
        version: (3, 13, 1),
        implementation: "cpython".into(),
        ..Python::default()
    })
}

fn welcome() -> Welcome {
    Welcome {
        index: WorkerIndex(0),
        geometry: GEOMETRY,
        app: AppSettings {
            target: "mysite.wsgi:application".into(),
            import_root: "/srv/site".into(),
            interface: Interface::Auto,
            threads: 10,
            switch_interval_us: 1000,
            route: "site_1".into(),
            multiprocess: true,
        },
    }
}

/// All of a front's side.
struct Front {
    hello: Hello,
    peer: Peer,
    sender: ControlSender,
    receiver: ControlReceiver,
    bells: FrontBells,
}

/// A front and a worker that have greeted each other, the region's first handle kept by the front.
fn linked() -> (Front, WorkerLink, Region) {
    let invitation = Invitation::new().unwrap();
    let address = imp::Address::of(&invitation.0).unwrap();
    let worker = thread::spawn(move || WorkerLink::connect(address, hello()).unwrap());
    let (mut link, receiver) = invitation.accept(deadline(), || true).unwrap();
    let region = Region::create(GEOMETRY).unwrap();
    link.welcome(welcome(), region.handle().unwrap()).unwrap();
    let FrontLink {
        hello,
        peer,
        sender,
        bells,
        ..
    } = link;
    (
        Front {
            hello,
            peer,
            sender,
            receiver,
            bells,
        },
        worker.join().unwrap(),
        region,
    )
}

/// What the front makes of a worker that sends this in place of a well-formed hello.
fn accept_from(liar: impl FnOnce(imp::Address) + Send + 'static) -> LinkError {
    let invitation = Invitation::new().unwrap();
    let address = imp::Address::of(&invitation.0).unwrap();
    let liar = thread::spawn(move || liar(address));
    let Err(error) = invitation.accept(deadline(), || true) else {
        panic!("the liar was believed")
    };
    liar.join().unwrap();
    error
}

/// Connects as a worker and writes these bytes where the front expects control messages.
fn say(bytes: Vec<u8>) -> impl FnOnce(imp::Address) + Send {
    move |address| {
        let (send, _receive, _bells) = imp::connect(address).unwrap();
        let mut stream = send.stream_for_tests();
        stream.write_all(&bytes).unwrap();
    }
}

#[test]
fn hello_and_welcome_arrive() {
    let (front, worker, _region) = linked();
    assert_eq!(front.hello, hello());
    assert_eq!(front.peer.pid, std::process::id());
    assert_eq!(worker.welcome, welcome());
}

#[test]
fn messages_go_both_ways_in_order() {
    let (mut front, mut worker, _region) = linked();
    front.sender.send(&ToWorker::Drain).unwrap();
    front.sender.send(&ToWorker::Stop).unwrap();
    assert_eq!(worker.receiver.receive().unwrap().0, ToWorker::Drain);
    assert_eq!(worker.receiver.receive().unwrap().0, ToWorker::Stop);
    let failed = ToFront::ImportFailed {
        message: "no module".into(),
        traceback: "ü\n".repeat(100_000),
    };
    let sent = failed.clone();
    let sending = thread::spawn(move || worker.sender.send(&sent).unwrap());
    assert_eq!(front.receiver.receive().unwrap().0, failed);
    sending.join().unwrap();
}

#[test]
fn files_cross_both_ways() {
    let (mut front, mut worker, _region) = linked();
    let mut body = tempfile::tempfile().unwrap();
    body.write_all(b"a request's body").unwrap();
    let message = ToWorker::File {
        stream: 7,
        length: 16,
    };
    front.sender.send_with(&message, &[borrow(&body)]).unwrap();
    let (got, handles) = worker.receiver.receive().unwrap();
    assert_eq!(got, message);
    let mut theirs = ordinary_file(handles.into_iter().next().unwrap()).unwrap();
    std::io::Seek::rewind(&mut theirs).unwrap();
    let mut text = String::new();
    theirs.read_to_string(&mut text).unwrap();
    assert_eq!(text, "a request's body");

    let message = ToFront::File {
        stream: 7,
        offset: 2,
        length: 14,
    };
    worker.sender.send_with(&message, &[borrow(&theirs)]).unwrap();
    let (got, handles) = front.receiver.receive().unwrap();
    assert_eq!(got, message);
    assert_eq!(
        ordinary_file(handles.into_iter().next().unwrap())
            .unwrap()
            .metadata()
            .unwrap()
            .len(),
        16
    );
}

#[test]
fn only_ordinary_files_are_files() {
    let (reader, _writer) = std::io::pipe().unwrap();
    assert!(ordinary_file(reader.into()).is_err());
}

#[test]
fn a_message_without_its_handle_is_not_sent() {
    let (front, _worker, _region) = linked();
    let sent = front.sender.send(&ToWorker::File {
        stream: 7,
        length: 16,
    });
    assert!(
        matches!(sent, Err(LinkError::Handles { expected: 1, got: 0 })),
        "{sent:?}"
    );
}

#[test]
fn bells_ring_and_never_block() {
    let (front, worker, _region) = linked();
    front.bells.leader.ring();
    assert!(worker.bells.leader.wait().unwrap());
    // Far more than any pipe or socket holds: an unread bell has been rung, that is all.
    for _ in 0..70_000 {
        front.bells.second.ring();
    }
    assert!(worker.bells.second.wait().unwrap());
    worker.bells.front.ring();
    assert!(front.bells.front.wait().unwrap());
}

#[test]
fn the_front_gone_ends_everything_of_the_worker() {
    let (front, mut worker, _region) = linked();
    drop(front);
    let received = worker.receiver.receive();
    assert!(matches!(received, Err(LinkError::Closed)), "{received:?}");
    assert!(!worker.bells.leader.wait().unwrap());
    assert!(!worker.bells.second.wait().unwrap());
    worker.bells.front.ring();
}

#[test]
fn the_worker_gone_is_seen_by_the_front() {
    let (mut front, worker, _region) = linked();
    drop(worker);
    assert!(matches!(front.receiver.receive(), Err(LinkError::Closed)));
    assert!(!front.bells.front.wait().unwrap());
    front.bells.leader.ring();
}

#[test]
fn a_worker_that_does_not_read_cannot_hold_the_front() {
    let (mut front, _worker, _region) = linked();
    // What fills the socket is no message, which the worker does not find out.
    let body = vec![b' '; 64 * 1024];
    let stalled = (0..10_000).find_map(|_| front.sender.half.lock().unwrap().send(&body, &[]).err());
    assert!(matches!(stalled, Some(LinkError::Stalled)), "{stalled:?}");
    // Half of a message is in it: nothing may follow, and both ends see that it is over.
    let stalled = front.sender.send(&ToWorker::Drain);
    assert!(matches!(stalled, Err(LinkError::Stalled)), "{stalled:?}");
    assert!(front.receiver.receive().is_err());
    assert!(front.sender.send(&ToWorker::Drain).is_err());
}

#[test]
fn an_oversized_length_is_refused_before_it_is_believed() {
    let error = accept_from(say(u32::MAX.to_le_bytes().into_iter().chain([0; 4]).collect()));
    assert!(matches!(error, LinkError::TooLong(0xffff_ffff)), "{error:?}");
}

#[test]
fn too_many_handles_are_refused() {
    let error = accept_from(say(vec![2, 0, 0, 0, 200, 0, 0, 0, b'{', b'}']));
    assert!(matches!(error, LinkError::Handles { got: 200, .. }), "{error:?}");
}

#[test]
fn garbage_is_refused() {
    let garbage = b"\x09\0\0\0\0\0\0\0not json!".to_vec();
    let error = accept_from(say(garbage));
    assert!(matches!(error, LinkError::Garbage(_)), "{error:?}");
    let unknown = br#"{"type":"pwn"}"#;
    let mut bytes = Head {
        length: unknown.len(),
        handles: 0,
    }
    .encode()
    .to_vec();
    bytes.extend_from_slice(unknown);
    let error = accept_from(say(bytes));
    assert!(matches!(error, LinkError::Garbage(_)), "{error:?}");
}

#[test]
fn another_message_than_hello_is_refused() {
    let error = accept_from(|address| {
        let (send, _receive, _bells) = imp::connect(address).unwrap();
        Sender::<ToFront>::new(send)
            .send(&ToFront::NeedFile { stream: 1 })
            .unwrap();
    });
    assert!(matches!(error, LinkError::OutOfOrder("hello")), "{error:?}");
}

#[test]
fn another_version_is_refused() {
    let error = accept_from(|address| {
        let (send, _receive, _bells) = imp::connect(address).unwrap();
        let stale = Hello {
            protocol: PROTOCOL + 1,
            ..hello()
        };
        Sender::<ToFront>::new(send).send(&ToFront::Hello(stale)).unwrap();
    });
    assert!(
        matches!(error, LinkError::Protocol { theirs } if theirs == PROTOCOL + 1),
        "{error:?}"
    );
}

#[test]
fn half_a_hello_is_an_end() {
    let error = accept_from(say(vec![200, 0, 0, 0, 0, 0, 0, 0, b'{']));
    assert!(matches!(error, LinkError::Closed), "{error:?}");
}

#[test]
fn silence_times_out() {
    let invitation = Invitation::new().unwrap();
    let address = imp::Address::of(&invitation.0).unwrap();
    let worker = imp::connect(address).unwrap();
    let accepted = invitation.accept(Instant::now() + Duration::from_millis(20), || true);
    assert!(matches!(accepted, Err(LinkError::TimedOut)));
    drop(worker);
}

#[test]
fn damaged_addresses_are_refused() {
    for value in [
        "",
        "fd:",
        "fd:-1",
        "fd:0",
        "fd:1000000",
        "fd:x",
        "tcp:",
        "tcp:1:",
        "tcp:1:00",
        "tcp:99999:00",
        "pipe:1",
    ] {
        assert!(imp::Address::parse(value).is_none(), "{value:?}");
    }
}

#[cfg(windows)]
#[test]
fn a_stranger_without_the_token_is_ignored() {
    let invitation = Invitation::new().unwrap();
    let address = imp::Address::of(&invitation.0).unwrap();
    let real = address.clone();
    let worker = thread::spawn(move || {
        let strangers: Vec<_> = (0..40)
            .map(|_| imp::connect(real.with_wrong_token()).unwrap())
            .collect();
        let link = WorkerLink::connect(real, hello());
        drop(strangers);
        link.unwrap()
    });
    let (mut front, _receiver) = invitation.accept(deadline(), || true).unwrap();
    let region = Region::create(GEOMETRY).unwrap();
    front.welcome(welcome(), region.handle().unwrap()).unwrap();
    assert_eq!(worker.join().unwrap().welcome, welcome());
}

#[cfg(windows)]
#[test]
fn a_claim_to_be_another_process_is_not_believed() {
    let error = accept_from(|address| {
        let (send, _receive, _bells) = imp::connect(address).unwrap();
        let claimed = Hello { pid: 4, ..hello() };
        Sender::<ToFront>::new(send)
            .send(&ToFront::Hello(claimed))
            .unwrap();
    });
    // Where the operating system does not tell whose connection it is (Wine), that process cannot be opened.
    assert!(
        matches!(error, LinkError::WrongPeer { claimed: 4, .. } | LinkError::Io(_)),
        "{error:?}"
    );
}

#[cfg(windows)]
#[test]
fn a_worker_that_dies_before_it_connects_ends_the_wait() {
    let accepted = Invitation::new().unwrap().accept(deadline(), || false);
    assert!(matches!(accepted, Err(LinkError::Closed)));
}
