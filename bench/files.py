#!/usr/bin/env python3
"""Static files and TLS beside Debian's nginx: `python3 bench/files.py` prints a table.

1 kB, 100 kB and 10 MB over HTTP and HTTPS with 32 connections, 1 kB with a TLS handshake for each request, which `wrk` resumes, and whole
handshakes alone (`openssl s_time`). Both servers do it with one process (nginx with one worker); the clients share the machine with them. `bench/README.md` says more.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from carme_bench import files, places  # noqa: E402
from carme_bench.needed import Missing  # noqa: E402
from carme_bench.processes import DidNotStart  # noqa: E402
from carme_bench.wrk import LoadFailed  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--carme", type=Path, default=places.TARGET / "release" / "carme", help="the program")
    parser.add_argument("--rounds", type=int, default=3, help="how often both get their turn (3)")
    parser.add_argument("--seconds", type=int, default=3, help="of each measurement (3)")
    chosen = parser.parse_args()
    try:
        lines = files.run(chosen.carme.resolve(), chosen.rounds, chosen.seconds)
    except Missing as missing:
        print(f"bench/files.py: skipped: {missing}", file=sys.stderr)
        return 2
    except (DidNotStart, LoadFailed) as error:
        print(f"bench/files.py: {error}", file=sys.stderr)
        return 1
    print("\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
