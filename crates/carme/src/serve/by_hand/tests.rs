use std::time::Instant;

use carme_balancer::{Balancer, Method, Settings, State, Status};

use super::values::{changes, member_values, settings_written, written};
use super::*;

fn values(pairs: &[(&str, &str)]) -> Values {
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    pairs.iter().map(owned).collect()
}

fn member() -> Member {
    Member {
        route: Some("www_1".into()),
        ..Member::new("http://10.0.0.1:9001")
    }
}

#[test]
fn what_was_changed_is_written_and_read_again() {
    let given = values(&[
        ("hcexpect.contains", "ok"),
        ("hcexpect.status", "200-299,401-401"),
        ("hcfails", "3"),
        ("hcinterval", "10s"),
        ("hcmethod", "get"),
        ("hcpasses", "2"),
        ("hcuri", "/healthz"),
        ("lbset", "1"),
        ("loadfactor", "2.5"),
        ("max", "-"),
        ("redirect", "www_2"),
        ("route", "-"),
        ("status", "+D-H"),
    ]);
    let current = member();
    let made = changes(&current, &given).expect("all of it can be changed");
    assert_eq!(written(&made), given);
    let mut balancer = Balancer::new(Settings::apache("balancer://a"), [current]);
    let id = balancer.find("http://10.0.0.1:9001").expect("it is there");
    for change in made {
        balancer.change(id, change, Instant::now()).expect("changed");
    }
    let now = balancer.member(id).expect("it is there");
    let all = member_values(now);
    // Flags are not in the configuration of a member; what is as usual needs no words.
    let (gone, rest): (Vec<_>, Vec<_>) = given
        .into_iter()
        .partition(|(key, _)| ["max", "route", "status"].contains(&key.as_str()));
    assert_eq!(gone.len(), 3);
    assert_eq!(all, rest.into_iter().collect());
    let report = balancer.report(Instant::now());
    assert_eq!(report.members[0].state, State::Disabled);
}

#[test]
fn a_check_is_changed_in_part() {
    let with = |pairs: &[(&str, &str)], current: &Member| {
        let made = changes(current, &values(pairs)).expect("it can be changed");
        match made.into_iter().next() {
            Some(Change::Health(health)) => health,
            other => panic!("{other:?}"),
        }
    };
    let first = with(
        &[("hcmethod", "get"), ("hcuri", "/a"), ("hcexpect.lacks", "no")],
        &member(),
    );
    let checked = Member {
        health: first,
        ..member()
    };
    let second = with(&[("hcinterval", "5s")], &checked).expect("a check");
    assert_eq!((second.uri.as_str(), second.interval.as_secs()), ("/a", 5));
    assert_eq!(
        second.condition,
        checked.health.clone().expect("a check").condition
    );
    assert_eq!(with(&[("hcmethod", "none")], &checked), None);
}

#[test]
fn what_only_a_new_member_can_have_is_refused_with_the_cure() {
    let told = |pairs: &[(&str, &str)]| {
        let mistake = changes(&member(), &values(pairs)).expect_err("refused");
        NotChanged::from(mistake).to_string()
    };
    assert_eq!(
        told(&[("ttl", "5s")]),
        "ttl is not changed while the member is there; change the file and `carme reload`, or remove the member and add \
         it again"
    );
    assert_eq!(
        told(&[("tll", "5s")]),
        "tll is no setting that can be changed while the server runs; did you mean `ttl`?"
    );
}

#[test]
fn settings_are_written() {
    let changes = [
        SettingChange::Method(Method::PeakEwma),
        SettingChange::MaxAttempts(None),
        SettingChange::Nofailover(true),
        SettingChange::Sticky(None),
    ];
    let expected = values(&[
        ("maxattempts", "-"),
        ("method", "ewma"),
        ("nofailover", "on"),
        ("stickysession", "-"),
    ]);
    assert_eq!(settings_written(&changes), expected);
}

#[test]
fn flags_of_a_member_that_was_added_are_kept() {
    let added = Member {
        status: Status::parse("DR").expect("letters"),
        ..Member::new("http://10.0.0.4:9004")
    };
    assert_eq!(member_values(&added), values(&[("status", "+D+R")]));
}
