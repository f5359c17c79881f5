//! Asking an interpreter what it is, by running it once.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde::Deserialize;

/// What an interpreter says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PythonFacts {
    /// `sys.implementation.name` with its usual capitals: `CPython`, `PyPy`.
    pub implementation: String,
    /// Major, minor and micro version.
    pub version: (u32, u32, u32),
    /// Whether it was built without the GIL (PEP 703).
    pub free_threaded: bool,
    /// The tag of its compiled modules, such as `cpython-311`; empty where it has none.
    pub cache_tag: String,
    /// 32 or 64.
    pub bits: u32,
    /// `sys.executable`: what a shim or a launcher really started.
    pub executable: PathBuf,
}

/// `CPython 3.11.7`
impl std::fmt::Display for PythonFacts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (major, minor, micro) = self.version;
        write!(f, "{} {major}.{minor}.{micro}", self.implementation)
    }
}

/// The oldest CPython that the worker's stable ABI reaches.
const OLDEST: (u32, u32) = (3, 9);
/// Long enough for a cold start from a network drive.
const PATIENCE: Duration = Duration::from_secs(30);
const MOST_OUTPUT: u64 = 64 * 1024;

/// Why an interpreter that runs cannot run an app.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unsupported {
    /// PyPy and others.
    #[error("only CPython can load Carme's worker")]
    Implementation,
    /// Older than 3.9.
    #[error("Carme serves CPython 3.9 and later")]
    TooOld,
    /// PEP 703's build.
    #[error("a free-threaded build cannot load Carme's worker; use the ordinary build of the same version")]
    FreeThreaded,
    /// A 32-bit build.
    #[error("a 32-bit build cannot load Carme's worker; use a 64-bit build")]
    Bits,
}

/// Why an interpreter is of no use.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The system could not start it.
    #[error("{} cannot be started: {source}", path.display())]
    Start {
        /// The interpreter.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It did not answer in time.
    #[error("{} did not answer within {} seconds", path.display(), PATIENCE.as_secs())]
    TimedOut {
        /// The interpreter.
        path: PathBuf,
    },
    /// It ended with an error.
    #[error("{} failed ({status}): {message}", path.display())]
    Failed {
        /// The interpreter.
        path: PathBuf,
        /// How it ended.
        status: ExitStatus,
        /// The last line that it wrote to its standard error.
        message: String,
    },
    /// It answered, but not as Python does.
    #[error("{} does not answer like Python: {answer:?}", path.display())]
    Garbled {
        /// The interpreter.
        path: PathBuf,
        /// What it wrote, shortened.
        answer: String,
    },
    /// It is a Python that Carme cannot serve.
    #[error("{} is {facts}: {reason}", path.display())]
    Unsupported {
        /// The interpreter.
        path: PathBuf,
        /// What it is.
        facts: Box<PythonFacts>,
        /// What is wrong with that.
        reason: Unsupported,
    },
}

/// Runs in any Python since 2.6, so that an old one gets its sentence and not a syntax error. The empty entry
/// of `sys.path` is the current directory, whose `json.py` is not the one meant.
const QUESTION: &str = r#"
import sys
sys.path[:] = [path for path in sys.path if path]
import json
names = {"cpython": "CPython", "pypy": "PyPy", "graalpy": "GraalPy"}
name = getattr(getattr(sys, "implementation", None), "name", "cpython")
gil = None
if sys.version_info >= (3, 13):
    import sysconfig
    gil = sysconfig.get_config_var("Py_GIL_DISABLED")
print(json.dumps({
    "implementation": names.get(name, name),
    "version": list(sys.version_info[:3]),
    "free_threaded": bool(gil),
    "cache_tag": getattr(getattr(sys, "implementation", None), "cache_tag", None) or "",
    "bits": 64 if sys.maxsize > 2 ** 32 else 32,
    "executable": sys.executable or "",
}))
"#;

/// Asks the interpreter at `path` what it is, and whether Carme can serve with it.
///
/// # Errors
/// It cannot be started, does not answer like Python within 30 seconds, or is not supported.
pub fn probe(path: &Path) -> Result<PythonFacts, ProbeError> {
    let mut command = Command::new(path);
    command.args(["-E", "-s", "-c", QUESTION]);
    let answer = run(path, command)?;
    let facts: PythonFacts = serde_json::from_str(answer.trim()).map_err(|_| ProbeError::Garbled {
        path: path.to_owned(),
        answer: answer.chars().take(200).collect(),
    })?;
    match unsupported(&facts) {
        Some(reason) => Err(ProbeError::Unsupported {
            path: path.to_owned(),
            facts: Box::new(facts),
            reason,
        }),
        None => Ok(facts),
    }
}

