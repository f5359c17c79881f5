"""The CPythons of this machine, each with a virtual environment that holds Flask and Django.

One interpreter for each minor version from `pins.OLDEST` on. They are looked for in this order: the one that runs
this script, PATH, pyenv's versions, and Windows' `py` launcher.
"""

import concurrent.futures
import json
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import console
import pins
from places import ON_WINDOWS, cache_dir

NEWEST_LOOKED_FOR = 15  # python3.15 on PATH; pyenv and the launcher are taken as they are

_ASK = """
import json, platform, sys, sysconfig
print(json.dumps({
    "path": sys.executable, "prefix": sys.base_prefix, "version": list(sys.version_info[:3]),
    "implementation": platform.python_implementation(),
    "free_threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")), "bits": 64 if sys.maxsize > 2**32 else 32,
    "release": sys.version_info.releaselevel == "final",
    "venv": all(__import__("importlib.util").util.find_spec(name) for name in ("venv", "ensurepip")),
}))
"""


@dataclass(frozen=True)
class Interpreter:
    """An interpreter as it described itself."""

    path: str
    prefix: str
    version: tuple
    free_threaded: bool
    can_make_venv: bool

    @property
    def minor(self):
        return self.version[:2]

    @property
    def name(self):
        number = ".".join(map(str, self.version))
        return "CPython " + number + (" (free-threaded)" if self.free_threaded else "")


def ask(path):
    """Runs the interpreter and returns what it is; None if it is no usable CPython."""
    try:
        answer = json.loads(console.quiet([path, "-I", "-c", _ASK], timeout=60))
    except (console.CommandFailed, ValueError):
        return None
    return from_answer(answer)


def from_answer(answer):
    """The `Interpreter` for one answer, or None for what Carme does not serve (PyPy, 32 bits, a beta, too old)."""
    usable = answer["implementation"] == "CPython" and answer["bits"] == 64 and answer["release"]
    if not usable or tuple(answer["version"][:2]) < pins.OLDEST:
        return None
    return Interpreter(answer["path"], answer["prefix"], tuple(answer["version"]), answer["free_threaded"], answer["venv"])


def candidates():
    """Paths where an interpreter may be, the preferred of each version first."""
    yield sys.executable
    for minor in range(NEWEST_LOOKED_FOR, pins.OLDEST[1] - 1, -1):
        for suffix in ("", "t"):
            yield shutil.which("python3.{}{}".format(minor, suffix))
    yield shutil.which("python3")
    yield shutil.which("python")
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    if pyenv.is_dir():
        for version in sorted(pyenv.iterdir(), reverse=True):
            yield str(version / "bin" / "python")
    if ON_WINDOWS and shutil.which("py"):
        try:
            yield from launcher_paths(console.quiet(["py", "-0p"], timeout=60))
        except console.CommandFailed:
            return


def launcher_paths(text):
    """The interpreters in the answer of `py -0p`, whose lines are ` -V:3.13 *   C:\\Python313\\python.exe`."""
    for row in text.splitlines():
        start = row.find(":\\")
        if start > 0:
            yield row[start - 1:].strip()


def discover(only=None):
    """The interpreters, newest first, the free-threaded ones at the end; of the programs `only`, if it is given."""
    best = {}
    seen = set()
    for path in map(shutil.which, only) if only else candidates():
        if not path or not os.path.exists(path) or os.path.realpath(path) in seen and not _is_shim(path):
            continue
        seen.add(os.path.realpath(path))
        interpreter = ask(path)
        if interpreter is None:
            continue
        key = (interpreter.free_threaded, interpreter.minor)
        known = best.get(key)
        if known is None or interpreter.can_make_venv and not known.can_make_venv:
            best[key] = interpreter
    return sorted(best.values(), key=lambda one: (one.free_threaded, [-part for part in one.version]))


def _is_shim(path):
    """pyenv's shims are copies of one script: the name decides what they run."""
    return os.sep + "shims" + os.sep in path


def prepare(interpreters):
    """Makes or checks the environments, two at a time. Returns `[(Interpreter, path of its python), …]`."""
    ready = []
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        jobs = [(one, pool.submit(environment, one)) for one in interpreters if one.can_make_venv]
        for one in interpreters:
            if not one.can_make_venv:
                console.finding(console.MISSING, one.name, one.path + " cannot make virtual environments "
                                "(Debian, Ubuntu: apt-get install python{}.{}-venv)".format(*one.minor))
        for one, job in jobs:
            try:
                python, fresh = job.result()
            except console.CommandFailed as error:
                console.finding(console.MISSING, one.name, "no test environment: {}".format(error))
                continue
            status = console.INSTALLED if fresh else console.FOUND
            console.finding(status, one.name, "{}; tests use {}".format(pins.frameworks(one.minor), python))
            ready.append((one, python))
    return ready


def environment(interpreter):
    """The python of the interpreter's test environment, and whether it was made just now."""
    home = cache_dir() / "pythons" / ("{}.{}".format(*interpreter.minor) + ("t" if interpreter.free_threaded else ""))
    python = home / ("Scripts/python.exe" if ON_WINDOWS else "bin/python")
    wanted = [] if interpreter.free_threaded else pins.packages(interpreter.minor, ON_WINDOWS)
    stamp = home / "carme-ci.json"
    state = json.dumps([interpreter.prefix, interpreter.version, wanted])
    if python.exists() and stamp.exists() and stamp.read_text() == state:
        return str(python), False
    console.quiet([interpreter.path, "-m", "venv", "--clear", home])
    if wanted:
        pip = [python, "-m", "pip", "--disable-pip-version-check"]
        console.quiet(pip + ["install", "--quiet", "--no-deps"] + wanted)
        console.quiet(pip + ["check"])
    stamp.write_text(state)
    return str(python), True
