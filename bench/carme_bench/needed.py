"""Programs that a benchmark needs."""

from __future__ import annotations

import shutil
from pathlib import Path


class Missing(Exception):
    """A program that is needed is not there; the text names it and the package that has it."""


def need(program: str, package: str) -> str:
    found = shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin")
    if not found:
        raise Missing(f"{program} is not installed (Debian: apt-get install {package})")
    return found


def need_carme(carme: Path) -> Path:
    if not carme.exists():
        raise Missing(f"{carme} does not exist: cargo build --release -p carme")
    return carme
