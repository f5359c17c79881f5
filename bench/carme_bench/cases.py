"""The cases: what is asked of a server, and the figures that come out. Each measurement starts the server anew."""

from __future__ import annotations

import http.client
import resource
import shutil
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from . import calibrate, clients, figures, places, wrk
from .install import Tools
from .peers import Application, Job, Peer
from .processes import DidNotStart, Server, free_port

MB = 1e6
#: CPU of one page of apps/article.py.
PAGE_MS = 200
#: The name under which a case's reference is listed.
REFERENCE = "two-cores"


@dataclass
class Run:
    """What all measurements of a run share."""

    tools: Tools
    seconds: float
    loops: int
    examples_environment: dict
    round: int = 0


class Skipped(Exception):
    """This case cannot be measured here; the text says why."""


@dataclass
class Case:
    """Base of the cases. `workers` and `threads` are what every server is asked for."""

    name: str
    title: str
    application: Application
    workers: int
    threads: int
    servers: list
    figures: list = field(default_factory=list)

    def measure(self, run: Run, peer: Peer) -> dict:
        raise NotImplementedError

    def reference(self, run: Run):
        """What this machine could do at best, measured in every round like a server; None if there is no such thing."""
        return None

    def seconds(self, run_seconds: float) -> float:
        """About how long one measurement takes, for the forecast."""
        raise NotImplementedError

    def check(self, port: int) -> None:
        """Asks once and compares, so that nobody is quick by answering nonsense."""
        expect(port, "/light", None)

    @contextmanager
    def started(self, run: Run, peer: Peer, idle: int = 0):
        """(server, port) of a server that gives right answers."""
        with scratch() as folder:
            job = self.job(run, folder, idle)
            with Server(peer.commands(run.tools, job)) as server:
                server.wait_listening(job.port)
                wait_for_answer(server, lambda: self.check(job.port))
                time.sleep(0.3)  # the other workers come up too
                yield server, job.port

    def job(self, run: Run, folder: Path, idle: int = 0) -> Job:
        application = self.application
        if application.directory != places.APPS:
            environment = dict(run.examples_environment)
            database = environment.get("DJANGO_DATABASE")
            if database:
                copy = folder / "database"
                copy.mkdir()
                shutil.copy(database, copy / "db.sqlite3")
                open_to_all(copy)
                environment["DJANGO_DATABASE"] = str(copy / "db.sqlite3")
        else:
            environment = {"LOOPS": str(run.loops)}
        application = Application(application.module, application.directory, application.attribute, environment)
        return Job(application, self.workers, self.threads, free_port(), folder, idle)


