"""Apps that raise, and wsgi.file_wrapper, case by case."""

import io
import os
import tempfile
import unittest

from harness import Answer, WsgiTest


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
