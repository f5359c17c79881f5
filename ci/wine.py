"""Wine: finding or installing it, a prefix of our own, and sessions in which Windows programs run.

As a program, it runs one cargo command the way the Windows stages of `ci/test.py` do:

    python3 ci/wine.py test -p carme-config          # cargo test --target x86_64-pc-windows-gnu …, under Wine
"""

import contextlib
import ctypes
import os
import platform
import shutil
import sys
from dataclasses import dataclass

import console
import debian
import toolchain
import windows_python
from places import CI, cache_dir, windows_target_dir

PACKAGE = "wine64"
# `wine` itself comes last: Debian's asks for 32-bit Wine, and says so to every program that it starts.
_LOADERS = ["/usr/lib/wine/wine64", "wine64", "wine"]
_SERVERS = ["/usr/lib/wine/wineserver64", "wineserver64", "wineserver", "/usr/lib/wine/wineserver"]

# linux/personality.h
_WHICH_PERSONALITY = 0xffffffff
_ADDR_NO_RANDOMIZE = 0x0040000


@dataclass(frozen=True)
class Wine:
    """An installed Wine; all its state is in `prefix`."""

    loader: str
    server: str
    version: str

    @property
    def prefix(self):
        return cache_dir() / "wine"

    def environment(self, base):
        """`base` for Windows programs: our prefix, no display, no chatter, nothing of a Linux Python's settings."""
        env = {key: value for key, value in base.items()
               if not key.startswith(("PYTHON", "WINE")) and key not in ("DISPLAY", "WAYLAND_DISPLAY")}
        env.update(
            WINEPREFIX=str(self.prefix), WINEARCH="win64", WINEDEBUG="-all",
            WINEDLLOVERRIDES="mscoree,mshtml=;winemenubuilder.exe=d",  # no .NET, no browser, no desktop files
            LC_ALL="C.UTF-8",
            CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUNNER=self._runner())
        return env

    def _runner(self):
        """Cargo splits it at spaces, so a checkout whose path has one does without `wine_runner`."""
        runner = [sys.executable, str(CI / "wine_runner.py"), self.loader]
        return self.loader if any(" " in part for part in runner) else " ".join(runner)

    def run(self, *command, timeout=120):
        """Runs a Windows program in a session and returns its output."""
        return console.quiet([self.loader] + list(command), timeout=timeout, env=self.environment(os.environ))

    @contextlib.contextmanager
    def session(self):
        """The prefix's wineserver, up until the last of the sessions of all processes ends.

        It is started first and with null streams. Otherwise Wine's services inherit the streams of whatever runs
        first, and whoever reads those waits for ever.
        """
        import fcntl
        self.prefix.mkdir(parents=True, exist_ok=True)
        env = self.environment(os.environ)
        with open(str(self.prefix) + ".sessions", "a") as sessions, addresses_not_random():
            fcntl.flock(sessions, fcntl.LOCK_SH)
            console.detached([self.server, "-p"], env=env)  # fails if one runs already, which is as good
            console.detached([self.loader, "wineboot", "-u"], timeout=300, env=env)
            try:
                yield self
            finally:
                with contextlib.suppress(BlockingIOError):
                    fcntl.flock(sessions, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    console.detached([self.server, "-k", "-w"], env=env)


@contextlib.contextmanager
def addresses_not_random():
    """What is started meanwhile, and whatever that starts, has its memory where it always has it.

    Wine must have the page at 0x7ffe0000. Debian's `wine64` is linked to 0x7d000000 and comes without Wine's preloader,
    so the kernel puts its heap anywhere in the GB behind: in one of some thousand starts onto that page. Wine gives up
    then, before the program has begun: with code 1, or, where a Windows program starts another, with error 1359.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    before = libc.personality(ctypes.c_ulong(_WHICH_PERSONALITY))
    if before == -1 or libc.personality(ctypes.c_ulong(before | _ADDR_NO_RANDOMIZE)) == -1:
        # Some containers forbid it.
        console.line("  one in some thousand programs will not start under Wine: addresses stay random here ({})".format(
            os.strerror(ctypes.get_errno())))
        yield
        return
    try:
        yield
    finally:
        libc.personality(ctypes.c_ulong(before))


def why_impossible():
    """The reason why Wine cannot run our programs on this machine, or None."""
    if sys.platform != "linux":
        return "Wine is used on Linux only"
    if platform.machine() not in ("x86_64", "AMD64"):
        return "the programs are for x86-64, this machine is " + platform.machine()
    return None


def find():
    """The installed Wine, or None."""
    loader = next(filter(None, map(shutil.which, _LOADERS)), None)
    server = next(filter(None, map(shutil.which, _SERVERS)), None)
    if not loader or not server:
        return None
    try:
        return Wine(loader, server, console.quiet([loader, "--version"], timeout=60).strip())
    except console.CommandFailed:
        return None


def ready(install):
    """A Wine with a working prefix; installs what is missing if `install`. `CommandFailed` names the obstacle."""
    wine, status = find(), console.FOUND
    if wine is None and install and debian.is_here():
        debian.install([PACKAGE])
        wine, status = find(), console.INSTALLED
    if wine is None:
        raise console.CommandFailed("64-bit Wine is missing (Debian, Ubuntu: {})".format(PACKAGE))
    if not _stamp(wine).exists():
        console.line("  making a Wine prefix in {} …".format(wine.prefix))
        _make_prefix(wine)
        status = console.INSTALLED
    return wine, status


def _stamp(wine):
    return wine.prefix / ("carme-ci." + wine.version.split()[0])


def _make_prefix(wine):
    shutil.rmtree(str(wine.prefix), ignore_errors=True)
    with wine.session():
        console.detached([wine.loader, "winecfg", "-v", "win10"], env=wine.environment(os.environ))
        system = wine.prefix / "drive_c" / "windows" / "system32"
        if not system.is_dir():
            raise console.CommandFailed("wineboot made no prefix in {}".format(wine.prefix))
        if not (system / "bcryptprimitives.dll").exists():
            console.quiet([toolchain.MINGW, "-shared", "-O2", "-s", "-o", system / "bcryptprimitives.dll",
                           CI / "bcryptprimitives.c", "-ladvapi32"])
    _stamp(wine).touch()


def cargo_environment(wine, windows_rust, base):
    """`base` for `cargo … --target x86_64-pc-windows-gnu` whose test programs run under `wine`."""
    env = windows_rust.environment(wine.environment(base))
    env.pop("CARME_BIN", None)  # it names a program of this machine
    env.update(CARGO_TARGET_DIR=str(windows_target_dir()), CARME_TEST_WINE=wine.version,
               CARME_TEST_PYTHONS=windows_python.as_variable(windows_python.present()))
    return env


def cargo_command(windows_rust, arguments):
    """`cargo ARGUMENTS`, for the Windows target; `nextest` takes it after its own subcommand."""
    at = 2 if arguments[0] == "nextest" else 1
    target = ["--target", toolchain.WINDOWS_TARGET]
    return windows_rust.rust.command(arguments[0]) + arguments[1:at] + target + arguments[at:]


def main(arguments):
    if not arguments:
        sys.exit(__doc__)
    console.start()
    rust = toolchain.host()
    if rust is None:
        sys.exit("cargo and rustc are not on PATH: install Rust, https://rustup.rs")
    try:
        windows_rust, _ = toolchain.for_windows(rust, install=False)
        wine, _ = ready(install=False)
    except console.CommandFailed as error:
        sys.exit("{}\n(python3 ci/setup.py installs what is missing)".format(error))
    env = cargo_environment(wine, windows_rust, os.environ)
    try:
        with wine.session():
            console.shown(cargo_command(windows_rust, arguments), timeout=3600, env=env)
    except console.CommandFailed as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main(sys.argv[1:])
