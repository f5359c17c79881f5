//! Paths that the user wrote, made absolute and checked.

use std::path::{Component, Path, PathBuf};

use crate::nearest::nearest;
use crate::problem::Mistake;

/// `text` seen from `base`, without `.` and without resolving links: a virtual environment's `python` is a link
/// that must stay one.
pub(crate) fn absolute(base: &Path, text: impl AsRef<Path>) -> PathBuf {
    let joined = base.join(text);
    let mut path = PathBuf::new();
    for component in std::path::absolute(&joined).unwrap_or(joined).components() {
        if component != Component::CurDir {
            path.push(component);
        }
    }
    path
}

/// The folder that `text` names.
pub(crate) fn folder(base: &Path, text: &str) -> Result<PathBuf, Mistake> {
    let path = absolute(base, text);
    if path.is_dir() {
        Ok(path)
    } else if path.exists() {
        Err(Mistake::new(format!(
            "must be a folder, found the file {}",
            path.display()
        )))
    } else {
        Err(
            Mistake::new(format!("names a folder that does not exist: {}", path.display()))
                .maybe_cure(nearest_sibling(&path, |entry| entry.is_dir())),
        )
    }
}

/// "did you mean PATH?" for something like `missing` in the same folder, or the deepest folder that does exist.
pub(crate) fn nearest_sibling(missing: &Path, wanted: impl Fn(&Path) -> bool) -> Option<String> {
    let folder = missing.parent()?;
    if !folder.is_dir() {
        let existing = folder.ancestors().find(|ancestor| ancestor.is_dir())?;
        return Some(format!(
            "there is {}, and nothing named {} in it",
            existing.display(),
            {
                folder
                    .strip_prefix(existing)
                    .ok()?
                    .iter()
                    .next()?
                    .to_string_lossy()
            }
        ));
    }
    let names = names_in(folder, wanted);
    let name = missing.file_name()?.to_string_lossy();
    let near = nearest(&name, names.iter().map(String::as_str))?;
    Some(format!("did you mean {}?", folder.join(near).display()))
}

/// The names of what stands in a folder, sorted; what is not Unicode is left out.
pub(crate) fn names_in(folder: &Path, wanted: impl Fn(&Path) -> bool) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| wanted(&entry.path()))
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}
