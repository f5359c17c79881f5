//! Sites of mod_wsgi.

use super::*;

#[test]
fn a_site_of_mod_wsgi() {
    let site = Site::new();
    site.write("static/a.css", "");
    let text = "Listen 8080\n\
        WSGIDaemonProcess shop processes=2 threads=15 python-home=.venv python-path=shop home=shop display-name=%{GROUP} \
        maximum-requests=1000 inactivity-timeout=300 request-timeout=60 queue-timeout=45 memory-limit=536870912 lang=C.UTF-8 \
        switch-interval=0.005 restart-interval=86400 graceful-timeout=15 user=www-data\n\
        WSGIProcessGroup shop\nWSGIApplicationGroup %{GLOBAL}\nWSGIScriptAlias / shop/app.py\nWSGIPassAuthorization On\n\
        Alias /static static\n<Directory static>\nRequire all granted\n</Directory>\n";
    let config = config(&site, text);
    let app = &config.apps[0];
    assert_eq!(app.name, "shop");
    assert_eq!(app.target.to_string(), "app:application");
    assert_eq!((app.workers.min.get(), app.threads.get()), (2, 15));
    assert_eq!(app.python.path, site.python());
    assert_eq!(app.directory, site.path().join("shop"));
    assert_eq!(app.env.get("PYTHONPATH").map(String::as_str), Some("shop"));
    assert_eq!(app.env.get("LANG").map(String::as_str), Some("C.UTF-8"));
    assert_eq!(app.recycle.requests.map(u64::from), Some(1000));
    assert_eq!(
        app.recycle.memory.map(|size| size.to_string()).as_deref(),
        Some("512MiB")
    );
    assert_eq!(app.queue.timeout.as_secs(), 45);
    assert!(matches!(
        config.location("x", b"/static/a").expect("one").answer,
        Answer::Files(_)
    ));
    let warnings = warnings(&site, text).join("\n");
    for expected in [
        "display-name is not shown",
        "user is followed when the server runs as root",
        "WSGIPassAuthorization is what Carme does anyway",
    ] {
        assert!(warnings.contains(expected), "{expected}\n{warnings}");
    }
}

#[cfg(unix)]
#[test]
fn workers_are_the_user_that_apache_would_have() {
    let site = Site::new();
    // A user that every system has, and who is not root.
    let text = "Listen 80\nUser daemon\nGroup daemon\nWSGIDaemonProcess a user=nobody\n\
        WSGIScriptAlias /a app.py process-group=a\nWSGIScriptAlias / shop/app.py\n";
    let root = carme_config::Surroundings {
        is_root: true,
        ..site.surroundings()
    };
    let config = Config::from_apache(text, Path::new("httpd.conf"), &root)
        .unwrap_or_else(|problems| panic!("{problems}"))
        .value;
    let users: Vec<_> = config
        .apps
        .iter()
        .map(|app| app.user.as_ref().map(|account| account.name.as_str()))
        .collect();
    assert!(
        users.contains(&Some("nobody")) && users.contains(&Some("daemon")),
        "{users:?}"
    );
    let made = convert_texts(&[(Path::new("httpd.conf"), text)], &root)
        .expect("it can be read")
        .value;
    let again = Config::from_toml(&made, Path::new("carme.toml"), &root);
    assert_eq!(
        again.unwrap_or_else(|problems| panic!("{made}\n{problems}")),
        config
    );
    let warned = warnings(&site, text).concat();
    assert!(
        warned.contains("httpd.conf:2:1: User is followed when the server runs as root"),
        "{warned}"
    );
}

#[test]
fn several_scripts_and_the_embedded_mode() {
    let site = Site::new();
    let text = "Listen 80\nWSGIPythonHome .venv\nWSGIPythonPath lib\nWSGICallableObject app\nWSGIScriptAlias /shop shop/app.py\nWSGIScriptAlias / app.py\n";
    let config = config(&site, text);
    let targets: Vec<String> = config.apps.iter().map(|app| app.target.to_string()).collect();
    assert_eq!(targets, ["app:app", "app:app"]);
    assert_ne!(config.apps[0].name, config.apps[1].name);
    for app in &config.apps {
        assert_eq!(app.env.get("PYTHONPATH").map(String::as_str), Some("lib"));
    }
}

