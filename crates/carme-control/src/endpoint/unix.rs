//! A Unix socket with a lock file beside it, which its server holds as long as it lives.
//!
//! The socket can be opened by its user alone: it has mode 0600, and it is in a folder that only this user can write to.
//! Whoever connects is asked for by the operating system's word, too, which holds whatever became of the modes.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use tokio::net::{UnixListener, UnixStream};

use super::{Entry, Peer, random_name};

pub(super) const SUFFIX: &str = ".sock";
const LOCK: &str = ".lock";

/// A connection, at the server.
pub(crate) type Incoming = UnixStream;
/// A connection, at a command.
pub(crate) type Outgoing = UnixStream;

/// A folder for entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Folder {
    pub(super) path: PathBuf,
    /// What is made for it, and must be this user's own, if it is not the folder alone.
    parent: Option<PathBuf>,
}

impl Folder {
    fn new(path: PathBuf) -> Self {
        Folder { path, parent: None }
    }

    fn prepare(&self) -> io::Result<()> {
        self.parent.as_deref().map_or(Ok(()), own)?;
        own(&self.path)
    }
}

fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}

fn absolute(variable: &str) -> Option<PathBuf> {
    // A service's folder may be several, of which the first is the main one.
    let value = std::env::var_os(variable)?;
    std::env::split_paths(&value)
        .next()
        .filter(|path| path.is_absolute())
}

/// Where a server may put its entry, best first: where systemd gives its service a folder, where the system keeps what
/// lives as long as it runs, or else among temporary files.
pub(super) fn folders_to_serve(choice: Option<PathBuf>) -> Vec<Folder> {
    if let Some(folder) = choice {
        return vec![Folder::new(folder)];
    }
    let user = user();
    let service = absolute("RUNTIME_DIRECTORY").map(|folder| folder.join("carme"));
    let root = (user == 0).then(|| PathBuf::from("/run/carme"));
    let session = absolute("XDG_RUNTIME_DIR").map(|folder| folder.join("carme"));
    let usual = PathBuf::from(format!("/run/user/{user}/carme"));
    let own = std::env::temp_dir().join(format!("carme-{user}"));
    let runtime = [service, root, session, Some(usual)].into_iter().flatten();
    let temporary = Folder {
        path: own.join("control"),
        parent: Some(own),
    };
    runtime.map(Folder::new).chain([temporary]).collect()
}

/// Where this user's servers may be; root also looks at those of others.
pub(super) fn folders_to_search(choice: Option<PathBuf>) -> Vec<PathBuf> {
    let is_chosen = choice.is_some();
    let mut folders: Vec<PathBuf> = folders_to_serve(choice)
        .into_iter()
        .map(|folder| folder.path)
        .collect();
    if !is_chosen {
        // Of services, whatever their names.
        folders.extend(children("/run").map(|folder| folder.join("carme")));
        if user() == 0 {
            folders.extend(children("/run/user").map(|folder| folder.join("carme")));
            let temporary = std::env::temp_dir();
            let of_carme = |folder: &PathBuf| {
                let name = folder.file_name().unwrap_or_default();
                name.to_string_lossy().starts_with("carme-")
            };
            folders.extend(
                children(temporary)
                    .filter(of_carme)
                    .map(|folder| folder.join("control")),
            );
        }
    }
    folders.sort();
    folders.dedup();
    folders.retain(|folder| is_of_somebody_trusted(folder));
    folders
}

fn children(folder: impl AsRef<Path>) -> impl Iterator<Item = PathBuf> {
    let children = std::fs::read_dir(folder).into_iter().flatten();
    children.filter_map(|child| Some(child.ok()?.path()))
}

/// Nobody else's folder is looked at, but by root.
fn is_of_somebody_trusted(folder: &Path) -> bool {
    let Ok(found) = std::fs::symlink_metadata(folder) else {
        return false;
    };
    found.is_dir() && (found.uid() == user() || user() == 0)
}

/// Makes sure that a folder is there that only this user can write to.
fn own(folder: &Path) -> io::Result<()> {
    let refuse = |why: &str| Err(io::Error::new(io::ErrorKind::PermissionDenied, why.to_owned()));
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        other => other?,
    }
    let found = std::fs::symlink_metadata(folder)?;
    if !found.is_dir() {
        return refuse("it is not a folder");
    }
    if found.uid() != user() {
        return refuse("it belongs to another user");
    }
    if found.mode() & 0o022 != 0 {
        return refuse("others can write to it");
    }
    Ok(())
}

pub(super) struct Listener {
    socket: UnixListener,
    entry: Entry,
    /// Held until the end of this process, however it comes.
    _lock: File,
}

impl Listener {
    pub(super) fn open(folder: &Folder) -> io::Result<Self> {
        folder.prepare()?;
        for entry in super::entries_in(&folder.path) {
            remove_if_dead(&entry);
        }
        let (entry, lock) = new_entry(&folder.path)?;
        // From here on dropping it removes what is there.
        let path = entry.path(SUFFIX);
        let bound = UnixListener::bind(&path);
        let listener = Listener {
            socket: bound.inspect_err(|_| remove(&entry))?,
            entry,
            _lock: lock,
        };
        std::fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        Ok(listener)
    }

    pub(super) async fn accept(&mut self) -> io::Result<Incoming> {
        loop {
            let (stream, _) = self.socket.accept().await?;
            let peer = stream.peer_cred()?;
            if is_admitted(peer.uid(), user()) {
                return Ok(stream);
            }
            tracing::warn!("a command of another user (id {}) was refused", peer.uid());
        }
    }
}

/// Whether this user may command a server of that one.
fn is_admitted(peer: u32, server: u32) -> bool {
    peer == server || peer == 0
}

