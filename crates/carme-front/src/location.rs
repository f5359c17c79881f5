//! Which application answers a path.

use std::borrow::Cow;

/// A path prefix and what answers below it.
#[derive(Debug, Clone)]
pub struct Location<A> {
    /// Without a slash at its end; the root is empty. It is the application's `SCRIPT_NAME`.
    prefix: String,
    app: A,
}

impl<A> Location<A> {
    /// `app` answers `path` and everything below it. A slash at the end of `path` makes no difference.
    pub fn new(path: &str, app: A) -> Self {
        Location {
            prefix: path.trim_end_matches('/').to_owned(),
            app,
        }
    }
}

/// Locations, the longest prefix first.
#[derive(Debug)]
pub(crate) struct Locations<A>(Vec<Location<A>>);

impl<A> FromIterator<Location<A>> for Locations<A> {
    fn from_iter<I: IntoIterator<Item = Location<A>>>(locations: I) -> Self {
        let mut locations: Vec<_> = locations.into_iter().collect();
        locations.sort_by_key(|location| std::cmp::Reverse(location.prefix.len()));
        Locations(locations)
    }
}

/// An application and the two halves of the path as it sees it.
#[derive(Debug)]
pub(crate) struct Found<'a, A> {
    pub(crate) app: &'a A,
    pub(crate) script_name: &'a [u8],
    pub(crate) path_info: &'a [u8],
}

impl<A> Locations<A> {
    /// The location with the longest prefix of `path` that ends where a segment ends.
    pub(crate) fn find<'a>(&'a self, path: &'a [u8]) -> Option<Found<'a, A>> {
        self.0.iter().find_map(|Location { prefix, app }| {
            let path_info = path.strip_prefix(prefix.as_bytes())?;
            matches!(path_info, [] | [b'/', ..]).then_some(Found {
                app,
                script_name: prefix.as_bytes(),
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

fn nibble(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            let found = locations.find(path.as_bytes()).expect(path);
            assert_eq!(
                (*found.app, found.script_name, found.path_info),
                (app, script_name.as_bytes(), path_info.as_bytes())
            );
        }
        let only: Locations<_> = [Location::new("/a", ())].into_iter().collect();
        assert!(only.find(b"/").is_none());
        assert!(only.find(b"/ab").is_none());
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
    }
}
