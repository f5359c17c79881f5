//! Opening what is below a folder, and nothing else. Everything here may block, unless it is told never to wait.
//!
//! The text of a path has been looked at before ([`super::path`]); here it is about what is on the disk: links that lead
//! out, names that are other names, and what is no ordinary file.

use std::fs::{File, Metadata};
use std::io;
use std::path::PathBuf;

use bytes::Bytes;

use crate::file_body::read_part;
use crate::page_cache;

/// A folder below which things are opened.
#[derive(Debug, Clone)]
pub(crate) struct Root {
    pub(crate) folder: PathBuf,
    /// Links may lead anywhere.
    pub(crate) follow_links: bool,
}

/// Whether the disk may be waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    /// As long as it takes.
    Disk,
    /// Only what the system has in its caches; otherwise [`OpenError::WouldBlock`].
    Never,
}

/// Whether anything can be had here without a wait.
pub(crate) const KNOWS_CACHES: bool = cfg!(target_os = "linux");

/// What a name turned out to be.
#[derive(Debug)]
pub(crate) enum Opened {
    File(File, Metadata),
    Folder,
}

/// Why something cannot be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    #[error("there is no such file")]
    Missing,
    #[error("it is neither a file nor a folder")]
    Special,
    #[error("a link leads out of the folder (follow_links = true would follow it)")]
    Outside,
    #[cfg(not(target_os = "linux"))]
    #[error("its name on the disk is another one: a link, a short name, or other letters")]
    OtherName,
    #[error("the disk has to be waited for")]
    WouldBlock,
    #[error("it may not be read: {0}")]
    Forbidden(io::Error),
    #[error("it cannot be opened: {0}")]
    Other(io::Error),
}

impl From<io::Error> for OpenError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::InvalidFilename
            | io::ErrorKind::InvalidInput => OpenError::Missing,
            io::ErrorKind::WouldBlock => OpenError::WouldBlock,
            io::ErrorKind::PermissionDenied => OpenError::Forbidden(error),
            _ => OpenError::Other(error),
        }
    }
}

impl Root {
    /// Opens `below`, as [`super::path::below`] gave it.
    pub(crate) fn open(&self, below: &str, wait: Wait) -> Result<Opened, OpenError> {
        let file = match self.follow_links {
            true => imp::open(&self.folder.join(below), wait)?,
            false => imp::open_beneath(&self.folder, below, wait)?,
        };
        let metadata = file.metadata()?;
        if metadata.is_file() {
            Ok(Opened::File(file, metadata))
        } else if metadata.is_dir() {
            Ok(Opened::Folder)
        } else {
            Err(OpenError::Special)
        }
    }

    /// Opens an ordinary file; a folder is missing.
    pub(crate) fn open_file(&self, below: &str, wait: Wait) -> Result<(File, Metadata), OpenError> {
        match self.open(below, wait)? {
            Opened::File(file, metadata) => Ok((file, metadata)),
            Opened::Folder => Err(OpenError::Missing),
        }
    }
}

/// Reads `len` bytes from `at` on, if it need not wait or may.
pub(crate) fn read(file: &File, at: u64, len: usize, wait: Wait) -> io::Result<Bytes> {
    match wait {
        Wait::Disk => read_part(file, at, len),
        // A file system that cannot tell fails in its own way.
        Wait::Never => match page_cache::read(file, at, len) {
            Ok(bytes) if bytes.len() == len => Ok(Bytes::from(bytes)),
            Ok(_) | Err(_) => Err(io::ErrorKind::WouldBlock.into()),
        },
    }
}

#[cfg(target_os = "linux")]
mod imp {
    use std::fs::File;
    use std::io;
    use std::os::fd::{AsFd, OwnedFd};
    use std::path::Path;
    use std::sync::atomic::{AtomicBool, Ordering};

