//! For this user the XDG cache, then the runtime directory, then a folder of its own in the temporary directory; for others, too,
//! the cache that systemd gives a service, then the system's, then the temporary directory again.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::Readers;

/// Where the files may go, best first.
pub(super) fn folders(readers: Readers) -> impl Iterator<Item = PathBuf> {
    let absolute = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let user = rustix::process::geteuid().as_raw();
    let temporary = std::env::temp_dir();
    let folders = match readers {
        Readers::ThisUser => {
            let cache = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")));
            [
                cache.map(|folder| folder.join("carme")),
                absolute("XDG_RUNTIME_DIR").map(|folder| folder.join("carme")),
                Some(temporary.join(format!("carme-{user}"))),
            ]
        }
        Readers::Anyone => [
            absolute("CACHE_DIRECTORY").map(|folder| folder.join("workers")),
            (user == 0).then(|| PathBuf::from("/var/cache/carme")),
            Some(temporary.join(format!("carme-workers-{user}"))),
        ],
    };
    folders.into_iter().flatten()
}

/// Makes sure that a folder is there, that only this user can write to it, that these can read it, and that libraries may be
/// loaded from it.
pub(super) fn own_folder(path: &Path, readers: Readers) -> io::Result<()> {
    let refuse = |why: &str| Err(io::Error::new(io::ErrorKind::PermissionDenied, why.to_owned()));
    let mode = match readers {
        Readers::ThisUser => 0o700,
        Readers::Anyone => 0o755,
    };
    if std::fs::symlink_metadata(path).is_err() {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(mode)
            .create(path)?;
        // Whatever the umask is.
        std::fs::set_permissions(path, Permissions::from_mode(mode))?;
    }
    let found = std::fs::symlink_metadata(path)?;
    if !found.is_dir() {
        return refuse("it is not a folder");
    }
    if found.uid() != rustix::process::geteuid().as_raw() {
        return refuse("it belongs to another user");
    }
    if found.mode() & 0o022 != 0 {
        return refuse("others can write to it");
    }
    if readers == Readers::Anyone
        && let Some(closed) = path.ancestors().find(|folder| !is_open(folder))
    {
        return refuse(&format!("other users may not enter {}", closed.display()));
    }
    #[cfg(target_os = "linux")]
    if rustix::fs::statvfs(path)?
        .f_flag
        .contains(rustix::fs::StatVfsMountFlags::NOEXEC)
    {
        return refuse("libraries may not be loaded from it (it is mounted noexec)");
    }
    Ok(())
}

/// Whether everybody may look for names in it.
fn is_open(folder: &Path) -> bool {
    std::fs::metadata(folder).is_ok_and(|found| found.mode() & 0o001 != 0)
}

/// Lets these read a file that was just made.
pub(super) fn let_read(file: &Path, readers: Readers) -> io::Result<()> {
    match readers {
        Readers::ThisUser => Ok(()),
        Readers::Anyone => std::fs::set_permissions(file, Permissions::from_mode(0o644)),
    }
}
