//! `--reload`: somebody works on the source while the real program serves it. On Windows as on Linux.

use std::fs;
use std::path::Path;

use carme_tests::{Client, Response, Server, ServerBuilder, wait_until};

/// Answers of many kinds, each with `WORD` in it.
const APP: &str = r#"
import gzip

PAGE = b"<!DOCTYPE html><html><body><p>WORD</p></body></html>"

def application(environ, start_response):
    path = environ["PATH_INFO"]
    headers = [("Content-Type", "text/html; charset=utf-8")]
    if path == "/whole":
        headers += [("Content-Length", str(len(PAGE))), ("ETag", '"a"'), ("Content-Security-Policy", "script-src 'self'")]
    elif path == "/json":
        headers[0] = ("Content-Type", "application/json")
    elif path == "/gzip":
        headers.append(("Content-Encoding", "gzip"))
        start_response("200 OK", headers)
        return [gzip.compress(PAGE)]
    elif path == "/moved":
        start_response("302 Found", headers + [("Location", "/whole")])
        return [PAGE]
    elif path == "/stream":
        start_response("200 OK", headers)
        return (PAGE for _ in range(3))
    elif path == "/declared":
        headers.append(("Content-Length", str(3 * len(PAGE))))
        start_response("200 OK", headers)
        return (PAGE for _ in range(3))
    elif path == "/raises":
        raise ValueError("WORD")
    start_response("200 OK", headers)
    return [PAGE]
"#;

const BROWSER: &str = "Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\nSec-Fetch-Dest: document\r\n";

fn app(word: &str) -> String {
    APP.replace("WORD", word)
}

/// As editors do it: whoever looks sees the old file or the new one.
fn save(folder: &Path, name: &str, text: &str) {
    fs::write(folder.join("saved.tmp"), text).unwrap();
    fs::rename(folder.join("saved.tmp"), folder.join(name)).unwrap();
}

fn start(source: &str, arguments: &[&str]) -> Server {
    ServerBuilder::app(source)
        .args(&["--workers", "1", "--reload"])
        .args(arguments)
        .start()
}

fn browse(server: &Server, path: &str) -> Response {
    server.request(format!("GET {path} HTTP/1.1\r\nHost: a\r\n{BROWSER}\r\n"))
}

/// Waits until the page shows something.
fn browse_until(server: &Server, shown: &str) -> Response {
    let mut page = None;
    wait_until(&format!("the page shows {shown:?}"), || {
        page.insert(browse(server, "/")).text().contains(shown)
    });
    page.unwrap()
}

/// What a page's script is told of as the version that it shows.
fn version(page: &Response) -> String {
    let text = page.text();
    let (_, rest) = text
        .split_once("/__carme__/reload.js?since=")
        .unwrap_or_else(|| panic!("no script in {text}"));
    rest.split('"').next().unwrap().to_owned()
}

fn times(server: &Server, text: &str) -> usize {
    server.output().matches(text).count()
}

