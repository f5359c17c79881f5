//! `workers` and `recycle` of an app.

use std::num::NonZeroU64;

use toml::de::DeValue;

use super::section::{Section, number};
use super::{bounds, positive, schema};
use crate::config::defaults;
use crate::problem::{Mistake, Problems};
use crate::scale::{Recycle, Workers};
use crate::units::ByteSize;

/// A number, `"2-4"`, or a table with `min`, `max` and `ttl`.
pub(super) fn workers(section: &Section<'_>, title: &str, problems: &mut Problems) -> Option<Workers> {
    let read = section.read("workers", problems, |value| match value {
        DeValue::Table(_) => Ok(None),
        DeValue::String(text) if text.contains('-') => bounds::workers_text(text).map(Some),
        other => number(other, bounds::WORKERS).map(|number| Some(Workers::fixed(number))),
    })?;
    if let Some(workers) = read.value {
        return Some(workers);
    }
    let table = section.section("workers", title, &schema::WORKERS, problems)?;
    let min = table.count("min", problems, bounds::WORKERS);
    let max = table.count("max", problems, bounds::WORKERS);
    let ttl = positive(&table, "ttl", problems).unwrap_or(defaults::WORKERS_TTL);
    if !table.has("min") || !table.has("max") {
        let mistake =
            Mistake::new("needs both `min` and `max`").cure("write { min = 2, max = 4 }, or one number");
        problems.push(read.problem(mistake));
    }
    match bounds::scaled(min?, max?, ttl) {
        Ok(workers) => Some(workers),
        Err(mistake) => {
            problems.push(read.problem(mistake));
            None
        }
    }
}

/// `[apps.NAME.recycle]`
pub(super) fn recycle(table: &Section<'_>, problems: &mut Problems) -> Recycle {
    let requests = table.count("requests", problems, bounds::RECYCLE_REQUESTS);
    let size = |text: &str| bounds::size(text, ByteSize::mib(1), ByteSize::gib(1024));
    Recycle {
        requests: requests.and_then(|requests| NonZeroU64::new(requests.get() as u64)),
        age: positive(table, "age", problems),
        jitter: table
            .fraction("jitter", problems)
            .unwrap_or(defaults::RECYCLE_JITTER),
        memory: table.text("memory", problems, size).map(|at| at.value),
        idle: positive(table, "idle", problems),
    }
}
