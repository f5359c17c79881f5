//! The thread that writes: rounds of taking what has gathered, writing it, and telling what became of it.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use super::WriterOptions;
use super::output::Output;
use super::queue::{Outcome, Queue, Rest};
use super::report::{Reporter, Went};

/// A buffer above this is given back after a burst.
const KEPT: usize = 256 << 10;

/// How often a destination that would block is tried again.
const BLOCKED: Duration = Duration::from_millis(10);

pub(super) fn start(
    queue: Arc<Queue>,
    output: Box<dyn Output>,
    options: WriterOptions,
) -> io::Result<JoinHandle<()>> {
    let thread = std::thread::Builder::new().name("carme-log".to_owned());
    thread.spawn(move || run(&queue, output, options))
}

fn run(queue: &Queue, mut output: Box<dyn Output>, options: WriterOptions) {
    let mut reporter = Reporter::new(output.name(), options.report_every, options.on_trouble);
    let mut batch = Batch::default();
    let mut rest = Rest::None;
    loop {
        let round = queue.next_round(rest, &mut batch.bytes);
        batch.lines += round.lines;
        let mut result = batch.write(&mut *output);
        let mut reopened = Ok(());
        if round.reopen {
            reopened = output.reopen();
            if reopened.is_ok() && result.is_err() {
                batch.back_to_line_start();
                result = batch.write(&mut *output);
            }
        }
        let failed = result.is_err();
        let (lost, more) = queue.end_round(&Outcome {
            written: batch.newly_written(),
            left: batch.bytes.len() - batch.done,
            error: result.as_ref().err().or(reopened.as_ref().err()),
        });
        if failed {
            rest = Rest::Retry(options.retry);
        } else {
            batch.clear();
            rest = Rest::Linger(options.linger);
        }
        let went = Went {
            written: result,
            reopened,
            rotated: output.take_trouble(),
        };
        if round.closing && (failed || !more) {
            let lost = queue.finish();
            return reporter.last_round(went, lost);
        }
        reporter.round(went, lost);
    }
}

/// Lines taken from the queue.
#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
    /// Bytes already written; after a failure perhaps in the middle of a line.
    done: usize,
    lines: u64,
    /// Lines already reported as written.
    told: u64,
}

impl Batch {
    /// Writes what is left.
    fn write(&mut self, output: &mut dyn Output) -> io::Result<()> {
        while self.done < self.bytes.len() {
            let end = self.end_of_piece(output.at_once());
            match output.write(&self.bytes[self.done..end]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => self.done += written,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Somebody made our standard output non-blocking; it is as good as one that blocks.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::sleep(BLOCKED),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// As many whole lines as fit into `at_once` bytes, at least one.
    fn end_of_piece(&self, at_once: usize) -> usize {
        let rest = &self.bytes[self.done..];
        let fits = rest.len().min(at_once);
        let last = rest[..fits].iter().rposition(|&byte| byte == b'\n');
        let last = last.or_else(|| rest.iter().position(|&byte| byte == b'\n'));
        self.done + last.map_or(rest.len(), |last| last + 1)
    }

    /// Lines written since the last call. A line may hold line feeds of its own, so this is exact when all are written.
    fn newly_written(&mut self) -> u64 {
        let written = match self.done == self.bytes.len() {
            true => self.lines,
            false => {
                let ends = self.bytes[..self.done]
                    .iter()
                    .filter(|&&byte| byte == b'\n')
                    .count();
                (ends as u64).clamp(self.told, self.lines)
            }
        };
        written - std::mem::replace(&mut self.told, written)
    }

    /// In a new file a line that was begun in the old one starts again.
    fn back_to_line_start(&mut self) {
        self.done = self.bytes[..self.done]
            .iter()
            .rposition(|&byte| byte == b'\n')
            .map_or(0, |last| last + 1);
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(KEPT);
        *self = Batch {
            bytes: std::mem::take(&mut self.bytes),
            ..Batch::default()
        };
    }
}
