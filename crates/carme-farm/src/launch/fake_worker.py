"""A worker in plain Python, for tests: it speaks the control protocol and does what CARME_TEST_ROLE says."""

import array
import json
import os
import socket
import struct
import sys
import tempfile
import time


class Link:
    def __init__(self):
        kind, _, rest = os.environ["CARME_LINK"].partition(":")
        self.unix = kind == "fd"
        if self.unix:
            self.up = self.down = socket.socket(fileno=int(rest))
        else:
            port, token = rest.split(":")
            self.up, self.down, *self.bells = (
                self.connect(int(port), role, bytes.fromhex(token)) for role in range(6))
        self.handles = []

    @staticmethod
    def connect(port, role, token):
        connection = socket.create_connection(("127.0.0.1", port))
        connection.sendall(b"carme/1" + bytes([role]) + token)
        return connection

    def send(self, message, handle=None):
        body = json.dumps(message).encode()
        head = struct.pack("<IB3x", len(body), int(handle is not None))
        if handle is None:
            self.up.sendall(head + body)
        elif self.unix:
            rights = array.array("i", [handle])
            self.up.sendmsg([head + body], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
        else:
            self.up.sendall(head + struct.pack("<Q", handle) + body)

    def exactly(self, length):
        data = b""
        while len(data) < length:
            if self.unix:
                more, rights, _, _ = self.down.recvmsg(length - len(data), 1024)
                for _, _, received in rights:
                    fds = array.array("i")
                    fds.frombytes(received)
                    self.handles.extend(fds)
            else:
                more = self.down.recv(length - len(data))
            if not more:
                sys.exit(0)
            data += more
        return data

    def receive(self):
        length, handles = struct.unpack("<IB3x", self.exactly(8))
        if not self.unix:
            self.exactly(8 * handles)
        return json.loads(self.exactly(length))


def hello(**changes):
    python = dict(version=list(sys.version_info[:3]), implementation=sys.implementation.name,
                  free_threaded=False, executable=sys.executable)
    python.update(changes)
    link.send({"type": "hello", "protocol": 2, "pid": os.getpid(), "python": python})


def ready():
    hello()
    welcome = link.receive()
    link.send({"type": "ready", "interface": "wsgi", "attribute": "application", "title": welcome["app"]["target"]})
    return welcome


role = os.environ["CARME_TEST_ROLE"]
if role == "launcher" and "CARME_TEST_LAUNCHED" not in os.environ:
    # As a virtual environment's python.exe on Windows: the worker is its child.
    import subprocess
    fds = () if os.name == "nt" else (int(os.environ["CARME_LINK"][3:]),)
    inherited = {} if os.name == "nt" else {"pass_fds": fds}
    sys.exit(subprocess.call([sys.executable, *sys.argv], env={**os.environ, "CARME_TEST_LAUNCHED": "1"}, **inherited))
if role == "early exit":
    sys.exit("this interpreter cannot be served")
if role == "deaf":
    time.sleep(1000)
link = Link()
if role == "free-threaded":
    hello(free_threaded=True, version=[3, 13, 1])
elif role == "old":
    hello(version=[3, 8, 20])
elif role == "pypy":
    hello(implementation="pypy")
elif role == "import failed":
    hello()
    link.receive()
    link.send({"type": "import_failed", "message": "No module named 'nope'", "traceback": "Traceback: nope"})
elif role == "garbage":
    hello()
    link.receive()
    link.up.sendall(b"\xff" * 8)
elif role == "not a file":
    ready()
    reader, writer = os.pipe()
    if os.name == "nt":
        import msvcrt
        reader = msvcrt.get_osfhandle(reader)
    link.send({"type": "file", "stream": 7, "offset": 0, "length": 1}, reader)
elif role == "file":
    ready()
    file = tempfile.TemporaryFile()
    file.write(b"content")
    file.flush()
    handle = file.fileno()
    if os.name == "nt":
        import msvcrt
        # A handle for the front, which closes it here.
        handle = msvcrt.get_osfhandle(os.dup(handle))
    link.send({"type": "need_file", "stream": 6})
    link.send({"type": "file", "stream": 7, "offset": 2, "length": 5}, handle)
elif role == "crash":
    ready()
    os._exit(3)
else:
    welcome = ready()
    print("serving", welcome["app"]["route"], flush=True)
    print("on", os.environ["CARME_TEST_EXTRA"], "in", os.getcwd(), file=sys.stderr, flush=True)
while True:
    message = link.receive()
    if message["type"] in ("drain", "stop"):
        # Not sys.exit: on Windows a descriptor that the front has taken is closed already.
        os._exit(0)
