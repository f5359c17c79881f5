//! Real processes.

use std::io::{BufRead, BufReader, Read};
use std::time::{Duration, Instant};

use super::*;

/// A script that any of the platform's machines can run, and the folder that holds it.
struct Script(tempfile::TempDir);

impl Script {
    fn new(unix: &str, windows: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (name, text) = if cfg!(windows) {
            ("it.bat", format!("@echo off\r\n{windows}\r\n"))
        } else {
            ("it.sh", unix.to_owned())
        };
        std::fs::write(folder.path().join(name), text).unwrap();
        Self(folder)
    }

    fn command(&self) -> Command {
        if cfg!(windows) {
            let mut command = Command::new(std::env::var_os("ComSpec").unwrap());
            command.args(["/d", "/c"]).arg(self.0.path().join("it.bat"));
            command
        } else {
            let mut command = Command::new("/bin/sh");
            command.arg(self.0.path().join("it.sh"));
            command
        }
    }
}

#[test]
fn output_and_exit_code_arrive() {
    let script = Script::new(
        "echo \"out $CARME_TEST\"; echo err >&2; exit 3",
        "echo out %CARME_TEST%\r\necho err>&2\r\nexit 3",
    );
    let mut command = script.command();
    command.env("CARME_TEST", "a b");
    let mut spawned = spawn(command, None).unwrap();
    let (mut out, mut err) = (String::new(), String::new());
    spawned.stdout.read_to_string(&mut out).unwrap();
    spawned.stderr.read_to_string(&mut err).unwrap();
    assert_eq!((out.trim_end(), err.trim_end()), ("out a b", "err"));
    assert_eq!(spawned.child.wait().unwrap(), Exit::Code(3));
    assert!(!spawned.child.alive());
    spawned.child.kill();
}

#[test]
fn standard_input_is_empty() {
    let script = Script::new("read line; echo got=$line", "set /p line=\r\necho got=%line%");
    let spawned = spawn(script.command(), None).unwrap();
    let mut line = String::new();
    BufReader::new(spawned.stdout).read_line(&mut line).unwrap();
    assert!(line.starts_with("got="), "{line:?}");
    spawned.child.wait().unwrap();
}

#[test]
fn a_killed_process_is_dead_and_takes_its_children_along() {
    // The grandchild holds the pipe: its end is the end of them all.
    let script = Script::new(
        "sleep 1000 & echo up; wait",
        "echo up\r\nping -n 1000 127.0.0.1 >&2",
    );
    let mut spawned = spawn(script.command(), None).unwrap();
    let mut up = [0; 2];
    spawned.stdout.read_exact(&mut up).unwrap();
    let started = Instant::now();
    spawned.child.kill();
    let exit = spawned.child.wait().unwrap();
    if cfg!(unix) {
        assert_eq!(exit, Exit::Signal(9));
        assert_eq!(exit.to_string(), "was ended by SIGKILL");
    }
    spawned.stdout.read_to_end(&mut Vec::new()).unwrap();
    spawned.stderr.read_to_end(&mut Vec::new()).unwrap();
    assert!(started.elapsed() < Duration::from_secs(60));
}

#[test]
fn what_a_dead_process_leaves_behind_is_ended() {
    let script = Script::new("sleep 1000 & exit 0", "start /b ping -n 1000 127.0.0.1\r\nexit 0");
    let mut spawned = spawn(script.command(), None).unwrap();
    assert_eq!(spawned.child.wait().unwrap(), Exit::Code(0));
    spawned.stdout.read_to_end(&mut Vec::new()).unwrap();
}

#[test]
fn a_program_that_does_not_exist_is_an_error() {
    assert!(spawn(Command::new("/no/such/python"), None).is_err());
}

#[cfg(unix)]
#[test]
fn it_is_in_a_session_of_its_own() {
    let script = Script::new("ps -o sid= -p $$ | tr -d ' '", "");
    let mut spawned = spawn(script.command(), None).unwrap();
    let mut sid = String::new();
    spawned.stdout.read_to_string(&mut sid).unwrap();
    spawned.child.wait().unwrap();
    assert_eq!(sid.trim(), spawned.child.id().to_string());
}

