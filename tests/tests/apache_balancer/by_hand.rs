//! Changes at run time: by Apache's balancer-manager, and by Carme's commands.

use std::net::SocketAddr;

use carme_tests::{Client, Server};

/// Who does what an administrator would do by hand.
pub(crate) enum Hand<'a> {
    /// `balancer-manager` of the Apache at this address, at `/manager`.
    Apache(SocketAddr),
    /// Commands to this server.
    Carme(&'a Server),
}

/// Fields of balancer-manager's form, and the same as options of `carme member` and `carme balancer`.
const OPTIONS: [(&str, &str); 15] = [
    ("w_lf", "--loadfactor"),
    ("w_ls", "--lbset"),
    ("w_wr", "--route"),
    ("w_rr", "--redirect"),
    ("w_status_I", "--ignore-errors"),
    ("w_status_N", "--drain"),
    ("w_status_D", "--disable"),
    ("w_status_H", "--standby"),
    ("w_status_R", "--spare"),
    ("w_status_S", "--stop"),
    ("w_status_C", "--unhealthy"),
    ("b_lbm", "--method"),
    ("b_max", "--maxattempts"),
    ("b_sforce", "--nofailover"),
    ("b_ss", "--stickysession"),
];

impl Hand<'_> {
    /// Sets these fields of a member of a balancer, or of the balancer itself.
    pub(crate) fn change(&self, balancer: &str, member: Option<&str>, fields: &[(String, String)]) {
        match self {
            Hand::Apache(address) => manage(*address, balancer, member, fields),
            Hand::Carme(server) => {
                let of_whom = match member {
                    Some(member) => vec!["member", balancer, member],
                    None => vec!["balancer", balancer],
                };
                let options = fields.iter().flat_map(|(field, value)| option(field, value));
                let options: Vec<String> = options.collect();
                command(
                    server,
                    of_whom.into_iter().chain(options.iter().map(String::as_str)),
                );
            }
        }
    }

    /// One more member, which is disabled at first: Apache's is.
    pub(crate) fn add(&self, balancer: &str, url: &str) {
        match self {
            Hand::Apache(address) => {
                let fields = [("b_nwrkr", url), ("b_wyes", "1")];
                let fields = fields.map(|(field, value)| (field.to_owned(), value.to_owned()));
                manage(*address, balancer, None, &fields);
            }
            Hand::Carme(server) => command(server, ["member", "add", balancer, url, "--disable"]),
        }
    }
}

fn option(field: &str, value: &str) -> [String; 2] {
    let known = OPTIONS.iter().find(|(known, _)| *known == field);
    let (_, option) = known.unwrap_or_else(|| panic!("no option for {field}"));
    let is_switch = field.starts_with("w_status") || field == "b_sforce";
    let value = match value {
        "1" if is_switch => "on",
        "0" if is_switch => "off",
        "" => "-",
        other => other,
    };
    [(*option).to_owned(), value.to_owned()]
}

fn command<'a>(server: &Server, arguments: impl IntoIterator<Item = &'a str>) {
    let arguments: Vec<&str> = arguments.into_iter().collect();
    let (status, _, error) = server.command(&arguments).run();
    assert!(status.success(), "carme {arguments:?}: {error}");
}

/// Sends balancer-manager's form, with the nonce that the configuration gives each balancer, from its own page.
fn manage(address: SocketAddr, balancer: &str, member: Option<&str>, fields: &[(String, String)]) {
    let member = member.map_or_else(String::new, |member| format!("&w={member}"));
    let fields = fields.iter().map(|(field, value)| format!("&{field}={value}"));
    let form = format!(
        "b={balancer}&nonce={balancer}{member}{}",
        fields.collect::<String>()
    );
    let head = format!(
        "POST /manager HTTP/1.1\r\nHost: {address}\r\nReferer: http://{address}/manager\r\nConnection: close\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n",
        form.len()
    );
    let mut client = Client::connect(address).expect("it accepts");
    client.send(head + &form).expect("it is sent");
    let response = client.response("POST").expect("an answer");
    assert_eq!(response.status(), 200, "{form}: {}", response.text());
}
