"""What slow clients cost the others: slowhttptest's three kinds against a server, and one client that is not slow."""

from __future__ import annotations

import http.client
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from . import clients, places
from .needed import need, need_carme
from .processes import Command, Server, free_port

#: Name, and slowhttptest's options for it. The last one asks for 100 kB and reads 32 bytes a second of it.
KINDS = {
    "headers": ["-H", "-i", "1", "-x", "24"],
    "body": ["-B", "-i", "1", "-s", "100000", "-x", "10"],
    "read": ["-X", "-n", "1", "-z", "32", "-w", "512", "-y", "1024", "-k", "3"],
}
PATHS = {"read": "/bytes/100000"}
LIGHT = "/bytes/14"
#: Of waiting between two requests of the client that is not slow.
PAUSE = 0.005


@dataclass
class Figures:
    answers: int
    errors: int
    p50_ms: float
    p99_ms: float
    max_ms: float

    def row(self, name: str) -> str:
        return f"| {name} | {self.answers} | {self.errors} | {self.p50_ms:.1f} | {self.p99_ms:.1f} | {self.max_ms:.1f} |"


def figures(seconds, errors: int) -> Figures:
    ordered = sorted(seconds) or [float("nan")]
    p50, p99 = (clients.percentile(ordered, part) * 1e3 for part in (0.5, 0.99))
    return Figures(len(seconds), errors, p50, p99, ordered[-1] * 1e3)


def probe(port: int, until: threading.Event) -> Figures:
    """One request after the other until the event, every second one on a connection of its own."""
    took, errors, kept = [], 0, http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    while not until.is_set():
        own = len(took) % 2
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30) if own else kept
        start = time.perf_counter()
        try:
            connection.request("GET", LIGHT)
            answer = connection.getresponse()
            answer.read()
            errors += answer.status != 200
        except (OSError, http.client.HTTPException):
            errors += 1
            connection.close()
        took.append(time.perf_counter() - start)
        if own:
            connection.close()
        time.sleep(PAUSE)
    kept.close()
    return figures(took, errors)


def attack(port: int, kind: str, connections: int, rate: int, seconds: int) -> None:
    url = f"http://127.0.0.1:{port}{PATHS.get(kind, LIGHT)}"
    options = ["-c", str(connections), "-r", str(rate), "-l", str(seconds), "-p", "30", "-u", url]
    argv = ["slowhttptest", *KINDS[kind], *options]
    subprocess.run(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=seconds + 60)


def measure(port: int, during) -> Figures:
    """Probes while `during()` goes on."""
    over, found = threading.Event(), []
    prober = threading.Thread(target=lambda: found.append(probe(port, over)))
    prober.start()
    try:
        during()
    finally:
        over.set()
        prober.join()
    return found[0]


def run(carme: Path, python: str, connections: int, rate: int, seconds: int, settings: str = "") -> list:
    """The table's lines."""
    need("slowhttptest", "slowhttptest")
    need_carme(carme)
    lines = ["| clients | answers | errors | p50 ms | p99 ms | max ms |", "|---|---|---|---|---|---|"]
    for kind in ("none", *KINDS):
        # Each kind meets a server that the last one has left nothing in.
        port = free_port()
        folder = places.WORK
        folder.mkdir(exist_ok=True)
        file = folder / "slow.toml"
        file.write_text(
            f"access_logs = []\n[server]\nlisten = ['127.0.0.1:{port}']\nerror_log = '{folder / 'slow.log'}'\n{settings}\n"
            f"[apps.sized]\ntarget = 'sized:app'\ndirectory = '{places.APPS}'\npython = '{python}'\nworkers = 2\nthreads = 4\n"
        )
        with Server([Command([carme, "serve", "-c", file], port, folder)]) as server:
            server.wait_listening(port)
            deadline = time.monotonic() + 20
            while clients.request(port, LIGHT)[0] != 200 and time.monotonic() < deadline:
                time.sleep(0.05)
            if kind == "none":
                found = measure(port, lambda: time.sleep(seconds))
                name = "no slow clients"
            else:
                found = measure(port, lambda: attack(port, kind, connections, rate, seconds))
                name = f"{connections} with slow {kind}"
            server.check_alive()
        lines.append(found.row(name))
    return lines
