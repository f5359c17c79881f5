#!/usr/bin/env python3
"""Finds, or where it can installs, everything that Carme's tests need. It may be run at any time and is quick when
all is there.

    python3 ci/setup.py               # on Linux, Windows or macOS
    python3 ci/setup.py --no-wine     # leave the Windows tests on Linux out
    python3 ci/setup.py --no-install  # install nothing outside the cache
    python3 ci/setup.py --python python3.11

Needed are Rust with cargo and one CPython from 3.9 on. Each CPython that is found gets a virtual environment with
Flask and Django. For the Windows tests on Linux it takes the mingw linker, 64-bit Wine (on Debian and its
derivatives they are installed, with root or a sudo that asks nothing), Rust's standard library for Windows and
Windows CPythons from PyPI. As root on Debian it also installs Apache's program and mod_wsgi, GoAccess and AWStats,
which tests of the log compare with and read it by, HAProxy, Knot, a DNS server, and OpenSSL's program. Consul's agent
is fetched from an older Debian, and promtool out of a package that would start a server.
All of it except Debian's packages and rustup's target stays in the cache, `$XDG_CACHE_HOME/carme-ci` or
`~/.cache/carme-ci` (`CARME_CI_CACHE` overrides it), which can be deleted at any time.
"""

import argparse
import contextlib
import os
import shutil
import sys
from dataclasses import dataclass
from typing import Optional

import console
import debian
import fetched
import pythons
import toolchain
import windows_python
import wine as wine_module
from places import ON_WINDOWS, cache_dir


@dataclass
class Setup:
    """What the tests can use. `no_windows` says why there is no `wine`, in words for the summary."""

    rust: toolchain.Rust
    components: dict  # cargo subcommand -> whether it is there
    pythons: list  # paths, the main one first
    free_threaded: list
    wine: Optional[wine_module.Wine] = None
    windows_rust: Optional[toolchain.WindowsRust] = None
    no_windows: str = ""
    consul: Optional[str] = None
    promtool: Optional[str] = None
    no_skips: bool = False  # a test that misses a program which setup installs is a failure


class SetupFailed(Exception):
    """Something without which no test can run; the text names it and the cure."""


def prepare(with_wine=True, install=True, only_pythons=None):
    """Prints what it finds and installs, and returns it. `only_pythons`: use no other interpreters than these."""
    watch = console.Stopwatch()
    console.heading("setup")
    cache_dir().mkdir(parents=True, exist_ok=True)
    with _alone():
        rust, components = _rust()
        plain, free_threaded = _pythons(only_pythons)
        setup = Setup(rust, components, plain, free_threaded)
        if ON_WINDOWS:
            setup.no_windows = "this is Windows: stage `test` is the same"
        elif not with_wine:
            setup.no_windows = "left out by --no-wine"
        else:
            _windows(setup, install)
        _peers(install)
        setup.consul = _fetched(fetched.CONSUL, install, "members that a real Consul names")
        setup.promtool = _fetched(fetched.PROMTOOL, install, "what Prometheus says of the metrics")
        _optional()
    console.line("  ready after " + console.duration(watch.seconds))
    return setup


@contextlib.contextmanager
def _alone():
    """Two setups at once would tread on each other in the cache."""
    with open(str(cache_dir() / "setup.lock"), "a") as lock:
        if not ON_WINDOWS:
            import fcntl
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _rust():
    rust = toolchain.host()
    if rust is None:
        raise SetupFailed("cargo and rustc are not on PATH: install Rust, https://rustup.rs")
    if rust.version < toolchain.minimum():
        raise SetupFailed("{} is too old, Carme needs {}: run `rustup update`".format(
            rust.name, ".".join(map(str, toolchain.minimum()))))
    console.finding(console.FOUND, rust.name, rust.cargo)
    components = {name: rust.has_component(name) for name in ("fmt", "clippy", "nextest")}
    cures = {
        "fmt": "its stage is skipped; rustup component add rustfmt",
        "clippy": "its stages are skipped; rustup component add clippy",
        "nextest": "`cargo test` is used instead; https://nexte.st",
    }
    for name, there in components.items():
        if there:
            console.finding(console.FOUND, "cargo " + name)
        else:
            console.finding(console.OPTIONAL, "cargo " + name, "not installed: " + cures[name])
    return rust, components


