//! Doors for the fuzzer: what one side makes of memory that the other has written. Not part of the interface.

use bytes::BytesMut;

use crate::atomic::AtomicU64;
use crate::byte_ring::{ByteRing, MAX_RECORD};

/// A byte ring whose tail and words the other side has made up. The reader finds records within it, or says that it is
/// damaged, and always comes to an end.
pub fn byte_ring(bytes: &[u8]) {
    const WORDS: usize = 64;
    let mut words = bytes.chunks(8).map(|chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        u64::from_le_bytes(word)
    });
    let (head, tail) = (
        AtomicU64::new(0),
        AtomicU64::new(words.next().unwrap_or_default()),
    );
    let data: Vec<AtomicU64> = (0..WORDS)
        .map(|_| AtomicU64::new(words.next().unwrap_or_default()))
        .collect();
    let ring = ByteRing {
        head: &head,
        tail: &tail,
        data: &data,
    };
    let (mut read, mut buffer) = (0, BytesMut::new());
    // Each record has two words at least.
    for _ in 0..=WORDS / 2 {
        let before = read;
        match ring.pop(&mut read, &mut buffer) {
            Ok(Some((_, payload))) => {
                assert!(read > before && payload.len() <= MAX_RECORD && payload.len() <= 8 * WORDS);
            }
            Ok(None) | Err(_) => return,
        }
    }
    panic!("more records than the ring can hold");
}
