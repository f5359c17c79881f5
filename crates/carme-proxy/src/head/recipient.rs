//! Who is to answer a request at a balancer's location: a member, or this server itself.

use http::Method;
use http::header::{self, HeaderMap};

use super::passing::Passing;
use super::request::Refused;

/// Who answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recipient {
    /// A member.
    Member,
    /// This server: `OPTIONS` or `TRACE` that may go no further (RFC 9110, 7.6.2).
    Server,
}

/// Who answers a request of a client, as far as its method and `Max-Forwards` say; to be asked before a member is chosen.
pub fn recipient(
    passing: &Passing,
    method: &Method,
    headers: &HeaderMap,
    has_content: bool,
) -> Result<Recipient, Refused> {
    match *method {
        Method::OPTIONS => {}
        Method::TRACE if !passing.trace => return Err(Refused::Trace),
        // Which no client must send (RFC 9110, 9.3.8).
        Method::TRACE if has_content => return Err(Refused::TraceContent),
        Method::TRACE => {}
        _ => return Ok(Recipient::Member),
    }
    Ok(match forwards(headers)? {
        Some(0) => Recipient::Server,
        _ => Recipient::Member,
    })
}

/// `Max-Forwards`, if it is there.
pub(super) fn forwards(headers: &HeaderMap) -> Result<Option<u64>, Refused> {
    let mut values = headers.get_all(header::MAX_FORWARDS).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let digits = value.as_bytes();
    if values.next().is_some() || digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(Refused::MaxForwards);
    }
    // As large as anybody means it.
    let number = value.to_str().ok().and_then(|text| text.parse().ok());
    Ok(Some(number.unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::super::tests::passing;
    use super::*;

    #[test]
    fn who_answers() {
        let (member, server) = (Ok(Recipient::Member), Ok(Recipient::Server));
        let wrong = Err(Refused::MaxForwards);
        for (method, forwards, expected) in [
            (Method::OPTIONS, &[][..], member),
            (Method::OPTIONS, &["1"], member),
            (Method::OPTIONS, &["0"], server),
            (Method::OPTIONS, &["00"], server),
            (Method::OPTIONS, &["x"], wrong),
            (Method::OPTIONS, &["0", "1"], wrong),
            (Method::TRACE, &[], member),
            (Method::TRACE, &["0"], server),
            (Method::GET, &["0"], member),
            (Method::GET, &["x"], member),
        ] {
            let mut headers = HeaderMap::new();
            for value in forwards {
                headers.append(header::MAX_FORWARDS, value.parse().unwrap());
            }
            let got = recipient(&passing(), &method, &headers, false);
            assert_eq!(got, expected, "{method} {forwards:?}");
        }
    }

    #[test]
    fn trace_has_no_content_and_may_be_off() {
        let off = Passing {
            trace: false,
            ..passing()
        };
        let ask = |passing: &Passing, method: &Method, has_content: bool| {
            recipient(passing, method, &HeaderMap::new(), has_content)
        };
        assert_eq!(ask(&passing(), &Method::TRACE, true), Err(Refused::TraceContent));
        assert_eq!(ask(&off, &Method::TRACE, true), Err(Refused::Trace));
        assert_eq!(ask(&off, &Method::TRACE, false), Err(Refused::Trace));
        assert_eq!(ask(&off, &Method::OPTIONS, true), Ok(Recipient::Member));
    }
}