#[test]
fn groups_and_callables_are_those_of_the_host_the_folder_and_the_path() {
    let site = Site::new();
    let text = "Listen 80\nWSGIDaemonProcess one threads=1\nWSGIDaemonProcess two threads=2\nWSGIDaemonProcess three threads=3\n\
        WSGIProcessGroup one\n\
        <Location /path>\nWSGIProcessGroup three\n</Location>\n\
        <Directory shop>\n<Files app.py>\nWSGIProcessGroup two\nWSGICallableObject app\n</Files>\n</Directory>\n\
        <Location /alone>\nWSGIProcessGroup %{GLOBAL}\n</Location>\n\
        WSGIScriptAlias /path shop/app.py\nWSGIScriptAlias /alone shop/app.py\nWSGIScriptAlias /shop shop/app.py\n\
        WSGIScriptAlias /named shop/app.py process-group=one\nWSGIScriptAlias / app.py\n";
    let config = config(&site, text);
    for (path, name, target) in [
        (&b"/x"[..], "one", "app:application"),
        (b"/shop", "two", "app:app"),
        (b"/path/x", "three", "app:app"),
        (b"/named", "one_2", "app:app"),
        (b"/alone", "shop", "app:app"),
    ] {
        let location = config.location("x", path).expect("a location");
        let Answer::App(index) = location.answer else {
            panic!("no app at {path:?}");
        };
        let app = &config.apps[index];
        assert_eq!(
            (app.name.as_str(), app.target.to_string().as_str()),
            (name, target)
        );
    }
    assert!(warnings(&site, text).is_empty());
    let more = "<Location /shop/admin>\nWSGIProcessGroup one\n</Location>\n<Directory static>\nWSGICallableObject x\n</Directory>\n";
    let said = warnings(&site, &format!("{text}{more}"));
    let expected = "passed over: no script is there as a whole\n    help: write WSGIScriptAlias for that path, or leave it out";
    let at = |line: usize, word: &str| format!("httpd.conf:{line}:{}: {word} is {expected}", word.len() + 2);
    let first = text.lines().count() + 2;
    assert_eq!(
        said,
        [at(first, "WSGIProcessGroup"), at(first + 3, "WSGICallableObject")]
    );
}

/// The names of the variables at a place, those of the server first.
fn variables(config: &Config, host: &str, path: &[u8]) -> Vec<String> {
    let location = config.location(host, path).expect("a location");
    let rules = config
        .server
        .policy
        .variables
        .iter()
        .chain(&location.policy.variables);
    rules.map(|rule| rule.name.clone()).collect()
}

#[test]
fn what_is_set_where_an_application_answers_is_its_own() {
    let site = Site::new();
    site.write("static/a.css", "");
    let text = "Listen 80\nSetEnv ALL 1\nSetEnv OF_MEMBERS 1\nUnsetEnv OF_MEMBERS\nBrowserMatch MSIE nokeepalive\n\
        <VirtualHost *:80>\nServerName a.example\nWSGIScriptAlias /shop shop/app.py\nAlias /static static\nSetEnv HOST a\n\
        SetEnvIf Host (.*) EARLY=$1\n\
        <Location /shop>\nPassEnv PATH NOT_IN_ANY_ENVIRONMENT\n</Location>\n\
        <Location /static>\nSetEnvIf Host a FILES\n</Location>\n</VirtualHost>\n\
        <VirtualHost *:80>\nServerName b.example\nDocumentRoot static\nSetEnv ONLY_FILES 1\nSetEnv HOST b\n</VirtualHost>\n\
        <VirtualHost *:80>\nServerName c.example\nWSGIScriptAlias / shop/app.py\nSetEnv HOST c\nSetEnv wsgi.input x\n</VirtualHost>\n";
    let config = config(&site, text);
    assert!(config.apps.iter().all(|app| !app.env.contains_key("HOST")));
    for (host, path, names) in [
        (
            "a.example",
            &b"/shop/x"[..],
            &["ALL", "EARLY", "HOST", "PATH", "NOT_IN_ANY_ENVIRONMENT"][..],
        ),
        ("c.example", b"/x", &["ALL", "HOST"]),
    ] {
        assert_eq!(variables(&config, host, path), names, "{host}");
    }
    let rules = &config.location("c.example", b"/").expect("one").policy.variables;
    assert_eq!(
        rules[0].change,
        carme_config::VariableChange::Set(carme_config::Template::from("c"))
    );
    let mut said = warnings(&site, text);
    said.retain(|line| line.contains("nv ") || line.contains("nvIf ") || line.contains("Browser"));
    assert_eq!(
        said,
        [
            "httpd.conf:3:8: SetEnv changes OF_MEMBERS, and nothing here looks at it: no log, no header rule, no application",
            "httpd.conf:5:19: BrowserMatch changes nokeepalive, which has Apache keep to what browsers of the nineties understood; Carme answers in HTTP/1.1",
            "httpd.conf:13:14: PassEnv passes NOT_IN_ANY_ENVIRONMENT, which the server's environment has not",
            "httpd.conf:16:17: SetEnvIf changes FILES, and nothing here looks at it: no log, no header rule, no application",
            "httpd.conf:22:8: SetEnv changes ONLY_FILES, and nothing here looks at it: no log, no header rule, no application",
            "httpd.conf:29:8: SetEnv changes wsgi.input, which Carme itself sets",
        ]
    );
    assert!(toml(&site, text).contains("{ pass = \"PATH\" },"));
}

