//! The names of an app's workers.

use std::fmt;

use crate::problem::Mistake;

/// A pattern such as `www_{n}`, where `{n}` is the worker's number from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoutePattern {
    before: String,
    after: String,
}

const NUMBER: &str = "{n}";

impl RoutePattern {
    /// Reads a pattern. It holds `{n}` once and otherwise letters, digits, `_` and `-`: a route ends up in
    /// cookies behind a dot, and in log lines between spaces.
    ///
    /// # Errors
    /// What is wrong and what to write.
    pub fn parse(text: &str) -> Result<Self, Mistake> {
        let Some((before, after)) = text.split_once(NUMBER) else {
            let cure = match text {
                _ if text.contains("%d") => text.replacen("%d", NUMBER, 1),
                _ if text.contains("{}") => text.replacen("{}", NUMBER, 1),
                _ => format!("{text}_{NUMBER}"),
            };
            return Err(Mistake::new(format!(
                "must contain {NUMBER}, the worker's number, found {text:?}"
            ))
            .cure(format!("write \"{cure}\"")));
        };
        if after.contains(NUMBER) {
            return Err(Mistake::new(format!(
                "must contain {NUMBER} only once, found {text:?}"
            )));
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if let Some(odd) = before.chars().chain(after.chars()).find(|c| !plain(*c)) {
            return Err(Mistake::new(format!(
                "must consist of letters, digits, \"_\", \"-\" and {NUMBER}, found {odd:?} in {text:?}"
            )));
        }
        Ok(RoutePattern {
            before: before.to_owned(),
            after: after.to_owned(),
        })
    }

    /// The default for an app: `NAME_{n}`.
    pub fn for_app(name: &str) -> Self {
        RoutePattern {
            before: format!("{name}_"),
            after: String::new(),
        }
    }

    /// The route of worker `number`, counted from 1.
    pub fn route(&self, number: usize) -> String {
        format!("{}{number}{}", self.before, self.after)
    }
}

impl fmt::Display for RoutePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{NUMBER}{}", self.before, self.after)
    }
}

#[cfg(test)]
mod tests {
    use super::RoutePattern;

    #[test]
    fn patterns() {
        assert_eq!(
            RoutePattern::parse("www_{n}").expect("a pattern").route(3),
            "www_3"
        );
        assert_eq!(
            RoutePattern::parse("a{n}-b").expect("a pattern").route(12),
            "a12-b"
        );
        assert_eq!(RoutePattern::for_app("site").to_string(), "site_{n}");
        for (text, what, cure) in [
            (
                "www",
                "must contain {n}, the worker's number, found \"www\"",
                Some("write \"www_{n}\""),
            ),
            (
                "www%d",
                "must contain {n}, the worker's number, found \"www%d\"",
                Some("write \"www{n}\""),
            ),
            (
                "w{}",
                "must contain {n}, the worker's number, found \"w{}\"",
                Some("write \"w{n}\""),
            ),
            ("{n}{n}", "must contain {n} only once, found \"{n}{n}\"", None),
            (
                "w.{n}",
                "must consist of letters, digits, \"_\", \"-\" and {n}, found '.' in \"w.{n}\"",
                None,
            ),
        ] {
            let mistake = RoutePattern::parse(text).expect_err(text);
            assert_eq!(
                (mistake.what.as_str(), mistake.cure.as_deref()),
                (what, cure),
                "{text}"
            );
        }
    }
}
