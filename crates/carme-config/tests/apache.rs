//! Apache's syntax: each directive by what it becomes in `carme.toml`, which must mean the same when it is read again.

mod site;

use std::path::Path;

use carme_config::{Answer, Config, Method, convert_texts};
use proptest::prelude::*;
use site::Site;

/// Something to listen at and to serve, for directives about something else.
const REST: &str = "Listen 8080\nRedirect gone /gone\n";

fn made(site: &Site, files: &[(&str, &str)]) -> String {
    let files: Vec<(&Path, &str)> = files
        .iter()
        .map(|(path, text)| (Path::new(*path), *text))
        .collect();
    match convert_texts(&files, &site.surroundings()) {
        Ok(made) => made.value,
        Err(problems) => panic!("{files:?}\n{problems}"),
    }
}

/// The TOML of a file, and that both mean the same.
fn toml(site: &Site, text: &str) -> String {
    let made = made(site, &[("httpd.conf", text)]);
    let direct = Config::from_apache(text, Path::new("httpd.conf"), &site.surroundings())
        .unwrap_or_else(|problems| panic!("{text}\n{problems}"));
    let again = site
        .toml(&made)
        .unwrap_or_else(|problems| panic!("{text}\n{made}\n{problems}"));
    assert_eq!(direct.value, again, "{text}\n{made}");
    made.replace('\\', "/")
        .replace('\'', "\"")
        .replace(&site.path().display().to_string().replace('\\', "/"), "SITE")
}

fn config(site: &Site, text: &str) -> Config {
    toml(site, text);
    Config::from_apache(text, Path::new("httpd.conf"), &site.surroundings())
        .unwrap_or_else(|problems| panic!("{text}\n{problems}"))
        .value
}

fn problems(site: &Site, text: &str) -> Vec<String> {
    match Config::from_apache(text, Path::new("httpd.conf"), &site.surroundings()) {
        Ok(_) => Vec::new(),
        Err(problems) => site.lines(&problems),
    }
}

fn warnings(site: &Site, text: &str) -> Vec<String> {
    let read = Config::from_apache(text, Path::new("httpd.conf"), &site.surroundings());
    let warnings = read
        .unwrap_or_else(|problems| panic!("{text}\n{problems}"))
        .warnings;
    warnings.iter().map(ToString::to_string).collect()
}

const FARM: &str = "\
Listen 8080
<Proxy balancer://cluster>
BalancerMember http://192.168.0.10:9001 smax=3 max=10 ttl=120 route=www_1
BalancerMember http://192.168.0.10:9002 smax=3 max=10 ttl=120 route=www_2
BalancerMember http://192.168.0.10:9003 smax=3 max=10 ttl=120 route=www_3
</Proxy>
ProxyPass / balancer://cluster/
ProxyPassReverse / balancer://cluster/
LogFormat \"%h %l %u %t \\\"%r\\\" %>s %b %{BALANCER_WORKER_ROUTE}e\" routed
CustomLog access.log routed
";

#[test]
fn the_farm_of_the_article() {
    let site = Site::new();
    let config = config(&site, FARM);
    let cluster = &config.balancers[0];
    assert_eq!(
        (cluster.name.as_str(), &cluster.method),
        ("cluster", &Method::ByRequests)
    );
    let routes: Vec<_> = cluster
        .members
        .iter()
        .filter_map(|member| member.route.as_deref())
        .collect();
    assert_eq!(routes, ["www_1", "www_2", "www_3"]);
    assert_eq!(cluster.members[2].url.to_string(), "http://192.168.0.10:9003");
    assert_eq!(cluster.members[0].pool.max.map(usize::from), Some(10));
    assert!(
        matches!(&config.locations[0].answer, Answer::Balancer(proxying) if proxying.path.is_empty() && proxying.reverse.len() == 1)
    );
    assert!(
        config.access_logs[0]
            .format
            .ends_with("%{BALANCER_WORKER_ROUTE}e")
    );
    assert!(warnings(&site, FARM).is_empty());
}

#[test]
fn a_log_that_is_silenced_has_its_condition() {
    let site = Site::new();
    let text = format!(
        "{REST}LogFormat \" \" empty\n# an empty file\nCustomLog \"access-1.log\" empty env=NOTHING_IS_LOGGED\n"
    );
    let config = config(&site, &text);
    assert_eq!(
        config.access_logs[0].when,
        Some(carme_log::Condition::any([carme_log::Condition::all([
            carme_log::Condition::any([carme_log::Condition::variable("NOTHING_IS_LOGGED")])
        ])]))
    );
}

