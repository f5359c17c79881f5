#!/usr/bin/env python3
"""What a proxy costs, beside nginx, HAProxy and Apache: `python3 bench/proxy.py` writes bench/results/proxy.md.

Hello world and 100 kB over 1, 32 and 128 connections, through each proxy to the same three members, and from a member
directly. `bench/README.md` says more.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from carme_bench import places, proxying  # noqa: E402
from carme_bench.needed import Missing  # noqa: E402
from carme_bench.processes import DidNotStart  # noqa: E402
from carme_bench.wrk import LoadFailed  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--carme", type=Path, default=places.TARGET / "release" / "carme", help="the program")
    parser.add_argument("--rounds", type=int, default=3, help="how often all get their turn (3)")
    parser.add_argument("--seconds", type=int, default=3, help="of each measurement (3)")
    parser.add_argument("--output", type=Path, default=places.RESULTS, help="folder for the report (bench/results)")
    chosen = parser.parse_args()
    try:
        about, results = proxying.run(chosen.carme.resolve(), chosen.rounds, chosen.seconds)
    except Missing as missing:
        print(f"bench/proxy.py: skipped: {missing}", file=sys.stderr)
        return 2
    except (DidNotStart, LoadFailed) as error:
        print(f"bench/proxy.py: {error}", file=sys.stderr)
        return 1
    print(f"written: {proxying.write(chosen.output, about, results)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
