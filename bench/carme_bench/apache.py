"""Apache's configurations: mod_wsgi in one process, and the article's farm behind mod_proxy_balancer."""

from __future__ import annotations

import grp
import os
import pwd
import shutil

MODULES = "/usr/lib/apache2/modules"
#: What Apache for Windows is shipped with. With fewer threads than connections Apache closes kept connections under
#: the client's hands, which is its right, but counts as errors.
EMBEDDED_THREADS = 150


def embedded(tools, job):
    """Python inside Apache's one child process, as it is on Windows, where Apache never has a second one."""
    return write(job, children(EMBEDDED_THREADS, 1), [wsgi(tools, job)])


def daemon(tools, job):
    """One daemon process with as many threads as the others have in all; Apache itself only passes on."""
    options = f"processes=1 threads={job.all_threads} python-path={':'.join(python_path(tools, job))}"
    process = f"WSGIDaemonProcess bench {options}\nWSGIProcessGroup bench"
    return write(job, children(128, 2), [process, wsgi(tools, job)])


def farm(tools, job, ports):
    """The article's balancer before instances that are already listening."""
    return before(job, children(128, 2), ports, " smax=3 max=10 ttl=120")


def before(job, processes, ports, parameters=""):
    """A balancer before members that are already listening."""
    members = "\n".join(
        f"    BalancerMember http://127.0.0.1:{port}{parameters} route=www_{number}" for number, port in enumerate(ports, 1)
    )
    proxy = (
        f"<Proxy balancer://cluster>\n{members}\n    ProxySet lbmethod=byrequests\n</Proxy>\n"
        "ProxyPass / balancer://cluster/\nProxyPassReverse / balancer://cluster/"
    )
    modules = ["slotmem_shm", "lbmethod_byrequests", "proxy_balancer", "proxy_http", "proxy"]
    return write(job, processes, [proxy], modules)


def children(threads: int, count: int) -> str:
    return (
        f"StartServers {count}\nServerLimit {count}\nThreadLimit {threads}\nThreadsPerChild {threads}\n"
        f"MaxRequestWorkers {threads * count}\nMinSpareThreads 1\nMaxSpareThreads {threads * count}\n"
        "MaxConnectionsPerChild 0\nAsyncRequestWorkerFactor 8"
    )


def python_path(tools, job):
    return [str(job.scratch / "app")] + ([str(tools.debian_packages)] if tools.debian_packages else [])


def wsgi(tools, job) -> str:
    """The user that Apache runs as may not be allowed to read this repository, so the application is copied."""
    application = job.application
    unneeded = shutil.ignore_patterns("__pycache__", "*.sqlite3*", "media", "static-collected")
    shutil.copytree(application.directory, job.scratch / "app", ignore=unneeded)
    script = job.scratch / "script.wsgi"
    lines = [f"import sys; sys.path[:0] = {python_path(tools, job)!r}"]
    lines += [f"from {application.module} import {application.attribute} as application"]
    script.write_text("\n".join(lines) + "\n")
    # %{GLOBAL}: the main interpreter; a sub-interpreter would only cost.
    return (
        f"WSGIScriptAlias / {script}\nWSGIApplicationGroup %{{GLOBAL}}\n"
        f"<Directory {job.scratch}>\n    Require all granted\n</Directory>"
    )


def write(job, processes, parts, modules=()):
    """Writes httpd.conf into the job's folder and gives the command. No access log, since no CustomLog is there."""
    folder = job.scratch
    loads = ["mpm_event", "authz_core"] + [m for m in reversed(list(modules))]
    loads += ["wsgi"] if any("WSGIScriptAlias" in part for part in parts) else []
    head = [f"LoadModule {name}_module {MODULES}/mod_{name}.so" for name in loads]
    head += [f'ServerRoot "{folder}"', f'PidFile "{folder}/httpd.pid"', f'DefaultRuntimeDir "{folder}"']
    head += [f"Listen {job.address}", "ServerName localhost", 'ErrorLog "/dev/stderr"', "LogLevel error"]
    head += ["KeepAlive On", "MaxKeepAliveRequests 0", "KeepAliveTimeout 60", "ListenBacklog 2048"]
    head += ["Mutex pthread" if os.path.exists("/dev/shm") else "Mutex default"]
    if os.geteuid() == 0:
        head += [f"User {unprivileged()[0]}", f"Group {unprivileged()[1]}"]
    configuration = folder / "httpd.conf"
    configuration.write_text("\n".join(head + [processes] + list(parts)) + "\n")
    return ["/usr/sbin/apache2", "-DFOREGROUND", "-f", configuration]


def unprivileged():
    for user in ("www-data", "nobody"):
        try:
            entry = pwd.getpwnam(user)
        except KeyError:
            continue
        return user, grp.getgrgid(entry.pw_gid).gr_name
    return "#65534", "#65534"
