"""Where things are."""

import os
from pathlib import Path

BENCH = Path(__file__).resolve().parent.parent
ROOT = BENCH.parent
APPS = BENCH / "apps"
LOAD = BENCH / "load"
EXAMPLES = ROOT / "examples"
RESULTS = BENCH / "results"
WORK = BENCH / ".work"
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
