//! [`Balancer`]: the members, the queue before them, and what happens to a request between pick and done.

mod by_hand;
mod changes;
mod checks;
mod choosing;
mod membership;
mod queueing;
mod returning;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use crate::member::{Live, Origin};
use crate::request::{
    Ending, Exposure, Failure, Granted, Lease, MemberId, Next, Outcome, Pick, Request, Session, Token,
    Unavailable, Wake,
};
use crate::settings::{Member, Method, Resend, Settings};
use crate::status::Flag;
use crate::waiting::{For, Waiter, Waiting};

pub use by_hand::{ByHand, SettingChange};
pub use changes::{Change, Refused};
use choosing::{Decision, Wanted};

/// A balancer. See the [crate's documentation](crate) for how its calls go together.
#[derive(Debug)]
pub struct Balancer {
    /// As configured, to tell what was changed by hand.
    configured: Settings,
    pub(crate) settings: Settings,
    /// Names of configured members that were removed by hand.
    removed: BTreeSet<String>,
    /// Changes by hand of members that are not there yet, by their names.
    expected: BTreeMap<String, Vec<Change>>,
    pub(crate) members: Vec<Live>,
    pub(crate) waiting: Waiting,
    wakes: VecDeque<Wake>,
    last_id: u64,
    /// Counts choices; see [`Live::last_chosen`].
    choices: u64,
    /// Requests refused, for the status.
    pub(crate) refused: u64,
}

impl Balancer {
    /// A balancer with these members, in this order, which Apache's methods look at them in. Of members with the same
    /// name only the first counts.
    pub fn new(settings: Settings, members: impl IntoIterator<Item = Member>) -> Balancer {
        let mut balancer = Balancer {
            configured: settings.clone(),
            settings,
            removed: BTreeSet::new(),
            expected: BTreeMap::new(),
            members: Vec::new(),
            waiting: Waiting::default(),
            wakes: VecDeque::new(),
            last_id: 0,
            choices: 0,
            refused: 0,
        };
        for member in members {
            if balancer.find(&member.name).is_none() {
                balancer.push_member(member, Origin::Configured);
            }
        }
        balancer
    }

    /// What is configured, with all changes since.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// A member's configuration, with all changes since but those of its status. `None`: it is gone.
    pub fn member(&self, id: MemberId) -> Option<&Member> {
        Some(&self.members[self.index_of(id)?].config)
    }

    /// All members in order, those that are being removed included: what there have to be connections for.
    pub fn members(&self) -> impl Iterator<Item = (MemberId, &Member)> {
        self.members.iter().map(|member| (member.id, &member.config))
    }

    /// The member of that name, unless it is being removed.
    pub fn find(&self, name: &str) -> Option<MemberId> {
        let member = self
            .members
            .iter()
            .find(|m| m.config.name == name && !m.status.has(Flag::Shutdown))?;
        Some(member.id)
    }

    /// Chooses a member for a request: `proxy_balancer_pre_request`.
    pub fn pick(&mut self, request: &Request<'_>, now: Instant) -> Pick {
        // Time alone may have made room; those who wait come first.
        self.serve_waiting(now);
        let session = self.asked_session(request);
        let wanted = Wanted {
            route: session.route.as_deref(),
            hash_key: request.hash_key,
            random: request.random,
            tried: request.tried,
        };
        let (waits_for, limit) = match self.decide(&wanted, now) {
            Decision::Member { index, route_changed } => {
                let session = Session {
                    route_changed,
                    ..session
                };
                let tried = request.tried.len() as u32;
                return Pick::Member(self.grant(index, session, tried, Duration::ZERO, now));
            }
            Decision::Full { waits_for, limit } => (waits_for, limit),
            Decision::NoneUsable
                if !self.is_worth_waiting(wanted.route, now + self.settings.timeout, now) =>
            {
                return self.refuse(self.none_usable());
            }
            Decision::NoneUsable => (For::Any, self.settings.timeout),
            Decision::Refused(reason) => return self.refuse(reason),
        };
        if self.waiting.len() >= self.settings.queue_limit {
            return self.refuse(Unavailable::QueueFull(self.waiting.len()));
        }
        let until = now + limit;
        self.waiting.push(Waiter {
            token: request.token,
            session,
            hash_key: request.hash_key.map(Box::from),
            random: request.random,
            tried: request.tried.to_vec(),
            since: now,
            until,
            waits_for,
        });
        Pick::Wait { until }
    }

    fn refuse(&mut self, reason: Unavailable) -> Pick {
        self.refused += 1;
        Pick::None(reason)
    }

    fn none_usable(&self) -> Unavailable {
        if self.members.is_empty() {
            Unavailable::NoMembers
        } else {
            Unavailable::NoneUsable
        }
    }

    /// What session the request asks for, if sessions are sticky.
    fn asked_session(&self, request: &Request<'_>) -> Session {
        let sticky = self.settings.sticky.as_ref();
        match sticky.and_then(|sticky| sticky.find(request.path_and_query, request.cookies)) {
            None => Session::default(),
            Some(found) => Session {
                sticky: Some(found.sticky.to_owned()),
                route: Some(found.route.to_vec()),
                route_changed: false,
            },
        }
    }

    fn grant(
        &mut self,
        index: usize,
        session: Session,
        tried: u32,
        waited: Duration,
        now: Instant,
    ) -> Granted {
        self.choices += 1;
        let member = &mut self.members[index];
        member.busy += 1;
        member.elected += 1;
        member.last_chosen = self.choices;
        let lease = Lease {
            member: member.id,
            tried,
            granted: now,
            answered: false,
            traffic_counts: self.settings.method == Method::ByTraffic,
        };
        Granted {
            member: member.id,
            lease,
            session,
            waited,
        }
    }

