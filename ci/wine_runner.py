"""Cargo's runner for test programs under Wine: `python wine_runner.py LOADER PROGRAM ARGUMENT…`.

Where `wine.addresses_not_random` is not allowed, once in some thousand starts Wine gives up before the program has
begun: code 1 after a few milliseconds, no output. That says nothing about the program, so it is started again, and the
output says that it was. No program reaches its own first instruction in that time, and Rust's test programs end with
0 or 101, never with 1.
"""

import subprocess
import sys
import time

NOT_STARTED = 1
# Wine needs 40 ms and more to load a program; it was seen to give up after 16.
TOO_SOON_SECONDS = 0.03
ATTEMPTS = 3


def run(command, attempts=ATTEMPTS):
    """Runs `command` with our streams and returns its exit code."""
    for attempt in range(1, attempts + 1):
        start = time.monotonic()
        code = subprocess.call(command)
        gave_up = code == NOT_STARTED and time.monotonic() - start < TOO_SOON_SECONDS
        if not gave_up or attempt == attempts:
            return code
        print("wine_runner: Wine did not start {}; once more".format(command[1]), file=sys.stderr, flush=True)


if __name__ == "__main__":
    ended = run(sys.argv[1:])
    sys.exit(ended if ended >= 0 else 128 - ended)
