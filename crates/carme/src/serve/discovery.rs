//! Members that are found, beside those that are configured.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use carme_config::{Discover, DiscoverSource, DnsQuestion, FoundAt, Member};
use carme_discovery::{Consul, Dns, Engine, File, Found, Question, follow};
use carme_proxy::Cluster;
use tokio::task::JoinSet;

use super::balancers;

/// A balancer's members: those that its configuration names, then those that were found. They become the cluster's as
/// soon as either changes.
pub(super) struct Membership {
    cluster: Arc<Cluster>,
    state: Mutex<State>,
}

struct State {
    configured: carme_config::Balancer,
    found: Vec<Listed>,
    /// Those of them whose route is a configured member's, as the log has been told.
    shadowed: Vec<Shadowed>,
    following: Option<Following>,
}

/// A member that was found.
#[derive(Debug, Clone, PartialEq)]
enum Listed {
    /// Where it is; the rest is said of all of them.
    At(FoundAt),
    /// All of it.
    Whole(Box<Member>),
}

/// A member that was found, with the route of one that is configured: sessions with it go to the latter.
#[derive(Debug, Clone, PartialEq)]
struct Shadowed {
    found: String,
    route: String,
    configured: String,
}

impl std::fmt::Display for Shadowed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Shadowed {
            found,
            route,
            configured,
        } = self;
        write!(
            f,
            "the member {found}, which was found, has the route {route} of {configured}: sessions with that route go to the \
             latter (route = \"…\" in discover.member gives found members other ones)"
        )
    }
}

/// Somebody is asked, until this is dropped.
struct Following {
    asked: Discover,
    _task: JoinSet<()>,
}

impl Membership {
    /// The members of a cluster that has the configured ones already. Call it within the runtime.
    pub(super) fn new(cluster: Arc<Cluster>, configured: &carme_config::Balancer) -> Arc<Self> {
        let membership = Arc::new(Membership {
            cluster,
            state: Mutex::new(State {
                configured: configured.clone(),
                found: Vec::new(),
                shadowed: Vec::new(),
                following: None,
            }),
        });
        let mut state = membership.state();
        membership.ask(&mut state);
        drop(state);
        membership
    }

    /// A new configuration. If somebody else is asked from now on, what was found stays until there is an answer.
    pub(super) fn configure(self: &Arc<Self>, configured: &carme_config::Balancer) {
        let mut state = self.state();
        state.configured = configured.clone();
        self.ask(&mut state);
        self.apply(&mut state);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask(self: &Arc<Self>, state: &mut State) {
        let Some(wanted) = &state.configured.discover else {
            state.following = None;
            state.found.clear();
            return;
        };
        let is_asked = |following: &Following| match wanted.source {
            // What is said of all members is in what was read.
            DiscoverSource::File { .. } => following.asked == *wanted,
            _ => following.asked.source == wanted.source,
        };
        if !state.following.as_ref().is_some_and(is_asked) {
            let mut task = JoinSet::new();
            self.spawn(&mut task, &state.configured.name, wanted);
            state.following = Some(Following {
                asked: wanted.clone(),
                _task: task,
            });
        }
    }

    fn spawn(self: &Arc<Self>, task: &mut JoinSet<()>, name: &str, discover: &Discover) {
        match discover.source.clone() {
            DiscoverSource::Dns {
                question,
                servers,
                interval,
            } => {
                let question = match question {
                    DnsQuestion::Addresses { name, port } => Question::Addresses { name, port },
                    DnsQuestion::Services { name } => Question::Services { name },
                };
                self.follow(task, name, Dns::new(question, servers, interval), at);
            }
            DiscoverSource::Consul {
                service,
                authority,
                tag,
                datacenter,
                token,
            } => {
                let consul = Consul::new(authority, service).tag(tag).datacenter(datacenter);
                let consul = consul.token(token.map(|token| token.0));
                self.follow(task, name, consul, at);
            }
            DiscoverSource::File { path, interval } => {
                let read = reader(discover, path.clone());
                self.follow(task, name, File::new(path, interval, read), whole);
            }
        }
    }

    fn follow<E>(
        self: &Arc<Self>,
        task: &mut JoinSet<()>,
        name: &str,
        engine: E,
        listed: fn(E::Member) -> Listed,
    ) where
        E: Engine + Send + 'static,
    {
        // The task is the membership's own.
        let (membership, name) = (Arc::downgrade(self), name.to_owned());
        task.spawn(async move {
            let sink = |found: Vec<E::Member>| {
                if let Some(membership) = membership.upgrade() {
                    membership.found(found.into_iter().map(listed).collect());
                }
            };
            match follow(&name, engine, sink).await {}
        });
    }

    fn found(&self, found: Vec<Listed>) {
        let mut state = self.state();
        state.found = found;
        self.apply(&mut state);
    }

    fn apply(&self, state: &mut State) {
        let mut balancer = state.configured.clone();
        let found = state.members();
        state.tell_of_shadowed(&found);
        balancer.members.extend(found);
        self.cluster
            .replace(balancers::settings(&balancer), balancers::nodes(&balancer));
    }
}

impl State {
    /// Warns of those of which it has not warned.
    fn tell_of_shadowed(&mut self, found: &[Member]) {
        let configured = &self.configured.members;
        let shadowed = found.iter().filter_map(|found| {
            let route = found.route.as_deref()?;
            let of_route = |member: &&Member| member.route.as_deref() == Some(route);
            let first = configured.iter().find(of_route)?;
            Some(Shadowed {
                found: found.url.to_string(),
                route: route.to_owned(),
                configured: first.url.to_string(),
            })
        });
        let shadowed: Vec<Shadowed> = shadowed.collect();
        for one in shadowed.iter().filter(|one| !self.shadowed.contains(one)) {
            tracing::warn!("balancer {}: {one}", self.configured.name);
        }
        self.shadowed = shadowed;
    }

    /// Those that were found.
    fn members(&self) -> Vec<Member> {
        let Some(discover) = &self.configured.discover else {
            return Vec::new();
        };
        let mut places = Vec::new();
        let mut members = Vec::new();
        for listed in &self.found {
            match listed {
                Listed::At(at) => places.push(at.clone()),
                Listed::Whole(member) => members.push(Member::clone(member)),
            }
        }
        let configured = &self.configured.members;
        members.extend(discover.member.members(&places));
        // What is configured counts more.
        members.retain(|found| configured.iter().all(|member| member.url != found.url));
        members
    }
}

fn at(found: Found) -> Listed {
    Listed::At(FoundAt {
        host: found.host,
        port: found.port,
        name: found.name,
        weight: found.weight,
        set: found.set,
    })
}

fn whole(member: Member) -> Listed {
    Listed::Whole(Box::new(member))
}

fn reader(discover: &Discover, path: PathBuf) -> carme_discovery::Read<Member> {
    let all = discover.member.clone();
    Arc::new(move |text| all.read(text, &path).map_err(|problems| problems.to_string()))
}
