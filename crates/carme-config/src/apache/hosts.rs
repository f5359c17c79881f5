//! `Listen`, `<VirtualHost>` and their names.

use std::net::IpAddr;

use super::lexer::Word;
use super::reading::{Context, Host, ListenLine, Outcome, Reading};
use super::source::Node;
use crate::MinVersion;
use crate::location::HostPattern;
use crate::problem::Mistake;

/// What `mod_ssl`'s directives say of a host.
#[derive(Default)]
pub(super) struct Secure {
    pub(super) engine: bool,
    pub(super) certificate: Option<Word>,
    pub(super) key: Option<Word>,
    pub(super) client_ca: Option<Word>,
    pub(super) client_check: Option<(Word, ClientCheck)>,
    pub(super) min_version: Option<MinVersion>,
}

/// `SSLVerifyClient`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ClientCheck {
    None,
    Optional,
    Required,
}

/// `Listen [ADDRESS:]PORT [https]`
pub(super) fn listen(reading: &mut Reading, node: &Node, _: &mut Host, _: &Context) -> Outcome {
    let word = node.arg(0)?.clone();
    let wrong = || {
        let mistake = Mistake::new(format!(
            "must be a port, or an address with one, found {:?}",
            word.text
        ));
        node.wrong_arg(
            &word,
            mistake.cure("write Listen 80, Listen 127.0.0.1:8000 or Listen [::1]:8000"),
        )
    };
    let (host, port) = match word.text.rsplit_once(':') {
        Some((host, port)) => (host, port),
        None => ("0.0.0.0", word.text.as_str()),
    };
    let port: u16 = port.parse().map_err(|_| wrong())?;
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let ip: IpAddr = match bare {
        "*" => "0.0.0.0".parse().map_err(|_| wrong())?,
        _ if bare.eq_ignore_ascii_case("localhost") => "127.0.0.1".parse().map_err(|_| wrong())?,
        _ => bare.parse().map_err(|_| wrong())?,
    };
    let is_secure = node.args.get(1).is_some_and(|protocol| protocol.is("https"));
    reading.listen.push(ListenLine {
        address: std::net::SocketAddr::new(ip, port).to_string(),
        word,
        port,
        is_secure,
    });
    Ok(())
}

/// `ServerName` and `ServerAlias`.
pub(super) fn name(reading: &mut Reading, node: &Node, host: &mut Host, _: &Context) -> Outcome {
    node.arg(0)?;
    if host.place.is_none() {
        // The server's own name chooses nothing: it answers for whatever no host is for.
        return Ok(());
    }
    for word in &node.args {
        let name = word
            .text
            .split_once("://")
            .map_or(word.text.as_str(), |(_, name)| name);
        let name = match name.rsplit_once(':') {
            Some((name, port)) if port.parse::<u16>().is_ok() && !name.ends_with(':') => name,
            _ => name,
        };
        if name == "*" {
            reading.warn(
                word,
                &node.name.text,
                "answers to every name; so does the first host",
            );
            continue;
        }
        let pattern = HostPattern::parse(name).map_err(|mistake| node.wrong_arg(word, mistake))?;
        if !host.names.iter().any(|known| known.value == pattern) {
            host.names.push(word.at(&node.name.text, pattern));
        }
    }
    Ok(())
}

pub(super) fn virtual_host(reading: &mut Reading, node: &Node, children: &[Node], outer: &Host) -> Outcome {
    if outer.place.is_some() {
        return Err(node
            .name
            .problem("<VirtualHost>", Mistake::new("stands in another <VirtualHost>")));
    }
    let mut host = Host {
        place: Some(node.name.clone()),
        ..Host::default()
    };
    for word in &node.args {
        match word.text.rsplit_once(':') {
            Some((_, "*")) => {}
            Some((_, port)) if !port.ends_with(']') => {
                let port = port.parse().map_err(|_| {
                    let mistake =
                        Mistake::new(format!("must be an address and a port, found {:?}", word.text));
                    word.problem("<VirtualHost>", mistake.cure("write <VirtualHost *:80>"))
                })?;
                host.ports.push(port);
            }
            _ => {}
        }
    }
    let context = Context::default();
    reading.inside(children, &mut host, &context);
    reading.hosts.push(host);
    Ok(())
}
