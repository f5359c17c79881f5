//! HTTPS by the real program, seen by Python's own TLS, which is OpenSSL: another implementation than ours.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use carme_tests::certificates::Authority;
use carme_tests::{ServerBuilder, python, skip, wait_until};
use rcgen::{DnType, ExtendedKeyUsagePurpose};

const APP: &str = r#"
import json

def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    seen = {key: value for key, value in environ.items() if key.startswith("SSL_") or key in (
        "HTTPS", "wsgi.url_scheme", "SERVER_PORT", "HTTP_HOST", "HTTP_HTTPS")}
    return [json.dumps(seen).encode()]
"#;

/// Prints status, `Strict-Transport-Security`, the names in the certificate, and the body.
const CLIENT: &str = r#"
import http.client, json, socket, ssl, sys
port, ca, name, cert, key = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)
if cert:
    context.load_cert_chain(cert, key)
raw = socket.create_connection(("127.0.0.1", int(port)), timeout=30)
connection = http.client.HTTPSConnection(name, int(port), context=context)
connection.sock = context.wrap_socket(raw, server_hostname=name)
names = [value for _, value in connection.sock.getpeercert()["subjectAltName"]]
connection.request("GET", "/", headers={"Https": "forged"})
response = connection.getresponse()
print(json.dumps([response.status, response.getheader("Strict-Transport-Security"), names, json.loads(response.read())]))
"#;

/// What Python's client sees, or what it says instead.
fn ask(port: u16, folder: &Path, name: &str, identity: Option<&str>) -> Result<serde_json::Value, String> {
    let file = |name: String| folder.join(name).display().to_string();
    let (cert, key) = match identity {
        Some(who) => (file(format!("{who}.pem")), file(format!("{who}.key"))),
        None => (String::new(), String::new()),
    };
    let output = Command::new(python::main())
        .args([
            "-c",
            CLIENT,
            &port.to_string(),
            &file("ca.pem".to_owned()),
            name,
            &cert,
            &key,
        ])
        .stdin(Stdio::null())
        .output()
        .expect("Python runs");
    match output.status.success() {
        true => Ok(serde_json::from_slice(&output.stdout).expect("JSON")),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

fn configuration(tls: &str, listen: &str) -> String {
    format!(
        "[server]\nlisten = {listen}\n[tls]\ncertificate = \"site.pem\"\nkey = \"site.key\"\n{tls}\n\
         [apps.site]\ntarget = \"app\"\nworkers = 1\npython = '{}'\n",
        python::main().display()
    )
}

/// A folder with `app.py`, and what is signed in it.
fn folder() -> (tempfile::TempDir, Authority) {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("app.py"), APP).expect("written");
    let authority = Authority::new(folder.path());
    authority.issue(folder.path(), "site", &["site.test"], |_| {});
    (folder, authority)
}

#[test]
fn options_are_enough_for_https() {
    let (folder, _authority) = folder();
    let server = ServerBuilder::arguments(&["serve", "app", "--workers", "1"])
        .args(&["--certificate", "site.pem", "--key", "site.key"])
        .args(&[
            "--bind",
            "https://127.0.0.1:0",
            "--python",
            &python::main().display().to_string(),
        ])
        .current_dir(folder.path())
        .start();
    assert!(
        server.output().contains(" at https://127.0.0.1:"),
        "{}",
        server.output()
    );
    let port = server.address.port();
    let seen = ask(port, folder.path(), "site.test", None).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(seen[0], 200);
    assert_eq!(seen[2], serde_json::json!(["site.test"]));
    let environ = &seen[3];
    for (name, value) in [
        ("wsgi.url_scheme", "https"),
        ("HTTPS", "on"),
        ("SSL_TLS_SNI", "site.test"),
        ("SERVER_PORT", &port.to_string()),
        ("HTTP_HTTPS", "forged"),
    ] {
        assert_eq!(environ[name], value, "{environ}");
    }
    assert!(
        environ["SSL_PROTOCOL"].as_str().unwrap().starts_with("TLSv1."),
        "{environ}"
    );
    assert_eq!(environ.get("SSL_CLIENT_VERIFY"), None);
    // The same port, without TLS.
    let response = server.get("/");
    assert_eq!(response.status(), 400);
    server.wait_for_line("plain HTTP was sent to an address that speaks TLS");
}

#[test]
fn a_file_says_all_of_it() {
    let (folder, authority) = folder();
    let path = folder.path();
    authority.issue(path, "shop", &["*.shop.test"], |_| {});
    authority.issue(path, "ann", &[], |params| {
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "Ann");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    });
    let tls = "min_version = \"1.2\"\nclient_ca = \"ca.pem\"\nclient_auth = \"optional\"\n\
               redirect_to_https = true\nhsts = \"365d\"\n\
               [[tls.certificates]]\ncertificate = \"shop.pem\"\nkey = \"shop.key\"\n";
    let listen = "[\"127.0.0.1:0\", \"https://127.0.0.1:0\"]";
    fs::write(path.join("carme.toml"), configuration(tls, listen)).unwrap();
    let server = ServerBuilder::arguments(&["serve", "-c", "carme.toml"])
        .current_dir(path)
        .start();
    // The plain address is the first in the line; it leads to the other.
    let response = server.get("/a?b");
    assert_eq!(response.status(), 301);
    let location = response.header("location").unwrap().to_owned();
    let port = location
        .strip_prefix("https://test:")
        .and_then(|rest| rest.strip_suffix("/a?b"))
        .and_then(|port| port.parse::<u16>().ok())
        .unwrap_or_else(|| panic!("{location}"));
    let seen = ask(port, path, "a.shop.test", None).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(seen[1], "max-age=31536000");
    assert_eq!(seen[2], serde_json::json!(["*.shop.test"]));
    assert_eq!(seen[3]["SSL_CLIENT_VERIFY"], "NONE");
    let seen = ask(port, path, "site.test", Some("ann")).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(seen[2], serde_json::json!(["site.test"]));
    assert_eq!(seen[3]["SSL_CLIENT_VERIFY"], "SUCCESS");
    assert_eq!(seen[3]["SSL_CLIENT_S_DN"], "CN=Ann");
    let pem = seen[3]["SSL_CLIENT_CERT"].as_str().unwrap().replace("\r\n", "\n");
    assert_eq!(
        pem,
        fs::read_to_string(path.join("ann.pem"))
            .unwrap()
            .replace("\r\n", "\n")
    );

    // A renewed certificate is taken over while it runs.
    authority.issue(path, "site", &["site.test", "renewed.test"], |_| {});
    wait_until("the new certificate is served", || {
        ask(port, path, "renewed.test", None).is_ok()
    });
    server.wait_for_line("the certificate for site.test, renewed.test was read again");
}

