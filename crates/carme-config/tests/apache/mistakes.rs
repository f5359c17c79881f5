//! What is wrong, what means nothing here, and what any text at all may do.

use super::*;

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
            "Header echo X-A",
            "httpd.conf:3:8: Header cannot echo | help: there are set, setifempty, add, append, merge, edit and unset",
        ),
        (
            "Header set X-A %l",
            "httpd.conf:3:16: Header has something in its value that Carme does not know: \"%l\" | help: there are %{NAME}e, %{SSL_…}s, %t and %D, and %% for a percent sign",
        ),
        (
            "Header append Set-Cookie a=b",
            "httpd.conf:3:15: Header must not be Set-Cookie, of which each cookie has a field of its own | help: write `add`",
        ),
        (
            "Header edit X-A (a) $2",
            "httpd.conf:3:21: Header has $2, and the pattern has no such group | help: write /$ for a dollar sign",
        ),
        (
            "RequestHeader set X-A b \"expr=%{REQUEST_STATUS} > 400\"",
            "httpd.conf:3:25: RequestHeader has a condition of a status, which a request has not",
        ),
        (
            "Header set X-A b \"expr=%{REQUEST_URI} =~ m#^/a#\"",
            "httpd.conf:3:18: Header has a condition of a path | help: write the directive in a <Location>",
        ),
        (
            "SetEnvIf User-Agent curl no-proxy",
            "httpd.conf:3:26: SetEnvIf keeps requests from ProxyPass that are not just those below a path | help: known is SetEnvIf Request_URI ^/path/ no-proxy; the same is ProxyPass /path/ !",
        ),
        (
            "SetEnvIf Request_URI \\.gif$ no-proxy=1",
            "httpd.conf:3:29: SetEnvIf keeps requests from ProxyPass that are not just those below a path | help: known is SetEnvIf Request_URI ^/path/ no-proxy; the same is ProxyPass /path/ !",
        ),
        (
            "SetEnvIf ^X-.* a b",
            "httpd.conf:3:10: SetEnvIf looks at fields whose names fit an expression: \"^X-.*\" | help: name one field, or write one SetEnvIf for each",
        ),
        (
            "SetEnvIf Request_URI ^(?!/a) b",
            "httpd.conf:3:22: SetEnvIf is no expression that Carme can follow: look-around, including look-ahead and look-behind, is not supported, found \"^(?!/a)\" | help: write the exception as a second rule that undoes the first",
        ),
        (
            "SetEnvIf Host ^(.*)$ A=$2",
            "httpd.conf:3:22: SetEnvIf has $2, and the pattern has no such group | help: write /$ for a dollar sign",
        ),
        (
            "BrowserMatch x",
            "httpd.conf:3:1: BrowserMatch needs at least 2 arguments",
        ),
        (
            "SetEnvIfExpr x y",
            "httpd.conf:3:1: SetEnvIfExpr has an expression, which Carme does not know here | help: write SetEnvIf with what the expression looks at",
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
            Some(
                "httpd.conf:3:26: SetEnvIf changes quiet, and nothing here looks at it: no log, no header rule",
            ),
        ),
        (
            "BrowserMatch \"MSIE [2-5]\" nokeepalive",
            Some("httpd.conf:3:27: BrowserMatch changes nokeepalive, which has Apache keep to what"),
        ),
        (
            "SetEnvIf Remote_Host ^a A\nHeader set X b env=A",
            Some("httpd.conf:3:10: Remote_Host is the address of the client: Carme looks no names up"),
        ),
        (
            "SetEnvIf X-Id (.*) UNIQUE_ID=$1",
            Some("httpd.conf:3:20: SetEnvIf changes UNIQUE_ID, which Carme itself sets"),
        ),
        (
            "SetEnv proxy-nokeepalive 1",
            Some(
                "httpd.conf:3:8: SetEnv changes proxy-nokeepalive, which ends the connection to the member in Apache; `disablereuse=On`",
            ),
        ),
        (
            "SetEnv force-proxy-request-1.0 1",
            Some(
                "httpd.conf:3:8: SetEnv changes force-proxy-request-1.0, which has Apache speak HTTP/1.0 to members; Carme speaks HTTP/1.1",
            ),
        ),
        (
            "SetEnv proxy-fcgi-pathinfo unescape",
            Some(
                "httpd.conf:3:8: SetEnv changes proxy-fcgi-pathinfo, which is looked at by Apache's proxy modules, and not here",
            ),
        ),
        (
            "SetEnv no-proxy 1",
            Some(
                "httpd.conf:3:8: SetEnv sets no-proxy too late, as in Apache: SetEnvIf outside of a <Location>",
            ),
        ),
        (
            "<Location /a>\nSetEnvIf Request_URI ^/a/ no-proxy\n</Location>",
            Some("httpd.conf:4:27: SetEnvIf sets no-proxy too late, as in Apache"),
        ),
        ("SetEnvIf Request_URI ^/a/ no-proxy", None),
        (
            "BrowserMatch \"MSIE [2-5]\" nokeepalive ssl-unclean-shutdown downgrade-1.0",
            Some(
                "httpd.conf:3:27: BrowserMatch changes nokeepalive, which has Apache keep to what browsers of the nineties understood",
            ),
        ),
        // Though a log looks at it, too.
        (
            "SetEnvIf Request_URI \\.gif$ no-gzip\nCustomLog a.log common env=!no-gzip",
            Some("httpd.conf:3:29: SetEnvIf changes no-gzip, which is about Apache's compression"),
        ),
        ("SetEnvIf Host a A B=2\nCustomLog a.log \"%h %{a}e\" env=!B", None),
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
    "BrowserMatch",
    "SetEnv",
    "PassEnv",
    "UnsetEnv",
    "(x)",
    "A=$1%%",
    "!A",
    "append",
    "edit",
    "expr=%{REQUEST_STATUS} > 400",
    "%D%{HTTPS}s",
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
