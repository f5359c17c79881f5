//! The methods: which of several usable members with room is next.

mod hash;
mod peak_ewma;

use std::time::Instant;

pub(crate) use peak_ewma::PeakEwma;

use crate::member::Live;
use crate::settings::Method;

/// What a method may look at besides the members.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Choice<'a> {
    pub(crate) hash_key: Option<&'a [u8]>,
    pub(crate) random: u64,
    pub(crate) now: Instant,
}

impl Method {
    /// The best of `candidates` (indices into `members`, not empty), in Apache's order: the ordinary members as they are
    /// configured, then the spares that stand in, or only standbys.
    pub(crate) fn best(self, members: &mut [Live], candidates: &[usize], choice: &Choice<'_>) -> usize {
        match self {
            Method::ByRequests => by_quota(members, candidates, choice.now, |_| 0),
            Method::ByBusyness => by_quota(members, candidates, choice.now, |member| {
                member.scaled_busy(choice.now)
            }),
            Method::ByTraffic => first_least(candidates, |i| members[i].scaled_traffic(choice.now)),
            Method::Queue => first_least(candidates, |i| members[i].queue_rank(choice.now)),
            Method::PeakEwma => peak_ewma::best(members, candidates, choice),
            Method::Hash => hash::best(members, candidates, choice),
        }
    }
}

/// `mod_lbmethod_byrequests.c` and `mod_lbmethod_bybusyness.c`: each candidate gets its quota; the one with the least
/// `load` wins, among equals the one that most urgently has to work off its quota, among equals the first; and it pays
/// for all.
fn by_quota(members: &mut [Live], candidates: &[usize], now: Instant, load: impl Fn(&Live) -> u64) -> usize {
    let mut total = 0;
    let mut best: Option<(usize, u64)> = None;
    for &i in candidates {
        let factor = members[i].factor(now);
        members[i].lbstatus += factor;
        total += factor;
        let this = load(&members[i]);
        let better = best.is_none_or(|(best, least)| {
            this < least || (this == least && members[i].lbstatus > members[best].lbstatus)
        });
        if better {
            best = Some((i, this));
        }
    }
    let (best, _) = best.expect("a method is asked only when there are candidates");
    members[best].lbstatus -= total;
    best
}

/// The first of the candidates with the least rank; `mod_lbmethod_bytraffic.c` with traffic for a rank.
fn first_least<R: PartialOrd>(candidates: &[usize], rank: impl Fn(usize) -> R) -> usize {
    let mut best: Option<(usize, R)> = None;
    for &i in candidates {
        let this = rank(i);
        if best.as_ref().is_none_or(|(_, least)| this < *least) {
            best = Some((i, this));
        }
    }
    best.expect("a method is asked only when there are candidates").0
}

/// What a member's name contributes to [`Method::Hash`].
pub(crate) fn name_hash(name: &str) -> u64 {
    hash::mix(hash::fnv1a(name.as_bytes()))
}
