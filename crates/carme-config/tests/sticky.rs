//! Apps whose clients stay at their worker.

mod site;

use carme_config::Sticky;
use site::Site;

const APP: &str = "[apps.site]\ntarget = \"app.py\"\n";

#[test]
fn the_cookie_the_parameter_and_the_separator() {
    let site = Site::new();
    let sticky = |keys: &str| {
        let config = site.toml(&format!("{APP}{keys}\n"));
        let mut config = config.unwrap_or_else(|problems| panic!("{keys}: {problems}"));
        config.apps.remove(0).sticky
    };
    let named = |cookie: &str, parameter: &str, separator| {
        Some(Sticky {
            cookie: cookie.into(),
            parameter: parameter.into(),
            separator,
            semicolon: false,
        })
    };
    assert_eq!(sticky(""), None);
    for (keys, expected) in [
        ("sticky = \"ROUTEID\"", named("ROUTEID", "ROUTEID", Some('.'))),
        ("sticky = \"R|route\"", named("R", "route", Some('.'))),
        (
            "sticky = \"R\"\nsticky_separator = \"-\"",
            named("R", "R", Some('-')),
        ),
        (
            "sticky_separator = \"off\"\nsticky = \"R\"",
            named("R", "R", None),
        ),
    ] {
        assert_eq!(sticky(keys), expected, "{keys}");
    }
}

#[test]
fn each_mistake_has_its_place_and_its_cure() {
    let site = Site::new();
    for (keys, expected) in [
        ("sticky = true", "3:10: `sticky` must be a string, found true"),
        (
            "sticky = \"a b\"",
            "3:10: `sticky` must be a cookie's name, or COOKIE|PARAMETER, found \"a b\"",
        ),
        (
            "sticky_separator = \"-\"",
            "3:20: `sticky_separator` means nothing without `sticky` | help: add sticky = \"ROUTEID\"",
        ),
        (
            "sticky = \"R\"\nsticky_separator = \"--\"",
            "4:20: `sticky_separator` must be one character or \"off\", found \"--\"",
        ),
        (
            "sticky = \"R\"\nsticky_separator = \";\"",
            "4:20: `sticky_separator` must be a character that a cookie may have, found ';'",
        ),
    ] {
        let problems = site.toml(&format!("{APP}{keys}\n")).expect_err(keys);
        assert_eq!(site.lines(&problems), [format!("carme.toml:{expected}")]);
    }
}

#[test]
fn two_apps_at_one_host_have_two_cookies() {
    let site = Site::new();
    let text = |cookie: &str, host: &str, other: &str| {
        let location = |host: &str, path: &str, app: &str| {
            let host = match host {
                "" => String::new(),
                host => format!("host = \"{host}\"\n"),
            };
            format!("[[locations]]\n{host}path = \"{path}\"\napp = \"{app}\"\n")
        };
        format!(
            "{APP}sticky = \"ROUTEID\"\n[apps.shop]\ntarget = \"shop/app.py\"\nsticky = \"{cookie}\"\n{}{}",
            location(host, "/", "site"),
            location(other, "/shop", "shop"),
        )
    };
    for (host, other, clash) in [
        ("", "", true),
        ("", "www.example.com", true),
        ("www.example.com", "www.example.com", true),
        ("*.example.com", "www.example.com", true),
        ("www.example.com", "*.example.com", true),
        ("www.example.com", "shop.example.com", false),
        ("*.example.com", "example.com", false),
    ] {
        let problems = match (site.toml(&text("ROUTEID", host, other)), clash) {
            (Ok(_), false) => continue,
            (Ok(_), true) => panic!("{host:?} and {other:?} meet"),
            (Err(problems), _) => site.lines(&problems),
        };
        assert!(clash, "{host:?} and {other:?} do not meet: {problems:?}");
        assert_eq!(
            problems,
            [
                "carme.toml:6:10: `sticky` is the cookie of the app `site` at the same host, too: each would overwrite \
                 the other's | help: write another name, such as \"ROUTEID_shop\""
            ]
        );
    }
    assert!(site.toml(&text("ROUTEID_shop", "", "")).is_ok());
}
