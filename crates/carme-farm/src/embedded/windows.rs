//! The user's local application data, then the user's temporary directory: by their inherited permissions only this
//! user, the system and administrators can write there.

use std::io;
use std::path::{Path, PathBuf};

use super::Readers;

/// Where the files may go, best first.
pub(super) fn folders(_: Readers) -> impl Iterator<Item = PathBuf> {
    let local = std::env::var_os("LOCALAPPDATA")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute());
    local
        .into_iter()
        .chain([std::env::temp_dir()])
        .map(|folder| folder.join("carme"))
}

/// Makes sure that a folder is there. Workers run as the front's user here.
pub(super) fn own_folder(path: &Path, _: Readers) -> io::Result<()> {
    std::fs::create_dir_all(path)?;
    if std::fs::symlink_metadata(path)?.is_dir() {
        Ok(())
    } else {
        Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "it is not a folder",
        ))
    }
}

/// Files have the rights of their folder.
pub(super) fn let_read(_: &Path, _: Readers) -> io::Result<()> {
    Ok(())
}
