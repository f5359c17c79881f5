#!/usr/bin/env python3
"""Checks the documentation's own links: every page is in SUMMARY.md, every linked page, file and heading exists.

    python3 docs/check_links.py
"""

import re
import sys
from pathlib import Path

from pages import pages

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "docs" / "src"
LINK = re.compile(r"(?<!\\)\]\(([^)\s]+)\)")


def prose(page):
    """The page without its code blocks and code spans."""
    text = re.sub(r"(?ms)^\s*```.*?^\s*```\s*$", "", page.read_text(encoding="utf-8"))
    return re.sub(r"`[^`\n]*`", "`code`", text)


def anchors(page):
    """The headings' ids as mdBook and GitHub make them."""
    text = re.sub(r"(?ms)^\s*```.*?^\s*```\s*$", "", page.read_text(encoding="utf-8"))
    titles = re.findall(r"^#+ +(.*?) *$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", title.replace("`", "").lower()).replace(" ", "-") for title in titles}


def problems():
    linked_in_summary = set()
    for page in pages(ROOT):
        for link in LINK.findall(prose(page)):
            if re.match(r"[a-z]+:", link):
                continue
            name, _, anchor = link.partition("#")
            target = (page.parent / name).resolve() if name else page
            if page.name == "SUMMARY.md":
                linked_in_summary.add(target)
            if not target.exists():
                yield f"{page.relative_to(ROOT)}: {link}: there is no such file"
            elif SOURCES in page.parents and ROOT / "docs" not in target.parents:
                yield f"{page.relative_to(ROOT)}: {link}: is outside the book"
            elif anchor and anchor not in anchors(target):
                yield f"{page.relative_to(ROOT)}: {link}: there is no such heading"
    for page in sorted(SOURCES.rglob("*.md")):
        if page.name != "SUMMARY.md" and page not in linked_in_summary:
            yield f"{page.relative_to(ROOT)}: is not in SUMMARY.md"


def main():
    found = list(problems())
    print("\n".join(found) or "all links lead somewhere")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
