"""The smallest site: one WSGI function, standard library only.

    carme serve examples/hello.py

Every path answers with the same line.
"""

BODY = b"Hello, world!\n"
HEADERS = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(BODY)))]


def application(environ, start_response):
    # A fresh list for each answer: PEP 3333 lets the server change the one it is given.
    start_response("200 OK", list(HEADERS))
    return [BODY]
