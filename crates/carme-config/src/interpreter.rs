//! Which Python runs an app: the one that was named, the active or the project's environment, the first on PATH.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::nearest::nearest;
use crate::paths;
use crate::probe::PythonFacts;
use crate::problem::Mistake;
use crate::surroundings::Surroundings;

/// A Python interpreter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interpreter {
    /// The program; absolute, links not resolved (an environment's `python` is a link that must stay one).
    pub path: PathBuf,
    /// Why this one.
    pub origin: Origin,
    /// What it says of itself, if it was asked ([`Surroundings::probe`]).
    pub facts: Option<PythonFacts>,
}

/// Why an interpreter was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// `--python` or `python =`.
    Named,
    /// The active environment, `VIRTUAL_ENV`.
    ActiveEnvironment,
    /// `.venv` or `venv` in the project's folder or up to two above it.
    ProjectEnvironment,
    /// `python3`, `python` or `py` on PATH.
    Path,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Origin::Named => "as configured",
            Origin::ActiveEnvironment => "the active environment",
            Origin::ProjectEnvironment => "the project's environment",
            Origin::Path => "from PATH",
        })
    }
}

const ENVIRONMENT_FOLDERS: [&str; 2] = [".venv", "venv"];
const PARENTS_SEARCHED: usize = 2;

impl Interpreter {
    fn new(path: PathBuf, origin: Origin) -> Self {
        Interpreter {
            path,
            origin,
            facts: None,
        }
    }

    /// Finds the interpreter for a project in `project`. `named` is what the user wrote, if anything: a program
    /// on PATH, or a path, seen from `base`, to a program or to an environment's folder.
    ///
    /// # Errors
    /// What was named and is not there, with what is; or that there is no Python at all.
    pub fn find(
        named: Option<&str>,
        base: &Path,
        project: &Path,
        surroundings: &Surroundings,
    ) -> Result<Self, Mistake> {
        if let Some(named) = named {
            return find_named(named, base, project, surroundings);
        }
        if let Some(environment) = &surroundings.virtual_env {
            let program = imp::in_environment(environment);
            return if imp::is_program(&program) {
                Ok(Interpreter::new(program, Origin::ActiveEnvironment))
            } else {
                let cure = match project_environment(project) {
                    Some(path) => format!("unset VIRTUAL_ENV, and {} is taken", path.display()),
                    None => "unset VIRTUAL_ENV, or name an interpreter with --python".to_owned(),
                };
                Err(Mistake::new(format!(
                    "is not found where VIRTUAL_ENV says: {} does not exist",
                    program.display()
                ))
                .cure(cure))
            };
        }
        if let Some(path) = project_environment(project) {
            return Ok(Interpreter::new(path, Origin::ProjectEnvironment));
        }
        // Windows puts programs named python into a folder of its own that only open a shop: those come last.
        for shop in [false, true] {
            let folders = || {
                surroundings
                    .path
                    .iter()
                    .filter(|folder| imp::is_shop(folder) == shop)
            };
            for name in imp::NAMES_ON_PATH {
                if let Some(path) = folders().find_map(|folder| program_in(folder, name)) {
                    return Ok(Interpreter::new(path, Origin::Path));
                }
            }
        }
        Err(Mistake::new(format!(
            "is not found: no environment (.venv, venv) in {} or above, and none of {} on PATH",
            project.display(),
            imp::NAMES_ON_PATH.join(", ")
        ))
        .cure("install Python, or name an interpreter with --python"))
    }
}

