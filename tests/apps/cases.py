"""One path a case of PEP 3333. Everything goes through wsgiref.validate but what breaks the rules on purpose."""

import os
import sys
import tempfile
import threading
import time
from wsgiref.validate import validator

closed = []


class Closing:
    """An iterable that remembers that it was closed."""

    def __init__(self, name, items):
        self.name, self.items = name, iter(items)

    def __iter__(self):
        return self

    def __next__(self):
        item = next(self.items)
        if isinstance(item, Exception):
            raise item
        return item

    def close(self):
        closed.append(self.name)


def text(start_response, body, status="200 OK", headers=()):
    body = body.encode() if isinstance(body, str) else body
    start_response(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(body))), *headers])
    return [body]


def environ(environ, start_response):
    """Every variable that is a string, a line each."""
    lines = ["%s=%r" % (k, v) for k, v in sorted(environ.items()) if isinstance(v, (str, bool, tuple))]
    return text(start_response, "\n".join(lines))


def pid(environ, start_response):
    return text(start_response, str(os.getpid()))


def echo(environ, start_response):
    # wsgiref.validate wants a size, although PEP 3333 does not.
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    return text(start_response, body, headers=[("X-Length", environ.get("CONTENT_LENGTH", "-"))])


def lines(environ, start_response):
    body = environ["wsgi.input"]
    parts = [body.readline(), body.read(3), body.readline(), *body.readlines(), body.read(10)]
    return text(start_response, repr(parts))


def slow(environ, start_response):
    time.sleep(float(environ["QUERY_STRING"] or 1))
    return text(start_response, str(os.getpid()))


def burn(environ, start_response):
    end = time.perf_counter() + float(environ["QUERY_STRING"] or 1)
    while time.perf_counter() < end:
        pass
    return text(start_response, str(os.getpid()))


def stream(environ, start_response):
    """So many pieces of 10 kB, without a Content-Length."""
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    return Closing("stream", (bytes([n % 256]) * 10240 for n in range(int(environ["QUERY_STRING"]))))


def large(environ, start_response):
    return text(start_response, b"0123456789abcdef" * (int(environ["QUERY_STRING"]) // 16))


def no_length(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"one"]


def empty_items(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return Closing("empty_items", [b"", b"a", b"", b"b", b""])


def nothing(environ, start_response):
    start_response(environ["QUERY_STRING"] + " x", [])
    return Closing("nothing", [])


def duplicates(environ, start_response):
    return text(start_response, "", headers=[("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("X-Latin", "caf\xe9")])


def reason(environ, start_response):
    return text(start_response, "", status="299 Quite Unusual")


def file(environ, start_response):
    handle = tempfile.TemporaryFile()
    handle.write(b"0123456789" * int(environ["QUERY_STRING"] or 1))
    handle.seek(5)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return environ["wsgi.file_wrapper"](handle, 4096)


def file_with_length(environ, start_response):
    handle = tempfile.TemporaryFile()
    handle.write(b"0123456789" * 10)
    handle.seek(0)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "15")])
    return environ["wsgi.file_wrapper"](handle)


def not_a_file(environ, start_response):
    import io
    start_response("200 OK", [("Content-Type", "text/plain")])
    return environ["wsgi.file_wrapper"](io.BytesIO(b"not a file" * 1000), 100)


def raises(environ, start_response):
    raise ValueError("before the headers")


def raises_late(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return Closing("raises_late", [b"some", RuntimeError("after the headers")])


def replaces(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    try:
        raise ValueError("replaced")
    except ValueError:
        start_response("500 Replaced", [("Content-Type", "text/plain")], sys.exc_info())
    return [b"replaced"]


def exits(environ, start_response):
    sys.exit(3)


def prints(environ, start_response):
    print("to standard output")
    print("to standard error", file=sys.stderr)
    environ["wsgi.errors"].write("to wsgi.errors\n")
    environ["wsgi.errors"].flush()
    return text(start_response, "")


def dies(environ, start_response):
    os._exit(7)


def dies_late(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"some"
    time.sleep(0.3)
    os._exit(7)


def was_closed(environ, start_response):
    return text(start_response, " ".join(closed))


def threads(environ, start_response):
    return text(start_response, str(threading.active_count()))


CASES = {
    name: validator(function)
    for name, function in list(globals().items())
    if callable(function) and name not in ("validator", "Closing", "text", "dies_late")
}
CASES["dies_late"] = dies_late


# What no well-behaved app does.

def writes(environ, start_response):
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    write(b"written ")
    write(b"twice ")
    return [b"and returned"]


def too_long(environ, start_response):
    start_response("200 OK", [("Content-Length", "3")])
    return [b"more than three"]


def too_short(environ, start_response):
    start_response("200 OK", [("Content-Length", "100")])
    return [b"less"]


def twice(environ, start_response):
    start_response("200 OK", [])
    start_response("200 OK", [])
    return []


def never(environ, start_response):
    return [b"without start_response"]


def announces(environ, start_response):
    start_response("200 OK", [("Content-Length", "5")])
    return []


def bad_header(environ, start_response):
    start_response("200 OK", [("X-Bad", "a\r\nX-Injected: yes")])
    return []


def bad_status(environ, start_response):
    start_response("OK", [])
    return []


def hop_by_hop(environ, start_response):
    start_response("200 OK", [("Connection", "close")])
    return []


def not_bytes(environ, start_response):
    start_response("200 OK", [])
    return ["text"]


def one_item(environ, start_response):
    """A list, which the validator would hide in an iterator."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"one"]


def head_body(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "4")])
    return [b"body"]


for function in (
    writes, too_long, too_short, twice, never, announces, bad_header, bad_status, hop_by_hop, not_bytes, one_item, head_body,
):
    CASES[function.__name__] = function


def application(environ, start_response):
    case = CASES.get(environ["PATH_INFO"].split("/")[1])
    if case is None:
        return text(start_response, "no such case", "404 Not Found")
    return case(environ, start_response)
