//! Which keys there are, and which of them only later versions will know.

/// The keys of one section.
#[derive(Debug)]
pub(crate) struct Keys {
    /// As it is named in messages: `[apps.NAME]`.
    pub(crate) section: &'static str,
    pub(crate) known: &'static [&'static str],
    /// Part of the documented format, not yet of this version.
    pub(crate) later: &'static [&'static str],
}

pub(crate) const TOP: Keys = Keys {
    section: "the top of the file",
    known: &[
        "server",
        "tls",
        "apps",
        "balancers",
        "locations",
        "access_logs",
        "error_pages",
        "health",
        "metrics",
        "traces",
    ],
    later: &["hosts", "services"],
};

pub(crate) const SERVER: Keys = Keys {
    section: "[server]",
    known: &[
        "listen",
        "graceful_timeout",
        "keep_alive_timeout",
        "header_timeout",
        "body_timeout",
        "min_body_rate",
        "send_timeout",
        "min_send_rate",
        "linger_timeout",
        "max_body",
        "body_memory",
        "max_header",
        "max_headers",
        "max_uri",
        "max_connections",
        "max_connections_per_address",
        "response_buffer",
        "backlog",
        "compress",
        "variables",
        "request_headers",
        "response_headers",
        "trusted_proxies",
        "forwarded",
        "forwarded_fields",
        "proxy_protocol",
        "error_log",
        "error_log_rotate",
        "control",
        "state_directory",
    ],
    later: &["user", "group", "http2"],
};

pub(crate) const LISTENER: Keys = Keys {
    section: "`listen`",
    known: &["address", "proxy_protocol"],
    later: &[],
};

pub(crate) const TLS: Keys = Keys {
    section: "[tls]",
    known: &[
        "certificate",
        "key",
        "certificates",
        "min_version",
        "client_ca",
        "client_auth",
        "redirect_to_https",
        "hsts",
        "pfx",
        "pfx_password",
        "pfx_password_file",
    ],
    later: &["acme"],
};

pub(crate) const CERTIFICATE: Keys = Keys {
    section: "[[tls.certificates]]",
    known: &["certificate", "key", "pfx", "pfx_password", "pfx_password_file"],
    later: &[],
};

pub(crate) const APP: Keys = Keys {
    section: "[apps.NAME]",
    known: &[
        "target",
        "directory",
        "python",
        "interface",
        "workers",
        "surge",
        "threads",
        "switch_interval",
        "startup_timeout",
        "drain_timeout",
        "user",
        "group",
        "recycle",
        "queue",
        "request_timeout",
        "idle_timeout",
        "interrupt_grace",
        "slow_request",
        "route",
        "sticky",
        "sticky_separator",
        "env",
        "env_files",
        "sendfile",
    ],
    later: &["reload", "max_in_flight"],
};

pub(crate) const WORKERS: Keys = Keys {
    section: "[apps.NAME.workers]",
    known: &["min", "max", "ttl"],
    later: &[],
};

pub(crate) const RECYCLE: Keys = Keys {
    section: "[apps.NAME.recycle]",
    known: &["requests", "age", "jitter", "memory", "idle"],
    later: &[],
};

pub(crate) const QUEUE: Keys = Keys {
    section: "[apps.NAME.queue]",
    known: &["limit", "timeout"],
    later: &[],
};

pub(crate) const LOCATION: Keys = Keys {
    section: "[[locations]]",
    known: &[
        "host",
        "path",
        "app",
        "balancer",
        "files",
        "redirect",
        "respond",
        "status",
        "index",
        "fallback",
        "follow_links",
        "hidden",
        "precompressed",
        "cache",
        "immutable",
        "media_types",
        "compress",
        "variables",
        "request_headers",
        "response_headers",
        "upstream_path",
        "preserve_host",
        "forwarded_headers",
        "via",
        "nocanon",
        "trace",
        "reverse",
        "reverse_urls",
        "cookie_domains",
        "cookie_paths",
        "override_errors",
    ],
    later: &[],
};

pub(crate) const BALANCER: Keys = Keys {
    section: "[balancers.NAME]",
    known: &[
        "method",
        "hash",
        "members",
        "discover",
        "stickysession",
        "stickysessionsep",
        "scolonpathdelim",
        "nofailover",
        "maxattempts",
        "failover",
        "timeout",
        "queue_limit",
        "failonstatus",
        "failontimeout",
        "forcerecovery",
        "growth",
        "persist",
        "slow_start",
        "tls_verify",
        "tls_ca",
    ],
    later: &["nonce"],
};

