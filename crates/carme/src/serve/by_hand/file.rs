//! The file that keeps what was changed by hand over a restart.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::values::Values;

/// Counts up when programs from before cannot understand the file any more.
const VERSION: u32 = 1;

/// More is no file of ours.
const LIMIT: u64 = 16 << 20;

/// All that is kept.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    version: u32,
    /// By their names.
    pub(super) balancers: BTreeMap<String, KeptBalancer>,
}

/// What is otherwise in a balancer than the configuration has it, with the names and values of `carme.toml`.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct KeptBalancer {
    /// Of itself.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) settings: Values,
    /// URLs of members that were taken away.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) removed: BTreeSet<String>,
    /// Members that came, by their URLs, with all of their settings.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) added: BTreeMap<String, Values>,
    /// Configured members, by their URLs, with what was changed.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) changed: BTreeMap<String, Values>,
}

/// Why a file could not be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("it is not what Carme writes ({0})")]
    Garbage(#[from] serde_json::Error),
    #[error("it has version {0}, and this program knows version {VERSION}")]
    Version(u32),
}

impl Kept {
    pub(super) fn new(balancers: BTreeMap<String, KeptBalancer>) -> Self {
        Kept {
            version: VERSION,
            balancers,
        }
    }

    /// Reads it; a file that is not there keeps nothing.
    pub(super) fn read(file: &Path) -> Result<Kept, ReadError> {
        let opened = match std::fs::File::open(file) {
            Ok(opened) => opened,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Kept::default()),
            Err(error) => return Err(error.into()),
        };
        let mut bytes = Vec::new();
        opened.take(LIMIT).read_to_end(&mut bytes)?;
        // The version first: what another one says need not make sense beyond it.
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let Versioned { version } = serde_json::from_slice(&bytes)?;
        if version != VERSION {
            return Err(ReadError::Version(version));
        }
        Ok(serde_json::from_slice(&bytes)?)
    }

    /// Writes it as a whole or not at all; where there is nothing to keep there is no file.
    pub(super) fn write(&self, file: &Path) -> io::Result<()> {
        if self.balancers.is_empty() {
            return match std::fs::remove_file(file) {
                Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            };
        }
        let mut bytes = serde_json::to_vec_pretty(self)?;
        bytes.push(b'\n');
        let beside = beside(file);
        let written = (|| {
            let mut new = std::fs::File::create(&beside)?;
            new.write_all(&bytes)?;
            new.sync_all()?;
            drop(new);
            std::fs::rename(&beside, file)
        })();
        if written.is_err() {
            let _ = std::fs::remove_file(&beside);
        }
        written
    }
}

impl KeptBalancer {
    pub(super) fn is_empty(&self) -> bool {
        *self == KeptBalancer::default()
    }
}

/// Keeps a file that cannot be understood from being written over; says where it is.
pub(super) fn put_aside(file: &Path) -> String {
    let mut name = file.as_os_str().to_owned();
    name.push(".unreadable");
    match std::fs::rename(file, &name) {
        Ok(()) => format!("; it is {} now", Path::new(&name).display()),
        Err(_) => String::new(),
    }
}

fn beside(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".new");
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept() -> Kept {
        let values = |key: &str, value: &str| Values::from([(key.to_owned(), value.to_owned())]);
        let balancer = KeptBalancer {
            settings: values("method", "bybusyness"),
            removed: ["http://10.0.0.1:9001".to_owned()].into(),
            added: [("http://10.0.0.4:9004".to_owned(), values("route", "www_4"))].into(),
            changed: [("http://10.0.0.2:9002".to_owned(), values("status", "+D"))].into(),
        };
        Kept::new([("cluster".to_owned(), balancer)].into())
    }

    #[test]
    fn what_is_written_is_read_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("carme.balancers.json");
        assert_eq!(
            Kept::read(&file).expect("nothing is kept").balancers,
            BTreeMap::new()
        );
        kept().write(&file).expect("written");
        assert_eq!(Kept::read(&file).expect("read"), kept());
        kept().write(&file).expect("written over");
        let names = std::fs::read_dir(folder.path()).expect("a folder").count();
        assert_eq!(names, 1, "nothing stays beside it");
        Kept::new(BTreeMap::new()).write(&file).expect("nothing to keep");
        assert!(!file.exists());
        Kept::new(BTreeMap::new()).write(&file).expect("still nothing");
    }

    #[test]
    fn what_cannot_be_understood_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("carme.balancers.json");
        for (text, told) in [
            ("", "it is not what Carme writes (EOF"),
            (
                "{\"version\":1,\"balancers\":7}",
                "it is not what Carme writes (invalid type",
            ),
            (
                "{\"version\":2,\"members\":7}",
                "it has version 2, and this program knows version 1",
            ),
            ("[", "it is not what Carme writes"),
        ] {
            std::fs::write(&file, text).expect("written");
            let error = Kept::read(&file).expect_err(text).to_string();
            assert!(error.starts_with(told), "{error}");
        }
    }
}
