"""The stages of `ci/test.py`: what each one runs, in which target directory, and when it is skipped.

Everything is compiled with the dev profile. The tests spend their time in processes and sockets, so an optimised
build would cost far more minutes of compiling than it saves in running. Only loom's exhaustive searches want speed.
"""

import functools
import os
import sys
from dataclasses import dataclass
from typing import Callable

import console
import skips
import toolchain
import windows_python
import wine as wine_module
from places import CI, ON_WINDOWS, ROOT, loom_target_dir, target_dir, windows_target_dir

# Seconds after which a command is ended as hung. Single tests have shorter limits of their own under nextest.
COMPILING = 45 * 60
TESTING = 40 * 60

# (crate, the cargo arguments that select its loom tests); they are compiled with `--cfg loom`.
LOOM = [
    ("carme-ring", ["--test", "loom"]),
]

# Tests written in Python, run by each CPython that was found.
PYTHON_TESTS = [
    "examples/test_examples.py",
    "docs/test_check_examples.py",
]
if not ON_WINDOWS:
    PYTHON_TESTS.append("bench/test_bench.py")  # the benchmarks read /proc

# What `cargo build` must have made before the integration tests start the program.
EVERYTHING = ["--workspace", "--all-targets"]


class Skipped(Exception):
    """The stage cannot run here; the text is the reason."""


@dataclass(frozen=True)
class Stage:
    """`run` takes the `Setup`; it raises `console.CommandFailed` or `Skipped`.

    It returns `[(test, reason), …]` if it leaves single tests out, else None.
    """

    name: str
    title: str
    run: Callable


def _cargo(setup, subcommand, *arguments, timeout=COMPILING, **variables):
    env = dict(os.environ, CARGO_TARGET_DIR=str(target_dir()))
    env.update(_python_variables(setup.pythons, setup.free_threaded, os.pathsep))
    if setup.consul:
        env["CARME_TEST_CONSUL"] = setup.consul
    if setup.promtool:
        env["CARME_TEST_PROMTOOL"] = setup.promtool
    if setup.no_skips and not ON_WINDOWS:
        env["CARME_TEST_NO_SKIPS"] = "1"
    env.update(variables)
    console.shown(setup.rust.command(subcommand) + list(arguments), timeout, env, ROOT)


def _python_variables(pythons, free_threaded, separator):
    variables = {"CARME_TEST_PYTHONS": separator.join(map(str, pythons))}
    if free_threaded:
        variables["CARME_TEST_FREE_THREADED"] = str(free_threaded[0])
    return variables


def _need(setup, component):
    if not setup.components[component]:
        raise Skipped("cargo {} is not installed".format(component))


def scripts(setup):
    console.shown([sys.executable, "-m", "unittest", "discover", "--start-directory", CI / "tests"], 300, cwd=ROOT)


def fmt(setup):
    _need(setup, "fmt")
    _cargo(setup, "fmt", "--all", "--check", timeout=300)


def clippy(setup):
    _need(setup, "clippy")
    _cargo(setup, "clippy", *EVERYTHING, "--", "-D", "warnings")


def test(setup):
    _cargo(setup, "build", *EVERYTHING)
    if setup.components["nextest"]:
        _cargo(setup, "nextest", "run", "--workspace", "--no-fail-fast", timeout=TESTING)
    else:
        _cargo(setup, "test", "--workspace", "--lib", "--bins", "--tests", "--no-fail-fast", timeout=TESTING)


def doc(setup):
    """The examples in the documentation, then the documentation itself: a broken link is an error."""
    _one_by_one([
        lambda: _cargo(setup, "test", "--workspace", "--doc", "--no-fail-fast"),
        lambda: _cargo(setup, "doc", "--workspace", "--no-deps", RUSTDOCFLAGS="-D warnings"),
    ])


def guide(setup):
    """Every example of the user's guide with the program just built, and the guide's links."""
    program = target_dir() / "debug" / ("carme.exe" if ON_WINDOWS else "carme")
    _one_by_one([
        functools.partial(console.shown, [sys.executable, ROOT / "docs" / "check_links.py"], 60, cwd=ROOT),
        lambda: _cargo(setup, "build", *EVERYTHING),
        functools.partial(console.shown, [sys.executable, ROOT / "docs" / "check_examples.py", "--carme", program,
                                          "--python", setup.pythons[0]], TESTING, cwd=ROOT),
    ])


