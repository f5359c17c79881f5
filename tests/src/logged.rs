//! A server both of whose logs are read: for what goes wrong, and must leave its line in each.

use std::path::Path;

use crate::client::Response;
use crate::python;
use crate::server::{Server, ServerBuilder, repository, wait_until};

/// A server of `cases.py` at `/site` with one worker of one thread, its folder and its access log, whose lines are the
/// status, how the connection ended, the request line and the request's id.
pub struct LoggedServer {
    /// The program.
    pub server: Server,
    folder: tempfile::TempDir,
}

impl LoggedServer {
    /// With these lines in `[server]`, for the app, and behind all else.
    pub fn start(server: &str, app: &str, rest: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let write = |name: &str, text: &str| {
            std::fs::write(folder.path().join(name), text).expect("a file can be written");
        };
        let source = std::fs::read_to_string(repository("tests/apps/cases.py")).expect("the test app");
        write("app.py", &source);
        for sub in ["errors", "files"] {
            std::fs::create_dir(folder.path().join(sub)).expect("a folder can be made");
        }
        write("errors/404.html", "<p>{status} {reason}: {request_id}</p>");
        write("files/a.txt", "a file");
        write("files/.hidden", "a hidden file");
        let python = python::main();
        write(
            "carme.toml",
            &format!(
                "[server]\nlisten = [\"127.0.0.1:0\"]\n{server}\n\
                 [apps.site]\ntarget = \"app\"\npython = {python:?}\nworkers = 1\nthreads = 1\n{app}\n\
                 [[locations]]\npath = \"/site\"\napp = \"site\"\n\
                 [[access_logs]]\nfile = \"access.log\"\nformat = '%>s %X \"%r\" %{{REQUEST_ID}}e'\n{rest}\n",
                python = python.to_str().expect("a path of UTF-8"),
            ),
        );
        let file = folder.path().join("carme.toml");
        let server =
            ServerBuilder::arguments(&["serve", "-c", file.to_str().expect("a path of UTF-8")]).start();
        LoggedServer { server, folder }
    }

    /// Where the app, `carme.toml`, and the folders `errors` and `files` are.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The access log, once it has so many lines.
    pub fn log(&self, lines: usize) -> Vec<String> {
        let read = || {
            let text = std::fs::read_to_string(self.folder.path().join("access.log")).unwrap_or_default();
            text.lines().map(str::to_owned).collect::<Vec<_>>()
        };
        wait_until("the access log is written", || read().len() >= lines);
        read()
    }

    /// The line in the access log of the request with this id.
    pub fn line(&self, id: &str) -> String {
        let mut line = None;
        wait_until("the access log has the line", || {
            line = self.log(0).into_iter().find(|line| line.ends_with(id));
            line.is_some()
        });
        line.unwrap_or_default()
    }

    /// Asserts that the answer is in both logs, once each; what the error log says.
    pub fn expect_logged(&self, response: &Response, what: &str) -> String {
        let id = response.header("x-request-id").expect("an id").to_owned();
        let reason = self.server.wait_for_line(&id);
        assert!(
            reason.contains(&format!("status={}", response.status())),
            "{what}: {reason}"
        );
        assert_eq!(self.server.output().matches(&id).count(), 1, "{what}");
        let line = self.line(&id);
        assert!(
            line.starts_with(&format!("{} ", response.status())),
            "{what}: {line}"
        );
        assert_eq!(self.log(0).iter().filter(|line| line.ends_with(&id)).count(), 1);
        reason
    }

    /// One request each: it gets this answer and the connection's end, and each log has one line for it. Says what the
    /// error log gives as reasons.
    pub fn expect_refusals(&self, cases: &[(u16, String)]) -> Vec<String> {
        let mut reasons = Vec::new();
        for (status, bytes) in cases {
            let before = self.log(0).len();
            let line = bytes.lines().next().expect("a request line");
            let mut client = self.server.connect();
            client.send(bytes).expect("it is sent");
            let response = client.response("GET").expect("an answer");
            assert_eq!(response.status(), *status, "{bytes:?}");
            assert_eq!(response.header("connection"), Some("close"), "{bytes:?}");
            assert!(client.is_closed(), "{bytes:?}");
            reasons.push(self.expect_logged(&response, bytes));
            let log = self.log(before + 1);
            assert_eq!(log.len(), before + 1, "{bytes:?}: {log:?}");
            assert!(
                log[before].starts_with(&format!("{status} - \"{line}\" ")),
                "{log:?}"
            );
        }
        reasons
    }
}
