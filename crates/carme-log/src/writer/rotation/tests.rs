//! Files that follow each other, with a clock that the test sets.

use std::collections::BTreeMap;
use std::fs;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use proptest::prelude::*;

use super::{FileNameError, RotatedFile, Rotation};
use crate::format::Zone;
use crate::writer::output::Output;
use crate::{Destination, OpenError, Totals, Writer, WriterOptions};

const HOUR: u64 = 3600;
/// 2026-11-23 12:00:00 UTC
const NOON: u64 = 1_795_435_200;

#[derive(Clone)]
struct Clock(Arc<AtomicU64>);

impl Clock {
    fn at(unix: u64) -> Self {
        Clock(Arc::new(AtomicU64::new(unix)))
    }

    fn set(&self, unix: u64) {
        self.0.store(unix, Ordering::Relaxed);
    }

    fn open(&self, path: &Path, rotation: Rotation) -> RotatedFile {
        let clock = self.0.clone();
        let now = move || SystemTime::UNIX_EPOCH + Duration::from_secs(clock.load(Ordering::Relaxed));
        RotatedFile::open_at(path.to_owned(), rotation, Zone::Utc, Box::new(now))
            .unwrap_or_else(|error| panic!("{error}"))
    }
}

fn daily() -> Rotation {
    Rotation {
        every: Some(Duration::from_secs(24 * HOUR)),
        ..Rotation::default()
    }
}

fn sized(bytes: u64) -> Rotation {
    Rotation {
        size: NonZeroU64::new(bytes),
        ..Rotation::default()
    }
}

fn keeping(rotation: Rotation, keep: usize) -> Rotation {
    Rotation {
        keep: NonZeroUsize::new(keep),
        ..rotation
    }
}

fn write(file: &mut RotatedFile, text: &str) {
    assert_eq!(file.write(text.as_bytes()).unwrap(), text.len());
}

/// What each file in the folder holds.
fn files(folder: &Path) -> BTreeMap<String, String> {
    let entries = fs::read_dir(folder).unwrap();
    entries
        .map(|entry| {
            let path = entry.unwrap().path();
            (
                path.file_name().unwrap().to_str().unwrap().to_owned(),
                fs::read_to_string(&path).unwrap(),
            )
        })
        .collect()
}

fn expect(folder: &Path, expected: &[(&str, &str)]) {
    let expected = expected
        .iter()
        .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
        .collect();
    assert_eq!(files(folder), expected);
}

#[test]
fn a_day_ends_at_midnight_and_its_file_is_named_by_its_last_line() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::at(NOON);
    let mut file = clock.open(&folder.path().join("a.log"), daily());
    write(&mut file, "noon\n");
    clock.set(NOON + 12 * HOUR - 1);
    write(&mut file, "last\n");
    clock.set(NOON + 12 * HOUR);
    write(&mut file, "midnight\n");
    expect(
        folder.path(),
        &[("a.log", "midnight\n"), ("a.log.20261123-235959", "noon\nlast\n")],
    );
    // A day without lines leaves no file.
    clock.set(NOON + 70 * HOUR);
    write(&mut file, "later\n");
    expect(
        folder.path(),
        &[
            ("a.log", "later\n"),
            ("a.log.20261123-235959", "noon\nlast\n"),
            ("a.log.20261124-000000", "midnight\n"),
        ],
    );
    file.take_trouble().unwrap();
}

#[test]
fn after_a_restart_yesterdays_file_is_set_aside_and_todays_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.log");
    let written = |text: &str, unix: u64| {
        fs::write(&path, text).unwrap();
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(unix);
        fs::File::options()
            .append(true)
            .open(&path)
            .unwrap()
            .set_modified(time)
            .unwrap();
    };
    written("today\n", NOON - HOUR);
    write(&mut Clock::at(NOON).open(&path, daily()), "now\n");
    expect(folder.path(), &[("a.log", "today\nnow\n")]);
    written("yesterday\n", NOON - 13 * HOUR);
    let mut file = Clock::at(NOON).open(&path, daily());
    expect(folder.path(), &[("a.log", "yesterday\n")]);
    write(&mut file, "now\n");
    expect(
        folder.path(),
        &[("a.log", "now\n"), ("a.log.20261122-230000", "yesterday\n")],
    );
}

