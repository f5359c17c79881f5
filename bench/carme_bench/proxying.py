"""What a proxy costs: Carme, nginx, HAProxy and Apache before the same three members, each with one process that does it all."""

from __future__ import annotations

import datetime
import json
import platform
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from . import apache, figures, nginx, report, wrk
from .cases import expect, scratch, wait_for_answer
from .command import busy_by_others, commit, cpu_ticks, machine, stolen
from .needed import need, need_carme
from .peers import Application, Job
from .processes import Command, Server, free_port
from .results import CaseResult, Entry

HELLO = b"Hello, world!\n"
LARGE = b"x" * 100_000
BODIES = {"/hello": HELLO, "/large": LARGE}
SIZES = {"/hello": "hello world", "/large": "100 kB"}
CONNECTIONS = (1, 32, 128)
MEMBERS = 3
FIGURES = [figures.RATE, figures.CPU, figures.P50, figures.P99, figures.ERRORS]
DIRECT = "direct"
TITLES = {
    "carme": "Carme",
    "nginx": "nginx, 1 worker",
    "haproxy": "HAProxy, 1 thread",
    "apache": "Apache (event), 1 process, 150 threads",
    DIRECT: "a member, without any proxy",
}


def members(folder: Path) -> tuple:
    """The command of the three members, which are one nginx, and their ports."""
    ports = [free_port() for _ in range(MEMBERS)]
    (folder / "files").mkdir()
    for path, body in BODIES.items():
        (folder / "files" / path.strip("/")).write_bytes(body)
    listen = " ".join(f"listen 127.0.0.1:{port};" for port in ports)
    # Kept in memory: what is measured is the way there.
    server = f"    open_file_cache max=10;\n    server {{ {listen} root {folder}/files; }}\n"
    return nginx.command(folder, "members", ports[0], server), ports


def carme(program: Path, folder: Path, port: int, ports: list) -> Command:
    config = folder / "carme.toml"
    lines = [f"access_logs = []\n[server]\nlisten = ['127.0.0.1:{port}']\n[balancers.cluster]\nmethod = 'byrequests'"]
    lines += [f"[[balancers.cluster.members]]\nurl = 'http://127.0.0.1:{member}'" for member in ports]
    lines += ["[[locations]]\npath = '/'\nbalancer = 'cluster'\n"]
    config.write_text("\n".join(lines))
    return Command([program, "serve", "-c", config], port, folder)


def nginx_proxy(folder: Path, port: int, ports: list) -> Command:
    servers = " ".join(f"server 127.0.0.1:{member};" for member in ports)
    return nginx.command(
        folder, "nginx", port,
        f"    upstream cluster {{ {servers} keepalive 256; }}\n"
        f"    server {{ listen 127.0.0.1:{port} backlog=2048; location / {{\n"
        "        proxy_pass http://cluster; proxy_http_version 1.1; proxy_set_header Connection '';\n    } }\n",
    )


def haproxy(folder: Path, port: int, ports: list) -> Command:
    servers = "\n".join(f"    server m{member} 127.0.0.1:{member}" for member in ports)
    config = folder / "haproxy.cfg"
    config.write_text(
        "global\n    nbthread 1\n    maxconn 4096\ndefaults\n    mode http\n    timeout connect 5s\n    timeout client 60s\n"
        f"    timeout server 60s\n    http-reuse always\nlisten cluster\n    bind 127.0.0.1:{port}\n    balance roundrobin\n"
        f"    option forwardfor\n{servers}\n"
    )
    return Command([need("haproxy", "haproxy"), "-db", "-f", config], port, folder)


def apache_proxy(folder: Path, port: int, ports: list) -> Command:
    need("apache2", "apache2-bin")
    job = Job(Application("members", folder), 1, 1, port, folder)
    return Command(apache.before(job, apache.children(apache.EMBEDDED_THREADS, 1), ports), port, folder)