#[test]
fn variables_may_be_for_a_part_of_an_application() {
    let site = Site::new();
    site.write("static/a.css", "");
    let text = "Listen 80\nWSGIScriptAlias / app.py\nAlias /static static\nSetEnv A b\n\
        <Location /admin/x>\nSetEnvIf A b B\n</Location>\n<Location /admin>\nSetEnv A c\nSetEnvIf Host x C\n</Location>\n\
        <Location /static/y>\nSetEnv A d\n</Location>\nCustomLog a.log %{A}e\n";
    let made = toml(&site, text);
    for line in [
        "    { set = \"A\", value = \"c\", path = \"/admin\" },\n",
        "    { set = \"B\", header = \"a\", matches = \"b\", path = \"/admin/x\" },\n    { set = \"C\", header = \"host\", matches = \"x\", path = \"/admin\" },\n",
        "    { set = \"A\", value = \"d\", path = \"/static/y\" },\n",
    ] {
        assert!(made.contains(line), "{line}\n{made}");
    }
    let config = config(&site, text);
    let paths: Vec<_> = config
        .locations
        .iter()
        .map(|location| location.path.to_string())
        .collect();
    assert_eq!(paths.len(), 2, "{paths:?}");
    assert_eq!(variables(&config, "x", b"/admin"), ["A", "B", "C", "A"]);
    let wrong = problems(
        &site,
        &format!("{text}<Location /admin>\nHeader set A b\n</Location>\n"),
    );
    assert!(
        wrong[0].starts_with("httpd.conf:8:11: <Location> divides an application"),
        "{wrong:?}"
    );
}

#[test]
fn a_directory_is_for_the_scripts_and_files_in_it() {
    let site = Site::new();
    site.write("static/a.css", "");
    let text = "Listen 80\nWSGIScriptAlias /shop shop/app.py\nWSGIScriptAlias / app.py\nAlias /static static\n\
        ProxyPass /proxied http://a\n\
        <Directory shop>\n<Files app.py>\nSetEnv A shop\n</Files>\nHeader set X-From shop\n</Directory>\n\
        <Directory />\nSetEnv A all\nSetEnv B all\n</Directory>\n\
        <Directory static/private>\nHeader set X-Robots-Tag noindex\n</Directory>\n\
        <Directory static>\nSetEnv C 1\n</Directory>\n";
    let config = config(&site, text);
    for (path, names) in [
        (&b"/shop"[..], &["A", "B", "A"][..]),
        (b"/x", &["A", "B"]),
        (b"/proxied", &[]),
    ] {
        assert_eq!(variables(&config, "x", path), names);
    }
    let headers = |path: &[u8]| {
        let location = config.location("x", path).expect("a location");
        location.policy.response_headers.len()
    };
    assert_eq!(
        (headers(b"/shop"), headers(b"/x"), headers(b"/static/a.css")),
        (1, 0, 0)
    );
    let said = warnings(&site, text);
    assert_eq!(
        said,
        [
            "httpd.conf:16:12: <Directory> is passed over: no script and no folder that is served is in it\n    help: write <Location> with the path at which it is served",
            "httpd.conf:20:8: SetEnv changes C, and nothing here looks at it: no log, no header rule, no application",
        ]
    );
}
