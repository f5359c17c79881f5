//! Real processes.

use std::io::{BufRead, BufReader, Read};
use std::time::{Duration, Instant};

use super::*;

/// A command that any of the platform's machines has.
fn shell(unix: &str, windows: &str) -> Command {
    if cfg!(windows) {
        let mut command = Command::new(std::env::var_os("ComSpec").unwrap());
        command.args(["/d", "/c", windows]);
        command
    } else {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", unix]);
        command
    }
}

#[test]
fn output_and_exit_code_arrive() {
    let mut command = shell("echo \"out $CARME_TEST\"; echo err >&2; exit 3", "echo out %CARME_TEST%&echo err>&2&exit 3");
    command.env("CARME_TEST", "a b");
    let mut spawned = spawn(command).unwrap();
    let (mut out, mut err) = (String::new(), String::new());
    spawned.stdout.read_to_string(&mut out).unwrap();
    spawned.stderr.read_to_string(&mut err).unwrap();
    assert_eq!((out.trim_end(), err.trim_end()), ("out a b", "err"));
    assert!(spawned.child.alive());
    assert_eq!(spawned.child.wait().unwrap(), Exit::Code(3));
    assert!(!spawned.child.alive());
    spawned.child.kill();
}

#[test]
fn standard_input_is_empty() {
    let spawned = spawn(shell("read line; echo got=$line", "set /p line=& echo got=%line%")).unwrap();
    let mut line = String::new();
    BufReader::new(spawned.stdout).read_line(&mut line).unwrap();
    assert!(line.starts_with("got="), "{line:?}");
    spawned.child.wait().unwrap();
}

#[test]
fn a_killed_process_is_dead_and_takes_its_children_along() {
    // The grandchild holds the pipe: its end is the end of them all.
    let mut spawned = spawn(shell("sleep 1000 & echo up; wait", "echo up& ping -n 1000 127.0.0.1 >&2")).unwrap();
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
    let mut spawned = spawn(shell("sleep 1000 & exit 0", "start /b ping -n 1000 127.0.0.1& exit 0")).unwrap();
    assert_eq!(spawned.child.wait().unwrap(), Exit::Code(0));
    spawned.stdout.read_to_end(&mut Vec::new()).unwrap();
}

#[test]
fn a_program_that_does_not_exist_is_an_error() {
    assert!(spawn(Command::new("/no/such/python")).is_err());
}

#[cfg(unix)]
#[test]
fn it_is_in_a_session_of_its_own() {
    let mut spawned = spawn(shell("ps -o sid= -p $$ | tr -d ' '", "")).unwrap();
    let mut sid = String::new();
    spawned.stdout.read_to_string(&mut sid).unwrap();
    spawned.child.wait().unwrap();
    assert_eq!(sid.trim(), spawned.child.id().to_string());
}
