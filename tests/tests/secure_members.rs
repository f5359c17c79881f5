//! Members that speak TLS, which are this program, too.

use std::fs;

use carme_tests::certificates::Authority;
use carme_tests::member::{Member, Reply};
use carme_tests::{Server, ServerBuilder};

/// A member at `https://127.0.0.1`, with the certificate of that name in the folder, that answers with this text.
fn secure_member(folder: &std::path::Path, certificate: &str, text: &str) -> Server {
    let site = folder.join(text);
    fs::create_dir_all(&site).expect("a folder");
    fs::write(site.join("index.html"), text).expect("written");
    let file = folder.join(format!("{text}.toml"));
    let toml = format!(
        "[server]\nlisten = [\"https://127.0.0.1:0\"]\n\
         [tls]\ncertificate = \"{certificate}.pem\"\nkey = \"{certificate}.key\"\n\
         [[locations]]\npath = \"/\"\nfiles = \"{text}\"\n"
    );
    fs::write(&file, toml).expect("written");
    ServerBuilder::arguments(&[]).configured(&file).start()
}

/// Has a command done, which says nothing of a failure.
fn done(server: &Server, arguments: &[&str]) {
    let (status, out, err) = server.command(arguments).run();
    assert!(status.success(), "{arguments:?}: {out}{err}");
}

/// Who answers four requests, each once.
fn answering(server: &Server) -> Vec<String> {
    let mut who: Vec<String> = (0..4).map(|_| server.get("/").text()).collect();
    who.sort();
    who.dedup();
    who
}

#[test]
fn the_first_one_that_a_command_adds_is_reached_at_once_and_after_reloads() {
    let folder = tempfile::tempdir().expect("a folder");
    Authority::new(folder.path()).issue(folder.path(), "first", &["127.0.0.1"], |_| {});
    let plain = Member::start(|_| Reply::response("200 OK", &[], b"plain"));
    let secure = secure_member(folder.path(), "first", "secure");
    let file = folder.path().join("carme.toml");
    let toml = format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\n\
         [balancers.cluster]\nmethod = \"byrequests\"\ntls_ca = \"ca.pem\"\n\
         [[balancers.cluster.members]]\nurl = \"http://{}\"\n\
         [[locations]]\npath = \"/\"\nbalancer = \"cluster\"\n",
        plain.address
    );
    fs::write(&file, toml).expect("written");
    let server = ServerBuilder::arguments(&[]).configured(&file).start();
    let url = format!("https://{}", secure.address);
    done(&server, &["member", "add", "cluster", &url]);
    assert_eq!(answering(&server), ["plain", "secure"]);
    done(&server, &["reload"]);
    assert_eq!(answering(&server), ["plain", "secure"]);

    // The file of authorities is read anew for it, too.
    Authority::new(folder.path()).issue(folder.path(), "second", &["127.0.0.1"], |_| {});
    let renewed = secure_member(folder.path(), "second", "renewed");
    done(&server, &["reload"]);
    let url = format!("https://{}", renewed.address);
    done(&server, &["member", "add", "cluster", &url]);
    assert_eq!(answering(&server), ["plain", "renewed"]);
    server.wait_for_line("its certificate is by nobody who is trusted");
}
