//! `<Proxy balancer://…>`, `BalancerMember`, `ProxySet`, and the health checks' templates.

use std::time::Duration;

use super::lexer::Word;
use super::parameters;
use super::reading::{Context, Host, Outcome, Reading};
use super::requests::{literal, regex_text};
use super::source::Node;
use super::time;
use crate::balancer::{
    Balancer, Failover, HealthCheck, HealthExpect, HealthMethod, Member, MemberUrl, Method,
    authority_and_path, upstream_path,
};
use crate::draft::At;
use crate::problem::{Mistake, Problem};
use crate::toml_file::bounds;

/// A balancer, or the one member that a `ProxyPass` names by itself.
pub(super) struct Pool {
    pub(super) name: At<String>,
    pub(super) balancer: Balancer,
    pub(super) members: Vec<MemberLine>,
    /// `stickysessionsep` and `scolonpathdelim`, which may come before what they belong to.
    pub(super) separator: Option<Option<char>>,
    pub(super) semicolon: Option<bool>,
}

/// A member with what of it was said.
pub(super) struct MemberLine {
    pub(super) place: At<()>,
    pub(super) member: Member,
    pub(super) timeout: Option<Duration>,
    pub(super) connect_timeout: Option<Duration>,
    pub(super) flush_wait: Option<Duration>,
}

/// A balancer's name as Carme has it.
fn plain_name(text: &str) -> String {
    let plain = |c: char| match c.to_ascii_lowercase() {
        c if c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' => c,
        _ => '_',
    };
    text.chars().map(plain).collect()
}

/// The pool of an address and the path there, if it can be one.
pub(super) fn pool_of_url(url: &str) -> Option<(String, String)> {
    let (scheme, rest) = url.split_once("://")?;
    let (authority, path) = authority_and_path(rest);
    let name = plain_name(authority);
    if name.is_empty() {
        return None;
    }
    let name = match scheme.eq_ignore_ascii_case("balancer") {
        true => name,
        false => {
            let url = MemberUrl::parse(&format!("{scheme}://{authority}")).ok()?;
            plain_name(&format!("{}_{}", url.host, url.port))
        }
    };
    Some((name, path.to_owned()))
}

/// The pool that an address names, and the path there without a slash at its end. A plain address makes one.
pub(super) fn target(reading: &mut Reading, node: &Node, url: &Word) -> Result<(String, String), Problem> {
    let wrong = |mistake| node.wrong_arg(url, mistake);
    if let Some(rest) = url.text.strip_prefix("unix:") {
        let parsed = MemberUrl::parse(&url.text).map_err(wrong)?;
        let name = plain_name(rest.split('|').next().unwrap_or(rest))
            .trim_matches('_')
            .to_owned();
        let path = parsed.path.clone();
        let member = MemberUrl {
            path: String::new(),
            ..parsed
        };
        alone(reading, node, url, &name, member);
        return Ok((name, path));
    }
    let Some((scheme, rest)) = url.text.split_once("://") else {
        return Err(wrong(Mistake::new(format!(
            "must be an address such as \"http://10.0.0.1:9001/\" or \"balancer://cluster/\", found {:?}",
            url.text
        ))));
    };
    let (authority, path) = authority_and_path(rest);
    let path = match path {
        "" => String::new(),
        path => upstream_path(path).map_err(wrong)?,
    };
    if scheme.eq_ignore_ascii_case("balancer") {
        if authority.is_empty() {
            return Err(wrong(
                Mistake::new("names no balancer").cure("write balancer://cluster/"),
            ));
        }
        let name = plain_name(authority);
        pool(reading, node, url, &name);
        return Ok((name, path));
    }
    let plain = scheme.to_ascii_lowercase();
    let scheme = match plain.as_str() {
        "ws" => "http",
        "wss" => "https",
        other => other,
    };
    let member = MemberUrl::parse(&format!("{scheme}://{authority}")).map_err(wrong)?;
    let name = plain_name(&format!("{}_{}", member.host, member.port));
    alone(reading, node, url, &name, member);
    Ok((name, path))
}

/// The pool of this name; it is made if it is not there yet: `ProxyPass` may come before `<Proxy>`.
fn pool<'r>(reading: &'r mut Reading, node: &Node, word: &Word, name: &str) -> &'r mut Pool {
    let at = reading
        .pools
        .iter()
        .position(|pool| pool.name.value == name)
        .unwrap_or_else(|| {
            let mut balancer = Balancer::named(name.to_owned());
            // As Apache has it: by turns, nobody waits unless told to, and what a member has got goes to no other.
            balancer.method = Method::ByRequests;
            balancer.timeout = Duration::ZERO;
            balancer.failover = Failover::Unsent;
            reading.pools.push(Pool {
                name: word.at(&node.name.text, name.to_owned()),
                balancer,
                members: Vec::new(),
                separator: None,
                semicolon: None,
            });
            reading.pools.len() - 1
        });
    &mut reading.pools[at]
}

