//! Where the server listens.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use crate::problem::Mistake;

/// One address to listen at.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Bind {
    /// A TCP address; port 0 lets the system choose a free port.
    Tcp(SocketAddr),
    /// The same for clients that speak TLS.
    Tls(SocketAddr),
    /// A Unix socket at an absolute path. Never on Windows.
    Unix(PathBuf),
    /// The sockets that systemd has opened and passed under this name; for clients that speak TLS, or not. Never on Windows.
    Passed {
        /// `FileDescriptorName=` of the socket unit; by default its own name.
        name: String,
        /// Whether clients speak TLS.
        tls: bool,
    },
}

impl Bind {
    /// Reads `127.0.0.1:8000`, `[::1]:8000`, `localhost:8000`, `:8000` (every IPv4 address), each with `https://` before it
    /// for TLS, `unix:PATH`, or `systemd:NAME`.
    /// A relative path is taken from `base`.
    ///
    /// # Errors
    /// What is wrong and what was probably meant.
    pub fn parse(text: &str, base: &Path) -> Result<Self, Mistake> {
        Self::parse_where(text, base, cfg!(unix))
    }

    fn parse_where(text: &str, base: &Path, unix_sockets: bool) -> Result<Self, Mistake> {
        let text = text.trim();
        if let Some(path) = text.strip_prefix("unix:") {
            return match (path, unix_sockets) {
                ("", _) => {
                    Err(Mistake::new("names no path after \"unix:\"").cure("write \"unix:/run/site.sock\""))
                }
                (_, false) => Err(Mistake::new(format!(
                    "is a Unix socket, which Windows does not have: {text:?}"
                ))
                .cure("listen on a TCP address: \"127.0.0.1:8000\"")),
                (path, true) => Ok(Bind::Unix(base.join(path))),
            };
        }
        let (text, tls) = match text.split_at_checked("https://".len()) {
            Some((scheme, address)) if scheme.eq_ignore_ascii_case("https://") => (address, true),
            _ => (text, false),
        };
        if let Some(name) = text.strip_prefix("systemd:") {
            return passed(name, tls, unix_sockets);
        }
        let bound = |address| match tls {
            true => Bind::Tls(address),
            false => Bind::Tcp(address),
        };
        // What was left out of `text` belongs into a cure.
        let scheme = if tls { "https://" } else { "" };
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(bound(address));
        }
        let wrong = || {
            Mistake::new(format!(
                "must be an address such as \"{scheme}127.0.0.1:8000\", found \"{scheme}{text}\""
            ))
        };
        if let Some((_, rest)) = text.split_once("://") {
            let address = rest.trim_end_matches('/');
            return Err(wrong().cure(format!("write \"{scheme}{address}\"")));
        }
        if let (Some(address), true) = (text.strip_suffix('/'), tls) {
            return Err(wrong().cure(format!("write \"{scheme}{address}\"")));
        }
        if text.parse::<u16>().is_ok() {
            return Err(wrong().cure(format!(
                "write \"{scheme}127.0.0.1:{text}\" for this machine alone, \"{scheme}0.0.0.0:{text}\" for everybody"
            )));
        }
        if let Ok(ip) = text.trim_matches(['[', ']']).parse::<IpAddr>() {
            let port = if tls { 443 } else { 8000 };
            let address = SocketAddr::new(ip, port);
            return Err(wrong().cure(format!("name the port too: \"{scheme}{address}\"")));
        }
        let Some((host, port)) = text.rsplit_once(':') else {
            return Err(wrong());
        };
        let Ok(port) = port.parse::<u16>() else {
            return Err(wrong().cure("the port is a number from 0 to 65535 after the last colon"));
        };
        match host {
            "" | "*" => Ok(bound(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port))),
            _ if host.eq_ignore_ascii_case("localhost") => {
                Ok(bound(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port)))
            }
            _ => match host.parse::<IpAddr>() {
                Ok(ip @ IpAddr::V6(_)) => {
                    Err(wrong().cure(format!("write \"{scheme}{}\"", SocketAddr::new(ip, port))))
                }
                _ => Err(wrong().cure(format!(
                    "name an IP address of this machine, or \"{scheme}0.0.0.0:{port}\" for all of them"
                ))),
            },
        }
    }

    /// Whether two servers (or this one, twice) could not have both.
    pub(crate) fn collides(&self, other: &Bind) -> bool {
        match (self.address(), other.address()) {
            (Some(address), Some(other)) => address == other && address.port() != 0,
            _ => self == other,
        }
    }

    /// Whether one cannot be listened at while the other is, although they are not the same.
    pub fn conflicts_with(&self, other: &Bind) -> bool {
        match (self.address(), other.address()) {
            (Some(one), Some(other)) => {
                one.port() == other.port()
                    && one.port() != 0
                    && (one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified())
            }
            _ => self == other,
        }
    }

    /// The TCP port; 0 if the system chooses one, `None` if there is none.
    pub fn port(&self) -> Option<u16> {
        self.address().map(|address| address.port())
    }

    /// The TCP address, if it is one.
    fn address(&self) -> Option<SocketAddr> {
        match self {
            Bind::Tcp(address) | Bind::Tls(address) => Some(*address),
            Bind::Unix(_) | Bind::Passed { .. } => None,
        }
    }

    /// Whether clients speak TLS there.
    pub fn is_tls(&self) -> bool {
        matches!(self, Bind::Tls(_) | Bind::Passed { tls: true, .. })
    }
}

