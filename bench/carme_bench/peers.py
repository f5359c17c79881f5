"""The servers: how each is started for a job, and what it needs. Tuned in their favour where a default would only hurt."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from . import places
from .apache import EMBEDDED_THREADS, daemon, embedded, farm
from .install import Tools
from .processes import Command, free_port


@dataclass(frozen=True)
class Application:
    """A WSGI application: module, attribute and the folder it is found in."""

    module: str
    directory: Path
    attribute: str = "app"
    environment: dict = field(default_factory=dict, hash=False)

    @property
    def target(self) -> str:
        return f"{self.module}:{self.attribute}"


@dataclass(frozen=True)
class Job:
    """What a server is to be started for. `idle`: connections that will be kept open without requests."""

    application: Application
    workers: int
    threads: int
    port: int
    scratch: Path
    idle: int = 0

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def all_threads(self) -> int:
        return self.workers * self.threads


class Peer:
    """A server with its settings. Subclasses say how it is started."""

    name = ""
    title = ""
    product = ""
    #: Answers the paths of bench/apps itself, without Python.
    ceiling = False
    #: False where every connection is closed after its answer.
    keeps_connections = True

    def missing(self, tools: Tools):
        """Why it cannot run here, or None."""
        return None

    def commands(self, tools: Tools, job: Job) -> list:
        raise NotImplementedError

    def shape(self, workers: int, threads: int) -> str:
        """Processes that run Python x their threads, for the table."""
        return f"{workers}×{threads}"

    def command(self, job: Job, argv, environment=None) -> Command:
        own = {**job.application.environment, **(environment or {})}
        return Command(argv, job.port, job.application.directory, own)


class Carme(Peer):
    product = "carme"

    def __init__(self, name, title, workers=None, threads=None):
        """`workers`, `threads`: instead of those that the job asks for."""
        self.name, self.title, self.workers, self.threads = name, title, workers, threads

    def missing(self, tools):
        return tools.missing.get("carme")

    def shape(self, workers, threads):
        return f"{self.workers or workers}×{self.threads or threads}"

    def commands(self, tools, job):
        argv = [tools.carme, "serve", job.application.target, "--directory", job.application.directory]
        argv += ["--bind", job.address, "--workers", self.workers or job.workers]
        argv += ["--threads", self.threads or job.threads, "--access-log", "off", "--python", tools.python]
        return [self.command(job, argv)]


class WatchedCarme(Carme):
    """Carme from a configuration file, with what a site has turned on and the other figures are without."""

    def __init__(self, name, title, access_log=False, metrics=False):
        super().__init__(name, title)
        self.access_log, self.metrics = access_log, metrics

    def configuration(self, tools, job) -> str:
        application = job.application
        logs = f"[{{ file = '{job.scratch / 'access.log'}' }}]" if self.access_log else "[]"
        lines = [
            f"access_logs = {logs}",
            f"[server]\nlisten = '{job.address}'",
            f"[apps.bench]\ntarget = '{application.target}'\ndirectory = '{application.directory}'",
            f"workers = {job.workers}\nthreads = {job.threads}\npython = '{tools.python}'",
        ]
        if self.metrics:
            lines.append(f"[metrics]\nlisten = '127.0.0.1:{free_port()}'")
        return "\n".join(lines) + "\n"

    def commands(self, tools, job):
        file = job.scratch / "carme.toml"
        file.write_text(self.configuration(tools, job))
        return [self.command(job, [tools.carme, "serve", "-c", file])]


class Granian(Peer):
    product = "granian"

    def __init__(self, mode, blocking):
        """`blocking`: 1, or "T" for as many threads as the others have."""
        self.mode, self.blocking = mode, blocking
        self.name = f"granian-{mode}-{blocking}"
        threads = "the same threads" if blocking == "T" else "1 blocking thread"
        self.title = f"Granian, {mode}, {threads}"

    def missing(self, tools):
        return tools.missing.get("granian")

    def threads(self, threads):
        return threads if self.blocking == "T" else 1

    def shape(self, workers, threads):
        return f"{workers}×{self.threads(threads)}"

    def commands(self, tools, job):
        argv = [tools.script("granian"), "--interface", "wsgi", "--http", "1", "--no-ws", "--no-access-log"]
        argv += ["--log-level", "error", "--host", "127.0.0.1", "--port", job.port, "--workers", job.workers]
        argv += ["--runtime-mode", self.mode, "--blocking-threads", self.threads(job.threads)]
        if job.idle:
            # Its limit of requests a worker counts kept connections: by default about 500 could be held, not 10,000.
            argv += ["--backlog", 2048, "--backpressure", job.idle + 1000]
        return [self.command(job, argv + ["--working-dir", job.application.directory, job.application.target])]


class Gunicorn(Peer):
    product = "gunicorn"

    def __init__(self, worker):
        self.worker = worker
        self.keeps_connections = worker != "sync"
        self.name, self.title = f"gunicorn-{worker}", f"gunicorn, {worker}"

    def missing(self, tools):
        return tools.missing.get("gunicorn")

    def shape(self, workers, threads):
        return f"{workers}×{1 if self.worker == 'sync' else threads}"

    def commands(self, tools, job):
        argv = [tools.script("gunicorn"), "--bind", job.address, "--workers", job.workers]
        argv += ["--worker-class", self.worker, "--log-level", "error", "--timeout", 120, "--backlog", 2048]
        if self.worker == "gthread":
            # With the default of 2 s idle connections would be closed while they are counted.
            argv += ["--threads", job.threads, "--keep-alive", 120 if job.idle else 5]
            argv += ["--worker-connections", max(1000, job.idle + job.threads)]
        return [self.command(job, argv + ["--chdir", job.application.directory, job.application.target])]


class Waitress(Peer):
    """One process by its makers' choice: it gets all the threads that the others have in several."""

    product = name = "waitress"
    title = "waitress, one process"

    def missing(self, tools):
        return tools.missing.get("waitress")

    def shape(self, workers, threads):
        return f"1×{workers * threads}"

    def commands(self, tools, job):
        argv = waitress(tools, job.port, job.all_threads)
        return [self.command(job, argv + [job.application.target])]


