//! Requests as bytes, and what becomes of them: the statuses, the connection, both logs, what the application gets.
//! They are written in `corpus/*.http`; `common/case.rs` says how.

mod common;

use std::time::Duration;

use carme_front::Limits;
use common::Front;
use common::case::{self, Case};
use common::reasons::Reasons;

const FILES: [(&str, &str); 7] = [
    ("request_line.http", include_str!("corpus/request_line.http")),
    ("fields.http", include_str!("corpus/fields.http")),
    ("framing.http", include_str!("corpus/framing.http")),
    ("chunks.http", include_str!("corpus/chunks.http")),
    ("connection.http", include_str!("corpus/connection.http")),
    ("limits.http", include_str!("corpus/limits.http")),
    ("not_http.http", include_str!("corpus/not_http.http")),
];

/// For one case.
const PATIENCE: Duration = Duration::from_secs(10);

fn corpus() -> Vec<Case> {
    let cases: Vec<_> = FILES
        .iter()
        .flat_map(|(file, text)| case::read(file, text))
        .collect();
    assert!(cases.len() >= 250, "{}", cases.len());
    cases
}

fn front() -> Front {
    Front::with(
        Limits {
            body_bytes: 1_000_000,
            ..Limits::default()
        },
        common::LINE,
    )
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Sent {
    AtOnce,
    InPieces,
}

/// What is wrong with the outcome, if anything is.
async fn check(front: &Front, reasons: &Reasons, case: &Case, sent: Sent) -> Result<(), String> {
    let lines_before = front.log(0).await.len();
    let mut client = front.connect().await;
    match sent {
        Sent::AtOnce => client.send(&case.bytes).await,
        Sent::InPieces => {
            for byte in &case.bytes {
                client.send([*byte]).await;
                tokio::task::yield_now().await;
            }
        }
    }
    let mut lines = Vec::new();
    for (at, expected) in case.responses.iter().enumerate() {
        let is_head = expected
            .line
            .as_ref()
            .is_some_and(|line| line.starts_with("HEAD "));
        let response = client.response(if is_head { "HEAD" } else { "GET" }).await;
        equal("the status", &response.status, &expected.status)?;
        let Some(line) = &expected.line else { continue };
        for name in ["x-request-id", "date"] {
            equal(name, &response.header(name).is_some(), &true)?;
        }
        let closes = case.closed && at + 1 == case.responses.len();
        let keeps = if closes { "-" } else { "+" };
        lines.push(format!("{} {keeps} \"{line}\"", expected.status));
    }
    if case.closed {
        client.expect_end(&case.name).await;
    } else {
        equal("the status of /probe", &client.get("/probe").await.status, &200)?;
        lines.push(r#"200 + "GET /probe HTTP/1.1""#.to_owned());
    }
    let log = front.log(lines_before + lines.len()).await;
    let log = &log[lines_before..];
    // What can never become a request is refused before its line is complete.
    let so_far = |line: &String, whole: &String| whole.starts_with(line.trim_end_matches('"'));
    let is_logged = match sent {
        Sent::AtOnce => log == lines,
        Sent::InPieces => {
            log.len() == lines.len() && log.iter().zip(&lines).all(|(line, whole)| so_far(line, whole))
        }
    };
    if !is_logged {
        return Err(format!("the access log has {log:?}, not {lines:?}"));
    }
    check_reasons(case, &reasons.take())?;
    let mut seen = front.events.seen();
    if !case.closed {
        let probe = seen.pop().map(|seen| seen.request);
        equal("the last request", &probe.as_deref(), &Some(b"GET /probe"))?;
    }
    equal(
        "the number of requests that the application got",
        &seen.len(),
        &case.requests.len(),
    )?;
    let mut requests = case.requests.iter().zip(&seen);
    requests.try_for_each(|(wanted, seen)| wanted.compare(seen))
}

/// Each answer of the front's own has one reason in the error log, and nothing else has.
fn check_reasons(case: &Case, reasons: &[String]) -> Result<(), String> {
    let faults: Vec<_> = case
        .responses
        .iter()
        .filter(|response| response.status >= 400)
        .collect();
    equal("the number of reasons", &reasons.len(), &faults.len())?;
    for (fault, reason) in faults.iter().zip(reasons) {
        let status = format!("[status={}]", fault.status);
        let why = fault.why.as_deref().unwrap_or_default();
        for text in [&status, "[request_id=", why] {
            if !reason.contains(text) {
                return Err(format!("the reason {reason:?} has no {text:?}"));
            }
        }
    }
    Ok(())
}

fn equal<T: std::fmt::Debug + PartialEq>(what: &str, found: &T, expected: &T) -> Result<(), String> {
    match found == expected {
        true => Ok(()),
        false => Err(format!("{what}: found {found:?}, expected {expected:?}")),
    }
}

async fn check_all(front: &Front, cases: impl Iterator<Item = &Case>, sent: Sent) {
    let reasons = Reasons::listen();
    let mut failures = Vec::new();
    for case in cases {
        let checked = tokio::time::timeout(PATIENCE, check(front, &reasons, case, sent)).await;
        if let Err(what) = checked.unwrap_or_else(|_| Err("no answer comes, or no end".to_owned())) {
            failures.push(format!("{}: {what}", case.name));
            // What is left of it is not the next one's fault.
            reasons.take();
            front.events.seen();
        }
    }
    assert!(
        failures.is_empty(),
        "{} failed\n{}",
        failures.len(),
        failures.join("\n")
    );
}

#[tokio::test]
async fn each_request_gets_its_answer_and_its_line() {
    let (front, corpus) = (front(), corpus());
    check_all(&front, corpus.iter(), Sent::AtOnce).await;
    let responses = corpus.iter().flat_map(|case| &case.responses);
    let probes = corpus.iter().filter(|case| !case.closed).count();
    let lines = probes + responses.filter(|response| response.line.is_some()).count();
    let (_, log) = front.stop().await;
    assert_eq!(log.len(), lines, "no line more");
}

/// However the bytes are cut, the outcome is the same.
#[tokio::test]
async fn it_makes_no_difference_how_the_bytes_arrive() {
    let (front, corpus) = (front(), corpus());
    let short = corpus.iter().filter(|case| case.bytes.len() < 1000);
    check_all(&front, short, Sent::InPieces).await;
}