    use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};
    use rustix::io::Errno;

    use super::{OpenError, Wait};

    /// Without waiting for the other end of a pipe, and without a controlling terminal.
    const FLAGS: OFlags = OFlags::RDONLY
        .union(OFlags::CLOEXEC)
        .union(OFlags::NONBLOCK)
        .union(OFlags::NOCTTY);

    /// Kernels before 5.6 and some sandboxes have no `openat2`.
    static WITHOUT_OPENAT2: AtomicBool = AtomicBool::new(false);
    /// Kernels before 5.12 know no `RESOLVE_CACHED`.
    static WITHOUT_CACHED: AtomicBool = AtomicBool::new(false);

    pub(super) fn open(path: &Path, wait: Wait) -> Result<File, OpenError> {
        let opened = match wait {
            Wait::Disk => openat(CWD, path, FLAGS, Mode::empty()),
            Wait::Never => cached(CWD, path, FLAGS, ResolveFlags::empty()),
        };
        opened.map(File::from).map_err(|error| match error {
            // A link that leads to itself.
            Errno::LOOP => OpenError::Missing,
            error => other(error),
        })
    }

    pub(super) fn open_beneath(folder: &Path, below: &str, wait: Wait) -> Result<File, OpenError> {
        const FOLDER: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
        const BENEATH: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_MAGICLINKS);
        let below = if below.is_empty() { "." } else { below };
        // Anew each time: the folder itself may be a link that is turned to the next release.
        let (folder, opened) = match wait {
            Wait::Never => {
                let folder = cached(CWD, folder, FOLDER, ResolveFlags::empty()).map_err(other)?;
                let opened = cached(&folder, below, FLAGS, BENEATH);
                (folder, opened)
            }
            Wait::Disk => {
                let folder = openat(CWD, folder, FOLDER, Mode::empty()).map_err(other)?;
                if WITHOUT_OPENAT2.load(Ordering::Relaxed) {
                    return walk(folder, below);
                }
                let opened = openat2(&folder, below, FLAGS, Mode::empty(), BENEATH);
                (folder, opened)
            }
        };
        match opened {
            Ok(file) => Ok(File::from(file)),
            Err(Errno::XDEV | Errno::LOOP) => Err(OpenError::Outside),
            // A rename somewhere on the way: nothing is known, so the slow way.
            Err(Errno::AGAIN) if wait == Wait::Disk => walk(folder, below),
            // EPERM is what older sandboxes say to calls that they do not know.
            Err(Errno::NOSYS | Errno::PERM) if wait == Wait::Disk => {
                WITHOUT_OPENAT2.store(true, Ordering::Relaxed);
                walk(folder, below)
            }
            Err(error) => Err(other(error)),
        }
    }

    /// Opens what the kernel finds without the disk; `EAGAIN` for everything else.
    fn cached(
        at: impl AsFd,
        path: impl rustix::path::Arg,
        flags: OFlags,
        resolve: ResolveFlags,
    ) -> Result<OwnedFd, Errno> {
        if WITHOUT_OPENAT2.load(Ordering::Relaxed) || WITHOUT_CACHED.load(Ordering::Relaxed) {
            return Err(Errno::AGAIN);
        }
        match openat2(at, path, flags, Mode::empty(), resolve | ResolveFlags::CACHED) {
            // Whoever waits for the disk finds out what is not there.
            Err(Errno::NOSYS | Errno::PERM) => Err(Errno::AGAIN),
            Err(Errno::INVAL) => {
                WITHOUT_CACHED.store(true, Ordering::Relaxed);
                Err(Errno::AGAIN)
            }
            other => other,
        }
    }

    fn other(error: Errno) -> OpenError {
        match error {
            // A socket.
            Errno::NXIO => OpenError::Special,
            error => io::Error::from(error).into(),
        }
    }

    /// Name by name and without following any link at all.
    pub(super) fn walk(mut folder: OwnedFd, below: &str) -> Result<File, OpenError> {
        let mut names = below.split('/').peekable();
        while let Some(name) = names.next() {
            let flags = match names.peek() {
                Some(_) => OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
                None => FLAGS,
            };
            folder = match openat(&folder, name, flags | OFlags::NOFOLLOW, Mode::empty()) {
                Ok(opened) => opened,
                Err(Errno::LOOP) => return Err(OpenError::Outside),
                Err(error) => return Err(other(error)),
            };
        }
        Ok(File::from(folder))
    }
}

