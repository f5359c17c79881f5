//! Files beside applications, from the real program and a `carme.toml`: Django's own static files, two apps with a
//! Python each, files that an app names.

use std::path::Path;
use std::process::{Command, Stdio};

use carme_tests::{ServerBuilder, python, server, skip};

/// A server from `carme.toml` with this text, seen from `folder`.
fn serve(folder: &Path, text: &str) -> carme_tests::Server {
    let file = folder.join("carme.toml");
    std::fs::write(&file, format!("[server]\nlisten = [\"127.0.0.1:0\"]\n{text}")).unwrap();
    ServerBuilder::arguments(&["serve", "-c", file.to_str().unwrap()])
        .current_dir(folder)
        .start()
}

/// A path as a literal string of TOML.
fn quoted(path: impl AsRef<Path>) -> String {
    format!("'{}'", path.as_ref().display())
}

/// Says which Python runs it, and has files sent.
const APP: &str = r#"
import os, sys

def application(environ, start_response):
    headers = [("Content-Type", "application/x-own")]
    name = environ["PATH_INFO"].lstrip("/")
    if name:
        headers.append(("X-Sendfile", os.path.join(os.environ["FILES"], name)))
        headers.append(("Content-Length", "4"))
    start_response("200 OK", headers)
    return [sys.executable.encode() if not name else b"none"]
"#;

