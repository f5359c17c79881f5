//! `[[access_logs]]`, and the error log's file: where lines go, which requests have one, when a file is full.

use std::num::NonZeroU64;
use std::path::Path;
use std::time::Duration;

use carme_log::{Condition, Rotation};
use toml::de::DeValue;

use super::section::{Section, describe, text};
use super::{bounds, schema, set};
use crate::config::{AccessLog, Server};
use crate::draft::At;
use crate::env_file;
use crate::log_output::LogOutput;
use crate::mount::MountPath;
use crate::problem::{Mistake, Problems};
use crate::units::{ByteSize, parse_duration};

const NONE: &str = "write access_logs = [] at the top of the file for no access log";

/// A file of fewer bytes or of a shorter time is a slip, and would fill a folder with files.
const LEAST_SIZE: ByteSize = ByteSize::kib(4);
const LEAST_TIME: Duration = Duration::from_secs(60);

/// Reads the list; `None` if there is none.
pub(super) fn read(
    top: &Section<'_>,
    base: &Path,
    error_log: &LogOutput,
    problems: &mut Problems,
) -> Option<Vec<AccessLog>> {
    top.read("access_logs", problems, |value| match value {
        DeValue::Boolean(_) | DeValue::String(_) => Err(Mistake::new(format!(
            "must be a list of tables, found {}",
            describe(value)
        ))
        .cure(format!("begin each with [[access_logs]], or {NONE}"))),
        _ => Ok(()),
    })?;
    let mut logs: Vec<AccessLog> = Vec::new();
    for log in top.sections("access_logs", &schema::ACCESS_LOG, problems)? {
        let before = problems.len();
        let read = access_log(&log, base, problems);
        if problems.len() > before {
            continue;
        }
        let wrong = |what: &str, cure: &str| log.problem(Mistake::new(what).cure(cure));
        if logs.contains(&read) {
            problems.push(log.problem(Mistake::new(
                "has the same file and format as another: each line would be there twice",
            )));
        } else if logs
            .iter()
            .any(|other| other.output == read.output && other.rotation != read.rotation)
        {
            problems.push(wrong(
                "has the same file as another, but is rotated differently",
                "write the same `rotate` in both",
            ));
        } else if read.rotation.is_some() && read.output == *error_log {
            problems.push(wrong(
                "has the same file as the error log, and is rotated",
                "name another file",
            ));
        }
        logs.push(read);
    }
    Some(logs)
}

fn access_log(log: &At<Section<'_>>, base: &Path, problems: &mut Problems) -> AccessLog {
    let section = &log.value;
    let mut read = AccessLog {
        rotation: rotation(section, "rotate", problems),
        ..AccessLog::default()
    };
    let file = match (section.has("rotate"), &read.rotation) {
        // What is wrong with it has been told.
        (true, None) => None,
        (_, rotation) => file(section, "file", base, NONE, rotation.as_ref(), problems),
    };
    if read.rotation.is_some() && !section.has("file") {
        let mistake = Mistake::new("has `rotate`, but no `file`").cure("write file = \"logs/access.log\"");
        problems.push(log.problem(mistake));
    }
    let format = section.text("format", problems, |text| bounds::log_format(text, NONE));
    set(&mut read.output, file);
    set(&mut read.format, format.map(|at| at.value));
    let only = conditions(section, "only", problems);
    let except = conditions(section, "except", problems).map(Condition::not);
    read.when = match (only, except) {
        (Some(only), Some(except)) => Some(Condition::all([only, except])),
        (only, except) => only.or(except),
    };
    read
}

/// `error_log` and `error_log_rotate` of `[server]`.
pub(super) fn error_log(section: &Section<'_>, base: &Path, server: &mut Server, problems: &mut Problems) {
    let rotation = rotation(section, "error_log_rotate", problems);
    let none = "there is always an error log: write \"-\" for the console, or name a file";
    let file = match (section.has("error_log_rotate"), &rotation) {
        (true, None) => None,
        (_, rotation) => file(section, "error_log", base, none, rotation.as_ref(), problems),
    };
    if rotation.is_some() && !section.has("error_log") {
        section.read("error_log_rotate", problems, |_| {
            Err::<(), _>(Mistake::new("rotates the console").cure("write error_log = \"logs/error.log\""))
        });
    }
    set(&mut server.error_log, file);
    server.error_log_rotation = rotation;
}

