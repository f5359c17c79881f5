#!/usr/bin/env python3
"""Records what Apache's balancer does in many small cases, for tests/apache.rs to compare.

    python3 crates/carme-balancer/tests/apache/record.py > crates/carme-balancer/tests/apache/recorded.json

Needs Debian's apache2 (2.4). One Apache gets a balancer for each case; its members are threads of this script. A case is
a balancer, its members and steps; recorded are the member, the status and the BALANCER_ variables of each answer, and
from balancer-manager each member's lbstatus, elected and flags when the case is over.
"""

import http.client
import http.server
import itertools
import json
import pathlib
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import xml.etree.ElementTree as ElementTree

MODULES = [
    "mpm_event", "authz_core", "headers", "proxy", "proxy_http", "proxy_balancer", "slotmem_shm",
    "proxy_hcheck", "lbmethod_byrequests", "lbmethod_bytraffic", "lbmethod_bybusyness",
]
METHODS = ["byrequests", "bytraffic", "bybusyness"]
NAMESPACE = "{http://httpd.apache.org}"


class CountingReader:
    """Lines of a request's head, counted."""

    def __init__(self, file):
        self.file, self.bytes = file, 0

    def readline(self, limit=-1):
        line = self.file.readline(limit)
        self.bytes += len(line)
        return line

    def close(self):
        self.file.close()