def _pythons(only):
    ready = pythons.prepare(pythons.discover(only))
    plain = [python for interpreter, python in ready if not interpreter.free_threaded]
    free_threaded = [python for interpreter, python in ready if interpreter.free_threaded]
    if not plain:
        looked = ", ".join(only) if only else "PATH, pyenv's versions and the `py` launcher"
        raise SetupFailed("no CPython from 3.9 on gave a test environment; looked at " + looked)
    if not free_threaded:
        console.finding(console.OPTIONAL, "a free-threaded CPython", "none found: its tests are skipped")
    return plain, free_threaded


def _windows(setup, install):
    """Wine and what runs under it; the first obstacle ends it and becomes the reason for skipping."""
    setup.no_windows = wine_module.why_impossible() or ""
    if not setup.no_windows:
        try:
            windows_rust, status = toolchain.for_windows(setup.rust, install)
            console.finding(status, windows_rust.rust.name + " for " + toolchain.WINDOWS_TARGET,
                            str(windows_rust.sysroot or "its own standard library"))
            found, status = wine_module.ready(install)
            console.finding(status, found.version, str(found.prefix))
            if not windows_python.prepare(found, [setup.pythons[0], "-m", "pip"]):
                raise console.CommandFailed("no Windows CPython runs under Wine")
            setup.windows_rust, setup.wine = windows_rust, found
            return
        except console.CommandFailed as error:
            setup.no_windows = str(error)
    console.finding(console.MISSING, "the Windows tests are skipped", setup.no_windows)


# (program or file, Debian's package, what is skipped without it). `apache2` would start a server of its own; its program alone
# does not.
PEERS = [
    ("apache2", "apache2-bin", "what is compared with Apache: log lines, balancing"),
    ("/usr/lib/apache2/modules/mod_wsgi.so", "libapache2-mod-wsgi-py3", "what is compared with mod_wsgi"),
    ("goaccess", "goaccess", "reading the log with GoAccess"),
    ("awstats.pl", "awstats", "reading the log with AWStats"),
    ("haproxy", "haproxy", "what comes through a real proxy"),
    ("knotd", "knot", "members that a real DNS server names"),
    ("openssl", "openssl", "PFX files that it makes"),
]


def _peers(install):
    """Programs of others that tests use: as root they are installed, else their tests are skipped."""
    for program, package, test in PEERS:
        there, status = _program(program), console.FOUND
        if not there and install and debian.is_here() and os.geteuid() == 0:
            try:
                debian.install([package])
                there, status = _program(program), console.INSTALLED
            except console.CommandFailed as error:
                console.line("  {}: {}".format(package, error))
        console.finding(status if there else console.OPTIONAL, program,
                        there or "not installed: skipped is {}".format(test))


def _fetched(program, install, test):
    there, status = program.find(), console.FOUND
    if not there and install:
        try:
            program.fetch()
            there, status = program.find(), console.INSTALLED
        except console.CommandFailed as error:
            console.line("  {}: {}".format(program.name, error))
    console.finding(status if there else console.OPTIONAL, program.name,
                    there or "not installed: skipped is {}".format(test))
    return there


def _program(name):
    if os.path.isabs(name):
        return name if os.path.exists(name) else None
    # AWStats' program is where web servers look for such.
    return shutil.which(name) or shutil.which("/usr/sbin/" + name) or shutil.which("/usr/lib/cgi-bin/" + name)


def _optional():
    for program, use in (("wrk", "bench/"),):
        there = _program(program)
        console.finding(console.FOUND if there else console.OPTIONAL, program,
                        there or "not installed; only {} would use it".format(use))


def _found(program):
    return shutil.which(program) or shutil.which("/usr/sbin/" + program)


def add_options(parser):
    """The options that ci/test.py shares."""
    parser.add_argument("--no-wine", action="store_true", help="nothing for the Windows tests on Linux")
    parser.add_argument("--no-install", action="store_true", help="install no system package and no Rust target")
    parser.add_argument("--python", action="append", metavar="PROGRAM",
                        help="use this interpreter only (may be repeated)")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    options = parser.parse_args()
    console.start()
    try:
        prepare(not options.no_wine, not options.no_install, options.python)
    except (SetupFailed, console.CommandFailed) as error:
        sys.exit("ci/setup.py: {}".format(error))


if __name__ == "__main__":
    main()
