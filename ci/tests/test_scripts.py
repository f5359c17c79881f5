"""The parts of the test scripts that read other programs' answers or decide something."""

import os
import socket
import sys
import unittest
import unittest.mock
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import console
import debian
import fuzz
import pins
import places
import pythons
import skips
import stages
import test as test_command
import toolchain
import windows_python
import wine
import wine_runner


def setUpModule():
    """The failures that these tests provoke are not to be read as the run's own."""
    quiet = unittest.mock.patch.object(console, "line")
    quiet.start()
    unittest.addModuleCleanup(quiet.stop)


class Versions(unittest.TestCase):
    def test_rust_version_of_the_workspace(self):
        self.assertEqual(toolchain.minimum_version('[workspace.package]\nrust-version = "1.95"\n'), (1, 95))
        self.assertEqual(toolchain.minimum_version('rust-version="1.95.1"'), (1, 95, 1))
        with self.assertRaises(ValueError):
            toolchain.minimum_version('# rust-version = "1.0"\n')

    def test_rust_version_of_a_compiler(self):
        self.assertEqual(toolchain.parse_version("rustc 1.95.0 (f2d3ce0bd 2026-03-21)"), (1, 95, 0))
        self.assertEqual(toolchain.parse_version("rustc 1.97.0-nightly (abc 2026-04-01)"), (1, 97, 0))
        self.assertIsNone(toolchain.parse_version("error: no default toolchain"))

    def test_the_manifest_has_one(self):
        self.assertGreaterEqual(toolchain.minimum(), (1, 85))


class Interpreters(unittest.TestCase):
    GOOD = {"path": "/p", "prefix": "/", "version": [3, 13, 2], "implementation": "CPython", "free_threaded": False,
            "bits": 64, "release": True, "venv": True}

    def test_what_is_served(self):
        one = pythons.from_answer(self.GOOD)
        self.assertEqual((one.minor, one.name), ((3, 13), "CPython 3.13.2"))
        free = pythons.from_answer(dict(self.GOOD, free_threaded=True))
        self.assertEqual(free.name, "CPython 3.13.2 (free-threaded)")

    def test_what_is_not(self):
        for change in ({"implementation": "PyPy"}, {"bits": 32}, {"release": False}, {"version": [3, 8, 18]}):
            with self.subTest(change):
                self.assertIsNone(pythons.from_answer(dict(self.GOOD, **change)))

    def test_the_running_interpreter_is_found(self):
        self.assertIn(sys.version_info[:2], [one.minor for one in pythons.discover()])

    def test_answer_of_the_windows_launcher(self):
        text = (" -V:3.13 *        C:\\hostedtoolcache\\Python 3.13\\python.exe\n"
                " -3.9-64          D:\\Py39\\python.exe\n"
                "No suitable Python runtime found\n")
        self.assertEqual(list(pythons.launcher_paths(text)),
                         ["C:\\hostedtoolcache\\Python 3.13\\python.exe", "D:\\Py39\\python.exe"])

    def test_every_pin_is_exact_and_single(self):
        for minor in range(9, 16):
            for windows in (False, True):
                chosen = pins.packages((3, minor), windows)
                names = [pin.split("==")[0].lower() for pin in chosen]
                self.assertEqual(len(names), len(set(names)))
                self.assertTrue(all(pin.count("==") == 1 for pin in chosen))
                self.assertTrue({"flask", "django"} <= set(names))