#: waitress-serve writes a line whenever a request has to wait for a thread, which under load is nearly every one.
WAITRESS = "import logging, waitress.runner as r; logging.getLogger('waitress.queue').setLevel('ERROR'); r.run()"


def waitress(tools, port, threads):
    # Its default of 100 connections would leave some of 128 unanswered; poll because select ends at 1024.
    argv = [tools.python, "-c", WAITRESS, f"--listen=127.0.0.1:{port}", f"--threads={threads}"]
    return argv + ["--connection-limit=20000", "--asyncore-use-poll"]


class Uwsgi(Peer):
    product = "uwsgi"

    def __init__(self, router):
        self.router = self.keeps_connections = router
        self.name = "uwsgi-router" if router else "uwsgi"
        self.title = "uWSGI, its HTTP router, keep-alive" if router else "uWSGI, http-socket, no keep-alive"

    def missing(self, tools):
        return tools.missing.get("uwsgi")

    def commands(self, tools, job):
        argv = [tools.script("uwsgi"), "--master", "--die-on-term", "--need-app", "--disable-logging", "--lazy-apps"]
        argv += ["--single-interpreter"]
        argv += ["--processes", job.workers, "--threads", job.threads, "--virtualenv", tools.venv]
        argv += ["--chdir", job.application.directory, "--pythonpath", job.application.directory]
        argv += ["--listen", 1024, "--log-5xx", "--buffer-size", 16384, "--tcp-nodelay"]
        argv += ["--http" if self.router else "--http-socket", job.address]
        if self.router:
            argv += ["--http-keepalive", "--socket", f"{job.scratch}/uwsgi.sock"]
            argv += ["--http-to", f"{job.scratch}/uwsgi.sock"]
        else:
            argv += ["--add-header", "Connection: close"]  # it closes, but does not say so by itself
        return [self.command(job, argv + ["--module", job.application.target])]


class ModWsgi(Peer):
    product = "mod_wsgi"

    def __init__(self, how):
        self.how = how
        self.name = f"modwsgi-{how}"
        self.title = f"Apache, mod_wsgi {how}, one process"

    def missing(self, tools):
        return tools.missing.get("mod_wsgi")

    def shape(self, workers, threads):
        return f"1×{EMBEDDED_THREADS if self.how == 'embedded' else workers * threads} *"

    def commands(self, tools, job):
        write = embedded if self.how == "embedded" else daemon
        return [self.command(job, write(tools, job))]


class ApacheFarm(Peer):
    """The article: Apache as balancer in front of three waitress instances of 10 threads, whatever the job asks for."""

    product = name = "apache-farm"
    title = "Apache's balancer, 3 waitress"
    members, threads = 3, 10

    def missing(self, tools):
        return tools.missing.get("apache") or tools.missing.get("waitress")

    def shape(self, workers, threads):
        return f"{self.members}×{self.threads}"

    def commands(self, tools, job):
        ports = [free_port() for _ in range(self.members)]
        started = []
        for port in ports:
            argv = waitress(tools, port, self.threads) + [job.application.target]
            started.append(Command(argv, port, job.application.directory, dict(job.application.environment)))
        return started + [self.command(job, farm(tools, job, ports))]


class BareHyper(Peer):
    product = name = "bare-hyper"
    title = "bare hyper, no Python (ceiling)"
    ceiling = True

    def missing(self, tools):
        return tools.missing.get("bare-hyper")

    def shape(self, workers, threads):
        return "none"

    def commands(self, tools, job):
        return [Command([tools.bare_hyper, job.address], job.port, places.BENCH)]


CARME = Carme("carme", "Carme")
PEERS = [
    CARME,
    Carme("carme-1t", "Carme, 1 thread", threads=1),
    Carme("carme-2x15", "Carme, 2 workers, 15 threads", workers=2, threads=15),
    WatchedCarme("carme-log", "Carme, access log", access_log=True),
    WatchedCarme("carme-metrics", "Carme, metrics", metrics=True),
    WatchedCarme("carme-log-metrics", "Carme, access log and metrics", access_log=True, metrics=True),
    *[Granian(mode, blocking) for mode in ("st", "mt") for blocking in ("1", "T")],
    Gunicorn("sync"),
    Gunicorn("gthread"),
    Waitress(),
    Uwsgi(router=False),
    Uwsgi(router=True),
    ModWsgi("embedded"),
    ModWsgi("daemon"),
    ApacheFarm(),
    BareHyper(),
]
BY_NAME = {peer.name: peer for peer in PEERS}
