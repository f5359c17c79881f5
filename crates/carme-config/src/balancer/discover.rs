//! `discover`: members that somebody else names.

use std::collections::HashSet;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::member::is_route;
use super::{LoadFactor, Member, MemberUrl};
use crate::problem::Mistake;

/// `[balancers.NAME.discover]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discover {
    /// Who names them.
    pub source: DiscoverSource,
    /// What they are like.
    pub member: FoundMember,
}

/// Who names members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DiscoverSource {
    /// `dns`
    Dns {
        /// What is asked.
        question: DnsQuestion,
        /// `server`: whom; none: the system's servers.
        servers: Vec<SocketAddr>,
        /// `interval`: how long an answer counts at most.
        interval: Duration,
    },
    /// `consul`
    Consul {
        /// The service.
        service: String,
        /// `address`: the agent's host and port.
        authority: String,
        /// `tag`: only instances with it.
        tag: Option<String>,
        /// `datacenter`: `None`: the agent's own.
        datacenter: Option<String>,
        /// `token`, `token_file`
        token: Option<ConsulToken>,
    },
    /// `file`
    File {
        /// Which.
        path: PathBuf,
        /// `interval`: how often it is looked at.
        interval: Duration,
    },
}

/// Whom one asks for what: `DNS for app.internal:8000`.
impl fmt::Display for DiscoverSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DiscoverSource::Dns { question, .. } => write!(f, "DNS for {question}"),
            DiscoverSource::Consul {
                service, authority, ..
            } => write!(f, "Consul at {authority} for {service}"),
            DiscoverSource::File { path, .. } => write!(f, "{}", path.display()),
        }
    }
}

/// As it is written.
impl fmt::Display for DnsQuestion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DnsQuestion::Addresses { name, port } => write!(f, "{name}:{port}"),
            DnsQuestion::Services { name } => write!(f, "srv:{name}"),
        }
    }
}

/// A question to DNS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DnsQuestion {
    /// `NAME:PORT`: its addresses.
    Addresses {
        /// The name.
        name: String,
        /// The port of all of them.
        port: u16,
    },
    /// `srv:NAME`: its service records.
    Services {
        /// The name.
        name: String,
    },
}

/// What opens Consul. It is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct ConsulToken(pub String);

impl fmt::Debug for ConsulToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConsulToken(…)")
    }
}

/// `discover.member`: what is said of every member that is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundMember {
    /// All but its address and its route.
    pub(crate) member: Member,
    /// `route`: how it is named.
    pub(crate) route: FoundRoute,
}

impl FoundMember {
    /// What is spoken to them.
    pub fn scheme(&self) -> super::MemberScheme {
        self.member.url.scheme
    }
}

/// A member as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundAt {
    /// A name, an IPv4 address, or an IPv6 address in brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// What it is called where it was found.
    pub name: String,
    /// Its share, 1 to 100, if something is said of it.
    pub weight: Option<u8>,
    /// Its set, 0 to 99, if something is said of it.
    pub set: Option<u8>,
}

/// The names of members that are found: a text with `{name}`, `{host}` and `{port}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundRoute(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Name,
    Host,
    Port,
}

/// The host in whose place that of a found member comes; no member can have it (RFC 6761, 6.4).
const PLACE: &str = "address.invalid";

impl FoundMember {
    /// A member of which nothing is said.
    pub(crate) fn plain() -> Self {
        FoundMember {
            member: Member::at(MemberUrl {
                scheme: super::MemberScheme::Http,
                host: PLACE.to_owned(),
                port: 80,
                path: String::new(),
                socket: None,
            }),
            route: FoundRoute(vec![Part::Name, Part::Text("-".to_owned()), Part::Port]),
        }
    }

    /// The members that were found, in their order, each URL once, and no two with the same route.
    pub fn members(&self, found: &[FoundAt]) -> Vec<Member> {
        let mut urls = HashSet::new();
        let mut routes = HashSet::new();
        let mut members = Vec::with_capacity(found.len());
        for at in found {
            let mut member = self.member.clone();
            member.url.host.clone_from(&at.host);
            member.url.port = at.port;
            if !urls.insert(member.url.clone()) {
                continue;
            }
            // Two of the same name are told apart by their addresses.
            let wanted = [
                self.route.of(at),
                FoundRoute(vec![Part::Host, Part::Text("-".into()), Part::Port]).of(at),
            ];
            member.route = wanted
                .into_iter()
                .find(|route| is_route(route) && routes.insert(route.clone()));
            if let Some(weight) = at.weight {
                member.load_factor = LoadFactor::whole(weight);
            }
            if let Some(set) = at.set {
                member.lbset = set;
            }
            members.push(member);
        }
        members
    }
}

