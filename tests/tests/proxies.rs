//! Behind proxies: what the application and the log take for the client, with real Python and, where it is installed, a
//! real HAProxy.

use std::collections::BTreeMap;

use carme_tests::{Client, Response, Server, ServerBuilder, python};

/// The client, the peer, the field that was handed on, the request's id.
const FORMAT: &str = r#"%a %{c}a "%{X-Forwarded-For}i" %L %U"#;

/// A server of `cases.py` with these lines in its `[server]`.
fn server(lines: &str) -> Server {
    let builder = ServerBuilder::test_app("cases.py");
    let file = builder.directory().join("carme.toml");
    let text = format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\n{lines}\n\
         [apps.site]\ntarget = \"app\"\nworkers = 1\npython = {:?}\n\
         [[access_logs]]\nfile = \"-\"\nformat = '{FORMAT}'\n",
        python::main().to_str().expect("a path that TOML can hold")
    );
    std::fs::write(&file, text).expect("the file is written");
    builder.config(&file).start()
}

/// What the test app says of its `environ`.
fn environ(response: &Response) -> BTreeMap<String, String> {
    assert_eq!(response.status(), 200, "{}", response.text());
    let text = response.text();
    let pair = |line: &str| {
        let (key, value) = line.split_once('=').expect("a line of environ");
        (key.to_owned(), value.trim_matches('\'').to_owned())
    };
    text.lines().map(pair).collect()
}

fn ask(client: &mut Client, fields: &str) -> BTreeMap<String, String> {
    client
        .send(format!(
            "GET /environ HTTP/1.1\r\nHost: example.org\r\n{fields}\r\n"
        ))
        .expect("it is sent");
    environ(&client.response("GET").expect("it answers"))
}

/// What an application may see of claims.
fn claims(environ: &BTreeMap<String, String>) -> Vec<&str> {
    environ
        .keys()
        .map(String::as_str)
        .filter(|key| key.contains("FORWARDED") || *key == "HTTP_X_REAL_IP")
        .collect()
}

const CLAIMS: &str = "X-Forwarded-For: 127.0.0.1, 192.0.2.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: shop.example\r\n\
                      Forwarded: for=203.0.113.1\r\nX-Request-Id: of-the-proxy\r\n";

#[test]
fn an_application_sees_nothing_of_what_just_anybody_claims() {
    let server = ServerBuilder::test_app("cases.py")
        .args(&["--workers", "1", "--log-format", FORMAT])
        .start();
    let seen = ask(&mut server.connect(), CLAIMS);
    assert_eq!(claims(&seen), Vec::<&str>::new());
    for (key, value) in [
        ("REMOTE_ADDR", "127.0.0.1"),
        ("wsgi.url_scheme", "http"),
        ("HTTP_HOST", "example.org"),
        ("SERVER_NAME", "example.org"),
        ("SERVER_PORT", server.address.port().to_string().as_str()),
    ] {
        assert_eq!(seen.get(key).map(String::as_str), Some(value), "{key}");
    }
    assert!(!seen.contains_key("HTTPS"));
    let id = &seen["HTTP_X_REQUEST_ID"];
    assert_eq!((id.len(), id), (16, &seen["carme.request_id"]));
    server.wait_for_line(&format!("127.0.0.1 127.0.0.1 \"-\" {id} /environ"));

    // The cure for a proxy that was forgotten, once.
    ask(&mut server.connect(), CLAIMS);
    server.wait_for_line("trusted_proxies = [\"127.0.0.1\"]");
    assert_eq!(server.output().matches("is not believed").count(), 1);
}

