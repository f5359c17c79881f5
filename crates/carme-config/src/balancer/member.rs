//! One member of a balancer.

use std::collections::BTreeSet;
use std::fmt;
use std::num::NonZeroUsize;
use std::str::FromStr;
use std::time::Duration;

use super::health::HealthCheck;
use super::url::MemberUrl;
use crate::problem::Mistake;
use crate::units::ByteSize;

/// `[[balancers.NAME.members]]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// `url`
    pub url: MemberUrl,
    /// `route`: its name in cookies and logs.
    pub route: Option<String>,
    /// `redirect`: whoever would come here goes to the member with this route.
    pub redirect: Option<String>,
    /// `loadfactor`: its weight.
    pub load_factor: LoadFactor,
    /// `lbset`: all members of a lower set are tried before one of a higher; 0 to 99.
    pub lbset: u8,
    /// `status`: what it begins with.
    pub status: BTreeSet<MemberFlag>,
    /// Its connections.
    pub pool: Pool,
    /// `retry`: when it has failed, it is not tried for so long.
    pub retry: Duration,
    /// `timeout`: how long it may be silent; then 504.
    pub timeout: Duration,
    /// `connectiontimeout`: how long a connection to it may take.
    pub connect_timeout: Duration,
    /// `ping`: it is asked whether it takes a request (`Expect: 100-continue`), and has so long to say so.
    pub ping: Option<Duration>,
    /// `flushpackets`, `flushwait`
    pub flush: Flush,
    /// `upgrade`: which other protocols are passed on.
    pub upgrade: Upgrade,
    /// `iobuffersize`: what is read at once.
    pub io_buffer: Option<ByteSize>,
    /// `receivebuffersize`: the socket's; `None`: the system's.
    pub receive_buffer: Option<ByteSize>,
    /// `responsefieldsize`: the longest line of its header sections.
    pub response_field: ByteSize,
    /// `addressttl`: its name is looked up again after so long; `None`: never.
    pub address_ttl: Option<Duration>,
    /// `hcmethod` and what belongs to it.
    pub health: Option<HealthCheck>,
}

/// The connections to one member, counted over the whole server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// `min`: so many idle ones are kept.
    pub min: usize,
    /// `max`: never more; `None`: any number.
    pub max: Option<NonZeroUsize>,
    /// `smax`: idle ones beyond it are closed after `ttl`; not more than `max`. `None`: as many as `max`.
    pub smax: Option<usize>,
    /// `ttl`: an idle one is not used again after so long.
    pub ttl: Option<Duration>,
    /// `acquire`: how long a request may wait for one; then 503. `None`: as long as the balancer lets it wait.
    pub acquire: Option<Duration>,
    /// `disablereuse`, `enablereuse`: whether a connection serves more than one request.
    pub reuse: bool,
    /// `keepalive`: the system tests idle ones (`SO_KEEPALIVE`).
    pub keep_alive: bool,
}

/// When what a member has sent is passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flush {
    /// `off`: when it fills a buffer, or nothing more is there.
    Off,
    /// `on`: at once.
    On,
    /// `auto`: when nothing more has come for so long.
    Auto(Duration),
}

/// `upgrade`: which protocols a client may change to through the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Upgrade {
    /// `any`
    Any,
    /// `none`
    Never,
    /// One, such as `websocket`.
    Only(String),
}

/// A letter of `status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MemberFlag {
    /// `D`: gets nothing.
    Disabled,
    /// `S`: gets nothing, and is never tried again.
    Stopped,
    /// `I`: its failures do not count.
    IgnoreErrors,
    /// `R`: takes the place of a member that cannot be used.
    HotSpare,
    /// `H`: used when no other member is.
    HotStandby,
    /// `E`: counts as failed.
    Error,
    /// `N`: gets only its own sticky clients.
    Drain,
    /// `C`: counts as failed by its health check.
    FailedCheck,
}