#[test]
fn check_tells_what_is_wrong_with_certificates() {
    let (folder, authority) = folder();
    let path = folder.path();
    authority.issue(path, "old", &["old.test"], |params| {
        params.not_before = rcgen::date_time_ymd(2001, 1, 1);
        params.not_after = rcgen::date_time_ymd(2002, 2, 3);
    });
    let check = |tls: &str| {
        let listen = "\"https://127.0.0.1:0\"";
        fs::write(path.join("carme.toml"), configuration(tls, listen)).unwrap();
        ServerBuilder::arguments(&["check", "-c", "carme.toml"])
            .current_dir(path)
            .run()
    };
    let (status, output, error) = check("");
    assert!(status.success(), "{error}");
    assert!(
        output.contains("ok: the certificate for site.test is valid until "),
        "{output}"
    );

    let (status, _, error) = check(
        "[[tls.certificates]]\ncertificate = \"old.pem\"\nkey = \"old.key\"\n\
         [[tls.certificates]]\ncertificate = \"site.pem\"\nkey = \"old.key\"\n\
         [[tls.certificates]]\ncertificate = \"sit.pem\"\nkey = \"site.key\"\n",
    );
    assert_eq!(status.code(), Some(2), "{error}");
    for text in [
        "carme.toml:7:15: `certificate` names a certificate that clients refuse: ",
        "old.pem expired on 2002-02-03",
        "carme.toml:11:7: `key` names ",
        "old.key, which is not the key of the certificate in ",
        "carme.toml:13:15: `certificate` names ",
        "did you mean ",
    ] {
        assert!(error.contains(text), "{text} is not in {error}");
    }

    // An expired certificate is no reason for not serving at all; the error log says it.
    let certificate = configuration("", "\"https://127.0.0.1:0\"").replace("site.", "old.");
    fs::write(path.join("carme.toml"), certificate).unwrap();
    let server = ServerBuilder::arguments(&["serve", "-c", "carme.toml"])
        .current_dir(path)
        .start();
    server.wait_for_line("the certificate for old.test in");
    let error = ask(server.address.port(), path, "old.test", None).expect_err("it has expired");
    assert!(error.contains("expired"), "{error}");
}

