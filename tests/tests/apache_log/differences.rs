//! What differs, and which differences the documentation lists (docs/src/logs.md, "Where lines differ from Apache's").

use std::collections::BTreeMap;

use super::Line;
use super::requests::Exchange;

#[derive(Default)]
pub(crate) struct Differences {
    /// Values that are the same in both logs.
    pub(crate) alike: usize,
    /// How often each that is documented was found.
    pub(crate) documented: BTreeMap<&'static str, usize>,
    /// The others, for the reader.
    pub(crate) others: Vec<String>,
}

/// The fields that do not depend on what a request is answered.
const OF_ANY_REQUEST: &[&str] = &[
    "r",
    "h",
    "a",
    "peer",
    "peer_host",
    "A",
    "l",
    "u",
    "local",
    "e",
    "n",
    "x",
    "time",
    "percent",
    "T",
];

/// Those that come from the request's header fields.
const OF_HEADERS: &[&str] = &[
    "V",
    "referer",
    "agent",
    "host",
    "connection",
    "encoding",
    "length",
    "multi",
    "under",
    "cookie",
    "cookies",
];

/// Carme after what it refuses, Apache after a method that it does not know.
const CLOSED: &str = "a connection ends after another request than Apache's";

pub(crate) fn compare(
    exchanges: &[Exchange],
    theirs: &BTreeMap<String, Vec<Line>>,
    ours: &BTreeMap<String, Vec<Line>>,
) -> Differences {
    let mut found = Differences::default();
    let exchanges: BTreeMap<&String, &Exchange> = exchanges
        .iter()
        .flat_map(|exchange| exchange.marks.iter().map(move |mark| (mark, exchange)))
        .collect();
    let mut marks: Vec<&String> = theirs.keys().chain(ours.keys()).collect();
    marks.sort();
    marks.dedup();
    for mark in marks {
        let [theirs, ours] = [theirs, ours].map(|log| {
            let mut lines = log.get(mark).cloned().unwrap_or_default();
            lines.sort();
            lines
        });
        let exchange = exchanges.get(mark);
        if theirs.len() != ours.len() {
            let follows = exchange.is_some_and(|exchange| exchange.follows(mark));
            if follows && (ours.is_empty() || theirs.is_empty()) {
                *found.documented.entry(CLOSED).or_default() += 1;
            } else {
                let (theirs, ours) = (theirs.len(), ours.len());
                found
                    .others
                    .push(format!("{mark}: {theirs} lines of Apache, {ours} of ours"));
            }
            continue;
        }
        for (theirs, ours) in theirs.iter().zip(&ours) {
            for (name, apache) in theirs {
                let carme = &ours[name];
                if apache == carme {
                    found.alike += 1;
                    continue;
                }
                let pipelined = exchange.is_some_and(|exchange| exchange.marks.len() > 1);
                match documented(name, theirs, ours, pipelined) {
                    Some(why) => *found.documented.entry(why).or_default() += 1,
                    None => {
                        let sent = exchange
                            .map_or(&b""[..], |exchange| exchange.bytes.as_slice())
                            .escape_ascii();
                        found
                            .others
                            .push(format!("{mark} {name}: {apache:?} {carme:?} for {sent}"));
                    }
                }
            }
        }
    }
    found
}

fn documented(name: &str, theirs: &Line, ours: &Line, pipelined: bool) -> Option<&'static str> {
    let (apache, carme) = (theirs[name].as_str(), ours[name].as_str());
    let refused = matches!(&*ours["s"], "400" | "505");
    let same_but_protocol = || {
        let cut = |line: &str| line.rsplit_once(' ').map(|(line, _)| line.to_owned());
        apache.ends_with(" HTTP/1.0") && cut(apache) == cut(carme)
    };
    Some(match name {
        _ if refused && OF_HEADERS.contains(&name) && theirs["host"] == "-" => {
            "Apache reads no fields after a request line that it refuses"
        }
        _ if refused && !OF_ANY_REQUEST.contains(&name) && !OF_HEADERS.contains(&name) => {
            "Carme refuses what Apache lets pass, or reads less of what both refuse"
        }
        "r" if refused && same_but_protocol() => "Apache replaces a protocol that it cannot read by HTTP/1.0",
        "U" if merged(carme) == apache => "slashes are not merged, and dots not resolved",
        "k" if carme.parse() == apache.parse().map(|number: u32| number + 1) && ours["X"] == "-" => {
            "Apache does not count the last request of a connection"
        }
        "I" if pipelined && carme.parse().ok().map(|bytes: u64| bytes + 1) == apache.parse().ok() => {
            "Apache counts the first byte of the next request that has come already"
        }
        "X" if ours["s"] == "501" => CLOSED,
        "host" | "V" if refused && ours["r"].contains("://") => {
            "of a refused request with an absolute target the host is that of the Host field"
        }
        "host" if apache.eq_ignore_ascii_case(carme) => {
            "the host of an absolute target is logged as it was sent"
        }
        "cookie" if carme != apache && ours["cookies"].contains(',') => {
            "several Cookie fields are not joined"
        }
        "b" | "B" | "type" | "out_length" if ours["s"] != "200" => "error pages are other pages",
        _ => return None,
    })
}

/// What Apache makes of a path before it logs it.
fn merged(path: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    let mut parts = path.split('/').skip(1).peekable();
    while let Some(part) = parts.next() {
        let last = parts.peek().is_none();
        match part {
            "" if !last => {}
            "." if !last => {}
            "." => segments.push(""),
            ".." => {
                segments.pop();
                if last {
                    segments.push("");
                }
            }
            _ => segments.push(part),
        }
    }
    format!("/{}", segments.join("/"))
}
