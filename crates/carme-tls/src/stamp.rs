//! Whether files have changed, from their times and sizes.

use std::path::Path;
use std::time::SystemTime;

/// How a set of files looks from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stamp(Vec<Option<(SystemTime, u64)>>);

impl Stamp {
    /// Links are followed: what renews certificates often changes a link.
    pub(crate) fn of<'p>(files: impl Iterator<Item = &'p Path>) -> Self {
        let look = |file: &Path| {
            let metadata = std::fs::metadata(file).ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        };
        Stamp(files.map(look).collect())
    }
}
