"""Where things are: the checkout, cargo's target directories and the cache that survives `cargo clean`."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CI = ROOT / "ci"
ON_WINDOWS = os.name == "nt"


def cache_dir():
    """Interpreters, the Windows standard library and the Wine prefix live here. It can be deleted at any time."""
    chosen = os.environ.get("CARME_CI_CACHE")
    if chosen:
        return Path(chosen)
    if ON_WINDOWS:
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "carme-ci"


def target_dir():
    """Cargo's target directory for this machine's own programs."""
    return Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target").resolve()


def windows_target_dir():
    """The one for programs that run under Wine.

    Never shared with `target_dir`: another toolchain may build them, and two toolchains in one directory
    rebuild each other's work on every turn.
    """
    return target_dir() / "windows-wine"


def loom_target_dir():
    """The one for `--cfg loom`, which changes the flags of every crate, dependencies included."""
    return target_dir() / "loom"
