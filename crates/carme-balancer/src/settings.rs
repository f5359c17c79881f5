//! What is configured: the balancer, its members and their limits. Reading text is the configuration's business; the
//! types here allow only what makes sense.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::health::HealthCheck;
use crate::status::Status;
use crate::sticky::StickySession;

/// How the next member is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// Apache's `byrequests`: every member gets its share of the requests.
    ByRequests,
    /// Apache's `bytraffic`: every member gets its share of the bytes, both ways.
    ByTraffic,
    /// Apache's `bybusyness`: the member with the fewest requests in flight, then as `byrequests`.
    ByBusyness,
    /// The member that is free; when all are at their `max`, requests wait in one queue and each goes to the first that
    /// becomes free. Without `max` it is the member with the fewest requests in flight for its `loadfactor`.
    Queue,
    /// Of two members chosen at random the one whose recent latency times its requests in flight is less. Failures
    /// count as slow, however fast they came.
    PeakEwma,
    /// The same member for the same key ([`crate::Request::hash_key`]) while it is usable and not full; when a member
    /// comes or goes, only its own share of the keys moves. All fronts with the same members agree.
    Hash,
}

impl Method {
    /// All methods, in the order of the documentation.
    pub const ALL: [Method; 6] = [
        Method::Queue,
        Method::ByRequests,
        Method::ByTraffic,
        Method::ByBusyness,
        Method::PeakEwma,
        Method::Hash,
    ];

    /// The name in configuration and status.
    pub fn name(self) -> &'static str {
        match self {
            Method::ByRequests => "byrequests",
            Method::ByTraffic => "bytraffic",
            Method::ByBusyness => "bybusyness",
            Method::Queue => "queue",
            Method::PeakEwma => "ewma",
            Method::Hash => "hash",
        }
    }

    /// The method of that name.
    pub fn of_name(name: &str) -> Option<Method> {
        Method::ALL.into_iter().find(|method| method.name() == name)
    }
}

/// Which failed requests go to another member. Only requests of which the client has seen no answer ever do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Resend {
    /// Those of which no byte reached a member, as in Apache.
    #[default]
    NothingSent,
    /// Idempotent ones too (GET, HEAD, PUT, DELETE, OPTIONS, TRACE), if their body can be sent once more.
    Idempotent,
}

/// What a request waits for when no member is usable, for as long as `timeout` allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Awaits {
    /// Whatever may happen, as in Apache: a command enables a member, or one more is found.
    #[default]
    Anything,
    /// A member that comes back by itself in time: its `retry` is over, or it may pass a check.
    Return,
}

/// A balancer: `ProxySet balancer://…` and what Carme adds.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// `BALANCER_NAME`, `balancer://cluster`.
    pub name: String,
    /// `lbmethod`.
    pub method: Method,
    /// `stickysession` and its kin.
    pub sticky: Option<StickySession>,
    /// `nofailover`: a session whose member is unusable gets 503 instead of another member.
    pub nofailover: bool,
    /// `maxattempts`: how many more members one request may try after its first. `None`: one less than there are
    /// members.
    pub max_attempts: Option<u32>,
    /// `timeout`: how long a request waits when no member is usable. Zero: it is refused at once.
    pub timeout: Duration,
    /// For what it waits then.
    pub awaits: Awaits,
    /// How long a request waits for a member that is full and has no [`Member::acquire`].
    pub acquire: Duration,
    /// How many requests may wait at the same time; others are refused.
    pub queue_limit: usize,
    /// `failonstatus`: a response with one of these puts its member into Error.
    pub fail_on_status: Vec<u16>,
    /// `failontimeout`: so does a response that does not come in time.
    pub fail_on_timeout: bool,
    /// So do this many failed requests of a member one after another, whatever their failure. `None`: no number does.
    pub max_fails: Option<NonZeroU32>,
    /// `forcerecovery`: when all members are in Error, all are tried again at once.
    pub force_recovery: bool,
    /// How long a member that comes back takes to get its full share, from a tenth on. Zero: it gets it at once.
    pub slow_start: Duration,
    /// Which failed requests go to another member.
    pub resend: Resend,
    /// Whether another attempt goes to members that the request has not tried, as long as one is usable. Apache looks
    /// only at Error, and a recovery by force may lead a request back to the member that has just failed it.
    pub untried_first: bool,
}

impl Settings {
    /// The longest wait for a full member that says nothing itself.
    pub const DEFAULT_ACQUIRE: Duration = Duration::from_secs(30);
    /// The most requests that wait.
    pub const DEFAULT_QUEUE_LIMIT: usize = 1000;

