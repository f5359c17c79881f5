use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use super::*;

fn rule(passes: u32, fails: u32) -> HealthCheck {
    HealthCheck {
        passes: NonZeroU32::new(passes).unwrap(),
        fails: NonZeroU32::new(fails).unwrap(),
        ..HealthCheck::new(CheckMethod::Get { http11: true })
    }
}

/// Results of checks (`+` and `-`) and where they change something (`E`nabled, `D`isabled).
#[test]
fn states() {
    for (passes, fails, results, changes) in [
        (1, 1, "+-+-", ".DED"),
        (2, 3, "---++-++", "..D.E..."),
        (2, 3, "--+---", ".....D"),
        (3, 1, "-++-+++", "D.....E"),
    ] {
        let (rule, now) = (rule(passes, fails), Instant::now());
        let (mut progress, mut is_down) = (Progress::default(), false);
        let happened: String = results
            .chars()
            .map(|result| {
                let result = if result == '+' {
                    Check::Passed
                } else {
                    Check::Failed
                };
                match progress.take(&rule, result, is_down, now) {
                    HealthChange::None => '.',
                    HealthChange::Enabled => {
                        is_down = false;
                        'E'
                    }
                    HealthChange::Disabled => {
                        is_down = true;
                        'D'
                    }
                }
            })
            .collect();
        assert_eq!(happened, changes, "passes {passes} fails {fails} {results}");
    }
}

#[test]
fn due_at_once_and_then_after_each_interval() {
    let (rule, now) = (rule(1, 1), Instant::now());
    let mut progress = Progress::default();
    assert_eq!(progress.due(&rule), None);
    progress.take(&rule, Check::Passed, false, now);
    assert_eq!(progress.due(&rule), Some(now + Duration::from_secs(30)));
}

#[test]
fn requests() {
    let check = |name: &str, uri: &str| HealthCheck {
        uri: uri.to_owned(),
        ..HealthCheck::new(CheckMethod::of_name(name).unwrap())
    };
    for (name, uri, path, expected) in [
        ("tcp", "", "/app", None),
        ("OPTIONS", "x", "/app", Some(("OPTIONS", "*"))),
        ("GET", "", "", Some(("GET", "/"))),
        ("get11", "/alive", "", Some(("GET", "/alive"))),
        ("HEAD", "alive", "/app/", Some(("HEAD", "/app/alive"))),
        ("HEAD11", "/alive?x=1", "/app", Some(("HEAD", "/app/alive?x=1"))),
    ] {
        let expected = expected.map(|(method, target): (&str, &str)| (method, target.to_owned()));
        assert_eq!(
            check(name, uri).request_line(path),
            expected,
            "{name} {uri} {path}"
        );
    }
    assert_eq!(CheckMethod::of_name("CPING"), None);
}

#[test]
fn without_a_condition_2xx_and_3xx_pass() {
    for (status, passes) in [(199, false), (200, true), (399, true), (400, false), (503, false)] {
        let response = CheckResponse {
            status,
            headers: &[],
            body: b"",
        };
        assert_eq!(rule(1, 1).is_passed_by(&response), passes, "{status}");
    }
}

#[test]
fn expectations() {
    let text = |text: &str| Some(text.to_owned());
    for (statuses, contains, lacks, passes) in [
        (vec![], None, None, true),
        (vec![(204, 204)], None, None, false),
        (vec![(500, 599), (200, 200)], None, None, true),
        (vec![], text("well"), None, true),
        (vec![], text("ill"), None, false),
        (vec![], None, text("ill"), true),
        (vec![], text("All"), text("well"), false),
        (vec![(404, 404)], text("well"), None, false),
    ] {
        let expect = Expect {
            statuses,
            contains,
            lacks,
        };
        let response = CheckResponse {
            status: 200,
            headers: &[],
            body: b"All is well.",
        };
        let check = HealthCheck {
            condition: Condition::Expect(expect.clone()),
            ..rule(1, 1)
        };
        assert_eq!(check.is_passed_by(&response), passes, "{expect:?}");
    }
}
