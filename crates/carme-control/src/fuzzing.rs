//! A door for the fuzzer: what is made of what the other side says. Not part of the interface.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use crate::frame;
use crate::printable::printable;
use crate::protocol::{Reply, Request, decode, encode};

/// Of all that a fuzzer makes up, few frames are longer.
const MOST: u32 = 4096;

/// All that one side ever says. It ends in frames that are understood or refused; a request that is understood is the same
/// when it is said again, and nothing of a reply can command a terminal.
pub fn control(bytes: &[u8]) {
    let mut rest = bytes;
    loop {
        let read = pin!(frame::read(&mut rest, MOST));
        // Bytes that are there keep nobody waiting.
        let Poll::Ready(read) = read.poll(&mut Context::from_waker(Waker::noop())) else {
            panic!("bytes that are there are waited for");
        };
        let Ok(Some(frame)) = read else { return };
        assert!(frame.len() <= MOST as usize);
        if let Ok(request) = decode::<Request>(&frame) {
            assert_eq!(decode(&encode(&request)), Ok(request));
        }
        match decode::<Reply>(&frame) {
            Ok(reply) => {
                decode::<Reply>(&encode(&reply)).expect("what is said is understood");
                if let Reply::Refused { message } = reply {
                    let shown = printable(&message);
                    assert!(!shown.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t')));
                }
            }
            Err(error) => drop(error.to_string()),
        }
    }
}