#[test]
fn no_file_is_larger_than_its_size_and_no_line_is_cut() {
    let folder = tempfile::tempdir().unwrap();
    let mut file = Clock::at(NOON).open(&folder.path().join("a.log"), sized(10));
    assert_eq!(file.at_once(), 10);
    write(&mut file, "1234\n");
    assert_eq!(file.at_once(), 5);
    write(&mut file, "5678\n");
    write(&mut file, "9\n");
    write(&mut file, "a line longer than a file\n");
    // A line that was begun ends where it began, though the file is full.
    write(&mut file, "x");
    write(&mut file, "yyyyyyyyyyyyyyy");
    write(&mut file, "z\n");
    write(&mut file, "end\n");
    expect(
        folder.path(),
        &[
            ("a.log", "end\n"),
            ("a.log.20261123-120000", "1234\n5678\n"),
            ("a.log.20261123-120000.1", "9\n"),
            ("a.log.20261123-120000.2", "a line longer than a file\n"),
            ("a.log.20261123-120000.3", "xyyyyyyyyyyyyyyyz\n"),
        ],
    );
}

#[test]
fn dated_names_are_those_of_the_periods_begin() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::at(NOON);
    let path = folder.path().join("a-%Y-%m-%dT%H.log");
    let mut file = clock.open(&path, daily());
    write(&mut file, "noon\n");
    clock.set(NOON + 12 * HOUR);
    write(&mut file, "midnight\n");
    // A restart goes on in the period's file.
    drop(file);
    clock.set(NOON + 13 * HOUR);
    let mut file = clock.open(&path, daily());
    write(&mut file, "restart\n");
    expect(
        folder.path(),
        &[
            ("a-2026-11-23T00.log", "noon\n"),
            ("a-2026-11-24T00.log", "midnight\nrestart\n"),
        ],
    );
    assert!(file.name().ends_with("a-%Y-%m-%dT%H.log"), "{}", file.name());
}

#[test]
fn dated_files_that_are_full_are_numbered() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::at(NOON);
    let path = folder.path().join("a-%d.log");
    let rotation = Rotation {
        size: NonZeroU64::new(8),
        ..daily()
    };
    let mut file = clock.open(&path, rotation);
    for text in ["first\n", "second\n", "third\n"] {
        write(&mut file, text);
    }
    drop(file);
    // The last of them has room for what fits.
    let mut file = clock.open(&path, rotation);
    write(&mut file, "x\n");
    write(&mut file, "fourth\n");
    clock.set(NOON + 24 * HOUR);
    write(&mut file, "next\n");
    expect(
        folder.path(),
        &[
            ("a-23.log", "first\nx\n"),
            ("a-23.log.1", "second\n"),
            ("a-23.log.2", "third\n"),
            ("a-23.log.3", "fourth\n"),
            ("a-24.log", "next\n"),
        ],
    );
}

#[test]
fn folders_named_by_the_time_are_made() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::at(NOON);
    let mut file = clock.open(&folder.path().join("%Y").join("%m").join("%d.log"), daily());
    write(&mut file, "x\n");
    clock.set(NOON + 8 * 24 * HOUR);
    write(&mut file, "y\n");
    for (path, text) in [("2026/11/23.log", "x\n"), ("2026/12/01.log", "y\n")] {
        assert_eq!(fs::read_to_string(folder.path().join(path)).unwrap(), text);
    }
}

