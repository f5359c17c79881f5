#!/usr/bin/env python3
"""Carme beside its peers in one run: `python3 bench/run.py` installs what is needed, measures, and writes bench/results.

`python3 bench/run.py --help` shows the choices, `bench/README.md` says what the figures mean.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from carme_bench.command import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
