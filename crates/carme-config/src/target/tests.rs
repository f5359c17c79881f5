//! Targets in real folders.

use super::*;
use std::fs;

/// A folder with these files; those named manage.py can have a text.
fn folder(files: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for file in files {
        let (name, text) = file.split_once('|').unwrap_or((file, ""));
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("created");
        fs::write(path, text).expect("written");
    }
    folder
}

const DJANGO: &[&str] = &[
    "manage.py|os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'mysite.settings')",
    "mysite/__init__.py",
    "mysite/settings.py",
    "mysite/wsgi.py",
    "other/wsgi.py",
];

#[test]
fn what_is_found() {
    for (files, text, root, expected) in [
        (&["hello.py"][..], "hello", "", "hello"),
        (&["hello.py"], "hello:app", "", "hello:app"),
        (&["hello.py"], "hello.py", "", "hello"),
        (&["hello.py"], "hello.py:create_app()", "", "hello:create_app()"),
        (
            &["hello.py"],
            "./hello.py:site.wsgi_app",
            "",
            "hello:site.wsgi_app",
        ),
        (&["examples/hello.py"], "examples/hello.py", "examples", "hello"),
        (&["my-app.py"], "my-app.py", "", "my-app"),
        (
            &["pkg/__init__.py", "pkg/web.py"],
            "pkg.web:app",
            "",
            "pkg.web:app",
        ),
        (&["pkg/__init__.py", "pkg/web.py"], "pkg/web.py", "", "pkg.web"),
        (
            &[
                "src/pkg/__init__.py",
                "src/pkg/sub/__init__.py",
                "src/pkg/sub/w.py",
            ],
            "src/pkg/sub/w.py",
            "src",
            "pkg.sub.w",
        ),
        (&["flaskr/__init__.py"], "flaskr", "", "flaskr"),
        (
            &["flaskr/__init__.py"],
            "flaskr:create_app()",
            "",
            "flaskr:create_app()",
        ),
        (&["flaskr/__init__.py"], "flaskr/", "", "flaskr"),
        (
            &["flaskr/__init__.py", "flaskr/app.py"],
            "flaskr:create_app()",
            "",
            "flaskr:create_app()",
        ),
        (&["site/app.py"], "site", "site", "app"),
        (&["site/app.py"], "site:app", "site", "app:app"),
        (&["app.py"], ".", "", "app"),
        (&["app.py", "wsgi.py"], ".", "", "wsgi"),
        (&["shop.py", "shop/app.py"], "shop", "", "shop"),
        (
            &["fast.cpython-311-x86_64-linux-gnu.so"],
            "fast:app",
            "",
            "fast:app",
        ),
        (&["namespace/web.py"], "namespace.web", "", "namespace.web"),
        (DJANGO, ".", "", "mysite.wsgi"),
        (DJANGO, "manage.py", "", "mysite.wsgi"),
        (DJANGO, "mysite", "", "mysite.wsgi"),
        (
            DJANGO,
            "mysite/wsgi.py:application",
            "",
            "mysite.wsgi:application",
        ),
        (DJANGO, "mysite.wsgi", "", "mysite.wsgi"),
        (&["manage.py", "one/wsgi.py", "two/views.py"], ".", "", "one.wsgi"),
        (
            &["manage.py", "one/wsgi.py", "two/wsgi.py"],
            "two/wsgi.py",
            "",
            "two.wsgi",
        ),
        (
            &[
                "p/manage.py|setdefault('DJANGO_SETTINGS_MODULE', 'conf.settings.dev')",
                "p/conf/__init__.py",
                "p/conf/settings/dev.py",
                "p/conf/wsgi.py",
                "p/b/wsgi.py",
            ],
            "p",
            "p",
            "conf.wsgi",
        ),
    ] {
        let folder = folder(files);
        match find(text, folder.path()) {
            Ok(Found::Here(target)) => {
                assert_eq!(target.to_string(), expected, "{text}");
                assert_eq!(target.import_root, paths::absolute(folder.path(), root), "{text}");
            }
            other => panic!("{text}: {other:?}"),
        }
    }
}

