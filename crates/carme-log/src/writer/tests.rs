//! The writer against real files and pipes, full disks, and an output that fails as the test tells it to.

use std::collections::HashSet;
use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::output::Output;
use super::{Destination, Totals, Trouble, What, Writer, WriterOptions};

fn file(path: &std::path::Path) -> Writer {
    Writer::open(Destination::File(path.to_owned()), WriterOptions::default()).unwrap()
}

/// Never retries or writes again by itself, so that only `flush` and `close` drive it.
fn driven() -> WriterOptions {
    let never = Duration::from_secs(3600);
    WriterOptions {
        linger: never,
        retry: never,
        report_every: Duration::ZERO,
        ..WriterOptions::default()
    }
}

fn gather_trouble(options: WriterOptions) -> (WriterOptions, Receiver<(String, u64)>) {
    let (tell, told) = channel();
    let on_trouble = Box::new(move |trouble: &Trouble| {
        let what = match &trouble.what {
            What::Write(error) => format!("write: {:?}", error.kind()),
            What::Reopen(error) => format!("reopen: {:?}", error.kind()),
            What::Rotate(error) => format!("rotate: {:?}", error.kind()),
            What::Slow => "slow".to_owned(),
            What::Recovered => "recovered".to_owned(),
        };
        // The test may have ended.
        let _ = tell.send((what, trouble.lost));
    });
    (
        WriterOptions {
            on_trouble: Some(on_trouble),
            ..options
        },
        told,
    )
}

/// What the next writes shall do; when the list is empty they succeed.
#[derive(Debug)]
enum Step {
    Take(usize),
    Fail(io::ErrorKind),
    /// Blocks until the sender is dropped, then takes all.
    Block(Receiver<()>),
}

#[derive(Default)]
struct Script {
    steps: Vec<Step>,
    writes: Vec<Vec<u8>>,
    /// One text a file; reopening begins the next.
    files: Vec<String>,
    reopen_fails: bool,
}

struct Scripted(Arc<Mutex<Script>>);

impl Output for Scripted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let step = {
            let mut script = self.0.lock().unwrap();
            if script.steps.is_empty() {
                Step::Take(usize::MAX)
            } else {
                script.steps.remove(0)
            }
        };
        let taken = match step {
            Step::Take(count) => count.min(bytes.len()),
            Step::Fail(kind) => return Err(kind.into()),
            Step::Block(until) => {
                assert!(until.recv().is_err());
                bytes.len()
            }
        };
        let mut script = self.0.lock().unwrap();
        script.writes.push(bytes.to_vec());
        let text = std::str::from_utf8(&bytes[..taken]).unwrap();
        script.files.last_mut().unwrap().push_str(text);
        Ok(taken)
    }

    fn reopen(&mut self) -> io::Result<()> {
        let mut script = self.0.lock().unwrap();
        if script.reopen_fails {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        script.files.push(String::new());
        Ok(())
    }

    fn at_once(&self) -> usize {
        16
    }

    fn name(&self) -> String {
        "a script".to_owned()
    }
}

fn scripted(steps: Vec<Step>, options: WriterOptions) -> (Writer, Arc<Mutex<Script>>) {
    let script = Script {
        steps,
        files: vec![String::new()],
        ..Script::default()
    };
    let script = Arc::new(Mutex::new(script));
    (
        Writer::start(Box::new(Scripted(Arc::clone(&script))), options).unwrap(),
        script,
    )
}

fn files(script: &Mutex<Script>) -> Vec<String> {
    script.lock().unwrap().files.clone()
}

#[test]
fn many_threads_leave_whole_lines_each_in_its_threads_order() {
    const THREADS: usize = 8;
    const LINES: usize = 5000;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let writer = file(&path);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let writer = &writer;
            scope.spawn(move || {
                for line in 0..LINES {
                    writer.line(format!("{thread} {line} {}", "x".repeat(line % 200)).as_bytes());
                }
            });
        }
    });
    assert_eq!(
        writer.close(),
        Totals {
            written: (THREADS * LINES) as u64,
            lost: 0
        }
    );
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.ends_with('\n'));
    let mut next = [0; THREADS];
    for line in text.lines() {
        let [thread, number, tail] = line.splitn(3, ' ').collect::<Vec<_>>().try_into().unwrap();
        let (thread, number): (usize, usize) = (thread.parse().unwrap(), number.parse().unwrap());
        assert_eq!(number, next[thread], "lost, repeated or out of order: {line}");
        assert_eq!(tail.len(), number % 200, "torn: {line}");
        next[thread] += 1;
    }
    assert_eq!(next, [LINES; THREADS]);
}

