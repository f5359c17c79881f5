//! Apache and Carme with the same file, one after the other.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use carme_tests::apache::{self, Apache};
use carme_tests::{ServerBuilder, free_address, wait_until};

use crate::by_hand::Hand;
use crate::table::Table;

/// What was answered and logged, by step.
pub(crate) type Rows = BTreeMap<String, Table>;

/// What a log line says of the balancer's part; `step` says which request's it is.
const FIELDS: [(&str, &str); 11] = [
    ("step", "%{X-Step}i"),
    ("status", "%>s"),
    ("method", "%m"),
    ("query", "%q"),
    ("member", "%{X-Member}o"),
    ("balancer", "%{BALANCER_NAME}e"),
    ("worker", "%{BALANCER_WORKER_NAME}e"),
    ("route", "%{BALANCER_WORKER_ROUTE}e"),
    ("changed", "%{BALANCER_ROUTE_CHANGED}e"),
    ("sticky", "%{BALANCER_SESSION_STICKY}e"),
    ("session", "%{BALANCER_SESSION_ROUTE}e"),
];

const MODULES: [&str; 11] = [
    "setenvif",
    "env",
    "headers",
    "proxy",
    "proxy_http",
    "proxy_balancer",
    "slotmem_shm",
    "proxy_hcheck",
    "lbmethod_byrequests",
    "lbmethod_bytraffic",
    "lbmethod_bybusyness",
];

/// What changes Apache's balancers at run time.
const MANAGER: &str = "<Location /manager>\nSetHandler balancer-manager\n</Location>\nProxyPass /manager !\n";

/// Plays the same with both: what Apache did, and what Carme did. The error says why there is no Apache.
pub(crate) fn play_with_both(
    configuration: &str,
    play: impl Fn(SocketAddr, &Hand<'_>) -> Rows,
) -> Result<[Rows; 2], String> {
    let builder = ServerBuilder::app("");
    let folder = builder.directory().to_owned();
    let preamble = apache::preamble(&folder, &MODULES)?;
    let conf = format!(
        "<IfDefine APACHE>\n{preamble}{MANAGER}</IfDefine>\nListen 127.0.0.1:${{PORT}}\nServerName www.example.org\n\
         KeepAliveTimeout 60\nLogFormat \"{}\" steps\nCustomLog ${{PORT}}.log steps\n{configuration}",
        Table::format(&FIELDS)
    );
    let file = folder.join("httpd.conf");
    fs::write(&file, conf).expect("it is written");
    let played = |address: SocketAddr, hand: &Hand<'_>| {
        let mut rows = play(address, hand);
        add_lines(&mut rows, &folder.join(format!("{}.log", address.port())));
        rows
    };
    let theirs = {
        let address = free_address();
        let _apache = Apache::start(&file, address);
        played(address, &Hand::Apache(address))
    };
    let address = free_address();
    let builder = builder.configured(&file).env("PORT", address.port().to_string());
    let carme = builder.start();
    Ok([theirs, played(address, &Hand::Carme(&carme))])
}

/// Adds to each step what the log says of it.
fn add_lines(rows: &mut Rows, log: &Path) {
    let mut text = String::new();
    let answered = rows.values().filter(|row| row.get("answer") != "-").count();
    wait_until("every request has its line", || {
        text = fs::read_to_string(log).unwrap_or_default();
        let of_steps = text.lines().filter(|line| !line.starts_with("step=-"));
        text.ends_with('\n') && of_steps.count() == answered
    });
    for line in text.lines().map(Table::of_line) {
        if let Some(row) = rows.get_mut(line.get("step")) {
            row.extend(&line);
        }
    }
}

/// Does something for each number, so many at a time.
pub(crate) fn for_each<T: Send>(
    numbers: usize,
    at_a_time: usize,
    each: impl Fn(usize) -> Vec<T> + Sync,
) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let one_after_the_other = || {
        let taken = std::iter::from_fn(|| Some(next.fetch_add(1, Ordering::Relaxed)));
        let taken = taken.take_while(|number| *number < numbers);
        taken.flat_map(&each).collect::<Vec<_>>()
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..at_a_time).map(|_| scope.spawn(one_after_the_other)).collect();
        let ended = threads.into_iter().map(|thread| thread.join().expect("no panic"));
        ended.flatten().collect()
    })
}

/// Documented: a member that refuses is 502, where Apache has 503, and one that is too slow 504, where Apache has 502.
pub(crate) fn is_other_status(field: &str, apache: &Table, carme: &Table) -> bool {
    let is_status = matches!(field, "answer" | "status");
    let statuses = (apache.get("answer"), carme.get("answer"));
    is_status && carme.get("route") != "-" && matches!(statuses, ("503", "502") | ("502", "504"))
}
