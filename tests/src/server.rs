//! A running `carme`, on a port of its own, ended with the test.

use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use crate::client::{Client, Response};
#[cfg(unix)]
use crate::process;
use crate::python;

/// How long anything may take that should happen soon.
const PATIENCE: Duration = Duration::from_secs(60);

/// The folder of a server's endpoint, in its own.
const CONTROL: &str = "control";

/// Waits until something holds; says what did not, if it never does.
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// An address of this machine that nobody listens at, for who must know it beforehand.
pub fn free_address() -> SocketAddr {
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    free.local_addr().expect("an address")
}

/// The program: `CARME_BIN`, or the one beside the tests.
pub fn program() -> PathBuf {
    if let Some(program) = std::env::var_os("CARME_BIN") {
        return program.into();
    }
    let tests = std::env::current_exe().expect("the test knows its path");
    let beside = tests.parent().and_then(Path::parent).expect("a target directory");
    let program = beside.join(format!("carme{}", std::env::consts::EXE_SUFFIX));
    assert!(
        program.exists(),
        "{} is missing: cargo build -p carme",
        program.display()
    );
    program
}

/// A file or folder of this repository, by a path that holds from any directory: cargo's own has no drive where Windows
/// programs are built on Linux.
pub fn repository(path: &str) -> PathBuf {
    let tests = std::path::absolute(env!("CARGO_MANIFEST_DIR")).expect("there is a current directory");
    tests.parent().expect("the repository").join(path)
}

/// How to start a server.
pub struct ServerBuilder {
    directory: tempfile::TempDir,
    command: Command,
    /// The interpreter to serve with; `None` when the arguments are the test's own.
    python: Option<PathBuf>,
    /// Where commands find it, if not in its own folder.
    control: Option<PathBuf>,
}

impl ServerBuilder {
    /// Serves this text as `app.py`, with the test apps' own modules importable.
    pub fn app(source: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(directory.path().join("app.py"), source).expect("the app is written");
        Self::new(directory, "app:application")
    }

    /// Serves one of the test apps in `tests/apps`.
    pub fn test_app(name: &str) -> Self {
        let source =
            std::fs::read_to_string(repository("tests/apps").join(name)).expect("the test app is there");
        Self::app(&source)
    }

    /// Serves a target that is there already.
    pub fn target(target: impl AsRef<std::ffi::OsStr>) -> Self {
        Self::new(tempfile::tempdir().expect("a temporary folder"), target)
    }

    /// Runs `carme` with these arguments and nothing else.
    pub fn arguments(arguments: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("a temporary folder");
        let mut command = Command::new(program());
        command.args(arguments).current_dir(directory.path());
        Self {
            directory,
            command,
            python: None,
            control: None,
        }
    }

    fn new(directory: tempfile::TempDir, target: impl AsRef<std::ffi::OsStr>) -> Self {
        let mut command = Command::new(program());
        command.arg("serve").arg(target).current_dir(directory.path());
        Self {
            directory,
            command,
            python: Some(python::main()),
            control: None,
        }
    }

    /// Serves this configuration file instead; its folder is the app's.
    pub fn configured(mut self, file: &Path) -> Self {
        self.command = Command::new(program());
        self.command
            .args(["serve", "-c"])
            .arg(file)
            .current_dir(self.directory.path());
        self.python = None;
        self
    }

    /// With this interpreter in place of the main one.
    pub fn python(mut self, python: &Path) -> Self {
        self.python = Some(python.to_owned());
        self
    }

    /// With more arguments.
    pub fn args(mut self, arguments: &[&str]) -> Self {
        self.command.args(arguments);
        self
    }

    /// With what this file says, and nothing of the arguments so far.
    pub fn config(mut self, file: &Path) -> Self {
        let mut command = Command::new(program());
        command
            .args(["serve", "-c"])
            .arg(file)
            .current_dir(self.directory.path());
        self.command = command;
        self.python = None;
        self
    }

    /// With an environment variable for the program.
    pub fn env(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// With this folder for the endpoints of running servers, in place of one that no other test looks at.
    pub fn control_dir(mut self, folder: &Path) -> Self {
        self.control = Some(folder.to_owned());
        self
    }

    /// As another user, which only root can have. Its folder is theirs then.
    #[cfg(unix)]
    pub fn user(mut self, id: u32) -> Self {
        use std::os::unix::process::CommandExt;
        std::os::unix::fs::chown(self.directory.path(), Some(id), Some(id)).expect("root can");
        self.command.uid(id).gid(id);
        self
    }

    /// In this folder.
    pub fn current_dir(mut self, directory: &Path) -> Self {
        self.command.current_dir(directory);
        self
    }

    /// The folder of the app.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    fn spawn(mut self) -> (Child, tempfile::TempDir) {
        if let Some(python) = &self.python {
            self.command
                .arg("--python")
                .arg(python)
                .args(["--bind", "127.0.0.1:0"]);
        }
        self.command.env_remove("VIRTUAL_ENV");
        let control = self.control.clone();
        let control = control.unwrap_or_else(|| self.directory.path().join(CONTROL));
        self.command.env("CARME_CONTROL_DIR", control);
        self.command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        (self.command.spawn().expect("carme starts"), self.directory)
    }

    /// As its folder's `httpd.conf` has it, converted: writes `carme.toml` beside that, and returns its path and what
    /// `carme convert` said.
    pub fn converted(folder: &Path) -> (PathBuf, String) {
        let (status, toml, said) = ServerBuilder::arguments(&["convert", "httpd.conf"])
            .current_dir(folder)
            .run();
        assert!(status.success(), "{said}");
        let file = folder.join("carme.toml");
        std::fs::write(&file, toml).expect("it is written");
        (file, said)
    }

