"""start.py and target.py by themselves: which interpreters are refused, what counts as a target."""

import functools
import os
import subprocess
import sys
import tempfile
import unittest

import target

START = os.path.join(os.path.dirname(os.path.abspath(target.__file__)), "start.py")


class Refusals(unittest.TestCase):
    def start(self, disguise):
        code = "import runpy, sys; %s; sys.argv = [%r]; runpy.run_path(%r, run_name='__main__')" % (disguise, START, START)
        done = subprocess.run([sys.executable, "-c", code], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        return done.returncode, done.stderr.decode().strip()

    def test_old(self):
        code, said = self.start("sys.version_info = (3, 8, 18)")
        self.assertEqual(code, 1)
        self.assertIn("Python 3.8 is too old. Use CPython 3.9 or later", said)

    def test_free_threaded(self):
        code, said = self.start("sys.version = '3.14.0 experimental free-threading build'")
        self.assertEqual(code, 1)
        self.assertIn("free-threaded build, which is not supported", said)

    def test_other_interpreters(self):
        code, said = self.start("sys.implementation.name = 'pypy'")
        self.assertEqual(code, 1)
        self.assertIn("pypy is not supported", said)

    def test_by_hand(self):
        code, said = self.start("import os; os.environ.pop('CARME_WORKER_LIBRARY', None)")
        self.assertEqual(code, 1)
        self.assertEqual(said, "carme: CARME_WORKER_LIBRARY is not set: a worker is started by carme, not by hand")

    def test_real_free_threaded(self):
        python = os.environ.get("CARME_TEST_FREE_THREADED")
        if not python:
            self.skipTest("no free-threaded Python: CARME_TEST_FREE_THREADED is not set")
        done = subprocess.run([python, START], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"free-threaded build, which is not supported", done.stderr)


class Targets(unittest.TestCase):
    def test_split(self):
        for text, parts in {
            "mod": ("mod", ""),
            "mod:attr": ("mod", "attr"),
            "a.b:c.d()": ("a.b", "c.d()"),
            "dir/app.py:app": ("dir/app.py", "app"),
        }.items():
            self.assertEqual(target.split(text), parts)
        if os.name == "nt":
            self.assertEqual(target.split("C:\\site\\app.py:app"), ("C:\\site\\app.py", "app"))
            self.assertEqual(target.split("C:\\site\\app.py"), ("C:\\site\\app.py", ""))
        for text in ("", ":app"):
            with self.assertRaises(target.CannotServe):
                target.split(text)

    def test_asgi(self):
        async def coroutine(scope, receive, send):
            pass

        class Asgi:
            async def __call__(self, scope, receive, send):
                pass

        class ByNames:
            def __call__(self, scope, receive, send):
                pass

        class Wsgi:
            def __call__(self, environ, start_response):
                pass

            def method(self, environ, start_response):
                pass

        for app in (coroutine, Asgi(), ByNames(), functools.partial(coroutine), functools.partial(Asgi())):
            self.assertTrue(target.looks_like_asgi(app), app)
        wsgi = lambda environ, start_response: None  # noqa: E731
        for app in (wsgi, Wsgi, Wsgi(), Wsgi().method, functools.partial(wsgi), print, 5, None):
            self.assertFalse(target.looks_like_asgi(app), app)

    def test_files(self):
        with tempfile.TemporaryDirectory() as folder:
            for name in ("plain_app.py", "odd-name.py", "site.wsgi"):
                path = os.path.join(folder, name)
                with open(path, "w") as file:
                    file.write("import beside_it\ndef application(environ, start_response): return __name__\n")
            with open(os.path.join(folder, "beside_it.py"), "w"):
                pass
            before = list(sys.path)
            self.addCleanup(sys.path.__setitem__, slice(None), before)
            for name, module in (("plain_app.py", "plain_app"), ("odd-name.py", "odd-name"), ("site.wsgi", "site")):
                kept = sys.modules.pop(module, None)
                app, attribute, _ = target.load(os.path.join(folder, name))
                self.assertEqual((app({}, None), attribute), (module, "application"))
                if kept is not None:
                    sys.modules[module] = kept
            with self.assertRaisesRegex(target.CannotServe, "there is no file"):
                target.load(os.path.join(folder, "nonsuch.py"))


if __name__ == "__main__":
    unittest.main()
