//! From configured balancers to those that requests are sent to.

use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;
use std::time::Duration;

use carme_balancer::{
    Awaits, CheckMethod, Condition, Expect, Flag, HealthCheck, LbSet, LoadFactor, Method, Resend, Settings,
    Status, StickySession,
};
use carme_config::{DiscoverSource, Failover, HealthMethod, MemberFlag, MemberScheme};
use carme_front::{HashKey, Proxied};
use carme_proxy::head::{ErrorOverride, Identity, Passing, Reverse, ReverseFrom, Via};
use carme_proxy::{Address, Endpoint, Kept, MemberTls, Node, Protocol, TlsClient, TlsError, Upgrade};

use super::by_hand;
use super::discovery::Membership;

/// A balancer and what it does by itself.
pub(super) struct Balanced {
    pub(super) name: String,
    pub(super) cluster: Arc<Kept>,
    membership: Arc<Membership>,
    /// What commands have added.
    pub(super) added: by_hand::Added,
}

impl Balanced {
    /// Commands have added a member that speaks TLS.
    fn has_added_tls(&self) -> bool {
        let members = self.cluster.report().members;
        let added: Vec<_> = members.iter().filter(|member| member.added).collect();
        let connections = self.cluster.connections();
        let mut secure = connections.iter().filter(|(_, endpoint, _)| endpoint.is_secure);
        secure.any(|(id, ..)| added.iter().any(|member| member.id == *id))
    }
}

/// What balancers call members over TLS with, in their order; `None` where no member speaks it.
pub(super) struct Trusts(Vec<Option<TlsClient>>);

/// Why that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the balancer {balancer}: {error}")]
pub(super) struct TrustError {
    balancer: String,
    error: TlsError,
}

impl Trusts {
    /// Reads what all of them need, those that are there included: what commands have added to them stays.
    pub(super) fn load(
        configured: &[carme_config::Balancer],
        before: &[Arc<Balanced>],
    ) -> Result<Self, TrustError> {
        let has_added = |name: &str| {
            let old = before.iter().find(|old| old.name == name);
            old.is_some_and(|old| old.has_added_tls())
        };
        let load = |balancer: &carme_config::Balancer| match speaks_tls(balancer) {
            Some(false) if !has_added(&balancer.name) => Ok(None),
            Some(false) => trust(balancer).map(Some),
            Some(true) => trust(balancer).map(Some),
            None => Ok(trust(balancer).ok()),
        };
        Ok(Trusts(configured.iter().map(load).collect::<Result<_, _>>()?))
    }
}

/// What one balancer calls members over TLS with.
pub(super) fn trust(balancer: &carme_config::Balancer) -> Result<TlsClient, TrustError> {
    let carme_config::MemberTls { verify, ca } = balancer.tls.clone();
    MemberTls { verify, ca }.load().map_err(|error| TrustError {
        balancer: balancer.name.clone(),
        error,
    })
}

/// Whether it has members that speak TLS. `None`: nobody knows what will be found.
fn speaks_tls(balancer: &carme_config::Balancer) -> Option<bool> {
    let mut members = balancer.members.iter();
    if members.any(|member| member.url.scheme.is_secure()) {
        return Some(true);
    }
    match &balancer.discover {
        None => Some(false),
        Some(discover) => match discover.source {
            DiscoverSource::File { .. } => None,
            _ => Some(discover.member.scheme().is_secure()),
        },
    }
}

/// Has all of them work. Call it within the runtime.
pub(super) fn start(configured: &[carme_config::Balancer], trusts: Trusts) -> Vec<Arc<Balanced>> {
    follow(configured, trusts, &[])
}

/// The same after a reload: one of the same name stays, with its connections and counters.
pub(super) fn follow(
    configured: &[carme_config::Balancer],
    trusts: Trusts,
    before: &[Arc<Balanced>],
) -> Vec<Arc<Balanced>> {
    let follow_one = |(new, tls): (&carme_config::Balancer, Option<TlsClient>)| match before
        .iter()
        .find(|old| old.name == new.name)
    {
        Some(old) => {
            if tls.is_some() {
                old.cluster.set_tls(tls);
            }
            old.membership.configure(new);
            Arc::clone(old)
        }
        None => start_one(new, tls),
    };
    configured.iter().zip(trusts.0).map(follow_one).collect()
}