#[test]
fn the_oldest_are_removed_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    for other in [
        "a.log.gz",
        "a.log.1",
        "a.log.20261122-notes",
        "b.log.20261122-120000",
        "a.log.bak",
    ] {
        fs::write(folder.path().join(other), "kept").unwrap();
    }
    fs::create_dir(folder.path().join("a.log.20261122-120000.7")).unwrap();
    let clock = Clock::at(NOON);
    let path = folder.path().join("a.log");
    let mut file = clock.open(&path, keeping(sized(4), 2));
    for (number, text) in ["a\n", "bbb\n", "ccc\n", "ddd\n", "eee\n"]
        .into_iter()
        .enumerate()
    {
        clock.set(NOON + number as u64);
        write(&mut file, text);
        // Files are told apart by the time of their last write, which is the real one.
        std::thread::sleep(Duration::from_millis(20));
    }
    let ours = |folder: &Path| -> Vec<String> {
        let names = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names
            .filter(|name| name.starts_with("a.log.20261123-1"))
            .collect();
        names.sort();
        names
    };
    assert_eq!(
        ours(folder.path()),
        ["a.log.20261123-120002", "a.log.20261123-120003"]
    );
    file.take_trouble().unwrap();
    drop(file);
    // Fewer are to be kept: that holds from the start.
    drop(clock.open(&path, keeping(sized(4), 1)));
    assert_eq!(ours(folder.path()), ["a.log.20261123-120003"]);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 8);
}

#[test]
fn where_no_new_file_can_be_had_lines_go_on_in_the_old_one() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::at(NOON);
    let path = folder.path().join("a-%d.log");
    let mut file = clock.open(&path, daily());
    write(&mut file, "one\n");
    let obstacle = folder.path().join("a-24.log");
    fs::create_dir(&obstacle).unwrap();
    clock.set(NOON + 24 * HOUR);
    write(&mut file, "two\n");
    file.take_trouble().unwrap_err();
    write(&mut file, "three\n");
    // It is not tried with every line.
    file.take_trouble().unwrap();
    fs::remove_dir(&obstacle).unwrap();
    clock.set(NOON + 24 * HOUR + 10);
    write(&mut file, "four\n");
    file.take_trouble().unwrap();
    expect(
        folder.path(),
        &[("a-23.log", "one\ntwo\nthree\n"), ("a-24.log", "four\n")],
    );
}

/// Another program that does not share the right to rename, as editors and some viewers.
#[cfg(windows)]
#[test]
fn a_file_that_somebody_holds_is_rotated_when_they_let_go() {
    use std::os::windows::fs::OpenOptionsExt;
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::at(NOON);
    let path = folder.path().join("a.log");
    let mut file = clock.open(&path, sized(4));
    write(&mut file, "one\n");
    let held = fs::OpenOptions::new()
        .read(true)
        .share_mode(3)
        .open(&path)
        .unwrap();
    write(&mut file, "two\n");
    file.take_trouble().unwrap_err();
    drop(held);
    clock.set(NOON + 10);
    write(&mut file, "three\n");
    expect(
        folder.path(),
        &[("a.log", "three\n"), ("a.log.20261123-120000", "one\ntwo\n")],
    );
}

#[test]
fn a_file_that_was_taken_away_is_begun_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.log");
    let mut file = Clock::at(NOON).open(&path, sized(4));
    write(&mut file, "one\n");
    fs::rename(&path, folder.path().join("taken")).unwrap();
    write(&mut file, "two\n");
    file.take_trouble().unwrap();
    fs::rename(&path, folder.path().join("taken too")).unwrap();
    file.reopen().unwrap();
    write(&mut file, "3\n");
    expect(
        folder.path(),
        &[("a.log", "3\n"), ("taken", "one\n"), ("taken too", "two\n")],
    );
}

#[test]
fn names_that_cannot_be() {
    use FileNameError::{Conversion, Folder, Unfit};
    let check = |path: &str, rotation: Rotation| rotation.check(Path::new(path));
    assert_eq!(check("a-%Q.log", daily()), Err(Conversion("%Q".to_owned())));
    assert_eq!(
        check("a-%D.log", daily()),
        Err(Unfit("a-01/01/70.log".to_owned()))
    );
    assert_eq!(check("%Y/%d.log", keeping(daily(), 1)), Err(Folder));
    assert_eq!(check("%Y/%d.log", daily()), Ok(()));
    assert_eq!(check("100%%.log", keeping(daily(), 1)), Ok(()));
    let opened = Writer::open(
        Destination::Rotated("a-%Q.log".into(), daily()),
        WriterOptions::default(),
    );
    let error = opened.unwrap_err();
    assert!(matches!(error, OpenError::Name { .. }));
    assert_eq!(
        error.to_string(),
        "the log file a-%Q.log: its name has \"%Q\", which strftime does not know (a literal percent sign is %%)"
    );
}