    /// Starts it and waits until it serves.
    pub fn start(self) -> Server {
        self.start_saying("Serving ")
    }

    /// Starts it and waits until it says that it is watched; its address is that of the pages then.
    pub fn start_watched(self) -> Server {
        self.start_saying("Monitoring at ")
    }

    /// Starts it and waits for a line that begins like this and names an address.
    fn start_saying(self, beginning: &'static str) -> Server {
        let control = self.control.clone();
        let (mut child, directory) = self.spawn();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (found, address) = mpsc::channel();
        let outputs: [Box<dyn Read + Send>; 2] = [
            Box::new(child.stdout.take().expect("piped")),
            Box::new(child.stderr.take().expect("piped")),
        ];
        for output in outputs {
            let (lines, found) = (lines.clone(), found.clone());
            thread::spawn(move || {
                for line in BufReader::new(output).lines() {
                    let Ok(line) = line else { return };
                    let address = line.strip_prefix(beginning).and_then(address_in);
                    // First: whoever has the address may ask for the line at once.
                    lines.lock().expect("no panic").push(line);
                    if let Some(address) = address {
                        let _ = found.send(address);
                    }
                }
            });
        }
        drop(found);
        let Ok(address) = address.recv_timeout(PATIENCE) else {
            let _ = child.kill();
            panic!(
                "carme does not serve; it said:\n{}",
                lines.lock().expect("no panic").join("\n")
            );
        };
        let control = control.unwrap_or_else(|| directory.path().join(CONTROL));
        Server {
            child,
            address,
            lines,
            directory,
            control,
        }
    }

    /// Runs it to its end, which must come by itself: status, standard output, standard error.
    pub fn run(self) -> (ExitStatus, String, String) {
        let (child, _directory) = self.spawn();
        let output = child.wait_with_output().expect("it ends");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace("\r\n", "\n");
        (output.status, text(&output.stdout), text(&output.stderr))
    }
}

fn address_in(line: &str) -> Option<SocketAddr> {
    let rest = line
        .split("http://")
        .nth(1)
        .or_else(|| line.split("https://").nth(1))?;
    rest.split(|c: char| c.is_whitespace() || c == '/' || c == ',')
        .next()?
        .parse()
        .ok()
}

/// A server that serves.
pub struct Server {
    child: Child,
    /// Where.
    pub address: SocketAddr,
    lines: Arc<Mutex<Vec<String>>>,
    directory: tempfile::TempDir,
    control: PathBuf,
}

impl Server {
    /// A new connection.
    pub fn connect(&self) -> Client {
        Client::connect(self.address).expect("it accepts")
    }

    /// One GET on a connection of its own.
    pub fn get(&self, path: &str) -> Response {
        self.connect()
            .get(path)
            .unwrap_or_else(|e| panic!("GET {path}: {e}; it said:\n{}", self.output()))
    }

    /// One request, as it is, on a connection of its own; its response is read as one to this method.
    pub fn request(&self, bytes: impl AsRef<[u8]>) -> Response {
        let bytes = bytes.as_ref();
        let method =
            String::from_utf8_lossy(bytes.split(|b| *b == b' ').next().unwrap_or_default()).into_owned();
        let mut client = self.connect();
        client.send(bytes).expect("it is sent");
        client
            .response(&method)
            .unwrap_or_else(|e| panic!("{method}: {e}; it said:\n{}", self.output()))
    }

    /// What it has printed so far, both ways.
    pub fn output(&self) -> String {
        self.lines.lock().expect("no panic").join("\n")
    }

    /// Waits until it has printed a line with this text, and returns that line.
    pub fn wait_for_line(&self, text: &str) -> String {
        let mut line = None;
        wait_until(
            &format!("it prints {text:?}; it said:\n{}", self.output()),
            || {
                line = self
                    .lines
                    .lock()
                    .expect("no panic")
                    .iter()
                    .find(|l| l.contains(text))
                    .cloned();
                line.is_some()
            },
        );
        line.unwrap_or_default()
    }

    /// Where its pages for those who watch are.
    pub fn monitor(&self) -> SocketAddr {
        let line = self.wait_for_line("Monitoring at ");
        address_in(&line).unwrap_or_else(|| panic!("no address in {line:?}"))
    }

    /// The front's process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The folder of the app.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The folder of its endpoint.
    pub fn control_dir(&self) -> &Path {
        &self.control
    }

    /// A command that finds this server: `carme` with these arguments.
    pub fn command(&self, arguments: &[&str]) -> ServerBuilder {
        ServerBuilder::arguments(arguments).control_dir(&self.control)
    }

    /// Kills the front.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks it to stop and waits for its end.
    pub fn stop(&mut self) -> ExitStatus {
        self.ask_to_stop();
        self.wait()
    }

    #[cfg(unix)]
    fn ask_to_stop(&self) {
        process::terminate(self.pid());
    }

    /// No signal reaches a process without a console.
    #[cfg(windows)]
    fn ask_to_stop(&self) {
        let _ = self.command(&["stop"]).run();
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        wait_until("the front ends", || {
            status = self.child.try_wait().expect("it can be waited for");
            status.is_some()
        });
        status.expect("it has ended")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("carme said:\n{}", self.output());
        }
        self.kill();
    }
}