/// Set for the copy of this program that plays the front.
const FRONT: &str = "CARME_TEST_FRONT";

/// Not a test by itself: the front of the next one, which is killed. Its worker connects to the address that it is given.
#[test]
fn a_front_that_will_be_killed() {
    let Ok(address) = std::env::var(FRONT) else { return };
    let (host, port) = address.rsplit_once(':').unwrap();
    let script = format!(
        "import socket, time; c = socket.create_connection(({host:?}, {port})); c.sendall(b'up'); time.sleep(1000)"
    );
    let mut command = Command::new(crate::launch::tests::python());
    command.args(["-c", &script]).env_remove(FRONT);
    // The thread that asked for the process may end; only the front's end counts.
    let spawned = std::thread::spawn(|| spawn(command, None).unwrap())
        .join()
        .unwrap();
    let _ = spawned.child.wait();
}

#[test]
fn a_process_dies_with_the_front_however_the_front_ends() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut front = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "process::tests::a_front_that_will_be_killed"])
        .env(FRONT, listener.local_addr().unwrap().to_string())
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let (mut worker, _) = listener.accept().unwrap();
    let mut up = [0; 2];
    worker.read_exact(&mut up).unwrap();
    // It lives on while the front does.
    worker.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    assert!(worker.read(&mut up).is_err());
    front.kill().unwrap();
    front.wait().unwrap();
    worker.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    // Its connection ends with it: by an end, or by a reset.
    match worker.read(&mut up) {
        Ok(n) => assert_eq!(n, 0),
        Err(e) => assert_eq!(e.kind(), io::ErrorKind::ConnectionReset),
    }
}

/// Set for the copy of this program that plays a front which makes process after process: what it runs.
#[cfg(windows)]
const RUNS: &str = "CARME_TEST_RUNS";

/// Not a test by itself: the front of the next one.
#[cfg(windows)]
#[test]
fn a_front_that_will_be_killed_while_it_makes_processes() {
    let Some(program) = std::env::var_os(RUNS) else {
        return;
    };
    loop {
        let mut command = Command::new(&program);
        command.args(["--exact", "none"]).env_remove(RUNS);
        let mut spawned = spawn(command, None).unwrap();
        println!("made");
        spawned.stdout.read_to_end(&mut Vec::new()).unwrap();
    }
}

/// Even one that had not run yet: it would wait for ever to be told to.
#[cfg(windows)]
#[test]
fn a_front_that_dies_while_it_makes_a_process_leaves_none() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("runs.exe");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    for moment in 0..16 {
        let mut front = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "process::tests::a_front_that_will_be_killed_while_it_makes_processes",
                "--nocapture",
            ])
            .env(RUNS, &program)
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(front.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().ends_with("made")));
        // Somewhere in the making of another.
        std::thread::sleep(Duration::from_millis(7 * moment));
        front.kill().unwrap();
        front.wait().unwrap();
        // Nobody may write to a program that runs.
        let deadline = Instant::now() + Duration::from_secs(20);
        while let Err(error) = std::fs::File::options().write(true).open(&program) {
            assert!(Instant::now() < deadline, "{moment}: {error}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

#[cfg(unix)]
#[test]
fn a_process_has_the_users_descriptor_limit_and_not_the_fronts() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = Some(1000);
    setrlimit(Resource::Nofile, limit).unwrap();
    crate::raise_limit();
    assert_ne!(getrlimit(Resource::Nofile).current, Some(1000));
    let script = Script::new("ulimit -Sn", "");
    let mut spawned = spawn(script.command(), None).unwrap();
    let mut out = String::new();
    spawned.stdout.read_to_string(&mut out).unwrap();
    assert_eq!(out.trim_end(), "1000");
    spawned.child.wait().unwrap();
}