    /// A balancer as Carme's own configuration makes it: `queue`, a slow start of ten seconds, a rest for a member after
    /// five failures one after another, attempts at untried members first, and no waits for what does not come.
    pub fn new(name: impl Into<String>) -> Settings {
        Settings {
            method: Method::Queue,
            slow_start: Duration::from_secs(10),
            max_fails: NonZeroU32::new(5),
            awaits: Awaits::Return,
            untried_first: true,
            ..Settings::apache(name)
        }
    }

    /// A balancer with Apache's defaults.
    pub fn apache(name: impl Into<String>) -> Settings {
        Settings {
            name: name.into(),
            method: Method::ByRequests,
            sticky: None,
            nofailover: false,
            max_attempts: None,
            timeout: Duration::ZERO,
            awaits: Awaits::Anything,
            acquire: Settings::DEFAULT_ACQUIRE,
            queue_limit: Settings::DEFAULT_QUEUE_LIMIT,
            fail_on_status: Vec::new(),
            fail_on_timeout: false,
            max_fails: None,
            force_recovery: true,
            slow_start: Duration::ZERO,
            resend: Resend::NothingSent,
            untried_first: false,
        }
    }
}

/// `loadfactor`: 1 to 100 with two decimals, kept as Apache keeps it, in hundredths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LoadFactor(u32);

impl LoadFactor {
    /// The default.
    pub const ONE: LoadFactor = LoadFactor(100);

    /// From hundredths, 100 to 10,000.
    pub fn from_hundredths(hundredths: u32) -> Option<LoadFactor> {
        (100..=10_000)
            .contains(&hundredths)
            .then_some(LoadFactor(hundredths))
    }

    /// From a number, 1 to 100; further decimals are cut off.
    pub fn new(factor: f64) -> Option<LoadFactor> {
        // Rounded first: 1.1 * 100.0 is a little more than 110, and 2.3 * 100.0 a little less than 230.
        let hundredths = (factor * 100_000.0).round() / 1000.0;
        (100.0..=10_000.0)
            .contains(&hundredths)
            .then_some(LoadFactor(hundredths as u32))
    }

    /// In hundredths.
    pub fn hundredths(self) -> u32 {
        self.0
    }
}

impl std::fmt::Display for LoadFactor {
    /// As balancer-manager prints it: `1.00`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{:02}", self.0 / 100, self.0 % 100)
    }
}

/// `lbset`, 0 to 99: a higher set gets requests only when no member of a lower one is usable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct LbSet(u8);

impl LbSet {
    /// The set of that number, at most 99.
    pub fn new(number: u8) -> Option<LbSet> {
        (number <= 99).then_some(LbSet(number))
    }

    /// Its number.
    pub fn number(self) -> u8 {
        self.0
    }
}

/// A member: `BalancerMember` as far as choosing it is concerned.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// Its URL, `http://192.168.0.10:9001`: `BALANCER_WORKER_NAME`, and what makes it the same member after a reload.
    pub name: String,
    /// `route`.
    pub route: Option<String>,
    /// `redirect`: the route that gets this member's sessions while it is unusable.
    pub redirect: Option<String>,
    /// `loadfactor`.
    pub load_factor: LoadFactor,
    /// `lbset`.
    pub lbset: LbSet,
    /// `max`: the most requests in flight. `None`: no limit.
    pub max: Option<NonZeroU32>,
    /// `acquire`: how long a request waits for this member while it is full.
    pub acquire: Option<Duration>,
    /// `retry`: how long it rests after an error. Zero: not at all.
    pub retry: Duration,
    /// `status`, to begin with.
    pub status: Status,
    /// `hcmethod` and its kin. `None`: the member is not checked.
    pub health: Option<HealthCheck>,
}

impl Member {
    /// `retry`'s default.
    pub const DEFAULT_RETRY: Duration = Duration::from_secs(60);

    /// A member with Apache's defaults.
    pub fn new(name: impl Into<String>) -> Member {
        Member {
            name: name.into(),
            route: None,
            redirect: None,
            load_factor: LoadFactor::ONE,
            lbset: LbSet::default(),
            max: None,
            acquire: None,
            retry: Member::DEFAULT_RETRY,
            status: Status::OK,
            health: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn load_factors_are_hundredths_from_1_to_100() {
        for (factor, hundredths) in [
            (1.0, Some(100)),
            (1.1, Some(110)),
            (2.3, Some(230)),
            (1.999, Some(199)),
            (100.0, Some(10_000)),
            (0.99, None),
            (100.01, None),
            (f64::NAN, None),
        ] {
            assert_eq!(
                LoadFactor::new(factor).map(LoadFactor::hundredths),
                hundredths,
                "{factor}"
            );
        }
        assert_eq!(LoadFactor::new(2.5).unwrap().to_string(), "2.50");
    }

    #[test]
    fn methods_are_known_by_their_names() {
        for method in Method::ALL {
            assert_eq!(Method::of_name(method.name()), Some(method));
        }
        assert_eq!(Method::of_name("heartbeat"), None);
    }
}