/// What is said of a member, `redirect` or not: a route that one member redirects to is no matter of all that are found.
macro_rules! member_keys {
    ($($redirect:literal)?) => {
        &[
            "url",
            "route",
            $($redirect,)?
            "loadfactor",
            "lbset",
            "status",
            "min",
            "max",
            "smax",
            "ttl",
            "acquire",
            "disablereuse",
            "enablereuse",
            "keepalive",
            "retry",
            "timeout",
            "connectiontimeout",
            "ping",
            "flushpackets",
            "flushwait",
            "upgrade",
            "iobuffersize",
            "receivebuffersize",
            "responsefieldsize",
            "addressttl",
            "hcmethod",
            "hcinterval",
            "hcpasses",
            "hcfails",
            "hcuri",
            "hcexpect",
        ]
    };
}

pub(crate) const MEMBER: Keys = Keys {
    section: "[[balancers.NAME.members]]",
    known: member_keys!("redirect"),
    later: &[],
};

pub(crate) const DISCOVER: Keys = Keys {
    section: "[balancers.NAME.discover]",
    known: &[
        "dns",
        "server",
        "consul",
        "address",
        "tag",
        "datacenter",
        "token",
        "token_file",
        "file",
        "interval",
        "member",
    ],
    later: &[],
};

/// What can be said of all members that are found.
pub(crate) const FOUND_MEMBER: Keys = Keys {
    section: "[balancers.NAME.discover.member]",
    known: member_keys!(),
    later: &[],
};

/// A file that names members.
pub(crate) const MEMBERS: Keys = Keys {
    section: "a file of members",
    known: &["members"],
    later: &[],
};

pub(crate) const HEALTH_EXPECT: Keys = Keys {
    section: "`hcexpect`",
    known: &["status", "contains", "lacks"],
    later: &[],
};

pub(crate) const RESPOND: Keys = Keys {
    section: "[locations.respond]",
    known: &["status", "body", "content_type"],
    later: &[],
};

pub(crate) const COMPRESS: Keys = Keys {
    section: "`compress`",
    known: &["min_size", "types", "even_private"],
    later: &[],
};

pub(crate) const REQUEST_HEADER: Keys = Keys {
    section: "a rule of `request_headers`",
    known: &[
        "set",
        "add",
        "append",
        "merge",
        "edit",
        "remove",
        "value",
        "matches",
        "every",
        "if_absent",
        "env",
    ],
    later: &[],
};

pub(crate) const RESPONSE_HEADER: Keys = Keys {
    section: "a rule of `response_headers`",
    known: &[
        "set",
        "add",
        "append",
        "merge",
        "edit",
        "remove",
        "value",
        "matches",
        "every",
        "if_absent",
        "status",
        "env",
    ],
    later: &[],
};

pub(crate) const VARIABLE: Keys = Keys {
    section: "a rule of `variables`",
    known: &[
        "set",
        "pass",
        "remove",
        "value",
        "header",
        "attribute",
        "variable",
        "matches",
        "path",
    ],
    later: &[],
};

pub(crate) const ACCESS_LOG: Keys = Keys {
    section: "[[access_logs]]",
    known: &["file", "format", "only", "except", "rotate"],
    later: &[],
};

pub(crate) const REQUESTS: Keys = Keys {
    section: "`only` and `except` of [[access_logs]]",
    known: &["path", "status", "env"],
    later: &[],
};

pub(crate) const ROTATE: Keys = Keys {
    section: "`rotate` of [[access_logs]]",
    known: &["size", "every", "keep"],
    later: &[],
};

pub(crate) const HEALTH: Keys = Keys {
    section: "[health]",
    known: &["listen", "public", "path", "ready_path"],
    later: &[],
};

pub(crate) const METRICS: Keys = Keys {
    section: "[metrics]",
    known: &["listen", "public", "path"],
    later: &[],
};

pub(crate) const TRACES: Keys = Keys {
    section: "[traces]",
    known: &["endpoint", "service", "sample"],
    later: &[],
};

/// All of them, for keys that stand in the wrong section.
pub(crate) const ALL: [&Keys; 17] = [
    &TOP,
    &SERVER,
    &TLS,
    &CERTIFICATE,
    &APP,
    &QUEUE,
    &LOCATION,
    &BALANCER,
    &MEMBER,
    &DISCOVER,
    &ACCESS_LOG,
    &REQUESTS,
    &ROTATE,
    &HEALTH,
    &METRICS,
    &TRACES,
    &LISTENER,
];
