//! Consul's catalogue: the healthy instances of a service, by blocking queries.
//!
//! <https://developer.hashicorp.com/consul/api-docs/features/blocking> and
//! <https://developer.hashicorp.com/consul/api-docs/health#list-service-instances-for-service>.

mod call;
mod catalogue;
mod index;

use std::fmt;
use std::time::Duration;

use http::Uri;

use crate::course::{Failure, Look};
use crate::follow::Engine;
use crate::found::{Found, MOST_MEMBERS, too_many};
use index::Index;

pub(crate) use catalogue::members;

/// What Consul may hold a query for. So long it may also take until it is noticed that its servers have lost their state,
/// if that breaks no connection.
const WAIT: Duration = Duration::from_secs(30);

/// What it may take beyond that: it adds a sixteenth at random, and has to answer.
const BEYOND: Duration = Duration::from_secs(15);

/// Between two queries, however often the catalogue changes. No change is missed: the index says what was seen.
const LEAST: Duration = Duration::from_millis(200);

/// Between two queries of an agent that sends no index, and so does not wait.
const WITHOUT_INDEX: Duration = Duration::from_secs(5);

/// A service in Consul's catalogue.
pub struct Consul {
    query: Query,
    index: Index,
}

/// What is asked, of whom.
#[derive(Clone)]
struct Query {
    /// `host:port`
    authority: String,
    service: String,
    tag: Option<String>,
    datacenter: Option<String>,
    token: Option<String>,
}

impl Consul {
    /// The service with this name, asked of the agent at `authority`, such as `127.0.0.1:8500`, by plain HTTP.
    pub fn new(authority: impl Into<String>, service: impl Into<String>) -> Self {
        Consul {
            query: Query {
                authority: authority.into(),
                service: service.into(),
                tag: None,
                datacenter: None,
                token: None,
            },
            index: Index::default(),
        }
    }

    /// Only instances with this tag.
    #[must_use]
    pub fn tag(mut self, tag: Option<String>) -> Self {
        self.query.tag = tag;
        self
    }

    /// In this datacenter instead of the agent's own.
    #[must_use]
    pub fn datacenter(mut self, datacenter: Option<String>) -> Self {
        self.query.datacenter = datacenter;
        self
    }

    /// With this token.
    #[must_use]
    pub fn token(mut self, token: Option<String>) -> Self {
        self.query.token = token;
        self
    }
}

impl fmt::Debug for Query {
    /// Without the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Query")
            .field("authority", &self.authority)
            .field("service", &self.service)
            .field("tag", &self.tag)
            .field("datacenter", &self.datacenter)
            .finish_non_exhaustive()
    }
}

impl Query {
    fn path(&self, index: Index) -> String {
        let mut path = format!("/v1/health/service/{}?passing=1", escaped(&self.service));
        let parameters = [("tag", &self.tag), ("dc", &self.datacenter)];
        for (key, value) in parameters {
            if let Some(value) = value {
                path.push_str(&format!("&{key}={}", escaped(value)));
            }
        }
        if let Some(index) = index.to_wait_for() {
            path.push_str(&format!("&index={index}&wait={}s", WAIT.as_secs()));
        }
        path
    }

    fn uri(&self, index: Index) -> Result<Uri, Failure> {
        self.path(index)
            .parse()
            .map_err(|error| Failure::Away(format!("it cannot be asked: {error}")))
    }
}

impl Engine for Consul {
    type Member = Found;

    async fn look(&mut self) -> Result<Look<Found>, Failure> {
        let uri = self.query.uri(self.index)?;
        let limit = match self.index.to_wait_for() {
            Some(_) => WAIT + BEYOND,
            None => BEYOND,
        };
        let call = call::get(&self.query.authority, uri, self.query.token.as_deref());
        let answer = match tokio::time::timeout(limit, call).await {
            Ok(answer) => answer?,
            Err(_) => {
                let what = format!("no answer within {} seconds", limit.as_secs());
                return Err(Failure::Away(what));
            }
        };
        let (members, left_out) = members(&answer.body)
            .map_err(|error| Failure::Away(format!("the answer cannot be understood: {error}")))?;
        if members.len() > MOST_MEMBERS {
            return Err(Failure::Away(too_many(members.len())));
        }
        self.index.answered(answer.index);
        Ok(Look {
            members,
            left_out,
            again: match self.index.to_wait_for() {
                Some(_) => LEAST,
                None => WITHOUT_INDEX,
            },
            is_meant: false,
        })
    }

    fn anew(&mut self) {
        self.index = Index::default();
    }

    fn title(&self) -> String {
        format!("Consul at {} for {}", self.query.authority, self.query.service)
    }
}

/// RFC 3986, 2.3: what is not unreserved is escaped.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                escaped.push(char::from(byte));
            }
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked() {
        let mut asked = Index::default();
        let plain = Consul::new("127.0.0.1:8500", "app");
        assert_eq!(
            plain.query.path(asked),
            "/v1/health/service/app?passing=1",
            "the first answer comes at once"
        );
        asked.answered(Some(42));
        assert_eq!(
            plain.query.path(asked),
            "/v1/health/service/app?passing=1&index=42&wait=30s"
        );
        let all = Consul::new("127.0.0.1:8500", "my app/1")
            .tag(Some("blue&green".to_owned()))
            .datacenter(Some("dc 1".to_owned()))
            .token(Some("secret".to_owned()));
        assert_eq!(
            all.query.path(Index::default()),
            "/v1/health/service/my%20app%2F1?passing=1&tag=blue%26green&dc=dc%201"
        );
        all.query.uri(asked).expect("a URI");
        assert!(!format!("{:?}", all.query).contains("secret"));
    }
}
