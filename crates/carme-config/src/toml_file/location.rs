//! `[[locations]]`, and what `[server]` and a location have in common.

use std::path::Path;

use toml::de::DeValue;

use super::proxying::{WITH_BALANCER, proxying};
use super::section::{Section, describe};
use super::{rules, schema, variables};
use crate::draft::{AnswerDraft, At, LocationDraft, PolicyDraft};
use crate::location::{Answer, Compress, Files, HostPattern};
use crate::mount::MountPath;
use crate::nearest::did_you_mean;
use crate::problem::{Mistake, Problems};
use crate::units::{ByteSize, parse_duration};
use crate::{config::defaults, paths};

/// The keys of which a location has one.
const ANSWERS: [&str; 5] = ["app", "balancer", "files", "redirect", "respond"];

/// The keys that mean something only beside `files`.
const WITH_FILES: [&str; 8] = [
    "index",
    "fallback",
    "follow_links",
    "hidden",
    "precompressed",
    "cache",
    "immutable",
    "media_types",
];

const REDIRECT_STATUSES: [u16; 5] = [301, 302, 303, 307, 308];

pub(super) fn locations(
    top: &Section<'_>,
    base: &Path,
    problems: &mut Problems,
) -> Option<Vec<LocationDraft>> {
    let mut drafts = Vec::new();
    for location in top.sections("locations", &schema::LOCATION, problems)? {
        let section = &location.value;
        let path = section.text("path", problems, MountPath::parse);
        if !section.has("path") {
            let mistake = Mistake::new("has no `path`").cure("write path = \"/\"");
            problems.push(location.problem(mistake));
        }
        let hosts = section.texts("host", problems, HostPattern::parse);
        let answer = answer(&location, base, problems);
        let policy = policy(section, problems);
        let (Some(path), Some(answer)) = (path, answer) else {
            continue;
        };
        let with_host = |host| LocationDraft {
            host,
            path: path.clone(),
            answer: answer.clone(),
            policy: policy.clone(),
        };
        match hosts {
            None => drafts.push(with_host(None)),
            Some(hosts) => {
                if hosts.is_empty() {
                    section.read("host", problems, |value| match value {
                        DeValue::Array(items) if items.is_empty() => {
                            Err(Mistake::new("must have a host, found an empty list")
                                .cure("leave it out: the location then answers to every host"))
                        }
                        _ => Ok(()),
                    });
                }
                drafts.extend(hosts.into_iter().map(|host| with_host(Some(host.value))));
            }
        }
    }
    Some(drafts)
}

/// The one key that says who answers, and those that belong to it.
fn answer(location: &At<Section<'_>>, base: &Path, problems: &mut Problems) -> Option<AnswerDraft> {
    let section = &location.value;
    let named: Vec<&str> = ANSWERS.into_iter().filter(|key| section.has(key)).collect();
    let kind = match named[..] {
        [] => {
            let mistake = Mistake::new("says not what answers").cure(
                "write one of app = \"site\", balancer = \"cluster\", files = \"static\", \
                 redirect = \"https://example.com{uri}\", respond = { body = \"text\" }",
            );
            problems.push(location.problem(mistake));
            return None;
        }
        [one] => one,
        [first, second, ..] => {
            let mistake = Mistake::new(format!("has `{first}` and `{second}`, which exclude each other"))
                .cure("one thing answers at a location: write a second [[locations]] for the other");
            problems.push(location.problem(mistake));
            return None;
        }
    };
    for key in WITH_FILES.into_iter().filter(|_| kind != "files") {
        out_of_place(
            section,
            key,
            &format!("goes with `files`, and here is `{kind}`"),
            problems,
        );
    }
    for key in WITH_BALANCER.into_iter().filter(|_| kind != "balancer") {
        out_of_place(
            section,
            key,
            &format!("goes with `balancer`, and here is `{kind}`"),
            problems,
        );
    }
    if kind == "respond" {
        out_of_place(
            section,
            "status",
            "goes into `respond`: respond = { status = 200 }",
            problems,
        );
    } else if kind != "redirect" {
        out_of_place(
            section,
            "status",
            &format!("goes with `redirect`, and here is `{kind}`"),
            problems,
        );
    }
    match kind {
        "app" => section.string("app", problems).map(AnswerDraft::App),
        "balancer" => proxying(section, problems),
        "files" => files(section, base, problems).map(AnswerDraft::Other),
        "redirect" => redirect(section, problems).map(AnswerDraft::Other),
        _ => respond(section, problems).map(AnswerDraft::Other),
    }
}

