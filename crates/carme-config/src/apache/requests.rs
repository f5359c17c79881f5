//! Which requests something is about, as far as Carme's logs can tell: by path, status and variable.

use carme_log::Condition;

use crate::env_file;
use crate::mount::MountPath;
use crate::problem::Mistake;

/// All of these must hold, each by one of its values; what is empty says nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Requests {
    pub(super) paths: Vec<MountPath>,
    pub(super) statuses: Vec<(u16, u16)>,
    pub(super) env: Vec<String>,
}

/// `only` and `except` of an access log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct LogRequests {
    pub(super) only: Vec<Requests>,
    pub(super) except: Vec<Requests>,
}

impl Requests {
    pub(super) fn variable(name: &str) -> Self {
        Requests {
            env: vec![name.to_owned()],
            ..Requests::default()
        }
    }

    pub(super) fn below(path: MountPath) -> Self {
        Requests {
            paths: vec![path],
            ..Requests::default()
        }
    }

    fn condition(&self) -> Condition {
        let paths = self.paths.iter().map(|path| Condition::path(path.script_name()));
        let statuses = self
            .statuses
            .iter()
            .map(|(first, last)| Condition::status(*first..=*last));
        let env = self.env.iter().map(|name| Condition::variable(name));
        let lists: [Vec<Condition>; 3] = [paths.collect(), statuses.collect(), env.collect()];
        Condition::all(
            lists
                .into_iter()
                .filter(|list| !list.is_empty())
                .map(Condition::any),
        )
    }
}

impl LogRequests {
    /// As `carme.toml` would have it.
    pub(super) fn condition(&self) -> Option<Condition> {
        let any = |requests: &[Requests]| match requests {
            [] => None,
            some => Some(Condition::any(some.iter().map(Requests::condition))),
        };
        match (any(&self.only), any(&self.except).map(Condition::not)) {
            (Some(only), Some(except)) => Some(Condition::all([only, except])),
            (only, except) => only.or(except),
        }
    }
}

/// The path below which an expression holds: `^/static/`, `^/static(/|$)`, `^/favicon\.ico$`, `^/a/.*$`. `None` for
/// what is no such path.
pub(super) fn path_of(expression: &str) -> Option<MountPath> {
    let mut rest = expression.strip_prefix('^')?;
    for end in ["(.*)$", "(.*)", ".*$", ".*", "$", "(/|$)", "(?:/|$)", "($|/)"] {
        if let Some(shorter) = rest.strip_suffix(end).filter(|shorter| !shorter.ends_with('\\')) {
            rest = shorter;
            break;
        }
    }
    literal(rest).and_then(|path| MountPath::parse(&path).ok())
}

/// The text that an expression without anything special stands for.
pub(super) fn literal(expression: &str) -> Option<String> {
    let mut text = String::new();
    let mut characters = expression.chars();
    while let Some(c) = characters.next() {
        match c {
            '\\' => match characters.next()? {
                c if c.is_ascii_alphanumeric() => return None,
                c => text.push(c),
            },
            '.' | '*' | '+' | '?' | '[' | ']' | '(' | ')' | '{' | '}' | '|' | '^' | '$' => return None,
            c => text.push(c),
        }
    }
    Some(text)
}

/// `expr=` of a log: a comparison of the status, or a path.
pub(super) fn expression(text: &str) -> Result<LogRequests, Mistake> {
    let wrong = || {
        Mistake::new(format!("is an expression that Carme does not know: {text:?}")).cure(
            "known are comparisons of %{REQUEST_STATUS} (-ge, >=, -eq, …), %{REQUEST_URI} =~ m#^/path#, %{HTTPS} == 'on', and \
             -n or -z of reqenv('NAME') or %{ENV:NAME}",
        )
    };
    let mut plain = text.trim();
    let mut not = false;
    while let Some(rest) = plain
        .strip_prefix('!')
        .filter(|rest| !rest.starts_with(['=', '~']))
    {
        not = !not;
        plain = rest.trim();
    }
    plain = plain
        .strip_prefix('(')
        .and_then(|rest| rest.strip_suffix(')'))
        .unwrap_or(plain)
        .trim();
    let requests = if let Some((name, is_set)) = variable(plain) {
        env_file::check_key(name)?;
        not ^= !is_set;
        Requests::variable(name)
    } else if let Some(rest) = plain.strip_prefix("%{REQUEST_STATUS}") {
        let (operator, number) = rest.trim().split_once(' ').ok_or_else(wrong)?;
        let status: u16 = number
            .trim()
            .trim_matches(['\'', '"'])
            .parse()
            .map_err(|_| wrong())?;
        if !(100..=999).contains(&status) {
            return Err(wrong());
        }
        let range = match operator {
            "-eq" | "==" | "=" => Some((status, status)),
            "-ne" | "!=" => {
                not = !not;
                Some((status, status))
            }
            "-ge" | ">=" => Some((status, 999)),
            "-gt" | ">" => (status < 999).then_some((status + 1, 999)),
            "-le" | "<=" => Some((100, status)),
            "-lt" | "<" => (status > 100).then_some((100, status - 1)),
            _ => None,
        };
        Requests {
            statuses: vec![range.ok_or_else(wrong)?],
            ..Requests::default()
        }
    } else if let Some(rest) = plain.strip_prefix("%{REQUEST_URI}") {
        let rest = rest.trim();
        let regex = match (rest.strip_prefix("=~"), rest.strip_prefix("!~")) {
            (Some(regex), _) => regex.trim(),
            (None, Some(regex)) => {
                not = !not;
                regex.trim()
            }
            (None, None) => return Err(wrong()),
        };
        Requests::below(regex_text(regex).and_then(path_of).ok_or_else(wrong)?)
    } else {
        return Err(wrong());
    };
    Ok(match not {
        true => LogRequests {
            except: vec![requests],
            ..LogRequests::default()
        },
        false => LogRequests {
            only: vec![requests],
            ..LogRequests::default()
        },
    })
}

