//! Variables of requests in an application's `environ`: one file of mod_wsgi's kind, as it is, converted, and, where
//! Debian's module is, in Apache itself.

#[cfg(target_os = "linux")]
mod apache;

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use carme_tests::{Client, ServerBuilder, python};

/// The names that are asked for, and `os.environ`, in which only what is passed on may be.
const SCRIPT: &str = r#"
import os
from wsgiref.validate import validator

@validator
def application(environ, start_response):
    names = [name for name in environ["QUERY_STRING"].split("&") if name in environ]
    shown = [f"{name}={ascii(environ[name])}" for name in names]
    shown += [f"os.environ has {name}" for name in names if name in os.environ and name != "LC_ALL"]
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [" ".join(shown).encode()]
"#;

/// What both servers read, behind `Listen`. Not here: `UnsetEnv` where several sections hold, which Apache forgets.
const DIRECTIVES: &str = r#"
WSGIDaemonProcess shop processes=1 threads=2
WSGIProcessGroup shop

SetEnv ALL "a b"
SetEnv EMPTY
SetEnv MY.DOTTED-name Ü
SetEnv REMOTE_USER admin
SetEnv HTTP_X_FIELD unsent
SetEnv CONTENT_TYPE text/unknown
SetEnv LATE server
SetEnv GONE 1
UnsetEnv GONE
PassEnv LC_ALL NOT_IN_ANY_ENVIRONMENT
SetEnvIf X-Cap "^(.+)$" CAPTURED=<$1>
SetEnvIfNoCase User-Agent "BOT(\d*)" ROBOT=r$1 !CAPTURED
SetEnvIf ROBOT "^r(\d+)$" NUMBER=$1
SetEnvIf X-Tls ^yes$ HTTPS=on
SetEnvIf Request_Method POST First=1 FIRST=2
BrowserMatch ^curl CURL

SetEnv REQUEST_METHOD EVIL
SetEnv REQUEST_URI EVIL
SetEnv SCRIPT_NAME /evil
SetEnv PATH_INFO /evil
SetEnv SERVER_NAME evil
SetEnv SERVER_PROTOCOL evil
SetEnv REMOTE_ADDR evil
SetEnv HTTP_HOST evil
SetEnv wsgi.url_scheme evil

<VirtualHost *>
ServerName a.example
WSGIScriptAlias /shop "FOLDER/app.wsgi"
WSGIScriptAlias / "FOLDER/app.wsgi"
SetEnv HOST a
<Location /shop>
SetEnv HOST a-shop
UnsetEnv ALL
SetEnvIf X-Cap . PLACE=shop
</Location>
<Location /shop/admin>
SetEnvIf X-Cap . ADMIN=$0
SetEnv HOST a-admin
</Location>
</VirtualHost>

<Directory "FOLDER/other">
SetEnv DIR other
SetEnv HOST b-other
SetEnvIf X-Cap . CAP=other
</Directory>
<Directory "FOLDER/unused">
SetEnv ALL unused
</Directory>

<VirtualHost *>
ServerName b.example
WSGIScriptAlias / "FOLDER/other/app.wsgi"
SetEnv HOST b
SetEnvIf Host . LATE=early
BrowserMatch ^curl CURL=b
</VirtualHost>
"#;