impl FoundMember {
    /// What holds for the member of a file of which nothing more is said than where it is.
    pub(crate) fn at(&self, url: MemberUrl) -> Member {
        let route = url.socket.is_none().then(|| {
            let host = url.host.trim_matches(['[', ']']);
            self.route.of(&FoundAt {
                host: host.to_owned(),
                port: url.port,
                name: host.to_owned(),
                weight: None,
                set: None,
            })
        });
        Member {
            route: route.filter(|route| is_route(route)),
            url,
            ..self.member.clone()
        }
    }
}

impl FoundRoute {
    pub(crate) fn parse(text: &str) -> Result<Self, Mistake> {
        let mut parts = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let (part, after) = match rest.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
                Some(("name", after)) => (Part::Name, after),
                Some(("host", after)) => (Part::Host, after),
                Some(("port", after)) => (Part::Port, after),
                Some((other, _)) => {
                    return Err(
                        Mistake::new(format!("has {{{other}}}, which is unknown, in {text:?}"))
                            .cure("there are {name}, {host} and {port}"),
                    );
                }
                None => {
                    let end = rest[1..].find('{').map_or(rest.len(), |at| at + 1);
                    (Part::Text(rest[..end].to_owned()), &rest[end..])
                }
            };
            parts.push(part);
            rest = after;
        }
        let is_odd = |c: &char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
        for part in &parts {
            if let Part::Text(part) = part
                && let Some(odd) = part.chars().find(is_odd)
            {
                return Err(Mistake::new(format!(
                    "must consist of letters, digits, \"_\", \"-\", {{name}}, {{host}} and {{port}}, found {odd:?} in \
                     {text:?}"
                )));
            }
        }
        if !parts.iter().any(|part| matches!(part, Part::Name | Part::Host)) {
            let what = format!("would give all members the same route: {text:?}");
            return Err(Mistake::new(what).cure("write \"{name}-{port}\", or leave it out"));
        }
        Ok(FoundRoute(parts))
    }

    /// Dots and colons would end a route in a cookie, or could.
    fn of(&self, at: &FoundAt) -> String {
        let plain = |text: &str| -> String {
            let text = text.trim_matches(['[', ']']).chars();
            text.map(|c| match c.is_ascii_alphanumeric() || matches!(c, '_' | '-') {
                true => c,
                false => '-',
            })
            .collect()
        };
        let part = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Name => plain(&at.name),
            Part::Host => plain(&at.host),
            Part::Port => at.port.to_string(),
        };
        self.0.iter().map(part).collect()
    }
}

/// `url` of `discover.member`: as a member's, with `{address}` for its host and port.
pub(crate) fn found_url(text: &str) -> Result<MemberUrl, Mistake> {
    let wrong = || {
        Mistake::new(format!("must be as \"http://{{address}}\", found {text:?}"))
            .cure("the scheme and perhaps a path are what it says: \"https://{address}/base\"")
    };
    let Some((before, after)) = text.split_once("{address}") else {
        return Err(wrong());
    };
    let url = MemberUrl::parse(&format!("{before}{PLACE}{after}")).map_err(|mistake| Mistake {
        what: wrong().what,
        cure: mistake.cure.or(wrong().cure),
    })?;
    match url.host == PLACE && url.socket.is_none() && !after.starts_with(':') {
        true => Ok(url),
        false => Err(wrong()),
    }
}

impl DnsQuestion {
    pub(crate) fn parse(text: &str) -> Result<Self, Mistake> {
        let wrong = || {
            Mistake::new(format!(
                "must be a name with a port, or \"srv:\" and a name, found {text:?}"
            ))
        };
        if let Some(name) = text.strip_prefix("srv:") {
            return match dns_name(name) {
                Some(name) => Ok(DnsQuestion::Services { name }),
                None => Err(wrong().cure("write \"srv:_http._tcp.app.service.consul\"")),
            };
        }
        if let Some((_, rest)) = text.split_once("://") {
            return Err(wrong().cure(format!("write {rest:?}; what is spoken is said in `member.url`")));
        }
        let (name, port) = match text.rsplit_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (text, None),
        };
        if name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok() || text.parse::<IpAddr>().is_ok() {
            return Err(wrong().cure("an address needs no discovery: write [[balancers.NAME.members]]"));
        }
        let Some(name) = dns_name(name) else {
            return Err(wrong());
        };
        match port.map(str::parse::<u16>) {
            Some(Ok(port)) if port > 0 => Ok(DnsQuestion::Addresses { name, port }),
            Some(_) => Err(wrong().cure("the port is a number from 1 to 65535")),
            None if name.starts_with('_') => Err(wrong().cure(format!("write \"srv:{name}\""))),
            None => Err(wrong().cure(format!(
                "write \"{name}:8000\", or \"srv:{name}\" if service records say the port"
            ))),
        }
    }
}

