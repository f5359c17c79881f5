"""A small Flask site: template, form, JSON, file upload, streaming response, error pages.

    carme serve examples/flask_app/app.py

It keeps nothing in module globals: with several worker processes each process has its own globals, so what must
outlive a request belongs in a database, a file or, as here, in the visitor's signed session cookie.
"""

import hashlib
import os

from flask import Flask, Response, abort, flash, jsonify, redirect, render_template, request, session, url_for

app = Flask(__name__)
# All worker processes must sign cookies with the same key; a random one made here would differ in each of them.
app.config["SECRET_KEY"] = os.environ.get("FLASK_SECRET_KEY", "for the example only")
app.config["MAX_CONTENT_LENGTH"] = 64 * 1024 * 1024


@app.get("/")
def index():
    return render_template("index.html", name=session.get("name"))


@app.post("/name")
def remember_name():
    name = request.form.get("name", "").strip()
    if not name:
        flash("Please enter a name.")
    else:
        session["name"] = name
    return redirect(url_for("index"), code=303)


@app.get("/api/request")
def describe_request():
    """What the server told the application about this request and this process."""
    environ = request.environ
    return jsonify(
        method=request.method,
        path=request.path,
        script_name=environ["SCRIPT_NAME"],
        query=request.args.to_dict(flat=False),
        remote_addr=request.remote_addr,
        scheme=request.scheme,
        host=request.host,
        multiprocess=environ["wsgi.multiprocess"],
        multithread=environ["wsgi.multithread"],
        pid=os.getpid(),
    )


@app.post("/api/sum")
def add_numbers():
    document = request.get_json()  # answers 400 or 415 by itself when the body is no JSON
    numbers = document.get("numbers") if isinstance(document, dict) else None
    if not isinstance(numbers, list) or not all(type(n) in (int, float) for n in numbers):
        abort(400, description='Send {"numbers": [1, 2, 3]}.')
    return jsonify(sum=sum(numbers))


@app.post("/upload")
def upload():
    file = request.files.get("file")
    if file is None or not file.filename:
        abort(400, description="Choose a file first.")
    digest = hashlib.sha256()
    size = 0
    while chunk := file.stream.read(64 * 1024):
        digest.update(chunk)
        size += len(chunk)
    return jsonify(name=file.filename, size=size, sha256=digest.hexdigest())


@app.get("/stream")
def stream():
    """One line after the other, without a Content-Length: the server sends them as they come."""
    lines = min(request.args.get("lines", default=10, type=int), 1_000_000)
    return Response((f"line {n}\n" for n in range(1, lines + 1)), mimetype="text/plain")


@app.get("/fail")
def fail():
    raise RuntimeError("this page fails on purpose")


@app.errorhandler(404)
@app.errorhandler(413)
@app.errorhandler(500)
def error_page(error):
    return render_template("error.html", error=error), error.code


@app.errorhandler(400)
@app.errorhandler(415)
def bad_request(error):
    return jsonify(error=error.description), error.code
