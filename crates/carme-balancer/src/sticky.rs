//! Sticky sessions: which route a request asks for.
//!
//! `find_session_route`, `get_path_param` and `get_cookie_param` of `mod_proxy_balancer.c`, with their corners: the
//! parameter counts wherever its name and `=` stand in path or query; the parameter comes before the cookie; the route
//! is what follows the first separator, and without one there is none.

/// `stickysession`, `stickysessionsep` and `scolonpathdelim`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StickySession {
    /// The cookie's name.
    pub cookie: String,
    /// The name of the parameter in the path or the query.
    pub parameter: String,
    /// What stands between session and route; `None` (`Off`): the whole value is the route.
    pub separator: Option<char>,
    /// Whether `;` ends a parameter's value too, as mod_jk has it (`/page;jsessionid=abc.r1;lang=de`).
    pub semicolon_delimits: bool,
}

/// A route that a request asks for, and where it stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionRoute<'a> {
    /// The cookie's or parameter's name: `BALANCER_SESSION_STICKY`.
    pub sticky: &'a str,
    /// The route: `BALANCER_SESSION_ROUTE`. May be empty (`ROUTEID=abc.`), and then no member has it.
    pub route: &'a [u8],
}

impl StickySession {
    /// From `COOKIE` or `COOKIE|parameter`, separated by `.` as by default.
    pub fn new(names: &str) -> StickySession {
        let (cookie, parameter) = names.split_once('|').unwrap_or((names, names));
        StickySession {
            cookie: cookie.to_owned(),
            parameter: parameter.to_owned(),
            separator: Some('.'),
            semicolon_delimits: false,
        }
    }

    /// The value of a `Set-Cookie` field that binds the client to a route, for where no header rule of the administrator's
    /// does: `ROUTEID=.www_1; path=/; HttpOnly`.
    pub fn set_cookie(&self, route: &str) -> String {
        let separator = self.separator.map(String::from).unwrap_or_default();
        format!("{}={separator}{route}; path=/; HttpOnly", self.cookie)
    }

    /// The route that a request asks for. `path_and_query` is as in the request line, `cookies` are the values of its
    /// `Cookie` fields.
    pub fn find<'a>(&'a self, path_and_query: &'a [u8], cookies: &[&'a [u8]]) -> Option<SessionRoute<'a>> {
        let (sticky, value) = match self.parameter_value(path_and_query) {
            Some(value) => (self.parameter.as_str(), value),
            None => (
                self.cookie.as_str(),
                cookies
                    .iter()
                    .find_map(|field| cookie_value(field, &self.cookie))?,
            ),
        };
        let route = match self.separator {
            None => value,
            Some(separator) => {
                let mut bytes = [0; 4];
                let separator = separator.encode_utf8(&mut bytes).as_bytes();
                &value[find(value, separator)? + separator.len()..]
            }
        };
        Some(SessionRoute { sticky, route })
    }

    /// `get_path_param`: the first occurrence of the name with `=` and anything after it decides.
    fn parameter_value<'a>(&self, url: &'a [u8]) -> Option<&'a [u8]> {
        let name = self.parameter.as_bytes();
        let is_delimiter =
            |&byte: &u8| byte == b'?' || byte == b'&' || (byte == b';' && self.semicolon_delimits);
        let mut rest = url;
        while let Some(at) = find(rest, name) {
            rest = &rest[at + name.len()..];
            if let Some(value) = rest.strip_prefix(b"=").filter(|value| !value.is_empty()) {
                // `apr_strtok` passes over delimiters at the beginning, so `?id=&a=1` has the value `a=1` in Apache, too.
                let start = value.iter().position(|byte| !is_delimiter(byte))?;
                let value = &value[start..];
                return Some(&value[..value.iter().position(is_delimiter).unwrap_or(value.len())]);
            }
            // `strstr(path + 1, …)`: the byte after the name begins no other occurrence.
            rest = rest.get(1..)?;
        }
        None
    }
}

/// `get_cookie_param`: the value of the first cookie of that name that has one.
fn cookie_value<'a>(field: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let mut from = 0;
    while let Some(at) = find(&field[from..], name.as_bytes()).map(|at| at + from) {
        from = at + 1;
        let starts_here = at == 0 || matches!(field[at - 1], b';' | b',') || is_space(field[at - 1]);
        if !starts_here {
            continue;
        }
        let rest = &field[at + name.len()..];
        let rest = &rest[rest
            .iter()
            .position(|&byte| !is_space(byte))
            .unwrap_or(rest.len())..];
        if let Some(value) = rest.strip_prefix(b"=").filter(|value| !value.is_empty()) {
            return Some(
                &value[..value
                    .iter()
                    .position(|byte| matches!(byte, b';' | b','))
                    .unwrap_or(value.len())],
            );
        }
    }
    None
}

