"""Throughput with wrk: one thread, closed loop, its own latency figures (so p99 knows nothing of requests not sent)."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass

from . import places


class LoadFailed(Exception):
    """wrk could not be run or said nothing usable."""


@dataclass
class Load:
    requests: int
    seconds: float
    p50_us: float
    p99_us: float
    max_us: float
    errors: int

    @property
    def rate(self) -> float:
        return self.requests / self.seconds


def parse(output: str) -> Load:
    for line in output.splitlines():
        if line.startswith("RESULT "):
            got = json.loads(line[len("RESULT ") :])
            return Load(
                requests=got["requests"],
                seconds=got["duration_us"] / 1e6,
                p50_us=got["p50_us"],
                p99_us=got["p99_us"],
                max_us=got["max_us"],
                errors=sum(got[kind] for kind in ("connect", "read", "write", "status", "timeout")),
            )
    raise LoadFailed(f"wrk said: {output.strip()[-400:]}")


def run(wrk: str, port: int, path: str, connections: int, seconds: float, script: str = "report.lua",
        scheme: str = "http", headers: tuple = ()) -> Load:
    # wrk takes whole seconds only.
    argv = [wrk, "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "10s"]
    argv += [word for header in headers for word in ("-H", header)]
    argv += ["-s", str(places.LOAD / script), f"{scheme}://127.0.0.1:{port}{path}"]
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=seconds + 60)
    return parse(done.stdout)
