//! Members that are found beside named ones, whose routes they may have.

use std::fs;
use std::path::Path;

use carme_tests::engines::replace;
use carme_tests::member::{Member, Reply};
use carme_tests::{Server, ServerBuilder, wait_until};

/// Names these members in the file that the balancer looks at.
fn name(folder: &Path, members: &[(&Member, &str)]) {
    let member = |(member, route): &(&Member, &str)| {
        format!(
            "[[members]]\nurl = \"http://{}\"\nroute = \"{route}\"\n",
            member.address
        )
    };
    let members: String = members.iter().map(member).collect();
    replace(&folder.join("members.toml"), &members);
}

fn members(server: &Server) -> usize {
    let (_, told, _) = server.command(&["status", "--json"]).run();
    let told: serde_json::Value = serde_json::from_str(&told).expect("JSON");
    told["balancers"][0]["members"].as_array().map_or(0, Vec::len)
}

#[test]
fn one_with_the_route_of_a_named_one_is_told_of_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let [named, other, third] = ["named", "other", "third"]
        .map(|text| Member::start(move |_| Reply::response("200 OK", &[], text.as_bytes())));
    name(folder.path(), &[(&other, "www_1")]);
    let file = folder.path().join("carme.toml");
    let toml = format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\n[balancers.cluster]\nstickysession = \"ROUTEID\"\n\
         discover = {{ file = \"members.toml\", interval = \"100ms\" }}\n\
         [[balancers.cluster.members]]\nurl = \"http://{}\"\nroute = \"www_1\"\n\
         [[locations]]\npath = \"/\"\nbalancer = \"cluster\"\n",
        named.address
    );
    fs::write(&file, toml).expect("written");
    let server = ServerBuilder::arguments(&[]).configured(&file).start();
    wait_until("it is found", || members(&server) == 2);
    let line = server.wait_for_line("has the route www_1 of");
    let (named_url, other_url) = (
        format!("http://{}", named.address),
        format!("http://{}", other.address),
    );
    assert!(line.contains("[warn] balancer cluster: the member "), "{line}");
    assert!(line.contains(&named_url) && line.contains(&other_url), "{line}");
    let (_, page, _) = server.command(&["status"]).run();
    let told = format!("{other_url} has the route www_1 of {named_url}, which gets the sessions of both");
    assert!(page.contains(&told), "{page}");
    for _ in 0..3 {
        let answer = server
            .request("GET / HTTP/1.1\r\nHost: a\r\nCookie: ROUTEID=x.www_1\r\nConnection: close\r\n\r\n");
        assert_eq!(answer.text(), "named");
    }
    // What else comes does not tell of it again.
    name(folder.path(), &[(&other, "www_1"), (&third, "www_3")]);
    wait_until("another one is found", || members(&server) == 3);
    let lines = server.output();
    assert_eq!(lines.matches("has the route").count(), 1, "{lines}");
}
