"""Whole TLS handshakes with `openssl s_time`, which begins each session anew; `wrk` resumes them, without any signature."""

from __future__ import annotations

import re
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

from .wrk import Load, LoadFailed

# Each does one handshake after the other.
CLIENTS = 8


def parse(output: str) -> int:
    """Connections that one client made."""
    found = re.search(r"^(\d+) connections in \d+ real seconds", output, re.MULTILINE)
    if not found:
        raise LoadFailed(f"openssl said: {output.strip()[-400:]}")
    return int(found[1])


def run(openssl: str, port: int, seconds: float) -> Load:
    # It takes whole seconds only.
    whole = max(1, round(seconds))
    argv = [openssl, "s_time", "-connect", f"127.0.0.1:{port}", "-new", "-time", str(whole)]

    def client(_) -> int:
        done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=whole + 60)
        return parse(done.stdout)

    begun = time.monotonic()
    with ThreadPoolExecutor(CLIENTS) as clients:
        made = sum(clients.map(client, range(CLIENTS)))
    # It goes on into the second after the last.
    return Load(requests=made, seconds=time.monotonic() - begun, p50_us=0, p99_us=0, max_us=0, errors=0)