#[test]
fn two_writers_of_one_file_never_tear_each_others_lines() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let writers = [file(&path), file(&path)];
    std::thread::scope(|scope| {
        for (name, writer) in ["a", "b"].into_iter().zip(&writers) {
            scope.spawn(move || {
                for number in 0..5000 {
                    writer.line(format!("{name} {number} {}.", name.repeat(300)).as_bytes());
                    if number % 100 == 0 {
                        writer.flush().unwrap();
                    }
                }
            });
        }
    });
    drop(writers);
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: HashSet<&str> = text.lines().collect();
    assert_eq!(lines.len(), 10_000);
    for name in ["a", "b"] {
        for number in 0..5000 {
            assert!(
                lines.contains(&*format!("{name} {number} {}.", name.repeat(300))),
                "{name} {number}"
            );
        }
    }
}

#[test]
fn flush_waits_until_lines_are_in_the_file_and_dropping_writes_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    std::fs::write(&path, "from before\n").unwrap();
    let writer = Writer::open(Destination::File(path.clone()), driven()).unwrap();
    writer.flush().unwrap();
    for number in 0..3 {
        writer.line(number.to_string().as_bytes());
        writer.flush().unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "from before\n0\n1\n2\n");
    writer.line(b"last");
    drop(writer);
    assert_eq!(
        std::fs::read_to_string(&path).unwrap(),
        "from before\n0\n1\n2\nlast\n"
    );
}

/// Renaming a file that is open is what Windows refuses unless it was opened for it.
#[test]
fn a_renamed_file_is_left_behind_by_reopen() {
    let folder = tempfile::tempdir().unwrap();
    let (path, old) = (
        folder.path().join("access.log"),
        folder.path().join("access.log.1"),
    );
    let writer = file(&path);
    writer.line(b"one");
    writer.flush().unwrap();
    std::fs::rename(&path, &old).unwrap();
    writer.line(b"two");
    writer.flush().unwrap();
    writer.reopen();
    writer.flush().unwrap();
    writer.line(b"three");
    assert_eq!(writer.close(), Totals { written: 3, lost: 0 });
    assert_eq!(std::fs::read_to_string(&old).unwrap(), "one\ntwo\n");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "three\n");
}

#[test]
fn a_line_that_a_dead_writer_left_unfinished_is_ended_first() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    std::fs::write(&path, "whole\nhal").unwrap();
    let writer = file(&path);
    writer.line(b"ours");
    drop(writer);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "whole\nhal\nours\n");
}

#[test]
fn the_null_device_is_a_destination_too() {
    let writer = file(std::path::Path::new(if cfg!(windows) {
        "NUL"
    } else {
        "/dev/null"
    }));
    writer.line(b"into the void");
    writer.flush().unwrap();
    assert_eq!(writer.close(), Totals { written: 1, lost: 0 });
}

