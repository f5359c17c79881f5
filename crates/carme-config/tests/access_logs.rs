//! Logs: which requests are in them, when their files are full, and words that are no files.

mod site;

use std::num::{NonZeroU64, NonZeroUsize};
use std::time::Duration;

use carme_config::{Config, LogOutput, Problems, ServeOptions};
use carme_log::{Condition, Record, RequestLine, Rotation};
use site::Site;

const APP: &str = "[apps.site]\ntarget = \"app.py\"\n";

fn logs(site: &Site, text: &str) -> Result<Config, Problems> {
    site.toml(&format!("{APP}{text}\n"))
}

/// The one log's condition.
fn condition(site: &Site, text: &str) -> Condition {
    let config =
        logs(site, &format!("[[access_logs]]\n{text}")).unwrap_or_else(|problems| panic!("{problems}"));
    config.access_logs[0].when.clone().expect("a condition")
}

#[test]
fn only_and_except() {
    let site = Site::new();
    let errors = "only = { status = [404, \"5xx\", \"400-403\"] }";
    let parts = "only = { path = [\"/api\", \"/shop/\"], status = \"5xx\" }";
    let except = "except = { path = \"/healthz\" }";
    let lists = "except = [{ path = \"/healthz\" }, { path = \"/static\", status = [\"2xx\", 304] }]";
    let both = "only = { path = \"/api\" }\nexcept = { status = \"2xx\" }";
    let routed = "only = { env = \"BALANCER_WORKER_ROUTE\" }";
    let unrouted = "except = { env = [\"BALANCER_WORKER_ROUTE\", \"X\"] }";
    for (text, path, status, expected) in [
        (errors, "/", 404, true),
        (errors, "/", 405, false),
        (errors, "/", 599, true),
        (errors, "/", 402, true),
        (errors, "/", 200, false),
        (parts, "/api/x", 500, true),
        (parts, "/shop", 500, true),
        (parts, "/api/x", 200, false),
        (parts, "/apiary", 500, false),
        (except, "/healthz", 200, false),
        (except, "/", 200, true),
        (lists, "/healthz", 500, false),
        (lists, "/static/a", 304, false),
        (lists, "/static/a", 404, true),
        (both, "/api", 404, true),
        (both, "/api", 204, false),
        (both, "/", 404, false),
        (routed, "/routed", 200, true),
        (routed, "/", 200, false),
        (unrouted, "/routed", 200, false),
        (unrouted, "/", 200, true),
    ] {
        let record = Record {
            request_line: RequestLine::Parsed {
                method: b"GET",
                target: path.as_bytes(),
                protocol: "HTTP/1.1",
            },
            route: (path == "/routed").then_some("www_1"),
            status,
            ..Record::default()
        };
        assert_eq!(
            condition(&site, text).holds(&record),
            expected,
            "{text}: {path} {status}"
        );
    }
}

#[test]
fn rotation_and_dated_names() {
    let site = Site::new();
    site.write("logs/x", "");
    let text = "[server]\nerror_log = \"error.log\"\nerror_log_rotate = { every = \"7d\" }\n\
                [[access_logs]]\nfile = \"logs/access.log\"\nrotate = { size = \"100MiB\", every = \"1d\", keep = 10 }\n\
                [[access_logs]]\nfile = \"logs/access-%Y-%m-%d.log\"\nrotate = { every = \"1d\" }\n\
                [[access_logs]]\nfile = \"logs/%Y/%m.log\"\nrotate = { every = \"1d\" }\n\
                [[access_logs]]\nfile = \"100%.log\"\n";
    let config = logs(&site, text).unwrap_or_else(|problems| panic!("{problems}"));
    let found: Vec<_> = config
        .access_logs
        .iter()
        .map(|log| (&log.output, log.rotation))
        .collect();
    let file = |name: &str| {
        let mut path = site.path().to_owned();
        path.extend(name.split('/'));
        LogOutput::File(path)
    };
    let day = Some(Duration::from_secs(86_400));
    let all = Rotation {
        size: NonZeroU64::new(100 << 20),
        every: day,
        keep: NonZeroUsize::new(10),
    };
    let daily = Rotation {
        every: day,
        ..Rotation::default()
    };
    assert_eq!(
        found,
        [
            (&file("logs/access.log"), Some(all)),
            (&file("logs/access-%Y-%m-%d.log"), Some(daily)),
            (&file("logs/%Y/%m.log"), Some(daily)),
            (&file("100%.log"), None),
        ]
    );
    assert_eq!(config.server.error_log, file("error.log"));
    let weekly = config.server.error_log_rotation.expect("it is rotated");
    assert_eq!(weekly.every, Some(Duration::from_secs(7 * 86_400)));
}