class WinePaths(unittest.TestCase):
    @unittest.skipIf(os.name == "nt", "the paths of Wine's host are not Windows paths")
    def test_spelling(self):
        self.assertEqual(windows_python.windows_path("/root/a b/python.exe"), "Z:\\root\\a b\\python.exe")

    def test_environment_of_windows_programs(self):
        env = wine.Wine("/usr/lib/wine/wine64", "/usr/lib/wine/wineserver64", "wine-8.0").environment(
            {"PYTHONPATH": "/linux", "WINEPREFIX": "/someone/else", "DISPLAY": ":0", "PATH": "/bin"})
        self.assertNotIn("PYTHONPATH", env)
        self.assertNotIn("DISPLAY", env)
        self.assertTrue(env["WINEPREFIX"].endswith("wine"))
        self.assertEqual(env["PATH"], "/bin")

    @unittest.skipIf(os.name == "nt", "Wine runs on Linux")
    def test_the_target_goes_behind_the_subcommand(self):
        rust = toolchain.WindowsRust(toolchain.Rust("/nowhere/cargo", "/nowhere/rustc", (1, 96, 0)), None)
        self.assertEqual(wine.cargo_command(rust, ["test", "-p", "x"]),
                         ["/nowhere/cargo", "test", "--target", toolchain.WINDOWS_TARGET, "-p", "x"])
        self.assertEqual(wine.cargo_command(rust, ["nextest", "run", "-p", "x"]),
                         ["/nowhere/cargo", "nextest", "run", "--target", toolchain.WINDOWS_TARGET, "-p", "x"])

    @unittest.skipUnless(sys.platform == "linux", "Wine runs on Linux")
    def test_addresses_are_not_random_in_a_session_only(self):
        def heaps():
            mapped = "print([line.split('-')[0] for line in open('/proc/self/maps') if '[heap]' in line])"
            return {console.quiet([sys.executable, "-c", mapped]) for _ in range(4)}

        before = heaps()
        with unittest.mock.patch.object(console, "line") as said, wine.addresses_not_random():
            within = heaps()
        if not said.called:  # where a container forbids it
            self.assertEqual(len(within), 1, within)
        self.assertEqual(len(heaps()) > 1, len(before) > 1)

    def test_a_program_that_wine_did_not_start_is_started_again(self):
        def run(codes, took):
            clock = iter(moment for turn in range(len(codes)) for moment in (turn, turn + took))
            with unittest.mock.patch.object(wine_runner.subprocess, "call", side_effect=codes) as call, \
                    unittest.mock.patch.object(wine_runner.time, "monotonic", side_effect=clock), \
                    unittest.mock.patch.object(wine_runner.sys, "stderr"):
                return wine_runner.run(["wine64", "test.exe"]), call.call_count

        self.assertEqual(run([1, 101], 0.016), (101, 2))
        self.assertEqual(run([1, 1, 1], 0.016), (1, 3))
        self.assertEqual(run([101], 0.016), (101, 1))  # a test that failed
        self.assertEqual(run([1], 0.2), (1, 1))  # a program that ran and ended with 1

    def test_flags_that_would_replace_the_sysroot_are_dropped(self):
        rust = toolchain.Rust("/usr/bin/cargo", "/usr/bin/rustc", (1, 96, 0))
        env = toolchain.WindowsRust(rust, Path("/sysroot")).environment({"RUSTFLAGS": "-C opt-level=3"})
        self.assertNotIn("RUSTFLAGS", env)
        self.assertEqual(env["CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUSTFLAGS"], "--sysroot " + str(Path("/sysroot")))


class Skips(unittest.TestCase):
    def test_every_test_left_out_exists_and_has_a_reason(self):
        sources = "".join(path.read_text(encoding="utf-8") for folder in ("crates", "tests")
                          for path in (places.ROOT / folder).rglob("*.rs"))
        for name, why in skips.UNDER_WINE:
            self.assertIn("fn {}(".format(name), sources)
            self.assertGreater(len(why), 20)

    def test_without_skips_a_test_that_misses_a_program_fails_here_and_not_under_wine(self):
        def environment(run, no_skips):
            setup = unittest.mock.Mock(no_skips=no_skips, pythons=[], free_threaded=[], consul=None, promtool=None)
            with unittest.mock.patch.object(console, "shown") as shown, \
                    unittest.mock.patch.object(wine, "cargo_command"), \
                    unittest.mock.patch.object(wine, "cargo_environment", side_effect=lambda *args: dict(args[2])), \
                    unittest.mock.patch.dict(os.environ, {"CARME_TEST_NO_SKIPS": "1"} if no_skips else {}):
                setup.rust.command.return_value = ["cargo"]
                run(setup, "nextest")
                return shown.call_args[0][2]

        with unittest.mock.patch.object(stages, "ON_WINDOWS", False):
            self.assertEqual(environment(stages._cargo, True).get("CARME_TEST_NO_SKIPS"), "1")
            self.assertNotIn("CARME_TEST_NO_SKIPS", environment(stages._cargo, False))
        self.assertNotIn("CARME_TEST_NO_SKIPS", environment(stages._windows_cargo, True))

    def test_arguments(self):
        with unittest.mock.patch.object(skips, "UNDER_WINE", [("a", ""), ("b", "")]):
            self.assertEqual(skips.nextest_arguments(), ["-E", "not (test(/\\ba$/) | test(/\\bb$/))"])
            self.assertEqual(skips.libtest_arguments(), ["--skip", "a", "--skip", "b"])
        with unittest.mock.patch.object(skips, "UNDER_WINE", []):
            self.assertEqual(skips.nextest_arguments() + skips.libtest_arguments(), [])


@unittest.skipIf(os.name == "nt", "Debian's tools and user ids")
class Packages(unittest.TestCase):
    def test_without_root_the_error_is_the_command_to_type(self):
        with unittest.mock.patch.object(os, "geteuid", return_value=1000), \
                unittest.mock.patch.object(debian.shutil, "which", return_value=None), \
                unittest.mock.patch.object(debian, "_is_installed", return_value=False):
            with self.assertRaises(console.CommandFailed) as raised:
                debian.install(["wine64"])
        self.assertIn("sudo apt-get install --no-install-recommends wine64", str(raised.exception))