class MemberServer(http.server.BaseHTTPRequestHandler):
    """Answers as the query says: respond=STATUS, bytes=N, broke, hang, hold=NUMBER."""

    holds = {}
    # Paths of members that fail their health checks.
    ill = set()

    def setup(self):
        super().setup()
        self.rfile = CountingReader(self.rfile)

    def do_GET(self):
        path = self.path.partition("?")[0]
        if path.endswith("/alive"):
            self.send_response(500 if path.removesuffix("/alive") in self.ill else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        query = urllib.parse.parse_qs(self.path.partition("?")[2], keep_blank_values=True)
        if "hang" in query:
            time.sleep(2.5)
        if "hang" in query or "broke" in query:
            self.close_connection = True
            return
        if "hold" in query:
            hold = self.holds[query["hold"][0]]
            hold.taken.set()
            hold.released.wait(30)
        body = b"x" * int(query.get("bytes", ["0"])[0])
        self.send_response(int(query.get("respond", ["200"])[0]))
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Received", str(self.rfile.bytes))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Hold:
    """A request that its member answers only when it is told to."""

    def __init__(self):
        self.taken, self.released = threading.Event(), threading.Event()


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True


def member(name, **parameters):
    return {"name": name, "dead": parameters.pop("dead", False), "parameters": parameters}


def get(cookie="", path="", **query):
    return {"get": {"cookie": cookie, "path": path, "query": query}}


def change(name, **parameters):
    return {"change": {"member": name, "parameters": parameters}}


def hold(number, cookie="", **query):
    """A request in flight until `release(number)`."""
    return {"hold": number, "get": {"cookie": cookie, "path": "", "query": {"hold": number, **query}}}


def release(number):
    return {"release": number}


def health(name, well):
    """The member passes its health checks from now on, or fails them, until that shows."""
    return {"health": {"member": name, "well": well}}


def pause(seconds):
    return {"pause": seconds}


def case(name, members, steps, **parameters):
    parameters.setdefault("lbmethod", "byrequests")
    return {"name": name, "parameters": parameters, "members": members, "steps": steps}


def cases():
    """All cases. The random ones are the same every time."""
    abc = lambda **parameters: [member(name, route=name, **parameters) for name in "abc"]
    for method in METHODS:
        yield case(f"{method} plain", abc(), [get()] * 9, lbmethod=method)
        yield case(f"{method} bytes", abc(), [get(bytes=n) for n in (5000, 100, 20000, 99, 0, 7000, 300, 50, 1, 9000)],
                   lbmethod=method)
        for factors in ([1, 4, 1], [70, 30, 1], [1.5, 2.25, 1]):
            members = [member(n, route=n, loadfactor=f) for n, f in zip("abc", factors)]
            yield case(f"{method} factors {factors}", members, [get(bytes=1000)] * 12, lbmethod=method)
        # Every pair of flags on two members out of four, some of which are dead.
        for first, second in itertools.product(["", "D", "S", "H", "R", "E", "N", "I", "HR", "RN", "HN"], repeat=2):
            for dead in ("", "c", "cd"):
                flags = {"a": first, "b": second}
                members = []
                for name in "abcd":
                    extra = {"status": f"+{flags[name]}"} if flags.get(name) else {}
                    members.append(member(name, route=name, dead=name in dead, **extra))
                if method == "byrequests" or (first, second, dead) in {("R", "D", ""), ("R", "", "c"), ("H", "D", "cd")}:
                    yield case(f"{method} flags a={first} b={second} dead={dead}", members, [get()] * 5, lbmethod=method)
        for sets, dead in itertools.product([(0, 1, 2), (0, 0, 1), (5, 3, 3), (99, 0, 0)], ["", "a", "b", "bc", "abc"]):
            members = [member(n, route=n, lbset=s, dead=n in dead) for n, s in zip("abc", sets)]
            yield case(f"{method} lbset {sets} dead={dead}", members, [get()] * 5, lbmethod=method)
    sticky = [get("R=.b"), get("R=x.b"), get("R=.nobody"), get("R=b"), get("R=x."), get(""), get("R=.c"), get("R=.b")]
    for parameters in ({}, {"nofailover": "On"}):
        for dead, flags in itertools.product(["", "b", "bc", "abc"], ["", "D", "H", "R", "N", "S", "E", "I"]):
            members = [member(n, route=n, dead=n in dead, **({"status": f"+{flags}"} if n == "b" and flags else {}))
                       for n in "abc"]
            yield case(f"sticky b={flags} dead={dead} {parameters}", members, sticky, stickysession="R", **parameters)
    redirects = [
        {"b": "c"}, {"b": "c", "c": "a"}, {"b": "c", "c": "b"}, {"b": "nobody"}, {"b": "b"},
    ]
    for redirect, dead, parameters in itertools.product(redirects, ["", "b", "bc"], [{}, {"nofailover": "On"}]):
        members = [member(n, route=n, dead=n in dead, **({"redirect": redirect[n]} if n in redirect else {}))
                   for n in "abc"]
        yield case(f"redirect {redirect} dead={dead} {parameters}", members, [get("R=.b")] * 3 + [get()] * 2,
                   stickysession="R", **parameters)
        for n in members:
            if n["name"] == "b":
                n["parameters"]["status"] = "+D"
        yield case(f"redirect {redirect} b=D dead={dead} {parameters}", members, [get("R=.b")] * 3 + [get()] * 2,
                   stickysession="R", **parameters)
    # Two members with the same route: the standby takes over the sessions.
    for dead in ("", "a", "ab"):
        members = [member("a", route="r", dead="a" in dead), member("b", route="r", status="+H", dead="b" in dead),
                   member("c", route="c")]
        yield case(f"shared route dead={dead}", members, [get("R=.r")] * 3 + [get()] * 2, stickysession="R")
    urls = ["/p;R=x.b", "/p;r=x.b", "/p;r=x.b;lang=c", "/xr=x.b", "/r/b", "/p;r="]
    for parameters in ({}, {"scolonpathdelim": "On"}, {"stickysessionsep": "!"}, {"stickysessionsep": "Off"}):
        steps = [get(path=url) for url in urls] + [get(r="x.b"), get(r="x!b"), get(r="b"), get("R=x!c"), get("R=c"),
                 get("R=x.c", r="x.b"), get("R=x.c", r="x"), get("a=1; R = x.b; z=2"), get("XR=.b; R=.c"), get("R=; R=.b"),
                 get("R=x.b,c=d")]
        yield case(f"sticky forms {parameters}", abc(), steps, stickysession="R|r", **parameters)
    for attempts, dead in itertools.product([None, 0, 1, 2, 5], ["a", "ab", "abc"]):
        parameters = {} if attempts is None else {"maxattempts": attempts}
        for recovery in ("On", "Off"):
            members = [member(n, route=n, dead=n in dead) for n in "abcd"]
            yield case(f"maxattempts {attempts} dead={dead} forcerecovery {recovery}", members, [get()] * 4,
                       forcerecovery=recovery, **parameters)
    yield case("single dead", [member("a", route="a", dead=True)], [get()] * 3)
    yield case("single dead, no recovery", [member("a", route="a", dead=True)], [get()] * 3, forcerecovery="Off")
    for retry in (0, 1, 60):
        if retry:  # With 0 it depends on whether a microsecond goes by between two attempts.
            members = [member("a", route="a", dead=True, retry=retry), member("b", route="b")]
            yield case(f"retry {retry}", members, [get(), get(), get(), pause(1.5), get(), get(), get()])
        members = [member("a", route="a", retry=retry), member("b", route="b")]
        yield case(f"retry {retry} after failonstatus", members,
                   [get(respond=503), get(), get(), pause(1.5), get(), get(), get()], failonstatus="500,503")
    for flags in ("", "I"):
        extra = {"status": f"+{flags}"} if flags else {}
        members = [member(n, route=n, **extra) for n in "ab"]
        yield case(f"failonstatus {flags}", members, [get(respond=r) for r in (200, 500, 503, 404, 500, 200)],
                   failonstatus="500,503")
        yield case(f"status without failonstatus {flags}", members, [get(respond=r) for r in (200, 500, 503, 404)])
        yield case(f"broke {flags}", members, [get(broke=""), get(), get(broke=""), get()])
        for failontimeout in ("On", "Off"):
            slow = [member(n, route=n, timeout=1, **extra) for n in "ab"]
            yield case(f"failontimeout {failontimeout} {flags}", slow, [get(hang=""), get(), get()],
                       failontimeout=failontimeout)
        members = [member(n, route=n, dead=n == "a", **extra) for n in "abc"]
        yield case(f"dead {flags}", members, [get()] * 5)
    changes = [("D", 1), ("D", 0), ("N", 1), ("N", 0), ("S", 1), ("S", 0), ("H", 1), ("R", 1), ("H", 0), ("R", 0)]
    for method in METHODS:
        steps = [get(bytes=700)] * 2
        for flag, on in changes:
            steps += [change("a", **{f"w_status_{flag}": on})] + [get(bytes=700)] * 3
        yield case(f"{method} changed", abc(), steps, lbmethod=method)
    yield case("changed factor", abc(), [get(), change("b", w_lf=3)] + [get()] * 6 + [change("a", w_lf=2.5)] + [get()] * 7)
    yield case("changed set", abc(), [get(), change("a", w_ls=1)] + [get()] * 3 + [change("b", w_ls=1), get(), get()])
    yield case("changed route", abc(), [get("R=.b"), change("b", w_wr="z"), get("R=.b"), get("R=.z")], stickysession="R")
    yield case("drained keeps its sessions", abc(),
               [get("R=.b"), change("b", w_status_N=1), get("R=.b"), get(), get(), get(), get("R=.b")], stickysession="R")
    for flags, parameters in itertools.product(["", "H", "I", "N"], [{}, {"forcerecovery": "Off"}]):
        check = {"hcmethod": "GET", "hcinterval": "150ms", "hcpasses": 2, "hcfails": 2, "hcuri": "alive"}
        extra = {"status": f"+{flags}"} if flags else {}
        members = [member("a", route="a", **check, **extra), member("b", route="b", **check)]
        steps = [get(), health("a", False)] + [get("R=x.a"), get(), get()] + [health("b", False)] + [get(), get("R=x.b")]
        steps += [health("a", True)] + [get()] * 3 + [health("b", True)] + [get()] * 4
        yield case(f"health a={flags} {parameters}", members, steps, stickysession="R", **parameters)
    # A check that passes ends an error long before `retry`.
    check = {"hcmethod": "GET", "hcinterval": "150ms", "hcpasses": 1, "hcfails": 2, "hcuri": "alive"}
    members = [member("a", route="a", **check), member("b", route="b")]
    yield case("health ends an error", members,
               [get(respond=503), health("a", True), get(), get(), get()], failonstatus="503")
    rng = random.Random(71)
    for number, method in itertools.product(range(30), METHODS):
        members = []
        for name in "abcd"[: rng.randint(2, 4)]:
            extra = {"loadfactor": rng.choice([1, 1, 2, 3])}
            if rng.random() < 0.3:
                extra["status"] = "+" + rng.choice("DSHRN")
            members.append(member(name, route=name, dead=rng.random() < 0.15, **extra))
        steps, held = [], []
        for _ in range(14):
            cookie = f"R=x.{rng.choice('abcd')}" if rng.random() < 0.3 else ""
            dice = rng.random()
            if dice < 0.45 and len(held) < 5:
                held.append(len(steps))
                steps.append(hold(held[-1], cookie, bytes=rng.choice([0, 500, 3000])))
            elif dice < 0.65 and held:
                steps.append(release(held.pop(rng.randrange(len(held)))))
            else:
                steps.append(get(cookie, bytes=rng.choice([0, 500, 3000])))
        steps += [release(number) for number in held]
        yield case(f"{method} in flight {number}", members, steps, lbmethod=method, stickysession="R")
    rng = random.Random(2404)
    for number in range(250):
        members = []
        for name in "abcd"[: rng.randint(1, 4)]:
            extra = {}
            if rng.random() < 0.5:
                extra["status"] = "+" + "".join(rng.sample("DSHRENI", rng.randint(1, 2)))
            if rng.random() < 0.3:
                extra["lbset"] = rng.randint(0, 2)
            if rng.random() < 0.4:
                extra["loadfactor"] = rng.choice([1, 2, 3, 1.5, 10])
            if rng.random() < 0.3:
                extra["redirect"] = rng.choice("abcd")
            members.append(member(name, route=name, dead=rng.random() < 0.3, **extra))
        parameters = {"lbmethod": rng.choice(METHODS)}
        if rng.random() < 0.6:
            parameters["stickysession"] = "R"
        if rng.random() < 0.3:
            parameters["nofailover"] = "On"
        if rng.random() < 0.3:
            parameters["forcerecovery"] = "Off"
        if rng.random() < 0.2:
            parameters["maxattempts"] = rng.randint(0, 3)
        if rng.random() < 0.3:
            parameters["failonstatus"] = "503"
        steps = []
        for _ in range(8):
            if rng.random() < 0.15:
                flag = rng.choice("DNHRS")
                steps.append(change(rng.choice(members)["name"], **{f"w_status_{flag}": rng.randint(0, 1)}))
            query = {"bytes": rng.choice([0, 150, 4000])}
            if rng.random() < 0.15:
                query["respond"] = rng.choice([404, 500, 503])
            steps.append(get(f"R=x.{rng.choice('abcd')}" if rng.random() < 0.5 else "", **query))
        yield case(f"random {number}", members, steps, **parameters)


def without_defaults(values):
    """Without what is as always, to keep the recording small."""
    return {name: value for name, value in values.items() if value not in (None, False, "", {})}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Apache:
    """An Apache with a balancer /N/ for the N-th case."""

    def __init__(self, folder, all_cases, ports, dead_port):
        self.port = free_port()
        self.ports = ports
        lines = [f'LoadModule {name}_module "/usr/lib/apache2/modules/mod_{name}.so"' for name in MODULES]
        lines += [
            f'ServerRoot "{folder}"', f'DefaultRuntimeDir "{folder}"', 'PidFile "pid"', 'ErrorLog "error.log"',
            "ServerName localhost", f"Listen 127.0.0.1:{self.port}", "User www-data", "Group www-data",
            "LogLevel warn", "MaxKeepAliveRequests 0", "KeepAliveTimeout 60", "StartServers 1", "ServerLimit 1", "ThreadsPerChild 8", "MaxRequestWorkers 8",
            "BalancerGrowth 1",
            'Header always set X-Route "%{BALANCER_WORKER_ROUTE}e"',
            'Header always set X-Changed "%{BALANCER_ROUTE_CHANGED}e"',
            'Header always set X-Session-Sticky "%{BALANCER_SESSION_STICKY}e"',
            'Header always set X-Session-Route "%{BALANCER_SESSION_ROUTE}e"',
            '<Location "/manager">', "SetHandler balancer-manager", "</Location>",
            'ProxyPass "/manager" "!"',
        ]
        for number, one in enumerate(all_cases):
            lines.append(f"<Proxy balancer://case{number}>")
            for index, one_member in enumerate(one["members"]):
                port = dead_port if one_member["dead"] else ports["abcd".index(one_member["name"])]
                text = " ".join(f"{key}={value}" for key, value in one_member["parameters"].items())
                lines.append(f"BalancerMember http://127.0.0.1:{port}/{number}/{one_member['name']} {text}")
            text = " ".join(f"{key}={value}" for key, value in one["parameters"].items())
            lines += [f"ProxySet nonce=case{number} {text}", "</Proxy>", f'ProxyPass "/{number}/" "balancer://case{number}/"']
            for one_member in one["members"]:
                port = dead_port if one_member["dead"] else ports["abcd".index(one_member["name"])]
                one_member["url"] = f"http://127.0.0.1:{port}/{number}/{one_member['name']}"
        conf = pathlib.Path(folder, "httpd.conf")
        conf.write_text("\n".join(lines) + "\n")
        self.process = subprocess.Popen(["/usr/sbin/apache2", "-f", str(conf), "-DFOREGROUND"])
        self.address = "127.0.0.1", self.port
        self.connection = http.client.HTTPConnection(*self.address, timeout=30)
        self.held = {}
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise SystemExit(f"Apache does not listen; see {folder}/error.log")

    def ask(self, path, headers=None, body=None, connection=None):
        connection = connection or self.connection
        # One connection: Apache reads the next request only when it is through with the last, so that `busy` is right.
        for _ in range(5):
            try:
                connection.request("POST" if body else "GET", path, body=body, headers=headers or {})
                response = connection.getresponse()
                return response, response.read()
            except (http.client.RemoteDisconnected, ConnectionError):
                connection.close()  # Apache has ended it between two requests.
        raise SystemExit("Apache ends every connection")

    def own_page(self):
        """What balancer-manager wants to see before it does anything."""
        return {"Referer": f"http://127.0.0.1:{self.port}/manager"}

    def step(self, number, members, step):
        if "pause" in step:
            time.sleep(step["pause"])
        elif "change" in step:
            url = next(m["url"] for m in members if m["name"] == step["change"]["member"])
            form = {"b": f"case{number}", "w": url, "nonce": f"case{number}", **step["change"]["parameters"]}
            headers = {**self.own_page(), "Content-Type": "application/x-www-form-urlencoded"}
            response, content = self.ask("/manager", headers, urllib.parse.urlencode(form))
            if response.status != 200:
                raise SystemExit(f"balancer-manager: {response.status} {content!r}")
        elif "health" in step:
            url = next(m["url"] for m in members if m["name"] == step["health"]["member"])
            path = urllib.parse.urlsplit(url).path
            (MemberServer.ill.discard if step["health"]["well"] else MemberServer.ill.add)(path)
            bad = {"Err", "HcFl"}
            deadline = time.monotonic() + 20
            while bool(bad & set(self.counters()[url]["status"].split())) == step["health"]["well"]:
                if time.monotonic() > deadline:
                    raise SystemExit(f"{url} does not change: {self.counters()[url]}")
                time.sleep(0.05)
        elif "release" in step:
            waiting, thread = self.held.pop(step["release"])
            waiting.released.set()
            thread.join()
            time.sleep(0.03)  # Until Apache is through with it.
        elif "hold" in step:
            waiting = MemberServer.holds[str(step["hold"])] = Hold()
            thread = threading.Thread(target=self.get, args=(number, step, http.client.HTTPConnection(*self.address)))
            thread.start()
            while thread.is_alive() and not waiting.taken.wait(0.01):
                pass
            self.held[step["hold"]] = waiting, thread
        else:
            if "broke" in step["get"]["query"]:
                self.connection.close()  # On a kept connection Apache would end it, for the client to try again.
            self.get(number, step, self.connection)

    def get(self, number, step, connection):
        ask = step["get"]
        query = urllib.parse.urlencode(ask["query"])
        path = f"/{number}{ask['path'] or '/'}" + (f"?{query}" if query else "")
        response, _ = self.ask(path, {"Cookie": ask["cookie"]} if ask["cookie"] else {}, connection=connection)
        value = lambda name: None if response.headers[name] in (None, "(null)") else response.headers[name]
        step["answer"] = without_defaults({
            "status": response.status, "route": value("X-Route"), "changed": value("X-Changed") == "1",
            "sticky": value("X-Session-Sticky"), "session": value("X-Session-Route"),
            "received": int(value("X-Received") or 0),
        })

    def counters(self):
        """lbstatus, elected and status of each member, by balancer and member URL."""
        _, content = self.ask("/manager?xml=1", self.own_page())
        found = {}
        for worker in ElementTree.fromstring(content).iter(f"{NAMESPACE}worker"):
            text = {child.tag.removeprefix(NAMESPACE): (child.text or "").strip() for child in worker}
            found[text["name"]] = {
                "status": text["status"],
                **{name: int(text[name]) for name in ("lbstatus", "elected", "transferred", "read")},
            }
        return found


def main():
    servers = [Server(("127.0.0.1", 0), MemberServer) for _ in "abcd"]
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    reserved = socket.socket()
    reserved.bind(("127.0.0.1", 0))  # Never listens: refused.
    # Copied one by one: cases share members and steps.
    all_cases = [json.loads(json.dumps(one)) for one in cases()]
    folder = tempfile.mkdtemp(prefix="carme-apache-")
    pathlib.Path(folder).chmod(0o755)
    ports = [server.server_port for server in servers]
    apache = Apache(folder, all_cases, ports, reserved.getsockname()[1])
    try:
        for number, one in enumerate(all_cases):
            for step in one["steps"]:
                apache.step(number, one["members"], step)
        counters = apache.counters()
        version = subprocess.run(["/usr/sbin/apache2", "-v"], capture_output=True, text=True).stdout.split("\n")[0]
        for one in all_cases:
            for step in one["steps"]:
                if "get" in step:
                    step["get"] = without_defaults(step["get"])
            for one_member in one["members"]:
                one_member["end"] = counters[one_member.pop("url")]
                if not one_member["dead"]:
                    del one_member["dead"]
    finally:
        apache.process.terminate()
        apache.process.wait()
        for step in one["steps"]:
            if "get" in step:
                step["get"] = without_defaults(step["get"])
    # One case a line: a later recording can be compared with this one.
    print("{" + f'"recorded": {json.dumps(version)}, "cases": [')
    print(",\n".join(json.dumps(one, separators=(",", ":")) for one in all_cases))
    print("]}")
    print(f"{len(all_cases)} cases; {folder}", file=sys.stderr)


if __name__ == "__main__":
    main()
