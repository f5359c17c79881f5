//! What goes in with a request and what comes out: [`Request`], [`Pick`], [`Lease`], [`Outcome`], [`Next`].

use std::time::{Duration, Instant};

/// A member of a balancer while it exists. Never used again for another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberId(pub(crate) u64);

/// The caller's name for a request that may have to wait; unique among those that wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

/// What choosing a member needs to know of a request.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Comes back in [`Wake`] if the request has to wait.
    pub token: Token,
    /// Path and query as they go to the member; session parameters are looked for in them.
    pub path_and_query: &'a [u8],
    /// The values of the request's `Cookie` fields.
    pub cookies: &'a [&'a [u8]],
    /// For [`crate::Method::Hash`]: the client's address, a header's or a cookie's value. Without one the member is
    /// chosen by `random`.
    pub hash_key: Option<&'a [u8]>,
    /// A random number.
    pub random: u64,
    /// The members that this request has tried, in order. They come last.
    pub tried: &'a [MemberId],
}

impl Request<'_> {
    /// A request that says nothing of itself.
    pub fn plain(token: Token, random: u64) -> Request<'static> {
        Request {
            token,
            path_and_query: b"",
            cookies: &[],
            hash_key: None,
            random,
            tried: &[],
        }
    }
}

/// The answer to [`crate::Balancer::pick`].
#[derive(Debug)]
#[must_use = "a picked member has to get its lease back"]
pub enum Pick {
    /// This member, now.
    Member(Granted),
    /// All suitable members are full, or none is usable and `timeout` allows to wait for one. A [`Wake`] with the
    /// request's token follows, at the latest from [`crate::Balancer::tick`] at this time.
    Wait {
        /// When the wait ends without a member.
        until: Instant,
    },
    /// No member: 503.
    None(Unavailable),
}

/// A member, and the right to send it one request.
#[derive(Debug)]
#[must_use = "a picked member has to get its lease back"]
pub struct Granted {
    /// Which one.
    pub member: MemberId,
    /// Goes back with [`crate::Balancer::done`], whatever happens.
    pub lease: Lease,
    /// What the request's session has to do with it.
    pub session: Session,
    /// How long the request waited in this balancer.
    pub waited: Duration,
}

/// The right to one request of one member, counted as in flight until it comes back.
///
/// It is no guard: the balancer has no lock and no owner of its own. Keep it in one.
#[derive(Debug)]
#[must_use = "the member counts this request as in flight until the lease comes back"]
pub struct Lease {
    pub(crate) member: MemberId,
    /// How many members the request had tried before this one.
    pub(crate) tried: u32,
    pub(crate) granted: Instant,
    pub(crate) answered: bool,
    pub(crate) traffic_counts: bool,
}

impl Lease {
    /// Whether the method looks at bytes: [`crate::Balancer::count_bytes`] is worth a call while the request lasts.
    pub fn traffic_counts(&self) -> bool {
        self.traffic_counts
    }

    /// The member.
    pub fn member(&self) -> MemberId {
        self.member
    }
}

/// A request's session, for the variables of [`crate::environment`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Session {
    /// `BALANCER_SESSION_STICKY`: the name of the cookie or parameter that had a route.
    pub sticky: Option<String>,
    /// `BALANCER_SESSION_ROUTE`: that route, which may be no member's.
    pub route: Option<Vec<u8>>,
    /// `BALANCER_ROUTE_CHANGED`: sessions are sticky, and the request asked for another route or none.
    pub route_changed: bool,
}

/// A request that waited has its answer.
#[derive(Debug)]
#[must_use = "it may hold a lease"]
pub struct Wake {
    /// Whose.
    pub token: Token,
    /// A member that is kept free for it, or why there is none.
    pub result: Result<Granted, Unavailable>,
}

/// Why there is no member: 503 for the client, and this sentence for the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// The balancer is empty.
    #[error("the balancer has no members")]
    NoMembers,
    /// All are in Error, disabled, stopped, draining or failed their health checks.
    #[error("no member of the balancer is usable")]
    NoneUsable,
    /// `nofailover`: the session's own member is not usable.
    #[error("the member with the session's route `{}` is not usable, and nofailover is on", .0.escape_ascii())]
    RouteUnusable(Vec<u8>),
    /// As many wait already as may.
    #[error("all members are full, and {0} requests wait already")]
    QueueFull(usize),
    /// `acquire` or `timeout` went by.
    #[error("no member became free within {0:?}")]
    WaitedTooLong(Duration),
}

/// How a request ended at its member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// Answered or failed.
    pub ending: Ending,
    /// Bytes sent to the member that [`crate::Balancer::count_bytes`] was not told of: head and body, as Apache counts.
    pub sent: u64,
    /// Bytes received from it, likewise: status line and body, as Apache counts.
    pub received: u64,
}

impl Outcome {
    /// A response of that status, complete or not, and the bytes both ways.
    pub fn answered(status: u16, sent: u64, received: u64) -> Outcome {
        Outcome {
            ending: Ending::Answered { status },
            sent,
            received,
        }
    }

    /// No response, and what that means for another attempt.
    pub fn failed(failure: Failure, exposure: Exposure) -> Outcome {
        Outcome {
            ending: Ending::Failed { failure, exposure },
            sent: 0,
            received: 0,
        }
    }

    /// The member was not asked, or the client left before the member had answered: says nothing about the member.
    pub fn unused() -> Outcome {
        Outcome {
            ending: Ending::Unused,
            sent: 0,
            received: 0,
        }
    }
}

/// See [`Outcome`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The member's response came.
    Answered {
        /// Its status.
        status: u16,
    },
    /// It did not.
    Failed {
        /// Why.
        failure: Failure,
        /// Whether the request may be sent again.
        exposure: Exposure,
    },
    /// The member has not shown how it is.
    Unused,
}

/// Why a member did not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Failure {
    /// No connection: refused, unreachable, not in time, its name unknown, its certificate wrong.
    Connect,
    /// Connected, and the response did not begin, or go on, in time.
    Timeout,
    /// The connection broke or what came was no HTTP.
    Broke,
}

impl Failure {
    /// The statuses that `failonstatus` sees: what Apache's `mod_proxy_http` returns, and what Carme's clients get where
    /// that is another.
    pub fn statuses(self) -> &'static [u16] {
        match self {
            Failure::Connect => &[503, 502],
            Failure::Timeout => &[502, 504],
            Failure::Broke => &[502],
        }
    }
}

/// How much of a failed request has got out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Exposure {
    /// Not one byte reached a member.
    NothingSent,
    /// Some did, and the member may have acted on them.
    Sent {
        /// Whether the method is idempotent and the whole body can be sent once more.
        repeatable: bool,
    },
    /// The client has seen a part of the answer.
    Answering,
}

/// What to do after [`crate::Balancer::done`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Next {
    /// Nothing; a failure goes to the client.
    Finish,
    /// Pick again, with the member among those tried.
    TryAnother,
}
