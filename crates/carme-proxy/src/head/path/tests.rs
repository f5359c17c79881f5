use http::Method;
use proptest::prelude::*;

use super::*;
use crate::head::tests::{asked, endpoint, passing};

/// What a member with this path gets, at a location with this path, `upstream_path` and `nocanon`.
fn at(member: &str, upstream: &str, raw: bool, location: &str, target: &str) -> Result<String, Refused> {
    let mut endpoint = endpoint();
    endpoint.path = member.to_owned();
    let mut passing = passing();
    passing.path = upstream.to_owned();
    passing.raw_path = raw;
    let target: PathAndQuery = target.parse().unwrap();
    let mut asked = asked(&Method::GET, &target);
    asked.location = location;
    at_member(&passing, &endpoint, &asked).map(|target| target.to_string())
}

fn canonical(location: &str, target: &str) -> Result<String, Refused> {
    at("", "", false, location, target)
}

#[test]
fn normal_paths() {
    for (path, normal) in [
        ("/", "/"),
        ("/a/b/", "/a/b/"),
        ("//", "/"),
        ("//a///b//", "/a/b/"),
        ("/./a/.", "/a/"),
        ("/a/..", "/"),
        ("/a/b/..", "/a/"),
        ("/a/../b", "/b"),
        ("/a//../b", "/b"),
        ("/a/%2e%2E/b", "/b"),
        ("/.%2e/..a/...", ""),
        ("/..a/.../.b", "/..a/.../.b"),
        ("/%41%7e%2d%20%2f", "/A~-%20%2f"),
        ("/a;b=c/..;d", "/a;b=c/..;d"),
    ] {
        let expected = if normal.is_empty() {
            Err(Refused::Dots)
        } else {
            Ok(normal)
        };
        let got = normal_path(path);
        assert_eq!(got.as_deref(), expected.as_ref().map(|normal| *normal), "{path}");
        if let Ok(normal) = got {
            assert_eq!(is_normal(path.as_bytes()), path == normal, "{path}");
        }
    }
    for (path, refused) in [
        ("/..", Refused::Dots),
        ("/a/../../b", Refused::Dots),
        ("//..", Refused::Dots),
        ("/%", Refused::Escape),
        ("/%4", Refused::Escape),
        ("/%zz", Refused::Escape),
        ("/%+1", Refused::Escape),
        ("/%00", Refused::Escape),
        ("*", Refused::Elsewhere),
    ] {
        assert_eq!(normal_path(path), Err(refused), "{path}");
    }
}

#[test]
fn the_members_prefix_takes_the_place_of_the_locations() {
    for (member, upstream, location, target, expected) in [
        ("", "", "", "/", "/"),
        ("", "", "", "/a/b?c=d", "/a/b?c=d"),
        ("", "", "/app", "/app/x?y", "/x?y"),
        ("", "", "/app", "/app", "/"),
        ("", "", "/app", "/app?", "/?"),
        ("", "", "/app", "/app/", "/"),
        ("/m", "", "", "/", "/m/"),
        ("/m", "/up", "/app", "/app", "/m/up"),
        ("/m", "/up", "/app", "/app/x", "/m/up/x"),
        ("/a", "/b", "/a/b", "/a/b/c", "/a/b/c"),
        ("/ü b", "/50%/%41", "", "/x", "/%C3%BC%20b/50%25/%41/x"),
        ("", "", "/a b", "/a%20b/c", "/c"),
        ("", "", "/é", "/%c3%A9/c", "/c"),
        ("", "", "/app", "/%61pp/c", "/c"),
        ("", "", "/app", "//app//c", "/c"),
        ("", "", "/app", "/x/../app/c", "/c"),
    ] {
        assert_eq!(
            at(member, upstream, false, location, target).as_deref(),
            Ok(expected),
            "{member} {upstream} {location} {target}"
        );
    }
}

#[test]
fn one_spelling() {
    for (target, expected) in [
        ("/%7Ea%20b%5b%5D", "/~a%20b%5B%5D"),
        ("/a[b]{c}|d^", "/a%5Bb%5D%7Bc%7D%7Cd%5E"),
        ("/%3a%40%26%3D%2b%24%2c%21", "/:@&=+$,!"),
        ("/%2f%2F", "/%2F%2F"),
        ("/%25%23%3f%5c", "/%25%23%3F%5C"),
        ("/é", "/%C3%A9"),
        ("/%0d%0a", "/%0D%0A"),
        ("/a?b=[1]&c={2}|é", "/a?b=[1]&c={2}|%C3%A9"),
        ("/a?%zz%00", "/a?%zz%00"),
    ] {
        assert_eq!(canonical("", target).as_deref(), Ok(expected), "{target}");
    }
}

