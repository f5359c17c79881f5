"""Starting a server, knowing all its processes, what they cost, and ending them.

What `cost` means: user and system time of every process of the server (the started ones, their descendants and their
session) and of those of their children that have ended and been waited for. `memory` is the sum over the living ones.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")


class DidNotStart(Exception):
    """The server ended or did not listen in time; the text carries the end of its output."""


@dataclass
class Command:
    """One program to start. `port`: wait until it listens there before starting the next."""

    argv: list
    port: int
    directory: Path
    environment: dict = field(default_factory=dict)


@dataclass
class Memory:
    """Bytes over all processes: proportional set size now, and the sum of the processes' highest resident sizes."""

    pss: int
    peak_rss: int
    processes: int


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass(frozen=True)
class Stat:
    """What /proc/PID/stat says. `ticks`: CPU of the process and of its children that ended and were waited for."""

    parent: int
    session: int
    ticks: int
    started: int

    @staticmethod
    def parse(text: str) -> Stat:
        after = text[text.rindex(")") + 2 :].split()  # the name may contain anything, brackets too
        return Stat(int(after[1]), int(after[3]), sum(int(n) for n in after[11:15]), int(after[19]))


class Server:
    """A running server. Use it as a context manager: leaving it ends every process it had."""

    def __init__(self, commands):
        self.commands = commands
        self.roots = []
        self.output = tempfile.TemporaryFile(prefix="carme-bench-")

    def __enter__(self):
        try:
            for number, command in enumerate(self.commands):
                self.launch(command)
                if number + 1 < len(self.commands):
                    self.wait_listening(command.port)
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(self, *_):
        self.end()

    def launch(self, command: Command) -> None:
        environment = {**os.environ, **command.environment}
        try:
            root = subprocess.Popen(
                [str(word) for word in command.argv],
                cwd=command.directory,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=self.output,
                stderr=self.output,
                start_new_session=True,
            )
        except OSError as error:
            raise DidNotStart(f"{command.argv[0]}: {error.strerror}") from error
        self.roots.append(root)

    def wait_listening(self, port: int, seconds: float = 30.0, pause: float = 0.01) -> None:
        deadline = time.monotonic() + seconds
        while True:
            self.check_alive()
            try:
                socket.create_connection(("127.0.0.1", port), timeout=5).close()
                return
            except OSError:
                if time.monotonic() > deadline:
                    raise DidNotStart(f"not listening after {seconds:.0f} s: {self.tail()}") from None
                time.sleep(pause)

    def check_alive(self) -> None:
        for root in self.roots:
            code = root.poll()
            if code is not None:
                raise DidNotStart(f"{Path(root.args[0]).name} ended with {code}: {self.tail()}")

    def tail(self, characters: int = 600) -> str:
        self.output.seek(0)
        return self.output.read().decode("utf-8", "replace").strip()[-characters:] or "(no output)"

    def stats(self) -> dict:
        """PID to Stat for the processes of this server."""
        everyone = all_processes()
        roots = {root.pid for root in self.roots}
        ours = {pid for pid, stat in everyone.items() if pid in roots or stat.session in roots}
        grown = True
        while grown:
            more = {pid for pid, stat in everyone.items() if stat.parent in ours} - ours
            ours |= more
            grown = bool(more)
        return {pid: everyone[pid] for pid in ours}

    def cost(self) -> float:
        """Seconds of CPU so far; take the difference of two."""
        return sum(stat.ticks for stat in self.stats().values()) / TICK

    def memory(self) -> Memory:
        pss = peak = count = 0
        for pid in self.stats():
            try:
                rollup = Path("/proc", str(pid), "smaps_rollup").read_text()
                status = Path("/proc", str(pid), "status").read_text()
                here, high = kilobytes(rollup, "Pss:"), kilobytes(status, "VmHWM:")
            except (OSError, LookupError):
                continue  # a zombie has no memory
            pss, peak, count = pss + here, peak + high, count + 1
        return Memory(pss * 1024, peak * 1024, count)

    def end(self) -> None:
        before = self.stats()
        for root in reversed(self.roots):
            if root.poll() is None:
                root.terminate()
        deadline = time.monotonic() + 5
        for root in self.roots:
            try:
                root.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                pass
        # What is left is in a session that was started here, or was a descendant before (the same one: its start time
        # says so, a number may have been given again).
        now = all_processes()
        left = {pid for pid, stat in before.items() if pid in now and now[pid].started == stat.started}
        for pid in left | set(self.stats()):
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        for root in self.roots:
            root.wait()
        self.output.close()


def all_processes() -> dict:
    everyone = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                everyone[int(name)] = Stat.parse(Path("/proc", name, "stat").read_text(errors="replace"))
            except (OSError, ValueError):
                continue  # it ended meanwhile
    return everyone


def kilobytes(text: str, label: str) -> int:
    for line in text.splitlines():
        if line.startswith(label):
            return int(line.split()[1])
    raise LookupError(label)