@dataclass(frozen=True)
class Case:
    path: str
    connections: int

    @property
    def title(self) -> str:
        return f"{SIZES[self.path]}, {self.connections} connection{'s' if self.connections > 1 else ''}"


def cases() -> list:
    return [Case(path, connections) for path in BODIES for connections in CONNECTIONS]


@contextmanager
def started(program: Path):
    """Name to the server and its port: the proxies, and a member itself."""
    with scratch() as folder, ExitStack() as stack:
        command, ports = members(folder)
        servers = {}

        def start(name, command):
            server = stack.enter_context(Server([command]))
            server.wait_listening(command.port)
            for path, body in BODIES.items():
                wait_for_answer(server, lambda path=path, body=body: expect(command.port, path, body))
            servers[name] = server, command.port

        start(DIRECT, command)
        start("carme", carme(program, folder, free_port(), ports))
        start("nginx", nginx_proxy(folder, free_port(), ports))
        start("haproxy", haproxy(folder, free_port(), ports))
        start("apache", apache_proxy(folder, free_port(), ports))
        yield servers


def measure(server: Server, port: int, case: Case, seconds: float) -> dict:
    wrk.run("wrk", port, case.path, case.connections, 1)
    before = server.cost()
    load = wrk.run("wrk", port, case.path, case.connections, seconds)
    if not load.requests:
        raise wrk.LoadFailed(f"{case.title}: no request was answered: {server.tail()}")
    return {
        "rate": load.rate,
        "cpu_us": (server.cost() - before) / load.requests * 1e6,
        "p50_us": load.p50_us,
        "p99_us": load.p99_us,
        "errors": load.errors,
    }


def run(program: Path, rounds: int, seconds: float, say=print) -> tuple:
    """What there is to say of the run, and its results by case."""
    need_carme(program)
    need("wrk", "wrk")
    before, others = cpu_ticks(), busy_by_others()
    results = {case: CaseResult(case.title, FIGURES) for case in cases()}
    for number in range(rounds):
        with started(program) as servers:
            for case, result in results.items():
                for name, (server, port) in servers.items():
                    entry = result.entries.setdefault(name, Entry(TITLES[name], "1"))
                    entry.samples[number] = measure(server, port, case, seconds)
                    time.sleep(0.2)
                say(f"round {number + 1}: {case.title}")
    about = {
        "date": datetime.date.today().isoformat(),
        "machine": machine(),
        "kernel": platform.release(),
        "commit": commit(),
        "rounds": rounds,
        "seconds": seconds,
        "others": others,
        "stolen": stolen(before, cpu_ticks()),
    }
    return about, results


def beside(results: dict, other: str) -> list:
    """Carme divided by another, figure by figure, each within its round."""
    compared = FIGURES[:-1]
    rows = [["case"] + [figure.label for figure in compared]]
    for result in results.values():
        ratios = (result.ratio(figure.key, "carme", other) for figure in compared)
        rows.append([result.title] + ["–" if ratio is None else f"{ratio:.2f}" for ratio in ratios])
    return report.table(rows)


def markdown(about: dict, results: dict) -> str:
    out = ["# What a proxy costs", "", "Made by `python3 bench/proxy.py`; what the figures mean is in `bench/README.md`.", ""]
    out += [f"- {key}: {about[key]}" for key in ("date", "machine", "kernel", "commit")]
    out += [f"- rounds: {about['rounds']}, measured seconds each: {about['seconds']}"]
    out += [f"- before the run something else kept {about['others']:.2f} cores busy; stolen by the host: {about['stolen']:.1%}"]
    out += ["", "## Carme ÷ nginx", ""] + beside(results, "nginx")
    for result in results.values():
        out += ["", f"## {result.title}", ""] + report.case_table(result)
    return "\n".join(out) + "\n"


def write(folder: Path, about: dict, results: dict) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    document = {**about, "cases": {case.title: result.as_json() for case, result in results.items()}}
    (folder / "proxy.json").write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    (folder / "proxy.md").write_text(markdown(about, results))
    return folder / "proxy.md"
