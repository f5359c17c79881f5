//! A balancer at work: requests come for a member, wait for one if they have to, and give it back.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use carme_balancer::{
    Balancer, BalancerReport, Granted, MemberId, Pick, Request, Settings, Token, Unavailable,
};
use carme_metrics::{Histogram, Snapshot};
use fastrand::Rng;
use tokio::sync::{Notify, oneshot};

use crate::endpoint::Endpoint;
use crate::member::{Label, Member};
use crate::seat::Seat;
use crate::tls::TlsClient;

/// How often idle connections are looked at.
const SWEEP: Duration = Duration::from_secs(1);

/// What a member is for the balancer, and how it is reached.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// For the balancer.
    pub member: carme_balancer::Member,
    /// For its connections.
    pub endpoint: Arc<Endpoint>,
}

/// What choosing a member needs to know of a request.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ask<'a> {
    /// Path and query as the client sent them.
    pub path_and_query: &'a [u8],
    /// The values of its `Cookie` fields.
    pub cookies: &'a [&'a [u8]],
    /// What the method `hash` looks at.
    pub hash_key: Option<&'a [u8]>,
}

/// A balancer and the connections to its members. Shared by all requests that are sent to it.
pub struct Cluster {
    name: Bytes,
    state: Mutex<State>,
    /// How long those waited that got a member.
    waits: Histogram,
    /// There may be something to do at another time than before.
    retimed: Notify,
    /// Members may have to be checked at another time than before.
    pub(crate) rechecked: Notify,
}

struct State {
    balancer: Balancer,
    /// Those that the balancer has, and no others.
    members: HashMap<MemberId, (Arc<Member>, Arc<Label>)>,
    /// By name, how those that are configured or were added are reached.
    endpoints: HashMap<String, Arc<Endpoint>>,
    /// For those that speak TLS.
    tls: Option<TlsClient>,
    /// Of all members, for addresses in their answers.
    reached: Arc<[Arc<Endpoint>]>,
    waiting: HashMap<Token, oneshot::Sender<Result<Seat, Unavailable>>>,
    tokens: u64,
    /// Not for secrets.
    random: Rng,
}

impl State {
    /// The members' connections and names, after a change.
    fn follow_members(&mut self) {
        let mut before = std::mem::take(&mut self.members);
        for (id, config) in self.balancer.members() {
            let label = Arc::new(Label {
                name: config.name.clone().into(),
                route: config.route.clone().unwrap_or_default().into(),
            });
            let endpoint = self.endpoints.get(&config.name);
            let tls = self.tls.as_ref();
            let secure = endpoint
                .filter(|endpoint| endpoint.is_secure)
                .and_then(|endpoint| Some(tls?.config(endpoint.protocol)));
            let member = match (before.remove(&id), endpoint) {
                // One that is being removed is not configured any more.
                (Some((member, _)), None) => member,
                (Some((member, _)), Some(endpoint)) if member.is_reached(endpoint, &secure) => member,
                (_, Some(endpoint)) => Arc::new(Member::new(id, Arc::clone(endpoint), secure)),
                (None, None) => continue,
            };
            self.members.insert(id, (member, label));
        }
        let members = self.members.values();
        self.reached = members.map(|(member, _)| Arc::clone(&member.endpoint)).collect();
    }

    /// Members that were added by hand stay, those that are gone need nothing more.
    fn keep_endpoints_of_members(&mut self) {
        let balancer = &self.balancer;
        self.endpoints.retain(|name, _| balancer.find(name).is_some());
    }
}

impl Cluster {
    /// A balancer with these members, in this order. `seed` is a random number, by which fronts differ.
    pub fn new(settings: Settings, nodes: Vec<Node>, seed: u64) -> Arc<Self> {
        let name = Bytes::from(settings.name.clone());
        let members = nodes.iter().map(|node| node.member.clone());
        let mut state = State {
            balancer: Balancer::new(settings, members),
            members: HashMap::new(),
            endpoints: endpoints(nodes),
            tls: None,
            reached: Arc::default(),
            waiting: HashMap::new(),
            tokens: 0,
            random: Rng::with_seed(seed),
        };
        state.follow_members();
        Arc::new(Cluster {
            name,
            state: Mutex::new(state),
            waits: Histogram::default(),
            retimed: Notify::new(),
            rechecked: Notify::new(),
        })
    }