impl MemberFlag {
    const LETTERS: [(char, MemberFlag); 8] = [
        ('D', MemberFlag::Disabled),
        ('S', MemberFlag::Stopped),
        ('I', MemberFlag::IgnoreErrors),
        ('R', MemberFlag::HotSpare),
        ('H', MemberFlag::HotStandby),
        ('E', MemberFlag::Error),
        ('N', MemberFlag::Drain),
        ('C', MemberFlag::FailedCheck),
    ];

    /// Its letter.
    pub fn letter(self) -> char {
        Self::LETTERS
            .iter()
            .find(|(_, flag)| *flag == self)
            .map_or('?', |(letter, _)| *letter)
    }
}

/// Changes flags by letters; those behind `-` are cleared, the others set: `DH`, `S-E`, `+I`.
pub(crate) fn flags(text: &str, flags: &mut BTreeSet<MemberFlag>) -> Result<(), Mistake> {
    let mut set = true;
    for c in text.chars() {
        match c {
            '+' => set = true,
            '-' => set = false,
            _ => {
                let letter = c.to_ascii_uppercase();
                let Some((_, flag)) = MemberFlag::LETTERS.iter().find(|(known, _)| *known == letter) else {
                    return Err(Mistake::new(format!("has the unknown letter {c:?} in {text:?}")).cure(
                        "there are D disabled, S stopped, I ignores errors, R hot spare, H hot standby, E error, \
                         N drains, C failed its check",
                    ));
                };
                match set {
                    true => flags.insert(*flag),
                    false => flags.remove(flag),
                };
            }
        }
    }
    Ok(())
}

/// A weight from 1 to 100, in hundredths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LoadFactor(u16);

impl LoadFactor {
    /// A whole number; what is beyond 1 to 100 becomes the nearer of the two.
    pub(crate) fn whole(weight: u8) -> Self {
        LoadFactor(u16::from(weight.clamp(1, 100)) * 100)
    }

    /// In hundredths, 100 to 10000, as Apache keeps it.
    pub fn hundredths(self) -> u16 {
        self.0
    }
}

impl Default for LoadFactor {
    fn default() -> Self {
        LoadFactor(100)
    }
}

/// Reads `1`, `2.5`, `100`.
impl FromStr for LoadFactor {
    type Err = Mistake;

    fn from_str(text: &str) -> Result<Self, Mistake> {
        let wrong = || Mistake::new(format!("must be a number from 1 to 100, found {text}"));
        let (whole, part) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !digits(whole) || !digits(part) {
            return Err(wrong());
        }
        let whole: u16 = whole.parse().map_err(|_| wrong())?;
        if part.len() > 2 && part[2..].bytes().any(|byte| byte != b'0') {
            return Err(wrong().cure("two digits behind the point are what counts"));
        }
        let part: u16 = format!("{part:0<2}")[..2].parse().map_err(|_| wrong())?;
        match whole
            .checked_mul(100)
            .and_then(|hundreds| hundreds.checked_add(part))
        {
            Some(hundredths @ 100..=10_000) => Ok(LoadFactor(hundredths)),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for LoadFactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0 / 100, self.0 % 100) {
            (whole, 0) => write!(f, "{whole}"),
            (whole, part) if part % 10 == 0 => write!(f, "{whole}.{}", part / 10),
            (whole, part) => write!(f, "{whole}.{part:02}"),
        }
    }
}

/// Whether this may be a route: shorter than 64 bytes, and nothing that a cookie or a log line could not hold.
pub(crate) fn is_route(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"\",;\\".contains(&byte);
    (1..64).contains(&text.len()) && text.bytes().all(plain)
}

pub(crate) fn route(text: &str) -> Result<String, Mistake> {
    match is_route(text) {
        true => Ok(text.to_owned()),
        false => Err(Mistake::new(format!(
            "must be a name of at most 63 characters, without spaces, quotes, commas and semicolons, found {text:?}"
        ))),
    }
}

