//! The logs of the real program: several with conditions, rotated, opened anew, and read by GoAccess and AWStats.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use carme_tests::{Server, ServerBuilder, python, skip, wait_until};

const APP: &str = r#"
def application(environ, start_response):
    path = environ["PATH_INFO"]
    start_response("404 Not Found" if "missing" in path else "200 OK", [("Content-Type", "text/plain")])
    return [b"text"]
"#;

/// A server with these settings for its logs.
fn start(server: &str, logs: &str) -> Server {
    start_app(APP, server, logs)
}

fn start_app(app: &str, server: &str, logs: &str) -> Server {
    let builder = ServerBuilder::app(app);
    let folder = builder.directory().to_owned();
    let toml = format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\n{server}\n\
         [apps.app]\ntarget = \"app\"\npython = {python:?}\nworkers = 1\n{logs}\n",
        python = python::main().to_str().expect("a path that is text")
    );
    let file = folder.join("carme.toml");
    fs::write(&file, toml).expect("the configuration is written");
    // The builder keeps the folder.
    builder.configured(&file).start()
}

fn lines(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn wait_for(path: &Path, expected: &[&str]) {
    wait_until(
        &format!("{} has {expected:?}; it has {:?}", path.display(), lines(path)),
        || lines(path) == expected,
    );
}

#[test]
fn several_logs_each_with_its_own_requests() {
    let server = start(
        "",
        "[[access_logs]]\nfile = \"all.log\"\nformat = \"%>s %U\"\n\
         [[access_logs]]\nfile = \"errors.log\"\nformat = \"%>s %U\"\nonly = { status = [\"4xx\", \"5xx\"] }\n\
         [[access_logs]]\nfile = \"quiet.log\"\nformat = \"%U\"\nexcept = [{ path = \"/healthz\" }, { path = \"/static\", status = 200 }]\n\
         [[access_logs]]\nfile = \"routed.log\"\nformat = \"%U %R\"\nonly = { env = \"BALANCER_WORKER_ROUTE\" }\n\
         [[access_logs]]\nfile = \"front.log\"\nformat = \"%r\"\nexcept = { env = \"BALANCER_WORKER_ROUTE\" }\n",
    );
    for path in ["/healthz", "/static/a", "/static/missing", "/", "/missing"] {
        server.get(path);
    }
    let mut client = server.connect();
    client.send("GET /x HTTP/3.0\r\n\r\n").unwrap();
    assert_eq!(client.response("GET").unwrap().status(), 505);
    let folder = server.directory();
    let all = [
        "200 /healthz",
        "200 /static/a",
        "404 /static/missing",
        "200 /",
        "404 /missing",
        "505 /x",
    ];
    wait_for(&folder.join("all.log"), &all);
    let errors: Vec<_> = all.into_iter().filter(|line| !line.starts_with('2')).collect();
    wait_for(&folder.join("errors.log"), &errors);
    wait_for(
        &folder.join("quiet.log"),
        &["/static/missing", "/", "/missing", "/x"],
    );
    wait_for(&folder.join("front.log"), &["GET /x HTTP/3.0"]);
    let routed = [
        "/healthz app",
        "/static/a app",
        "/static/missing app",
        "/ app",
        "/missing app",
    ];
    wait_for(&folder.join("routed.log"), &routed);
}

#[test]
fn a_rotated_log_has_every_line_once_and_keeps_so_many_files() {
    let server = start(
        "",
        "[[access_logs]]\nfile = \"all.log\"\nformat = \"%U %{User-Agent}i\"\nrotate = { size = \"4KiB\", every = \"1d\" }\n\
         [[access_logs]]\nfile = \"few-%Y.log\"\nformat = \"%U %{User-Agent}i\"\nrotate = { size = \"4KiB\", every = \"1d\", keep = 2 }\n",
    );
    let mut client = server.connect();
    let agent = "x".repeat(200);
    for number in 0..200 {
        client
            .send(format!(
                "GET /{number} HTTP/1.1\r\nHost: x\r\nUser-Agent: {agent}\r\n\r\n"
            ))
            .unwrap();
        assert_eq!(client.response("GET").unwrap().status(), 200);
    }
    let files = |start: &str| -> Vec<_> {
        let entries = fs::read_dir(server.directory())
            .unwrap()
            .map(|entry| entry.unwrap().path());
        entries
            .filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(start))
            .collect()
    };
    let all = || {
        files("all.log")
            .iter()
            .flat_map(|path| lines(path))
            .collect::<Vec<_>>()
    };
    wait_until("every line is there", || all().len() >= 200);
    let lines = all();
    let paths: BTreeSet<_> = lines
        .iter()
        .map(|line| line.split(' ').next().unwrap().to_owned())
        .collect();
    assert_eq!((lines.len(), paths.len()), (200, 200));
    // 207 bytes a line, 19 of them in a file.
    assert!(files("all.log").len() >= 10, "{:?}", files("all.log"));
    for path in files("all.log") {
        assert!(path.metadata().unwrap().len() <= 4096, "{}", path.display());
    }
    wait_until("all but two old files are removed", || files("few-").len() == 3);
}

