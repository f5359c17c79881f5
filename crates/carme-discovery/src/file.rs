//! A file that names the members.
//!
//! It is looked at again and again rather than watched: what a Kubernetes volume, a network drive and Windows tell of
//! changes differs, and a look at its time and size costs nothing.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::course::{Failure, Look};
use crate::follow::Engine;
use crate::found::{MOST_MEMBERS, too_many};

/// A larger file is not read.
const MOST_BYTES: u64 = 1 << 20;

/// What makes members of a file's text, or says what is wrong and where.
pub type Read<M> = Arc<dyn Fn(&str) -> Result<Vec<M>, String> + Send + Sync>;

/// A file.
pub struct File<M> {
    path: PathBuf,
    interval: Duration,
    read: Read<M>,
    state: State<M>,
}

/// What has been seen of it.
enum State<M> {
    Unseen,
    /// It looked so, and that was in it.
    Read(Stamp, Result<Vec<M>, String>),
    /// It looks otherwise than what was read: whoever writes it may not be done. It is read when it looks the same again.
    Changing(Stamp, Result<Vec<M>, String>),
}

/// How a file looks from outside. Links are followed: what changes a mounted configuration changes a link.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Stamp {
    Absent,
    There(SystemTime, u64),
}

impl<M> File<M> {
    /// The file at `path`, looked at after each `interval`.
    pub fn new(path: PathBuf, interval: Duration, read: Read<M>) -> Self {
        File {
            path,
            interval,
            read,
            state: State::Unseen,
        }
    }
}

impl<M: Clone + PartialEq + fmt::Display + Send + 'static> Engine for File<M> {
    type Member = M;

    async fn look(&mut self) -> Result<Look<M>, Failure> {
        let (path, read) = (self.path.clone(), Arc::clone(&self.read));
        let state = std::mem::replace(&mut self.state, State::Unseen);
        // A network drive may take its time.
        let looked = tokio::task::spawn_blocking(move || next(state, &path, &read)).await;
        let wrong = |what| Failure::Wrong {
            what,
            again: self.interval,
        };
        self.state = looked.map_err(|error| wrong(error.to_string()))?;
        let (State::Read(_, members) | State::Changing(_, members)) = &self.state else {
            return Err(wrong("it was not read".to_owned()));
        };
        Ok(Look {
            members: members.clone().map_err(wrong)?,
            left_out: Vec::new(),
            again: self.interval,
            is_meant: true,
        })
    }

    fn title(&self) -> String {
        self.path.display().to_string()
    }
}

fn next<M>(state: State<M>, path: &Path, read: &Read<M>) -> State<M> {
    let stamp = stamp(path);
    match state {
        State::Read(old, members) if old == stamp => State::Read(old, members),
        State::Read(_, members) => State::Changing(stamp, members),
        State::Changing(old, members) if old != stamp => State::Changing(stamp, members),
        State::Unseen | State::Changing(..) => State::Read(stamp, members(path, read)),
    }
}

fn stamp(path: &Path) -> Stamp {
    let Ok(metadata) = std::fs::metadata(path) else {
        return Stamp::Absent;
    };
    let time = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
    Stamp::There(time, metadata.len())
}

fn contents(path: &Path) -> Result<String, String> {
    let error = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => "the file does not exist".to_owned(),
        _ => format!("the file cannot be read: {error}"),
    };
    let file = std::fs::File::open(path).map_err(error)?;
    let mut text = String::new();
    let read = std::io::Read::read_to_string(&mut std::io::Read::take(file, MOST_BYTES + 1), &mut text);
    match read.map_err(error)? as u64 {
        too_much if too_much > MOST_BYTES => Err(format!("the file has more than {MOST_BYTES} bytes")),
        _ => Ok(text),
    }
}

