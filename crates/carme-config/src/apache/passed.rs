//! Directives that are known and not followed, with the reasons.

const PROCESSES: &str = "says how Apache runs itself; Carme runs otherwise";
pub(super) const ACCESS: &str =
    "is about files below folders; Carme serves only what a location names, and no hidden files";
const ALWAYS: &str = "is what Carme does anyway";
const TYPES: &str =
    "is about types of files, which Carme knows itself; `media_types` of a location adds more";
const CIPHERS: &str = "is decided by Carme's TLS library, which has no weak ciphers";
const BUFFERS: &str = "is about buffers of sockets that Carme does not have";

/// Directives without a meaning here, with the reason.
pub(super) const PASSED: &[(&str, &str)] = &[
    ("ServerAdmin", "is only in Apache's own pages"),
    ("ServerSignature", "is only in Apache's own pages"),
    (
        "ServerTokens",
        "is Apache's name in answers; Carme does not tell its version",
    ),
    ("PidFile", PROCESSES),
    ("Mutex", PROCESSES),
    ("DefaultRuntimeDir", PROCESSES),
    ("ScoreBoardFile", PROCESSES),
    ("CoreDumpDirectory", PROCESSES),
    ("StartServers", PROCESSES),
    ("ServerLimit", PROCESSES),
    ("MinSpareServers", PROCESSES),
    ("MaxSpareServers", PROCESSES),
    ("MinSpareThreads", PROCESSES),
    ("MaxSpareThreads", PROCESSES),
    ("ThreadsPerChild", PROCESSES),
    ("ThreadLimit", PROCESSES),
    ("ThreadStackSize", PROCESSES),
    ("AsyncRequestWorkerFactor", PROCESSES),
    (
        "MaxRequestWorkers",
        "bounds Apache's threads; max_connections of [server] bounds Carme's connections",
    ),
    (
        "MaxClients",
        "bounds Apache's threads; max_connections of [server] bounds Carme's connections",
    ),
    ("MaxConnectionsPerChild", PROCESSES),
    ("MaxRequestsPerChild", PROCESSES),
    ("MaxMemFree", PROCESSES),
    ("AcceptFilter", PROCESSES),
    ("AcceptMutex", PROCESSES),
    ("Win32DisableAcceptEx", PROCESSES),
    ("EnableSendfile", ALWAYS),
    ("EnableMMAP", PROCESSES),
    (
        "ExtendedStatus",
        "is Apache's status page; Carme has [metrics] and `carme status`",
    ),
    ("HostnameLookups", "is not done: the log has addresses"),
    (
        "UseCanonicalName",
        "is not done: the log has the name that the client asked for",
    ),
    ("UseCanonicalPhysicalPort", "is not done"),
    ("NameVirtualHost", "is old: it says nothing any more"),
    (
        "MaxKeepAliveRequests",
        "is not counted: a connection may carry any number of requests",
    ),
    (
        "LogLevel",
        "is Apache's; Carme's error log has what an administrator needs",
    ),
    (
        "ErrorLogFormat",
        "is Apache's; Carme's error log has its own form",
    ),
    ("BufferedLogs", ALWAYS),
    ("LogIOTrackTTFB", ALWAYS),
    ("AccessFileName", ACCESS),
    ("AllowOverride", ACCESS),
    ("AllowOverrideList", ACCESS),
    ("Options", ACCESS),
    ("Order", ACCESS),
    ("Satisfy", ACCESS),
    (
        "IndexOptions",
        "is about lists of folders, which Carme does not make",
    ),
    (
        "IndexIgnore",
        "is about lists of folders, which Carme does not make",
    ),
    ("AddIcon", "is about lists of folders, which Carme does not make"),
    (
        "AddIconByType",
        "is about lists of folders, which Carme does not make",
    ),
    (
        "AddIconByEncoding",
        "is about lists of folders, which Carme does not make",
    ),
    (
        "AddDescription",
        "is about lists of folders, which Carme does not make",
    ),
    (
        "DefaultIcon",
        "is about lists of folders, which Carme does not make",
    ),
    (
        "ReadmeName",
        "is about lists of folders, which Carme does not make",
    ),
    (
        "HeaderName",
        "is about lists of folders, which Carme does not make",
    ),
    ("TypesConfig", TYPES),
    ("AddType", TYPES),
    ("AddCharset", TYPES),
    ("AddDefaultCharset", TYPES),
    ("AddEncoding", TYPES),
    ("AddLanguage", TYPES),
    ("AddHandler", TYPES),
    ("AddOutputFilter", TYPES),
    ("DefaultType", TYPES),
    ("ForceType", TYPES),
    ("MimeMagicFile", TYPES),
    ("LanguagePriority", TYPES),
    ("ForceLanguagePriority", TYPES),
    ("FileETag", ALWAYS),
    (
        "AddOutputFilterByType",
        "compresses; write compress = true at [server] or at a location",
    ),
    (
        "SetOutputFilter",
        "compresses; write compress = true at [server] or at a location",
    ),
    ("DeflateCompressionLevel", "is decided by Carme"),
    (
        "RewriteEngine",
        "switches rules on; those that there are have their own message",
    ),
    (
        "ErrorDocument",
        "is a page of Apache's; write [error_pages] with files",
    ),
    (
        "ExpiresActive",
        "says how long clients keep files; write `cache` at the location",
    ),
    (
        "ExpiresDefault",
        "says how long clients keep files; write `cache` at the location",
    ),
    (
        "ExpiresByType",
        "says how long clients keep files; write `cache` at the location",
    ),
    ("SSLCipherSuite", CIPHERS),
    ("SSLProxyCipherSuite", CIPHERS),
    ("SSLHonorCipherOrder", CIPHERS),
    ("SSLCompression", CIPHERS),
    ("SSLInsecureRenegotiation", CIPHERS),
    ("SSLOpenSSLConfCmd", CIPHERS),
    ("SSLSessionCache", "is decided by Carme: sessions are resumed"),
    (
        "SSLSessionCacheTimeout",
        "is decided by Carme: sessions are resumed",
    ),
    ("SSLSessionTickets", "is decided by Carme: sessions are resumed"),
    (
        "SSLStrictSNIVHostCheck",
        "is not done: clients that ask for no name get the first certificate",
    ),
    ("SSLRandomSeed", "is the system's"),
    (
        "SSLPassPhraseDialog",
        "cannot be asked of a service; the key must have no passphrase",
    ),
    ("SSLUseStapling", "is not done: browsers have given it up"),
    ("SSLStaplingCache", "is not done: browsers have given it up"),
    ("SSLOptions", ALWAYS),
    ("SSLVerifyDepth", "is decided by Carme's TLS library"),
    ("SSLProxyEngine", ALWAYS),
    ("SSLProxyProtocol", CIPHERS),
    ("SSLProxyCheckPeerName", ALWAYS),
    ("SSLProxyCheckPeerCN", ALWAYS),
    ("SSLProxyCheckPeerExpire", ALWAYS),
    ("ProxyIOBufferSize", BUFFERS),
    ("ProxyReceiveBufferSize", BUFFERS),
    ("ProxyMaxForwards", "is not counted"),
    (
        "ProxyStatus",
        "is Apache's status page; Carme has [metrics] and `carme status`",
    ),
    (
        "ProxyBadHeader",
        "is not a choice: a member's answer with a bad header gets 502",
    ),
    ("Proxy100Continue", ALWAYS),
    (
        "ProxyPassInherit",
        "is not a choice: hosts have the server's ProxyPass, too",
    ),
    (
        "ProxyPassInterpolateEnv",
        "has no meaning where nothing is interpolated",
    ),
    ("ProxyHCTPsize", "is a number of threads that Carme does not need"),
    (
        "BalancerInherit",
        "is not a choice: balancers belong to the server",
    ),
    (
        "RemoteIPProxiesHeader",
        "is not written: X-Forwarded-For has what was not believed",
    ),
    (
        "RPAF_ForbidIfNotProxy",
        "is not done: what others say of clients is removed",
    ),
    ("WSGIPassAuthorization", ALWAYS),
    ("WSGISocketPrefix", "is a socket that Carme does not have"),
    ("WSGISocketRotation", "is a socket that Carme does not have"),
    (
        "WSGIRestrictEmbedded",
        "has no meaning: there are no interpreters in the server",
    ),
    ("WSGIRestrictStdin", ALWAYS),
    (
        "WSGIRestrictStdout",
        "is not done: what an application prints is in the error log",
    ),
    ("WSGIRestrictSignal", "is not done"),
    ("WSGIRestrictProcess", "is not done"),
    ("WSGIPythonOptimize", "is PYTHONOPTIMIZE in `env` of the app"),
    ("WSGIPythonHashSeed", "is PYTHONHASHSEED in `env` of the app"),
    (
        "WSGIPythonDontWriteBytecode",
        "is PYTHONDONTWRITEBYTECODE in `env` of the app",
    ),
    ("WSGILazyInitialization", ALWAYS),
    ("WSGIEnableSendfile", ALWAYS),
    ("WSGIChunkedRequest", ALWAYS),
    ("WSGIMapRequestPrefix", ALWAYS),
    (
        "WSGIScriptReloading",
        "is not done by itself: `carme reload` takes new code",
    ),
    ("WSGIMapHEADToGET", "is not done: applications see HEAD"),
    ("WSGICaseSensitivity", "has no meaning here"),
    (
        "WSGIImportScript",
        "is not needed: applications are imported when a worker starts",
    ),
    ("WSGIVerboseDebugging", "is for finding faults in mod_wsgi"),
    ("WSGIServerMetrics", "is [metrics] in carme.toml"),
    ("Protocols", "is decided by Carme"),
    ("ProtocolsHonorOrder", "is decided by Carme"),
    (
        "HttpProtocolOptions",
        "is not a choice: requests are read strictly",
    ),
    ("MergeSlashes", "is not a choice"),
    ("AllowEncodedSlashes", "is not a choice"),
    ("SeeRequestTail", "is Apache's status page"),
    ("RegisterHttpMethod", ALWAYS),
];

