//! Where a server can be reached: a Unix socket, or a named pipe of Windows.
//!
//! Each server has an entry in a folder, under a name made by chance; that folder is looked through for servers. An entry
//! holds nothing but the way to the server, which says itself who it is.

use std::io;
use std::path::{Path, PathBuf};

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
use unix as imp;
#[cfg(windows)]
use windows as imp;

pub(crate) use imp::{Incoming, Outgoing};

/// Names the folder of the entries in place of the usual ones, for servers and commands alike.
const FOLDER: &str = "CARME_CONTROL_DIR";

/// An endpoint that cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("no folder can be used: {}", tried(.0))]
pub struct OpenError(Vec<(PathBuf, io::Error)>);

fn tried(folders: &[(PathBuf, io::Error)]) -> String {
    let tried: Vec<String> = folders
        .iter()
        .map(|(folder, error)| format!("{} ({error})", folder.display()))
        .collect();
    tried.join(", ")
}

/// A server's endpoint; gone when this is dropped.
pub struct Listener(imp::Listener);

impl Listener {
    /// Opens one that only this user and administrators can reach, in the first of the usual folders that can be used.
    /// Call it within a runtime.
    pub fn open() -> Result<Self, OpenError> {
        Self::open_in(imp::folders_to_serve(folder_of_choice()))
    }

    fn open_in(folders: Vec<imp::Folder>) -> Result<Self, OpenError> {
        let mut tried = Vec::new();
        for folder in folders {
            match imp::Listener::open(&folder) {
                Ok(listener) => return Ok(Self(listener)),
                Err(error) => tried.push((folder.path, error)),
            }
        }
        Err(OpenError(tried))
    }

    /// Waits for the next command of somebody who may give some. Cancel safe.
    pub(crate) async fn accept(&mut self) -> io::Result<Incoming> {
        self.0.accept().await
    }
}

fn folder_of_choice() -> Option<PathBuf> {
    std::env::var_os(FOLDER)
        .filter(|folder| !folder.is_empty())
        .map(PathBuf::from)
}

/// A name that no other server has, and nobody can guess.
fn random_name() -> io::Result<String> {
    let number = getrandom::u64().map_err(io::Error::other)?;
    Ok(format!("{number:016x}"))
}

/// A way to a server, which may be dead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    folder: PathBuf,
    name: String,
}

/// Who is at the other end of a connection to a server, as the operating system tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Peer {
    /// Whether it is this user.
    pub(crate) is_ours: bool,
    /// Its process, where it can be told.
    pub(crate) pid: Option<u32>,
}

/// Entries of one folder that are looked at; a folder that others can write to may be full of them.
const ENTRIES: usize = 256;

/// All entries in the folders that this user may look through; and those folders.
pub(crate) fn entries() -> (Vec<Entry>, Vec<PathBuf>) {
    let folders = imp::folders_to_search(folder_of_choice());
    let entries = folders.iter().flat_map(|folder| entries_in(folder)).collect();
    (entries, folders)
}

fn entries_in(folder: &Path) -> Vec<Entry> {
    let Ok(files) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let entry = |file: io::Result<std::fs::DirEntry>| {
        let file = file.ok()?.file_name();
        let name = file.to_str()?.strip_suffix(imp::SUFFIX)?;
        let is_ours = name.len() == 16 && name.bytes().all(|b| b.is_ascii_hexdigit());
        is_ours.then(|| Entry {
            folder: folder.to_owned(),
            name: name.to_owned(),
        })
    };
    files.filter_map(entry).take(ENTRIES).collect()
}

impl Entry {
    /// Connects to the server. One that is surely dead loses its entry.
    pub(crate) async fn connect(&self) -> io::Result<(Outgoing, Peer)> {
        let connected = imp::connect(self).await;
        if let Err(error) = &connected
            && matches!(
                error.kind(),
                io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound
            )
        {
            imp::remove_if_dead(self);
        }
        connected
    }

    /// Of a server that is not there.
    #[cfg(test)]
    pub(crate) fn for_tests(number: u32) -> Self {
        Entry {
            folder: PathBuf::new(),
            name: format!("{number:016x}"),
        }
    }