#[test]
fn the_clients_spelling() {
    for (member, location, target, expected) in [
        ("", "", "/%7Ea%2fb[c]//d/./e?f", "/%7Ea%2fb[c]//d/./e?f"),
        ("/m", "", "/%7Ea%2fb", "/m/%7Ea%2fb"),
        ("", "/app", "/app/a/../b%3d", "/a/../b%3d"),
        ("", "", "/é", "/%C3%A9"),
        // Not below the location as it is written, or out of it: the normal form.
        ("", "/app", "/%61pp/b%3d", "/b="),
        ("", "/app", "/app/../app/b%3d", "/b="),
        ("", "/app", "/x/../app/b%3d", "/b="),
    ] {
        assert_eq!(
            at(member, "", true, location, target).as_deref(),
            Ok(expected),
            "{location} {target}"
        );
    }
}

#[test]
fn nobody_leaves_the_location() {
    for raw in [false, true] {
        for (target, refused) in [
            ("/app/../admin", Refused::Elsewhere),
            ("/app/%2e%2e/admin", Refused::Elsewhere),
            ("/app/x/../../admin", Refused::Elsewhere),
            ("/app/../../admin", Refused::Dots),
            ("/app//../admin", Refused::Elsewhere),
            ("/app/..%2fadmin", Refused::Dots),
            ("/app/x%2F%2e%2e%2F%2e%2e%2Fadmin", Refused::Dots),
            ("/app/..%5Cadmin", Refused::Dots),
            ("/app/x%5c..%5cadmin", Refused::Dots),
            ("/app/..;/admin", Refused::Dots),
            ("/app/..%3bx/admin", Refused::Dots),
            ("/app%2Fx", Refused::Elsewhere),
            ("/app%2F", Refused::Elsewhere),
            ("/apple", Refused::Elsewhere),
            ("/ap", Refused::Elsewhere),
            ("/app/%", Refused::Escape),
            ("/app/%00", Refused::Escape),
        ] {
            assert_eq!(at("/m", "", raw, "/app", target), Err(refused), "{target}");
        }
    }
}

#[test]
fn what_stays_as_it_is_is_not_copied() {
    let target: PathAndQuery = "/app/x.y?z=[1]".parse().unwrap();
    let mut endpoint = endpoint();
    for (member, upstream, location) in [("", "", ""), ("/app", "", "/app"), ("/a", "pp", "/app")] {
        let mut passing = passing();
        endpoint.path = member.to_owned();
        passing.path = upstream.to_owned();
        let mut asked = asked(&Method::GET, &target);
        asked.location = location;
        let passed = at_member(&passing, &endpoint, &asked).unwrap();
        assert_eq!(
            passed.as_str().as_ptr(),
            target.as_str().as_ptr(),
            "{member} {location}"
        );
    }
}

#[test]
fn a_path_that_encoding_makes_too_long_is_refused() {
    let target = format!("/{}", "[".repeat(40_000));
    assert_eq!(canonical("", &target), Err(Refused::TooLong));
}

fn foreign_path() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "/", "/", "..", ".", "%2e", "%2F", "%5c", ";", "a", "app", "%61", "%", "%00", "[", "é", "~", "+",
        "%25", "//", "x y", "%zz", "%0A", "|",
    ]);
    prop::collection::vec(pieces, 0..12).prop_map(|pieces| format!("/{}", pieces.concat()))
}

proptest! {
    #[test]
    fn normal_forms_are_normal(path in foreign_path()) {
        if let Ok(normal) = normal_path(&path) {
            prop_assert!(is_normal(normal.as_bytes()), "{}", normal);
            let again = normal_path(&normal);
            prop_assert_eq!(again.as_deref(), Ok(&*normal));
        }
    }

    #[test]
    fn whatever_comes_out_is_sound_and_below_the_members_path(
        path in foreign_path(),
        query in "[ -~é]{0,8}",
        raw: bool,
        location in prop::sample::select(vec!["", "/app", "/a b", "/é"]),
        member in prop::sample::select(vec!["", "/m", "/app", "/m n"]),
    ) {
        let Ok(target) = format!("{path}?{query}").parse::<PathAndQuery>() else { return Ok(()) };
        if let Ok(passed) = at(member, "", raw, location, target.as_str()) {
            prop_assert!(passed.bytes().all(|byte| byte.is_ascii_graphic()), "{}", passed);
            let passed: PathAndQuery = passed.parse().unwrap();
            let normal = normal_path(passed.path()).unwrap();
            let base = member.replace(' ', "%20");
            let below = normal.strip_prefix(&base).unwrap();
            prop_assert!(below.is_empty() || below.starts_with('/'), "{}", normal);
            prop_assert!(!has_hidden_dots(normal.as_bytes()));
        }
    }

    #[test]
    fn any_bytes(path in "\\PC{0,20}") {
        let _ = normal_path(&path);
        let _ = normal_path(&format!("/{path}"));
    }
}
