"""Starts one worker of Carme: imports the app and hands it to the native library.

Run by the front as a script, with CARME_WORKER_LIBRARY and CARME_LINK in the environment. It must parse with every
Python there is, so that one that is too old gets a sentence and not a SyntaxError.
"""

import sys

OLDEST = (3, 9)


def refusal():
    """Why this interpreter cannot serve, or None."""
    if sys.version_info < OLDEST:
        return "Python %d.%d is too old" % sys.version_info[:2]
    if sys.implementation.name != "cpython":
        return "%s is not supported" % sys.implementation.name
    if "free-threading" in sys.version:
        return "this is a free-threaded build, which is not supported"
    return None


def main():
    why = refusal()
    if why:
        message = "carme: %s cannot serve: %s. Use CPython %d.%d or later, built with the GIL (--python).\n"
        sys.stderr.write(message % ((sys.executable, why) + OLDEST))
        return 1
    import os

    folder = os.path.dirname(os.path.abspath(__file__))
    # Not there under PYTHONSAFEPATH.
    if sys.path and os.path.abspath(sys.path[0]) == folder:
        del sys.path[0]
    prepare_process()
    library = os.environ.pop("CARME_WORKER_LIBRARY", None)
    if not library:
        sys.exit("carme: CARME_WORKER_LIBRARY is not set: a worker is started by carme, not by hand")
    native = load("carme_worker_native", library, "ExtensionFileLoader")
    target = load("carme_target", os.path.join(folder, "target.py"), "SourceFileLoader")
    connection = native.connect(
        tuple(sys.version_info[:3]), sys.implementation.name, False, sys.executable or ""
    )
    # What the app starts must not take itself for a worker.
    os.environ.pop("CARME_LINK", None)
    sys.path.insert(0, os.fspath(connection.import_root))
    sys.argv = [connection.target]
    sys.setswitchinterval(connection.switch_interval)
    try:
        app, attribute, title = target.load(connection.target, connection.interface)
    except target.CannotServe as problem:
        connection.import_failed(problem.message, problem.traceback)
        return 1
    connection.serve_wsgi(app, attribute, title)
    return 0


def prepare_process():
    """Sees to it that signals are the front's, and that what the app prints shows at once."""
    import faulthandler
    import signal

    # Ctrl+C reaches everything on a terminal, a service manager may signal whole groups; the front alone acts on it and
    # tells its workers.
    leave_to_front(signal.SIGINT)
    leave_to_front(signal.SIGBREAK if sys.platform == "win32" else signal.SIGTERM)
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.reconfigure(line_buffering=True, errors="backslashreplace")
    if sys.stderr is not None:
        faulthandler.enable()


def leave_to_front(number):
    """Lets a signal pass without effect. Not by SIG_IGN: programs that the app starts would inherit that."""
    import os
    import signal

    before = signal.getsignal(number)
    if before is signal.SIG_IGN:
        return
    signal.signal(number, pass_over)
    if sys.platform != "win32":
        signal.siginterrupt(number, False)
        # A process forked from this one is not the front's to stop. At once, not when the signal comes: then it needs no
        # help of Python's in the child, which CPython 3.13.0 often fails to give where a thread has forked.
        os.register_at_fork(after_in_child=lambda: signal.signal(number, before))


def pass_over(number, frame):
    """The handler of a signal that is the front's business."""


def load(name, path, loader):
    """Loads a module of the worker's own from its file; nothing of the app's can be in its way."""
    import importlib.machinery
    from importlib.util import module_from_spec, spec_from_file_location

    spec = spec_from_file_location(name, path, loader=getattr(importlib.machinery, loader)(name, path))
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# Also imported by the processes that multiprocessing spawns from an app; they are no workers.
if __name__ == "__main__":
    sys.exit(main())
