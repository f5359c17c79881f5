#!/usr/bin/env python3
"""Records what Apache's proxy does to the heads of requests and answers, for tests/heads.rs to compare.

    python3 crates/carme-proxy/tests/apache/record.py > crates/carme-proxy/tests/apache/recorded.json

Needs Debian's apache2 (2.4). Each site is a virtual host at a port of its own; the two members are threads of this
script, which keep the head they got and answer with the lines of the case. Ports in what is recorded are 8080 (the
site's), 9001 and 9002 (the members').
"""

import json
import pathlib
import socket
import subprocess
import sys
import tempfile
import threading
import time

MODULES = [
    "mpm_event", "authz_core", "headers", "proxy", "proxy_http", "proxy_balancer", "slotmem_shm", "lbmethod_byrequests",
]
PLAIN = ["HTTP/1.1 200 OK", "Content-Length: 0"]


class Member:
    """Answers every request with the same lines, and remembers its head."""

    def __init__(self):
        self.answer, self.head = PLAIN, None
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            connection = self.listener.accept()[0]
            with connection:
                connection.settimeout(2)
                self.head = head_of(connection)
                connection.sendall("".join(line + "\r\n" for line in [*self.answer, ""]).encode("latin-1"))


def head_of(connection):
    """The lines of a head."""
    text = b""
    while b"\r\n\r\n" not in text:
        piece = connection.recv(65536)
        if not piece:
            break
        text += piece
    return text.split(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


# Sites. `location`, `path` (upstream_path), `member` (the member's own path), and so on are what the test gives Carme.

def site(directives, **passing):
    return {"directives": directives, "passing": passing}


def paths(location, path, member="", more=""):
    """A location in Apache's words: the slash at the end of both, so that both sides mean the same."""
    url = f"balancer://c{path}/"
    return site(
        f"ProxyPass {location}/ {url} {more}",
        location=location, path=path, member=member, raw=more == "nocanon",
    )


SITES = {
    "root": paths("", ""),
    "app": paths("/app", ""),
    "deep": paths("/app", "/up/x"),
    "same": paths("/app", "/app"),
    "base": paths("/app", "/up", member="/base"),
    "raw": paths("", "", more="nocanon"),
    "raw app": paths("/app", "/up", more="nocanon"),
    "preserve": site("ProxyPass / balancer://c/\nProxyPreserveHost On", preserve_host=True),
    "silent": site("ProxyPass / balancer://c/\nProxyAddHeaders Off", forwarded_headers=False),
    "via on": site("ProxyPass / balancer://c/\nProxyVia On\nProxyAddHeaders Off", forwarded_headers=False, via="on"),
    "via block": site("ProxyPass / balancer://c/\nProxyVia Block\nProxyAddHeaders Off", forwarded_headers=False, via="block"),
    "reverse": site(
        "ProxyPass / balancer://c/\nProxyPassReverse / balancer://c/\nProxyPassReverse /old/ http://Old.internal/a/\n"
        "ProxyPassReverse /second/ http://old.internal/\nProxyPassReverse /bare http://bare.internal\n"
        "ProxyPassReverse /path/ /inner/",
        reverse=[["members", "/", "/"], ["url", "http://Old.internal/a/", "/old/"],
                 ["url", "http://old.internal/", "/second/"], ["url", "http://bare.internal", "/bare"],
                 ["url", "/inner/", "/path/"]],
    ),
    "reverse app": site(
        "ProxyPass /app/ balancer://c/\nProxyPassReverse /app/ balancer://c/",
        location="/app", reverse=[["members", "/", "/app/"]],
    ),
    "reverse deep": site(
        "ProxyPass /app/ balancer://c/up/\nProxyPassReverse /app/ balancer://c/up/",
        location="/app", path="/up", reverse=[["members", "/up/", "/app/"]],
    ),
    "reverse base": site(
        "ProxyPass /app/ balancer://c/up/\nProxyPassReverse /app/ balancer://c/up/",
        location="/app", path="/up", member="/Base", reverse=[["members", "/up/", "/app/"]],
    ),
    "cookies": site(
        "ProxyPass / balancer://c/\nProxyPassReverseCookieDomain app.internal www.example.com\n"
        "ProxyPassReverseCookieDomain .other.internal .example.com\nProxyPassReverseCookiePath /up/ /app/\n"
        "ProxyPassReverseCookiePath /u /v\nProxyPassReverseCookiePath /gone /",
        cookie_domains=[["app.internal", "www.example.com"], [".other.internal", ".example.com"]],
        cookie_paths=[["/up/", "/app/"], ["/u", "/v"], ["/gone", "/"]],
    ),
    "errors": site("ProxyPass / balancer://c/\nProxyErrorOverride On", override="all"),
    "some errors": site("ProxyPass / balancer://c/\nProxyErrorOverride On 404 503", override=[404, 503]),
}

TARGETS = [
    "/", "/?", "/a/b?c=d", "/a?", "/a?b?c", "/%7Ea", "/%41%2d%2E%5f", "/a%20b", "/a+b%2Bc", "/%3a%40%26%3D%3b%24%2c%21%2a%27%28%29",
    "/[a]", "/{a}|b^c", "/%5b%5D%7b%7C", "/%25", "/%2541", "/%252F", "/%23%3f", "/a%5cb", "/%c3%a9", "/%C3%A9", "/%ff", "/%0a", "/%09", "/%7f",
    "//", "//a", "/a//b", "/a///b//", "/./a", "/a/.", "/a/./b", "/a/..", "/a/../b", "/a/b/../../c", "/..", "/../a", "/a/../../b",
    "/%2e%2e/a", "/a/%2e%2e/b", "/a/.%2E/b", "/...", "/.a", "/a..", "/a;b=c", "/a;b/../c", "/..;/a", "/a,b:c@d", "/a%3bb", "/%2F", "/a%2fb",
    "/%00", "/a%00b", "/%", "/%4", "/%zz", "/a%2", "/a?%zz", "/a?[b]={c}|^", "/a?%2e%2e/..", "/a?b=%20+", "/~-._!$&'()*+,;=:@", "/a?x=é",
]
BELOW = [
    "/app/", "/app/x", "/app/x?y", "/app//x", "//app/x", "/app/../app/x", "/x/../app/y", "/app/./x", "/app/x/../y", "/app/x/..", "/%61pp/x", "/app/%41",
    "/app/..", "/app/../x", "/app/x/../../y", "/apple", "/app%2Fx", "/app/a%20b[c]", "/app/%7Ea/..//b",
]


def request(target="/", *lines, method="GET", version="1.1", host="www.example.com:8080"):
    return [f"{method} {target} HTTP/{version}", *([f"Host: {host}"] if host else []), *lines]


FIELDS = [
    request("/"),
    request("/", version="1.0"),
    request("/", version="1.0", host=None),
    request("/", "Connection: close"),
    request("/", "Connection: keep-alive", "Keep-Alive: timeout=3", "X-A: 1"),
    request("/", "Connection: X-A, x-b ,, X-C", "X-A: 1", "X-B: 2", "X-C: 3", "X-D: 4"),
    request("/", "Connection: X-A", "Connection: X-B", "X-A: 1", "X-B: 2"),
    request("/", "Connection: X-Forwarded-For, X-Forwarded-Host, Host"),
    request("/", "Proxy-Connection: keep-alive", "X-A: 1"),
    request("/", "TE: trailers", "Connection: TE"),
    request("/", "TE: gzip"),
    request("/", "Trailer: X-A"),
    request("/", "Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA"),
    request("/", "Expect: 100-continue"),
    request("/", "Proxy-Authorization: Basic YTpi"),
    request("/", "X-Forwarded-For: 192.0.2.1", "X-Forwarded-For: 192.0.2.2"),
    request("/", "X-Forwarded-Server: edge"),
    request("/", "Via: 1.0 a", "Via: 1.1 b"),
    request("/", "Max-Forwards: 3", method="OPTIONS"),
    request("/", "Max-Forwards: 0", method="OPTIONS"),
    request("/", "Max-Forwards: x", method="OPTIONS"),
]

PLACES = [
    "http://127.0.0.1:9001/", "http://127.0.0.1:9001", "http://127.0.0.1:9001/a/b?c#d", "http://127.0.0.1:9001?a", "HTTP://127.0.0.1:9001/a",
    "http://127.0.0.1:9002/a", "http://127.0.0.1:9003/a", "http://127.0.0.1:90011/a", "https://127.0.0.1:9001/a", "http://127.0.0.1/a", "http://127.0.0.1:9001//a",
    "http://127.0.0.1:9001/up/a", "http://127.0.0.1:9001/up", "http://127.0.0.1:9001/UP/a", "http://127.0.0.1:9001/upper",
    "http://127.0.0.1:9001/Base/up/a", "http://127.0.0.1:9001/base/up/a", "http://127.0.0.1:9001/Base/up", "http://127.0.0.1:9001/Base/a",
    "http://user@127.0.0.1:9001/a", "//127.0.0.1:9001/a", "/a", "a", "", "/inner/a", "http://any.internal/inner/a", "http://any.internal/other",
    "http://old.internal/a/b", "http://OLD.internal/A/b", "http://old.internal/b", "http://old.internal", "http://old.internal:80/b",
    "http://old.internal.example/b", "http://bare.internal/b", "http://bare.internal", "http://bare.internal.example/b", "http://bare.internal:81/b",
    "http://www.example.com:8080/a",
]

COOKIES = [
    "a=b", "a=b; Path=/up/", "a=b; path=/up/x/y; HttpOnly", "a=b;PATH=/up/", "a=b; Path=/upper", "a=b; Path=/UP/", "a=b; Path=/x/up/", "a=b; Path=/",
    "a=b; Domain=app.internal", "a=b; domain=APP.internal; Path=/up/", "a=b; Path=/up/; Domain=app.internal; Secure", "a=b; Domain=.app.internal",
    "a=b; Domain=app.internal.example", "a=b; Domain=x.other.internal", "a=b; Domain=.other.internal", "a=b; Path=/gone/x", "a=b; Path=/gone ; Secure",
    "a=b; Path =/up/", "a=b; Path= /up/", "a=b; Path=\"/up/\"", "a=b; XPath=/up/", "a=Path=/up/", "a=b;;Path=/up/;", "a=b; Path", "a=b; Path=", "",
    "path=/up/; HttpOnly", "a=b; Path=/up/; Path=/gone/", "a=b; Path=/x; Path=/up/", "a=b; Path=/up/; Path=/x",
]


def cases():
    for target in TARGETS:
        for name in ["root", "raw"]:
            yield name, request(target), PLAIN
    for target in BELOW:
        for name in ["app", "deep", "same", "base", "raw app"]:
            yield name, request(target), PLAIN
    for lines in FIELDS:
        for name in ["root", "preserve", "silent", "via on", "via block"]:
            yield name, lines, PLAIN
    for place in PLACES:
        for name in ["reverse", "reverse app", "reverse deep", "reverse base"]:
            answer = ["HTTP/1.1 302 Found", "Content-Length: 0", f"Location: {place}"]
            at = "/app/" if name != "reverse" else "/"
            yield name, request(at), answer
    for name in ["Content-Location", "URI", "Destination", "Refresh", "X-Location"]:
        yield "reverse", request(), [*PLAIN, f"{name}: http://127.0.0.1:9001/a", f"{name}: http://old.internal/a/b"]
    for host in ["www.example.com", "www.example.com:80", "other.example.com:81", "[::1]:8080"]:
        yield "reverse", request(host=host), ["HTTP/1.1 302 Found", "Content-Length: 0", "Location: http://127.0.0.1:9001/a"]
    for cookie in COOKIES:
        yield "cookies", request(), [*PLAIN, f"Set-Cookie: {cookie}"]
    yield "cookies", request(), [*PLAIN, "Set-Cookie: a=b; Path=/up/", "Set-Cookie: c=d", "Set-Cookie: e=f; Path=/gone"]
    for name in ["root", "via on", "via block"]:
        for line in ["HTTP/1.1 200 OK", "HTTP/1.0 200 OK"]:
            yield name, request(), [line, "Content-Length: 0", "Via: 1.0 a", "Via: 1.1 b"]
            yield name, request(version="1.0"), [line, "Content-Length: 0"]
    for lines in [
        ["Connection: close"],
        ["Connection: keep-alive", "Keep-Alive: timeout=3", "X-A: 1"],
        ["Connection: X-A, x-b ,, X-C", "X-A: 1", "X-B: 2", "X-C: 3", "X-D: 4"],
        ["Connection: X-A", "Connection: X-B", "X-A: 1", "X-B: 2"],
        ["Proxy-Connection: keep-alive"],
        ["Proxy-Authenticate: Basic realm=a"],
        ["Proxy-Authentication-Info: a"],
        ["TE: trailers"],
        ["Trailer: X-A"],
        ["Upgrade: h2c", "Connection: Upgrade"],
    ]:
        yield "root", request(), [*PLAIN, *lines]
    for status in [200, 304, 399, 400, 401, 404, 418, 499, 500, 503, 599, 600, 999]:
        for name in ["errors", "some errors"]:
            yield name, request(), [
                f"HTTP/1.1 {status} Said", "Content-Length: 0", "X-A: 1", "Set-Cookie: a=b", "WWW-Authenticate: Basic realm=a", "Retry-After: 5",
            ]


def configuration(folder, members, ports):
    lines = [f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so" for name in MODULES]
    lines += [
        f'ServerRoot "{folder}"', f'PidFile "{folder}/pid"', f'ErrorLog "{folder}/error.log"', "ServerName www.example.com",
        f'DefaultRuntimeDir "{folder}"', "LogLevel warn", "HttpProtocolOptions Unsafe", f'DocumentRoot "{folder}"', "Timeout 5",
    ]
    for name, port in ports.items():
        path = SITES[name]["passing"].get("member", "")
        lines += [f"Listen 127.0.0.1:{port}", f"<VirtualHost 127.0.0.1:{port}>", "ServerName www.example.com", "<Proxy balancer://c>"]
        # The first is always asked: the second comes only after it has failed.
        lines += [f"BalancerMember http://127.0.0.1:{members[0].port}{path} retry=0 disablereuse=On"]
        lines += [f"BalancerMember http://127.0.0.1:{members[1].port}{path} status=+H", "</Proxy>"]
        lines += [SITES[name]["directives"], "</VirtualHost>"]
    return "\n".join(lines) + "\n"


def main():
    members = [Member(), Member()]
    ports = {name: free_port() for name in SITES}
    with tempfile.TemporaryDirectory() as folder:
        config = pathlib.Path(folder, "apache.conf")
        config.write_text(configuration(folder, members, ports))
        apache = subprocess.Popen(["/usr/sbin/apache2", "-f", str(config), "-DFOREGROUND"], stderr=sys.stderr)
        try:
            recorded = list(record(members, ports))
        finally:
            apache.terminate()
            apache.wait()
        version = subprocess.run(["/usr/sbin/apache2", "-v"], capture_output=True, text=True, check=True)
    sites = {name: site["passing"] for name, site in SITES.items()}
    print('{\n"version": ' + json.dumps(version.stdout.splitlines()[0]) + ',\n"sites": ' + json.dumps(sites) + ',\n"cases": [')
    print(",\n".join(json.dumps(case) for case in recorded))
    print("]\n}")


def record(members, ports):
    wait_for(ports)
    for name, lines, answer in cases():
        port = ports[name]

        def written(text):
            return (
                text.replace(f"127.0.0.1:{members[0].port}", "127.0.0.1:9001")
                .replace(f"127.0.0.1:{members[1].port}", "127.0.0.1:9002")
                .replace(f"example.com:{port}", "example.com:8080")
            )

        def meant(text):
            return (
                text.replace("127.0.0.1:9001", f"127.0.0.1:{members[0].port}")
                .replace("127.0.0.1:9002", f"127.0.0.1:{members[1].port}")
                .replace("example.com:8080", f"example.com:{port}")
            )

        member = members[0]
        member.head, member.answer = None, [meant(line) for line in answer]
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.settimeout(5)
            client.sendall("".join(meant(line) + "\r\n" for line in [*lines, ""]).encode())
            got = head_of(client)
        case = {"site": name, "request": lines, "answer": answer, "got": [written(line) for line in got]}
        case["member"] = [written(line) for line in member.head] if member.head else None
        yield case


def wait_for(ports):
    for port in ports.values():
        for _ in range(100):
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                time.sleep(0.05)


if __name__ == "__main__":
    main()
