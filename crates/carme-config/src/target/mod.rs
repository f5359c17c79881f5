//! TARGET: what the user wants served, turned into a module that can be imported.
//!
//! `module:attribute`, `module`, a file (`app.py`, `shop/app.py:app`) or a folder with `manage.py`, `wsgi.py` or
//! `app.py`. Whether the module has that attribute only Python can tell; the worker does.

mod django;
mod search;

use std::fmt;
use std::path::{Path, PathBuf};

use crate::nearest::nearest;
use crate::paths;
use crate::problem::Mistake;

/// A module to import and what of it is the application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Goes first on `sys.path`; absolute.
    pub import_root: PathBuf,
    /// The module's dotted name; the file's path for one that `import` cannot name, such as `site.wsgi`.
    pub module: String,
    /// What of it; `None` tries the usual names.
    pub attribute: Option<Attribute>,
}

/// What of a module is the application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attribute {
    /// The application itself: `app`, `site.wsgi_app`.
    Application(String),
    /// A function that makes it, called without arguments: `create_app()`.
    Factory(String),
}

impl fmt::Display for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Attribute::Application(name) => f.write_str(name),
            Attribute::Factory(name) => write!(f, "{name}()"),
        }
    }
}

/// `module:attribute`, or `module`.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.attribute {
            Some(attribute) => write!(f, "{}:{attribute}", self.module),
            None => f.write_str(&self.module),
        }
    }
}

/// What the files tell of a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    /// The module's file is there.
    Here(Target),
    /// The module is not below the folder; it may be installed, which the interpreter knows. If not: the mistake.
    PerhapsInstalled(Target, Mistake),
}

/// Finds what `text` names, seen from the folder `directory` (absolute).
pub(crate) fn find(text: &str, directory: &Path) -> Result<Found, Mistake> {
    let (place, attribute) = split_attribute(text.trim())?;
    if place.is_empty() {
        return Err(Mistake::new(format!(
            "names no module before the colon: {text:?}"
        )));
    }
    if !is_path(place, attribute.is_some(), directory) {
        return search::module(place, attribute, directory);
    }
    let path = paths::absolute(directory, place);
    let file = if path.is_dir() {
        match site_file(&path) {
            Some(file) => file,
            None if path.join("__init__.py").is_file() => path.join("__init__.py"),
            None => return Err(no_site_file(&path)),
        }
    } else if path.is_file() {
        path
    } else {
        return Err(missing_file(place, &path));
    };
    let (import_root, module) = match file.parent() {
        Some(project) if file.ends_with("manage.py") => (project.to_owned(), django::wsgi_module(project)?),
        _ => module_of_file(&file)?,
    };
    Ok(Found::Here(Target {
        import_root,
        module,
        attribute,
    }))
}

fn split_attribute(text: &str) -> Result<(&str, Option<Attribute>), Mistake> {
    let Some((place, attribute)) = text.rsplit_once(':') else {
        return Ok((text, None));
    };
    // C:\site\app.py and C:/site/app.py
    let is_drive = place.len() == 1 && attribute.starts_with(['/', '\\']);
    if is_drive {
        return Ok((text, None));
    }
    if attribute.is_empty() {
        return Err(
            Mistake::new(format!("names no attribute after the colon: {text:?}")).cure(format!(
                "write \"{place}:app\", or \"{place}\" alone to try the usual names"
            )),
        );
    }
    let (name, called) = match attribute.split_once('(') {
        Some((name, ")")) => (name, true),
        Some((name, _)) => {
            return Err(
                Mistake::new(format!("calls a factory with arguments: {text:?}")).cure(format!(
                    "write \"{place}:{name}()\" and hand settings over in the environment"
                )),
            );
        }
        None => (attribute, false),
    };
    if !is_dotted_name(name) {
        return Err(Mistake::new(format!(
            "names no Python attribute after the colon: {attribute:?}"
        )));
    }
    let attribute = if called {
        Attribute::Factory
    } else {
        Attribute::Application
    }(name.to_owned());
    Ok((place, Some(attribute)))
}

fn is_identifier(word: &str) -> bool {
    word.chars().enumerate().all(|(at, c)| {
        c == '_'
            || if at == 0 {
                c.is_alphabetic()
            } else {
                c.is_alphanumeric()
            }
    }) && !word.is_empty()
}

fn is_dotted_name(text: &str) -> bool {
    text.split('.').all(is_identifier)
}

