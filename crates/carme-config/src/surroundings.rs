//! What the process was started in, as a value, so that discovery can be tested.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::account;
use crate::iis;
use crate::probe::{ProbeError, PythonFacts};

/// A way to ask an interpreter what it is.
pub type Probe = fn(&Path) -> Result<PythonFacts, ProbeError>;

/// The parts of the environment that discovery looks at.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// The current directory; absolute.
    pub directory: PathBuf,
    /// `VIRTUAL_ENV`: the active virtual environment.
    pub virtual_env: Option<PathBuf>,
    /// `PATH`, split.
    pub path: Vec<PathBuf>,
    /// How an interpreter is asked what it is: [`crate::probe()`]. `None` takes each for what it seems; its worker
    /// will tell soon enough.
    pub probe: Option<Probe>,
    /// The time, if a certificate that clients would refuse now is a problem. `None`: a server starts with it, so that a
    /// certificate's last day is not the whole site's.
    pub now: Option<SystemTime>,
    /// Where standard output and error lead.
    pub console: Console,
    /// `HTTP_PLATFORM_PORT`: the port of this machine at which IIS, which has started the server, expects it.
    pub platform_port: Option<OsString>,
    /// Whether processes can be started as other users.
    pub is_root: bool,
}

/// Where standard output and error of the server lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Console {
    /// To somebody who reads them, or to a log of the system.
    #[default]
    Present,
    /// Nowhere, as those of a Windows service: what a file writes there is kept in files beside it.
    Absent,
}

impl Surroundings {
    /// Those of this process. Interpreters are not asked.
    ///
    /// # Errors
    /// When the current directory cannot be told, because it was removed.
    pub fn of_this_process() -> std::io::Result<Self> {
        Ok(Surroundings {
            directory: std::env::current_dir()?,
            virtual_env: std::env::var_os("VIRTUAL_ENV")
                .filter(|value| !value.is_empty())
                .map(PathBuf::from),
            path: std::env::var_os("PATH")
                .map_or_else(Vec::new, |path| std::env::split_paths(&path).collect()),
            probe: None,
            now: None,
            console: Console::Present,
            platform_port: std::env::var_os(iis::VARIABLE),
            is_root: account::is_root(),
        })
    }
}