fn unsupported(facts: &PythonFacts) -> Option<Unsupported> {
    let (major, minor, _) = facts.version;
    if facts.implementation != "CPython" {
        Some(Unsupported::Implementation)
    } else if (major, minor) < OLDEST {
        Some(Unsupported::TooOld)
    } else if facts.free_threaded {
        Some(Unsupported::FreeThreaded)
    } else if facts.bits != usize::BITS {
        (facts.bits == 32).then_some(Unsupported::Bits)
    } else {
        None
    }
}

const IMPORTABLE: &str = r#"
import sys
sys.path[:] = [path for path in sys.path if path]
from importlib.util import find_spec
sys.path[:0] = [""]
print(find_spec(sys.argv[1]) is not None)
"#;

/// Whether the interpreter finds a top-level module, started in `directory` with `env` added: in its own
/// library, among what is installed, or on `PYTHONPATH`. Nothing of it is imported.
pub(crate) fn finds_module(
    path: &Path,
    directory: &Path,
    env: &BTreeMap<String, String>,
    module: &str,
) -> Result<bool, ProbeError> {
    let mut command = Command::new(path);
    command
        .args(["-c", IMPORTABLE, module])
        .current_dir(directory)
        .envs(env);
    Ok(run(path, command)?.trim() == "True")
}

/// Runs the command to its end and returns its standard output.
fn run(path: &Path, mut command: Command) -> Result<String, ProbeError> {
    let mut child = command
        .env("PYTHONIOENCODING", "utf-8")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|source| ProbeError::Start {
            path: path.to_owned(),
            source,
        })?;
    let (sender, answers) = mpsc::channel();
    read_all(child.stdout.take(), "stdout", &sender);
    read_all(child.stderr.take(), "stderr", &sender);
    drop(sender);
    let (mut output, mut errors) = (String::new(), String::new());
    for _ in 0..2 {
        match answers.recv_timeout(PATIENCE) {
            Ok(("stdout", text)) => output = text,
            Ok((_, text)) => errors = text,
            Err(_) => {
                end(&mut child);
                return Err(ProbeError::TimedOut {
                    path: path.to_owned(),
                });
            }
        }
    }
    let status = child.wait().map_err(|source| ProbeError::Start {
        path: path.to_owned(),
        source,
    })?;
    if status.success() {
        return Ok(output);
    }
    let message = errors
        .lines()
        .rev()
        .find(|line| !line.trim().is_empty())
        .unwrap_or("it said nothing");
    Err(ProbeError::Failed {
        path: path.to_owned(),
        status,
        message: message.trim().to_owned(),
    })
}

fn read_all(
    pipe: Option<impl Read + Send + 'static>,
    name: &'static str,
    sender: &mpsc::Sender<(&'static str, String)>,
) {
    let sender = sender.clone();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(pipe) = pipe {
            // What cannot be read is missed below, as an answer that is not Python's.
            let _ = pipe.take(MOST_OUTPUT).read_to_end(&mut bytes);
        }
        let _ = sender.send((name, String::from_utf8_lossy(&bytes).into_owned()));
    });
}

