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

/// 16 letters and digits: 8 drawn at random once a process, 8 that count its requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct RequestId([u8; 16]);

impl RequestId {
    pub(crate) fn next() -> Self {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&*PREFIX);
        id[8..].copy_from_slice(&digits(NEXT.fetch_add(1, Ordering::Relaxed)));
        RequestId(id)
    }

    pub(crate) fn as_str(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or_default()
    }

    pub(crate) fn header(&self) -> HeaderValue {
        HeaderValue::from_bytes(&self.0).unwrap_or_else(|_| HeaderValue::from_static("-"))
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
        assert_eq!(&digits(0), b"00000000");
        assert_eq!(&digits(33), b"00000011");
        assert_eq!(&digits(u64::MAX), b"zzzzzzzz");
    }
}