/// Directives that change what clients get, and cannot be followed.
pub(super) const REFUSED: &[(&str, &str, &str)] = &[
    (
        "SetEnvIfExpr",
        "has an expression, which Carme does not know here",
        "write SetEnvIf with what the expression looks at",
    ),
    (
        "RewriteRule",
        "rewrites addresses, which Carme does not",
        "write Redirect or ProxyPass, or leave it to the application",
    ),
    (
        "RewriteCond",
        "rewrites addresses, which Carme does not",
        "write Redirect or ProxyPass, or leave it to the application",
    ),
    (
        "RewriteMap",
        "rewrites addresses, which Carme does not",
        "leave it out",
    ),
    (
        "AliasMatch",
        "matches expressions, which locations do not",
        "write Alias with a path",
    ),
    (
        "ScriptAlias",
        "runs programs, which Carme does not",
        "leave it out",
    ),
    (
        "ScriptAliasMatch",
        "runs programs, which Carme does not",
        "leave it out",
    ),
    (
        "WSGIScriptAliasMatch",
        "matches expressions, which locations do not",
        "write WSGIScriptAlias with a path",
    ),
    (
        "AuthType",
        "asks for passwords, which Carme does not",
        "have the application do it, or a proxy before it",
    ),
    (
        "AuthName",
        "asks for passwords, which Carme does not",
        "have the application do it, or a proxy before it",
    ),
    (
        "AuthUserFile",
        "asks for passwords, which Carme does not",
        "have the application do it, or a proxy before it",
    ),
    (
        "AuthBasicProvider",
        "asks for passwords, which Carme does not",
        "have the application do it, or a proxy before it",
    ),
    (
        "WSGIAccessScript",
        "decides who may come, which Carme does not",
        "have the application do it",
    ),
    (
        "WSGIAuthUserScript",
        "asks for passwords, which Carme does not",
        "have the application do it",
    ),
    (
        "WSGIAuthGroupScript",
        "asks for passwords, which Carme does not",
        "have the application do it",
    ),
    (
        "Allow",
        "decides who may come, which Carme does not",
        "leave it out, or listen where only they can come",
    ),
    (
        "Deny",
        "decides who may come, which Carme does not",
        "leave it out, or listen where only they can come",
    ),
    (
        "SSLCertificateChainFile",
        "names a file of its own for the chain",
        "append it to the file of SSLCertificateFile",
    ),
    (
        "SSLRequireSSL",
        "refuses plain HTTP",
        "listen only for TLS, or write redirect_to_https in carme.toml",
    ),
    (
        "SSLRequire",
        "decides who may come, which Carme does not",
        "have the application do it",
    ),
    (
        "ProxyMatch",
        "matches expressions, which Carme does not here",
        "name the balancer",
    ),
    (
        "Substitute",
        "changes answers, which Carme does not",
        "leave it out",
    ),
    (
        "ProxyRemote",
        "is for proxies of clients, which Carme is not",
        "leave it out",
    ),
];
