//! How many connections each client address has. Nothing is counted where there is no limit.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// So many clients at once are told why they are turned away; while that many listen to it, further ones are closed at
/// once, since one address could otherwise fill the server with farewells.
const FAREWELLS: usize = 64;

/// The counts. There are never more of them than open connections, which have a limit of their own.
pub(crate) struct Crowd {
    /// 0: any number.
    limit: AtomicUsize,
    counts: Mutex<HashMap<IpAddr, usize>>,
    farewells: Arc<Semaphore>,
}

/// Whether a connection may stay. To be kept as long as the connection.
pub(crate) enum Admission {
    /// Nobody counts.
    Free,
    /// It is one of those that its address may have.
    Counted { _place: Place },
    /// It is one too many, and is told so.
    Refused { _farewell: OwnedSemaphorePermit },
    /// It is one too many, and so many are being told so that it is not.
    Closed,
}

impl Admission {
    pub(crate) fn is_refused(&self) -> bool {
        matches!(self, Admission::Refused { .. } | Admission::Closed)
    }
}

/// One connection in the count of its address, until it is dropped.
pub(crate) struct Place {
    crowd: Arc<Crowd>,
    address: IpAddr,
}

impl Crowd {
    pub(crate) fn new(limit: Option<NonZeroUsize>) -> Self {
        Crowd {
            limit: AtomicUsize::new(limit.map_or(0, NonZeroUsize::get)),
            counts: Mutex::default(),
            farewells: Arc::new(Semaphore::new(FAREWELLS)),
        }
    }

    /// From now on. Connections that came while there was no limit are not counted.
    pub(crate) fn set(&self, limit: Option<NonZeroUsize>) {
        self.limit
            .store(limit.map_or(0, NonZeroUsize::get), Ordering::Relaxed);
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a connection from this address; what has none, as on a Unix socket, is not counted.
    pub(crate) fn admit(self: &Arc<Self>, address: Option<IpAddr>) -> Admission {
        let limit = self.limit.load(Ordering::Relaxed);
        let (1.., Some(address)) = (limit, address) else {
            return Admission::Free;
        };
        let address = network(address);
        let mut counts = self.counts();
        let count = counts.entry(address).or_default();
        if *count < limit {
            *count += 1;
            let _place = Place {
                crowd: Arc::clone(self),
                address,
            };
            return Admission::Counted { _place };
        }
        drop(counts);
        match Arc::clone(&self.farewells).try_acquire_owned() {
            Ok(_farewell) => Admission::Refused { _farewell },
            Err(_) => Admission::Closed,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Entry::Occupied(mut count) = self.crowd.counts().entry(self.address) {
            match count.get() {
                0 | 1 => drop(count.remove()),
                _ => *count.get_mut() -= 1,
            }
        }
    }
}

/// What counts as one address: of IPv6 the /64 network, any address of which its owner can use.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let upper = v6.to_bits() >> 64 << 64;
            IpAddr::V6(Ipv6Addr::from_bits(upper))
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crowd(limit: usize) -> Arc<Crowd> {
        Arc::new(Crowd::new(NonZeroUsize::new(limit)))
    }

    fn admit(crowd: &Arc<Crowd>, address: &str) -> Admission {
        crowd.admit(Some(address.parse().unwrap()))
    }

    #[test]
    fn each_address_has_its_own_count_and_gets_it_back() {
        let crowd = crowd(2);
        let first = admit(&crowd, "192.0.2.1");
        let second = admit(&crowd, "::ffff:192.0.2.1");
        assert!(matches!(
            (&first, &second),
            (Admission::Counted { .. }, Admission::Counted { .. })
        ));
        assert!(admit(&crowd, "192.0.2.1").is_refused());
        assert!(!admit(&crowd, "192.0.2.2").is_refused());
        drop(second);
        let third = admit(&crowd, "192.0.2.1");
        assert!(!third.is_refused());
        assert!(admit(&crowd, "192.0.2.1").is_refused());
        drop((first, third));
        assert!(crowd.counts().is_empty(), "nothing is kept of who has left");
    }

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        let crowd = crowd(1);
        let _first = admit(&crowd, "2001:db8::1");
        assert!(admit(&crowd, "2001:db8::ffff:1").is_refused());
        assert!(!admit(&crowd, "2001:db8:0:1::1").is_refused());
    }

    #[test]
    fn farewells_are_bounded() {
        let crowd = crowd(1);
        let _first = admit(&crowd, "192.0.2.1");
        let refused: Vec<_> = (0..FAREWELLS).map(|_| admit(&crowd, "192.0.2.1")).collect();
        assert!(
            refused
                .iter()
                .all(|admission| matches!(admission, Admission::Refused { .. }))
        );
        assert!(matches!(admit(&crowd, "192.0.2.1"), Admission::Closed));
        drop(refused);
        assert!(matches!(admit(&crowd, "192.0.2.1"), Admission::Refused { .. }));
    }

    #[test]
    fn nobody_counts_without_a_limit_or_an_address() {
        let unlimited = Arc::new(Crowd::new(None));
        assert!((0..10).all(|_| matches!(admit(&unlimited, "192.0.2.1"), Admission::Free)));
        assert!(unlimited.counts().is_empty());
        assert!(matches!(crowd(1).admit(None), Admission::Free));
    }
}
