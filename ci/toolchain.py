"""The Rust toolchain, and the one that builds for `x86_64-pc-windows-gnu`.

Three ways lead to Windows programs, and the first that works is taken:
1. the machine's toolchain has the target already, or `rustup target add` brings it;
2. Debian's packaged compiler, which comes with the source of the standard library but without a compiled one for
   Windows: it is built once, into a sysroot of its own in the cache;
3. none: the Windows stages are skipped, and the reason says what to install.
"""

import hashlib
import os
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

import console
import debian
from places import ROOT, cache_dir

WINDOWS_TARGET = "x86_64-pc-windows-gnu"
MINGW = "x86_64-w64-mingw32-gcc"
MINGW_PACKAGE = "gcc-mingw-w64-x86-64-win32"
# Debian stable's own rustc is old; these are the current ones it carries for its browsers.
DEBIAN_RUST = ["rustc-web", "cargo-web", "rust-web-src", "rust-web-clippy"]


def minimum_version(manifest_text):
    """The workspace's `rust-version`, as a tuple of numbers."""
    match = re.search(r'^rust-version\s*=\s*"(\d+(?:\.\d+)*)"', manifest_text, re.MULTILINE)
    if not match:
        raise ValueError("Cargo.toml has no rust-version")
    return tuple(map(int, match.group(1).split(".")))


def parse_version(text):
    """`rustc 1.95.0 (…)` as `(1, 95, 0)`; None if it is nothing of the kind."""
    match = re.match(r"\w+ (\d+)\.(\d+)\.(\d+)", text)
    return match and tuple(map(int, match.groups()))


@dataclass(frozen=True)
class Rust:
    """A toolchain: its programs, and its version as a tuple."""

    cargo: str
    rustc: str
    version: tuple

    @property
    def name(self):
        return "Rust " + ".".join(map(str, self.version))

    def has_target(self, target):
        folder = Path(console.quiet([self.rustc, "--print", "target-libdir", "--target", target]).strip())
        return any(folder.glob("libstd-*"))

    def command(self, subcommand):
        """The command for `cargo SUBCOMMAND`.

        cargo itself looks for plugins in ~/.cargo/bin first, where rustup's clippy may be of another version than a
        compiler from /usr/bin. So the plugin beside our cargo is called by its own name.
        """
        cargo = Path(self.cargo)
        plugin = cargo.with_name("cargo-" + subcommand + cargo.suffix)
        return [str(plugin if plugin.exists() else cargo), subcommand]

    def has_component(self, subcommand):
        """Whether `cargo SUBCOMMAND` exists: fmt, clippy and nextest are optional."""
        try:
            console.quiet(self.command(subcommand) + ["--version"], timeout=60, env=self.environment(os.environ))
            return True
        except console.CommandFailed:
            return False

    def environment(self, base):
        """`base` with this toolchain's programs in the places where cargo and its plugins look for them."""
        if self.cargo == shutil.which("cargo"):
            return dict(base)
        return dict(base, CARGO=self.cargo, RUSTC=self.rustc, RUSTDOC=str(Path(self.rustc).with_name("rustdoc")))


@dataclass(frozen=True)
class WindowsRust:
    """A toolchain that can build for Windows; `sysroot` is set if the standard library was built by us."""

    rust: Rust
    sysroot: Optional[Path]

    def environment(self, base):
        """`base` prepared for `cargo … --target x86_64-pc-windows-gnu`."""
        env = self.rust.environment(base)
        for name in ("RUSTFLAGS", "RUSTDOCFLAGS", "CARGO_ENCODED_RUSTFLAGS"):
            env.pop(name, None)  # they would replace the target's own flags
        prefix = "CARGO_TARGET_X86_64_PC_WINDOWS_GNU_"
        env[prefix + "LINKER"] = MINGW
        if self.sysroot:
            env[prefix + "RUSTFLAGS"] = env[prefix + "RUSTDOCFLAGS"] = "--sysroot {}".format(self.sysroot)
        return env


def locate(cargo, rustc):
    """The toolchain made of these two programs; None if either is missing or does not run."""
    if not cargo or not rustc:
        return None
    try:
        version = parse_version(console.quiet([rustc, "--version"], timeout=120))
    except console.CommandFailed:
        return None
    return Rust(cargo, rustc, version) if version else None


