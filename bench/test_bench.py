"""Tests of what the benchmarks compute: `python3 -m unittest bench/test_bench.py`, without any server."""

import os
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree as tree
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from carme_bench import clients, command, figures, files, goals, handshakes, needed, plots, processes, proxying, report, slow, suite, wrk  # noqa: E402
from carme_bench.peers import BY_NAME, Application, Job  # noqa: E402
from carme_bench.results import CaseResult, Entry  # noqa: E402


def case(**servers):
    """A hello case: name to the rates of its rounds."""
    entries = {
        name.replace("_", "-"): Entry(name, "2×4", {n: {"rate": rate} for n, rate in enumerate(rates) if rate})
        for name, rates in servers.items()
    }
    return CaseResult("Hello", [figures.RATE, figures.P99], entries)


class SlowClients(unittest.TestCase):
    def test_the_figures_of_the_one_that_is_not(self):
        found = slow.figures([0.001] * 98 + [0.02, 0.5], errors=1)
        self.assertEqual(found.row("x"), "| x | 100 | 1 | 1.0 | 500.0 | 500.0 |")

    def test_what_is_missing_is_said(self):
        with self.assertRaisesRegex(needed.Missing, "slowhttptest is not installed|no such carme does not exist"):
            slow.run(Path("no such carme"), sys.executable, 1, 1, 1)


class Files(unittest.TestCase):
    def test_every_size_goes_over_both_schemes_and_two_cases_are_about_handshakes(self):
        cases = files.cases()
        self.assertEqual(len(cases), 2 * len(files.SIZES) + 2)
        self.assertEqual({(case.scheme, case.path) for case in cases if not case.fresh and not case.whole},
                         {(scheme, f"/{name}") for scheme in ("http", "https") for name in files.SIZES})
        self.assertEqual([case.scheme for case in cases if case.fresh or case.whole], ["https", "https"])

    def test_what_openssl_says(self):
        said = (
            "Collecting connection statistics for 2 seconds\n****\n\n"
            "1234 connections in 0.81s; 1523.46 connections/user sec, bytes read 0\n"
            "1234 connections in 3 real seconds, 0 bytes read per connection\n"
        )
        self.assertEqual(handshakes.parse(said), 1234)
        with self.assertRaisesRegex(wrk.LoadFailed, "connect:errno=111"):
            handshakes.parse("connect:errno=111\n")

    def test_what_is_missing_is_named_with_its_package(self):
        with self.assertRaisesRegex(needed.Missing, r"no-such-program is not installed \(Debian: apt-get install it\)"):
            needed.need("no-such-program", "it")


class Proxies(unittest.TestCase):
    def test_every_size_goes_over_every_number_of_connections(self):
        cases = proxying.cases()
        self.assertEqual(len(set(cases)), len(proxying.BODIES) * len(proxying.CONNECTIONS))
        self.assertEqual({len(body) for body in proxying.BODIES.values()}, {14, 100_000})

    def test_ratios_are_taken_within_each_round(self):
        result = CaseResult("hello", proxying.FIGURES)
        for name, rates in (("carme", [50, 300]), ("nginx", [100, 200])):
            result.entries[name] = Entry(name, "1", {n: {"rate": rate, "p99_us": 10} for n, rate in enumerate(rates)})
        lines = proxying.beside({"hello": result}, "nginx")
        self.assertEqual(lines[2], "| hello | 1.00 | – | – | 1.00 |")