fn out_of_place(section: &Section<'_>, key: &str, why: &str, problems: &mut Problems) {
    section.read(key, problems, |_| Err::<(), _>(Mistake::new(why)));
}

fn files(section: &Section<'_>, base: &Path, problems: &mut Problems) -> Option<Answer> {
    let folder = section.text("files", problems, |text| paths::folder(base, text));
    let index = section.texts("index", problems, |text| below(text, "index.html"));
    let fallback = section.text("fallback", problems, |text| below(text, "index.html"));
    let cache = section.text("cache", problems, cache);
    let immutable = section.texts("immutable", problems, |text| {
        Ok(text.trim_start_matches('/').to_owned())
    });
    let values = |list: Vec<At<String>>| list.into_iter().map(|at| at.value).collect();
    Some(Answer::Files(Files {
        folder: folder?.value,
        index: index.map_or_else(|| vec![defaults::INDEX.to_owned()], values),
        fallback: fallback.map(|at| at.value),
        follow_links: flag(section, "follow_links", problems).unwrap_or_default(),
        hidden: flag(section, "hidden", problems).unwrap_or_default(),
        precompressed: flag(section, "precompressed", problems).unwrap_or_default(),
        cache: cache.map(|at| at.value),
        immutable: immutable.map(values).unwrap_or_default(),
        media_types: section
            .pairs("media_types", problems, media_type)
            .into_iter()
            .collect(),
    }))
}

/// The media type of files whose names end like this.
fn media_type(ending: &str, text: &str) -> Result<String, Mistake> {
    if !ending.starts_with('.') || ending.len() == 1 || ending.contains(['/', '\\']) {
        let mistake = Mistake::new("must be the end of a file's name, with its dot, such as \".glb\"");
        return Err(match ending.contains(['.', '/', '\\']) {
            true => mistake,
            false => mistake.cure(format!("write \".{ending}\"")),
        });
    }
    let essence = text.split(';').next().unwrap_or_default().trim_end();
    let is_token = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
    };
    match essence.split_once('/') {
        Some((kind, sub)) if is_token(kind) && is_token(sub) => rules::value(text),
        _ => Err(Mistake::new(format!(
            "must be a media type such as \"model/gltf-binary\" or \"text/plain; charset=utf-8\", found {text:?}"
        ))),
    }
}

/// A path below the folder.
pub(crate) fn below(text: &str, example: &str) -> Result<String, Mistake> {
    let path = text.trim_start_matches('/');
    let is_plain = |name: &str| !matches!(name, "" | "." | "..") && !name.contains(['\\', ':']);
    match path.split('/').all(is_plain) {
        true => Ok(path.to_owned()),
        false => Err(Mistake::new(format!(
            "must be a path below `files`, with slashes, such as {example:?}, found {text:?}"
        ))),
    }
}

/// How long, or one of two words.
fn cache(text: &str) -> Result<String, Mistake> {
    match text {
        "no-cache" | "no-store" => Ok(text.to_owned()),
        _ => match parse_duration(text) {
            Ok(duration) => Ok(format!("max-age={}", duration.as_secs())),
            Err(_) => Err(Mistake::new(format!(
                "must be a duration, \"no-cache\" or \"no-store\", found {text:?}"
            ))
            .cure("write \"1h\"; everything else is said by response_headers = [{ set = \"Cache-Control\", value = \"…\" }]")),
        },
    }
}

fn redirect(section: &Section<'_>, problems: &mut Problems) -> Option<Answer> {
    const PLACEHOLDERS: [&str; 3] = ["{host}", "{uri}", "{path}"];
    let target = section.text("redirect", problems, |text| {
        let is_absolute = ["https://", "http://", "/"]
            .iter()
            .any(|start| text.starts_with(start));
        if !is_absolute || text.starts_with("//") {
            let mistake = Mistake::new(format!("must be an address or a path, found {text:?}"));
            return Err(mistake.cure("begin with https://, http:// or one slash"));
        }
        if let Some(odd) = text.chars().find(|c| !c.is_ascii_graphic()) {
            let mistake = Mistake::new(format!("must be an address, without {odd:?}, found {text:?}"));
            return Err(mistake.cure("percent-encode it"));
        }
        for piece in text.split('{').skip(1) {
            let placeholder = format!("{{{}", piece.split_inclusive('}').next().unwrap_or_default());
            if !PLACEHOLDERS.contains(&placeholder.as_str()) {
                let mistake = Mistake::new(format!("has an unknown placeholder: {placeholder}"));
                let known = format!("there are {}", PLACEHOLDERS.join(", "));
                let cure = did_you_mean(&placeholder, PLACEHOLDERS).unwrap_or(known);
                return Err(mistake.cure(cure));
            }
        }
        Ok(text.to_owned())
    });
    let status = section.read("status", problems, |value| {
        let wrong = || {
            Err(Mistake::new(format!(
                "must be 301, 302, 303, 307 or 308, found {}",
                describe(value)
            ))
            .cure(
                "308 is for ever, 307 for now; 301 and 302 are the same to browsers, but turn POST into GET",
            ))
        };
        match value {
            DeValue::Integer(number) => match number.as_str().parse() {
                Ok(status) if REDIRECT_STATUSES.contains(&status) => Ok(status),
                _ => wrong(),
            },
            _ => wrong(),
        }
    });
    Some(Answer::Redirect {
        target: target?.value,
        status: status.map_or(defaults::REDIRECT_STATUS, |at| at.value),
    })
}