/// Directives, and lines of the TOML that they become.
#[test]
fn each_directive() {
    let site = Site::new();
    site.write("static/a.css", "");
    site.write("trusted.txt", "10.1.0.0/16 # one\n10.2.0.1\n");
    let member = |parameters: &str| format!("Listen 80\nProxyPass / http://a:9001/ {parameters}");
    let balancer = |lines: &str| {
        format!(
            "Listen 80\n<Proxy balancer://c>\nBalancerMember http://a:9001 route=a\nBalancerMember http://b:9001 route=b\n{lines}\n</Proxy>\nProxyPass / balancer://c/"
        )
    };
    let proxy = |lines: &str| format!("Listen 80\nProxyPass /app http://a:9001/app\n{lines}");
    let rest = |lines: &str| format!("{REST}{lines}");
    let cases: Vec<(String, Vec<&str>)> = vec![
        // Where it listens
        ("Listen 127.0.0.1:80\nRedirect gone /".into(), vec!["listen = [\"127.0.0.1:80\"]"]),
        ("Listen 80\nListen [::1]:81\nRedirect gone /".into(), vec!["listen = [\"0.0.0.0:80\", \"[::1]:81\"]"]),
        // Parameters of members
        (member("min=1 max=10 smax=3 ttl=120"), vec!["min = 1", "max = 10", "smax = 3", "ttl = \"2m\""]),
        (member("acquire=500"), vec!["acquire = \"500ms\""]),
        (member("acquire=2s"), vec!["acquire = \"2s\""]),
        (member("connectiontimeout=200ms"), vec!["connectiontimeout = \"200ms\""]),
        (member("disablereuse=On"), vec!["enablereuse = false"]),
        (member("enablereuse=Off"), vec!["enablereuse = false"]),
        (member("flushpackets=on"), vec!["flushpackets = \"on\""]),
        (member("flushpackets=auto flushwait=20"), vec!["flushpackets = \"auto\"", "flushwait = \"20ms\""]),
        (member("iobuffersize=16384"), vec!["iobuffersize = \"16KiB\""]),
        (member("receivebuffersize=65536"), vec!["receivebuffersize = \"64KiB\""]),
        (member("responsefieldsize=16384"), vec!["responsefieldsize = \"16KiB\""]),
        (member("keepalive=On"), vec!["keepalive = true"]),
        (member("lbset=2"), vec!["lbset = 2"]),
        (member("ping=500ms"), vec!["ping = \"500ms\""]),
        (member("loadfactor=2.5"), vec!["loadfactor = 2.5"]),
        (member("retry=0"), vec!["retry = \"0s\""]),
        (member("route=x"), vec!["route = \"x\""]),
        (member("status=+H"), vec!["status = \"H\""]),
        (member("timeout=5"), vec!["timeout = \"5s\""]),
        (member("upgrade=websocket"), vec!["upgrade = \"websocket\""]),
        (member("addressttl=60"), vec!["addressttl = \"1m\""]),
        (
            member("hcmethod=GET hcinterval=5 hcpasses=2 hcfails=3 hcuri=/ok"),
            vec!["hcmethod = \"get\"", "hcinterval = \"5s\"", "hcpasses = 2", "hcfails = 3", "hcuri = \"/ok\""],
        ),
        (
            format!("ProxyHCExpr ok {{%{{REQUEST_STATUS}} =~ /^[23]/}}\nProxyHCTemplate t hcmethod=HEAD hcexpr=ok\n{}", member("hctemplate=t")),
            vec!["hcmethod = \"head\"", "hcexpect = { status = [\"2xx\", \"3xx\"] }"],
        ),
        (
            format!("ProxyHCExpr up {{hc('body') !~ /Under maintenance/}}\n{}", member("hcmethod=GET hcexpr=up")),
            vec!["hcexpect = { lacks = \"Under maintenance\" }"],
        ),
        (member("nocanon"), vec!["nocanon = true"]),
        // Of balancers
        (balancer(""), vec!["method = \"byrequests\"", "timeout = \"0s\""]),
        (balancer("ProxySet lbmethod=bybusyness"), vec!["method = \"bybusyness\""]),
        (balancer("ProxySet lbmethod=bytraffic maxattempts=1"), vec!["method = \"bytraffic\"", "maxattempts = 1"]),
        (balancer("ProxySet nofailover=On"), vec!["nofailover = true"]),
        (balancer("ProxySet stickysession=ROUTEID"), vec!["stickysession = \"ROUTEID\""]),
        (
            balancer("ProxySet scolonpathdelim=On stickysessionsep=- stickysession=A|b"),
            vec!["stickysession = \"A|b\"", "stickysessionsep = \"-\"", "scolonpathdelim = true"],
        ),
        (balancer("ProxySet timeout=3"), vec!["timeout = \"3s\""]),
        (balancer("ProxySet failonstatus=500,503 failontimeout=On"), vec!["failonstatus = [500, 503]", "failontimeout = true"]),
        (balancer("ProxySet forcerecovery=Off growth=3"), vec!["forcerecovery = false", "growth = 3"]),
        (balancer("ProxySet http://a:9001 redirect=b"), vec!["redirect = \"b\""]),
        (
            "Listen 80\nBalancerMember balancer://C http://a\nProxySet balancer://C lbmethod=bytraffic\nProxyPass / balancer://C/ stickysession=R".into(),
            vec!["[balancers.c]", "method = \"bytraffic\"", "stickysession = \"R\""],
        ),
        // Proxying
        (proxy(""), vec!["path = \"/app\"", "via = \"off\"", "reverse = false"]),
        (proxy("ProxyPreserveHost On"), vec!["preserve_host = true"]),
        (proxy("ProxyAddHeaders Off"), vec!["forwarded_headers = false"]),
        (proxy("ProxyVia Full"), vec!["via = \"full\""]),
        (proxy("ProxyErrorOverride On"), vec!["override_errors = true"]),
        (proxy("ProxyErrorOverride On 500 503"), vec!["override_errors = [500, 503]"]),
        (proxy("ProxyTimeout 7"), vec!["timeout = \"7s\""]),
        (proxy("ProxyRequests Off"), vec![]),
        (
            proxy("ProxyPassReverse /app http://internal/app"),
            vec!["reverse_urls = { \"http://internal/app\" = \"/app/\" }"],
        ),
        (
            proxy("ProxyPassReverseCookieDomain a example.com\nProxyPassReverseCookiePath /app /"),
            vec!["cookie_domains = { \"a\" = \"example.com\" }", "cookie_paths = { \"/app\" = \"/\" }"],
        ),
        ("Listen 80\nProxyPassMatch ^/app/(.*)$ http://a/x/$1".into(), vec!["path = \"/app\"", "upstream_path = \"/x\""]),
        ("Listen 80\n<Location /app>\nProxyPass http://a/app\n</Location>".into(), vec!["path = \"/app\""]),
        ("Listen 80\nProxyPass / h2c://a/\n".into(), vec!["url = \"h2c://a\""]),
        // Files and redirects
        (rest("Alias /s static"), vec!["path = \"/s\"", "files = \"SITE/static\""]),
        (rest("Alias /s static\nDirectoryIndex a.html b.html"), vec!["index = [\"a.html\", \"b.html\"]"]),
        (rest("Alias /s static\nFallbackResource /index.html"), vec!["fallback = \"index.html\""]),
        ("Listen 80\nDocumentRoot static".into(), vec!["path = \"/\"", "files = \"SITE/static\""]),
        ("Listen 80\nRedirect /a https://b/c".into(), vec!["redirect = \"https://b/c{path}\"", "status = 302"]),
        ("Listen 80\nRedirect permanent /a https://b/".into(), vec!["redirect = \"https://b{path}\"", "status = 301"]),
        ("Listen 80\nRedirectPermanent /a /b".into(), vec!["redirect = \"/b{path}\"", "status = 301"]),
        ("Listen 80\nRedirectMatch 308 ^/(.*)$ https://b/$1".into(), vec!["redirect = \"https://b{path}\"", "status = 308"]),
        (REST.into(), vec!["respond = { status = 410, body = \"\" }"]),
        (rest("<Location /no>\nRequire all denied\n</Location>"), vec!["path = \"/no\"", "respond = { status = 403, body = \"\" }"]),
        // Headers
        (rest("Header always set X-A \"b c\""), vec!["{ set = \"x-a\", value = \"b c\" }"]),
        (rest("Header add X-A 100%%"), vec!["{ add = \"x-a\", value = \"100%\" }"]),
        (rest("Header setifempty X-A b"), vec!["{ set = \"x-a\", value = \"b\", if_absent = true }"]),
        (rest("Header unset X-A"), vec!["{ remove = \"x-a\" }"]),
        (rest("RequestHeader set X-A b"), vec!["request_headers = ["]),
        (
            rest("Header add Set-Cookie \"ROUTEID=.%{BALANCER_WORKER_ROUTE}e; path=/\" env=BALANCER_ROUTE_CHANGED"),
            vec!["value = \"ROUTEID=.%{BALANCER_WORKER_ROUTE}e; path=/\", env = \"BALANCER_ROUTE_CHANGED\" }"],
        ),
        (rest("<Location />\nHeader set X-A b\n</Location>"), vec!["{ set = \"x-a\", value = \"b\" }"]),
        // Logs
        (rest("CustomLog a.log combined"), vec!["file = \"SITE/a.log\"", "format = \"combined\""]),
        (rest("LogFormat %h x\nCustomLog a.log x"), vec!["format = \"%h\""]),
        (rest("LogFormat %h\nTransferLog a.log"), vec!["format = \"%h\""]),
        (rest("TransferLog a.log"), vec!["format = \"common\""]),
        (rest("CustomLog a.log %h env=X"), vec!["only = [{ env = [\"X\"] }]"]),
        (rest("CustomLog a.log %h env=!X"), vec!["except = [{ env = [\"X\"] }]"]),
        (rest("SetEnvIf Request_URI ^/static/ quiet\nCustomLog a.log %h env=!quiet"), vec!["except = [{ path = [\"/static\"] }]"]),
        (rest("CustomLog a.log %h \"expr=%{REQUEST_STATUS} -ge 500\""), vec!["only = [{ status = [\"500-999\"] }]"]),
        (rest("CustomLog /dev/stdout %h"), vec!["file = \"-\""]),
        (rest("CustomLog /dev/null %h"), vec!["access_logs = []"]),
        (
            rest("CustomLog \"|bin/rotatelogs -n 5 a.%Y.log 86400 1M\" %h"),
            vec!["rotate = { size = \"1MiB\", every = \"1d\", keep = 5 }"],
        ),
        (rest("ErrorLog e.log"), vec!["error_log = \"SITE/e.log\""]),
        // Clients
        (rest("RemoteIPTrustedProxy 10.0.0.0/8 10.1.1.1"), vec!["trusted_proxies = [\"10.0.0.0/8\", \"10.1.1.1/32\"]"]),
        (rest("RemoteIPInternalProxyList trusted.txt"), vec!["trusted_proxies = [\"10.1.0.0/16\", \"10.2.0.1/32\"]"]),
        (rest("RemoteIPHeader X-Real-IP"), vec!["forwarded = \"x-real-ip\""]),
        (rest("RemoteIPInternalProxy 10.0.0.1\nRemoteIPProxyProtocol On"), vec!["proxy_protocol = true"]),
        (
            rest("RPAF_Enable On\nRPAF_ProxyIPs 127.0.0.1\nRPAF_SetHTTPS On"),
            vec!["trusted_proxies = [\"127.0.0.1/32\"]", "forwarded_fields = [\"proto\"]"],
        ),
        (
            rest("RPAFenable On\nRPAFproxy_ips 127.0.0.1\nRPAFsethostname On\nRPAFheader X-Forwarded-For"),
            vec!["forwarded_fields = [\"host\"]"],
        ),
        // Limits
        (rest("Timeout 20"), vec!["body_timeout = \"20s\"", "send_timeout = \"20s\""]),
        (rest("KeepAlive Off\nKeepAliveTimeout 5"), vec!["keep_alive_timeout = \"0s\""]),
        (rest("KeepAliveTimeout 500ms"), vec!["keep_alive_timeout = \"500ms\""]),
        (rest("LimitRequestBody 1048576"), vec!["max_body = \"1MiB\""]),
        (rest("LimitRequestFields 50"), vec!["max_headers = 50"]),
        (rest("LimitRequestLine 4096"), vec!["max_uri = \"4KiB\""]),
        (rest("LimitRequestFieldSize 131072"), vec!["max_header = \"128KiB\""]),
        (rest("ListenBacklog 100"), vec!["backlog = 100"]),
        (rest("GracefulShutdownTimeout 90"), vec!["graceful_timeout = \"1m30s\""]),
        (
            rest("RequestReadTimeout header=20-40,MinRate=500 body=10,MinRate=1000"),
            vec!["header_timeout = \"40s\"", "body_timeout = \"10s\"", "min_body_rate = \"1000B/s\""],
        ),
    ];
    let mut missing = Vec::new();
    for (text, lines) in cases {
        let made = toml(&site, &text);
        missing.extend(
            lines
                .iter()
                .filter(|line| !made.contains(**line))
                .map(|line| format!("{text}\n{line}\n{made}")),
        );
    }
    assert!(missing.is_empty(), "{}", missing.join("\n\n"));
}