#[test]
fn the_error_log_is_rotated_too() {
    let app = "import sys\n\ndef application(environ, start_response):\n    \
               print('printed', environ['PATH_INFO'], 'x' * 100, file=sys.stderr, flush=True)\n    \
               start_response('200 OK', [])\n    return [b'']\n";
    let server = start_app(
        app,
        "error_log = \"error.log\"\nerror_log_rotate = { size = \"4KiB\" }",
        "[[access_logs]]\nfile = \"access.log\"",
    );
    let mut client = server.connect();
    for number in 0..100 {
        assert_eq!(client.get(&format!("/{number}")).unwrap().status(), 200);
    }
    let files = || {
        let entries = fs::read_dir(server.directory())
            .unwrap()
            .map(|entry| entry.unwrap().path());
        entries
            .filter(|path| {
                path.file_name()
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .starts_with("error.log")
            })
            .collect::<Vec<_>>()
    };
    let printed = || {
        let lines = files().iter().flat_map(|path| lines(path)).collect::<Vec<_>>();
        lines.iter().filter(|line| line.contains("printed /")).count()
    };
    wait_until("every line is there", || printed() == 100);
    assert!(files().len() >= 4, "{:?}", files());
}

#[cfg(unix)]
#[test]
fn sigusr1_opens_all_logs_anew() {
    let mut server = start(
        "error_log = \"error.log\"",
        "[[access_logs]]\nfile = \"access.log\"\nformat = \"%U\"\n\
         [[access_logs]]\nfile = \"json.log\"\nformat = \"json\"\n",
    );
    let folder = server.directory().to_owned();
    let names = ["access.log", "json.log", "error.log"];
    server.get("/before");
    wait_until("the line is there", || lines(&folder.join("json.log")).len() == 1);
    wait_for(&folder.join("access.log"), &["/before"]);
    for name in names {
        fs::rename(folder.join(name), folder.join(format!("{name}.old"))).unwrap();
    }
    server.get("/between");
    wait_for(&folder.join("access.log.old"), &["/before", "/between"]);
    carme_tests::process::signal(server.pid(), "USR1");
    wait_until("the error log is there again", || {
        lines(&folder.join("error.log"))
            .iter()
            .any(|line| line.contains("opened anew"))
    });
    server.get("/after");
    wait_for(&folder.join("access.log"), &["/after"]);
    wait_until("the line is there", || lines(&folder.join("json.log")).len() == 1);
    assert_eq!(server.stop().code(), Some(0));
    assert_eq!(lines(&folder.join("access.log.old")), ["/before", "/between"]);
}

#[test]
fn a_log_called_none_is_refused_with_the_cure() {
    let builder = ServerBuilder::app(APP).args(&["--access-log", "none"]);
    let none = builder.directory().join("none");
    let (status, _, error) = builder.run();
    assert_eq!(status.code(), Some(2), "{error}");
    assert!(
        error.contains("write --access-log off for no access log"),
        "{error}"
    );
    assert!(!none.exists());
}