#[test]
fn a_change_is_served_and_browsers_are_told() {
    let server = ServerBuilder::app(&app("first"))
        .args(&["--workers", "3", "--reload"])
        .start();
    let page = browse(&server, "/");
    assert!(page.text().contains("<p>first</p>"), "{}", page.text());
    let script = server.get("/__carme__/reload.js");
    assert_eq!(
        script.header("content-type"),
        Some("text/javascript; charset=utf-8")
    );
    assert!(script.text().contains("location.reload()"));

    let since = version(&page);
    let ask = format!("GET /__carme__/changes?since={since} HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut waiting = server.connect();
    waiting.send(&ask).unwrap();
    save(server.directory(), "app.py", &app("second one"));
    let mut told = waiting.response("GET").unwrap();
    // As browsers do it: three workers may take longer to come than anybody is kept waiting.
    wait_until("there is a change", || {
        if told.status() == 204 {
            waiting.send(&ask).unwrap();
            told = waiting.response("GET").unwrap();
        }
        told.status() != 204
    });
    assert_eq!(told.status(), 200);
    assert_ne!(told.text(), since);
    // Told when every worker has it, so that the reload shows it.
    for _ in 0..30 {
        let page = browse(&server, "/");
        assert!(page.text().contains("<p>second one</p>"), "{}", page.text());
        assert_eq!(version(&page), told.text());
    }
    server.wait_for_line("reloading after a change of app.py");
}

#[test]
fn while_the_source_is_broken_its_traceback_is_shown() {
    let server = start(&app("first"), &["--mount", "/shop"]);
    let at = |path: &str| browse(&server, &format!("/shop{path}"));
    let wait_for = |shown: &str| {
        wait_until(&format!("the page shows {shown:?}"), || {
            at("/").text().contains(shown)
        });
        at("/")
    };
    let before = version(&wait_for("<p>first</p>"));
    save(
        server.directory(),
        "app.py",
        "def application(environ, start_response):\n    return []\n\nraise RuntimeError(\"<b>no</b>\")\n",
    );
    let broken = wait_for("RuntimeError");
    assert_eq!(broken.status(), 500);
    assert_eq!(broken.header("cache-control"), Some("no-store"));
    assert_eq!(broken.header("content-type"), Some("text/html; charset=utf-8"));
    let text = broken.text();
    assert!(text.contains("RuntimeError: &lt;b&gt;no&lt;/b&gt;"), "{text}");
    assert!(text.contains("app.py&quot;, line 4"), "{text}");
    assert!(!text.contains("<b>"), "{text}");
    assert_ne!(version(&broken), before);
    assert!(text.contains("src=\"/shop/__carme__/reload.js?since="), "{text}");
    // Who is no browser reads it as text; every path of the app says it, and no other.
    let plain = server.get("/shop/any/path");
    assert_eq!(plain.header("content-type"), Some("text/plain; charset=utf-8"));
    assert!(
        plain.text().contains("RuntimeError: <b>no</b>"),
        "{}",
        plain.text()
    );
    assert_eq!(server.get("/elsewhere").status(), 404);
    server.wait_for_line("not reloaded, all goes on as before");

    save(server.directory(), "app.py", "this is (no Python\n");
    wait_for("SyntaxError");
    save(server.directory(), "app.py", &app("mended"));
    let mended = wait_for("<p>mended</p>");
    assert_eq!(mended.status(), 200);
}

#[test]
fn what_does_not_start_at_first_is_waited_for() {
    let server = start("import nothing_of_this_name\n", &[]);
    let broken = browse_until(&server, "ModuleNotFoundError");
    assert_eq!(broken.status(), 500);
    assert!(
        server
            .wait_for_line("Serving why")
            .contains("does not start at http://127.0.0.1:")
    );
    save(server.directory(), "app.py", &app("there it is"));
    assert_eq!(browse_until(&server, "<p>there it is</p>").status(), 200);
}

/// Its worker is started again and again, as ever, and the page goes when one comes.
#[test]
fn what_is_mended_elsewhere_needs_no_change_of_the_source() {
    let source = format!("open('the-database')\n{}", app("first"));
    let server = start(&source, &[]);
    let broken = browse_until(&server, "FileNotFoundError");
    fs::write(server.directory().join("the-database"), "1").unwrap();
    assert_ne!(version(&browse_until(&server, "<p>first</p>")), version(&broken));
    assert_eq!(times(&server, "reloading after"), 0, "{}", server.output());
}

#[test]
fn environments_caches_and_data_change_nothing() {
    let server = start(&app("first"), &["--reload-include", "*.toml"]);
    let folder = server.directory().to_owned();
    for (name, text) in [
        (".venv/lib/x.py", "1"),
        ("env/pyvenv.cfg", "1"),
        ("env/lib/y.py", "1"),
        ("__pycache__/app.cpython-313.pyc", "1"),
        (".git/hooks/z.py", "1"),
        ("node_modules/a/b.js", "1"),
        (".mypy_cache/3.13/c.py", "1"),
        ("db.sqlite3", "1"),
        ("notes.txt", "1"),
        (".hidden.py", "1"),
    ] {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    // What counts comes last, so that all else has been looked at by then.
    save(&folder, "app.py", &app("second one"));
    browse_until(&server, "<p>second one</p>");
    fs::create_dir(folder.join("shop")).unwrap();
    save(&folder, "shop/settings.toml", "a = 1\n");
    server.wait_for_line("reloading after a change of settings.toml");
    wait_until("both are served", || times(&server, "[info] reloaded: ") == 2);
    assert_eq!(times(&server, "reloading after"), 2, "{}", server.output());
}

#[test]
fn only_pages_get_the_script_and_their_length_is_right() {
    let server = start(&app("first"), &[]);
    let page = app("first");
    let page = page
        .split("PAGE = b\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    for (path, copies) in [("/whole", 1), ("/", 1), ("/stream", 3), ("/declared", 3)] {
        let response = browse(&server, path);
        let text = response.text();
        let tag = text
            .strip_prefix(&page.repeat(copies))
            .unwrap_or_else(|| panic!("{path}: {text}"));
        assert!(
            tag.starts_with("\n<script src=\"/__carme__/reload.js?since=")
                && tag.ends_with("\" async></script>\n"),
            "{path}: {tag}"
        );
        assert_eq!(response.header("cache-control"), Some("no-store"), "{path}");
        assert_eq!(response.header("etag"), None, "{path}");
        if let Some(length) = response.header("content-length") {
            assert_eq!(length, text.len().to_string(), "{path}");
        }
    }
    // A page that forbids scripts but its own still does.
    let whole = browse(&server, "/whole");
    assert_eq!(whole.header("content-security-policy"), Some("script-src 'self'"));

    for path in ["/json", "/gzip", "/moved"] {
        let response = browse(&server, path);
        assert!(!response.text().contains("__carme__"), "{path}");
        assert_eq!(response.header("cache-control"), None, "{path}");
    }
    for fields in [
        "Sec-Fetch-Dest: empty\r\n",
        "X-Requested-With: XMLHttpRequest\r\n",
        "HX-Request: true\r\n",
    ] {
        let response = server.request(format!("GET /whole HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
        assert_eq!(response.text(), page, "{fields}");
        assert_eq!(response.header("etag"), Some("\"a\""), "{fields}");
    }
    let head = server.request("HEAD /whole HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(
        head.header("content-length"),
        Some(page.len().to_string().as_str())
    );

    // The front's page for what the app makes wrong reloads, too, and who prefers JSON gets that.
    let raised = browse(&server, "/raises");
    assert_eq!(raised.status(), 500);
    assert!(
        raised.text().contains("/__carme__/reload.js"),
        "{}",
        raised.text()
    );
    let raised = server.request("GET /raises HTTP/1.1\r\nHost: a\r\nAccept: application/json\r\n\r\n");
    assert_eq!(raised.header("content-type"), Some("application/problem+json"));
}

#[test]
fn without_the_option_nothing_is_watched_and_nothing_added() {
    let server = ServerBuilder::app(&app("first"))
        .args(&["--workers", "1"])
        .start();
    assert!(!browse(&server, "/").text().contains("__carme__"));
    assert!(
        browse(&server, "/__carme__/reload.js")
            .text()
            .contains("<p>first</p>"),
        "the app's own path"
    );
    assert!(!browse(&server, "/raises").text().contains("__carme__"));
}

#[test]
fn a_configuration_file_is_followed_and_compressed_pages_have_the_script() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("code")).unwrap();
    save(&folder.path().join("code"), "app.py", &app(&"long ".repeat(1000)));
    let write = |more: &str| {
        let python = carme_tests::python::main();
        save(
            folder.path(),
            "carme.toml",
            &format!(
                "[server]\nlisten = [\"127.0.0.1:0\"]\ncompress = true\n[apps.site]\ntarget = \"app\"\n\
                 directory = \"code\"\npython = {:?}\nworkers = 1\n{more}\n",
                python.to_str().unwrap()
            ),
        );
    };
    write("");
    let file = folder.path().join("carme.toml");
    let server = ServerBuilder::arguments(&["serve", "-c", file.to_str().unwrap(), "--reload"]).start();
    let compressed = server.request(format!(
        "GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n{BROWSER}\r\n"
    ));
    assert_eq!(compressed.header("content-encoding"), Some("gzip"));
    let mut page = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&compressed.body[..]), &mut page)
        .unwrap();
    assert!(page.contains("</html>\n<script src="), "{page}");

    write("threds = 3");
    let broken = browse_until(&server, "threds");
    assert!(
        broken.text().contains("did you mean `threads`?"),
        "{}",
        broken.text()
    );
    write("threads = 3");
    browse_until(&server, "<p>long ");
    server.wait_for_line("apps.site.threads: 10 -> 3");
    save(&folder.path().join("code"), "app.py", &app("short"));
    browse_until(&server, "<p>short</p>");
}

