//! Consistent hashing by rendezvous: every member draws a number from the key and its own name, and the greatest wins.
//!
//! Against a ring of points it needs no state, follows weights exactly, and moves only the keys of the member that comes
//! or goes. A member that is full is no candidate, so its keys go to their second choice and come back.

use super::{Choice, first_least};
use crate::member::Live;

pub(super) fn best(members: &[Live], candidates: &[usize], choice: &Choice<'_>) -> usize {
    let key = choice
        .hash_key
        .map_or_else(|| mix(choice.random), |key| mix(fnv1a(key)));
    first_least(candidates, |i| {
        draw(key, members[i].name_hash) / members[i].factor(choice.now) as f64
    })
}

/// An exponentially distributed number; divided by its weight, the least of several is each one's with a probability
/// that is its share of the weights.
fn draw(key: u64, name: u64) -> f64 {
    // 53 bits, and never 0.
    let uniform = ((mix(key ^ name) >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
    -uniform.ln()
}

/// FNV-1a, 64 bits: the same in every version and on every machine, which `std`'s hashers do not promise.
pub(crate) fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// splitmix64's finisher: FNV's high bits hardly depend on the last bytes.
pub(crate) fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
