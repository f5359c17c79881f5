//! Debian's Apache with a configuration of the test's, ended with it.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::process;
use crate::server::wait_until;

const PROGRAM: &str = "/usr/sbin/apache2";
const MODULES: &str = "/usr/lib/apache2/modules";

/// A running Apache.
pub struct Apache {
    child: Child,
}

/// What stands before a test's own directives: these modules, its files in `folder`, no user but one without rights, one
/// process, so that it knows all that it does. The error says why Apache cannot be had.
pub fn preamble(folder: &Path, modules: &[&str]) -> Result<String, String> {
    if !Path::new(PROGRAM).exists() || !Path::new(MODULES).exists() {
        return Err(format!(
            "{PROGRAM} is not installed (Debian's package apache2-bin)"
        ));
    }
    // Apache's own user reads what is there.
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).expect("its folder can be opened");
    let load = |name: &&str| format!("LoadModule {name}_module {MODULES}/mod_{name}.so\n");
    let modules: String = ["mpm_event", "authz_core"]
        .iter()
        .chain(modules)
        .map(load)
        .collect();
    let user = match fs::read_to_string("/etc/passwd") {
        Ok(users) if is_root() && users.contains("www-data:") => "User www-data\nGroup www-data\n",
        _ => "",
    };
    let root = folder.display();
    Ok(format!(
        "{modules}ServerRoot \"{root}\"\nPidFile \"{root}/httpd.pid\"\nDefaultRuntimeDir \"{root}\"\n{user}\
         ErrorLog \"{root}/error.log\"\nStartServers 1\nServerLimit 1\nThreadsPerChild 64\nMaxRequestWorkers 64\nMaxKeepAliveRequests 0\n"
    ))
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

impl Apache {
    /// Starts it with this file and waits until it listens there. The file may look at `${PORT}`, and at
    /// `<IfDefine APACHE>` for what is not Carme's.
    pub fn start(file: &Path, address: SocketAddr) -> Apache {
        let child = Command::new(PROGRAM)
            .args(["-DFOREGROUND", "-DAPACHE", "-f"])
            .arg(file)
            .env("LC_ALL", "C")
            .env("PORT", address.port().to_string())
            .stdin(Stdio::null())
            .spawn()
            .expect("Apache starts");
        let mut apache = Apache { child };
        wait_until("Apache serves", || {
            let ended = apache.child.try_wait().expect("it can be waited for");
            assert!(ended.is_none(), "Apache ends, and says why");
            // A connection that sends nothing leaves no line in a log.
            TcpStream::connect(address).is_ok()
        });
        apache
    }
}

impl Drop for Apache {
    fn drop(&mut self) {
        // Its children end with it.
        process::terminate(self.child.id());
        let _ = self.child.wait();
    }
}
