"""environ and wsgi.input, case by case."""

import os
import tempfile
import threading
import unittest
from wsgiref.validate import validator

from harness import Answer, WsgiTest


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
            "HTTP_X_REQUEST_ID": "3f2a",
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
        self.assertNotIn("HTTPS", environ)
        strings = [v for k, v in environ.items() if not k.startswith("wsgi.")]
        self.assertTrue(all(type(v) is str for v in strings))
        self.assertIs(type(environ), dict)

    def test_variables_of_the_front(self):
        pairs = [(b"HTTPS", b"on"), (b"SSL_CLIENT_S_DN", b"CN=Zo\xeb"), (b"EMPTY", b"")]
        environ = self.environ(variables=pairs, repeat=3)
        self.assertEqual((environ["HTTPS"], environ["SSL_CLIENT_S_DN"]), ("on", "CN=Zo\xeb"))
        self.assertEqual(environ["EMPTY"], "")
        again = self.environ(variables=pairs[1:] + [(b"MY.NAME", b"1"), (b"EMPTY", b"2")])
        self.assertEqual([again[k] for k in ("SSL_CLIENT_S_DN", "MY.NAME", "EMPTY")], ["CN=Zo\xeb", "1", "2"])
        self.assertNotIn("HTTPS", again)
        many = self.environ(variables=[(f"V{i}".encode(), str(i).encode()) for i in range(1000)], repeat=2)
        self.assertEqual([many[f"V{i}"] for i in (0, 255, 256, 999)], ["0", "255", "256", "999"])
        forged = self.environ(headers=[(b"https", b"on"), (b"ssl-client-s-dn", b"CN=root")])
        self.assertNotIn("HTTPS", forged)
        self.assertNotIn("SSL_CLIENT_S_DN", forged)

    def test_variables_of_the_front_replace_nothing_of_the_server(self):
        plain = self.environ()
        for key in sorted(plain):
            if key.startswith("HTTP_") and key != "HTTP_X_REQUEST_ID" or key == "REMOTE_PORT":
                continue
            environ = self.environ(variables=[(key.encode(), b"forged"), (b"AFTER", b"1")], repeat=2)
            self.assertNotEqual(environ[key], "forged")
            self.assertEqual((type(environ[key]), environ["AFTER"]), (type(plain[key]), "1"), key)
        body = self.environ(variables=[(b"CONTENT_LENGTH", b"99")], body=b"12345")
        self.assertEqual(body["CONTENT_LENGTH"], "5")

    def test_facts(self):
        environ = self.environ(multithread=True, multiprocess=True, https=True, http10=True, remote_port=0)
        self.assertIs(environ["wsgi.multithread"], True)
        self.assertIs(environ["wsgi.multiprocess"], True)
        self.assertEqual((environ["wsgi.url_scheme"], environ["HTTPS"]), ("https", "on"))
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
            self.assertEqual([k for k in environ if k.startswith("HTTP_")], ["HTTP_X_REQUEST_ID", "HTTP_X_OK"])

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


if __name__ == "__main__":
    unittest.main()
