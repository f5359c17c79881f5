//! The example sites, on every interpreter: real Flask, real Django, from the target alone.

use std::path::Path;
use std::process::{Command, Stdio};

use carme_tests::{Client, Response, ServerBuilder, python, server};

/// A form with one file, as a browser sends it.
fn upload(
    client: &mut Client,
    path: &str,
    cookie: &str,
    fields: &[(&str, &str)],
    file: (&str, &[u8]),
) -> Response {
    let mut body = Vec::new();
    for (name, value) in fields {
        body.extend_from_slice(
            format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n").as_bytes(),
        );
    }
    body.extend_from_slice(
        format!(
            "--b\r\nContent-Disposition: form-data; name=\"{}\"; filename=\"f.bin\"\r\n\r\n",
            file.0
        )
        .as_bytes(),
    );
    body.extend_from_slice(file.1);
    body.extend_from_slice(b"\r\n--b--\r\n");
    client
        .send(format!(
            "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {cookie}\r\nContent-Type: multipart/form-data; \
             boundary=b\r\nContent-Length: {}\r\n\r\n",
            body.len()
        ))
        .unwrap();
    client.send(body).unwrap();
    client.response("POST").unwrap()
}

fn get(client: &mut Client, path: &str, cookie: &str) -> Response {
    client
        .send(format!(
            "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {cookie}\r\n\r\n"
        ))
        .unwrap();
    client.response("GET").unwrap()
}

fn cookies(response: &Response) -> String {
    let set = response.headers.iter().filter(|(name, _)| name == "set-cookie");
    set.filter_map(|(_, value)| value.split(';').next())
        .collect::<Vec<_>>()
        .join("; ")
}

#[test]
fn the_flask_example_serves() {
    for interpreter in python::all().iter().filter(|python| python::has(python, "flask")) {
        let server = ServerBuilder::target(server::repository("examples/flask_app/app.py"))
            .python(interpreter)
            .args(&["--workers", "2"])
            .start();
        let shown = interpreter.display();
        let mut client = server.connect();
        let index = client.get("/").unwrap();
        assert_eq!(index.status(), 200, "{shown}");
        assert!(index.text().contains("<html"), "{shown}");
        assert_eq!(client.get("/nothing-here").unwrap().status(), 404, "{shown}");
        let content = vec![b'x'; 700_000];
        let uploaded = upload(&mut client, "/upload", "", &[], ("file", &content));
        assert!(
            uploaded.text().contains("700000") || uploaded.text().contains("700,000"),
            "{shown}: {}",
            uploaded.text()
        );
        assert_eq!(client.get("/fail").unwrap().status(), 500, "{shown}");
    }
}

fn manage(interpreter: &Path, data: &Path, arguments: &[&str]) {
    let output = Command::new(interpreter)
        .arg(server::repository("examples/django_site/manage.py"))
        .args(arguments)
        .env("DJANGO_DATABASE", data.join("db.sqlite3"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn the_django_example_serves() {
    for interpreter in python::all()
        .iter()
        .filter(|python| python::has(python, "django"))
    {
        let builder = ServerBuilder::target("mysite.wsgi");
        let data = builder.directory().to_owned();
        manage(interpreter, &data, &["migrate", "--verbosity", "0"]);
        let server = builder
            .python(interpreter)
            .args(&["--workers", "2", "--directory"])
            .args(&[server::repository("examples/django_site").to_str().unwrap()])
            .env("DJANGO_DATABASE", data.join("db.sqlite3"))
            .env("DJANGO_MEDIA_ROOT", data.join("media"))
            .start();
        let shown = interpreter.display();
        let mut client = server.connect();
        let first = get(&mut client, "/", "");
        assert_eq!(first.status(), 200, "{shown}: {}", server.output());
        let session = cookies(&first);
        assert!(session.contains("sessionid="), "{shown}");
        // Whichever worker answers, the session goes on.
        for visits in 2..7 {
            let text = get(&mut server.connect(), "/", &session).text();
            assert!(
                text.contains(&format!("You have been here {visits} times")),
                "{shown}: {text}"
            );
        }
        let login = get(&mut client, "/admin/login/", "");
        assert!(login.text().contains("csrfmiddlewaretoken"), "{shown}");
        let style = get(&mut client, "/static/admin/css/base.css", "");
        assert_eq!(
            (style.status(), style.header("content-type")),
            (200, Some("text/css")),
            "{shown}"
        );
        let form = get(&mut client, "/new/", &session);
        let token = cookies(&form);
        let secret = token
            .split("csrftoken=")
            .nth(1)
            .and_then(|t| t.split(';').next())
            .expect("a CSRF cookie");
        let fields = [
            ("csrfmiddlewaretoken", secret),
            ("title", "From a test"),
            ("text", "text"),
            ("body", "text"),
        ];
        let content: Vec<u8> = (0..1_000_000u32).map(|i| i as u8).collect();
        let saved = upload(&mut client, "/new/", &token, &fields, ("attachment", &content));
        assert_eq!(saved.status(), 302, "{shown}: {}", saved.text());
        let note = saved.header("location").expect("where it is").to_owned();
        assert!(
            get(&mut client, &note, "").text().contains("From a test"),
            "{shown}"
        );
        let attachment = get(&mut client, &format!("{note}attachment/"), "");
        assert!(
            attachment.body == content,
            "{shown}: {} bytes came back",
            attachment.body.len()
        );
        assert!(
            get(&mut client, "/notes.csv", "").text().contains("From a test"),
            "{shown}"
        );
    }
}
