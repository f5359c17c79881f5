//! Timeouts and limits.

use std::num::NonZeroUsize;
use std::time::Duration;

use super::reading::{Context, Host, Outcome, Reading};
use super::source::Node;
use super::time;
use crate::problem::Mistake;
use crate::toml_file::bounds;
use crate::units::{ByteRate, ByteSize};

pub(super) fn keep_alive(reading: &mut Reading, node: &Node, _: &mut Host, _: &Context) -> Outcome {
    if !node.switch()? {
        reading.server.timeouts.keep_alive = Duration::ZERO;
    }
    Ok(())
}

pub(super) fn keep_alive_timeout(reading: &mut Reading, node: &Node, _: &mut Host, _: &Context) -> Outcome {
    let timeout = node.parsed(time::any)?;
    // `KeepAlive Off` stays off.
    if !reading.server.timeouts.keep_alive.is_zero() {
        reading.server.timeouts.keep_alive = timeout;
    }
    Ok(())
}

pub(super) fn graceful(reading: &mut Reading, node: &Node, _: &mut Host, _: &Context) -> Outcome {
    match node.parsed(time::any)? {
        Duration::ZERO => {
            let why = "of 0 waits for ever; Carme waits for graceful_timeout";
            reading.warn(&node.name, &node.name.text, why);
        }
        timeout => reading.server.timeouts.graceful = timeout,
    }
    Ok(())
}

pub(super) fn body(reading: &mut Reading, node: &Node, _: &mut Host, context: &Context) -> Outcome {
    let size = node.parsed(time::bytes)?;
    if context.location.is_some() || context.in_directory {
        let why =
            "holds for a part of the server; Carme's max_body holds for all of it: the largest is taken";
        reading.warn(&node.name, &node.name.text, why);
        reading.server.limits.body = reading.server.limits.body.max(size);
        return Ok(());
    }
    reading.server.limits.body = match size.as_u64() {
        0 => ByteSize::gib(1 << 20),
        _ => size,
    };
    Ok(())
}

fn count(node: &Node, bound: crate::number::AtMost) -> Result<NonZeroUsize, crate::problem::Problem> {
    node.parsed(|text| bound.parse(text))
}

pub(super) fn fields(reading: &mut Reading, node: &Node, _: &mut Host, _: &Context) -> Outcome {
    reading.server.limits.headers = match node.arg(0)?.text.as_str() {
        "0" => NonZeroUsize::new(bounds::HEADERS.0 as usize).unwrap_or(NonZeroUsize::MIN),
        _ => count(node, bounds::HEADERS)?,
    };
    Ok(())
}

pub(super) fn line(reading: &mut Reading, node: &Node, _: &mut Host, _: &Context) -> Outcome {
    let size = node.parsed(time::bytes)?;
    let (least, most) = (ByteSize::bytes(64), ByteSize::bytes(65_000));
    if !(least..=most).contains(&size) {
        let mistake = Mistake::new(format!(
            "must be a number of bytes from 64 to 65000, found {}",
            size.as_u64()
        ));
        return Err(node.wrong(mistake));
    }
    reading.server.limits.uri = size;
    Ok(())
}

pub(super) fn field_size(reading: &mut Reading, node: &Node, _: &mut Host, _: &Context) -> Outcome {
    let size = node.parsed(time::bytes)?;
    match size > reading.server.limits.header {
        true => reading.server.limits.header = size.min(ByteSize::mib(1)),
        false => {
            let why =
                "bounds a single field; Carme's max_header bounds all of them together, and stays as it is";
            reading.warn(&node.name, &node.name.text, why);
        }
    }
    Ok(())
}

pub(super) fn backlog(reading: &mut Reading, node: &Node, _: &mut Host, _: &Context) -> Outcome {
    reading.server.limits.backlog = count(node, bounds::BACKLOG)?;
    Ok(())
}

/// `header=20-40,MinRate=500 body=20,MinRate=500`
pub(super) fn read_timeout(reading: &mut Reading, node: &Node, _: &mut Host, _: &Context) -> Outcome {
    for word in &node.args {
        let wrong = |mistake| node.wrong_arg(word, mistake);
        let Some((what, how)) = word.text.split_once('=') else {
            return Err(wrong(Mistake::new("must be header=… or body=…")));
        };
        let (times, rate) = match how.split_once(',') {
            Some((times, rate)) => (times, Some(rate)),
            None => (how, None),
        };
        let longest = times.split('-').next_back().unwrap_or(times);
        let time = time::any(longest).map_err(wrong)?;
        let rate = rate.map(|rate| {
            let digits = rate
                .get(8..)
                .filter(|_| rate.to_ascii_lowercase().starts_with("minrate="));
            digits
                .and_then(|digits| digits.parse().ok())
                .map(ByteRate::bytes)
                .ok_or_else(|| wrong(Mistake::new(format!("must be MinRate=NUMBER, found {rate:?}"))))
        });
        let rate = rate.transpose()?;
        match what.to_ascii_lowercase().as_str() {
            "handshake" => {
                reading.warn(
                    word,
                    &node.name.text,
                    "is decided by Carme: handshakes have header_timeout",
                );
            }
            "header" if !time.is_zero() => reading.server.timeouts.header = time,
            "body" => {
                if !time.is_zero() {
                    reading.server.timeouts.body = time;
                }
                reading.server.limits.body_rate = rate.unwrap_or(reading.server.limits.body_rate);
            }
            "header" => reading.warn(
                word,
                &node.name.text,
                "of 0 waits for ever; Carme keeps header_timeout",
            ),
            _ => {
                return Err(wrong(Mistake::new(format!(
                    "must be header=… or body=…, found {what:?}"
                ))));
            }
        }
    }
    Ok(())
}
