//! `LogFormat`, `CustomLog`, `ErrorLog`.

use std::num::NonZeroU64;
use std::time::Duration;

use carme_log::Rotation;

use super::lexer::Word;
use super::reading::{Context, Host, Outcome, Reading};
use super::requests::{LogRequests, Requests, expression};
use super::source::Node;
use crate::config::AccessLog;
use crate::env_file;
use crate::log_output::LogOutput;
use crate::problem::{Mistake, Problem, Problems};
use crate::toml_file::bounds;

const NONE: &str = "leave the directive out";
/// What Apache has where a `TransferLog` has no format.
const COMMON: &str = "common";

/// `CustomLog` or `TransferLog`.
pub(super) struct LogLine {
    name: String,
    file: Word,
    /// `None`: the one of the last `LogFormat` without a nickname.
    format: Option<Word>,
    when: Option<When>,
    of_host: bool,
}

enum When {
    /// `env=NAME`, `env=!NAME`
    Variable { name: String, is_set: bool },
    /// `expr=`
    Requests(LogRequests),
}

pub(super) fn format(reading: &mut Reading, node: &Node, _: &mut Host, _: &Context) -> Outcome {
    let format = node.arg(0)?;
    let nickname = node.args.get(1).map_or("", |word| word.text.as_str());
    // Without a nickname it may be one that is known already.
    let text = reading.formats.get(&format.text).filter(|_| nickname.is_empty());
    let text = text.cloned().unwrap_or_else(|| format.text.clone());
    bounds::log_format(&text, NONE).map_err(|mistake| node.wrong_arg(format, mistake))?;
    reading.formats.insert(nickname.to_owned(), text);
    Ok(())
}

pub(super) fn custom(reading: &mut Reading, node: &Node, host: &mut Host, _: &Context) -> Outcome {
    let (file, format) = (node.arg(0)?.clone(), node.arg(1)?.clone());
    let when = node.args.get(2).map(|word| {
        let wrong = |mistake| node.wrong_arg(word, mistake);
        match word.text.split_once('=') {
            Some((key, name)) if key.eq_ignore_ascii_case("env") => {
                let (name, is_set) = match name.strip_prefix('!') {
                    Some(name) => (name, false),
                    None => (name, true),
                };
                env_file::check_key(name).map_err(wrong)?;
                Ok(When::Variable {
                    name: name.to_owned(),
                    is_set,
                })
            }
            Some((key, text)) if key.eq_ignore_ascii_case("expr") => {
                expression(text).map(When::Requests).map_err(wrong)
            }
            _ => Err(wrong(Mistake::new(format!(
                "must be env=NAME, env=!NAME or expr=…, found {:?}",
                word.text
            )))),
        }
    });
    let when = when.transpose()?;
    reading.logs.push(LogLine {
        of_host: host.place.is_some(),
        name: node.name.text.clone(),
        file,
        format: Some(format),
        when,
    });
    Ok(())
}

pub(super) fn transfer(reading: &mut Reading, node: &Node, host: &mut Host, _: &Context) -> Outcome {
    let file = node.arg(0)?.clone();
    reading.logs.push(LogLine {
        of_host: host.place.is_some(),
        name: node.name.text.clone(),
        file,
        format: None,
        when: None,
    });
    Ok(())
}

pub(super) fn error_log(reading: &mut Reading, node: &Node, host: &mut Host, _: &Context) -> Outcome {
    let file = node.arg(0)?.clone();
    if file.text.starts_with("syslog") || file.text.starts_with('|') {
        let why = "goes to a program; Carme's error log goes to standard error, where systemd keeps it";
        reading.warn(&file, &node.name.text, why);
    } else if host.place.is_some() {
        let is_other = |known: &Word| known.text != file.text;
        if reading.error_log.as_ref().is_some_and(is_other) {
            reading.warn(
                &node.name,
                &node.name.text,
                "is of one host; Carme has one error log",
            );
        }
        reading.error_log.get_or_insert(file);
    } else {
        reading.error_log = Some(file);
    }
    Ok(())
}

impl Reading {
    /// The access logs, each with the requests that it is about.
    pub(super) fn access_logs(&mut self, problems: &mut Problems) -> Vec<(AccessLog, LogRequests)> {
        let mut logs: Vec<(AccessLog, LogRequests)> = Vec::new();
        for line in std::mem::take(&mut self.logs) {
            match self.access_log(&line) {
                Ok(Some((log, _))) if logs.iter().any(|(other, _)| *other == log) => {}
                Ok(Some((log, _))) if self.is_rotated_otherwise(&log, &logs) => {
                    let mistake = Mistake::new("has a file that another log has, and is rotated otherwise");
                    problems.push(line.file.problem(&line.name, mistake.cure("name another file")));
                }
                Ok(log) => logs.extend(log),
                Err(problem) => problems.push(problem),
            }
        }
        logs
    }

    fn access_log(&mut self, line: &LogLine) -> Result<Option<(AccessLog, LogRequests)>, Problem> {
        let format = match &line.format {
            None => self.formats.get("").map_or(COMMON, String::as_str),
            Some(word) => self.formats.get(&word.text).unwrap_or(&word.text),
        };
        let format = bounds::log_format(format, NONE).map_err(|mistake| {
            line.format
                .as_ref()
                .unwrap_or(&line.file)
                .problem(&line.name, mistake)
        })?;
        let requests = self.requests(line);
        if line.of_host && self.hosts.len() > 1 {
            let why =
                "is of one host, and has the lines of all of them here; %v in the format tells them apart";
            self.warn(&line.file, &line.name, why);
        }
        if matches!(line.file.text.as_str(), "/dev/null" | "NUL" | "nul") {
            return Ok(None);
        }
        let read = output(&line.file.text, &self.root);
        let (output, rotation) = read.map_err(|mistake| line.file.problem(&line.name, mistake))?;
        let log = AccessLog {
            output,
            format,
            when: requests.condition(),
            rotation,
        };
        Ok(Some((log, requests)))
    }

