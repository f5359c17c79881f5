//! The same file in Apache, with mod_wsgi.

use std::path::Path;

use carme_tests::{apache, free_address, skip};

#[test]
fn mod_wsgi_shows_the_same() {
    // Debian's libapache2-mod-wsgi-py3.
    if !Path::new("/usr/lib/apache2/modules/mod_wsgi.so").exists() {
        return skip::missing("mod_wsgi is not installed (Debian's package libapache2-mod-wsgi-py3)");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let preamble = match apache::preamble(folder.path(), &["setenvif", "env", "alias", "wsgi"]) {
        Ok(preamble) => preamble,
        Err(why) => return skip::missing(why),
    };
    let address = free_address();
    let directives = format!(
        "{preamble}ServerName www.example.org\nListen {address}\nWSGISocketPrefix \"{}/wsgi\"",
        folder.path().display()
    );
    super::write(folder.path(), &directives);
    let _running = apache::Apache::start(&folder.path().join("httpd.conf"), address);
    super::check(address, "mod_wsgi");
}
