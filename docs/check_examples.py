#!/usr/bin/env python3
"""Runs every example of the documentation and of README.md, as docs/README.md describes.

    python3 docs/check_examples.py --carme target/debug/carme --python .venv/bin/python [PAGE...]

PYTHON must have Flask and Django (examples/*/requirements.txt). The examples run in a scratch copy of examples/, a
server on a free port. Prints one line for each failure and `N passed, N failed, N skipped`; the exit code is 1 if one
failed. Without a program, `--list` prints what would be run.
"""

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

from pages import BadPage, examples_of, pages
from server import Server, ServerFailed

ROOT = Path(__file__).resolve().parent.parent
WINDOWS = os.name == "nt"
COMMAND_SECONDS = 120


class Failed(Exception):
    """An example did not do what its page says; the text says what it did."""


class Scratch:
    """Where the examples of one page run, one after the other: a folder that has a copy of examples/."""

    def __init__(self, folder, carme, python):
        self.folder = self.current = Path(folder)
        ignore = shutil.ignore_patterns("db.sqlite3*", "media", "__pycache__")
        # Contents alone: with more, CPython 3.13 asks Windows for a function that Wine 8 lacks.
        shutil.copytree(ROOT / "examples", self.folder / "examples", ignore=ignore, copy_function=shutil.copyfile)
        self.carme = carme
        path = [str(carme.parent), str(python.parent), os.environ.get("PATH", "")]
        self.environment = {**os.environ, "PATH": os.pathsep.join(path), "PYTHONDONTWRITEBYTECODE": "1"}
        # Commands find the servers of this page, and no others.
        self.environment["CARME_CONTROL_DIR"] = str(self.folder / "control")
        self.environment.pop("VIRTUAL_ENV", None)
        if (python.parent.parent / "pyvenv.cfg").exists():
            self.environment["VIRTUAL_ENV"] = str(python.parent.parent)

    def run(self, command):
        """Runs one command line as a user would; its exit code and its output, both streams in one."""
        if command.startswith("cd "):
            self.current = (self.current / command[3:].strip()).resolve()
            if not self.current.is_dir():
                raise Failed(f"`{command}`: there is no such folder")
            return 0, ""
        try:
            done = subprocess.run(
                command, shell=True, cwd=self.current, env=self.environment, stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=COMMAND_SECONDS, encoding="utf-8",
                errors="replace")
        except subprocess.TimeoutExpired:
            raise Failed(f"`{command}` did not end within {COMMAND_SECONDS} seconds") from None
        return done.returncode, done.stdout

    def run_all(self, commands):
        for command in commands:
            code, output = self.run(command)
            if code != 0:
                raise Failed(f"`{command}` ended with {code}:\n{output}")

    def save(self, example):
        """Writes a TOML example to the file that its marker names."""
        path = self.current / (example.file or "carme.toml")
        path.write_text(example.text, encoding="utf-8")
        return path

    def serve(self, arguments):
        return Server([str(self.carme), *arguments], cwd=self.current, env=self.environment)


def check(scratch, example):
    """TOML: `carme check` finds nothing wrong with it."""
    path = scratch.save(example)
    code, output = scratch.run(f'carme check -c "{path.name}"')
    if code != 0:
        raise Failed(f"carme check ended with {code}:\n{output}")


def check_fails(scratch, example):
    """TOML: `carme check` refuses it with this text."""
    path = scratch.save(example)
    code, output = scratch.run(f'carme check -c "{path.name}"')
    if code == 0:
        raise Failed("carme check found nothing wrong")
    must_show(example.expected, output)


def run(scratch, example):
    """Console: each command succeeds and prints at least the lines shown below it, in their order."""
    for command, expected in example.commands:
        code, output = scratch.run(command)
        if code != 0:
            raise Failed(f"`{command}` ended with {code}:\n{output}")
        must_print(command, expected, output)


def run_fails(scratch, example):
    """Console: the last command fails, and prints at least the lines shown below it."""
    scratch.run_all(command for command, _ in example.commands[:-1])
    command, expected = example.commands[-1]
    code, output = scratch.run(command)
    if code == 0:
        raise Failed(f"`{command}` did not fail:\n{output}")
    must_print(command, expected, output)


def serve(scratch, example):
    """Console: the last command is a server. TOML: `carme serve -c` with it is one. It answers as expected."""
    if example.language == "toml":
        arguments = ["serve", "-c", scratch.save(example).name]
    else:
        scratch.run_all(command for command, _ in example.commands[:-1])
        program, *arguments = shlex.split(example.commands[-1][0], posix=not WINDOWS)
        if program != "carme" or arguments[:1] != ["serve"]:
            raise Failed("the last command of a serve example must be `carme serve ...`")
    with scratch.serve(on_a_free_port(scratch.current, arguments)) as server:
        try:
            with urllib.request.urlopen(server.address + example.path, timeout=30) as answer:
                body = answer.read().decode("utf-8", "replace")
        except urllib.error.HTTPError as error:
            body = f"{error.code} {error.reason}\n" + error.read().decode("utf-8", "replace")
        except OSError as error:
            raise Failed(f"no answer from {server.address}{example.path}: {error}\n{server.output()}") from None
        if example.expected not in body:
            raise Failed(f"{example.path} does not show {example.expected!r} but:\n{body[:2000]}\n{server.output()}")
        server.stop()