    fn path(&self, suffix: &str) -> PathBuf {
        self.folder.join(format!("{}{suffix}", self.name))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    fn folder() -> (tempfile::TempDir, Vec<imp::Folder>) {
        let folder = tempfile::tempdir().expect("a folder");
        let folders = imp::folders_to_serve(Some(folder.path().to_owned()));
        (folder, folders)
    }

    #[tokio::test]
    async fn what_is_said_arrives_and_the_other_side_is_known() {
        let (folder, folders) = folder();
        let mut listener = Listener::open_in(folders).expect("an endpoint");
        let entries = entries_in(folder.path());
        assert_eq!(entries.len(), 1);
        let talk = async {
            let (mut stream, peer) = entries[0].connect().await.expect("it listens");
            assert!(peer.is_ours);
            assert_eq!(peer.pid, Some(std::process::id()));
            stream.write_all(b"ping").await.expect("it is read");
            let mut answer = [0; 4];
            stream.read_exact(&mut answer).await.expect("an answer");
            assert_eq!(&answer, b"pong");
        };
        let serve = async {
            let mut stream = listener.accept().await.expect("somebody");
            let mut asked = [0; 4];
            stream.read_exact(&mut asked).await.expect("a question");
            assert_eq!(&asked, b"ping");
            stream.write_all(b"pong").await.expect("it is read");
            stream
        };
        // What was written last arrives although the listener ends.
        let ((), stream) = tokio::join!(talk, serve);
        drop((stream, listener));
        assert_eq!(entries_in(folder.path()), []);
    }

    #[tokio::test]
    async fn many_can_come_at_once() {
        let (folder, folders) = folder();
        let mut listener = Listener::open_in(folders).expect("an endpoint");
        let entry = entries_in(folder.path()).remove(0);
        let clients: Vec<_> = (0..20u8)
            .map(|number| {
                let entry = entry.clone();
                tokio::spawn(async move {
                    let (mut stream, _) = entry.connect().await.expect("it listens");
                    stream.write_all(&[number]).await.expect("it is read");
                    let mut answer = [0];
                    stream.read_exact(&mut answer).await.expect("an answer");
                    assert_eq!(answer[0], number);
                })
            })
            .collect();
        for _ in 0..20 {
            let mut stream = listener.accept().await.expect("somebody");
            tokio::spawn(async move {
                let mut asked = [0];
                stream.read_exact(&mut asked).await.expect("a question");
                stream.write_all(&asked).await.expect("it is read");
                // Until it has been read.
                let _ = stream.read(&mut asked).await;
            });
        }
        for client in clients {
            client.await.expect("served");
        }
    }

    #[tokio::test]
    async fn servers_have_entries_of_their_own() {
        let (folder, folders) = folder();
        let first = Listener::open_in(folders.clone()).expect("an endpoint");
        let _second = Listener::open_in(folders).expect("another");
        assert_eq!(entries_in(folder.path()).len(), 2);
        drop(first);
        let left = entries_in(folder.path());
        assert_eq!(left.len(), 1);
        left[0].connect().await.expect("it listens");
    }

    #[tokio::test]
    async fn what_is_no_entry_is_left_alone() {
        let (folder, folders) = folder();
        for file in [
            "mine.txt",
            "0123.sock",
            "0123456789abcdeg.sock",
            "0123456789abcdef",
        ] {
            std::fs::write(folder.path().join(file), "").expect("written");
        }
        assert_eq!(entries_in(folder.path()), []);
        let _listener = Listener::open_in(folders).expect("an endpoint");
        assert!(folder.path().join("0123.sock").exists());
    }

    #[test]
    fn folders_that_cannot_be_used_are_all_told() {
        let error = OpenError(vec![
            ("/run/a".into(), io::Error::other("it is full")),
            ("/tmp/b".into(), io::Error::other("it belongs to another user")),
        ]);
        assert_eq!(
            error.to_string(),
            "no folder can be used: /run/a (it is full), /tmp/b (it belongs to another user)"
        );
    }
}
