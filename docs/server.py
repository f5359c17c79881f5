"""Starts a server for an example, reads its address from what it prints, and stops it as a user would."""

import os
import re
import signal
import subprocess
import threading

START_SECONDS = 60
STOP_SECONDS = 30
ADDRESS = re.compile(r"http://(127\.0\.0\.1|localhost|\[::1\]):([1-9]\d*)")


def under_wine():
    """Whether this is Wine's Windows."""
    if os.name != "nt":
        return False
    import ctypes
    return hasattr(ctypes.windll.ntdll, "wine_get_version")


class ServerFailed(Exception):
    """It did not start, or did not stop, as it should; the text has its output."""


class Server:
    """A context: inside, `address` answers; at the end nothing of it runs any more."""

    def __init__(self, command, cwd, env):
        self.command = command
        group = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP} if os.name == "nt" else {}
        self.process = subprocess.Popen(
            command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            encoding="utf-8", errors="replace", **group)
        self.address = None
        self._lines = []
        self._told = threading.Event()  # the address is known, or the output has ended
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self):
        told = self._told.wait(START_SECONDS)
        if self.address is None:
            self._kill()
            what = "ended" if told else f"printed no http://127.0.0.1:PORT within {START_SECONDS} seconds"
            raise ServerFailed(f"`{self._shown()}` {what}:\n{self.output()}")
        return self

    def __exit__(self, kind, error, trace):
        self._kill()

    def output(self):
        return "".join(self._lines)

    def stop(self):
        """As a service manager or Ctrl+C does it; it must end by itself, successfully. An example may have stopped it."""
        if self.process.poll() is None and under_wine():
            return  # without a display Wine has no console that would pass the event on
        if self.process.poll() is None:
            self.process.send_signal(signal.CTRL_BREAK_EVENT if os.name == "nt" else signal.SIGTERM)
        try:
            code = self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            raise ServerFailed(f"`{self._shown()}` did not stop within {STOP_SECONDS} seconds:\n{self.output()}") from None
        if code != 0:
            self._reader.join(5)
            raise ServerFailed(f"`{self._shown()}` was asked to stop and ended with {code}:\n{self.output()}")

    def _shown(self):
        return " ".join(["carme", *self.command[1:]])

    def _read(self):
        for line in self.process.stdout:
            self._lines.append(line)
            if self.address is None and (found := ADDRESS.search(line)):
                self.address = found[0]
                self._told.set()
        self._told.set()

    def _kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join(5)
        self.process.stdout.close()
