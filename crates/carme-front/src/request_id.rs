//! Request ids: short, unique, cheap to make.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use http::HeaderValue;

/// Crockford's base 32, in lower case: no letter that is mistaken for a digit.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

static PREFIX: LazyLock<[u8; 8]> = LazyLock::new(|| {
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    digits(hasher.finish())
});
static NEXT: AtomicU64 = AtomicU64::new(0);

/// The longest id that is taken from a proxy.
const LONGEST: usize = 128;

/// A request's name in all logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RequestId(Kind);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    /// 16 letters and digits: 8 drawn at random once a process, 8 that count its requests.
    Made([u8; 16]),
    /// By a trusted proxy.
    Given(Box<str>),
}

impl RequestId {
    pub(crate) fn next() -> Self {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&*PREFIX);
        id[8..].copy_from_slice(&digits(NEXT.fetch_add(1, Ordering::Relaxed)));
        RequestId(Kind::Made(id))
    }

    /// A proxy's id, if it is short and of characters that mean nothing in logs, addresses and shells.
    pub(crate) fn given(id: &[u8]) -> Option<Self> {
        let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~:+/=@".contains(byte);
        if id.is_empty() || id.len() > LONGEST || !id.iter().all(is_plain) {
            return None;
        }
        Some(RequestId(Kind::Given(str::from_utf8(id).ok()?.into())))
    }

    pub(crate) fn as_str(&self) -> &str {
        match &self.0 {
            Kind::Made(id) => str::from_utf8(id).unwrap_or_default(),
            Kind::Given(id) => id,
        }
    }

    pub(crate) fn header(&self) -> HeaderValue {
        HeaderValue::from_str(self.as_str()).unwrap_or_else(|_| HeaderValue::from_static("-"))
    }
}

/// The lowest 40 bits.
fn digits(number: u64) -> [u8; 8] {
    std::array::from_fn(|at| ALPHABET[(number >> (35 - 5 * at)) as usize & 31])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ_and_count_up() {
        let (first, second) = (RequestId::next(), RequestId::next());
        assert_eq!(first.as_str()[..8], second.as_str()[..8]);
        assert!(first.as_str() < second.as_str());
        assert_eq!(first.header().as_bytes(), first.as_str().as_bytes());
        assert_eq!(first.as_str().len(), 16);
        assert_eq!(&digits(0), b"00000000");
        assert_eq!(&digits(33), b"00000011");
        assert_eq!(&digits(u64::MAX), b"zzzzzzzz");
    }

    #[test]
    fn ids_of_proxies_are_taken_as_they_are_or_not_at_all() {
        for id in [
            "a",
            "9f86d081-884c-4d63",
            "Root=1-67891233-abcdef012345678912345678",
            &"x".repeat(128),
        ] {
            assert_eq!(RequestId::given(id.as_bytes()).unwrap().as_str(), id);
        }
        for id in [
            "",
            "a b",
            "a\"b",
            "a,b",
            "a;b",
            "a\\b",
            "a%b",
            "<a>",
            "a\tb",
            "\u{e9}",
            &"x".repeat(129),
        ] {
            assert_eq!(RequestId::given(id.as_bytes()), None, "{id}");
        }
    }
}