#[test]
fn under_load_every_line_is_there_once_in_order_and_whole() {
    const THREADS: usize = 4;
    const LINES: usize = 5000;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.log");
    let writer = Writer::open(
        Destination::Rotated(path, sized(50_000)),
        WriterOptions::default(),
    )
    .unwrap();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let writer = &writer;
            scope.spawn(move || {
                for line in 0..LINES {
                    writer.line(format!("{thread} {line} {}", "x".repeat(line % 90)).as_bytes());
                    // Reopening comes between.
                    if line % 1000 == 0 {
                        writer.reopen();
                    }
                }
            });
        }
    });
    let written = (THREADS * LINES) as u64;
    assert_eq!(writer.close(), Totals { written, lost: 0 });
    let mut paths: Vec<PathBuf> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    // `a.log` is the last; those of one second are numbered.
    let key = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let mut parts = name
            .trim_start_matches("a.log")
            .trim_start_matches('.')
            .splitn(2, '.')
            .map(str::to_owned);
        let stamp = parts.next().filter(|stamp| !stamp.is_empty());
        (
            stamp.is_none(),
            stamp,
            parts.next().map_or(0, |number| number.parse::<u32>().unwrap()),
        )
    };
    paths.sort_by_key(key);
    assert!(paths.len() > 15, "{paths:?}");
    let mut next = [0; THREADS];
    for path in &paths {
        let text = fs::read_to_string(path).unwrap();
        assert!(text.len() <= 50_000 && text.ends_with('\n'), "{}", path.display());
        for line in text.lines() {
            let [thread, number, tail] = line.splitn(3, ' ').collect::<Vec<_>>().try_into().unwrap();
            let (thread, number): (usize, usize) = (thread.parse().unwrap(), number.parse().unwrap());
            assert_eq!(number, next[thread], "lost, repeated or out of order: {line}");
            assert_eq!(tail.len(), number % 90, "torn: {line}");
            next[thread] += 1;
        }
    }
    assert_eq!(next, [LINES; THREADS]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_happens_the_lines_are_there_in_order(
        steps in prop::collection::vec((0_u64..30 * HOUR, 0_usize..30, 0_u8..8), 1..40),
        size in 1_u64..60,
        dated: bool,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::at(NOON);
        let path = folder.path().join(if dated { "a-%Y%m%d.log" } else { "a.log" });
        let rotation = Rotation { size: NonZeroU64::new(size), ..daily() };
        let mut file = clock.open(&path, rotation);
        let (mut now, mut lines) = (NOON, Vec::new());
        for (number, (pass, len, what)) in steps.into_iter().enumerate() {
            now += pass;
            clock.set(now);
            match what {
                0 => file.reopen().unwrap(),
                1 => file = clock.open(&path, rotation),
                _ => {}
            }
            let line = format!("{number} {}\n", "x".repeat(len));
            write(&mut file, &line);
            lines.push(line);
        }
        file.take_trouble().unwrap();
        let mut found: Vec<String> = files(folder.path())
            .values()
            .flat_map(|text| text.split_inclusive('\n').map(str::to_owned).collect::<Vec<_>>())
            .collect();
        let number = |line: &str| line.split_once(' ').unwrap().0.parse::<usize>().unwrap();
        found.sort_by_key(|line| number(line));
        prop_assert_eq!(found, lines);
        for text in files(folder.path()).values() {
            prop_assert!(text.len() as u64 <= size || text.matches('\n').count() == 1, "{text:?} beyond {size}");
            let numbers: Vec<_> = text.lines().map(number).collect();
            prop_assert!(numbers.is_sorted(), "{text:?}");
        }
    }
}