/// The variable that is asked for, and whether it must be set.
fn variable(text: &str) -> Option<(&str, bool)> {
    if let Some(rest) = text.strip_prefix("%{HTTPS}") {
        let (operator, value) = rest.trim().split_once(' ')?;
        return match (operator, value.trim().trim_matches(['\'', '"'])) {
            ("==" | "=" | "-eq" | "-strmatch", "on") | ("!=" | "-ne", "off") => Some(("HTTPS", true)),
            ("!=" | "-ne", "on") | ("==" | "=" | "-eq" | "-strmatch", "off") => Some(("HTTPS", false)),
            _ => None,
        };
    }
    let (plain, is_set) = match (text.strip_prefix("-n "), text.strip_prefix("-z ")) {
        (Some(rest), _) => (rest.trim(), true),
        (_, Some(rest)) => (rest.trim(), false),
        _ => (text, true),
    };
    let call = ["reqenv(", "env("]
        .iter()
        .find_map(|start| plain.strip_prefix(start)?.strip_suffix(')'));
    let braces = ["%{ENV:", "%{reqenv:", "%{env:"]
        .iter()
        .find_map(|start| plain.strip_prefix(start)?.strip_suffix('}'));
    Some((call.or(braces)?.trim_matches(['\'', '"']), is_set))
}

/// What stands between the ends of `/…/`, `m#…#` or `m/…/`.
pub(super) fn regex_text(text: &str) -> Option<&str> {
    let (text, end) = match text.strip_prefix('m') {
        Some(rest) => (rest.get(rest.chars().next()?.len_utf8()..)?, rest.chars().next()?),
        None => (text.strip_prefix('/')?, '/'),
    };
    text.strip_suffix(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_expressions() {
        for (text, path) in [
            ("^/static/", Some("/static")),
            ("^/static", Some("/static")),
            ("^/static(/|$)", Some("/static")),
            ("^/favicon\\.ico$", Some("/favicon.ico")),
            ("^/a/.*$", Some("/a")),
            ("^/(.*)$", Some("/")),
            ("\\.gif$", None),
            ("^/a.c", None),
            ("^/(a|b)/", None),
            ("static", None),
            ("^", None),
        ] {
            assert_eq!(
                path_of(text).map(|path| path.to_string()).as_deref(),
                path,
                "{text}"
            );
        }
    }

    #[test]
    fn expressions_of_logs() {
        let statuses = |text: &str| {
            let requests = expression(text).expect(text);
            let of = |list: &[Requests]| list.first().and_then(|first| first.statuses.first().copied());
            (of(&requests.only), of(&requests.except))
        };
        for (text, expected) in [
            ("%{REQUEST_STATUS} -ge 400", (Some((400, 999)), None)),
            ("%{REQUEST_STATUS} < 400", (Some((100, 399)), None)),
            ("%{REQUEST_STATUS} == '404'", (Some((404, 404)), None)),
            ("%{REQUEST_STATUS} != 404", (None, Some((404, 404)))),
            ("!(%{REQUEST_STATUS} -gt 399)", (None, Some((400, 999)))),
        ] {
            assert_eq!(statuses(text), expected, "{text}");
        }
        for (text, only, except) in [
            ("reqenv('A')", Some("A"), None),
            ("-n %{ENV:A}", Some("A"), None),
            ("-z env('A')", None, Some("A")),
            ("!(-z reqenv(\"A\"))", Some("A"), None),
            ("%{HTTPS} == 'on'", Some("HTTPS"), None),
            ("%{HTTPS} != \"on\"", None, Some("HTTPS")),
            ("%{HTTPS} -strmatch 'off'", None, Some("HTTPS")),
        ] {
            let requests = expression(text).expect(text);
            let of = |list: &[Requests]| list.first().map(|first| first.env.join(" "));
            let found = (of(&requests.only), of(&requests.except));
            assert_eq!((found.0.as_deref(), found.1.as_deref()), (only, except), "{text}");
        }
        let paths = expression("%{REQUEST_URI} !~ m#^/static/#").expect("known");
        assert_eq!(paths.except[0].paths[0].to_string(), "/static");
        for text in [
            "",
            "true",
            "%{REQUEST_STATUS}",
            "%{REQUEST_STATUS} -in {1}",
            "%{TIME} > 3",
            "%{HTTPS}",
            "%{HTTPS} == 'yes'",
            "-n reqenv('A",
            "reqenv('A=B')",
            "%{REQUEST_URI} =~ /x/",
        ] {
            expression(text).expect_err(text);
        }
    }
}