@contextmanager
def scratch():
    """A folder that Apache's user may read too."""
    folder = Path(tempfile.mkdtemp(prefix="carme-bench-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def open_to_all(folder: Path) -> None:
    folder.chmod(0o777)
    for path in folder.iterdir():
        path.chmod(0o666)


def wait_for_answer(server: Server, check, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while True:
        server.check_alive()
        try:
            return check()
        except OSError as error:
            # Listening, but not ready: some servers listen before their workers are there.
            if time.monotonic() > deadline:
                raise DidNotStart(f"no answer: {error}: {server.tail()}") from error
        except clients.WrongAnswer as error:
            if time.monotonic() > deadline - seconds + 3:
                raise DidNotStart(f"wrong answer: {error}: {server.tail()}") from error
        time.sleep(0.05)


def expect(port: int, path: str, expected, body: bytes = None) -> None:
    """`expected`: the body, a text it must contain, or None."""
    try:
        status, got = clients.request(port, path, body)
    except http.client.HTTPException as error:
        raise ConnectionError(f"{type(error).__name__}: {error}") from error
    fits = got == expected if isinstance(expected, bytes) else not expected or expected.encode() in got
    if status != 200 or not fits:
        raise clients.WrongAnswer(f"{path} got {status} and {len(got)} bytes: {got[:60]!r}")


def memory_figures(server: Server) -> dict:
    memory = server.memory()
    return {"pss_mb": memory.pss / MB, "peak_mb": memory.peak_rss / MB, "processes": memory.processes}


@dataclass
class Throughput(Case):
    """wrk keeps `connections` busy. `expected` is what a right answer is, see expect()."""

    path: str = "/"
    connections: int = 32
    expected: object = None
    body: bytes = None
    script: str = "report.lua"

    def __post_init__(self):
        self.figures = [figures.RATE, figures.CPU, figures.P50, figures.P99, figures.PSS, figures.PEAK, figures.ERRORS]

    def check(self, port):
        expect(port, self.path, self.expected, self.body)

    def seconds(self, run_seconds):
        return round(run_seconds) + warm_up(run_seconds) + 1.5

    def measure(self, run, peer):
        with self.started(run, peer) as (server, port):
            wrk.run(run.tools.wrk, port, self.path, self.connections, warm_up(run.seconds), self.script)
            alive, before = set(server.stats()), server.cost()
            load = wrk.run(run.tools.wrk, port, self.path, self.connections, run.seconds, self.script)
            cost = server.cost() - before
            if load.requests == 0:
                raise DidNotStart(f"no request was answered ({load.errors} errors): {server.tail()}")
            return {
                "rate": load.rate,
                "cpu_us": cost / load.requests * 1e6,
                "p50_us": load.p50_us,
                "p99_us": load.p99_us,
                "errors": load.errors,
                "ended": len(alive - set(server.stats())),
                **memory_figures(server),
            }


def warm_up(seconds: float) -> int:
    return 2 if seconds >= 4 else 1


@dataclass
class Overlapping(Case):
    """The article: `pages` requests for the heavy page at once, and a light page all the while."""

    pages: int = 10

    def __post_init__(self):
        self.figures = [figures.ALONE, figures.WALL, figures.PAGE_P50, figures.LIGHT_P50, figures.LIGHT_P95]
        self.figures += [figures.LIGHT_MAX, figures.PSS, figures.PEAK]

    def seconds(self, run_seconds):
        return 4 + self.pages * 0.2

    def reference(self, run):
        return {"wall_s": calibrate.two_at_once(run.tools.python, run.loops, self.pages * PAGE_MS // 2)}

    def measure(self, run, peer):
        with self.started(run, peer) as (server, port):
            return {**clients.overlapping(port, self.pages), **memory_figures(server)}


@dataclass
class Tail(Case):
    """Poisson arrivals of which 1 % are slow: what happens to the fast ones."""

    rate: float = 150.0

    def __post_init__(self):
        self.figures = [*figures.FAST, figures.PSS, figures.PEAK, figures.ERRORS]

    def duration(self, run_seconds):
        return run_seconds * 4

    def seconds(self, run_seconds):
        return self.duration(run_seconds) + 2.5

    def plan(self, run):
        return clients.arrivals(self.rate, self.duration(run.seconds), seed=7 + run.round)

    def measure(self, run, peer):
        with self.started(run, peer) as (server, port):
            clients.open_loop(port, clients.arrivals(self.rate, 1.0, seed=3))
            return {**clients.open_loop(port, self.plan(run)), **memory_figures(server)}


@dataclass
class IdleMemory(Case):
    """Memory after the start, and with idle keep-alive connections that each got one answer."""

    connections: int = 10_000

    def __post_init__(self):
        self.figures = [figures.IDLE, figures.HELD, figures.RESTED, figures.ALIVE, figures.PROCESSES]

    def seconds(self, run_seconds):
        return 17

    def measure(self, run, peer):
        limit = raise_descriptors()
        if limit < self.connections + 200:
            raise Skipped(f"only {limit} files may be open here (ulimit -Hn), {self.connections + 200} are needed")
        with self.started(run, peer, idle=self.connections) as (server, port):
            time.sleep(0.7)
            idle = server.memory()
            values = {"idle_mb": idle.pss / MB, "processes": idle.processes}
            if peer.keeps_connections:
                held = clients.IdleConnections(port, self.connections)
                try:
                    time.sleep(0.5)
                    values["held_mb"] = server.memory().pss / MB
                    time.sleep(5)
                    values["rested_mb"] = server.memory().pss / MB
                    values["alive"] = held.alive()
                    self.check(port)
                finally:
                    held.close()
            return values


def raise_descriptors() -> int:
    """As many open files as this user may have; the servers inherit it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


@dataclass
class FirstAnswer(Case):
    """From the launch of the program to the first answer, asked for all the time."""

    launches: int = 5

    def __post_init__(self):
        self.figures = [figures.FIRST]

    def seconds(self, run_seconds):
        return self.launches * 0.6

    def measure(self, run, peer):
        took = sorted(self.once(run, peer) for _ in range(self.launches))
        return {"first_ms": took[len(took) // 2] * 1e3}

    def once(self, run, peer):
        with scratch() as folder:
            job = self.job(run, folder)
            commands = peer.commands(run.tools, job)
            begin = time.perf_counter()
            with Server(commands) as server:
                while True:
                    try:
                        if clients.request(job.port, "/", timeout=10)[0] == 200:
                            return time.perf_counter() - begin
                    except (OSError, http.client.HTTPException):
                        server.check_alive()
                        if time.perf_counter() - begin > 30:
                            raise DidNotStart(f"no answer after 30 s: {server.tail()}") from None
                    time.sleep(0.001)
