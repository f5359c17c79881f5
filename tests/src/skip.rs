//! Tests that leave themselves out: they say why, and `ci/test.py --no-skips` does not have it where something could be
//! installed.

use std::fmt::Display;

/// Set by `ci/test.py --no-skips`, not on Windows and not under Wine, where these programs are not.
const NO_SKIPS: &str = "CARME_TEST_NO_SKIPS";

/// Says that something is missing that `ci/setup.py` installs, and why the test ends. With `CARME_TEST_NO_SKIPS` that is a
/// failure.
pub fn missing(what: impl Display) {
    let is_failure = std::env::var_os(NO_SKIPS).is_some();
    assert!(
        !is_failure,
        "{what}, and {NO_SKIPS} is set: run ci/setup.py, as root if it installs something"
    );
    unsuited(what);
}

/// Says why this machine is none for a test: no setup would change that.
pub fn unsuited(why: impl Display) {
    println!("skipped: {why}");
}
