"""The command line of bench/run.py: choose, prepare, measure in turn, report."""

from __future__ import annotations

import argparse
import datetime
import fnmatch
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from . import calibrate, places, report
from .cases import REFERENCE, Run, Skipped, Tail, raise_descriptors
from .clients import WrongAnswer, ideal
from .install import CannotRun, call, prepare, say
from .peers import BY_NAME, PEERS
from .processes import DidNotStart
from .results import CaseResult, Entry
from .suite import all_cases
from .wrk import LoadFailed


def main(arguments=None) -> int:
    chosen = parse(arguments)
    cases = choose(all_cases(), chosen.only, lambda case: case.name, "case")
    if chosen.list:
        listing(cases)
        return 0
    if not os.path.isdir("/proc/self"):
        say("The benchmarks read /proc: they run on Linux only.")
        return 2
    peers = choose(PEERS, chosen.servers, lambda peer: peer.name, "server")
    names = {peer.name for peer in peers}
    raise_descriptors()
    # Ended by SIGTERM it must end its servers too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        products = {BY_NAME[name].product for case in cases for name in case.servers if name in names}
        tools = prepare(chosen.python, products, chosen.carme)
        loops = calibrate.loops_per_millisecond(tools.python)
        both = calibrate.two_at_once(tools.python, loops, 500) / 0.5
        examples = examples_environment(tools, cases)
    except CannotRun as error:
        say(str(error))
        return 2
    others = busy_by_others()
    if others > 0.1:
        say(f"WARNING: something else keeps {others:.1f} cores busy; the figures will say more about that")
    run = Run(tools, chosen.seconds, loops, examples)
    rounds = chosen.rounds
    say(f"1 ms of CPU is {loops} loop turns; {forecast(cases, names, chosen):.0f} minutes to go")
    results, before, interrupted = {}, cpu_ticks(), False
    try:
        for case in cases:
            results[case.name] = measure(case, [p for p in peers if p.name in case.servers], run, rounds)
    except KeyboardInterrupt:
        interrupted = True
        if chosen.output == places.RESULTS:
            chosen.output = places.RESULTS / "partial"
        say("interrupted: reporting the cases that were finished")
    about = {
        "date": datetime.date.today().isoformat(),
        "machine": machine(),
        "kernel": platform.release(),
        "command": "python3 bench/run.py " + " ".join(sys.argv[1:] if arguments is None else arguments),
        "commit": commit(),
        "rounds": rounds,
        "seconds": chosen.seconds,
        "loops": loops,
        "both": both,
        "others": others,
        "stolen": stolen(before, cpu_ticks()),
        "versions": tools.versions,
    }
    report.write(chosen.output, about, results)
    say(f"written: {chosen.output / 'results.md'}")
    return 130 if interrupted else 0


def parse(arguments):
    parser = argparse.ArgumentParser(prog="bench/run.py", description=__doc__)
    parser.add_argument("--only", metavar="CASE,...", help="these cases; * stands for anything (see --list)")
    parser.add_argument("--servers", metavar="NAME,...", help="these servers, likewise")
    parser.add_argument("--seconds", type=float, default=4.0, help="of a throughput measurement (default: 4)")
    parser.add_argument("--rounds", type=int, default=3, help="how often all servers get their turn (default: 3)")
    parser.add_argument("--quick", action="store_true", help="1 second, 1 round: whether it works, not how fast")
    parser.add_argument("--list", action="store_true", help="the cases and their servers, then end")
    parser.add_argument("--python", default=sys.executable, help="interpreter for all servers (default: this one)")
    parser.add_argument("--output", type=Path, help="folder for the report (default: bench/results, or partial in it)")
    parser.add_argument("--carme", default=os.environ.get("CARME_BIN"), help="measure this program instead of building")
    chosen = parser.parse_args(arguments)
    if chosen.rounds < 1 or chosen.seconds < 1:
        parser.error("--rounds and --seconds must be at least 1")
    if chosen.output is None:
        # Only a whole run may replace the whole report.
        whole = not (chosen.only or chosen.servers or chosen.quick)
        chosen.output = places.RESULTS if whole else places.RESULTS / "partial"
    if chosen.quick:
        chosen.seconds, chosen.rounds = 1.0, 1
    return chosen


def choose(everything, wanted, name_of, what):
    """Those that the comma-separated list names, in our order; an unknown name ends the program."""
    if not wanted:
        return list(everything)
    patterns = [word.strip() for word in wanted.split(",") if word.strip()]

    def fits(pattern, name):
        return fnmatch.fnmatchcase(name, pattern)

    for pattern in patterns:
        if not any(fits(pattern, name_of(one)) for one in everything):
            names = ", ".join(name_of(one) for one in everything)
            sys.exit(f"no {what} is called {pattern}; there are: {names}")
    return [one for one in everything if any(fits(pattern, name_of(one)) for pattern in patterns)]


