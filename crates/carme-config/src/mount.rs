//! The path at which an app is mounted.

use std::fmt;

use crate::problem::Mistake;

/// A path prefix that ends at a segment's boundary: `/` or `/shop`, decoded, without a slash at its end.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MountPath(String);

impl MountPath {
    /// `/`: everything.
    pub fn root() -> Self {
        MountPath(String::new())
    }

    /// Reads a path as it stands after percent-decoding. `/shop` and `/shop/` mean the same.
    ///
    /// # Errors
    /// What is wrong and what to write.
    pub fn parse(text: &str) -> Result<Self, Mistake> {
        let wrong = || {
            Mistake::new(format!(
                "must be a path such as \"/\" or \"/shop\", found {text:?}"
            ))
        };
        if let Some((_, rest)) = text.split_once("://") {
            let path = rest.find('/').map_or("/", |slash| &rest[slash..]);
            return Err(wrong().cure(format!("write the path alone: \"{path}\"")));
        }
        let Some(path) = text.strip_prefix('/') else {
            return Err(wrong().cure(format!("begin with a slash: \"/{text}\"")));
        };
        if let Some(odd) = path
            .chars()
            .find(|c| c.is_control() || matches!(c, '?' | '#' | '*'))
        {
            return Err(wrong().cure(format!("a path is a plain prefix, without {odd:?}")));
        }
        if path.is_empty() {
            return Ok(Self::root());
        }
        let path = path.strip_suffix('/').unwrap_or(path);
        if path.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
            return Err(wrong().cure("leave out empty segments, \".\" and \"..\""));
        }
        Ok(MountPath(format!("/{path}")))
    }

    /// `SCRIPT_NAME` for an app mounted here (PEP 3333): empty for `/`, else the path without a slash at its end.
    pub fn script_name(&self) -> &str {
        &self.0
    }

    /// What of a decoded request path lies below this mount, `PATH_INFO`; `None` if the path is not below it.
    /// `/shop` covers `/shop` and `/shop/cart`, not `/shopping`.
    pub fn path_info<'p>(&self, path: &'p [u8]) -> Option<&'p [u8]> {
        let rest = path.strip_prefix(self.0.as_bytes())?;
        (rest.is_empty() || rest[0] == b'/' || self.0.is_empty()).then_some(rest)
    }
}

impl fmt::Display for MountPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "/" } else { &self.0 })
    }
}

#[cfg(test)]
mod tests {
    use super::MountPath;

    #[test]
    fn covers_whole_segments() {
        for (mount, path, expected) in [
            ("/", "/", Some("/")),
            ("/", "/a/b", Some("/a/b")),
            ("/", "*", Some("*")),
            ("/shop", "/shop", Some("")),
            ("/shop", "/shop/", Some("/")),
            ("/shop/", "/shop/cart", Some("/cart")),
            ("/shop", "/shopping", None),
            ("/shop", "/", None),
            ("/shop", "/Shop", None),
        ] {
            let mount = MountPath::parse(mount).expect(mount);
            assert_eq!(
                mount.path_info(path.as_bytes()),
                expected.map(str::as_bytes),
                "{mount} {path}"
            );
        }
        assert_eq!(MountPath::parse("/").expect("root").script_name(), "");
        assert_eq!(MountPath::parse("/a/b/").expect("a path").script_name(), "/a/b");
    }

    #[test]
    fn mistakes() {
        for (text, cure) in [
            ("shop", "begin with a slash: \"/shop\""),
            ("", "begin with a slash: \"/\""),
            ("//", "leave out empty segments, \".\" and \"..\""),
            ("/a//b", "leave out empty segments, \".\" and \"..\""),
            ("/a/../b", "leave out empty segments, \".\" and \"..\""),
            ("/a?b", "a path is a plain prefix, without '?'"),
            ("/static/*", "a path is a plain prefix, without '*'"),
            ("http://example.org/shop", "write the path alone: \"/shop\""),
        ] {
            let mistake = MountPath::parse(text).expect_err(text);
            assert_eq!(
                mistake.what,
                format!("must be a path such as \"/\" or \"/shop\", found {text:?}")
            );
            assert_eq!(mistake.cure.as_deref(), Some(cure), "{text}");
        }
    }
}