fn file(
    section: &Section<'_>,
    key: &str,
    base: &Path,
    none: &str,
    rotation: Option<&Rotation>,
    problems: &mut Problems,
) -> Option<LogOutput> {
    let read = section.read(key, problems, |value| match (value, rotation) {
        (DeValue::Boolean(_), _) => {
            let what = format!(
                "must be a file, or \"-\" for the console, found {}",
                describe(value)
            );
            Err(Mistake::new(what).cure(none))
        }
        (_, None) => text(value, |text| LogOutput::parse(text, base, none)),
        (_, Some(rotation)) => text(value, |text| LogOutput::parse_rotated(text, base, none, rotation)),
    });
    read.map(|at| at.value)
}

fn rotation(section: &Section<'_>, key: &str, problems: &mut Problems) -> Option<Rotation> {
    let title = format!("`{key}`");
    let rotate = section.section(key, &title, &schema::ROTATE, problems)?;
    let size = rotate.text("size", problems, |text| match text.parse::<ByteSize>()? {
        size if size >= LEAST_SIZE => Ok(size),
        size => Err(Mistake::new(format!(
            "must be at least {LEAST_SIZE}, found {size}"
        ))),
    });
    let every = rotate.text("every", problems, |text| match parse_duration(text)? {
        every if every >= LEAST_TIME => Ok(every),
        _ => Err(Mistake::new(format!("must be at least \"1m\", found {text:?}"))),
    });
    let keep = rotate.count("keep", problems, bounds::KEPT_FILES);
    if !rotate.has("size") && !rotate.has("every") {
        section.read(key, problems, |_| {
            Err::<(), _>(
                Mistake::new("does not say when")
                    .cure("write { size = \"100MiB\" }, { every = \"1d\" } or both"),
            )
        });
        return None;
    }
    Some(Rotation {
        size: size.and_then(|at| NonZeroU64::new(at.value.as_u64())),
        every: every.map(|at| at.value),
        keep,
    })
}

/// One table, or a list of them: one of them must hold. In a table all keys must hold, each by one of its values.
fn conditions(section: &Section<'_>, key: &str, problems: &mut Problems) -> Option<Condition> {
    let tables = section.tables(key, &schema::REQUESTS, problems)?;
    let conditions: Vec<_> = tables
        .iter()
        .map(|table| {
            let section = &table.value;
            let path = section.texts("path", problems, |text| {
                Ok(Condition::path(MountPath::parse(text)?.script_name()))
            });
            let status = section.list("status", problems, status);
            let env = section.texts("env", problems, variable);
            let lists = [("path", path), ("status", status), ("env", env)];
            let mut all = Vec::new();
            for (key, list) in lists {
                let Some(list) = list else { continue };
                section.read(key, problems, |value| match value {
                    DeValue::Array(items) if items.is_empty() => {
                        Err(Mistake::new("is an empty list, which nothing is in").cure("leave it out"))
                    }
                    _ => Ok(()),
                });
                all.push(Condition::any(list.into_iter().map(|at| at.value)));
            }
            if section.is_empty() {
                let mistake =
                    Mistake::new("says nothing of requests").cure("it has the keys path, status and env");
                problems.push(table.problem(mistake));
            }
            Condition::all(all)
        })
        .collect();
    Some(Condition::any(conditions))
}

/// `404`, `"404"`, `"4xx"` or `"500-599"`.
fn status(value: &DeValue<'_>) -> Result<Condition, Mistake> {
    let mistake = |found: &str| {
        Mistake::new(format!(
            "must be a status such as 404, \"4xx\" or \"500-599\", found {found}"
        ))
    };
    let one = |text: &str| {
        text.trim()
            .parse::<u16>()
            .ok()
            .filter(|status| (100..=999).contains(status))
    };
    let range = match value {
        DeValue::Integer(number) => one(&number.to_string()).map(|status| status..=status),
        DeValue::String(text) => {
            let class = text.trim().to_ascii_lowercase();
            match (class.strip_suffix("xx"), text.split_once('-')) {
                (Some(hundreds), _) => one(&format!("{hundreds}00")).map(|first| first..=first + 99),
                (None, Some((first, last))) => match (one(first), one(last)) {
                    (Some(first), Some(last)) if first <= last => Some(first..=last),
                    _ => None,
                },
                (None, None) => one(text).map(|status| status..=status),
            }
        }
        _ => None,
    };
    range
        .map(Condition::status)
        .ok_or_else(|| mistake(&describe(value)))
}

/// A variable's name.
fn variable(name: &str) -> Result<Condition, Mistake> {
    if let Some(name) = name.strip_prefix('!') {
        return Err(
            Mistake::new(format!("must be a variable's name, found \"!{name}\"")).cure(format!(
                "write env = \"{name}\" in the other of `only` and `except`"
            )),
        );
    }
    env_file::check_key(name)?;
    Ok(Condition::variable(name))
}