#[test]
fn a_script_of_mod_wsgi_is_named_by_its_path() {
    let folder = folder(&["shop/site.wsgi"]);
    let path = folder.path().join("shop").join("site.wsgi");
    let root = paths::absolute(folder.path(), "shop");
    match find("shop/site.wsgi:application", folder.path()) {
        Ok(Found::Here(target)) => {
            assert_eq!(target.import_root, root);
            assert_eq!(target.to_string(), format!("{}:application", path.display()));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_not_found() {
    for (files, text, what, cure) in [
        (
            &["hello.py"][..],
            "helo.py",
            "names a file that does not exist: FOLDER/helo.py",
            Some("did you mean FOLDER/hello.py?"),
        ),
        (
            &["hello.py"],
            "site.py",
            "names a file that does not exist: FOLDER/site.py",
            Some("in FOLDER there is hello.py"),
        ),
        (
            &["ex/hello.py"],
            "ex/hello",
            "names a file that does not exist: FOLDER/ex/hello",
            Some("write \"ex/hello.py\""),
        ),
        (
            &["ex/hello.py"],
            "exs/hello.py",
            "names a file that does not exist: FOLDER/exs/hello.py",
            Some("there is FOLDER, and nothing named exs in it"),
        ),
        (
            &["hello.py"],
            "hello:",
            "names no attribute after the colon: \"hello:\"",
            Some("write \"hello:app\", or \"hello\" alone to try the usual names"),
        ),
        (
            &["hello.py"],
            ":app",
            "names no module before the colon: \":app\"",
            None,
        ),
        (&["hello.py"], "", "names no module before the colon: \"\"", None),
        (
            &["hello.py"],
            "hello:2",
            "names no Python attribute after the colon: \"2\"",
            None,
        ),
        (
            &["hello.py"],
            "a:b:c",
            "is neither a module's name nor a path: \"a:b\"",
            None,
        ),
        (
            &["hello.py"],
            "hello:make('x')",
            "calls a factory with arguments: \"hello:make('x')\"",
            Some("write \"hello:make()\" and hand settings over in the environment"),
        ),
        (
            &["my-app.py"],
            "my-app",
            "is neither a module's name nor a path: \"my-app\"",
            Some("write \"my-app.py\""),
        ),
        (
            &["my_app.py"],
            "my-app",
            "is neither a module's name nor a path: \"my-app\"",
            Some("did you mean `my_app`?"),
        ),
        (
            &["bin/serve"],
            "bin/serve:app",
            "must be a Python file, found FOLDER/bin/serve",
            Some("give it a name that ends with .py"),
        ),
        (
            &["v1.2.py"],
            "v1.2.py",
            "cannot be imported, its name holds a dot: \"v1.2\"",
            Some("rename it; Python takes the dot for a package's"),
        ),
        (
            DJANGO,
            "mysite.wsgl",
            "names the module `mysite.wsgl`, but there is neither wsgl.py nor a package wsgl in FOLDER/mysite",
            Some("did you mean `mysite.wsgi`?"),
        ),
        (
            &["ex/a.py", "ex/b.py"],
            "ex",
            "names a folder without manage.py, wsgi.py or app.py: FOLDER/ex",
            Some("there is a.py, b.py: name one"),
        ),
        (
            &["ex/a.py"],
            "ex",
            "names a folder without manage.py, wsgi.py or app.py: FOLDER/ex",
            Some("did you mean FOLDER/ex/a.py?"),
        ),
        (
            &["manage.py", "a/views.py"],
            ".",
            "is a Django project without a wsgi.py: FOLDER",
            Some("name the module that holds the application, such as \"mysite.wsgi:application\""),
        ),
        (
            &["manage.py", "a/wsgi.py", "b/wsgi.py"],
            ".",
            "is a Django project whose manage.py does not tell which wsgi.py is the one: FOLDER",
            Some("name it: a.wsgi, b.wsgi"),
        ),
    ] {
        let folder = folder(files);
        let mistake = find(text, folder.path()).expect_err(text);
        let readable = |text: &str| {
            text.replace(&folder.path().display().to_string(), "FOLDER")
                .replace('\\', "/")
        };
        assert_eq!(readable(&mistake.what), what.replace("\\", "/"), "{text}");
        assert_eq!(
            mistake.cure.as_deref().map(readable),
            cure.map(str::to_owned),
            "{text}"
        );
    }
}

#[test]
fn what_may_be_installed() {
    for (files, text, cure) in [
        (&["hello.py"][..], "helo", Some("did you mean `hello`?")),
        (
            &["src/shop/__init__.py"],
            "shop.wsgi",
            Some("there is one in FOLDER/src: name that folder as the app's directory"),
        ),
        (&["hello.py"], "wsgiref.simple_server:demo_app", None),
        (&["flask/notes.txt"], "flask.app", None),
    ] {
        let folder = folder(files);
        match find(text, folder.path()) {
            Ok(Found::PerhapsInstalled(target, mistake)) => {
                assert!(text.starts_with(&target.module));
                let readable = |text: &str| {
                    text.replace(&folder.path().display().to_string(), "FOLDER")
                        .replace('\\', "/")
                };
                assert_eq!(
                    mistake.cure.as_deref().map(readable),
                    cure.map(str::to_owned),
                    "{text}"
                );
            }
            other => panic!("{text}: {other:?}"),
        }
    }
}

#[test]
fn drives_are_no_attributes() {
    for text in ["C:\\site\\app.py", "C:/site/app.py"] {
        assert_eq!(split_attribute(text), Ok((text, None)));
    }
    let attribute = Some(Attribute::Application("app".to_owned()));
    assert_eq!(
        split_attribute("C:\\site\\app.py:app"),
        Ok(("C:\\site\\app.py", attribute))
    );
}