/// A path and not a module's name? A bare word can be either: a folder that is no package, or one that holds
/// what folders of sites hold, is a path, unless the user says by an attribute that the package itself is meant.
fn is_path(place: &str, has_attribute: bool, directory: &Path) -> bool {
    if place.contains(['/', '\\']) || matches!(place, "." | "..") {
        return true;
    }
    if Path::new(place)
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("py"))
    {
        return true;
    }
    let folder = directory.join(place);
    if folder.is_file() {
        return true;
    }
    if !folder.is_dir() || directory.join(format!("{place}.py")).is_file() {
        return false;
    }
    let is_package = folder.join("__init__.py").is_file();
    if is_package && has_attribute {
        false
    } else {
        !is_package || site_file(&folder).is_some()
    }
}

const SITE_FILES: [&str; 3] = ["manage.py", "wsgi.py", "app.py"];

fn site_file(folder: &Path) -> Option<PathBuf> {
    SITE_FILES
        .map(|name| folder.join(name))
        .into_iter()
        .find(|file| file.is_file())
}

fn no_site_file(folder: &Path) -> Mistake {
    let cure = match python_files(folder).as_slice() {
        [] => "name a file or a module instead".to_owned(),
        [only] => format!("did you mean {}?", folder.join(only).display()),
        several => format!("there is {}: name one", several.join(", ")),
    };
    Mistake::new(format!(
        "names a folder without manage.py, wsgi.py or app.py: {}",
        folder.display()
    ))
    .cure(cure)
}

fn python_files(folder: &Path) -> Vec<String> {
    let is_python =
        |path: &Path| path.extension().is_some_and(|extension| extension == "py") && path.is_file();
    paths::names_in(folder, is_python)
}

fn missing_file(place: &str, path: &Path) -> Mistake {
    let mistake = Mistake::new(format!("names a file that does not exist: {}", path.display()));
    let with_py = PathBuf::from(format!("{}.py", path.display()));
    if with_py.is_file() {
        return mistake.cure(format!("write \"{place}.py\""));
    }
    let near = paths::nearest_sibling(path, |entry| {
        entry.is_dir() || entry.extension().is_some_and(|e| e == "py")
    });
    let there = || {
        let folder = path.parent()?;
        let files = python_files(folder);
        (!files.is_empty()).then(|| format!("in {} there is {}", folder.display(), files.join(", ")))
    };
    mistake.maybe_cure(near.or_else(there))
}

/// The module that a file is, as `import` sees it, and the folder it is imported from: packages around the file
/// belong to the module's name.
fn module_of_file(file: &Path) -> Result<(PathBuf, String), Mistake> {
    let has_extension = |wanted: &str| {
        file.extension()
            .is_some_and(|extension| extension.eq_ignore_ascii_case(wanted))
    };
    // As mod_wsgi has them; the worker reads such a file without importing it by a name.
    if has_extension("wsgi") {
        let folder = file.parent().unwrap_or(file);
        return Ok((folder.to_owned(), file.display().to_string()));
    }
    if !has_extension("py") {
        return Err(
            Mistake::new(format!("must be a Python file, found {}", file.display()))
                .cure("give it a name that ends with .py"),
        );
    }
    let stem = file
        .file_stem()
        .and_then(|stem| stem.to_str())
        .unwrap_or_default();
    let mut folder = file.parent().unwrap_or(file);
    let mut names = if stem == "__init__" {
        Vec::new()
    } else {
        vec![stem.to_owned()]
    };
    // A Django project's inner folder is a package even without an __init__.py.
    let in_django = |folder: &Path| {
        folder
            .parent()
            .is_some_and(|above| above.join("manage.py").is_file())
    };
    while folder.join("__init__.py").is_file() || (stem == "wsgi" && names.len() == 1 && in_django(folder)) {
        let (Some(name), Some(parent)) = (folder.file_name(), folder.parent()) else {
            break;
        };
        names.insert(0, name.to_string_lossy().into_owned());
        folder = parent;
    }
    match names.iter().find(|name| name.is_empty() || name.contains('.')) {
        Some(name) => Err(
            Mistake::new(format!("cannot be imported, its name holds a dot: {name:?}"))
                .cure("rename it; Python takes the dot for a package's"),
        ),
        None => Ok((folder.to_owned(), names.join("."))),
    }
}

/// "did you mean `x`?" for a module's name in a folder.
fn near_module(name: &str, prefix: &str, folder: &Path) -> Option<String> {
    let modules = search::modules_in(folder);
    let near = nearest(name, modules.iter().map(String::as_str))?;
    Some(format!("did you mean `{prefix}{near}`?"))
}

#[cfg(test)]
mod tests;
