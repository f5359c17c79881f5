"""PEP 3333, case by case, against the native layer: one request in, records out.

Run by tests/wsgi.rs with every Python it finds; the library is in CARME_WORKER_LIBRARY.
"""

import contextlib
import importlib.machinery
import importlib.util
import io
import os
import sys
import tempfile
import threading
import unittest
from wsgiref.validate import validator

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


class Answer:
    """The records of one request, put together."""

    def __init__(self, app, **request):
        self.stderr = io.StringIO()
        with contextlib.redirect_stderr(self.stderr):
            self.records = native.serve_once(app, {**DEFAULTS, **request})
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


class Environ(WsgiTest):
    def environ(self, **request):
        seen = {}

        def app(environ, start_response):
            seen.update(environ)
            start_response("204 No Content", [])
            return []

        answer = Answer(app, **request)
        self.assertEqual(answer.errors, "")
        return seen

    def test_variables(self):
        environ = self.environ(method=b"PATCH", script_name=b"/mount")
        expected = {
            "REQUEST_METHOD": "PATCH",
            "SCRIPT_NAME": "/mount",
            "PATH_INFO": "/a b",
            "QUERY_STRING": "x=1",
            "SERVER_NAME": "example.org",
            "SERVER_PORT": "8000",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "192.0.2.7",
            "REMOTE_PORT": "4711",
            "REQUEST_URI": "/a%20b?x=1",
            "RAW_URI": "/a%20b?x=1",
            "HTTP_HOST": "example.org:8000",
            "carme.request_id": "3f2a",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.multithread": False,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
            "wsgi.input_terminated": True,
        }
        self.assertEqual({k: environ.get(k) for k in expected}, expected)
        self.assertTrue(environ["SERVER_SOFTWARE"].startswith("carme/"))
        self.assertNotIn("CONTENT_LENGTH", environ)
        self.assertNotIn("CONTENT_TYPE", environ)
        strings = [v for k, v in environ.items() if not k.startswith("wsgi.")]
        self.assertTrue(all(type(v) is str for v in strings))
        self.assertIs(type(environ), dict)

    def test_facts(self):
        environ = self.environ(multithread=True, multiprocess=True, https=True, http10=True, remote_port=0)
        self.assertIs(environ["wsgi.multithread"], True)
        self.assertIs(environ["wsgi.multiprocess"], True)
        self.assertEqual(environ["wsgi.url_scheme"], "https")
        self.assertEqual(environ["SERVER_PROTOCOL"], "HTTP/1.0")
        self.assertNotIn("REMOTE_PORT", environ)

    def test_bytes_are_latin_1(self):
        every = bytes(range(0x80, 0x100))
        environ = self.environ(path="/ü€".encode(), query=every, headers=[(b"x-raw", every)], script_name=b"/\xfc")
        self.assertEqual(environ["PATH_INFO"].encode("latin-1"), "/ü€".encode())
        self.assertEqual(environ["QUERY_STRING"].encode("latin-1"), every)
        self.assertEqual(environ["HTTP_X_RAW"].encode("latin-1"), every)
        self.assertEqual(environ["SCRIPT_NAME"], "/\xfc")

    def test_duplicate_headers(self):
        headers = [(b"accept", b"a"), (b"cookie", b"x=1"), (b"accept", b"b"), (b"cookie", b"y=2"), (b"accept", b"c")]
        for repeat in (1, 3):  # the first time names are new, later they are remembered
            environ = self.environ(headers=headers, repeat=repeat)
            self.assertEqual(environ["HTTP_ACCEPT"], "a,b,c")
            self.assertEqual(environ["HTTP_COOKIE"], "x=1; y=2")

    def test_hidden_headers(self):
        headers = [(b"x_real_ip", b"1"), (b"proxy", b"evil"), (b"transfer-encoding", b"chunked"), (b"x-ok", b"1")]
        for repeat in (1, 2):
            environ = self.environ(headers=headers, repeat=repeat)
            self.assertEqual([k for k in environ if k.startswith("HTTP_")], ["HTTP_X_OK"])

    def test_many_header_names(self):
        headers = [(f"x-{i}".encode(), str(i).encode()) for i in range(1000)]
        environ = self.environ(headers=headers + [(b"x-999", b"again")], repeat=2)
        self.assertEqual(environ["HTTP_X_998"], "998")
        self.assertEqual(environ["HTTP_X_999"], "999,again")

    def test_content(self):
        environ = self.environ(headers=[(b"content-type", b"text/plain"), (b"content-length", b"0")])
        self.assertEqual((environ["CONTENT_TYPE"], environ["CONTENT_LENGTH"]), ("text/plain", "0"))
        self.assertNotIn("HTTP_CONTENT_TYPE", environ)
        environ = self.environ(body=b"12345", headers=[(b"transfer-encoding", b"chunked")])
        self.assertEqual(environ["CONTENT_LENGTH"], "5")

    def test_each_request_has_its_own(self):
        seen = []

        def app(environ, start_response):
            self.assertNotIn("mine", environ)
            environ["mine"] = 1
            environ.pop("wsgi.version")
            seen.append(environ)
            start_response("200 OK", [])
            return []

        Answer(app, repeat=3)
        self.assertEqual(len({id(e) for e in seen}), 3)
        self.assertEqual(len(seen), 3)

    def test_validator(self):
        for method, body in (("GET", None), ("POST", b"abc"), ("HEAD", None)):

            def app(environ, start_response):
                environ["wsgi.input"].read(3)
                start_response("200 OK", [("Content-Type", "text/plain")])
                return [b"ok"]

            extra = {} if body is None else {"body": body}
            answer = Answer(validator(app), method=method.encode(), **extra)
            self.assertEqual(answer.errors, "")
            self.assertEqual(answer.status, 200)