/// Sends 40 requests, among them eight for what is missing, with agents that try to break the line.
fn ask_as_browsers_do(server: &Server) {
    let agents = [
        "curl/8.5.0",
        "\"quoted\" \\ agent",
        "Mozilla/5.0 (X11; Linux) ä",
        "",
    ];
    for (number, agent) in agents.iter().cycle().take(40).enumerate() {
        let path = if number % 5 == 0 { "missing" } else { "a%20b" };
        let request = format!(
            "GET /{path}?q=%22{number} HTTP/1.1\r\nHost: x\r\nReferer: http://other/\"\r\nUser-Agent: {agent}\r\n\r\n"
        );
        assert!(server.request(&request).status() < 500);
    }
}

/// What GoAccess cannot read it counts as failed.
#[test]
fn goaccess_reads_combined() {
    let Ok(version) = Command::new("goaccess")
        .arg("--version")
        .stdin(Stdio::null())
        .output()
    else {
        return skip::missing("goaccess is not installed (Debian's package goaccess)");
    };
    assert!(version.status.success());
    let server = start(
        "",
        "[[access_logs]]\nfile = \"access.log\"\nformat = \"combined\"\n",
    );
    let log = server.directory().join("access.log");
    ask_as_browsers_do(&server);
    wait_until("every line is there", || lines(&log).len() == 40);
    let output = Command::new("goaccess")
        .arg(&log)
        .args([
            "--log-format=COMBINED",
            "--no-global-config",
            "--no-progress",
            "-o",
        ])
        .arg(server.directory().join("report.json"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let report = fs::read(server.directory().join("report.json")).unwrap();
    let report: serde_json::Value = serde_json::from_slice(&report).unwrap();
    let general = &report["general"];
    assert_eq!(general["total_requests"], 40, "{general}");
    assert_eq!(general["valid_requests"], 40, "{general}");
    assert_eq!(general["failed_requests"], 0, "{general}");
    assert_eq!(general["unique_not_found"], 8, "{general}");
}

/// Its own name for the combined format is `LogFormat=1`; what comes behind is not its business.
#[cfg(unix)]
#[test]
fn awstats_reads_combined_and_combined_route() {
    let awstats = Path::new("/usr/lib/cgi-bin/awstats.pl");
    if !awstats.exists() {
        return skip::missing("awstats is not installed (Debian's package awstats)");
    }
    for format in ["combined", "combined_route"] {
        let logs = format!("[[access_logs]]\nfile = \"access.log\"\nformat = \"{format}\"\n");
        let server = start("", &logs);
        let folder = server.directory();
        let log = folder.join("access.log");
        ask_as_browsers_do(&server);
        wait_until("every line is there", || lines(&log).len() == 40);
        let (log, data) = (log.display(), folder.display());
        let configuration = format!(
            "LogFile=\"{log}\"\nLogFormat=1\nSiteDomain=\"x\"\nHostAliases=\"x\"\nDirData=\"{data}\"\nDNSLookup=0\n"
        );
        fs::write(folder.join("awstats.site.conf"), configuration).unwrap();
        let output = Command::new(awstats)
            .args(["-config=site", "-update", "-showcorrupted"])
            .arg(format!("-configdir={data}"))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        for count in [
            "0 corrupted records",
            "0 dropped records",
            "40 new qualified records",
        ] {
            assert!(said.contains(&format!("Found {count}")), "{format}: {said}");
        }
        let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let statistics = files
            .filter(|path| path.file_name().unwrap().to_str().unwrap().ends_with(".site.txt"))
            .map(|path| fs::read_to_string(path).unwrap())
            .collect::<String>();
        // Status, requests, bytes.
        let missing = statistics.lines().find(|line| line.starts_with("404 "));
        assert_eq!(
            missing.and_then(|line| line.split(' ').nth(1)),
            Some("8"),
            "{statistics}"
        );
        assert!(statistics.contains("/a%20b"), "{statistics}");
    }
}