#[test]
fn the_order_of_apache() {
    let site = Site::new();
    site.write("static/a.css", "");
    let text = "Listen 80\n\
        ProxyPass /static !\nProxyPass /app/admin http://b/\nProxyPass /app http://a/app\nProxyPass /app/late http://c/\n\
        Alias /static static\nAlias /app/admin static\nRedirect /old /new\n<Location /app/x>\nHeader set X-A b\n</Location>\n";
    let config = config(&site, text);
    let what = |path: &str| match config
        .location("any", path.as_bytes())
        .map(|location| &location.answer)
    {
        Some(Answer::Balancer(proxying)) => {
            format!("{}{}", config.balancers[proxying.balancer].name, proxying.path)
        }
        Some(Answer::Files(_)) => "files".to_owned(),
        Some(Answer::Redirect { target, .. }) => target.clone(),
        other => format!("{other:?}"),
    };
    for (path, expected) in [
        ("/static/a.css", "files"),
        ("/app/admin/x", "b_80"),
        ("/app/other", "a_80/app"),
        ("/app/late", "a_80/app"),
        ("/app/x/y", "a_80/app/x"),
        ("/old/z", "/new{path}"),
        ("/", "None"),
    ] {
        assert_eq!(what(path), expected, "{path}");
    }
    let place = config.location("any", b"/app/x").expect("a location");
    assert_eq!(place.policy.response_headers.len(), 1);
    let warnings = warnings(&site, text).join("\n");
    assert!(
        warnings.contains("httpd.conf:5:11: ProxyPass for /app/late is never reached"),
        "{warnings}"
    );
    assert!(
        warnings.contains("httpd.conf:7:7: Alias for /app/admin is never reached"),
        "{warnings}"
    );
}

