//! `--reload`: which files of the source are watched while somebody works on it.

use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::draft::At;
use crate::paths;
use crate::problem::{Mistake, Place, Problems};
use crate::surroundings::Surroundings;

/// The options of development as the user wrote them. Paths are seen from the current directory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DevelopmentOptions {
    /// `--reload`
    pub reload: bool,
    /// `--reload-dir`
    pub folders: Vec<String>,
    /// `--reload-include`
    pub patterns: Vec<String>,
}

/// What is watched: a change of it brings new workers and reloads browsers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Development {
    /// Folders with all that is below them; absolute, they exist, and none is inside another.
    pub folders: Vec<PathBuf>,
    /// Files that count by themselves, wherever they are: the configuration file.
    pub files: Vec<PathBuf>,
    /// What the names of files in the folders are like, with `*` and `?`.
    pub patterns: Vec<String>,
}

/// What is watched if nothing else is said: code and templates, and what a page is made of in the browser. No data, which
/// applications write themselves.
const PATTERNS: [&str; 9] = [
    "*.py", "*.html", "*.htm", "*.jinja", "*.jinja2", "*.j2", "*.mako", "*.css", "*.js",
];

impl Development {
    /// Checks the options for this server, which `file` describes if one does; `None` if nothing is to be watched.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn from_options(
        options: &DevelopmentOptions,
        config: &Config,
        file: Option<&Path>,
        surroundings: &Surroundings,
    ) -> Result<Option<Self>, Problems> {
        if !options.reload {
            return Ok(None);
        }
        let mut problems = Problems::default();
        let mut wrong = |option: &str, mistake: Mistake| {
            let at = At {
                value: (),
                subject: option.to_owned(),
                place: Place::CommandLine,
            };
            problems.push(at.problem(mistake));
        };
        let mut folders = Vec::new();
        for text in &options.folders {
            match paths::folder(&surroundings.directory, text) {
                Ok(folder) => folders.push(folder),
                Err(mistake) => wrong("--reload-dir", mistake),
            }
        }
        if options.folders.is_empty() {
            folders.extend(config.apps.iter().map(|app| app.directory.clone()));
            if folders.is_empty() {
                let mistake = Mistake::new("has nothing to watch: there is no app")
                    .cure("name the folder of the files: --reload-dir static");
                wrong("--reload", mistake);
            }
        }
        let mut patterns: Vec<String> = PATTERNS.map(str::to_owned).into();
        for text in &options.patterns {
            if text.is_empty() || text.contains(['/', '\\']) {
                let mistake = Mistake::new(format!(
                    "must be what a file's name is like, such as \"*.toml\", found {text:?}"
                ));
                wrong("--reload-include", mistake);
            }
            patterns.push(text.clone());
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Some(Development {
            folders: outermost(folders),
            files: file
                .map(|file| paths::absolute(&surroundings.directory, file))
                .into_iter()
                .collect(),
            patterns,
        }))
    }
}

/// Those that are in no other.
fn outermost(mut folders: Vec<PathBuf>) -> Vec<PathBuf> {
    folders.sort();
    folders.dedup();
    let all = folders.clone();
    folders.retain(|folder| {
        !all.iter()
            .any(|other| other != folder && folder.starts_with(other))
    });
    folders
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_inside_another_is_watched_with_it() {
        let paths = |names: &[&str]| names.iter().map(PathBuf::from).collect::<Vec<_>>();
        assert_eq!(
            outermost(paths(&["/a/b", "/c", "/a", "/ab", "/a/b/c", "/c"])),
            paths(&["/a", "/ab", "/c"])
        );
    }
}
