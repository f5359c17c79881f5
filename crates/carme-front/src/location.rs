//! What answers a host and a path.

use std::borrow::Cow;
use std::sync::Arc;

use crate::files::Files;
use crate::local::{Fixed, Redirect};
use crate::policy::Policy;
use crate::proxying::Proxied;

/// A host, a path prefix and what answers below it.
#[derive(Debug, Clone)]
pub struct Location<A> {
    host: Host,
    /// Without a slash at its end; the root is empty. It is the application's `SCRIPT_NAME`.
    prefix: String,
    pub(crate) answerer: Answerer<A>,
    /// What else holds there; `None` costs nothing.
    pub(crate) policy: Option<Arc<Policy>>,
}

/// Who answers.
#[derive(Debug, Clone)]
pub(crate) enum Answerer<A> {
    App(A),
    Files(Arc<Files>),
    Redirect(Redirect),
    Fixed(Fixed),
    Balancer(Arc<Proxied>),
}

/// Which names a location answers to.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Host {
    Name(String),
    /// Every name that ends so: with a dot before, `.example.com`.
    Below(String),
    Any,
}

impl Host {
    fn parse(text: &str) -> Self {
        match text.strip_prefix('*') {
            Some("") => Host::Any,
            Some(suffix) => Host::Below(suffix.to_ascii_lowercase()),
            None => Host::Name(text.to_ascii_lowercase()),
        }
    }

    fn answers(&self, asked: &[u8]) -> bool {
        match self {
            Host::Name(name) => asked.eq_ignore_ascii_case(name.as_bytes()),
            Host::Below(suffix) => asked
                .len()
                .checked_sub(suffix.len())
                .is_some_and(|at| at > 0 && asked[at..].eq_ignore_ascii_case(suffix.as_bytes())),
            Host::Any => true,
        }
    }

    /// A name before a wildcard, a longer wildcard before a shorter one, everything else last.
    fn rank(&self) -> (u8, usize) {
        match self {
            Host::Name(_) => (2, 0),
            Host::Below(suffix) => (1, suffix.len()),
            Host::Any => (0, 0),
        }
    }
}

impl<A> Location<A> {
    /// `app` answers `path` and everything below it. A slash at the end of `path` makes no difference.
    pub fn new(path: &str, app: A) -> Self {
        Self::of(path, Answerer::App(app))
    }

    /// Files answer, without any application.
    pub fn files(path: &str, files: Files) -> Self {
        Self::of(path, Answerer::Files(Arc::new(files)))
    }

    /// Clients are sent elsewhere.
    pub fn redirect(path: &str, redirect: Redirect) -> Self {
        Self::of(path, Answerer::Redirect(redirect))
    }

    /// Always the same answer.
    pub fn fixed(path: &str, fixed: Fixed) -> Self {
        Self::of(path, Answerer::Fixed(fixed))
    }

    /// Members of a balancer answer.
    pub fn balanced(path: &str, proxied: Proxied) -> Self {
        Self::of(path, Answerer::Balancer(Arc::new(proxied)))
    }

    fn of(path: &str, answerer: Answerer<A>) -> Self {
        Location {
            host: Host::Any,
            prefix: path.trim_end_matches('/').to_owned(),
            answerer,
            policy: None,
        }
    }

    /// Only for requests to this host: a name, or `*.` and the end of names.
    #[must_use]
    pub fn at_host(mut self, host: &str) -> Self {
        self.host = Host::parse(host);
        self
    }

    /// With this policy.
    #[must_use]
    pub fn with_policy(mut self, policy: Policy) -> Self {
        self.policy = policy.into_shared();
        self
    }
}

/// Locations: those of a host before those of any, and the longest prefix first.
#[derive(Debug)]
pub(crate) struct Locations<A> {
    sorted: Vec<Location<A>>,
    /// Whether the host makes a difference at all.
    by_host: bool,
}

impl<A> FromIterator<Location<A>> for Locations<A> {
    fn from_iter<I: IntoIterator<Item = Location<A>>>(locations: I) -> Self {
        let mut sorted: Vec<_> = locations.into_iter().collect();
        sorted.sort_by_key(|location| std::cmp::Reverse((location.host.rank(), location.prefix.len())));
        Locations {
            by_host: sorted.iter().any(|location| location.host != Host::Any),
            sorted,
        }
    }
}

/// A location and the two halves of the path as it sees it.
#[derive(Debug)]
pub(crate) struct Found<'a, A> {
    pub(crate) location: &'a Location<A>,
    pub(crate) script_name: &'a [u8],
    pub(crate) path_info: &'a [u8],
}

impl<A> Locations<A> {
    /// Whether anything at any of them depends on what is known of a request.
    pub(crate) fn read_variables(&self) -> bool {
        let mut policies = self.sorted.iter().filter_map(|location| location.policy.as_ref());
        policies.any(|policy| policy.reads_variables())
    }

    /// The first location with a prefix of `path` that ends where a segment ends. `host` is asked for only if it makes
    /// a difference; it is without port.
    pub(crate) fn find<'a, 'h>(
        &'a self,
        host: impl FnOnce() -> &'h [u8],
        path: &'a [u8],
    ) -> Option<Found<'a, A>> {
        let host = if self.by_host { host() } else { b"" };
        // A name with a dot at its end is the same name.
        let host = host.strip_suffix(b".").unwrap_or(host);
        self.sorted.iter().find_map(|location| {
            let path_info = path.strip_prefix(location.prefix.as_bytes())?;
            let matches = matches!(path_info, [] | [b'/', ..]) && location.host.answers(host);
            matches.then_some(Found {
                location,
                script_name: location.prefix.as_bytes(),
                path_info,
            })
        })
    }
}

