"""`/slow` burns 200 ms of CPU, every other page 2 ms."""

from burn import burn


def app(environ, start_response):
    burn(200 if environ["PATH_INFO"] == "/slow" else 2)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "3")])
    return [b"ok\n"]
