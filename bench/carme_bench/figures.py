"""The figures a case can give: their names, units and which way is better."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    key: str
    label: str
    more_is_better: bool = False
    #: Digits after the point.
    digits: int = 0

    def show(self, value) -> str:
        return "–" if value is None else f"{value:,.{self.digits}f}"

    def best(self, values):
        return max(values) if self.more_is_better else min(values)


RATE = Figure("rate", "req/s", more_is_better=True)
CPU = Figure("cpu_us", "CPU µs/req", digits=1)
P50 = Figure("p50_us", "p50 µs")
P99 = Figure("p99_us", "p99 µs")
PSS = Figure("pss_mb", "PSS MB", digits=1)
PEAK = Figure("peak_mb", "peak RSS MB", digits=1)
ERRORS = Figure("errors", "errors")
ALONE = Figure("alone_s", "alone s", digits=2)
WALL = Figure("wall_s", "all answered s", digits=2)
PAGE_P50 = Figure("page_p50_s", "page p50 s", digits=2)
LIGHT_P50 = Figure("light_p50_ms", "light p50 ms", digits=1)
LIGHT_P95 = Figure("light_p95_ms", "light p95 ms", digits=1)
LIGHT_MAX = Figure("light_max_ms", "light max ms", digits=1)
FAST = [Figure(f"p{part}_ms", f"fast p{part} ms", digits=1) for part in (50, 90, 95, 99)]
FAST_P95, FAST_P99 = FAST[2], FAST[3]
IDLE = Figure("idle_mb", "idle MB", digits=1)
HELD = Figure("held_mb", "10,000 connections MB", digits=1)
RESTED = Figure("rested_mb", "5 s later MB", digits=1)
ALIVE = Figure("alive", "still open", more_is_better=True)
PROCESSES = Figure("processes", "processes")
FIRST = Figure("first_ms", "first answer ms", digits=0)
