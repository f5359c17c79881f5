"""How much work is a millisecond on this machine, and what two cores give when both are busy."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from . import places

# The loop of bench/apps/burn.py, timed in CPU time. The fastest of many short runs is the machine undisturbed.
FIND = """
import os, time
os.environ["LOOPS"] = "1"
from burn import burn
def took(loops):
    begin = time.process_time()
    burn(loops)
    return time.process_time() - begin
took(200000)
print(round(200000 / min(took(200000) for _ in range(40)) / 1000))
"""


def loops_per_millisecond(python) -> int:
    argv = [str(python), "-c", FIND]
    done = subprocess.run(argv, cwd=places.APPS, stdout=subprocess.PIPE, text=True, check=True)
    return int(done.stdout)


def two_at_once(python, loops: int, milliseconds: int) -> float:
    """Seconds until two processes have each done that much work at the same time."""
    program = f"import sys; from burn import burn; print(flush=True); sys.stdin.readline(); burn({milliseconds})"
    both = [
        subprocess.Popen(
            [str(python), "-c", program],
            cwd=places.APPS,
            env={**os.environ, "LOOPS": str(loops)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for process in both:
        process.stdout.readline()
    begin = time.perf_counter()
    for process in both:
        process.stdin.write("\n")
        process.stdin.flush()
    codes = [process.wait() for process in both]
    took = time.perf_counter() - begin
    for process in both:
        process.stdin.close()
        process.stdout.close()
    if any(codes):
        sys.exit("calibration failed")
    return took