fn find_named(
    named: &str,
    base: &Path,
    project: &Path,
    surroundings: &Surroundings,
) -> Result<Interpreter, Mistake> {
    let found = |path| Ok(Interpreter::new(path, Origin::Named));
    let is_bare_name = !named.contains(['/', '\\']) && named != "." && named != "..";
    let as_path = paths::absolute(base, named);
    if as_path.is_dir() {
        let program = imp::in_environment(&as_path);
        if imp::is_program(&program) {
            return found(program);
        }
        return Err(Mistake::new(format!(
            "must be an interpreter or an environment, found a folder without {}: {}",
            imp::IN_ENVIRONMENT,
            as_path.display()
        ))
        .maybe_cure(candidates(project, surroundings)));
    }
    if is_bare_name {
        let on_path = surroundings
            .path
            .iter()
            .find_map(|folder| program_in(folder, named));
        if let Some(path) = on_path {
            return found(path);
        }
    }
    if let Some(path) = imp::spellings(&as_path)
        .into_iter()
        .find(|path| imp::is_program(path))
    {
        return found(path);
    }
    if as_path.is_file() {
        return Err(Mistake::new(format!(
            "must be a program, found a file that cannot be run: {}",
            as_path.display()
        ))
        .maybe_cure(candidates(project, surroundings)));
    }
    let (what, near) = if is_bare_name {
        let names: Vec<String> = surroundings
            .path
            .iter()
            .flat_map(|folder| paths::names_in(folder, imp::is_program))
            .filter(|name| name.starts_with("py"))
            .map(|name| name.trim_end_matches(std::env::consts::EXE_SUFFIX).to_owned())
            .collect();
        let near =
            nearest(named, names.iter().map(String::as_str)).map(|near| format!("did you mean `{near}`?"));
        (
            format!(
                "names no program on PATH and no file in {}: {named:?}",
                base.display()
            ),
            near,
        )
    } else {
        let as_program = imp::spellings(&as_path).pop().unwrap_or_else(|| as_path.clone());
        let near = paths::nearest_sibling(&as_program, |path| path.is_dir() || imp::is_program(path));
        (
            format!("names a file that does not exist: {}", as_path.display()),
            near,
        )
    };
    Err(Mistake::new(what)
        .maybe_cure(candidates(project, surroundings))
        .maybe_cure(near))
}

/// What there is instead: what would be taken if nothing were named.
fn candidates(project: &Path, surroundings: &Surroundings) -> Option<String> {
    let other = Interpreter::find(None, project, project, surroundings).ok()?;
    Some(format!("there is {} ({})", other.path.display(), other.origin))
}

fn project_environment(project: &Path) -> Option<PathBuf> {
    project
        .ancestors()
        .take(1 + PARENTS_SEARCHED)
        .flat_map(|folder| ENVIRONMENT_FOLDERS.map(|name| imp::in_environment(&folder.join(name))))
        .find(|program| imp::is_program(program))
}

fn program_in(folder: &Path, name: &str) -> Option<PathBuf> {
    // An empty or relative entry of PATH means the current directory, from which nothing is run by accident.
    if !folder.is_absolute() {
        return None;
    }
    imp::spellings(&folder.join(name))
        .into_iter()
        .find(|path| imp::is_program(path))
}

#[cfg(not(windows))]
mod imp {
    use std::os::unix::fs::PermissionsExt;
    use std::path::{Path, PathBuf};

    pub(super) const NAMES_ON_PATH: [&str; 2] = ["python3", "python"];
    pub(super) const IN_ENVIRONMENT: &str = "bin/python";

    pub(super) fn in_environment(environment: &Path) -> PathBuf {
        environment.join(IN_ENVIRONMENT)
    }

    pub(super) fn is_program(path: &Path) -> bool {
        path.metadata()
            .is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
    }

    pub(super) fn is_shop(_folder: &Path) -> bool {
        false
    }

    pub(super) fn spellings(path: &Path) -> Vec<PathBuf> {
        vec![path.to_owned()]
    }
}

#[cfg(windows)]
mod imp {
    use std::path::{Path, PathBuf};

    pub(super) const NAMES_ON_PATH: [&str; 3] = ["python3", "python", "py"];
    pub(super) const IN_ENVIRONMENT: &str = "Scripts\\python.exe";

    pub(super) fn in_environment(environment: &Path) -> PathBuf {
        environment.join("Scripts").join("python.exe")
    }

    pub(super) fn is_program(path: &Path) -> bool {
        let is_exe = path
            .extension()
            .is_some_and(|extension| extension.eq_ignore_ascii_case("exe"));
        // `symlink_metadata`, because the shop's aliases are links that cannot be followed, only started.
        is_exe && path.symlink_metadata().is_ok_and(|file| !file.is_dir())
    }

    pub(super) fn is_shop(folder: &Path) -> bool {
        folder.ends_with("Microsoft\\WindowsApps")
    }

