"""Finds the examples in the documentation's pages. docs/README.md describes their markers."""

import re
from dataclasses import dataclass, field
from typing import Optional

MARKER = re.compile(r"<!--\s*test:\s*(.*?)\s*-->\s*$")
FENCE = re.compile(r"^(\s*)(`{3,})(\S*)\s*$")
# Blocks in these languages are examples and must have a marker; `text`, `python` and so on are not run.
RUN = {"console", "toml"}
FORMS = {
    "check": "check [FILE]",
    "check-fails": "check-fails TEXT",
    "run": "run",
    "run-fails": "run-fails",
    "serve": "serve PATH TEXT",
    "control": "control",
    "options": "options COMMAND",
    "skip": "skip REASON",
}
LANGUAGES = {
    "check": {"toml"}, "check-fails": {"toml"}, "run": {"console"}, "run-fails": {"console"},
    "serve": {"console", "toml"}, "control": {"console"}, "options": {"table"}, "skip": {"console", "toml"},
}


class BadPage(Exception):
    """A page breaks the rules of docs/README.md; the text names page and line."""


@dataclass
class Example:
    page: object
    line: int
    kind: str
    language: str
    text: str
    platform: Optional[str] = None
    file: Optional[str] = None  # check: where the TOML is saved
    path: Optional[str] = None  # serve: what is asked for
    expected: Optional[str] = None  # serve, check-fails
    command: Optional[str] = None  # options
    reason: Optional[str] = None  # skip
    commands: list = field(default_factory=list)  # console: (command, lines of output shown)
    rows: list = field(default_factory=list)  # options: first column

    def place(self, root):
        return f"{self.page.relative_to(root)}:{self.line}"


def pages(root):
    return [root / "README.md", *sorted((root / "docs" / "src").rglob("*.md"))]


def examples_of(page):
    lines = page.read_text(encoding="utf-8").splitlines()
    examples, marker, number = [], None, 0
    while number < len(lines):
        line = lines[number]
        number += 1
        if found := MARKER.search(line):
            if marker:
                raise BadPage(f"{page}:{marker[0]}: this marker has no example below it")
            marker = number, found[1]
        elif fence := FENCE.match(line):
            start, indent = number, len(fence[1])
            while number < len(lines) and lines[number].strip() != fence[2]:
                number += 1
            if number == len(lines):
                raise BadPage(f"{page}:{start}: this block has no end")
            text = "".join(block_line[indent:] + "\n" for block_line in lines[start:number])
            number += 1
            if fence[3] in RUN and not marker:
                raise BadPage(f"{page}:{start}: a {fence[3]} block needs a marker, such as <!-- test: run -->")
            if marker:
                examples.append(example(page, marker, fence[3], text))
            marker = None
        elif marker and line.startswith("|"):
            start = number - 1
            while number < len(lines) and lines[number].startswith("|"):
                number += 1
            examples.append(example(page, marker, "table", "\n".join(lines[start:number])))
            marker = None
        elif marker and line.strip():
            raise BadPage(f"{page}:{marker[0]}: this marker has no example below it")
    if marker:
        raise BadPage(f"{page}:{marker[0]}: this marker has no example below it")
    return examples


def example(page, marker, language, text):
    line, words = marker
    platform = None
    first, _, rest = words.partition(" ")
    if first in ("linux", "windows"):
        platform, (first, _, rest) = first, rest.partition(" ")
    if first not in FORMS:
        raise BadPage(f"{page}:{line}: unknown marker {words!r}; there are: {', '.join(FORMS.values())}")
    if language not in LANGUAGES[first]:
        raise BadPage(f"{page}:{line}: `{first}` is not for a block of {language or 'no language'}")
    result = Example(page, line, first, language, text, platform)
    rest = rest.strip()
    if first == "check":
        result.file = rest or None
    elif first in ("check-fails", "skip", "options"):
        setattr(result, {"check-fails": "expected", "skip": "reason", "options": "command"}[first], rest)
    elif first == "serve":
        result.path, _, result.expected = rest.partition(" ")
    elif rest:
        raise BadPage(f"{page}:{line}: `{first}` takes nothing more")
    if "" in (result.expected, result.reason, result.command) or (result.path and not result.path.startswith("/")):
        raise BadPage(f"{page}:{line}: should be `{FORMS[first]}`")
    if language == "console":
        result.commands = commands(page, line, text, platform)
    elif language == "table":
        result.rows = [row.split("|")[1] for row in text.splitlines()[2:]]
    return result


def commands(page, line, text, platform):
    """A console block's commands, each with the output shown below it. `> ` is the prompt of Windows."""
    found = []
    for shown in text.splitlines():
        prompt, command = shown[:2], shown[2:].strip()
        if prompt == "$ " or (prompt == "> " and platform == "windows"):
            found.append((command, []))
        elif shown.strip():
            if not found:
                raise BadPage(f"{page}:{line}: a console block begins with a command: `$ ...`, on Windows `> ...`")
            found[-1][1].append(shown)
    if not found:
        raise BadPage(f"{page}:{line}: this console block has no command")
    return found
