//! Variables that Apache's own modules look at. To Carme they are variables like others, so what they switch in Apache has
//! to be told.

/// The variable that keeps a request from `ProxyPass`, and why it does not always.
pub(super) const NO_PROXY: &str = "no-proxy";
pub(super) const NO_PROXY_LATE: &str =
    "sets no-proxy too late, as in Apache: SetEnvIf outside of a <Location> keeps requests from ProxyPass";

const OLD_CLIENTS: &str =
    "has Apache keep to what browsers of the nineties understood; Carme answers in HTTP/1.1";
const FRAMING: &str = "says how Apache delimits bodies to members; Carme passes them on as they come, with their length or chunked";
const COMPRESSION: &str =
    "is about Apache's compression; Carme compresses what `compress` of a location names";
const CLOSING: &str = "is about the end of TLS connections, which Carme ends with close_notify";

/// Name, and the rest of a sentence that says what it does in Apache and what is so here.
const SWITCHES: &[(&str, &str)] = &[
    (
        "force-proxy-request-1.0",
        "has Apache speak HTTP/1.0 to members; Carme speaks HTTP/1.1",
    ),
    (
        "proxy-nokeepalive",
        "ends the connection to the member in Apache; `disablereuse=On` of the member does so here",
    ),
    (
        "proxy-initial-not-pooled",
        "gives a client's first request a new connection in Apache; here a `ttl` below the members' own keep-alive time keeps \
         requests off connections that end",
    ),
    ("proxy-sendchunked", FRAMING),
    ("proxy-sendchunks", FRAMING),
    ("proxy-sendcl", FRAMING),
    ("proxy-sendunchangedcl", FRAMING),
    ("proxy-sendextracrlf", FRAMING),
    (
        "proxy-chain-auth",
        "has Apache pass Proxy-Authorization on; Carme does so always",
    ),
    (
        "proxy-interim-response",
        "is about 1xx answers of members, which Carme does not pass on",
    ),
    ("nokeepalive", OLD_CLIENTS),
    ("downgrade-1.0", OLD_CLIENTS),
    ("force-response-1.0", OLD_CLIENTS),
    ("redirect-carefully", OLD_CLIENTS),
    ("suppress-error-charset", OLD_CLIENTS),
    ("ssl-unclean-shutdown", CLOSING),
    ("ssl-accurate-shutdown", CLOSING),
    ("no-gzip", COMPRESSION),
    ("no-brotli", COMPRESSION),
    ("gzip-only-text/html", COMPRESSION),
    ("force-gzip", COMPRESSION),
    (
        "force-no-vary",
        "takes Vary out of Apache's answers, which Carme leaves there",
    ),
    ("no-cache", "is about Apache's cache; Carme has none"),
    (
        "prefer-language",
        "is about Apache's content negotiation; Carme has none",
    ),
];

/// What a variable of this name does in Apache, and what is so here; `None` if Apache does not look at it.
pub(super) fn unlike(name: &str) -> Option<&'static str> {
    let known = SWITCHES
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name));
    match known {
        Some((_, why)) => Some(why),
        None if name
            .get(..6)
            .is_some_and(|start| start.eq_ignore_ascii_case("proxy-")) =>
        {
            Some("is looked at by Apache's proxy modules, and not here")
        }
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_looked_up_as_apache_does() {
        for (name, expected) in [
            ("Force-Proxy-Request-1.0", true),
            ("proxy-fcgi-pathinfo", true),
            ("PROXY-anything", true),
            ("proxy", false),
            ("no-proxies", false),
            ("p\u{e4}x-", false),
        ] {
            assert_eq!(unlike(name).is_some(), expected, "{name}");
        }
    }

    #[test]
    fn reasons_are_ends_of_sentences() {
        for (name, why) in SWITCHES {
            assert!(
                !why.ends_with('.') && why.split_whitespace().count() > 5,
                "{name}"
            );
        }
    }
}
