"""Single programs out of packages that are not installed: fetched by apt, with Debian's signature, into the cache. The
system and its sources stay as they are."""

import os
import shutil
from dataclasses import dataclass

import console
import debian
from places import ON_WINDOWS, cache_dir

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
# Old releases move from the first to the second.
MIRRORS = ["http://deb.debian.org/debian", "http://archive.debian.org/debian"]


@dataclass(frozen=True)
class Program:
    """A program of a package of a release of Debian; asked for its version it runs."""

    name: str
    package: str
    release: str
    version: str

    def find(self):
        """Its path, if it is on PATH or in the cache."""
        there = shutil.which(self.name)
        if there or ON_WINDOWS:
            return there
        cached = self._folder() / "usr" / "bin" / self.name
        return str(cached) if cached.is_file() else None

    def fetch(self):
        """Puts it into the cache; `CommandFailed` says why it did not work."""
        if not debian.is_here() or not os.path.exists(KEYRING):
            raise console.CommandFailed("only Debian's apt knows how to fetch it")
        errors = []
        for mirror in MIRRORS:
            try:
                return self._fetch_from(mirror)
            except console.CommandFailed as error:
                errors.append(str(error))
        raise console.CommandFailed("\n".join(errors))

    def _folder(self):
        return cache_dir() / self.name

    def _fetch_from(self, mirror):
        work = cache_dir() / (self.name + ".new")
        shutil.rmtree(str(work), ignore_errors=True)
        for folder in ("lists/partial", "cache/archives/partial"):
            (work / folder).mkdir(parents=True)
        sources = work / "sources.list"
        sources.write_text("deb [signed-by={}] {} {} main\n".format(KEYRING, mirror, self.release))
        apt = ["apt-get", "-qq"]
        for name, value in [("Dir::Etc::sourcelist", sources), ("Dir::Etc::sourceparts", "-"),
                            ("Dir::State::lists", work / "lists"), ("Dir::Cache", work / "cache"),
                            # What is not changed any more is not signed anew either.
                            ("Acquire::Check-Valid-Until", "false"), ("APT::Sandbox::User", "")]:
            apt += ["-o", "{}={}".format(name, value)]
        console.line("  fetching {} from Debian's {} …".format(self.name, self.release))
        console.quiet(apt + ["update"], timeout=300)
        console.quiet(apt + ["download", self.package], timeout=300, cwd=work)
        packages = list(work.glob(self.package + "_*.deb"))
        if len(packages) != 1:
            raise console.CommandFailed("apt-get download left {} packages".format(len(packages)))
        console.quiet(["dpkg-deb", "-x", packages[0], work / "unpacked"])
        kept = work / "kept" / "usr" / "bin"
        kept.mkdir(parents=True)
        (work / "unpacked" / "usr" / "bin" / self.name).rename(kept / self.name)
        console.quiet([kept / self.name, self.version])
        shutil.rmtree(str(self._folder()), ignore_errors=True)
        (work / "kept").rename(self._folder())
        shutil.rmtree(str(work), ignore_errors=True)


# Debian's last package of it is that of release 11.
CONSUL = Program("consul", "consul", "bullseye", "version")
# Its package starts a server when it is installed.
PROMTOOL = Program("promtool", "prometheus", "bookworm", "--version")
