//! The interpreters that the tests are given.

use std::path::PathBuf;
use std::process::{Command, Stdio};

/// All interpreters with Flask and Django, the main one first: `CARME_TEST_PYTHONS`, or what is on the path.
pub fn all() -> Vec<PathBuf> {
    if let Some(list) = std::env::var_os("CARME_TEST_PYTHONS") {
        let list: Vec<PathBuf> = std::env::split_paths(&list)
            .filter(|p| !p.as_os_str().is_empty())
            .collect();
        if !list.is_empty() {
            return list;
        }
    }
    let names: &[&str] = if cfg!(windows) {
        &["python", "py"]
    } else {
        &["python3", "python"]
    };
    let found = names.iter().find(|name| {
        Command::new(name)
            .arg("-V")
            .stdin(Stdio::null())
            .output()
            .is_ok_and(|output| output.status.success())
    });
    vec![PathBuf::from(
        found.expect("a Python on the path, or CARME_TEST_PYTHONS"),
    )]
}

/// The main interpreter.
pub fn main() -> PathBuf {
    all().swap_remove(0)
}

/// The main interpreter's own path, for what looks for it nowhere else: `mod_wsgi`'s `python-home`.
pub fn executable() -> PathBuf {
    let output = Command::new(main())
        .args(["-c", "import sys; print(sys.executable)"])
        .output()
        .expect("Python runs");
    String::from_utf8(output.stdout).expect("text").trim_end().into()
}

/// Whether the interpreter can import this module.
pub fn has(python: &std::path::Path, module: &str) -> bool {
    Command::new(python)
        .args(["-c", &format!("import {module}")])
        .stdin(Stdio::null())
        .output()
        .is_ok_and(|output| output.status.success())
}
