"""Packages of Debian and its derivatives: what is installed, what can be, and installing it as root or by sudo."""

import os
import shutil

import console


def is_here():
    return bool(shutil.which("apt-get") and shutil.which("dpkg-query"))


def _privilege():
    """What to put before a command that needs root, or None if there is no way without asking for a password."""
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo"):
        try:
            console.quiet(["sudo", "-n", "true"], timeout=20)
            return ["sudo", "-n"]
        except console.CommandFailed:
            pass
    return None


def missing(packages):
    """Those of `packages` that are not installed."""
    return [package for package in packages if not _is_installed(package)]


def _is_installed(package):
    try:
        return "ok installed" in console.quiet(["dpkg-query", "-W", "-f=${Status}", package])
    except console.CommandFailed:
        return False


def install(packages):
    """Installs `packages`; `CommandFailed` says why it did not work, or what a person with root would type."""
    wanted = missing(packages)
    if not wanted:
        return
    privilege = _privilege()
    if privilege is None:
        raise console.CommandFailed("needs root: sudo apt-get install --no-install-recommends " + " ".join(wanted))
    env = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    apt = privilege + ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300"]
    console.line("  installing " + " ".join(wanted) + " …")
    console.quiet(apt + ["update"], timeout=600, env=env)
    console.quiet(apt + ["install", "-y", "--no-install-recommends"] + wanted, timeout=1800, env=env)