def control(scratch, example):
    """Console: the first command is a server; while it runs, the others succeed and print what is shown."""
    first, *others = example.commands
    program, *arguments = shlex.split(first[0], posix=not WINDOWS)
    if program != "carme" or arguments[:1] != ["serve"]:
        raise Failed("the first command of a control example must be `carme serve ...`")
    with scratch.serve(on_a_free_port(scratch.current, arguments)) as server:
        for command, expected in others:
            code, output = scratch.run(command)
            if code != 0:
                raise Failed(f"`{command}` ended with {code}:\n{output}\n{server.output()}")
            must_print(command, expected, output)
        server.stop()


def options(scratch, example):
    """Table: its first column names exactly the options that the command's --help knows."""
    code, text = scratch.run(f"{example.command} --help")
    if code != 0:
        raise Failed(f"`{example.command} --help` ended with {code}:\n{text}")
    known = set(re.findall(r"^\s+(?:-\w, )?(--[a-z][a-z-]*)", text, re.M)) - {"--help", "--version"}
    shown = {option for row in example.rows for option in re.findall(r"--[a-z][a-z-]*", row)}
    if missing := sorted(known - shown):
        raise Failed(f"the table lacks {', '.join(missing)}")
    if unknown := sorted(shown - known):
        raise Failed(f"`{example.command}` has no {', '.join(unknown)}")


KINDS = {"check": check, "check-fails": check_fails, "run": run, "run-fails": run_fails, "serve": serve,
         "control": control, "options": options}


def on_a_free_port(folder, arguments):
    """The same command bound to port 0: `--bind` replaced, or the configuration file's `listen`."""
    if "-c" in arguments:
        path = folder / arguments[arguments.index("-c") + 1]
        if not path.exists():
            raise Failed(f"no earlier TOML example of this page is marked as {path.name}")
        text = path.read_text(encoding="utf-8")
        text, count = re.subn(r"(?ms)^listen\s*=\s*(\[.*?\]|\"[^\"]*\")", 'listen = ["127.0.0.1:0"]', text)
        if count != 1:
            raise Failed(f"{path.name} must have one `listen` setting, so that it can be put on a free port")
        path.write_text(text, encoding="utf-8")
        return arguments
    result, rest = [], iter(arguments)
    for argument in rest:
        if argument == "--bind":
            next(rest, None)
        elif not argument.startswith("--bind="):
            result.append(argument)
    return [*result, "--bind", "127.0.0.1:0"]


def must_show(text, output):
    if text not in output:
        raise Failed(f"{text!r} is not in its output:\n{output}")


def must_print(command, expected, output):
    """The `expected` lines in their order; `...` stands for anything."""
    lines = iter(output.splitlines())
    for wanted in expected:
        pattern = ".*".join(re.escape(part) for part in wanted.strip().split("..."))
        if wanted.strip() != "..." and not any(re.fullmatch(pattern, line.strip()) for line in lines):
            raise Failed(f"`{command}` did not print {wanted.strip()!r} there, but:\n{output}")


def reason_to_skip(example):
    if example.kind == "skip":
        return example.reason
    if example.platform and (example.platform == "windows") != WINDOWS:
        return f"only on {example.platform.capitalize()}"
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--carme", type=Path, help="the program")
    parser.add_argument("--python", type=Path, help="an interpreter that has Flask and Django")
    parser.add_argument("--list", action="store_true", help="print the examples and stop")
    parser.add_argument("page", nargs="*", type=Path, help="only these pages")
    given = parser.parse_args()
    sys.stdout.reconfigure(encoding="utf-8", errors="replace")
    chosen = [path.resolve() for path in given.page] or pages(ROOT)
    try:
        found = [(path, examples_of(path)) for path in chosen]
    except (BadPage, OSError) as error:
        print(error)
        return 1
    if given.list:
        for path, examples in found:
            for example in examples:
                print(f"{example.place(ROOT)}: {reason_to_skip(example) or ''} {example.kind}")
        return 0
    if not given.carme or not given.python:
        parser.error("--carme and --python are needed (or --list)")
    # Not resolve(): a virtual environment's python is a link, and its place is what makes the environment.
    carme, python = Path(os.path.abspath(given.carme)), Path(os.path.abspath(given.python))
    if carme.stem != "carme" or not carme.is_file():
        parser.error(f"{carme} is not the program carme; `cargo build` makes target/debug/carme")
    if not python.is_file():
        parser.error(f"{python} does not exist")

    passed = failed = skipped = 0
    for path, examples in found:
        with tempfile.TemporaryDirectory(prefix="carme-docs-") as folder:
            scratch = Scratch(folder, carme, python)
            for example in examples:
                if reason := reason_to_skip(example):
                    print(f"skipped {example.place(ROOT)}: {reason}")
                    skipped += 1
                    continue
                try:
                    KINDS[example.kind](scratch, example)
                    passed += 1
                except (Failed, ServerFailed) as error:
                    print(f"FAILED  {example.place(ROOT)}: {example.kind}: {error}")
                    failed += 1
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