class Input(WsgiTest):
    def read(self, body, reader):
        """What `reader` makes of a body, from memory and from a file; both must agree."""
        results = []
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "body")
            with open(path, "wb") as file:
                file.write(body)
            for request in ({"body": body}, {"body_path": path}):

                def app(environ, start_response):
                    results.append(reader(environ["wsgi.input"]))
                    start_response("200 OK", [])
                    return []

                answer = Answer(app, method=b"POST", **request)
                self.assertEqual(answer.errors, "")
        self.assertEqual(results[0], results[1])
        return results[0]

    def test_read(self):
        body = bytes(range(256)) * 10
        self.assertEqual(self.read(body, lambda f: f.read()), body)
        self.assertEqual(self.read(body, lambda f: f.read(-1)), body)
        self.assertEqual(self.read(body, lambda f: f.read(None)), body)
        self.assertEqual(self.read(body, lambda f: f.read(1 << 40)), body)
        self.assertEqual(self.read(body, lambda f: (f.read(3), f.read(0), f.read(4))), (body[:3], b"", body[3:7]))
        self.assertEqual(self.read(body, lambda f: (f.read(1), f.read(), f.read(), f.read(9))), (body[:1], body[1:], b"", b""))

    def test_read_in_steps(self):
        body = os.urandom(3 << 20)
        self.assertEqual(self.read(body, lambda f: f.read()), body)

    def test_lines(self):
        body = b"one\n\ntwo\r\nlast"
        lines = [b"one\n", b"\n", b"two\r\n", b"last"]
        self.assertEqual(self.read(body, list), lines)
        self.assertEqual(self.read(body, lambda f: f.readlines()), lines)
        self.assertEqual(self.read(body, lambda f: f.readlines(4)), lines[:1])
        self.assertEqual(self.read(body, lambda f: f.readlines(5)), lines[:2])
        self.assertEqual(self.read(body, lambda f: [f.readline() for _ in range(6)]), lines + [b"", b""])
        self.assertEqual(self.read(body, lambda f: [f.readline(2) for _ in range(3)]), [b"on", b"e\n", b"\n"])
        self.assertEqual(self.read(body, lambda f: (f.read(2), f.readline(), f.readline(0))), (b"on", b"e\n", b""))

    def test_long_lines(self):
        body = b"x" * 40000 + b"\n" + b"y" * 40000
        self.assertEqual(self.read(body, list), [b"x" * 40000 + b"\n", b"y" * 40000])

    def test_no_body(self):
        seen = []

        def app(environ, start_response):
            f = environ["wsgi.input"]
            seen.append((f.read(), f.read(5), f.readline(), f.readline(3), f.readlines(), f.readlines(1), list(f)))
            start_response("200 OK", [])
            return []

        self.assertEqual(Answer(app).errors, "")
        self.assertEqual(seen, [(b"", b"", b"", b"", [], [], [])])

    def test_missing_file(self):
        def app(environ, start_response):
            environ["wsgi.input"].read()

        with tempfile.NamedTemporaryFile(delete=False) as file:
            file.write(b"x" * 10)
        try:
            seen = []

            def app(environ, start_response):
                f = environ["wsgi.input"]
                f.read(1)
                with open(file.name, "wb"):
                    pass
                try:
                    f.read()
                except OSError as error:
                    seen.append(str(error))
                start_response("200 OK", [])
                return []

            Answer(app, body_path=file.name)
            self.assertIn("temporary file", seen[0])
        finally:
            os.unlink(file.name)

    def test_threads_share_it(self):
        body = os.urandom(1 << 20)
        pieces = []

        def app(environ, start_response):
            def read():
                while True:
                    piece = environ["wsgi.input"].read(999)
                    if not piece:
                        break
                    pieces.append(piece)

            threads = [threading.Thread(target=read) for _ in range(4)]
            [t.start() for t in threads]
            [t.join() for t in threads]
            start_response("200 OK", [])
            return []

        with tempfile.NamedTemporaryFile(delete=False) as file:
            file.write(body)
        try:
            Answer(app, body_path=file.name)
        finally:
            os.unlink(file.name)
        self.assertEqual(sum(map(len, pieces)), len(body))
        self.assertEqual(sorted(pieces), sorted(body[i : i + 999] for i in range(0, len(body), 999)))


