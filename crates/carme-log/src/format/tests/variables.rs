//! Variables by name: who says what they have, and how others than a line get it.

use std::time::{Duration, UNIX_EPOCH};

use super::{Lists, line};
use crate::{Condition, Format, Record, Variable};

fn raw(name: &str, record: &Record<'_>) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let variable = Variable::named(name);
    assert_eq!(variable.is_set(record), variable.push(record, &mut out), "{name}");
    variable.is_set(record).then_some(out)
}

#[test]
fn carmes_own_come_first_and_what_is_set_before_tls() {
    let lists = Lists {
        tls: vec![
            ("HTTPS", b"on".to_vec()),
            ("SSL_CLIENT_CERT", b"-----\nx\n".to_vec()),
        ],
        variables: vec![
            ("HTTPS", b"set".to_vec()),
            ("REQUEST_ID", b"forged".to_vec()),
            ("BALANCER_WORKER_ROUTE", b"member".to_vec()),
            ("EMPTY", Vec::new()),
        ],
        ..Lists::default()
    };
    let of_nobody = Record {
        request_id: Some("id"),
        start: UNIX_EPOCH + Duration::from_micros(1_700_000_000_000_001),
        duration: Duration::from_micros(42),
        fields: &lists,
        ..Record::default()
    };
    let of_worker = Record {
        route: Some("www_1"),
        ..of_nobody
    };
    for (name, record, expected) in [
        ("HTTPS", &of_nobody, Some("set")),
        ("SSL_CLIENT_CERT", &of_nobody, Some("-----\nx\n")),
        ("REQUEST_ID", &of_nobody, Some("id")),
        ("BALANCER_WORKER_ROUTE", &of_nobody, Some("member")),
        ("BALANCER_WORKER_ROUTE", &of_worker, Some("www_1")),
        ("EMPTY", &of_nobody, Some("")),
        ("NONE", &of_nobody, None),
        ("ATTEMPTS", &of_nobody, None),
        ("START_TIME_US", &of_nobody, Some("1700000000000001")),
        ("DURATION_US", &of_nobody, Some("42")),
    ] {
        assert_eq!(
            raw(name, record).as_deref(),
            expected.map(str::as_bytes),
            "{name}"
        );
    }
    assert_eq!(
        line(
            "%{SSL_CLIENT_CERT}e|%{START_TIME_US}e|%{DURATION_US}e|%{EMPTY}e|%{HTTPS}x",
            &of_nobody
        ),
        r"-----\nx\n|1700000000000001|42||on"
    );
}

#[test]
fn a_format_and_a_condition_say_which_they_look_at() {
    let format = |text: &str| Format::parse(text).expect("a format");
    let condition = Condition::all([Condition::status(200..=299), Condition::variable("A").not()]);
    for (format, name, expected) in [
        (format("%h %{A}e"), "A", true),
        (format("%h %200{A}e"), "a", true),
        (format("%h %{A}e"), "AB", false),
        (format("%{HTTPS}e"), "HTTPS", true),
        (format("%{HTTPS}x"), "HTTPS", false),
        (format("%{REQUEST_ID}e"), "REQUEST_ID", false),
        (format("json"), "A", false),
    ] {
        assert_eq!(format.reads_variable(name), expected, "{name} {format:?}");
    }
    assert!(condition.reads_variable("a") && !condition.reads_variable("B"));
    assert!(Condition::any([condition, Condition::path("/")]).reads_variable("A"));
    assert!(Variable::is_own("DURATION_US") && !Variable::is_own("HTTPS"));
    assert!(Variable::is_tls("SSL_PROTOCOL") && !Variable::is_tls("SSL"));
}
