//! Complaints about other servers that these commands are to answer.

use std::fs;

use carme_tests::{ServerBuilder, python, wait_until};
use serde_json::Value;

use super::{APP, configured, done, json, write};

/// Point 15: a crash loop ends other servers, and its reason is lost in their output.
#[test]
fn point_15_an_app_that_does_not_start_is_shown_with_its_reason_and_comes_back_by_itself() {
    let builder = ServerBuilder::app("raise KeyError('DATABASE')\n");
    let folder = builder.directory().to_owned();
    fs::create_dir(folder.join("well")).expect("made");
    fs::write(folder.join("well").join("app.py"), APP).expect("written");
    let other = format!(
        "[apps.well]\ntarget = \"app\"\ndirectory = \"well\"\nworkers = 1\npython = {:?}\n\
         [[locations]]\npath = \"/\"\napp = \"site\"\n[[locations]]\npath = \"/well\"\napp = \"well\"",
        python::main().to_str().expect("a path that is text")
    );
    let file = write(&folder, "", &other);
    let server = builder.configured(&file).start();
    let mut told = Value::Null;
    wait_until("the reason is known", || {
        told = json(&server);
        told["apps"][0]["state"] == "failed" && told["apps"][1]["state"] == "ready"
    });
    let failure = &told["apps"][0]["workers"][0]["last_failure"];
    assert!(
        failure["message"].as_str().expect("text").contains("KeyError"),
        "{told}"
    );
    assert!(
        failure["traceback"]
            .as_str()
            .expect("text")
            .contains("raise KeyError('DATABASE')"),
        "{told}"
    );
    assert_eq!(server.get("/well").text(), "hello", "the other app is untouched");
    // Between two attempts; at most seconds apart.
    let mut text = String::new();
    wait_until("people are told", || {
        text = done(&server, &["status"]);
        text.contains("; starts again in ")
    });
    for part in [
        "app site: failed: none of its workers serves\n",
        "app well: ready",
        "KeyError: 'DATABASE'",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    fs::write(folder.join("app.py"), APP).expect("written");
    wait_until("it serves without a restart", || {
        json(&server)["apps"][0]["state"] == "ready"
    });
    assert_eq!(server.get("/").text(), "hello");
    assert!(json(&server)["apps"][0]["workers"][0]["restarts"]["import_failed"].as_u64() >= Some(1));
}

/// Point 24: other servers have to be replaced for another setting or another log.
#[test]
fn point_24_settings_and_logs_change_under_a_kept_connection() {
    let server = configured();
    let folder = server.directory().to_owned();
    let mut kept = server.connect();
    assert_eq!(kept.post("/", b"0123456789").expect("an answer").status(), 200);
    write(
        &folder,
        "max_uri = \"64B\"",
        "[[access_logs]]\nfile = \"later.log\"\nformat = \"%U %>s\"\n",
    );
    let told = done(&server, &["reload"]);
    assert!(
        told.contains("server.max_uri: ") && told.contains("later.log added"),
        "{told}"
    );
    assert_eq!(kept.get("/short").expect("an answer").status(), 200);
    let long = format!("/{}", "long".repeat(20));
    assert_eq!(kept.get(&long).expect("an answer").status(), 414);
    let log = folder.join("later.log");
    let written = || fs::read_to_string(&log).unwrap_or_default();
    wait_until("both are logged", || {
        written() == format!("/short 200\n{long} 414\n")
    });
    assert_eq!(json(&server)["pid"], server.pid(), "the server is the same");
}
