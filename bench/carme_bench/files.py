"""Files over HTTP and HTTPS, and TLS handshakes: Carme beside Debian's nginx, each with one process that does it all."""

from __future__ import annotations

import statistics
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from . import handshakes, nginx, wrk
from .needed import need
from .processes import Command, Server, free_port

SIZES = {"1kB": 1_000, "100kB": 100_000, "10MB": 10_000_000}
CONNECTIONS = 32


@dataclass(frozen=True)
class Case:
    """What is asked for. `fresh`: each request on a connection of its own, so that each costs a handshake, which is resumed.
    `whole`: nothing is asked for, and each handshake begins a session of its own."""

    title: str
    scheme: str
    path: str
    fresh: bool = False
    whole: bool = False


@dataclass
class Figures:
    """The rounds of one server in one case."""

    rates: list
    microseconds: list

    def median(self) -> tuple:
        return statistics.median(self.rates), statistics.median(self.microseconds)


def cases() -> list:
    plain = [Case(f"{name}, {scheme}", scheme, f"/{name}") for name in SIZES for scheme in ("http", "https")]
    return [
        *plain,
        Case("1kB, a TLS handshake each, resumed", "https", "/1kB", fresh=True),
        Case("whole TLS handshakes alone", "https", "", whole=True),
    ]


NGINX = """\
    server {{
        listen 127.0.0.1:{http};
        listen 127.0.0.1:{https} ssl;
        ssl_certificate {folder}/site.pem;
        ssl_certificate_key {folder}/site.key;
        # As in Debian's nginx.conf; without it this nginx speaks no TLS 1.3.
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_session_cache none;
        root {folder}/files;
    }}
"""

CARME = """\
access_logs = []
[server]
listen = ["127.0.0.1:{http}", "https://127.0.0.1:{https}"]
[tls]
certificate = "site.pem"
key = "site.key"
[[locations]]
path = "/"
files = "files"
"""


def prepare(folder: Path) -> None:
    """The files, and a certificate of the kind that most sites have: P-256, signed by itself."""
    (folder / "files").mkdir()
    for name, size in SIZES.items():
        (folder / "files" / name).write_bytes(b"x" * size)
    openssl = need("openssl", "openssl")
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", folder / "site.key",
         "-out", folder / "site.pem"],
        check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def commands(folder: Path, carme: Path) -> dict:
    """Name to the command that starts the server and its two ports, by scheme."""
    started = {}
    for name in ("carme", "nginx"):
        ports = {"http": free_port(), "https": free_port()}
        if name == "carme":
            config = folder / "carme.toml"
            config.write_text(CARME.format(**ports))
            command = Command([carme, "serve", "-c", config], ports["https"], folder)
        else:
            command = nginx.command(folder, "nginx", ports["https"], NGINX.format(folder=folder, **ports))
        started[name] = command, ports
    return started


def measure(server: Server, case: Case, port: int, seconds: float) -> tuple:
    """Requests a second, and microseconds of the server's CPU for each."""
    close = ("Connection: close",) if case.fresh else ()

    def load(duration):
        if case.whole:
            return handshakes.run(need("openssl", "openssl"), port, duration)
        return wrk.run("wrk", port, case.path, CONNECTIONS, duration, scheme=case.scheme, headers=close)

    load(1)
    before = server.cost()
    got = load(seconds)
    if got.errors:
        raise wrk.LoadFailed(f"{case.title}: {got.errors} errors")
    return got.rate, (server.cost() - before) / got.requests * 1e6


def run(carme: Path, rounds: int, seconds: float) -> list:
    """The lines of a table."""
    need("wrk", "wrk")
    with tempfile.TemporaryDirectory(prefix="carme-bench-files-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # nginx's worker is another user's if this is root's
        prepare(folder)
        results = {}
        for _ in range(rounds):
            for server_name, (command, ports) in commands(folder, carme).items():
                with Server([command]) as server:
                    server.wait_listening(ports["http"])
                    server.wait_listening(ports["https"])
                    for case in cases():
                        rate, cost = measure(server, case, ports[case.scheme], seconds)
                        figures = results.setdefault((case, server_name), Figures([], []))
                        figures.rates.append(rate)
                        figures.microseconds.append(cost)
                        time.sleep(0.2)
    lines = ["| case | nginx req/s | Carme req/s | ratio | nginx CPU µs/req | Carme CPU µs/req |", "|---|---|---|---|---|---|"]
    for case in cases():
        (theirs, their_cost), (ours, our_cost) = (results[case, name].median() for name in ("nginx", "carme"))
        ratio = statistics.median(a / b for a, b in zip(results[case, "carme"].rates, results[case, "nginx"].rates))
        lines.append(f"| {case.title} | {theirs:,.0f} | {ours:,.0f} | {ratio:.2f} | {their_cost:,.1f} | {our_cost:,.1f} |")
    return lines
