//! Where a server is found, and who else comes there.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
#[cfg(unix)]
use std::process::Command;

use carme_tests::ServerBuilder;
use serde_json::Value;

use super::{APP, NO_SERVER, ask, done, json, plain, run, write};

#[test]
fn of_two_servers_each_is_found_by_what_is_known_of_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let control = folder.path().join("control");
    let file = ServerBuilder::app(APP);
    let path = write(file.directory(), "", "");
    let file = file.configured(&path).control_dir(&control).start();
    let plain = ServerBuilder::app(APP)
        .args(&["--workers", "1"])
        .control_dir(&control)
        .start();
    let (path, address) = (path.to_str().expect("text"), plain.address.to_string());

    let (code, out, err) = ask(&plain, &["reload"]);
    assert_eq!((code, out.as_str()), (NO_SERVER, ""));
    for part in [
        "carme: 2 servers run; say which one:\n",
        &format!(
            "    -c {path}    (process {}, at http://{}",
            file.pid(),
            file.address
        ),
        &format!(
            "    --name http://{address}    (process {}, at http://{address})",
            plain.pid()
        ),
    ] {
        assert!(err.contains(part), "{part}: {err}");
    }
    let pid_of = |arguments: &[&str]| {
        let mut all = vec!["status", "--json"];
        all.extend(arguments);
        let told: Value = serde_json::from_str(&done(&plain, &all)).expect("it is JSON");
        told["pid"].as_u64().expect("a number") as u32
    };
    assert_eq!(pid_of(&["-c", path]), file.pid());
    assert_eq!(pid_of(&["--name", path]), file.pid());
    assert_eq!(pid_of(&["--name", &file.pid().to_string()]), file.pid());
    assert_eq!(pid_of(&["--name", &address]), plain.pid());
    assert_eq!(
        pid_of(&["--name", &format!(":{}", plain.address.port())]),
        plain.pid()
    );

    // A path that is not full is one of the folder that the command is given in.
    let relative = file
        .command(&["status", "-c", "carme.toml"])
        .current_dir(file.directory());
    let (code, out, err) = run(relative);
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains(&format!("process {}, ", file.pid())), "{out}");

    let (code, _, err) = ask(&plain, &["stop", "-c", "other.toml"]);
    assert_eq!(code, NO_SERVER);
    for part in [
        "no server with the configuration file ",
        "other.toml runs; but these do:\n",
        path,
        &address,
    ] {
        assert!(err.contains(part), "{part}: {err}");
    }
}

#[test]
fn a_server_can_do_without() {
    let builder = ServerBuilder::app(APP);
    let file = write(builder.directory(), "control = false", "");
    let server = builder.configured(&file).start();
    let (code, _, err) = ask(&server, &["status"]);
    assert_eq!(code, NO_SERVER, "{err}");
    assert_eq!(server.get("/").text(), "hello");
}

#[test]
fn a_server_that_was_killed_leaves_nothing_that_lasts() {
    let mut server = plain();
    let entries = |control: &Path| fs::read_dir(control).map_or(0, Iterator::count);
    assert!(entries(server.control_dir()) > 0);
    server.kill();
    let (code, _, err) = ask(&server, &["status"]);
    assert_eq!(code, NO_SERVER);
    assert!(
        err.starts_with("carme: no server runs that you could command (looked in "),
        "{err}"
    );
    assert_eq!(entries(server.control_dir()), 0);
}

/// The other side of the endpoint of the only server in this folder, as a program sees it that knows nothing of the protocol.
#[cfg(unix)]
fn endpoint(control: &Path) -> std::os::unix::net::UnixStream {
    std::os::unix::net::UnixStream::connect(entry(control, "sock")).expect("it listens")
}

#[cfg(windows)]
fn endpoint(control: &Path) -> fs::File {
    let entry = entry(control, "pipe");
    let name = entry.file_stem().and_then(|name| name.to_str()).expect("text");
    let pipe = format!(r"\\.\pipe\carme-{name}");
    let mut opened = None;
    carme_tests::wait_until("the pipe has a free end", || {
        opened = fs::OpenOptions::new().read(true).write(true).open(&pipe).ok();
        opened.is_some()
    });
    opened.expect("open")
}

fn entry(control: &Path, extension: &str) -> PathBuf {
    let mut files = fs::read_dir(control)
        .expect("a folder")
        .map(|file| file.expect("readable").path());
    let is_entry = |path: &PathBuf| path.extension().is_some_and(|found| found == extension);
    files.find(is_entry).expect("an entry")
}