impl Drop for Listener {
    fn drop(&mut self) {
        remove(&self.entry);
    }
}

/// A new entry, locked.
fn new_entry(folder: &Path) -> io::Result<(Entry, File)> {
    loop {
        let entry = Entry {
            folder: folder.to_owned(),
            name: random_name()?,
        };
        let path = entry.path(LOCK);
        let mut options = OpenOptions::new();
        let lock = options.write(true).create_new(true).mode(0o600).open(&path)?;
        // Somebody who looks for dead servers may have taken it for one between the two.
        let is_locked = flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok();
        if is_locked && std::fs::metadata(&path).is_ok_and(|found| is_same(&found, &lock)) {
            return Ok((entry, lock));
        }
    }
}

fn is_same(found: &std::fs::Metadata, file: &File) -> bool {
    file.metadata()
        .is_ok_and(|ours| (ours.dev(), ours.ino()) == (found.dev(), found.ino()))
}

/// The socket first: without its lock nobody would know whose it was.
fn remove(entry: &Entry) {
    let _ = std::fs::remove_file(entry.path(SUFFIX));
    let _ = std::fs::remove_file(entry.path(LOCK));
}

/// Removes the entry of a server of this user whose process is no more: nobody holds its lock.
pub(super) fn remove_if_dead(entry: &Entry) {
    if !std::fs::symlink_metadata(&entry.folder).is_ok_and(|folder| folder.uid() == user()) {
        return;
    }
    let lock = match File::open(entry.path(LOCK)) {
        Ok(lock) => lock,
        // A socket whose lock is gone is on its way out, or a wreck of that way.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return remove(entry),
        Err(_) => return,
    };
    if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok() {
        remove(entry);
    }
}

pub(super) async fn connect(entry: &Entry) -> io::Result<(Outgoing, Peer)> {
    let stream = UnixStream::connect(entry.path(SUFFIX)).await?;
    let server = stream.peer_cred()?;
    let peer = Peer {
        is_ours: server.uid() == user(),
        // 0 for one in a container that this one cannot see into.
        pid: server
            .pid()
            .and_then(|pid| u32::try_from(pid).ok())
            .filter(|pid| *pid != 0),
    };
    Ok((stream, peer))
}

#[cfg(test)]
mod tests {
    use super::super::entries_in;
    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).expect("it is there").mode() & 0o777
    }

    #[tokio::test]
    async fn nobody_else_can_open_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let own = folder.path().join("carme-1");
        let place = Folder {
            path: own.join("control"),
            parent: Some(own.clone()),
        };
        let listener = Listener::open(&place).expect("an endpoint");
        assert_eq!((mode(&own), mode(&place.path)), (0o700, 0o700));
        assert_eq!(mode(&listener.entry.path(SUFFIX)), 0o600);
        assert_eq!(mode(&listener.entry.path(LOCK)), 0o600);
    }

    #[test]
    fn folders_that_others_can_change_are_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let open = folder.path().join("open");
        std::fs::create_dir(&open).expect("made");
        std::fs::set_permissions(&open, Permissions::from_mode(0o770)).expect("set");
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(folder.path(), &link).expect("made");
        let file = folder.path().join("file");
        std::fs::write(&file, "").expect("written");
        for (path, why) in [
            (&open, "others can write to it"),
            (&link, "it is not a folder"),
            (&file, "it is not a folder"),
        ] {
            assert_eq!(
                own(path).expect_err("refused").to_string(),
                why,
                "{}",
                path.display()
            );
        }
        let nowhere = folder.path().join("a/b");
        assert_eq!(
            own(&nowhere).expect_err("refused").kind(),
            io::ErrorKind::NotFound
        );
    }

    #[test]
    fn only_the_same_user_and_root_are_admitted() {
        assert!(is_admitted(1000, 1000));
        assert!(is_admitted(0, 1000));
        assert!(!is_admitted(1001, 1000));
        assert!(!is_admitted(1000, 0));
    }

    #[tokio::test]
    async fn the_entry_of_a_dead_server_goes_and_that_of_a_living_one_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = Folder::new(folder.path().to_owned());
        let living = Listener::open(&place).expect("an endpoint");
        let (dead, lock) = new_entry(folder.path()).expect("an entry");
        drop(std::os::unix::net::UnixListener::bind(dead.path(SUFFIX)).expect("bound"));
        drop(lock);
        assert_eq!(entries_in(folder.path()).len(), 2);
        assert!(dead.connect().await.is_err());
        assert_eq!(entries_in(folder.path()), std::slice::from_ref(&living.entry));
        assert!(!dead.path(LOCK).exists());

        // One that does not accept, and lives.
        let (silent, lock) = new_entry(folder.path()).expect("an entry");
        drop(std::os::unix::net::UnixListener::bind(silent.path(SUFFIX)).expect("bound"));
        assert!(silent.connect().await.is_err());
        assert_eq!(entries_in(folder.path()).len(), 2);
        drop(lock);
        // The next server clears up, too.
        let next = Listener::open(&place).expect("another");
        let mut left = entries_in(folder.path());
        left.sort_by(|a, b| a.name.cmp(&b.name));
        let mut expected = vec![living.entry.clone(), next.entry.clone()];
        expected.sort_by(|a, b| a.name.cmp(&b.name));
        assert_eq!(left, expected);
    }

    #[test]
    fn a_folder_of_choice_is_the_only_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let choice = Some(folder.path().to_owned());
        assert_eq!(
            folders_to_serve(choice.clone()),
            [Folder::new(folder.path().to_owned())]
        );
        assert_eq!(folders_to_search(choice), [folder.path().to_owned()]);
    }
}
