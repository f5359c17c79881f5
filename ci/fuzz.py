#!/usr/bin/env python3
"""Fuzzes what reads bytes of strangers: each target in `fuzz/fuzz_targets` for the given time, one after the other.

    python3 ci/fuzz.py --seconds 60                        # each target for a minute
    python3 ci/fuzz.py --seconds 3600 head proxy_protocol  # these, an hour each
    python3 ci/fuzz.py --list

It needs cargo-fuzz and a nightly Rust, says so if they are missing, and ends with 2 then. Inputs that lead to new
places are kept in `target/fuzz-corpus` for the next run; `fuzz/corpus`, which the usual tests run, is only read. An
input that breaks a target is in `fuzz/artifacts/TARGET`: put it into `fuzz/corpus/TARGET` with the cure. The exit code
is then 1.
"""

import argparse
import os
import sys

import console
from places import ROOT, target_dir

FUZZ = ROOT / "fuzz"
# What a run may take besides its time: building, for the first one.
PATIENCE = 30 * 60
CURES = {
    "cargo-fuzz": "cargo install --locked cargo-fuzz",
    "a nightly Rust": "rustup toolchain install nightly",
}


def targets():
    return sorted(path.stem for path in (FUZZ / "fuzz_targets").glob("*.rs"))


def missing():
    """The names of what the fuzzer needs and is not here."""
    asked = [
        ("cargo-fuzz", ["cargo", "fuzz", "--version"]),
        ("a nightly Rust", ["cargo", "+nightly", "--version"]),
    ]
    return [name for name, command in asked if not _runs(command)]


def _runs(command):
    try:
        console.quiet(command, timeout=60, cwd=ROOT)
        return True
    except console.CommandFailed:
        return False


def command(target, seconds, corpus):
    """The first folder is the one that libFuzzer writes to."""
    return ["cargo", "+nightly", "fuzz", "run", "--fuzz-dir", FUZZ, "--target-dir", target_dir() / "fuzz",
            target, corpus, FUZZ / "corpus" / target, "--",
            "-max_total_time={}".format(seconds), "-max_len=4096", "-timeout=10", "-rss_limit_mb=2048",
            "-print_final_stats=1"]


def fuzz(target, seconds):
    corpus = target_dir() / "fuzz-corpus" / target
    corpus.mkdir(parents=True, exist_ok=True)
    console.heading("{}, for {}".format(target, console.duration(seconds)))
    console.shown(command(target, seconds, corpus), seconds + PATIENCE, dict(os.environ), ROOT)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60, metavar="N", help="for each target (60)")
    parser.add_argument("--list", action="store_true", help="print the targets and stop")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="these only")
    options = parser.parse_args()
    console.start()
    known = targets()
    if options.list:
        for name in known:
            console.line(name)
        return 0
    unknown = [name for name in options.targets if name not in known]
    if unknown:
        parser.error("no such target: {}; there are {}".format(", ".join(unknown), ", ".join(known)))
    if options.seconds < 1:
        parser.error("--seconds must be 1 or more")
    lacking = missing()
    for name in lacking:
        console.finding(console.MISSING, name, CURES[name])
    if lacking:
        console.line("ci/fuzz.py: nothing was fuzzed")
        return 2
    broken = []
    for name in options.targets or known:
        try:
            fuzz(name, options.seconds)
        except console.CommandFailed as failed:
            console.line("{}: {}".format(name, failed))
            broken.append(name)
    console.heading("summary")
    for name in options.targets or known:
        console.line("  {:<8} {}".format("BROKEN" if name in broken else "holds", name))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
