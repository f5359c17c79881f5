//! Every directive that is known, and what it does: read, passed over with a reason, or refused with one. Names are taken
//! in any case.

use super::lexer::Word;
use super::reading::{Context, Host, Outcome, Reading};
use super::source::Node;
use super::{balancers, headers, hosts, limits, logs, proxy, remote_ip, rules, tls, wsgi};
use crate::nearest::nearest;
use crate::problem::{Mistake, Problem};

type Handler = fn(&mut Reading, &Node, &mut Host, &Context) -> Outcome;

/// Directives that have a meaning.
const READ: &[(&str, Handler)] = &[
    ("Listen", hosts::listen),
    ("ServerName", hosts::name),
    ("ServerAlias", hosts::name),
    ("DocumentRoot", rules::document_root),
    ("DirectoryIndex", rules::index),
    ("FallbackResource", rules::fallback),
    ("Alias", rules::alias),
    ("Redirect", rules::redirect),
    ("RedirectPermanent", rules::redirect),
    ("RedirectTemp", rules::redirect),
    ("RedirectMatch", rules::redirect_match),
    ("Require", rules::require),
    ("SetHandler", rules::handler),
    ("ProxyPass", proxy::pass),
    ("ProxyPassMatch", proxy::pass_match),
    ("ProxyPassReverse", proxy::reverse),
    ("ProxyPassReverseCookieDomain", proxy::cookie_domain),
    ("ProxyPassReverseCookiePath", proxy::cookie_path),
    ("ProxyPreserveHost", proxy::preserve_host),
    ("ProxyAddHeaders", proxy::add_headers),
    ("ProxyVia", proxy::via),
    ("ProxyErrorOverride", proxy::error_override),
    ("ProxyTimeout", proxy::timeout),
    ("ProxyRequests", proxy::requests),
    ("BalancerMember", balancers::member),
    ("ProxySet", balancers::set),
    ("BalancerGrowth", balancers::growth),
    ("ProxyHCTemplate", balancers::health_template),
    ("ProxyHCExpr", balancers::health_expr),
    ("LogFormat", logs::format),
    ("CustomLog", logs::custom),
    ("TransferLog", logs::transfer),
    ("GlobalLog", logs::custom),
    ("ErrorLog", logs::error_log),
    ("SetEnvIf", logs::set_env_if),
    ("SetEnvIfNoCase", logs::set_env_if),
    ("SetEnv", logs::set_env),
    ("Header", headers::response),
    ("RequestHeader", headers::request),
    ("RemoteIPHeader", remote_ip::header),
    ("RemoteIPInternalProxy", remote_ip::trusted),
    ("RemoteIPTrustedProxy", remote_ip::trusted),
    ("RemoteIPInternalProxyList", remote_ip::list),
    ("RemoteIPTrustedProxyList", remote_ip::list),
    ("RemoteIPProxyProtocol", remote_ip::protocol),
    ("RPAF_Enable", remote_ip::rpaf_enable),
    ("RPAFenable", remote_ip::rpaf_enable),
    ("RPAF_ProxyIPs", remote_ip::trusted),
    ("RPAFproxy_ips", remote_ip::trusted),
    ("RPAF_Header", remote_ip::header),
    ("RPAFheader", remote_ip::header),
    ("RPAF_SetHostName", remote_ip::rpaf_field),
    ("RPAFsethostname", remote_ip::rpaf_field),
    ("RPAF_SetHTTPS", remote_ip::rpaf_field),
    ("RPAF_SetPort", remote_ip::rpaf_field),
    ("SSLEngine", tls::engine),
    ("SSLCertificateFile", tls::certificate),
    ("SSLCertificateKeyFile", tls::key),
    ("SSLCACertificateFile", tls::client_ca),
    ("SSLVerifyClient", tls::verify_client),
    ("SSLProtocol", tls::protocol),
    ("SSLProxyVerify", tls::proxy_verify),
    ("SSLProxyCACertificateFile", tls::proxy_ca),
    ("Timeout", |reading, node, _, _| reading.set_timeout(node)),
    ("KeepAlive", limits::keep_alive),
    ("KeepAliveTimeout", limits::keep_alive_timeout),
    ("LimitRequestBody", limits::body),
    ("LimitRequestFields", limits::fields),
    ("LimitRequestLine", limits::line),
    ("LimitRequestFieldSize", limits::field_size),
    ("ListenBacklog", limits::backlog),
    ("GracefulShutdownTimeout", limits::graceful),
    ("RequestReadTimeout", limits::read_timeout),
    ("WSGIDaemonProcess", wsgi::daemon),
    ("WSGIProcessGroup", wsgi::process_group),
    ("WSGIApplicationGroup", wsgi::application_group),
    ("WSGIScriptAlias", wsgi::script_alias),
    ("WSGICallableObject", wsgi::callable),
    ("WSGIPythonHome", wsgi::python_home),
    ("WSGIPythonPath", wsgi::python_path),
];

const PROCESSES: &str = "says how Apache runs itself; Carme runs otherwise";
const ACCESS: &str =
    "is about files below folders; Carme serves only what a location names, and no hidden files";
const ALWAYS: &str = "is what Carme does anyway";
const TYPES: &str =
    "is about types of files, which Carme knows itself; `media_types` of a location adds more";
