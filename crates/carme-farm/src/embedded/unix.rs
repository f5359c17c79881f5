//! The XDG cache, then the runtime directory, then a folder of this user's own in the temporary directory.

use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Where the files may go, best first.
pub(super) fn folders() -> impl Iterator<Item = PathBuf> {
    let absolute = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let cache = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")));
    let user = rustix::process::geteuid().as_raw();
    [
        cache.map(|c| c.join("carme")),
        absolute("XDG_RUNTIME_DIR").map(|r| r.join("carme")),
    ]
    .into_iter()
    .flatten()
    .chain([std::env::temp_dir().join(format!("carme-{user}"))])
}

/// Makes sure that a folder is there, that only this user can write to it, and that libraries may be loaded from it.
pub(super) fn private_folder(path: &Path) -> io::Result<()> {
    let refuse = |why: &str| Err(io::Error::new(io::ErrorKind::PermissionDenied, why.to_owned()));
    match std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
    {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => return refuse("it is not a folder"),
        other => other?,
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
    #[cfg(target_os = "linux")]
    if rustix::fs::statvfs(path)?
        .f_flag
        .contains(rustix::fs::StatVfsMountFlags::NOEXEC)
    {
        return refuse("libraries may not be loaded from it (it is mounted noexec)");
    }
    Ok(())
}