fn start_one(configured: &carme_config::Balancer, tls: Option<TlsClient>) -> Arc<Balanced> {
    use std::hash::BuildHasher;
    // Not for secrets: fronts with the same members are not to choose alike.
    let seed = std::hash::RandomState::new().hash_one(&configured.name);
    let cluster = Kept::start(settings(configured), nodes(configured), seed);
    cluster.set_tls(tls);
    Arc::new(Balanced {
        name: configured.name.clone(),
        membership: Membership::new(Arc::clone(&**cluster), configured),
        cluster,
        added: by_hand::Added::default(),
    })
}

/// The balancer at a location of this host.
pub(super) fn proxied(
    configured: &carme_config::Proxying,
    host: Option<&str>,
    balancers: &[Arc<Balanced>],
    config: &carme_config::Config,
) -> Option<Proxied> {
    let balancer = balancers.get(configured.balancer)?;
    let method = &config.balancers.get(configured.balancer)?.method;
    Some(Proxied {
        number: u16::try_from(configured.balancer).unwrap_or(u16::MAX),
        cluster: Arc::clone(&balancer.cluster),
        passing: passing(configured, host),
        hash: match method {
            carme_config::Method::Hash(carme_config::HashKey::Header(name)) => {
                name.parse().map_or(HashKey::Address, HashKey::Header)
            }
            carme_config::Method::Hash(carme_config::HashKey::Cookie(name)) => HashKey::Cookie(name.clone()),
            _ => HashKey::Address,
        },
    })
}

pub(super) fn settings(balancer: &carme_config::Balancer) -> Settings {
    let name = format!("balancer://{}", balancer.name);
    // Whoever wants no more than Apache does gets it as Apache does it.
    let base = match balancer.failover {
        Failover::Unsent => Settings::apache(name),
        Failover::Idempotent => Settings::new(name),
    };
    Settings {
        method: match balancer.method {
            carme_config::Method::Queue => Method::Queue,
            carme_config::Method::ByRequests => Method::ByRequests,
            carme_config::Method::ByTraffic => Method::ByTraffic,
            carme_config::Method::ByBusyness => Method::ByBusyness,
            carme_config::Method::Ewma => Method::PeakEwma,
            carme_config::Method::Hash(_) => Method::Hash,
        },
        sticky: balancer.sticky.as_ref().map(|sticky| StickySession {
            cookie: sticky.cookie.clone(),
            parameter: sticky.parameter.clone(),
            separator: sticky.separator,
            semicolon_delimits: sticky.semicolon,
        }),
        nofailover: balancer.no_failover,
        max_attempts: balancer.max_attempts.map(at_most_u32),
        timeout: balancer.timeout,
        awaits: match balancer.discover {
            // What comes next may be found.
            Some(_) => Awaits::Anything,
            None => base.awaits,
        },
        acquire: match balancer.timeout {
            Duration::ZERO => Settings::DEFAULT_ACQUIRE,
            timeout => timeout,
        },
        queue_limit: balancer.queue_limit.get(),
        fail_on_status: balancer.fail_on_status.iter().copied().collect(),
        fail_on_timeout: balancer.fail_on_timeout,
        force_recovery: balancer.force_recovery,
        slow_start: balancer.slow_start,
        resend: match balancer.failover {
            Failover::Unsent => Resend::NothingSent,
            Failover::Idempotent => Resend::Idempotent,
        },
        ..base
    }
}

pub(super) fn nodes(balancer: &carme_config::Balancer) -> Vec<Node> {
    balancer.members.iter().map(node).collect()
}

/// A member as choosing it sees it, and how it is reached.
pub(super) fn node(configured: &carme_config::Member) -> Node {
    Node {
        member: member(configured),
        endpoint: Arc::new(endpoint(configured)),
    }
}

/// A member as choosing it sees it.
pub(super) fn member(member: &carme_config::Member) -> carme_balancer::Member {
    carme_balancer::Member {
        name: member.url.to_string(),
        route: member.route.clone(),
        redirect: member.redirect.clone(),
        load_factor: LoadFactor::from_hundredths(member.load_factor.hundredths().into())
            .unwrap_or(LoadFactor::ONE),
        lbset: LbSet::new(member.lbset).unwrap_or_default(),
        max: member.pool.max.map(at_most),
        acquire: member.pool.acquire,
        retry: member.retry,
        status: status(member),
        health: member.health.as_ref().map(health),
    }
}