const CIPHERS: &str = "is decided by Carme's TLS library, which has no weak ciphers";
const BUFFERS: &str = "is about buffers of sockets that Carme does not have";

/// Directives without a meaning here, with the reason.
const PASSED: &[(&str, &str)] = &[
    ("ServerAdmin", "is only in Apache's own pages"),
    ("ServerSignature", "is only in Apache's own pages"),
    (
        "ServerTokens",
        "is Apache's name in answers; Carme does not tell its version",
    ),
    ("TraceEnable", "is Apache's TRACE, which Carme does not answer"),
    (
        "User",
        "is the user that Apache changes to; start carme as that user",
    ),
    (
        "Group",
        "is the group that Apache changes to; start carme as that group",
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
    ("BrowserMatch", "is for browsers that are no more"),
    ("BrowserMatchNoCase", "is for browsers that are no more"),
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
        "BalancerPersist",
        "is not done: what is changed at run time is written into the file by hand",
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
    ("UnsetEnv", "has no meaning here"),
    ("PassEnv", "is not needed: workers have the server's environment"),
    ("SeeRequestTail", "is Apache's status page"),
    ("RegisterHttpMethod", ALWAYS),
];

/// Directives that change what clients get, and cannot be followed.
const REFUSED: &[(&str, &str, &str)] = &[
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

/// Sections that are read.
const SECTIONS: [&str; 8] = [
    "VirtualHost",
    "Location",
    "LocationMatch",
    "Proxy",
    "Directory",
    "DirectoryMatch",
    "Files",
    "FilesMatch",
];

/// Reads one directive, or a section with what is in it.
pub(super) fn directive(reading: &mut Reading, node: &Node, host: &mut Host, context: &Context) -> Outcome {
    let name = node.name.text.to_ascii_lowercase();
    if let Some(children) = &node.children {
        return section(reading, node, children, host, context);
    }
    if let Some((_, handler)) = READ.iter().find(|(known, _)| known.eq_ignore_ascii_case(&name)) {
        return handler(reading, node, host, context);
    }
    if let Some((_, why)) = PASSED.iter().find(|(known, _)| known.eq_ignore_ascii_case(&name)) {
        reading.warn(&node.name, &node.name.text, *why);
        return Ok(());
    }
    if let Some((_, what, cure)) = REFUSED
        .iter()
        .find(|(known, ..)| known.eq_ignore_ascii_case(&name))
    {
        return match (context.in_directory, name.as_str()) {
            (true, "allow" | "deny") => {
                reading.warn(&node.name, &node.name.text, ACCESS);
                Ok(())
            }
            _ => Err(node.wrong(Mistake::new(*what).cure(*cure))),
        };
    }
    Err(unknown(&node.name, "", known_names()))
}

fn known_names() -> impl Iterator<Item = &'static str> {
    let read = READ.iter().map(|(name, _)| *name);
    let passed = PASSED.iter().map(|(name, _)| *name);
    let refused = REFUSED.iter().map(|(name, ..)| *name);
    let while_reading = [
        "Define",
        "UnDefine",
        "Include",
        "IncludeOptional",
        "ServerRoot",
        "LoadModule",
        "Error",
    ];
    read.chain(passed).chain(refused).chain(while_reading)
}

fn unknown(word: &Word, bracket: &str, known: impl Iterator<Item = &'static str>) -> Problem {
    let near = nearest(&word.text, known).map(|name| format!("did you mean {bracket}{name}?"));
    Problem {
        place: word.place.clone(),
        what: format!("unknown directive {bracket}{}", word.text),
        cure: near,
    }
}

fn section(
    reading: &mut Reading,
    node: &Node,
    children: &[Node],
    host: &mut Host,
    context: &Context,
) -> Outcome {
    match node.name.text.to_ascii_lowercase().as_str() {
        "virtualhost" => hosts::virtual_host(reading, node, children, host),
        "location" | "locationmatch" => rules::location(reading, node, children, host),
        "proxy" => balancers::section(reading, node, children),
        "directory" | "directorymatch" | "files" | "filesmatch" => {
            let inside = Context {
                location: context.location.clone(),
                in_directory: true,
            };
            reading.inside(children, host, &inside);
            Ok(())
        }
        "limit" | "limitexcept" | "if" | "else" | "elseif" | "requireany" | "requireall" | "requirenone" => {
            let what = "decides while a request runs, which Carme does not";
            match context.in_directory {
                true => {
                    reading.warn(&node.name, &format!("<{}>", node.name.text), ACCESS);
                    Ok(())
                }
                false => Err(node.name.problem(
                    &format!("<{}>", node.name.text),
                    Mistake::new(what).cure("leave it out"),
                )),
            }
        }
        _ => Err(unknown(&node.name, "<", SECTIONS.into_iter())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_directive_has_two_meanings() {
        let mut names: Vec<String> = known_names().map(str::to_ascii_lowercase).collect();
        names.sort();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all);
    }

    #[test]
    fn reasons_are_ends_of_sentences() {
        for (name, why) in PASSED {
            assert!(
                !why.ends_with('.') && why.split_whitespace().count() >= 3 || *why == "is not done",
                "{name}"
            );
        }
    }
}