/// C's `isspace`.
fn is_space(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    if needle.is_empty() {
        return None;
    }
    haystack.windows(needle.len()).position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(sticky: &StickySession, url: &str, cookies: &[&str]) -> Option<(String, String)> {
        let cookies: Vec<_> = cookies.iter().map(|cookie| cookie.as_bytes()).collect();
        let found = sticky.find(url.as_bytes(), &cookies)?;
        Some((
            found.sticky.to_owned(),
            String::from_utf8(found.route.to_vec()).unwrap(),
        ))
    }

    #[test]
    fn cookies() {
        let sticky = StickySession::new("ROUTEID");
        for (cookies, expected) in [
            (&[] as &[&str], None),
            (&["ROUTEID=.www_1"], Some("www_1")),
            (&["ROUTEID=abc.www_1"], Some("www_1")),
            (&["ROUTEID=a.b.c"], Some("b.c")),
            (&["ROUTEID=www_1"], None),
            (&["ROUTEID=abc."], Some("")),
            (&["ROUTEID="], None),
            (&["a=1; ROUTEID=.w2; b=2"], Some("w2")),
            (&["a=1,ROUTEID=.w2,b=2"], Some("w2")),
            (&["a=1;ROUTEID \t = .w2"], Some("w2")),
            (&["XROUTEID=.w2"], None),
            (&["XROUTEID=.w2; ROUTEID=.w3"], Some("w3")),
            (&["ROUTEIDX=.w2; ROUTEID=.w3"], Some("w3")),
            (&["routeid=.w2"], None),
            (&["a=1", "ROUTEID=.w4"], Some("w4")),
            // An empty value before the end is taken as it stands: `; ` follows, and the value is empty.
            (&["ROUTEID=; ROUTEID=.w2"], None),
        ] {
            let expected = expected.map(|route: &str| ("ROUTEID".to_owned(), route.to_owned()));
            assert_eq!(route(&sticky, "/", cookies), expected, "{cookies:?}");
        }
    }

    #[test]
    fn parameters_come_before_cookies() {
        let sticky = StickySession::new("JSESSIONID|jsessionid");
        for (url, expected) in [
            ("/a?jsessionid=x.r1", Some(("jsessionid", "r1"))),
            ("/a;jsessionid=x.r1", Some(("jsessionid", "r1"))),
            ("/a;jsessionid=x.r1?q=1", Some(("jsessionid", "r1"))),
            ("/a?q=1&jsessionid=x.r1&z=2", Some(("jsessionid", "r1"))),
            // Without scolonpathdelim a semicolon belongs to the value.
            ("/a;jsessionid=x.r1;lang=de", Some(("jsessionid", "r1;lang=de"))),
            // Apache looks at the text, not at parameters.
            ("/a?myjsessionid=x.r1", Some(("jsessionid", "r1"))),
            ("/jsessionid/b", Some(("JSESSIONID", "c1"))),
            ("/a?jsessionid=", Some(("JSESSIONID", "c1"))),
            // The parameter is there and has no route: the cookie is not looked at.
            ("/a?jsessionid=x", None),
            ("/a?jsessionid=&b=x.r2", Some(("jsessionid", "r2"))),
            ("/a?jsessionid=&", None),
        ] {
            let expected = expected.map(|(name, route)| (name.to_owned(), route.to_owned()));
            // Where the parameter is nothing but delimiters Apache goes on to the cookie.
            let expected = if url.ends_with("=&") {
                Some(("JSESSIONID".into(), "c1".into()))
            } else {
                expected
            };
            assert_eq!(route(&sticky, url, &["JSESSIONID=x.c1"]), expected, "{url}");
        }
    }

    #[test]
    fn a_cookie_that_was_set_asks_for_its_route() {
        for separator in [Some('.'), Some('!'), None] {
            let sticky = StickySession {
                separator,
                ..StickySession::new("ROUTEID")
            };
            let cookie = sticky.set_cookie("www_1");
            let sent_back = cookie.split(';').next().unwrap();
            assert_eq!(
                route(&sticky, "/", &[sent_back]),
                Some(("ROUTEID".into(), "www_1".into())),
                "{cookie}"
            );
        }
        assert_eq!(StickySession::new("R").set_cookie("b"), "R=.b; path=/; HttpOnly");
    }

    #[test]
    fn separators_and_semicolons() {
        let mut sticky = StickySession::new("id");
        sticky.semicolon_delimits = true;
        assert_eq!(
            route(&sticky, "/a;id=x.r1;lang=de", &[]),
            Some(("id".into(), "r1".into()))
        );
        sticky.separator = Some('!');
        assert_eq!(
            route(&sticky, "/a?id=x.y!r1", &[]),
            Some(("id".into(), "r1".into()))
        );
        sticky.separator = None;
        assert_eq!(
            route(&sticky, "/a?id=x.y!r1", &[]),
            Some(("id".into(), "x.y!r1".into()))
        );
    }
}