#[test]
fn hosts() {
    let site = Site::new();
    let text = "Listen 80\n<VirtualHost *:80>\nServerName www.example.com\nServerAlias *.example.com example.com\nProxyPass / http://a/\n</VirtualHost>\n\
        <VirtualHost *:80>\nServerName other.example.org\nHeader set X-O 1\nProxyPass / http://b/\n</VirtualHost>\n";
    let config = config(&site, text);
    let name = |host: &str| match &config.location(host, b"/").expect(host).answer {
        Answer::Balancer(proxying) => config.balancers[proxying.balancer].name.clone(),
        other => format!("{other:?}"),
    };
    assert_eq!(name("www.example.com"), "a_80");
    assert_eq!(name("unknown.example"), "a_80");
    assert_eq!(name("other.example.org"), "b_80");
    assert_eq!(
        config
            .location("other.example.org", b"/")
            .expect("one")
            .policy
            .response_headers
            .len(),
        1
    );
}

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
    let text = "Listen 80\nWSGIPythonHome .venv\nWSGIPythonPath lib\nWSGICallableObject app\nSetEnv A b\nWSGIScriptAlias /shop shop/app.py\nWSGIScriptAlias / app.py\n";
    let config = config(&site, text);
    let targets: Vec<String> = config.apps.iter().map(|app| app.target.to_string()).collect();
    assert_eq!(targets, ["app:app", "app:app"]);
    assert_ne!(config.apps[0].name, config.apps[1].name);
    for app in &config.apps {
        assert_eq!(app.env.get("PYTHONPATH").map(String::as_str), Some("lib"));
        assert_eq!(app.env.get("A").map(String::as_str), Some("b"));
    }
}

