use proptest::prelude::*;

use super::*;
use crate::head::tests::passing;

fn mapping() -> Passing {
    let pairs = |pairs: &[(&str, &str)]| {
        let owned = pairs
            .iter()
            .map(|(from, to)| ((*from).to_owned(), (*to).to_owned()));
        owned.collect()
    };
    Passing {
        cookie_domains: pairs(&[("app.internal", "example.com")]),
        cookie_paths: pairs(&[("/up/", "/"), ("/u", "/v")]),
        ..passing()
    }
}

fn mapped(cookie: &str) -> Option<String> {
    let mapped = reversed(&mapping(), cookie.as_bytes())?;
    Some(String::from_utf8(mapped.as_bytes().to_vec()).unwrap())
}

#[test]
fn attributes() {
    for (cookie, expected) in [
        ("a=b; Path=/up/x", "a=b; Path=/"),
        ("a=b;path=/u;Secure", "a=b;path=/v;Secure"),
        (
            "a=b; DOMAIN=App.Internal; \tPath=/up/",
            "a=b; DOMAIN=example.com; \tPath=/",
        ),
        (
            "a=b; Path=/up/; Domain=app.internal;",
            "a=b; Path=/; Domain=example.com;",
        ),
        ("; Path=/up/", "; Path=/"),
        ("a=\u{e9}; Path=/up/", "a=\u{e9}; Path=/"),
    ] {
        assert_eq!(mapped(cookie).as_deref(), Some(expected), "{cookie}");
    }
    for cookie in [
        "",
        ";",
        "a=b",
        "path=/up/",
        "a=b; Path",
        "a=b; Path=",
        "a=b; Path=/",
        "a=b; Path=/UP/",
        "a=b; Domain=internal",
        "a=b; Path =/up/",
        "a=Path=/up/",
        "a=b; x=Path=/up/",
        "a=b; =/up/",
    ] {
        assert_eq!(mapped(cookie), None, "{cookie}");
    }
}

proptest! {
    #[test]
    fn nothing_but_values_changes(parts in prop::collection::vec("( ?(Path|Domain|a)=?(/up/|/u|app.internal|b)?)", 0..6)) {
        let cookie = parts.join(";");
        if let Some(mapped) = mapped(&cookie) {
            prop_assert_ne!(&mapped, &cookie);
            let kept = |text: &str| -> Vec<String> {
                text.split(';').map(|part| part.split_inclusive('=').next().unwrap_or_default().to_owned()).collect()
            };
            prop_assert_eq!(kept(&mapped), kept(&cookie));
        }
    }

    #[test]
    fn any_bytes(cookie: Vec<u8>) {
        let _ = reversed(&mapping(), &cookie);
    }
}
