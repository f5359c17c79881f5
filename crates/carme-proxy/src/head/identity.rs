//! What this server is called in the fields it adds.

use http::{HeaderValue, Version};

use super::passing::Via;

/// What `Via` and `X-Forwarded-Server` call this server. Made once for each site, since requests share its texts.
#[derive(Debug, Clone)]
pub struct Identity {
    pub(super) server: Option<HeaderValue>,
    on: Received,
    full: Received,
}

/// A member of the list `Via`, by the version of what was received.
#[derive(Debug, Clone)]
struct Received {
    http10: HeaderValue,
    http11: HeaderValue,
    http2: HeaderValue,
}

impl Identity {
    /// A server of this name, `www.example.com`, whose clients reach it at this port; `None` where the port is the
    /// scheme's, or nobody knows. A name that cannot stand in a field is not told: `Via` says `carme`, which RFC 9110
    /// calls a pseudonym.
    pub fn new(name: &str, port: Option<u16>) -> Self {
        let server = field(name);
        let received_by = match (&server, port) {
            (None, _) => "carme".to_owned(),
            (Some(_), None) => name.to_owned(),
            (Some(_), Some(port)) => format!("{name}:{port}"),
        };
        Identity {
            server,
            full: Received::by(&format!("{received_by} (Carme/{})", env!("CARGO_PKG_VERSION"))),
            on: Received::by(&received_by),
        }
    }

    /// The same, where members are told the machine's name if the site has none. Clients are not: it is in no `Via`.
    #[must_use]
    pub fn on_machine(mut self, name: &str) -> Self {
        self.server = self.server.or_else(|| field(name));
        self
    }

    /// What is added to `Via` of a message that came with this version.
    pub(super) fn via(&self, via: Via, version: Version) -> Option<HeaderValue> {
        let received = match via {
            Via::Off | Via::Block => return None,
            Via::On => &self.on,
            Via::Full => &self.full,
        };
        Some(match version {
            Version::HTTP_10 | Version::HTTP_09 => received.http10.clone(),
            Version::HTTP_2 => received.http2.clone(),
            _ => received.http11.clone(),
        })
    }
}

/// A name that can stand in `Via` and in a list.
fn field(name: &str) -> Option<HeaderValue> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._[]:".contains(&byte);
    let is_name = !name.is_empty() && name.bytes().all(is_plain);
    is_name.then(|| HeaderValue::from_str(name).ok())?
}

impl Received {
    fn by(name: &str) -> Self {
        // Never the second: `Identity::new` looks at the characters.
        let value = |version| {
            HeaderValue::from_str(&format!("{version} {name}"))
                .unwrap_or(HeaderValue::from_static("1.1 carme"))
        };
        Received {
            http10: value("1.0"),
            http11: value("1.1"),
            http2: value("2.0"),
        }
    }
}