/// Browsers that wait for a change do not keep the server from its end.
#[cfg(unix)]
#[test]
fn a_stop_does_not_wait_for_browsers() {
    let mut server = start(&app("first"), &[]);
    let since = version(&browse(&server, "/"));
    let mut waiting = server.connect();
    waiting
        .send(format!(
            "GET /__carme__/changes?since={since} HTTP/1.1\r\nHost: a\r\n\r\n"
        ))
        .unwrap();
    // On another connection, so that the first request is there.
    assert_eq!(browse(&server, "/").status(), 200);
    let begun = std::time::Instant::now();
    assert!(server.stop().success());
    assert!(begun.elapsed().as_secs() < 10, "{:?}", begun.elapsed());
    assert_eq!(waiting.response("GET").unwrap().status(), 204);
}

#[test]
fn what_makes_no_sense_is_said() {
    let (status, _, said) = ServerBuilder::app(&app("first"))
        .args(&[
            "--reload",
            "--reload-dir",
            "nowhere",
            "--reload-include",
            "a/*.py",
        ])
        .run();
    assert_eq!(status.code(), Some(2), "{said}");
    assert!(
        said.contains("command line: --reload-dir names a folder that does not exist"),
        "{said}"
    );
    assert!(
        said.contains("command line: --reload-include must be what a file's name is like"),
        "{said}"
    );
    let (status, _, said) = ServerBuilder::app(&app("first"))
        .args(&["--reload-dir", "."])
        .run();
    assert_eq!(status.code(), Some(2), "{said}");
    assert!(said.contains("--reload"), "{said}");

    let server = ServerBuilder::app(&app("first"))
        .args(&["--workers", "1", "--reload", "--bind", "0.0.0.0:0"])
        .start();
    server.wait_for_line("development: whoever reaches http://0.0.0.0:0 can see tracebacks");
    let port = server.address.port();
    let mut client = Client::connect(([127, 0, 0, 1], port).into()).unwrap();
    assert_eq!(client.get("/json").unwrap().status(), 200);
}
