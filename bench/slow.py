#!/usr/bin/env python3
"""What hundreds of slow clients cost the others: `python3 bench/slow.py` prints a table.

slowhttptest (a Debian package) plays the slow clients: headers, bodies and responses in drips. Meanwhile one client
asks for 14 bytes again and again, and its answers are timed. `bench/README.md` says more.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from carme_bench import places, slow  # noqa: E402
from carme_bench.cases import raise_descriptors  # noqa: E402
from carme_bench.needed import Missing  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--carme", type=Path, default=places.TARGET / "release" / "carme", help="the program")
    parser.add_argument("--python", default=sys.executable, help="the application's interpreter")
    parser.add_argument("--connections", type=int, default=500, help="slow clients (500)")
    parser.add_argument("--rate", type=int, default=200, help="of them so many begin a second (200)")
    parser.add_argument("--seconds", type=int, default=20, help="how long each kind goes on (20)")
    chosen = parser.parse_args()
    raise_descriptors()
    try:
        lines = slow.run(chosen.carme.resolve(), chosen.python, chosen.connections, chosen.rate, chosen.seconds)
    except Missing as missing:
        print(f"bench/slow.py: skipped: {missing}", file=sys.stderr)
        return 2
    print("\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