#[test]
fn garbage_and_silence_harm_nobody() {
    let server = plain();
    let silent: Vec<_> = (0..5).map(|_| endpoint(server.control_dir())).collect();
    for garbage in [
        &b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..],
        b"\x02\0\0\0{}",
        b"\x0d\0\0\0{\"version\":9}",
    ] {
        let mut stream = endpoint(server.control_dir());
        stream.write_all(garbage).expect("it is read");
        let mut length = [0; 4];
        stream.read_exact(&mut length).expect("an answer");
        let mut answer = vec![0; u32::from_le_bytes(length) as usize];
        stream.read_exact(&mut answer).expect("an answer");
        let answer: Value = serde_json::from_slice(&answer).expect("it is JSON");
        assert_eq!(answer["message"]["kind"], "refused", "{answer}");
    }
    let mut half = endpoint(server.control_dir());
    half.write_all(b"\x50\0\0\0{\"vers").expect("it is read");
    assert_eq!(json(&server)["state"], "serving");
    for mut stream in silent.into_iter().chain([half]) {
        // Whoever says nothing for long is left.
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        assert!(rest.is_empty());
    }
    assert_eq!(server.get("/").text(), "hello");
}

/// Whether this is root, who alone can become somebody else; says so if not.
#[cfg(unix)]
fn is_root(folder: &Path) -> bool {
    let is_root = std::os::unix::fs::MetadataExt::uid(&fs::metadata(folder).expect("it is there")) == 0;
    if !is_root {
        carme_tests::skip::unsuited("only root can try it as another user");
    }
    is_root
}

#[cfg(unix)]
const NOBODY: u32 = 65534;

#[cfg(unix)]
#[test]
fn root_finds_the_servers_of_others_and_they_do_not_find_its_own() {
    let folder = tempfile::tempdir().expect("a folder");
    if !is_root(folder.path()) {
        return;
    }
    // Python may be where only root can read.
    let toml =
        "[server]\nlisten = [\"127.0.0.1:0\"]\n[[locations]]\npath = \"/\"\nrespond = { body = \"hello\" }\n";
    let start = |user: Option<u32>| {
        let builder = ServerBuilder::app("");
        let file = builder.directory().join("carme.toml");
        fs::write(&file, toml).expect("written");
        let builder = builder.configured(&file);
        match user {
            Some(user) => builder.user(user).start(),
            None => builder.start(),
        }
    };
    let theirs = start(Some(NOBODY));
    let out = done(&theirs, &["status"]);
    assert!(
        out.contains(&format!("process {}, serving", theirs.pid())),
        "{out}"
    );
    let (code, _, err) = ask(&theirs, &["status", "--name", ":1"]);
    assert_eq!(code, NO_SERVER);
    assert!(err.contains(", another user's)"), "{err}");
    // The other way round they see nothing.
    let ours = start(None);
    let (code, _, err) = run(ours.command(&["stop"]).user(NOBODY));
    assert_eq!(code, NO_SERVER);
    assert!(
        err.starts_with("carme: no server runs that you could command"),
        "{err}"
    );
    assert!(done(&theirs, &["stop"]).starts_with("stopped "));
}

#[cfg(unix)]
#[test]
fn another_user_is_turned_away_even_where_the_socket_is_open_to_all() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;

    let server = plain();
    if !is_root(server.control_dir()) {
        return;
    }
    let socket = entry(server.control_dir(), "sock");
    for (path, mode) in [
        (server.directory(), 0o755),
        (server.control_dir(), 0o755),
        (&socket, 0o777),
    ] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("set");
    }
    let client = r#"
import socket, struct, sys
s = socket.socket(socket.AF_UNIX)
s.settimeout(30)
s.connect(sys.argv[1])
try:
    frame = b'{"version":1,"message":{"command":"identify"}}'
    s.sendall(struct.pack("<I", len(frame)) + frame)
    print(s.recv(1000))
except (BrokenPipeError, ConnectionResetError):
    print(b'')
"#;
    let client = |user: u32| {
        let output = Command::new("/usr/bin/env")
            .args(["python3", "-c", client])
            .arg(&socket)
            .uid(user)
            .gid(user)
            .output()
            .expect("Python runs");
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    };
    assert_eq!(client(NOBODY), "b''\n");
    let answer = client(0);
    assert!(answer.contains("identity"), "{answer}");
    server.wait_for_line("a command of another user (id 65534) was refused");
    // By the usual modes they do not even get that far.
    fs::set_permissions(server.control_dir(), fs::Permissions::from_mode(0o700)).expect("set");
    assert!(client(NOBODY).contains("PermissionError"));
}