#[cfg(not(target_os = "linux"))]
mod imp {
    use std::fs::File;
    use std::path::Path;

    use super::{OpenError, Wait};

    pub(super) fn open(path: &Path, wait: Wait) -> Result<File, OpenError> {
        match wait {
            Wait::Disk => open_now(path),
            Wait::Never => Err(OpenError::WouldBlock),
        }
    }

    #[cfg(windows)]
    fn open_now(path: &Path) -> Result<File, OpenError> {
        use std::os::windows::fs::OpenOptionsExt;
        // Or a folder could not be opened, and so not be told from what may not be read.
        const FILE_FLAG_BACKUP_SEMANTICS: u32 = 0x0200_0000;
        Ok(File::options()
            .read(true)
            .custom_flags(FILE_FLAG_BACKUP_SEMANTICS)
            .open(path)?)
    }

    #[cfg(not(windows))]
    fn open_now(path: &Path) -> Result<File, OpenError> {
        // A pipe would wait for its other end.
        let kind = std::fs::metadata(path)?.file_type();
        if !kind.is_file() && !kind.is_dir() {
            return Err(OpenError::Special);
        }
        Ok(File::open(path)?)
    }

    /// Opens what `below` really is if that is just what it is called: no link on the way, no short name, and on a disk
    /// that knows no case the same letters, so that a rule about `/Private` is not passed by `/private`.
    pub(super) fn open_beneath(folder: &Path, below: &str, wait: Wait) -> Result<File, OpenError> {
        if wait == Wait::Never {
            return Err(OpenError::WouldBlock);
        }
        let folder = folder.canonicalize()?;
        let mut asked = folder.clone();
        asked.extend(below.split('/').filter(|name| !name.is_empty()));
        let real = asked.canonicalize()?;
        if !real.starts_with(&folder) {
            return Err(OpenError::Outside);
        }
        // `Path` compares the letters as they are on every system.
        if real != asked {
            return Err(OpenError::OtherName);
        }
        open_now(&real)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> (tempfile::TempDir, Root) {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("root");
        std::fs::create_dir_all(root.join("sub")).expect("created");
        std::fs::write(root.join("sub/A file.txt"), "inside").expect("written");
        std::fs::write(folder.path().join("secret.txt"), "outside").expect("written");
        let root = Root {
            folder: root,
            follow_links: false,
        };
        (folder, root)
    }

    #[test]
    fn files_and_folders_are_told_apart() {
        let (_folder, root) = tree();
        assert!(matches!(root.open("", Wait::Disk), Ok(Opened::Folder)));
        assert!(matches!(root.open("sub", Wait::Disk), Ok(Opened::Folder)));
        assert!(
            matches!(root.open("sub/A file.txt", Wait::Disk), Ok(Opened::File(_, metadata)) if metadata.len() == 6)
        );
        for missing in ["none", "sub/none", "sub/A file.txt/x", &"x".repeat(300)] {
            assert!(
                matches!(root.open(missing, Wait::Disk), Err(OpenError::Missing)),
                "{missing}"
            );
        }
        let nowhere = Root {
            folder: root.folder.join("nowhere"),
            follow_links: false,
        };
        assert!(matches!(nowhere.open("a", Wait::Disk), Err(OpenError::Missing)));
    }

    #[test]
    fn what_is_in_the_caches_needs_no_wait_where_the_system_tells() {
        let (folder, root) = tree();
        // The text of the file was written just now.
        let opened = root.open("sub/A file.txt", Wait::Never);
        if !KNOWS_CACHES {
            assert!(matches!(opened, Err(OpenError::WouldBlock)));
            return;
        }
        match opened {
            Ok(Opened::File(file, _)) => match read(&file, 2, 4, Wait::Never) {
                Ok(bytes) => assert_eq!(&bytes[..], b"side"),
                Err(error) => println!("skipped: this file system always waits: {error}"),
            },
            other => println!("skipped: this kernel always waits: {other:?}"),
        }
        std::fs::write(folder.path().join("secret.txt"), "outside").expect("written");
        for out in ["../secret.txt", ".."] {
            assert!(root.open(out, Wait::Never).is_err(), "{out}");
        }
    }

    /// Even if the text had let it through.
    #[test]
    fn two_dots_lead_nowhere() {
        let (_folder, root) = tree();
        let opened = root.open("../secret.txt", Wait::Disk);
        assert!(opened.is_err(), "{opened:?}");
    }

    #[cfg(unix)]
    #[test]
    fn links_that_lead_out_are_refused_unless_they_are_wanted() {
        use std::os::unix::fs::symlink;
        let (folder, mut root) = tree();
        symlink(folder.path().join("secret.txt"), root.folder.join("out.txt")).expect("a link");
        symlink("../secret.txt", root.folder.join("up.txt")).expect("a link");
        symlink(folder.path(), root.folder.join("above")).expect("a link");
        symlink("loop", root.folder.join("loop")).expect("a link");
        for link in [
            "out.txt",
            "up.txt",
            "above/secret.txt",
            "above/root/sub/A file.txt",
        ] {
            assert!(root.open(link, Wait::Disk).is_err(), "{link}");
        }
        assert!(root.open("loop", Wait::Disk).is_err());
        root.follow_links = true;
        assert!(root.open("loop", Wait::Disk).is_err());
        for link in ["out.txt", "up.txt", "above/secret.txt"] {
            assert!(
                matches!(root.open(link, Wait::Disk), Ok(Opened::File(..))),
                "{link}"
            );
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn links_inside_are_followed_by_the_kernel_and_by_nobody_without_its_help() {
        use std::os::unix::fs::symlink;
        let (_folder, root) = tree();
        symlink("sub/A file.txt", root.folder.join("in.txt")).expect("a link");
        symlink("sub", root.folder.join("inner")).expect("a link");
        let folder = || std::os::fd::OwnedFd::from(File::open(&root.folder).expect("opened"));
        for link in ["in.txt", "inner/A file.txt"] {
            assert!(
                matches!(root.open(link, Wait::Disk), Ok(Opened::File(..))),
                "{link}"
            );
            assert!(imp::walk(folder(), link).is_err(), "{link}");
        }
        assert!(imp::walk(folder(), "sub/A file.txt").is_ok());
        assert!(imp::walk(folder(), ".").is_ok());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_pipe_is_no_file_and_nobody_waits_for_its_other_end() {
        let (_folder, root) = tree();
        let path = root.folder.join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::from_raw_mode(0o600)).expect("a pipe");
        assert!(matches!(root.open("pipe", Wait::Disk), Err(OpenError::Special)));
        let _socket = std::os::unix::net::UnixListener::bind(root.folder.join("socket")).expect("a socket");
        assert!(matches!(root.open("socket", Wait::Disk), Err(OpenError::Special)));
    }

    #[cfg(windows)]
    #[test]
    fn other_letters_are_another_name() {
        let (_folder, root) = tree();
        assert!(matches!(
            root.open("sub/a FILE.txt", Wait::Disk),
            Err(OpenError::OtherName | OpenError::Missing)
        ));
        assert!(matches!(
            root.open("sub/A file.txt", Wait::Disk),
            Ok(Opened::File(..))
        ));
    }
}