#[test]
fn each_kind_of_mistake() {
    let site = Site::new();
    const WHEN: &str = "help: write { size = \"100MiB\" }, { every = \"1d\" } or both";
    const NONE: &str = "help: write access_logs = [] at the top of the file for no access log";
    const KEYS: &str = "help: it has the keys path, status, env";
    let mut failures = Vec::new();
    for (text, expected) in [
        // Words that are no files.
        ("file = \"none\"", format!("carme.toml:4:8: `file` must be a file, or \"-\" for the console, found \"none\" | {NONE} (\"./none\" is a file of that name)")),
        ("file = \"Off\"", format!("carme.toml:4:8: `file` must be a file, or \"-\" for the console, found \"Off\" | {NONE} (\"./Off\" is a file of that name)")),
        ("file = false", format!("carme.toml:4:8: `file` must be a file, or \"-\" for the console, found false | {NONE}")),
        ("file = \"stdout\"", "carme.toml:4:8: `file` must be a file, or \"-\" for the console, found \"stdout\" | help: write \"-\" for the console (\"./stdout\" is a file of that name)".into()),
        ("format = \"off\"", format!("carme.toml:4:10: `format` is no log format: at column 1, \"off\" is neither a nickname (common, combined, combined_route, json) nor has it any directive, such as %h | {NONE}")),
        // Rotation.
        ("file = \"a.log\"\nrotate = { keep = 10 }", format!("carme.toml:5:10: `rotate` does not say when | {WHEN}")),
        ("file = \"-\"\nrotate = { keep = 10 }", format!("carme.toml:5:10: `rotate` does not say when | {WHEN}")),
        ("file = \"-\"\nrotate = { size = \"1MiB\" }", "carme.toml:4:8: `file` is the console, which cannot be rotated | help: name a file".into()),
        ("rotate = { size = \"1MiB\" }", "carme.toml:3:1: [[access_logs]] has `rotate`, but no `file` | help: write file = \"logs/access.log\"".into()),
        ("file = \"a.log\"\nrotate = { size = \"1B\" }", "carme.toml:5:19: `size` must be at least 4KiB, found 1B".into()),
        ("file = \"a.log\"\nrotate = { every = \"1s\" }", "carme.toml:5:20: `every` must be at least \"1m\", found \"1s\"".into()),
        ("file = \"a.log\"\nrotate = { evry = \"1d\", size = \"1MiB\" }", "carme.toml:5:12: unknown key `evry` in `rotate` | help: did you mean `every`? `rotate` knows: size, every, keep".into()),
        ("file = \"a-%Y.log\"", "carme.toml:4:8: `file` has the time in its name (\"%Y.log\"), but is not rotated | help: in carme.toml, add rotate = { every = \"1d\" }".into()),
        ("file = \"a-%Q.log\"\nrotate = { every = \"1d\" }", "carme.toml:4:8: `file` cannot be rotated: its name has \"%Q\", which strftime does not know (a literal percent sign is %%)".into()),
        ("file = \"%Y/a.log\"\nrotate = { every = \"1d\", keep = 2 }", "carme.toml:4:8: `file` cannot be rotated: files in folders named by the time cannot be counted: leave out `keep`, or have the time in the file's name only".into()),
        ("file = \"logs/%Y.log\"\nrotate = { every = \"1d\" }", "carme.toml:4:8: `file` is in a folder that does not exist: SITE/logs | help: create the folder, or name another".into()),
        ("file = \"a.log\"\nrotate = { every = \"1d\" }\n[[access_logs]]\nfile = \"a.log\"", "carme.toml:6:1: [[access_logs]] has the same file as another, but is rotated differently | help: write the same `rotate` in both".into()),
        ("file = \"e.log\"\nrotate = { every = \"1d\" }\n[server]\nerror_log = \"e.log\"", "carme.toml:3:1: [[access_logs]] has the same file as the error log, and is rotated | help: name another file".into()),
        ("[server]\nerror_log_rotate = { every = \"1d\" }", "carme.toml:5:20: `error_log_rotate` rotates the console | help: write error_log = \"logs/error.log\"".into()),
        ("[server]\nerror_log = \"none\"", "carme.toml:5:13: `error_log` must be a file, or \"-\" for the console, found \"none\" | help: there is always an error log: write \"-\" for the console, or name a file (\"./none\" is a file of that name)".into()),
        // Conditions.
        ("only = { statsu = 404 }", "carme.toml:4:10: unknown key `statsu` in `only` | help: did you mean `status`? `only` knows: path, status, env".into()),
        ("only = { status = \"4x\" }", "carme.toml:4:19: `status` must be a status such as 404, \"4xx\" or \"500-599\", found the string \"4x\"".into()),
        ("only = { status = [404, 4040] }", "carme.toml:4:25: `status` must be a status such as 404, \"4xx\" or \"500-599\", found the number 4040".into()),
        ("only = { status = \"599-500\" }", "carme.toml:4:19: `status` must be a status such as 404, \"4xx\" or \"500-599\", found the string \"599-500\"".into()),
        ("only = { status = [] }", "carme.toml:4:19: `status` is an empty list, which nothing is in | help: leave it out".into()),
        ("except = { path = \"healthz\" }", "carme.toml:4:19: `path` must be a path such as \"/\" or \"/shop\", found \"healthz\" | help: begin with a slash: \"/healthz\"".into()),
        ("only = {}", "carme.toml:4:8: `only` says nothing of requests | help: it has the keys path, status and env".into()),
        ("only = \"4xx\"", format!("carme.toml:4:8: `only` must be a table or a list of tables, found the string \"4xx\" | {KEYS}")),
        ("only = { env = \"!X\" }", "carme.toml:4:16: `env` must be a variable's name, found \"!X\" | help: write env = \"X\" in the other of `only` and `except`".into()),
    ] {
        let lines = logs(&site, &format!("[[access_logs]]\n{text}"))
            .map_or_else(|problems| site.lines(&problems), |_| vec!["no mistake was found".to_owned()]);
        if lines != [expected.clone()] {
            failures.push(format!("{text}\nexpected\n  {expected}\nfound\n  {}", lines.join("\n  ")));
        }
    }
    for value in ["false", "\"none\""] {
        let problems = site.toml(&format!("access_logs = {value}\n{APP}")).unwrap_err();
        let line = site.lines(&problems).join(" & ");
        if !line.ends_with(&format!(
            "| help: begin each with [[access_logs]], or {}",
            NONE.trim_start_matches("help: ")
        )) {
            failures.push(line);
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn words_on_the_command_line() {
    let site = Site::new();
    let off = "help: write --access-log off for no access log";
    for (access_log, log_format, expected) in [
        (Some("none"), None, format!("command line: --access-log must be a file, or \"-\" for the console, found \"none\" | {off} (\"./none\" is a file of that name)")),
        (Some("FALSE"), None, format!("command line: --access-log must be a file, or \"-\" for the console, found \"FALSE\" | {off} (\"./FALSE\" is a file of that name)")),
        (Some("a-%d.log"), None, "command line: --access-log has the time in its name (\"%d.log\"), but is not rotated | help: in carme.toml, add rotate = { every = \"1d\" }".into()),
        (None, Some("off"), format!("command line: --log-format is no log format: at column 1, \"off\" is neither a nickname (common, combined, combined_route, json) nor has it any directive, such as %h | {off}")),
    ] {
        let options = ServeOptions {
            target: Some("app".to_owned()),
            access_log: access_log.map(str::to_owned),
            log_format: log_format.map(str::to_owned),
            ..ServeOptions::default()
        };
        let problems = site.options(&options).unwrap_err();
        assert_eq!(site.lines(&problems), [expected]);
    }
}

#[test]
fn without_a_console_its_logs_are_files_beside_the_configuration() {
    use carme_config::{Console, Surroundings, defaults};
    let site = Site::new();
    let surroundings = Surroundings {
        console: Console::Absent,
        ..site.surroundings()
    };
    let read = |server: &str, rest: &str| {
        let text = format!("{server}\n[apps.a]\ntarget = \"app\"\n{rest}");
        let path = std::path::Path::new("carme.toml");
        carme_config::Config::from_toml(&text, path, &surroundings).expect("it is right")
    };
    let logs = site.path().join("logs");
    let config = read("", "");
    assert_eq!(config.server.error_log, LogOutput::File(logs.join("error.log")));
    assert_eq!(
        config.server.error_log_rotation,
        Some(defaults::SERVICE_LOG_ROTATION)
    );
    assert_eq!(
        config.access_logs[0].output,
        LogOutput::File(logs.join("access.log"))
    );
    assert_eq!(
        config.access_logs[0].rotation,
        Some(defaults::SERVICE_LOG_ROTATION)
    );

    let named = read(
        "[server]\nerror_log = \"own.log\"",
        "[[access_logs]]\nfile = \"access.log\"\n[[access_logs]]\nformat = \"%h\"\n",
    );
    assert_eq!(
        named.server.error_log,
        LogOutput::File(site.path().join("own.log"))
    );
    assert_eq!(named.server.error_log_rotation, None);
    assert_eq!(
        named.access_logs[0].output,
        LogOutput::File(site.path().join("access.log"))
    );
    assert_eq!(
        named.access_logs[1].output,
        LogOutput::File(logs.join("access.log"))
    );
    assert!(read("access_logs = []", "").access_logs.is_empty());
}
