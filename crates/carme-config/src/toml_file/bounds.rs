//! The checks of single values, the same for `carme.toml` and for the command line.

use std::num::NonZeroUsize;
use std::time::Duration;

use crate::config::{Interface, defaults};
use crate::nearest::did_you_mean;
use crate::number::AtMost;
use crate::problem::Mistake;
use crate::scale::Workers;
use crate::units::{ByteSize, parse_duration};

pub(crate) const WORKERS: AtMost = AtMost(256);
pub(crate) const SURGE: AtMost = AtMost(256);
pub(crate) const RECYCLE_REQUESTS: AtMost = AtMost(u32::MAX);
pub(crate) const THREADS: AtMost = AtMost(1024);
pub(crate) const QUEUE_LIMIT: AtMost = AtMost(1_000_000);
pub(crate) const BACKLOG: AtMost = AtMost(65_535);
pub(crate) const KEPT_FILES: AtMost = AtMost(100_000);
pub(crate) const HEADERS: AtMost = AtMost(1000);
pub(crate) const HEALTH_COUNT: AtMost = AtMost(1000);
pub(crate) const CONNECTIONS: AtMost = AtMost(1_000_000);

/// A limit that could never be kept is a slip.
pub(crate) fn positive(duration: Duration) -> Result<Duration, Mistake> {
    match duration.is_zero() {
        true => Err(Mistake::new("must be longer than nothing, found \"0s\"")),
        false => Ok(duration),
    }
}

/// A time that may be switched off, by that word or by nothing of it.
pub(crate) fn time_or_off(text: &str) -> Result<Option<Duration>, Mistake> {
    if text == "off" {
        return Ok(None);
    }
    match parse_duration(text) {
        Ok(Duration::ZERO) => Ok(None),
        Ok(time) => Ok(Some(time)),
        Err(mistake) if is_off(text) => Err(mistake.cure("write \"off\" for no limit")),
        Err(mistake) => Err(mistake),
    }
}

/// Other words for it.
fn is_off(text: &str) -> bool {
    ["off", "none", "no", "false", "never"].contains(&text.to_ascii_lowercase().as_str())
}

/// A size between bounds: beyond them it is a slip.
pub(crate) fn size(text: &str, least: ByteSize, most: ByteSize) -> Result<ByteSize, Mistake> {
    match text.parse::<ByteSize>()? {
        size if (least..=most).contains(&size) => Ok(size),
        size => Err(Mistake::new(format!(
            "must be a size from {least} to {most}, found {size}"
        ))),
    }
}

/// A number of workers, or two with a dash between them.
pub(crate) fn workers_text(text: &str) -> Result<Workers, Mistake> {
    match text.split_once('-') {
        Some((min, max)) if !min.trim().is_empty() => scaled(
            WORKERS.parse(min.trim())?,
            WORKERS.parse(max.trim())?,
            defaults::WORKERS_TTL,
        ),
        _ => WORKERS.parse(text).map(Workers::fixed),
    }
}

/// Between two numbers of workers.
pub(crate) fn scaled(min: NonZeroUsize, max: NonZeroUsize, ttl: Duration) -> Result<Workers, Mistake> {
    match min <= max {
        true => Ok(Workers { min, max, ttl }),
        false => Err(Mistake::new(format!(
            "has a least number, {min}, that is above the greatest, {max}"
        ))
        .cure(format!("did you mean {max}-{min}?"))),
    }
}

pub(crate) fn interface(text: &str) -> Result<Interface, Mistake> {
    match text {
        "auto" => Ok(Interface::Auto),
        "wsgi" => Ok(Interface::Wsgi),
        _ if text.eq_ignore_ascii_case("asgi") => Err(Mistake::new(
            "asks for ASGI, which is not available yet in this version of Carme",
        )
        .cure("serve a WSGI application")),
        _ => Err(
            Mistake::new(format!("must be \"auto\" or \"wsgi\", found {text:?}"))
                .maybe_cure(did_you_mean(text, ["auto", "wsgi"])),
        ),
    }
}

/// A nickname or a LogFormat string. `none` says how to have no log at all.
pub(crate) fn log_format(text: &str, none: &str) -> Result<String, Mistake> {
    match carme_log::Format::parse(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => {
            let is_none = ["off", "none", "no", "false"].contains(&text.to_ascii_lowercase().as_str());
            let nearest = error
                .nearest
                .as_ref()
                .map(|nearest| format!("did you mean {nearest:?}?"));
            let what = format!(
                "is no log format: at column {}, {:?} {}",
                error.column, error.directive, error.problem
            );
            Err(Mistake::new(what).maybe_cure(if is_none { Some(none.to_owned()) } else { nearest }))
        }
    }
}

/// An app's name becomes part of cookies, of log lines and of names of the system.
pub(crate) fn app_name(name: &str) -> Result<(), Mistake> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    if !name.is_empty() && name.chars().all(plain) {
        return Ok(());
    }
    let better: String = name
        .to_lowercase()
        .chars()
        .map(|c| if plain(c) { c } else { '_' })
        .collect();
    let mistake = Mistake::new("must have a name of lower-case letters, digits, \"_\" and \"-\"".to_owned());
    Err(if better.is_empty() {
        mistake
    } else {
        mistake.cure(format!("call it {better}"))
    })
}
