//! Members die and come back at random under load: every GET is answered, and no POST is sent twice.
//!
//! Some thousand requests in the usual run; `CARME_REQUESTS=1000000` makes them a million.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use carme_tests::client::Client;
use carme_tests::member::{Member, Reply, Request};
use carme_tests::{Response, ServerBuilder};

/// As many at a time.
const CLIENTS: usize = 16;

/// How often each POST has come to a member, by its number.
struct Arrivals(Vec<AtomicU8>);

impl Arrivals {
    fn of(requests: usize) -> Arrivals {
        Arrivals((0..requests).map(|_| AtomicU8::new(0)).collect())
    }

    fn answer(&self, request: &Request) -> Reply {
        let number = request.target().trim_start_matches('/');
        if request.method() == "POST" {
            self.0[number.parse::<usize>().expect("a number")].fetch_add(1, Ordering::Relaxed);
        }
        Reply::response("200 OK", &[], number.as_bytes())
    }
}

/// Chance that can be had again: splitmix64, of a number.
fn chance(of: usize) -> u64 {
    let mut mixed = (of as u64).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// One in five.
fn is_post(number: usize) -> bool {
    chance(number).is_multiple_of(5)
}

/// Asks until the numbers have run out; the POSTs that failed, with their status.
fn ask(address: SocketAddr, next: &AtomicUsize, requests: usize) -> HashMap<usize, u16> {
    let (mut kept, mut failed) = (None, HashMap::new());
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= requests {
            return failed;
        }
        let mut client = kept
            .take()
            .unwrap_or_else(|| Client::connect(address).expect("it accepts"));
        let path = format!("/{number}");
        let response: Response = match is_post(number) {
            true => client.post(&path, b"once"),
            false => client.get(&path),
        }
        .unwrap_or_else(|error| panic!("{path}: {error}"));
        match response.status() {
            200 => assert_eq!(response.text(), number.to_string()),
            status if is_post(number) => drop(failed.insert(number, status)),
            status => panic!("GET {path}: {status} {}", response.text()),
        }
        if response.header("connection") != Some("close") {
            kept = Some(client);
        }
    }
}

/// Lets one member after the other die and come back, all at random, until it is over; how often.
fn disturb(members: &mut [Member], over: &AtomicBool) -> usize {
    let mut deaths = 0;
    while !over.load(Ordering::Relaxed) {
        let dice = chance(deaths);
        let member = &mut members[dice as usize % 3];
        member.die();
        thread::sleep(Duration::from_millis(dice >> 8 & 63));
        member.come_back();
        deaths += 1;
        thread::sleep(Duration::from_millis(10 + (dice >> 16 & 127)));
    }
    deaths
}

#[test]
fn torture_every_get_is_answered_and_no_post_is_sent_twice() {
    let requests = std::env::var("CARME_REQUESTS").map_or(10_000, |text| text.parse().expect("a number"));
    let arrivals = Arc::new(Arrivals::of(requests));
    let mut members: Vec<Member> = (0..3)
        .map(|_| {
            let arrivals = arrivals.clone();
            Member::start(move |request| arrivals.answer(request))
        })
        .collect();
    let builder = ServerBuilder::app("");
    let file = builder.directory().join("carme.toml");
    let mut toml = "access_logs = []\n[server]\nlisten = [\"127.0.0.1:0\"]\n\
                    [[locations]]\npath = \"/\"\nbalancer = \"cluster\"\n[balancers.cluster]\n"
        .to_owned();
    for member in &members {
        toml += &format!(
            "[[balancers.cluster.members]]\nurl = \"http://{}\"\nretry = \"100ms\"\n",
            member.address
        );
    }
    std::fs::write(&file, toml).expect("it is written");
    let server = builder.configured(&file).start();
    let (next, over, begin) = (AtomicUsize::new(0), AtomicBool::new(false), Instant::now());
    let (failed, deaths) = thread::scope(|scope| {
        let disturbed = scope.spawn(|| disturb(&mut members, &over));
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| scope.spawn(|| ask(server.address, &next, requests)))
            .collect();
        let failed = clients.into_iter().map(|client| client.join());
        let failed: Vec<_> = failed.collect();
        over.store(true, Ordering::Relaxed);
        let failed = failed.into_iter().flat_map(|failed| failed.expect("no failure"));
        (
            failed.collect::<HashMap<_, _>>(),
            disturbed.join().expect("no failure"),
        )
    });
    println!(
        "{requests} requests in {:.0} s while members died {deaths} times: {} POSTs were not answered",
        begin.elapsed().as_secs_f64(),
        failed.len()
    );
    for number in (0..requests).filter(|number| is_post(*number)) {
        let came = arrivals.0[number].load(Ordering::Relaxed);
        match failed.get(&number) {
            None => assert_eq!(came, 1, "POST /{number} was answered"),
            Some(status) => {
                assert!(came <= 1, "POST /{number} was sent {came} times");
                assert!(matches!(status, 502 | 503), "POST /{number}: {status}");
            }
        }
    }
    // A death breaks what its member had taken, and nothing else.
    assert!(deaths > 0 && failed.len() <= deaths * CLIENTS, "{failed:?}");
}
