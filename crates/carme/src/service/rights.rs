//! What the account of a service must be able to do with which files.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use carme_config::{Answer, Config, LogOutput};

/// The folders and files that matter, each once.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Rights {
    /// Must be readable, with all that is in them.
    pub(super) read: BTreeSet<PathBuf>,
    /// Must be writable: logs are begun there, and what commands change is kept.
    pub(super) write: BTreeSet<PathBuf>,
}

impl Rights {
    /// Those that serving this file needs. What the apps themselves write, nobody can know.
    pub(super) fn of(config: &Config, file: &Path) -> Self {
        let mut read = BTreeSet::from([file.to_owned()]);
        for app in &config.apps {
            read.extend([
                app.directory.clone(),
                app.target.import_root.clone(),
                app.python.path.clone(),
            ]);
            read.extend(app.sendfile.iter().cloned());
        }
        for location in &config.locations {
            if let Answer::Files(files) = &location.answer {
                read.insert(files.folder.clone());
            }
        }
        let outputs = config.access_logs.iter().map(|log| &log.output);
        let folder = |output: &LogOutput| match output {
            LogOutput::File(file) => file.parent().map(Path::to_owned),
            LogOutput::Standard => None,
        };
        let write = outputs
            .chain([&config.server.error_log])
            .filter_map(folder)
            .chain(config.server.state_directory.clone())
            .collect();
        Rights { read, write }
    }
}
