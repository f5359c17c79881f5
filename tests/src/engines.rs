//! The engines that name members, as they are: Knot DNS and Consul's agent, each on ports of its own, ended with the test.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::client::Client;
use crate::server::wait_until;
use crate::skip;

/// A program of this name, where administrators' programs are, too.
fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    let found = folders
        .map(|folder| folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX)))
        .find(|program| program.is_file());
    if found.is_none() {
        skip::missing(format_args!("{name} is not installed"));
    }
    found
}

/// So many ports on which nobody listens, for TCP and UDP.
fn free_ports<const N: usize>() -> [u16; N] {
    let mut held = Vec::new();
    while held.len() < N {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("bound").port();
        if let Ok(socket) = UdpSocket::bind(("127.0.0.1", port)) {
            held.push((listener, socket, port));
        }
    }
    std::array::from_fn(|at| held[at].2)
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// A DNS server with the authority for `app.test`.
pub struct Knot {
    child: Option<Child>,
    folder: tempfile::TempDir,
    /// Where it answers.
    pub address: SocketAddr,
    serial: u32,
    program: PathBuf,
    control: PathBuf,
}

impl Knot {
    /// Starts it with these records, which are relative to `app.test.`; `None` if it is not installed.
    pub fn start(records: &str) -> Option<Self> {
        let (program, control) = (program("knotd")?, program("knotc")?);
        let folder = tempfile::tempdir().expect("a folder");
        let mut knot = Knot {
            child: None,
            folder,
            address: local(free_ports::<1>()[0]),
            serial: 0,
            program,
            control,
        };
        let at = knot.folder.path().display();
        let port = knot.address.port();
        let text = format!(
            "server:\n    rundir: \"{at}\"\n    listen: 127.0.0.1@{port}\n\
             database:\n    storage: \"{at}\"\n\
             zone:\n  - domain: app.test\n    file: \"{at}/zone\"\n    zonefile-sync: -1\n    zonefile-load: whole\n\
             \x20   journal-content: none\n"
        );
        std::fs::write(knot.file(), text).expect("written");
        knot.write(records);
        knot.run();
        Some(knot)
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("knot.conf")
    }

    fn write(&mut self, records: &str) {
        self.serial += 1;
        let text = format!(
            "$ORIGIN app.test.\n$TTL 1\n@ SOA ns hostmaster {} 60 60 600 1\n@ NS ns\nns A 127.0.0.1\n{records}\n",
            self.serial
        );
        std::fs::write(self.folder.path().join("zone"), text).expect("written");
    }

    /// Starts it again, with the records it has.
    pub fn run(&mut self) {
        let mut command = Command::new(&self.program);
        command.arg("-c").arg(self.file()).stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        self.child = Some(command.spawn().expect("knotd starts"));
        wait_until("knotd answers", || self.control(&["zone-status", "app.test"]));
    }

    /// Other records, which count when this returns.
    pub fn change(&mut self, records: &str) {
        self.write(records);
        assert!(
            self.control(&["-b", "zone-reload", "app.test"]),
            "the records are read"
        );
    }

    fn control(&self, arguments: &[&str]) -> bool {
        let mut command = Command::new(&self.control);
        command.arg("-c").arg(self.file()).args(arguments);
        command
            .stdin(Stdio::null())
            .output()
            .expect("knotc runs")
            .status
            .success()
    }

    /// Ends it, as the machine it runs on would.
    pub fn kill(&mut self) {
        end(&mut self.child);
    }
}

impl Drop for Knot {
    fn drop(&mut self) {
        self.kill();
    }
}

fn end(child: &mut Option<Child>) {
    if let Some(mut child) = child.take() {
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// Consul's agent, alone, with all in memory.
pub struct ConsulAgent {
    child: Option<Child>,
    folder: tempfile::TempDir,
    /// Its HTTP interface.
    pub http: SocketAddr,
    /// Its DNS.
    pub dns: SocketAddr,
    program: PathBuf,
    others: [u16; 3],
    token: Option<&'static str>,
}

impl ConsulAgent {
    /// Starts one that everybody may ask; `None` if it is not installed.
    pub fn start() -> Option<Self> {
        Self::with(None)
    }

    /// Starts one that answers only to those with this token; `None` if it is not installed.
    pub fn start_with_token(token: &'static str) -> Option<Self> {
        Self::with(Some(token))
    }

    fn with(token: Option<&'static str>) -> Option<Self> {
        let program = match std::env::var_os("CARME_TEST_CONSUL") {
            Some(program) => program.into(),
            None => program("consul")?,
        };
        let [http, dns, others @ ..] = free_ports::<5>();
        let mut agent = ConsulAgent {
            child: None,
            folder: tempfile::tempdir().expect("a folder"),
            http: local(http),
            dns: local(dns),
            program,
            others,
            token,
        };
        let text = match token {
            None => "{}".to_owned(),
            Some(token) => format!(
                "{{\"acl\": {{\"enabled\": true, \"default_policy\": \"deny\", \"tokens\": {{\"master\": {token:?}}}}}}}"
            ),
        };
        std::fs::write(agent.folder.path().join("agent.json"), text).expect("written");
        agent.run();
        Some(agent)
    }

    /// Starts it again, with nothing registered: its memory is gone, and its indexes begin anew.
    pub fn run(&mut self) {
        let [server, lan, wan] = self.others;
        let mut command = Command::new(&self.program);
        command.args([
            "agent",
            "-dev",
            "-bind",
            "127.0.0.1",
            "-node",
            "n1",
            "-log-level",
            "err",
        ]);
        command.arg(format!("-http-port={}", self.http.port()));
        command.arg(format!("-dns-port={}", self.dns.port()));
        command.arg("-grpc-port=-1");
        command.arg(format!("-server-port={server}"));
        command.arg(format!("-serf-lan-port={lan}"));
        command.arg(format!("-serf-wan-port={wan}"));
        command.arg("-config-dir").arg(self.folder.path());
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        self.child = Some(command.spawn().expect("consul starts"));
        wait_until("consul has a leader and knows its node", || {
            self.ask("GET", "/v1/catalog/nodes", "")
                .is_some_and(|answer| answer.contains("\"n1\""))
        });
    }

    /// Registers an instance that is well, at this port of the loopback.
    pub fn register(&self, id: &str, port: u16, tags: &[&str], weight: u16) {
        let tags: Vec<String> = tags.iter().map(|tag| format!("{tag:?}")).collect();
        let body = format!(
            "{{\"ID\": {id:?}, \"Name\": \"app\", \"Address\": \"127.0.0.1\", \"Port\": {port}, \"Tags\": [{}], \
             \"Weights\": {{\"Passing\": {weight}, \"Warning\": 1}}, \
             \"Check\": {{\"TTL\": \"1h\", \"Status\": \"passing\"}}}}",
            tags.join(", ")
        );
        self.ask("PUT", "/v1/agent/service/register", &body)
            .expect("it is registered");
    }

    /// Takes an instance out.
    pub fn deregister(&self, id: &str) {
        self.ask("PUT", &format!("/v1/agent/service/deregister/{id}"), "")
            .expect("it is taken out");
    }

    /// Says that an instance is well, or is not.
    pub fn set_well(&self, id: &str, is_well: bool) {
        let state = if is_well { "pass" } else { "fail" };
        self.ask("PUT", &format!("/v1/agent/check/{state}/service:{id}"), "")
            .expect("its check is set");
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> Option<String> {
        let token = self.token.map(|token| format!("X-Consul-Token: {token}\r\n"));
        let token = token.unwrap_or_default();
        let mut client = Client::connect(self.http).ok()?;
        let length = body.len();
        let head =
            format!("{method} {path} HTTP/1.1\r\nHost: consul\r\n{token}Content-Length: {length}\r\n\r\n");
        client.send(head + body).ok()?;
        let response = client.response(method).ok()?;
        (response.status() == 200).then(|| response.text())
    }

    /// Ends it, as the machine it runs on would.
    pub fn kill(&mut self) {
        end(&mut self.child);
    }
}

impl Drop for ConsulAgent {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Replaces a file as a whole, so that nobody reads half of it.
pub fn replace(file: &Path, text: &str) {
    let new = file.with_extension("new");
    std::fs::write(&new, text).expect("written");
    std::fs::rename(&new, file).expect("replaced");
}