#[test]
fn djangos_collected_files_are_served_without_django() {
    let Some(interpreter) = python::all()
        .into_iter()
        .find(|python| python::has(python, "django"))
    else {
        return skip::missing("no Python here has Django");
    };
    let folder = tempfile::tempdir().unwrap();
    let collected = folder.path().join("collected");
    let collect = Command::new(&interpreter)
        .arg(server::repository("examples/django_site/manage.py"))
        .args(["collectstatic", "--no-input", "--verbosity", "0"])
        .env("DJANGO_STATIC_ROOT", &collected)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(
        collect.status.success(),
        "{}",
        String::from_utf8_lossy(&collect.stderr)
    );
    let site = server::repository("examples/django_site");
    let server = serve(
        folder.path(),
        &format!(
            "[apps.site]\ntarget = \"mysite.wsgi\"\ndirectory = {}\npython = {}\nworkers = 1\n\
             env = {{ DJANGO_DATABASE = {} }}\n\
             [[locations]]\npath = \"/\"\napp = \"site\"\n\
             [[locations]]\npath = \"/static\"\nfiles = {}\ncache = \"1h\"\ncompress = true\n",
            quoted(&site),
            quoted(&interpreter),
            quoted(folder.path().join("db.sqlite3")),
            quoted(&collected),
        ),
    );
    let expected = std::fs::read(collected.join("admin/css/base.css")).unwrap();
    let style = server.get("/static/admin/css/base.css");
    assert_eq!(style.status(), 200);
    assert!(style.body == expected);
    assert_eq!(style.header("content-type"), Some("text/css; charset=utf-8"));
    assert_eq!(style.header("cache-control"), Some("max-age=3600"));
    let tag = style.header("etag").expect("a tag");
    let again = server.request(format!(
        "GET /static/admin/css/base.css HTTP/1.1\r\nHost: a\r\nIf-None-Match: W/{}\r\n\r\n",
        tag.trim_start_matches("W/")
    ));
    assert_eq!(again.status(), 304);
    let zipped = server.request(
        "GET /static/admin/css/base.css HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\nCookie: sessionid=x\r\n\r\n",
    );
    assert_eq!(zipped.header("content-encoding"), Some("gzip"));
    assert!(zipped.body.len() < expected.len() / 2 && zipped.body.starts_with(&[0x1f, 0x8b]));
    assert_eq!(server.get("/static/notes/site.css").status(), 200);
    assert_eq!(server.get("/static/../settings.py").status(), 404);
    let login = server.request("GET /admin/login/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
    assert_eq!(login.status(), 200, "{}", server.output());
    assert!(login.text().contains("/static/admin/css/base.css"));
    assert_eq!(server.get("/static/none.css").status(), 404);
    // The access log names no worker for a file.
    let line = server.wait_for_line("GET /static/none.css");
    assert!(
        line.contains("\" 404 ") && line.trim_end().ends_with(" -") || line.contains(" 404 "),
        "{line}"
    );
    assert!(
        server
            .wait_for_line("no file is served for /none.css")
            .contains("there is no such file")
    );
}

#[test]
fn two_apps_by_host_each_with_its_own_python() {
    let pythons = python::all();
    let (first, second) = (&pythons[0], pythons.last().unwrap());
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("own.py"), APP).unwrap();
    let server = serve(
        folder.path(),
        &format!(
            "[apps.a]\ntarget = \"own\"\npython = {}\nworkers = 1\n\
             [apps.b]\ntarget = \"own\"\npython = {}\nworkers = 1\n\
             [[locations]]\npath = \"/\"\napp = \"a\"\n\
             [[locations]]\npath = \"/\"\nhost = [\"*.example.com\", \"example.com\"]\napp = \"b\"\n\
             [[locations]]\npath = \"/\"\nhost = \"old.example.com\"\nredirect = \"https://www.example.com{{uri}}\"\n\
             status = 301\n\
             [[locations]]\npath = \"/ping\"\nrespond = {{ body = \"pong\" }}\n\
             response_headers = [{{ set = \"Cache-Control\", value = \"no-store\" }}]\n",
            quoted(first),
            quoted(second),
        ),
    );
    let at = |host: &str, path: &str| server.request(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    let version = |python: &Path| {
        let output = Command::new(python)
            .args(["-c", "import sys; print(sys.executable, end='')"])
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    server.wait_for_line("Serving own:application (WSGI) at");
    let announced = server.output();
    let line = announced
        .lines()
        .find(|line| line.starts_with("Serving"))
        .unwrap();
    assert_eq!(
        line.matches("http://").count(),
        1,
        "one place, however many hosts: {line}"
    );
    assert_eq!(at("any", "/").text(), version(first));
    assert_eq!(at("example.com", "/").text(), version(second));
    assert_eq!(at("www.example.com", "/").text(), version(second));
    let moved = at("old.example.com", "/a?b=c");
    assert_eq!(
        (moved.status(), moved.header("location")),
        (301, Some("https://www.example.com/a?b=c"))
    );
    let ping = at("any", "/ping");
    assert_eq!(
        (ping.text().as_str(), ping.header("cache-control")),
        ("pong", Some("no-store"))
    );
}

#[test]
fn an_app_has_a_file_sent() {
    let folder = tempfile::tempdir().unwrap();
    let files = folder.path().join("files");
    std::fs::create_dir(&files).unwrap();
    let content: Vec<u8> = (0..900_000_u32).map(|at| (at % 253) as u8).collect();
    std::fs::write(files.join("film.mp4"), &content).unwrap();
    std::fs::write(folder.path().join("own.py"), APP).unwrap();
    let server = serve(
        folder.path(),
        &format!(
            "[apps.a]\ntarget = \"own\"\npython = {}\nworkers = 1\nsendfile = [\"files\"]\nenv = {{ FILES = {} }}\n",
            quoted(python::main()),
            quoted(&files),
        ),
    );
    let film = server.get("/film.mp4");
    assert_eq!(
        (film.status(), film.header("content-type")),
        (200, Some("application/x-own"))
    );
    assert!(film.body == content);
    assert_eq!(film.header("x-sendfile"), None);
    let part = server.request("GET /film.mp4 HTTP/1.1\r\nHost: a\r\nRange: bytes=-1000\r\n\r\n");
    assert_eq!(
        (part.status(), part.header("content-range")),
        (206, Some("bytes 899000-899999/900000"))
    );
    assert!(part.body == content[899_000..]);
    assert_eq!(server.get("/none.mp4").status(), 404);
    assert_eq!(server.get("/%2e%2e/own.py").status(), 500);
    server.wait_for_line("own.py to be sent, but it has a segment");
}

#[test]
fn a_server_without_any_app() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("public")).unwrap();
    std::fs::write(folder.path().join("public/index.html"), "<p>here</p>").unwrap();
    std::fs::write(folder.path().join("public/a.model"), "a model").unwrap();
    let server = serve(
        folder.path(),
        "[[locations]]\npath = \"/\"\nfiles = \"public\"\nmedia_types = { \".model\" = \"model/x-own\" }\n",
    );
    assert_eq!(server.get("/").text(), "<p>here</p>");
    assert_eq!(server.get("/a.model").header("content-type"), Some("model/x-own"));
    assert_eq!(server.get("/none").status(), 404);
}
