//! Where spans are sent.

use std::fmt;
use std::str::FromStr;

use http::Uri;

/// Where a collector listens if nothing else is said.
const PATH: &str = "/v1/traces";
/// The port of OTLP over HTTP.
const PORT: u16 = 4318;

/// Where spans are sent: `http://HOST:PORT`, with a path or `/v1/traces`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) path: String,
}

/// Why a text is no [`Endpoint`]: the rest of a sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// It is no URL, or one with parts that make no sense here.
    #[error("must be an address such as \"http://127.0.0.1:4318\", found {0:?}")]
    Malformed(String),
    /// It wants encryption.
    #[error(
        "must begin with \"http://\": spans are sent without TLS, to a collector on this machine or network, found {0:?}"
    )]
    Tls(String),
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let malformed = || EndpointError::Malformed(text.to_owned());
        let uri: Uri = text.parse().map_err(|_| malformed())?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => return Err(EndpointError::Tls(text.to_owned())),
            _ => return Err(malformed()),
        }
        let authority = uri.authority().ok_or_else(malformed)?;
        if authority.as_str().contains('@') || authority.host().is_empty() || uri.query().is_some() {
            return Err(malformed());
        }
        let path = match uri.path() {
            "" | "/" => PATH,
            path => path,
        };
        Ok(Endpoint {
            host: authority.host().to_owned(),
            port: authority.port_u16().unwrap_or(PORT),
            path: path.to_owned(),
        })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}:{}{}", self.host, self.port, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints() {
        for (text, shown) in [
            ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
            ("http://collector", "http://collector:4318/v1/traces"),
            ("http://[::1]:1/", "http://[::1]:1/v1/traces"),
            ("http://a:2/x/y", "http://a:2/x/y"),
        ] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), shown);
        }
        for text in [
            "",
            "127.0.0.1:4318",
            "ftp://a",
            "http://",
            "http://u@a",
            "http://a/?x=1",
            "grpc://a:4317",
        ] {
            assert_eq!(
                text.parse::<Endpoint>(),
                Err(EndpointError::Malformed(text.to_owned()))
            );
        }
        assert!(matches!(
            "https://a".parse::<Endpoint>(),
            Err(EndpointError::Tls(_))
        ));
    }
}
