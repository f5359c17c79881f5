"""What the user sees: headings, one line for each finding, and the output of the commands that are run.

Commands never get our standard input, and their output always comes through a pipe, for two reasons: a log file as
standard output would end a Windows Python under Wine at start (WinError 6), and a process left behind by a command
must not keep the whole run waiting for the end of its output.
"""

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import threading
import time

from places import ON_WINDOWS

# How long output is still passed on after its command has ended, if something else holds the pipe open.
LATE_OUTPUT_SECONDS = 5

FOUND, INSTALLED, MISSING, OPTIONAL = "found", "installed", "missing", "optional"


def line(text=""):
    print(text, flush=True)


def heading(text):
    line()
    line("== " + text + " " + "=" * max(3, 100 - len(text)))


def finding(status, what, detail=""):
    """One line of setup's account: `status` is FOUND, INSTALLED, MISSING or OPTIONAL."""
    line("  {:<10} {}{}".format(status, what, ": " + detail if detail else ""))


def duration(seconds):
    """`12.3 s` below a minute, `3 min 05 s` above."""
    if seconds < 60:
        return "{:.1f} s".format(seconds)
    minutes, rest = divmod(int(round(seconds)), 60)
    return "{} min {:02d} s".format(minutes, rest)


class CommandFailed(Exception):
    """A command ended with another code than 0, or did not end in time; the text says which and how."""


def quiet(command, timeout=600, env=None, cwd=None):
    """Runs `command` and returns its standard output as text; `CommandFailed` holds the end of its output."""
    command = [str(part) for part in command]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout,
            env=env, cwd=cwd and str(cwd), encoding="utf-8", errors="replace", check=False)
    except OSError as error:
        raise CommandFailed("{} cannot be run: {}".format(command[0], error)) from None
    except subprocess.TimeoutExpired:
        raise CommandFailed("{} did not end within {}".format(shlex.join(command), duration(timeout))) from None
    if done.returncode != 0:
        tail = "\n    ".join((done.stdout + done.stderr).strip().splitlines()[-15:])
        raise CommandFailed("{} ended with {}:\n    {}".format(shlex.join(command), done.returncode, tail))
    return done.stdout


def detached(command, timeout=120, env=None):
    """Runs `command` with every stream on the null device, for programs whose children outlive them."""
    command = [str(part) for part in command]
    null = subprocess.DEVNULL
    try:
        done = subprocess.run(command, stdin=null, stdout=null, stderr=null, timeout=timeout, env=env, check=False)
        return done.returncode
    except subprocess.TimeoutExpired:
        raise CommandFailed("{} did not end within {}".format(shlex.join(command), duration(timeout))) from None


def shown(command, timeout, env=None, cwd=None):
    """Prints `command`, runs it, passes its output on as it comes and raises `CommandFailed` if it fails.

    The command gets a process group of its own. It is ended as a whole after `timeout` seconds or when this program
    is interrupted.
    """
    command = [str(part) for part in command]
    line("$ " + shlex.join(command))
    group = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP} if ON_WINDOWS else {"start_new_session": True}
    try:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env,
            cwd=cwd and str(cwd), **group)
    except OSError as error:
        raise CommandFailed("{} cannot be run: {}".format(command[0], error)) from None
    relay = threading.Thread(target=_relay, args=(child.stdout,), daemon=True)
    relay.start()
    try:
        code = child.wait(timeout)
    except subprocess.TimeoutExpired:
        _end_group(child)
        raise CommandFailed("did not end within {}: {}".format(duration(timeout), shlex.join(command))) from None
    except BaseException:
        _end_group(child)
        raise
    finally:
        relay.join(LATE_OUTPUT_SECONDS)
        if not relay.is_alive():
            child.stdout.close()
    if code != 0:
        raise CommandFailed("ended with {}: {}".format(code, shlex.join(command)))


def _relay(stream):
    out = sys.stdout.buffer
    while True:
        chunk = stream.read1(65536)
        if not chunk:
            return
        out.write(chunk)
        out.flush()


def _end_group(child):
    if ON_WINDOWS:
        detached(["taskkill", "/F", "/T", "/PID", str(child.pid)])
    else:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def start():
    """To be called first by every program here.

    Any character can be printed, whatever the console's code page; and SIGTERM, with which a CI system ends us, runs
    the `finally` blocks, so that no Wine and no test program stays behind.
    """
    sys.stdout.reconfigure(encoding="utf-8", errors="replace")
    if not ON_WINDOWS:
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))


class Stopwatch:
    """Seconds since it was made."""

    def __init__(self):
        self._start = time.monotonic()

    @property
    def seconds(self):
        return time.monotonic() - self._start
