"""Consul's agent, of which Debian's last package is that of release 11: fetched by apt, with Debian's signature, from
there into the cache. The system and its sources stay as they are."""

import os
import shutil

import console
import debian
from places import ON_WINDOWS, cache_dir

RELEASE = "bullseye"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
# Old releases move from the first to the second.
MIRRORS = ["http://deb.debian.org/debian", "http://archive.debian.org/debian"]


def _folder():
    return cache_dir() / "consul"


def program():
    """Its path, if it is on PATH or in the cache."""
    there = shutil.which("consul")
    if there or ON_WINDOWS:
        return there
    cached = _folder() / "usr" / "bin" / "consul"
    return str(cached) if cached.is_file() else None


def fetch():
    """Puts it into the cache; `CommandFailed` says why it did not work."""
    if not debian.is_here() or not os.path.exists(KEYRING):
        raise console.CommandFailed("only Debian's apt knows how to fetch it")
    errors = []
    for mirror in MIRRORS:
        try:
            return _fetch_from(mirror)
        except console.CommandFailed as error:
            errors.append(str(error))
    raise console.CommandFailed("\n".join(errors))


def _fetch_from(mirror):
    work = cache_dir() / "consul.new"
    shutil.rmtree(str(work), ignore_errors=True)
    for folder in ("lists/partial", "cache/archives/partial"):
        (work / folder).mkdir(parents=True)
    sources = work / "sources.list"
    sources.write_text("deb [signed-by={}] {} {} main\n".format(KEYRING, mirror, RELEASE))
    apt = ["apt-get", "-qq"]
    for name, value in [("Dir::Etc::sourcelist", sources), ("Dir::Etc::sourceparts", "-"),
                        ("Dir::State::lists", work / "lists"), ("Dir::Cache", work / "cache"),
                        # What is not changed any more is not signed anew either.
                        ("Acquire::Check-Valid-Until", "false"), ("APT::Sandbox::User", "")]:
        apt += ["-o", "{}={}".format(name, value)]
    console.line("  fetching consul from Debian 11 …")
    console.quiet(apt + ["update"], timeout=300)
    console.quiet(apt + ["download", "consul"], timeout=300, cwd=work)
    packages = list(work.glob("consul_*.deb"))
    if len(packages) != 1:
        raise console.CommandFailed("apt-get download left {} packages".format(len(packages)))
    unpacked = work / "unpacked"
    console.quiet(["dpkg-deb", "-x", packages[0], unpacked])
    console.quiet([unpacked / "usr" / "bin" / "consul", "version"])
    shutil.rmtree(str(_folder()), ignore_errors=True)
    unpacked.rename(_folder())
    shutil.rmtree(str(work), ignore_errors=True)
