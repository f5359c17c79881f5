//! The configurations that `parameters` compares: one for each parameter and directive that says how members are spoken
//! to. `{a}` and `{b}` are members, `{nobody}` refuses connections, and at `{stuck}` none is ever accepted; `PASS URL
//! PARAMETERS` is a balancer of its own with that one member.

/// One step with a site.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Step {
    /// A GET of this target.
    Get(&'static str),
    /// Any request: method and target, further fields, body.
    Send(&'static str, &'static str, &'static str),
    /// A GET that its member holds, until the release.
    Hold(&'static str),
    Release,
    /// Milliseconds.
    Pause(u64),
    /// Changes to another protocol and sends this there.
    Upgrade(&'static str),
    /// The health checks of the member at this path go well from now on, or not.
    Turn(&'static str, bool),
}

use Step::{Get, Hold, Pause, Release, Send, Turn, Upgrade};

pub(crate) struct Site {
    pub(crate) name: &'static str,
    pub(crate) conf: &'static str,
    pub(crate) steps: &'static [Step],
}

const fn site(name: &'static str, conf: &'static str, steps: &'static [Step]) -> Site {
    Site { name, conf, steps }
}

const TWICE: &[Step] = &[Get("/"), Get("/")];

pub(crate) const SITES: &[Site] = &[
    site(
        "plain",
        "ProxyPass / http://{a}/",
        &[
            Get("/a/b?c=d"),
            Get("/a%20b/%7Ec?x=%20"),
            Send("HEAD /", "", ""),
            Send("POST /?x", "X-One: 1\r\nX-One: 2\r\n", "a body"),
            Send("PUT /", "Content-Type: text/plain\r\n", "another"),
            Send("DELETE /a", "", ""),
            Send("OPTIONS /", "", ""),
            Send(
                "GET /",
                "Connection: X-Hop, close\r\nX-Hop: 1\r\nTE: trailers\r\nX-Stays: 1\r\n",
                "",
            ),
            Send(
                "GET /",
                "Cookie: a=b\r\nCookie: c=d\r\nAccept-Encoding: gzip\r\n",
                "",
            ),
            Get("/?respond=204"),
            Get("/?respond=304"),
            Get("/?respond=404"),
            Get("/?respond=500"),
            Get("/?hop"),
            Get("/?length=none"),
            Get("/?bytes=300000"),
        ],
    ),
    site(
        "ttl",
        "PASS http://{a} ttl=1",
        &[Get("/"), Get("/"), Pause(2200), Get("/")],
    ),
    site(
        "ttl kept",
        "PASS http://{a} ttl=60 smax=1 min=0",
        &[Get("/"), Get("/"), Pause(1200), Get("/")],
    ),
    site("disablereuse", "PASS http://{a} disablereuse=On", TWICE),
    site("enablereuse", "PASS http://{a} enablereuse=Off", TWICE),
    site("keepalive", "PASS http://{a} keepalive=On", TWICE),
    site(
        "acquire",
        "<Proxy balancer://acquire>\nBalancerMember http://{a} max=1 acquire=300\n</Proxy>\nProxyPass / balancer://acquire/",
        &[Hold("/?hold"), Get("/"), Release, Get("/")],
    ),
    site(
        "acquire another",
        "<Proxy balancer://acquire2>\nBalancerMember http://{a} max=1 acquire=300\nBalancerMember http://{b} max=1 acquire=300\n</Proxy>\nProxyPass / balancer://acquire2/",
        &[
            Hold("/?hold"),
            Get("/"),
            Get("/"),
            Get("/"),
            Release,
            Get("/"),
            Get("/"),
            Get("/"),
        ],
    ),
    site(
        "connectiontimeout",
        "<Proxy balancer://stuck>\nBalancerMember http://{stuck} connectiontimeout=1\nBalancerMember http://{b}\n</Proxy>\nProxyPass / balancer://stuck/",
        &[Get("/"), Get("/")],
    ),
    site(
        "connectiontimeout alone",
        "PASS http://{stuck} connectiontimeout=500ms",
        &[Get("/")],
    ),
    site(
        "timeout",
        "PASS http://{a} timeout=1",
        &[Get("/"), Get("/?hang"), Get("/")],
    ),
    site(
        "proxytimeout",
        "ProxyTimeout 1\nPASS http://{a}",
        &[Get("/?hang"), Get("/")],
    ),
    site(
        "nobody",
        "PASS http://{nobody}",
        &[Get("/"), Send("POST /", "", "a body")],
    ),
    site(
        "failover",
        "<Proxy balancer://failover>\nBalancerMember http://{nobody}\nBalancerMember http://{b}\n</Proxy>\nProxyPass / balancer://failover/",
        &[
            Send("POST /", "", "a body"),
            Get("/"),
            Send("POST /", "", "a body"),
        ],
    ),
    site(
        "breaks",
        "<Proxy balancer://breaks>\nBalancerMember http://{a}\nBalancerMember http://{b}\n</Proxy>\nProxyPass / balancer://breaks/",
        &[
            Send("POST /?broke", "Connection: close\r\n", "a body"),
            Get("/"),
            Get("/"),
        ],
    ),
    site(
        "buffers",
        "PASS http://{a} iobuffersize=1024 receivebuffersize=4096 responsefieldsize=16384",
        &[Get("/?bytes=300000"), Get("/?field=12000")],
    ),
    site("fields", "ProxyPass / http://{a}/", &[Get("/?field=7000")]),
    site(
        "upgrade",
        "PASS http://{a} upgrade=websocket",
        &[Upgrade("ping"), Get("/")],
    ),
    site("upgrade any", "PASS http://{a} upgrade=ANY", &[Upgrade("ping")]),
    site(
        "addressttl",
        "PASS http://localhost:{a port} addressttl=1",
        &[Get("/"), Pause(1200), Get("/")],
    ),
    site(
        "mapping",
        "ProxyPass / http://{a}/ mapping=encoded",
        &[Get("/a%20b")],
    ),
    site(
        "nocanon",
        "ProxyPass / http://{a}/ nocanon",
        &[Get("/%7Ea%20b?c"), Get("/a[b]")],
    ),
    site(
        "ping",
        "PASS http://{a} ping=1",
        &[Get("/"), Send("POST /", "", "a body"), Get("/")],
    ),
    site(
        "claims",
        "ProxyPass / http://{a}/",
        &[Send(
            "GET /",
            "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Host: other.test\r\nX-Forwarded-Proto: https\r\nForwarded: for=192.0.2.1\r\n",
            "",
        )],
    ),
    site(
        "below",
        "ProxyPass /app/static/ !\nProxyPass /app/b/ http://{b}/x/\nProxyPass /app/ http://{a}/up/\nProxyPass /app/never/ http://{b}/",
        &[
            Get("/app/"),
            Get("/app/x?y"),
            Get("/app/b/x"),
            Get("/app/static/x"),
            Get("/app/never/x"),
            Get("/other"),
        ],
    ),
    site(
        "match",
        "ProxyPassMatch ^/no/ !\nProxyPassMatch ^/m/(.*)$ http://{a}/n/$1",
        &[Get("/m/x?y"), Get("/m/"), Get("/no/x"), Get("/other")],
    ),
    site(
        "no-proxy",
        "ProxyPass / http://{a}/\nSetEnvIf Request_URI ^/no/ no-proxy\nSetEnv no-proxy 1",
        &[Get("/no/x"), Get("/x"), Get("/other/no/x")],
    ),
    site(
        "host kept",
        "ProxyPreserveHost On\nProxyPass / http://{a}/",
        TWICE,
    ),
    site("no fields", "ProxyAddHeaders Off\nProxyPass / http://{a}/", TWICE),
    site(
        "via on",
        "ProxyVia On\nProxyPass / http://{a}/",
        &[Get("/"), Send("GET /", "Via: 1.1 before\r\n", "")],
    ),
    site(
        "via block",
        "ProxyVia Block\nProxyPass / http://{a}/",
        &[Send("GET /", "Via: 1.1 before\r\n", "")],
    ),
    site(
        "reverse",
        "ProxyPass / http://{a}/\nProxyPassReverse / http://{a}/",
        &[
            Get("/?location=http://{a}/x%3Fy"),
            Get("/?location=http://{b}/x"),
            Get("/?location=/x"),
        ],
    ),
    site(
        "reverse balancer",
        "<Proxy balancer://reverse>\nBalancerMember http://{a}/base\nBalancerMember http://{b}/base\n</Proxy>\nProxyPass /app/ balancer://reverse/up/\nProxyPassReverse /app/ balancer://reverse/up/",
        &[
            Get("/app/x"),
            Get("/app/?location=http://{a}/base/up/x"),
            Get("/app/?location=http://{b}/base/up/x"),
            Get("/app/?location=http://{b}/other"),
        ],
    ),
    site(
        "cookies",
        "ProxyPass / http://{a}/\nProxyPassReverseCookieDomain inner.test outer.test\nProxyPassReverseCookiePath /up/ /app/",
        &[
            Get("/?cookie=a=b;Domain=inner.test;Path=/up/x"),
            Get("/?cookie=a=b;Path=/upper"),
            Get("/?cookie=a=b"),
        ],
    ),
    site(
        "last hop",
        "ProxyPass / http://{a}/\nHeader always set X-Answer here",
        &[
            Send("OPTIONS /x?y", "Max-Forwards: 0\r\n", ""),
            Send("OPTIONS /x", "Max-Forwards: 0\r\n", "a body"),
            Send("OPTIONS /x", "Max-Forwards: 1\r\n", ""),
            Send("OPTIONS /x", "Max-Forwards: x\r\n", ""),
            Send("OPTIONS /x", "Max-Forwards: 0\r\nMax-Forwards: 1\r\n", ""),
            Send("OPTIONS *", "Max-Forwards: 0\r\n", ""),
            Send(
                "TRACE /x?y",
                "Max-Forwards: 0\r\nX-Own: 1\r\nX-Own: 2\r\nCookie: a=b\r\nAuthorization: Basic YQ==\r\n",
                "",
            ),
            Send("TRACE /x", "Max-Forwards: 0\r\n", "a body"),
            Send("TRACE /x", "Max-Forwards: 3\r\n", ""),
            Send("TRACE /x", "", ""),
        ],
    ),
    site(
        "no TRACE",
        "TraceEnable off\nProxyPass / http://{a}/",
        &[
            Send("TRACE /x", "", ""),
            Send("TRACE /x", "Max-Forwards: 0\r\n", ""),
            Send("TRACE /x", "Max-Forwards: 0\r\n", "a body"),
            Send("OPTIONS /x", "Max-Forwards: 0\r\n", ""),
        ],
    ),
    site(
        "errors",
        "ProxyErrorOverride On\nProxyPass / http://{a}/",
        &[
            Get("/?respond=404"),
            Get("/?respond=500"),
            Get("/?respond=204"),
            Get("/"),
        ],
    ),
    site(
        "some errors",
        "ProxyErrorOverride On 500\nProxyPass / http://{a}/",
        &[Get("/?respond=404"), Get("/?respond=500")],
    ),
    site(
        "route cookie",
        "<Proxy balancer://cookie>\nBalancerMember http://{a} route=a\nBalancerMember http://{b} route=b\nProxySet stickysession=ROUTEID\n</Proxy>\nProxyPass / balancer://cookie/\nHeader add Set-Cookie \"ROUTEID=.%{BALANCER_WORKER_ROUTE}e; path=/\" env=BALANCER_ROUTE_CHANGED",
        &[
            Get("/"),
            Get("/"),
            Send("GET /", "Cookie: ROUTEID=.b\r\n", ""),
            Send("GET /", "Cookie: ROUTEID=.a\r\n", ""),
            Send("GET /", "Cookie: ROUTEID=.gone\r\n", ""),
            Send("GET /?cookie=own=1", "Cookie: other=1\r\n", ""),
        ],
    ),
    site(
        "fields set",
        "PASS http://{a}\nRequestHeader set X-From apache\nRequestHeader unset X-Gone\nHeader set X-Answer \"%{BALANCER_WORKER_NAME}e\"\nHeader unset X-Member",
        &[Send("GET /", "X-From: client\r\nX-Gone: 1\r\n", "")],
    ),
    site(
        "nobody usable",
        "<Proxy balancer://off>\nBalancerMember http://{a} status=+D\nBalancerMember http://{b} status=+S\nProxySet timeout=1\n</Proxy>\nProxyPass / balancer://off/",
        &[Get("/")],
    ),
    site(
        "several sessions",
        "<Proxy balancer://both>\nBalancerMember http://{a} route=a\nBalancerMember http://{b} route=b\n</Proxy>\nProxyPass / balancer://both/ stickysession=JSESSIONID|jsessionid scolonpathdelim=On nofailover=On lbmethod=bybusyness",
        &[
            Get("/x;jsessionid=1.b"),
            Send("GET /", "Cookie: JSESSIONID=1.a\r\n", ""),
            Get("/?jsessionid=1.b"),
            Get("/"),
        ],
    ),
    site(
        "checked by a template",
        "ProxyHCTemplate t hcmethod=GET hcinterval=150ms hcuri=/t/alive hcfails=1 hcpasses=1\n<Proxy balancer://t>\nBalancerMember http://{a} hctemplate=t\nBalancerMember http://{b}\n</Proxy>\nProxyPass / balancer://t/",
        &[
            Turn("/t", false),
            Get("/"),
            Get("/"),
            Turn("/t", true),
            Get("/"),
            Get("/"),
        ],
    ),
    site(
        "checked by status",
        "ProxyHCExpr good {%{REQUEST_STATUS} =~ /^[2345]/}\n<Proxy balancer://s>\nBalancerMember http://{a} hcmethod=GET hcinterval=150ms hcuri=/s/alive hcexpr=good\nBalancerMember http://{b}\n</Proxy>\nProxyPass / balancer://s/",
        &[Turn("/s", false), Get("/"), Get("/")],
    ),
    site(
        "checked by text",
        "ProxyHCExpr ill {hc('body') !~ /ill/}\n<Proxy balancer://x>\nBalancerMember http://{a} hcmethod=GET hcinterval=150ms hcuri=/x/alive hcexpr=ill\nBalancerMember http://{b}\n</Proxy>\nProxyPass / balancer://x/",
        &[Turn("/x", false), Get("/"), Get("/")],
    ),
    site(
        "checked by HEAD",
        "<Proxy balancer://h>\nBalancerMember http://{a} hcmethod=HEAD hcinterval=150ms hcuri=/h/alive\nBalancerMember http://{b}\n</Proxy>\nProxyPass / balancer://h/",
        &[Turn("/h", false), Get("/"), Get("/")],
    ),
    site(
        "checked by OPTIONS",
        "<Proxy balancer://o>\nBalancerMember http://{a} hcmethod=OPTIONS hcinterval=150ms\nBalancerMember http://{b}\n</Proxy>\nProxyPass / balancer://o/",
        &[Pause(600), Get("/"), Get("/")],
    ),
    site(
        "checked by HTTP/1.1",
        "<Proxy balancer://g>\nBalancerMember http://{a} hcmethod=GET11 hcinterval=150ms hcuri=/g/alive\nBalancerMember http://{b}\n</Proxy>\nProxyPass / balancer://g/",
        &[Turn("/g", false), Get("/"), Get("/")],
    ),
    site(
        "checked by TCP",
        "<Proxy balancer://tcp>\nBalancerMember http://{nobody} hcmethod=TCP hcinterval=150ms\nBalancerMember http://{b}\n</Proxy>\nProxyPass / balancer://tcp/",
        &[Pause(1000), Get("/"), Get("/")],
    ),
];
