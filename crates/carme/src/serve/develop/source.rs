//! The source while somebody works on it: waits until it has changed, and says what of it.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use carme_config::Development;
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::tree::{Look, Tree};

/// An editor, or a tool that writes many files, is done when nothing has happened for so long ...
const QUIET: Duration = Duration::from_millis(100);
/// ... or is not waited for any longer.
const IMPATIENCE: Duration = Duration::from_secs(2);
/// How often it is looked where the system does not tell.
const LOOK: Duration = Duration::from_secs(1);

/// On Linux each folder is watched by itself, so that environments and caches cost nothing; elsewhere the system watches
/// all that is below one.
const EACH_FOLDER: bool = cfg!(target_os = "linux");

/// What is watched, and how it was when it was looked at last.
pub(super) struct Source {
    tree: Arc<Tree>,
    seen: Arc<Look>,
    stirred: Arc<Notify>,
    /// `None` where the system does not tell of changes.
    watcher: Option<RecommendedWatcher>,
    watched: BTreeSet<PathBuf>,
}

impl Source {
    /// Looks at it for the first time. Blocks.
    pub(super) fn new(development: &Development) -> Self {
        let tree = Arc::new(Tree::new(development));
        let stirred = Arc::<Notify>::default();
        let told = {
            let (tree, stirred) = (Arc::clone(&tree), Arc::clone(&stirred));
            move |event: notify::Result<Event>| {
                if may_be_a_change(&tree, &event) {
                    stirred.notify_one();
                }
            }
        };
        let watcher = notify::recommended_watcher(told)
            .inspect_err(tell_of_looking)
            .ok();
        let mut source = Source {
            seen: Arc::new(tree.look()),
            tree,
            stirred,
            watcher,
            watched: BTreeSet::new(),
        };
        source.watch();
        // What was changed while the watching began.
        source.seen = Arc::new(source.tree.look());
        let folders = source.seen.folders.len();
        tracing::info!("development: changes in {folders} folders reload the server");
        if source.seen.is_cut {
            tracing::warn!(
                "there are more folders, which are not watched: name those of the source with --reload-dir"
            );
        }
        source
    }

    /// Watches folders that are new, and forgets those that are gone.
    fn watch(&mut self) {
        let Some(watcher) = &mut self.watcher else { return };
        let wanted: BTreeSet<PathBuf> = match EACH_FOLDER {
            true => self.seen.folders.clone(),
            // Files that count by themselves may be elsewhere; a folder that is watched as a whole is watched once.
            false => {
                let roots = self.tree.roots();
                let apart = |folder: &&PathBuf| !roots.iter().any(|root| folder.starts_with(root));
                let others = self.seen.folders.iter().filter(apart);
                roots.iter().chain(others).cloned().collect()
            }
        };
        for gone in self.watched.difference(&wanted) {
            // The system has forgotten it already.
            let _ = watcher.unwatch(gone);
        }
        let mut refused = None;
        for folder in wanted.difference(&self.watched) {
            let mode = match !EACH_FOLDER && self.tree.roots().contains(folder) {
                true => RecursiveMode::Recursive,
                false => RecursiveMode::NonRecursive,
            };
            // A folder that is gone by now is not missed.
            if let Err(error) = watcher.watch(folder, mode)
                && folder.is_dir()
            {
                refused = Some(error);
                break;
            }
        }
        self.watched = wanted;
        if let Some(error) = refused {
            tell_of_looking(&error);
            self.watcher = None;
        }
    }

    /// Waits until something has changed; the files, at least one. Not cancel safe.
    pub(super) async fn changed(&mut self) -> Vec<PathBuf> {
        loop {
            match self.watcher {
                Some(_) => {
                    self.stirred.notified().await;
                    let latest = Instant::now() + IMPATIENCE;
                    let is_over = async { while timeout(QUIET, self.stirred.notified()).await.is_ok() {} };
                    let _ = timeout_at(latest, is_over).await;
                }
                None => sleep(LOOK).await,
            }
            let tree = Arc::clone(&self.tree);
            let Ok(look) = tokio::task::spawn_blocking(move || tree.look()).await else {
                continue;
            };
            let changed = look.changed_since(&self.seen);
            self.seen = Arc::new(look);
            self.watch();
            if !changed.is_empty() {
                return changed;
            }
        }
    }
}

/// Who only reads changes nothing; what the system could not tell may be anything.
fn may_be_a_change(tree: &Tree, event: &notify::Result<Event>) -> bool {
    match event {
        Ok(event) if event.need_rescan() => true,
        Ok(event) => {
            !matches!(event.kind, EventKind::Access(_)) && event.paths.iter().any(|path| tree.may_count(path))
        }
        Err(_) => true,
    }
}

fn tell_of_looking(error: &notify::Error) {
    let cure = match error.kind {
        notify::ErrorKind::MaxFilesWatch => {
            "; the system's limit is fs.inotify.max_user_watches, or name fewer folders with --reload-dir"
        }
        _ => "",
    };
    tracing::warn!("the system does not tell of changes, they are looked for every second: {error}{cure}");
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    async fn next(source: &mut Source) -> Vec<PathBuf> {
        let changed = timeout(Duration::from_secs(60), source.changed()).await;
        changed.expect("a change is noticed")
    }

    fn source(folder: &Path) -> Source {
        Source::new(&Development {
            folders: vec![folder.to_owned()],
            files: Vec::new(),
            patterns: vec!["*.py".into()],
        })
    }

    #[tokio::test]
    async fn changes_are_noticed_in_folders_that_came_later_too() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = folder.path();
        fs::write(at.join("app.py"), "1").expect("written");
        let mut watched = source(at);
        let mut looked_at = source(at);
        looked_at.watcher = None;
        for source in [&mut watched, &mut looked_at] {
            let deep = at.join("new/deep");
            for (path, text) in [
                (at.join("app.py"), "12"),
                (deep.join("a.py"), "1"),
                (deep.join("a.py"), "12"),
                (deep.join("b.py"), "1"),
            ] {
                fs::create_dir_all(path.parent().expect("a folder")).expect("created");
                fs::write(&path, text).expect("written");
                assert_eq!(next(source).await, [path]);
            }
            fs::remove_dir_all(at.join("new")).expect("removed");
            assert_eq!(next(source).await, [deep.join("a.py"), deep.join("b.py")]);
            fs::write(at.join("app.py"), "1").expect("written");
            assert_eq!(next(source).await, [at.join("app.py")]);
        }
    }
}
