//! Apache's syntax: each directive by what it becomes in `carme.toml`, which must mean the same when it is read again.

mod directives;
mod farm;
mod mistakes;
mod shared_members;
#[path = "../site/mod.rs"]
mod site;
mod wsgi;

use std::path::Path;

use carme_config::{Answer, Config, Method, convert_texts};
use proptest::prelude::*;
use site::Site;

/// Something to listen at and to serve, for directives about something else.
const REST: &str = "Listen 8080\nRedirect gone /gone\n";

fn made(site: &Site, files: &[(&str, &str)]) -> String {
    let files: Vec<(&Path, &str)> = files
        .iter()
        .map(|(path, text)| (Path::new(*path), *text))
        .collect();
    match convert_texts(&files, &site.surroundings()) {
        Ok(made) => made.value,
        Err(problems) => panic!("{files:?}\n{problems}"),
    }
}

/// The TOML of a file, and that both mean the same.
fn toml(site: &Site, text: &str) -> String {
    let made = made(site, &[("httpd.conf", text)]);
    let direct = Config::from_apache(text, Path::new("httpd.conf"), &site.surroundings())
        .unwrap_or_else(|problems| panic!("{text}\n{problems}"));
    let again = site
        .toml(&made)
        .unwrap_or_else(|problems| panic!("{text}\n{made}\n{problems}"));
    assert_eq!(direct.value, again, "{text}\n{made}");
    made.replace('\\', "/")
        .replace('\'', "\"")
        .replace(&site.path().display().to_string().replace('\\', "/"), "SITE")
}

fn config(site: &Site, text: &str) -> Config {
    toml(site, text);
    Config::from_apache(text, Path::new("httpd.conf"), &site.surroundings())
        .unwrap_or_else(|problems| panic!("{text}\n{problems}"))
        .value
}

fn problems(site: &Site, text: &str) -> Vec<String> {
    match Config::from_apache(text, Path::new("httpd.conf"), &site.surroundings()) {
        Ok(_) => Vec::new(),
        Err(problems) => site.lines(&problems),
    }
}

fn warnings(site: &Site, text: &str) -> Vec<String> {
    let read = Config::from_apache(text, Path::new("httpd.conf"), &site.surroundings());
    let warnings = read
        .unwrap_or_else(|problems| panic!("{text}\n{problems}"))
        .warnings;
    warnings.iter().map(ToString::to_string).collect()
}

#[test]
fn a_log_that_is_silenced_has_its_condition() {
    let site = Site::new();
    let text = format!(
        "{REST}LogFormat \" \" empty\n# an empty file\nCustomLog \"access-1.log\" empty env=NOTHING_IS_LOGGED\n"
    );
    let config = config(&site, &text);
    assert_eq!(
        config.access_logs[0].when,
        Some(carme_log::Condition::any([carme_log::Condition::all([
            carme_log::Condition::any([carme_log::Condition::variable("NOTHING_IS_LOGGED")])
        ])]))
    );
}

/// Directives, and lines of the TOML that they become.

#[test]
fn paths_of_windows_and_lines_of_windows() {
    let site = Site::new();
    let folder = site.path().display().to_string();
    let text = format!(
        "Define SRV \"{folder}\"\r\nListen 8080\r\nWSGIScriptAlias / \"${{SRV}}/shop/app.py\"\r\nCustomLog \"${{SRV}}/access-1.log\" combined\r\n"
    );
    let config = config(&site, &text);
    assert_eq!(config.apps[0].target.import_root, site.path().join("shop"));
}

#[test]
fn the_ending_of_the_file_says_its_syntax() {
    let site = Site::new();
    site.write(
        "a/httpd.conf",
        "Listen 8080\nInclude sites/*.conf\nThreadsPerChild 3\n",
    );
    site.write("a/sites/1.conf", "WSGIScriptAlias / ../app.py\n");
    let read = Config::from_file_with_warnings(Path::new("a/httpd.conf"), &site.surroundings())
        .unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(read.value.apps[0].target.to_string(), "app:application");
    assert_eq!(read.warnings.len(), 1);
}
