//! Content codings, and which of them a client takes (RFC 9110 section 12.5.3).

use http::header::{self, HeaderMap, HeaderValue};

/// A content coding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coding {
    Brotli,
    Zstd,
    Gzip,
}

impl Coding {
    fn token(self) -> &'static str {
        match self {
            Coding::Brotli => "br",
            Coding::Zstd => "zstd",
            Coding::Gzip => "gzip",
        }
    }

    /// For `Content-Encoding`.
    pub(crate) fn value(self) -> HeaderValue {
        HeaderValue::from_static(self.token())
    }

    /// What is added to a file's name, by custom.
    pub(crate) fn extension(self) -> &'static str {
        match self {
            Coding::Brotli => ".br",
            Coding::Zstd => ".zst",
            Coding::Gzip => ".gz",
        }
    }
}

/// Those of `preferred` that the client takes, the one that it likes best first; among equals the order stays.
/// None that it likes less than no coding at all.
pub(crate) fn acceptable(request: &HeaderMap, preferred: [Coding; 3]) -> impl Iterator<Item = Coding> {
    let mut weights = [None; 3];
    let (mut identity, mut others) = (None, None);
    for value in request.get_all(header::ACCEPT_ENCODING) {
        for item in value.as_bytes().split(|&byte| byte == b',') {
            let Some((token, weight)) = weighted(item) else {
                continue;
            };
            let is = |name: &str| token.eq_ignore_ascii_case(name.as_bytes());
            if is("identity") {
                identity = Some(weight);
            } else if is("*") {
                others = Some(weight);
            } else if let Some(at) = preferred
                .iter()
                .position(|coding| is(coding.token()) || (*coding == Coding::Gzip && is("x-gzip")))
            {
                weights[at] = Some(weight);
            }
        }
    }
    let weights = weights.map(|weight| weight.or(others).unwrap_or(0));
    let least = identity.unwrap_or(0).max(1);
    let mut sorted = [0, 1, 2];
    sorted.sort_by_key(|&at| std::cmp::Reverse(weights[at]));
    sorted
        .into_iter()
        .filter(move |&at| weights[at] >= least)
        .map(move |at| preferred[at])
}

/// A token and its weight in thousandths; `None` for what is neither.
fn weighted(item: &[u8]) -> Option<(&[u8], u16)> {
    let mut parts = item.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
    let token = parts.next().filter(|token| !token.is_empty())?;
    let mut weight = 1000;
    for part in parts {
        if let [b'q' | b'Q', b'=', number @ ..] = part {
            let number: f32 = str::from_utf8(number).ok()?.trim().parse().ok()?;
            if !(0.0..=1.0).contains(&number) {
                return None;
            }
            weight = (number * 1000.0).round() as u16;
        }
    }
    Some((token, weight))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clients_order_then_ours() {
        let preferred = [Coding::Brotli, Coding::Zstd, Coding::Gzip];
        for (accept, expected) in [
            ("", ""),
            ("gzip", "gzip"),
            ("gzip, deflate, br, zstd", "br zstd gzip"),
            ("gzip;q=1.0, br;q=0.9", "gzip br"),
            ("br;q=0, gzip", "gzip"),
            ("*", "br zstd gzip"),
            ("*;q=0, gzip", "gzip"),
            ("*;q=0.5, zstd;q=0", "br gzip"),
            ("identity", ""),
            ("identity, gzip;q=0.5", ""),
            ("identity;q=0.5, gzip;q=0.5, br;q=0.4", "gzip"),
            ("identity;q=0", ""),
            ("GZIP ; Q=0.5", "gzip"),
            ("x-gzip", "gzip"),
            ("gzip;q=2", ""),
            ("gzip;q=x", ""),
            ("gzip;q=NaN", ""),
            ("gzip;q=0.001", "gzip"),
            (",,;q=1, br", "br"),
            ("bro, gzi", ""),
        ] {
            let mut request = HeaderMap::new();
            request.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(accept));
            let tokens: Vec<_> = acceptable(&request, preferred).map(Coding::token).collect();
            assert_eq!(tokens.join(" "), expected, "{accept}");
        }
        let mut request = HeaderMap::new();
        request.append(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip;q=0.1"));
        request.append(header::ACCEPT_ENCODING, HeaderValue::from_static("br"));
        assert_eq!(acceptable(&request, preferred).next(), Some(Coding::Brotli));
        assert_eq!(acceptable(&HeaderMap::new(), preferred).next(), None);
    }

    proptest::proptest! {
        #[test]
        fn nothing_that_a_client_sends_breaks_it(bytes in proptest::collection::vec(0x20_u8..0x7f, 0..60)) {
            let mut request = HeaderMap::new();
            request.insert(header::ACCEPT_ENCODING, HeaderValue::from_bytes(&bytes).expect("visible"));
            proptest::prop_assert!(acceptable(&request, PREFERRED_HERE).count() <= 3);
        }
    }

    const PREFERRED_HERE: [Coding; 3] = [Coding::Gzip, Coding::Zstd, Coding::Brotli];
}
