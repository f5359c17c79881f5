//! `balancer` of a location, and what goes with it.

use toml::de::DeValue;

use super::location::flag;
use super::section::{Section, describe};
use super::set;
use crate::balancer::{ErrorOverride, Proxying, Reverse, Via, reverse_from, upstream_path};
use crate::draft::AnswerDraft;
use crate::mount::MountPath;
use crate::problem::{Mistake, Problems};

/// The keys that mean something only beside `balancer`.
pub(super) const WITH_BALANCER: [&str; 11] = [
    "upstream_path",
    "preserve_host",
    "forwarded_headers",
    "via",
    "nocanon",
    "trace",
    "reverse",
    "reverse_urls",
    "cookie_domains",
    "cookie_paths",
    "override_errors",
];

pub(super) fn proxying(section: &Section<'_>, problems: &mut Problems) -> Option<AnswerDraft> {
    let name = section.string("balancer", problems);
    // The path has its own message if it is wrong.
    let path = match section.text("path", &mut Problems::default(), MountPath::parse) {
        Some(path) => path.value,
        None => MountPath::root(),
    };
    let path = path.script_name();
    let upstream = section.text("upstream_path", problems, upstream_path);
    let mut proxying = Proxying::at(0, path);
    set(&mut proxying.path, upstream.map(|at| at.value));
    proxying.reverse = vec![Reverse::members(&proxying.path, path)];
    set(
        &mut proxying.preserve_host,
        flag(section, "preserve_host", problems),
    );
    let forwarded = flag(section, "forwarded_headers", problems);
    set(&mut proxying.forwarded_headers, forwarded);
    let via = section.text("via", problems, Via::parse);
    set(&mut proxying.via, via.map(|at| at.value));
    set(&mut proxying.raw_path, flag(section, "nocanon", problems));
    set(&mut proxying.trace, flag(section, "trace", problems));
    if flag(section, "reverse", problems) == Some(false) {
        proxying.reverse.clear();
    }
    let more = section.pairs("reverse_urls", problems, |from, to| {
        if !to.starts_with('/') {
            return Err(Mistake::new(format!(
                "must be a path of the server, found {to:?}"
            )));
        }
        Ok((reverse_from(from)?, to.to_owned()))
    });
    proxying
        .reverse
        .extend(more.into_iter().map(|(_, (from, to))| Reverse { from, to }));
    proxying.cookie_domains = section.pairs("cookie_domains", problems, attribute);
    proxying.cookie_paths = section.pairs("cookie_paths", problems, attribute);
    let errors = section.read("override_errors", problems, override_errors);
    set(&mut proxying.override_errors, errors.map(|at| at.value));
    Some(AnswerDraft::Balancer(name?, proxying))
}

/// What stands in `Set-Cookie`, and must not end it.
pub(crate) fn attribute(from: &str, to: &str) -> Result<String, Mistake> {
    for text in [from, to] {
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b';') {
            return Err(Mistake::new(format!(
                "must be a domain or a path, found {text:?}"
            )));
        }
    }
    Ok(to.to_owned())
}

fn override_errors(value: &DeValue<'_>) -> Result<ErrorOverride, Mistake> {
    let wrong = |found: &DeValue<'_>| {
        Err(Mistake::new(format!(
            "must be true, false or a list of statuses from 400 to 599, found {}",
            describe(found)
        )))
    };
    match value {
        DeValue::Boolean(true) => Ok(ErrorOverride::All),
        DeValue::Boolean(false) => Ok(ErrorOverride::Off),
        DeValue::Array(items) => {
            let mut statuses = Vec::new();
            for item in items.iter() {
                match item.get_ref() {
                    DeValue::Integer(number) => match number.as_str().parse() {
                        Ok(status @ 400..=599) => statuses.push(status),
                        _ => return wrong(item.get_ref()),
                    },
                    other => return wrong(other),
                }
            }
            Ok(ErrorOverride::Statuses(statuses))
        }
        other => wrong(other),
    }
}
