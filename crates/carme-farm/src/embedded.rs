//! The files of the worker that the program carries inside itself: a native library and a little Python.
//!
//! What it owes its callers: the files that it names are, byte for byte, those of this program, and lie in a folder that
//! only this user (or whoever installed the program) can write, and that those can read who are to.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

#[cfg(unix)]
mod unix;
#[cfg(unix)]
use unix as imp;
#[cfg(windows)]
mod windows;
#[cfg(windows)]
use windows as imp;

/// One file, with its path relative to the folder.
#[derive(Clone, Copy, Debug)]
pub struct EmbeddedFile {
    /// For instance `carme_worker/start.py`.
    pub path: &'static str,
    /// Its content.
    pub bytes: &'static [u8],
}

/// All the worker's files.
#[derive(Clone, Copy, Debug)]
pub struct Embedded {
    /// Hexadecimal SHA-256 of all files: names the folder, so that programs of different builds keep apart.
    pub digest: &'static str,
    /// The native library.
    pub library: EmbeddedFile,
    /// The script that the interpreter is started with.
    pub start: EmbeddedFile,
    /// The modules that the script needs.
    pub modules: &'static [EmbeddedFile],
}

/// The worker's files on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerFiles {
    /// The native library.
    pub library: PathBuf,
    /// The script that the interpreter is started with.
    pub start: PathBuf,
}

/// Who is to read the worker's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readers {
    /// The user that the front runs as.
    ThisUser,
    /// Others, too: workers that run as other users.
    Anyone,
}

/// Makes sure that the worker's files are on disk as they should be for these readers, and says where. Asked before each start of a worker,
/// because temporary folders are swept and caches are emptied.
pub type FindFiles = Arc<dyn Fn(Readers) -> Result<WorkerFiles, InstallError> + Send + Sync>;

/// No folder could take the worker's files.
#[derive(Debug, thiserror::Error)]
#[error("the worker's files could not be put anywhere: {}", .0.iter().map(|(path, error)| format!("{}: {error}", path.display())).collect::<Vec<_>>().join("; "))]
pub struct InstallError(Vec<(PathBuf, io::Error)>);

/// What the names of the folders in a cache begin with.
const PREFIX: &str = "worker-";
/// After so long the folder of another build is taken for left over. If it is not, its program puts its files back.
const LEFT_OVER: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The name of the folder beside the program.
const BESIDE: &str = "carme-worker";

impl Embedded {
    /// Finds the files beside the program or in a cache that these can read, and puts them there if they are missing or
    /// differ.
    pub fn install(&self, readers: Readers) -> Result<WorkerFiles, InstallError> {
        let beside = std::env::current_exe()
            .ok()
            .and_then(|exe| Some(exe.parent()?.join(BESIDE)));
        if let Some(files) = beside.filter(|folder| self.is_in(folder)) {
            return Ok(self.files_in(&files));
        }
        self.install_in(imp::folders(readers), readers)
    }

    /// Puts the files into the first of these folders that can have them, each below a folder named by the digest.
    fn install_in(
        &self,
        folders: impl IntoIterator<Item = PathBuf>,
        readers: Readers,
    ) -> Result<WorkerFiles, InstallError> {
        let mut errors = Vec::new();
        for folder in folders {
            let own = folder.join(format!("{PREFIX}{}", &self.digest[..self.digest.len().min(16)]));
            match self.put_into(&folder, &own, readers) {
                Ok(new) => {
                    if new {
                        remove_left_over(&folder, &own);
                    }
                    return Ok(self.files_in(&own));
                }
                Err(error) => errors.push((own, error)),
            }
        }
        Err(InstallError(errors))
    }

