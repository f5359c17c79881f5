"""Carme's goals, each computed from the run. The limits are those of the project's plan; they are not to be adjusted."""

from __future__ import annotations

from dataclasses import dataclass

from . import figures

GRANIAN = ["granian-st-1", "granian-st-T", "granian-mt-1", "granian-mt-T"]
GRANIAN_T = ["granian-st-T", "granian-mt-T"]
GUNICORN = ["gunicorn-sync", "gunicorn-gthread"]


@dataclass(frozen=True)
class Goal:
    """Carme's figure divided by the best one among `others` (or by `bound`) must be `limit` at the most or least."""

    text: str
    case: str
    figure: figures.Figure
    limit: float
    others: tuple = ()
    bound: float = None
    strictly: bool = False

    @property
    def at_least(self) -> bool:
        return self.figure.more_is_better

    def reached_by(self, ratio: float) -> bool:
        if self.at_least:
            return ratio >= self.limit
        return ratio < self.limit if self.strictly else ratio <= self.limit


@dataclass(frozen=True)
class Outcome:
    goal: Goal
    #: None where the run does not have the figures.
    ratio: float = None
    carme: float = None
    other: float = None
    against: str = ""

    @property
    def verdict(self) -> str:
        if self.ratio is None:
            return "not measured"
        return "reached" if self.goal.reached_by(self.ratio) else "NOT reached"


def goal(text, case, figure, limit, others=(), **more) -> Goal:
    return Goal(text, case, figure, limit, tuple(others), **more)


GOALS = [
    goal("hello, 32 connections: throughput", "hello-c32-w2", figures.RATE, 1.4, GRANIAN),
    goal("hello, 32 connections: throughput", "hello-c32-w2", figures.RATE, 0.6, ["bare-hyper"]),
    goal("hello, 128 connections: throughput", "hello-c128-w2", figures.RATE, 1.8, GRANIAN),
    goal("hello, 128 connections: p99", "hello-c128-w2", figures.P99, 0.25, GRANIAN, strictly=True),
    goal("server CPU a request, 32 connections", "hello-c32-w2", figures.CPU, 0.55, GRANIAN),
    goal("server CPU a request, 128 connections", "hello-c128-w2", figures.CPU, 0.55, GRANIAN),
    goal("one connection: p50", "hello-c1-w2", figures.P50, 1.0, GRANIAN),
    goal("article's page, 10 at once: all answered", "article-10", figures.WALL, 1.0, ["apache-farm"]),
    goal("article's page, 10 at once: light page p95", "article-10", figures.LIGHT_P95, 0.5, ["apache-farm"]),
    # 20 pages of 200 ms of CPU each on two cores.
    goal("article's page, 20 at once: all answered", "article-20", figures.WALL, 1.1, bound=2.0),
    # What this machine's two cores really give when both are busy, measured beside the servers.
    goal("article's page, 20 at once: all answered", "article-20", figures.WALL, 1.1, ["two-cores"]),
    goal("article's page, 20 at once: light page p95", "article-20", figures.LIGHT_P95, 0.5, ["apache-farm"]),
    goal("tail: fast requests' p95", "tail", figures.FAST_P95, 0.4, GRANIAN_T),
    goal("tail: fast requests' p99", "tail", figures.FAST_P99, 0.3, GRANIAN_T),
    goal("memory, 2 workers in all", "memory", figures.IDLE, 1.0, GUNICORN, strictly=True),
    goal("memory, 10,000 connections, just answered", "memory", figures.HELD, 1.0, GRANIAN, strictly=True),
    goal("memory, 10,000 connections, idle for 5 s", "memory", figures.RESTED, 1.0, GRANIAN, strictly=True),
    goal("first answer after launch", "start", figures.FIRST, 1.0, GUNICORN, strictly=True),
    goal("first answer after launch", "start", figures.FIRST, 1.0, GRANIAN, strictly=True),
]


def judge(results: dict, goals=None) -> list:
    return [outcome(goal, results.get(goal.case)) for goal in (GOALS if goals is None else goals)]


def outcome(goal: Goal, case) -> Outcome:
    if case is None or "carme" not in case.entries:
        return Outcome(goal)
    carme = case.entries["carme"].median(goal.figure.key)
    if goal.bound is not None:
        ratio = None if carme is None else carme / goal.bound
        return Outcome(goal, ratio, carme, goal.bound, "the limit")
    against = case.best(goal.figure, goal.others)
    if against is None or carme is None:
        return Outcome(goal, carme=carme)
    other = case.entries[against]
    return Outcome(goal, case.ratio(goal.figure.key, "carme", against), carme, other.median(goal.figure.key), other.title)