#[test]
fn tls_and_the_way_there() {
    let site = Site::new();
    let key = rcgen::generate_simple_self_signed(vec!["www.example.com".to_owned()]).expect("a certificate");
    site.write("site.pem", &key.cert.pem());
    site.write("site.key", &key.signing_key.serialize_pem());
    let text = "Listen 80\nListen 443\n\
        <VirtualHost *:80>\nServerName www.example.com\nRedirect permanent / https://www.example.com/\n</VirtualHost>\n\
        <VirtualHost *:443>\nServerName www.example.com\nSSLEngine on\nSSLCertificateFile site.pem\nSSLCertificateKeyFile site.key\n\
        SSLProtocol -all +TLSv1.3\nRedirect gone /\n</VirtualHost>\n";
    let made = toml(&site, text);
    for line in [
        "listen = [\"0.0.0.0:80\", \"https://0.0.0.0:443\"]",
        "redirect_to_https = true",
        "min_version = \"1.3\"",
        "key = \"SITE/site.key\"",
    ] {
        assert!(made.contains(line), "{line}\n{made}");
    }
    assert!(warnings(&site, text)[0].contains("is done by redirect_to_https"));
}

#[test]
fn a_balancer_and_its_instances_become_one_app() {
    let site = Site::new();
    let instance = |number: usize| {
        format!(
            "Listen 127.0.0.1:900{number}\nRPAF_Enable On\nRPAF_ProxyIPs 127.0.0.1\nWSGIScriptAlias / app.py\nLogFormat \" \" empty\nCustomLog access-{number}.log empty env=NOTHING_IS_LOGGED\n"
        )
    };
    let balancer = FARM.replace("192.168.0.10", "127.0.0.1");
    let instances: Vec<String> = (1..=3).map(instance).collect();
    let made = made(
        &site,
        &[
            ("balancer.conf", &balancer),
            ("1.conf", &instances[0]),
            ("2.conf", &instances[1]),
            ("3.conf", &instances[2]),
        ],
    );
    assert!(
        made.contains("# The balancer cluster and its 3 instances are one app now, cluster, with 3 workers"),
        "{made}"
    );
    let config = site
        .toml(&made)
        .unwrap_or_else(|problems| panic!("{made}\n{problems}"));
    assert!(config.balancers.is_empty());
    let app = &config.apps[0];
    assert_eq!((app.workers.min.get(), app.threads.get()), (3, 10));
    assert_eq!(app.route.route(3), "www_3");
    assert_eq!(config.locations[0].answer, Answer::App(0));
    assert_eq!(config.access_logs.len(), 1);
    // One of them is not there.
    let made = convert_texts(
        &[
            (Path::new("balancer.conf"), balancer.as_str()),
            (Path::new("1.conf"), instances[0].as_str()),
        ],
        &site.surroundings(),
    );
    let warnings: Vec<String> = made
        .expect("a balancer still")
        .warnings
        .iter()
        .map(ToString::to_string)
        .collect();
    assert!(
        warnings
            .concat()
            .contains("is not folded into one app: no file has Listen 9002"),
        "{warnings:?}"
    );
}

