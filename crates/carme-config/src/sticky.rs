//! Apps whose clients stay at their worker, beside each other.

use crate::balancer::{self, Sticky};
use crate::draft::AppDraft;
use crate::location::{Answer, HostPattern, Location};
use crate::problem::{Mistake, Problems};

/// `sticky_separator`: it stands in a cookie that the server sets (RFC 6265, 4.1.1).
pub(crate) fn separator(text: &str) -> Result<Option<char>, Mistake> {
    match balancer::separator(text)? {
        Some(odd) if !may_be_in_cookie(odd) => Err(Mistake::new(format!(
            "must be a character that a cookie may have, found {odd:?}"
        ))),
        separator => Ok(separator),
    }
}

fn may_be_in_cookie(character: char) -> bool {
    character.is_ascii_graphic() && !matches!(character, '"' | ',' | ';' | '\\')
}

/// What binds clients to a balancer's members, for an app whose workers take their place.
///
/// # Errors
/// What an app does not have.
pub(crate) fn for_app(sticky: Sticky) -> Result<Sticky, String> {
    if sticky.semicolon {
        return Err("an app has no scolonpathdelim".to_owned());
    }
    match sticky.separator.filter(|one| !may_be_in_cookie(*one)) {
        Some(odd) => Err(format!("no cookie may have its stickysessionsep {odd:?}")),
        None => Ok(sticky),
    }
}

/// Two apps at one host must not have the same cookie: what one sets means nothing to the other, which would set its own.
pub(crate) fn check_cookies(apps: &[AppDraft], locations: &[Location], problems: &mut Problems) {
    for (index, app) in apps.iter().enumerate() {
        let Some(sticky) = &app.sticky else { continue };
        let has_same = |(other, before): &(usize, &AppDraft)| {
            let theirs = before.sticky.as_ref();
            theirs.is_some_and(|theirs| theirs.value.cookie == sticky.value.cookie)
                && share_a_host(locations, index, *other)
        };
        if let Some((_, other)) = apps[..index].iter().enumerate().find(has_same) {
            let what = format!(
                "is the cookie of the app `{}` at the same host, too: each would overwrite the other's",
                other.name.value
            );
            let cure = format!(
                "write another name, such as \"{}_{}\"",
                sticky.value.cookie, app.name.value
            );
            problems.push(sticky.problem(Mistake::new(what).cure(cure)));
        }
    }
}

fn share_a_host(locations: &[Location], one: usize, other: usize) -> bool {
    let hosts = |app: usize| {
        let its = move |location: &&Location| location.answer == Answer::App(app);
        locations
            .iter()
            .filter(its)
            .map(|location| location.host.as_ref())
    };
    let meet = |one: Option<&HostPattern>, other: Option<&HostPattern>| match (one, other) {
        (Some(one), Some(other)) => {
            one == other || one.answers(other.as_str()) || other.answers(one.as_str())
        }
        _ => true,
    };
    hosts(one).any(|one| hosts(other).any(|other| meet(one, other)))
}