    /// True if a file had to be written.
    fn put_into(&self, parent: &Path, folder: &Path, readers: Readers) -> io::Result<bool> {
        let mut new = false;
        imp::own_folder(parent, readers)?;
        imp::own_folder(folder, readers)?;
        for file in self.files() {
            let path = folder.join(file.path);
            if holds(&path, file.bytes) {
                continue;
            }
            let parent = path.parent().unwrap_or(folder);
            if parent != folder {
                imp::own_folder(parent, readers)?;
            }
            new = true;
            // Whole or not at all, also for another start at the same time.
            let temporary = parent.join(format!(".{}.{}", std::process::id(), file_name(&path)));
            let written = fs::File::create(&temporary)
                .and_then(|mut new| new.write_all(file.bytes))
                .and_then(|()| imp::let_read(&temporary, readers))
                .and_then(|()| fs::rename(&temporary, &path));
            if let Err(error) = written {
                let _ = fs::remove_file(&temporary);
                // Another start may have put it there meanwhile and have it open (Windows).
                if !holds(&path, file.bytes) {
                    return Err(error);
                }
            }
        }
        Ok(new)
    }

    /// Whether all the files are there as they should be.
    fn is_in(&self, folder: &Path) -> bool {
        self.files()
            .all(|file| holds(&folder.join(file.path), file.bytes))
    }

    fn files(&self) -> impl Iterator<Item = &EmbeddedFile> {
        [&self.library, &self.start].into_iter().chain(self.modules)
    }

    fn files_in(&self, folder: &Path) -> WorkerFiles {
        WorkerFiles {
            library: folder.join(self.library.path),
            start: folder.join(self.start.path),
        }
    }
}

/// Removes what builds of long ago have left beside `own`. What cannot be removed stays (Windows: it is in use).
fn remove_left_over(folder: &Path, own: &Path) {
    let old = |entry: &fs::DirEntry| {
        let named = entry.file_name().to_string_lossy().starts_with(PREFIX);
        let modified = entry.metadata().and_then(|about| about.modified());
        let age = modified.ok().and_then(|at| at.elapsed().ok());
        named && entry.path() != own && age.is_some_and(|age| age > LEFT_OVER)
    };
    for entry in fs::read_dir(folder).into_iter().flatten().flatten().filter(old) {
        let _ = fs::remove_dir_all(entry.path());
    }
}

