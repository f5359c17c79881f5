"""Writes what a run found: results.json (everything), README-ready results.md, and the plots."""

from __future__ import annotations

import json
from pathlib import Path

from . import figures, goals, plots

#: File name to title and the (case, figure) pairs of its panels.
PLOTS = {
    "hello-throughput": (
        "Hello world: requests a second (more is better)",
        [(f"hello-c{n}-w2", figures.RATE) for n in (1, 32, 128)],
    ),
    "hello-cpu": (
        "Hello world: server CPU a request (less is better)",
        [(f"hello-c{n}-w2", figures.CPU) for n in (1, 32, 128)],
    ),
    "hello-p99": (
        "Hello world: 99th percentile of the response time (less is better)",
        [(f"hello-c{n}-w2", figures.P99) for n in (1, 32, 128)],
    ),
    "bodies": (
        "Bodies: requests a second (more is better)",
        [(name, figures.RATE) for name in ("bytes-10kB", "bytes-1MB", "post-64kB")],
    ),
    "frameworks": (
        "Real frameworks: requests a second (more is better)",
        [(name, figures.RATE) for name in ("flask", "django")],
    ),
    "article": (
        "The article's page, at once, and a light page meanwhile (less is better)",
        [(f"article-{n}", figure) for n in (10, 20) for figure in (figures.WALL, figures.LIGHT_P95)],
    ),
    "tail": (
        "1 % slow requests: what the fast ones see (less is better)",
        [("tail", figures.FAST_P95), ("tail", figures.FAST_P99)],
    ),
    "memory": ("Memory (less is better)", [("memory", figures.IDLE), ("memory", figures.HELD), ("memory", figures.RESTED)]),
    "start": ("From launch to the first answer (less is better)", [("start", figures.FIRST)]),
}


def write(folder: Path, about: dict, results: dict) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    outcomes = goals.judge(results)
    document = {
        **about,
        "cases": {name: case.as_json() for name, case in results.items()},
        "goals": [goal_json(outcome) for outcome in outcomes],
    }
    (folder / "results.json").write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    drawn = write_plots(folder, about, results)
    (folder / "results.md").write_text(markdown(about, results, outcomes, drawn))


def goal_json(outcome) -> dict:
    return {
        "goal": outcome.goal.text,
        "case": outcome.goal.case,
        "figure": outcome.goal.figure.key,
        "must_be": f"{'>=' if outcome.goal.at_least else '<' if outcome.goal.strictly else '<='} {outcome.goal.limit}",
        "carme": outcome.carme,
        "against": outcome.against,
        "other": outcome.other,
        "ratio": outcome.ratio,
        "verdict": outcome.verdict,
    }


def write_plots(folder: Path, about: dict, results: dict) -> list:
    drawn = []
    for name, (title, wanted) in PLOTS.items():
        panels = [plots.panel(results[case], figure) for case, figure in wanted if case in results]
        path = folder / f"{name}.svg"
        if not any(panel.bars for panel in panels):
            path.unlink(missing_ok=True)  # of an earlier run into the same folder
            continue
        note = f"{about['machine']}, {about['date']}, medians of {about['rounds']} rounds; processes × threads"
        path.write_text(plots.draw(title, note, panels))
        drawn.append((name, title))
    return drawn


def markdown(about, results, outcomes, drawn) -> str:
    out = ["# Carme beside its peers", "", "Made by `python3 bench/run.py`; what the figures mean is in `bench/README.md`.", ""]
    out += [f"- {key}: {about[key]}" for key in ("date", "machine", "kernel", "command")]
    out += [f"- rounds: {about['rounds']}, measured seconds a throughput case: {about['seconds']}"]
    out += [f"- 1 ms of CPU: {about['loops']} loop turns; two such processes at once took {about['both']:.3f} times as long"]
    out += [f"- before the run something else kept {about['others']:.2f} cores busy; stolen by the host: {about['stolen']:.1%}"]
    out += ["- versions: " + ", ".join(f"{name} {version}" for name, version in about["versions"].items())]
    out += ["", "## Goals", ""] + goal_table(outcomes)
    for case in results.values():
        out += ["", f"## {case.title}", ""] + case_table(case)
    if drawn:
        out += ["", "## Plots", ""] + [f"![{title}]({name}.svg)" for name, title in drawn]
    return "\n".join(out) + "\n"


def goal_table(outcomes) -> list:
    rows = [["goal", "Carme", "against", "its figure", "ratio", "must be", "verdict"]]
    for outcome in outcomes:
        goal, show = outcome.goal, outcome.goal.figure.show
        sign = "≥" if goal.at_least else "<" if goal.strictly else "≤"
        ratio = "–" if outcome.ratio is None else f"{outcome.ratio:.2f}"
        label = f"{goal.text} ({goal.figure.label})"
        verdict = f"**{outcome.verdict}**" if outcome.verdict == "NOT reached" else outcome.verdict
        against = outcome.against or " / ".join(goal.others)
        rows.append([label, show(outcome.carme), against, show(outcome.other), ratio, f"{sign} {goal.limit:g}", verdict])
    return table(rows)


def case_table(case) -> list:
    """The servers in their order, and Carme's first figure divided by theirs."""
    first = case.figures[0]
    compared = case.entries.get("carme") is not None and case.entries["carme"].median(first.key) is not None
    head = ["server", "processes × threads"] + [figure.label for figure in case.figures]
    if compared:
        head.append(f"Carme's {first.label} ÷ its")
    rows, notes = [head], []
    for name, entry in case.entries.items():
        if entry.skipped:
            notes.append(f"Skipped: {entry.title}: {entry.skipped}.")
            continue
        notes += [f"{entry.title}, {failure}" for failure in entry.failures]
        if not entry.samples:
            continue
        row = [entry.title, entry.shape] + [figure.show(entry.median(figure.key)) for figure in case.figures]
        if compared:
            ratio = case.ratio(first.key, "carme", name)
            row.append("–" if ratio is None else f"{ratio:.2f}")
        rows.append(row)
    for text, values in case.bounds.items():
        row = [f"*{text}*", ""] + [figure.show(values.get(figure.key)) for figure in case.figures]
        rows.append(row + [""] * compared)
    if any(row[1].endswith("*") for row in rows):
        notes.append("\\* Debian's mod_wsgi runs Debian's own Python, not the interpreter of the others.")
    return table([[cell.replace(" *", " \\*") for cell in row] for row in rows]) + [""] * bool(notes) + notes


def table(rows) -> list:
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return [lines[0], "|" + "---|" * len(rows[0])] + lines[1:]