def host():
    """The toolchain that a plain `cargo` runs."""
    return locate(shutil.which("cargo"), shutil.which("rustc"))


def minimum():
    return minimum_version((ROOT / "Cargo.toml").read_text(encoding="utf-8"))


def for_windows(rust, install):
    """A toolchain that builds for Windows, made available if `install`; `CommandFailed` names the obstacle."""
    if not shutil.which(MINGW):
        if not (install and debian.is_here()):
            raise console.CommandFailed("the linker {} is missing (Debian, Ubuntu: {})".format(MINGW, MINGW_PACKAGE))
        debian.install([MINGW_PACKAGE])
    if rust.has_target(WINDOWS_TARGET):
        return WindowsRust(rust, None), console.FOUND
    if install and shutil.which("rustup"):
        try:
            console.quiet(["rustup", "target", "add", WINDOWS_TARGET], timeout=300)
            if rust.has_target(WINDOWS_TARGET):
                return WindowsRust(rust, None), console.INSTALLED
        except console.CommandFailed as error:
            console.line("  rustup cannot add {} ({}); trying Debian's compiler".format(
                WINDOWS_TARGET, str(error).splitlines()[-1].strip()))
    return _debian(install)


def _debian(install):
    if install and debian.is_here():
        debian.install(DEBIAN_RUST)
    rust = locate(_existing("/usr/bin/cargo"), _existing("/usr/bin/rustc"))
    if rust is None or rust.version < minimum():
        raise console.CommandFailed("no toolchain has the target; run: rustup target add " + WINDOWS_TARGET)
    if rust.has_target(WINDOWS_TARGET):
        return WindowsRust(rust, None), console.FOUND
    return _with_built_std(rust)


def _existing(path):
    return path if os.path.exists(path) else None


def _with_built_std(rust):
    """Compiles the standard library from the toolchain's own source, about a minute on two cores, 100 MiB."""
    rustlib = Path(console.quiet([rust.rustc, "--print", "sysroot"]).strip()) / "lib" / "rustlib"
    if not (rustlib / "src").exists():
        raise console.CommandFailed("{} has neither {} nor the library's source".format(rust.rustc, WINDOWS_TARGET))
    identity = console.quiet([rust.rustc, "-vV"])
    sysroot = cache_dir() / "windows-std" / hashlib.sha256(identity.encode()).hexdigest()[:16]
    if (sysroot / "complete").exists():
        return WindowsRust(rust, sysroot), console.FOUND
    console.line("  building Rust's standard library for {} (once, about a minute) …".format(WINDOWS_TARGET))
    shutil.rmtree(sysroot, ignore_errors=True)
    compiled = sysroot / "lib" / "rustlib" / WINDOWS_TARGET / "lib"
    compiled.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as scratch:
        for library in _compile_std(rust, Path(scratch)):
            shutil.copy2(str(library), str(compiled))
    for entry in rustlib.iterdir():  # proc macros and build scripts of the host come from where they always did
        if entry.name != WINDOWS_TARGET:
            (sysroot / "lib" / "rustlib" / entry.name).symlink_to(entry)
    (sysroot / "complete").write_text(identity)
    return WindowsRust(rust, sysroot), console.INSTALLED


def _compile_std(rust, scratch):
    (scratch / "src").mkdir()
    (scratch / "src" / "main.rs").write_text("fn main() {}\n")
    (scratch / "Cargo.toml").write_text(
        '[package]\nname = "standard-library"\nversion = "0.0.0"\nedition = "2021"\n[workspace]\n')
    env = WindowsRust(rust, None).environment(os.environ)
    env.update(RUSTC_BOOTSTRAP="1", CARGO_TARGET_DIR=str(scratch / "target"))
    console.quiet([rust.cargo, "build", "--release", "--target", WINDOWS_TARGET,
                   "-Zbuild-std=std,panic_abort,panic_unwind,test,proc_macro"], timeout=1800, env=env, cwd=scratch)
    return sorted((scratch / "target" / WINDOWS_TARGET / "release" / "deps").glob("lib*.rlib"))
