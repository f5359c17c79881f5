//! The real program with files in Apache's syntax.

use std::fs;
use std::path::Path;

use carme_tests::{ServerBuilder, python};

const SCRIPT: &str = r#"
import os
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{environ['SCRIPT_NAME']} {environ['PATH_INFO']} {os.getcwd()} {os.environ.get('LANG')}".encode()]
"#;

/// A site of mod_wsgi: a script that `import` cannot name, static files, two logs of which one is silenced.
fn write(folder: &Path) {
    for (name, text) in [
        ("site/shop.wsgi", SCRIPT),
        ("site/static/a.css", "a{}"),
        ("home/.keep", ""),
        ("conf/more.conf", "Header set X-From Apache\n"),
    ] {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("it is made");
        fs::write(path, text).expect("it is written");
    }
    let python = python::executable();
    let text = format!(
        "Define SITE site\nListen 127.0.0.1:0\nThreadsPerChild 25\nIncludeOptional conf/*.conf\n\
         WSGIDaemonProcess shop processes=2 threads=3 python-home=\"{}\" home=home lang=C.UTF-8\n\
         WSGIProcessGroup shop\nWSGIScriptAlias / ${{SITE}}/shop.wsgi\nAlias /static ${{SITE}}/static\n\
         LogFormat \"%U %>s %{{BALANCER_WORKER_ROUTE}}e\" routed\nCustomLog access.log routed\n\
         LogFormat \" \" empty\nCustomLog \"access-1.log\" empty env=NOTHING_IS_LOGGED\n",
        python.display()
    );
    fs::write(folder.join("httpd.conf"), text).expect("it is written");
}

#[test]
fn a_site_of_mod_wsgi_is_served_with_its_file() {
    let builder = ServerBuilder::app("");
    let folder = builder.directory().to_owned();
    write(&folder);
    let mut server = builder.configured(&folder.join("httpd.conf")).start();
    let answer = server.get("/cart");
    let home = folder.join("home").canonicalize().expect("it is there");
    let text = answer.text();
    let parts: Vec<&str> = text.split(' ').collect();
    assert_eq!((parts[0], parts[1], parts[3]), ("", "/cart", "C.UTF-8"), "{text}");
    assert_eq!(Path::new(parts[2]).canonicalize().expect("a folder"), home);
    assert_eq!(answer.header("x-from"), Some("Apache"));
    assert_eq!(server.get("/static/a.css").text(), "a{}");
    let said = server.output();
    assert!(
        said.contains("httpd.conf:3:1: ThreadsPerChild says how Apache runs itself"),
        "{said}"
    );
    server.stop();
    let log = fs::read_to_string(folder.join("access.log")).expect("a log");
    assert!(log.contains("/cart 200 shop_"), "{log}");
    assert!(log.contains("/static/a.css 200 -"), "{log}");
    let silenced = fs::read_to_string(folder.join("access-1.log")).expect("a log that is empty");
    assert_eq!(silenced, "");
}

#[test]
fn what_convert_prints_is_served_alike() {
    let builder = ServerBuilder::app("");
    let folder = builder.directory().to_owned();
    write(&folder);
    let (toml, warnings) = ServerBuilder::converted(&folder);
    assert!(
        warnings.contains("warning: httpd.conf:3:1: ThreadsPerChild"),
        "{warnings}"
    );
    let server = builder.configured(&toml).start();
    let answer = server.get("/cart");
    assert!(answer.text().starts_with(" /cart "), "{}", answer.text());
    assert_eq!(answer.header("x-from"), Some("Apache"));
    assert_eq!(server.get("/static/a.css").text(), "a{}");
}