    /// Whether a file of several logs would be followed by another at different times.
    fn is_rotated_otherwise(&self, log: &AccessLog, others: &[(AccessLog, LogRequests)]) -> bool {
        let with_errors = log.rotation.is_some() && log.output == self.server.error_log;
        let differs = |other: &AccessLog| other.output == log.output && other.rotation != log.rotation;
        with_errors || others.iter().any(|(other, _)| differs(other))
    }

    fn requests(&self, line: &LogLine) -> LogRequests {
        match &line.when {
            None => LogRequests::default(),
            Some(When::Requests(requests)) => requests.clone(),
            Some(When::Variable { name, is_set }) => {
                let requests = vec![Requests::variable(name)];
                match is_set {
                    true => LogRequests {
                        only: requests,
                        ..LogRequests::default()
                    },
                    false => LogRequests {
                        except: requests,
                        ..LogRequests::default()
                    },
                }
            }
        }
    }

    /// Where the error log goes.
    pub(super) fn error_output(&mut self, problems: &mut Problems) {
        let Some(word) = self.error_log.take() else { return };
        match output(&word.text, &self.root) {
            Ok((output, rotation)) => {
                self.server.error_log = output;
                self.server.error_log_rotation = rotation;
            }
            Err(mistake) => problems.push(word.problem("ErrorLog", mistake)),
        }
    }
}

/// A file, or what a program that rotates files is told.
fn output(text: &str, root: &std::path::Path) -> Result<(LogOutput, Option<Rotation>), Mistake> {
    if matches!(
        text,
        "/dev/stdout" | "/dev/stderr" | "/proc/self/fd/1" | "/proc/self/fd/2"
    ) {
        return Ok((LogOutput::Standard, None));
    }
    let Some(command) = text.strip_prefix('|') else {
        return Ok((LogOutput::parse(text, root, NONE)?, None));
    };
    let (file, rotation) = rotated(command.trim_start_matches(['|', '$'])).ok_or_else(|| {
        Mistake::new(format!("goes to a program, which Carme does not start: {text:?}"))
            .cure("name a file; rotatelogs and cronolog are known, and done by Carme itself")
    })?;
    let output = LogOutput::parse_rotated(&file, root, NONE, &rotation)?;
    Ok((output, Some(rotation)))
}

/// `rotatelogs [-l] [-n N] FILE SECONDS|SIZE…`, or `cronolog FILE`.
fn rotated(command: &str) -> Option<(String, Rotation)> {
    let mut words = command.split_whitespace().map(|word| word.trim_matches('"'));
    let program = words.next()?.rsplit(['/', '\\']).next()?.to_ascii_lowercase();
    let mut rotation = Rotation {
        size: None,
        every: None,
        keep: None,
    };
    match program.trim_end_matches(".exe") {
        "cronolog" => {
            rotation.every = Some(Duration::from_secs(24 * 3600));
            Some((words.next()?.to_owned(), rotation))
        }
        "rotatelogs" => {
            let mut word = words.next()?;
            while word.starts_with('-') {
                if word == "-n" {
                    rotation.keep = bounds::KEPT_FILES.parse(words.next()?).ok();
                } else if matches!(word, "-L" | "-p") {
                    words.next()?;
                }
                word = words.next()?;
            }
            let file = word.to_owned();
            for when in words {
                let (digits, factor) = match when.char_indices().next_back()? {
                    (at, 'B') => (&when[..at], Some(1)),
                    (at, 'K') => (&when[..at], Some(1 << 10)),
                    (at, 'M') => (&when[..at], Some(1 << 20)),
                    (at, 'G') => (&when[..at], Some(1_u64 << 30)),
                    _ => (when, None),
                };
                let number: u64 = digits.parse().ok()?;
                match factor {
                    Some(factor) => rotation.size = NonZeroU64::new(number.checked_mul(factor)?.max(4096)),
                    // What else is a number is the difference from UTC.
                    None if rotation.every.is_none() => {
                        rotation.every = Some(Duration::from_secs(number.max(60)))
                    }
                    None => {}
                }
            }
            (rotation.size.is_some() || rotation.every.is_some()).then_some((file, rotation))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_that_rotate() {
        for (text, file, every, size, keep) in [
            (
                "/usr/sbin/rotatelogs /var/log/a.%Y-%m-%d 86400",
                "/var/log/a.%Y-%m-%d",
                Some(86_400),
                None,
                None,
            ),
            (
                "bin/rotatelogs.exe -l -n 5 logs/a.log 100M",
                "logs/a.log",
                None,
                Some(100 << 20),
                Some(5),
            ),
            (
                "rotatelogs logs/a.log 3600 1G",
                "logs/a.log",
                Some(3600),
                Some(1 << 30),
                None,
            ),
            (
                "cronolog logs/%Y/a.log",
                "logs/%Y/a.log",
                Some(86_400),
                None,
                None,
            ),
        ] {
            let (found, rotation) = rotated(text).expect(text);
            assert_eq!(found, file);
            assert_eq!(rotation.every.map(|every| every.as_secs()), every, "{text}");
            assert_eq!(rotation.size.map(NonZeroU64::get), size, "{text}");
            assert_eq!(rotation.keep.map(usize::from), keep, "{text}");
        }
        for text in ["", "cat", "rotatelogs", "rotatelogs a.log", "rotatelogs a.log x"] {
            assert!(rotated(text).is_none(), "{text}");
        }
    }
}
