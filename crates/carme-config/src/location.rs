//! What answers at a host and a path, and what else holds there.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use crate::balancer::Proxying;
use crate::header_rule::HeaderRule;
use crate::mount::MountPath;
use crate::problem::Mistake;
use crate::units::ByteSize;
use crate::variable::VariableRule;

/// `[[locations]]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The names that it answers to; `None`: to all.
    pub host: Option<HostPattern>,
    /// The paths that it answers.
    pub path: MountPath,
    /// Who answers.
    pub answer: Answer,
    /// What the server has, and then what this location adds to it.
    pub policy: Policy,
}

/// Who answers at a location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// `app`: an index into [`Config::apps`](crate::Config::apps).
    App(usize),
    /// `balancer`
    Balancer(Proxying),
    /// `files`
    Files(Files),
    /// `redirect`
    Redirect {
        /// `status`: 301, 302, 303, 307 or 308.
        status: u16,
        /// Where to, perhaps with placeholders.
        target: String,
    },
    /// `respond`
    Respond {
        /// Its status, 200 to 599.
        status: u16,
        /// Its body.
        body: String,
        /// Its `Content-Type`.
        content_type: String,
    },
}

/// A folder whose files are served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// The folder; it exists.
    pub folder: PathBuf,
    /// `index`: names that answer for their folder.
    pub index: Vec<String>,
    /// `fallback`: what answers for what is not there.
    pub fallback: Option<String>,
    /// `follow_links`: links may lead out of the folder.
    pub follow_links: bool,
    /// `hidden`: names that begin with a dot are served.
    pub hidden: bool,
    /// `precompressed`: `.br`, `.zst` and `.gz` beside a file are its variants.
    pub precompressed: bool,
    /// `cache`, as a `Cache-Control` field.
    pub cache: Option<String>,
    /// `immutable`: patterns of paths that never change.
    pub immutable: Vec<String>,
    /// `media_types`: `Content-Type` by the end of a file's name, which begins with a dot.
    pub media_types: BTreeMap<String, String>,
}

/// What is done to requests and responses on their way.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    /// `compress`; `None` is off.
    pub compress: Option<Compress>,
    /// `variables`: unlike everything else, those of the server are not in a location's. They come before.
    pub variables: Vec<VariableRule>,
    /// `request_headers`
    pub request_headers: Vec<HeaderRule>,
    /// `response_headers`
    pub response_headers: Vec<HeaderRule>,
}

/// `compress = { … }`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compress {
    /// `min_size`: shorter bodies stay as they are.
    pub min_size: ByteSize,
    /// `types`: media types; the usual ones if there are none.
    pub types: Vec<String>,
    /// `even_private`: also where a cookie or credentials are involved.
    pub even_private: bool,
}

/// A host name in lower case, or `*.` and the end of names.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HostPattern(String);

impl HostPattern {
    /// Reads a host as it stands in a browser's address line.
    ///
    /// # Errors
    /// What is wrong and what to write.
    pub fn parse(text: &str) -> Result<Self, Mistake> {
        let wrong = || {
            Mistake::new(format!(
                "must be a host such as \"www.example.com\" or \"*.example.com\", found {text:?}"
            ))
        };
        let alone = text.split_once("://").map_or(text, |(_, rest)| rest);
        let alone = alone.split('/').next().unwrap_or(alone);
        let (name, port) = match alone.rsplit_once(':') {
            Some((name, port)) if !name.contains(':') || name.ends_with(']') => (name, Some(port)),
            _ => (alone, None),
        };
        if port.is_some() || alone != text {
            return Err(wrong().cure(format!(
                "write the host alone, without scheme, port and path: \"{name}\""
            )));
        }
        if text == "*" || text.is_empty() {
            return Err(wrong().cure("leave `host` out: the location then answers to every host"));
        }
        if !text.is_ascii() {
            return Err(wrong().cure("write the name as the network knows it, beginning with xn--"));
        }
        if text.starts_with('[') {
            let address = text.trim_start_matches('[').trim_end_matches(']');
            return match address.parse::<std::net::Ipv6Addr>() {
                Ok(address) => Ok(HostPattern(format!("[{address}]"))),
                Err(_) => Err(wrong()),
            };
        }
        let labels = text.strip_prefix("*.").unwrap_or(text);
        let labels = labels.strip_suffix('.').unwrap_or(labels);
        if labels.contains('*') {
            return Err(wrong().cure("a \"*\" stands at the beginning, for whole labels: \"*.example.com\""));
        }
        let is_label = |label: &str| {
            !label.is_empty()
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        };
        if !labels.split('.').all(is_label) {
            return Err(wrong());
        }
        Ok(HostPattern(text.trim_end_matches('.').to_ascii_lowercase()))
    }

    /// As it was written, in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is a name, and how long its wildcard is: what is larger comes first.
    pub(crate) fn rank(&self) -> (u8, usize) {
        match self.0.strip_prefix('*') {
            Some(suffix) => (1, suffix.len()),
            None => (2, 0),
        }
    }

    /// Whether it answers to this host, which is without port.
    pub fn answers(&self, host: &str) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        match self.0.strip_prefix('*') {
            Some(suffix) => host.len() > suffix.len() && host.ends_with(suffix),
            None => host == self.0,
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::HostPattern;

    #[test]
    fn hosts() {
        for (pattern, host, answers) in [
            ("example.com", "EXAMPLE.com", true),
            ("Example.com.", "example.com", true),
            ("example.com", "example.com.", true),
            ("example.com", "www.example.com", false),
            ("*.example.com", "www.example.com", true),
            ("*.example.com", "a.b.example.com", true),
            ("*.example.com", "example.com", false),
            ("*.example.com", "badexample.com", false),
            ("[::1]", "[::1]", true),
            ("127.0.0.1", "127.0.0.1", true),
        ] {
            let pattern = HostPattern::parse(pattern).expect(pattern);
            assert_eq!(pattern.answers(host), answers, "{pattern} {host}");
        }
    }

    #[test]
    fn mistakes() {
        for (text, cure) in [
            (
                "example.com:80",
                Some("write the host alone, without scheme, port and path: \"example.com\""),
            ),
            (
                "https://example.com/a",
                Some("write the host alone, without scheme, port and path: \"example.com\""),
            ),
            (
                "*",
                Some("leave `host` out: the location then answers to every host"),
            ),
            (
                "",
                Some("leave `host` out: the location then answers to every host"),
            ),
            (
                "a.*.com",
                Some("a \"*\" stands at the beginning, for whole labels: \"*.example.com\""),
            ),
            (
                "*example.com",
                Some("a \"*\" stands at the beginning, for whole labels: \"*.example.com\""),
            ),
            (
                "bücher.example",
                Some("write the name as the network knows it, beginning with xn--"),
            ),
            ("a b", None),
            ("a..b", None),
            ("[::x]", None),
        ] {
            let mistake = HostPattern::parse(text).expect_err(text);
            assert_eq!(mistake.cure.as_deref(), cure, "{text}");
        }
    }
}
