//! The options of `carme serve TARGET`.

mod site;

use std::path::Path;
use std::time::Duration;

use carme_config::{
    AccessLog, Bind, Config, Interpreter, LogOutput, Origin, Probe, ProbeError, PythonFacts, ServeOptions,
    Surroundings, defaults,
};
use site::Site;

fn serve(target: &str) -> ServeOptions {
    ServeOptions {
        target: Some(target.to_owned()),
        ..ServeOptions::default()
    }
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn a_target_alone() {
    let site = Site::new();
    let config = site
        .options(&serve("shop/app.py"))
        .unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(config.server.listen, [Bind::Tcp(defaults::LISTEN)]);
    assert_eq!(config.access_logs, [AccessLog::default()]);
    let app = &config.apps[0];
    assert_eq!(
        (app.name.as_str(), app.target.to_string().as_str()),
        ("app", "app")
    );
    assert_eq!(app.directory, site.path().join("shop"));
    assert_eq!(
        (app.python.path.as_path(), app.python.origin),
        (site.python().as_path(), Origin::ProjectEnvironment)
    );
}

#[test]
fn every_option() {
    let site = Site::new();
    site.write("e.env", "A=file\nB=file\n");
    let config = site
        .options(&ServeOptions {
            target: some("app:application"),
            bind: vec!["127.0.0.1:0".into(), "[::1]:0".into()],
            // What they mean is in tests/tls.rs.
            certificate: None,
            key: None,
            workers: some("3"),
            threads: some("5"),
            interface: some("wsgi"),
            python: some(".venv"),
            directory: some("shop"),
            access_log: some("access.log"),
            log_format: some("common"),
            env: vec!["A=option=1".into()],
            env_file: vec!["e.env".into()],
            mount: some("/shop"),
            trusted_proxy: vec!["10.0.0.0/8".into(), "unix".into()],
            queue_limit: some("7"),
            queue_timeout: some("2s"),
            request_timeout: some("90s"),
            graceful_timeout: some("0s"),
            route: some("w{n}"),
            switch_interval: some("2ms"),
            startup_timeout: some("5m"),
        })
        .unwrap_or_else(|problems| panic!("{problems}"));
    let app = &config.apps[0];
    assert_eq!(config.server.listen.len(), 2);
    assert_eq!(config.server.timeouts.graceful, Duration::ZERO);
    assert_eq!(config.server.proxies.trusted.len(), 2);
    assert_eq!(
        (app.workers.max.get(), app.threads.get(), app.queue.limit.get()),
        (3, 5, 7)
    );
    assert_eq!(
        (app.queue.timeout, app.startup_timeout),
        (Duration::from_secs(2), Duration::from_secs(300))
    );
    assert_eq!(app.switch_interval, Duration::from_millis(2));
    assert_eq!(app.timeouts.request, Some(Duration::from_secs(90)));
    assert_eq!(app.directory, site.path().join("shop"));
    assert_eq!(app.route.route(1), "w1");
    let env: Vec<_> = app
        .env
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect();
    assert_eq!(env, [("A", "option=1"), ("B", "file")]);
    assert_eq!(config.locations[0].path.script_name(), "/shop");
    let log = AccessLog {
        output: LogOutput::File(site.path().join("access.log")),
        format: "common".into(),
        ..AccessLog::default()
    };
    assert_eq!(config.access_logs, [log]);
    let off = site
        .options(&ServeOptions {
            access_log: some("off"),
            ..serve("app")
        })
        .expect("it is right");
    assert_eq!(off.access_logs, []);
}

#[test]
fn each_mistake() {
    let site = Site::new();
    site.write("notes/readme", "");
    for (options, expected) in [
        (
            serve("ap.py"),
            "command line: TARGET names a file that does not exist: SITE/ap.py | help: did you mean SITE/app.py?",
        ),
        (
            ServeOptions::default(),
            "command line: nothing to serve is named | help: there is app.py: carme serve app.py",
        ),
        (
            ServeOptions {
                workers: some("4-2"),
                ..serve("app")
            },
            "command line: --workers has a least number, 4, that is above the greatest, 2 | help: did you mean 2-4?",
        ),
        (
            ServeOptions {
                workers: some("two"),
                ..serve("app")
            },
            "command line: --workers must be a whole number from 1 to 256, found \"two\"",
        ),
        (
            ServeOptions {
                threads: some("0"),
                ..serve("app")
            },
            "command line: --threads must be a whole number from 1 to 1024, found 0",
        ),
        (
            ServeOptions {
                interface: some("asgi"),
                ..serve("app")
            },
            "command line: --interface asks for ASGI, which is not available yet in this version of Carme | help: serve a WSGI application",
        ),
        (
            ServeOptions {
                bind: vec!["8000".into()],
                ..serve("app")
            },
            "command line: --bind must be an address such as \"127.0.0.1:8000\", found \"8000\" | help: write \"127.0.0.1:8000\" for this machine alone, \"0.0.0.0:8000\" for everybody",
        ),
        (
            ServeOptions {
                bind: vec![":80".into(), ":80".into()],
                ..serve("app")
            },
            "command line: --bind is given twice: :80",
        ),
        (
            ServeOptions {
                trusted_proxy: vec!["10.0.0.1/8".into()],
                ..serve("app")
            },
            "command line: --trusted-proxy has bits set behind its prefix, found \"10.0.0.1/8\" | help: write \"10.0.0.0/8\" for the whole network, or \"10.0.0.1\" for this address alone",
        ),
        (
            ServeOptions {
                trusted_proxy: vec!["unix".into(), "unix".into()],
                ..serve("app")
            },
            "command line: --trusted-proxy is given twice: unix",
        ),
        (
            ServeOptions {
                env: vec!["A".into()],
                ..serve("app")
            },
            "command line: --env must be KEY=VALUE, found \"A\" | help: write --env A=VALUE",
        ),
        (
            ServeOptions {
                env: vec!["=A".into()],
                ..serve("app")
            },
            "command line: --env \"=A\": expected a variable's name before \"=\"",
        ),
        (
            ServeOptions {
                env_file: vec!["x.env".into()],
                ..serve("app")
            },
            "command line: --env-file names SITE/x.env: this environment file does not exist",
        ),
        (
            ServeOptions {
                queue_timeout: some("30"),
                ..serve("app")
            },
            "command line: --queue-timeout must be a duration such as \"30s\" or \"500ms\", found \"30\" | help: say the unit: \"30s\" or \"30ms\"",
        ),
        (
            ServeOptions {
                queue_timeout: some("0s"),
                ..serve("app")
            },
            "command line: --queue-timeout must be longer than nothing, found \"0s\"",
        ),
        (
            ServeOptions {
                request_timeout: some("-1"),
                ..serve("app")
            },
            "command line: --request-timeout must be a duration such as \"30s\" or \"500ms\", found \"-1\"",
        ),
        (
            ServeOptions {
                queue_limit: some("-1"),
                ..serve("app")
            },
            "command line: --queue-limit must be a whole number from 1 to 1000000, found -1",
        ),
        (
            ServeOptions {
                access_log: some("logs/a.log"),
                ..serve("app")
            },
            "command line: --access-log is in a folder that does not exist: SITE/logs | help: create the folder, or name another",
        ),
        (
            ServeOptions {
                access_log: some("notes"),
                ..serve("app")
            },
            "command line: --access-log must be a file, found the folder SITE/notes | help: write \"notes/access.log\"",
        ),
        (
            ServeOptions {
                log_format: some("%Q"),
                ..serve("app")
            },
            "command line: --log-format is no log format: at column 1, \"%Q\" is not a directive (a literal percent sign is %%) | help: did you mean \"%q\"?",
        ),
        (
            ServeOptions {
                access_log: some("off"),
                log_format: some("common"),
                ..serve("app")
            },
            "command line: --log-format has no log to format beside --access-log off",
        ),
        (
            ServeOptions {
                mount: some("shop"),
                ..serve("app")
            },
            "command line: --mount must be a path such as \"/\" or \"/shop\", found \"shop\" | help: begin with a slash: \"/shop\"",
        ),
        (
            ServeOptions {
                route: some("w"),
                ..serve("app")
            },
            "command line: --route must contain {n}, the worker's number, found \"w\" | help: write \"w_{n}\"",
        ),
        (
            ServeOptions {
                directory: some("shp"),
                ..serve("app")
            },
            "command line: --directory names a folder that does not exist: SITE/shp | help: did you mean SITE/shop?",
        ),
        (
            ServeOptions {
                python: some("no/python"),
                ..serve("app")
            },
            "command line: --python names a file that does not exist: SITE/no/python | help: there is SITE, and nothing named no in it",
        ),
    ] {
        let problems = site.options(&options).expect_err(expected);
        assert_eq!(site.lines(&problems), [expected]);
    }
}

#[test]
fn all_mistakes_at_once() {
    let site = Site::new();
    let options = ServeOptions {
        bind: vec!["8000".into(), "x".into()],
        workers: some("none"),
        queue_timeout: some("soon"),
        python: some("./nothing"),
        ..serve("ap.py")
    };
    assert_eq!(site.options(&options).expect_err("there are mistakes").len(), 6);
}

#[test]
fn an_interpreter_that_is_asked() {
    let site = Site::new();
    let facts = PythonFacts {
        implementation: "CPython".into(),
        version: (3, 13, 1),
        free_threaded: false,
        cache_tag: "cpython-313".into(),
        bits: 64,
        executable: site.python(),
    };
    let answering: Probe = |path| {
        Ok(PythonFacts {
            implementation: "CPython".into(),
            version: (3, 13, 1),
            free_threaded: false,
            cache_tag: "cpython-313".into(),
            bits: 64,
            executable: path.to_owned(),
        })
    };
    let surroundings = Surroundings {
        probe: Some(answering),
        ..site.surroundings()
    };
    let config =
        Config::from_options(&serve("app"), &surroundings).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(config.apps[0].python.facts, Some(facts));

    let mute: Probe = |path| {
        Err(ProbeError::TimedOut {
            path: path.to_owned(),
        })
    };
    let surroundings = Surroundings {
        probe: Some(mute),
        ..site.surroundings()
    };
    let problems = Config::from_options(
        &ServeOptions {
            workers: some("0"),
            ..serve("app")
        },
        &surroundings,
    )
    .expect_err("it does not answer");
    let python = site
        .python()
        .strip_prefix(site.path())
        .expect("below")
        .display()
        .to_string()
        .replace('\\', "/");
    assert_eq!(
        site.lines(&problems),
        [
            "command line: --workers must be a whole number from 1 to 256, found 0".to_owned(),
            format!(
                "command line: Python (the project's environment) cannot be used: SITE/{python} did not answer within \
                 30 seconds | help: name another interpreter with --python, or python = in the file"
            ),
        ]
    );
}

#[test]
fn no_python_anywhere() {
    let folder = tempfile::tempdir().expect("a folder");
    // Deep enough that no environment of the machine's is a parent.
    let project = folder.path().join("a/b/c");
    std::fs::create_dir_all(&project).expect("created");
    std::fs::write(project.join("app.py"), "").expect("written");
    let surroundings = Surroundings {
        directory: project,
        ..Surroundings::default()
    };
    let problems = Config::from_options(&serve("app.py"), &surroundings).expect_err("there is no Python");
    let text = problems.to_string();
    assert!(
        text.starts_with("command line: Python is not found: no environment (.venv, venv) in "),
        "{text}"
    );
    assert!(
        text.ends_with("help: install Python, or name an interpreter with --python"),
        "{text}"
    );
}

#[test]
fn a_module_that_is_installed_is_found_by_asking_python() {
    let site = Site::new();
    let python = match std::env::var_os("CARME_TEST_PYTHONS") {
        Some(named) => std::env::split_paths(&named).next().expect("an interpreter"),
        None => {
            let machine = Surroundings::of_this_process().expect("a current directory");
            Interpreter::find(None, Path::new("/"), Path::new("/"), &machine)
                .expect("Python on PATH")
                .path
        }
    };
    let named = |target: &str| ServeOptions {
        python: some(&python.display().to_string()),
        ..serve(target)
    };
    let config = site
        .options(&named("wsgiref.simple_server:demo_app"))
        .unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(config.apps[0].name, "wsgiref");
    let problems = site.options(&named("aap")).expect_err("there is no such module");
    assert_eq!(
        problems.to_string(),
        format!(
            "command line: TARGET names the module `aap`, but there is neither aap.py nor a package aap in {}, nor is \
             it installed for {}\n    help: did you mean `app`?",
            site.path().display(),
            python.display()
        )
    );
}
