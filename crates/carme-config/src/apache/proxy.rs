//! `ProxyPass` and what goes with it.

use super::balancers::{pool_of_url, target};
use super::lexer::Word;
use super::parameters;
use super::reading::{Answers, Context, Host, Outcome, Reading, Rule};
use super::requests::literal;
use super::source::Node;
use super::time;
use crate::balancer::{ErrorOverride, Via, reverse_from};
use crate::draft::At;
use crate::mount::MountPath;
use crate::problem::Mistake;
use crate::toml_file::proxying::attribute;

/// What a host says of its proxying; what it does not say is as the server has it.
#[derive(Default, Clone)]
pub(super) struct ProxyOptions {
    pub(super) preserve_host: Option<bool>,
    pub(super) add_headers: Option<bool>,
    pub(super) via: Option<Via>,
    /// `TraceEnable`
    pub(super) trace: Option<bool>,
    pub(super) override_errors: Option<ErrorOverride>,
    /// `ProxyTimeout`
    pub(super) timeout: Option<std::time::Duration>,
    /// `ProxyPassReverse`: a path here, and an address.
    pub(super) reverse: Vec<(String, Word)>,
    pub(super) cookie_domains: Vec<(String, String)>,
    pub(super) cookie_paths: Vec<(String, String)>,
    /// `SSLProxyVerify`
    pub(super) verify: Option<bool>,
    /// `SSLProxyCACertificateFile`
    pub(super) ca: Option<Word>,
}

/// The path that a directive is for: its first argument, or that of its `<Location>`, and the arguments that are left.
fn located<'n>(
    node: &'n Node,
    context: &Context,
) -> Result<(At<MountPath>, &'n [Word]), crate::problem::Problem> {
    match &context.location {
        Some(location) => Ok((location.clone(), &node.args)),
        None => {
            let word = node.arg(0)?;
            let path = path(&word.text).map_err(|mistake| node.wrong_arg(word, mistake))?;
            Ok((word.at(&node.name.text, path), &node.args[1..]))
        }
    }
}

/// A path as Apache takes it: several slashes are one.
pub(super) fn path(text: &str) -> Result<MountPath, Mistake> {
    let mut path = text.to_owned();
    while path.contains("//") && !path.contains("://") {
        path = path.replace("//", "/");
    }
    MountPath::parse(&path)
}

/// `ProxyPass [PATH] URL|! [key=value…] [nocanon]`
pub(super) fn pass(reading: &mut Reading, node: &Node, host: &mut Host, context: &Context) -> Outcome {
    let (path, args) = located(node, context)?;
    let Some((url, parameters)) = args.split_first() else {
        return Err(
            node.wrong(Mistake::new("names no address").cure("write ProxyPass / http://10.0.0.1:9001/"))
        );
    };
    if context.location.is_none() && url.text != "!" {
        let slash = |text: &str| text.ends_with('/');
        if slash(&node.args[0].text) != slash(&url.text) && path.value != MountPath::root() {
            let why = "has a slash at the end of one of path and address: Carme has whole segments, as if both had it";
            reading.warn(url, &node.name.text, why);
        }
    }
    pass_to(reading, node, host, path, url, parameters)
}

fn pass_to(
    reading: &mut Reading,
    node: &Node,
    host: &mut Host,
    path: At<MountPath>,
    url: &Word,
    parameters: &[Word],
) -> Outcome {
    if url.text == "!" {
        host.rules.push(Rule {
            path,
            what: Answers::NoProxy,
        });
        return Ok(());
    }
    let (pool, upstream) = target(reading, node, url)?;
    let mut raw_path = false;
    for word in parameters {
        match word.text.to_ascii_lowercase().as_str() {
            "nocanon" => raw_path = true,
            "interpolate" | "noquery" => {
                let mistake = Mistake::new(format!("asks for {}, which Carme does not do", word.text));
                return Err(node.wrong_arg(word, mistake.cure("leave it out")));
            }
            _ => parameters::set(reading, node, word, &url.text, &pool)?,
        }
    }
    host.rules.push(Rule {
        path,
        what: Answers::Proxy {
            pool,
            path: upstream,
            raw_path,
        },
    });
    Ok(())
}

