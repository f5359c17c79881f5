//! The tails of the methods compared, with the real balancer and simulated members:
//!
//!     cargo run -p carme-balancer --example simulate -- docs/tails.csv
//!
//! Four members that serve one request at a time, requests at random times, four fifths of what the members can do. The
//! table shows response times (waiting and service) in mean service times; the file gets, for each method, the response
//! time that a share of the requests exceeds. Same seed, same figures.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::fmt::Write as _;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use carme_balancer::{Balancer, Lease, Member, MemberId, Method, Outcome, Pick, Request, Settings, Token};

const MEMBERS: usize = 4;
const LOAD: f64 = 0.8;
const REQUESTS: u64 = 150_000;
/// Requests at the beginning that are not counted, because the members were idle before them.
const WARM_UP: u64 = 10_000;
/// The mean service time.
const SERVICE: f64 = 0.010;
const REQUEST_BYTES: u64 = 500;
const RESPONSE_BYTES: u64 = 10_000;
/// The shares of requests in the file.
const SHARES: [f64; 16] = [
    0.99, 0.9, 0.7, 0.5, 0.3, 0.2, 0.1, 0.07, 0.05, 0.03, 0.02, 0.01, 0.005, 0.002, 0.001, 0.0005,
];

/// splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    fn uniform(&mut self) -> f64 {
        ((self.next() >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    fn exponential(&mut self) -> f64 {
        -self.uniform().ln()
    }
}

#[derive(Clone, Copy)]
enum Work {
    /// One request in a hundred takes a hundred times as long.
    FewSlow,
    Exponential,
}

impl Work {
    fn name(self) -> &'static str {
        match self {
            Work::FewSlow => "1 % of the requests 100 times slower",
            Work::Exponential => "exponential service times",
        }
    }

    /// In seconds, with the mean [`SERVICE`].
    fn service(self, random: &mut Random) -> f64 {
        match self {
            Work::FewSlow => SERVICE / 1.99 * if random.uniform() < 0.01 { 100.0 } else { 1.0 },
            Work::Exponential => SERVICE * random.exponential(),
        }
    }
}

struct Job {
    number: u64,
    arrival: f64,
    service: f64,
}

/// Requests at one member: the first is served.
#[derive(Default)]
struct Server {
    jobs: VecDeque<(Job, Lease)>,
}

#[derive(PartialEq)]
struct Time(f64);

impl Eq for Time {}

impl PartialOrd for Time {
    fn partial_cmp(&self, other: &Time) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Time {
    fn cmp(&self, other: &Time) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

struct Simulation {
    balancer: Balancer,
    start: Instant,
    servers: HashMap<MemberId, Server>,
    waiting: HashMap<Token, Job>,
    /// When a member is done with its first request.
    departures: BinaryHeap<Reverse<(Time, MemberId)>>,
    responses: Vec<f64>,
}

impl Simulation {
    fn new(method: Method) -> Simulation {
        // The queue before the members is what `queue` is; the others choose when a request comes, as they do elsewhere.
        let max = if method == Method::Queue {
            NonZeroU32::new(1)
        } else {
            None
        };
        let members = (0..MEMBERS).map(|number| Member {
            max,
            ..Member::new(format!("http://member-{number}"))
        });
        let settings = Settings {
            method,
            queue_limit: usize::MAX,
            acquire: Duration::from_secs(1_000_000),
            ..Settings::new("balancer://simulated")
        };
        Simulation {
            balancer: Balancer::new(settings, members),
            start: Instant::now(),
            servers: HashMap::new(),
            waiting: HashMap::new(),
            departures: BinaryHeap::new(),
            responses: Vec::new(),
        }
    }

    fn at(&self, time: f64) -> Instant {
        self.start + Duration::from_secs_f64(time)
    }

    /// Response times in mean service times, in ascending order.
    fn run(mut self, work: Work) -> Vec<f64> {
        let mut random = Random(2026);
        let mut time = 0.0;
        for number in 0..REQUESTS {
            time += random.exponential() * SERVICE / (LOAD * MEMBERS as f64);
            self.depart_until(time);
            let job = Job {
                number,
                arrival: time,
                service: work.service(&mut random),
            };
            let pick = self
                .balancer
                .pick(&Request::plain(Token(number), random.next()), self.at(time));
            match pick {
                Pick::Member(granted) => self.give(granted.member, job, granted.lease, time),
                Pick::Wait { .. } => {
                    self.waiting.insert(Token(number), job);
                }
                Pick::None(reason) => panic!("{reason}"),
            }
        }
        self.depart_until(f64::INFINITY);
        self.responses.sort_by(f64::total_cmp);
        self.responses
    }

    fn give(&mut self, member: MemberId, job: Job, lease: Lease, time: f64) {
        self.balancer.count_bytes(&lease, REQUEST_BYTES, 0);
        let server = self.servers.entry(member).or_default();
        if server.jobs.is_empty() {
            self.departures.push(Reverse((Time(time + job.service), member)));
        }
        server.jobs.push_back((job, lease));
    }

    fn depart_until(&mut self, time: f64) {
        while let Some(Reverse((Time(departure), member))) = self.departures.pop() {
            if departure > time {
                self.departures.push(Reverse((Time(departure), member)));
                return;
            }
            let server = self.servers.entry(member).or_default();
            let Some((job, lease)) = server.jobs.pop_front() else {
                continue;
            };
            if job.number >= WARM_UP {
                self.responses.push((departure - job.arrival) / SERVICE);
            }
            if let Some((next, _)) = server.jobs.front() {
                self.departures
                    .push(Reverse((Time(departure + next.service), member)));
            }
            let _ = self.balancer.done(
                lease,
                Outcome::answered(200, 0, RESPONSE_BYTES),
                self.at(departure),
            );
            while let Some(wake) = self.balancer.next_wake() {
                let (Some(job), Ok(granted)) = (self.waiting.remove(&wake.token), wake.result) else {
                    continue;
                };
                self.give(granted.member, job, granted.lease, departure);
            }
        }
    }
}

/// The value that this share of ascending values exceeds.
fn exceeded_by(values: &[f64], share: f64) -> f64 {
    values[((values.len() as f64 * (1.0 - share)) as usize).min(values.len() - 1)]
}

fn main() {
    let file = std::env::args().nth(1);
    let mut csv = String::from("work,method,share,response\n");
    for work in [Work::FewSlow, Work::Exponential] {
        println!(
            "{}, {MEMBERS} members, load {LOAD}, {REQUESTS} requests\n",
            work.name()
        );
        println!("| method | mean | p50 | p90 | p99 | p99.9 |\n|---|---|---|---|---|---|");
        for method in Method::ALL {
            let values = Simulation::new(method).run(work);
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            let [p50, p90, p99, p999] = [0.5, 0.1, 0.01, 0.001].map(|share| exceeded_by(&values, share));
            println!(
                "| `{}` | {mean:.2} | {p50:.2} | {p90:.1} | {p99:.1} | {p999:.1} |",
                method.name()
            );
            for share in SHARES {
                let response = exceeded_by(&values, share);
                let _ = writeln!(csv, "{},{},{share},{response:.4}", work.name(), method.name());
            }
        }
        println!();
    }
    if let Some(file) = file
        && let Err(error) = std::fs::write(&file, csv)
    {
        eprintln!("{file} cannot be written: {error}");
        std::process::exit(1);
    }
}