/// Variables by what requests are, in a log, in header rules of both kinds, and in what clients get.
fn write_variables(folder: &Path) {
    let script = r#"
def application(environ, start_response):
    start_response("200 OK", [("Set-Cookie", "sid=1"), ("Vary", "Cookie")])
    return [f"{environ.get('HTTP_X_TENANT')} {environ.get('HTTP_X_TAIL')}".encode()]
"#;
    fs::write(folder.join("app.wsgi"), script).expect("it is written");
    fs::create_dir_all(folder.join("static")).expect("it is made");
    fs::write(folder.join("static/a.css"), "a{}").expect("it is written");
    let text = format!(
        r#"Listen 127.0.0.1:0
WSGIPythonHome "{}"
WSGIDaemonProcess app processes=1 threads=1
WSGIProcessGroup app
WSGIScriptAlias /admin app.wsgi
WSGIScriptAlias / app.wsgi
Alias /static static
SetEnvIf Request_URI "^/static/|\.ico$" quiet
SetEnvIf Host "^([a-z]+)\." TENANT=$1
SetEnvIfNoCase User-Agent "BOT" ROBOT !TENANT
SetEnvIf ROBOT 1 KIND=robot
SetEnvIf Request_URI "^/tail/(.*)$" TAIL=$1
RequestHeader set X-Tenant "%{{TENANT}}e" env=TENANT
RequestHeader set X-Tail "%{{TAIL}}e"
Header add Set-Cookie "ROUTEID=.%{{BALANCER_WORKER_ROUTE}}e; path=/" env=BALANCER_WORKER_ROUTE
Header edit Set-Cookie ^(sid=.*)$ "$1; Secure"
Header merge Vary Cookie
Header merge Vary Host
Header set X-Kind "%{{KIND}}e 100%%" env=ROBOT
Header set X-Took %D "expr=%{{REQUEST_STATUS}} == 200"
LogFormat "%U %{{TENANT}}e %{{KIND}}e %{{BALANCER_WORKER_ROUTE}}e" known
CustomLog access.log known env=!quiet
CustomLog robots.log "%U" env=ROBOT
<Location /admin>
SetEnvIf Remote_Addr ^127\. TENANT=local
</Location>
"#,
        python::executable().display()
    );
    fs::write(folder.join("httpd.conf"), text).expect("it is written");
}

#[test]
fn variables_of_requests_are_in_logs_and_headers_in_both_syntaxes() {
    for is_converted in [false, true] {
        let builder = ServerBuilder::app("");
        let folder = builder.directory().to_owned();
        write_variables(&folder);
        let mut file = folder.join("httpd.conf");
        if is_converted {
            (file, _) = ServerBuilder::converted(&folder);
        }
        let mut server = builder.configured(&file).start();
        let ask =
            |target: &str, fields: &str| server.request(format!("GET {target} HTTP/1.1\r\n{fields}\r\n\r\n"));
        let answer = ask("/tail/x%0d%0aX-Evil:1", "Host: shop.example\r\nX-Tenant: forged");
        assert_eq!(answer.text(), "shop x  X-Evil:1");
        let fields = |wanted: &str| -> Vec<&str> {
            let all = answer.headers.iter().filter(|(name, _)| name == wanted);
            all.map(|(_, value)| value.as_str()).collect()
        };
        assert_eq!(fields("set-cookie"), ["sid=1; Secure", "ROUTEID=.app_1; path=/"]);
        assert_eq!(fields("vary"), ["Cookie, Host"]);
        assert!(answer.header("x-took").is_some_and(|took| took.starts_with("D=")));
        assert_eq!(answer.header("x-kind"), None);
        let robot = ask("/", "Host: shop.example\r\nUser-Agent: a bot");
        assert_eq!(robot.text(), "None (null)");
        assert_eq!(robot.header("x-kind"), Some("robot 100%"));
        let file = ask("/static/a.css", "Host: shop.example");
        assert_eq!(
            (file.header("set-cookie"), file.header("vary")),
            (None, Some("Cookie, Host"))
        );
        assert_eq!(ask("/admin", "Host: shop.example").text(), "local (null)");
        server.stop();
        let log = fs::read_to_string(folder.join("access.log")).expect("a log");
        let lines: Vec<&str> = log.lines().collect();
        assert_eq!(
            lines,
            [
                r"/tail/x\r\nX-Evil:1 shop - app_1",
                "/ - robot app_1",
                "/admin local - app_1"
            ]
        );
        let robots = fs::read_to_string(folder.join("robots.log")).expect("a log");
        assert_eq!(robots, "/\n");
    }
}

#[test]
fn what_is_wrong_has_line_column_and_the_nearest_name() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(
        folder.path().join("httpd.conf"),
        "Listen 80\n  BalancerMembre http://a\n",
    )
    .expect("it is written");
    let (status, _, said) = ServerBuilder::arguments(&["check", "-c", "httpd.conf"])
        .current_dir(folder.path())
        .run();
    assert_eq!(status.code(), Some(2));
    assert!(
        said.contains("httpd.conf:2:3: unknown directive BalancerMembre"),
        "{said}"
    );
    assert!(said.contains("did you mean BalancerMember?"), "{said}");
}
