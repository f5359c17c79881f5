//! Members of a balancer behind the front, over sockets both ways.

#![allow(unreachable_pub)]

#[path = "../common/mod.rs"]
mod common;
mod member;

mod answers;
mod failures;
mod paths;
mod pools;
mod tunnels;

use std::sync::Arc;
use std::time::Duration;

use carme_balancer::{Method, Settings};
use carme_front::{HashKey, Limits, Location, Proxied};
use carme_proxy::head::{ErrorOverride, Identity, Passing, Reverse, ReverseFrom, Via};
use carme_proxy::{Endpoint, Kept, Node};

use common::Front;
use common::app::Fake;
use member::Member;

/// `%>s`, the member's route, how many were tried, and the connection's end.
const LINE: &str = "%>s %{BALANCER_WORKER_ROUTE}e %{ATTEMPTS}e %X %U";

/// A front with a balancer at `/`.
struct Balanced {
    front: Front,
    cluster: Arc<Kept>,
}

/// What a test wants otherwise.
struct Wanted {
    settings: Settings,
    endpoint: fn(&mut Endpoint),
    member: fn(&mut carme_balancer::Member),
    passing: Passing,
    limits: Limits,
}

impl Default for Wanted {
    fn default() -> Self {
        Wanted {
            settings: Settings {
                method: Method::ByRequests,
                slow_start: Duration::ZERO,
                ..Settings::new("balancer://cluster")
            },
            endpoint: |_| {},
            member: |_| {},
            passing: passing(),
            limits: Limits::default(),
        }
    }
}

impl Wanted {
    /// With these members, in their order; routes are `r1`, `r2`, and so on.
    fn start(self, members: &[&str]) -> Balanced {
        self.start_with(members, |proxied| vec![Location::balanced("/", proxied)])
    }

    /// The same with these locations.
    fn start_with(
        self,
        members: &[&str],
        locations: impl FnOnce(Proxied) -> Vec<Location<Fake>>,
    ) -> Balanced {
        let nodes = members.iter().enumerate().map(|(at, url)| {
            let mut member = carme_balancer::Member::new(*url);
            member.route = Some(format!("r{}", at + 1));
            (self.member)(&mut member);
            let mut endpoint = endpoint(url);
            (self.endpoint)(&mut endpoint);
            Node {
                member,
                endpoint: Arc::new(endpoint),
            }
        });
        let cluster = Kept::start(self.settings, nodes.collect(), 1);
        let proxied = Proxied {
            number: 0,
            cluster: Arc::clone(&cluster),
            passing: self.passing,
            hash: HashKey::Address,
        };
        let front = Front::proxying(self.limits, LINE, |_| locations(proxied));
        Balanced { front, cluster }
    }
}

fn passing() -> Passing {
    Passing {
        identity: Identity::new("", None),
        path: String::new(),
        preserve_host: false,
        forwarded_headers: true,
        via: Via::Off,
        raw_path: false,
        trace: true,
        reverse: vec![Reverse {
            from: ReverseFrom::Members("/".into()),
            to: "/".into(),
        }],
        cookie_domains: Vec::new(),
        cookie_paths: Vec::new(),
        override_errors: ErrorOverride::Off,
    }
}

fn endpoint(url: &str) -> Endpoint {
    let authority = url.strip_prefix("http://").expect("plain HTTP");
    let (host, port) = authority.rsplit_once(':').expect("a port");
    Endpoint::http(host, port.parse().expect("a number"))
}

/// Where nobody listens.
async fn nobody() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let address = listener.local_addr().expect("an address");
    format!("http://{address}")
}

/// Waits until it is so; the test fails by its timeout if it never is.
async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..5000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    panic!("never: {what}");
}

async fn one_member() -> (Member, Balanced) {
    let member = Member::start("one").await;
    let balanced = Wanted::default().start(&[&member.url()]);
    (member, balanced)
}
