"""Gets what a run needs: the peers in an environment of their own, Debian's packages, the Rust programs.

Nothing here ends the run: what cannot be had is noted in `Tools.missing` under the product's name, and the servers that
need it are skipped by name with that reason.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from . import places

DEBIAN_PYTHON = "/usr/bin/python3"
APT = {"wrk": "wrk", "apache": "apache2", "mod_wsgi": "libapache2-mod-wsgi-py3"}
PRESENT = {
    "wrk": lambda: shutil.which("wrk"),
    "apache": lambda: os.path.exists("/usr/sbin/apache2"),
    "mod_wsgi": lambda: os.path.exists("/usr/lib/apache2/modules/mod_wsgi.so"),
}


class CannotRun(Exception):
    """Without this nothing can be measured."""


@dataclass
class Tools:
    venv: Path
    carme: Path
    bare_hyper: Path
    wrk: str = "wrk"
    #: The frameworks for Debian's own Python, which mod_wsgi is linked to.
    debian_packages: Path = None
    #: Product to the reason why it cannot be used.
    missing: dict = field(default_factory=dict)
    versions: dict = field(default_factory=dict)

    @property
    def python(self) -> Path:
        return self.venv / "bin" / "python"

    def script(self, name: str) -> Path:
        return self.venv / "bin" / name


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def call(argv, **more):
    """None if it went well, else its last words."""
    try:
        done = subprocess.run(
            [str(word) for word in argv], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **more
        )
    except OSError as error:
        return f"{argv[0]}: {error.strerror}"
    return None if done.returncode == 0 else (done.stdout.strip().splitlines() or ["no output"])[-1]


def output(argv) -> str:
    try:
        done = subprocess.run([str(word) for word in argv], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    except OSError:
        return ""
    return done.stdout.strip()


def prepare(python: str, products: set, carme: str = None) -> Tools:
    """Everything for the servers of `products`, built or installed where it is missing."""
    places.WORK.mkdir(exist_ok=True)
    tools = Tools(
        venv=places.WORK / "venv",
        carme=Path(carme or places.TARGET / "release" / "carme"),
        bare_hyper=places.TARGET / "release" / "bare-hyper",
    )
    environment(tools, python)
    debian(tools, {"wrk"} | ({"mod_wsgi"} & products) | ({"apache"} if products & {"mod_wsgi", "apache-farm"} else set()))
    if "wrk" in tools.missing:
        raise CannotRun(f"wrk, the load generator, is missing: {tools.missing['wrk']}")
    if "mod_wsgi" in products and "mod_wsgi" not in tools.missing:
        packages_for_debian(tools)
    if "carme" in products:
        if carme is None:
            build(tools, "carme", "carme", tools.carme)
        elif not tools.carme.exists():
            tools.missing["carme"] = f"{carme} does not exist"
    if "bare-hyper" in products:
        build(tools, "bare-hyper", "bare-hyper", tools.bare_hyper)
    find_versions(tools)
    return tools


def environment(tools: Tools, python: str) -> None:
    """The environment is made anew when the interpreter or the list changes."""
    wanted = places.BENCH / "peers.txt"
    who = output([python, "-c", "import sys; print(sys.version, sys.prefix)"])
    if not who:
        raise CannotRun(f"{python} is no Python that can be run")
    stamp = hashlib.sha256(wanted.read_bytes() + who.encode()).hexdigest()
    note = tools.venv / "stamp"
    if note.exists() and note.read_text() == stamp:
        missing_scripts(tools)
        return
    say(f"installing the peers into {tools.venv}")
    shutil.rmtree(tools.venv, ignore_errors=True)
    failed = call([python, "-m", "venv", tools.venv])
    if failed:
        raise CannotRun(f"{python} -m venv failed: {failed} (Debian: apt-get install python3-venv)")
    pip = [tools.python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    failed = call(pip + ["-r", wanted])
    if failed:
        raise CannotRun(f"pip install -r {wanted} failed: {failed}")
    failed = call(pip + ["uwsgi"])
    missing_scripts(tools)
    if failed:
        tools.missing["uwsgi"] = f"pip could not build it (it needs a C compiler and Python's headers): {failed}"
        return  # no stamp: the next run tries again
    note.write_text(stamp)


def missing_scripts(tools: Tools) -> None:
    for product, script in (("granian", "granian"), ("gunicorn", "gunicorn"), ("waitress", "waitress-serve"), ("uwsgi", "uwsgi")):
        if not tools.script(script).exists():
            tools.missing[product] = f"pip did not install {script}"


def debian(tools: Tools, products: set) -> None:
    lacking = sorted(product for product in products if not PRESENT[product]())
    if lacking and os.geteuid() == 0 and shutil.which("apt-get"):
        packages = [APT[product] for product in lacking]
        say(f"apt-get install {' '.join(packages)}")
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        call(["apt-get", "update"], env=quiet)
        call(["apt-get", "install", "-y", "--no-install-recommends", *packages], env=quiet)
    for product in lacking:
        if not PRESENT[product]():
            tools.missing[product] = f"not installed; on Debian, as root: apt-get install {APT[product]}"


def packages_for_debian(tools: Tools) -> None:
    """Flask and Django for the interpreter that mod_wsgi carries; the environment's may be for another version."""
    version = output([DEBIAN_PYTHON, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"])
    folder = places.WORK / f"packages-{version}"
    if not folder.exists():
        # Beside it first: a broken download must not look like a finished one.
        unfinished = folder.with_suffix(".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        pip = [tools.python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target", unfinished]
        failed = call(pip + ["--python-version", version, "--only-binary=:all:", "Flask>=3.0,<4", "Django>=4.2,<7"])
        if failed:
            say(f"mod_wsgi will not serve the examples: no Flask and Django for Python {version}: {failed}")
            return
        unfinished.rename(folder)
    tools.debian_packages = folder


def build(tools: Tools, product: str, package: str, program: Path) -> None:
    say(f"cargo build --release -p {package}")
    try:
        code = subprocess.run(["cargo", "build", "--release", "--quiet", "-p", package], cwd=places.ROOT).returncode
    except OSError as error:
        tools.missing[product] = f"cargo cannot be run: {error.strerror}"
        return
    if code != 0 or not program.exists():
        tools.missing[product] = f"cargo build --release -p {package} failed (see above)"


def find_versions(tools: Tools) -> None:
    listed = output([tools.python, "-m", "pip", "list", "--disable-pip-version-check", "--format=freeze"])
    known = dict(line.lower().split("==") for line in listed.splitlines() if "==" in line)
    for product in ("granian", "gunicorn", "gunicorn_h1c", "waitress", "uwsgi", "flask", "django"):
        if product in known:
            tools.versions[product] = known[product]
    tools.versions["python"] = output([tools.python, "-c", "import sys; print(sys.version.split()[0])"])
    tools.versions["wrk"] = output([tools.wrk, "--version"]).splitlines()[0].replace("wrk ", "").split(" [")[0]
    if "apache" not in tools.missing and os.path.exists("/usr/sbin/apache2"):
        tools.versions["apache"] = output(["/usr/sbin/apache2", "-v"]).splitlines()[0].partition("Apache/")[2].split()[0]
        tools.versions["mod_wsgi's python"] = output([DEBIAN_PYTHON, "-c", "import sys; print(sys.version.split()[0])"])
        tools.versions["mod_wsgi"] = output(["dpkg-query", "-W", "-f", "${Version}", "libapache2-mod-wsgi-py3"])
    if "carme" not in tools.missing and tools.carme.exists():
        tools.versions["carme"] = output([tools.carme, "--version"]).replace("carme ", "")
