#!/usr/bin/env python3
"""Runs all of Carme's tests; first `ci/setup.py`, so that one command is enough on a new machine.

    python3 ci/test.py                           # everything
    python3 ci/test.py --list                    # the stages' names
    python3 ci/test.py --only test --only fmt    # some of them
    python3 ci/test.py --no-wine                 # not the Windows tests on Linux
    python3 ci/test.py --python python3.11       # with no other interpreter

A failed stage does not keep the later ones from running. The exit code is 0 if none failed; with `--no-skips`,
if none failed, none was skipped, and no single test was for want of a program that `ci/setup.py` installs.

The integration tests are given, in the environment:
  CARME_TEST_PYTHONS        interpreters with Flask and Django, separated like PATH, the main one first; under Wine,
                            Windows ones in Windows' spelling (Z:\\…;Z:\\…)
  CARME_TEST_FREE_THREADED  a free-threaded CPython, if there is one
  CARME_TEST_CONSUL         Consul's agent, if it is there; not under Wine
  CARME_TEST_PROMTOOL       Prometheus' promtool, if it is there; not under Wine
  CARME_TEST_NO_SKIPS       with `--no-skips`: a test that misses what `ci/setup.py` installs fails; not on Windows, and
                            not under Wine
  CARME_TEST_WINE           Wine's version, only under Wine: for tests that real Windows passes and Wine cannot
  CARME_BIN                 not set here. If you set it, the tests start that program; else the `carme` beside them,
                            which `cargo build --workspace --all-targets` has made just before
"""

import argparse
import sys

import console
import setup as setup_module
from stages import STAGES, Skipped

PASSED, FAILED, SKIPPED = "passed", "FAILED", "skipped"


def run(stages, setup):
    """Runs the stages in order and returns `[(name, outcome, reason, seconds, left_out), …]`."""
    results = []
    for stage in stages:
        console.heading("{}: {}".format(stage.name, stage.title))
        watch = console.Stopwatch()
        outcome, reason, left_out = PASSED, "", None
        try:
            left_out = stage.run(setup)
        except Skipped as skipped:
            outcome, reason = SKIPPED, str(skipped)
        except console.CommandFailed as failed:
            outcome, reason = FAILED, str(failed)
        results.append((stage.name, outcome, reason, watch.seconds, left_out or []))
        console.line("-- {} {} after {}{}".format(
            stage.name, outcome, console.duration(watch.seconds), ": " + reason if reason else ""))
    return results


def summary(results):
    """The lines of the account at the end."""
    for name, outcome, reason, seconds, left_out in results:
        yield "  {:<8} {:<15} {:>12}{}".format(
            outcome, name, console.duration(seconds), "  " + reason.splitlines()[0] if reason else "")
        for more in reason.splitlines()[1:]:
            yield " " * 40 + more
        for test, why in left_out:
            yield "             without {}: {}".format(test, why)


def exit_code(results, no_skips):
    bad = {FAILED, SKIPPED} if no_skips else {FAILED}
    return 1 if any(result[1] in bad for result in results) else 0


def chosen(names):
    """The stages with these names, in their usual order; all of them for none."""
    return [stage for stage in STAGES if not names or stage.name in names]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true", help="print the stages and stop")
    parser.add_argument("--only", action="append", metavar="STAGE", choices=[stage.name for stage in STAGES],
                        help="run this stage (may be repeated)")
    setup_module.add_options(parser)
    parser.add_argument("--no-skips", action="store_true", help="a skipped stage is a failure, and so is a test that misses what setup installs")
    options = parser.parse_args()
    if options.list:
        for stage in STAGES:
            console.line("{:<15} {}".format(stage.name, stage.title))
        return 0
    console.start()
    watch = console.Stopwatch()
    stages = chosen(options.only)
    # Looking for Wine costs nothing once it is there, but installing it for `--only fmt` would be a surprise.
    with_wine = not options.no_wine and any(stage.name.startswith("windows-") for stage in stages)
    try:
        setup = setup_module.prepare(with_wine, not options.no_install, options.python)
    except (setup_module.SetupFailed, console.CommandFailed) as error:
        console.line("ci/test.py: no tests were run: {}".format(error))
        return 2
    setup.no_skips = options.no_skips
    results = run(stages, setup)
    console.heading("summary, after {}".format(console.duration(watch.seconds)))
    for row in summary(results):
        console.line(row)
    return exit_code(results, options.no_skips)


if __name__ == "__main__":
    sys.exit(main())