fn end(child: &mut Child) {
    // It may have ended by itself just now; either way it is gone after this.
    let _ = child.kill();
    let _ = child.wait();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(implementation: &str, version: (u32, u32, u32), free_threaded: bool, bits: u32) -> PythonFacts {
        PythonFacts {
            implementation: implementation.to_owned(),
            version,
            free_threaded,
            cache_tag: String::new(),
            bits,
            executable: PathBuf::new(),
        }
    }

    #[test]
    fn what_is_supported() {
        for (facts, expected) in [
            (facts("CPython", (3, 9, 0), false, 64), None),
            (facts("CPython", (3, 14, 1), false, 64), None),
            (facts("CPython", (3, 8, 20), false, 64), Some(Unsupported::TooOld)),
            (facts("CPython", (2, 7, 18), false, 64), Some(Unsupported::TooOld)),
            (
                facts("CPython", (3, 13, 0), true, 64),
                Some(Unsupported::FreeThreaded),
            ),
            (
                facts("PyPy", (3, 11, 0), false, 64),
                Some(Unsupported::Implementation),
            ),
            (facts("CPython", (3, 11, 0), false, 32), Some(Unsupported::Bits)),
        ] {
            assert_eq!(unsupported(&facts), expected, "{facts}");
        }
    }

    #[test]
    fn a_program_that_is_missing_cannot_be_started() {
        let error = probe(Path::new("/no/such/python")).expect_err("it is missing");
        assert!(matches!(error, ProbeError::Start { .. }), "{error}");
    }

    #[cfg(unix)]
    mod scripts {
        use super::*;
        use std::os::unix::fs::PermissionsExt;

        fn script(folder: &Path, text: &str) -> PathBuf {
            let path = folder.join("python");
            // Copied into place by another process: were this process to hold the file open for writing while
            // another test forks, the kernel would call it busy.
            let status = Command::new("sh")
                .args(["-c", "printf '#!/bin/sh\\n%s\\n' \"$1\" > \"$0\""])
                .arg(&path)
                .arg(text)
                .status()
                .expect("sh runs");
            assert!(status.success());
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("made runnable");
            path
        }

        #[test]
        fn answers_that_are_not_pythons() {
            let folder = tempfile::tempdir().expect("a folder");
            let path = script(folder.path(), "echo hello");
            assert!(matches!(probe(&path), Err(ProbeError::Garbled { answer, .. }) if answer == "hello\n"));
            let path = script(folder.path(), "echo no such thing >&2; exit 3");
            let error = probe(&path).expect_err("it fails");
            assert_eq!(
                error.to_string(),
                format!("{} failed (exit status: 3): no such thing", path.display())
            );
        }

        #[test]
        fn a_free_threaded_build_gets_a_sentence() {
            let folder = tempfile::tempdir().expect("a folder");
            let answer = r#"{"implementation": "CPython", "version": [3, 14, 0], "free_threaded": true,
                "cache_tag": "cpython-314", "bits": 64, "executable": "/x"}"#;
            let path = script(folder.path(), &format!("cat <<'END'\n{answer}\nEND"));
            let error = probe(&path).expect_err("it is not supported");
            assert_eq!(
                error.to_string(),
                format!(
                    "{} is CPython 3.14.0: a free-threaded build cannot load Carme's worker; use the ordinary \
                     build of the same version",
                    path.display()
                )
            );
        }
    }

    /// The interpreters that the tests run with: `CARME_TEST_PYTHONS`, or the first on PATH. A machine without one
    /// cannot build Carme.
    fn pythons() -> Vec<PathBuf> {
        if let Some(named) = std::env::var_os("CARME_TEST_PYTHONS") {
            return std::env::split_paths(&named).collect();
        }
        let surroundings = crate::Surroundings::of_this_process().expect("a current directory");
        let root = Path::new("/");
        vec![
            crate::Interpreter::find(None, root, root, &surroundings)
                .expect("Python on PATH")
                .path,
        ]
    }

    #[test]
    fn a_real_python_answers() {
        for python in pythons() {
            let facts = probe(&python).expect("it is supported");
            assert_eq!(facts.implementation, "CPython");
            assert!(facts.version >= (3, 9, 0));
            assert!(facts.executable.is_absolute());
        }
    }

    #[test]
    fn modules_are_found_without_being_imported() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("loud.py"), "raise SystemExit('imported')").expect("written");
        std::fs::write(
            folder.path().join("json.py"),
            "raise SystemExit('the wrong json')",
        )
        .expect("written");
        for python in pythons() {
            let finds =
                |module| finds_module(&python, folder.path(), &BTreeMap::new(), module).expect("it answers");
            assert!(finds("loud"));
            assert!(finds("wsgiref"));
            assert!(finds("sys"));
            assert!(!finds("no_such_module_anywhere"));
        }
    }

    /// Windows' embeddable Python does not look at `PYTHONPATH`, and is the one of the tests under Wine.
    #[cfg(unix)]
    #[test]
    fn the_apps_environment_counts() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("further.py"), "").expect("written");
        let env = BTreeMap::from([("PYTHONPATH".to_owned(), folder.path().display().to_string())]);
        for python in pythons() {
            assert!(!finds_module(&python, Path::new("/"), &BTreeMap::new(), "further").expect("it answers"));
            assert!(finds_module(&python, Path::new("/"), &env, "further").expect("it answers"));
        }
    }
}