class Reading(unittest.TestCase):
    def test_what_wrk_says(self):
        line = (
            'RESULT {"requests": 1000, "duration_us": 2000000, "bytes": 9, "p50_us": 90.0, "p90_us": 95.0, "p99_us": 99.5, '
            '"max_us": 120.0, "connect": 1, "read": 2, "write": 0, "status": 3, "timeout": 4}'
        )
        load = wrk.parse(f"Running 2s test\n{line}\n")
        self.assertEqual((load.rate, load.p99_us, load.errors), (500.0, 99.5, 10))
        with self.assertRaisesRegex(wrk.LoadFailed, "unable to connect"):
            wrk.parse("unable to connect to 127.0.0.1:1 Connection refused")

    def test_a_process_with_any_name(self):
        numbers = "S 7 8 9 0 -1 4194304 1 2 3 4 100 20 3 4 20 0 1 0 5555 1 1"
        stat = processes.Stat.parse(f"42 (a ) (b) {numbers}")
        self.assertEqual((stat.parent, stat.session, stat.ticks, stat.started), (7, 9, 127, 5555))

    @unittest.skipUnless(os.path.isdir("/proc/self"), "there is no /proc")
    def test_a_server_with_children_is_counted_and_ended_whole(self):
        program = (
            "import subprocess, sys, time; p = [subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'],"
            " start_new_session=s) for s in (False, True)]; sum(range(10**6)); print(flush=True); time.sleep(60)"
        )
        server = processes.Server([processes.Command([sys.executable, "-c", program], 1, Path.cwd())])
        with server:
            while server.output.tell() == 0:  # it shares the file's position with us
                server.check_alive()
            stats = server.stats()
            self.assertEqual(len(stats), 3)
            self.assertGreater(server.cost(), 0)
            self.assertEqual(server.memory().processes, 3)
        for pid in stats:
            with self.assertRaises(ProcessLookupError, msg="it should be gone"):
                gone(pid)

    def test_a_program_that_ends_is_quoted(self):
        argv = [sys.executable, "-c", "import sys; sys.exit('no such app')"]
        with processes.Server([processes.Command(argv, 1, Path.cwd())]) as server:
            server.roots[0].wait()
            with self.assertRaisesRegex(processes.DidNotStart, "ended with 1: no such app"):
                server.check_alive()


def gone(pid):
    """Raises if there is no such process; a killed orphan may have to be reaped by init first."""
    for _ in range(200):
        if processes.all_processes().get(pid) is None or " Z " in stat_text(pid):
            raise ProcessLookupError(pid)
        subprocess.run(["sleep", "0.01"], check=True)


