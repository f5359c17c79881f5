"""`/bytes/N` answers with N bytes that are ready in memory."""

READY = {}


def app(environ, start_response):
    length = int(environ["PATH_INFO"].rpartition("/")[2])
    body = READY.get(length)
    if body is None:
        body = READY[length] = b"x" * length
    start_response("200 OK", [("Content-Type", "application/octet-stream"), ("Content-Length", str(length))])
    return [body]
