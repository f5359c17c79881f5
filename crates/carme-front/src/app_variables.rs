//! What an application sees of its requests' variables: all that the configuration gives, in its environment (`environ`),
//! as `mod_wsgi` has it. A field that the client has sent comes before a variable of the same key.

use std::borrow::Cow;

use carme_ring::frame::{Scheme, Variables};
use http::{HeaderMap, header};

use crate::record::Record;

/// `on` or `1` says that the client speaks TLS, with a proxy perhaps.
const HTTPS: &str = "HTTPS";

/// The variables for the request's application, those of mod_ssl among them. Nothing is copied where the configuration
/// gives none.
pub(crate) fn of(record: &Record) -> Cow<'_, Variables> {
    let of_tls = record.connection.tls().map(|session| &session.variables);
    let mut all = of_tls.map_or_else(Cow::default, Cow::Borrowed);
    for (name, value) in record.environment.configured() {
        // The scheme says it already, and a field's value is the later word.
        if !name.eq_ignore_ascii_case(HTTPS) && !is_field(&record.headers, name) {
            all.to_mut().push(name.as_bytes(), value);
        }
    }
    all
}

/// At most the bytes that they take in a request's head.
pub(crate) fn max_len(record: &Record) -> usize {
    let of_tls = record.connection.tls();
    let of_tls = of_tls.map_or(0, |session| session.variables.as_bytes().len());
    let len = |(name, value): (&str, &[u8])| Variables::len_of(name.as_bytes(), value);
    of_tls + record.environment.configured().map(len).sum::<usize>()
}

/// What the application is told that the client speaks.
pub(crate) fn scheme(record: &Record) -> Scheme {
    match record.environment.get(HTTPS) {
        Some(value) if value == b"1" || value.eq_ignore_ascii_case(b"on") => Scheme::Https,
        _ => record.scheme(),
    }
}

/// Whether the key is that of a field which the application sees.
fn is_field(headers: &HeaderMap, key: &str) -> bool {
    if key == "CONTENT_TYPE" {
        return headers.contains_key(header::CONTENT_TYPE);
    }
    let Some(key) = key.strip_prefix("HTTP_") else {
        return false;
    };
    let in_key = |byte: u8| match byte {
        b'-' => b'_',
        other => other.to_ascii_uppercase(),
    };
    // `Proxy` is shown to no application.
    let mut fields = headers
        .keys()
        .map(|name| name.as_str())
        .filter(|name| *name != "proxy");
    fields.any(|name| name.bytes().map(in_key).eq(key.bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn keys_of_fields() {
        let mut headers = HeaderMap::new();
        for name in ["x-a-b", "x.c", "proxy", "content-type"] {
            let name: header::HeaderName = name.parse().unwrap();
            headers.insert(name, HeaderValue::from_static("1"));
        }
        for key in ["HTTP_X_A_B", "HTTP_X.C", "CONTENT_TYPE"] {
            assert!(is_field(&headers, key), "{key}");
        }
        for key in [
            "HTTP_X_A",
            "HTTP_X-A-B",
            "http_x_a_b",
            "X_A_B",
            "HTTP_PROXY",
            "HTTP_",
            "CONTENT_LENGTH",
        ] {
            assert!(!is_field(&headers, key), "{key}");
        }
    }
}
