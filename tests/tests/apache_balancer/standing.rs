//! How members stand when all is played: what balancer-manager and `carme status` say of them.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use carme_tests::{Client, Server};
use serde_json::Value;

use crate::by_hand::Hand;
use crate::table::Table;

/// By the member's URL.
pub(crate) type Standing = BTreeMap<String, Table>;

/// What is compared, as Apache calls it and as Carme does.
const FIGURES: [(&str, &str); 6] = [
    ("status", "status"),
    ("lbstatus", "lbstatus"),
    ("elected", "requests"),
    ("lbset", "lbset"),
    ("route", "route"),
    ("redirect", "redirect"),
];

pub(crate) fn standing(hand: &Hand<'_>) -> Standing {
    match hand {
        Hand::Apache(address) => in_manager(*address),
        Hand::Carme(server) => in_status(server),
    }
}

/// Of balancer-manager's XML.
fn in_manager(address: SocketAddr) -> Standing {
    let mut client = Client::connect(address).expect("it accepts");
    let head = format!(
        "GET /manager?xml=1 HTTP/1.1\r\nHost: {address}\r\nReferer: http://{address}/manager\r\nConnection: close\r\n\r\n"
    );
    client.send(head).expect("it is sent");
    let page = client.response("GET").expect("an answer").text();
    let worker = |text: &str| {
        let value = |name: &str| {
            let (_, rest) = text.split_once(&format!("<httpd:{name}>")).expect(name);
            rest.split('<').next().unwrap_or_default().trim().to_owned()
        };
        let mut row = Table::default();
        for (name, _) in FIGURES {
            row.set(name, value(name));
        }
        (value("name"), row)
    };
    page.split("<httpd:worker>").skip(1).map(worker).collect()
}

/// Of `carme status --json`.
fn in_status(server: &Server) -> Standing {
    let (code, text, error) = server.command(&["status", "--json"]).run();
    assert!(code.success(), "{error}");
    let status: Value = serde_json::from_str(&text).expect("it is JSON");
    let balancers = status["balancers"].as_array().expect("a list").iter();
    let members = balancers.flat_map(|balancer| balancer["members"].as_array().expect("a list"));
    let row = |member: &Value| {
        let mut row = Table::default();
        for (name, field) in FIGURES {
            let value = match &member[field] {
                Value::Null => String::new(),
                Value::String(text) => text.trim().to_owned(),
                other => other.to_string(),
            };
            row.set(name, value);
        }
        (member["url"].as_str().expect("a URL").to_owned(), row)
    };
    members.map(row).collect()
}
