//! Debian's Apache with one file that answers every path.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use carme_tests::{apache, free_address};

pub(crate) struct Apache {
    pub(crate) address: SocketAddr,
    pub(crate) log: PathBuf,
    _running: apache::Apache,
}

impl Apache {
    /// Starts it with its files in `folder`; the error says why it cannot be had.
    pub(crate) fn start(folder: &Path, format: &str) -> Result<Apache, String> {
        let preamble = apache::preamble(folder, &["alias", "mime", "ssl"])?;
        fs::write(folder.join("page.txt"), "the page\n").expect("the page is written");
        let address = free_address();
        let root = folder.display();
        let log = folder.join("apache.log");
        let format = format.replace('\\', "\\\\").replace('"', "\\\"");
        let configuration = format!(
            "{preamble}Listen {address}\nServerName www.example.org\nUseCanonicalName Off\n\
             TypesConfig /dev/null\nAddType text/plain .txt\nKeepAlive On\nKeepAliveTimeout 5\n\
             DocumentRoot \"{root}\"\nAliasMatch \"^/.*\" \"{root}/page.txt\"\nFileETag None\n\
             <Directory \"{root}\">\nRequire all granted\nAcceptPathInfo On\n</Directory>\n\
             CustomLog \"{log}\" \"{format}\"\n",
            log = log.display(),
        );
        let file = folder.join("httpd.conf");
        fs::write(&file, configuration).expect("the configuration is written");
        Ok(Apache {
            address,
            log,
            _running: apache::Apache::start(&file, address),
        })
    }
}
