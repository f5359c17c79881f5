//! Debian's Apache with one file that answers every path.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use carme_tests::wait_until;

const PROGRAM: &str = "/usr/sbin/apache2";
const MODULES: &str = "/usr/lib/apache2/modules";

pub(crate) struct Apache {
    pub(crate) address: SocketAddr,
    pub(crate) log: PathBuf,
    child: Child,
}

impl Apache {
    /// Starts it with its files in `folder`; the error says why it cannot be had.
    pub(crate) fn start(folder: &Path, format: &str) -> Result<Apache, String> {
        if !Path::new(PROGRAM).exists() || !Path::new(MODULES).exists() {
            return Err(format!(
                "{PROGRAM} is not installed (Debian's package apache2-bin)"
            ));
        }
        // Apache's own user reads the page.
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).expect("its folder can be opened");
        fs::write(folder.join("page.txt"), "the page\n").expect("the page is written");
        let free = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = free.local_addr().expect("an address");
        drop(free);
        let root = folder.display();
        let log = folder.join("apache.log");
        let user = match fs::read_to_string("/etc/passwd") {
            Ok(users) if is_root() && users.contains("www-data:") => "User www-data\nGroup www-data\n",
            _ => "",
        };
        let load = |name: &str| format!("LoadModule {name}_module {MODULES}/mod_{name}.so\n");
        let modules: String = ["mpm_event", "authz_core", "alias", "mime", "ssl"]
            .map(load)
            .concat();
        let format = format.replace('\\', "\\\\").replace('"', "\\\"");
        let configuration = format!(
            "{modules}ServerRoot \"{root}\"\nPidFile \"{root}/httpd.pid\"\nDefaultRuntimeDir \"{root}\"\n{user}\
             Listen {address}\nServerName www.example.org\nUseCanonicalName Off\nErrorLog \"{root}/error.log\"\n\
             TypesConfig /dev/null\nAddType text/plain .txt\nKeepAlive On\nKeepAliveTimeout 5\nStartServers 1\n\
             DocumentRoot \"{root}\"\nAliasMatch \"^/.*\" \"{root}/page.txt\"\nFileETag None\n\
             <Directory \"{root}\">\nRequire all granted\nAcceptPathInfo On\n</Directory>\n\
             CustomLog \"{log}\" \"{format}\"\n",
            log = log.display(),
        );
        let file = folder.join("httpd.conf");
        fs::write(&file, configuration).expect("the configuration is written");
        let child = Command::new(PROGRAM)
            .arg("-DFOREGROUND")
            .arg("-f")
            .arg(&file)
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .spawn()
            .expect("Apache starts");
        let apache = Apache { address, log, child };
        wait_until("Apache serves", || TcpStream::connect(apache.address).is_ok());
        // The connection that has just been tried sent nothing and leaves no line.
        Ok(apache)
    }
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
}

impl Drop for Apache {
    fn drop(&mut self) {
        // Its children end with it.
        carme_tests::process::terminate(self.child.id());
        let _ = self.child.wait();
    }
}
