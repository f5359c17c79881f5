#!/usr/bin/env python3
"""Tests of check_examples.py: it finds examples as docs/README.md says, and a wrong one fails.

    python3 docs/test_check_examples.py

The programs that it runs are played by a small Python script named carme.
"""

import os
import subprocess
import sys
import tempfile
import textwrap
import unittest
from pathlib import Path

from pages import BadPage, examples_of

HERE = Path(__file__).resolve().parent

CARME = """\
#!{python}
import http.server, pathlib, sys
arguments = sys.argv[1:]
if arguments[0] == "check":
    text = pathlib.Path(arguments[arguments.index("-c") + 1]).read_text()
    sys.exit("unknown key `wrokers`" if "wrokers" in text else 0)
if "--help" in arguments:
    print("Options:\\n  -c, --config <FILE>  x\\n      --bind <A>  see --other\\n  -h, --help")
    sys.exit(0)
if "broken" in arguments:
    sys.exit("no application")
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(404 if self.path == "/missing" else 200)
        self.end_headers()
        self.wfile.write(" ".join(arguments).encode())
    def log_message(self, *arguments):
        pass
if "-c" in arguments:
    assert '"127.0.0.1:0"' in pathlib.Path(arguments[-1]).read_text()
else:
    assert arguments[-2:] == ["--bind", "127.0.0.1:0"] and arguments.count("--bind") == 1, arguments
with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
    import signal, threading
    stop = lambda *_: threading.Thread(target=server.shutdown).start()
    signal.signal(signal.SIGTERM, (lambda *_: sys.exit(3)) if "rude" in arguments else stop)
    print("serving at http://127.0.0.1:%d" % server.server_port, flush=True)
    server.serve_forever()
"""


def page(folder, text):
    path = Path(folder) / "page.md"
    path.write_text(textwrap.dedent(text).replace("'''", "```"), encoding="utf-8")
    return path


class Finding(unittest.TestCase):
    def found(self, text):
        with tempfile.TemporaryDirectory() as folder:
            return examples_of(page(folder, text))

    def test_markers_and_blocks(self):
        check, serve, windows, options = self.found("""
            <!-- test: check site.toml -->
            '''toml
            [server]
            '''
            <!-- test: serve /a?b two words -->

            '''console
            $ cd x
            $ carme serve y
            '''
            '''text
            $ not run
            '''
            <!-- test: windows run -->
            '''console
            > dir
            file one
            '''
            <!-- test: options carme serve -->
            | option | meaning |
            |---|---|
            | `-c`, `--config` | x |
            """)
        self.assertEqual((check.kind, check.file, check.text), ("check", "site.toml", "[server]\n"))
        self.assertEqual((serve.path, serve.expected), ("/a?b", "two words"))
        self.assertEqual(serve.commands, [("cd x", []), ("carme serve y", [])])
        self.assertEqual((windows.platform, windows.commands), ("windows", [("dir", ["file one"])]))
        self.assertEqual((options.command, options.rows), ("carme serve", [" `-c`, `--config` "]))

    def test_rules_that_a_page_can_break(self):
        for text, message in [
            ("'''console\n$ x\n'''", "needs a marker"),
            ("'''toml\n'''", "needs a marker"),
            ("<!-- test: run -->\ntext", "no example below it"),
            ("<!-- test: run -->", "no example below it"),
            ("<!-- test: runs -->\n'''console\n$ x\n'''", "unknown marker"),
            ("<!-- test: check -->\n'''console\n$ x\n'''", "is not for a block of console"),
            ("<!-- test: serve / -->\n'''console\n$ x\n'''", "should be `serve PATH TEXT`"),
            ("<!-- test: serve x y -->\n'''console\n$ x\n'''", "should be `serve PATH TEXT`"),
            ("<!-- test: skip -->\n'''console\n$ x\n'''", "should be `skip REASON`"),
            ("<!-- test: run -->\n'''console\nx\n'''", "begins with a command"),
            ("<!-- test: run -->\n'''console\n> x\n'''", "begins with a command"),
            ("<!-- test: run -->\n'''console\n'''", "has no command"),
            ("<!-- test: run -->\n'''console\n$ x", "has no end"),
        ]:
            with self.subTest(text), self.assertRaisesRegex(BadPage, message):
                self.found(text)


