//! What a worker prints, line by line into the error log, with its app, route and process id.
//!
//! Each stream is read by a thread of its own, so that a worker never waits for the front to log.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes of one line of the error log; what is longer is broken.
const LONGEST: u64 = 32 * 1024;

/// Which of a worker's streams a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    /// Logged as `info`.
    Output,
    /// Logged as `error`, where Python and its frameworks write what went wrong.
    Error,
}

/// Whose lines they are.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) app: Arc<str>,
    pub(crate) route: Arc<str>,
    pub(crate) pid: u32,
}

/// So many lines of a worker's errors are kept.
const KEPT: usize = 20;

/// The last lines that a worker printed to its standard error: often why it ended.
#[derive(Clone, Debug, Default)]
pub(crate) struct LastLines(Arc<Mutex<VecDeque<String>>>);

impl LastLines {
    pub(crate) fn get(&self) -> Vec<String> {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().cloned().collect()
    }

    fn push(&self, line: &str) {
        if line.trim().is_empty() {
            return;
        }
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == KEPT {
            lines.pop_front();
        }
        lines.push_back(line.to_owned());
    }
}

/// Reads a worker's stream until it ends, in a thread of its own; then calls `at_end`.
pub(crate) fn follow(
    from: File,
    stream: Stream,
    source: Source,
    last: LastLines,
    at_end: impl FnOnce() + Send + 'static,
) -> io::Result<()> {
    let Source { app, route, pid } = source;
    let name = format!("out {route}");
    let run = move || {
        lines(from, |line| {
            if stream == Stream::Error {
                last.push(line);
            }
            match stream {
                Stream::Output => tracing::info!(app = &*app, route = &*route, pid, "{line}"),
                Stream::Error => tracing::error!(app = &*app, route = &*route, pid, "{line}"),
            }
        });
        at_end();
    };
    std::thread::Builder::new().name(name).spawn(run).map(drop)
}

/// Hands out what can be read, a line at a time, as text without line ends and control characters.
fn lines(from: impl Read, mut each: impl FnMut(&str)) {
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut from).take(LONGEST).read_until(b'\n', &mut line) {
            // The end, or a stream that is of no more use: either way nothing more comes.
            Ok(0) | Err(_) => {
                if !line.is_empty() {
                    each(&readable(&line));
                }
                return;
            }
            Ok(_) => each(&readable(&line)),
        }
    }
}

/// As text: what is not UTF-8 is replaced, and control characters are escaped, so that a line cannot look like another.
fn readable(line: &[u8]) -> String {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let text = String::from_utf8_lossy(line);
    if !text.contains(|c: char| c.is_control() && c != '\t') {
        return text.into_owned();
    }
    text.chars()
        .fold(String::with_capacity(text.len() + 16), |mut escaped, c| {
            match c {
                '\t' => escaped.push(c),
                c if c.is_control() => escaped.extend(c.escape_default()),
                c => escaped.push(c),
            }
            escaped
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines_of(bytes: &[u8]) -> Vec<String> {
        let mut all = Vec::new();
        lines(bytes, |line| all.push(line.to_owned()));
        all
    }

    #[test]
    fn the_last_lines_are_kept() {
        let last = LastLines::default();
        (0..50).for_each(|n| last.push(&n.to_string()));
        last.push(" ");
        let kept = last.get();
        assert_eq!(kept.len(), KEPT);
        assert_eq!((kept[0].as_str(), kept[KEPT - 1].as_str()), ("30", "49"));
    }

    #[test]
    fn lines_are_lines_on_both_platforms() {
        assert_eq!(lines_of(b"one\ntwo\r\n\nfour"), ["one", "two", "", "four"]);
        assert_eq!(lines_of(b""), [""; 0]);
    }

    #[test]
    fn a_long_line_is_broken_and_nothing_is_lost() {
        let long = vec![b'x'; LONGEST as usize * 2 + 5];
        let broken = lines_of(&[&long[..], b"\nend\n"].concat());
        assert_eq!(
            broken.iter().map(String::len).collect::<Vec<_>>(),
            [LONGEST as usize, LONGEST as usize, 5, 3]
        );
    }

    #[test]
    fn what_is_no_text_is_made_text() {
        assert_eq!(
            lines_of(b"a\x1b[31m\tb\0\xff\n"),
            ["a\\u{1b}[31m\tb\\u{0}\u{fffd}"]
        );
        // What one line could pretend to be.
        assert_eq!(
            lines_of("x\r2026 [error]\u{85}\n".as_bytes()),
            ["x\\r2026 [error]\\u{85}"]
        );
    }
}
