"""The stacks of all Python threads, as text."""

import sys
import threading
import traceback


def lines(frame):
    """A thread's stack without the beginning that all threads have."""
    calls = traceback.extract_stack(frame)
    while calls and calls[0].filename == threading.Thread.run.__code__.co_filename:
        del calls[0]
    return traceback.format_list(calls) or ["  no Python code\n"]


def describe(serving):
    """Says what each thread does, those that serve requests first.

    `serving` has a thread's number and what it serves, which is empty if it waits for a request.
    """
    own = threading.get_ident()
    # Not enumerate(), which takes a lock that a thread which hangs may have.
    names = {number: thread.name for number, thread in list(threading._active.items())}
    busy, others, waiting = [], [], []
    for number, frame in sys._current_frames().items():
        name = "thread " + names.get(number, "0x%x" % number)
        if number == own:
            continue
        if number not in serving:
            others += [name + ":\n", *lines(frame)]
        elif serving[number]:
            busy += ["%s serves %s:\n" % (name, serving[number]), *lines(frame)]
        else:
            waiting.append(name)
    if waiting:
        waiting = ["waiting for requests: %s\n" % ", ".join(sorted(waiting))]
    return "".join(busy + others + waiting)