fn respond(section: &Section<'_>, problems: &mut Problems) -> Option<Answer> {
    let table = section.section("respond", "[locations.respond]", &schema::RESPOND, problems)?;
    let status = table.read("status", problems, |value| match value {
        DeValue::Integer(number) => match number.as_str().parse() {
            Ok(status @ 200..=599) => Ok(status),
            _ => Err(Mistake::new(format!(
                "must be a status from 200 to 599, found {}",
                describe(value)
            ))),
        },
        _ => Err(Mistake::new(format!(
            "must be a status from 200 to 599, found {}",
            describe(value)
        ))),
    });
    let body = table.string("body", problems);
    let content_type = table.text("content_type", problems, rules::value);
    Some(Answer::Respond {
        status: status.map_or(200, |at| at.value),
        body: body.map(|at| at.value).unwrap_or_default(),
        content_type: content_type.map_or_else(|| defaults::RESPOND_TYPE.to_owned(), |at| at.value),
    })
}

/// `compress`, `variables`, `request_headers`, `response_headers`: at the server or at a location.
pub(super) fn policy(section: &Section<'_>, problems: &mut Problems) -> PolicyDraft {
    PolicyDraft {
        compress: compress(section, problems),
        variables: variables::variables(section, problems),
        request_headers: rules::rules(section, &schema::REQUEST_HEADER, "request_headers", problems),
        response_headers: rules::rules(section, &schema::RESPONSE_HEADER, "response_headers", problems),
    }
}

/// `None` if nothing is said, `Some(None)` for `false`.
fn compress(section: &Section<'_>, problems: &mut Problems) -> Option<Option<Compress>> {
    let usual = || Compress {
        min_size: defaults::COMPRESS_MIN_SIZE,
        types: Vec::new(),
        even_private: false,
    };
    let switch = section.read("compress", problems, |value| match value {
        DeValue::Boolean(switch) => Ok(Some(*switch)),
        DeValue::Table(_) => Ok(None),
        other => Err(Mistake::new(format!(
            "must be true, false or a table, found {}",
            describe(other)
        ))
        .cure(format!(
            "the table has the keys {}",
            schema::COMPRESS.known.join(", ")
        ))),
    })?;
    if let Some(switch) = switch.value {
        return Some(switch.then(usual));
    }
    let table = section.section("compress", "`compress`", &schema::COMPRESS, problems)?;
    let min_size = table.text("min_size", problems, str::parse::<ByteSize>);
    let types = table.texts("types", problems, |text| match text.split_once('/') {
        Some((kind, sub)) if !kind.is_empty() && !sub.is_empty() && !text.contains([';', ',', ' ']) => {
            Ok(text.to_owned())
        }
        _ => Err(Mistake::new(format!(
            "must be a media type such as \"text/html\" or \"text/*\", found {text:?}"
        ))),
    });
    Some(Some(Compress {
        min_size: min_size.map_or(defaults::COMPRESS_MIN_SIZE, |at| at.value),
        types: types.unwrap_or_default().into_iter().map(|at| at.value).collect(),
        even_private: flag(&table, "even_private", problems).unwrap_or_default(),
    }))
}

pub(super) fn flag(section: &Section<'_>, key: &str, problems: &mut Problems) -> Option<bool> {
    flag_at(section, key, problems).map(|at| at.value)
}

pub(super) fn flag_at(section: &Section<'_>, key: &str, problems: &mut Problems) -> Option<At<bool>> {
    section.read(key, problems, |value| match value {
        DeValue::Boolean(switch) => Ok(*switch),
        other => {
            let mistake = Mistake::new(format!("must be true or false, found {}", describe(other)));
            Err(match other {
                DeValue::String(text) if matches!(&**text, "true" | "false") => {
                    mistake.cure(format!("write {text} without quotes"))
                }
                _ => mistake,
            })
        }
    })
}