/// A pool with one member.
fn alone(reading: &mut Reading, node: &Node, word: &Word, name: &str, url: MemberUrl) {
    let pool = pool(reading, node, word, name);
    if pool.members.is_empty() {
        pool.members
            .push(MemberLine::new(word.at(&node.name.text, ()), url));
    }
}

impl MemberLine {
    fn new(place: At<()>, url: MemberUrl) -> Self {
        MemberLine {
            place,
            member: Member::at(url),
            timeout: None,
            connect_timeout: None,
            flush_wait: None,
        }
    }
}

/// `<Proxy balancer://cluster>`
pub(super) fn section(reading: &mut Reading, node: &Node, children: &[Node]) -> Outcome {
    let word = node.arg(0)?.clone();
    let is_all = word.text == "*";
    for child in children {
        let done = match child.name.text.to_ascii_lowercase().as_str() {
            "balancermember" if !is_all => add_member(reading, child, &word, &child.args),
            "proxyset" if !is_all => match child.args.split_first() {
                Some((url, parameters)) if url.text.contains("://") && !url.text.contains('=') => {
                    set_member(reading, child, &word, url, parameters)
                }
                _ => set_all(reading, child, &word, &child.args),
            },
            "require" | "order" | "allow" | "deny" | "addefaultcharset" | "options"
                if child.args.iter().any(|word| word.is("granted") || word.is("all"))
                    || !child.name.is("require") =>
            {
                Ok(())
            }
            _ => {
                let mut nothing = Host::default();
                super::table::directive(reading, child, &mut nothing, &Context::default())
            }
        };
        if let Err(problem) = done {
            reading.problems.push(problem);
        }
    }
    Ok(())
}

/// `BalancerMember balancer://cluster http://…` outside of a section.
pub(super) fn member(reading: &mut Reading, node: &Node, _: &mut Host, _: &Context) -> Outcome {
    let balancer = node.arg(0)?.clone();
    if !balancer.text.starts_with("balancer://") {
        let mistake =
            Mistake::new("says not of which balancer").cure("put it into <Proxy balancer://cluster>");
        return Err(node.wrong_arg(&balancer, mistake));
    }
    add_member(reading, node, &balancer, &node.args[1..])
}

fn add_member(reading: &mut Reading, node: &Node, balancer: &Word, args: &[Word]) -> Outcome {
    let (name, _) = target(reading, node, balancer)?;
    let Some((url, parameters)) = args.split_first() else {
        return Err(
            node.wrong(Mistake::new("names no address").cure("write BalancerMember http://10.0.0.1:9001"))
        );
    };
    let plain = url
        .text
        .replacen("wss://", "https://", 1)
        .replacen("ws://", "http://", 1);
    let parsed = MemberUrl::parse(&plain).map_err(|mistake| node.wrong_arg(url, mistake))?;
    let pool = pool(reading, node, balancer, &name);
    if !pool.members.iter().any(|line| line.member.url == parsed) {
        pool.members
            .push(MemberLine::new(url.at(&node.name.text, ()), parsed));
    }
    for word in parameters::in_order(parameters) {
        parameters::set(reading, node, word, &plain, &name)?;
    }
    Ok(())
}

/// `ProxySet [URL] key=value…`
pub(super) fn set(reading: &mut Reading, node: &Node, _: &mut Host, context: &Context) -> Outcome {
    let url = node.arg(0)?.clone();
    if !url.text.contains("://") {
        let mistake = match context.location {
            Some(_) => Mistake::new("says not of what").cure("write ProxySet balancer://cluster key=value"),
            None => Mistake::new("names no address").cure("write ProxySet balancer://cluster key=value"),
        };
        return Err(node.wrong_arg(&url, mistake));
    }
    set_all(reading, node, &url, &node.args[1..])
}

fn set_all(reading: &mut Reading, node: &Node, url: &Word, parameters: &[Word]) -> Outcome {
    let (name, _) = target(reading, node, url)?;
    for word in parameters::in_order(parameters) {
        parameters::set(reading, node, word, &url.text, &name)?;
    }
    Ok(())
}

