//! The real program with files in Apache's syntax.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

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
    let python = executable();
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

/// The interpreter's own path: mod_wsgi's `python-home` is looked for nowhere else.
fn executable() -> PathBuf {
    let output = Command::new(python::main())
        .args(["-c", "import sys; print(sys.executable)"])
        .output()
        .expect("Python runs");
    String::from_utf8(output.stdout).expect("text").trim_end().into()
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
    let (status, toml, warnings) = ServerBuilder::arguments(&["convert", "httpd.conf"])
        .current_dir(&folder)
        .run();
    assert!(status.success(), "{warnings}");
    assert!(
        warnings.contains("warning: httpd.conf:3:1: ThreadsPerChild"),
        "{warnings}"
    );
    fs::write(folder.join("carme.toml"), &toml).expect("it is written");
    let server = builder.configured(&folder.join("carme.toml")).start();
    let answer = server.get("/cart");
    assert!(answer.text().starts_with(" /cart "), "{}", answer.text());
    assert_eq!(answer.header("x-from"), Some("Apache"));
    assert_eq!(server.get("/static/a.css").text(), "a{}");
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