def python(setup):
    """On every interpreter, the one part of the tests that is theirs alone."""
    _one_by_one([
        functools.partial(console.shown, [interpreter, "-B", ROOT / script], 600, cwd=ROOT)
        for interpreter in setup.pythons for script in PYTHON_TESTS
    ])


def loom(setup):
    """Release, for speed, but with checks on and without the link-time optimisation that costs a minute."""
    _one_by_one([
        functools.partial(
            _cargo, setup, "test", "--package", crate, "--release", *selection, "--no-fail-fast",
            CARGO_TARGET_DIR=str(loom_target_dir()), RUSTFLAGS="--cfg loom",
            CARGO_PROFILE_RELEASE_LTO="off", CARGO_PROFILE_RELEASE_CODEGEN_UNITS="16",
            CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS="true", CARGO_PROFILE_RELEASE_DEBUG="0")
        for crate, selection in LOOM
    ])


def _one_by_one(runs):
    """Runs all of them, whichever fail, and then fails with what failed."""
    failures = []
    for run in runs:
        try:
            run()
        except console.CommandFailed as failed:
            failures.append(str(failed))
    if failures:
        raise console.CommandFailed("\n".join(failures))


def _windows_cargo(setup, subcommand, *arguments, timeout=COMPILING):
    env = wine_module.cargo_environment(setup.wine, setup.windows_rust, os.environ)
    # Linux programs, which would look for their files where Wine has none. Nor are the others there.
    for name in ("CARME_TEST_CONSUL", "CARME_TEST_PROMTOOL", "CARME_TEST_NO_SKIPS"):
        env.pop(name, None)
    console.shown(wine_module.cargo_command(setup.windows_rust, [subcommand] + list(arguments)), timeout, env, ROOT)


def _need_wine(setup):
    if setup.wine is None:
        raise Skipped(setup.no_windows)


def windows_clippy(setup):
    _need_wine(setup)
    if not setup.windows_rust.rust.has_component("clippy"):
        raise Skipped("the toolchain for {} has no clippy".format(toolchain.WINDOWS_TARGET))
    _windows_cargo(setup, "clippy", *EVERYTHING, "--", "-D", "warnings")


def windows_test(setup):
    _need_wine(setup)
    _windows_cargo(setup, "build", *EVERYTHING)
    with setup.wine.session():
        if setup.components["nextest"]:
            _windows_cargo(setup, "nextest", "run", "--workspace", "--profile", "wine", "--no-fail-fast",
                           *skips.nextest_arguments(), timeout=TESTING)
        else:
            _windows_cargo(setup, "test", "--workspace", "--lib", "--bins", "--tests", "--no-fail-fast", "--",
                           *skips.libtest_arguments(), timeout=TESTING)
    return skips.UNDER_WINE


def windows_guide(setup):
    """The guide's examples for Windows and for both, as Windows programs with a Windows CPython."""
    _need_wine(setup)
    python = windows_python.present()[0]
    _windows_cargo(setup, "build", *EVERYTHING)
    program = windows_target_dir() / toolchain.WINDOWS_TARGET / "debug" / "carme.exe"
    python, checker, program = map(windows_python.windows_path, (python, ROOT / "docs" / "check_examples.py", program))
    with setup.wine.session():
        console.shown([setup.wine.loader, python, "-X", "utf8", checker, "--carme", program, "--python", python],
                      TESTING, setup.wine.environment(os.environ), ROOT)


STAGES = [
    Stage("scripts", "the test scripts' own tests", scripts),
    Stage("fmt", "formatting", fmt),
    Stage("clippy", "lints", clippy),
    Stage("test", "unit and integration tests on this machine", test),
    Stage("python", "the examples, on every CPython", python),
    Stage("doc", "documentation and its examples", doc),
    Stage("guide", "the examples of the user's guide", guide),
    Stage("loom", "memory orderings, exhaustively", loom),
    Stage("windows-clippy", "lints for Windows", windows_clippy),
    Stage("windows-test", "unit and integration tests for Windows, under Wine", windows_test),
    Stage("windows-guide", "the examples of the user's guide for Windows, under Wine", windows_guide),
]