/// `ProxySet URL key=value…` in a balancer's section: one of its members.
fn set_member(
    reading: &mut Reading,
    node: &Node,
    balancer: &Word,
    url: &Word,
    parameters: &[Word],
) -> Outcome {
    let (name, _) = target(reading, node, balancer)?;
    for word in parameters::in_order(parameters) {
        parameters::set(reading, node, word, &url.text, &name)?;
    }
    Ok(())
}

/// `BalancerGrowth`: for all balancers.
pub(super) fn growth(reading: &mut Reading, node: &Node, _: &mut Host, _: &Context) -> Outcome {
    node.parsed(time::number)?;
    reading.warn(
        &node.name,
        &node.name.text,
        "is a bound of Apache's shared memory; Carme needs none",
    );
    Ok(())
}

/// `BalancerPersist`: for all balancers.
pub(super) fn persist(reading: &mut Reading, node: &Node, _: &mut Host, _: &Context) -> Outcome {
    reading.persist = node.switch()?;
    Ok(())
}

/// `ProxyHCTemplate NAME key=value…`
pub(super) fn health_template(reading: &mut Reading, node: &Node, _: &mut Host, _: &Context) -> Outcome {
    let name = node.arg(0)?.text.clone();
    let mut check = HealthCheck::by(HealthMethod::Options);
    let mut is_none = true;
    for word in &node.args[1..] {
        let Some((key, value)) = word.text.split_once('=') else {
            return Err(node.wrong_arg(word, Mistake::new("must be key=value")));
        };
        let method = key.eq_ignore_ascii_case("hcmethod");
        is_none = match method.then(|| HealthMethod::parse(value)) {
            Some(Ok(None)) => true,
            Some(_) => false,
            None => is_none,
        };
        let known = parameters::health(&reading.health_expects, &mut check, key, value)
            .map_err(|mistake| node.wrong_arg(word, mistake))?;
        if !known {
            let mistake = Mistake::new(format!("has the unknown parameter {key:?}"));
            return Err(node.wrong_arg(word, mistake.maybe_cure(parameters::near_health(key))));
        }
    }
    if is_none {
        return Err(node.wrong(Mistake::new("has no hcmethod").cure("add hcmethod=GET")));
    }
    reading.health_templates.insert(name, check);
    Ok(())
}

/// `ProxyHCExpr NAME {EXPRESSION}`
pub(super) fn health_expr(reading: &mut Reading, node: &Node, _: &mut Host, _: &Context) -> Outcome {
    let name = node.arg(0)?.text.clone();
    let first = node.arg(1)?;
    let text: Vec<&str> = node.args[1..].iter().map(|word| word.text.as_str()).collect();
    let expect = expectation(&text.join(" ")).map_err(|mistake| node.wrong_arg(first, mistake))?;
    reading.health_expects.insert(name, expect);
    Ok(())
}

/// What an answer must be: statuses by `=~ /^[23]/` or a comparison, the body by a text that it has or has not.
fn expectation(text: &str) -> Result<HealthExpect, Mistake> {
    let wrong = || {
        Mistake::new(format!("is an expression that checks do not know: {text:?}")).cure(
            "known are %{REQUEST_STATUS} =~ /^[23]/, its comparisons, hc('body') =~ /text/ and !~, joined by &&",
        )
    };
    let plain = text.trim();
    let plain = plain
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'))
        .unwrap_or(plain);
    let mut expect = HealthExpect::default();
    for part in plain.split("&&").map(str::trim) {
        if let Some(rest) = part.strip_prefix("%{REQUEST_STATUS}") {
            let rest = rest.trim();
            match rest.strip_prefix("=~") {
                Some(regex) => {
                    let regex = regex_text(regex.trim()).ok_or_else(wrong)?;
                    expect.statuses.extend(classes(regex).ok_or_else(wrong)?);
                }
                None => {
                    let (operator, number) = rest.split_once(' ').ok_or_else(wrong)?;
                    let status: u16 = number.trim().parse().map_err(|_| wrong())?;
                    let range = match operator {
                        "-eq" | "==" | "=" => (status, status),
                        "-lt" | "<" => (200, status.saturating_sub(1)),
                        "-le" | "<=" => (200, status),
                        _ => return Err(wrong()),
                    };
                    if range.0 < 200 || range.1 > 599 || range.0 > range.1 {
                        return Err(wrong());
                    }
                    expect.statuses.push(range);
                }
            }
        } else if let Some(rest) = part
            .strip_prefix("hc('body')")
            .or_else(|| part.strip_prefix("hc(\"body\")"))
        {
            let rest = rest.trim();
            let (has, regex) = match (rest.strip_prefix("=~"), rest.strip_prefix("!~")) {
                (Some(regex), _) => (true, regex),
                (None, Some(regex)) => (false, regex),
                (None, None) => return Err(wrong()),
            };
            let wanted = regex_text(regex.trim())
                .and_then(literal)
                .filter(|text| !text.is_empty());
            let place = if has {
                &mut expect.contains
            } else {
                &mut expect.lacks
            };
            *place = Some(wanted.ok_or_else(wrong)?);
        } else {
            return Err(wrong());
        }
    }
    Ok(expect)
}

