"""The tests that Wine cannot pass although Windows does: they are left out by name, and the run says so.

Each one is a difference between Wine and Windows, never one between Windows and Linux. What is a defect of Carme is
mended, not listed.
"""

# (the test's function, why Wine cannot)
UNDER_WINE = [
    ("two_writers_of_one_file_never_tear_each_others_lines",
     "Wine appends at the size that it saw before, so writers overwrite each other; Windows appends atomically"),
    ("nobody_can_have_waited_under_a_pipes_name",
     "Wine does not know FILE_FLAG_FIRST_PIPE_INSTANCE: a second pipe can take the name of the first"),
]


def nextest_arguments():
    if not UNDER_WINE:
        return []
    return ["-E", "not ({})".format(" | ".join("test(/\\b{}$/)".format(name) for name, _ in UNDER_WINE))]


def libtest_arguments():
    """For what follows `--` of `cargo test`."""
    return [part for name, _ in UNDER_WINE for part in ("--skip", name)]
