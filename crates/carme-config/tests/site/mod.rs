//! A folder with a site in it, and surroundings that know nothing else.

use std::fs;
use std::path::{Path, PathBuf};

use carme_config::{Config, Problems, ServeOptions, Surroundings};

/// A temporary folder with `app.py`, `shop/app.py` and an environment in `.venv`.
pub(crate) struct Site {
    folder: tempfile::TempDir,
}

impl Site {
    pub(crate) fn new() -> Self {
        let site = Site {
            folder: tempfile::tempdir().expect("a folder"),
        };
        site.write("app.py", "");
        site.write("shop/app.py", "");
        let python = site.python();
        site.write(python.strip_prefix(site.path()).expect("it is below"), "");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(&python, fs::Permissions::from_mode(0o755)).expect("made runnable");
        }
        site
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn python(&self) -> PathBuf {
        self.path().join(if cfg!(windows) {
            ".venv/Scripts/python.exe"
        } else {
            ".venv/bin/python"
        })
    }

    pub(crate) fn write(&self, name: impl AsRef<Path>, text: &str) {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("created");
        fs::write(path, text).expect("written");
    }

    pub(crate) fn surroundings(&self) -> Surroundings {
        Surroundings {
            directory: self.path().to_owned(),
            ..Surroundings::default()
        }
    }

    #[allow(dead_code, reason = "not every test uses files")]
    pub(crate) fn toml(&self, text: &str) -> Result<Config, Problems> {
        Config::from_toml(text, Path::new("carme.toml"), &self.surroundings())
    }

    #[allow(dead_code, reason = "not every test uses options")]
    pub(crate) fn options(&self, options: &ServeOptions) -> Result<Config, Problems> {
        Config::from_options(options, &self.surroundings())
    }

    /// The problems, one a line, with the folder's name made the same everywhere.
    #[allow(dead_code, reason = "not every test looks at problems")]
    pub(crate) fn lines(&self, problems: &Problems) -> Vec<String> {
        let folder = self.path().display().to_string();
        let text = |problem: &carme_config::Problem| {
            problem
                .to_string()
                .replace(&folder, "SITE")
                .replace('\\', "/")
                .replace("\n    ", " | ")
        };
        problems.iter().map(text).collect()
    }
}