    pub(super) fn spellings(path: &Path) -> Vec<PathBuf> {
        let mut with_exe = path.as_os_str().to_owned();
        with_exe.push(".exe");
        vec![path.to_owned(), PathBuf::from(with_exe)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// A file that counts as a program on this platform.
    fn program(path: &Path) -> PathBuf {
        let name = path.display().to_string();
        let path = if cfg!(windows) && !name.ends_with(".exe") {
            format!("{name}.exe").into()
        } else {
            path.to_owned()
        };
        fs::create_dir_all(path.parent().expect("a folder")).expect("created");
        fs::write(&path, "").expect("written");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("made runnable");
        }
        path
    }

    fn environment(folder: &Path) -> PathBuf {
        program(&imp::in_environment(folder))
    }

    #[test]
    fn the_order_of_preference() {
        let root = tempfile::tempdir().expect("a folder");
        let root = root.path();
        let project = root.join("a/b/project");
        fs::create_dir_all(&project).expect("created");
        let mut surroundings = Surroundings {
            directory: root.to_owned(),
            path: vec![root.join("bin")],
            ..Surroundings::default()
        };
        let find = |named: Option<&str>, surroundings: &Surroundings| {
            Interpreter::find(named, root, &project, surroundings).map(|found| (found.path, found.origin))
        };

        let nothing = find(None, &surroundings).expect_err("there is no Python");
        assert!(
            nothing
                .what
                .starts_with("is not found: no environment (.venv, venv) in "),
            "{}",
            nothing.what
        );

        let python = program(&root.join("bin/python"));
        assert_eq!(find(None, &surroundings), Ok((python, Origin::Path)));
        let python3 = program(&root.join("bin/python3"));
        assert_eq!(find(None, &surroundings), Ok((python3.clone(), Origin::Path)));

        environment(&root.join(".venv"));
        assert_eq!(
            find(None, &surroundings),
            Ok((python3, Origin::Path)),
            "three folders up is too far"
        );
        let above = environment(&root.join("a/venv"));
        assert_eq!(find(None, &surroundings), Ok((above, Origin::ProjectEnvironment)));
        let own = environment(&project.join(".venv"));
        assert_eq!(
            find(None, &surroundings),
            Ok((own.clone(), Origin::ProjectEnvironment))
        );

        let active = environment(&root.join("active"));
        surroundings.virtual_env = Some(root.join("active"));
        assert_eq!(
            find(None, &surroundings),
            Ok((active.clone(), Origin::ActiveEnvironment))
        );

        let named = program(&root.join("bin/python3.12"));
        assert_eq!(
            find(Some("python3.12"), &surroundings),
            Ok((named.clone(), Origin::Named))
        );
        assert_eq!(
            find(Some("bin/python3.12"), &surroundings),
            Ok((named, Origin::Named))
        );
        assert_eq!(
            find(Some("active"), &surroundings),
            Ok((active, Origin::Named)),
            "an environment's folder"
        );

        surroundings.virtual_env = Some(root.join("removed"));
        let removed = find(None, &surroundings).expect_err("the environment is gone");
        assert!(
            removed.what.starts_with("is not found where VIRTUAL_ENV says: "),
            "{}",
            removed.what
        );
        assert_eq!(
            removed.cure,
            Some(format!("unset VIRTUAL_ENV, and {} is taken", own.display()))
        );
    }

    #[test]
    fn what_was_named_and_is_missing() {
        let root = tempfile::tempdir().expect("a folder");
        let root = root.path();
        let surroundings = Surroundings {
            directory: root.to_owned(),
            path: vec![root.join("bin")],
            ..Surroundings::default()
        };
        let python = program(&root.join("bin/python3.11"));
        fs::create_dir(root.join("empty")).expect("created");
        fs::write(root.join("notes.txt"), "").expect("written");
        let find = |named| Interpreter::find(Some(named), root, root, &surroundings).expect_err(named);

        let typo = find("pyhton3.11");
        assert!(
            typo.what.starts_with("names no program on PATH and no file in "),
            "{}",
            typo.what
        );
        assert!(typo.what.ends_with(": \"pyhton3.11\""), "{}", typo.what);
        assert_eq!(typo.cure, Some("did you mean `python3.11`?".to_owned()));

        let typo = find("bin/pythn3.11");
        assert!(
            typo.what.starts_with("names a file that does not exist: "),
            "{}",
            typo.what
        );
        assert_eq!(
            typo.cure,
            Some(format!(
                "did you mean {}?",
                paths::absolute(root, &python).display()
            ))
        );

        let folder = find("empty");
        assert!(
            folder
                .what
                .starts_with("must be an interpreter or an environment, found a folder without ")
        );
        let file = find("notes.txt");
        assert!(
            file.what
                .starts_with("must be a program, found a file that cannot be run: "),
            "{}",
            file.what
        );
    }

    #[test]
    fn a_relative_entry_of_path_is_not_searched() {
        assert_eq!(program_in(Path::new(""), "python3"), None);
        assert_eq!(program_in(Path::new("bin"), "sh"), None);
    }
}