class Commands(unittest.TestCase):
    def test_failure_names_command_and_output(self):
        with self.assertRaises(console.CommandFailed) as raised:
            console.quiet([sys.executable, "-c", "print('the cause'); raise SystemExit(3)"])
        self.assertIn("ended with 3", str(raised.exception))
        self.assertIn("the cause", str(raised.exception))

    def test_a_missing_program_is_a_failed_command(self):
        for way in (console.quiet, console.shown):
            with self.assertRaises(console.CommandFailed) as raised:
                way(["/no/such/program"], 10)
            self.assertIn("/no/such/program", str(raised.exception))

    def test_a_hung_command_is_ended_with_its_children(self):
        with socket.create_server(("127.0.0.1", 0)) as server:
            server.settimeout(30)
            child = ("import socket, time; s = socket.create_connection(('127.0.0.1', {})); s.sendall(b'x'); "
                     "time.sleep(600)").format(server.getsockname()[1])
            parent = "import subprocess, sys; subprocess.run([sys.executable, '-c', {!r}])".format(child)
            with self.assertRaises(console.CommandFailed) as raised:
                console.shown([sys.executable, "-c", parent], timeout=3)
            self.assertIn("did not end within 3.0 s", str(raised.exception))
            connection, _ = server.accept()
            with connection:
                connection.settimeout(30)
                self.assertEqual(connection.recv(1), b"x")
                try:
                    self.assertEqual(connection.recv(1), b"")  # its end closed: the grandchild is gone
                except ConnectionResetError:
                    pass  # Windows says it like this

    def test_output_held_open_by_a_survivor_is_not_waited_for(self):
        code = ("import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(15)'], "
                "start_new_session=True)")
        watch = console.Stopwatch()
        with unittest.mock.patch.object(console, "LATE_OUTPUT_SECONDS", 0.2):
            console.shown([sys.executable, "-c", code], timeout=60)
        self.assertLess(watch.seconds, 14)

    def test_durations(self):
        self.assertEqual([console.duration(seconds) for seconds in (0.04, 59.96, 65, 119.6)],
                         ["0.0 s", "60.0 s", "1 min 05 s", "2 min 00 s"])


class Running(unittest.TestCase):
    def test_a_failure_hides_nothing_and_decides_the_exit_code(self):
        ran = []

        def fails(setup):
            ran.append("fails")
            raise console.CommandFailed("ended with 1: cargo")

        def skips(setup):
            ran.append("skips")
            raise stages.Skipped("no Wine")

        def passes(setup):
            ran.append("passes")
            return [("one_test", "Wine differs")]

        results = test_command.run(
            [stages.Stage(one.__name__, "", one) for one in (fails, skips, passes)], setup=None)
        self.assertEqual(ran, ["fails", "skips", "passes"])
        self.assertEqual([result[1] for result in results], ["FAILED", "skipped", "passed"])
        self.assertEqual(test_command.exit_code(results, no_skips=False), 1)
        self.assertEqual(test_command.exit_code(results[1:], no_skips=False), 0)
        self.assertEqual(test_command.exit_code(results[1:], no_skips=True), 1)
        rows = list(test_command.summary(results))
        self.assertIn("no Wine", rows[1])
        self.assertIn("without one_test: Wine differs", rows[3])

    def test_the_commands_of_a_stage_do_not_hide_each_other(self):
        def fails(what):
            raise console.CommandFailed(what)

        ran = []
        with self.assertRaises(console.CommandFailed) as raised:
            stages._one_by_one([lambda: fails("first"), lambda: ran.append("second"), lambda: fails("third")])
        self.assertEqual((ran, str(raised.exception)), (["second"], "first\nthird"))

    def test_stages_are_chosen_by_name_in_their_order(self):
        self.assertEqual([stage.name for stage in test_command.chosen(["loom", "fmt"])], ["fmt", "loom"])
        self.assertEqual(test_command.chosen(None), stages.STAGES)


class Fuzzing(unittest.TestCase):
    def test_what_is_missing_is_named_and_nothing_runs(self):
        printed = []
        with unittest.mock.patch.object(fuzz.console, "line", printed.append), \
                unittest.mock.patch.object(fuzz.console, "start"), \
                unittest.mock.patch.object(fuzz, "missing", return_value=["cargo-fuzz"]), \
                unittest.mock.patch.object(fuzz, "fuzz") as run, \
                unittest.mock.patch.object(sys, "argv", ["fuzz.py", "--seconds", "1"]):
            self.assertEqual(fuzz.main(), 2)
        run.assert_not_called()
        self.assertIn("cargo install --locked cargo-fuzz", "\n".join(printed))

    def test_a_broken_target_does_not_keep_the_others_from_running(self):
        def run(name, seconds):
            if name == "head":
                raise console.CommandFailed("it crashed")
        with unittest.mock.patch.object(fuzz.console, "start"), \
                unittest.mock.patch.object(fuzz, "missing", return_value=[]), \
                unittest.mock.patch.object(fuzz, "fuzz", side_effect=run) as runs, \
                unittest.mock.patch.object(sys, "argv", ["fuzz.py"]):
            self.assertEqual(fuzz.main(), 1)
        self.assertEqual([call.args[0] for call in runs.call_args_list], fuzz.targets())

    def test_only_the_scratch_corpus_is_written(self):
        command = [str(part) for part in fuzz.command("head", 5, "scratch")]
        self.assertIn("-max_total_time=5", command)
        self.assertLess(command.index("scratch"), command.index(str(fuzz.FUZZ / "corpus" / "head")))


if __name__ == "__main__":
    unittest.main()
