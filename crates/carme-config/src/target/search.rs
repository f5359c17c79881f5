//! Whether a module's file stands where `import` would look first.

use std::path::Path;

use super::{Attribute, Found, Target, is_dotted_name, near_module, python_files};
use crate::paths;
use crate::problem::Mistake;

/// Looks for the module `name` below `directory`, as an import with that folder first on `sys.path` does.
pub(super) fn module(name: &str, attribute: Option<Attribute>, directory: &Path) -> Result<Found, Mistake> {
    if !is_dotted_name(name) {
        let as_file = name.replace('-', "_");
        let mistake = Mistake::new(format!("is neither a module's name nor a path: {name:?}"));
        return Err(match directory.join(format!("{name}.py")).is_file() {
            true => mistake.cure(format!("write \"{name}.py\"")),
            false => mistake.maybe_cure(near_module(&as_file, "", directory)),
        });
    }
    let target = Target {
        import_root: directory.to_owned(),
        module: name.to_owned(),
        attribute,
    };
    let mut folder = directory.to_owned();
    let mut prefix = String::new();
    let mut certain = false;
    let mut parts = name.split('.').peekable();
    while let Some(part) = parts.next() {
        let is_last = parts.peek().is_none();
        let package = folder.join(part);
        let is_package = package.join("__init__.py").is_file();
        if is_last && (is_package || is_module_file(&folder, part)) {
            return Ok(Found::Here(target));
        }
        if !package.is_dir() {
            let mistake = missing(part, &prefix, &folder);
            // Below a package with an __init__.py nobody else can add modules; a bare folder shares its name.
            return if certain {
                Err(mistake)
            } else {
                Ok(Found::PerhapsInstalled(target, mistake))
            };
        }
        certain |= is_package;
        prefix.push_str(part);
        prefix.push('.');
        folder = package;
    }
    let files = python_files(&folder);
    let mistake = Mistake::new(format!(
        "names a folder without __init__.py: {}",
        folder.display()
    ))
    .maybe_cure(
        files
            .first()
            .map(|file| format!("did you mean `{prefix}{}`?", file.trim_end_matches(".py"))),
    );
    if certain {
        Err(mistake)
    } else {
        Ok(Found::PerhapsInstalled(target, mistake))
    }
}

fn missing(part: &str, prefix: &str, folder: &Path) -> Mistake {
    let what = format!(
        "names the module `{prefix}{part}`, but there is neither {part}.py nor a package {part} in {}",
        folder.display()
    );
    let nested = || {
        let folders = paths::names_in(folder, |entry| {
            entry.is_dir() && (is_module_file(entry, part) || entry.join(part).join("__init__.py").is_file())
        });
        let first = folders.into_iter().find(|name| !name.starts_with('.'))?;
        prefix.is_empty().then(|| {
            format!(
                "there is one in {}: name that folder as the app's directory",
                folder.join(first).display()
            )
        })
    };
    Mistake::new(what).maybe_cure(near_module(part, prefix, folder).or_else(nested))
}

/// A source file or a compiled module of that name.
fn is_module_file(folder: &Path, name: &str) -> bool {
    let compiled = |entry: &Path| {
        let file = entry
            .file_name()
            .and_then(|file| file.to_str())
            .unwrap_or_default();
        file.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'))
            && (file.ends_with(".so") || file.ends_with(".pyd") || file.ends_with(".pyc"))
    };
    folder.join(format!("{name}.py")).is_file() || !paths::names_in(folder, compiled).is_empty()
}

/// What could be imported from a folder: its Python files and its packages.
pub(super) fn modules_in(folder: &Path) -> Vec<String> {
    let mut modules = paths::names_in(folder, |entry| entry.join("__init__.py").is_file());
    modules.extend(
        python_files(folder)
            .iter()
            .map(|file| file.trim_end_matches(".py").to_owned()),
    );
    modules
}
