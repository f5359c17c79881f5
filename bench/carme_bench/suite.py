"""Which cases there are and which servers take part in each. What they mean is in bench/README.md."""

from __future__ import annotations

from . import places
from .cases import FirstAnswer, IdleMemory, Overlapping, Tail, Throughput
from .peers import PEERS, Application

ANY = [peer.name for peer in PEERS if not peer.name.startswith("carme-")]
WITH_PYTHON = [name for name in ANY if name != "bare-hyper"]


def all_cases() -> list:
    """In the order in which they are run."""
    hello = Application("hello", places.APPS)
    sized = Application("sized", places.APPS)
    echo = Application("echo", places.APPS)
    article = Application("article", places.APPS)
    tail = Application("tail", places.APPS)
    flask = Application("app", places.EXAMPLES / "flask_app")
    django = Application("mysite.wsgi", places.EXAMPLES / "django_site", "application")
    greeting = b"Hello, world!\n"
    many = ANY + ["carme-1t"]
    cases = []
    for workers in (2, 1):
        for connections in (1, 32, 128):
            plural = "s" if workers > 1 else ""
            title = f"Hello world, {connections} connection{'s' if connections > 1 else ''}, {workers} worker{plural}"
            name = f"hello-c{connections}-w{workers}"
            cases.append(Throughput(name, title, hello, workers, 4, many, [], "/", connections, greeting))
    watched = ["carme", "carme-log", "carme-metrics", "carme-log-metrics"]
    title = "What an access log and metrics cost: hello world, 32 connections, 2 workers"
    cases.append(Throughput("overhead", title, hello, 2, 4, watched, [], "/", 32, greeting))
    for length, label in ((10_000, "10kB"), (1_000_000, "1MB")):
        title = f"{label[:-2]} {label[-2:]} response, 32 connections, 2 workers"
        right = b"x" * length
        cases.append(Throughput(f"bytes-{label}", title, sized, 2, 4, ANY, [], f"/bytes/{length}", 32, right))
    body = b"x" * 65536
    title = "64 kB POST, echoed, 32 connections, 2 workers"
    cases.append(Throughput("post-64kB", title, echo, 2, 4, ANY, [], "/echo", 32, body, body, "post.lua"))
    title = "The Flask example's front page, 32 connections, 2 workers"
    cases.append(Throughput("flask", title, flask, 2, 4, WITH_PYTHON, [], "/", 32, "<html"))
    title = "A note of the Django example (template, SQLite), 32 connections, 2 workers"
    cases.append(Throughput("django", title, django, 2, 4, WITH_PYTHON, [], "/notes/1/", 32, "<h1>"))
    # As many processes and threads as the article's farm has; Carme with its usual two workers beside it.
    heavy = ["carme", "carme-2x15", "granian-st-T", "granian-mt-T", "gunicorn-sync", "gunicorn-gthread", "waitress"]
    heavy += ["uwsgi", "modwsgi-embedded", "modwsgi-daemon", "apache-farm"]
    for pages in (10, 20):
        title = f"The article's page, {pages} at once, and a light page meanwhile (3 workers, 10 threads)"
        cases.append(Overlapping(f"article-{pages}", title, article, 3, 10, heavy, [], pages))
    fair = [name for name in WITH_PYTHON if name not in ("uwsgi-router", "modwsgi-embedded")]
    title = "Tail: 150 requests/s (Poisson), 1 % of 200 ms among 2 ms, 2 workers, 4 threads"
    cases.append(Tail("tail", title, tail, 2, 4, fair))
    small = ["carme", "granian-st-1", "granian-st-T", "granian-mt-1", "granian-mt-T", "gunicorn-sync", "gunicorn-gthread"]
    title = "Memory of 2 workers, idle, and with 10,000 idle connections"
    cases.append(IdleMemory("memory", title, hello, 2, 4, small))
    title = "From launch to the first answer, stdlib application, 2 workers"
    cases.append(FirstAnswer("start", title, hello, 2, 4, small))
    return cases