/// What is asked with which fields, and what the application says.
const CASES: &[(&str, &str, &str)] = &[
    (
        "GET /x?ALL&EMPTY&MY.DOTTED-name&REMOTE_USER&GONE&LC_ALL&NOT_IN_ANY_ENVIRONMENT&HOST&PLACE&CAPTURED",
        "Host: a.example",
        r"ALL='a b' EMPTY='' MY.DOTTED-name='\xc3\x9c' REMOTE_USER='admin' LC_ALL='C' HOST='a'",
    ),
    (
        "GET /shop/x?ALL&HOST&PLACE&CAPTURED&SCRIPT_NAME&PATH_INFO",
        "Host: a.example\r\nX-Cap: \u{e9} 1",
        r"HOST='a-shop' PLACE='shop' CAPTURED='<\xc3\xa9 1>' SCRIPT_NAME='/shop' PATH_INFO='/x'",
    ),
    (
        "GET /shop//admin/?HOST&PLACE&ADMIN&SCRIPT_NAME&EMPTY",
        "Host: a.example\r\nX-Cap: yes",
        "HOST='a-admin' PLACE='shop' ADMIN='y' SCRIPT_NAME='/shop' EMPTY=''",
    ),
    (
        "GET /shop/admins?HOST&PLACE&ADMIN&SCRIPT_NAME&PATH_INFO",
        "Host: a.example\r\nX-Cap: yes",
        "HOST='a-shop' PLACE='shop' SCRIPT_NAME='/shop' PATH_INFO='/admins'",
    ),
    (
        "GET /x?HOST&PLACE&CURL&ALL&DIR&CAP&LATE",
        "Host: b.example\r\nX-Cap: 1\r\nUser-Agent: curl/8",
        "HOST='b-other' CURL='b' ALL='a b' DIR='other' CAP='other' LATE='server'",
    ),
    (
        "GET /?HOST&CURL&ROBOT&NUMBER&CAPTURED&DIR",
        "Host: a.example\r\nUser-Agent: a Bot77\r\nX-Cap: 1",
        "HOST='a' ROBOT='r77' NUMBER='77'",
    ),
    (
        "GET /?REQUEST_METHOD&SCRIPT_NAME&PATH_INFO&SERVER_NAME&SERVER_PROTOCOL&REMOTE_ADDR&HTTP_HOST&wsgi.url_scheme",
        "Host: a.example",
        "REQUEST_METHOD='GET' SCRIPT_NAME='' PATH_INFO='/' SERVER_NAME='a.example' SERVER_PROTOCOL='HTTP/1.1' \
         REMOTE_ADDR='127.0.0.1' HTTP_HOST='a.example' wsgi.url_scheme='http'",
    ),
    (
        "GET /?wsgi.url_scheme&HTTP_X_FIELD&CONTENT_TYPE",
        "Host: a.example\r\nX-Tls: yes",
        "wsgi.url_scheme='https' HTTP_X_FIELD='unsent' CONTENT_TYPE='text/unknown'",
    ),
    (
        "POST /?wsgi.url_scheme&HTTP_X_FIELD&CONTENT_TYPE&First&FIRST&REQUEST_URI",
        "Host: a.example\r\nX-Tls: no\r\nX-Field: sent\r\nContent-Type: a/b\r\nContent-Length: 0",
        "wsgi.url_scheme='http' HTTP_X_FIELD='sent' CONTENT_TYPE='a/b' First='2' \
         REQUEST_URI='/?wsgi.url_scheme&HTTP_X_FIELD&CONTENT_TYPE&First&FIRST&REQUEST_URI'",
    ),
];

/// Writes the file and its script.
pub(crate) fn write(folder: &Path, head: &str) {
    fs::create_dir(folder.join("other")).expect("it is made");
    for script in ["app.wsgi", "other/app.wsgi"] {
        fs::write(folder.join(script), SCRIPT).expect("it is written");
    }
    let directives = DIRECTIVES.replace("FOLDER", &folder.display().to_string());
    fs::write(folder.join("httpd.conf"), format!("{head}\n{directives}")).expect("it is written");
}

/// Asks all cases of a server.
pub(crate) fn check(address: SocketAddr, who: &str) {
    for (line, fields, expected) in CASES {
        let mut client = Client::connect(address).expect("it accepts");
        client
            .send(format!(
                "{line} HTTP/1.1\r\n{fields}\r\nConnection: close\r\n\r\n"
            ))
            .expect("it is sent");
        let method = line.split(' ').next().unwrap_or_default();
        let answer = client.response(method).expect("an answer");
        assert_eq!(answer.text(), *expected, "{who}: {line}\n{fields}");
    }
}

#[test]
fn applications_see_the_variables_of_their_host_and_place_in_both_syntaxes() {
    for is_converted in [false, true] {
        let builder = ServerBuilder::app("");
        let folder = builder.directory().to_owned();
        let head = format!(
            "Listen 127.0.0.1:0\nWSGIPythonHome \"{}\"",
            python::executable().display()
        );
        write(&folder, &head);
        let mut file = folder.join("httpd.conf");
        if is_converted {
            let (toml, said) = ServerBuilder::converted(&folder);
            let unseen: Vec<&str> = said.lines().filter(|line| line.contains("looks at it")).collect();
            assert!(
                matches!(unseen[..], [line] if line.contains("changes GONE")),
                "{said}"
            );
            file = toml;
        }
        let server = builder.configured(&file).env("LC_ALL", "C").start();
        check(
            server.address,
            if is_converted { "TOML" } else { "Apache's syntax" },
        );
    }
}