/// A name that can be asked for; a dot at its end says that it is whole.
fn dns_name(text: &str) -> Option<String> {
    let name = text.strip_suffix('.').unwrap_or(text);
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    (name.len() <= 253 && name.split('.').all(is_label)).then(|| text.to_ascii_lowercase())
}

/// `server`: an address with perhaps a port.
pub(crate) fn dns_server(text: &str) -> Result<SocketAddr, Mistake> {
    let address = text.parse::<SocketAddr>().ok();
    let address = address.or_else(|| {
        let ip = text.trim_matches(['[', ']']).parse::<IpAddr>().ok()?;
        Some(SocketAddr::new(ip, 53))
    });
    address.filter(|address| address.port() > 0).ok_or_else(|| {
        Mistake::new(format!(
            "must be the address of a DNS server, such as \"10.0.0.53\" or \"127.0.0.1:8600\", found {text:?}"
        ))
    })
}

/// `address` of a Consul agent.
pub(crate) fn consul_address(text: &str) -> Result<String, Mistake> {
    let wrong = || {
        Mistake::new(format!(
            "must be the address of an agent, such as \"http://127.0.0.1:8500\", found {text:?}"
        ))
    };
    if text.starts_with("https:") {
        return Err(wrong()
            .cure("an agent is asked by plain HTTP: the one on this machine, or behind what speaks TLS"));
    }
    let with_scheme = match text.contains("://") {
        true => text.to_owned(),
        false => format!("http://{text}"),
    };
    let url = MemberUrl::parse(&with_scheme).map_err(|mistake| wrong().maybe_cure(mistake.cure))?;
    if url.scheme != super::MemberScheme::Http || !url.path.is_empty() || url.socket.is_some() {
        return Err(wrong());
    }
    let has_port = with_scheme
        .trim_end_matches('/')
        .ends_with(&format!(":{}", url.port));
    Ok(format!("{}:{}", url.host, if has_port { url.port } else { 8500 }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(host: &str, port: u16, name: &str) -> FoundAt {
        FoundAt {
            host: host.to_owned(),
            port,
            name: name.to_owned(),
            weight: None,
            set: None,
        }
    }

    #[test]
    fn questions() {
        for (text, name, port) in [
            ("app.default.svc:8000", "app.default.svc", Some(8000)),
            ("App.Internal.:1", "app.internal.", Some(1)),
            (
                "srv:_http._tcp.app.service.consul",
                "_http._tcp.app.service.consul",
                None,
            ),
        ] {
            let name = name.to_owned();
            let expected = match port {
                Some(port) => DnsQuestion::Addresses { name, port },
                None => DnsQuestion::Services { name },
            };
            assert_eq!(DnsQuestion::parse(text), Ok(expected), "{text}");
        }
        for (text, cure) in [
            (
                "app",
                Some("write \"app:8000\", or \"srv:app\" if service records say the port"),
            ),
            ("_http._tcp.app", Some("write \"srv:_http._tcp.app\"")),
            ("app:0", Some("the port is a number from 1 to 65535")),
            ("app:http", Some("the port is a number from 1 to 65535")),
            (
                "10.0.0.1:80",
                Some("an address needs no discovery: write [[balancers.NAME.members]]"),
            ),
            (
                "::1",
                Some("an address needs no discovery: write [[balancers.NAME.members]]"),
            ),
            (
                "http://app:80",
                Some("write \"app:80\"; what is spoken is said in `member.url`"),
            ),
            ("srv:", Some("write \"srv:_http._tcp.app.service.consul\"")),
            ("a b:80", None),
            ("", None),
        ] {
            let mistake = DnsQuestion::parse(text).expect_err(text);
            assert_eq!(mistake.cure.as_deref(), cure, "{text}");
        }
    }

    #[test]
    fn servers_and_agents() {
        for (text, address) in [
            ("10.0.0.53", Some("10.0.0.53:53")),
            ("127.0.0.1:8600", Some("127.0.0.1:8600")),
            ("[::1]:53", Some("[::1]:53")),
            ("::1", Some("[::1]:53")),
            ("dns.internal", None),
            ("127.0.0.1:0", None),
        ] {
            let read = dns_server(text).ok().map(|address| address.to_string());
            assert_eq!(read.as_deref(), address, "{text}");
        }
        for (text, authority) in [
            ("http://127.0.0.1:8500", Some("127.0.0.1:8500")),
            ("http://127.0.0.1:80/", Some("127.0.0.1:80")),
            ("consul.internal", Some("consul.internal:8500")),
            ("[::1]:8501", Some("[::1]:8501")),
            ("https://a:8501", None),
            ("http://a/v1", None),
            ("h2c://a", None),
            ("", None),
        ] {
            assert_eq!(consul_address(text).ok().as_deref(), authority, "{text}");
        }
    }

    #[test]
    fn urls_have_a_place_for_the_address() {
        for (text, printed) in [
            ("http://{address}", Some("http://[fd00::1]:8000")),
            ("https://{address}/base/", Some("https://[fd00::1]:8000/base")),
            ("h2c://{address}", Some("h2c://[fd00::1]:8000")),
            ("http://10.0.0.1:80", None),
            ("http://{address}:80", None),
            ("http://{address}.internal", None),
            ("{address}", None),
            ("http://a/{address}", None),
        ] {
            let members = found_url(text).map(|url| {
                let mut all = FoundMember::plain();
                all.member.url = url;
                all.members(&[found("[fd00::1]", 8000, "a")])
            });
            let printed_url = members.ok().map(|members| members[0].url.to_string());
            assert_eq!(printed_url.as_deref(), printed, "{text}");
        }
    }

    #[test]
    fn routes_come_from_what_is_found() {
        let at = found("10.0.0.1", 8000, "web-0");
        for (pattern, route) in [
            ("{name}-{port}", "web-0-8000"),
            ("{name}", "web-0"),
            ("w_{host}", "w_10-0-0-1"),
        ] {
            let pattern = FoundRoute::parse(pattern).expect(pattern);
            assert_eq!(pattern.of(&at), route);
        }
        for (pattern, what) in [
            ("www", "would give all members the same route: \"www\""),
            ("{n}", "has {n}, which is unknown, in \"{n}\""),
            ("", "would give all members the same route: \"\""),
        ] {
            assert_eq!(FoundRoute::parse(pattern).expect_err(pattern).what, what);
        }
        for pattern in ["{name}.a", "{name", "a b{name}"] {
            FoundRoute::parse(pattern).map(|_| ()).expect_err(pattern);
        }
    }

    #[test]
    fn no_two_members_have_the_same_route_or_address() {
        let members = FoundMember::plain().members(&[
            found("10.0.0.3", 80, "c"),
            found("10.0.0.4", 80, "c"),
            found("10.0.0.4", 80, "d"),
            found("10.0.0.5", 80, &"x".repeat(80)),
        ]);
        let named: Vec<_> = members
            .iter()
            .map(|member| {
                (
                    member.url.to_string(),
                    member.route.as_deref().unwrap_or_default(),
                )
            })
            .collect();
        let expected = [
            ("http://10.0.0.3", "c-80"),
            ("http://10.0.0.4", "10-0-0-4-80"),
            ("http://10.0.0.5", "10-0-0-5-80"),
        ];
        assert_eq!(named, expected.map(|(url, route)| (url.to_owned(), route)));
    }

    #[test]
    fn what_the_engine_says_counts_more() {
        let mut all = FoundMember::plain();
        (all.member.load_factor, all.member.lbset) = (LoadFactor::whole(7), 3);
        let with = FoundAt {
            weight: Some(50),
            set: Some(1),
            ..found("10.0.0.2", 80, "b")
        };
        let members = all.members(&[found("10.0.0.1", 80, "a"), with]);
        let said: Vec<_> = members
            .iter()
            .map(|member| (member.load_factor.hundredths(), member.lbset))
            .collect();
        assert_eq!(said, [(700, 3), (5000, 1)]);
    }

    #[test]
    fn a_token_is_not_shown() {
        assert_eq!(
            format!("{:?}", ConsulToken("secret".to_owned())),
            "ConsulToken(…)"
        );
    }
}