/// `ProxyPassMatch ^/path/(.*)$ URL/$1`: what is the same as a `ProxyPass`.
pub(super) fn pass_match(reading: &mut Reading, node: &Node, host: &mut Host, context: &Context) -> Outcome {
    if context.location.is_some() {
        return pass(reading, node, host, context);
    }
    let (regex, url) = (node.arg(0)?, node.arg(1)?);
    let Some((path_text, upstream)) = plain(&regex.text, &url.text) else {
        let mistake = Mistake::new("has an expression that is more than a path and what follows it").cure(
            "known are ^/path/(.*)$ with an address that ends with $1, and ^/path ! for a path that is not passed on",
        );
        return Err(node.wrong_arg(regex, mistake));
    };
    let path = path(&path_text).map_err(|mistake| node.wrong_arg(regex, mistake))?;
    let path = regex.at(&node.name.text, path);
    let url = Word {
        text: upstream,
        place: url.place.clone(),
    };
    pass_to(reading, node, host, path, &url, &node.args[2..])
}

/// The path below which an expression fits everything.
pub(super) fn excluded(regex: &str) -> Option<String> {
    let path = regex
        .strip_prefix('^')?
        .trim_end_matches('$')
        .trim_end_matches(".*")
        .trim_end_matches("(.*)");
    literal(path)
}

/// Path and address of a `ProxyPass` that does the same.
fn plain(regex: &str, url: &str) -> Option<(String, String)> {
    if url == "!" {
        return Some((excluded(regex)?, url.to_owned()));
    }
    let regex = regex.strip_prefix('^')?;
    let url = url.strip_suffix("$1")?;
    let regex = regex.strip_suffix('$').unwrap_or(regex);
    // The slash is before the group, or in it.
    let (path, base) = match (regex.strip_suffix("(/.*)"), regex.strip_suffix("(.*)")) {
        (Some(path), _) if !url.ends_with('/') => (path, url),
        (None, Some(path)) if path.ends_with('/') && url.ends_with('/') => (path, url),
        _ => return None,
    };
    let path = literal(path)?;
    Some((
        if path.is_empty() { "/".to_owned() } else { path },
        base.to_owned(),
    ))
}

pub(super) fn reverse(reading: &mut Reading, node: &Node, host: &mut Host, context: &Context) -> Outcome {
    let (path, args) = located(node, context)?;
    let Some((url, more)) = args.split_first() else {
        return Err(node.wrong(Mistake::new("names no address")));
    };
    if let Some(word) = more.first() {
        reading.warn(
            word,
            &node.name.text,
            format!("asks for {}, which Carme does not do", word.text),
        );
    }
    let is_known = match url.text.starts_with("balancer://") {
        true => pool_of_url(&url.text).is_some(),
        false => reverse_from(&url.text)
            .map(|_| true)
            .map_err(|mistake| node.wrong_arg(url, mistake))?,
    };
    if !is_known {
        return Err(node.wrong_arg(
            url,
            Mistake::new("names no balancer").cure("write balancer://cluster/"),
        ));
    }
    host.proxy
        .reverse
        .push((path.value.script_name().to_owned(), url.clone()));
    Ok(())
}

fn pair(node: &Node) -> Result<(String, String), crate::problem::Problem> {
    let (from, to) = (node.arg(0)?, node.arg(1)?);
    attribute(&from.text, &to.text).map_err(|mistake| node.wrong_arg(from, mistake))?;
    Ok((from.text.clone(), to.text.clone()))
}

pub(super) fn cookie_domain(_: &mut Reading, node: &Node, host: &mut Host, _: &Context) -> Outcome {
    host.proxy.cookie_domains.push(pair(node)?);
    Ok(())
}

pub(super) fn cookie_path(_: &mut Reading, node: &Node, host: &mut Host, _: &Context) -> Outcome {
    host.proxy.cookie_paths.push(pair(node)?);
    Ok(())
}

pub(super) fn preserve_host(_: &mut Reading, node: &Node, host: &mut Host, _: &Context) -> Outcome {
    host.proxy.preserve_host = Some(node.switch()?);
    Ok(())
}

pub(super) fn add_headers(_: &mut Reading, node: &Node, host: &mut Host, _: &Context) -> Outcome {
    host.proxy.add_headers = Some(node.switch()?);
    Ok(())
}

pub(super) fn via(_: &mut Reading, node: &Node, host: &mut Host, _: &Context) -> Outcome {
    host.proxy.via = Some(node.parsed(Via::parse)?);
    Ok(())
}