/// `^[234]`, `^2`, `^(2|3)`
fn classes(regex: &str) -> Option<Vec<(u16, u16)>> {
    let rest = regex.strip_prefix('^')?;
    let rest = rest
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(rest);
    let rest = rest
        .strip_prefix('(')
        .and_then(|rest| rest.strip_suffix(')'))
        .unwrap_or(rest);
    let mut classes = Vec::new();
    for c in rest.chars().filter(|c| *c != '|') {
        let class = u16::try_from(c.to_digit(10)?)
            .ok()
            .filter(|class| (2..=5).contains(class))?;
        classes.push((class * 100, class * 100 + 99));
    }
    (!classes.is_empty()).then_some(classes)
}

impl Pool {
    /// The whole balancer and the places of its members.
    pub(super) fn finish(mut self, timeout: Duration) -> (At<String>, Balancer, Vec<At<()>>) {
        if let Some(sticky) = &mut self.balancer.sticky {
            sticky.separator = self.separator.unwrap_or(sticky.separator);
            sticky.semicolon = self.semicolon.unwrap_or(sticky.semicolon);
        }
        let mut places = Vec::new();
        for line in self.members {
            let mut member = line.member;
            member.timeout = line.timeout.unwrap_or(timeout);
            member.connect_timeout = line.connect_timeout.unwrap_or(member.timeout);
            // Apache never keeps more than it may have.
            if let (Some(smax), Some(max)) = (member.pool.smax, member.pool.max) {
                member.pool.smax = Some(smax.min(max.get()));
            }
            if let crate::balancer::Flush::Auto(wait) = &mut member.flush {
                *wait = line.flush_wait.unwrap_or(*wait);
            }
            self.balancer.members.push(member);
            places.push(line.place);
        }
        (self.name, self.balancer, places)
    }

    /// Whether its name is one that Carme can have.
    pub(super) fn check(&self) -> Result<(), Problem> {
        bounds::app_name(&self.name.value).map_err(|mistake| self.name.problem(mistake))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expectations() {
        let shown = |text: &str| {
            let expect = expectation(text).map_err(|mistake| mistake.what)?;
            Ok::<_, String>((expect.statuses, expect.contains, expect.lacks))
        };
        let some = |text: &str| Some(text.to_owned());
        for (text, expected) in [
            (
                "{%{REQUEST_STATUS} =~ /^[234]/}",
                (vec![(200, 299), (300, 399), (400, 499)], None, None),
            ),
            (
                "{hc('body') !~ /Under maintenance/}",
                (vec![], None, some("Under maintenance")),
            ),
            (
                "{%{REQUEST_STATUS} -eq 200 && hc('body') =~ /ok/}",
                (vec![(200, 200)], some("ok"), None),
            ),
            ("%{REQUEST_STATUS} < 500", (vec![(200, 499)], None, None)),
        ] {
            assert_eq!(shown(text), Ok(expected), "{text}");
        }
        for text in [
            "",
            "{true}",
            "{%{REQUEST_STATUS} =~ /x/}",
            "{hc('body') =~ /a.*b/}",
            "{%{REQUEST_STATUS} > 1}",
        ] {
            shown(text).expect_err(text);
        }
    }

    #[test]
    fn pools_of_addresses() {
        for (url, expected) in [
            ("balancer://Cluster/", Some(("cluster", "/"))),
            ("balancer://my.cluster", Some(("my_cluster", ""))),
            ("http://10.0.0.1:9001/a", Some(("10_0_0_1_9001", "/a"))),
            ("http://App", Some(("app_80", ""))),
            ("/a", None),
            ("balancer:///", None),
        ] {
            let expected = expected.map(|(name, path)| (name.to_owned(), path.to_owned()));
            assert_eq!(pool_of_url(url), expected, "{url}");
        }
    }
}
