//! Builds the worker's native library with a cargo of its own, and embeds it with the worker's Python.
//!
//! A library for another process cannot be a dependency, so cargo is called once more: for the same target, in the same
//! profile, with the same flags, into a target directory below `OUT_DIR`. It runs only when the worker's sources change.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, exit};

use sha2::{Digest, Sha256};

/// What the worker is made of, relative to the workspace.
const SOURCES: [&str; 5] = [
    "crates/carme-worker",
    "crates/carme-ring",
    "python/carme_worker",
    "Cargo.toml",
    "Cargo.lock",
];

fn main() {
    let workspace = path("CARGO_MANIFEST_DIR").join("../..");
    for source in SOURCES {
        println!("cargo::rerun-if-changed={}", workspace.join(source).display());
    }
    let library = build_library(&workspace);
    embed(&library, &workspace.join("python/carme_worker"));
}

/// Builds the library; returns where it is.
fn build_library(workspace: &Path) -> PathBuf {
    let (target, profile) = (variable("TARGET"), profile());
    let target_dir = path("OUT_DIR").join("worker");
    let mut cargo = Command::new(variable("CARGO"));
    cargo
        .args([
            "build",
            "--package",
            "carme-worker",
            "--lib",
            "--target",
            &target,
            "--profile",
            &profile,
        ])
        .arg("--target-dir")
        .arg(&target_dir)
        .current_dir(workspace)
        // abi3 needs no interpreter to build against, and the one at hand must not leave its mark.
        .env("PYO3_NO_PYTHON", "1")
        // clippy's, when that is what runs.
        .env_remove("RUSTC_WORKSPACE_WRAPPER");
    if profile != "dev" {
        // Read and compared at each start of the program.
        cargo
            .arg("--config")
            .arg(format!("profile.{profile}.strip=\"debuginfo\""));
    }
    let output = cargo
        .output()
        .unwrap_or_else(|error| fail(&format!("cargo could not be started: {error}")));
    if !output.status.success() {
        fail(&format!(
            "the worker library could not be built:\n{}",
            String::from_utf8_lossy(&output.stderr)
        ));
    }
    let folder = if profile == "dev" { "debug" } else { &profile };
    let windows = variable("CARGO_CFG_TARGET_OS") == "windows";
    let name = match variable("CARGO_CFG_TARGET_OS").as_str() {
        "windows" => "carme_worker.dll",
        "macos" => "libcarme_worker.dylib",
        _ => "libcarme_worker.so",
    };
    let built = target_dir.join(&target).join(folder).join(name);
    // The name by which a Python extension goes.
    let extension = path("OUT_DIR").join(if windows {
        "carme_worker.pyd"
    } else {
        "carme_worker.abi3.so"
    });
    fs::copy(&built, &extension).unwrap_or_else(|error| fail(&format!("{}: {error}", built.display())));
    extension
}

/// The profile that this script was built for: cargo tells it only by the name of a folder.
fn profile() -> String {
    let out = path("OUT_DIR");
    let folder = out
        .ancestors()
        .nth(3)
        .and_then(Path::file_name)
        .and_then(|name| name.to_str());
    match folder {
        Some("debug") => "dev".to_owned(),
        Some(name) if variable("PROFILE") == "release" => name.to_owned(),
        _ => if variable("PROFILE") == "release" {
            "release"
        } else {
            "dev"
        }
        .to_owned(),
    }
}

/// Writes `embedded.rs`: an expression of type `carme_farm::Embedded`.
fn embed(library: &Path, python: &Path) {
    let mut scripts: Vec<PathBuf> = fs::read_dir(python)
        .unwrap_or_else(|error| fail(&format!("{}: {error}", python.display())))
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "py"))
        .collect();
    scripts.sort();
    let start = scripts
        .iter()
        .position(|path| path.ends_with("start.py"))
        .unwrap_or_else(|| fail(&format!("{} has no start.py", python.display())));
    let start = scripts.remove(start);

    let mut digest = Sha256::new();
    let mut file = |path: &Path, folder: &str| {
        let name = format!(
            "{folder}{}",
            path.file_name().unwrap_or_default().to_string_lossy()
        );
        digest.update(name.as_bytes());
        digest.update(fs::read(path).unwrap_or_else(|error| fail(&format!("{}: {error}", path.display()))));
        format!("carme_farm::EmbeddedFile {{ path: {name:?}, bytes: include_bytes!({path:?}) }}")
    };
    let library = file(library, "");
    let start = file(&start, "carme_worker/");
    let modules: Vec<String> = scripts.iter().map(|path| file(path, "carme_worker/")).collect();
    let mut hex = String::new();
    for byte in digest.finalize() {
        let _ = write!(hex, "{byte:02x}");
    }
    let code = format!(
        "carme_farm::Embedded {{\n    digest: {hex:?},\n    library: {library},\n    start: {start},\n    \
         modules: &[{}],\n}}\n",
        modules.join(", ")
    );
    let to = path("OUT_DIR").join("embedded.rs");
    fs::write(&to, code).unwrap_or_else(|error| fail(&format!("{}: {error}", to.display())));
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| fail(&format!("{name} is not set: build.rs is for cargo to run")))
}

fn path(name: &str) -> PathBuf {
    PathBuf::from(variable(name))
}

fn fail(why: &str) -> ! {
    for line in why.lines() {
        println!("cargo::error={line}");
    }
    exit(1)
}
