//! PEP 3333, case by case: runs tests/python with every interpreter there is.

use std::path::Path;
use std::process::{Command, Stdio};

mod support;

#[test]
fn every_python_passes_the_cases() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python");
    for python in support::pythons() {
        let output = Command::new(&python)
            .args(["-X", "faulthandler", "-m", "unittest", "discover", "-s"])
            .arg(&cases)
            .env("CARME_WORKER_LIBRARY", support::library())
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env(
                "PYTHONPATH",
                Path::new(env!("CARGO_MANIFEST_DIR")).join("../../python/carme_worker"),
            )
            .stdin(Stdio::null())
            .output()
            .expect("python starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}:\n{said}", python.display());
        assert!(
            said.contains("Ran ") && !said.contains("Ran 0 "),
            "{}: no test ran",
            python.display()
        );
    }
}