/// Percent-decodes a path to bytes. What is not an escape stays as it is; slashes and dots are left to the application.
pub(crate) fn decode(path: &[u8]) -> Cow<'_, [u8]> {
    let Some(first) = memchr::memchr(b'%', path) else {
        return Cow::Borrowed(path);
    };
    let mut decoded = Vec::with_capacity(path.len());
    decoded.extend_from_slice(&path[..first]);
    let mut rest = &path[first..];
    while let Some((&byte, after)) = rest.split_first() {
        match (byte, after) {
            (b'%', [high, low, after @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                decoded.push(nibble(*high) << 4 | nibble(*low));
                rest = after;
            }
            _ => {
                decoded.push(byte);
                rest = after;
            }
        }
    }
    Cow::Owned(decoded)
}

/// Percent-encodes a path for a `Location` field: what a browser would encode, and everything that could be taken for
/// something else.
pub(crate) fn encode(path: &[u8]) -> String {
    let mut encoded = String::with_capacity(path.len());
    for &byte in path {
        if byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

fn nibble(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl<A: Copy> Found<'_, A> {
        fn app(&self) -> A {
            match &self.location.answerer {
                Answerer::App(app) => *app,
                _ => panic!("no app"),
            }
        }
    }

    #[test]
    fn the_longest_prefix_at_a_segment_boundary_wins() {
        let locations: Locations<_> = [
            Location::new("/", "root"),
            Location::new("/a/", "a"),
            Location::new("/a/b", "ab"),
        ]
        .into_iter()
        .collect();
        for (path, app, script_name, path_info) in [
            ("/", "root", "", "/"),
            ("/ab", "root", "", "/ab"),
            ("/a", "a", "/a", ""),
            ("/a/", "a", "/a", "/"),
            ("/a/bc", "a", "/a", "/bc"),
            ("/a/b/c", "ab", "/a/b", "/c"),
            ("//a/b", "root", "", "//a/b"),
            ("/a//b", "a", "/a", "//b"),
            ("", "root", "", ""),
        ] {
            let found = locations.find(|| unreachable!(), path.as_bytes()).expect(path);
            assert_eq!(
                (found.app(), found.script_name, found.path_info),
                (app, script_name.as_bytes(), path_info.as_bytes())
            );
        }
        let only: Locations<_> = [Location::new("/a", ())].into_iter().collect();
        assert!(only.find(|| b"", b"/").is_none());
        assert!(only.find(|| b"", b"/ab").is_none());
    }

    #[test]
    fn a_host_of_its_own_comes_before_any_and_its_longest_wildcard_before_shorter_ones() {
        let locations: Locations<_> = [
            Location::new("/", "any"),
            Location::new("/deep/er", "any deeper"),
            Location::new("/", "exact").at_host("www.Example.com"),
            Location::new("/", "wild").at_host("*.example.com"),
            Location::new("/", "wilder").at_host("*.a.example.com"),
            Location::new("/only", "bare").at_host("example.com"),
        ]
        .into_iter()
        .collect();
        for (host, path, app) in [
            ("www.example.com", "/", "exact"),
            ("WWW.EXAMPLE.COM", "/deep/er", "exact"),
            ("www.example.com.", "/", "exact"),
            ("x.example.com", "/", "wild"),
            ("x.y.example.com", "/", "wild"),
            ("x.a.example.com", "/", "wilder"),
            ("a.example.com", "/", "wild"),
            (".example.com", "/", "any"),
            ("badexample.com", "/deep/er", "any deeper"),
            ("example.com", "/only/x", "bare"),
            ("example.com", "/deep", "any"),
            ("", "/", "any"),
            ("[::1]", "/", "any"),
        ] {
            let found = locations.find(|| host.as_bytes(), path.as_bytes()).expect(host);
            assert_eq!(found.app(), app, "{host}{path}");
        }
    }

    #[test]
    fn escapes_decode_to_bytes_and_bad_ones_stay() {
        for (path, decoded) in [
            ("/a b", &b"/a b"[..]),
            ("/%41%2f%2F%c3%A9%00", b"/A//\xc3\xa9\0"),
            ("/%", b"/%"),
            ("/%4", b"/%4"),
            ("/%zz%41", b"/%zzA"),
            ("/%%41", b"/%A"),
            ("/../%2e%2e/", b"/../../"),
        ] {
            assert_eq!(decode(path.as_bytes()).as_ref(), decoded, "{path}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_was_encoded_decodes(bytes: Vec<u8>) {
            let encoded: String = bytes.iter().map(|byte| format!("%{byte:02x}")).collect();
            proptest::prop_assert_eq!(decode(encoded.as_bytes()).into_owned(), bytes);
        }

        #[test]
        fn what_we_encode_decodes_and_is_no_second_meaning(bytes: Vec<u8>) {
            let encoded = encode(&bytes);
            proptest::prop_assert!(!encoded.contains(['?', '#', '\\', ' ', '"', '<']));
            proptest::prop_assert_eq!(decode(encoded.as_bytes()).into_owned(), bytes);
        }
    }
}