/// Made by OpenSSL, in its own way and in the old one, which is that of Windows before 2019.
#[test]
fn a_pfx_file_is_served_renewed_and_checked() {
    let (folder, authority) = folder();
    let path = folder.path();
    let export = |password: &str, more: &[&str]| {
        let output = Command::new("openssl")
            .args([
                "pkcs12",
                "-export",
                "-inkey",
                "site.key",
                "-in",
                "site.pem",
                "-certfile",
                "ca.pem",
            ])
            .args(["-passout", &format!("pass:{password}"), "-out", "new.pfx"])
            .args(more)
            .current_dir(path)
            .stdin(Stdio::null())
            .output();
        match output {
            Ok(output) if output.status.success() => {
                fs::rename(path.join("new.pfx"), path.join("site.pfx")).is_ok()
            }
            _ => false,
        }
    };
    if !export("first", &[]) {
        return skip::missing("openssl is not installed");
    }
    let text = |password: &str| {
        configuration("", "\"https://127.0.0.1:0\"").replace(
            "certificate = \"site.pem\"\nkey = \"site.key\"\n",
            &format!("pfx = \"site.pfx\"\n{password}\n"),
        )
    };
    let check = |password: &str| {
        fs::write(path.join("carme.toml"), text(password)).unwrap();
        ServerBuilder::arguments(&["check", "-c", "carme.toml"])
            .current_dir(path)
            .run()
    };
    for (password, complaint) in [
        ("", "which has a password"),
        ("pfx_password = \"second\"", "`pfx_password` does not open "),
    ] {
        let (status, _, error) = check(password);
        assert_eq!(status.code(), Some(2), "{error}");
        assert!(error.contains(complaint) && error.contains("site.pfx"), "{error}");
    }
    fs::write(path.join("password"), "first\n").unwrap();
    let (status, output, error) = check("pfx_password_file = \"password\"");
    assert!(status.success(), "{error}");
    assert!(
        output.contains("ok: the certificate for site.test is valid until "),
        "{output}"
    );

    let server = ServerBuilder::arguments(&["serve", "-c", "carme.toml"])
        .current_dir(path)
        .start();
    let port = server.address.port();
    let seen = ask(port, path, "site.test", None).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(seen[2], serde_json::json!(["site.test"]));
    authority.issue(path, "site", &["site.test", "renewed.test"], |_| {});
    assert!(export("second", &["-legacy"]), "OpenSSL 3 has its old algorithms");
    fs::write(path.join("password"), "second\n").unwrap();
    wait_until("the new certificate is served", || {
        ask(port, path, "renewed.test", None).is_ok()
    });
}

/// A member of a balancer is another server of ours; who signs its certificate is read at each reload.
#[test]
fn a_member_is_known_by_its_authority() {
    let (folder, authority) = folder();
    let path = folder.path();
    authority.issue(path, "member", &["127.0.0.1"], |_| {});
    let member = ServerBuilder::arguments(&["serve", "app", "--workers", "1"])
        .args(&["--certificate", "member.pem", "--key", "member.key"])
        .args(&[
            "--bind",
            "https://127.0.0.1:0",
            "--python",
            &python::main().display().to_string(),
        ])
        .current_dir(path)
        .start();
    let stranger = tempfile::tempdir().expect("a folder");
    Authority::new(stranger.path());
    fs::copy(stranger.path().join("ca.pem"), path.join("other.pem")).unwrap();
    fs::write(path.join("broken.pem"), "nothing").unwrap();
    let file = path.join("balancer.toml");
    let configure = |ca: &str| {
        let text = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\n[balancers.cluster]\ntls_ca = \"{ca}\"\n\
             [[balancers.cluster.members]]\nurl = \"https://127.0.0.1:{}\"\nretry = \"0s\"\n\
             [[locations]]\npath = \"/\"\nbalancer = \"cluster\"\n",
            member.address.port()
        );
        fs::write(&file, text).unwrap();
    };
    configure("ca.pem");
    let balancer = ServerBuilder::arguments(&["serve", "-c", "balancer.toml"])
        .current_dir(path)
        .start();
    let seen: serde_json::Value = serde_json::from_str(&balancer.get("/").text()).expect("JSON");
    assert_eq!(seen["HTTPS"], "on");

    // What cannot be read changes nothing.
    configure("broken.pem");
    let (status, _, errors) = balancer.command(&["reload"]).run();
    assert!(!status.success() && errors.contains("broken.pem"), "{errors}");
    assert_eq!(balancer.get("/").status(), 200);

    configure("other.pem");
    let (status, output, errors) = balancer.command(&["reload"]).run();
    assert!(status.success(), "{output}{errors}");
    assert_eq!(balancer.get("/").status(), 502);
    balancer.wait_for_line("its certificate is by nobody who is trusted (tls_ca = ");

    configure("ca.pem");
    let (status, output, errors) = balancer.command(&["reload"]).run();
    assert!(status.success(), "{output}{errors}");
    assert_eq!(balancer.get("/").status(), 200);
}