class Start(WsgiTest):
    def test_status_and_headers(self):
        headers = [("Content-Type", "text/html"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("X-Raw", "\xfc")]
        answer = Answer(simple([b"hi"], "418 I'm a teapot", headers))
        self.assertEqual((answer.status, answer.reason, answer.body), (418, b"I'm a teapot", b"hi"))
        self.assertEqual(answer.headers, headers + [("content-length", "2")])
        self.assertEqual(answer.kinds, ["Response"])
        self.check_ends_once(answer)

    def refused(self, exception, message, *args):
        seen = []

        def app(environ, start_response):
            try:
                start_response(*args)
            except Exception as error:
                seen.append(error)
            start_response("200 OK", [])
            return [b"recovered"]

        answer = Answer(app)
        self.assertEqual(answer.body, b"recovered")
        self.assertEqual(answer.errors, "")
        self.assertIs(type(seen[0]), exception)
        self.assertIn(message, str(seen[0]))

    def test_refused(self):
        ok = "200 OK"
        for exception, message, args in [
            (TypeError, "status must be a str, not bytes", (b"200 OK", [])),
            (TypeError, "status must be a str, not int", (200, [])),
            (ValueError, "status must be of the form", ("200", [])),
            (ValueError, "status must be of the form", ("OK 200", [])),
            (ValueError, "status must be of the form", ("200 OK\r\nX: y", [])),
            (ValueError, "status 101", ("101 Switching Protocols", [])),
            (ValueError, "latin-1", ("200 \u20ac", [])),
            (TypeError, "must be a list, not tuple", (ok, ())),
            (TypeError, "must be a list, not dict", (ok, {})),
            (TypeError, "must be a tuple (name, value)", (ok, [["a", "b"]])),
            (TypeError, "must be a tuple (name, value)", (ok, [("a",)])),
            (TypeError, "name must be a str, not bytes", (ok, [(b"a", "b")])),
            (TypeError, "value must be a str, not int", (ok, [("Content-Length", 5)])),
            (ValueError, "latin-1", (ok, [("a", "\u20ac")])),
            (ValueError, "not a valid header name", (ok, [("a b", "c")])),
            (ValueError, "not a valid header name", (ok, [("", "c")])),
            (ValueError, "control character 0x0d", (ok, [("a", "b\r\nInjected: 1")])),
            (ValueError, "control character 0x00", (ok, [("a", "b\0")])),
            (ValueError, "hop-by-hop", (ok, [("Connection", "close")])),
            (ValueError, "hop-by-hop", (ok, [("transfer-encoding", "chunked")])),
            (ValueError, "Content-Length must be a number", (ok, [("Content-Length", "-1")])),
            (ValueError, "more than one Content-Length", (ok, [("Content-Length", "1"), ("content-length", "1")])),
        ]:
            with self.subTest(args=args):
                self.refused(exception, message, *args)

    def test_twice(self):
        def app(environ, start_response):
            start_response("200 OK", [])
            start_response("201 Created", [])

        answer = Answer(app)
        self.assertEqual(answer.kinds, ["Failed"])
        self.assertIn("second time", answer.errors)

    def test_exc_info_replaces_before_anything_is_sent(self):
        def app(environ, start_response):
            start_response("200 OK", [("X-Old", "1")])
            try:
                raise ValueError("oops")
            except ValueError:
                start_response("500 Oops", [("X-New", "1")], sys.exc_info())
            return [b"sorry"]

        answer = Answer(app)
        self.assertEqual((answer.status, answer.reason, answer.body), (500, b"Oops", b"sorry"))
        self.assertEqual(answer.headers, [("X-New", "1"), ("content-length", "5")])

    def test_exc_info_raises_after_the_head_is_sent(self):
        def app(environ, start_response):
            write = start_response("200 OK", [])
            write(b"some")
            try:
                raise ValueError("the original")
            except ValueError:
                start_response("500 Oops", [], sys.exc_info())
            return [b"never"]

        answer = Answer(app)
        self.assertEqual(answer.kinds, ["Response", "Abort"])
        self.assertEqual(answer.body, b"some")
        self.assertIn("ValueError: the original", answer.errors)
        self.check_ends_once(answer)

    def test_exc_info_none(self):
        def app(environ, start_response):
            start_response("200 OK", [], None)
            return [b"x"]

        self.assertEqual(Answer(app).body, b"x")

    def test_never_called(self):
        for body in ([], [b"x"], [b""], iter([b"x"]), iter([])):
            answer = Answer(lambda environ, start_response: body)
            self.assertEqual(answer.kinds, ["Invalid"])
            self.assertIn(b"start_response", answer.reason)
            self.assertIn('carme: request 3f2a "GET /a%20b?x=1": ', answer.errors)

    def test_called_by_the_iterable(self):
        def app(environ, start_response):
            start_response("200 OK", [])
            yield b"a"
            yield b"b"

        answer = Answer(app)
        self.assertEqual(answer.body, b"ab")
        self.assertEqual([r["body"] for r in answer.records], [b"a", b"b", b""])
        self.check_ends_once(answer)

    def test_too_large_a_head(self):
        answer = Answer(simple([b"x"], headers=[("X", "y" * 70000)]))
        self.assertEqual(answer.kinds, ["Invalid"])
        self.assertIn(b"response head", answer.reason)


class Body(WsgiTest):
    def test_lists(self):
        for items in ([b"one"], (b"one",), [b"o", b"n", b"e"], (b"", b"one", b""), [b"one", b""]):
            answer = Answer(simple(items))
            self.assertEqual((answer.kinds, answer.body), (["Response"], b"one"))
            self.assertEqual(answer.header("content-length"), ["3"])
            self.check_ends_once(answer)
        for items in ([], (), [b""], [b"", b""]):
            answer = Answer(simple(items))
            self.assertEqual((answer.kinds, answer.body), (["Response"], b""))
            self.assertEqual(answer.header("content-length"), ["0"])
            self.check_ends_once(answer)

    def test_large(self):
        for items in ([b"x" * 300000], [b"x" * 100000, b"y" * 100000], [b"z" * (64 << 10)]):
            answer = Answer(simple(items), reluctant=True)
            self.assertEqual(answer.body, b"".join(items))
            self.assertEqual(answer.header("content-length"), [str(len(answer.body))])
            self.assertTrue(all(len(r["body"]) <= 64 << 10 for r in answer.records))
            self.check_ends_once(answer)

    def test_items_go_out_as_they_come(self):
        records = []

        class App:
            def __init__(self, environ, start_response):
                start_response("200 OK", [])

            def __iter__(self):
                yield b""
                yield b"first"
                yield b""
                yield b"x" * 100000

        answer = Answer(App, reluctant=True)
        self.assertEqual([len(r["body"]) for r in answer.records][0], 5)
        self.assertEqual(answer.body, b"first" + b"x" * 100000)
        self.assertEqual(answer.header("content-length"), [])
        self.check_ends_once(answer)

    def test_empty_iterables(self):
        for items in (iter([]), iter([b""]), (b"" for _ in range(3))):
            answer = Answer(simple(items))
            self.assertEqual((answer.kinds, answer.body, answer.header("content-length")), (["Response"], b"", ["0"]))

    def test_close(self):
        for items in ([b"a", b"b"], [], [b""], [b"a", ValueError("x")], [ValueError("x")], ["str"], [b"a", 5], [SystemExit(3)]):
            body = Closing(items)
            answer = Answer(simple(body))
            self.assertEqual(body.closed, 1, items)
            self.check_ends_once(answer)

    def test_close_when_the_client_left(self):
        body = Closing([b"a", b"b", b"c"])
        answer = Answer(simple(body), gone_after=2)
        self.assertEqual(body.closed, 1)
        self.assertEqual(next(body.items, None), None)
        self.assertEqual(answer.kinds, ["Response", "Body", "Abort"])
        self.assertEqual(answer.errors, "")

    def test_close_raises(self):
        class Bad(Closing):
            def close(self):
                raise KeyError("in close")

        answer = Answer(simple(Bad([b"a"])))
        self.assertEqual((answer.kinds, answer.body), (["Response", "Body"], b"a"))
        self.assertIn("KeyError: 'in close'", answer.errors)
        self.check_ends_once(answer)

    def test_content_length_is_kept_to(self):
        five = [("Content-Length", "5")]
        answer = Answer(simple([b"12345"], headers=five))
        self.assertEqual((answer.kinds, answer.body, answer.headers, answer.errors), (["Response"], b"12345", five, ""))
        answer = Answer(simple(iter([b"123", b"45"]), headers=five))
        self.assertEqual((answer.kinds, answer.body, answer.errors), (["Response", "Body"], b"12345", ""))
        self.check_ends_once(answer)
        for body in ([b"1234567"], [b"123", b"4567"], [b"12345", b"6"], [b"1", b"2345", b"", b"67"]):
            for given in (body, iter(body)):
                answer = Answer(simple(given, headers=five))
                self.assertEqual(answer.body, b"12345")
                self.assertIn("longer than its Content-Length", answer.errors)
                self.check_ends_once(answer)
        for body in ([b"123"], iter([b"123"]), iter([b"1", b"23"])):
            answer = Answer(simple(body, headers=five))
            self.assertEqual((answer.kinds[-1], answer.body), ("Abort", b"123"))
            self.assertIn("2 bytes before its Content-Length", answer.errors)
            self.check_ends_once(answer)
        answer = Answer(simple([], headers=five))
        self.assertEqual(answer.kinds, ["Invalid"])

    def test_head(self):
        for body, length in (([b"12345"], ["5"]), ([b"1", b"23"], ["3"]), ([], []), ([b""], [])):
            answer = Answer(simple(body), method=b"HEAD")
            self.assertEqual((answer.kinds, answer.body, answer.header("content-length")), (["Response"], b"", length))
            self.check_ends_once(answer)
            self.assertEqual(answer.errors, "")
        body = Closing([b"123", b"45"])
        answer = Answer(simple(body, headers=[("Content-Length", "5")]), method=b"HEAD")
        self.assertEqual((answer.body, answer.header("content-length"), body.closed), (b"", ["5"], 1))
        self.check_ends_once(answer)

    def test_bodiless_statuses(self):
        for status in ("204 No Content", "304 Not Modified"):
            for body in ([], [b"not sent"], iter([b"not sent", b"nor this"])):
                answer = Answer(simple(body, status))
                self.assertEqual((answer.kinds, answer.body, answer.headers), (["Response"], b"", []))
                self.assertEqual(answer.errors, "")
                self.check_ends_once(answer)
        length = [("Content-Length", "5")]
        self.assertEqual(Answer(simple([], "304 Not Modified", length)).headers, length)
        self.assertEqual(Answer(simple([], "204 No Content", length)).headers, [])

    def test_not_bytes(self):
        for body, name in ((["text"], b"str"), ([None], b"NoneType"), (iter(["text"]), b"str"), ("text", b"str"), ([bytearray(b"x")], b"bytearray")):
            answer = Answer(simple(body))
            self.assertEqual(answer.kinds, ["Invalid"])
            self.assertIn(name, answer.reason)
        for result, name in ((None, b"NoneType"), (5, b"int")):
            answer = Answer(simple(result))
            self.assertEqual(answer.kinds, ["Invalid"])
            self.assertIn(b"must return an iterable of bytes; it returned " + name, answer.reason)

    def test_write(self):
        def app(environ, start_response):
            write = start_response("200 OK", [("X", "y")])
            write(b"")
            write(b"one ")
            write(b"two ")
            return [b"three"]

        answer = Answer(app)
        self.assertEqual((answer.body, answer.headers), (b"one two three", [("X", "y")]))
        self.check_ends_once(answer)

        def app(environ, start_response):
            write = start_response("200 OK", [])
            try:
                write("text")
            except TypeError as error:
                write(str(error).encode())
            return []

        self.assertEqual(Answer(app).body, b"write() takes bytes, not str")

    def test_write_after_the_end(self):
        kept = []

        def app(environ, start_response):
            kept.append(start_response("200 OK", []))
            return [b"x"]

        self.assertEqual(Answer(app).body, b"x")
        kept[0](b"late")

    def test_write_when_the_client_left(self):
        seen = []

        def app(environ, start_response):
            write = start_response("200 OK", [])
            write(b"a")
            try:
                write(b"b")
            except BrokenPipeError as error:
                seen.append(str(error))
                raise
            return []

        answer = Answer(app, gone_after=1)
        self.assertEqual(seen, ["the client has left"])
        self.assertEqual(answer.kinds, ["Response", "Abort"])


class Raising(WsgiTest):
    def test_before_the_head(self):
        for error in (ValueError("no"), SystemExit(2), KeyboardInterrupt(), GeneratorExit()):

            def app(environ, start_response):
                start_response("200 OK", [])
                raise error

            answer = Answer(app)
            self.assertEqual(answer.kinds, ["Failed"])
            first, second = answer.errors.splitlines()[:2]
            self.assertEqual(first, 'carme: request 3f2a "GET /a%20b?x=1" raised:')
            self.assertEqual(second, "Traceback (most recent call last):")
            self.assertIn(type(error).__name__, answer.errors.splitlines()[-1])
            self.check_ends_once(answer)

    def test_after_the_head(self):
        def app(environ, start_response):
            start_response("200 OK", [])
            yield b"half"
            raise ValueError("then this")

        answer = Answer(app)
        self.assertEqual((answer.kinds, answer.body), (["Response", "Abort"], b"half"))
        self.assertEqual(answer.records[-1]["reason"], b"ValueError: then this")
        self.assertIn("ValueError: then this", answer.errors)

    def test_causes_are_shown(self):
        def app(environ, start_response):
            try:
                {}["key"]
            except KeyError as error:
                raise RuntimeError("wrapped") from error

        errors = Answer(app).errors
        self.assertIn("KeyError: 'key'", errors)
        self.assertIn("direct cause", errors)

    def test_not_an_app(self):
        self.assertEqual(Answer(lambda: None).kinds, ["Failed"])

    def test_a_later_request_is_unharmed(self):
        calls = []

        def app(environ, start_response):
            calls.append(1)
            if len(calls) == 1:
                raise SystemExit
            start_response("200 OK", [])
            return [b"fine"]

        self.assertEqual(Answer(app, repeat=2).body, b"fine")


class FileWrapper(WsgiTest):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.large = os.urandom(200000)
        self.path = os.path.join(folder.name, "file")
        with open(self.path, "wb") as file:
            file.write(self.large)

    def app(self, opened, headers=(), wrap=lambda w: w, status="200 OK"):
        def app(environ, start_response):
            start_response(status, list(headers))
            return wrap(environ["wsgi.file_wrapper"](opened, 8192))

        return app

    def test_ordinary_files_are_handed_over(self):
        for mode in (dict(mode="rb"), dict(mode="rb", buffering=0), dict(mode="r+b")):
            file = open(self.path, **mode)
            answer = Answer(self.app(file))
            self.assertEqual((answer.kinds, answer.body), (["Response"], b""))
            self.assertEqual(answer.file, self.large)
            self.assertEqual(answer.header("content-length"), ["200000"])
            self.assertTrue(file.closed)

    def test_from_where_the_file_stands(self):
        file = open(self.path, "rb")
        file.read(1000)
        answer = Answer(self.app(file))
        self.assertEqual(answer.file, self.large[1000:])
        self.assertEqual(answer.header("content-length"), ["199000"])

    def test_content_length(self):
        file = open(self.path, "rb")
        file.seek(5)
        answer = Answer(self.app(file, [("Content-Length", "100000")], status="206 Partial Content"))
        self.assertEqual((answer.status, answer.file), (206, self.large[5:100005]))
        answer = Answer(self.app(open(self.path, "rb"), [("Content-Length", "300000")]))
        self.assertEqual((answer.kinds[-1], answer.body), ("Abort", self.large))

    def test_small_files_are_copied(self):
        file = open(self.path, "rb")
        file.seek(199990)
        answer = Answer(self.app(file))
        self.assertEqual((answer.file, answer.body), (None, self.large[199990:]))
        self.assertEqual(answer.header("content-length"), ["10"])
        self.assertTrue(file.closed)

    def test_what_is_not_an_ordinary_file_is_read(self):
        import gzip

        zipped = self.path + ".gz"
        with gzip.open(zipped, "wb") as file:
            file.write(self.large)

        class Slow(io.FileIO):
            def readinto(self, buffer):
                return super().readinto(buffer)

        read, write = os.pipe()
        os.write(write, b"through a pipe")
        os.close(write)
        for opened, expected in (
            (io.BytesIO(self.large), self.large),
            (gzip.open(zipped), self.large),
            (Slow(self.path), self.large),
            (os.fdopen(read, "rb"), b"through a pipe"),
        ):
            answer = Answer(self.app(opened))
            self.assertEqual((answer.file, answer.body), (None, expected))
            self.assertTrue(opened.closed)
            self.check_ends_once(answer)

    def test_changed_by_a_middleware(self):
        answer = Answer(self.app(open(self.path, "rb"), wrap=lambda w: (b[:1] for b in w)))
        self.assertEqual((answer.file, answer.body), (None, self.large[::8192]))

    def test_head(self):
        file = open(self.path, "rb")
        answer = Answer(self.app(file, [("Content-Length", "200000")]), method=b"HEAD")
        self.assertEqual((answer.file, answer.body, answer.header("content-length")), (None, b"", ["200000"]))
        self.assertTrue(file.closed)

    def test_without_close(self):
        class Reads:
            def __init__(self):
                self.left = [b"a", b"b"]

            def read(self, size):
                return self.left.pop(0) if self.left else b""

        self.assertEqual(Answer(self.app(Reads())).body, b"ab")

    def test_defaults(self):
        def app(environ, start_response):
            start_response("200 OK", [])
            return environ["wsgi.file_wrapper"](io.BytesIO(b"x" * 100))

        self.assertEqual(Answer(app).body, b"x" * 100)


if __name__ == "__main__":
    unittest.main()
