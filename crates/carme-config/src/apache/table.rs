//! Every directive that is known, and what it does: read, passed over with a reason, or refused with one. Names are taken
//! in any case.

use std::path::PathBuf;

use super::lexer::Word;
use super::passed::{ACCESS, PASSED, REFUSED};
use super::reading::{Context, Host, Outcome, Reading};
use super::source::Node;
use super::{
    balancers, headers, hosting, hosts, limits, logs, proxy, remote_ip, rules, tls, variables, wsgi,
};
use crate::draft::At;
use crate::nearest::nearest;
use crate::paths;
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
    ("TraceEnable", proxy::trace),
    ("ProxyTimeout", proxy::timeout),
    ("ProxyRequests", proxy::requests),
    ("BalancerMember", balancers::member),
    ("ProxySet", balancers::set),
    ("BalancerGrowth", balancers::growth),
    ("BalancerPersist", balancers::persist),
    ("ProxyHCTemplate", balancers::health_template),
    ("ProxyHCExpr", balancers::health_expr),
    ("LogFormat", logs::format),
    ("CustomLog", logs::custom),
    ("TransferLog", logs::transfer),
    ("GlobalLog", logs::custom),
    ("ErrorLog", logs::error_log),
    ("SetEnvIf", variables::set_if),
    ("SetEnvIfNoCase", variables::set_if),
    ("BrowserMatch", variables::browser_match),
    ("BrowserMatchNoCase", variables::browser_match),
    ("SetEnv", variables::set),
    ("PassEnv", variables::pass),
    ("UnsetEnv", variables::unset),
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
    ("User", wsgi::user),
    ("Group", wsgi::group),
    ("WSGIDaemonProcess", wsgi::daemon),
    ("WSGIProcessGroup", hosting::process_group),
    ("WSGIApplicationGroup", wsgi::application_group),
    ("WSGIScriptAlias", wsgi::script_alias),
    ("WSGICallableObject", hosting::callable),
    ("WSGIPythonHome", wsgi::python_home),
    ("WSGIPythonPath", wsgi::python_path),
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
        let is_everybody = matches!(node.args.as_slice(), [from, all] if from.is("from") && all.is("all"));
        if name == "allow" && is_everybody {
            return Ok(());
        }
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
                directory: directory(reading, node).or_else(|| context.directory.clone()),
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

/// The folder that a `<Directory>` is for, unless it is for all that fit a pattern.
fn directory(reading: &Reading, node: &Node) -> Option<At<PathBuf>> {
    let [word] = node.args.as_slice() else { return None };
    if !node.name.is("Directory") || word.text.contains(['*', '?', '[']) {
        return None;
    }
    let folder = match word.text.as_str() {
        // On Windows, too, this is every drive.
        "/" => PathBuf::new(),
        text => paths::absolute(&reading.root, text),
    };
    Some(word.at("<Directory>", folder))
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
