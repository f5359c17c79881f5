//! What the source looks like: which files count, and how each of them was when it was looked at. Two looks tell what has
//! changed, whatever a system's notifications are worth.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use carme_config::Development;
use wildmatch::WildMatch;

/// More folders than this are no application's source: somebody watches a whole disk.
const MOST_FOLDERS: usize = 10_000;

/// Folders of what nobody writes by hand. Names that begin with a dot need not be here.
const IGNORED: [&str; 4] = ["__pycache__", "node_modules", "site-packages", "bower_components"];

/// What a folder has in it that is an environment.
const ENVIRONMENT: [&str; 2] = ["pyvenv.cfg", "conda-meta"];

/// What is watched.
pub(super) struct Tree {
    folders: Vec<PathBuf>,
    files: Vec<PathBuf>,
    patterns: Vec<WildMatch>,
}

/// One look at it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Look {
    /// The files that count. One that is not there, or cannot be seen, has nothing.
    files: BTreeMap<PathBuf, Option<Stamp>>,
    /// The folders that they may be in.
    pub(super) folders: BTreeSet<PathBuf>,
    /// There are more folders than are looked into.
    pub(super) is_cut: bool,
}

/// Time of change, and length.
type Stamp = (Option<SystemTime>, u64);

impl Tree {
    pub(super) fn new(development: &Development) -> Self {
        Tree {
            folders: development.folders.clone(),
            files: development.files.clone(),
            patterns: development
                .patterns
                .iter()
                .map(|pattern| WildMatch::new(pattern))
                .collect(),
        }
    }

    /// The folders that were asked for.
    pub(super) fn roots(&self) -> &[PathBuf] {
        &self.folders
    }

    /// Whether something at this path may be a change of the source; only a look tells.
    pub(super) fn may_count(&self, path: &Path) -> bool {
        if self.files.iter().any(|file| file == path) {
            return true;
        }
        let Some(root) = self.folders.iter().find(|root| path.starts_with(root)) else {
            return false;
        };
        let below = path.strip_prefix(root).unwrap_or(path);
        let is_ignored = below.iter().any(is_ignored);
        !is_ignored && (self.counts(path) || path.is_dir() || !path.exists())
    }

    fn counts(&self, path: &Path) -> bool {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        !name.starts_with('.') && self.patterns.iter().any(|pattern| pattern.matches(&name))
    }

    /// Looks at all of it. Blocks.
    pub(super) fn look(&self) -> Look {
        let mut look = Look::default();
        for file in &self.files {
            look.files.insert(file.clone(), stamp(file));
            look.folders.extend(file.parent().map(Path::to_owned));
        }
        let mut waiting: Vec<PathBuf> = self.folders.clone();
        while let Some(folder) = waiting.pop() {
            if look.folders.len() >= MOST_FOLDERS {
                look.is_cut = true;
                break;
            }
            for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
                let (path, name) = (entry.path(), entry.file_name());
                // Links to folders are not followed: they may lead anywhere, and back.
                let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
                if is_folder && !is_ignored(&name) && !is_environment(&path) {
                    waiting.push(path);
                } else if !is_folder && self.counts(&path) {
                    let stamp = stamp(&path);
                    look.files.insert(path, stamp);
                }
            }
            look.folders.insert(folder);
        }
        look
    }
}

impl Look {
    /// Files that are new, gone or different, in order.
    pub(super) fn changed_since(&self, before: &Look) -> Vec<PathBuf> {
        let differs = |path: &&PathBuf| self.files.get(*path) != before.files.get(*path);
        let all: BTreeSet<&PathBuf> = self.files.keys().chain(before.files.keys()).collect();
        all.into_iter().filter(differs).cloned().collect()
    }
}

fn stamp(file: &Path) -> Option<Stamp> {
    let metadata = fs::metadata(file).ok()?;
    metadata
        .is_file()
        .then(|| (metadata.modified().ok(), metadata.len()))
}

fn is_ignored(folder: &OsStr) -> bool {
    let name = folder.to_string_lossy();
    name.starts_with('.') || IGNORED.contains(&&*name)
}

fn is_environment(folder: &Path) -> bool {
    ENVIRONMENT.iter().any(|mark| folder.join(mark).exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, name: &str, text: &str) {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("created");
        fs::write(path, text).expect("written");
    }

    fn tree(folder: &Path) -> Tree {
        Tree::new(&Development {
            folders: vec![folder.join("src")],
            files: vec![folder.join("carme.toml")],
            patterns: vec!["*.py".into(), "*.html".into()],
        })
    }

    #[test]
    fn what_is_new_gone_or_different_has_changed_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = folder.path();
        for name in [
            "src/app.py",
            "src/shop/views.py",
            "src/shop/list.html",
            "src/notes.txt",
        ] {
            write(at, name, "1");
        }
        let tree = tree(at);
        let mut before = tree.look();
        assert!(!before.is_cut);
        assert!(tree.look().changed_since(&before).is_empty());
        for (name, text, expected) in [
            ("src/app.py", "12", true),
            ("src/shop/list.html", "12", true),
            ("src/new/deep/more.py", "1", true),
            ("carme.toml", "1", true),
            ("carme.toml", "12", true),
            ("src/notes.txt", "12", false),
            ("other.py", "1", false),
            ("src/.hidden.py", "1", false),
            ("src/#app.py#", "1", false),
            ("src/app.pyc", "1", false),
            ("src/__pycache__/app.py", "1", false),
            ("src/.git/hook.py", "1", false),
            ("src/.mypy_cache/a.py", "1", false),
            ("src/node_modules/x/y.py", "1", false),
            ("src/env/pyvenv.cfg", "1", false),
            ("src/env/lib/a.py", "1", false),
            ("src/conda/conda-meta/history", "1", false),
            ("src/conda/lib/a.py", "1", false),
        ] {
            write(at, name, text);
            let look = tree.look();
            let expected: &[PathBuf] = if expected { &[at.join(name)] } else { &[] };
            assert_eq!(look.changed_since(&before), expected, "{name}");
            before = look;
        }
        fs::remove_dir_all(at.join("src/new")).expect("removed");
        assert_eq!(
            tree.look().changed_since(&before),
            [at.join("src/new/deep/more.py")]
        );
    }

    #[test]
    fn what_may_count_is_looked_at() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = folder.path();
        for name in ["src/app.py", "src/site.log", "src/sub/x.log"] {
            write(at, name, "1");
        }
        let tree = tree(at);
        for (name, expected) in [
            ("src/app.py", true),
            // Gone, or not there yet: perhaps a folder with files that count.
            ("src/gone", true),
            ("src/sub", true),
            ("carme.toml", true),
            ("src/site.log", false),
            ("src/sub/x.log", false),
            ("src/__pycache__/app.cpython-313.pyc", false),
            ("src/.git/index.lock", false),
            ("access.log", false),
        ] {
            assert_eq!(tree.may_count(&at.join(name)), expected, "{name}");
        }
    }
}