#[test]
fn a_file_that_cannot_be_opened_is_named_with_the_cure() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("logs").join("access.log");
    let error = Writer::open(Destination::File(path.clone()), WriterOptions::default())
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with(&format!("cannot open the log file {}: ", path.display())),
        "{error}"
    );
    let cure = format!("(create the folder {})", path.parent().unwrap().display());
    assert!(error.ends_with(&cure), "{error}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_loses_lines_and_counts_them_and_nothing_else() {
    let (options, trouble) = gather_trouble(WriterOptions {
        buffer: 10_000,
        ..WriterOptions::default()
    });
    let writer = Writer::open(Destination::File("/dev/full".into()), options).unwrap();
    for _ in 0..100_000 {
        writer.line(b"nine char");
    }
    assert_eq!(writer.flush().unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert_eq!(
        writer.totals(),
        Totals {
            written: 0,
            lost: 99_000
        }
    );
    assert_eq!(
        writer.close(),
        Totals {
            written: 0,
            lost: 100_000
        }
    );
    // The second round came within ten seconds of the first; the last is told whenever it comes.
    let reports: Vec<_> = trouble.iter().collect();
    assert_eq!(reports.len(), 2, "{reports:?}");
    assert_eq!(reports[1], ("write: StorageFull".to_owned(), 100_000));
}

#[cfg(target_os = "linux")]
#[test]
fn a_pipe_gets_its_lines_and_its_closing_is_survived() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fifo");
    assert!(
        std::process::Command::new("mkfifo")
            .arg(&path)
            .status()
            .unwrap()
            .success()
    );
    let reader_path = path.clone();
    let reader = std::thread::spawn(move || {
        use std::io::{BufRead, BufReader};
        let mut line = String::new();
        BufReader::new(std::fs::File::open(reader_path).unwrap())
            .read_line(&mut line)
            .unwrap();
        line
    });
    let writer = Writer::open(Destination::File(path), driven()).unwrap();
    writer.line(b"heard");
    writer.flush().unwrap();
    assert_eq!(reader.join().unwrap(), "heard\n");
    writer.line(b"unheard");
    assert_eq!(writer.flush().unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    assert_eq!(writer.close(), Totals { written: 1, lost: 1 });
}

#[test]
fn lines_wait_for_a_disk_that_recovers_and_continue_in_the_middle() {
    let steps = vec![
        Step::Take(usize::MAX),
        Step::Take(7),
        Step::Fail(io::ErrorKind::StorageFull),
        Step::Fail(io::ErrorKind::StorageFull),
    ];
    let (options, trouble) = gather_trouble(driven());
    let (writer, script) = scripted(steps, options);
    writer.line(b"zero");
    writer.flush().unwrap();
    for line in ["one", "two", "three", "four"] {
        writer.line(line.as_bytes());
    }
    assert_eq!(writer.flush().unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert_eq!(
        files(&script),
        ["zero\none\ntwo"],
        "nothing was taken after the torn line"
    );
    assert_eq!(writer.totals(), Totals { written: 2, lost: 0 });
    assert!(writer.flush().is_err());
    writer.line(b"five");
    writer.flush().unwrap();
    assert_eq!(files(&script), ["zero\none\ntwo\nthree\nfour\nfive\n"]);
    assert_eq!(writer.close(), Totals { written: 6, lost: 0 });
    let told: Vec<_> = trouble.iter().collect();
    let full = || ("write: StorageFull".to_owned(), 0);
    assert_eq!(told, [full(), full(), ("recovered".to_owned(), 0)]);
}

#[test]
fn what_is_lost_at_the_end_is_told_however_soon_after_the_last_report() {
    let full = || Step::Fail(io::ErrorKind::StorageFull);
    let (options, trouble) = gather_trouble(WriterOptions {
        report_every: Duration::from_secs(3600),
        ..driven()
    });
    let (writer, _script) = scripted(vec![full(), full(), full(), full()], options);
    writer.line(b"one");
    assert!(writer.flush().is_err());
    writer.line(b"two");
    assert_eq!(writer.close(), Totals { written: 0, lost: 2 });
    let told: Vec<_> = trouble.iter().collect();
    let told_with = |lost| ("write: StorageFull".to_owned(), lost);
    assert_eq!(told, [told_with(0), told_with(2)]);
}

#[test]
fn in_a_new_file_a_torn_line_starts_again() {
    let full = || Step::Fail(io::ErrorKind::StorageFull);
    let (writer, script) = scripted(
        vec![Step::Take(usize::MAX), Step::Take(6), full(), full()],
        driven(),
    );
    // From now on the thread lingers, and the next lines are one batch.
    writer.line(b"zero");
    writer.flush().unwrap();
    for line in ["one", "two", "three"] {
        writer.line(line.as_bytes());
    }
    assert!(writer.flush().is_err());
    writer.reopen();
    writer.flush().unwrap();
    assert_eq!(files(&script), ["zero\none\ntw", "two\nthree\n"]);
    assert_eq!(writer.close(), Totals { written: 4, lost: 0 });
}

#[test]
fn a_failed_reopen_keeps_the_old_file_and_is_told() {
    let (options, trouble) = gather_trouble(driven());
    let (writer, script) = scripted(Vec::new(), options);
    script.lock().unwrap().reopen_fails = true;
    writer.line(b"one");
    writer.reopen();
    // The writer may have reopened, and failed, before it is asked to flush.
    let _ = writer.flush();
    writer.line(b"two");
    assert_eq!(writer.close(), Totals { written: 2, lost: 0 });
    assert_eq!(files(&script), ["one\ntwo\n"]);
    assert_eq!(
        trouble.iter().collect::<Vec<_>>(),
        [("reopen: PermissionDenied".to_owned(), 0)]
    );
}

#[test]
fn interrupted_and_blocked_writes_are_no_failures() {
    let steps = vec![
        Step::Fail(io::ErrorKind::Interrupted),
        Step::Fail(io::ErrorKind::WouldBlock),
        Step::Take(1),
    ];
    let (options, trouble) = gather_trouble(driven());
    let (writer, script) = scripted(steps, options);
    writer.line(b"one");
    writer.flush().unwrap();
    assert_eq!(writer.close(), Totals { written: 1, lost: 0 });
    assert_eq!(files(&script), ["one\n"]);
    assert_eq!(trouble.iter().count(), 0);
}

#[test]
fn a_blocked_destination_blocks_nobody_and_what_exceeds_the_buffer_is_lost() {
    let (unblock, blocked) = channel();
    let (options, trouble) = gather_trouble(WriterOptions {
        buffer: 100,
        ..driven()
    });
    let (writer, script) = scripted(vec![Step::Block(blocked)], options);
    for _ in 0..50 {
        writer.line(b"nine char");
    }
    assert_eq!(writer.totals(), Totals { written: 0, lost: 40 });
    writer.line(&[b'x'; 200]);
    drop(unblock);
    assert_eq!(
        writer.close(),
        Totals {
            written: 10,
            lost: 41
        }
    );
    assert_eq!(files(&script), ["nine char\n".repeat(10)]);
    assert_eq!(trouble.iter().last(), Some(("slow".to_owned(), 41)));
}

#[test]
fn closing_gives_up_on_a_destination_that_blocks_for_good() {
    let (unblock, blocked): (Sender<()>, _) = channel();
    let options = WriterOptions {
        patience: Duration::from_millis(10),
        ..driven()
    };
    let (writer, _script) = scripted(vec![Step::Block(blocked)], options);
    writer.line(b"never");
    assert_eq!(writer.flush().unwrap_err().kind(), io::ErrorKind::TimedOut);
    assert_eq!(writer.close(), Totals { written: 0, lost: 1 });
    drop(unblock);
}

#[test]
fn a_write_holds_whole_lines_up_to_what_arrives_in_one_piece() {
    let (unblock, blocked) = channel();
    let (writer, script) = scripted(vec![Step::Block(blocked)], driven());
    writer.line(b"first");
    for line in [
        "12345",
        "12345",
        "12345",
        "a line of more than sixteen bytes",
        "123",
    ] {
        writer.line(line.as_bytes());
    }
    drop(unblock);
    assert_eq!(writer.close(), Totals { written: 6, lost: 0 });
    let script = script.lock().unwrap();
    assert_eq!(script.writes.concat(), files_text(&script).as_bytes());
    for write in &script.writes {
        let text = std::str::from_utf8(write).unwrap();
        assert!(
            text.ends_with('\n') && (text.len() <= 16 || text.lines().count() == 1),
            "{text:?}"
        );
    }
}

fn files_text(script: &Script) -> String {
    script.files.concat()
}

#[test]
fn a_burst_wakes_the_thread_for_batches_not_for_lines() {
    let (writer, script) = scripted(
        Vec::new(),
        WriterOptions {
            linger: Duration::from_secs(3600),
            ..driven()
        },
    );
    writer.line(b"alone");
    writer.flush().unwrap();
    for _ in 0..1000 {
        writer.line(b"lingers");
    }
    assert_eq!(writer.totals().written, 1, "the thread lingers until told");
    writer.flush().unwrap();
    assert_eq!(
        writer.close(),
        Totals {
            written: 1001,
            lost: 0
        }
    );
    assert_eq!(files(&script)[0].lines().count(), 1001);
}
