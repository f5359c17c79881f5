"""nginx with one worker and nothing of Debian's own configuration."""

from __future__ import annotations

from pathlib import Path

from .needed import need
from .processes import Command

HEAD = """\
daemon off;
worker_processes 1;
pid {folder}/{name}.pid;
error_log {folder}/{name}.log;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000000;
    {temporary}
"""


def command(folder: Path, name: str, port: int, http: str) -> Command:
    """One with this in its `http` section, and its files, called `name`, in the folder."""
    # Without root it could not write where Debian's nginx would.
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = " ".join(f"{kind}_temp_path {folder}/{name}-{kind};" for kind in kinds)
    config = folder / f"{name}.conf"
    config.write_text(HEAD.format(folder=folder, name=name, temporary=temporary) + http + "}\n")
    return Command([need("nginx", "nginx-light"), "-p", folder, "-c", config], port, folder)
