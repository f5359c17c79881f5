//! The article's farm, served with its own files: a balancer before three instances. Only addresses and folders are changed.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use carme_tests::client::Client;
use carme_tests::{Response, Server, ServerBuilder, free_address, python};

/// Says which instance it is and who asks.
const APP: &str = r#"
import os

def application(environ, start_response):
    if environ["PATH_INFO"] == "/moved":
        start_response("302 Found", [("Location", os.environ["ITSELF"] + "there")])
        return []
    start_response("200 OK", [("Content-Type", "text/plain")])
    return ["{} {} {}".format(os.environ["NUMBER"], environ["REMOTE_ADDR"], environ["HTTP_HOST"]).encode()]
"#;

/// An instance's file. mod_rpaf's names are the old ones, as the article has them.
const INSTANCE: &str = r#"
Listen 127.0.0.1:PORT
LoadModule wsgi_module modules/mod_wsgi.so
LoadModule rpaf_module modules/mod_rpaf.so
RPAFenable On
RPAFproxy_ips 127.0.0.1
RPAFsethostname On
RPAFheader X-Forwarded-For
WSGIPythonHome "PYTHON"
WSGIScriptAlias / "SITE/app.py"
LogFormat " " empty
# Below will never output anything, but it will create an empty file
CustomLog "LOGS/access-NUMBER.log" empty env=NOTHING_IS_LOGGED
"#;

const BALANCER: &str = r#"
Listen 127.0.0.1:0
LoadModule proxy_module modules/mod_proxy.so
LoadModule proxy_http_module modules/mod_proxy_http.so
LoadModule proxy_balancer_module modules/mod_proxy_balancer.so
<Proxy balancer://cluster>
BalancerMember http://MEMBER_1 smax=3 max=10 ttl=120 route=www_1
BalancerMember http://MEMBER_2 smax=3 max=10 ttl=120 route=www_2
BalancerMember http://MEMBER_3 smax=3 max=10 ttl=120 route=www_3
</Proxy>
ProxyPass / balancer://cluster/
ProxyPassReverse / balancer://cluster/
LogFormat "%h %l %u %t \"%r\" %>s %b %{BALANCER_WORKER_ROUTE}e" routed
CustomLog "LOGS/access.log" routed
"#;

/// As a path stands in such a file, on Windows too.
fn path(path: &Path) -> String {
    path.to_str().expect("a path that is text").replace('\\', "/")
}

/// What takes the place of the article's own addresses and folders in a file.
fn changed(file: &str, changes: &[(&str, &str)]) -> String {
    let change = |text: String, (from, to): &(&str, &str)| text.replace(from, to);
    changes.iter().fold(file.to_owned(), change)
}

struct Instance {
    server: Server,
    log: PathBuf,
}

fn instance(number: usize) -> Instance {
    let builder = ServerBuilder::app(APP);
    let folder = builder.directory().to_owned();
    let address = free_address();
    let text = changed(
        INSTANCE,
        &[
            ("PORT", &address.port().to_string()),
            ("PYTHON", &path(&python::executable())),
            ("SITE", &path(&folder)),
            ("LOGS", &path(&folder)),
            ("NUMBER", &number.to_string()),
        ],
    );
    let file = folder.join("httpd.conf");
    fs::write(&file, text).expect("it is written");
    let builder = builder.configured(&file).env("NUMBER", number.to_string());
    Instance {
        server: builder.env("ITSELF", format!("http://{address}/")).start(),
        log: folder.join(format!("access-{number}.log")),
    }
}

fn get(address: SocketAddr, from: &str, path: &str) -> Response {
    let source = from.parse().expect("an address");
    let mut client = Client::connect_from(source, address).expect("it accepts");
    client.get(path).expect("an answer")
}

#[test]
fn the_articles_farm_runs_with_its_files() {
    let instances: Vec<Instance> = (1..=3).map(instance).collect();
    let builder = ServerBuilder::app("");
    let folder = builder.directory().to_owned();
    let members: Vec<String> = instances
        .iter()
        .map(|one| one.server.address.to_string())
        .collect();
    let text = changed(
        BALANCER,
        &[
            ("MEMBER_1", &members[0]),
            ("MEMBER_2", &members[1]),
            ("MEMBER_3", &members[2]),
            ("LOGS", &path(&folder)),
        ],
    );
    let file = folder.join("httpd.conf");
    fs::write(&file, text).expect("it is written");
    let mut balancer = builder.configured(&file).start();
    let mut answers: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..30 {
        *answers
            .entry(get(balancer.address, "127.0.0.2", "/").text())
            .or_default() += 1;
    }
    // Each instance sees the client, and the balancer as the client wrote it.
    let expected = (1..=3).map(|number| (format!("{number} 127.0.0.2 test"), 10));
    assert_eq!(answers, expected.collect());
    let moved = get(balancer.address, "127.0.0.2", "/moved");
    assert_eq!(
        (moved.status(), moved.header("location")),
        (302, Some("http://test/there"))
    );
    balancer.stop();
    let log = fs::read_to_string(folder.join("access.log")).expect("a log");
    let mut routes: BTreeMap<&str, usize> = BTreeMap::new();
    for line in log
        .lines()
        .filter(|line| line.contains("\"GET / HTTP/1.1\" 200 "))
    {
        assert!(line.starts_with("127.0.0.2 - - ["), "{line}");
        *routes
            .entry(line.rsplit(' ').next().unwrap_or_default())
            .or_default() += 1;
    }
    assert_eq!(
        routes,
        ["www_1", "www_2", "www_3"].map(|route| (route, 10)).into(),
        "{log}"
    );
    for mut one in instances {
        one.server.stop();
        assert_eq!(fs::read_to_string(&one.log).expect("a log that is empty"), "");
    }
}
