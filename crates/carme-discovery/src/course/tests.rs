//! Looks one after another, and what each brings.

use super::*;

const AGAIN: Duration = Duration::from_secs(10);

fn look(members: &[&'static str]) -> Result<Look<&'static str>, Failure> {
    Ok(Look {
        members: members.to_vec(),
        left_out: Vec::new(),
        again: AGAIN,
        is_meant: false,
    })
}

fn away(why: &str) -> Result<Look<&'static str>, Failure> {
    Err(Failure::Away(why.to_owned()))
}

fn wrong(what: &str) -> Result<Look<&'static str>, Failure> {
    Err(Failure::Wrong {
        what: what.to_owned(),
        again: AGAIN,
    })
}

fn seconds(step: &Step<&str>) -> u64 {
    step.pause.as_secs()
}

#[test]
fn members_are_given_when_they_are_others() {
    let mut course = Course::new();
    let first = course.step(look(&["a", "b"]), 0.0);
    assert_eq!(first.members, Some(vec!["a", "b"]));
    assert_eq!(first.news, [News::Members("2 members; new: a, b".to_owned())]);
    assert_eq!(first.pause, AGAIN);
    assert!(!first.anew);
    let same = course.step(look(&["a", "b"]), 0.0);
    assert_eq!((same.members, same.news), (None, vec![]));
    let other = course.step(look(&["b", "c"]), 0.0);
    assert_eq!(other.members, Some(vec!["b", "c"]));
    assert_eq!(
        other.news,
        [News::Members("2 members; new: c; gone: a".to_owned())]
    );
}

#[test]
fn an_engine_that_has_never_known_any_may_say_that_there_are_none() {
    let mut course = Course::new();
    let step = course.step(look(&[]), 0.0);
    assert_eq!(step.members, Some(vec![]));
    assert_eq!(step.news, [News::Members("no members".to_owned())]);
}

#[test]
fn no_members_are_believed_at_the_third_time() {
    let mut course = Course::new();
    course.step(look(&["a"]), 0.0);
    let first = course.step(look(&[]), 0.0);
    assert_eq!((first.members, first.news), (None, vec![News::InDoubt]));
    assert!(first.anew);
    let second = course.step(look(&[]), 0.0);
    assert_eq!((second.members, second.news), (None, vec![]));
    let third = course.step(look(&[]), 0.0);
    assert_eq!(third.members, Some(vec![]));
    assert_eq!(third.news, [News::Members("no members; gone: a".to_owned())]);
    assert!(!third.anew);
}

#[test]
fn in_between_an_answer_or_a_failure_begins_the_count_anew() {
    for between in [look(&["a"]), away("refused")] {
        let mut course = Course::new();
        course.step(look(&["a"]), 0.0);
        for _ in 0..4 {
            for _ in 1..BELIEVED_EMPTY {
                assert_eq!(course.step(look(&[]), 0.0).members, None);
            }
            assert_eq!(course.step(between.clone(), 0.0).members, None);
        }
    }
}

#[test]
fn doubt_is_not_cleared_in_a_hurry() {
    let mut course = Course::new();
    course.step(look(&["a"]), 0.0);
    let empty = |again| {
        look(&[]).map(|look| Look {
            again: Duration::from_secs(again),
            ..look
        })
    };
    assert_eq!(seconds(&course.step(empty(0), 0.0)), 5);
    assert_eq!(seconds(&course.step(empty(30), 0.0)), 30);
}

#[test]
fn who_means_it_is_believed_at_once() {
    let mut course = Course::new();
    course.step(look(&["a"]), 0.0);
    let meant = look(&[]).map(|look| Look {
        is_meant: true,
        ..look
    });
    assert_eq!(course.step(meant, 0.0).members, Some(vec![]));
}

#[test]
fn while_the_engine_is_away_nothing_changes_and_one_line_says_so() {
    let mut course = Course::new();
    course.step(look(&["a"]), 0.0);
    let steps: Vec<_> = ["refused", "timed out", "refused", "refused"]
        .map(|why| course.step(away(why), 0.0))
        .into();
    assert!(steps.iter().all(|step| step.members.is_none() && step.anew));
    assert_eq!(steps[0].news, [News::Lost("refused".to_owned())]);
    assert!(steps[1..].iter().all(|step| step.news.is_empty()));
    assert_eq!(steps.iter().map(seconds).collect::<Vec<_>>(), [1, 2, 4, 8]);
    let back = course.step(look(&["a"]), 0.0);
    assert_eq!((back.members, back.news), (None, vec![News::Back]));
    // The pauses begin anew, and so do the lines.
    let again = course.step(away("refused"), 0.0);
    assert_eq!(
        (seconds(&again), again.news),
        (1, vec![News::Lost("refused".to_owned())])
    );
    let back = course.step(look(&["b"]), 0.0);
    let members = News::Members("1 member; new: b; gone: a".to_owned());
    assert_eq!(back.news, [News::Back, members]);
}

#[test]
fn each_mistake_is_told_once() {
    let mut course = Course::new();
    course.step(look(&["a"]), 0.0);
    let mut told = |what| course.step(wrong(what), 0.0).news.len();
    assert_eq!(["1:1", "1:1", "2:5", "2:5"].map(&mut told), [1, 0, 1, 0]);
    // Whoever mends it does not wait longer and longer.
    assert_eq!(course.step(wrong("2:5"), 0.0).pause, AGAIN);
}

#[test]
fn what_is_left_out_is_told_once() {
    let mut course = Course::new();
    let mut told = |out: &[&str]| {
        let left_out: Vec<String> = out.iter().map(ToString::to_string).collect();
        let step = course.step(look(&["a"]).map(|look| Look { left_out, ..look }), 0.0);
        step.news
            .iter()
            .filter(|news| matches!(news, News::LeftOut(_)))
            .count()
    };
    assert_eq!(
        [told(&["x"]), told(&["x"]), told(&[]), told(&["x"]), told(&["y"])],
        [1, 0, 0, 1, 1]
    );
}

#[test]
fn long_lists_are_cut() {
    let many: Vec<String> = (0..1000).map(|n| format!("h{n}")).collect();
    let expected = "1000 members; new: h0, h1, h2, h3, h4, h5, h6, h7 and 992 more";
    assert_eq!(difference(&[], &many), expected);
    assert_eq!(difference(&["a"], &["a"]), "1 member, with other settings");
}