fn passed(name: &str, tls: bool, unix: bool) -> Result<Bind, Mistake> {
    if !unix {
        return Err(
            Mistake::new("is a socket of systemd, which Windows does not have")
                .cure("listen on a TCP address: \"127.0.0.1:8000\""),
        );
    }
    match name {
        "" => Err(Mistake::new("names no socket after \"systemd:\"").cure(
            "write the socket unit's name, \"systemd:site.socket\", or what its FileDescriptorName= says",
        )),
        name => Ok(Bind::Passed {
            name: name.to_owned(),
            tls,
        }),
    }
}

/// As it is printed at start-up and for a browser: `http://127.0.0.1:8000`, `unix:/run/site.sock`.
impl fmt::Display for Bind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Bind::Tcp(address) => write!(f, "http://{address}"),
            Bind::Tls(address) => write!(f, "https://{address}"),
            Bind::Unix(path) => write!(f, "unix:{}", path.display()),
            Bind::Passed { name, tls: false } => write!(f, "systemd:{name}"),
            Bind::Passed { name, tls: true } => write!(f, "https://systemd:{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let base = Path::new("/srv/site");
        for (text, expected) in [
            ("127.0.0.1:8000", "http://127.0.0.1:8000"),
            ("0.0.0.0:0", "http://0.0.0.0:0"),
            ("[::]:80", "http://[::]:80"),
            (":8000", "http://0.0.0.0:8000"),
            ("*:8000", "http://0.0.0.0:8000"),
            ("localhost:8000", "http://127.0.0.1:8000"),
            ("https://0.0.0.0:443", "https://0.0.0.0:443"),
            ("HTTPS://:443", "https://0.0.0.0:443"),
            ("https://[::]:443", "https://[::]:443"),
        ] {
            assert_eq!(Bind::parse(text, base).expect(text).to_string(), expected);
        }
        assert_eq!(
            Bind::parse_where("unix:run/a.sock", base, true),
            Ok(Bind::Unix(base.join("run/a.sock")))
        );
    }

    #[test]
    fn sockets_of_systemd() {
        let parse = |text, unix| Bind::parse_where(text, Path::new("/"), unix);
        for (text, tls) in [
            ("systemd:site.socket", false),
            ("https://systemd:site.socket", true),
        ] {
            let bind = parse(text, true).expect(text);
            let name = "site.socket".to_owned();
            assert_eq!(bind, Bind::Passed { name, tls });
            assert_eq!((bind.to_string().as_str(), bind.is_tls()), (text, tls));
        }
        assert_eq!(
            parse("systemd:", true).expect_err("no name").what,
            "names no socket after \"systemd:\""
        );
        assert_eq!(
            parse("systemd:a", false).expect_err("no systemd").what,
            "is a socket of systemd, which Windows does not have"
        );
    }

    #[test]
    fn mistakes() {
        for (text, what, cure) in [
            (
                "8000",
                "must be an address such as \"127.0.0.1:8000\", found \"8000\"",
                Some("write \"127.0.0.1:8000\" for this machine alone, \"0.0.0.0:8000\" for everybody"),
            ),
            (
                "10.0.0.1",
                "must be an address such as \"127.0.0.1:8000\", found \"10.0.0.1\"",
                Some("name the port too: \"10.0.0.1:8000\""),
            ),
            (
                "::1",
                "must be an address such as \"127.0.0.1:8000\", found \"::1\"",
                Some("name the port too: \"[::1]:8000\""),
            ),
            (
                "fe80::1:2:3:4:5:6:70000",
                "must be an address such as \"127.0.0.1:8000\", found \"fe80::1:2:3:4:5:6:70000\"",
                Some("the port is a number from 0 to 65535 after the last colon"),
            ),
            (
                "http://127.0.0.1:80/",
                "must be an address such as \"127.0.0.1:8000\", found \"http://127.0.0.1:80/\"",
                Some("write \"127.0.0.1:80\""),
            ),
            (
                "https://127.0.0.1",
                "must be an address such as \"https://127.0.0.1:8000\", found \"https://127.0.0.1\"",
                Some("name the port too: \"https://127.0.0.1:443\""),
            ),
            (
                "https://127.0.0.1:443/",
                "must be an address such as \"https://127.0.0.1:8000\", found \"https://127.0.0.1:443/\"",
                Some("write \"https://127.0.0.1:443\""),
            ),
            (
                "https://example.org:443",
                "must be an address such as \"https://127.0.0.1:8000\", found \"https://example.org:443\"",
                Some("name an IP address of this machine, or \"https://0.0.0.0:443\" for all of them"),
            ),
            (
                "example.org:80",
                "must be an address such as \"127.0.0.1:8000\", found \"example.org:80\"",
                Some("name an IP address of this machine, or \"0.0.0.0:80\" for all of them"),
            ),
            (
                "127.0.0.1:99999",
                "must be an address such as \"127.0.0.1:8000\", found \"127.0.0.1:99999\"",
                Some("the port is a number from 0 to 65535 after the last colon"),
            ),
            (
                "here",
                "must be an address such as \"127.0.0.1:8000\", found \"here\"",
                None,
            ),
            (
                "unix:",
                "names no path after \"unix:\"",
                Some("write \"unix:/run/site.sock\""),
            ),
        ] {
            let mistake = Bind::parse(text, Path::new("/")).expect_err(text);
            assert_eq!(
                (mistake.what.as_str(), mistake.cure.as_deref()),
                (what, cure),
                "{text}"
            );
        }
        let windows = Bind::parse_where("unix:a.sock", Path::new("/"), false).expect_err("no Unix sockets");
        assert_eq!(
            windows.what,
            "is a Unix socket, which Windows does not have: \"unix:a.sock\""
        );
    }
}
