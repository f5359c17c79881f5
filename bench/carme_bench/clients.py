"""Load generators of our own, for what wrk cannot do: the article's page, Poisson arrivals, idle connections."""

from __future__ import annotations

import asyncio
import heapq
import http.client
import random
import select
import socket
import statistics
import time


class WrongAnswer(Exception):
    """The server answered something else than the application said."""


def request(port: int, path: str, body: bytes = None, timeout: float = 60.0):
    """(status, body) of one request by itself."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("POST" if body is not None else "GET", path, body)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def percentile(ordered, part: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]


# The article's page


async def get(port: int, path: str) -> float:
    """Seconds that one GET over a connection of its own took."""
    start = time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        answer = await reader.read()
        if not answer.startswith(b"HTTP/1.1 200"):
            raise WrongAnswer(f"GET {path} got {answer[:80]!r}")
        return time.perf_counter() - start
    finally:
        writer.close()


def overlapping(port: int, pages: int, pause: float = 0.02) -> dict:
    """`pages` requests for /page at once, and meanwhile /light, the next one `pause` after the last was answered."""

    async def run():
        light = []
        over = asyncio.Event()

        async def probe():
            while not over.is_set():
                light.append(await get(port, "/light"))
                await asyncio.sleep(pause)

        alone = await get(port, "/page")
        probing = asyncio.ensure_future(probe())
        start = time.perf_counter()
        took = await asyncio.gather(*[get(port, "/page") for _ in range(pages)])
        wall = time.perf_counter() - start
        over.set()
        await probing
        light.sort()
        return {
            "alone_s": alone,
            "wall_s": wall,
            "page_p50_s": statistics.median(took),
            "light_p50_ms": percentile(light, 0.5) * 1e3,
            "light_p95_ms": percentile(light, 0.95) * 1e3,
            "light_max_ms": light[-1] * 1e3,
            "light_count": len(light),
        }

    return asyncio.run(run())


# Poisson arrivals


def arrivals(rate: float, seconds: float, seed: int, slow_part: float = 0.01):
    """[(when, path)]: the same plan for every server that gets the same seed."""
    chance = random.Random(seed)
    plan, when = [], 0.0
    while True:
        when += chance.expovariate(rate)
        if when >= seconds:
            return plan
        plan.append((when, "/slow" if chance.random() < slow_part else "/fast"))


def ideal(plan, servers: int = 2, fast: float = 0.002, slow: float = 0.2) -> dict:
    """The plan through one queue before `servers` workers that do one request at a time and cost nothing: simulated."""
    free = [0.0] * servers
    took = []
    for when, path in plan:
        begin = max(when, heapq.heappop(free))
        end = begin + (slow if path == "/slow" else fast)
        heapq.heappush(free, end)
        if path != "/slow":
            took.append(end - when)
    return quantiles(took)


def quantiles(seconds) -> dict:
    ordered = sorted(seconds)
    return {f"p{part}_ms": percentile(ordered, part / 100) * 1e3 for part in (50, 90, 95, 99)}


def open_loop(port: int, plan, connections: int = 32, patience: float = 30.0) -> dict:
    """Sends each request at its time whatever the others do, over kept connections; latency counts from that time."""

    async def run():
        idle, fast, slow, errors = [], [], [], []
        chance = random.Random(1)

        async def one(path, due):
            try:
                if idle:
                    reader, writer = idle.pop(chance.randrange(len(idle)))
                else:
                    reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                if not head.startswith(b"http/1.1 200"):
                    raise WrongAnswer(repr(head[:60]))
                length = next(line for line in head.split(b"\r\n") if line.startswith(b"content-length:"))
                await reader.readexactly(int(length.partition(b":")[2]))
                (slow if path == "/slow" else fast).append(time.perf_counter() - due)
                if b"connection: close" in head:
                    writer.close()
                else:
                    idle.append((reader, writer))
            except (OSError, EOFError, WrongAnswer) as error:
                errors.append(f"{type(error).__name__}: {error}")

        for _ in range(connections):
            idle.append(await asyncio.open_connection("127.0.0.1", port))
        start = time.perf_counter()
        tasks = []
        for when, path in plan:
            wait = start + when - time.perf_counter()
            if wait > 0:
                await asyncio.sleep(wait)
            tasks.append(asyncio.ensure_future(one(path, start + when)))
        _, unanswered = await asyncio.wait(tasks, timeout=patience)
        for task in unanswered:
            task.cancel()
        for _, writer in idle:
            writer.close()
        if not fast:
            raise WrongAnswer(f"no request was answered: {errors[:1] or 'timeout'}")
        bad = len(errors) + len(unanswered)
        return {**quantiles(fast), "fast": len(fast), "slow": len(slow), "errors": bad, "first_error": errors[:1]}

    return asyncio.run(run())


# Idle connections


class IdleConnections:
    """Connections that each got one answer and then say nothing. `close()` them at the end."""

    def __init__(self, port: int, count: int):
        self.sockets = []
        self.failed = 0
        asked = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
        for _ in range(count):
            connection = socket.socket()
            connection.settimeout(5)
            try:
                connection.connect(("127.0.0.1", port))
                connection.sendall(asked)
                if not connection.recv(4096).startswith(b"HTTP/1.1 200"):
                    raise OSError("no 200")
            except OSError:
                connection.close()
                self.failed += 1
                if self.failed >= 5:
                    break
                continue
            self.sockets.append(connection)

    def alive(self) -> int:
        """How many the server has not closed. (An answer in two segments leaves its rest to be read first.)"""
        poll = select.poll()
        by_number = {connection.fileno(): connection for connection in self.sockets}
        for number in by_number:
            poll.register(number, select.POLLIN | select.POLLHUP)
        ended = 0
        for number, _ in poll.poll(0):
            connection = by_number[number]
            connection.setblocking(False)
            try:
                while True:
                    if not connection.recv(4096):
                        ended += 1
                        break
            except BlockingIOError:
                pass
            except OSError:
                ended += 1
        return len(self.sockets) - ended

    def close(self) -> None:
        for connection in self.sockets:
            connection.close()