/// Whether a file is just these bytes. Read in pieces: the library is larger than all that a front needs besides.
fn holds(path: &Path, bytes: &[u8]) -> bool {
    let same = || -> io::Result<bool> {
        let mut file = fs::File::open(path)?;
        if file.metadata()?.len() != bytes.len() as u64 {
            return Ok(false);
        }
        let mut piece = [0; 16 << 10];
        for expected in bytes.chunks(piece.len()) {
            let piece = &mut piece[..expected.len()];
            file.read_exact(piece)?;
            if piece != expected {
                return Ok(false);
            }
        }
        Ok(true)
    };
    same().unwrap_or(false)
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILES: Embedded = Embedded {
        digest: "0123456789abcdef0123",
        library: EmbeddedFile {
            path: "library.so",
            bytes: b"code",
        },
        start: EmbeddedFile {
            path: "carme_worker/start.py",
            bytes: b"import this",
        },
        modules: &[EmbeddedFile {
            path: "carme_worker/more.py",
            bytes: b"pass",
        }],
    };

    #[test]
    fn files_are_put_where_they_can_be() {
        let temp = tempfile::tempdir().unwrap();
        let file = temp.path().join("a file");
        fs::write(&file, "").unwrap();
        let files = FILES
            .install_in(
                [file.join("cannot be"), temp.path().join("cache")],
                Readers::ThisUser,
            )
            .unwrap();
        assert!(
            files
                .library
                .ends_with("cache/worker-0123456789abcdef/library.so"),
            "{files:?}"
        );
        assert_eq!(fs::read(&files.start).unwrap(), b"import this");
        assert_eq!(fs::read(files.start.with_file_name("more.py")).unwrap(), b"pass");
        assert_eq!(fs::read_dir(files.library.parent().unwrap()).unwrap().count(), 2);
    }

    #[test]
    fn a_file_that_was_changed_is_replaced_and_others_are_left() {
        let temp = tempfile::tempdir().unwrap();
        let first = FILES
            .install_in([temp.path().to_owned()], Readers::ThisUser)
            .unwrap();
        fs::write(&first.start, "import evil").unwrap();
        let untouched = fs::metadata(&first.library).unwrap().modified().unwrap();
        let second = FILES
            .install_in([temp.path().to_owned()], Readers::ThisUser)
            .unwrap();
        assert_eq!(first, second);
        assert_eq!(fs::read(&second.start).unwrap(), b"import this");
        assert_eq!(
            fs::metadata(&first.library).unwrap().modified().unwrap(),
            untouched
        );
    }

    /// Opening a folder to set its time is for Unix; the rest is the same everywhere.
    #[cfg(unix)]
    #[test]
    fn what_builds_of_long_ago_left_is_removed() {
        let temp = tempfile::tempdir().unwrap();
        for (name, days) in [("worker-old", 31), ("worker-recent", 29), ("other-old", 31)] {
            let folder = temp.path().join(name);
            fs::create_dir(&folder).unwrap();
            fs::write(folder.join("library.so"), "code").unwrap();
            let at = std::time::SystemTime::now() - Duration::from_secs(days * 24 * 60 * 60);
            fs::File::open(&folder).unwrap().set_modified(at).unwrap();
        }
        FILES
            .install_in([temp.path().to_owned()], Readers::ThisUser)
            .unwrap();
        let names = fs::read_dir(temp.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = names.collect();
        names.sort();
        assert_eq!(names, ["other-old", "worker-0123456789abcdef", "worker-recent"]);
    }

    #[test]
    fn nowhere_says_where_and_why() {
        let temp = tempfile::tempdir().unwrap();
        let file = temp.path().join("a file");
        fs::write(&file, "").unwrap();
        let error = FILES
            .install_in([file.clone()], Readers::ThisUser)
            .unwrap_err()
            .to_string();
        assert!(error.contains("a file"), "{error}");
        assert!(
            error.starts_with("the worker's files could not be put anywhere: "),
            "{error}"
        );
    }

    #[cfg(unix)]
    #[test]
    fn other_users_read_files_of_their_own_place() {
        use std::os::unix::fs::PermissionsExt;
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let temp = tempfile::tempdir().unwrap();
        fs::set_permissions(temp.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let closed = temp.path().join("closed");
        let error = FILES
            .install_in([closed.clone()], Readers::Anyone)
            .unwrap_err()
            .to_string();
        assert!(error.contains("other users may not enter"), "{error}");
        fs::set_permissions(temp.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let files = FILES.install_in([closed], Readers::Anyone).unwrap();
        assert_eq!((mode(&files.library), mode(&files.start)), (0o644, 0o644));
        let folders = files.start.ancestors().skip(1).take(3);
        assert!(folders.into_iter().all(|folder| mode(folder) == 0o755));
        let own = FILES
            .install_in([temp.path().join("own")], Readers::ThisUser)
            .unwrap();
        assert_eq!(mode(own.library.parent().unwrap()), 0o700);
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_that_others_can_write_is_not_used() {
        use std::os::unix::fs::PermissionsExt;
        let temp = tempfile::tempdir().unwrap();
        let open = temp.path().join("open");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
        let error = FILES
            .install_in([open.clone()], Readers::ThisUser)
            .unwrap_err()
            .to_string();
        assert!(error.contains("others can write"), "{error}");

        let link = temp.path().join("link");
        fs::create_dir(temp.path().join("real")).unwrap();
        std::os::unix::fs::symlink(temp.path().join("real"), &link).unwrap();
        let error = FILES
            .install_in([link], Readers::ThisUser)
            .unwrap_err()
            .to_string();
        assert!(error.contains("not a folder"), "{error}");
    }
}
