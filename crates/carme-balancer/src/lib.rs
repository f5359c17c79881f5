//! Which member of a balancer is next.
//!
//! Pure: no I/O, no clock, no randomness, no locks. Times and random numbers come with the calls, so that every decision
//! can be repeated in a test. It knows no HTTP either: a request is its path, its cookies and a key ([`Request`]).
//!
//! # How the calls go together
//!
//! 1. [`Balancer::pick`] gives a member and a [`Lease`], or says that the request waits, or that there is none (503).
//! 2. A request that waits is named by its [`Token`]. After **every** call that takes `&mut self`, ask
//!    [`Balancer::next_wake`] until it is empty: each [`Wake`] is one request that has its member (counted as in flight
//!    already) or is refused. If the client leaves first, [`Balancer::cancel`].
//! 3. [`Balancer::answered`] when the head of the member's response is there; [`Balancer::count_bytes`] now and then
//!    for long bodies; [`Balancer::done`] exactly once for each lease, whatever happened.
//! 4. If `done` says [`Next::TryAnother`], pick again with the member in [`Request::tried`]; if that gives no member, the
//!    failure before is the client's answer.
//! 5. One timer: [`Balancer::tick`] at [`Balancer::next_tick`], asked anew after every change. Another for checks:
//!    [`Balancer::due_checks`] at [`Balancer::next_check`], their results to [`Balancer::checked`].
//! 6. By hand: [`Balancer::change`], [`Balancer::change_setting`], [`Balancer::add`], [`Balancer::remove`];
//!    [`Balancer::by_hand`] and [`Balancer::restore`] keep that over a restart. A new configuration:
//!    [`Balancer::configure`] and [`Balancer::replace_members`], also for discovery.
//! 7. [`environment`] gives the variables that Apache sets for logs and header rules.
//!
//! ```
//! use std::time::Instant;
//! use carme_balancer::{Balancer, Member, Next, Outcome, Pick, Request, Settings, Token};
//!
//! let members = ["http://192.168.0.10:9001", "http://192.168.0.10:9002"].map(Member::new);
//! let mut balancer = Balancer::new(Settings::apache("balancer://cluster"), members);
//! assert_eq!(balancer.members().count(), 2);
//! let now = Instant::now();
//! let Pick::Member(granted) = balancer.pick(&Request::plain(Token(1), 0), now) else { panic!() };
//! assert_eq!(balancer.member(granted.member).unwrap().name, "http://192.168.0.10:9001");
//! let next = balancer.done(granted.lease, Outcome::answered(200, 80, 1200), now);
//! assert_eq!(next, Next::Finish);
//! assert!(balancer.next_wake().is_none());
//! ```
//!
//! # What is Apache's and what is not
//!
//! Methods, sets, spares, standbys, sticky routes, redirects, retry, forced recovery and the counting of attempts are those
//! of Apache httpd 2.4; each module names the function that it follows, and `tests/apache` holds what Apache itself did in
//! 980 cases, which come out the same here to the last counter. Different on purpose:
//!
//! - `max` holds for all requests together and exactly; Apache has it per child process. Requests go past full members,
//!   and wait, first come first served, only when all suitable ones are full. Apache chooses first and waits then.
//! - Waiting for a usable member (`timeout`) is waiting, not polling, and any number of requests can.
//! - A member whose `retry` is over, or that was recovered by force, gets one request at a time until it has answered.
//! - With [`Settings::untried_first`] another attempt goes to members that the request has not tried, if one is usable.
//! - Passes and fails of health checks count one after another, as in Apache's manual.
//! - A timeout counts as 504, which is what Carme's clients get, and as Apache's 502 for `failonstatus`.
//! - Changes by hand outlive a reload; members can be removed.
//! - Resetting a method leaves requests in flight and the displayed counters alone.

#![forbid(unsafe_code)]

mod balancer;
mod environment;
mod health;
mod member;
mod method;
mod report;
mod request;
mod settings;
mod status;
mod sticky;
mod waiting;

pub use balancer::{Balancer, ByHand, Change, Refused, SettingChange};
pub use environment::environment;
pub use health::{
    Check, CheckMethod, CheckResponse, Condition, Expect, Expression, ExpressionError, HealthChange,
    HealthCheck,
};
pub use report::{BalancerReport, MemberReport, State};
pub use request::{
    Ending, Exposure, Failure, Granted, Lease, MemberId, Next, Outcome, Pick, Request, Session, Token,
    Unavailable, Wake,
};
pub use settings::{Awaits, LbSet, LoadFactor, Member, Method, Resend, Settings};
pub use status::{Flag, Status, UnknownStatus};
pub use sticky::{SessionRoute, StickySession};