#[test]
fn an_application_sees_the_client_that_a_trusted_proxy_names() {
    let server = ServerBuilder::test_app("cases.py")
        .args(&[
            "--workers",
            "1",
            "--log-format",
            FORMAT,
            "--trusted-proxy",
            "127.0.0.0/8",
        ])
        .start();
    let seen = ask(&mut server.connect(), CLAIMS);
    for (key, value) in [
        ("REMOTE_ADDR", "192.0.2.1"),
        ("wsgi.url_scheme", "https"),
        ("HTTPS", "on"),
        ("HTTP_HOST", "shop.example"),
        ("SERVER_NAME", "shop.example"),
        ("SERVER_PORT", "443"),
        ("HTTP_X_FORWARDED_FOR", "192.0.2.1"),
        ("HTTP_X_FORWARDED_PROTO", "https"),
        ("HTTP_X_REQUEST_ID", "of-the-proxy"),
        ("carme.request_id", "of-the-proxy"),
    ] {
        assert_eq!(seen.get(key).map(String::as_str), Some(value), "{key}");
    }
    assert!(!seen.contains_key("REMOTE_PORT"), "nobody named it");
    assert!(!seen.contains_key("HTTP_FORWARDED"));
    server.wait_for_line(r#"192.0.2.1 127.0.0.1 "192.0.2.1" of-the-proxy /environ"#);

    // Both logs speak of the same client, by the same name.
    let response = server.request(
        "GET /raises HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.7\r\nX-Request-Id: that-one\r\nConnection: close\r\n\r\n",
    );
    assert_eq!(
        (response.status(), response.header("x-request-id")),
        (500, Some("that-one"))
    );
    let line = server.wait_for_line("status=500");
    assert!(
        line.contains("client=192.0.2.7") && line.contains("request_id=that-one"),
        "{line}"
    );
}

#[test]
fn a_proxy_header_comes_first() {
    let server = server("trusted_proxies = [\"127.0.0.1\"]\nproxy_protocol = true");
    let mut client = server.connect();
    client
        .send("PROXY TCP4 192.0.2.1 198.51.100.1 4711 443\r\n")
        .expect("it is sent");
    for _ in 0..2 {
        let seen = ask(&mut client, "X-Forwarded-For: 10.0.0.1\r\n");
        assert_eq!(
            (seen["REMOTE_ADDR"].as_str(), seen["REMOTE_PORT"].as_str()),
            ("192.0.2.1", "4711")
        );
        assert_eq!(claims(&seen), Vec::<&str>::new());
    }
    server.wait_for_line("192.0.2.1 127.0.0.1 \"-\"");
    let mut client = server.connect();
    client
        .send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .expect("it is sent");
    // What it had sent is not read, so it may see a reset.
    assert_eq!(client.rest().unwrap_or_default(), b"");
    server.wait_for_line("the connection does not begin with a PROXY header");
}

/// Clients of this machine come directly, those of the proxy through a socket of its own.
#[cfg(unix)]
#[test]
fn one_address_of_several_has_proxy_headers() {
    use std::io::{Read, Write};

    let builder = ServerBuilder::test_app("cases.py");
    let socket = builder.directory().join("proxy.sock");
    let file = builder.directory().join("carme.toml");
    let text = format!(
        "[server]\nlisten = [\"127.0.0.1:0\", {{ address = \"unix:proxy.sock\", proxy_protocol = true }}]\n\
         trusted_proxies = [\"unix\"]\n[apps.site]\ntarget = \"app\"\nworkers = 1\npython = {:?}\n",
        python::main().to_str().expect("a path that TOML can hold")
    );
    std::fs::write(&file, text).expect("the file is written");
    let server = builder.config(&file).start();
    let seen = ask(&mut server.connect(), "");
    assert_eq!(seen["REMOTE_ADDR"], "127.0.0.1");
    let mut stream = std::os::unix::net::UnixStream::connect(&socket).expect("it listens there");
    stream
        .write_all(
            b"PROXY TCP4 192.0.2.1 198.51.100.1 4711 443\r\n\
              GET /environ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        )
        .expect("it is sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    assert!(
        answer.contains("REMOTE_ADDR='192.0.2.1'") && answer.contains("REMOTE_PORT='4711'"),
        "{answer}"
    );
}

#[cfg(target_os = "linux")]
mod haproxy {
    use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
    use std::path::{Path, PathBuf};
    use std::process::{Child, Command, Stdio};

    use carme_tests::{skip, wait_until};

    use super::*;

    /// Linux has the whole of 127.0.0.0/8, so client and proxy can differ.
    const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

    struct HaProxy {
        child: Child,
        address: SocketAddr,
        _directory: tempfile::TempDir,
    }

    impl Drop for HaProxy {
        fn drop(&mut self) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }

    fn program() -> Option<PathBuf> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path)
            .chain([PathBuf::from("/usr/sbin")])
            .map(|folder| folder.join("haproxy"))
            .find(|program| program.is_file())
    }

    impl HaProxy {
        /// One before this server, with these words on its server line and these lines beside it.
        fn start(program: &Path, server: &Server, words: &str, lines: &str) -> Self {
            let directory = tempfile::tempdir().expect("a temporary folder");
            // Free a moment ago; HAProxy does not say which port it takes.
            let address = TcpListener::bind("127.0.0.1:0")
                .and_then(|l| l.local_addr())
                .expect("a free port");
            let file = directory.path().join("haproxy.cfg");
            let text = format!(
                "defaults\n timeout connect 10s\n timeout client 30s\n timeout server 30s\n\
                 listen site\n bind {address}\n{lines}\n server carme {} {words}\n",
                server.address
            );
            std::fs::write(&file, text).expect("the file is written");
            let child = Command::new(program)
                .arg("-db")
                .arg("-f")
                .arg(&file)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .spawn()
                .expect("haproxy starts");
            wait_until("haproxy listens", || TcpStream::connect(address).is_ok());
            HaProxy {
                child,
                address,
                _directory: directory,
            }
        }

        fn connect(&self) -> Client {
            Client::connect_from(CLIENT, self.address).expect("haproxy accepts")
        }
    }

    #[test]
    fn it_announces_clients_by_the_proxy_protocol() {
        let Some(program) = program() else {
            return skip::missing("haproxy is not installed");
        };
        let server = server("trusted_proxies = [\"127.0.0.1\"]\nproxy_protocol = true");
        for words in [
            "send-proxy",
            "send-proxy-v2",
            "send-proxy-v2 proxy-v2-options crc32c,unique-id,ssl,cert-cn",
            // Its own looks at the server come as LOCAL.
            "send-proxy-v2 check inter 50ms",
        ] {
            let haproxy = HaProxy::start(&program, &server, words, " mode tcp");
            let mut client = haproxy.connect();
            let port = client
                .socket()
                .local_addr()
                .expect("an address")
                .port()
                .to_string();
            for _ in 0..2 {
                let seen = ask(&mut client, "X-Forwarded-For: 127.0.0.1\r\n");
                let expected = (CLIENT.to_string(), port.clone());
                assert_eq!(
                    (seen["REMOTE_ADDR"].clone(), seen["REMOTE_PORT"].clone()),
                    expected,
                    "{words}"
                );
                assert_eq!(seen["SERVER_PORT"], haproxy.address.port().to_string(), "{words}");
                assert_eq!(claims(&seen), Vec::<&str>::new(), "{words}");
            }
        }
        server.wait_for_line("127.0.0.2 127.0.0.1 \"-\"");
        assert!(
            !server.output().contains("the connection is closed"),
            "{}",
            server.output()
        );
    }

    #[test]
    fn it_names_clients_in_fields() {
        let Some(program) = program() else {
            return skip::missing("haproxy is not installed");
        };
        let forged =
            "X-Forwarded-For: 10.9.8.7, 127.0.0.1\r\nForwarded: for=10.9.8.7\r\nX-Real-IP: 10.9.8.7\r\n";
        for (setting, lines, handed_on, value) in [
            (
                "x-forwarded-for",
                " mode http\n option forwardfor",
                "HTTP_X_FORWARDED_FOR",
                "127.0.0.2",
            ),
            (
                "forwarded",
                " mode http\n http-request add-header Forwarded \"for=%[src];proto=https;host=%[req.hdr(host)]\"",
                "HTTP_FORWARDED",
                "for=127.0.0.2;proto=https;host=example.org",
            ),
            (
                "x-real-ip",
                " mode http\n http-request set-header X-Real-IP %[src]",
                "HTTP_X_REAL_IP",
                "127.0.0.2",
            ),
        ] {
            let server = server(&format!(
                "trusted_proxies = [\"127.0.0.1\"]\nforwarded = \"{setting}\""
            ));
            let haproxy = HaProxy::start(&program, &server, "", lines);
            let seen = ask(&mut haproxy.connect(), forged);
            assert_eq!(seen["REMOTE_ADDR"], "127.0.0.2", "{setting}");
            assert_eq!(seen.get(handed_on).map(String::as_str), Some(value), "{setting}");
            let scheme = if setting == "forwarded" { "https" } else { "http" };
            assert_eq!(seen["wsgi.url_scheme"], scheme, "{setting}");
            server.wait_for_line("127.0.0.2 127.0.0.1 ");
        }
    }

    #[test]
    fn two_of_them_in_a_row_are_both_seen_through() {
        let Some(program) = program() else {
            return skip::missing("haproxy is not installed");
        };
        let server = server("trusted_proxies = [\"127.0.0.1\"]");
        let lines = " mode http\n option forwardfor\n http-request add-header X-Forwarded-Proto";
        let inner = HaProxy::start(&program, &server, "", &format!("{lines} http"));
        let outer = {
            let to_inner = format!("{lines} https\n server inner {}", inner.address);
            // The line for the server itself is never chosen: it is only the backup.
            HaProxy::start(&program, &server, "backup", &to_inner)
        };
        let seen = ask(
            &mut outer.connect(),
            "X-Forwarded-For: 10.9.8.7\r\nX-Forwarded-Proto: http\r\n",
        );
        assert_eq!(seen["REMOTE_ADDR"], "127.0.0.2");
        assert_eq!(seen["HTTP_X_FORWARDED_FOR"], "127.0.0.2, 127.0.0.1");
        assert_eq!(seen["wsgi.url_scheme"], "https", "as the outer one has it");
    }
}
