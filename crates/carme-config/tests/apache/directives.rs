//! What directives mean.

use super::*;

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
        (proxy("TraceEnable off"), vec!["trace = false"]),
        (proxy("ProxyErrorOverride On"), vec!["override_errors = true"]),
        (proxy("ProxyErrorOverride On 500 503"), vec!["override_errors = [500, 503]"]),
        (proxy("ProxyTimeout 7"), vec!["timeout = \"7s\""]),
        (proxy("ProxyRequests Off"), vec![]),
        (
            proxy("ProxyPassReverse /app http://internal/app"),
            vec!["reverse_urls = { \"http://internal/app\" = \"/app/\" }"],
        ),
        (
            proxy("ProxyPassReverse /app /internal/"),
            vec!["reverse_urls = { \"/internal/\" = \"/app/\" }"],
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
        (rest("Header append Vary Cookie"), vec!["{ append = \"vary\", value = \"Cookie\" }"]),
        (rest("Header merge Vary Cookie"), vec!["{ merge = \"vary\", value = \"Cookie\" }"]),
        (
            rest("Header edit Set-Cookie ^(.*)$ \"$1; Secure\""),
            vec!["{ edit = \"set-cookie\", matches = \"^(.*)$\", value = \"$1; Secure\" }"],
        ),
        (rest("Header edit* X-A a 100%%\\$1"), vec!["value = \"100%/$1\", every = true }"]),
        (rest("Header set X-A \"%t %D %{HTTPS}s\""), vec!["value = \"t=%{START_TIME_US}e D=%{DURATION_US}e %{HTTPS}e\""]),
        (rest("Header set X-A 100%%%{B}e%%{C}e"), vec!["value = \"100%%%{B}e%%{C}e\""]),
        (
            rest("Header set X-A b \"expr=%{REQUEST_STATUS} -ge 400\""),
            vec!["{ set = \"x-a\", value = \"b\", status = [\"400-599\"] }"],
        ),
        (
            rest("Header set X-A b \"expr=%{REQUEST_STATUS} != 404\""),
            vec!["status = [\"200-403\", \"405-599\"]"],
        ),
        (rest("Header set X-A b \"expr=%{HTTPS} == 'on'\""), vec!["env = \"HTTPS\" }"]),
        (rest("RequestHeader set X-A b \"expr=-z reqenv('B')\""), vec!["env = \"!B\" }"]),
        // Variables
        (
            rest("SetEnvIf User-Agent ^(\\w+) BROWSER=$1-x !OTHER\nSetEnvIf browser x X\nHeader set A %{BROWSER}e env=X"),
            vec![
                "{ set = \"BROWSER\", value = \"$1-x\", header = \"user-agent\", matches = \"^(/w+)\" },\n    { set = \"X\", variable = \"browser\", matches = \"x\" },",
            ],
        ),
        (
            rest("SetEnv A 1\nSetEnvIfNoCase Remote_Addr ^10 !A\nSetEnv B 2\nUnsetEnv B C\n<Location /x>\nUnsetEnv A\n</Location>\nCustomLog a.log \"%{A}e %{B}e\""),
            vec![
                "variables = [\n    { remove = \"A\", attribute = \"remote_addr\", matches = \"(?i)^10\" },\n    { set = \"A\" },\n]",
                "variables = [\n    { remove = \"A\" },\n]",
            ],
        ),
        (
            rest("SetEnvIf Host a\\.b A=$1 B=c\nCustomLog a.log \"%{A}e %{B}e\""),
            vec!["{ set = \"A\", value = \"/$1\", header = \"host\", matches = \"a/.b\" }"],
        ),
        (
            rest("BrowserMatchNoCase bot A\n<Location /x>\nSetEnvIf Request_Method ^P A=2\n</Location>\nCustomLog a.log %h env=!A"),
            vec![
                "{ set = \"A\", header = \"user-agent\", matches = \"(?i)bot\" },",
                "variables = [\n    { set = \"A\", value = \"2\", attribute = \"request_method\", matches = \"^P\" },\n]",
                "except = [{ env = [\"A\"] }]",
            ],
        ),
        (rest("<Location />\nHeader set X-A b\n</Location>"), vec!["{ set = \"x-a\", value = \"b\" }"]),
        // Logs
        (rest("CustomLog a.log combined"), vec!["file = \"SITE/a.log\"", "format = \"combined\""]),
        (rest("LogFormat %h x\nCustomLog a.log x"), vec!["format = \"%h\""]),
        (rest("LogFormat %h\nTransferLog a.log"), vec!["format = \"%h\""]),
        (rest("TransferLog a.log"), vec!["format = \"common\""]),
        (rest("CustomLog a.log %h env=X"), vec!["only = [{ env = [\"X\"] }]"]),
        (rest("CustomLog a.log %h env=!X"), vec!["except = [{ env = [\"X\"] }]"]),
        (rest("SetEnvIf Request_URI ^/static/ quiet\nCustomLog a.log %h env=!quiet"), vec!["{ set = \"quiet\", attribute = \"request_uri\", matches = \"^/static/\" },", "except = [{ env = [\"quiet\"] }]"]),
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
        <VirtualHost *:80>\nServerName other.example.org\nHeader set X-O 1\nProxyPass / http://b/\n</VirtualHost>\n\
        <VirtualHost *:80>\nServerName part.example.org\nProxyPass /part/ http://b/\n</VirtualHost>\n";
    let config = config(&site, text);
    let name = |host: &str| match &config.location(host, b"/").expect(host).answer {
        Answer::Balancer(proxying) => config.balancers[proxying.balancer].name.clone(),
        other => format!("{other:?}"),
    };
    assert_eq!(name("www.example.com"), "a_80");
    assert_eq!(name("unknown.example"), "a_80");
    assert_eq!(name("other.example.org"), "b_80");
    // What it does not name is nobody's.
    let nobodys = name("part.example.org");
    assert!(nobodys.contains("status: 404"), "{nobodys}");
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