#[test]
fn mistakes_have_line_column_and_cure() {
    let site = Site::new();
    let mut missing = Vec::new();
    for (text, expected) in [
        (
            "BalancerMembre http://a",
            "httpd.conf:3:1: unknown directive BalancerMembre | help: did you mean BalancerMember?",
        ),
        (
            "<Prxy *>\n</Prxy>",
            "httpd.conf:3:2: unknown directive <Prxy | help: did you mean <Proxy?",
        ),
        ("Frobnicate", "httpd.conf:3:1: unknown directive Frobnicate"),
        (
            "Listen x",
            "httpd.conf:3:8: Listen must be a port, or an address with one, found \"x\" | help: write Listen 80, Listen 127.0.0.1:8000 or Listen [::1]:8000",
        ),
        ("Listen", "httpd.conf:3:1: Listen needs an argument"),
        (
            "ProxyPass /a http://a maxx=3",
            "httpd.conf:3:23: ProxyPass has the unknown parameter \"maxx\" | help: did you mean `max`?",
        ),
        (
            "ProxyPass /a http://a max=x",
            "httpd.conf:3:23: ProxyPass max must be a whole number, found \"x\"",
        ),
        (
            "ProxyPass /a http://a stickysession=x",
            "httpd.conf:3:23: ProxyPass has the unknown parameter \"stickysession\" | help: stickysession belongs to a balancer",
        ),
        (
            "ProxyPass /a ajp://a",
            "httpd.conf:3:14: ProxyPass must be an address such as \"http://10.0.0.1:9001\", found \"ajp://a\" | help: only HTTP is spoken to members: http, https, h2c and h2",
        ),
        (
            "ProxyPass /a balancer://c",
            "httpd.conf:3:14: ProxyPass names the balancer c, which has no members | help: write <Proxy balancer://c> with BalancerMember http://10.0.0.1:9001",
        ),
        (
            "ProxyPassMatch ^/(a|b)$ http://a/$1",
            "httpd.conf:3:16: ProxyPassMatch has an expression that is more than a path and what follows it | help: known are ^/path/(.*)$ with an address that ends with $1, and ^/path ! for a path that is not passed on",
        ),
        (
            "ProxyRequests On",
            "httpd.conf:3:1: ProxyRequests makes a proxy for clients, which Carme is not | help: write ProxyRequests Off",
        ),
        (
            "ProxyPassReverse / balanc",
            "httpd.conf:3:20: ProxyPassReverse must be an address such as \"http://app.internal/\", found \"balanc\"",
        ),
        (
            "ProxyPassReverseCookiePath / \"a;b\"",
            "httpd.conf:3:28: ProxyPassReverseCookiePath must be a domain or a path, found \"a;b\"",
        ),
        (
            "Redirect /a /",
            "httpd.conf:3:13: Redirect leads to the root of this server, of which the rest of the path is no part",
        ),
        (
            "KeepAlive maybe",
            "httpd.conf:3:11: KeepAlive must be On or Off, found \"maybe\"",
        ),
        (
            "RewriteRule ^ /x",
            "httpd.conf:3:1: RewriteRule rewrites addresses, which Carme does not | help: write Redirect or ProxyPass, or leave it to the application",
        ),
        (
            "<Location /a>\nRequire valid-user\n</Location>",
            "httpd.conf:4:1: Require decides who may come, which Carme does not | help: have the application do it, or listen where only they can come",
        ),
        (
            "WSGIDaemonProcess a proceses=2",
            "httpd.conf:3:21: WSGIDaemonProcess has proceses, which is not known | help: did you mean `processes`?",
        ),
        (
            "WSGIProcessGroup b\nWSGIScriptAlias /w app.py",
            "httpd.conf:3:18: the process group names no WSGIDaemonProcess: \"b\"",
        ),
        (
            "WSGIScriptAlias /w nothing.py",
            "httpd.conf:3:20: WSGIScriptAlias names a file that does not exist: SITE/nothing.py",
        ),
        (
            "Alias /a nothing",
            "httpd.conf:3:10: Alias names a folder that does not exist: SITE/nothing",
        ),
        (
            "Header edit X-A a b",
            "httpd.conf:3:8: Header cannot edit | help: there are set, setifempty, add and unset",
        ),
        (
            "Header set X-A %t",
            "httpd.conf:3:16: Header has something in its value that Carme does not know: \"%t\" | help: there is %{NAME}e, and %% for a percent sign",
        ),
        (
            "SetEnvIf Request_URI ^/a q\nHeader set X-A b env=q",
            "httpd.conf:4:18: Header depends on q, which SetEnvIf sets: header rules do not see it | help: write a <Location> for the path",
        ),
        (
            "CustomLog a.log %Z",
            "httpd.conf:3:17: CustomLog is no log format: at column 1, \"%Z\"",
        ),
        (
            "CustomLog \"|cat\" %h",
            "httpd.conf:3:11: CustomLog goes to a program, which Carme does not start: \"|cat\" | help: name a file; rotatelogs and cronolog are known, and done by Carme itself",
        ),
        (
            "RemoteIPTrustedProxy *",
            "httpd.conf:3:22: RemoteIPTrustedProxy must be an address",
        ),
        (
            "SSLProtocol TLSv1",
            "httpd.conf:3:1: SSLProtocol leaves neither TLSv1.2 nor TLSv1.3, and Carme speaks nothing older | help: write: SSLProtocol TLSv1.2 TLSv1.3",
        ),
        (
            "Listen 443 https",
            "httpd.conf: SSLEngine has https://0.0.0.0:443, and there is no certificate for it | help: add SSLCertificateFile and SSLCertificateKeyFile",
        ),
    ] {
        let found = problems(&site, &format!("{REST}{text}"));
        if !found.iter().any(|line| line.starts_with(expected)) {
            missing.push(format!("{text}\n{expected}\n{found:#?}"));
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n\n"));
    assert_eq!(
        problems(&site, "Redirect gone /"),
        ["httpd.conf: has no Listen | help: add Listen 80"]
    );
    assert_eq!(
        problems(&site, "Listen 80"),
        [
            "httpd.conf: nothing to serve is named | help: add a ProxyPass, a WSGIScriptAlias or a DocumentRoot"
        ]
    );
}

#[test]
fn what_means_nothing_is_told_with_its_line() {
    let site = Site::new();
    for (text, expected) in [
        ("LoadModule proxy_module modules/mod_proxy.so", None),
        (
            "<IfModule mpm_event_module>\nThreadsPerChild 25\n</IfModule>",
            None,
        ),
        (
            "<Location /a>\nOrder allow,deny\nAllow from all\n</Location>",
            Some("httpd.conf:4:1: Order is about files"),
        ),
        (
            "<VirtualHost *:8080>\nErrorLog e.log\nCustomLog a.log common\nRedirect gone /x\n</VirtualHost>",
            None,
        ),
        (
            "ThreadsPerChild 25",
            Some("httpd.conf:3:1: ThreadsPerChild says how Apache runs itself; Carme runs otherwise"),
        ),
        (
            "ProxyPass /a http://a secret=x",
            Some("httpd.conf:3:23: secret is for AJP, which Carme does not speak"),
        ),
        (
            "<Directory />\nAllowOverride none\nRequire all denied\n</Directory>",
            Some("httpd.conf:4:1: AllowOverride is about files below folders"),
        ),
        (
            "<Location /s>\nSetHandler server-status\nRequire local\n</Location>",
            Some("httpd.conf:4:12: SetHandler is a page of Apache"),
        ),
        (
            "<Proxy balancer://x>\nBalancerMember http://a\n</Proxy>",
            Some("httpd.conf:3:8: BalancerMember of the balancer x is passed over: no ProxyPass leads there"),
        ),
        (
            "WSGIDaemonProcess a",
            Some("httpd.conf:3:19: WSGIDaemonProcess has no script that runs in it"),
        ),
        (
            "SetEnvIf Remote_Addr 127 quiet",
            Some("httpd.conf:3:1: SetEnvIf looks at Remote_Addr by an expression"),
        ),
    ] {
        let found = warnings(&site, &format!("{REST}{text}"));
        match expected {
            None => assert!(found.is_empty(), "{text}\n{found:?}"),
            Some(expected) => assert!(
                found.iter().any(|line| line.starts_with(expected)),
                "{text}\n{expected}\n{found:#?}"
            ),
        }
    }
}

#[test]
fn paths_of_windows_and_lines_of_windows() {
    let site = Site::new();
    let folder = site.path().display().to_string();
    let text = format!(
        "Define SRV \"{folder}\"\r\nListen 8080\r\nWSGIScriptAlias / \"${{SRV}}/shop/app.py\"\r\nCustomLog \"${{SRV}}/access-1.log\" combined\r\n"
    );
    let config = config(&site, &text);
    assert_eq!(config.apps[0].target.import_root, site.path().join("shop"));
}

#[test]
fn the_ending_of_the_file_says_its_syntax() {
    let site = Site::new();
    site.write(
        "a/httpd.conf",
        "Listen 8080\nInclude sites/*.conf\nThreadsPerChild 3\n",
    );
    site.write("a/sites/1.conf", "WSGIScriptAlias / ../app.py\n");
    let read = Config::from_file_with_warnings(Path::new("a/httpd.conf"), &site.surroundings())
        .unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(read.value.apps[0].target.to_string(), "app:application");
    assert_eq!(read.warnings.len(), 1);
}

/// Pieces of files, so that chance gets further than the first word.
const PIECES: &[&str] = &[
    "Listen",
    "80",
    "443",
    "https",
    "<VirtualHost *:80>",
    "</VirtualHost>",
    "<Proxy balancer://c>",
    "</Proxy>",
    "<Location /a>",
    "</Location>",
    "BalancerMember",
    "http://a:9001",
    "http://b",
    "balancer://c/",
    "route=a",
    "max=3",
    "redirect=a",
    "ProxyPass",
    "/",
    "/a",
    "!",
    "ProxyPassReverse",
    "ProxySet",
    "lbmethod=bytraffic",
    "hcmethod=GET",
    "hcexpr=x",
    "ProxyHCExpr",
    "Header",
    "set",
    "X-A",
    "%{A}e",
    "env=A",
    "CustomLog",
    "a.log",
    "combined",
    "LogFormat",
    "%h",
    "SetEnvIf",
    "Request_URI",
    "^/a",
    "Redirect",
    "permanent",
    "gone",
    "WSGIScriptAlias",
    "WSGIDaemonProcess",
    "processes=2",
    "Define",
    "A",
    "${A}",
    "\"",
    "'",
    "\\",
    "\n",
    "\n",
    "\n",
    "\\\n",
    " ",
    "é",
    "#",
    "<",
    ">",
    "<IfModule x>",
    "</IfModule>",
    "SSLProtocol",
    "all",
    "-all",
    "Alias",
    "RequestReadTimeout",
    "header=1-2,MinRate=3",
    "Require",
    "denied",
    "ProxyPassMatch",
    "^/(.*)$",
    "http://a/$1",
];

proptest! {
    #[test]
    fn nothing_panics(
        pieces in prop::collection::vec((prop::sample::select(PIECES), any::<bool>()), 0..60),
        noise in ".{0,20}",
    ) {
        let site = carme_config::Surroundings {
            directory: std::env::temp_dir().join("carme-test-of-nothing"),
            ..carme_config::Surroundings::default()
        };
        let mut text: String = pieces.iter().map(|(piece, space)| format!("{piece}{}", if *space { " " } else { "" })).collect();
        text.push_str(&noise);
        match Config::from_apache(&text, Path::new("httpd.conf"), &site) {
            Ok(read) => {
                // What is read can be written, and read again.
                let made = convert_texts(&[(Path::new("httpd.conf"), &text)], &site).expect("it was read");
                let again = Config::from_toml(&made.value, Path::new("carme.toml"), &site);
                prop_assert_eq!(again.map_err(|problems| format!("{problems}\n{}", made.value)), Ok(read.value));
            }
            Err(problems) => prop_assert!(problems.iter().next().is_some()),
        }
    }
}
