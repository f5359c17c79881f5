//! The real program as IIS' HttpPlatformHandler starts it. IIS itself is not here: the test plays its part.

use std::fs;
use std::net::TcpListener;

use carme_tests::{Client, ServerBuilder, python, server};

const APP: &str = r#"
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    names = ["REMOTE_ADDR", "wsgi.url_scheme", "HTTP_HOST", "SERVER_PORT", "HTTP_X_FORWARDED_HOST", "REMOTE_USER"]
    return [" ".join(str(environ.get(name)) for name in names).encode()]
"#;

/// As the module passes on what a client has sent that lies about itself.
const PASSED_ON: &str = "GET / HTTP/1.1\r\nHost: site.example\r\nX-Forwarded-For: 203.0.113.9, 192.0.2.7:50123\r\n\
                         X-Forwarded-Proto: https\r\nX-Forwarded-Host: evil.example\r\nX-Forwarded-Port: 1\r\n\r\n";

/// The value of an attribute of `<httpPlatform`.
fn attribute(config: &str, name: &str) -> String {
    let (_, element) = config.split_once("<httpPlatform ").expect("the element");
    let (_, rest) = element.split_once(&format!("{name}=\"")).expect(name);
    rest.split('"').next().unwrap_or_default().to_owned()
}

#[test]
fn the_documented_web_config_starts_it_and_iis_is_believed() {
    let config = fs::read_to_string(server::repository("examples/iis/web.config")).expect("it is there");
    let page = fs::read_to_string(server::repository("docs/src/iis.md")).expect("it is there");
    let lines = |text: &str| text.replace("\r\n", "\n");
    assert!(lines(&page).contains(&lines(&config)), "the page shows the file");
    assert!(attribute(&config, "processPath").ends_with(r"\carme.exe"));

    let port = free_port();
    let builder = ServerBuilder::app(APP);
    let toml = builder.directory().join("carme.toml");
    let python = python::main().display().to_string();
    fs::write(
        &toml,
        format!("[apps.site]\ntarget = \"app\"\nworkers = 1\npython = '{python}'\n"),
    )
    .expect("written");
    let arguments = attribute(&config, "arguments");
    let arguments = arguments.replace(r"D:\sites\mysite\carme.toml", toml.to_str().expect("text"));
    let arguments: Vec<&str> = arguments.split(' ').collect();
    assert_eq!(arguments[..2], ["serve", "-c"]);
    let folder = builder.directory().to_owned();
    let server = ServerBuilder::arguments(&arguments)
        .env("HTTP_PLATFORM_PORT", port.to_string())
        .current_dir(&std::env::temp_dir())
        .start();
    assert_eq!(server.address, ([127, 0, 0, 1], port).into());
    let answer = server.request(PASSED_ON).text();
    assert_eq!(answer, "192.0.2.7 https site.example 443 None None");
    drop((server, folder));
}

#[test]
fn an_address_that_is_named_holds_and_nobody_is_believed() {
    let port = free_port();
    let server = ServerBuilder::app(APP)
        .env("HTTP_PLATFORM_PORT", port.to_string())
        .start();
    assert_ne!(server.address.port(), port);
    assert!(Client::connect(([127, 0, 0, 1], port).into()).is_err());
    let answer = server.request(PASSED_ON).text();
    assert!(answer.starts_with("127.0.0.1 http site.example "), "{answer}");
}

#[test]
fn what_is_no_port_is_refused() {
    let python = python::main();
    let arguments = ["serve", "app.py", "--python", python.to_str().expect("text")];
    let (status, _, said) = ServerBuilder::arguments(&arguments)
        .env("HTTP_PLATFORM_PORT", "%HTTP_PLATFORM_PORT%")
        .run();
    assert_eq!(status.code(), Some(2));
    assert!(
        said.contains("environment: HTTP_PLATFORM_PORT must be a port from 1 to 65535"),
        "{said}"
    );
}

fn free_port() -> u16 {
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    free.local_addr().expect("an address").port()
}