/// `ProxyErrorOverride On [STATUS…]`
pub(super) fn error_override(_: &mut Reading, node: &Node, host: &mut Host, _: &Context) -> Outcome {
    let on = node.switch()?;
    let mut statuses = Vec::new();
    for word in &node.args[1..] {
        match word.text.parse() {
            Ok(status @ 400..=599) => statuses.push(status),
            _ => {
                let mistake =
                    Mistake::new(format!("must be a status from 400 to 599, found {:?}", word.text));
                return Err(node.wrong_arg(word, mistake));
            }
        }
    }
    host.proxy.override_errors = Some(match (on, statuses.is_empty()) {
        (false, _) => ErrorOverride::Off,
        (true, true) => ErrorOverride::All,
        (true, false) => ErrorOverride::Statuses(statuses),
    });
    Ok(())
}

pub(super) fn timeout(_: &mut Reading, node: &Node, host: &mut Host, _: &Context) -> Outcome {
    host.proxy.timeout = Some(node.parsed(time::seconds)?);
    Ok(())
}

pub(super) fn requests(_: &mut Reading, node: &Node, _: &mut Host, _: &Context) -> Outcome {
    match node.switch()? {
        false => Ok(()),
        true => Err(node.wrong(
            Mistake::new("makes a proxy for clients, which Carme is not").cure("write ProxyRequests Off"),
        )),
    }
}

/// `TraceEnable On|Off|Extended`; of what nobody else answers Carme answers no `TRACE` anyway.
pub(super) fn trace(reading: &mut Reading, node: &Node, host: &mut Host, _: &Context) -> Outcome {
    let word = node.arg(0)?;
    host.proxy.trace = Some(match word.text.to_ascii_lowercase().as_str() {
        "on" => true,
        "off" => false,
        "extended" => {
            let why = "is as On: a TRACE with content is refused";
            reading.warn(word, &node.name.text, why);
            true
        }
        _ => {
            let what = format!("must be On, Off or Extended, found {:?}", word.text);
            return Err(node.wrong_arg(word, Mistake::new(what)));
        }
    });
    Ok(())
}

impl ProxyOptions {
    /// What holds at a host: its own, then the server's.
    pub(super) fn within(&self, outer: &ProxyOptions) -> ProxyOptions {
        let both = |inner: &[(String, String)], outer: &[(String, String)]| [inner, outer].concat();
        ProxyOptions {
            preserve_host: self.preserve_host.or(outer.preserve_host),
            add_headers: self.add_headers.or(outer.add_headers),
            via: self.via.or(outer.via),
            trace: self.trace.or(outer.trace),
            override_errors: self
                .override_errors
                .clone()
                .or_else(|| outer.override_errors.clone()),
            timeout: self.timeout.or(outer.timeout),
            reverse: [self.reverse.clone(), outer.reverse.clone()].concat(),
            cookie_domains: both(&self.cookie_domains, &outer.cookie_domains),
            cookie_paths: both(&self.cookie_paths, &outer.cookie_paths),
            verify: self.verify.or(outer.verify),
            ca: self.ca.clone().or_else(|| outer.ca.clone()),
        }
    }
}

/// The pool and the path that a `ProxyPassReverse` names.
pub(super) fn reversed(url: &str) -> Option<(String, String)> {
    pool_of_url(url)
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn expressions_that_are_paths() {
        for (regex, url, expected) in [
            ("^/(.*)$", "http://a/$1", Some(("/", "http://a/"))),
            ("^(/.*)$", "balancer://c$1", Some(("/", "balancer://c"))),
            ("^/app/(.*)$", "http://a/x/$1", Some(("/app/", "http://a/x/"))),
            ("^/app(/.*)$", "http://a/x$1", Some(("/app", "http://a/x"))),
            ("^/static/", "!", Some(("/static/", "!"))),
            ("^/a\\.b/(.*)$", "http://a/$1", Some(("/a.b/", "http://a/"))),
            ("^/(.*\\.gif)$", "http://a/$1", None),
            ("^/app(.*)$", "http://a/$1", None),
            ("/app/(.*)$", "http://a/$1", None),
            ("^/(a|b)/(.*)$", "http://a/$2", None),
            ("^/app/(.*)$", "http://a/", None),
        ] {
            let expected = expected.map(|(path, url)| (path.to_owned(), url.to_owned()));
            assert_eq!(plain(regex, url), expected, "{regex} {url}");
        }
    }
}