fn members<M>(path: &Path, read: &Read<M>) -> Result<Vec<M>, String> {
    let members = read(&contents(path)?)?;
    match members.len() {
        many if many > MOST_MEMBERS => Err(too_many(many)),
        _ => Ok(members),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Members are words; `!` is a mistake.
    fn words(text: &str) -> Result<Vec<String>, String> {
        match text.find('!') {
            Some(at) => Err(format!("1:{}: a mark", at + 1)),
            None => Ok(text.split_whitespace().map(str::to_owned).collect()),
        }
    }

    struct Watched {
        file: File<String>,
        path: PathBuf,
        time: SystemTime,
        _folder: tempfile::TempDir,
    }

    impl Watched {
        fn new() -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("members");
            Watched {
                file: File::new(path.clone(), Duration::from_secs(1), Arc::new(words)),
                path,
                time: SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000),
                _folder: folder,
            }
        }

        /// Each time at another time, however coarse the file system's is.
        fn write(&mut self, text: &[u8]) {
            std::fs::write(&self.path, text).expect("written");
            self.time += Duration::from_secs(10);
            let file = std::fs::File::options()
                .write(true)
                .open(&self.path)
                .expect("opened");
            file.set_modified(self.time).expect("a time");
        }

        async fn look(&mut self) -> Result<Vec<String>, String> {
            let look = self.file.look().await;
            look.map(|look| look.members)
                .map_err(|failure| failure.to_string())
        }
    }

    fn members(names: &[&str]) -> Result<Vec<String>, String> {
        Ok(names.iter().map(ToString::to_string).collect())
    }

    #[tokio::test]
    async fn a_change_counts_when_the_file_has_looked_the_same_twice() {
        let mut watched = Watched::new();
        watched.write(b"a b");
        assert_eq!(watched.look().await, members(&["a", "b"]));
        watched.write(b"a");
        assert_eq!(watched.look().await, members(&["a", "b"]));
        // It is still being written.
        watched.write(b"a c");
        assert_eq!(watched.look().await, members(&["a", "b"]));
        assert_eq!(watched.look().await, members(&["a", "c"]));
        assert_eq!(watched.look().await, members(&["a", "c"]));
    }

    #[tokio::test]
    async fn a_file_may_come_go_and_be_wrong() {
        let mut watched = Watched::new();
        let missing = Err("the file does not exist".to_owned());
        assert_eq!(watched.look().await, missing);
        watched.write(b"a");
        assert_eq!(watched.look().await, missing);
        assert_eq!(watched.look().await, members(&["a"]));
        watched.write(b"a !");
        watched.look().await.expect("not read yet");
        assert_eq!(watched.look().await, Err("1:3: a mark".to_owned()));
        watched.write(b"a \xff");
        let _ = watched.look().await;
        let error = watched.look().await.expect_err("no text");
        assert!(error.starts_with("the file cannot be read: "), "{error}");
        std::fs::remove_file(&watched.path).expect("removed");
        let _ = watched.look().await;
        assert_eq!(watched.look().await, missing);
    }

    #[tokio::test]
    async fn a_large_file_is_not_read() {
        let mut watched = Watched::new();
        watched.write(&vec![b'a'; MOST_BYTES as usize + 1]);
        assert_eq!(
            watched.look().await,
            Err("the file has more than 1048576 bytes".to_owned())
        );
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_link_that_leads_elsewhere_is_a_change() {
        // As kubelet does it: the folder behind the link is another.
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in [("one", "a"), ("two", "a b")] {
            std::fs::create_dir(folder.path().join(name)).expect("a folder");
            std::fs::write(folder.path().join(name).join("members"), text).expect("written");
        }
        let link = folder.path().join("data");
        std::os::unix::fs::symlink("one", &link).expect("a link");
        let mut file = File::new(link.join("members"), Duration::from_secs(1), Arc::new(words));
        assert_eq!(file.look().await.expect("read").members, ["a"]);
        std::fs::remove_file(&link).expect("removed");
        std::os::unix::fs::symlink("two", &link).expect("a link");
        file.look().await.expect("read");
        assert_eq!(file.look().await.expect("read").members, ["a", "b"]);
    }
}