@unittest.skipIf(os.name == "nt", "the script that plays carme is started by its first line")
class Running(unittest.TestCase):
    def check(self, text):
        with tempfile.TemporaryDirectory() as folder:
            carme = Path(folder) / "carme"
            carme.write_text(CARME.format(python=sys.executable))
            carme.chmod(0o755)
            # Pages are named as seen from the project, so the page has to be in it.
            with tempfile.TemporaryDirectory(dir=HERE) as inside:
                command = [sys.executable, str(HERE / "check_examples.py"), "--carme", str(carme),
                           "--python", sys.executable, str(page(inside, text))]
                done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        return done.returncode, done.stdout

    def passes(self, text):
        code, output = self.check(text)
        self.assertEqual((code, output), (0, "1 passed, 0 failed, 0 skipped\n"))

    def fails(self, text, message):
        code, output = self.check(text)
        self.assertIn(message, output)
        self.assertEqual((code, output.splitlines()[-1]), (1, "0 passed, 1 failed, 0 skipped"))

    def test_check(self):
        self.passes("<!-- test: check -->\n'''toml\nworkers = 1\n'''")
        self.fails("<!-- test: check -->\n'''toml\nwrokers = 1\n'''", "unknown key `wrokers`")
        self.passes("<!-- test: check-fails wrokers -->\n'''toml\nwrokers = 1\n'''")
        self.fails("<!-- test: check-fails wrokers -->\n'''toml\nworkers = 1\n'''", "found nothing wrong")
        self.fails("<!-- test: check-fails threads -->\n'''toml\nwrokers = 1\n'''", "'threads' is not in its output")

    def test_run(self):
        self.passes("<!-- test: run -->\n'''console\n$ cd examples\n$ echo one && echo two && ls hello.py\ntwo\n'''")
        self.passes("<!-- test: run -->\n'''console\n$ echo one two three\none ... three\n'''")
        self.fails("<!-- test: run -->\n'''console\n$ echo one two three\none ... two\n'''", "did not print")
        self.fails("<!-- test: run -->\n'''console\n$ echo one && echo two\ntwo\none\n'''", "did not print 'one' there")
        self.fails("<!-- test: run -->\n'''console\n$ false\n'''", "`false` ended with 1")
        self.passes("<!-- test: run-fails -->\n'''console\n$ echo no && false\nno\n'''")
        self.fails("<!-- test: run-fails -->\n'''console\n$ true\n'''", "did not fail")
        self.fails("<!-- test: run -->\n'''console\n$ cd nowhere\n'''", "no such folder")

    def test_serve(self):
        self.passes("<!-- test: serve / serve app -->\n'''console\n$ carme serve app --bind 1.2.3.4:80\n'''")
        self.passes("<!-- test: serve /missing 404 Not Found -->\n'''console\n$ carme serve app\n'''")
        self.passes("<!-- test: serve / -c -->\n'''toml\n[server]\nlisten = [\n  '127.0.0.1:8000',\n]\n'''")
        self.fails("<!-- test: serve / bye -->\n'''console\n$ carme serve app\n'''", "/ does not show 'bye' but:\nserve app")
        self.fails("<!-- test: serve / x -->\n'''console\n$ carme serve broken\n'''", "ended:\nno application")
        self.fails("<!-- test: serve / rude -->\n'''console\n$ carme serve rude\n'''", "asked to stop and ended with 3")
        self.fails("<!-- test: serve / x -->\n'''toml\n[apps]\n'''", "must have one `listen`")

    def test_control(self):
        self.passes("<!-- test: control -->\n'''console\n$ carme serve app\n$ echo one two\none ...\n$ true\n'''")
        self.fails("<!-- test: control -->\n'''console\n$ carme serve app\n$ echo one\ntwo\n'''", "did not print 'two'")
        self.fails("<!-- test: control -->\n'''console\n$ carme serve app\n$ false\n'''", "`false` ended with 1")
        self.fails("<!-- test: control -->\n'''console\n$ carme serve rude\n$ true\n'''", "asked to stop and ended with 3")
        self.fails("<!-- test: control -->\n'''console\n$ true\n$ carme serve app\n'''", "the first command of a control")

    def test_options(self):
        table = "<!-- test: options carme serve -->\n| option | x |\n|---|---|\n| `-c`, `--config` | |\n| `--bind` | |\n"
        self.passes(table)
        self.fails(table.replace("| `--bind` | |\n", ""), "the table lacks --bind")
        self.fails(table + "| `--other` | |\n", "has no --other")

    def test_skips_are_counted_and_nothing_at_all_is_a_failure(self):
        code, output = self.check("<!-- test: skip no network -->\n'''console\n$ false\n'''")
        self.assertEqual(code, 1)
        self.assertTrue(output.endswith("0 passed, 0 failed, 1 skipped\n"), output)
        self.assertIn("no network", output)


if __name__ == "__main__":
    unittest.main()
