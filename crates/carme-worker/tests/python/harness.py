"""Runs one request through the native layer, without a front: the library is in CARME_WORKER_LIBRARY."""

import contextlib
import importlib.machinery
import importlib.util
import io
import os
import unittest
from wsgiref.validate import check_environ

LIBRARY = os.environ["CARME_WORKER_LIBRARY"]


def load():
    loader = importlib.machinery.ExtensionFileLoader("carme_worker_native", LIBRARY)
    spec = importlib.util.spec_from_file_location("carme_worker_native", LIBRARY, loader=loader)
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


native = load()

DEFAULTS = dict(
    method=b"GET",
    target=b"/a%20b?x=1",
    script_name=b"",
    path=b"/a b",
    query=b"x=1",
    server_name=b"example.org",
    server_port=8000,
    remote_addr=b"192.0.2.7",
    remote_port=4711,
    request_id=b"3f2a",
    headers=[(b"host", b"example.org:8000")],
)


def watched(app):
    """The app, seeing only what wsgiref.validate has nothing against.

    The rest of the validator, which watches the app, stands around the apps of tests/apps and of worker.rs: here it would
    hide the very lists and files whose treatment is tested, and many of these apps break the rules on purpose.
    """

    def run(environ, start_response):
        check_environ(environ)
        return app(environ, start_response)

    return run


class Answer:
    """The records of one request, put together."""

    def __init__(self, app, **request):
        self.stderr = io.StringIO()
        with contextlib.redirect_stderr(self.stderr):
            self.records = native.serve_once(watched(app), {**DEFAULTS, **request})
        self.errors = self.stderr.getvalue()
        self.kinds = [r["kind"] for r in self.records]
        first = self.records[0]
        self.status = first.get("status")
        self.reason = first["reason"]
        self.headers = [(n.decode("latin-1"), v.decode("latin-1")) for n, v in first.get("headers", [])]
        self.body = b"".join(r["body"] for r in self.records)
        self.file = first.get("file")

    def header(self, name):
        return [v for n, v in self.headers if n.lower() == name]


def simple(body, status="200 OK", headers=()):
    def app(environ, start_response):
        start_response(status, list(headers))
        return body

    return app


class Closing:
    """An iterable that counts its close()."""

    def __init__(self, items):
        self.items = iter(items)
        self.closed = 0

    def __iter__(self):
        return self

    def __next__(self):
        item = next(self.items)
        if isinstance(item, BaseException):
            raise item
        return item

    def close(self):
        self.closed += 1


class WsgiTest(unittest.TestCase):
    maxDiff = None

    def check_ends_once(self, answer):
        self.assertEqual([r["end"] for r in answer.records], [False] * (len(answer.records) - 1) + [True])