fn status(member: &carme_config::Member) -> Status {
    let flag = |flag: &MemberFlag| match flag {
        MemberFlag::Disabled => Flag::Disabled,
        MemberFlag::Stopped => Flag::Stopped,
        MemberFlag::IgnoreErrors => Flag::IgnoreErrors,
        MemberFlag::HotSpare => Flag::HotSpare,
        MemberFlag::HotStandby => Flag::HotStandby,
        MemberFlag::Error => Flag::Error,
        MemberFlag::Drain => Flag::Drain,
        MemberFlag::FailedCheck => Flag::HealthFailed,
    };
    let flags = member.status.iter().map(flag);
    flags.fold(Status::OK, Status::with)
}

fn health(check: &carme_config::HealthCheck) -> HealthCheck {
    let expect = &check.expect;
    HealthCheck {
        method: match check.method {
            HealthMethod::Tcp => CheckMethod::Tcp,
            HealthMethod::Options => CheckMethod::Options { http11: true },
            HealthMethod::Head => CheckMethod::Head { http11: true },
            HealthMethod::Get => CheckMethod::Get { http11: true },
        },
        interval: check.interval,
        passes: at_most(check.passes),
        fails: at_most(check.fails),
        uri: check.uri.clone(),
        condition: Condition::Expect(Expect {
            statuses: expect.statuses.clone(),
            contains: expect.contains.clone(),
            lacks: expect.lacks.clone(),
        }),
    }
}

fn endpoint(member: &carme_config::Member) -> Endpoint {
    let (url, pool) = (&member.url, &member.pool);
    let host = url.host.clone();
    Endpoint {
        protocol: match url.scheme {
            MemberScheme::Http | MemberScheme::Https => Protocol::Http1,
            MemberScheme::H2c | MemberScheme::H2 => Protocol::Http2,
        },
        is_secure: url.scheme.is_secure(),
        address: match &url.socket {
            Some(path) => Address::Unix {
                path: path.clone(),
                host,
            },
            None => Address::Tcp { host, port: url.port },
        },
        authority: url.authority(),
        path: url.path.clone(),
        min: pool.min,
        smax: pool.smax,
        ttl: pool.ttl,
        reuse: pool.reuse,
        keep_alive: pool.keep_alive,
        timeout: member.timeout,
        connect_timeout: member.connect_timeout,
        ping: member.ping,
        upgrade: match &member.upgrade {
            carme_config::Upgrade::Any => Upgrade::Any,
            carme_config::Upgrade::Never => Upgrade::Never,
            carme_config::Upgrade::Only(protocol) => Upgrade::Only(protocol.clone()),
        },
        receive_buffer: member
            .receive_buffer
            .and_then(|bytes| NonZeroUsize::new(bytes.as_usize())),
        response_field: member.response_field.as_usize(),
        address_ttl: member.address_ttl,
    }
}

fn passing(configured: &carme_config::Proxying, host: Option<&str>) -> Passing {
    let site = host.filter(|host| !host.starts_with('*')).unwrap_or_default();
    let machine = gethostname::gethostname();
    let reverse = |reverse: &carme_config::Reverse| Reverse {
        from: match &reverse.from {
            carme_config::ReverseFrom::Members(path) => ReverseFrom::Members(path.clone()),
            carme_config::ReverseFrom::Url(url) => ReverseFrom::Url(url.clone()),
        },
        to: reverse.to.clone(),
    };
    Passing {
        identity: Identity::new(site, None).on_machine(&machine.to_string_lossy()),
        path: configured.path.clone(),
        preserve_host: configured.preserve_host,
        forwarded_headers: configured.forwarded_headers,
        via: match configured.via {
            carme_config::Via::Off => Via::Off,
            carme_config::Via::On => Via::On,
            carme_config::Via::Full => Via::Full,
            carme_config::Via::Block => Via::Block,
        },
        raw_path: configured.raw_path,
        trace: configured.trace,
        reverse: configured.reverse.iter().map(reverse).collect(),
        cookie_domains: configured.cookie_domains.clone(),
        cookie_paths: configured.cookie_paths.clone(),
        override_errors: match &configured.override_errors {
            carme_config::ErrorOverride::Off => ErrorOverride::Off,
            carme_config::ErrorOverride::All => ErrorOverride::All,
            carme_config::ErrorOverride::Statuses(statuses) => ErrorOverride::Statuses(statuses.clone()),
        },
    }
}

fn at_most_u32(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn at_most(number: NonZeroUsize) -> NonZeroU32 {
    NonZeroU32::try_from(number).unwrap_or(NonZeroU32::MAX)
}