def stat_text(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return " Z "


class Computing(unittest.TestCase):
    def test_ratios_are_of_the_same_round(self):
        # The machine was half as fast in round 1, and the peer failed in round 2.
        hello = case(carme=[200, 100, 900], granian=[100, 50, None])
        self.assertEqual(hello.ratio("rate", "carme", "granian"), 2.0)
        self.assertIsNone(hello.ratio("p99_us", "carme", "granian"))
        self.assertIsNone(hello.ratio("rate", "carme", "nobody"))

    def test_goals_take_the_best_peer_and_are_not_rounded(self):
        goal = goals.goal("hello", "hello", figures.RATE, 1.4, ["granian-st-1", "granian-mt-1"])
        hello = case(carme=[139.9], granian_st_1=[90], granian_mt_1=[100])
        [outcome] = goals.judge({"hello": hello}, [goal])
        self.assertEqual((outcome.against, outcome.verdict), ("granian_mt_1", "NOT reached"))
        hello = case(carme=[140], granian_st_1=[90], granian_mt_1=[100])
        self.assertEqual(goals.judge({"hello": hello}, [goal])[0].verdict, "reached")
        for nothing in ({}, {"hello": case(granian_st_1=[1])}, {"hello": case(carme=[1])}):
            self.assertEqual(goals.judge(nothing, [goal])[0].verdict, "not measured")

    def test_less_is_better_where_it_is(self):
        goal = goals.goal("p99", "hello", figures.P99, 0.25, ["granian"], strictly=True)
        self.assertTrue(goal.reached_by(0.249) and not goal.reached_by(0.25) and not goal.at_least)

    def test_every_goal_names_a_case_a_figure_and_servers_that_are_there(self):
        cases = {one.name: one for one in suite.all_cases()}
        for goal in goals.GOALS:
            self.assertIn(goal.figure, cases[goal.case].figures, goal.text)
            for name in goal.others + ("carme",):
                self.assertIn(name, cases[goal.case].servers + ["two-cores"], goal.text)

    def test_arrivals_are_the_same_for_the_same_seed(self):
        plan = clients.arrivals(150, 60, seed=7)
        self.assertEqual(plan, clients.arrivals(150, 60, seed=7))
        self.assertNotEqual(plan, clients.arrivals(150, 60, seed=8))
        self.assertTrue(8000 < len(plan) < 10000)
        self.assertTrue(40 < sum(path == "/slow" for _, path in plan) < 150)

    def test_what_the_host_took(self):
        self.assertEqual(command.stolen([0] * 8, [50, 0, 20, 20, 0, 0, 0, 10]), 0.1)

    def test_the_ideal_queue_by_hand(self):
        # Two workers: the third request waits 2 ms for the first, which came at the same time.
        plan = [(0.0, "/fast"), (0.0, "/fast"), (0.0, "/fast")]
        self.assertAlmostEqual(clients.ideal(plan)["p99_ms"], 4.0)
        self.assertAlmostEqual(clients.ideal(plan)["p50_ms"], 2.0)


class Choosing(unittest.TestCase):
    def test_names_and_stars(self):
        names = ["hello-c1", "hello-c32", "tail"]
        pick = lambda text: command.choose(names, text, lambda name: name, "case")  # noqa: E731
        self.assertEqual(pick("tail,hello-*"), names)
        self.assertEqual(pick("*-c32"), ["hello-c32"])
        self.assertEqual(pick(None), names)
        with self.assertRaisesRegex(SystemExit, "no case is called tails; there are: hello-c1"):
            pick("tails")

    def test_all_servers_of_all_cases_exist(self):
        for one in suite.all_cases():
            self.assertEqual([name for name in one.servers if name not in BY_NAME], [], one.name)
            self.assertEqual(len(set(one.servers)), len(one.servers), one.name)


class Starting(unittest.TestCase):
    def test_carme_gets_what_the_others_get(self):
        tools = type("Tools", (), {"carme": "carme", "python": "py"})()
        job = Job(Application("hello", Path("/apps")), 2, 4, 8000, Path("/tmp"))
        [start] = BY_NAME["carme"].commands(tools, job)
        said = " ".join(str(word) for word in start.argv)
        self.assertEqual(
            said,
            "carme serve hello:app --directory /apps --bind 127.0.0.1:8000 --workers 2 --threads 4 --access-log off --python py",
        )

    def test_carme_is_watched_as_its_name_says(self):
        tools = type("Tools", (), {"carme": "carme", "python": "py"})()
        with tempfile.TemporaryDirectory() as folder:
            job = Job(Application("hello", Path("/apps")), 2, 4, 8000, Path(folder))
            for name in ("carme-log", "carme-metrics", "carme-log-metrics"):
                [start] = BY_NAME[name].commands(tools, job)
                self.assertEqual([str(word) for word in start.argv], ["carme", "serve", "-c", f"{folder}/carme.toml"])
                text = Path(folder, "carme.toml").read_text()
                self.assertEqual("[metrics]" in text, "metrics" in name, text)
                self.assertEqual("access.log" in text, "log" in name, text)
                for line in ("listen = '127.0.0.1:8000'", "workers = 2", "threads = 4", "target = 'hello:app'"):
                    self.assertIn(line, text.splitlines())


class Reporting(unittest.TestCase):
    ABOUT = {
        "date": "2026-01-01",
        "machine": "a <machine> & two cores",
        "kernel": "6",
        "command": "run.py",
        "rounds": 1,
        "seconds": 1.0,
        "loops": 20000,
        "both": 1.0,
        "others": 0.0,
        "stolen": 0.01,
        "versions": {"granian": "2"},
    }

    def test_table_json_and_plots(self):
        hello = case(carme=[200.0], granian=[100.0], broken=[])
        hello.entries["away"] = Entry("Apache", "1×8 *", skipped="not installed")
        hello.entries["broken"].failures.append("round 1 failed: it burnt")
        with tempfile.TemporaryDirectory() as folder:
            report.write(Path(folder), self.ABOUT, {"hello-c32-w2": hello})
            text = Path(folder, "results.md").read_text()
            drawing = tree.fromstring(Path(folder, "hello-throughput.svg").read_text())
            self.assertIn('"rate": 200.0', Path(folder, "results.json").read_text())
        self.assertIn("| granian | 2×4 | 100 | – | 2.00 |", text)
        self.assertIn("Skipped: Apache: not installed.", text)
        self.assertIn("round 1 failed: it burnt", text)
        widths = [float(bar.get("width")) for bar in drawing.iter("{http://www.w3.org/2000/svg}rect")][1:]
        self.assertEqual(widths, [plots.BARS, plots.BARS / 2])


if __name__ == "__main__":
    unittest.main()