def listing(cases) -> None:
    for case in cases:
        print(f"{case.name:16} {case.title}\n{'':16} {', '.join(case.servers)}")


def forecast(cases, names, chosen) -> float:
    seconds = sum(len(names & set(case.servers)) * (case.seconds(chosen.seconds) + 1) for case in cases)
    return seconds * chosen.rounds / 60


def measure(case, peers, run, rounds) -> CaseResult:
    result = CaseResult(case.title, case.figures)
    for peer in peers:
        shape = peer.shape(case.workers, case.threads)
        result.entries[peer.name] = Entry(peer.title, shape, skipped=peer.missing(run.tools) or "")
    say(f"\n{case.title}")
    for run.round in range(rounds):
        for peer in peers:
            entry = result.entries[peer.name]
            if entry.skipped:
                if run.round == 0:
                    say(f"  {peer.name:18} skipped: {entry.skipped}")
                continue
            try:
                sample = case.measure(run, peer)
            except Skipped as reason:
                entry.skipped = str(reason)
                say(f"  {peer.name:18} skipped: {reason}")
                continue
            except (DidNotStart, WrongAnswer, LoadFailed, OSError, EOFError, subprocess.TimeoutExpired) as error:
                entry.failures.append(f"round {run.round + 1} failed: {type(error).__name__}: {' '.join(str(error).split())}")
                say(f"  {peer.name:18} FAILED: {error}")
                continue
            entry.samples[run.round] = sample
            if sample.get("ended"):
                note = f"round {run.round + 1}: {sample['ended']} of its processes ended while it was measured"
                entry.failures.append(note)
                say(f"  {peer.name:18} {note}")
            shown = (f"{figure.label} {figure.show(sample.get(figure.key))}" for figure in case.figures)
            say(f"  {peer.name:18} " + "  ".join(shown))
            time.sleep(0.2)
        reference = case.reference(run)
        if reference:
            title = "two processes with the pages' CPU work, nothing else"
            result.entries.setdefault(REFERENCE, Entry(title, "2×1")).samples[run.round] = reference
    if isinstance(case, Tail):
        run.round = 0
        result.bounds["one queue, 2 workers of 1 thread, no overhead (simulated)"] = ideal(case.plan(run))
    return result


def examples_environment(tools, cases) -> dict:
    """Django's database with a few notes, and the settings of a production site."""
    if not any(case.name == "django" for case in cases):
        return {}
    database = places.WORK / "django.sqlite3"
    environment = {
        "DJANGO_DEBUG": "0",
        "DJANGO_SECRET_KEY": "for the benchmark only",
        "DJANGO_ALLOWED_HOSTS": "127.0.0.1,localhost",
        "DJANGO_DATABASE": str(database),
    }
    database.unlink(missing_ok=True)
    manage = [tools.python, places.EXAMPLES / "django_site" / "manage.py"]
    notes = "from notes.models import Note; [Note.objects.create(title=f'Note {n}', text='Some text. ' * 40) for n in range(20)]"
    for argv in (manage + ["migrate", "--verbosity", "0"], manage + ["shell", "-c", notes]):
        failed = call(argv, env={**os.environ, **environment})
        if failed:
            raise CannotRun(f"the Django example's database cannot be made: {failed}")
    return environment


def cpu_ticks() -> list:
    """user, nice, system, idle, iowait, irq, softirq, steal: of all cores since the machine was started."""
    return [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]


def busy_by_others(seconds: float = 2.0) -> float:
    """Cores that are busy while we do nothing."""
    before = cpu_ticks()
    time.sleep(seconds)
    spent = [now - then for now, then in zip(cpu_ticks(), before)]
    return (sum(spent) - spent[3] - spent[4]) / max(1, sum(spent)) * (os.cpu_count() or 1)


def stolen(before, after) -> float:
    """Which part of its time a virtual machine was not given."""
    spent = [now - then for now, then in zip(after, before)]
    return spent[7] / max(1, sum(spent))


def machine() -> str:
    model = "unknown CPU"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return f"{model}, {len(os.sched_getaffinity(0))} cores"


def commit() -> str:
    if not shutil.which("git"):
        return ""
    asked = ["git", "-C", str(places.ROOT), "describe", "--always", "--dirty"]
    return subprocess.run(asked, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout.strip()