    /// The head of the member's response is there: it is alive, and its latency is known. Without this call
    /// [`Balancer::done`] takes the whole response for it, and a member on probation gets its second request only then.
    pub fn answered(&mut self, lease: &mut Lease, status: u16, now: Instant) {
        if lease.answered {
            return;
        }
        lease.answered = true;
        let Some(index) = self.index_of(lease.member) else {
            return;
        };
        let member = &mut self.members[index];
        member.failures_in_row = 0;
        member
            .ewma
            .observe(now.saturating_duration_since(lease.granted), status >= 500, now);
        let was = member.coming_back;
        member.prove(now);
        if was != member.coming_back {
            self.restart_traffic();
            self.serve_waiting(now);
        }
    }

    /// Counts bytes of a request that goes on, so that `bytraffic` sees them while it lasts. Apache counts what it sends
    /// when it is sent, and what it receives as it comes.
    pub fn count_bytes(&mut self, lease: &Lease, sent: u64, received: u64) {
        if let Some(index) = self.index_of(lease.member) {
            self.members[index].transferred += sent;
            self.members[index].read += received;
        }
    }

    /// The request is done with its member: `proxy_balancer_post_request`, and the part of `proxy_handler`
    /// (`mod_proxy.c`) that decides on another attempt.
    pub fn done(&mut self, mut lease: Lease, outcome: Outcome, now: Instant) -> Next {
        self.count_bytes(&lease, outcome.sent, outcome.received);
        if let Ending::Answered { status } = outcome.ending {
            self.answered(&mut lease, status, now);
        }
        let Some(index) = self.index_of(lease.member) else {
            return Next::Finish;
        };
        let member = &mut self.members[index];
        member.busy -= 1;
        match outcome.ending {
            Ending::Answered { status } => self.apply_statuses(index, &[status], now),
            Ending::Failed { failure, .. } => self.apply_failure(index, failure, lease.granted, now),
            Ending::Unused => {}
        }
        let next = self.next_attempt(index, &lease, outcome.ending);
        if self.members[index].status.has(Flag::Shutdown) && self.members[index].busy == 0 {
            self.members.remove(index);
        }
        self.serve_waiting(now);
        next
    }

    fn apply_statuses(&mut self, index: usize, statuses: &[u16], now: Instant) {
        if statuses
            .iter()
            .any(|status| self.settings.fail_on_status.contains(status))
        {
            self.members[index].mark_error(now);
        }
    }

    fn apply_failure(&mut self, index: usize, failure: Failure, granted: Instant, now: Instant) {
        let member = &mut self.members[index];
        member.failures += 1;
        member.failures_in_row += 1;
        member
            .ewma
            .observe(now.saturating_duration_since(granted), true, now);
        let marks = failure == Failure::Connect
            || (failure == Failure::Timeout && self.settings.fail_on_timeout)
            || self
                .settings
                .max_fails
                .is_some_and(|max| member.failures_in_row >= max.get());
        if marks {
            member.mark_error(now);
        }
        self.apply_statuses(index, failure.statuses(), now);
    }

    fn next_attempt(&self, index: usize, lease: &Lease, ending: Ending) -> Next {
        let Ending::Failed { failure, exposure } = ending else {
            return Next::Finish;
        };
        let may = match exposure {
            // Apache goes on only from a member that has become unusable: one whose errors are ignored has the last word.
            Exposure::NothingSent if failure == Failure::Connect => !self.members[index].status.is_usable(),
            Exposure::NothingSent => true,
            Exposure::Sent { repeatable } => repeatable && self.settings.resend == Resend::Idempotent,
            Exposure::Answering => false,
        };
        if may && lease.tried < self.max_attempts() {
            Next::TryAnother
        } else {
            Next::Finish
        }
    }

    /// `maxattempts`, by default one less than there are members. Apache's manual says 1 for a single one; its code does
    /// not try a second time then, and neither does this.
    pub(crate) fn max_attempts(&self) -> u32 {
        self.settings
            .max_attempts
            .unwrap_or_else(|| (self.members.len() as u32).saturating_sub(1))
    }

    /// A request that waits has gone, or one that was woken does not want its member any more. Whether it waited.
    pub fn cancel(&mut self, token: Token, now: Instant) -> bool {
        if self.waiting.remove_token(token).is_some() {
            return true;
        }
        let Some(at) = self.wakes.iter().position(|wake| wake.token == token) else {
            return false;
        };
        if let Some(Wake {
            result: Ok(granted), ..
        }) = self.wakes.remove(at)
        {
            let _ = self.done(granted.lease, Outcome::unused(), now);
        }
        true
    }

    fn index_of(&self, id: MemberId) -> Option<usize> {
        self.members.iter().position(|member| member.id == id)
    }

    fn push_member(&mut self, member: Member, origin: Origin) -> MemberId {
        self.last_id += 1;
        let id = MemberId(self.last_id);
        self.members
            .push(Live::new(id, member, origin, self.settings.slow_start));
        id
    }

    /// With a slow start `bytraffic` forgets the past when a member comes back: Apache lets it have all requests until it
    /// has caught up with what it missed.
    fn restart_traffic(&mut self) {
        if !self.settings.slow_start.is_zero() {
            self.forget_traffic();
        }
    }

    fn forget_traffic(&mut self) {
        for member in &mut self.members {
            member.traffic_base = (member.transferred, member.read);
        }
    }
}