    /// `BALANCER_NAME`
    pub fn name(&self) -> &Bytes {
        &self.name
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the balancer, and has what follows from that happen. Members come and go by [`Cluster::replace`] and
    /// [`Cluster::add`].
    pub fn with<T>(self: &Arc<Self>, act: impl FnOnce(&mut Balancer, Instant) -> T) -> T {
        let mut state = self.state();
        let outcome = act(&mut state.balancer, now());
        self.members_changed(state);
        outcome
    }

    /// All that there is to see, now.
    pub fn report(&self) -> BalancerReport {
        self.look(|balancer| balancer.report(now()))
    }

    /// How long it will take until another try is worth while for whoever has got this answer, as far as that is known.
    pub fn retry_after(&self, reason: &Unavailable) -> Option<Duration> {
        self.look(|balancer| balancer.retry_after(reason, now()))
    }

    /// Other settings and members: a new configuration, or what discovery has found. What goes finishes what it has.
    pub fn replace(self: &Arc<Self>, settings: Settings, nodes: Vec<Node>) {
        let mut state = self.state();
        let now = now();
        state.balancer.configure(settings, now);
        let members: Vec<_> = nodes.iter().map(|node| node.member.clone()).collect();
        state.endpoints.extend(endpoints(nodes));
        state.balancer.replace_members(members, now);
        state.keep_endpoints_of_members();
        self.members_changed(state);
    }

    /// What TLS to members is done with from now on; connections that were made with another are not used again. Without
    /// it members that speak TLS cannot be reached.
    pub fn set_tls(self: &Arc<Self>, tls: Option<TlsClient>) {
        let mut state = self.state();
        state.tls = tls;
        self.members_changed(state);
    }

    /// Whether members that speak TLS can be reached.
    pub fn has_tls(&self) -> bool {
        self.state().tls.is_some()
    }

    /// One more member by hand.
    ///
    /// # Errors
    /// There is one of that name.
    pub fn add(self: &Arc<Self>, node: Node) -> Result<MemberId, carme_balancer::Refused> {
        let mut state = self.state();
        let name = node.member.name.clone();
        let added = state.balancer.add(node.member, now());
        if added.is_ok() {
            state.endpoints.insert(name, node.endpoint);
        }
        self.members_changed(state);
        added
    }

    fn members_changed(self: &Arc<Self>, mut state: MutexGuard<'_, State>) {
        state.follow_members();
        self.settle(state);
        self.rechecked.notify_one();
    }

    /// How its members are reached.
    pub fn endpoints(&self) -> Arc<[Arc<Endpoint>]> {
        Arc::clone(&self.state().reached)
    }

    /// Looks at the balancer.
    pub fn look<T>(&self, look: impl FnOnce(&Balancer) -> T) -> T {
        look(&self.state().balancer)
    }

    /// A member at work.
    pub(crate) fn member(&self, id: MemberId) -> Option<(Arc<Member>, Arc<Label>)> {
        self.state().members.get(&id).cloned()
    }

    pub(crate) fn resend(&self) -> carme_balancer::Resend {
        self.look(|balancer| balancer.settings().resend)
    }

    /// How each member is reached, and how many idle connections there are to it.
    pub fn connections(&self) -> Vec<(MemberId, Arc<Endpoint>, usize)> {
        let state = self.state();
        let ids = state.balancer.members().map(|(id, _)| id);
        let reached = |id: MemberId| {
            let (member, _) = state.members.get(&id)?;
            Some((id, Arc::clone(&member.endpoint), member.idle_connections()))
        };
        ids.filter_map(reached).collect()
    }

    /// How long requests that got a member waited for it.
    pub fn waits(&self) -> Snapshot {
        self.waits.snapshot()
    }

    // ----- requests

    /// A member for a request; it may have to wait. `tried` are those that have failed it.
    ///
    /// # Errors
    /// There is none, and will be none in time.
    pub(crate) async fn acquire(
        self: &Arc<Self>,
        ask: &Ask<'_>,
        tried: &[MemberId],
    ) -> Result<Seat, Unavailable> {
        let (place, arrival) = {
            let mut state = self.state();
            state.tokens += 1;
            let token = Token(state.tokens);
            let random = state.random.u64(..);
            let request = Request {
                token,
                path_and_query: ask.path_and_query,
                cookies: ask.cookies,
                hash_key: ask.hash_key,
                random,
                tried,
            };
            match state.balancer.pick(&request, now()) {
                Pick::Member(granted) => {
                    let seat = self.seat(&state, granted);
                    self.settle(state);
                    return seat.ok_or(Unavailable::NoMembers);
                }
                Pick::None(reason) => {
                    self.settle(state);
                    return Err(reason);
                }
                Pick::Wait { .. } => {
                    let (sender, arrival) = oneshot::channel();
                    state.waiting.insert(token, sender);
                    let cluster = Arc::clone(self);
                    self.settle(state);
                    (Place { cluster, token }, arrival)
                }
            }
        };
        let arrived = arrival.await;
        drop(place);
        arrived.unwrap_or(Err(Unavailable::NoMembers))
    }

    fn seat(self: &Arc<Self>, state: &State, granted: Granted) -> Option<Seat> {
        let (member, label) = state.members.get(&granted.member)?;
        self.waits.observe(granted.waited);
        Some(Seat::new(
            Arc::clone(self),
            Arc::clone(member),
            Arc::clone(label),
            granted,
        ))
    }

    /// Tells the balancer how a request went.
    pub(crate) fn act<T>(self: &Arc<Self>, act: impl FnOnce(&mut Balancer, Instant) -> T) -> T {
        let mut state = self.state();
        let outcome = act(&mut state.balancer, now());
        self.settle(state);
        outcome
    }

    /// Gives those who have waited what they have got.
    fn settle(self: &Arc<Self>, mut state: MutexGuard<'_, State>) {
        let mut arrived = Vec::new();
        while let Some(wake) = state.balancer.next_wake() {
            let result = match wake.result {
                Ok(granted) => self.seat(&state, granted).ok_or(Unavailable::NoMembers),
                Err(reason) => Err(reason),
            };
            arrived.push((state.waiting.remove(&wake.token), result));
        }
        let is_timed = !state.waiting.is_empty();
        drop(state);
        if is_timed {
            self.retimed.notify_one();
        }
        // Without the lock: a seat that nobody wants any more goes back at once.
        for (waiter, result) in arrived {
            if let Some(waiter) = waiter {
                let _ = waiter.send(result);
            }
        }
    }

    // ----- time

    /// Does what is to be done at its time, until it is dropped.
    pub(crate) async fn keep_time(self: Arc<Self>) {
        tokio::join!(self.keep_waiting(), self.keep_checking(), self.keep_filled());
    }

    async fn keep_waiting(self: &Arc<Self>) {
        let mut sweep = tokio::time::interval(SWEEP);
        sweep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let next = self.look(|balancer| balancer.next_tick(now()));
            let due = async {
                match next {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = due => self.act(|balancer, now| balancer.tick(now)),
                () = self.retimed.notified() => {}
                _ = sweep.tick() => self.sweep(),
            }
        }
    }

    fn sweep(&self) {
        let members: Vec<_> = {
            let state = self.state();
            let members = state.members.values();
            members.map(|(member, _)| Arc::clone(member)).collect()
        };
        for member in members {
            member.sweep();
        }
    }
}

/// The time, as tokio has it: a test can move it.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

fn endpoints(nodes: Vec<Node>) -> HashMap<String, Arc<Endpoint>> {
    let named = nodes.into_iter().map(|node| (node.member.name, node.endpoint));
    named.collect()
}

/// A request's place among those that wait.
struct Place {
    cluster: Arc<Cluster>,
    token: Token,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.cluster.state();
        // Not there any more: it has been served.
        if state.waiting.remove(&self.token).is_some() {
            state.balancer.cancel(self.token, now());
        }
        self.cluster.settle(state);
    }
}
