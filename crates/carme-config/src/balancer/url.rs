//! Where a member is.

use std::fmt;
use std::path::PathBuf;

use crate::nearest::did_you_mean;
use crate::problem::Mistake;

/// A member's address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MemberUrl {
    /// What is spoken to it.
    pub scheme: MemberScheme,
    /// Its host: a name in lower case, an IPv4 address, or an IPv6 address in brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// What its paths begin with; empty, or with a slash at its beginning and none at its end.
    pub path: String,
    /// A Unix socket by which it is reached instead of host and port.
    pub socket: Option<PathBuf>,
}

/// What is spoken to a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MemberScheme {
    /// `http`: HTTP/1.1
    Http,
    /// `https`: HTTP/1.1 over TLS
    Https,
    /// `h2c`: HTTP/2 from the first byte
    H2c,
    /// `h2`: HTTP/2 over TLS
    H2,
}

const SCHEMES: [(&str, MemberScheme); 4] = [
    ("http", MemberScheme::Http),
    ("https", MemberScheme::Https),
    ("h2c", MemberScheme::H2c),
    ("h2", MemberScheme::H2),
];

impl MemberScheme {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            MemberScheme::Http => "http",
            MemberScheme::Https => "https",
            MemberScheme::H2c => "h2c",
            MemberScheme::H2 => "h2",
        }
    }

    /// Whether it is over TLS.
    pub fn is_secure(self) -> bool {
        matches!(self, MemberScheme::Https | MemberScheme::H2)
    }

    fn port(self) -> u16 {
        if self.is_secure() { 443 } else { 80 }
    }
}

/// What stands before and from the first slash on.
pub(crate) fn authority_and_path(text: &str) -> (&str, &str) {
    text.find('/').map_or((text, ""), |at| text.split_at(at))
}

impl MemberUrl {
    /// Reads `http://10.0.0.1:9001`, `https://app.internal/base`, `h2c://…`, `h2://…`, and
    /// `unix:/run/app.sock|http://localhost/`.
    ///
    /// # Errors
    /// What is wrong and what to write.
    pub fn parse(text: &str) -> Result<Self, Mistake> {
        let wrong = || {
            Mistake::new(format!(
                "must be an address such as \"http://10.0.0.1:9001\", found {text:?}"
            ))
        };
        let (socket, url) = match text.strip_prefix("unix:").map(|rest| rest.split_once('|')) {
            None => (None, text),
            Some(Some((socket, url))) if socket.starts_with('/') => (Some(PathBuf::from(socket)), url),
            Some(_) => {
                return Err(wrong().cure("write \"unix:/run/app.sock|http://localhost/\""));
            }
        };
        if socket.is_some() && cfg!(windows) {
            return Err(Mistake::new(format!(
                "is a Unix socket, which Windows does not have: {text:?}"
            )));
        }
        let Some((scheme, rest)) = url.split_once("://") else {
            return Err(wrong().cure(format!("write \"http://{url}\"")));
        };
        let lower = scheme.to_ascii_lowercase();
        let Some((_, scheme)) = SCHEMES.iter().find(|(name, _)| *name == lower) else {
            let cure = match lower.as_str() {
                "ajp" | "fcgi" | "scgi" | "uwsgi" | "ftp" => {
                    Some("only HTTP is spoken to members: http, https, h2c and h2".to_owned())
                }
                "ws" => Some("write http: WebSockets are passed on where they are asked for".to_owned()),
                "wss" => Some("write https: WebSockets are passed on where they are asked for".to_owned()),
                _ => did_you_mean(&lower, SCHEMES.map(|(name, _)| name)),
            };
            return Err(wrong().maybe_cure(cure));
        };
        let (authority, path) = authority_and_path(rest);
        if authority.contains('@') {
            return Err(wrong().cure("leave user and password out: Carme does not send them"));
        }
        if let Some(odd) = path
            .chars()
            .find(|c| !c.is_ascii_graphic() || matches!(c, '?' | '#'))
        {
            return Err(wrong().cure(format!("a member's path is without {odd:?}")));
        }
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => match port.parse::<u16>() {
                Ok(port) if port > 0 => (host, port),
                _ => return Err(wrong().cure("the port is a number from 1 to 65535")),
            },
            _ => (authority, scheme.port()),
        };
        Ok(MemberUrl {
            scheme: *scheme,
            host: host_name(host).ok_or_else(wrong)?,
            port,
            path: path.trim_end_matches('/').to_owned(),
            socket,
        })
    }

    /// As `Host` has it: without the port that goes without saying.
    pub fn authority(&self) -> String {
        match self.port == self.scheme.port() {
            true => self.host.clone(),
            false => format!("{}:{}", self.host, self.port),
        }
    }
}

fn host_name(text: &str) -> Option<String> {
    if let Some(inner) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
        let address: std::net::Ipv6Addr = inner.parse().ok()?;
        return Some(format!("[{address}]"));
    }
    let is_label = |label: &str| {
        !label.is_empty()
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    text.trim_end_matches('.')
        .split('.')
        .all(is_label)
        .then(|| text.trim_end_matches('.').to_ascii_lowercase())
}

/// As it is written, with the port only where it does not go without saying.
impl fmt::Display for MemberUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(socket) = &self.socket {
            write!(f, "unix:{}|", socket.display())?;
        }
        write!(f, "{}://{}{}", self.scheme.as_str(), self.authority(), self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::MemberUrl;

    #[test]
    fn addresses() {
        for (text, printed) in [
            ("http://192.168.0.10:9001", "http://192.168.0.10:9001"),
            ("HTTP://App.Internal:80/", "http://app.internal"),
            ("https://app.internal:443/base/", "https://app.internal/base"),
            ("h2c://[::1]:9001", "h2c://[::1]:9001"),
            ("h2://app.", "h2://app"),
        ] {
            let url = MemberUrl::parse(text).unwrap_or_else(|mistake| panic!("{text}: {mistake:?}"));
            assert_eq!(url.to_string(), printed);
            assert_eq!(MemberUrl::parse(&url.to_string()), Ok(url), "{text}");
        }
        let url = MemberUrl::parse("unix:/run/app.sock|http://localhost/");
        match cfg!(windows) {
            true => assert!(url.is_err()),
            false => assert_eq!(
                url.expect("an address").to_string(),
                "unix:/run/app.sock|http://localhost"
            ),
        }
    }

    #[test]
    fn mistakes() {
        for (text, cure) in [
            ("192.168.0.10:9001", Some("write \"http://192.168.0.10:9001\"")),
            (
                "ajp://a:8009",
                Some("only HTTP is spoken to members: http, https, h2c and h2"),
            ),
            ("htpp://a", Some("did you mean `http`?")),
            (
                "ws://a",
                Some("write http: WebSockets are passed on where they are asked for"),
            ),
            ("http://a:b", Some("the port is a number from 1 to 65535")),
            ("http://a:0", Some("the port is a number from 1 to 65535")),
            (
                "http://u:p@a",
                Some("leave user and password out: Carme does not send them"),
            ),
            ("http://a/x?y", Some("a member's path is without '?'")),
            (
                "unix:/run/a.sock",
                Some("write \"unix:/run/app.sock|http://localhost/\""),
            ),
            ("http://", None),
            ("http://a b", None),
            ("http://[::x]", None),
        ] {
            let mistake = MemberUrl::parse(text).expect_err(text);
            assert_eq!(mistake.cure.as_deref(), cure, "{text}");
            assert!(mistake.what.contains(&format!("{text:?}")), "{}", mistake.what);
        }
    }
}