impl Flush {
    /// What `flushpackets` says, with the time of `flushwait` for `auto`.
    pub(crate) fn parse(text: &str, wait: Duration) -> Result<Self, Mistake> {
        match text.to_ascii_lowercase().as_str() {
            "off" => Ok(Flush::Off),
            "on" => Ok(Flush::On),
            "auto" => Ok(Flush::Auto(wait)),
            _ => Err(Mistake::new(format!(
                "must be \"off\", \"on\" or \"auto\", found {text:?}"
            ))),
        }
    }
}

impl Upgrade {
    pub(crate) fn parse(text: &str) -> Result<Self, Mistake> {
        match text.to_ascii_lowercase().as_str() {
            "any" => Ok(Upgrade::Any),
            "none" => Ok(Upgrade::Never),
            other if !other.is_empty() && other.bytes().all(super::is_token) => {
                Ok(Upgrade::Only(other.to_owned()))
            }
            _ => Err(Mistake::new(format!(
                "must be \"any\", \"none\" or a protocol such as \"websocket\", found {text:?}"
            ))),
        }
    }
}

impl Pool {
    /// What is wrong with its numbers, seen together.
    pub(crate) fn mistake(&self) -> Option<Mistake> {
        let (smax, max) = (self.smax?, self.max?);
        (smax > max.get()).then(|| {
            Mistake::new(format!(
                "keeps {smax} idle connections (smax) and may have {max} (max)"
            ))
            .cure("smax is at most max")
        })
    }
}

/// Where it is.
impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.url.fmt(f)
    }
}

impl Member {
    /// The member at an address, with the defaults of everything else.
    pub(crate) fn at(url: MemberUrl) -> Self {
        use crate::config::defaults;
        Member {
            url,
            route: None,
            redirect: None,
            load_factor: LoadFactor::default(),
            lbset: 0,
            status: BTreeSet::new(),
            pool: Pool {
                min: 0,
                max: None,
                smax: None,
                ttl: None,
                acquire: None,
                reuse: true,
                keep_alive: false,
            },
            retry: defaults::MEMBER_RETRY,
            timeout: defaults::MEMBER_TIMEOUT,
            connect_timeout: defaults::MEMBER_TIMEOUT,
            ping: None,
            flush: Flush::Off,
            upgrade: Upgrade::Any,
            io_buffer: None,
            receive_buffer: None,
            response_field: defaults::RESPONSE_FIELD,
            address_ttl: None,
            health: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn load_factors() {
        for (text, hundredths, printed) in [
            ("1", 100, "1"),
            ("100", 10_000, "100"),
            ("2.5", 250, "2.5"),
            ("1.05", 105, "1.05"),
            ("1.500", 150, "1.5"),
        ] {
            let factor: LoadFactor = text.parse().expect(text);
            assert_eq!(
                (factor.hundredths(), factor.to_string().as_str()),
                (hundredths, printed)
            );
        }
        for text in [
            "0", "0.99", "100.01", "101", "-1", "one", "", "1.234", "1.x", "99999999",
        ] {
            text.parse::<LoadFactor>().expect_err(text);
        }
    }

    #[test]
    fn letters_set_and_clear() {
        let all = |text: &str| {
            let mut set = BTreeSet::from([MemberFlag::Error]);
            flags(text, &mut set).map(|()| set.into_iter().map(MemberFlag::letter).collect::<String>())
        };
        for (text, expected) in [
            ("", "E"),
            ("D", "DE"),
            ("+D", "DE"),
            ("S-E", "S"),
            ("-E+Hd", "DH"),
            ("IRNC", "IRENC"),
        ] {
            assert_eq!(all(text).as_deref(), Ok(expected), "{text}");
        }
        assert_eq!(
            all("DX").expect_err("no such letter").what,
            "has the unknown letter 'X' in \"DX\""
        );
    }

    #[test]
    fn routes() {
        for (text, good) in [
            ("www_1", true),
            ("a.b", true),
            ("", false),
            ("a b", false),
            ("a;b", false),
        ] {
            assert_eq!(is_route(text), good, "{text}");
        }
        assert!(is_route(&"x".repeat(63)) && !is_route(&"x".repeat(64)));
    }
}
