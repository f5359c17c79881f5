"""Finds the app that a target names.

A target is `module`, `module:attribute`, `module:factory()`, or the same with a path to a file in the module's place.
"""

import importlib
import importlib.util
import os
import sys

USUAL_NAMES = ("application", "app")
USUAL_FACTORIES = ("create_app", "make_app")


class CannotServe(Exception):
    """There is no app to serve: one sentence, and Python's traceback where the app's own code raised."""

    def __init__(self, message, error=None):
        super().__init__(message)
        self.message = message
        self.traceback = "" if error is None else formatted(error)


def load(target, interface="auto"):
    """The app, the attribute that it was found as, and a name for people."""
    module_name, attribute = split(target)
    module = import_module(module_name)
    if attribute:
        app, found = resolve(module, module_name, attribute), attribute
    else:
        app, found = search(module, module_name)
    title = "%s:%s" % (module_name, found)
    if interface == "asgi" or (interface == "auto" and looks_like_asgi(app)):
        raise CannotServe("%s is an ASGI application; this version of Carme serves WSGI" % title)
    if not callable(app):
        raise CannotServe("%s is not an application: it is %s, which cannot be called" % (title, describe(app)))
    return app, found, title


def split(target):
    """The module (or file) and the attribute of a target. The colon of a Windows drive separates nothing."""
    drive, rest = os.path.splitdrive(target)
    module, _, attribute = rest.partition(":")
    if not module:
        raise CannotServe("the target %r names no module" % target)
    return drive + module, attribute.strip()


def import_module(name):
    """Imports the module, or the file, of that name."""
    try:
        if is_path(name):
            return import_file(name)
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        # The module itself, not one that it wants: no traceback explains that better than a sentence.
        if error.name is not None and (name == error.name or name.startswith(error.name + ".")):
            raise CannotServe(
                "there is no module %s; Python looked in %s" % (error.name, ", ".join(sys.path[:1]) or "nothing"),
                error,
            ) from None
        raise failed(name, error) from None
    except BaseException as error:
        raise failed(name, error) from None


def failed(name, error):
    return CannotServe("importing %s failed: %s" % (name, summary(error)), error)


def is_path(name):
    if name.endswith(".py") or os.sep in name or "/" in name:
        return True
    # mysite.wsgi is Django's module, unless there is such a file, as mod_wsgi has them.
    return name.endswith(".wsgi") and os.path.isfile(name)


def import_file(path):
    """Imports a file as the module of its own name; modules beside it are found."""
    path = os.path.abspath(path)
    if not os.path.isfile(path):
        raise CannotServe("there is no file %s" % path)
    folder, filename = os.path.split(path)
    name = os.path.splitext(filename)[0]
    if folder not in sys.path:
        sys.path.insert(0, folder)
    if path.endswith(".py") and name.isidentifier():
        return importlib.import_module(name)
    # A name that `import` cannot say, such as site.wsgi.
    from importlib.machinery import SourceFileLoader

    loader = SourceFileLoader(name, path)
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def resolve(module, module_name, attribute):
    """What `attribute`, dotted and perhaps with () behind it, names in a module."""
    path, is_factory = attribute, False
    if attribute.endswith("()"):
        path, is_factory = attribute[:-2], True
    value, walked = module, module_name
    for name in path.split("."):
        try:
            value = getattr(value, name)
        except AttributeError as error:
            raise CannotServe(no_attribute(value, walked, name), None if value is module else error) from None
        walked += (":" if value is module else ".") + name
    return call_factory(value, module_name, attribute) if is_factory else value


def no_attribute(value, walked, name):
    import difflib

    message = "%s has no attribute %s" % (walked, name)
    near = difflib.get_close_matches(name, [n for n in dir(value) if not n.startswith("_")], 1)
    return message + ("; did you mean %s?" % near[0] if near else "")


def search(module, module_name):
    """The app under one of the usual names."""
    for name in USUAL_NAMES:
        if hasattr(module, name):
            return getattr(module, name), name
    for name in USUAL_FACTORIES:
        if callable(getattr(module, name, None)):
            return call_factory(getattr(module, name), module_name, name + "()"), name + "()"
    names = list(USUAL_NAMES) + [name + "()" for name in USUAL_FACTORIES]
    raise CannotServe(
        "%s has none of the usual names for an application (%s); name it as %s:NAME"
        % (module_name, ", ".join(names), module_name)
    )


def call_factory(factory, module_name, attribute):
    try:
        return factory()
    except BaseException as error:
        raise CannotServe("calling %s:%s failed: %s" % (module_name, attribute, summary(error)), error) from None


def looks_like_asgi(app):
    """Whether an app, or what its class is called by, is a coroutine function or takes `scope, receive, send`."""
    while hasattr(app, "func") and not hasattr(app, "__code__"):  # functools.partial
        app = app.func
    for call in (app, getattr(type(app), "__call__", None)):
        call = getattr(call, "__func__", call)
        code = getattr(call, "__code__", None)
        if code is None:
            continue
        is_coroutine = code.co_flags & 0x80  # inspect.CO_COROUTINE; inspect itself takes long to import
        names = [name for name in code.co_varnames[: code.co_argcount] if name != "self"]
        if is_coroutine or names[:3] == ["scope", "receive", "send"]:
            return True
    return False


def describe(value):
    name = type(value).__name__
    return "a module" if isinstance(value, type(sys)) else "%s %s" % ("an" if name[:1].lower() in "aeiou" else "a", name)


def summary(error):
    import traceback

    return "".join(traceback.format_exception_only(type(error), error)).strip().splitlines()[-1]


def formatted(error):
    """The traceback from the app's first frame on: how a worker starts is of no interest."""
    import traceback

    frames = error.__traceback__
    while frames is not None and is_ours(frames.tb_frame.f_code.co_filename):
        frames = frames.tb_next
    return "".join(traceback.format_exception(type(error), error, frames))


def is_ours(filename):
    here = os.path.dirname(os.path.abspath(__file__))
    return (
        filename.startswith("<frozen importlib")
        or os.path.dirname(os.path.abspath(filename)) in (here, os.path.dirname(importlib.__file__))
    )
