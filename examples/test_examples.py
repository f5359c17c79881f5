"""Tests of the example sites themselves, without any server: each runs inside wsgiref.validate.

    python examples/test_examples.py

needs a Python that has Flask and Django; without one of them its tests are skipped by name.
"""

import importlib.util
import io
import os
import re
import subprocess
import sys
import tempfile
import unittest
from http.cookies import SimpleCookie
from pathlib import Path
from urllib.parse import urlencode
from wsgiref.util import FileWrapper, setup_testing_defaults
from wsgiref.validate import validator

HERE = Path(__file__).resolve().parent


def has(module):
    return importlib.util.find_spec(module) is not None


class Client:
    """A browser without a network: calls a WSGI application, keeps its cookies, collects the whole answer."""

    def __init__(self, application):
        self.application = validator(application)
        self.cookies = {}

    def request(self, method, target, body=b"", content_type=None, headers=()):
        path, _, query = target.partition("?")
        environ = {
            "REQUEST_METHOD": method,
            "SCRIPT_NAME": "",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "SERVER_PROTOCOL": "HTTP/1.1",
            "CONTENT_LENGTH": str(len(body)),
            "REMOTE_ADDR": "127.0.0.1",
            "wsgi.input": io.BytesIO(body),
            "wsgi.errors": io.StringIO(),
            "wsgi.file_wrapper": FileWrapper,
        }
        if content_type:
            environ["CONTENT_TYPE"] = content_type
        if self.cookies:
            environ["HTTP_COOKIE"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        environ.update(headers)
        setup_testing_defaults(environ)
        answer = {}

        def start_response(status, headers, exc_info=None):
            answer.update(status=int(status.split()[0]), headers=headers)
            return lambda data: None

        result = self.application(environ, start_response)
        try:
            body = b"".join(result)
        finally:
            result.close()
        headers = {name.lower(): value for name, value in answer["headers"]}
        for name, value in answer["headers"]:
            if name.lower() == "set-cookie":
                for morsel in SimpleCookie(value).values():
                    self.cookies[morsel.key] = morsel.value
        return answer["status"], headers, body

    def get(self, target):
        return self.request("GET", target)

    def post(self, target, **fields):
        return self.request("POST", target, urlencode(fields).encode(), "application/x-www-form-urlencoded")

    def post_file(self, target, data, **fields):
        parts = [f'Content-Disposition: form-data; name="{k}"\r\n\r\n{v}'.encode() for k, v in fields.items()]
        name = "attachment" if fields else "file"
        disposition = f'Content-Disposition: form-data; name="{name}"; filename="a.bin"\r\n'
        parts.append(disposition.encode() + b"Content-Type: application/octet-stream\r\n\r\n" + data)
        body = b"".join(b"--frontier\r\n" + part + b"\r\n" for part in parts) + b"--frontier--\r\n"
        return self.request("POST", target, body, "multipart/form-data; boundary=frontier")


def load(name, file):
    spec = importlib.util.spec_from_file_location(name, HERE / file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


class Hello(unittest.TestCase):
    def test_every_path_says_hello(self):
        client = Client(load("hello", "hello.py").application)
        for target in "/", "/any/where?x=1":
            status, headers, body = client.get(target)
            self.assertEqual((status, body), (200, b"Hello, world!\n"))
            self.assertEqual(headers["content-length"], str(len(body)))


class SiteTest(unittest.TestCase):
    def assertShows(self, text, page):
        """Like assertIn, with a message that does not print a whole page."""
        wanted = text.encode()
        if wanted not in page:
            self.fail(f"{wanted!r} is not in this page of {len(page)} bytes: {page[:300]!r}")


@unittest.skipUnless(has("flask"), "Flask is not installed")
class FlaskSite(SiteTest):
    def setUp(self):
        module = load("flask_site", "flask_app/app.py")
        self.client = Client(module.app)

    def test_the_form_remembers_the_name(self):
        self.assertShows("<h1>Hello</h1>", self.client.get("/")[2])
        self.assertEqual(self.client.post("/name", name="Zoë <b>")[0], 303)
        self.assertShows("<h1>Hello, Zoë &lt;b&gt;</h1>", self.client.get("/")[2])
        self.client.post("/name", name=" ")
        self.assertShows("Please enter a name.", self.client.get("/")[2])

    def test_json(self):
        status, headers, body = self.client.get("/api/request?x=1&x=2")
        self.assertEqual((status, headers["content-type"]), (200, "application/json"))
        self.assertShows('"x":["1","2"]', re.sub(rb"\s", b"", body))
        post = lambda text: self.client.request("POST", "/api/sum", text, "application/json")
        self.assertEqual(post(b'{"numbers": [1, 2.5]}')[2].strip(), b'{"sum":3.5}')
        for wrong in b"[]", b"{}", b'{"numbers": ["1"]}', b"no json":
            self.assertEqual(post(wrong)[0], 400, wrong)
        self.assertEqual(self.client.request("POST", "/api/sum", b"{}", "text/plain")[0], 415)

    def test_upload(self):
        status, _, body = self.client.post_file("/upload", b"\x00\xff" * 50_000)
        self.assertEqual(status, 200)
        self.assertShows('"size":100000', body)
        self.assertEqual(self.client.post("/upload")[0], 400)

    def test_stream_has_no_length(self):
        _, headers, body = self.client.get("/stream?lines=3")
        self.assertEqual(body, b"line 1\nline 2\nline 3\n")
        self.assertNotIn("content-length", headers)

    def test_error_pages(self):
        status, _, body = self.client.get("/no/such/page")
        self.assertEqual(status, 404)
        self.assertShows("<h1>404 Not Found</h1>", body)
        status, _, body = self.client.get("/fail")
        self.assertEqual(status, 500)
        self.assertNotIn(b"on purpose", body)

    def test_static_file(self):
        self.assertEqual(self.client.get("/static/site.css")[0], 200)


@unittest.skipUnless(has("django"), "Django is not installed")
class DjangoSite(SiteTest):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True) if sys.version_info >= (3, 10) \
            else tempfile.TemporaryDirectory()
        os.environ.update(
            DJANGO_DATABASE=os.path.join(cls.folder.name, "db.sqlite3"),
            DJANGO_MEDIA_ROOT=os.path.join(cls.folder.name, "media"),
            DJANGO_STATIC_ROOT=os.path.join(cls.folder.name, "static"),
        )
        sys.path.insert(0, str(HERE / "django_site"))
        from mysite.wsgi import application

        cls.application = staticmethod(application)
        cls.manage("check", "--fail-level", "WARNING")
        cls.manage("makemigrations", "--check", "--dry-run")
        cls.manage("migrate", "--verbosity", "0")
        cls.manage("createsuperuser", "--noinput", "--username", "admin", "--email", "a@example.org")

    @classmethod
    def tearDownClass(cls):
        from django.db import connections

        connections.close_all()
        cls.folder.cleanup()

    @classmethod
    def manage(cls, *arguments):
        command = [sys.executable, str(HERE / "django_site" / "manage.py"), *arguments]
        environ = {**os.environ, "DJANGO_SUPERUSER_PASSWORD": "correct horse"}
        done = subprocess.run(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            raise AssertionError(f"{command} ended with {done.returncode}:\n{done.stdout}")
        return done.stdout

    def setUp(self):
        self.client = Client(self.application)

    def token(self, target):
        return re.search(rb'name="csrfmiddlewaretoken" value="(\w+)"', self.client.get(target)[2])[1].decode()

    def test_the_session_counts_visits(self):
        for n in 1, 2, 3:
            self.assertShows(f"You have been here {n} time", self.client.get("/")[2])
        other = Client(self.application)
        self.assertShows("You have been here 1 time.", other.get("/")[2])

    def test_a_note_with_an_attachment(self):
        data = os.urandom(3_000_000)  # over Django's 2.5 MB limit for memory: goes through a temporary file
        status, headers, _ = self.client.post_file(
            "/new/", data, title="Größe", text="two\n\nparts", csrfmiddlewaretoken=self.token("/new/")
        )
        self.assertEqual(status, 302)
        page = self.client.get(headers["location"])[2]
        self.assertShows("“Größe” is saved.", page)
        status, answer, body = self.client.get(headers["location"] + "attachment/")
        self.assertEqual((status, body == data), (200, True))
        self.assertEqual(answer["content-length"], str(len(data)))
        self.assertIn("attachment;", answer["content-disposition"])
        self.assertShows("Größe", self.client.get("/notes.csv")[2])

    def test_a_post_without_the_token_is_refused(self):
        self.assertEqual(self.client.post("/new/", title="x")[0], 403)
        self.assertEqual(self.client.post("/new/", title="", csrfmiddlewaretoken=self.token("/new/"))[0], 400)

    def test_the_admin(self):
        page = "/admin/login/?next=/admin/notes/note/"
        fields = dict(username="admin", password="correct horse", csrfmiddlewaretoken=self.token(page))
        status, headers, _ = self.client.post(page, **fields)
        self.assertEqual((status, headers["location"]), (302, "/admin/notes/note/"))
        self.assertShows("Select note to change", self.client.get("/admin/notes/note/")[2])
        add = "/admin/notes/note/add/"
        self.assertEqual(self.client.post(add, title="by admin", csrfmiddlewaretoken=self.token(add))[0], 302)
        self.assertShows("by admin", self.client.get("/")[2])

    def test_static_files_come_from_the_application_under_debug(self):
        for target in "/static/notes/site.css", "/static/admin/css/base.css":
            self.assertEqual(self.client.get(target)[1]["content-type"], "text/css")

    def test_health_and_missing_pages(self):
        self.assertShows('"notes":', self.client.get("/health/")[2])
        self.assertEqual(self.client.get("/notes/999999/")[0], 404)

    def test_without_debug_a_key_is_demanded(self):
        os.environ["DJANGO_DEBUG"] = "0"
        try:
            with self.assertRaisesRegex(AssertionError, "DJANGO_SECRET_KEY must be set"):
                self.manage("check")
        finally:
            del os.environ["DJANGO_DEBUG"]


if __name__ == "__main__":
    unittest.main()
