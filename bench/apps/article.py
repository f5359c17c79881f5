"""The page of the article, one second long: 50 times 4 ms of pure-Python CPU and 16 ms of waiting. Others are light."""

import time

from burn import burn


def app(environ, start_response):
    if environ["PATH_INFO"] == "/page":
        for _ in range(50):
            burn(4)
            time.sleep(0.016)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "3")])
    return [b"ok\n"]
