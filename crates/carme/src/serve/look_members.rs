//! The metrics of balancers and their members, which are looked up when somebody asks.

use carme_balancer::{BalancerReport, MemberReport, State};
use carme_metrics::{Exposition, Kind, Snapshot};

use super::balancers::Balanced;

/// What a member can be, as metrics call it.
const STATES: [State; 11] = [
    State::Ready,
    State::Standby,
    State::Spare,
    State::SlowStart,
    State::Probation,
    State::Draining,
    State::Error,
    State::Unhealthy,
    State::Disabled,
    State::Stopped,
    State::Removed,
];

/// A balancer at one time.
pub(super) struct LookedBalancer {
    name: String,
    report: BalancerReport,
    /// Idle connections, in the order of the report's members.
    idle: Vec<usize>,
    waits: Snapshot,
}

impl LookedBalancer {
    /// As it is now.
    pub(super) fn of(balanced: &Balanced) -> Self {
        let report = balanced.cluster.report();
        let connections = balanced.cluster.connections();
        let idle = |member: &MemberReport| {
            let its = connections.iter().find(|(id, ..)| *id == member.id);
            its.map_or(0, |(.., idle)| *idle)
        };
        LookedBalancer {
            name: balanced.name.clone(),
            idle: report.members.iter().map(idle).collect(),
            report,
            waits: balanced.cluster.waits(),
        }
    }
}

type PickBalancer = fn(&BalancerReport) -> u64;
type PickMember = fn(&MemberReport) -> u64;

/// All of it as text; nothing where there are no balancers.
pub(super) fn write(text: &mut Exposition, balancers: &[LookedBalancer]) {
    if balancers.is_empty() {
        return;
    }
    let of_balancers: [(&'static str, Kind, &str, PickBalancer); 3] = [
        (
            "carme_balancer_queue_length",
            Kind::Gauge,
            "Requests that wait for a member.",
            |report| report.waiting as u64,
        ),
        (
            "carme_balancer_queue_limit",
            Kind::Gauge,
            "Requests that may wait; one more is refused.",
            |report| report.settings.queue_limit as u64,
        ),
        (
            "carme_balancer_refused_total",
            Kind::Counter,
            "Requests that no member could be had for in time.",
            |report| report.refused,
        ),
    ];
    for (name, kind, help, pick) in of_balancers {
        let mut family = text.family(name, kind, help);
        for balancer in balancers {
            family.sample(&[("balancer", &balancer.name)], pick(&balancer.report));
        }
    }
    let mut waits = text.family(
        "carme_balancer_queue_seconds",
        Kind::Histogram,
        "How long requests that got a member waited for it; again for each further attempt.",
    );
    for balancer in balancers {
        waits.histogram(&[("balancer", &balancer.name)], &balancer.waits);
    }
    let mut members = text.family("carme_balancer_members", Kind::Gauge, "Members by state.");
    for balancer in balancers {
        for state in STATES {
            let is_so = |member: &&MemberReport| member.state == state;
            let count = balancer.report.members.iter().filter(is_so).count();
            let state = state.name().replace(' ', "_");
            members.sample(&[("balancer", &balancer.name), ("state", &state)], count);
        }
    }
    write_members(text, balancers);
}

fn write_members(text: &mut Exposition, balancers: &[LookedBalancer]) {
    let of_members: [(&'static str, Kind, &str, PickMember); 7] = [
        (
            "carme_member_up",
            Kind::Gauge,
            "1 if a member gets requests, 0 if it is disabled, stopped, in error or unhealthy.",
            |member| member.status.is_usable().into(),
        ),
        (
            "carme_member_requests_total",
            Kind::Counter,
            "Requests that a member was chosen for.",
            |member| member.elected,
        ),
        (
            "carme_member_failures_total",
            Kind::Counter,
            "Requests that failed at a member.",
            |member| member.failures,
        ),
        (
            "carme_member_requests_in_flight",
            Kind::Gauge,
            "Requests that a member has and has not finished.",
            |member| member.busy.into(),
        ),
        (
            "carme_member_queue_length",
            Kind::Gauge,
            "Requests that wait for a member and no other, because of their sessions.",
            |member| member.waiting as u64,
        ),
        (
            "carme_member_sent_bytes_total",
            Kind::Counter,
            "Bytes sent to a member.",
            |member| member.transferred,
        ),
        (
            "carme_member_received_bytes_total",
            Kind::Counter,
            "Bytes received from a member.",
            |member| member.read,
        ),
    ];
    for (name, kind, help, pick) in of_members {
        each(text, name, kind, help, balancers, |balancer, at| {
            pick(&balancer.report.members[at])
        });
    }
    let name = "carme_member_idle_connections";
    let help = "Connections to a member that wait for the next request.";
    each(text, name, Kind::Gauge, help, balancers, |balancer, at| {
        balancer.idle[at] as u64
    });
}

/// One figure of every member.
fn each(
    text: &mut Exposition,
    name: &'static str,
    kind: Kind,
    help: &str,
    balancers: &[LookedBalancer],
    pick: impl Fn(&LookedBalancer, usize) -> u64,
) {
    let mut family = text.family(name, kind, help);
    for balancer in balancers {
        for (at, member) in balancer.report.members.iter().enumerate() {
            // One that is being removed may have a successor of the same name.
            if member.state == State::Removed {
                continue;
            }
            let labels = [
                ("balancer", balancer.name.as_str()),
                ("member", member.config.name.as_str()),
                ("route", member.config.route.as_deref().unwrap_or_default()),
            ];
            family.sample(&labels, pick(balancer, at));
        }
    }
}
